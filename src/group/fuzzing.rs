//! Arbitrary bytes where groups are stored, where their members tell each other something, and where other brokers ask.

use super::classic::{self, ClassicGroup, ClassicGroupConfig};
use super::consumer::{
    ConsumerGroup, ConsumerGroupConfig, decode_assignment, decode_subscription, encode_assignment,
};
use super::remote::{ShareAnswer, ShareRequest};
use super::share::{ShareGroup, ShareGroupConfig};
use super::stored::{
    StoredCore, StoredGroup, decode_offsets, decode_producers, encode_offsets, encode_producers,
};
use crate::meta::Entry;
use crate::meta::fuzzing::stored;
use crate::remote::RequestKind;
use crate::types::Moment;
use bytes::Bytes;

pub(crate) use super::delivery::fuzzing::share_partition;
pub(crate) use super::settings::fuzzing::settings;

/// A group comes back from what it is stored as, and whoever goes on with it stores the same again.
pub(crate) fn group(entry: &Entry) {
    match StoredGroup::decode(entry) {
        Ok(group) => {
            let again = Entry { value: group.encode(), ..entry.clone() };
            let again = StoredGroup::decode(&again).expect("it was just written");
            assert_eq!(again.encode(), group.encode());
            go_on_with(group.core);
        }
        Err(error) => drop(error.to_string()),
    }
}

fn go_on_with(core: StoredCore) {
    let now = Moment::default();
    match core {
        StoredCore::Classic(stored) => {
            let restore = |stored| ClassicGroup::restore(stored, ClassicGroupConfig::default(), now);
            if let Ok(group) = restore(stored) {
                let stored = group.stored();
                assert_eq!(restore(stored.clone()).expect("it was just stored").stored(), stored);
            }
        }
        StoredCore::Consumer(stored) => {
            let restore = |stored: &_| ConsumerGroup::restore(stored, ConsumerGroupConfig::default(), now);
            if let Ok(group) = restore(&stored) {
                let stored = group.stored();
                assert_eq!(restore(&stored).expect("it was just stored").stored(), stored);
            }
        }
        StoredCore::Share(stored) => {
            let restore = |stored: &_| ShareGroup::restore(stored, ShareGroupConfig::default(), now);
            if let Ok(group) = restore(&stored) {
                let stored = group.stored();
                assert_eq!(restore(&stored).expect("it was just stored").stored(), stored);
            }
        }
    }
}

pub(crate) fn offsets(entry: &Entry) {
    stored(entry, decode_offsets, encode_offsets);
}

pub(crate) fn producers(entry: &Entry) {
    stored(entry, decode_producers, encode_producers);
}

/// Subscriptions and assignments of members of the classic protocol.
pub(crate) fn embedded(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let topics = classic::topics(&bytes);
    if let Some(subscription) = decode_subscription(&bytes) {
        assert_eq!(topics.as_ref(), Some(&subscription.topics), "both read the same names");
    }
    if let Some(assigned) = decode_assignment(&bytes) {
        assert_eq!(decode_assignment(&encode_assignment(1, &assigned)), Some(assigned));
    }
}

/// Requests about share groups, and answers to them.
pub(crate) fn remote(bytes: &[u8]) {
    let bytes = Bytes::copy_from_slice(bytes);
    let read =
        |request| RequestKind::of(request).and_then(|(kind, fields)| ShareRequest::decode(kind, fields));
    if let Ok(Some(request)) = read(bytes.clone()) {
        assert_eq!(read(request.encode()), Ok(Some(request)));
    }
    if let Ok(answer) = ShareAnswer::decode(bytes) {
        assert_eq!(ShareAnswer::decode(answer.encode()), Ok(answer));
    }
}

/// Stored values by the first part of their keys, as they are written today.
#[cfg(test)]
pub(crate) fn stored_seeds() -> Vec<(&'static str, Bytes)> {
    use crate::meta::fuzzing::entry;
    let group = |text: &'static str| {
        StoredGroup::decode(&entry("groups/g", Bytes::from_static(text.as_bytes())))
            .expect("readable")
            .encode()
    };
    let offsets = decode_offsets(&entry("group-offsets/g", OFFSETS)).expect("readable");
    let producers = decode_producers(&entry("group-producers/g", PRODUCERS)).expect("readable");
    vec![
        ("groups", group(CLASSIC)),
        ("groups", group(CONSUMER)),
        ("groups", group(SHARE)),
        ("group-offsets", encode_offsets(&offsets)),
        ("group-producers", encode_producers(&producers)),
        ("group-settings", super::settings::fuzzing::seed()),
        ("share-partitions", super::delivery::fuzzing::seed()),
    ]
}

