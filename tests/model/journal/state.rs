//! What the world of the journal is made of: two stores, the memory of each broker session, what is on its
//! way, and ghosts.

use crate::list::List;

pub const SESSIONS: usize = 3;
pub const PARTITIONS: usize = 2;
pub const BATCHES: usize = 3;
pub const OBJECTS: usize = 3;
pub const VIEWS: usize = 8;
pub const EARLIER: usize = 3;
pub const WRITES: usize = 5;

pub type SessionId = u8;
pub type BrokerId = u8;
pub type PartitionIndex = u8;
pub type BatchId = u8;
/// One record batch takes one offset.
pub type Offset = u8;
/// A bit per session.
pub type Members = u8;
pub type ViewNumber = u8;

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct State {
    pub meta: MetadataStore,
    /// `journal/<session>/<seq>.arrow`, by session and seq.
    pub objects: [List<JournalObject, OBJECTS>; SESSIONS],
    pub sessions: [Session; SESSIONS],
    pub in_flight: List<Write, WRITES>,
    pub clients: Clients,
    /// Ghost: the true log of each partition.
    pub history: [List<Committed, BATCHES>; PARTITIONS],
    pub left: Budget,
    /// Ghost: a promise that was broken by the last step.
    pub violation: Option<&'static str>,
}

// ---- the metadata store: linearizable, it compares and sets

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MetadataStore {
    /// All views so far: the last is the value of the key, the others are what a late watch may still bring.
    pub views: List<View, VIEWS>,
    /// Absent until the session registers.
    pub keys: [Option<SessionKeys>; SESSIONS],
    pub group: GroupOffset,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct View {
    pub members: Members,
    /// Only with the narrow barrier: views that are not settled, oldest first.
    pub earlier: List<EarlierView, EARLIER>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct EarlierView {
    /// Its number, or that of the last that it stands for.
    pub number: ViewNumber,
    pub members: Members,
    /// It stands for several views: any of its members may have led anything.
    pub is_union: bool,
}

/// `journals/<session>` and the standing, `sessions/<session>`, as one value. Both only grow, so to compare
/// values is to compare revisions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SessionKeys {
    /// Objects `0..committed` are committed.
    pub committed: u8,
    pub acked_view: ViewNumber,
    /// The standing was removed.
    pub sealed: bool,
}

/// An offset of a group, written by its coordinator, the leader of partition 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct GroupOffset {
    pub offset: Offset,
    /// The view under which its writer coordinated the group.
    pub written_under: ViewNumber,
}

/// A metadata transaction on its way. Without a waiter it may still be executed, at any later time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Write {
    pub session: SessionId,
    pub is_waited_for: bool,
    pub change: Change,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Change {
    Journal { expected: SessionKeys, new: SessionKeys },
    Group { expected: GroupOffset, standing: ViewNumber, new: GroupOffset },
}

impl Default for Change {
    fn default() -> Self {
        Change::Journal { expected: SessionKeys::default(), new: SessionKeys::default() }
    }
}

// ---- the object store

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct JournalObject {
    pub rows: List<Row, BATCHES>,
    /// Attempts whose bytes may still arrive. One name means the same bytes for ever,
    pub puts_in_flight: u8,
    /// except with `Bug::RecutSameName`: an attempt that carries only that many rows (0 is none).
    pub older_put_in_flight: u8,
    /// How many rows the stored bytes have; 0 is not stored.
    pub stored_rows: u8,
}

/// One row of a journal object: one record batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Row {
    pub partition: PartitionIndex,
    pub offset: Offset,
    pub batch: BatchId,
    pub leader_epoch: ViewNumber,
}

// ---- the memory of a broker session

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Session {
    pub life: Life,
    /// The view that it knows; it may be old.
    pub view: ViewNumber,
    /// Batches taken in and not yet cut into an object.
    pub open_object: List<Row, BATCHES>,
    /// A bit per object whose PUT was answered.
    pub stored: u8,
    /// Its own keys, as last read or written.
    pub keys: SessionKeys,
    pub journal_write: WriteSlot,
    pub group_write: WriteSlot,
    pub partitions: [Partition; PARTITIONS],
    /// The group as its coordinator knows it.
    pub group: GroupOffset,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Life {
    #[default]
    NotStarted,
    Running,
    /// Killed, or ended by itself because it found itself sealed.
    Gone,
}

/// At most one write of a kind is in flight; `Unknown` after a time-out, until it is read back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum WriteSlot {
    #[default]
    Idle,
    Sent,
    Unknown,
}

/// One partition in the memory of one session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Partition {
    pub role: Role,
    pub leader_epoch: ViewNumber,
    pub log_end_offset: Offset,
    pub high_watermark: Offset,
    /// Per batch: its offset plus one (0 is none), in flight or committed.
    pub producers: [u8; BATCHES],
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Role {
    #[default]
    Follower,
    /// Leads in the view that it knows; the barrier is not passed yet.
    Waiting,
    BarrierPassed,
    /// Only with `Bug::TailsBeforeBarrier`.
    TailsRead,
    Serving,
}

// ---- clients

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Clients {
    /// Per batch: the offset it was acknowledged at, plus one (0 is not acknowledged).
    pub acked: [u8; BATCHES],
    /// A bit per producer that has sent its first batch.
    pub begun: u8,
    /// The highest high watermark that any reader has seen.
    pub high_watermark_seen: [Offset; PARTITIONS],
    pub fetch: Option<FetchUnderWay>,
}

/// A fetch on its way at some session.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct FetchUnderWay {
    pub session: SessionId,
    pub partition: PartitionIndex,
    /// What the answer must not fall below: all that was seen or acknowledged before the fetch began.
    pub floor: Offset,
    pub is_confirmed: bool,
}

/// One committed offset of the true log.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Committed {
    pub batch: BatchId,
    pub leader_epoch: ViewNumber,
}

/// How much may still go wrong.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Budget {
    pub timeouts: u8,
    pub crashes: u8,
    pub seals: u8,
    pub offset_commits: u8,
}

// ---- small questions

impl MetadataStore {
    pub fn view_number(&self) -> ViewNumber {
        self.views.len() as ViewNumber - 1
    }

    /// The newest view.
    pub fn view(&self) -> View {
        self.views[self.view_number() as usize]
    }

    /// A bit per session that stands.
    pub fn standing(&self) -> Members {
        let standing = (0..SESSIONS as SessionId).filter(|&session| self.stands(session));
        standing.fold(0, |members, session| members | 1 << session)
    }

    pub fn stands(&self, session: SessionId) -> bool {
        self.keys[session as usize].is_some_and(|keys| !keys.sealed)
    }
}

impl State {
    /// Rows of the committed objects of one partition.
    pub fn committed_rows(&self, partition: PartitionIndex) -> impl Iterator<Item = Row> {
        let journals = self.meta.keys.iter().zip(&self.objects);
        let committed =
            journals.flat_map(|(keys, objects)| &objects[..keys.map_or(0, |keys| keys.committed) as usize]);
        committed.flat_map(|object| object.rows.iter().copied()).filter(move |row| row.partition == partition)
    }
}

impl Session {
    /// How many objects, counted from the first, are known to be stored.
    pub fn stored_prefix(&self) -> u8 {
        self.stored.trailing_ones() as u8
    }

    pub fn slot(&mut self, change: &Change) -> &mut WriteSlot {
        match change {
            Change::Journal { .. } => &mut self.journal_write,
            Change::Group { .. } => &mut self.group_write,
        }
    }
}
