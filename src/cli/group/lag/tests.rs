use super::*;
use crate::client::GroupType;

fn committed(partition: i32, offset: i64) -> ((String, PartitionIndex), CommittedOffset) {
    let committed = CommittedOffset { offset: Offset(offset), leader_epoch: -1, metadata: String::new() };
    (("t".to_owned(), PartitionIndex(partition)), committed)
}

fn group(assigned: &[i32]) -> GroupDescription {
    let assigned = assigned.iter().copied().map(PartitionIndex).collect();
    let member = GroupMember {
        member_id: "m".to_owned(),
        group_instance_id: None,
        client_id: "c".to_owned(),
        client_host: "h".to_owned(),
        member_epoch: None,
        assigned: BTreeMap::from([("t".to_owned(), assigned)]),
    };
    GroupDescription {
        group_id: "g".to_owned(),
        group_type: GroupType::Classic,
        state: "Stable".to_owned(),
        assignor: "range".to_owned(),
        group_epoch: None,
        members: vec![member],
    }
}

#[test]
fn what_is_committed_or_read_is_shown_with_its_lag() {
    let group = group(&[1, 2]);
    let committed = Committed::from([committed(0, 5), committed(1, 30), committed(3, 1)]);
    let ends: OffsetsByPartition = [(0, 15), (1, 20), (2, 7)]
        .map(|(partition, end)| (("t".to_owned(), PartitionIndex(partition)), Offset(end)))
        .into();
    let found: Vec<_> = partitions(&group, &committed, &ends)
        .iter()
        .map(|of| (of.partition.0, of.lag(), of.end.map(Offset::get), of.member.is_some()))
        .collect();
    let expected = [
        (0, Some(10), Some(15), false),
        (1, Some(0), Some(20), true),
        (2, None, Some(7), true),
        (3, None, None, false),
    ];
    assert_eq!(found, expected);
    assert_eq!(total(&group, &committed, &ends), None, "partition 2 is read, and nothing of it committed");
}

#[test]
fn a_lag_is_known_where_all_that_is_read_was_committed() {
    let committed = Committed::from([committed(0, 5), committed(1, 30), committed(3, 1)]);
    let ends: OffsetsByPartition = [(0, 15), (1, 20)]
        .map(|(partition, end)| (("t".to_owned(), PartitionIndex(partition)), Offset(end)))
        .into();
    for (assigned, expected) in [(vec![], Some(10)), (vec![0, 1], Some(10)), (vec![0, 2], None)] {
        assert_eq!(total(&group(&assigned), &committed, &ends), expected, "{assigned:?}");
    }
    assert_eq!(total(&group(&[]), &Committed::new(), &ends), None);
}

#[test]
fn a_share_group_lags_by_no_more_than_what_lies_behind_its_start() {
    let mut group = group(&[1, 2]);
    group.members.push(group.members[0].clone());
    let at = |(partition, offset)| (("t".to_owned(), PartitionIndex(partition)), Offset(offset));
    let starts = OffsetsByPartition::from([(0, 5), (1, 30)].map(at));
    let ends = OffsetsByPartition::from([(0, 15), (1, 20), (2, 7)].map(at));
    let found: Vec<_> = share_partitions(&group, &starts, &ends)
        .iter()
        .map(|of| (of.partition.0, of.lag_max(), of.members))
        .collect();
    assert_eq!(found, [(0, Some(10), 0), (1, Some(0), 2), (2, None, 2)]);
}
