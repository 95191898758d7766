//! The placement: the same numbers for ever, even shares, and nothing moves that need not.

use super::{member, members, partition, s};
use crate::cluster::{Placement, PlacementKey, ZONES_MAX};
use crate::meta::keys::view::{Member, PlacementNumber};
use crate::types::{BrokerId, SessionId};
use std::collections::BTreeMap;

fn placement(members: &[Member]) -> Placement {
    Placement::new(PlacementNumber::RENDEZVOUS, members).expect("known")
}

fn weighted(weights: &[(i32, u8)]) -> Placement {
    let members: Vec<Member> =
        weights.iter().map(|&(number, weight)| Member { weight, ..member(number) }).collect();
    placement(&members)
}

fn leader(placement: &Placement, key: PlacementKey) -> i32 {
    placement.leader(key).expect("there are members").broker_id.0
}

fn leaders(placement: &Placement, count: i32) -> Vec<i32> {
    (0..count).map(|index| leader(placement, PlacementKey::partition(partition(index)))).collect()
}

/// Worked out by another program from the words in the heads of `hash.rs` and `placement.rs`. If this fails, brokers of this
/// release and of another both lead a partition: make a new placement number instead.
#[test]
fn golden_vectors() {
    let three = placement(&members(&[1, 2, 3]));
    let expected = [2, 1, 1, 3, 3, 2, 2, 1, 3, 3, 2, 2, 1, 2, 2, 1, 1, 2, 2, 3, 1, 2, 1, 2];
    assert_eq!(leaders(&three, 24), expected);
    let expected = [2, 3, 3, 3, 3, 2, 2, 2, 3, 3, 3, 3, 1, 2, 2, 1, 3, 2, 3, 3, 1, 2, 1, 2];
    assert_eq!(leaders(&weighted(&[(1, 1), (2, 2), (3, 3)]), 24), expected);
    let names: Vec<String> = (0..12).map(|number| format!("group-{number}")).collect();
    let of = |key: fn(&str) -> PlacementKey| names.iter().map(move |name| key(name));
    let groups: Vec<i32> = of(PlacementKey::group).map(|key| leader(&three, key)).collect();
    assert_eq!(groups, [2, 2, 3, 1, 3, 1, 3, 3, 1, 3, 2, 3]);
    let ids: Vec<i32> = of(PlacementKey::transactional_id).map(|key| leader(&three, key)).collect();
    assert_eq!(ids, [2, 2, 1, 1, 2, 1, 2, 2, 3, 2, 2, 3]);
}

#[test]
fn golden_hashes() {
    let session = SessionId(partition(0).topic_id.0);
    for (key, expected) in [
        (PlacementKey::partition(partition(0)), 0xe581_b7c6_e67e_dcc6_u64),
        (PlacementKey::partition(partition(1)), 0x3b45_7ec4_1118_7877),
        (PlacementKey::partition(partition(i32::MAX)), 0xa616_e76d_f641_ed7b),
        (PlacementKey::group(""), 0x5e41_ab08_7439_611e),
        (PlacementKey::group("flights"), 0xa186_99ff_08ff_085a),
        (PlacementKey::group("grüße-aus-dem-cenote"), 0x8aea_58f0_13ff_ded1),
        (PlacementKey::transactional_id("flights"), 0xbb03_182d_6023_757d),
        (PlacementKey::undertaker(session), 0x4c1d_aafc_d617_a863),
        (PlacementKey::sealer(session), 0xbd80_fe3c_4f31_de72),
    ] {
        assert_eq!(format!("{key:?}"), format!("PlacementKey({expected})"));
    }
}

/// Chance alone moves a share by its standard deviation, √(np(1-p)); four of them are never passed here.
#[test]
fn shares_are_as_the_weights() {
    const COUNT: i32 = 10_000;
    for weights in [
        (1..=3).map(|number| (number, 1)).collect::<Vec<_>>(),
        (1..=5).map(|number| (number, 1)).collect(),
        (1..=20).map(|number| (number, 1)).collect(),
        vec![(1, 1), (2, 2), (3, 3)],
        vec![(10, 100), (20, 50), (30, 25), (40, 25)],
    ] {
        let led = leaders(&weighted(&weights), COUNT);
        let whole: f64 = weights.iter().map(|&(_, weight)| f64::from(weight)).sum();
        for &(number, weight) in &weights {
            let share = f64::from(weight) / whole;
            let count = led.iter().filter(|&&leader| leader == number).count();
            let expected = f64::from(COUNT) * share;
            let deviation = (expected * (1.0 - share)).sqrt();
            let count = f64::from(u32::try_from(count).expect("at most 10,000"));
            assert!((count - expected).abs() < 4.0 * deviation, "{number} of {weights:?} leads {count}");
        }
    }
}

