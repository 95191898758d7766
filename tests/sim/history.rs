//! What the clients of a simulation did and what they were told, in the order in which it happened. Values alone: whoever
//! acts writes them down, and the checker judges them.
//!
//! An operation has two events, its call and its return, with the same request number; one without a return is one of
//! which nobody knows what became of it, or will. Of two events the one that stands first happened first, also at the same
//! time; only where limits are given in time does the time count. A request that asks for several partitions is several
//! operations, one for each, called and returned at the same time.
//!
//! What is to be written down, and how:
//!
//! - *Records* are told apart by their number, which no other record of the history has: it is in the value, and in a header
//!   where the value is null. Headers are told as one number over all of them, in their order.
//! - *Refused* says that nothing was done and nothing will be, by any attempt: of an operation that was tried more than once
//!   each one was refused in words that claim it. A time limit that ran out, an end of the connection and whatever
//!   does not claim it are *unknown*.
//! - *Topics* are named by their id. Who sends by name writes down the id that the broker's metadata told of last.
//! - A *transaction* is a number that its client draws when it begins one; what a broker knows it by plays no part.

mod lines;

use std::fmt;

/// Time since the simulation began, in nanoseconds, by no broker's clock.
pub type Time = u64;
/// Who acts.
pub type ClientId = u32;
/// One operation: no other of the history has it.
pub type RequestNumber = u64;
/// One record: no other of the history has it.
pub type RecordNumber = u64;
/// One transaction: no other of the history has it.
pub type TransactionNumber = u64;

/// Which topic; a name may be given again, an id never is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u128);

/// Which partition of which topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: i32,
}

/// Everything that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct History {
    pub bounds: Bounds,
    pub events: Vec<Event>,
    next_request: RequestNumber,
}

/// What rules about time and sizes go by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// What a right clock said when the simulation began, in milliseconds since 1970.
    pub began_at_ms: i64,
    /// How far a broker's clock, or a client's that gives timestamps, is from the simulation's time at most.
    pub clock_error: Time,
    /// A member of a group that was heard within this time is not taken for gone.
    pub session_timeout: Time,
    /// A member has this time to give back what was taken from it.
    pub rebalance_timeout: Time,
    /// After the faults have ended every client gets on within this time.
    pub progress_within: Time,
    /// What one offset takes in the store at most, with its share of everything around it.
    pub bytes_per_offset_max: u64,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub at: Time,
    pub client: ClientId,
    /// Whom the client asked, or who answered; none where there is none.
    pub broker: Option<i32>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// An operation begins: nothing of it was sent before.
    Call { request: RequestNumber, call: Call },
    /// It is over for its client.
    Return { request: RequestNumber, outcome: Outcome },
    /// What is no operation.
    Fact(Fact),
}

/// What became of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Ok(Answer),
    /// By this Kafka code; nothing was done and nothing will be.
    Refused(i16),
    /// It may have been done, or may yet be, or never.
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// InitProducerId.
    InitProducer {
        transactional_id: Option<String>,
    },
    /// A batch of records, with all attempts for the same sequence if its producer is idempotent. Every attempt of a plain
    /// producer is an operation of its own.
    Send(Batch),
    /// AddPartitionsToTxn, of who does not leave that to the broker: from here on the transaction's end may be marked there.
    AddPartition {
        transaction: TransactionNumber,
        place: TopicPartition,
    },
    /// EndTxn, with all attempts. A transaction for which it was never called was given up.
    EndTransaction {
        transaction: TransactionNumber,
        verdict: Verdict,
    },
    Fetch(Fetch),
    ListOffsets {
        place: TopicPartition,
        spec: OffsetSpec,
    },
    /// `before` is -1 for the high watermark.
    DeleteRecords {
        place: TopicPartition,
        before: i64,
    },
    /// OffsetCommit, or TxnOffsetCommit where there is a transaction.
    Commit(OffsetCommit),
    /// `stable`: an offset that is pending in a transaction is waited for.
    OffsetFetch {
        group: String,
        place: TopicPartition,
        stable: bool,
    },
    /// A classic member joins and syncs.
    Join {
        group: String,
        member: String,
        instance: Option<String>,
    },
    /// A member of the new protocol says what it has.
    Heartbeat {
        group: String,
        member: String,
        instance: Option<String>,
        owned: Vec<TopicPartition>,
    },
    /// A member leaves: it has let go of everything.
    Leave {
        group: String,
        member: String,
    },
    CreateTopic {
        name: String,
        partitions: i32,
        settings: TopicSettings,
    },
    DeleteTopic {
        topic: TopicId,
    },
    /// `count` in all.
    CreatePartitions {
        topic: TopicId,
        count: i32,
    },
    AlterTopic {
        topic: TopicId,
        settings: TopicSettings,
    },
    /// Metadata, of one topic.
    DescribeTopic {
        name: String,
    },
    /// Anything else that can get on or not, in words.
    Other(String),
}

