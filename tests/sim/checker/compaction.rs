//! What compaction may take away: a record with a later one of its key, and a tombstone when its time is over. So the last
//! value of a key is missed by whoever reads past it.

use super::Moment;
use super::history::{RecordNumber, TopicId, TopicPartition};
use super::seen::{Read, Seen, Stand, Stood};
use std::collections::BTreeMap;

/// Whether a topic may have been compacted up to this moment.
pub fn is_on(seen: &Seen<'_>, topic: TopicId, before: Moment) -> bool {
    seen.settings(topic, before).any(|settings| settings.compact)
}

/// The records of each key of a partition.
pub struct Keys {
    /// Those whose offsets are known.
    standing: BTreeMap<u64, Vec<(i64, RecordNumber)>>,
    /// Tombstones that may be anywhere.
    floating: BTreeMap<u64, Vec<RecordNumber>>,
}

impl Keys {
    pub fn of(seen: &Seen<'_>, place: TopicPartition) -> Keys {
        let mut keys = Keys { standing: BTreeMap::new(), floating: BTreeMap::new() };
        let Some(log) = seen.logs.get(&place) else { return keys };
        for (&offset, stand) in &log.stands {
            if let Stood::Record(number) = stand.what
                && let Some((key, _)) = key_of(seen, number)
            {
                keys.standing.entry(key).or_default().push((offset, number));
            }
        }
        let sends =
            seen.sends.iter().filter(|send| send.batch.place == place && !send.operation.is_refused());
        for sent in sends.flat_map(|send| &send.batch.records) {
            let stands = log.offsets.contains_key(&sent.number);
            if let Some(key) = sent.key.filter(|_| sent.tombstone && !stands) {
                keys.floating.entry(key).or_default().push(sent.number);
            }
        }
        keys
    }

    /// Whether a record may be gone for who reads past its offset.
    pub fn may_be_gone(
        &self,
        seen: &Seen<'_>,
        offset: i64,
        stand: &Stand,
        read: &Read<'_>,
        topic: TopicId,
    ) -> bool {
        let Stood::Record(number) = stand.what else { return true };
        if !is_on(seen, topic, read.ended) {
            return false;
        }
        // Records without a key go with the first pass.
        let Some((key, tombstone)) = key_of(seen, number) else { return true };
        let standing = self.standing.get(&key).into_iter().flatten();
        let mut later = standing.filter(|&&(later, _)| later > offset).map(|&(_, number)| number);
        let floating = self.floating.get(&key).into_iter().flatten().copied();
        later.any(|number| was_committed(seen, number, read.ended))
            || tombstone && is_over(seen, number, read, topic)
            || floating
                .into_iter()
                .any(|number| was_committed(seen, number, read.ended) && is_over(seen, number, read, topic))
    }
}

/// A record's key, and whether it ends it.
fn key_of(seen: &Seen<'_>, number: RecordNumber) -> Option<(u64, bool)> {
    let (_, sent) = seen.sends_of(number).next()?;
    sent.key.map(|key| (key, sent.tombstone))
}

/// Whether a record may have been below the last stable offset before this moment, and not aborted.
fn was_committed(seen: &Seen<'_>, number: RecordNumber, before: Moment) -> bool {
    seen.sends_of(number).any(|(send, _)| match send.batch.transaction {
        None => send.operation.called < before,
        Some(number) => {
            let transaction = &seen.transactions[&number];
            !transaction.must_be_aborted()
                && transaction.commit_called().is_some_and(|called| called < before)
        }
    })
}

/// Whether `delete.retention.ms` may be over for a tombstone, by clocks that are wrong the worst way.
fn is_over(seen: &Seen<'_>, number: RecordNumber, read: &Read<'_>, topic: TopicId) -> bool {
    let Some((send, _)) = seen.sends_of(number).next() else { return false };
    let error = seen.history.bounds.clock_error.saturating_mul(2);
    let age = read.ended_at.saturating_sub(send.operation.called_at).saturating_add(error);
    let mut settings = seen.settings(topic, read.ended).filter(|settings| settings.compact);
    settings.any(|settings| age >= settings.delete_retention_ms.saturating_mul(1_000_000))
}
