//! The world of the journal: commits, views, sealing, the barrier, recovery, readers, group offsets.
//!
//! # The rules
//!
//! - A session *stands* while its standing exists. Every write of a session compares the revision of its
//!   standing; a commit also compares its journal key. To seal is to remove the standing: always safe, by
//!   anyone, at any time.
//! - A batch is acknowledged, and visible, when its session knows that its object is committed. An object
//!   once cut never changes.
//! - Acking a view rewrites the standing, so nothing sent before can be executed after it. A session acks
//!   only when no commit of its own is unknown, and what it took in for partitions that it serves no more is
//!   committed, or is by the ack.
//! - A new leader waits at the barrier: every session that stands has acked *this* view; an ack of a later
//!   one shows that its own view is old. Then it reads the tails, in one transaction with its own standing, and
//!   serves.
//! - It is enough to wait for those that led the partition in an earlier view that is not settled: the narrow
//!   barrier. A view carries these. It is settled once every session that stands and is in it, in an earlier or in
//!   a later one has acked a later one. When too many are carried the oldest are put together: then every session of
//!   theirs that stands may have led anything in them.
//! - A broker that starts joins with one transaction, which seals the other sessions of its broker, makes a view
//!   with the new one in it, and registers that. Which session leads goes by brokers; what has moved goes by
//!   sessions. One that leaves makes a view without itself, acks it, and then removes its own standing.
//! - An answer that names an end is given only after the standing was confirmed by a read that began after
//!   the request came.
//! - A coordinator's write compares its standing and the value. After a time-out, reading proves nothing.
//!
//! # What is promised
//!
//! One batch per offset, no gap, no batch twice, leader epochs never go back; a batch is acknowledged at one
//! offset and keeps it; the high watermark never goes back and what was acknowledged is in every later fetch;
//! what is committed is stored; no offset commit lands after another coordinator took over; and from every
//! state, without further faults, all batches can still be acknowledged.
//!
//! # How it is modelled
//!
//! Time does not exist: a paused session is one whose next step comes late. A metadata transaction executes,
//! loses its answer, or executes late; a PUT is repeated and its first attempt arrives late; views are
//! learned late, out of step, or skipped. `journals/<s>` and `sessions/<s>` are one value. The leader is the
//! member of the highest broker (partition 0) or of the lowest (partition 1): any function that all compute alike. Seals and
//! views have no lost answers of their own: they compare, as commits do. Not modelled: segments, manifests
//! and deletion; the order of messages between brokers; the embedded store; fairness.

use crate::checker::Model;
use std::ops::RangeInclusive;

mod bugs;
mod does;
mod may;
mod state;
mod worlds;
mod writes;

use bugs::Bug;
use state::*;

pub use worlds::{bugs_caught, worlds};

/// A batch of an idempotent producer: where it goes, and its place in the producer's sequence.
#[derive(Clone, Copy, Debug)]
pub struct Batch {
    pub partition: PartitionIndex,
    pub producer: u8,
    pub sequence: u8,
}

#[derive(Clone, Debug)]
pub struct World {
    pub sessions: u8,
    pub sessions_at_start: u8,
    pub first_view: Members,
    /// How many views may be proposed without need.
    pub views: usize,
    /// Only views of one member are proposed without need.
    pub alone: bool,
    pub batches: &'static [Batch],
    pub reads: bool,
    /// The barrier of a partition waits only for sessions that led it in an earlier view that is not settled.
    pub narrow_barrier: bool,
    /// How many earlier views a view carries before they are put together.
    pub earlier_max: usize,
    /// Sessions join with a view of their own, and leave; else they only register.
    pub joins: bool,
    /// Whose sessions they are.
    pub brokers: [BrokerId; SESSIONS],
    pub budget: Budget,
    pub bug: Option<Bug>,
}

