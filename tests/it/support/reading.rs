//! What a consumer reads of a topic, while others may go on writing to it.

use super::Broker;
use super::requests::Topic;
use crate::transactions::{UNCOMMITTED, reader_of};
use rdkafka::consumer::Consumer;
use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use std::time::{Duration, Instant};

const DEADLINE: Duration = Duration::from_secs(60);

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: i64,
    pub key: Option<String>,
    pub value: Option<String>,
}

/// Everything from the log starts up to the ends as they are when this is called, or a little more: by partition, in
/// the order in which it came.
pub fn read_all(broker: &Broker, topic: &Topic, partitions: i32) -> Vec<Vec<Read>> {
    let reader = reader_of(&broker.bootstrap(), &topic.name, partitions, UNCOMMITTED);
    let ends = |partition| reader.fetch_watermarks(&topic.name, partition, DEADLINE).expect("the ends");
    let ends: Vec<(i64, i64)> = (0..partitions).map(ends).collect();
    let mut ended: Vec<bool> = ends.iter().map(|(start, end)| start == end).collect();
    let mut read = vec![Vec::new(); ends.len()];
    let deadline = Instant::now() + DEADLINE;
    while ended.contains(&false) {
        assert!(Instant::now() < deadline, "up to {ends:?} within {DEADLINE:?}");
        match reader.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => {
                let partition = index(message.partition());
                let (offset, key, value) = (message.offset(), text(message.key()), text(message.payload()));
                ended[partition] |= offset + 1 >= ends[partition].1;
                read[partition].push(Read { offset, key, value });
            }
            // Offsets before the end may be of nothing that is left.
            Some(Err(KafkaError::PartitionEOF(partition))) => ended[index(partition)] = true,
            Some(Err(error)) => panic!("{error}"),
            None => {}
        }
    }
    read
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("not negative")
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).expect("a text"))
}
