//! The world of transactions: the rules that the code must follow, and every interleaving of small worlds
//! under them.
//!
//! # The rules
//!
//! *Words.* `ordinal`: counts the transactions of one transactional id, from 1. A *place* is a partition or
//! the offsets of a group (its leader: the group's coordinator); both obey the same rules, TxnOffsetCommit is
//! a batch. `Prepare(v)`, `Complete(v)`: v is commit or abort.
//!
//! **Stored**, one value per transactional id in the metadata store: producer id, producer epoch, stage
//! (`Empty`, `Ongoing`, `Prepare(v)`, `Complete(v)`), ordinal, places, `end_may_retry`; and the time-out and
//! times, which no rule needs. Every write compares the coordinator's standing and the value as last read or
//! written. A write that fails or whose outcome is unknown: drop the value and all its answers
//! (NOT_COORDINATOR, COORDINATOR_NOT_AVAILABLE), load again. An answer that stores nothing is given only
//! after the standing was confirmed by a read that began after the request came (one read serves all that
//! wait): else a coordinator of the past answers "added" for the next transaction of version 1, or fences who
//! has a later epoch.
//!
//! **Coordinator, by request** (e: the epoch in it; E: the stored one). A producer id that is not the stored
//! one is refused (INVALID_PRODUCER_ID_MAPPING).
//! - *Add a place* (AddPartitionsToTxn, AddOffsetsToTxn; version 2: the leader asks for the first batch it
//!   sees). e ≠ E: fenced. `Prepare`: CONCURRENT_TRANSACTIONS. `Ongoing`: store the place (nothing to store
//!   if it is there), answer the ordinal. `Empty`, `Complete`: store `Ongoing`, ordinal + 1, this place only,
//!   `end_may_retry` off; answer the ordinal.
//! - *Verify* (version 1: the leader asks for the first batch it sees). e = E, `Ongoing` and the place is in
//!   it: answer the ordinal. e ≠ E: fenced. Else INVALID_TXN_STATE.
//! - *EndTxn(v), version 2.* e = E: `Ongoing`: store `Prepare(v)`, E + 1, `end_may_retry` on; answer E + 1.
//!   `Prepare`: CONCURRENT_TRANSACTIONS. `Empty`, `Complete`: abort: store `Complete(abort)` without places,
//!   E + 1, `end_may_retry` on; answer E + 1; commit: INVALID_TXN_STATE. e + 1 = E with `end_may_retry` and
//!   stage `Prepare(v)` or `Complete(v)`, the same v: answer E. Everything else: fenced.
//! - *EndTxn(v), version 1.* e ≠ E: fenced. `Ongoing`: store `Prepare(v)`, epoch kept; success. `Prepare`:
//!   CONCURRENT_TRANSACTIONS. `Complete(v)`, the same v: success. Else INVALID_TXN_STATE.
//! - *Time-out*, both versions: only in `Ongoing`: store `Prepare(abort)`, E + 1, `end_may_retry` on (its
//!   client may learn the epoch by EndTxn(abort), version 2; any commit is fenced).
//! - *InitProducerId.* `Ongoing`: store `Prepare(abort)`, E + 1, `end_may_retry` **off**; answer
//!   CONCURRENT_TRANSACTIONS. `Prepare`: CONCURRENT_TRANSACTIONS. `Empty`, `Complete`: store `Empty`, E + 1,
//!   no places, `end_may_retry` off; answer E + 1.
//! - *Markers.* After `Prepare(v)` is known to be stored (by its own write, or loaded after a take-over), and
//!   never before, to every place: (producer id, E, v, coordinator view, ordinal), again and again until each
//!   has answered success *for this ordinal*. Then store `Complete(v)`. Which places have answered lives in
//!   memory only; a new coordinator begins with all of them. EndTxn is answered when `Prepare(v)` is stored;
//!   it does not wait for the markers.
//!
//! **Leader of a place.** Producer state: producer epoch, open ordinal (or none) and its first offset, ended
//! ordinal (of the last marker), coordinator view (of the last marker). All of it must follow from the log:
//! the ordinal is stored beside each batch of a transaction (an index column), and ordinal, verdict, epoch
//! and view with each marker. A marker is written also where no batch came. For a group this "log" is its
//! stored value: pending offsets with their ordinal, and the producer state, stored before TxnOffsetCommit or
//! the marker is answered; a commit marker makes pending offsets the committed ones in the same write.
//! - *Batch with epoch e.* e < the known epoch: fenced. A repeated batch: its offset. Open with the same
//!   epoch: append under the open ordinal. Open, and e is greater: CONCURRENT_TRANSACTIONS (the marker is on
//!   its way). None open: ask the coordinator; with the answer, *check again, in the step that appends*: e ≥
//!   the known epoch, none other open, ordinal > ended; else ask again. Answers are not kept over a change of
//!   leader.
//! - *Marker (e, v, view, o).* view < the known view: refused. e < the known epoch: refused. Open = o: write
//!   it, close the transaction. None open and o > ended: write it (fences what is late). None open and o =
//!   ended: success, nothing is written. Any other ordinal: refused.
//! - Last stable offset: the first offset of the open transaction, else the high watermark.
//!
//! # What is promised
//!
//! All or nothing over places; what was answered as committed is never aborted, what was answered as aborted
//! is never visible, and nothing is visible whose client has not asked for it; after InitProducerId is
//! answered no batch of an older instance is taken; no two instances have one epoch; `Complete` means that
//! every place has its marker; the last stable offset neither passes what is open nor goes back; and from
//! every state whatever is open can still be ended.
//!
//! *Version 1 cannot promise* that a late EndTxn leaves the next transaction alone (KAFKA-17754): both carry
//! the same epoch, and the request has nothing else to tell them apart by. Ordinals then still keep each
//! transaction whole, as the coordinator counts them: all its batches get one verdict, the stored one.
//! `a_late_end_of_version_1_ends_the_next_transaction` shows the trace.
//!
//! # How it is modelled
//!
//! One transactional id, two instances of its producer, two places, two coordinators; a transaction has at
//! most one batch per place. A request once sent may be handled at any time, again and again, by either
//! coordinator, and its answer lost; a marker likewise; so delay, repetition, reordering and loss cost no
//! steps of their own. A write of a coordinator is executed at once, or late, after its sender has given up.
//! A change of leader reads the log again (that the log itself survives is the journal's world). A client of
//! version 1 goes on with its epoch only if it knows what became of each batch (KIP-360).
//!
//! Not modelled: producer ids that change, epochs that are used up, InitProducerId with an epoch (KIP-360),
//! producer states that expire, sequence numbers, transactions of several producers in one log, two-phase
//! commit (KIP-939), time.
//!
//! # Found here
//!
//! - A coordinator of the past that answers AddPartitionsToTxn from memory lets the next transaction of version
//!   1 run into the last one (`AnswerUnconfirmed`), and so does one whose write compares the value alone
//!   (`StandingNotCompared`). Version 2 stays whole without the confirmation, by its epochs; but it fences
//!   clients that have a later epoch than that coordinator knows, so the rule is one for both.
//! - Time-outs must bump the epoch (`TimeoutKeepsEpoch`), and a bump for a successor must not be told to the
//!   instance before it (`InitKeepsVerdict`).
//! - The view in a marker is not needed where ordinals are checked (worlds "stale markers pass"): a stored
//!   verdict stays true, whoever brings it. It is kept as a second lock.
//! - The check of the ordinal at the append (`AppendAfterMarker`) is what saves version 1; in version 2 the
//!   epoch of the marker fences the late batch as well.

