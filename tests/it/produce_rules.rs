//! What Produce promises: what is refused leaves nothing behind, what is taken goes in whole, in order, untouched.

use crate::support::batches::{CODECS, CONTROL, HEADER_BYTES};
use crate::support::requests::{
    AT_ONCE, LATEST, PRODUCE_BY_NAME, Topic, api_versions, produce_request, topic_name,
};
use crate::support::{Batch, Broker, Client, Codec, NONE, Record, ResponseError, parse_batches, unique_name};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{ApiVersionsResponse, ListOffsetsRequest, ProduceRequest};
use kafka_protocol::protocol::Decodable;

/// Produces bytes that must be refused with one of `errors`, and sees that nothing of them is stored.
fn check_refused(client: &mut Client, topic: &Topic, records: Bytes, errors: &[ResponseError]) {
    let end_before = client.list_offset(topic, LATEST).offset;
    let answer = client.try_produce(&topic.name, -1, records);
    let codes: Vec<i16> = errors.iter().map(ResponseError::code).collect();
    let said = &answer.error_message;
    assert!(codes.contains(&answer.error_code), "code {} ({said:?}), not {errors:?}", answer.error_code);
    assert_eq!(answer.base_offset, -1, "a refused batch has no offset");
    assert_eq!(client.list_offset(topic, LATEST).offset, end_before, "nothing was stored");
    let right = client.produce(topic, &Batch::numbered("right", 1));
    assert_eq!(right, end_before, "the next batch takes the next offset");
}

#[test]
fn offsets_are_dense_and_records_come_back_as_sent() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("dense");
    let record = Record {
        key: Some(b"key".to_vec()),
        value: None,
        headers: vec![("h".into(), Some(b"1".to_vec())), ("h".into(), None), ("h".into(), Some(vec![]))],
        timestamp: 1_234_567_890_123,
    };
    let batch = Batch::of([record.clone(), Record::of("").at(1_234_567_890_124)]);
    for expected in [0, 2, 4] {
        assert_eq!(client.produce(&topic, &batch), expected);
    }
    let batches = client.fetch_batches(&topic, 0);
    assert_eq!(batches.len(), 3);
    assert_eq!(batches[2].records(), [record, Record::of("").at(1_234_567_890_124)]);
}

#[test]
fn a_batch_over_max_message_bytes_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("large", 1, &[("max.message.bytes", "2000")]);
    let large = Batch::of([Record::of([b'x'; 2_000])]).encode();
    check_refused(&mut client, &topic, large, &[ResponseError::MessageTooLarge]);
    let just_right = Batch::of([Record::of(vec![b'x'; 1_900])]).encode();
    assert!(just_right.len() < 2_000);
    assert_eq!(client.try_produce(&topic.name, -1, just_right).error_code, NONE);
}

#[test]
fn a_batch_over_the_default_limit_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("default");
    let large = Batch::of([Record::of(vec![b'x'; 2 << 20])]).encode();
    check_refused(&mut client, &topic, large, &[ResponseError::MessageTooLarge]);
}

#[test]
fn a_wrong_crc_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("crc");
    let wrong = Batch { crc_flip: 1, ..Batch::numbered("x", 3) };
    check_refused(&mut client, &topic, wrong.encode(), &[ResponseError::CorruptMessage]);
}

#[test]
fn a_lying_record_count_is_refused_with_every_codec() {
    let broker = Broker::start();
    let mut client = broker.connect();
    for codec in CODECS {
        let topic = client.create_topic("count");
        let honest = Batch::numbered("x", 3).compressed(codec);
        for (count, delta) in
            [(2, 1), (4, 3), (3, 2_000_000), (3, 0), (0, -1), (-1, -2), (i32::MAX, i32::MAX - 1)]
        {
            let liar = Batch { record_count: Some(count), last_offset_delta: Some(delta), ..honest.clone() };
            let errors = [ResponseError::InvalidRecord, ResponseError::CorruptMessage];
            check_refused(&mut client, &topic, liar.encode(), &errors);
        }
    }
}

