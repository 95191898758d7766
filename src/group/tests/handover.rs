//! Groups that change hands between two sessions on one store: what the old coordinator says late is wrong for nobody.

use super::life::pass;
use super::world::World;
use crate::cluster::PlacementKey;
use crate::group::delivery::{DeliveryError, ShareKey};
use crate::group::share::ShareHeartbeatRequest;
use crate::group::{GroupCoordinator, GroupError, GroupId, MemberId};
use crate::leadership::Leader;
use crate::meta::faults::FaultyStore;
use crate::meta::keys::view::{EARLIER_VIEWS_MAX, EarlierView, Member, View};
use crate::meta::{MetadataStore, Revision};
use crate::remote::{NoAnswer, RemoteBrokers, RequestKind};
use crate::types::{
    BrokerId, Offset, PartitionIndex, SessionId, TopicId, TopicName, TopicPartition, ViewNumber,
};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use proptest::prelude::*;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

const ALL: [i32; 4] = [0, 1, 2, 3];
/// Gets that a store answers which is not held up.
const MANY: usize = 1_000_000;

/// Carries requests between the groups of sessions.
#[derive(Debug, Default)]
struct Link {
    ends: Mutex<HashMap<SessionId, GroupCoordinator>>,
}

impl RemoteBrokers for Link {
    fn ask(&self, to: SessionId, request: Bytes, _: Duration) -> BoxFuture<'_, Result<Bytes, NoAnswer>> {
        let groups = self.ends.lock().get(&to).cloned();
        Box::pin(async move {
            let groups = groups.ok_or_else(|| NoAnswer("nobody is there".to_owned()))?;
            let (kind, fields) = RequestKind::of(request)?;
            groups.serve_remote(kind, fields).await?.ok_or_else(|| NoAnswer("of another room".to_owned()))
        })
    }
}

/// Two sessions, and the newest view.
struct Pair {
    faults: Arc<FaultyStore>,
    first: World,
    second: World,
    view: View,
}

impl Pair {
    /// Both are in the view, and have acknowledged it.
    async fn new() -> Pair {
        let faults = Arc::new(FaultyStore::new(MANY));
        let link = Arc::new(Link::default());
        let metadata: Arc<dyn MetadataStore> = Arc::clone(&faults) as _;
        let first = World::linked(metadata, Arc::clone(&link) as _).await;
        let second = first.beside(2, Arc::clone(&link) as _).await;
        for side in [&first, &second] {
            link.ends.lock().insert(side.session.id, side.groups.clone());
        }
        let (view, revision) = second.session.joined.clone();
        let pair = Pair { faults, first, second, view: (*view).clone() };
        pair.first.session.leadership.on_view(&view, revision).expect("known");
        pair.first.acknowledge(view.number).await;
        pair.learn_standings().await;
        pair
    }

    async fn learn_standings(&self) {
        self.first.learn_standings().await;
        self.second.learn_standings().await;
    }

    /// The next view, with those brokers. Nobody knows it yet.
    fn next_view(&mut self, brokers: &[i32]) -> View {
        let side = |broker: &i32| if *broker == 1 { &self.first } else { &self.second };
        let member = |broker: &i32| Member::new(side(broker).session.id, BrokerId(*broker));
        let mut next = View::new(ViewNumber(self.view.number.0 + 1), brokers.iter().map(member).collect());
        let (number, members) = (self.view.number, self.view.members.clone());
        // All of them: which are settled is of no matter here.
        next.earlier = self.view.earlier.clone();
        next.earlier.push(EarlierView { first: None, number, members });
        self.view = next.clone();
        next
    }

