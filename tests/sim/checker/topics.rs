//! An id is one topic's for ever, and a topic's partitions only grow. Brokers learn of more partitions one after the other,
//! so each is held against what it said itself. What a deleted topic had never comes back in the next one of its name; that
//! is seen where every record is asked where it was sent (`offsets`).

use super::history::{Answer, Call, TopicId};
use super::known::{Known, Told};
use super::seen::Seen;
use super::{Anomaly, Found, Moment};
use std::collections::BTreeMap;

/// What a broker said of a topic: asked, answered, how many partitions.
type Described = (Moment, Moment, i32);

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    let mut names: BTreeMap<TopicId, (&str, Moment)> = BTreeMap::new();
    let mut created: BTreeMap<TopicId, Moment> = BTreeMap::new();
    let mut described: BTreeMap<(TopicId, Option<i32>), Vec<Described>> = BTreeMap::new();
    for operation in seen.operations {
        let Some((Answer::Topic { topic, partitions }, end)) = operation.answer() else { continue };
        let name = match operation.call {
            Call::CreateTopic { name, .. } => {
                if let Some(first) = created.insert(*topic, end.moment) {
                    found.add(Anomaly::TopicIdReused, [first, end.moment], format!("{topic} was made twice"));
                }
                name
            }
            Call::DescribeTopic { name } => name,
            _ => continue,
        };
        let (first, at) = *names.entry(*topic).or_insert((name, end.moment));
        if first != name {
            found.add(Anomaly::TopicIdReused, [at, end.moment], format!("{topic} is {first} and {name}"));
        }
        let answer = (operation.called, end.moment, *partitions);
        described.entry((*topic, end.broker)).or_default().push(answer);
    }
    for ((topic, _), described) in described {
        let told = described.iter().map(|&(_, at, count)| Told { at, value: i64::from(count) });
        let known = Known::of(told);
        for (called, ended, count) in described {
            if let Some(told) = known.before(called).filter(|told| told.value > i64::from(count)) {
                let what = format!("{topic} has {count} partitions, had {}", told.value);
                found.add(Anomaly::PartitionsWentBack, [told.at, called, ended], what);
            }
        }
    }
}
