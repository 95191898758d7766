//! A chain's output holds every record of its input exactly once, those of one partition in their order.

use super::history::{Fact, Isolation, RecordNumber, TopicId, TopicPartition};
use super::seen::{Read, Seen};
use super::{Anomaly, Found, Moment};
use std::collections::BTreeMap;

/// A record of the output: its place, and when it was read.
type Output = (TopicPartition, i64, Moment);

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    for &(moment, fact) in &seen.facts {
        if let Fact::Chain { input, output, .. } = fact {
            check_chain(seen, *input, *output, moment, found);
        }
    }
}

fn check_chain(seen: &Seen<'_>, input: TopicId, output: TopicId, moment: Moment, found: &mut Found) {
    let mut made: BTreeMap<RecordNumber, Vec<Output>> = BTreeMap::new();
    for (place, read) in finals(seen, output) {
        for record in &read.reading.records {
            let source = seen.sends_of(record.number).find_map(|(_, sent)| sent.source);
            if let Some(source) = source {
                made.entry(source).or_default().push((place, record.offset, read.ended));
            }
        }
    }
    // Also of those that the input has no more.
    for (source, outputs) in made.iter().filter(|(_, outputs)| outputs.len() > 1) {
        let events = outputs.iter().map(|&(_, _, at)| at).chain([moment]);
        found.add(Anomaly::ChainDoubled, events, format!("made of {source}: {outputs:?}"));
    }
    for (place, read) in finals(seen, input) {
        // Of each partition of the output: what came of the newest record so far.
        let mut newest: BTreeMap<TopicPartition, (i64, Moment)> = BTreeMap::new();
        for record in &read.reading.records {
            let outputs = made.get(&record.number).map_or(&[][..], Vec::as_slice);
            if outputs.is_empty() {
                let what = format!("nothing was made of {record} of {place}");
                found.add(Anomaly::ChainLost, [read.ended, moment], what);
            }
            for &(made_in, offset, at) in outputs {
                if let Some(&(before, told)) = newest.get(&made_in).filter(|&&(before, _)| offset < before) {
                    let what = format!("{record} of {place}: {offset} of {made_in}, after {before}");
                    found.add(Anomaly::ChainReordered, [told, at, read.ended], what);
                }
                let newest = newest.entry(made_in).or_insert((offset, at));
                *newest = (*newest).max((offset, at));
            }
        }
    }
}

/// What is committed in a topic's partitions in the end.
fn finals<'s, 'a>(
    seen: &'s Seen<'a>,
    topic: TopicId,
) -> impl Iterator<Item = (TopicPartition, &'s Read<'a>)> {
    let places = seen.reads.keys().filter(move |place| place.topic == topic);
    places.filter_map(|&place| Some((place, seen.final_read(place, Isolation::Committed)?)))
}
