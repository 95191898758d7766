//! The thread that takes deferred writes to the disk soon after, and once more at the end.

use super::Shared;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a deferred write waits for an immediate one to take it along.
const DEFERRED_MAX_WAIT: Duration = Duration::from_secs(1);

/// How many applied writes are not on disk yet, and whether the store is closing.
#[derive(Debug, Default)]
pub(super) struct Progress {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    deferred: u64,
    closing: bool,
}

impl Progress {
    pub(super) fn deferred(&self) -> u64 {
        self.state.lock().deferred
    }

    pub(super) fn on_deferred(&self) {
        let mut state = self.state.lock();
        state.deferred += 1;
        if state.deferred == 1 {
            self.changed.notify_one();
        }
    }

    pub(super) fn on_durable(&self) {
        self.state.lock().deferred = 0;
    }

    fn close(&self) {
        self.state.lock().closing = true;
        self.changed.notify_one();
    }

    /// Sleeps while there is nothing to sync, then gives the writes time to gather. False when closing.
    fn wait_until_due(&self) -> bool {
        let mut state = self.state.lock();
        self.changed.wait_while(&mut state, |state| state.deferred == 0 && !state.closing);
        self.changed.wait_while_for(&mut state, |state| !state.closing, DEFERRED_MAX_WAIT);
        !state.closing
    }
}

/// The running thread; dropping it makes the last sync and waits for it.
#[derive(Debug)]
pub(super) struct Syncer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Syncer {
    pub(super) fn start(shared: Arc<Shared>) -> std::io::Result<Syncer> {
        let of_thread = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name("metadata-sync".into()).spawn(move || run(&of_thread))?;
        Ok(Syncer { shared, thread: Some(thread) })
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.shared.progress.close();
        let ended = self.thread.take().map(JoinHandle::join);
        if matches!(ended, Some(Err(_))) {
            tracing::error!("the metadata syncer panicked");
        }
    }
}

fn run(shared: &Shared) {
    while shared.progress.wait_until_due() {
        sync(shared);
    }
    sync(shared);
}

fn sync(shared: &Shared) {
    let guard = Arc::clone(&shared.writer).blocking_lock_owned();
    if let Err(error) = shared.sync(&guard) {
        // The writes stay deferred; recovery can redo them, and the next sync tries again.
        tracing::error!(%error, "deferred metadata writes could not be made durable");
    }
}
