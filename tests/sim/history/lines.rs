//! Events as lines: one each, without a blank more than it needs, the same for the same event.

use super::*;
use std::fmt::{Display, Formatter, Result};

impl Display for Event {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}us c{}", Micros(self.at), self.client)?;
        if let Some(broker) = self.broker {
            write!(f, " b{broker}")?;
        }
        match &self.what {
            What::Call { request, call } => write!(f, " #{request} > {call}"),
            What::Return { request, outcome } => write!(f, " #{request} < {outcome}"),
            What::Fact(fact) => write!(f, " {fact}"),
        }
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Outcome::Ok(answer) => write!(f, "{answer}"),
            Outcome::Refused(code) => write!(f, "refused {code}"),
            Outcome::Unknown => write!(f, "unknown"),
        }
    }
}

impl Display for Call {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Call::InitProducer { transactional_id } => {
                write!(f, "init-producer{}", Named("id=", transactional_id.as_ref()))
            }
            Call::Send(batch) => write!(f, "{batch}"),
            Call::AddPartition { transaction, place } => write!(f, "add t{transaction} {place}"),
            Call::EndTransaction { transaction, verdict } => write!(f, "{verdict} t{transaction}"),
            Call::Fetch(fetch) => write!(f, "{fetch}"),
            Call::ListOffsets { place, spec } => write!(f, "list-offsets {place} {spec:?}"),
            Call::DeleteRecords { place, before } => write!(f, "delete-records {place} before {before}"),
            Call::Commit(commit) => write!(f, "{commit}"),
            Call::OffsetFetch { group, place, stable } => {
                write!(f, "offset-fetch {group} {place}{}", if *stable { " stable" } else { "" })
            }
            Call::Join { group, member, instance } => {
                write!(f, "join {group} {member:?}{}", Named("instance=", instance.as_ref()))
            }
            Call::Heartbeat { group, member, instance, owned } => {
                let instance = Named("instance=", instance.as_ref());
                write!(f, "heartbeat {group} {member:?}{instance} has {}", Run(owned))
            }
            Call::Leave { group, member } => write!(f, "leave {group} {member:?}"),
            Call::CreateTopic { name, partitions, settings } => {
                write!(f, "create-topic {name} {partitions} {settings}")
            }
            Call::DeleteTopic { topic } => write!(f, "delete-topic {topic}"),
            Call::CreatePartitions { topic, count } => write!(f, "create-partitions {topic} {count}"),
            Call::AlterTopic { topic, settings } => write!(f, "alter-topic {topic} {settings}"),
            Call::DescribeTopic { name } => write!(f, "describe-topic {name}"),
            Call::Other(what) => write!(f, "{what}"),
        }
    }
}

impl Display for Answer {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Answer::Done => write!(f, "ok"),
            Answer::Producer(producer) => write!(f, "{producer}"),
            Answer::Sent { offset, start } => {
                write!(f, "at {}{}", Known(*offset), Named("start=", start.as_ref()))
            }
            Answer::Fetched(reading) => write!(f, "{reading}"),
            Answer::Offset(offset) => write!(f, "offset {offset}"),
            Answer::Start(offset) => write!(f, "start {offset}"),
            Answer::Committed(offset) => write!(f, "committed {}", Known(*offset)),
            Answer::Assigned { member, epoch, places } => {
                write!(f, "member {member:?} epoch {epoch}")?;
                places.as_ref().map_or(Ok(()), |places| write!(f, " has {}", Run(places)))
            }
            Answer::Topic { topic, partitions } => write!(f, "topic {topic} {partitions}"),
        }
    }
}

impl Display for Fact {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Fact::Started { name, role } => write!(f, "started {name} {role:?}"),
            Fact::Stopped => write!(f, "stopped"),
            Fact::FaultsEnded => write!(f, "faults-ended"),
            Fact::SequenceDenied { place, producer, base_sequence } => {
                write!(f, "sequence-denied {place} {producer} s{base_sequence}")
            }
            Fact::Final { place, isolation, reading } => write!(f, "final {place} {isolation} {reading}"),
            Fact::Segments { place, archived, records } => {
                write!(f, "segments {place} archived {archived} {}", Run(records))
            }
            Fact::Chain { group, input, output } => write!(f, "chain {group} {input} to {output}"),
            Fact::Fsck { problems, unreferenced_bytes, allowed_bytes } => {
                write!(f, "fsck {problems:?} unreferenced {unreferenced_bytes} of {allowed_bytes}")
            }
            Fact::Note(note) => write!(f, "-- {note}"),
        }
    }
}

