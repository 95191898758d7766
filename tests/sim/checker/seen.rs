//! What a history shows, put in order for the rules: who sent what, who read what, and what stands at which offset.

use super::history::*;
use super::operations::Operation;
use super::{Anomaly, Found, Moment};
use std::collections::{BTreeMap, BTreeSet};

/// All of it.
pub struct Seen<'a> {
    pub history: &'a History,
    pub operations: &'a [Operation<'a>],
    pub sends: Vec<Send<'a>>,
    /// Which sends have a record, and what it is in each.
    pub records: BTreeMap<RecordNumber, Vec<(usize, &'a Sent)>>,
    pub transactions: BTreeMap<TransactionNumber, Transaction<'a>>,
    /// By the moments of their questions.
    pub reads: BTreeMap<TopicPartition, Vec<Read<'a>>>,
    pub logs: BTreeMap<TopicPartition, Log>,
    pub topics: BTreeMap<TopicId, Topic>,
    pub facts: Vec<(Moment, &'a Fact)>,
}

/// A batch that was sent.
#[derive(Clone, Copy)]
pub struct Send<'a> {
    pub operation: &'a Operation<'a>,
    pub batch: &'a Batch,
}

/// What a client did in one transaction.
#[derive(Default)]
pub struct Transaction<'a> {
    pub sends: Vec<usize>,
    pub ends: Vec<(&'a Operation<'a>, Verdict)>,
    pub producer: Option<Producer>,
    /// Where its end may be marked, whether anything of it was taken there or not.
    pub places: BTreeSet<TopicPartition>,
    /// Its last event.
    pub last: Moment,
}

/// A partition's records as someone read them.
#[derive(Clone, Copy)]
pub struct Read<'a> {
    pub client: ClientId,
    pub called: Moment,
    pub ended: Moment,
    pub ended_at: Time,
    pub from: i64,
    pub isolation: Isolation,
    pub partitions: u32,
    pub assignment: Option<u64>,
    pub reading: &'a Reading,
    pub kind: ReadKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadKind {
    Fetch,
    Final,
}

/// What stands at the offsets of a partition, as far as anybody was told.
#[derive(Default)]
pub struct Log {
    pub stands: BTreeMap<i64, Stand>,
    pub offsets: BTreeMap<RecordNumber, BTreeSet<i64>>,
}

