//! What ListOffsets promises: the ends as they are, and times as Kafka looks them up.

use crate::support::batches::{CODECS, SOME_TIME_MS};
use crate::support::requests::{EARLIEST, LATEST, MAX_TIMESTAMP, Topic};
use crate::support::{Batch, Broker, Client, Record, ResponseError, unique_name};

fn times(times: &[i64]) -> Batch {
    Batch::of(times.iter().map(|&time| Record::of("x").at(SOME_TIME_MS + time)))
}

/// The answer to a time look-up as (offset, milliseconds after [`SOME_TIME_MS`]).
fn look_up(client: &mut Client, topic: &Topic, time: i64) -> (i64, i64) {
    let answer = client.list_offset(topic, SOME_TIME_MS + time);
    (answer.offset, answer.timestamp - SOME_TIME_MS)
}

#[test]
fn latest_is_the_log_end_and_earliest_the_log_start() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("ends");
    assert_eq!(client.list_offset(&topic, LATEST).offset, 0);
    assert_eq!(client.list_offset(&topic, EARLIEST).offset, 0);
    for _ in 0..3 {
        client.produce(&topic, &Batch::numbered("x", 10));
    }
    assert_eq!(client.list_offset(&topic, LATEST).offset, 30);
    assert_eq!(client.list_offset(&topic, EARLIEST).offset, 0);
    assert_eq!(client.list_offset(&topic, LATEST).timestamp, -1);
}

#[test]
fn a_time_finds_the_first_record_that_is_not_older() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("times");
    client.produce(&topic, &times(&[100, 200, 300]));
    client.produce(&topic, &times(&[400, 500]));
    client.produce(&topic, &times(&[600]));
    for (time, offset, found) in [
        (0, 0, 100),
        (100, 0, 100),
        (101, 1, 200),
        (300, 2, 300),
        (301, 3, 400),
        (500, 4, 500),
        (600, 5, 600),
    ] {
        assert_eq!(look_up(&mut client, &topic, time), (offset, found), "at {time}");
    }
}

#[test]
fn a_time_after_the_last_record_finds_nothing() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("future");
    client.produce(&topic, &times(&[100, 200, 300]));
    let answer = client.list_offset(&topic, SOME_TIME_MS + 301);
    assert_eq!((answer.offset, answer.timestamp), (-1, -1));
}

#[test]
fn a_time_in_an_empty_partition_finds_nothing() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("empty");
    for time in [SOME_TIME_MS, MAX_TIMESTAMP] {
        let answer = client.list_offset(&topic, time);
        assert_eq!((answer.offset, answer.timestamp), (-1, -1));
    }
}

#[test]
fn times_that_go_back_are_found_in_the_order_of_offsets() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("disorder");
    client.produce(&topic, &times(&[500, 100, 900]));
    client.produce(&topic, &times(&[200, 300]));
    for (time, offset, found) in [(100, 0, 500), (501, 2, 900), (900, 2, 900)] {
        assert_eq!(look_up(&mut client, &topic, time), (offset, found), "at {time}");
    }
}

#[test]
fn the_largest_timestamp_is_found_with_its_offset() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("largest");
    client.produce(&topic, &times(&[100, 900, 200]));
    client.produce(&topic, &times(&[300, 400]));
    assert_eq!(client.list_offset(&topic, MAX_TIMESTAMP).offset, 1);
    assert_eq!(client.list_offset(&topic, MAX_TIMESTAMP).timestamp, SOME_TIME_MS + 900);
}

#[test]
fn times_are_found_inside_compressed_batches() {
    let broker = Broker::start();
    let mut client = broker.connect();
    for codec in CODECS {
        let topic = client.create_topic("packed");
        client.produce(&topic, &times(&[100, 200, 300]).compressed(codec));
        client.produce(&topic, &times(&[400, 500, 600]).compressed(codec));
        assert_eq!(look_up(&mut client, &topic, 450), (4, 500), "{codec:?}");
        assert_eq!(client.list_offset(&topic, MAX_TIMESTAMP).offset, 5, "{codec:?}");
    }
}

#[test]
fn offsets_of_an_unknown_topic_are_not_invented() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let answer = client.try_list_offset(&unique_name("nowhere"), LATEST);
    assert_eq!(answer.error_code, ResponseError::UnknownTopicOrPartition.code());
    assert_eq!(answer.offset, -1);
}
