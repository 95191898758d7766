//! Threads for work that takes a processor's time and may wait: decoding segments for readers far behind, encoding
//! those that are archived. Also the runtime's own for work that blocks. A simulation has none of them: work is done at once.
//!
//! There are few of them, and where each thread of a process has its own priority theirs is lower: whoever produces, and
//! whoever reads at the tail, goes first. Turns come in the order of asking; how many may wait is for those to limit
//! who ask. Never waits for a store or for a lock of the log.

use crate::clock;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinError;

/// Does `work` on one of the runtime's threads that may block. An error: it panicked, or the runtime is ending.
pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, JoinError> {
    if clock::is_simulated() {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await
}

/// A handle; all clones are one. The threads end with the last of them.
#[derive(Clone, Debug)]
pub struct Background {
    work: mpsc::Sender<Work>,
    turns: Arc<Semaphore>,
}

/// The right to one piece of work, next or soon: given in the order of asking.
#[derive(Debug)]
pub struct Turn {
    work: mpsc::Sender<Work>,
    permit: OwnedSemaphorePermit,
}

/// Work that did not end: it panicked, or no thread could be started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("work in the background was not done")]
pub struct NotDone;

type Work = Box<dyn FnOnce() + Send>;

/// How much less these threads want: as `nice` counts, from 0 to 19.
#[cfg(target_os = "linux")]
const NICENESS: i32 = 10;

impl Background {
    /// Starts `threads` threads, named after what they do.
    #[must_use]
    pub fn start(name: &str, threads: usize) -> Background {
        let (sender, receiver) = mpsc::channel(threads);
        let receiver = Arc::new(parking_lot::Mutex::new(receiver));
        let started = if clock::is_simulated() { 0 } else { threads };
        for number in 0..started {
            let receiver = Arc::clone(&receiver);
            let named = std::thread::Builder::new().name(format!("{name}-{number}"));
            if let Err(error) = named.spawn(move || run(&receiver)) {
                tracing::error!(%error, name, "a thread for work in the background does not start");
            }
        }
        Background { work: sender, turns: Arc::new(Semaphore::new(threads)) }
    }

    /// Half of the processors, one at least.
    #[must_use]
    pub fn share_of_processors() -> usize {
        if clock::is_simulated() {
            return 1;
        }
        std::thread::available_parallelism().map_or(1, usize::from).div_ceil(2)
    }

    /// Waits for a turn. Dropping it gives it up.
    pub async fn turn(&self) -> Turn {
        let permit = Arc::clone(&self.turns).acquire_owned().await.expect("the semaphore is never closed");
        Turn { work: self.work.clone(), permit }
    }

    /// Does `work` on one of the threads when its turn has come.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        self.turn().await.run(work).await
    }
}

impl Turn {
    /// Does `work`, also if nobody waits for its outcome any more.
    pub async fn run<T: Send + 'static>(
        self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, NotDone> {
        if clock::is_simulated() {
            return Ok(work());
        }
        let (done, outcome) = oneshot::channel();
        let Turn { work: queue, permit } = self;
        #[cfg(test)]
        let clock = tests::hold_clock();
        let work = move || {
            let outcome = work();
            // A panic drops it as well.
            drop(permit);
            // Whoever asked may have gone.
            let _ = done.send(outcome);
            #[cfg(test)]
            drop(clock);
        };
        // There is room, as there are no more turns than places.
        queue.try_send(Box::new(work)).map_err(|_ended| NotDone)?;
        outcome.await.map_err(|_panicked| NotDone)
    }
}

fn run(work: &parking_lot::Mutex<mpsc::Receiver<Work>>) {
    yield_to_others();
    loop {
        // One thread waits for work, the others for it.
        let Some(next) = work.lock().blocking_recv() else { return };
        if catch_unwind(AssertUnwindSafe(next)).is_err() {
            tracing::error!("panic in the background");
        }
    }
}

#[cfg(target_os = "linux")]
fn yield_to_others() {
    // On Linux "this process" is the calling thread; what is lower already stays so.
    let lowered = rustix::process::getpriority_process(None)
        .and_then(|niceness| rustix::process::setpriority_process(None, niceness.max(NICENESS)));
    if let Err(error) = lowered {
        tracing::debug!(%error, "threads in the background keep their priority");
    }
}

#[cfg(not(target_os = "linux"))]
fn yield_to_others() {}

#[cfg(test)]
mod tests {
    use super::{Background, NotDone};
    use futures_util::FutureExt;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;

    /// A clock that a test has paused goes on by itself when nobody has anything to do. It does not know of these threads,
    /// but of the runtime's: one of those waits until what is returned is dropped.
    pub(super) fn hold_clock() -> mpsc::Sender<()> {
        let (held, released) = mpsc::channel();
        tokio::task::spawn_blocking(move || released.recv());
        held
    }

    #[tokio::test]
    async fn work_is_done_and_a_panic_ends_only_what_panicked() {
        let background = Background::start("test", 1);
        assert_eq!(background.run(|| 1 + 1).await, Ok(2));
        assert_eq!(background.run(|| -> usize { panic!("a fault") }).await, Err(NotDone));
        assert_eq!(background.run(|| 3).await, Ok(3));
    }

    #[tokio::test]
    async fn no_more_is_done_at_once_than_there_are_threads() {
        let background = Background::start("test", 2);
        let (busy, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let work = (0..64).map(|_| {
            let (busy, most) = (Arc::clone(&busy), Arc::clone(&most));
            background.run(move || {
                most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                std::thread::yield_now();
                busy.fetch_sub(1, Ordering::SeqCst);
            })
        });
        assert!(futures_util::future::join_all(work).await.iter().all(Result::is_ok));
        assert!(most.load(Ordering::SeqCst) <= 2);
    }

    #[tokio::test]
    async fn whoever_gives_up_before_its_turn_takes_none() {
        let background = Background::start("test", 1);
        let (go, wait) = mpsc::channel::<()>();
        let first = tokio::spawn({
            let background = background.clone();
            async move { background.run(move || wait.recv()).await }
        });
        // The first has the turn, or will have it: they are given in the order of asking.
        tokio::task::yield_now().await;
        let given_up = background.run(|| panic!("nobody asks for this any more"));
        assert_eq!(given_up.now_or_never(), None, "it asked, and waits");
        go.send(()).expect("it waits");
        assert_eq!(first.await.expect("no panic"), Ok(Ok(())));
        assert_eq!(background.run(|| 5).await, Ok(5));
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn its_threads_have_a_lower_priority_and_others_keep_theirs() {
        let of_this = || rustix::process::getpriority_process(None).expect("a thread has one");
        let before = of_this();
        assert_eq!(Background::start("test", 1).run(of_this).await, Ok(before.max(super::NICENESS)));
        assert_eq!(of_this(), before);
    }
}