/// What stands at an offset, and the event that first told it.
#[derive(Clone, Copy, Debug)]
pub struct Stand {
    pub at: Moment,
    pub what: Stood,
    /// As it was read first, and the event that tells that.
    pub record: Option<(Record, Moment)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stood {
    Record(RecordNumber),
    Marker,
}

/// What is known of a topic.
#[derive(Default)]
pub struct Topic {
    pub name: Option<String>,
    /// When its name was first called to be given to it.
    pub created: Option<Moment>,
    /// When it was first called to go.
    pub deleted: Option<Moment>,
    /// From the call of each change on, that may have been done.
    pub settings: Vec<(Moment, TopicSettings)>,
}

impl<'a> Seen<'a> {
    /// Gathers it, and finds offsets at which there is more than one thing.
    pub fn of(history: &'a History, operations: &'a [Operation<'a>], found: &mut Found) -> Seen<'a> {
        let facts = history.events.iter().enumerate().filter_map(|(moment, event)| match &event.what {
            What::Fact(fact) => Some((moment, fact)),
            What::Call { .. } | What::Return { .. } => None,
        });
        let mut seen = Seen {
            history,
            operations,
            sends: Vec::new(),
            records: BTreeMap::new(),
            transactions: BTreeMap::new(),
            reads: BTreeMap::new(),
            logs: BTreeMap::new(),
            topics: BTreeMap::new(),
            facts: facts.collect(),
        };
        operations.iter().for_each(|operation| seen.take_operation(operation));
        seen.take_settings();
        seen.take_finals();
        seen.reads.values_mut().for_each(|reads| reads.sort_by_key(|read| (read.called, read.ended)));
        seen.fill_logs(found);
        seen
    }

    /// The events' own word for the time of a moment.
    pub fn time(&self, moment: Moment) -> Time {
        self.history.events.get(moment).map_or(Time::MAX, |event| event.at)
    }

    /// Whether a topic may have been deleted before this moment: what was asked for by its name may have been another's.
    pub fn may_be_gone(&self, topic: TopicId, before: Moment) -> bool {
        let deleted = self.topics.get(&topic).and_then(|topic| topic.deleted);
        deleted.is_some_and(|deleted| deleted < before)
    }

    /// The settings under which a topic may have been up to this moment.
    pub fn settings(&self, topic: TopicId, before: Moment) -> impl Iterator<Item = &TopicSettings> {
        let all = self.topics.get(&topic).into_iter().flat_map(|topic| &topic.settings);
        all.filter(move |(called, _)| *called < before).map(|(_, settings)| settings)
    }

    /// The sends that had a record.
    pub fn sends_of(&self, number: RecordNumber) -> impl Iterator<Item = (&Send<'a>, &'a Sent)> {
        let sends = self.records.get(&number).into_iter().flatten();
        sends.map(|&(index, sent)| (&self.sends[index], sent))
    }

    /// The transaction of a record, if it was sent in one alone.
    pub fn transaction_of(&self, number: RecordNumber) -> Option<TransactionNumber> {
        let mut sends = self.sends_of(number).filter(|(send, _)| !send.operation.is_refused());
        let first = sends.next()?.0.batch.transaction;
        first.filter(|_| sends.all(|(send, _)| send.batch.transaction == first))
    }

    /// The read of all that there was in the end.
    pub fn final_read(&self, place: TopicPartition, isolation: Isolation) -> Option<&Read<'a>> {
        let mut reads = self.reads.get(&place)?.iter().rev();
        reads.find(|read| read.kind == ReadKind::Final && read.isolation == isolation)
    }

    fn take_operation(&mut self, operation: &'a Operation<'a>) {
        match operation.call {
            Call::Send(batch) => self.take_send(operation, batch),
            Call::AddPartition { transaction, place } => {
                let known = self.transactions.entry(*transaction).or_default();
                known.last = known.last.max(operation.last());
                if !operation.is_refused() {
                    known.places.insert(*place);
                }
            }
            Call::EndTransaction { transaction, verdict } => {
                let known = self.transactions.entry(*transaction).or_default();
                known.ends.push((operation, *verdict));
                known.last = known.last.max(operation.last());
            }
            Call::Commit(OffsetCommit { transaction: Some(transaction), .. }) => {
                let known = self.transactions.entry(*transaction).or_default();
                known.last = known.last.max(operation.last());
            }
            Call::Fetch(fetch) => self.take_fetch(operation, fetch),
            Call::CreateTopic { name, .. } => {
                if let Some((Answer::Topic { topic, .. }, _)) = operation.answer() {
                    let known = self.topics.entry(*topic).or_default();
                    known.name = Some(name.clone());
                    known.created = Some(operation.called);
                }
            }
            Call::DescribeTopic { name } => {
                if let Some((Answer::Topic { topic, .. }, _)) = operation.answer() {
                    let known = self.topics.entry(*topic).or_default();
                    known.name.get_or_insert_with(|| name.clone());
                }
            }
            Call::AlterTopic { topic, settings } if !operation.is_refused() => {
                self.topics.entry(*topic).or_default().settings.push((operation.called, *settings));
            }
            Call::DeleteTopic { topic } if !operation.is_refused() => {
                self.topics.entry(*topic).or_default().deleted.get_or_insert(operation.called);
            }
            _ => {}
        }
    }

    /// Whoever created a topic of this name may have created this one.
    fn take_settings(&mut self) {
        for operation in self.operations.iter().filter(|operation| !operation.is_refused()) {
            let Call::CreateTopic { name, settings, .. } = operation.call else { continue };
            let created = self.topics.values_mut().filter(|topic| {
                let is_this = topic.created.is_none_or(|created| created == operation.called);
                is_this && topic.name.as_ref() == Some(name)
            });
            created.for_each(|topic| topic.settings.push((operation.called, *settings)));
        }
    }

    fn take_send(&mut self, operation: &'a Operation<'a>, batch: &'a Batch) {
        let index = self.sends.len();
        self.sends.push(Send { operation, batch });
        for sent in &batch.records {
            self.records.entry(sent.number).or_default().push((index, sent));
        }
        if let Some(transaction) = batch.transaction {
            let known = self.transactions.entry(transaction).or_default();
            known.sends.push(index);
            known.places.insert(batch.place);
            known.producer = known.producer.or(batch.producer);
            known.last = known.last.max(operation.last());
        }
    }

    fn take_fetch(&mut self, operation: &'a Operation<'a>, fetch: &'a Fetch) {
        let Some((Answer::Fetched(reading), end)) = operation.answer() else { return };
        self.reads.entry(fetch.place).or_default().push(Read {
            client: operation.client,
            called: operation.called,
            ended: end.moment,
            ended_at: end.at,
            from: fetch.from,
            isolation: fetch.isolation,
            partitions: fetch.partitions,
            assignment: fetch.assignment,
            reading,
            kind: ReadKind::Fetch,
        });
    }

    fn take_finals(&mut self) {
        for &(moment, fact) in &self.facts {
            let Fact::Final { place, isolation, reading } = fact else { continue };
            let first = reading.records.first().map_or(reading.next, |record| record.offset);
            let event = &self.history.events[moment];
            self.reads.entry(*place).or_default().push(Read {
                client: event.client,
                called: moment,
                ended: moment,
                ended_at: event.at,
                // The log's start may have moved meanwhile.
                from: reading.ends.start.map_or(first, |start| start.min(first)),
                isolation: *isolation,
                partitions: 1,
                assignment: None,
                reading,
                kind: ReadKind::Final,
            });
        }
    }

    /// Everybody's word for what is where, from the first on.
    fn fill_logs(&mut self, found: &mut Found) {
        let mut told: Vec<(Moment, TopicPartition, i64, Stand)> = Vec::new();
        for send in &self.sends {
            let Some((offset, end)) = self.offset_of(send) else { continue };
            for (offset, sent) in (offset..).zip(&send.batch.records) {
                let stand = Stand { at: end, what: Stood::Record(sent.number), record: None };
                told.push((end, send.batch.place, offset, stand));
            }
        }
        for (&place, reads) in &self.reads {
            for read in reads {
                told.extend(read.reading.records.iter().map(|record| stand_of(read.ended, place, record)));
                told.extend(read.reading.markers.iter().map(|marker| {
                    let stand = Stand { at: read.ended, what: Stood::Marker, record: None };
                    (read.ended, place, marker.offset, stand)
                }));
            }
        }
        for &(moment, fact) in &self.facts {
            if let Fact::Segments { place, records, .. } = fact {
                told.extend(records.iter().map(|record| stand_of(moment, *place, record)));
            }
        }
        told.sort_by_key(|&(moment, place, offset, _)| (moment, place, offset));
        for (_, place, offset, stand) in told {
            self.logs.entry(place).or_default().take(place, offset, stand, found);
        }
    }

    /// Where a batch was said to be, unless what was meant by the topic's name is in doubt.
    pub fn offset_of(&self, send: &Send<'_>) -> Option<(i64, Moment)> {
        let (answer, end) = send.operation.answer()?;
        let Answer::Sent { offset: Some(offset), .. } = answer else { return None };
        (!self.may_be_gone(send.batch.place.topic, end.moment)).then_some((*offset, end.moment))
    }
}

fn stand_of(at: Moment, place: TopicPartition, record: &Record) -> (Moment, TopicPartition, i64, Stand) {
    let stand = Stand { at, what: Stood::Record(record.number), record: Some((*record, at)) };
    (at, place, record.offset, stand)
}

impl Transaction<'_> {
    /// When it was first called to be committed, if that was not refused.
    pub fn commit_called(&self) -> Option<Moment> {
        let commits = self.ends.iter().filter(|(_, verdict)| *verdict == Verdict::Commit);
        commits.filter(|(operation, _)| !operation.is_refused()).map(|(operation, _)| operation.called).min()
    }