impl Display for TopicId {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:x}", self.0)
    }
}

impl Display for TopicPartition {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

impl Display for Batch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "send {}", self.place)?;
        write!(f, "{}{}", Named("", self.producer.as_ref()), Named("s", self.base_sequence.as_ref()))?;
        write!(f, "{} {}", Named("t", self.transaction.as_ref()), Run(&self.records))
    }
}

impl Display for Sent {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}{}", self.number, Key(self.key, self.tombstone))?;
        write!(f, "{}", Headers(self.headers))?;
        self.timestamp.map_or(Ok(()), |timestamp| write!(f, "@{timestamp}"))?;
        self.source.map_or(Ok(()), |source| write!(f, "<-{source}"))
    }
}

impl Display for Record {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}={}{}", self.offset, self.number, Key(self.key, self.tombstone))?;
        write!(f, "{}@{}", Headers(self.headers), self.timestamp)?;
        self.producer.map_or(Ok(()), |producer| write!(f, "{producer}"))
    }
}

impl Display for Producer {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "p{}.{}", self.producer_id, self.producer_epoch)
    }
}

impl Display for Fetch {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let Fetch { place, from, isolation, partitions, assignment } = self;
        write!(f, "fetch {place} {from} {isolation} of {partitions}{}", Named("a", assignment.as_ref()))
    }
}

impl Display for Reading {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "to {} ends {} {}", self.next, self.ends, Run(&self.records))?;
        if self.markers.is_empty() { Ok(()) } else { write!(f, " markers {}", Run(&self.markers)) }
    }
}

impl Display for Ends {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}..{}..{}", Known(self.start), Known(self.stable), Known(self.high))
    }
}

impl Display for Marker {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}={}{}", self.offset, self.verdict, self.producer)
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Verdict::Commit => "commit",
            Verdict::Abort => "abort",
        })
    }
}

impl Display for Isolation {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Isolation::Uncommitted => "uncommitted",
            Isolation::Committed => "committed",
        })
    }
}

impl Display for OffsetCommit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let OffsetCommit { group, member, epoch, place, offset, transaction } = self;
        write!(f, "commit {group} {member:?} epoch {epoch} {place} {offset}")?;
        write!(f, "{}", Named("t", transaction.as_ref()))
    }
}

impl Display for TopicSettings {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let TopicSettings { compact, delete, retention_ms, retention_bytes, delete_retention_ms } = self;
        let policy = match (compact, delete) {
            (false, false) => "keep",
            (false, true) => "delete",
            (true, false) => "compact",
            (true, true) => "compact,delete",
        };
        write!(f, "{policy}{}", Named("ms=", retention_ms.as_ref()))?;
        write!(f, "{} tombstones={delete_retention_ms}", Named("bytes=", retention_bytes.as_ref()))
    }
}

/// What is there, behind a blank and a word.
struct Named<'a, T>(&'static str, Option<&'a T>);

impl<T: Display> Display for Named<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.1.map_or(Ok(()), |value| write!(f, " {}{value}", self.0))
    }
}

/// A number, or a sign that it is not known.
struct Known(Option<i64>);

impl Display for Known {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 {
            Some(known) => write!(f, "{known}"),
            None => f.write_str("?"),
        }
    }
}

/// Things of a kind, in brackets.
struct Run<'a, T>(&'a [T]);

impl<T: Display> Display for Run<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str("[")?;
        for (index, one) in self.0.iter().enumerate() {
            write!(f, "{}{one}", if index == 0 { "" } else { " " })?;
        }
        f.write_str("]")
    }
}

/// A record's key, and whether it is there to end that key.
struct Key(Option<u64>, bool);

impl Display for Key {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.0.map_or(Ok(()), |key| write!(f, "k{key}"))?;
        f.write_str(if self.1 { "x" } else { "" })
    }
}

/// Headers where there are any.
struct Headers(u64);

impl Display for Headers {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.0 == 0 { Ok(()) } else { write!(f, "h{:x}", self.0) }
    }
}

/// Nanoseconds as microseconds, to the last digit.
struct Micros(Time);

impl Display for Micros {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self.0 % 1_000 {
            0 => write!(f, "{}", self.0 / 1_000),
            rest => write!(f, "{}.{rest:03}", self.0 / 1_000),
        }
    }
}