use crate::checker::Model;

mod bugs;
mod coordinator;
mod place;
mod promises;
mod state;
mod steps;
mod worlds;

use bugs::Bug;
use place::Admission;
use state::*;

pub use worlds::{bugs_caught, not_promised, worlds};

/// What the clients of a world speak.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TransactionVersion {
    One,
    Two,
}

#[derive(Clone, Debug)]
pub struct World {
    pub version: TransactionVersion,
    /// How many transactions each instance of the producer wants; 0: there is no such instance.
    pub transactions: [u8; INSTANCES],
    /// How many places take part.
    pub places: PlaceId,
    /// An EndTxn may come after its client has gone on (KAFKA-17754). Always so with version 2.
    pub late_ends: bool,
    /// Whether what clients were told is checked; if not, only what holds by ordinals.
    pub promises_to_clients: bool,
    /// Markers of an older coordinator are taken.
    pub stale_markers_pass: bool,
    pub budget: Budget,
    pub bug: Option<Bug>,
}

/// What becomes of a request at a coordinator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    Answered,
    /// Done, but the answer reaches nobody.
    AnswerLost,
    /// The coordinator gives up waiting for the store; the write may be executed later.
    Late,
}

#[derive(Clone, Copy, Debug)]
pub enum Action {
    // clients
    Start { instance: InstanceId },
    Init { instance: InstanceId, at: CoordinatorId, fate: Fate },
    Add { from: Source, place: PlaceId, at: CoordinatorId, fate: Fate },
    SendEnd { instance: InstanceId, verdict: Verdict },
    End { from: Source, verdict: Verdict, at: CoordinatorId, fate: Fate },
    // leaders
    Verify { from: Source, place: PlaceId, at: CoordinatorId, fate: Fate },
    AppendVerified { from: Source, place: PlaceId },
    AppendOpen { from: Source, place: PlaceId },
    MarkerArrives { index: u8, answered: bool },
    // coordinators
    Load { at: CoordinatorId },
    TimeOut { at: CoordinatorId, fate: Fate },
    Complete { at: CoordinatorId, fate: Fate },
    LateWriteExecutes { index: u8 },
    // faults
    StrayInit { at: CoordinatorId },
    Crash { at: CoordinatorId },
    ChangeCoordinator,
    ChangeLeader { place: PlaceId },
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn initial(&self) -> State {
        State {
            stored: Stored::default(),
            standing: 0,
            cores: [None; COORDINATORS],
            late: Default::default(),
            markers: Default::default(),
            places: Default::default(),
            clients: Default::default(),
            left: self.budget,
            verdicts: [None; ORDINALS],
            violation: None,
        }
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.client_actions(state, actions);
        for source in
            self.sources().filter(|source| state.clients[source.instance as usize].has_begun(source.number))
        {
            self.request_actions(state, source, actions);
        }
        for at in 0..COORDINATORS as CoordinatorId {
            self.coordinator_actions(state, at, actions);
        }
        for (index, marker) in state.markers.iter().enumerate() {
            let is_full = state.places[marker.place as usize].log.is_full();
            let steps = [true, false].map(|answered| Action::MarkerArrives { index: index as u8, answered });
            actions.extend(steps.into_iter().filter(|_| !is_full));
        }
        actions.extend((0..state.late.len() as u8).map(|index| Action::LateWriteExecutes { index }));
        if state.left.coordinator_changes > 0 {
            actions.push(Action::ChangeCoordinator);
        }
        if state.left.leader_changes > 0 {
            actions.extend((0..self.places).map(|place| Action::ChangeLeader { place }));
        }
    }

