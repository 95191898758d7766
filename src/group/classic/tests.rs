//! What a classic group promises, rule by rule, and under random requests.

mod check;
mod join;
mod leave;
mod limits;
mod random;
mod rebalance;
mod static_members;
mod stored;
mod subscription;
mod sync;

use super::super::{GroupError, GroupInstanceId, MemberId, Ticket};
use super::{
    Answer, Assignment, ClassicGroup, ClassicGroupConfig, HeartbeatRequest, JoinRequest, Joined, LeaveAnswer,
    LeaveRequest, LeavingMember, Protocol, SyncRequest, Synced,
};
use crate::types::Moment;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

/// The session and rebalance timeouts of members, unless a test says otherwise.
const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);
const DELAY: Duration = Duration::from_secs(3);

/// A group, its clock, and all that it answered so far.
struct World {
    group: ClassicGroup,
    now: Moment,
    tickets: u64,
    uuids: u128,
    answers: BTreeMap<Ticket, Answer>,
}

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// A subscription of version 1 to these topics.
fn subscription_to(topics: &[&str]) -> Bytes {
    let mut bytes = vec![0, 1];
    bytes.extend(i32::try_from(topics.len()).expect("few topics").to_be_bytes());
    for topic in topics {
        bytes.extend(i16::try_from(topic.len()).expect("short names").to_be_bytes());
        bytes.extend(topic.as_bytes());
    }
    bytes.extend((-1_i32).to_be_bytes());
    bytes.extend(0_i32.to_be_bytes());
    Bytes::from(bytes)
}

fn protocols(names: &[&str]) -> Vec<Protocol> {
    names
        .iter()
        .map(|name| Protocol { name: (*name).to_owned(), metadata: subscription_to(&["t"]) })
        .collect()
}

/// A join of a consumer that gets its id at once.
fn join_as(member_id: &MemberId) -> JoinRequest {
    JoinRequest {
        member_id: member_id.clone(),
        group_instance_id: None,
        client_id: "c".to_owned(),
        client_host: "/10.0.0.1".to_owned(),
        session_timeout_ms: 10_000,
        rebalance_timeout_ms: 60_000,
        protocol_type: "consumer".to_owned(),
        protocols: protocols(&["range"]),
        member_id_required: false,
        skip_assignment: true,
        fresh_id: Uuid::nil(),
    }
}

fn new_join() -> JoinRequest {
    join_as(&MemberId::default())
}

fn static_join(instance: &str) -> JoinRequest {
    JoinRequest { group_instance_id: Some(GroupInstanceId::new(instance)), ..new_join() }
}

fn sync_as(member_id: &MemberId, generation_id: i32) -> SyncRequest {
    SyncRequest {
        member_id: member_id.clone(),
        group_instance_id: None,
        generation_id,
        protocol_type: None,
        protocol_name: None,
        assignments: Vec::new(),
    }
}

/// What a test's leader assigns: to each its own id.
fn assign(members: &[MemberId]) -> Vec<Assignment> {
    let own = |member_id: &MemberId| Bytes::copy_from_slice(member_id.as_str().as_bytes());
    members.iter().map(|member| Assignment { member_id: member.clone(), assignment: own(member) }).collect()
}

impl World {
    fn new() -> World {
        World::with(ClassicGroupConfig::default())
    }

    fn with(config: ClassicGroupConfig) -> World {
        World::of(ClassicGroup::new(config))
    }

    fn of(group: ClassicGroup) -> World {
        World { group, now: Moment(secs(1000)), tickets: 0, uuids: 0, answers: BTreeMap::new() }
    }

    fn ticket(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    fn take(&mut self) {
        for (ticket, answer) in self.group.take_answers() {
            let before = self.answers.insert(ticket, answer);
            assert_eq!(before, None, "{ticket:?} is answered once");
            assert!(ticket.0 <= self.tickets, "{ticket:?} was given");
        }
    }

    /// Lets time pass, with the group's timers at their time.
    fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        for _ in 0..10_000 {
            let Some(due) = self.group.next_deadline().filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            self.now = self.now.max(due);
            self.group.on_time(self.now);
            self.take();
        }
        panic!("the timers of a group in {} never end", self.group.state_name());
    }

    fn join(&mut self, mut request: JoinRequest) -> Ticket {
        self.uuids += 1;
        request.fresh_id = Uuid::from_u128(self.uuids);
        let ticket = self.ticket();
        self.group.on_join(ticket, request, self.now);
        self.take();
        ticket
    }

