//! Who owns what in a group. In one generation, or at one member epoch, a partition is given to one member. In the new protocol
//! it is given to the next one only when the last one has said that it let go, or may be taken for gone: not heard for a
//! session's time, or late in giving back. Who comes under the same instance's name takes the place of who was there.

use super::history::{Answer, Call, Time, TopicPartition};
use super::operations::{End, Operation};
use super::seen::Seen;
use super::{Anomaly, Found, Moment};
use std::collections::{BTreeMap, BTreeSet};

/// A group's members as far as they were told.
#[derive(Default)]
struct Group<'a> {
    /// Who was given a partition in a generation, and when.
    given: BTreeMap<(i32, TopicPartition), (&'a str, Option<&'a str>, Moment)>,
    members: BTreeMap<&'a str, Member<'a>>,
}

/// What one member has.
#[derive(Default)]
struct Member<'a> {
    instance: Option<&'a str>,
    has: BTreeMap<TopicPartition, Has>,
    /// When its last heartbeat that was answered had been sent.
    heard_at: Time,
}

/// Since when, and when it was told to let go.
#[derive(Clone, Copy)]
struct Has {
    since: Moment,
    taken_at: Option<Time>,
}

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    let mut groups: BTreeMap<&str, Group<'_>> = BTreeMap::new();
    for (_, operation, step) in steps(seen) {
        match (operation.call, step) {
            (Call::Join { group, instance, .. }, Step::Ended(end)) => {
                let group = groups.entry(group).or_default();
                if let Some((Answer::Assigned { member, epoch, places: Some(places) }, _)) =
                    operation.answer()
                {
                    group.give(*epoch, member, instance.as_deref(), places, end.moment, found);
                }
            }
            (Call::Heartbeat { group, member, owned, .. }, Step::Called) => {
                groups.entry(group).or_default().let_go(member, owned);
            }
            (Call::Heartbeat { group, instance, owned, .. }, Step::Ended(end)) => {
                let group = groups.entry(group).or_default();
                group.on_heartbeat(seen, operation, instance.as_deref(), owned, end, found);
            }
            (Call::Leave { group, member }, Step::Called) => {
                groups.entry(group).or_default().let_go(member, &[]);
            }
            _ => {}
        }
    }
}

enum Step<'a> {
    Called,
    Ended(End<'a>),
}

/// Calls and returns in the order in which they happened.
fn steps<'a>(seen: &Seen<'a>) -> Vec<(Moment, &'a Operation<'a>, Step<'a>)> {
    let mut steps = Vec::new();
    for operation in seen.operations {
        let is_member =
            matches!(operation.call, Call::Join { .. } | Call::Heartbeat { .. } | Call::Leave { .. });
        if is_member {
            steps.push((operation.called, operation, Step::Called));
            steps.extend(operation.end.map(|end| (end.moment, operation, Step::Ended(end))));
        }
    }
    steps.sort_by_key(|(moment, _, _)| *moment);
    steps
}

impl<'a> Group<'a> {
    fn give(
        &mut self,
        epoch: i32,
        member: &'a str,
        instance: Option<&'a str>,
        places: &[TopicPartition],
        at: Moment,
        found: &mut Found,
    ) {
        for &place in places {
            let first = *self.given.entry((epoch, place)).or_insert((member, instance, at));
            let is_same = first.0 == member || instance.is_some() && instance == first.1;
            if !is_same {
                let what = format!("{place} in epoch {epoch}: {:?} and {member:?}", first.0);
                found.add(Anomaly::TwoOwners, [first.2, at], what);
            }
        }
    }

    /// A member says what it still has.
    fn let_go(&mut self, member: &str, owned: &[TopicPartition]) {
        if let Some(member) = self.members.get_mut(member) {
            member.has.retain(|place, _| owned.contains(place));
        }
    }

    fn on_heartbeat(
        &mut self,
        seen: &Seen<'_>,
        operation: &'a Operation<'a>,
        instance: Option<&'a str>,
        owned: &[TopicPartition],
        end: End<'_>,
        found: &mut Found,
    ) {
        let Call::Heartbeat { member: asked_as, .. } = operation.call else { return };
        let Some((Answer::Assigned { member, epoch, places }, _)) = operation.answer() else {
            // It is no member any more, and has stopped.
            if operation.is_refused() {
                self.members.remove(asked_as.as_str());
            }
            return;
        };
        let known = self.members.entry(member).or_default();
        known.instance = instance;
        known.heard_at = known.heard_at.max(operation.called_at);
        let has: Vec<TopicPartition> = match places {
            Some(places) => places.clone(),
            None => known.has.keys().copied().chain(owned.iter().copied()).collect(),
        };
        self.give(*epoch, member, instance, &has, end.moment, found);
        for &place in &has {
            self.check_alone(seen, member, instance, place, end, found);
        }
        let Some(known) = self.members.get_mut(member.as_str()) else { return };
        let wanted: BTreeSet<TopicPartition> = has.iter().copied().collect();
        for (place, has) in &mut known.has {
            let taken_at = has.taken_at.unwrap_or(operation.called_at);
            has.taken_at = (!wanted.contains(place)).then_some(taken_at);
        }
        for place in has {
            known.has.entry(place).or_insert(Has { since: end.moment, taken_at: None });
        }
    }

    /// Nobody else has it who must be thought to be there.
    fn check_alone(
        &self,
        seen: &Seen<'_>,
        member: &str,
        instance: Option<&str>,
        place: TopicPartition,
        end: End<'_>,
        found: &mut Found,
    ) {
        let bounds = seen.history.bounds;
        let others = self.members.iter().filter(|(name, other)| {
            let is_same = **name == member || instance.is_some() && instance == other.instance;
            !is_same
        });
        for (name, other) in others {
            let Some(has) = other.has.get(&place) else { continue };
            let is_heard = end.at < other.heard_at.saturating_add(bounds.session_timeout);
            let is_late =
                has.taken_at.is_some_and(|at| end.at >= at.saturating_add(bounds.rebalance_timeout));
            if is_heard && !is_late {
                let what = format!("{place} is given to {member:?}, and {name:?} has it");
                found.add(Anomaly::TwoOwners, [has.since, end.moment], what);
            }
        }
    }
}
