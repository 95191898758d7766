use super::*;
use crate::store::paths::{ManifestObject, SegmentName};
use crate::types::{Offset, PartitionIndex, TopicName, ViewNumber};
use uuid::Uuid;

const TOPIC: TopicId = TopicId(Uuid::from_u128(1));
const DELETED: TopicId = TopicId(Uuid::from_u128(2));
const UNSETTLED: TopicId = TopicId(Uuid::from_u128(4));
const ENDED: SessionId = SessionId(Uuid::from_u128(3));
const OWN: LeaderEpoch = LeaderEpoch(5);
const OWN_SESSION: SessionId = SessionId(Uuid::from_u128(8));
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

fn number(view: i32, attempt: u32) -> MergeNumber {
    MergeNumber { view: ViewNumber(view), attempt }
}

fn check(objects: &[(ObjectPath, u64)], expected: &Verdict) {
    let references = References {
        objects: HashSet::from([segment(TOPIC, 4, 1), root(TOPIC, 1)]),
        on_their_way: BTreeSet::from([DELETED]),
        unsettled: BTreeSet::from([of(UNSETTLED)]),
        journals: BTreeMap::from([(ENDED, 3..=5)]),
        merged: HashSet::from([(ENDED, number(4, 1)), (OWN_SESSION, number(5, 0))]),
    };
    let objects = objects.iter().map(|(path, size)| ListedObject { path: path.clone(), size: *size });
    assert_eq!(decide(&references, OWN, &Listed { objects: objects.collect(), is_cut: false }), *expected);
}

#[test]
fn litter_is_what_an_earlier_session_put_and_nothing_names() {
    let unknown = SessionId(Uuid::from_u128(9));
    let foreign = ObjectPath::parse("topics/notes.txt").expect("legal");
    for (path, is_litter) in [
        (segment(TOPIC, 4, 1), false),
        (segment(TOPIC, 4, 2), true),
        (segment(TOPIC, 5, 3), false),
        (segment(DELETED, 4, 4), false),
        (segment(TopicId(Uuid::from_u128(7)), 4, 5), true),
        (root(TOPIC, 1), false),
        (root(TOPIC, 2), true),
        (root(DELETED, 3), false),
        (root(UNSETTLED, 4), false),
        (part(UNSETTLED, 5), false),
        (part(TOPIC, 6), true),
        (segment(UNSETTLED, 4, 7), true),
        (paths::journal_object(ENDED, 2), true),
        (paths::journal_object(ENDED, 3), false),
        (paths::journal_object(ENDED, 5), false),
        (paths::journal_object(ENDED, 6), true),
        (paths::journal_object(unknown, 1), false),
        (paths::merged_object(ENDED, number(4, 1)), false),
        (paths::merged_object(ENDED, number(4, 0)), true),
        (paths::merged_object(ENDED, number(5, 1)), false),
        (paths::merged_object(OWN_SESSION, number(5, 0)), false),
        (paths::merged_object(OWN_SESSION, number(5, 7)), false),
        (paths::merged_object(unknown, number(4, 1)), true),
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
fn what_the_metadata_has_given_up_is_never_too_much() {
    let given_up = paths::journal_object(ENDED, 2);
    let gone = Verdict::Litter(vec![given_up.clone()]);
    check(&[(segment(TOPIC, 4, 1), 100 * MIB), (given_up.clone(), 900 * MIB)], &gone);
    let behind = paths::journal_object(ENDED, 6);
    let ask = "nothing refers to 209715200 of 314572800 bytes, which is more than half";
    let objects = [(segment(TOPIC, 4, 1), 100 * MIB), (given_up, 900 * MIB), (behind, 200 * MIB)];
    check(&objects, &Verdict::Ask(ask.to_owned()));
}

#[test]
fn a_segment_of_a_later_session_stops_it() {
    let later = segment(TOPIC, 6, 8);
    let ask = format!("{later} is of a later session than this: is the metadata an old copy?");
    check(&[(segment(TOPIC, 4, 2), 1), (later, 1)], &Verdict::Ask(ask));
}