    fn side(&self, side: Side) -> &World {
        match side {
            Side::First => &self.first,
            Side::Second => &self.second,
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Side {
    First,
    Second,
}

/// What happens to a pair.
#[derive(Clone, Debug)]
enum Step {
    /// A client commits the next offset.
    Commit(Side),
    /// A client asks for the offset.
    Fetch(Side),
    /// Somebody makes the next view.
    View(Vec<i32>),
    /// A side learns of the newest view, closes what it loses, and acknowledges; all learn who stands.
    Learn(Side),
}

fn any_step() -> impl Strategy<Value = Step> {
    let side = || prop_oneof![Just(Side::First), Just(Side::Second)];
    let members = prop_oneof![Just(vec![1]), Just(vec![2]), Just(vec![1, 2])];
    prop_oneof![
        3 => side().prop_map(Step::Commit),
        3 => side().prop_map(Step::Fetch),
        1 => members.prop_map(Step::View),
        2 => side().prop_map(Step::Learn),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn an_offset_never_goes_back_whoever_is_asked(steps in prop::collection::vec(any_step(), 1..50)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
        runtime.expect("a runtime").block_on(check_offsets(steps));
    }
}

/// What was acknowledged or told is in every answer that begins later.
async fn check_offsets(steps: Vec<Step>) {
    let mut pair = Pair::new().await;
    let topic_id = pair.first.create("a", 1).await;
    let (mut least, mut next) = (0, 1);
    for step in steps {
        match step {
            Step::Commit(side) => {
                if pair.side(side).commit("g", None, topic_id, next).await.is_ok() {
                    least = next;
                }
                next += 1;
            }
            Step::Fetch(side) => {
                if let Ok(told) = pair.side(side).try_committed("g", topic_id).await {
                    let told = told.unwrap_or(0);
                    assert!(told >= least, "{told} is told after {least}");
                    least = told;
                }
            }
            Step::View(members) if pair.view.earlier.len() < EARLIER_VIEWS_MAX => {
                pair.next_view(&members);
            }
            Step::View(_) => {}
            Step::Learn(side) => {
                tell(pair.side(side), &pair.view);
                pair.side(side).acknowledge(pair.view.number).await;
                pair.learn_standings().await;
            }
        }
    }
    let view = pair.view.clone();
    for side in [&pair.first, &pair.second] {
        tell(side, &view);
        side.acknowledge(view.number).await;
    }
    pair.learn_standings().await;
    let mut told = Vec::new();
    for side in [&pair.first, &pair.second] {
        told.extend(side.try_committed("g", topic_id).await.ok());
    }
    assert_eq!(told.len(), 1, "one of them answers in the end");
    assert!(told[0].unwrap_or(0) >= least);
}

/// Has a session know a view. It closes what it does not coordinate by that.
fn tell(side: &World, view: &View) {
    // Any revision does that is older than the listings of standings.
    side.session.leadership.on_view(view, Revision(1)).expect("known");
}

/// A group that `side` coordinates.
fn group_of(side: &World) -> String {
    let image = side.session.leadership.image();
    let mut names = (0..).map(|number| format!("g{number}"));
    names.find(|name| image.leader(PlacementKey::group(name)) == Leader::Own).expect("one of them")
}

#[tokio::test(start_paused = true)]
async fn a_group_that_moves_goes_on_where_it_was_and_comes_back_as_it_is() {
    let mut pair = Pair::new().await;
    let topic_id = pair.first.create("a", 4).await;
    let group = group_of(&pair.first);
    let member = pair.first.classic_member(&group, &ALL).await;
    assert_eq!(pair.first.commit(&group, Some(&member), topic_id, 5).await, Ok(()));
    assert_eq!(pair.second.try_committed(&group, topic_id).await, Err(GroupError::NotCoordinator));

    let view = pair.next_view(&[2]);
    tell(&pair.second, &view);
    let early = pair.second.try_committed(&group, topic_id).await;
    assert_eq!(early, Err(GroupError::CoordinatorLoadInProgress), "the first may still write");
    assert_eq!(pair.first.commit(&group, Some(&member), topic_id, 6).await, Ok(()), "as it does");
    tell(&pair.first, &view);
    let late = pair.first.commit(&group, Some(&member), topic_id, 7).await;
    assert_eq!(late, Err(GroupError::NotCoordinator));
    assert_eq!(pair.first.try_committed(&group, topic_id).await, Err(GroupError::NotCoordinator));
    pair.first.acknowledge(view.number).await;
    pair.second.acknowledge(view.number).await;
    pair.learn_standings().await;

    assert_eq!(pair.second.committed(&group, topic_id).await, Some(6));
    assert_eq!(pair.second.heartbeat(&group, &member).await, Ok(()), "no rebalance");
    let mut stale = member.clone();
    stale.generation_id -= 1;
    let refused = pair.second.commit(&group, Some(&stale), topic_id, 9).await;
    assert_eq!(refused, Err(GroupError::IllegalGeneration));
    assert_eq!(pair.second.commit(&group, Some(&member), topic_id, 8).await, Ok(()));

    let view = pair.next_view(&[1, 2]);
    tell(&pair.first, &view);
    tell(&pair.second, &view);
    assert_eq!(pair.second.heartbeat(&group, &member).await, Err(GroupError::NotCoordinator));
    pair.first.acknowledge(view.number).await;
    pair.second.acknowledge(view.number).await;
    pair.learn_standings().await;
    assert_eq!(pair.first.committed(&group, topic_id).await, Some(8), "read anew, not remembered");
    assert_eq!(pair.first.heartbeat(&group, &member).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_group_that_moves_is_told_to_look_elsewhere() {
    let mut pair = Pair::new().await;
    pair.first.create("a", 4).await;
    let group = group_of(&pair.first);
    pair.first.classic_member(&group, &ALL).await;
    let view = pair.next_view(&[2]);
    let joins = pair.first.join(&group, super::world::join_request(&MemberId::default(), &[]));
    let moves = async {
        // The join waits for the other member by then.
        pass(Duration::from_secs(1)).await;
        tell(&pair.first, &view);
    };
    let (joined, ()) = tokio::join!(joins, moves);
    assert_eq!(
        joined.map(|joined| joined.generation_id).map_err(|refused| refused.error),
        Err(GroupError::NotCoordinator)
    );
    assert_eq!(pair.first.groups.at_hand(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_was_told_as_committed_is_there_and_an_answer_that_comes_too_late_is_not_given() {
    let mut pair = Pair::new().await;
    let topic_id = pair.first.create("a", 4).await;
    let group = group_of(&pair.first);
    pair.first.commit(&group, None, topic_id, 5).await.expect("committed");
    // The store holds up the look at the standing, behind which the first coordinator would tell its offset.
    pair.faults.gets_allowed.forget_permits(MANY);
    let begun = pair.faults.gets_begun.load(Ordering::SeqCst);
    let view = pair.next_view(&[2]);
    let moves = async {
        while pair.faults.gets_begun.load(Ordering::SeqCst) == begun {
            tokio::task::yield_now().await;
        }
        tell(&pair.first, &view);
        tell(&pair.second, &view);
        pair.faults.gets_allowed.add_permits(MANY / 2);
        pair.first.acknowledge(view.number).await;
        pair.second.acknowledge(view.number).await;
        pair.learn_standings().await;
        pair.second.commit(&group, None, topic_id, 6).await.expect("committed");
    };
    let (told, ()) = tokio::join!(pair.first.try_committed(&group, topic_id), moves);
    assert_eq!(told, Err(GroupError::NotCoordinator), "5 is not the newest any more");
    assert_eq!(pair.second.committed(&group, topic_id).await, Some(6));
}

#[tokio::test(start_paused = true)]
async fn a_sealed_coordinator_that_knows_of_nothing_changes_and_tells_nothing() {
    let mut pair = Pair::new().await;
    let topic_id = pair.first.create("a", 4).await;
    let group = group_of(&pair.first);
    let member = pair.first.classic_member(&group, &ALL).await;
    pair.first.commit(&group, Some(&member), topic_id, 5).await.expect("committed");
    let view = pair.next_view(&[2]);
    pair.first.seal().await;
    tell(&pair.second, &view);
    pair.second.acknowledge(view.number).await;
    pair.second.learn_standings().await;
    assert_eq!(pair.second.commit(&group, Some(&member), topic_id, 6).await, Ok(()));
    let late = pair.first.commit(&group, Some(&member), topic_id, 7).await;
    assert_eq!(late, Err(GroupError::CoordinatorNotAvailable));
    let told = pair.first.try_committed(&group, topic_id).await;
    assert_eq!(told, Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(pair.second.committed(&group, topic_id).await, Some(6));
}

#[tokio::test(start_paused = true)]
async fn members_that_do_not_come_back_are_missed_by_the_next_coordinator() {
    let mut pair = Pair::new().await;
    pair.first.create("a", 4).await;
    let group = group_of(&pair.first);
    pair.first.classic_member(&group, &ALL).await;
    let key = format!("groups/{group}");
    let is_empty = async |pair: &Pair| {
        let entry = pair.faults.inner.get(&key).await.expect("in memory").expect("stored");
        !String::from_utf8_lossy(&entry.value).contains("\"empty_since_ms\":null")
    };
    pass(Duration::from_secs(2)).await;
    let view = pair.next_view(&[2]);
    tell(&pair.first, &view);
    tell(&pair.second, &view);
    pair.first.acknowledge(view.number).await;
    pair.second.acknowledge(view.number).await;
    pair.learn_standings().await;
    pass(Duration::from_secs(5)).await;
    assert!(!is_empty(&pair).await, "its session began anew");
    assert_eq!(pair.second.groups.at_hand(), 1, "read though nobody asked for it");
    pass(Duration::from_secs(10)).await;
    assert!(is_empty(&pair).await);
}

#[tokio::test(start_paused = true)]
async fn each_lists_the_groups_that_it_coordinates() {
    let pair = Pair::new().await;
    let topic_id = pair.first.create("a", 1).await;
    let (of_first, of_second) = (group_of(&pair.first), group_of(&pair.second));
    pair.first.commit(&of_first, None, topic_id, 1).await.expect("committed");
    pair.second.commit(&of_second, None, topic_id, 1).await.expect("committed");
    for (side, group) in [(&pair.first, of_first), (&pair.second, of_second)] {
        let listed = side.groups.list().await.expect("listed");
        let names: Vec<_> = listed.into_iter().map(|group| group.group_id).collect();
        assert_eq!(names, [GroupId::new(&group)]);
    }
}

#[tokio::test(start_paused = true)]
async fn share_groups_reach_over_brokers() {
    let pair = Pair::new().await;
    pair.first.create("a", 4).await;
    let group = GroupId::new(&group_of(&pair.first));
    let member = MemberId::new("m");
    let joins = ShareHeartbeatRequest {
        member_id: member.clone(),
        member_epoch: 0,
        rack_id: None,
        subscribed_topic_names: Some(BTreeSet::from([TopicName::parse("a").expect("legal")])),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
    };
    pair.first.groups.call(&group, joins).await.expect("it may join");
    for (asked, is_there) in [(member, true), (MemberId::new("other"), false)] {
        assert_eq!(pair.second.groups.has_share_member(&group, asked.clone()).await, Ok(is_there));
        assert_eq!(pair.first.groups.has_share_member(&group, asked).await, Ok(is_there));
    }

    // A partition that the second leads; an operator asks the coordinator of the group.
    let image = pair.second.session.leadership.image();
    let topic_id = TopicId(Uuid::from_u128(7));
    let partitions = (0..).map(|index| TopicPartition { topic_id, partition: PartitionIndex(index) });
    let mut led = partitions.filter(|led| image.leader(PlacementKey::partition(*led)) == Leader::Own);
    let key = ShareKey { group_id: group.clone(), partition: led.next().expect("one of them") };
    let (coordinator, leader) = (pair.first.groups.delivery(), pair.second.groups.delivery());
    assert_eq!(coordinator.alter(&key, Offset(9)).await, Ok(()));
    let stored = leader.stored(&group).await.expect("stored");
    assert!(stored.contains_key(&key.partition));
    assert_eq!(
        coordinator.acknowledge(&key, &MemberId::new("m"), Vec::new()).await,
        Err(DeliveryError::NotLeader)
    );
    assert_eq!(coordinator.delete(&key).await, Ok(()));
    assert!(leader.stored(&group).await.expect("stored").is_empty());
}
