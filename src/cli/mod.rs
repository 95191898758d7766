//! The command line.

pub mod config;
mod run_broker;
pub mod serve;

use clap::{Parser, Subcommand};
use std::io::Write;
use std::process::ExitCode;

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}
#[derive(Debug, Subcommand)]
enum Command {
    /// Run a broker.
    Serve(serve::ServeArgs),
}

/// Main.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let Command::Serve(args) = cli.command;
    match run_broker::serve(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, line)) => {
            let _nobody_listens = writeln!(std::io::stderr().lock(), "{line}");
            ExitCode::from(code)
        }
    }
}

#[cfg(test)]
mod tests;