#[test]
fn who_comes_takes_and_who_goes_gives_and_nothing_else_moves() {
    let weights = [(1, 1), (2, 3), (3, 1), (4, 2)];
    for (number, _) in weights {
        let without: Vec<_> = weights.iter().copied().filter(|&(other, _)| other != number).collect();
        let (with, without) = (leaders(&weighted(&weights), 5_000), leaders(&weighted(&without), 5_000));
        let moved = with.iter().zip(&without).filter(|(with, without)| with != without);
        assert!(moved.clone().count() > 0 && moved.clone().all(|(&with, _)| with == number));
    }
}

#[test]
fn a_greater_weight_takes_and_gives_nothing_away() {
    let (light, heavy) = (weighted(&[(1, 1), (2, 1), (3, 1)]), weighted(&[(1, 1), (2, 2), (3, 1)]));
    let (light, heavy) = (leaders(&light, 5_000), leaders(&heavy, 5_000));
    assert!(light.iter().zip(&heavy).all(|(light, heavy)| light == heavy || *heavy == 2));
}

#[test]
fn a_broker_that_starts_again_leads_what_it_led() {
    let again = Member::new(s(99), BrokerId(2));
    let before = placement(&members(&[1, 2, 3]));
    let after = placement(&[member(3), again, member(1)]);
    assert_eq!(leaders(&before, 1_000), leaders(&after, 1_000));
}

#[test]
fn the_rank_is_who_would_lead_without_those_before() {
    let weights = [(1, 2), (2, 1), (3, 5), (4, 1)];
    let all = weighted(&weights);
    for number in 0..200 {
        let key = PlacementKey::sealer(s(number));
        let mut left = weights.to_vec();
        for member in all.rank(key) {
            assert_eq!(member.broker_id.0, leader(&weighted(&left), key));
            left.retain(|&(number, _)| number != member.broker_id.0);
        }
        assert!(left.is_empty());
    }
}

#[test]
fn nobody_leads_in_a_view_without_members() {
    assert!(placement(&[]).leader(PlacementKey::group("g")).is_none());
    assert!(placement(&[]).rank(PlacementKey::group("g")).is_empty());
}

#[test]
fn a_placement_that_is_not_known_is_refused() {
    let error = Placement::new(PlacementNumber(2), &[member(1)]).expect_err("not ours");
    assert_eq!(error.to_string(), "the view wants placement 2, which this release does not know");
}

#[test]
fn groups_and_transactional_ids_of_one_name_lie_apart() {
    let three = placement(&members(&[1, 2, 3]));
    let mut together: BTreeMap<bool, u32> = BTreeMap::new();
    for number in 0..3_000 {
        let name = format!("name-{number}");
        let (group, id) = (PlacementKey::group(&name), PlacementKey::transactional_id(&name));
        *together.entry(leader(&three, group) == leader(&three, id)).or_default() += 1;
    }
    assert!((850..1_150).contains(&together[&true]), "{together:?}");
}

fn zoned(zones: &[Option<&str>]) -> Placement {
    let members =
        (1..).zip(zones).map(|(number, zone)| Member { zone: zone.map(str::to_owned), ..member(number) });
    placement(&members.collect::<Vec<_>>())
}

/// In each zone it is as if there were no other: who leads reads in its own, and nobody in another zone matters.
#[test]
fn in_a_zone_it_is_as_if_there_were_no_other() {
    let zones = [Some("a"), Some("b"), Some("A"), None, Some("b")];
    let all = zoned(&zones);
    for (zone, alone) in [("a", placement(&members(&[1, 3]))), ("B", placement(&members(&[2, 5])))] {
        for index in 0..200 {
            let key = PlacementKey::partition(partition(index));
            let reads = all.leader_in(zone, key).expect("it has members").broker_id.0;
            assert_eq!(reads, leader(&alone, key));
            let leads = all.leader(key).expect("there are members");
            let in_zone = leads.zone.as_ref().is_some_and(|of| of.eq_ignore_ascii_case(zone));
            assert!(!in_zone || leads.broker_id.0 == reads, "who leads in a zone reads there");
            assert!(all.leaders_in_zones(key).any(|member| member.broker_id.0 == reads));
        }
    }
    let key = PlacementKey::partition(partition(0));
    assert_eq!(all.leaders_in_zones(key).count(), 2);
    assert!(all.has_zone("b") && !all.has_zone("c") && !all.has_zone(""));
    assert_eq!(all.leader_in("c", key), None);
}

#[test]
fn zones_are_of_no_use_when_there_are_too_many() {
    let names: Vec<String> = (0..=ZONES_MAX).map(|number| format!("zone-{number}")).collect();
    let names: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
    let key = PlacementKey::partition(partition(0));
    assert_eq!(zoned(&names[1..]).leaders_in_zones(key).count(), ZONES_MAX);
    let all = zoned(&names);
    assert_eq!((all.leaders_in_zones(key).count(), all.leader_in("zone-1", key)), (0, None));
}