    fn next(&self, state: &State, action: Action) -> State {
        let mut next = *state;
        self.apply(&mut next, action);
        next
    }

    fn violation(&self, state: &State) -> Option<&'static str> {
        state.violation.or_else(|| self.broken_promise(state))
    }

    fn is_fault(&self, _: &State, action: Action) -> bool {
        match action {
            Action::Init { fate, .. }
            | Action::Add { fate, .. }
            | Action::End { fate, .. }
            | Action::Verify { fate, .. }
            | Action::TimeOut { fate, .. }
            | Action::Complete { fate, .. } => fate != Fate::Answered,
            Action::StrayInit { .. }
            | Action::Crash { .. }
            | Action::ChangeCoordinator
            | Action::ChangeLeader { .. }
            | Action::MarkerArrives { answered: false, .. } => true,
            _ => false,
        }
    }

    /// Nothing is open, at the coordinator and at every place.
    fn is_goal(&self, state: &State) -> bool {
        let is_ended = matches!(state.stored.stage, Stage::Empty | Stage::Complete(_));
        is_ended && state.places.iter().all(|place| place.producer.open == 0)
    }
}

// ---- what may happen

impl World {
    fn has(&self, bug: Bug) -> bool {
        self.bug == Some(bug)
    }

    fn client_actions(&self, state: &State, actions: &mut Vec<Action>) {
        for instance in 0..INSTANCES as InstanceId {
            let client = &state.clients[instance as usize];
            match client.life {
                Life::Off if self.transactions[instance as usize] > 0 => {
                    actions.push(Action::Start { instance });
                }
                Life::Starting => {
                    self.at_coordinators(state, false, |at, fate| {
                        actions.push(Action::Init { instance, at, fate });
                    });
                }
                Life::Running => self.end_actions(state, instance, actions),
                _ => {}
            }
        }
    }

    fn end_actions(&self, state: &State, instance: InstanceId, actions: &mut Vec<Action>) {
        let client = &state.clients[instance as usize];
        let from = Source { instance, number: client.number };
        let present = state.transaction(from);
        if present.asked.is_none() {
            if present.acked > 0 && state.is_resolved(from) {
                actions.push(Action::SendEnd { instance, verdict: Verdict::Commit });
            }
            actions.push(Action::SendEnd { instance, verdict: Verdict::Abort });
        } else if present.asked == Some(Verdict::Commit) && state.left.other_verdicts > 0 {
            actions.push(Action::SendEnd { instance, verdict: Verdict::Abort });
        }
    }