/// What an answer without an error tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Done,
    Producer(Producer),
    /// Where the batch begins; none where it is a repeat of one whose place is forgotten.
    Sent {
        offset: Option<i64>,
        start: Option<i64>,
    },
    Fetched(Reading),
    /// ListOffsets.
    Offset(i64),
    /// DeleteRecords: where the log starts now.
    Start(i64),
    /// OffsetFetch: none where nothing was committed.
    Committed(Option<i64>),
    /// Join and Heartbeat: the generation or the member epoch; no places where they are as before.
    Assigned {
        member: String,
        epoch: i32,
        places: Option<Vec<TopicPartition>>,
    },
    /// CreateTopic and DescribeTopic.
    Topic {
        topic: TopicId,
        partitions: i32,
    },
}

/// What is sent in one go to one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    pub place: TopicPartition,
    pub records: Vec<Sent>,
    /// None of a plain producer.
    pub producer: Option<Producer>,
    pub base_sequence: Option<i32>,
    pub transaction: Option<TransactionNumber>,
}

/// A record on its way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sent {
    pub number: RecordNumber,
    pub key: Option<u64>,
    pub tombstone: bool,
    pub headers: u64,
    /// None where the broker gives it.
    pub timestamp: Option<i64>,
    /// The record from which a chain made this one.
    pub source: Option<RecordNumber>,
}

/// A record as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    pub offset: i64,
    pub number: RecordNumber,
    pub key: Option<u64>,
    pub tombstone: bool,
    pub headers: u64,
    pub timestamp: i64,
    pub producer: Option<Producer>,
}

/// One session of an idempotent or transactional producer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Producer {
    pub producer_id: i64,
    pub producer_epoch: i16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Commit,
    Abort,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isolation {
    Uncommitted,
    Committed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub place: TopicPartition,
    pub from: i64,
    pub isolation: Isolation,
    /// How many the request asks for in all: one that asks for a single partition gets something if there is anything.
    pub partitions: u32,
    /// Polls under the same number of the same client continue each other, from where the last with an answer ended. Who
    /// begins elsewhere, as after a rebalance or an offset out of range, draws another number.
    pub assignment: Option<u64>,
}

/// What was read of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reading {
    /// Behind the last batch that came, whatever of it was to be seen; what was asked for if none came.
    pub next: i64,
    /// As the application sees them: none before the offset that was asked for; for a reader of committed records none that
    /// the answer says was aborted.
    pub records: Vec<Record>,
    /// Control batches that came with them.
    pub markers: Vec<Marker>,
    pub ends: Ends,
}

/// The ends that an answer names; those that it does not are not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    pub start: Option<i64>,
    pub stable: Option<i64>,
    pub high: Option<i64>,
}

/// The end of a transaction in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marker {
    pub offset: i64,
    pub producer: Producer,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    Earliest,
    Latest(Isolation),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    pub group: String,
    pub member: String,
    /// The generation or the member epoch; negative of who is no member.
    pub epoch: i32,
    pub place: TopicPartition,
    pub offset: i64,
    pub transaction: Option<TransactionNumber>,
}

/// What of a topic may go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicSettings {
    pub compact: bool,
    pub delete: bool,
    pub retention_ms: Option<u64>,
    pub retention_bytes: Option<u64>,
    pub delete_retention_ms: u64,
}

/// What is no operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A client that is to get on whenever it can, and what it is.
    Started { name: String, role: Role },
    /// It is not expected to get on any more.
    Stopped,
    /// From here on nothing fails.
    FaultsEnded,
    /// A broker denied that this is the producer's next sequence, or a repeat: it refused an attempt for that reason, or told of
    /// the partition's producers without this one.
    SequenceDenied { place: TopicPartition, producer: Producer, base_sequence: i32 },
    /// Everything that could be read of a partition when all was over, from the log's start to its end.
    Final { place: TopicPartition, isolation: Isolation, reading: Reading },
    /// Its segments then: what they have below the archived offset.
    Segments { place: TopicPartition, archived: i64, records: Vec<Record> },
    /// A group that makes from each record of one topic one of the other, in transactions, and has got to the end.
    Chain { group: String, input: TopicId, output: TopicId },
    /// What `fsck` says of what is left.
    Fsck { problems: Vec<String>, unreferenced_bytes: u64, allowed_bytes: u64 },
    /// Faults and whatever else helps who reads this.
    Note(String),
}

/// What a client has to show for getting on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An acknowledged batch.
    Producer,
    /// A committed transaction.
    Transactional,
    /// Records, or an end that is named.
    Reader,
    /// A committed offset.
    Member,
    /// Anything.
    Operator,
}

impl History {
    /// An empty one.
    pub fn new(bounds: Bounds) -> History {
        History { bounds, ..History::default() }
    }

    /// An operation begins; its number is for its return.
    pub fn call(&mut self, at: Time, client: ClientId, broker: Option<i32>, call: Call) -> RequestNumber {
        let request = self.next_request;
        self.next_request += 1;
        self.events.push(Event { at, client, broker, what: What::Call { request, call } });
        request
    }

    /// An operation is over.
    pub fn end(
        &mut self,
        at: Time,
        client: ClientId,
        broker: Option<i32>,
        request: RequestNumber,
        outcome: Outcome,
    ) {
        self.events.push(Event { at, client, broker, what: What::Return { request, outcome } });
    }

    /// Something that is no operation.
    pub fn fact(&mut self, at: Time, client: ClientId, fact: Fact) {
        self.events.push(Event { at, client, broker: None, what: What::Fact(fact) });
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.events.iter().enumerate().try_for_each(|(index, event)| writeln!(f, "{index} {event}"))
    }
}
