//! What each step does in a session, in the object store and at clients. Each is one atomic step: one task
//! owns a state.

use super::Action::{self, *};
use super::bugs::Bug;
use super::state::*;
use super::{Batch, World};

impl World {
    pub fn apply(&self, state: &mut State, action: Action) {
        match action {
            Start { session } => self.start(state, session),
            Join { session } => self.join(state, session),
            Leave { session } => {
                state.meta.keys[session as usize].as_mut().expect("who leaves is registered").sealed = true;
                self.end(state, session);
            }
            ProposeView { members } => {
                let view = self.next_view(&state.meta, members);
                state.meta.views.push(view);
            }
            LearnView { session, view } => self.learn_view(state, session, view),
            AckView { session } => self.ack_view(state, session),
            Seal { session } => self.seal(state, session),
            PassBarrier { session, partition } => {
                let role = &mut state.sessions[session as usize].partitions[partition as usize].role;
                *role = if *role == Role::TailsRead { Role::Serving } else { Role::BarrierPassed };
            }
            ReadTails { session, partition } => self.read_tails(state, session, partition),
            Produce { session, batch } => self.produce(state, session, batch),
            Cut { session } => self.cut(state, session),
            PutArrives { session, seq } => self.put_arrives(state, session, seq),
            OlderPutArrives { session, seq } => {
                let object = &mut state.objects[session as usize][seq as usize];
                object.stored_rows = std::mem::take(&mut object.older_put_in_flight);
            }
            Commit { session } => self.commit(state, session),
            OffsetCommit { session } => self.offset_commit(state, session),
            Execute { write } => self.execute(state, write),
            ReadBackJournal { session } => self.read_back_journal(state, session),
            ReadBackGroup { session } => self.read_back_group(state, session),
            Fetch { session, partition } => self.fetch(state, session, partition),
            ConfirmFetch => state.clients.fetch.iter_mut().for_each(|fetch| fetch.is_confirmed = true),
            AnswerFetch => answer_fetch(state),
            AbandonFetch => state.clients.fetch = None,
            WriteTimesOut { write } => self.write_times_out(state, write),
            PutTimesOut { session, seq } => self.put_times_out(state, session, seq),
            Crash { session } => {
                state.left.crashes -= 1;
                self.end(state, session);
            }
        }
        self.forget_the_dead(state);
    }

    // ---- sessions and views

    /// A session registers once; it has led nothing, so it has acked the view that it finds.
    pub fn start(&self, state: &mut State, id: SessionId) {
        let view = state.meta.view_number();
        let keys = SessionKeys { committed: 0, acked_view: view, sealed: false };
        state.meta.keys[id as usize] = Some(keys);
        state.sessions[id as usize] = Session { life: Life::Running, view, keys, ..Session::default() };
    }

    /// One transaction: seals what else stands of its broker, makes a view, registers.
    fn join(&self, state: &mut State, id: SessionId) {
        let mut members = state.meta.view().members & state.meta.standing();
        for other in (0..self.sessions).filter(|&other| self.is_same_broker(other, id)) {
            members &= !(1 << other);
            if let Some(keys) = &mut state.meta.keys[other as usize] {
                keys.sealed = true;
            }
        }
        let view = self.next_view(&state.meta, members | 1 << id);
        state.meta.views.push(view);
        self.start(state, id);
        self.learn_view(state, id, state.meta.view_number());
    }

    pub fn is_same_broker(&self, one: SessionId, other: SessionId) -> bool {
        self.brokers[one as usize] == self.brokers[other as usize]
    }

