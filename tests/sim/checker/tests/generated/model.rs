//! A log that does everything right, and clients that use it side by side: what each asks for happens at one moment between
//! its call and its return, or, where it is never told, at any moment after its call, or never.

use super::super::super::super::history::*;
use super::super::story::{BOUNDS, MILLISECOND, PLACE, TOPIC, sent};
use std::collections::BTreeMap;

/// Numbers by a seed.
pub struct Chance(u64);

impl Chance {
    pub fn of(seed: u64) -> Chance {
        Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(0x1234_5678_9abc_def1))
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % end
    }

    pub fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

#[derive(Clone, Copy)]
enum Entry {
    Record { sent: Sent, producer: Option<Producer>, transaction: Option<TransactionNumber> },
    Marker(Producer, Verdict),
}

/// One partition.
#[derive(Default)]
struct Partition {
    entries: Vec<Entry>,
    start: usize,
}

/// What a client is about.
enum Pending {
    /// Called, and not done yet.
    Asked(RequestNumber, Call),
    /// Done, and not told yet.
    Done(RequestNumber, Outcome),
}

/// The log, the group's offset, and the clients.
pub struct Model {
    chance: Chance,
    history: History,
    now: Time,
    partitions: [Partition; 2],
    ended: BTreeMap<TransactionNumber, Verdict>,
    committed: Option<i64>,
    clients: [Option<Pending>; CLIENTS],
    /// What may be done late, or never.
    late: Vec<Call>,
    next_number: RecordNumber,
    transaction: TransactionNumber,
    /// What the transactional client has sent to.
    sent_in_transaction: u64,
    next_commit: i64,
    positions: [i64; CLIENTS],
    sequences: [i32; 2],
    session: i16,
}

const CLIENTS: usize = 8;
const PLAIN: usize = 0;
const IDEMPOTENT: usize = 1;
const TRANSACTIONAL: usize = 2;
const READERS: [(usize, Isolation); 2] = [(3, Isolation::Uncommitted), (4, Isolation::Committed)];
const ENDS: usize = 5;
const MEMBER: usize = 6;
const OPERATOR: usize = 7;

fn place(partition: usize) -> TopicPartition {
    TopicPartition { partition: i32::try_from(partition).expect("small"), ..PLACE }
}

fn index(place: &TopicPartition) -> usize {
    usize::try_from(place.partition).expect("not negative")
}

fn offset(index: usize) -> i64 {
    i64::try_from(index).expect("small")
}

impl Model {
    /// The history of so many steps, and of the end.
    pub fn run(seed: u64, steps: usize) -> History {
        let mut model = Model {
            chance: Chance::of(seed),
            history: History::new(BOUNDS),
            now: 0,
            partitions: Default::default(),
            ended: Default::default(),
            committed: None,
            clients: Default::default(),
            late: Vec::new(),
            next_number: 100,
            transaction: 1,
            sent_in_transaction: 0,
            next_commit: 0,
            positions: [0; CLIENTS],
            sequences: [0; 2],
            session: 0,
        };
        let settings = TopicSettings::default();
        let call = Call::CreateTopic { name: "topic".to_owned(), partitions: 2, settings };
        let request = model.history.call(0, 99, None, call);
        let answer = Answer::Topic { topic: TOPIC, partitions: 2 };
        model.history.end(0, 99, None, request, Outcome::Ok(answer));
        for _ in 0..steps {
            model.now += MILLISECOND;
            let client = usize::try_from(model.chance.below(8)).expect("small");
            model.step(client);
            model.do_late();
        }
        model.finish();
        model.history
    }

    fn step(&mut self, client: usize) {
        match self.clients[client].take() {
            None => {
                let call = self.draw(client);
                let id = u32::try_from(client).expect("small");
                let request = self.history.call(self.now, id, Some(1), call.clone());
                self.clients[client] = Some(Pending::Asked(request, call));
            }
            Some(Pending::Asked(request, call)) => {
                let outcome = self.settle(call);
                self.clients[client] = Some(Pending::Done(request, outcome));
            }
            Some(Pending::Done(request, outcome)) => self.tell(client, request, outcome),
        }
    }

    fn tell(&mut self, client: usize, request: RequestNumber, outcome: Outcome) {
        let id = u32::try_from(client).expect("small");
        if client == IDEMPOTENT && !matches!(outcome, Outcome::Ok(_)) {
            // Who does not know what became of a batch begins another session.
            self.session += 1;
            self.sequences = [0; 2];
        }
        if let (true, Outcome::Ok(Answer::Fetched(reading))) =
            (READERS.iter().any(|&(one, _)| one == client), &outcome)
        {
            self.positions[client] = reading.next;
        }
        self.history.end(self.now, id, Some(1), request, outcome);
    }

