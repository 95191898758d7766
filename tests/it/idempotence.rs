//! What an idempotent producer is promised: its batch is stored once, and a repeat is told where.

use crate::support::archive::await_that;
use crate::support::requests::{LATEST, PRODUCE_BY_NAME, Topic, produce_request, topic_name};
use crate::support::{Batch, Broker, Client, NONE, Record, ResponseError};
use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::describe_producers_response::ProducerState;
use kafka_protocol::messages::{DescribeProducersRequest, ProduceRequest};

fn sequenced(producer: (i64, i16), base_sequence: i32, count: usize) -> Batch {
    Batch::numbered(&format!("s{base_sequence}"), count).by_producer(producer.0, producer.1, base_sequence)
}

fn refused(client: &mut Client, topic: &Topic, batch: &Batch) -> i16 {
    let end_before = client.list_offset(topic, LATEST).offset;
    let answer = client.try_produce(&topic.name, -1, batch.encode());
    assert_eq!(client.list_offset(topic, LATEST).offset, end_before, "nothing was stored");
    answer.error_code
}

/// Where the first batch of a producer goes that is not known and does not begin at its beginning: Apache Kafka takes it at once,
/// Cenote when it has kept coming for a while.
fn await_beginning(broker: &Broker, client: &mut Client, topic: &Topic, batch: &Batch) -> i64 {
    let mut taken = None;
    await_that(broker, "a beginning at any sequence is taken", || {
        let answer = client.try_produce(&topic.name, -1, batch.encode());
        let code = answer.error_code;
        assert!([NONE, ResponseError::NotLeaderOrFollower.code()].contains(&code), "code {code}");
        taken = (code == NONE).then_some(answer.base_offset);
        taken.is_some()
    });
    taken.expect("it was awaited")
}

#[test]
fn producer_ids_are_never_given_twice() {
    let mut broker = Broker::start();
    let mut ids = Vec::new();
    for _ in 0..3 {
        let mut client = broker.connect();
        ids.extend((0..10).map(|_| client.init_producer_id().0));
        broker.kill_and_restart();
    }
    let given = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), given);
}

#[test]
fn a_repeated_batch_gets_its_first_offset_and_is_stored_once() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("repeat");
    let producer = client.init_producer_id();
    client.produce(&topic, &Batch::numbered("other", 4));
    assert_eq!(client.produce(&topic, &sequenced(producer, 0, 3)), 4);
    assert_eq!(client.produce(&topic, &sequenced(producer, 3, 2)), 7);
    for _ in 0..3 {
        assert_eq!(client.produce(&topic, &sequenced(producer, 3, 2)), 7);
        assert_eq!(client.produce(&topic, &sequenced(producer, 0, 3)), 4);
    }
    assert_eq!(client.list_offset(&topic, LATEST).offset, 9);
}

#[test]
fn a_repeat_after_a_kill_gets_its_first_offset_and_is_stored_once() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("crash");
    let producer = client.init_producer_id();
    assert_eq!(client.produce(&topic, &sequenced(producer, 0, 3)), 0);
    assert_eq!(client.produce(&topic, &sequenced(producer, 3, 2)), 3);
    for _ in 0..3 {
        broker.kill_and_restart();
        let mut client = broker.connect();
        assert_eq!(client.produce(&topic, &sequenced(producer, 3, 2)), 3);
        assert_eq!(client.produce(&topic, &sequenced(producer, 0, 3)), 0);
        assert_eq!(client.list_offset(&topic, LATEST).offset, 5);
    }
    let mut client = broker.connect();
    assert_eq!(client.produce(&topic, &sequenced(producer, 5, 1)), 5, "the sequence goes on");
    assert_eq!(client.all_values(&topic), ["s0-0", "s0-1", "s0-2", "s3-0", "s3-1", "s5-0"]);
}

#[test]
fn repeats_in_flight_wait_for_the_first() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("inflight");
    let producer = client.init_producer_id();
    let records = sequenced(producer, 0, 2).encode();
    let sent: Vec<i32> = (0..4)
        .map(|_| client.send(PRODUCE_BY_NAME, &produce_request(&topic.name, 0, -1, records.clone())))
        .collect();
    for id in sent {
        let answer = client.receive::<ProduceRequest>(PRODUCE_BY_NAME, id);
        let part = &answer.responses[0].partition_responses[0];
        assert_eq!((part.error_code, part.base_offset), (NONE, 0));
    }
    assert_eq!(client.list_offset(&topic, LATEST).offset, 2);
}

#[test]
fn a_gap_in_the_sequence_is_refused() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("gap");
    let producer = client.init_producer_id();
    client.produce(&topic, &sequenced(producer, 0, 3));
    let out_of_order = ResponseError::OutOfOrderSequenceNumber.code();
    for base_sequence in [4, 1, 100] {
        let code = refused(&mut client, &topic, &sequenced(producer, base_sequence, 1));
        assert_eq!(code, out_of_order, "at {base_sequence}");
    }
    broker.kill_and_restart();
    let mut client = broker.connect();
    assert_eq!(refused(&mut client, &topic, &sequenced(producer, 4, 1)), out_of_order);
    assert_eq!(client.produce(&topic, &sequenced(producer, 3, 1)), 3, "the refusals left no trace");
}