#[test]
fn records_that_are_no_records_are_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("garbage");
    let errors = [ResponseError::InvalidRecord, ResponseError::CorruptMessage];
    for cut in [HEADER_BYTES, HEADER_BYTES + 5] {
        let whole = Batch::numbered("x", 3).encode();
        check_refused(&mut client, &topic, whole.slice(..cut), &errors);
    }
    let garbage = [0xff; 40];
    check_refused(&mut client, &topic, Bytes::copy_from_slice(&garbage), &errors);
}

#[test]
fn a_decompression_bomb_is_refused_and_takes_no_memory() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("bomb");
    client.produce(&topic, &Batch::numbered("warm", 1).compressed(Codec::Zstd));
    let before = broker.resident_kib();
    let errors = [
        ResponseError::MessageTooLarge,
        ResponseError::RecordListTooLarge,
        ResponseError::InvalidRecord,
        ResponseError::CorruptMessage,
    ];
    check_refused(&mut client, &topic, zstd_bomb(2 << 30), &errors);
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < 100 << 10, "resident memory grew by {grown} KiB");
}

#[test]
fn an_unknown_magic_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("magic");
    let errors = [
        ResponseError::InvalidRecord,
        ResponseError::CorruptMessage,
        ResponseError::UnsupportedForMessageFormat,
    ];
    for magic in [0, 1, 3, -1, 127] {
        let batch = Batch { magic, ..Batch::numbered("x", 1) };
        check_refused(&mut client, &topic, batch.encode(), &errors);
    }
}

#[test]
fn an_unknown_codec_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("codec");
    let errors = [
        ResponseError::InvalidRecord,
        ResponseError::CorruptMessage,
        ResponseError::UnsupportedCompressionType,
    ];
    for codec in 5..8 {
        let batch = Batch { attributes: codec, ..Batch::numbered("x", 1) };
        check_refused(&mut client, &topic, batch.encode(), &errors);
    }
}

#[test]
fn zstd_is_refused_where_the_version_does_not_know_it() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("zstd");
    let records = Batch::numbered("x", 1).compressed(Codec::Zstd).encode();
    for (api_version, code) in [(3, ResponseError::UnsupportedCompressionType.code()), (7, NONE)] {
        let answer = client.call(api_version, &produce_request(&topic.name, 0, -1, records.clone()));
        assert_eq!(answer.responses[0].partition_responses[0].error_code, code, "version {api_version}");
    }
}

#[test]
fn a_control_batch_from_a_client_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("control");
    let control = Batch { attributes: CONTROL, ..Batch::numbered("x", 1) };
    check_refused(&mut client, &topic, control.encode(), &[ResponseError::InvalidRecord]);
}

#[test]
fn a_partition_takes_exactly_one_batch_a_request() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("onebatch");
    let mut two = BytesMut::from(&Batch::numbered("a", 1).encode()[..]);
    two.put_slice(&Batch::numbered("b", 1).encode());
    check_refused(&mut client, &topic, two.freeze(), &[ResponseError::InvalidRecord]);
    check_refused(&mut client, &topic, Bytes::new(), &[ResponseError::InvalidRecord]);
}

#[test]
fn a_bad_partition_does_not_spoil_its_neighbours() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("neighbours", 2, &[]);
    let wrong = Batch { crc_flip: 1, ..Batch::numbered("x", 1) };
    let parts =
        [(0, Batch::numbered("x", 1)), (1, wrong), (9, Batch::numbered("x", 1))].map(|(index, batch)| {
            PartitionProduceData::default().with_index(index).with_records(Some(batch.encode()))
        });
    let data =
        TopicProduceData::default().with_name(topic_name(&topic.name)).with_partition_data(parts.to_vec());
    let request = produce_request(&topic.name, 0, -1, Bytes::new()).with_topic_data(vec![data]);
    let answer = client.call(PRODUCE_BY_NAME, &request);
    let codes: Vec<(i32, i16)> =
        answer.responses[0].partition_responses.iter().map(|part| (part.index, part.error_code)).collect();
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    let mut expected = vec![(0, NONE), (1, ResponseError::CorruptMessage.code()), (9, unknown)];
    let mut codes = codes;
    codes.sort_unstable();
    expected.sort_unstable();
    assert_eq!(codes, expected);
}