/// Requests about share groups, and an answer.
#[cfg(test)]
pub(crate) fn remote_seeds() -> Vec<Bytes> {
    use super::delivery::ShareKey;
    use super::{GroupId, MemberId};
    use crate::types::{Offset, PartitionIndex, TopicId, TopicPartition};
    let (group_id, member_id) = (GroupId::new("readers"), MemberId::new("member-1"));
    let topic_id = TopicId(uuid::Uuid::from_u128(7));
    let partition = TopicPartition { topic_id, partition: PartitionIndex(1) };
    let key = ShareKey { group_id: group_id.clone(), partition };
    let requests = [
        ShareRequest::HasMember(group_id.clone(), member_id.clone()),
        ShareRequest::MemberGone(group_id, member_id),
        ShareRequest::Alter(key.clone(), Offset(9)),
        ShareRequest::Delete(key),
    ];
    requests.iter().map(ShareRequest::encode).chain([ShareAnswer::NotHere.encode()]).collect()
}

#[cfg(test)]
const CLASSIC: &str = r#"{"v":1,"name":"g","empty_since_ms":null,"core":{"protocol":"classic","group":{"version":1,
"generation_id":1,"generation_reserved":9,"rebalancing":false,"protocol_type":"consumer","protocol_name":"range",
"group_leader":"s-1","members":[{"member_id":"s-1","group_instance_id":"s","client_id":"c","client_host":"/10.0.0.1",
"session_timeout_ms":10000,"rebalance_timeout_ms":60000,"protocols":[{"name":"range","metadata":"AAH//g=="}],
"assignment":"cy0wMDAwMDAwMC0wMDAwLTAwMDAtMDAwMC0wMDAwMDAwMDAwMDE="}]}}}"#;
#[cfg(test)]
const CONSUMER: &str = r#"{"v":1,"name":"g","empty_since_ms":5,"core":{"protocol":"consumer","group":{"version":1,
"group_epoch":3,"assignment_epoch":3,"topics":[{"id":"00000000000000000000000000000001","name":"a","partitions":3},
{"id":"00000000000000000000000000000002","name":null,"partitions":0}],
"subscriptions":[{"names":["a"],"regex":null},{"names":[],"regex":"a.*"}],
"members":[{"member_id":"m","instance_id":null,"rack_id":null,"client_id":"client","client_host":"/127.0.0.1",
"rebalance_timeout_ms":60000,"assignor":null,"subscription":0,"state":"unrevoked_partitions","member_epoch":2,
"previous_member_epoch":0,"assigned":[[0,2,"2"]],"revoking":[[0,2,"0-1"],[1,2,"7"]],"target":null,
"classic":{"session_timeout_ms":45000,"protocols":[["range","0001000000010001610000000000000000"]]}},
{"member_id":"n","instance_id":"i","rack_id":"eu-1a","client_id":"client","client_host":"/127.0.0.1",
"rebalance_timeout_ms":60000,"assignor":"range","subscription":1,"state":"unreleased_partitions","member_epoch":3,
"previous_member_epoch":0,"assigned":[],"revoking":[],"target":[[0,0,"0-1"]]}]}}}"#;
#[cfg(test)]
const SHARE: &str = r#"{"v":1,"name":"g","empty_since_ms":null,"core":{"protocol":"share","group":{"version":1,"group_epoch":7,
"topics":[{"id":"00000000000000000000000000000001","name":"a","partitions":6}],"subscriptions":[["a"]],
"members":[{"member_id":"m","rack_id":null,"client_id":"client","client_host":"/127.0.0.1","subscription":0,
"member_epoch":7,"previous_member_epoch":6,"assigned":[[0,"0-2,5"]],"target":[[0,"0-5"]]}]}}}"#;
#[cfg(test)]
const OFFSETS: &str = r#"{"v":1,"next":2,"partitions":{"0":{"n":0,"offset":5,"at":100}},
"pending":{"7":{"ordinal":3,"partitions":{"1":{"n":1,"offset":9,"epoch":5,"metadata":"m9","at":300}}}}}"#;
#[cfg(test)]
const PRODUCERS: &str = r#"{"v":1,"producers":{"7":{"epoch":5,"ended":3,"view":2,"at":0}}}"#;