    /// The view with these members, and the earlier ones that it carries.
    fn next_view(&self, meta: &MetadataStore, members: Members) -> View {
        let current = meta.view();
        let mut earlier: Vec<EarlierView> = current.earlier.to_vec();
        earlier.push(EarlierView { number: meta.view_number(), members: current.members, is_union: false });
        let all = earlier.iter().fold(0, |all, view| all | view.members);
        let concerned = if self.has(Bug::SettledByMembers) { current.members } else { all };
        let standing = concerned & meta.standing();
        let acked = meta.keys.iter().enumerate().filter(|(session, _)| standing & 1 << session != 0);
        match acked.filter_map(|(_, keys)| keys.map(|keys| keys.acked_view)).min() {
            Some(acked_by_all) => earlier.retain(|view| view.number >= acked_by_all),
            None => earlier.clear(),
        }
        if self.has(Bug::DropUnsettled) {
            earlier.truncate(self.earlier_max);
        }
        while earlier.len() > self.earlier_max {
            let oldest = earlier.remove(0);
            let next = &mut earlier[0];
            if !self.has(Bug::KeepTheNewest) {
                next.members = (next.members | oldest.members) & meta.standing();
                next.is_union = true;
            }
        }
        let mut view = View { members, ..View::default() };
        earlier.iter().filter(|_| self.narrow_barrier).for_each(|earlier| view.earlier.push(*earlier));
        view
    }

    /// Killed, or it found itself sealed. Its writes lose their waiter and stay on their way.
    pub fn end(&self, state: &mut State, id: SessionId) {
        state.sessions[id as usize] = Session { life: Life::Gone, ..Session::default() };
        let writes = state.in_flight.iter_mut().filter(|write| write.session == id);
        writes.for_each(|write| write.is_waited_for = false);
    }

    fn learn_view(&self, state: &mut State, id: SessionId, view: ViewNumber) {
        let members = state.meta.views[view as usize].members;
        let session = &mut state.sessions[id as usize];
        session.view = view;
        for index in self.partitions() {
            let partition = &mut session.partitions[index as usize];
            let leads = members != 0 && self.leader(index, members) == id;
            match partition.role {
                Role::Serving if leads => {}
                _ if leads => *partition = Partition { role: Role::Waiting, ..Partition::default() },
                _ => *partition = Partition::default(),
            }
            if index == 0 && partition.role != Role::Serving {
                session.group = GroupOffset::default();
            }
        }
    }

    /// Rewrites the standing, and commits in the same transaction what is stored.
    fn ack_view(&self, state: &mut State, id: SessionId) {
        let session = &mut state.sessions[id as usize];
        if self.has(Bug::AckBeforeResolve) {
            session.keys.acked_view = session.view;
            let keys = state.meta.keys[id as usize].as_mut().expect("a running session is registered");
            keys.acked_view = session.view;
            return;
        }
        let expected = session.keys;
        let new = SessionKeys { committed: session.stored_prefix(), acked_view: session.view, ..expected };
        self.send(state, id, Change::Journal { expected, new });
    }

    fn seal(&self, state: &mut State, id: SessionId) {
        if state.sessions[id as usize].life != Life::Gone || self.has(Bug::NobodySuspects) {
            state.left.seals -= 1;
        }
        state.meta.keys[id as usize].as_mut().expect("only who stands is sealed").sealed = true;
    }

    /// The journal keys are listed in one transaction that also reads the session's own standing.
    fn read_tails(&self, state: &mut State, id: SessionId, index: PartitionIndex) {
        if !state.meta.stands(id) && !self.has(Bug::RecoverWithoutStanding) {
            return self.end(state, id);
        }
        let mut partition =
            Partition { leader_epoch: state.sessions[id as usize].view, ..Partition::default() };
        let mut rows = 0;
        for row in state.committed_rows(index) {
            partition.producers[row.batch as usize] = row.offset + 1;
            partition.log_end_offset = partition.log_end_offset.max(row.offset + 1);
            rows += 1;
        }
        if rows != partition.log_end_offset {
            state.violation = Some("a new leader found a hole or an overlap in the tails");
            return;
        }
        partition.high_watermark = partition.log_end_offset;
        partition.role = if self.has(Bug::TailsBeforeBarrier) { Role::TailsRead } else { Role::Serving };
        let session = &mut state.sessions[id as usize];
        session.partitions[index as usize] = partition;
        if index == 0 {
            session.group = state.meta.group;
        }
    }

