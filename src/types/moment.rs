//! When, on the clock that nobody sets.

use std::ops::Add;
use std::time::Duration;

/// A moment on the monotonic clock, as the time since some start of its own. Timers of groups and transactions use
/// it, so that a wrong wall clock expires nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub Duration);

impl Moment {
    /// How long it is since `earlier`; zero if that is later.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, duration: Duration) -> Moment {
        Moment(self.0.saturating_add(duration))
    }
}
