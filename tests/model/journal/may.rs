//! What may happen next. The rules that the journal lives by are `may_ack` and `barrier_holds`.

use super::Action::{self, *};
use super::bugs::Bug;
use super::state::*;
use super::{Batch, World};

impl World {
    pub fn session_actions(&self, state: &State, id: SessionId, actions: &mut Vec<Action>) {
        let session = &state.sessions[id as usize];
        self.put_actions(state, id, actions);
        match session.life {
            Life::Running => {}
            Life::NotStarted if id == 0 || state.sessions[id as usize - 1].life != Life::NotStarted => {
                let has_room = !state.meta.views.is_full();
                return match self.joins {
                    true if has_room => actions.push(Join { session: id }),
                    true => {}
                    false => actions.push(Start { session: id }),
                };
            }
            Life::NotStarted | Life::Gone => return,
        }
        if state.left.crashes > 0 {
            actions.push(Crash { session: id });
        }
        for view in session.view + 1..=state.meta.view_number() {
            actions.push(LearnView { session: id, view });
        }
        if !session.open_object.is_empty() && !state.objects[id as usize].is_full() {
            actions.push(Cut { session: id });
        }
        if session.journal_write == WriteSlot::Idle && session.stored_prefix() > session.keys.committed {
            actions.push(Commit { session: id });
        }
        if session.keys.acked_view < session.view && self.may_ack(state, id) {
            actions.push(AckView { session: id });
        }
        if self.joins && self.may_leave(state, id) {
            actions.push(Leave { session: id });
        }
        if session.journal_write == WriteSlot::Unknown {
            actions.push(ReadBackJournal { session: id });
        }
        if session.group_write == WriteSlot::Unknown {
            actions.push(ReadBackGroup { session: id });
        }
        for partition in self.partitions() {
            self.partition_actions(state, id, partition, actions);
        }
    }

    /// Bytes on their way arrive whether or not their sender still lives.
    fn put_actions(&self, state: &State, id: SessionId, actions: &mut Vec<Action>) {
        let session = &state.sessions[id as usize];
        for (index, object) in state.objects[id as usize].iter().enumerate() {
            let seq = index as u8;
            if object.puts_in_flight > 0 {
                actions.push(PutArrives { session: id, seq });
            }
            if object.older_put_in_flight > 0 {
                actions.push(OlderPutArrives { session: id, seq });
            }
            let is_unanswered = session.life == Life::Running && session.stored & 1 << seq == 0;
            if is_unanswered && object.puts_in_flight == 1 && state.left.timeouts > 0 {
                actions.push(PutTimesOut { session: id, seq });
            }
        }
    }

    fn partition_actions(
        &self,
        state: &State,
        id: SessionId,
        index: PartitionIndex,
        actions: &mut Vec<Action>,
    ) {
        let session = &state.sessions[id as usize];
        let partition = &session.partitions[index as usize];
        match partition.role {
            Role::Follower => {}
            Role::Waiting if self.has(Bug::TailsBeforeBarrier) => {
                actions.push(ReadTails { session: id, partition: index });
            }
            Role::Waiting | Role::TailsRead if self.barrier_holds(state, id, index) => {
                actions.push(PassBarrier { session: id, partition: index });
            }
            Role::Waiting | Role::TailsRead => {}
            Role::BarrierPassed => actions.push(ReadTails { session: id, partition: index }),
            Role::Serving => {
                let fits = |batch: &u8| self.batches[*batch as usize].partition == index;
                let batches =
                    (0..self.batches.len() as u8).filter(|_| !session.open_object.is_full()).filter(fits);
                let news = batches.filter(|&batch| self.changes_something(state, partition, batch));
                actions.extend(news.map(|batch| Produce { session: id, batch }));
                let may_write = session.group_write == WriteSlot::Idle && state.left.offset_commits > 0;
                if index == 0 && may_write {
                    actions.push(OffsetCommit { session: id });
                }
            }
        }
    }

    /// Requests are not modelled as messages: a batch may reach any leader at any time, again and again.
    fn changes_something(&self, state: &State, partition: &Partition, batch: BatchId) -> bool {
        let known_as = partition.producers[batch as usize];
        let Batch { producer, sequence, .. } = self.batches[batch as usize];
        if known_as > 0 {
            return known_as <= partition.high_watermark && state.clients.acked[batch as usize] != known_as;
        }
        // Producers are alike, so the first time around they begin in the order of their numbers.
        if (0..producer).any(|earlier| state.clients.begun & 1 << earlier == 0) {
            return false;
        }
        let is_before = |other: &Batch| other.producer == producer && other.sequence < sequence;
        let earlier = self.batches.iter().zip(partition.producers).filter(|(other, _)| is_before(other));
        earlier.into_iter().all(|(_, known_as)| known_as > 0)
    }

