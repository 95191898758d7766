//! What goes wrong on the command line, in one line each.

use crate::client::ClientError;
use std::io;

/// Why a command ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    #[error("{0}")]
    Client(#[from] ClientError),
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Arguments that cannot be meant.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Failed(String),
    /// By Ctrl-C.
    #[error("interrupted")]
    Interrupted,
    /// By SIGTERM.
    #[error("terminated")]
    Terminated,
}

impl CliError {
    pub(super) fn is_broken_pipe(&self) -> bool {
        matches!(self, CliError::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Whether somebody asked for the end, who need not be told of it.
    pub(super) fn is_signal(&self) -> bool {
        matches!(self, CliError::Interrupted | CliError::Terminated)
    }

    pub(super) fn exit_code(&self) -> u8 {
        match self {
            CliError::Usage(_) => 2,
            CliError::Client(error) if error.is_bad_argument() => 2,
            CliError::Interrupted => 130,
            CliError::Terminated => 143,
            _ => 1,
        }
    }
}

/// An error with its causes, without those that it has named already.
pub(super) fn said_once(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |said, cause| {
        if said.contains(&cause) { said } else { format!("{said}: {cause}") }
    })
}

/// clap's message without its decoration: the paragraphs before "Usage:", joined. Its advice to write `--` before
/// what is no flag is left out: nobody means that.
pub(super) fn one_line(message: &str) -> String {
    let lines = message.lines().map(str::trim).filter(|line| !line.is_empty());
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let line = lines.fold(String::new(), |said, line| match line.strip_prefix("tip: ") {
        Some(tip) if tip.starts_with("to pass ") => said,
        Some(tip) => format!("{said}; {tip}"),
        None if said.is_empty() => line.to_owned(),
        None => format!("{said} {line}"),
    });
    let line = line.strip_prefix("error: ").unwrap_or(&line);
    // Rust's words for it, which name neither the text nor a number.
    line.replace("invalid digit found in string", "it is not a number")
}
