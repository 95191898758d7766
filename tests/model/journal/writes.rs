//! Transactions of the metadata store: they compare, and may be executed, lose their answer, or be executed
//! late. The commit point is `write_keys`; rows become visible in `read_back_journal`.

use super::World;
use super::bugs::Bug;
use super::state::*;

impl World {
    pub fn commit(&self, state: &mut State, id: SessionId) {
        let session = &state.sessions[id as usize];
        let new = SessionKeys { committed: session.stored_prefix(), ..session.keys };
        self.send(state, id, Change::Journal { expected: session.keys, new });
    }

    pub fn offset_commit(&self, state: &mut State, id: SessionId) {
        state.left.offset_commits -= 1;
        let session = &state.sessions[id as usize];
        let expected = session.group;
        let new =
            GroupOffset { offset: expected.offset + 1, written_under: session.partitions[0].leader_epoch };
        self.send(state, id, Change::Group { expected, standing: session.keys.acked_view, new });
    }

    pub fn send(&self, state: &mut State, session: SessionId, change: Change) {
        *state.sessions[session as usize].slot(&change) = WriteSlot::Sent;
        state.in_flight.push(Write { session, is_waited_for: true, change });
    }

    pub fn write_times_out(&self, state: &mut State, write: u8) {
        state.left.timeouts -= 1;
        let write = &mut state.in_flight[write as usize];
        write.is_waited_for = false;
        *state.sessions[write.session as usize].slot(&write.change) = WriteSlot::Unknown;
    }

    pub fn execute(&self, state: &mut State, index: u8) {
        let Write { session, is_waited_for, change } = state.in_flight.remove(index as usize);
        if self.compares(&state.meta, session, &change) {
            match change {
                Change::Journal { new, .. } => self.write_keys(state, session, new),
                Change::Group { new, .. } => write_group(state, new),
            }
        }
        match change {
            _ if !is_waited_for => {}
            Change::Journal { .. } => self.read_back_journal(state, session),
            Change::Group { .. } => self.read_back_group(state, session),
        }
    }

    fn compares(&self, meta: &MetadataStore, session: SessionId, change: &Change) -> bool {
        let keys = meta.keys[session as usize].expect("who writes is registered");
        match *change {
            Change::Journal { .. } if self.has(Bug::CommitWithoutCompare) => true,
            Change::Journal { expected, .. } if self.has(Bug::AckBeforeResolve) => {
                !keys.sealed && keys.committed == expected.committed
            }
            Change::Journal { expected, .. } => keys == expected,
            Change::Group { expected, standing, .. } => {
                let is_same_standing = keys.acked_view == standing || self.has(Bug::SettledByReading);
                !keys.sealed && is_same_standing && meta.group == expected
            }
        }
    }

    /// The commit point. The true log is extended here, and here two leaders would be caught.
    fn write_keys(&self, state: &mut State, session: SessionId, new: SessionKeys) {
        let keys = state.meta.keys[session as usize].as_mut().expect("who writes is registered");
        let newly = keys.committed..new.committed;
        keys.committed = keys.committed.max(new.committed);
        keys.acked_view = keys.acked_view.max(new.acked_view);
        for seq in newly {
            let rows = state.objects[session as usize][seq as usize].rows;
            for row in rows.iter() {
                if let Err(what) = self.extend_history(state, row) {
                    state.violation = Some(what);
                    return;
                }
            }
        }
    }

    fn extend_history(&self, state: &mut State, row: &Row) -> Result<(), &'static str> {
        let log = &mut state.history[row.partition as usize];
        let is_lost = |batch: usize| {
            let is_other = self.batches[batch].partition == row.partition && batch as u8 != row.batch;
            is_other && state.clients.acked[batch] == row.offset + 1
        };
        if (0..self.batches.len()).any(is_lost) {
            return Err("an acknowledged batch is lost: another has its offset");
        }
        if (row.offset as usize) < log.len() {
            return Err("two committed batches at one offset");
        }
        if row.offset as usize > log.len() {
            return Err("a gap in the committed offsets");
        }
        if log.iter().any(|committed| committed.batch == row.batch) {
            return Err("a batch is stored twice");
        }
        if log.last().is_some_and(|last| last.leader_epoch > row.leader_epoch) {
            return Err("the leader epoch went back");
        }
        log.push(Committed { batch: row.batch, leader_epoch: row.leader_epoch });
        Ok(())
    }

    /// A commit's answer, or what is read after none came. Rows become visible, and are acknowledged, here.
    pub fn read_back_journal(&self, state: &mut State, id: SessionId) {
        let keys = state.meta.keys[id as usize].expect("who reads back is registered");
        if keys.sealed && !self.has(Bug::CommitWithoutCompare) {
            return self.end(state, id);
        }
        let session = &mut state.sessions[id as usize];
        let newly = session.keys.committed..keys.committed;
        session.keys = SessionKeys { sealed: false, ..keys };
        session.journal_write = WriteSlot::Idle;
        for seq in newly {
            let rows = state.objects[id as usize][seq as usize].rows;
            for row in rows.iter() {
                let partition = &mut state.sessions[id as usize].partitions[row.partition as usize];
                if partition.role == Role::Serving && partition.leader_epoch == row.leader_epoch {
                    partition.high_watermark = partition.high_watermark.max(row.offset + 1);
                }
                self.acknowledge(state, row.batch, row.offset);
            }
        }
    }

    pub fn read_back_group(&self, state: &mut State, id: SessionId) {
        let session = &mut state.sessions[id as usize];
        session.group_write = WriteSlot::Idle;
        if session.partitions[0].role == Role::Serving {
            session.group = state.meta.group;
        }
    }

    /// Keys only grow, so a compare that fails once fails for ever: such a write is as good as lost.
    pub fn forget_the_dead(&self, state: &mut State) {
        let meta = state.meta;
        let may_matter =
            |write: &Write| write.is_waited_for || self.compares(&meta, write.session, &write.change);
        state.in_flight.retain(may_matter);
        state.in_flight.sort_unstable();
    }

    /// What was committed is there, byte for byte.
    pub fn missing_object(&self, state: &State) -> Option<&'static str> {
        let journals = state.meta.keys.iter().zip(&state.objects);
        let mut committed =
            journals.flat_map(|(keys, objects)| &objects[..keys.map_or(0, |keys| keys.committed) as usize]);
        let is_other = |object: &JournalObject| object.stored_rows != object.rows.len() as u8;
        committed.any(is_other).then_some("a committed journal object is not what was committed")
    }
}

fn write_group(state: &mut State, new: GroupOffset) {
    let has_taken_over = |session: &Session| {
        let partition = &session.partitions[0];
        partition.role == Role::Serving && partition.leader_epoch > new.written_under
    };
    if state.sessions.iter().any(has_taken_over) {
        state.violation = Some("an offset commit landed after another coordinator took over");
    }
    state.meta.group = new;
}