    /// When somebody was told that this is its end.
    pub fn told(&self, wanted: Verdict) -> Option<Moment> {
        let ends = self.ends.iter().filter(|(_, verdict)| *verdict == wanted);
        ends.filter_map(|(operation, _)| operation.done()).min()
    }

    /// Nobody has asked for it to be committed, or somebody was told that it was aborted.
    pub fn must_be_aborted(&self) -> bool {
        self.commit_called().is_none() || self.told(Verdict::Abort).is_some()
    }
}

impl Log {
    fn take(&mut self, place: TopicPartition, offset: i64, stand: Stand, found: &mut Found) {
        let first = self.stands.entry(offset).or_insert(stand);
        let differ = match (first.record, stand.record) {
            (Some((first, at)), Some((second, _))) if first != second => Some(at),
            _ => None,
        };
        let differ = if first.what == stand.what { differ } else { Some(first.at) };
        if let Some(at) = differ {
            let what = format!("{offset} of {place} is {} and {}", first.told(), stand.told());
            return found.add(Anomaly::Changed, [at, stand.at], what);
        }
        first.record = first.record.or(stand.record);
        if let Stood::Record(number) = stand.what {
            self.offsets.entry(number).or_default().insert(offset);
        }
    }
}

impl Stand {
    fn told(&self) -> String {
        match (self.what, self.record) {
            (Stood::Marker, _) => "a marker".to_owned(),
            (Stood::Record(number), None) => number.to_string(),
            (Stood::Record(_), Some((record, _))) => record.to_string(),
        }
    }
}