    // ---- the way of a batch

    fn produce(&self, state: &mut State, id: SessionId, batch: BatchId) {
        let Batch { partition: index, producer, .. } = self.batches[batch as usize];
        state.clients.begun |= 1 << producer;
        let session = &mut state.sessions[id as usize];
        let partition = &mut session.partitions[index as usize];
        let known_as = partition.producers[batch as usize];
        if known_as > 0 {
            return self.acknowledge(state, batch, known_as - 1);
        }
        let offset = partition.log_end_offset;
        partition.log_end_offset += 1;
        partition.producers[batch as usize] = offset + 1;
        session.open_object.push(Row {
            partition: index,
            offset,
            batch,
            leader_epoch: partition.leader_epoch,
        });
    }

    fn cut(&self, state: &mut State, id: SessionId) {
        let rows = std::mem::take(&mut state.sessions[id as usize].open_object);
        state.objects[id as usize].push(JournalObject {
            rows,
            puts_in_flight: 1,
            ..JournalObject::default()
        });
    }

    fn put_arrives(&self, state: &mut State, id: SessionId, seq: u8) {
        let object = &mut state.objects[id as usize][seq as usize];
        object.puts_in_flight -= 1;
        object.stored_rows = object.rows.len() as u8;
        let rows = object.rows;
        let session = &mut state.sessions[id as usize];
        if session.life != Life::Running {
            return;
        }
        session.stored |= 1 << seq;
        if self.has(Bug::AckBeforeCommit) {
            rows.iter().for_each(|row| self.acknowledge(state, row.batch, row.offset));
        }
    }

    /// The attempt may still arrive; another is made under the same name, with the same bytes.
    fn put_times_out(&self, state: &mut State, id: SessionId, seq: u8) {
        state.left.timeouts -= 1;
        let object = &mut state.objects[id as usize][seq as usize];
        if !self.has(Bug::RecutSameName) {
            object.puts_in_flight += 1;
            return;
        }
        object.older_put_in_flight = object.rows.len() as u8;
        let open = std::mem::take(&mut state.sessions[id as usize].open_object);
        open.iter().for_each(|row| object.rows.push(*row));
    }

    pub fn acknowledge(&self, state: &mut State, batch: BatchId, offset: Offset) {
        let acked = &mut state.clients.acked[batch as usize];
        if *acked > 0 && *acked != offset + 1 {
            state.violation = Some("a batch was acknowledged at two offsets");
        }
        *acked = offset + 1;
        let log = &state.history[self.batches[batch as usize].partition as usize];
        if log.get(offset as usize).is_some_and(|committed| committed.batch != batch) {
            state.violation = Some("a batch was acknowledged at an offset that holds another");
        }
    }

    // ---- readers

    fn fetch(&self, state: &mut State, session: SessionId, partition: PartitionIndex) {
        let batches = self.batches.iter().zip(state.clients.acked);
        let acked = batches.filter(|(batch, _)| batch.partition == partition).map(|(_, acked)| acked).max();
        let floor = acked.unwrap_or(0).max(state.clients.high_watermark_seen[partition as usize]);
        state.clients.fetch = Some(FetchUnderWay { session, partition, floor, is_confirmed: false });
    }
}

fn answer_fetch(state: &mut State) {
    let Some(fetch) = state.clients.fetch.take() else { return };
    let partition = &state.sessions[fetch.session as usize].partitions[fetch.partition as usize];
    if partition.high_watermark < fetch.floor {
        state.violation =
            Some("the high watermark went back for a reader, or it missed an acknowledged batch");
    }
    let seen = &mut state.clients.high_watermark_seen[fetch.partition as usize];
    *seen = partition.high_watermark.max(*seen);
}
