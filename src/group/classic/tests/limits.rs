//! Everything has a limit: members, ids given, bytes of each and of all, and what is stored.

use super::*;

fn small(members_max: usize) -> ClassicGroupConfig {
    ClassicGroupConfig { members_max, ..ClassicGroupConfig::default() }
}

fn metadata_of(bytes: usize) -> Vec<Protocol> {
    vec![Protocol { name: "range".to_owned(), metadata: Bytes::from(vec![0; bytes]) }]
}

#[test]
fn a_full_group_takes_nobody_new_in_any_state() {
    let mut world = World::with(small(2));
    let tickets = [world.join(new_join()), world.join(new_join())];
    let refused = world.join(new_join());
    assert_eq!(world.refused(refused), GroupError::GroupMaxSizeReached, "preparing");
    world.pass(DELAY * 2);
    let refused = world.join(new_join());
    assert_eq!(world.refused(refused), GroupError::GroupMaxSizeReached, "completing");
    let joined = tickets.map(|ticket| world.joined(ticket));
    world.sync_all(&joined);
    let refused = world.join(JoinRequest { member_id_required: true, ..new_join() });
    assert_eq!(world.refused(refused), GroupError::GroupMaxSizeReached, "stable");
    let known = world.join(join_as(&joined[0].member_id));
    assert!(!matches!(world.answers.get(&known), Some(Answer::Join(Err(_)))), "who is in stays in");
}

#[test]
fn of_members_that_join_again_into_a_group_that_became_too_small_the_last_are_out() {
    let mut world = World::new();
    let ids = world.stable_of(3);
    let stored = world.group.stored();
    let mut world = World::of(ClassicGroup::restore(stored, small(2), world.now).expect("sound"));
    let tickets: Vec<Ticket> = ids.iter().map(|id| world.join(join_as(id))).collect();
    assert_eq!(world.refused(tickets[2]), GroupError::GroupMaxSizeReached);
    assert_eq!(world.joined(tickets[0]).members.len(), 2, "and the others go on at once");
}

#[test]
fn of_too_many_ids_given_the_oldest_is_forgotten() {
    for (pending_max, pending_bytes_max) in [(2, usize::MAX), (usize::MAX, 80)] {
        let config = ClassicGroupConfig { pending_max, pending_bytes_max, ..ClassicGroupConfig::default() };
        let mut world = World::with(config);
        let mut given = Vec::new();
        for _ in 0..3 {
            let ticket = world.join(JoinRequest { member_id_required: true, ..new_join() });
            let Some(Answer::Join(Err(refused))) = world.answers.get(&ticket) else { panic!("refused") };
            given.push(refused.member_id.clone());
            world.pass(Duration::from_millis(1));
        }
        let first = world.join(join_as(&given[0]));
        assert_eq!(world.refused(first), GroupError::UnknownMemberId);
        let last = world.join(join_as(&given[2]));
        assert!(world.waits(last));
    }
}

#[test]
fn what_one_member_may_not_bring() {
    let long = "x".repeat(5000);
    let names: Vec<String> = (0..101).map(|number| number.to_string()).collect();
    let many: Vec<&str> = names.iter().map(String::as_str).collect();
    let cases = [
        JoinRequest { client_id: long.clone(), ..new_join() },
        JoinRequest { client_id: "\u{1}".repeat(700), ..new_join() },
        JoinRequest { client_host: long.clone(), ..new_join() },
        JoinRequest { protocol_type: long.clone(), ..new_join() },
        JoinRequest { protocols: protocols(&[&long]), ..new_join() },
        JoinRequest { protocols: protocols(&many), ..new_join() },
        JoinRequest { protocols: metadata_of((1 << 18) + 1), ..new_join() },
        static_join(&long),
    ];
    for request in cases {
        let mut world = World::new();
        let ticket = world.join(request);
        assert!(matches!(world.refused(ticket), GroupError::InvalidRequest(_)));
        assert!(world.group.is_idle());
    }
}

#[test]
fn a_group_takes_members_until_their_bytes_are_too_many_and_can_still_be_stored() {
    let mut world = World::new();
    let mut tickets = Vec::new();
    for _ in 0..100 {
        tickets.push(world.join(JoinRequest { protocols: metadata_of(50_000), ..new_join() }));
    }
    let waiting = tickets.iter().filter(|ticket| world.waits(**ticket)).count();
    assert!((5..100).contains(&waiting), "{waiting} are in");
    let last = *tickets.last().expect("a hundred");
    assert_eq!(world.refused(last), GroupError::GroupMaxSizeReached);
    let json = serde_json::to_vec(&world.group.stored()).expect("plain data");
    assert!(json.len() <= 1 << 20);
}

#[test]
fn a_member_may_not_outgrow_the_group_but_may_stay_as_it_is() {
    let mut world = World::new();
    let big = JoinRequest { protocols: metadata_of(250_000), ..new_join() };
    let ids = world.stable(vec![big.clone(), JoinRequest { protocols: metadata_of(100_000), ..new_join() }]);
    let small_one = ids.iter().find(|id| id.as_str().ends_with('2')).expect("the second").clone();
    let grown = world.join(JoinRequest {
        member_id: small_one.clone(),
        protocols: metadata_of(260_000),
        ..new_join()
    });
    assert_eq!(world.refused(grown), GroupError::GroupMaxSizeReached);
    let same =
        world.join(JoinRequest { member_id: small_one, protocols: metadata_of(100_001), ..new_join() });
    assert!(world.waits(same));
}

#[test]
fn an_assignment_that_cannot_be_stored_is_refused_and_made_anew() {
    let too_large_for = |members: usize, each: usize| {
        let mut world = World::new();
        let joined = world.join_all((0..members).map(|_| new_join()).collect());
        let group_leader = joined[0].group_leader.clone();
        let follower =
            joined.iter().find(|one| one.member_id != group_leader).map(|one| one.member_id.clone());
        let waiting = follower.map(|follower| world.sync(sync_as(&follower, 1)));
        let bytes = Bytes::from(vec![0; each]);
        let assignments = joined
            .iter()
            .map(|one| Assignment { member_id: one.member_id.clone(), assignment: bytes.clone() })
            .collect();
        let ticket = world.sync(SyncRequest { assignments, ..sync_as(&group_leader, 1) });
        if world.group.state_name() == "Stable" {
            assert!(serde_json::to_vec(&world.group.stored()).expect("plain data").len() <= 1 << 20);
            return false;
        }
        assert_eq!(world.refused(ticket), GroupError::UnknownServerError);
        if let Some(waiting) = waiting {
            assert_eq!(world.refused(waiting), GroupError::UnknownServerError);
        }
        assert_eq!(world.group.state_name(), "PreparingRebalance");
        true
    };
    assert!(!too_large_for(1, 1 << 18));
    assert!(too_large_for(1, (1 << 18) + 1));
    assert!(!too_large_for(7, 100_000));
    assert!(too_large_for(8, 100_000));
}

#[test]
fn what_the_leader_assigns_to_strangers_is_not_kept() {
    let mut world = World::new();
    let joined = world.join_all(vec![new_join()]);
    let strangers: Vec<MemberId> = (0..1000).map(|number| MemberId::new(&format!("x-{number}"))).collect();
    world.sync(SyncRequest { assignments: assign(&strangers), ..sync_as(&joined[0].member_id, 1) });
    assert_eq!(world.group.state_name(), "Stable");
    assert_eq!(world.group.stored().members.len(), 1);
}
