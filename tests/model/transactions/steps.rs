//! What each step does. Each function that takes the state by `&mut` is one atomic step.

use super::bugs::Bug;
use super::coordinator::{Answer, Decision};
use super::place::Admission;
use super::state::*;
use super::{Action, Fate, TransactionVersion, World};

impl World {
    pub fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::Start { instance } => state.clients[instance as usize].life = Life::Starting,
            Action::SendEnd { instance, verdict } => send_end(state, instance, verdict),
            Action::Init { instance, at, fate } => {
                if let Some(Answer::Epoch(epoch)) = self.ask(state, at, fate, |value| self.on_init(value)) {
                    self.begin_first(&mut state.clients[instance as usize], epoch);
                }
            }
            Action::StrayInit { at } => {
                state.left.stray_inits -= 1;
                self.ask(state, at, Fate::AnswerLost, |value| self.on_init(value));
            }
            Action::Add { from, place, at, fate } => self.add(state, from, place, at, fate),
            Action::End { from, verdict, at, fate } => self.end(state, from, verdict, at, fate),
            Action::Verify { from, place, at, fate } => self.verify(state, from, place, at, fate),
            Action::AppendVerified { from, place } => self.append_verified(state, from, place),
            Action::AppendOpen { from, place } => self.append_open(state, from, place),
            Action::Load { at } => self.load(state, at),
            Action::TimeOut { at, fate } => {
                self.ask(state, at, fate, |value| Decision::Store(self.aborted(value), Answer::Concurrent));
            }
            Action::Complete { at, fate } => {
                self.ask(state, at, fate, |value| Decision::Store(completed(value), Answer::Concurrent));
            }
            Action::MarkerArrives { index, answered } => self.marker_arrives(state, index, answered),
            Action::LateWriteExecutes { index } => {
                let write = state.late.remove(index as usize);
                self.execute(state, write);
            }
            Action::Crash { at } => {
                state.left.crashes -= 1;
                state.cores[at as usize] = None;
            }
            Action::ChangeCoordinator => {
                state.left.coordinator_changes -= 1;
                state.standing += 1;
            }
            Action::ChangeLeader { place } => {
                state.left.leader_changes -= 1;
                self.rebuild(&mut state.places[place as usize]);
            }
        }
        self.forget_the_dead(state);
    }

    // ---- the coordinator

    /// A request at a coordinator: decided in memory, stored by comparing, answered only then.
    fn ask(
        &self,
        state: &mut State,
        at: CoordinatorId,
        fate: Fate,
        decide: impl Fn(Stored) -> Decision<Answer>,
    ) -> Option<Answer> {
        let value = state.cores[at as usize]?.value;
        let (new, answer) = match decide(value) {
            Decision::Now(answer) => return self.confirmed(state, at, fate, answer),
            Decision::Store(new, answer) => (new, answer),
        };
        if self.has(Bug::MarkerBeforeVerdict) {
            self.send_markers(state, at, new);
        }
        let write = LateWrite { by: at, expected: value, new };
        if fate == Fate::Late {
            state.left.late_writes -= 1;
            state.late.insert(write);
            state.cores[at as usize] = None;
            return None;
        }
        if !self.execute(state, write) {
            state.cores[at as usize] = None;
            return None;
        }
        self.know(state, at, new);
        Some(answer).filter(|_| fate == Fate::Answered)
    }

    /// What is answered from memory is true only while the coordinator stands: it asks for that first.
    fn confirmed(&self, state: &mut State, at: CoordinatorId, fate: Fate, answer: Answer) -> Option<Answer> {
        if at != state.standing && !self.has(Bug::AnswerUnconfirmed) {
            state.cores[at as usize] = None;
            return None;
        }
        Some(answer).filter(|_| fate == Fate::Answered)
    }

    /// One transaction of the metadata store: it compares the sender's standing and the value.
    fn execute(&self, state: &mut State, write: LateWrite) -> bool {
        let stands = write.by == state.standing || self.has(Bug::StandingNotCompared);
        let compares = stands && write.expected == state.stored;
        if !compares && !self.has(Bug::WriteWithoutCompare) {
            return false;
        }
        let new = write.new;
        state.stored = new;
        if self.has(Bug::BumpNotStored) && write.expected.stage == Stage::Ongoing {
            state.stored.producer_epoch = write.expected.producer_epoch;
        }
        if let Stage::Prepare(verdict) = new.stage {
            state.verdicts[new.ordinal as usize].get_or_insert(verdict);
        }
        true
    }

    fn load(&self, state: &mut State, at: CoordinatorId) {
        let mut value = state.stored;
        if self.has(Bug::VerdictForgotten) && matches!(value.stage, Stage::Prepare(_)) {
            value.stage = Stage::Prepare(Verdict::Abort);
        }
        self.know(state, at, value);
    }

    /// The coordinator knows what is stored. A marker that was sent may come as late as one likes,
    /// so it is sent as soon as it may be.
    fn know(&self, state: &mut State, at: CoordinatorId, value: Stored) {
        state.cores[at as usize] = Some(Core { value, marked: 0 });
        self.send_markers(state, at, value);
    }

    fn send_markers(&self, state: &mut State, at: CoordinatorId, value: Stored) {
        let Stage::Prepare(verdict) = value.stage else { return };
        let places = (0..PLACES as PlaceId).filter(|place| value.places & 1 << place > 0);
        for place in places {
            state.markers.insert(Marker {
                place,
                ordinal: value.ordinal,
                verdict,
                producer_epoch: value.producer_epoch,
                coordinator_view: at,
            });
        }
    }

    fn marker_arrives(&self, state: &mut State, index: u8, answered: bool) {
        let marker = state.markers[index as usize];
        let place = &mut state.places[marker.place as usize];
        let before = place.last_stable_offset();
        let is_success = self.on_marker(place, marker);
        if place.last_stable_offset() < before {
            state.violation = Some("the last stable offset went back");
        }
        let core = &mut state.cores[marker.coordinator_view as usize];
        if let Some(core) = core
            && is_success
            && answered
            && core.value.stage == Stage::Prepare(marker.verdict)
            && core.value.ordinal == marker.ordinal
        {
            core.marked |= 1 << marker.place;
        }
    }

    /// Writes of a coordinator that stands no more, or of another value, can never happen: as good as lost.
    fn forget_the_dead(&self, state: &mut State) {
        if !self.has(Bug::WriteWithoutCompare) {
            let (standing, stored) = (state.standing, state.stored);
            let any_standing = self.has(Bug::StandingNotCompared);
            state.late.retain(|write| (write.by == standing || any_standing) && write.expected == stored);
        }
    }

    // ---- clients

    fn begin_first(&self, client: &mut Client, epoch: ProducerEpoch) {
        client.life = Life::Running;
        client.transactions[0].producer_epoch = epoch;
    }

    fn add(&self, state: &mut State, from: Source, place: PlaceId, at: CoordinatorId, fate: Fate) {
        let epoch = state.epoch_of(from);
        let answer = self.ask(state, at, fate, |value| self.on_add(value, epoch, place));
        if let Some(Answer::Added(_)) = answer {
            state.transaction_mut(from).added |= 1 << place;
        }
    }

    fn end(&self, state: &mut State, from: Source, verdict: Verdict, at: CoordinatorId, fate: Fate) {
        let epoch = state.epoch_of(from);
        let answer = self.ask(state, at, fate, |value| self.on_end(value, epoch, verdict));
        let resolved = state.is_resolved(from);
        let client = &mut state.clients[from.instance as usize];
        let is_waited_for = client.life == Life::Running
            && client.number == from.number
            && client.transaction().asked == Some(verdict);
        match answer {
            Some(Answer::Epoch(epoch)) if is_waited_for => {
                client.transaction().outcome = Some(verdict);
                client.transaction().next_epoch = epoch;
                self.begin_next(client, from.instance, epoch, resolved);
            }
            Some(Answer::Fenced | Answer::InvalidState) if is_waited_for => client.life = Life::Gone,
            _ => {}
        }
    }

    /// A client of version 1 goes on with the same epoch only when it knows what became of every batch.
    fn begin_next(&self, client: &mut Client, instance: InstanceId, epoch: ProducerEpoch, resolved: bool) {
        let keeps_epoch = self.version == TransactionVersion::One;
        if client.number + 1 >= self.transactions[instance as usize] || (keeps_epoch && !resolved) {
            client.life = Life::Gone;
            return;
        }
        client.transaction().settled |= keeps_epoch;
        client.number += 1;
        client.transaction().producer_epoch = epoch;
    }

    // ---- leaders

    fn verify(&self, state: &mut State, from: Source, place: PlaceId, at: CoordinatorId, fate: Fate) {
        let epoch = state.epoch_of(from);
        let answer = self.ask(state, at, fate, |value| match self.version {
            TransactionVersion::One => self.on_verify(value, epoch, place),
            TransactionVersion::Two => self.on_add(value, epoch, place),
        });
        if let Some(Answer::Added(ordinal)) = answer {
            *state.verified_mut(from, place) = ordinal;
        }
    }

    fn append_verified(&self, state: &mut State, from: Source, place: PlaceId) {
        let ordinal = std::mem::take(state.verified_mut(from, place));
        if self.may_append(&state.places[place as usize], state.epoch_of(from), ordinal) {
            self.append_batch(state, from, place, ordinal);
        }
    }

    fn append_open(&self, state: &mut State, from: Source, place: PlaceId) {
        let ordinal = match self.admission(state, from, place) {
            Admission::Append(ordinal) => ordinal,
            _ => state.places[place as usize].producer.ended + 1,
        };
        self.append_batch(state, from, place, ordinal);
    }

    fn append_batch(&self, state: &mut State, from: Source, place: PlaceId, ordinal: Ordinal) {
        let epoch = state.epoch_of(from);
        let fences = |client: &Client| client.transactions[0].producer_epoch > epoch;
        let others = (0..INSTANCES).filter(|&other| other != from.instance as usize);
        if others.into_iter().any(|other| fences(&state.clients[other])) {
            state.violation = Some("a batch of a fenced producer was taken");
        }
        let at = &mut state.places[place as usize];
        let before = at.last_stable_offset();
        self.append(at, from, epoch, ordinal);
        if at.last_stable_offset() < before {
            state.violation = Some("the last stable offset went back");
        }
        *state.verified_mut(from, place) = 0;
        state.transaction_mut(from).acked |= 1 << place;
    }
}

