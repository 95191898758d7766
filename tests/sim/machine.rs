//! Time, and the machines that live in it. Each machine is a runtime of its own with a clock that stands still but for what the
//! scheduler gives it, a few milliseconds at a time; so one may be paused, or end in the middle of anything. All run on
//! one thread, one after the other.

use std::cell::Cell;
use std::time::Duration;
use tokio::runtime::{Builder, Handle, RngSeed, Runtime};
use tokio::time::Instant;

thread_local! {
    /// When the machine that runs was made: by its own clock, and in simulated nanoseconds.
    static BASE: Cell<Option<(Instant, u64)>> = const { Cell::new(None) };
}

/// One turn of each machine, in nanoseconds.
pub const TURN: u64 = 5_000_000;
pub const SECOND: u64 = 1_000_000_000;

/// Nanoseconds since the simulation began, as the machine that runs has it.
pub fn now() -> u64 {
    let (base, since) = BASE.get().expect("asked within a machine");
    since + u64::try_from((Instant::now() - base).as_nanos()).expect("centuries")
}

/// Waits until a moment of the simulation.
pub async fn until(moment: u64) {
    if let Some(nanos) = moment.checked_sub(now()).filter(|nanos| *nanos > 0) {
        tokio::time::sleep(Duration::from_nanos(nanos)).await;
    }
}

pub struct Machine {
    runtime: Option<Runtime>,
    base: (Instant, u64),
}

impl Machine {
    /// A machine that begins at the moment `since`.
    pub fn new(since: u64, seed: u64) -> Machine {
        let seed = RngSeed::from_bytes(&seed.to_be_bytes());
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).rng_seed(seed).build();
        let runtime = runtime.expect("a runtime needs memory only");
        let base = (runtime.block_on(async { Instant::now() }), since);
        Machine { runtime: Some(runtime), base }
    }

    pub fn handle(&self) -> Handle {
        self.runtime().handle().clone()
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("until it is dropped")
    }

    /// Has it run until a moment.
    pub fn run_until(&self, moment: u64) {
        BASE.set(Some(self.base));
        self.runtime().block_on(until(moment));
        BASE.set(None);
    }

    /// Has it run until something is done, however long that takes.
    pub fn run<T>(&self, work: impl Future<Output = T>) -> T {
        BASE.set(Some(self.base));
        let done = self.runtime().block_on(work);
        BASE.set(None);
        done
    }

    /// Its clock goes on to a moment in one leap, as that of a process does which stood still.
    pub fn leap_to(&self, moment: u64) {
        BASE.set(Some(self.base));
        self.runtime().block_on(async {
            let behind = moment.saturating_sub(now());
            tokio::time::advance(Duration::from_nanos(behind)).await;
        });
        BASE.set(None);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        BASE.set(Some(self.base));
        drop(self.runtime.take());
        BASE.set(None);
    }
}