#[derive(Clone, Copy, Debug)]
pub enum Action {
    // views
    Start { session: SessionId },
    Join { session: SessionId },
    Leave { session: SessionId },
    ProposeView { members: Members },
    LearnView { session: SessionId, view: ViewNumber },
    AckView { session: SessionId },
    Seal { session: SessionId },
    // a new leader
    PassBarrier { session: SessionId, partition: PartitionIndex },
    ReadTails { session: SessionId, partition: PartitionIndex },
    // the way of a record
    Produce { session: SessionId, batch: BatchId },
    Cut { session: SessionId },
    PutArrives { session: SessionId, seq: u8 },
    OlderPutArrives { session: SessionId, seq: u8 },
    Commit { session: SessionId },
    // groups
    OffsetCommit { session: SessionId },
    // writes on their way
    Execute { write: u8 },
    ReadBackJournal { session: SessionId },
    ReadBackGroup { session: SessionId },
    // readers
    Fetch { session: SessionId, partition: PartitionIndex },
    ConfirmFetch,
    AnswerFetch,
    AbandonFetch,
    // faults
    WriteTimesOut { write: u8 },
    PutTimesOut { session: SessionId, seq: u8 },
    Crash { session: SessionId },
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        let mut state = State { left: self.budget, ..State::default() };
        state.meta.views.push(View::default());
        state.meta.views.push(View { members: self.first_view, ..View::default() });
        for session in 0..self.sessions_at_start {
            self.start(&mut state, session);
        }
        for partition in self.partitions() {
            let session = &mut state.sessions[self.leader(partition, self.first_view) as usize];
            let led = &mut session.partitions[partition as usize];
            (led.role, led.leader_epoch) = (Role::Serving, 1);
        }
        state
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for session in 0..self.sessions {
            self.session_actions(state, session, actions);
        }
        self.view_actions(state, actions);
        for (index, write) in state.in_flight.iter().enumerate() {
            actions.push(Action::Execute { write: index as u8 });
            if write.is_waited_for && state.left.timeouts > 0 {
                actions.push(Action::WriteTimesOut { write: index as u8 });
            }
        }
        self.fetch_actions(state, actions);
    }

    fn next(&self, state: &State, action: Action) -> State {
        let mut next = *state;
        self.apply(&mut next, action);
        next
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        state.violation.or_else(|| self.missing_object(state))
    }

    fn is_fault(&self, state: &State, action: Action) -> bool {
        match action {
            Action::WriteTimesOut { .. } | Action::PutTimesOut { .. } | Action::Crash { .. } => true,
            Action::Seal { session } => state.sessions[session as usize].life == Life::Running,
            _ => false,
        }
    }

    /// Every batch is stored and acknowledged; or no session is left that could do it.
    fn is_goal(&self, state: &State) -> bool {
        let stored: usize = state.history.iter().map(|log| log.len()).sum();
        let acked = state.clients.acked[..self.batches.len()].iter().all(|&acked| acked > 0);
        let is_out = |session: SessionId| {
            let is_sealed = state.meta.keys[session as usize].is_some_and(|keys| keys.sealed);
            state.sessions[session as usize].life == Life::Gone || is_sealed
        };
        (0..self.sessions).all(is_out) || (acked && stored == self.batches.len())
    }
}

impl World {
    /// Stands for the rendezvous hash: any function of the members' brokers that all compute alike.
    fn leader(&self, partition: PartitionIndex, members: Members) -> SessionId {
        let of_view = (0..SESSIONS as SessionId).filter(|session| members & 1 << session != 0);
        let broker = |session: &SessionId| self.brokers[*session as usize];
        let leader = if partition == 0 { of_view.max_by_key(broker) } else { of_view.min_by_key(broker) };
        leader.expect("a view has members")
    }

    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn partitions(&self) -> RangeInclusive<PartitionIndex> {
        0..=self.batches.iter().map(|batch| batch.partition).max().unwrap_or(0)
    }
}