    /// What it took in for partitions that it no longer serves is committed, or is by this very ack.
    fn may_ack(&self, state: &State, id: SessionId) -> bool {
        let session = &state.sessions[id as usize];
        if self.has(Bug::AckBeforeResolve) {
            return session.journal_write != WriteSlot::Sent && session.open_object.is_empty();
        }
        let settles_by_reading = self.has(Bug::SettledByReading) && session.group_write != WriteSlot::Idle;
        if session.journal_write != WriteSlot::Idle || settles_by_reading {
            return false;
        }
        let uncommitted = &state.objects[id as usize][session.stored_prefix() as usize..];
        let rows = uncommitted.iter().flat_map(|object| object.rows.iter()).chain(session.open_object.iter());
        let is_drained =
            rows.into_iter().all(|row| session.partitions[row.partition as usize].role == Role::Serving);
        is_drained || self.has(Bug::AckBeforeDrained)
    }

    /// It has acked a view that it is no member of, and knows of no later one that says otherwise.
    fn may_leave(&self, state: &State, id: SessionId) -> bool {
        let session = &state.sessions[id as usize];
        let is_member = state.meta.views[session.view as usize].members & 1 << id != 0;
        let is_idle = session.journal_write == WriteSlot::Idle && session.group_write == WriteSlot::Idle;
        !is_member && is_idle && session.keys.acked_view == session.view && session.view > 1
    }

    /// Whether a session may have led a partition in an earlier view that is not settled.
    fn may_have_led(&self, view: &View, partition: PartitionIndex, other: SessionId) -> bool {
        view.earlier.iter().filter(|earlier| earlier.members != 0).any(|earlier| {
            let any_leads = earlier.is_union && !self.has(Bug::LeaderOfUnion);
            let leads = self.leader(partition, earlier.members) == other;
            leads || (any_leads && earlier.members & 1 << other != 0)
        })
    }

    /// Read in the metadata store at one revision: every session that stands has acked *this* view.
    /// One that acked a later view shows that ours is old, and that it may serve what we think is ours.
    fn barrier_holds(&self, state: &State, id: SessionId, partition: PartitionIndex) -> bool {
        let session = &state.sessions[id as usize];
        let view = session.view;
        let known = &state.meta.views[view as usize];
        let members = known.members;
        let led_before = |other: usize| self.may_have_led(known, partition, other as SessionId);
        let before = state.meta.views[view as usize - 1].members;
        let led_by_broker = before != 0 && self.is_same_broker(self.leader(partition, before), id);
        let has_acked = |keys: &SessionKeys| match self.has(Bug::BarrierAcksAtLeast) {
            true => keys.acked_view >= view,
            false => keys.acked_view == view,
        };
        let holds_nothing_up = |other: usize| match &state.meta.keys[other] {
            None => true,
            Some(_) if self.has(Bug::LiveMeansMember) && members & 1 << other == 0 => true,
            Some(_) if self.narrow_barrier && !led_before(other) => true,
            Some(keys) => keys.sealed || has_acked(keys),
        };
        self.has(Bug::SkipBarrier)
            || (self.has(Bug::MovedByBroker) && led_by_broker)
            || (session.keys.acked_view == view && (0..self.sessions as usize).all(holds_nothing_up))
    }

    /// Anyone may seal and propose: a well-founded suspicion for the dead, a fault for the living.
    pub fn view_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let live = state.meta.standing();
        for session in (0..self.sessions).filter(|&session| state.meta.stands(session)) {
            let is_dead = state.sessions[session as usize].life == Life::Gone;
            if (is_dead && !self.has(Bug::NobodySuspects)) || state.left.seals > 0 {
                actions.push(Seal { session });
            }
        }
        let current = state.meta.view().members;
        if (state.meta.view_number() as usize) < self.views {
            let possible = (1..=live).filter(|members| members & !live == 0 && *members != current);
            let possible = possible.filter(|members| !self.alone || members.is_power_of_two());
            actions.extend(possible.map(|members| ProposeView { members }));
        } else if current & !live != 0 && live != 0 && !state.meta.views.is_full() {
            actions.push(ProposeView { members: live });
        }
    }

    pub fn fetch_actions(&self, state: &State, actions: &mut Vec<Action>) {
        let serves = |session: SessionId, partition: PartitionIndex| {
            state.sessions[session as usize].partitions[partition as usize].role == Role::Serving
        };
        let Some(fetch) = state.clients.fetch else {
            for session in (0..self.sessions).filter(|_| self.reads) {
                let served = self.partitions().filter(|&partition| serves(session, partition));
                actions.extend(served.map(|partition| Fetch { session, partition }));
            }
            return;
        };
        let is_served = serves(fetch.session, fetch.partition);
        if is_served && (fetch.is_confirmed || self.has(Bug::FetchUnconfirmed)) {
            actions.push(AnswerFetch);
        } else if is_served && state.meta.stands(fetch.session) {
            actions.push(ConfirmFetch);
        } else {
            actions.push(AbandonFetch);
        }
    }
}