fn completed(value: Stored) -> Stored {
    let Stage::Prepare(verdict) = value.stage else { return value };
    Stored { stage: Stage::Complete(verdict), ..value }
}

fn send_end(state: &mut State, instance: InstanceId, verdict: Verdict) {
    let transaction = state.clients[instance as usize].transaction();
    if transaction.asked.is_some() {
        state.left.other_verdicts -= 1;
    }
    transaction.asked = Some(verdict);
    match verdict {
        // A commit waits for the answers to all batches.
        Verdict::Commit => (transaction.commit_sent, transaction.settled) = (true, true),
        Verdict::Abort => transaction.abort_sent = true,
    }
}

impl State {
    pub fn transaction(&self, of: Source) -> &ClientTransaction {
        &self.clients[of.instance as usize].transactions[of.number as usize]
    }

    fn transaction_mut(&mut self, of: Source) -> &mut ClientTransaction {
        &mut self.clients[of.instance as usize].transactions[of.number as usize]
    }

    pub fn epoch_of(&self, source: Source) -> ProducerEpoch {
        self.transaction(source).producer_epoch
    }

    fn verified_mut(&mut self, of: Source, place: PlaceId) -> &mut Ordinal {
        &mut self.places[place as usize].verified[of.instance as usize][of.number as usize]
    }

    /// No batch of the transaction was sent and not answered.
    pub fn is_resolved(&self, source: Source) -> bool {
        let pending = |place: &Place| place.verified[source.instance as usize][source.number as usize] > 0;
        !self.places.iter().any(pending)
    }
}
