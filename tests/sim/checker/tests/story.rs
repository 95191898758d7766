//! Tells made-up histories in few words. Every event is a millisecond after the one before.

use super::super::super::history::*;
use super::Moment;
use std::collections::BTreeMap;

/// Which of two histories is told.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Twin {
    Clean,
    Spoiled,
}

pub const MILLISECOND: Time = 1_000_000;
pub const SECOND: Time = 1_000 * MILLISECOND;

pub const TOPIC: TopicId = TopicId(0xa);
pub const OTHER_TOPIC: TopicId = TopicId(0xb);
pub const PLACE: TopicPartition = TopicPartition { topic: TOPIC, partition: 0 };
pub const OTHER: TopicPartition = TopicPartition { topic: TOPIC, partition: 1 };

pub const KEEP: TopicSettings = TopicSettings {
    compact: false,
    delete: false,
    retention_ms: None,
    retention_bytes: None,
    delete_retention_ms: 0,
};

pub const BOUNDS: Bounds = Bounds {
    began_at_ms: 1_000_000,
    clock_error: 0,
    session_timeout: 10 * SECOND,
    rebalance_timeout: 60 * SECOND,
    progress_within: 30 * SECOND,
    bytes_per_offset_max: 100,
};

/// A history that is being told.
pub struct Story {
    pub twin: Twin,
    pub history: History,
    pub now: Time,
    /// Who asked, by request.
    clients: BTreeMap<RequestNumber, ClientId>,
    /// How a record is to be read.
    sent: BTreeMap<RecordNumber, (Sent, Option<Producer>)>,
}

/// What a batch is besides its records.
#[derive(Clone, Copy, Default)]
pub struct How {
    pub producer: Option<Producer>,
    pub base_sequence: Option<i32>,
    pub transaction: Option<TransactionNumber>,
}

impl Story {
    pub fn new(twin: Twin) -> Story {
        let history = History::new(BOUNDS);
        Story { twin, history, now: 0, clients: BTreeMap::new(), sent: BTreeMap::new() }
    }

    pub fn is_spoiled(&self) -> bool {
        self.twin == Twin::Spoiled
    }

    /// The one or the other.
    pub fn pick<T>(&self, clean: T, spoiled: T) -> T {
        if self.is_spoiled() { spoiled } else { clean }
    }

    /// The last event.
    pub fn last(&self) -> Moment {
        self.history.events.len() - 1
    }

    pub fn call(&mut self, client: ClientId, call: Call) -> RequestNumber {
        self.now += MILLISECOND;
        if let Call::Send(batch) = &call {
            self.sent.extend(batch.records.iter().map(|sent| (sent.number, (*sent, batch.producer))));
        }
        let request = self.history.call(self.now, client, Some(1), call);
        self.clients.insert(request, client);
        request
    }

    pub fn end(&mut self, request: RequestNumber, outcome: Outcome) -> Moment {
        self.now += MILLISECOND;
        let client = self.clients[&request];
        self.history.end(self.now, client, Some(1), request, outcome);
        self.last()
    }

    pub fn ok(&mut self, request: RequestNumber, answer: Answer) -> Moment {
        self.end(request, Outcome::Ok(answer))
    }

    pub fn fact(&mut self, client: ClientId, fact: Fact) -> Moment {
        self.now += MILLISECOND;
        self.history.fact(self.now, client, fact);
        self.last()
    }

    /// An operation from its call to its answer; the moments of both.
    pub fn done(&mut self, client: ClientId, call: Call, answer: Answer) -> [Moment; 2] {
        let request = self.call(client, call);
        let called = self.last();
        [called, self.ok(request, answer)]
    }

    /// A topic under its settings.
    pub fn topic(&mut self, name: &str, topic: TopicId, settings: TopicSettings) -> [Moment; 2] {
        let call = Call::CreateTopic { name: name.to_owned(), partitions: 2, settings };
        self.done(0, call, Answer::Topic { topic, partitions: 2 })
    }

    pub fn send_records(
        &mut self,
        client: ClientId,
        place: TopicPartition,
        records: Vec<Sent>,
        how: How,
    ) -> RequestNumber {
        let How { producer, base_sequence, transaction } = how;
        self.call(client, Call::Send(Batch { place, records, producer, base_sequence, transaction }))
    }

