//! Names and expressions.

use super::fixture::*;
use crate::group::consumer::*;

fn regex(member_id: &str, regex: &str) -> HeartbeatRequest {
    HeartbeatRequest {
        subscribed_topic_names: None,
        subscribed_topic_regex: Some(regex.to_owned()),
        ..join(member_id, &[])
    }
}

#[test]
fn an_expression_matches_whole_names() {
    let image = topics(&[("a", 1, 1), ("ab", 2, 1), ("a.b", 3, 1), ("xa", 4, 1), ("A", 5, 1)]);
    let cases: &[(&str, &[u128])] = &[
        ("a", &[1]),
        ("a|ab", &[1, 2]),
        ("a.b", &[3]),
        ("a.*", &[1, 2, 3]),
        (".*a", &[1, 4]),
        ("^a$", &[1]),
        (r"\Qa.b\E", &[3]),
        (r"\Qa.\Eb", &[3]),
        (r"a\.b", &[3]),
        ("(?i)a", &[1, 5]),
        (r"\w+", &[1, 2, 4, 5]),
        ("nothing", &[]),
    ];
    for (expression, expected) in cases {
        let mut group = ConsumerGroup::new(config());
        let answer = group.heartbeat(at(0), &regex("m", expression), &image).unwrap();
        let expected: PartitionSet = expected.iter().map(|&number| tp(number, 0)).collect();
        assert_eq!(answer.assignment, Some(expected), "{expression}");
    }
}

#[test]
fn what_is_no_expression_or_too_big_a_one_is_refused() {
    let too_long = "a".repeat(5000);
    let deep = "(".repeat(200) + &")".repeat(200);
    for bad in ["(", "a)(b", "[", "*", r"(?=a)", r"(a)\1", "(a{1000}){1000}", &too_long, &deep] {
        let mut group = ConsumerGroup::new(config());
        let refused = group.heartbeat(at(0), &regex("m", bad), &topics(&[("a", 1, 1)]));
        assert!(matches!(refused, Err(GroupError::InvalidRegularExpression(_))), "{bad}: {refused:?}");
        assert!(group.is_empty());
    }
}

#[test]
fn a_topic_that_comes_later_is_matched_when_it_comes() {
    let mut group = ConsumerGroup::new(config());
    let answer = group.heartbeat(at(0), &regex("m", "a.*"), &topics(&[])).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (2, Some(ones(&[]))));
    let image = topics(&[("a1", 1, 1), ("b", 2, 1)]);
    group.on_topics_changed(at(1), &image);
    let answer = group.heartbeat(at(1), &beat("m", 2), &image).unwrap();
    assert_eq!((answer.member_epoch, answer.assignment), (3, Some(ones(&[0]))));
    assert!(group.subscribed_to(&name("a1")) && !group.subscribed_to(&name("b")));
}

#[test]
fn names_and_expression_add_up_and_an_empty_expression_takes_it_back() {
    let image = topics(&[("a", 1, 1), ("b", 2, 1), ("c", 3, 1)]);
    let mut group = ConsumerGroup::new(config());
    let both = HeartbeatRequest { subscribed_topic_regex: Some("b".to_owned()), ..join("m", &["a"]) };
    let answer = group.heartbeat(at(0), &both, &image).unwrap();
    assert_eq!(answer.assignment, Some([tp(1, 0), tp(2, 0)].into()));
    let none = HeartbeatRequest { subscribed_topic_regex: Some(String::new()), ..beat("m", 2) };
    let answer = group.heartbeat(at(1), &none, &image).unwrap();
    assert_eq!(answer.assignment, Some(ones(&[0])));
    assert_eq!(view(&group, "m").subscribed_topic_regex, None);
}
