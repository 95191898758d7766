use super::*;
use crate::store::paths::{ManifestObject, SegmentName};
use crate::types::{Offset, PartitionIndex, TopicId, TopicName};
use uuid::Uuid;

const TOPIC: TopicId = TopicId(Uuid::from_u128(1));
const DELETED: TopicId = TopicId(Uuid::from_u128(2));
const UNSETTLED: TopicId = TopicId(Uuid::from_u128(4));
const ELSEWHERE: TopicId = TopicId(Uuid::from_u128(7));
/// When these partitions came here, and the newest view.
const SINCE: LeaderEpoch = LeaderEpoch(5);
const VIEW: LeaderEpoch = LeaderEpoch(6);
const MIB: u64 = 1 << 20;

fn segment(topic_id: TopicId, epoch: i32, unique: u128) -> ObjectPath {
    let name = SegmentName {
        offsets: Offset(0)..Offset(10),
        leader_epoch: LeaderEpoch(epoch),
        unique: Uuid::from_u128(unique),
    };
    let topic = TopicName::parse("a").expect("legal");
    paths::segment(&topic, TopicPartition { topic_id, partition: PartitionIndex(0) }, &name)
}

fn of(topic_id: TopicId) -> TopicPartition {
    TopicPartition { topic_id, partition: PartitionIndex(0) }
}

fn root(topic_id: TopicId, unique: u128) -> ObjectPath {
    paths::manifest_object(of(topic_id), ManifestObject::Root(Uuid::from_u128(unique)))
}

fn part(topic_id: TopicId, unique: u128) -> ObjectPath {
    paths::manifest_object(of(topic_id), ManifestObject::Part(Uuid::from_u128(unique)))
}

fn check(objects: &[(ObjectPath, u64)], expected: &Verdict) {
    let references = References {
        served: HashMap::from_iter([(of(TOPIC), SINCE), (of(UNSETTLED), SINCE)]),
        view: VIEW,
        objects: HashSet::from_iter([segment(TOPIC, 4, 1), root(TOPIC, 1)]),
        gone: BTreeSet::from([of(DELETED)]),
        unsettled: BTreeSet::from([of(UNSETTLED)]),
    };
    let objects = objects.iter().map(|(path, size)| ListedObject { path: path.clone(), size: *size });
    assert_eq!(decide(&references, &Listed { objects: objects.collect(), is_cut: false }), *expected);
}

#[test]
fn litter_is_what_an_earlier_leader_put_and_nothing_names() {
    let foreign = ObjectPath::parse("topics/notes.txt").expect("legal");
    for (path, is_litter) in [
        (segment(TOPIC, 4, 1), false),
        (segment(TOPIC, 4, 2), true),
        (segment(TOPIC, 5, 3), false),
        (segment(TOPIC, 6, 4), false),
        (segment(DELETED, 4, 4), true),
        (segment(DELETED, 6, 5), true),
        (segment(ELSEWHERE, 4, 5), false),
        (root(TOPIC, 1), false),
        (root(TOPIC, 2), true),
        (root(DELETED, 3), true),
        (root(ELSEWHERE, 3), false),
        (root(UNSETTLED, 4), false),
        (part(UNSETTLED, 5), false),
        (part(TOPIC, 6), true),
        (segment(UNSETTLED, 4, 7), true),
        (foreign, false),
    ] {
        let litter = if is_litter { vec![path.clone()] } else { Vec::new() };
        check(&[(path, 100)], &Verdict::Litter(litter));
    }
}

#[test]
fn more_than_half_of_all_bytes_is_asked_about_unless_it_is_little() {
    let (needed, litter) = (segment(TOPIC, 4, 1), segment(TOPIC, 4, 2));
    let gone = Verdict::Litter(vec![litter.clone()]);
    check(&[(needed.clone(), 100 * MIB), (litter.clone(), 100 * MIB)], &gone);
    check(&[(needed.clone(), 1), (litter.clone(), 64 * MIB)], &gone);
    let ask = "nothing refers to 104857601 of 209715201 bytes, which is more than half";
    let most = (litter, 100 * MIB + 1);
    check(&[(needed, 100 * MIB), most], &Verdict::Ask(ask.to_owned()));
}

#[test]
fn what_others_have_does_not_count() {
    let ask = "nothing refers to 104857600 of 104857600 bytes, which is more than half";
    let objects = [(segment(TOPIC, 4, 2), 100 * MIB), (segment(ELSEWHERE, 4, 1), 900 * MIB)];
    check(&objects, &Verdict::Ask(ask.to_owned()));
}

#[test]
fn a_segment_of_a_later_view_stops_it() {
    let later = segment(ELSEWHERE, 7, 8);
    let ask = format!("{later} is of a later view than the last: is the metadata an old copy?");
    check(&[(segment(TOPIC, 4, 2), 1), (later, 1)], &Verdict::Ask(ask));
}