    pub fn send(
        &mut self,
        client: ClientId,
        place: TopicPartition,
        numbers: &[u64],
        how: How,
    ) -> RequestNumber {
        let records = numbers.iter().map(|&number| sent(number)).collect();
        self.send_records(client, place, records, how)
    }

    /// Sent as the client's own, and acknowledged.
    pub fn sent(
        &mut self,
        client: ClientId,
        place: TopicPartition,
        offset: i64,
        numbers: &[u64],
    ) -> [Moment; 2] {
        self.sent_how(client, place, offset, numbers, How::default())
    }

    pub fn sent_how(
        &mut self,
        client: ClientId,
        place: TopicPartition,
        offset: i64,
        numbers: &[u64],
        how: How,
    ) -> [Moment; 2] {
        let request = self.send(client, place, numbers, how);
        let called = self.last();
        [called, self.ok(request, Answer::Sent { offset: Some(offset), start: None })]
    }

    /// A record as it was sent, at an offset.
    pub fn record(&self, offset: i64, number: u64) -> Record {
        let (sent, producer) = self.sent.get(&number).copied().unwrap_or((sent(number), None));
        let Sent { key, tombstone, headers, timestamp, .. } = sent;
        let timestamp = timestamp.unwrap_or(1_000_000);
        Record { offset, number, key, tombstone, headers, timestamp, producer }
    }

    pub fn records(&self, records: &[(i64, u64)]) -> Vec<Record> {
        records.iter().map(|&(offset, number)| self.record(offset, number)).collect()
    }

    /// What was read up to an offset, where the partition ends.
    pub fn reading(&self, records: &[(i64, u64)], end: i64) -> Reading {
        let ends = Ends { start: Some(0), stable: Some(end), high: Some(end) };
        Reading { next: end, records: self.records(records), markers: Vec::new(), ends }
    }

    /// A fetch up to the end; the moments of its call and its answer.
    pub fn read(
        &mut self,
        client: ClientId,
        place: TopicPartition,
        from: i64,
        records: &[(i64, u64)],
        end: i64,
    ) -> [Moment; 2] {
        let reading = self.reading(records, end);
        self.done(client, fetch(place, from, Isolation::Uncommitted), Answer::Fetched(reading))
    }

    pub fn read_committed(
        &mut self,
        client: ClientId,
        place: TopicPartition,
        from: i64,
        records: &[(i64, u64)],
        end: i64,
    ) -> [Moment; 2] {
        let reading = self.reading(records, end);
        self.done(client, fetch(place, from, Isolation::Committed), Answer::Fetched(reading))
    }

    /// What there is in the end, for both kinds of readers; the moments of both.
    pub fn finals(&mut self, place: TopicPartition, records: &[(i64, u64)], end: i64) -> [Moment; 2] {
        let reading = self.reading(records, end);
        self.final_readings(place, reading.clone(), reading)
    }

    pub fn final_readings(&mut self, place: TopicPartition, all: Reading, committed: Reading) -> [Moment; 2] {
        let first = self.fact(0, Fact::Final { place, isolation: Isolation::Uncommitted, reading: all });
        let isolation = Isolation::Committed;
        [first, self.fact(0, Fact::Final { place, isolation, reading: committed })]
    }
}

pub fn sent(number: u64) -> Sent {
    Sent { number, key: None, tombstone: false, headers: 0, timestamp: Some(1_000_000), source: None }
}

pub fn fetch(place: TopicPartition, from: i64, isolation: Isolation) -> Call {
    Call::Fetch(Fetch { place, from, isolation, partitions: 1, assignment: None })
}

/// An idempotent producer's batch.
pub fn by(producer_id: i64, base_sequence: i32) -> How {
    let producer = Some(Producer { producer_id, producer_epoch: 0 });
    How { producer, base_sequence: Some(base_sequence), transaction: None }
}

/// A batch of a transaction; each has an epoch of its own.
pub fn within(transaction: TransactionNumber) -> How {
    let producer_epoch = i16::try_from(transaction).expect("a small number");
    How {
        producer: Some(Producer { producer_id: 7, producer_epoch }),
        base_sequence: Some(0),
        transaction: Some(transaction),
    }
}