    /// Requests that were sent once may be handled at any later time, again and again.
    fn request_actions(&self, state: &State, from: Source, actions: &mut Vec<Action>) {
        let transaction = state.transaction(from);
        for place in 0..self.places {
            if self.version == TransactionVersion::One {
                self.at_coordinators(state, false, |at, fate| {
                    actions.push(Action::Add { from, place, at, fate });
                });
            }
            self.batch_actions(state, from, place, actions);
        }
        let client = &state.clients[from.instance as usize];
        let is_waiting = client.number == from.number && client.life == Life::Running;
        if self.late_ends || is_waiting {
            let sent = [(transaction.commit_sent, Verdict::Commit), (transaction.abort_sent, Verdict::Abort)];
            for (_, verdict) in sent.into_iter().filter(|sent| sent.0) {
                self.at_coordinators(state, true, |at, fate| {
                    actions.push(Action::End { from, verdict, at, fate });
                });
            }
        }
    }

    fn batch_actions(&self, state: &State, from: Source, place: PlaceId, actions: &mut Vec<Action>) {
        let transaction = state.transaction(from);
        let was_never_sent = transaction.settled && transaction.acked & 1 << place == 0;
        let is_not_added = self.version == TransactionVersion::One && transaction.added & 1 << place == 0;
        let at = &state.places[place as usize];
        if was_never_sent || is_not_added || at.holds(from) || at.log.is_full() {
            return;
        }
        if at.verified[from.instance as usize][from.number as usize] > 0 {
            actions.push(Action::AppendVerified { from, place });
        }
        match self.admission(state, from, place) {
            Admission::Append(_) => actions.push(Action::AppendOpen { from, place }),
            Admission::Ask if self.has(Bug::AddNotVerified) => {
                actions.push(Action::AppendOpen { from, place });
            }
            Admission::Ask => {
                let verify = |at, fate| Action::Verify { from, place, at, fate };
                self.at_coordinators(state, false, |at, fate| {
                    actions.push(verify(at, fate));
                });
            }
            Admission::Refuse => {}
        }
    }

    fn admission(&self, state: &State, from: Source, place: PlaceId) -> Admission {
        let at = &state.places[place as usize];
        let is_group = place == self.places - 1;
        if self.has(Bug::FencedOffsetCommit) && is_group && at.producer.open > 0 {
            return Admission::Append(at.producer.open);
        }
        self.on_batch(at, state.epoch_of(from))
    }

    fn coordinator_actions(&self, state: &State, at: CoordinatorId, actions: &mut Vec<Action>) {
        let Some(core) = &state.cores[at as usize] else {
            if at == state.standing {
                actions.push(Action::Load { at });
            }
            return;
        };
        let fates = self.fates(state, false);
        match core.value.stage {
            Stage::Ongoing => actions.extend(fates.map(|fate| Action::TimeOut { at, fate })),
            Stage::Prepare(_) if self.is_complete(core) => {
                actions.extend(fates.map(|fate| Action::Complete { at, fate }));
            }
            _ => {}
        }
        if state.left.crashes > 0 {
            actions.push(Action::Crash { at });
        }
        let anyone = state.clients.iter().any(|client| client.life != Life::Off);
        if state.left.stray_inits > 0 && anyone {
            actions.push(Action::StrayInit { at });
        }
    }

    /// Every way in which a request may fare at a coordinator that has the value in memory.
    fn at_coordinators(&self, state: &State, with_lost: bool, mut visit: impl FnMut(CoordinatorId, Fate)) {
        let is_ready =
            |at: &CoordinatorId| state.cores[*at as usize].is_some_and(|core| self.has_room(&core));
        for at in (0..COORDINATORS as CoordinatorId).filter(is_ready) {
            self.fates(state, with_lost).for_each(|fate| visit(at, fate));
        }
    }

    /// The edge of the world: no transaction begins past the last ordinal that there is room for.
    fn has_room(&self, core: &Core) -> bool {
        let may_begin = matches!(core.value.stage, Stage::Empty | Stage::Complete(_));
        !may_begin || (core.value.ordinal as usize) < ORDINALS - 1
    }

    fn fates(&self, state: &State, with_lost: bool) -> impl Iterator<Item = Fate> + use<> {
        let may_be_late = state.left.late_writes > 0 && !state.late.is_full();
        let lost = with_lost.then_some(Fate::AnswerLost);
        [Some(Fate::Answered), lost, may_be_late.then_some(Fate::Late)].into_iter().flatten()
    }
}