#[test]
fn every_version_of_produce_appends() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("versions");
    for api_version in 3..=13 {
        let mut request = produce_request(&topic.name, 0, -1, Batch::numbered("v", 1).encode());
        if api_version >= 13 {
            let by_id =
                std::mem::take(&mut request.topic_data[0]).with_name(topic_name("")).with_topic_id(topic.id);
            request.topic_data[0] = by_id;
        }
        let answer = client.call(api_version, &request);
        let part = &answer.responses[0].partition_responses[0];
        assert_eq!((part.error_code, part.base_offset), (NONE, i64::from(api_version) - 3), "{api_version}");
    }
}

#[test]
fn acks_one_and_acks_all_are_answered_with_offsets() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("acks");
    for (acks, expected) in [(1, 0), (-1, 2)] {
        let answer = client.try_produce(&topic.name, acks, Batch::numbered("x", 2).encode());
        assert_eq!((answer.error_code, answer.base_offset), (NONE, expected));
    }
}

#[test]
fn acks_zero_has_no_answer_and_is_stored() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("silent");
    let records = Batch::numbered("silent", 1).encode();
    client.send(PRODUCE_BY_NAME, &produce_request(&topic.name, 0, 0, records));
    // The next answer belongs to the next request, and its record stands behind the silent one.
    assert_eq!(client.produce(&topic, &Batch::numbered("loud", 1)), 1);
    assert_eq!(client.all_values(&topic), ["silent-0", "loud-0"]);
}

#[test]
fn a_refused_batch_with_acks_zero_closes_the_connection() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("silent");
    let wrong = Batch { crc_flip: 1, ..Batch::numbered("x", 1) };
    client.send(PRODUCE_BY_NAME, &produce_request(&topic.name, 0, 0, wrong.encode()));
    assert!(client.is_closed_by_broker(), "so that the producer learns of it");
    assert_eq!(broker.connect().list_offset(&topic, LATEST).offset, 0);
}

#[test]
fn other_acks_are_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("acks");
    for acks in [2, -2, i16::MAX] {
        let answer = client.try_produce(&topic.name, acks, Batch::numbered("x", 1).encode());
        assert_eq!(answer.error_code, ResponseError::InvalidRequiredAcks.code(), "acks={acks}");
    }
    assert_eq!(client.list_offset(&topic, LATEST).offset, 0);
}

#[test]
fn produce_to_an_unknown_topic_is_refused() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let answer = client.try_produce(&unique_name("nowhere"), -1, Batch::numbered("x", 1).encode());
    assert_eq!(answer.error_code, ResponseError::UnknownTopicOrPartition.code());
}

#[test]
fn log_append_time_is_the_brokers() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic_with("times", 1, &[("message.timestamp.type", "LogAppendTime")]);
    let answer = client.try_produce(&topic.name, -1, Batch::numbered("x", 2).encode());
    assert!(
        answer.log_append_time_ms > crate::support::batches::SOME_TIME_MS,
        "now, not the producer's time"
    );
    let batches = client.fetch_batches(&topic, 0);
    let attributes = (&batches[0].bytes[21..23]).get_i16();
    assert_eq!(attributes & 0x08, 0x08, "the batch says so");
    assert_eq!((&batches[0].bytes[35..43]).get_i64(), answer.log_append_time_ms, "its max timestamp");
}

#[test]
fn compressed_batches_pass_through_untouched() {
    let broker = Broker::start();
    let mut client = broker.connect();
    for codec in CODECS {
        let topic = client.create_topic("codec");
        let sent = Batch::numbered("some text that can be compressed", 50).compressed(codec).encode();
        for base_offset in [0, 50] {
            assert_eq!(client.try_produce(&topic.name, -1, sent.clone()).base_offset, base_offset);
        }
        let batches = client.fetch_batches(&topic, 0);
        assert_eq!(batches.len(), 2);
        for (batch, base_offset) in batches.iter().zip([0, 50]) {
            assert_eq!(batch.base_offset, base_offset);
            assert!(batch.leader_epoch >= 0, "stamped with a leader epoch");
            assert_eq!(batch.bytes[8..12], sent[8..12], "{codec:?}: the length");
            assert_eq!(batch.bytes[16..], sent[16..], "{codec:?}: all from the magic on");
            assert_eq!(batch.records().len(), 50);
        }
    }
}

