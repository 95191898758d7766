//! What outlives the broker.

use super::super::{RestoreError, StoredClassicGroup};
use super::*;

fn json(group: &ClassicGroup) -> String {
    serde_json::to_string(&group.stored()).expect("plain data")
}

fn restored(world: &World, now: Moment) -> World {
    let stored: StoredClassicGroup = serde_json::from_str(&json(&world.group)).expect("what was written");
    let group = ClassicGroup::restore(stored, ClassicGroupConfig::default(), now).expect("sound");
    World { now, uuids: 1000, ..World::of(group) }
}

#[test]
fn the_stored_form_is_this() {
    let mut world = World::new();
    let offer = vec![Protocol { name: "range".to_owned(), metadata: Bytes::from_static(&[0, 1, 255, 254]) }];
    world.stable(vec![JoinRequest { protocols: offer, ..static_join("s") }]);
    let id = "s-00000000-0000-0000-0000-000000000001";
    let expected = format!(
        concat!(
            r#"{{"version":1,"generation_id":1,"generation_reserved":9,"rebalancing":false,"#,
            r#""protocol_type":"consumer","protocol_name":"range","group_leader":"{id}","members":[{{"#,
            r#""member_id":"{id}","group_instance_id":"s","client_id":"c","client_host":"/10.0.0.1","#,
            r#""session_timeout_ms":10000,"rebalance_timeout_ms":60000,"#,
            r#""protocols":[{{"name":"range","metadata":"AAH//g=="}}],"#,
            r#""assignment":"cy0wMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDE="}}]}}"#
        ),
        id = id
    );
    assert_eq!(json(&world.group), expected);
}

#[test]
fn members_go_on_over_a_restart_without_a_rebalance() {
    let mut world = World::new();
    let ids = world.stable(vec![new_join(), static_join("s"), new_join()]);
    let before = (world.group.stored(), world.group.members());
    let mut world = restored(&world, Moment(secs(5)));
    assert!(!world.group.take_dirty());
    assert_eq!(world.group.members(), before.1);
    assert_eq!(world.group.stored().members, before.0.members);
    assert!(world.group.is_subscribed("t") && !world.group.is_subscribed("u"));
    world.pass(secs(9));
    for id in &ids {
        assert_eq!(world.heartbeat(id, 1), Ok(()));
        let sync = world.sync(sync_as(id, 1));
        assert_eq!(world.synced(sync).assignment, id.as_str().as_bytes());
    }
    world.pass(SESSION);
    assert!(world.group.is_empty(), "sessions end as ever");
}

#[test]
fn no_generation_is_given_twice_over_restarts_though_joins_are_not_stored() {
    let mut world = World::new();
    let id = world.stable_of(1).remove(0);
    let mut stored = world.group.stored();
    let mut highest = 1;
    for restart in 0..5 {
        for turn in 0..20 {
            let offer =
                if (restart + turn) % 2 == 0 { protocols(&["range", "x"]) } else { protocols(&["range"]) };
            let ticket = world.join(JoinRequest { protocols: offer, ..join_as(&id) });
            if world.group.take_dirty() {
                stored = world.group.stored();
            }
            let generation_id = world.joined(ticket).generation_id;
            assert!(generation_id > highest, "{generation_id} after {highest}");
            highest = generation_id;
        }
        let group = ClassicGroup::restore(stored.clone(), ClassicGroupConfig::default(), world.now);
        world = World { uuids: world.uuids, ..World::of(group.expect("sound")) };
    }
}

#[test]
fn a_group_stored_between_two_generations_goes_on_with_the_rebalance() {
    let mut world = World::new();
    let ids = world.stable(vec![static_join("s"), new_join()]);
    world.join(new_join());
    let ticket = world.join(static_join("s"));
    assert!(world.group.take_dirty(), "the new id must outlive the broker");
    assert!(world.waits(ticket));
    let new = world
        .group
        .stored()
        .members
        .iter()
        .map(|member| MemberId::new(&member.member_id))
        .collect::<Vec<_>>();
    let mut world = restored(&world, world.now);
    assert_eq!(world.group.state_name(), "PreparingRebalance");
    let plain = ids.iter().find(|id| id.as_str().starts_with("c-")).expect("joined");
    assert_eq!(world.heartbeat(plain, 1), Err(GroupError::RebalanceInProgress));
    let tickets: Vec<Ticket> = new.iter().map(|id| world.join(join_as(id))).collect();
    for ticket in tickets {
        assert!(world.joined(ticket).generation_id > 1);
    }
}

#[test]
fn an_empty_group_keeps_its_type_and_its_generation() {
    let mut world = World::new();
    let ids = world.stable_of(1);
    world.leave(&[(&ids[0], None)]);
    let mut world = restored(&world, world.now);
    assert_eq!((world.group.state_name(), world.group.generation_id()), ("Empty", 2));
    assert_eq!(world.group.protocol_type(), Some("consumer"));
    assert!(!world.group.is_subscribed("t"));
    let ticket = world.join(new_join());
    world.pass(DELAY);
    assert!(world.joined(ticket).generation_id > 2);
}

#[test]
fn what_cannot_be_right_is_not_gone_on_with() {
    type Spoil = fn(&mut StoredClassicGroup);
    let cases: [(Spoil, RestoreError); 7] = [
        (|stored| stored.version = 2, RestoreError::UnknownVersion(2)),
        (|stored| stored.group_leader = None, RestoreError::Inconsistent),
        (|stored| stored.group_leader = Some("x".to_owned()), RestoreError::Inconsistent),
        (|stored| stored.protocol_type = None, RestoreError::Inconsistent),
        (|stored| stored.protocol_name = None, RestoreError::Inconsistent),
        (|stored| stored.members[0].protocols.clear(), RestoreError::Inconsistent),
        (
            |stored| stored.members.push(stored.members[0].clone()),
            RestoreError::MemberTwice("c-00000000-0000-0000-0000-000000000001".to_owned()),
        ),
    ];
    for (spoil, error) in cases {
        let mut world = World::new();
        world.stable_of(2);
        let mut stored = world.group.stored();
        spoil(&mut stored);
        let result = ClassicGroup::restore(stored, ClassicGroupConfig::default(), world.now);
        assert_eq!(result.map(|_| ()), Err(error));
    }
}