    /// What a client asks for next.
    fn draw(&mut self, client: usize) -> Call {
        let place = place(usize::try_from(self.chance.below(2)).expect("small"));
        match client {
            PLAIN => self.batch(place, None, None, None),
            IDEMPOTENT => {
                let producer = Producer { producer_id: 1, producer_epoch: self.session };
                let base = self.sequences[index(&place)];
                let call = self.batch(place, Some(producer), Some(base), None);
                let Call::Send(batch) = &call else { unreachable!("a batch") };
                self.sequences[index(&place)] += i32::try_from(batch.records.len()).expect("few");
                call
            }
            TRANSACTIONAL if self.sent_in_transaction > 0 && self.chance.one_in(3) => {
                self.sent_in_transaction = 0;
                self.transaction += 1;
                let verdict = if self.chance.one_in(3) { Verdict::Abort } else { Verdict::Commit };
                Call::EndTransaction { transaction: self.transaction - 1, verdict }
            }
            TRANSACTIONAL => {
                self.sent_in_transaction += 1;
                let producer_epoch = i16::try_from(self.transaction).expect("small");
                let producer = Producer { producer_id: 2, producer_epoch };
                self.batch(place, Some(producer), None, Some(self.transaction))
            }
            ENDS => {
                let isolation =
                    if self.chance.one_in(2) { Isolation::Committed } else { Isolation::Uncommitted };
                let spec =
                    if self.chance.one_in(3) { OffsetSpec::Earliest } else { OffsetSpec::Latest(isolation) };
                Call::ListOffsets { place, spec }
            }
            MEMBER if self.chance.one_in(2) => {
                Call::OffsetFetch { group: "group".to_owned(), place: PLACE, stable: true }
            }
            MEMBER => {
                self.next_commit += 1;
                let (group, member) = ("group".to_owned(), "member".to_owned());
                let offset = self.next_commit;
                Call::Commit(OffsetCommit {
                    group,
                    member,
                    epoch: 1,
                    place: PLACE,
                    offset,
                    transaction: None,
                })
            }
            OPERATOR if self.chance.one_in(4) => {
                let partition = &self.partitions[index(&place)];
                let start = offset(partition.start);
                let stable = self.stable(index(&place));
                let room = u64::try_from(stable - start).expect("not below") / 2 + 1;
                let before = start + i64::try_from(self.chance.below(room)).expect("small");
                Call::DeleteRecords { place, before }
            }
            OPERATOR => Call::Other("merge".to_owned()),
            reader => {
                let isolation = if reader == 3 { Isolation::Uncommitted } else { Isolation::Committed };
                // A reader has one partition; it polls, or looks anywhere.
                let partition = reader % 2;
                let from = self.positions[reader].max(offset(self.partitions[partition].start));
                let place = self::place(partition);
                Call::Fetch(Fetch { place, from, isolation, partitions: 1, assignment: None })
            }
        }
    }

    fn batch(
        &mut self,
        place: TopicPartition,
        producer: Option<Producer>,
        base_sequence: Option<i32>,
        transaction: Option<TransactionNumber>,
    ) -> Call {
        let count = 1 + self.chance.below(3);
        let numbers = self.next_number..self.next_number + count;
        self.next_number += count;
        let records = numbers.map(sent).collect();
        Call::Send(Batch { place, records, producer, base_sequence, transaction })
    }

    /// It happens, or does not, or nobody knows.
    fn settle(&mut self, call: Call) -> Outcome {
        let may_fail = matches!(call, Call::Send(_) | Call::Commit(_));
        match self.chance.below(12) {
            0 if may_fail => Outcome::Refused(6),
            1 if may_fail => {
                // In a transaction or a session nothing comes late.
                let is_alone = !matches!(&call, Call::Send(batch) if batch.producer.is_some());
                match self.chance.below(3) {
                    0 => drop(self.apply(call)),
                    1 if is_alone => self.late.push(call),
                    _ => {}
                }
                Outcome::Unknown
            }
            _ => self.apply(call),
        }
    }

    fn do_late(&mut self) {
        if !self.late.is_empty() && self.chance.one_in(5) {
            let call = self.late.remove(0);
            self.apply(call);
        }
    }