    fn sync(&mut self, request: SyncRequest) -> Ticket {
        let ticket = self.ticket();
        self.group.on_sync(ticket, request, self.now);
        self.take();
        ticket
    }

    fn heartbeat(&mut self, member_id: &MemberId, generation_id: i32) -> Result<(), GroupError> {
        self.heartbeat_as(member_id, None, generation_id)
    }

    fn heartbeat_as(
        &mut self,
        member_id: &MemberId,
        instance: Option<&str>,
        generation_id: i32,
    ) -> Result<(), GroupError> {
        let ticket = self.ticket();
        let group_instance_id = instance.map(GroupInstanceId::new);
        let request = HeartbeatRequest { member_id: member_id.clone(), group_instance_id, generation_id };
        self.group.on_heartbeat(ticket, &request, self.now);
        self.take();
        match self.answers.get(&ticket) {
            Some(Answer::Heartbeat(result)) => result.clone(),
            other => panic!("a heartbeat is answered at once, not by {other:?}"),
        }
    }

    fn leave(&mut self, members: &[(&MemberId, Option<&str>)]) -> Vec<Result<(), GroupError>> {
        let ticket = self.ticket();
        let leaving = |(member_id, instance): &(&MemberId, Option<&str>)| LeavingMember {
            member_id: (*member_id).clone(),
            group_instance_id: instance.map(GroupInstanceId::new),
        };
        let request = LeaveRequest { members: members.iter().map(leaving).collect() };
        self.group.on_leave(ticket, request, self.now);
        self.take();
        match self.answers.get(&ticket) {
            Some(Answer::Leave(answers)) => {
                answers.iter().map(|LeaveAnswer { result, .. }| result.clone()).collect()
            }
            other => panic!("a leave is answered at once, not by {other:?}"),
        }
    }

    fn waits(&self, ticket: Ticket) -> bool {
        !self.answers.contains_key(&ticket)
    }

    #[track_caller]
    fn joined(&self, ticket: Ticket) -> Joined {
        match self.answers.get(&ticket) {
            Some(Answer::Join(Ok(joined))) => joined.clone(),
            other => panic!("{ticket:?} should have joined: {other:?} in {}", self.group.state_name()),
        }
    }

    #[track_caller]
    fn synced(&self, ticket: Ticket) -> Synced {
        match self.answers.get(&ticket) {
            Some(Answer::Sync(Ok(synced))) => synced.clone(),
            other => panic!("{ticket:?} should have synced: {other:?} in {}", self.group.state_name()),
        }
    }

    #[track_caller]
    fn refused(&self, ticket: Ticket) -> GroupError {
        match self.answers.get(&ticket) {
            Some(Answer::Join(Err(refused))) => refused.error.clone(),
            Some(Answer::Sync(Err(error))) => error.clone(),
            other => panic!("{ticket:?} should be refused: {other:?} in {}", self.group.state_name()),
        }
    }

    /// Joins of an empty group, until they are answered.
    fn join_all(&mut self, requests: Vec<JoinRequest>) -> Vec<Joined> {
        let tickets: Vec<Ticket> = requests.into_iter().map(|request| self.join(request)).collect();
        self.pass(DELAY * 2);
        tickets.into_iter().map(|ticket| self.joined(ticket)).collect()
    }

    /// All of them sync, the leader last.
    fn sync_all(&mut self, joined: &[Joined]) {
        let ids: Vec<MemberId> = joined.iter().map(|each| each.member_id.clone()).collect();
        for each in joined.iter().filter(|each| each.member_id != each.group_leader) {
            self.sync(sync_as(&each.member_id, each.generation_id));
        }
        let group_leader = joined[0].group_leader.clone();
        let request =
            SyncRequest { assignments: assign(&ids), ..sync_as(&group_leader, joined[0].generation_id) };
        let ticket = self.sync(request);
        assert_eq!(self.synced(ticket).assignment, group_leader.as_str().as_bytes());
        assert_eq!(self.group.state_name(), "Stable");
    }

    /// A stable group of those members. The first is the leader.
    fn stable(&mut self, requests: Vec<JoinRequest>) -> Vec<MemberId> {
        let joined = self.join_all(requests);
        self.sync_all(&joined);
        self.group.take_dirty();
        let mut ids: Vec<MemberId> = joined.iter().map(|each| each.member_id.clone()).collect();
        ids.sort_by_key(|id| *id != joined[0].group_leader);
        ids
    }

    fn stable_of(&mut self, members: usize) -> Vec<MemberId> {
        self.stable((0..members).map(|_| new_join()).collect())
    }
}
