//! Every record that stands anywhere was sent there, before it was seen, and is as it was sent. That an offset has one value
//! is seen where what stands is gathered.

use super::history::{Batch, Record, RecordNumber, Sent, TopicPartition};
use super::seen::{Seen, Send, Stand, Stood};
use super::{Anomaly, Found};

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    for (&place, log) in &seen.logs {
        for (&offset, stand) in &log.stands {
            if let Stood::Record(number) = stand.what {
                check_record(seen, place, offset, stand, number, found);
            }
        }
    }
}

fn check_record(
    seen: &Seen<'_>,
    place: TopicPartition,
    offset: i64,
    stand: &Stand,
    number: RecordNumber,
    found: &mut Found,
) {
    let early = |(send, _): &(&Send<'_>, &Sent)| send.operation.called < stand.at;
    let sends: Vec<_> = seen.sends_of(number).filter(early).collect();
    let here: Vec<_> = sends.iter().filter(|(send, _)| may_land(seen, send, place, stand)).collect();
    let events = || sends.iter().map(|(send, _)| send.operation.called).chain([stand.at]);
    if here.is_empty() {
        let is_old = sends.iter().any(|(send, _)| send.batch.place.topic != place.topic);
        let anomaly = if is_old { Anomaly::OldTopic } else { Anomaly::NeverSent };
        return found.add(anomaly, events(), format!("record {number} at {offset} of {place}"));
    }
    if here.iter().all(|(send, _)| send.operation.is_refused()) {
        let events = here.iter().map(|(send, _)| send.operation.last()).chain([stand.at]);
        return found.add(Anomaly::RefusedIsThere, events, format!("record {number} at {offset} of {place}"));
    }
    let Some((record, read_at)) = stand.record else { return };
    if !here.iter().any(|(send, sent)| is_as_sent(&record, sent, send.batch)) {
        let events = here.iter().map(|(send, _)| send.operation.called).chain([read_at]);
        found.add(Anomaly::Altered, events, format!("{record} of {place}, sent: {}", here[0].1));
    }
}

/// Whether a batch may be in this partition: it was sent there, or by a name that may have been this topic's by then.
fn may_land(seen: &Seen<'_>, send: &Send<'_>, place: TopicPartition, stand: &Stand) -> bool {
    let Batch { place: sent_to, .. } = send.batch;
    if sent_to.partition != place.partition {
        return false;
    }
    let name = |topic| seen.topics.get(topic).and_then(|topic| topic.name.as_ref());
    let created = seen.topics.get(&place.topic).and_then(|topic| topic.created);
    let was_over = |created| send.operation.done().is_some_and(|done| done < created);
    sent_to.topic == place.topic
        || name(&sent_to.topic).is_some()
            && name(&sent_to.topic) == name(&place.topic)
            && seen.may_be_gone(sent_to.topic, stand.at)
            && !created.is_some_and(was_over)
}

fn is_as_sent(record: &Record, sent: &Sent, batch: &Batch) -> bool {
    let Record { offset: _, number: _, key, tombstone, headers, timestamp, producer } = *record;
    key == sent.key
        && tombstone == sent.tombstone
        && headers == sent.headers
        && sent.timestamp.is_none_or(|sent| sent == timestamp)
        && producer == batch.producer
}
