//! Requests about partitions, topic by topic.

use super::route::Key;
use super::split::Split;
use crate::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use crate::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::wire::messages::describe_producers_request::TopicRequest;
use crate::wire::messages::describe_producers_response::{PartitionResponse, TopicResponse};
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use crate::wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use crate::wire::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, DescribeProducersRequest, DescribeProducersResponse,
    ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse,
    TopicName,
};

/// `topics` of requests and answers, each a struct with a name and a list.
macro_rules! split_by_partition {
    (
        $request:ty { $topic:ty { $name:ident, $parts:ident: $part:ty } } by $index:expr,
        $response:ty { $topic_said:ty { $said:ident: $part_said:ty } }
    ) => {
        impl Split for $request {
            type Part = (TopicName, $part);
            type Said = (TopicName, $part_said);

            fn parts(&mut self) -> Vec<Self::Part> {
                let topics = std::mem::take(&mut self.topics).into_iter();
                flat(topics.map(|topic| (topic.$name, topic.$parts)))
            }

            fn key((name, part): &Self::Part) -> Key<'_> {
                let index: fn(&$part) -> i32 = $index;
                Key::Partition(name.as_str(), index(part))
            }

            fn set(&mut self, parts: Vec<Self::Part>) {
                let topic = |(name, parts)| {
                    let mut topic = <$topic>::default();
                    (topic.$name, topic.$parts) = (name, parts);
                    topic
                };
                self.topics = gathered(parts).into_iter().map(topic).collect();
            }

            fn said(response: &mut $response) -> Vec<Self::Said> {
                let topics = std::mem::take(&mut response.topics).into_iter();
                flat(topics.map(|topic| (topic.$name, topic.$said)))
            }

            fn merge(response: &mut $response, said: Vec<Self::Said>) {
                let topic = |(name, said)| {
                    let mut topic = <$topic_said>::default();
                    (topic.$name, topic.$said) = (name, said);
                    topic
                };
                response.topics = gathered(said).into_iter().map(topic).collect();
            }
        }
    };
}

split_by_partition!(
    ListOffsetsRequest { ListOffsetsTopic { name, partitions: ListOffsetsPartition } } by |part| part.partition_index,
    ListOffsetsResponse { ListOffsetsTopicResponse { partitions: ListOffsetsPartitionResponse } }
);
split_by_partition!(
    OffsetForLeaderEpochRequest { OffsetForLeaderTopic { topic, partitions: OffsetForLeaderPartition } }
        by |part| part.partition,
    OffsetForLeaderEpochResponse { OffsetForLeaderTopicResult { partitions: EpochEndOffset } }
);
split_by_partition!(
    DeleteRecordsRequest { DeleteRecordsTopic { name, partitions: DeleteRecordsPartition } }
        by |part| part.partition_index,
    DeleteRecordsResponse { DeleteRecordsTopicResult { partitions: DeleteRecordsPartitionResult } }
);
split_by_partition!(
    DescribeProducersRequest { TopicRequest { name, partition_indexes: i32 } } by |index| *index,
    DescribeProducersResponse { TopicResponse { partitions: PartitionResponse } }
);

fn flat<P>(topics: impl Iterator<Item = (TopicName, Vec<P>)>) -> Vec<(TopicName, P)> {
    topics.flat_map(|(name, parts)| parts.into_iter().map(move |part| (name.clone(), part))).collect()
}

/// Parts of one topic that follow each other, together.
fn gathered<P>(parts: Vec<(TopicName, P)>) -> Vec<(TopicName, Vec<P>)> {
    let mut topics: Vec<(TopicName, Vec<P>)> = Vec::new();
    for (name, part) in parts {
        match topics.last_mut().filter(|(last, _)| *last == name) {
            Some((_, parts)) => parts.push(part),
            None => topics.push((name, vec![part])),
        }
    }
    topics
}
