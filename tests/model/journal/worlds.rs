//! The worlds that are explored, and where each planted bug is looked for.

use super::bugs::Bug;
use super::state::Budget;
use super::{Batch, World};
use crate::run::{Known, Size};

const ONE: &[Batch] = &[batch(0, 0, 0)];
/// Two producers, one batch each.
const TWO: &[Batch] = &[batch(0, 0, 0), batch(0, 1, 0)];
/// One producer with two batches in sequence, and another with one.
const THREE: &[Batch] = &[batch(0, 0, 0), batch(0, 0, 1), batch(0, 1, 0)];
/// Two partitions that share journal objects and move separately.
const APART: &[Batch] = &[batch(0, 0, 0), batch(1, 1, 0)];

const fn batch(partition: u8, producer: u8, sequence: u8) -> Batch {
    Batch { partition, producer, sequence }
}

const fn faults(timeouts: u8, crashes: u8, seals: u8) -> Budget {
    Budget { timeouts, crashes, seals, offset_commits: 0 }
}

/// A partition that may go away and come back.
const VIEWS: World = World {
    sessions: 2,
    sessions_at_start: 2,
    first_view: 0b01,
    views: 3,
    alone: false,
    batches: TWO,
    reads: false,
    narrow_barrier: false,
    earlier_max: 2,
    joins: false,
    brokers: [0, 1, 2],
    budget: faults(1, 0, 1),
    bug: None,
};

/// A third session registers at any time.
const LATE_SESSION: World = World { sessions: 3, batches: ONE, budget: faults(0, 0, 1), ..VIEWS };
const NARROW: World = World { sessions_at_start: 3, narrow_barrier: true, ..LATE_SESSION };
/// A partition goes from one to the next, while views are put together.
const TOGETHER: World = World { earlier_max: 1, budget: faults(0, 0, 0), ..NARROW };
const ONE_BY_ONE: World = World { alone: true, ..TOGETHER };
/// The third session is the first broker again, or the second.
const FIRST_AGAIN: World = World {
    sessions: 3,
    narrow_barrier: true,
    joins: true,
    brokers: [0, 1, 0],
    first_view: 0b11,
    views: 2,
    batches: ONE,
    budget: faults(0, 0, 0),
    ..VIEWS
};
const SECOND_AGAIN: World = World { brokers: [0, 1, 1], ..FIRST_AGAIN };
const READERS: World = World { reads: true, batches: ONE, ..VIEWS };
const GROUP: World = World { batches: ONE, budget: Budget { offset_commits: 1, ..faults(1, 1, 1) }, ..VIEWS };
const PARTITIONS: World = World { first_view: 0b11, batches: APART, ..VIEWS };

pub fn worlds() -> Vec<Known<World>> {
    let small = |name, world| Known { name, size: Size::Small, world };
    let full = |name, world| Known { name, size: Size::Full, world };
    vec![
        small("journal: timeouts, one batch", World { views: 2, batches: ONE, ..VIEWS }),
        small("journal: views, no fault", World { budget: faults(0, 0, 0), batches: ONE, ..VIEWS }),
        small("journal: crash, one batch", World { budget: faults(0, 1, 0), batches: ONE, ..VIEWS }),
        small("journal: readers, no time-out", World { budget: faults(0, 0, 1), views: 2, ..READERS }),
        small(
            "journal: group, one time-out",
            World { budget: Budget { offset_commits: 1, ..faults(1, 0, 0) }, views: 2, ..GROUP },
        ),
        small("journal: joins again, no fault", SECOND_AGAIN),
        small("journal: put together, one by one", ONE_BY_ONE),
        full("journal: first joins again", World { views: 3, budget: faults(1, 1, 0), ..FIRST_AGAIN }),
        full("journal: second joins again", World { views: 3, budget: faults(1, 1, 0), ..SECOND_AGAIN }),
        full("journal: put together", TOGETHER),
        full("journal: put together, a seal", World { budget: faults(0, 0, 1), ..TOGETHER }),
        full("journal: timeouts", World { views: 2, budget: faults(2, 0, 1), ..VIEWS }),
        full("journal: views", VIEWS),
        full("journal: crash", World { budget: faults(1, 1, 0), ..VIEWS }),
        full("journal: late session", LATE_SESSION),
        full("journal: narrow barrier", NARROW),
        full("journal: sequence", World { views: 2, batches: THREE, budget: faults(0, 0, 1), ..VIEWS }),
        full("journal: partitions", PARTITIONS),
        full("journal: readers", READERS),
        full("journal: group", GROUP),
    ]
}

/// Each bug in the smallest world that shows it.
pub fn bugs_caught() -> Vec<(Bug, World)> {
    Bug::ALL.into_iter().map(|bug| (bug, World { bug: Some(bug), ..world_of(bug) })).collect()
}

fn world_of(bug: Bug) -> World {
    let one = |views, budget| World { views, batches: ONE, budget, ..VIEWS };
    match bug {
        Bug::AckBeforeCommit => World { views: 2, budget: faults(0, 0, 1), ..VIEWS },
        Bug::CommitWithoutCompare => one(2, faults(0, 0, 1)),
        Bug::SkipBarrier | Bug::TailsBeforeBarrier | Bug::AckBeforeDrained => one(2, faults(0, 0, 0)),
        Bug::LiveMeansMember => one(2, faults(0, 0, 0)),
        Bug::BarrierAcksAtLeast => one(3, faults(0, 0, 0)),
        Bug::AckBeforeResolve => one(2, faults(1, 0, 0)),
        Bug::RecutSameName => World { views: 1, budget: faults(1, 0, 0), ..VIEWS },
        Bug::NobodySuspects => one(2, faults(0, 1, 0)),
        Bug::FetchUnconfirmed => World { views: 2, budget: faults(0, 0, 1), ..READERS },
        Bug::RecoverWithoutStanding => World { views: 2, ..READERS },
        Bug::DropUnsettled | Bug::KeepTheNewest | Bug::LeaderOfUnion | Bug::SettledByMembers => ONE_BY_ONE,
        Bug::MovedByBroker => World { first_view: 0b01, ..SECOND_AGAIN },
        Bug::SettledByReading => {
            World { views: 2, budget: Budget { offset_commits: 1, ..faults(1, 0, 0) }, ..GROUP }
        }
    }
}
