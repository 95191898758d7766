//! What a consumer reads of a topic, while others may go on writing to it.

use super::Broker;
use super::requests::Topic;
use crate::transactions::{UNCOMMITTED, reader_of};
use rdkafka::consumer::{BaseConsumer, Consumer};
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
    Reader::at_the_starts(broker, topic, partitions).read_on()
}

/// A consumer that reads a topic from its log starts, on and on.
pub struct Reader {
    consumer: BaseConsumer,
    topic: String,
    /// By partition: the offset behind what was read.
    next: Vec<i64>,
}

impl Reader {
    pub fn at_the_starts(broker: &Broker, topic: &Topic, partitions: i32) -> Reader {
        let consumer = reader_of(&broker.bootstrap(), &topic.name, partitions, UNCOMMITTED);
        Reader {
            consumer,
            topic: topic.name.clone(),
            next: vec![0; usize::try_from(partitions).expect("some")],
        }
    }

    /// Up to the ends as they are when this is called, or a little more: by partition, in the order in which it came.
    pub fn read_on(&mut self) -> Vec<Vec<Read>> {
        let ends: Vec<i64> = (0..).zip(&self.next).map(|(partition, _)| self.end(partition)).collect();
        let mut read = vec![Vec::new(); ends.len()];
        let deadline = Instant::now() + DEADLINE;
        while self.next.iter().zip(&ends).any(|(next, end)| next < end) {
            assert!(Instant::now() < deadline, "up to {ends:?} within {DEADLINE:?}");
            match self.consumer.poll(Duration::from_millis(100)) {
                Some(Ok(message)) => {
                    let partition = index(message.partition());
                    let (offset, key, value) =
                        (message.offset(), text(message.key()), text(message.payload()));
                    self.next[partition] = offset + 1;
                    read[partition].push(Read { offset, key, value });
                }
                // Offsets before the end may be of nothing that is left. If this was meant for an earlier end, what lies between
                // comes with the next reading.
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    let next = &mut self.next[index(partition)];
                    *next = ends[index(partition)].max(*next);
                }
                Some(Err(error)) => panic!("{error}"),
                None => {}
            }
        }
        read
    }

    fn end(&self, partition: i32) -> i64 {
        let (start, end) =
            self.consumer.fetch_watermarks(&self.topic, partition, DEADLINE).expect("the ends");
        if start == end { 0 } else { end }
    }
}

fn index(partition: i32) -> usize {
    usize::try_from(partition).expect("not negative")
}

fn text(bytes: Option<&[u8]>) -> Option<String> {
    bytes.map(|bytes| String::from_utf8(bytes.to_vec()).expect("a text"))
}
