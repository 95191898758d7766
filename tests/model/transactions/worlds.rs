//! The worlds that are explored, and where each planted bug is looked for.

use super::bugs::Bug;
use super::state::*;
use super::{TransactionVersion, World};
use crate::run::{Known, Size};

const SMALL: World = World {
    version: TransactionVersion::Two,
    transactions: [2, 0],
    places: 2,
    late_ends: true,
    promises_to_clients: true,
    stale_markers_pass: false,
    budget: Budget {
        late_writes: 0,
        crashes: 0,
        coordinator_changes: 0,
        leader_changes: 0,
        other_verdicts: 0,
        stray_inits: 0,
    },
    bug: None,
};

const ONE: World = World { version: TransactionVersion::One, late_ends: false, ..SMALL };

const NO_FAULT: Budget = SMALL.budget;

/// Clients of version 2, two places.
const fn two(transactions: [u8; INSTANCES], budget: Budget) -> World {
    World { transactions, budget, ..SMALL }
}

const fn one(transactions: [u8; INSTANCES], budget: Budget) -> World {
    World { transactions, budget, ..ONE }
}

const fn in_one_place(world: World) -> World {
    World { places: 1, ..world }
}

pub fn worlds() -> Vec<Known<World>> {
    let take_over = Budget { coordinator_changes: 1, late_writes: 1, ..NO_FAULT };
    let change = Budget { coordinator_changes: 1, ..NO_FAULT };
    let leaders = Budget { leader_changes: 1, ..change };
    let crash = Budget { crashes: 1, late_writes: 2, ..NO_FAULT };
    let verdicts = Budget { other_verdicts: 1, late_writes: 1, ..NO_FAULT };
    let strays = Budget { stray_inits: 1, coordinator_changes: 1, ..NO_FAULT };
    let all = Budget {
        late_writes: 1,
        crashes: 1,
        coordinator_changes: 1,
        leader_changes: 1,
        other_verdicts: 1,
        stray_inits: 1,
    };
    let late_ends = |world| World { late_ends: true, promises_to_clients: false, ..world };
    let stale = |world| World { stale_markers_pass: true, ..world };
    let world = |size, name, world| Known { name, size, world };
    let small = |name, of| world(Size::Small, name, of);
    let full = |name, of| world(Size::Full, name, of);
    vec![
        small("v2: one after the other", two([2, 0], NO_FAULT)),
        small("v2: take-over", two([1, 0], take_over)),
        small("v2: zombie", in_one_place(two([1, 1], change))),
        small("v2: leader", in_one_place(two([2, 0], leaders))),
        small("v2: other verdict", two([1, 0], verdicts)),
        small("v1: one after the other", in_one_place(one([2, 0], leaders))),
        small("v1: zombie", in_one_place(one([1, 1], NO_FAULT))),
        small("v1: late EndTxn", in_one_place(late_ends(one([2, 0], NO_FAULT)))),
        full("v2: two, take-over", two([2, 0], take_over)),
        full("v2: two, leaders", two([2, 0], leaders)),
        full("v2: two, crash", two([2, 0], crash)),
        full("v2: two, verdicts", two([2, 0], verdicts)),
        full("v2: zombie, two places", two([1, 1], NO_FAULT)),
        full("v2: zombie, take-over", in_one_place(two([1, 1], take_over))),
        full("v2: zombie, new coordinator", two([1, 1], change)),
        full("v2: zombie, leaders", in_one_place(two([1, 1], leaders))),
        full("v2: zombie, strays", in_one_place(two([1, 1], strays))),
        full("v2: three, one place", in_one_place(two([2, 1], take_over))),
        full("v2: everything at once", in_one_place(two([1, 1], all))),
        full("v2: stale markers pass", stale(two([2, 0], leaders))),
        full("v1: two", one([2, 0], NO_FAULT)),
        full("v1: two, new coordinator", one([2, 0], change)),
        full("v1: two, take-over", in_one_place(one([2, 0], take_over))),
        full("v1: two, crash", in_one_place(one([2, 0], crash))),
        full("v1: zombie, two places", one([1, 1], NO_FAULT)),
        full("v1: zombie, take-over", in_one_place(one([1, 1], take_over))),
        full("v1: zombie, leaders", in_one_place(one([1, 1], leaders))),
        full("v1: stale markers pass", stale(in_one_place(one([2, 0], leaders)))),
        full("v1: late EndTxn, two places", late_ends(one([2, 0], NO_FAULT))),
        full("v1: late EndTxn, take-over", in_one_place(late_ends(one([2, 0], take_over)))),
    ]
}

/// KAFKA-17754: with version 1 a late EndTxn is taken for that of the next transaction.
pub fn not_promised() -> (&'static str, World) {
    ("v1: KAFKA-17754", in_one_place(World { late_ends: true, ..one([2, 0], NO_FAULT) }))
}

/// Each bug in the smallest world that shows it.
pub fn bugs_caught() -> Vec<(Bug, World)> {
    Bug::ALL.into_iter().map(|bug| (bug, World { bug: Some(bug), ..world_of(bug) })).collect()
}

fn world_of(bug: Bug) -> World {
    let late = Budget { late_writes: 1, ..NO_FAULT };
    let take_over = Budget { coordinator_changes: 1, ..late };
    match bug {
        Bug::NoOrdinalCheck | Bug::AppendAfterMarker => in_one_place(one([2, 0], NO_FAULT)),
        Bug::AnswerUnconfirmed | Bug::StandingNotCompared => {
            in_one_place(one([2, 0], Budget { coordinator_changes: 1, ..NO_FAULT }))
        }
        Bug::MarkerBeforeVerdict => two([1, 0], late),
        Bug::OtherVerdictAccepted => two([1, 0], Budget { other_verdicts: 1, ..NO_FAULT }),
        Bug::WriteWithoutCompare => two([1, 0], take_over),
        Bug::VerdictForgotten => two([1, 0], Budget { coordinator_changes: 1, ..NO_FAULT }),
        Bug::OrdinalForgotten => in_one_place(two([2, 0], Budget { leader_changes: 1, ..NO_FAULT })),
        Bug::InitWithoutEnding => in_one_place(two([1, 1], NO_FAULT)),
        Bug::InitKeepsVerdict => in_one_place(two([2, 1], NO_FAULT)),
        Bug::FencedOffsetCommit => two([1, 1], NO_FAULT),
        _ => two([2, 0], NO_FAULT),
    }
}
