//! The command line: reads arguments, calls a room, writes text or JSON.
//!
//! Exit codes: 0 done, 1 it could not be done (one line on stderr), 2 the arguments are wrong (one line), 130 ended by
//! Ctrl-C, 143 by SIGTERM.
//! A reader of our output that goes away (`| head`) is not an error.

mod admin_door;
mod archive;
mod bench;
mod cluster;
mod config;
mod consume;
mod error;
mod format;
mod fsck;
mod greeting;
mod group;
mod identity;
mod mesh;
mod options;
mod produce;
mod run_broker;
mod segment;
mod serve;
mod stop;
mod table;
mod time;
mod topic;
mod transaction;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use error::CliError;
use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use stop::Stop;

/// A broker that speaks Kafka and keeps its log on object storage, and the tools for it.
#[derive(Debug, Parser)]
#[command(name = "cenote", version, propagate_version = true, disable_help_subcommand = true)]
#[command(after_help = AFTER_HELP)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
    `serve` runs a broker, and `config` shows its settings. The others ask a broker: the one at 127.0.0.1:9092, or where \
    --bootstrap or CENOTE_BOOTSTRAP says. Exit codes: 0 done, 1 it could not be done, 2 the arguments are wrong, \
    130 ended by Ctrl-C, \
    143 by SIGTERM.";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker.
    ///
    /// Each setting is a flag, a CENOTE_* variable, or a line of a TOML file (--config) under the flag's name without
    /// its dashes; a flag goes before a variable, and a variable before the file. `cenote config` shows what holds.
    ///
    /// A SIZE is a number of bytes, or one with k, M, G, T or KiB, MiB, GiB, TiB, which count by 1024, or with kB, MB,
    /// GB, TB, which count by 1000. A DURATION is 0, or a number with us, ms, s, m, h or d.
    Serve(Box<serve::ServeArgs>),
    /// Print the settings that `cenote serve` would run with, and where each comes from.
    ///
    /// It takes the flags of `cenote serve`, and reads the same variables and file.
    Config(Box<ConfigArgs>),
    /// Create, list, describe, alter and delete topics.
    #[command(subcommand)]
    Topic(topic::TopicCommand),
    /// List, describe, reset and delete consumer groups, and show their members.
    #[command(subcommand)]
    Group(group::GroupCommand),
    /// List, describe and abort transactions.
    #[command(subcommand)]
    Transaction(transaction::TransactionCommand),
    /// Show the brokers of the cluster, drain one before its machine is taken away, and end a session.
    #[command(subcommand)]
    Cluster(cluster::ClusterCommand),
    /// Send records from files or standard input, a line each.
    Produce(produce::ProduceArgs),
    /// Write records to standard output, and wait for more.
    ///
    /// It goes on until Ctrl-C, unless --until or --count says where to end.
    Consume(consume::ConsumeArgs),
    /// Show what of the topics lies in Parquet segments, and archive at once.
    #[command(subcommand)]
    Archive(archive::ArchiveCommand),
    /// Read a segment's file.
    #[command(subcommand)]
    Segment(segment::SegmentCommand),
    /// Check that everything a stopped broker refers to is in its store, whole, and count what nothing refers to.
    ///
    /// It takes the flags of `cenote serve`, and reads the same variables and file. Exit code 0: nothing is wrong, 1:
    /// something is. Orphans are nothing wrong: a crash leaves some, and a broker that runs deletes them after a while.
    Fsck(Box<fsck::FsckArgs>),
    /// Measure throughput and latency.
    #[command(subcommand)]
    Bench(bench::BenchCommand),
    /// Print what a shell needs to complete the arguments of this program.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, clap::Args)]
struct ConfigArgs {
    #[command(flatten)]
    serve: serve::ServeArgs,
    /// How to answer: text for people, or one JSON document for scripts.
    #[arg(long, value_enum, default_value_t = options::Output::Text, value_name = "HOW")]
    output: options::Output,
}

/// Runs the command that the process was started with.
#[must_use]
pub fn main() -> ExitCode {
    run(std::env::args_os())
}

fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(error) => return on_clap_error(&error),
    };
    warn_of_unknown_variables();
    match execute(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.is_broken_pipe() => ExitCode::SUCCESS,
        Err(error) if error.is_signal() => ExitCode::from(error.exit_code()),
        Err(error) => {
            complain(&format!("error: {error}"));
            ExitCode::from(error.exit_code())
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let mut command = negative_numbers_are_values(Cli::command());
    let matches = command.try_get_matches_from_mut(arguments)?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Behind an option `-1` is its value, possibly a bad one, and not an unknown flag.
fn negative_numbers_are_values(command: clap::Command) -> clap::Command {
    let with_values = |argument: clap::Arg| {
        if argument.is_positional() || !argument.get_action().takes_values() {
            return argument;
        }
        argument.allow_negative_numbers(true)
    };
    command.mut_args(with_values).mut_subcommands(negative_numbers_are_values)
}

fn execute(command: Command) -> Result<(), CliError> {
    match command {
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "cenote", &mut script);
            Ok(io::stdout().lock().write_all(&script)?)
        }
        Command::Serve(args) => run_broker::serve(&args),
        Command::Config(args) => show_config(&args),
        Command::Topic(command) => until_interrupted(topic::run(command)),
        Command::Group(command) => until_interrupted(group::run(command)),
        Command::Transaction(command) => until_interrupted(transaction::run(command)),
        Command::Cluster(command) => until_interrupted(cluster::run(command)),
        Command::Archive(command) => until_interrupted(archive::run(command)),
        Command::Segment(command) => until_interrupted(segment::run(command)),
        // It may be interrupted at any moment: what it deletes, nobody needs.
        Command::Fsck(args) => to_the_end(fsck::run(*args)),
        Command::Produce(args) => until_interrupted(produce::run(args)),
        // It listens for signals itself, to commit and to leave its group.
        Command::Consume(args) if args.has_group() => to_the_end(consume::run_in_group(args)),
        Command::Consume(args) => until_interrupted(consume::run(args)),
        // It listens for signals itself, to delete its topic.
        Command::Bench(command) => to_the_end(bench::run(command)),
    }
}

fn show_config(args: &ConfigArgs) -> Result<(), CliError> {
    let (_config, sources) = serve::settings(&args.serve)?;
    let format = match args.output {
        options::Output::Text => config::ConfigFormat::Human,
        options::Output::Json => config::ConfigFormat::Json,
    };
    Ok(config::print_config(&mut io::stdout().lock(), &sources, format)?)
}

/// Runs to the end, or to Ctrl-C or SIGTERM, which are calm ends of their own.
fn until_interrupted(
    command: impl Future<Output = Result<(), CliError>> + Send + 'static,
) -> Result<(), CliError> {
    to_the_end(async {
        let mut stop = Stop::listen()?;
        // A task of its own: reading standard input blocks.
        let command = tokio::spawn(command);
        tokio::select! {
            outcome = command => outcome.unwrap_or_else(|error| Err(CliError::Failed(error.to_string()))),
            signal = stop.signalled() => Err(signal),
        }
    })
}

fn to_the_end(command: impl Future<Output = Result<(), CliError>>) -> Result<(), CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let outcome = runtime.block_on(command);
    runtime.shutdown_background();
    outcome
}

/// A name that is mistyped would do nothing in silence.
fn warn_of_unknown_variables() {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for unknown in crate::config::unknown_variables(names) {
        complain(&format!("warning: {unknown}"));
    }
}

/// Help and version go out as they are; an error becomes one line.
fn on_clap_error(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let help = error.render();
        let mut out = io::stdout().lock();
        let _gone = if may_colour(&out) { write!(out, "{}", help.ansi()) } else { write!(out, "{help}") };
        return ExitCode::SUCCESS;
    }
    if error.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _gone = write!(io::stderr().lock(), "{error}");
    } else {
        complain(&format!("error: {}", error::one_line(&error.to_string())));
    }
    ExitCode::from(2)
}

/// Whether `stream` shows colours: a terminal does, unless `NO_COLOR` says otherwise (no-color.org).
fn may_colour(stream: &impl IsTerminal) -> bool {
    stream.is_terminal() && !forbids_colour(std::env::var_os("NO_COLOR").as_deref())
}

fn forbids_colour(no_color: Option<&OsStr>) -> bool {
    no_color.is_some_and(|value| !value.is_empty())
}

fn complain(line: &str) {
    let _nobody_listens = writeln!(io::stderr().lock(), "{line}");
}

#[cfg(test)]
mod tests;
