//! One event of a history, dropped, doubled, swapped or altered.

use super::super::super::super::history::*;
use super::model::Chance;
use std::collections::BTreeSet;

/// What a change does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It breaks a rule.
    Caught,
    /// Less is known, or the same.
    Harmless,
}

/// Makes a change, if the event that chance picks has one of the drawn kind.
pub fn change(history: &mut History, chance: &mut Chance) -> Option<(String, Effect)> {
    let count = u64::try_from(history.events.len()).expect("few");
    let index = usize::try_from(chance.below(count)).expect("small");
    let told = history.events[index].to_string();
    let (what, effect) = match chance.below(5) {
        0 => ("dropped", drop_event(history, index)?),
        1 => ("doubled", double(history, index)),
        2 => ("swapped with the next", swap(history, index)?),
        _ => ("altered", alter(history, index, chance)?),
    };
    Some((format!("{index} {told}: {what}"), effect))
}

fn drop_event(history: &mut History, index: usize) -> Option<Effect> {
    let effect = match &history.events[index].what {
        // Its return has no call any more.
        What::Call { .. } => Effect::Caught,
        // Nobody knows any more what became of it.
        What::Return { .. } => Effect::Harmless,
        What::Fact(Fact::Segments { .. }) => Effect::Harmless,
        What::Fact(_) => return None,
    };
    history.events.remove(index);
    Some(effect)
}

fn double(history: &mut History, index: usize) -> Effect {
    let event = history.events[index].clone();
    let is_fact = matches!(event.what, What::Fact(_));
    history.events.insert(index, event);
    // To read all twice is to find the same.
    if is_fact { Effect::Harmless } else { Effect::Caught }
}

/// The two change places, and not times.
fn swap(history: &mut History, index: usize) -> Option<Effect> {
    let [first, second] = history.events.get_mut(index..index + 2)? else { return None };
    let effect = match (&first.what, &second.what) {
        (What::Call { request: call, .. }, What::Return { request, .. }) if call == request => Effect::Caught,
        // One is known to be over before the other begins, which nobody had said.
        (What::Call { .. }, What::Return { .. }) => return None,
        // What was known to come first is not known to any more.
        (What::Return { .. }, What::Call { .. }) if first.client != second.client => Effect::Harmless,
        (What::Call { .. }, What::Call { .. }) | (What::Return { .. }, What::Return { .. }) => {
            Effect::Harmless
        }
        _ => return None,
    };
    std::mem::swap(&mut first.at, &mut second.at);
    history.events.swap(index, index + 1);
    Some(effect)
}

fn alter(history: &mut History, index: usize, chance: &mut Chance) -> Option<Effect> {
    let sure = Sure::of(history);
    match &mut history.events[index].what {
        What::Return { outcome, request } => alter_return(*request, outcome, &sure, chance),
        What::Fact(Fact::Final { place, reading, .. }) => alter_reading(*place, reading, &sure, chance),
        What::Fact(Fact::Segments { records, .. }) if !records.is_empty() => {
            let at = usize::try_from(chance.below(records.len() as u64)).expect("small");
            match chance.below(3) {
                0 => {
                    records.remove(at);
                }
                1 => records[at].timestamp += 1,
                _ => records[at].number = NOBODYS,
            }
            Some(Effect::Caught)
        }
        _ => None,
    }
}

/// No record has it.
const NOBODYS: RecordNumber = 5;

fn alter_return(
    request: RequestNumber,
    outcome: &mut Outcome,
    sure: &Sure,
    chance: &mut Chance,
) -> Option<Effect> {
    match outcome {
        Outcome::Ok(Answer::Fetched(reading)) => {
            let place = *sure.fetches.get(usize::try_from(request).ok()?)?.as_ref()?;
            alter_reading(place, reading, sure, chance)
        }
        Outcome::Ok(Answer::Committed(offset)) => {
            *offset = Some(offset.unwrap_or(0) + 1_000_000);
            Some(Effect::Caught)
        }
        Outcome::Ok(Answer::Sent { offset: Some(offset), .. }) if sure.sends.contains(&request) => {
            if chance.one_in(2) {
                *outcome = Outcome::Refused(6);
            } else {
                *offset += 1;
            }
            Some(Effect::Caught)
        }
        _ => None,
    }
}

fn alter_reading(
    place: TopicPartition,
    reading: &mut Reading,
    sure: &Sure,
    chance: &mut Chance,
) -> Option<Effect> {
    let count = u64::try_from(reading.records.len()).expect("few");
    if count == 0 {
        return None;
    }
    let at = usize::try_from(chance.below(count)).expect("small");
    let is_sure = sure.records.contains(&(place, reading.records[at].offset));
    match chance.below(6) {
        0 if is_sure => {
            reading.records.remove(at);
        }
        1 if is_sure => reading.records[at].number = NOBODYS,
        2 if is_sure => reading.records[at].headers += 1,
        3 if at > 0 => reading.records.swap(at, at - 1),
        4 => reading.records.insert(at, reading.records[at]),
        5 => reading.ends.high = Some(reading.next - 1),
        _ => return None,
    }
    Some(Effect::Caught)
}

/// What is known well enough to be missed.
struct Sure {
    /// Readers of committed records found them there in the end.
    records: BTreeSet<(TopicPartition, i64)>,
    /// Acknowledged batches of which readers of all records found all there in the end.
    sends: BTreeSet<RequestNumber>,
    /// What each request asked for, if it is a fetch.
    fetches: Vec<Option<TopicPartition>>,
}

impl Sure {
    fn of(history: &History) -> Sure {
        let mut records = BTreeSet::new();
        let mut numbers = BTreeSet::new();
        for event in &history.events {
            if let What::Fact(Fact::Final { place, isolation, reading }) = &event.what {
                if *isolation == Isolation::Committed {
                    records.extend(reading.records.iter().map(|record| (*place, record.offset)));
                } else {
                    numbers.extend(reading.records.iter().map(|record| record.number));
                }
            }
        }
        let mut sends = BTreeSet::new();
        let mut fetches = Vec::new();
        for event in &history.events {
            let What::Call { request, call } = &event.what else { continue };
            fetches.push(match call {
                Call::Fetch(fetch) => Some(fetch.place),
                _ => None,
            });
            if let Call::Send(batch) = call
                && batch.records.iter().all(|sent| numbers.contains(&sent.number))
            {
                sends.insert(*request);
            }
        }
        Sure { records, sends, fetches }
    }
}