#[test]
fn a_stale_producer_epoch_is_refused() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("stale");
    let (producer_id, epoch) = client.init_producer_id();
    client.produce(&topic, &sequenced((producer_id, epoch), 0, 1));
    client.produce(&topic, &sequenced((producer_id, epoch + 1), 0, 1));
    let stale = ResponseError::InvalidProducerEpoch.code();
    assert_eq!(refused(&mut client, &topic, &sequenced((producer_id, epoch), 1, 1)), stale);
    broker.kill_and_restart();
    let mut client = broker.connect();
    assert_eq!(refused(&mut client, &topic, &sequenced((producer_id, epoch), 1, 1)), stale);
    assert_eq!(client.produce(&topic, &sequenced((producer_id, epoch + 1), 1, 1)), 2);
}

#[test]
fn a_new_producer_epoch_begins_at_sequence_zero() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("newepoch");
    let (producer_id, epoch) = client.init_producer_id();
    client.produce(&topic, &sequenced((producer_id, epoch), 0, 3));
    let code = refused(&mut client, &topic, &sequenced((producer_id, epoch + 1), 3, 1));
    assert_eq!(code, ResponseError::OutOfOrderSequenceNumber.code());
    assert_eq!(client.produce(&topic, &sequenced((producer_id, epoch + 1), 0, 1)), 3);
}

#[test]
fn a_producer_the_partition_does_not_know_may_begin_anywhere() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("unknown");
    let producer = client.init_producer_id();
    assert_eq!(await_beginning(&broker, &mut client, &topic, &sequenced(producer, 17, 1)), 0);
    assert_eq!(client.produce(&topic, &sequenced(producer, 18, 1)), 1);
}

#[test]
fn sequences_go_on_at_zero_after_the_largest() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("wrap");
    let producer = client.init_producer_id();
    let first = sequenced(producer, i32::MAX - 1, 4);
    assert_eq!(await_beginning(&broker, &mut client, &topic, &first), 0);
    assert_eq!(client.produce(&topic, &sequenced(producer, 2, 1)), 4, "MAX - 1, MAX, 0, 1, then 2");
    assert_eq!(client.produce(&topic, &sequenced(producer, i32::MAX - 1, 4)), 0, "a repeat");
    assert_eq!(client.list_offset(&topic, LATEST).offset, 5);
}

#[test]
fn the_last_five_batches_are_remembered() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("five");
    let producer = client.init_producer_id();
    for sequence in 0..7 {
        client.produce(&topic, &sequenced(producer, sequence, 1));
    }
    for round in 0..2 {
        let mut client = broker.connect();
        for sequence in 2..7 {
            assert_eq!(client.produce(&topic, &sequenced(producer, sequence, 1)), i64::from(sequence));
        }
        let older = refused(&mut client, &topic, &sequenced(producer, 1, 1));
        let known = [ResponseError::OutOfOrderSequenceNumber, ResponseError::DuplicateSequenceNumber];
        assert!(known.iter().any(|error| error.code() == older), "code {older}");
        if round == 0 {
            broker.kill_and_restart();
        }
    }
    assert_eq!(broker.connect().list_offset(&topic, LATEST).offset, 7);
}

#[test]
fn a_batch_of_another_length_is_no_repeat() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("length");
    let producer = client.init_producer_id();
    client.produce(&topic, &sequenced(producer, 0, 3));
    let code = refused(&mut client, &topic, &sequenced(producer, 0, 2));
    assert_eq!(code, ResponseError::OutOfOrderSequenceNumber.code());
}

#[test]
fn producers_of_one_partition_do_not_disturb_each_other() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("many");
    let producers: Vec<(i64, i16)> = (0..5).map(|_| client.init_producer_id()).collect();
    for sequence in 0..3 {
        for &producer in &producers {
            client.produce(&topic, &sequenced(producer, sequence, 1));
        }
    }
    assert_eq!(client.list_offset(&topic, LATEST).offset, 15);
}

#[test]
fn describe_producers_tells_the_last_sequence() {
    let mut broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("describe");
    let producer = client.init_producer_id();
    client.produce(&topic, &sequenced(producer, 0, 3));
    let batch = Batch::of([Record::of("x").at(42_000)]).by_producer(producer.0, producer.1, 3);
    client.produce(&topic, &batch);
    for _ in 0..2 {
        let state = describe_producers(&mut broker.connect(), &topic).pop().expect("one producer");
        assert_eq!((state.producer_id.0, state.producer_epoch), (producer.0, i32::from(producer.1)));
        assert_eq!(state.last_sequence, 3);
        assert_eq!(state.last_timestamp, 42_000);
        assert_eq!(state.current_txn_start_offset, -1);
        broker.kill_and_restart();
    }
}

fn describe_producers(client: &mut Client, topic: &Topic) -> Vec<ProducerState> {
    let asked = TopicRequest::default().with_name(topic_name(&topic.name)).with_partition_indexes(vec![0]);
    let mut answer = client.call(0, &DescribeProducersRequest::default().with_topics(vec![asked]));
    let partition = answer.topics.remove(0).partitions.remove(0);
    assert_eq!(partition.error_code, NONE);
    partition.active_producers
}
