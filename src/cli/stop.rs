//! The signals that end a command: Ctrl-C and SIGTERM.

use super::error::CliError;
use std::io;
use std::pin::Pin;
use tokio::signal::unix::{SignalKind, signal};

/// Waits for Ctrl-C or SIGTERM, from when it is made.
pub(super) struct Stop(Pin<Box<dyn Future<Output = CliError> + Send>>);

impl Stop {
    /// To be called within a runtime.
    pub(super) fn listen() -> io::Result<Stop> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(Stop(Box::pin(async move {
            tokio::select! {
                _ = interrupt.recv() => CliError::Interrupted,
                _ = terminate.recv() => CliError::Terminated,
            }
        })))
    }

    /// Which of them came, as the end of the command. Once one has come, this must not be awaited again.
    pub(super) async fn signalled(&mut self) -> CliError {
        self.0.as_mut().await
    }
}