#[test]
fn pipelined_requests_are_appended_and_answered_in_order() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("pipeline");
    let mut frames = BytesMut::new();
    let mut sent = Vec::new();
    for number in 0..50 {
        let records = Batch::of([Record::of(number.to_string())]).encode();
        let (id, frame) = client.frame(PRODUCE_BY_NAME, &produce_request(&topic.name, 0, -1, records));
        frames.put_slice(&frame);
        sent.push(id);
    }
    client.send_bytes(&frames);
    for (number, id) in sent.into_iter().enumerate() {
        let answer = client.receive::<ProduceRequest>(PRODUCE_BY_NAME, id);
        let part = &answer.responses[0].partition_responses[0];
        assert_eq!((part.error_code, part.base_offset), (NONE, i64::try_from(number).expect("small")));
    }
    let expected: Vec<String> = (0..50).map(|number| number.to_string()).collect();
    assert_eq!(client.all_values(&topic), expected);
}

#[test]
fn other_requests_wait_for_the_produce_before_them() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("pipeline");
    let records = Batch::numbered("x", 3).encode();
    let produced = client.send(PRODUCE_BY_NAME, &produce_request(&topic.name, 0, -1, records));
    let partition = ListOffsetsPartition::default().with_current_leader_epoch(-1).with_timestamp(LATEST);
    let asked =
        ListOffsetsTopic::default().with_name(topic_name(&topic.name)).with_partitions(vec![partition]);
    let request = ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![asked]);
    let listed = client.send(8, &request);
    client.receive::<ProduceRequest>(PRODUCE_BY_NAME, produced);
    let answer = client.receive::<ListOffsetsRequest>(8, listed);
    assert_eq!(answer.topics[0].partitions[0].offset, 3, "it sees what went before it");
}

#[test]
fn an_acknowledged_record_survives_a_kill() {
    let mut broker = Broker::start();
    let topic = broker.connect().create_topic("durable");
    for round in 0..3 {
        let name = format!("round-{round}");
        assert_eq!(broker.connect().produce(&topic, &Batch::numbered(&name, 2)), round * 2);
        broker.kill_and_restart();
    }
    let expected = ["round-0-0", "round-0-1", "round-1-0", "round-1-1", "round-2-0", "round-2-1"];
    let mut client = broker.connect();
    assert_eq!(client.all_values(&topic), expected);
    assert_eq!(client.list_offset(&topic, LATEST).offset, 6);
    assert_eq!(client.fetch(&topic, 6, AT_ONCE).error_code, NONE);
}

#[test]
fn produce_before_version_three_is_answered_unsupported_version() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("old");
    for api_version in 0..3 {
        let mut body = BytesMut::new();
        body.put_i16(-1);
        body.put_i32(1_000);
        body.put_i32(1);
        put_string(&mut body, &topic.name);
        body.put_i32(1);
        body.put_i32(0);
        body.put_i32(0);
        let (id, frame) = client.frame_of(0, api_version, 1, &body);
        client.send_bytes(&frame);
        let mut answer = client.read_frame().expect("an answer, not a closed connection");
        assert_eq!(answer.get_i32(), id);
        // Apache Kafka names each partition; the code alone says the same.
        if answer.len() > 2 {
            assert_eq!(answer.get_i32(), 1, "one topic");
            let name_bytes = usize::try_from(answer.get_i16()).expect("a name");
            answer.advance(name_bytes);
            assert_eq!((answer.get_i32(), answer.get_i32()), (1, 0), "its only partition");
        }
        assert_eq!(answer.get_i16(), ResponseError::UnsupportedVersion.code());
    }
    assert_eq!(client.list_offset(&topic, LATEST).offset, 0);
}