    fn apply(&mut self, call: Call) -> Outcome {
        Outcome::Ok(match call {
            Call::Send(batch) => {
                let partition = &mut self.partitions[index(&batch.place)];
                let base = offset(partition.entries.len());
                let start = offset(partition.start);
                let Batch { producer, transaction, records, .. } = batch;
                let entries = records.into_iter().map(|sent| Entry::Record { sent, producer, transaction });
                partition.entries.extend(entries);
                Answer::Sent { offset: Some(base), start: Some(start) }
            }
            Call::EndTransaction { transaction, verdict } => {
                self.end(transaction, verdict);
                Answer::Done
            }
            Call::Fetch(fetch) => {
                // It may have been deleted since it was asked for.
                if fetch.from < offset(self.partitions[index(&fetch.place)].start) {
                    return Outcome::Refused(1);
                }
                let count = 1 + self.chance.below(8);
                Answer::Fetched(self.read(index(&fetch.place), fetch.from, fetch.isolation, count))
            }
            Call::ListOffsets { place, spec } => Answer::Offset(match spec {
                OffsetSpec::Earliest => offset(self.partitions[index(&place)].start),
                OffsetSpec::Latest(Isolation::Committed) => self.stable(index(&place)),
                OffsetSpec::Latest(Isolation::Uncommitted) => {
                    offset(self.partitions[index(&place)].entries.len())
                }
            }),
            Call::DeleteRecords { place, before } => {
                let start = &mut self.partitions[index(&place)].start;
                *start = (*start).max(usize::try_from(before).expect("not negative"));
                Answer::Start(offset(*start))
            }
            Call::Commit(commit) => {
                self.committed = Some(commit.offset);
                Answer::Done
            }
            Call::OffsetFetch { .. } => Answer::Committed(self.committed),
            _ => Answer::Done,
        })
    }

    fn end(&mut self, transaction: TransactionNumber, verdict: Verdict) {
        self.ended.insert(transaction, verdict);
        for partition in &mut self.partitions {
            let mut own = partition.entries.iter().filter_map(|entry| match entry {
                Entry::Record { producer, transaction: Some(number), .. } if *number == transaction => {
                    *producer
                }
                _ => None,
            });
            if let Some(producer) = own.next() {
                partition.entries.push(Entry::Marker(producer, verdict));
            }
        }
    }

    /// Where the first open transaction begins.
    fn stable(&self, partition: usize) -> i64 {
        let entries = &self.partitions[partition].entries;
        let is_open = |entry: &Entry| match entry {
            Entry::Record { transaction: Some(number), .. } => !self.ended.contains_key(number),
            Entry::Record { transaction: None, .. } | Entry::Marker(..) => false,
        };
        offset(entries.iter().position(is_open).unwrap_or(entries.len()))
    }

    fn read(&self, partition: usize, from: i64, isolation: Isolation, count: u64) -> Reading {
        let Partition { entries, start } = &self.partitions[partition];
        let (high, stable) = (offset(entries.len()), self.stable(partition));
        let end = if isolation == Isolation::Committed { stable } else { high };
        let next = end.min(from.saturating_add_unsigned(count)).max(from);
        let ends = Ends { start: Some(offset(*start)), stable: Some(stable), high: Some(high) };
        let mut reading = Reading { next, ends, ..Reading::default() };
        for at in from..next {
            match entries[usize::try_from(at).expect("not negative")] {
                Entry::Marker(producer, verdict) => {
                    reading.markers.push(Marker { offset: at, producer, verdict });
                }
                Entry::Record { sent, producer, transaction } => {
                    let verdict = transaction.and_then(|number| self.ended.get(&number));
                    let is_hidden = isolation == Isolation::Committed && verdict == Some(&Verdict::Abort);
                    if !is_hidden {
                        reading.records.push(record(at, sent, producer));
                    }
                }
            }
        }
        reading
    }

    /// Everybody is told, what is open is aborted, and all of it is read.
    fn finish(&mut self) {
        while self.clients.iter().any(Option::is_some) {
            for client in 0..CLIENTS {
                if self.clients[client].is_some() {
                    self.now += MILLISECOND;
                    self.step(client);
                }
            }
        }
        for call in std::mem::take(&mut self.late) {
            self.apply(call);
        }
        self.end(self.transaction, Verdict::Abort);
        for partition in 0..self.partitions.len() {
            self.now += MILLISECOND;
            let from = offset(self.partitions[partition].start);
            let place = place(partition);
            for isolation in [Isolation::Uncommitted, Isolation::Committed] {
                let reading = self.read(partition, from, isolation, u64::MAX);
                self.history.fact(self.now, 99, Fact::Final { place, isolation, reading });
            }
            let committed = self.read(partition, from, Isolation::Committed, u64::MAX);
            let archived = from + (committed.next - from) / 2;
            let records = committed.records.into_iter().filter(|record| record.offset < archived);
            self.history.fact(self.now, 99, Fact::Segments { place, archived, records: records.collect() });
        }
    }
}

fn record(offset: i64, sent: Sent, producer: Option<Producer>) -> Record {
    let Sent { number, key, tombstone, headers, timestamp, .. } = sent;
    let timestamp = timestamp.expect("the client's");
    Record { offset, number, key, tombstone, headers, timestamp, producer }
}
