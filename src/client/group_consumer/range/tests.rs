use super::*;

fn subscriber(member_id: &str, topics: &str) -> Subscriber {
    let topics = topics.split_whitespace().map(str::to_owned).collect();
    Subscriber { member_id: member_id.to_owned(), group_instance_id: None, topics }
}

/// `a: t:0,1 u:0; b: …`, members and topics in order.
fn assigned(subscribers: Vec<Subscriber>, sizes: &[(&str, usize)]) -> String {
    let sizes = sizes.iter().map(|(topic, size)| ((*topic).to_owned(), *size)).collect();
    let members = assign(subscribers, &sizes).into_iter().map(|(member, topics)| {
        let topics = topics.into_iter().map(|(topic, partitions)| {
            let partitions: Vec<_> = partitions.iter().map(ToString::to_string).collect();
            format!(" {topic}:{}", partitions.join(","))
        });
        format!("{member}:{}", topics.collect::<String>())
    });
    members.collect::<Vec<_>>().join("; ")
}

#[test]
fn partitions_are_shared_in_runs() {
    let two = || vec![subscriber("b", "t u"), subscriber("a", "t u")];
    assert_eq!(assigned(two(), &[("t", 3), ("u", 2)]), "a: t:0,1 u:0; b: t:2 u:1");
    assert_eq!(assigned(two(), &[("t", 1)]), "a: t:0; b:");
    assert_eq!(assigned(two(), &[]), "a:; b:");
    assert_eq!(assigned(vec![subscriber("a", "gone")], &[("t", 2)]), "a:");
}

#[test]
fn a_topic_goes_to_those_who_subscribe_to_it() {
    let members = vec![subscriber("a", "t"), subscriber("b", "t u"), subscriber("c", "u")];
    assert_eq!(assigned(members, &[("t", 2), ("u", 3)]), "a: t:0; b: t:1 u:0,1; c: u:2");
}

#[test]
fn static_members_are_ordered_by_their_names() {
    let named = |member_id: &str, name: &str| Subscriber {
        group_instance_id: Some(name.to_owned()),
        ..subscriber(member_id, "t")
    };
    let members = vec![subscriber("a", "t"), named("z", "first"), named("b", "second")];
    assert_eq!(assigned(members, &[("t", 3)]), "a: t:2; b: t:1; z: t:0");
}
