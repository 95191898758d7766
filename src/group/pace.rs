//! How often members are heard of: those of quiet groups, and those of groups whose partitions are on their way.
//!
//! Who is in a quiet group learns of a change by its next heartbeat, so rebalances are as quick as heartbeats are frequent.
//! They cost the broker little, but not nothing. So a broker with few members has them come often, and one with many
//! as seldom as is set.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// The members of all groups of the broker that it tells when their next heartbeat is due.
#[derive(Debug, Default)]
pub(super) struct PacedMembers {
    members: AtomicUsize,
}

/// What each member adds to the interval of all: together they send a hundred heartbeats a second.
const EACH: Duration = Duration::from_millis(10);
/// No quicker than this.
const INTERVAL_MIN: Duration = Duration::from_millis(500);

impl PacedMembers {
    /// A group had `before` members and has `now`.
    pub fn changed(&self, before: usize, now: usize) {
        if now >= before {
            self.members.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.members.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// The interval to tell, where `set` is what was set.
    pub fn interval(&self, set: Duration) -> Duration {
        let members = u32::try_from(self.members.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
        set.min(EACH.saturating_mul(members).max(INTERVAL_MIN))
    }
}

/// What each member adds to the interval while its group rebalances: together they send five hundred heartbeats a second.
const EACH_WHILE_REBALANCING: Duration = Duration::from_millis(2);

/// The interval for the members of a group that is being rebalanced: `least` for few, longer for many.
pub(super) fn while_rebalancing(least: Duration, members: usize) -> Duration {
    let members = u32::try_from(members).unwrap_or(u32::MAX);
    EACH_WHILE_REBALANCING.saturating_mul(members).max(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_members_come_often_and_many_as_seldom_as_is_set() {
        let paced = PacedMembers::default();
        let set = Duration::from_secs(5);
        for (before, now, millis) in
            [(0, 1, 500), (1, 30, 500), (30, 100, 1_000), (100, 1_000, 5_000), (1_000, 100, 1_000)]
        {
            paced.changed(before, now);
            assert_eq!(paced.interval(set), Duration::from_millis(millis), "{now}");
        }
        assert_eq!(
            paced.interval(Duration::from_millis(200)),
            Duration::from_millis(200),
            "never longer than is set"
        );
    }

    #[test]
    fn a_rebalance_of_many_members_is_no_storm() {
        let least = Duration::from_millis(200);
        for (members, millis) in [(0, 200), (1, 200), (30, 200), (100, 200), (200, 400), (1_000, 2_000)] {
            assert_eq!(while_rebalancing(least, members), Duration::from_millis(millis), "{members}");
        }
    }
}