#[test]
fn an_unknown_version_of_api_versions_is_answered_in_version_zero() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let (id, frame) = client.frame_of(18, 99, 2, &[0]);
    client.send_bytes(&frame);
    let mut answer = client.read_frame().expect("an answer, not a closed connection");
    assert_eq!(answer.get_i32(), id);
    let answer = ApiVersionsResponse::decode(&mut answer, 0).expect("an answer in version 0");
    assert_eq!(answer.error_code, ResponseError::UnsupportedVersion.code());
    assert!(answer.api_keys.iter().any(|key| key.api_key == 18), "it says what is supported");
}

#[test]
fn what_is_not_advertised_is_never_met_with_silence() {
    let broker = Broker::start();
    for (key, api_version) in [(1, 3), (1, 99), (3, 99), (4, 0), (9999, 0), (-1, 0)] {
        let mut client = broker.connect();
        let (id, frame) = client.frame_of(key, api_version, 1, &[0, 0, 0, 0]);
        client.send_bytes(&frame);
        // Apache Kafka closes; an answer is better. Either way the client learns of it at once.
        if let Some(mut answer) = client.read_frame() {
            assert_eq!(answer.get_i32(), id, "key {key} version {api_version}");
        }
    }
    assert_eq!(broker.connect().call(3, &api_versions()).error_code, NONE);
}

#[test]
fn what_is_advertised_is_what_the_rules_need() {
    let broker = Broker::start();
    let answer = broker.connect().call(3, &api_versions());
    for (key, min, max) in
        [(0, 3, 13), (1, 4, 18), (2, 1, 10), (3, 0, 13), (18, 0, 4), (19, 2, 7), (22, 0, 5)]
    {
        let range = answer.api_keys.iter().find(|range| range.api_key == key).expect("advertised");
        assert!(range.min_version <= min && range.max_version >= max, "key {key}: {range:?}");
    }
}

/// A batch whose one record claims a value of `bytes` zeros, in a few KiB of zstd: blocks that repeat a byte.
fn zstd_bomb(bytes: usize) -> Bytes {
    const BLOCK_BYTES: usize = 128 << 10;
    let whole = Batch { codec: Codec::Zstd, ..Batch::of([Record::of("")]) }.encode();
    let mut frame = BytesMut::new();
    frame.put_u32_le(0xfd2f_b528);
    frame.put_slice(&[0x00, 0x38]);
    let start = bomb_record_start(bytes);
    frame.put_slice(&block_header(start.len(), 0, false));
    frame.put_slice(&start);
    for number in 0..bytes / BLOCK_BYTES {
        frame.put_slice(&block_header(BLOCK_BYTES, 1, (number + 1) * BLOCK_BYTES >= bytes));
        frame.put_u8(0);
    }
    let mut batch = BytesMut::from(&whole[..HEADER_BYTES]);
    batch.put_slice(&frame);
    let length = i32::try_from(batch.len() - 12).expect("a small batch");
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crate::support::batches::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch.freeze()
}

/// The record's bytes before its zeros: its last zero is its number of headers.
fn bomb_record_start(bytes: usize) -> Vec<u8> {
    let value_bytes = bytes - 1;
    let mut inner = vec![0, 0, 0, 1];
    put_unsigned(&mut inner, value_bytes << 1);
    let mut start = Vec::new();
    put_unsigned(&mut start, (inner.len() + bytes) << 1);
    start.extend_from_slice(&inner);
    start
}

fn put_unsigned(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push(u8::try_from(value & 0x7f).expect("seven bits") | 0x80);
        value >>= 7;
    }
    to.push(u8::try_from(value).expect("seven bits"));
}

fn block_header(bytes: usize, kind: u32, last: bool) -> [u8; 3] {
    let header = (u32::try_from(bytes).expect("a block") << 3) | (kind << 1) | u32::from(last);
    let [a, b, c, _] = header.to_le_bytes();
    [a, b, c]
}

fn put_string(to: &mut BytesMut, text: &str) {
    to.put_i16(i16::try_from(text.len()).expect("a short text"));
    to.put_slice(text.as_bytes());
}

#[test]
fn the_bomb_is_what_it_says() {
    let batch = zstd_bomb(1 << 20);
    let batches = parse_batches(&batch);
    assert_eq!(batches[0].values(), [vec![0; (1 << 20) - 1]]);
}
