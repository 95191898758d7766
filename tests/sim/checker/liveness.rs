//! After the faults have ended every client gets on within the bound: it completes what its role is there for.

use super::history::{Answer, Call, ClientId, Event, Fact, Role, Time, Verdict, What};
use super::operations::Operation;
use super::seen::Seen;
use super::{Anomaly, Found, Moment};
use std::collections::BTreeMap;

/// A client that is to get on.
struct Client<'a> {
    name: &'a str,
    role: Role,
    started: Moment,
    started_at: Time,
}

pub fn check(seen: &Seen<'_>, found: &mut Found) {
    let mut ended: Option<(Moment, Time)> = None;
    let mut clients: BTreeMap<ClientId, Client<'_>> = BTreeMap::new();
    for (moment, event) in seen.history.events.iter().enumerate() {
        let Event { at, client, what: What::Fact(fact), .. } = event else { continue };
        match fact {
            Fact::FaultsEnded => ended = Some((moment, *at)),
            Fact::Started { name, role } => {
                let started = Client { name, role: *role, started: moment, started_at: *at };
                clients.insert(*client, started);
            }
            Fact::Stopped if ended.is_none() => {
                clients.remove(client);
            }
            _ => {}
        }
    }
    let Some((faults_ended, at)) = ended else { return };
    for (id, client) in clients {
        let deadline = at.max(client.started_at).saturating_add(seen.history.bounds.progress_within);
        let own = || seen.operations.iter().filter(|operation| operation.client == id);
        let in_time = |operation: &&Operation<'_>| {
            operation.answer().is_some_and(|(_, end)| end.moment > faults_ended && end.at <= deadline)
        };
        let commits = |group: &str| {
            let mut all = seen.operations.iter().filter(in_time);
            all.any(|operation| matches!(operation.call, Call::Commit(commit) if commit.group == group))
        };
        let gets_on = own().filter(in_time).any(|operation| {
            let without = group_without_share(operation).filter(|_| client.role == Role::Member);
            is_progress(client.role, operation) || without.is_some_and(commits)
        });
        if !gets_on {
            let last = own().map(Operation::last).max().unwrap_or(client.started);
            let what = format!("{} ({:?})", client.name, client.role);
            found.add(Anomaly::Stuck, [client.started, faults_ended, last], what);
        }
    }
}

/// Of which group a member is told that it has nothing to read: it got on if the group did.
fn group_without_share<'a>(operation: &Operation<'a>) -> Option<&'a str> {
    let (Answer::Assigned { places, .. }, _) = operation.answer()? else { return None };
    let has_none = places.as_ref().is_none_or(Vec::is_empty);
    match operation.call {
        Call::Join { group, .. } if has_none => Some(group),
        Call::Heartbeat { group, owned, .. } if has_none && owned.is_empty() => Some(group),
        _ => None,
    }
}

/// Whether an operation that succeeded is what a client of this role is there for.
fn is_progress(role: Role, operation: &Operation<'_>) -> bool {
    match (role, operation.call, operation.answer()) {
        (Role::Operator, _, _) => true,
        (Role::Producer, Call::Send(_), _) => true,
        (Role::Transactional, Call::EndTransaction { verdict, .. }, _) => *verdict == Verdict::Commit,
        (Role::Reader, Call::Fetch(fetch), Some((Answer::Fetched(reading), _))) => {
            reading.next > fetch.from || reading.ends.high.is_some()
        }
        (Role::Member, Call::Commit(_), _) => true,
        (Role::Producer | Role::Transactional | Role::Reader | Role::Member, _, _) => false,
    }
}
