//! Memory is bounded before anyone has said who they are: every lie on the wire ends in an error or a closed
//! connection, and the resident memory of the process stays where it was.

use crate::support::requests::{api_versions, text};
use crate::support::{Batch, Broker, Client, NONE};
use bytes::{BufMut, BytesMut};
use kafka_protocol::messages::ApiVersionsRequest;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// What allocators and logs may add without anyone having reserved for a claim.
const GROWTH_KIB_MAX: u64 = 8 << 10;

/// Runs `attack` against a warm broker and sees that its memory does not move and that it still serves.
fn check_bounded(attack: impl Fn(&Broker)) {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("bounds");
    client.produce(&topic, &Batch::numbered("warm", 1));
    attack(&broker);
    let before = broker.resident_kib();
    for _ in 0..20 {
        attack(&broker);
    }
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < GROWTH_KIB_MAX, "resident memory grew by {grown} KiB");
    assert_eq!(client.produce(&topic, &Batch::numbered("after", 1)), 1, "it still serves");
}

/// Sends a request body and waits until the broker answered or closed.
fn send_body(broker: &Broker, key: i16, api_version: i16, header_version: i16, body: &[u8]) {
    let mut client = broker.connect();
    let (_, frame) = client.frame_of(key, api_version, header_version, body);
    client.send_bytes(&frame);
    client.read_frame();
}

#[test]
fn eight_bytes_that_claim_500_million_topics_take_no_memory() {
    check_bounded(|broker| {
        let mut body = BytesMut::new();
        body.put_i32(500_000_000);
        body.put_i32(0);
        for api_version in [0, 1, 4, 8] {
            send_body(broker, 3, api_version, 1, &body);
        }
        // The compact form: count plus one as an unsigned varint.
        send_body(broker, 3, 12, 2, &[0x81, 0xca, 0xb5, 0xee, 0x01, 0, 0, 0]);
    });
}

#[test]
fn counts_that_lie_take_no_memory_in_any_api() {
    check_bounded(|broker| {
        for key in [0, 1, 2, 19, 20, 22, 23, 32, 33, 35, 37, 44, 60, 61, 75] {
            for (api_version, header_version) in [(0, 1), (3, 1), (4, 1), (5, 2), (6, 2), (9, 2), (12, 2)] {
                send_body(broker, key, api_version, header_version, &[0x7f; 64]);
                send_body(broker, key, api_version, header_version, &[0xff; 64]);
                send_body(broker, key, api_version, header_version, &[0xff, 0xff, 0xff, 0xff, 0x07]);
            }
        }
    });
}

#[test]
fn a_frame_of_two_gibibytes_is_closed_at_once() {
    check_bounded(|broker| {
        let mut client = broker.connect();
        client.send_bytes(&i32::MAX.to_be_bytes());
        assert!(client.is_closed_by_broker());
    });
}

#[test]
fn a_frame_of_negative_length_is_closed_at_once() {
    check_bounded(|broker| {
        for length in [-1, i32::MIN] {
            let mut client = broker.connect();
            client.send_bytes(&length.to_be_bytes());
            assert!(client.is_closed_by_broker());
        }
    });
}

#[test]
fn a_frame_too_short_for_a_header_is_closed() {
    check_bounded(|broker| {
        for length in [0_i32, 1, 4, 7] {
            let mut client = broker.connect();
            client.send_bytes(&length.to_be_bytes());
            client.send_bytes(&vec![0; usize::try_from(length).expect("positive")]);
            assert!(client.is_closed_by_broker(), "{length} bytes");
        }
    });
}

#[test]
fn http_on_the_kafka_port_is_closed() {
    check_bounded(|broker| {
        let mut client = broker.connect();
        client.send_bytes(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        assert!(client.is_closed_by_broker());
    });
}

#[test]
fn half_a_frame_and_silence_disturbs_nobody() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("half");
    let before = broker.resident_kib();
    let mut silent: Vec<Client> = (0..20).map(|_| broker.connect()).collect();
    for half in &mut silent {
        // A megabyte is promised and half a kilobyte comes.
        half.send_bytes(&(1_i32 << 20).to_be_bytes());
        half.send_bytes(&[0; 512]);
    }
    for number in 0..50 {
        assert_eq!(client.produce(&topic, &Batch::numbered("x", 1)), number);
    }
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < (20 << 10) + GROWTH_KIB_MAX, "resident memory grew by {grown} KiB");
    drop(silent);
    assert_eq!(client.produce(&topic, &Batch::numbered("x", 1)), 50);
}

#[test]
fn a_slow_frame_is_served_when_it_is_whole() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let (id, frame) = client.frame(3, &api_versions());
    for byte in &frame[..] {
        client.send_bytes(std::slice::from_ref(byte));
    }
    assert_eq!(client.receive::<ApiVersionsRequest>(3, id).error_code, NONE);
}

#[test]
fn idle_connections_cost_little() {
    let broker = Broker::start();
    let wanted = open_files_max().saturating_sub(200).min(1_000) / 2 * 2;
    let warm: Vec<Client> = (0..50).map(|_| broker.connect()).collect();
    let before = broker.resident_kib();
    let mut idle: Vec<Client> = (0..wanted).map(|_| broker.connect()).collect();
    // All are taken in: the last ones are answered.
    for client in idle.iter_mut().rev().take(10) {
        assert_eq!(client.call(3, &api_versions()).error_code, NONE);
    }
    let grown = broker.resident_kib().saturating_sub(before);
    let each = grown / u64::try_from(wanted).expect("positive");
    assert!(each < 64, "{each} KiB for each of {wanted} idle connections");
    drop(warm);
}

#[test]
fn a_reader_that_never_reads_is_not_answered_from_memory_without_end() {
    let broker = Broker::start();
    let mut client = broker.connect();
    let topic = client.create_topic("unread");
    for _ in 0..8 {
        client.produce(&topic, &Batch::of([crate::support::Record::of(vec![b'x'; 1_000_000])]));
    }
    let before = broker.resident_kib();
    let mut deaf = Client::connect(broker.kafka());
    let request = crate::support::requests::fetch_one(&topic.name, 0, crate::support::requests::AT_ONCE);
    let mut stream = deaf.stream().try_clone().expect("a second handle");
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a write deadline");
    // 200 answers of 8 MB are asked for, and none is read: the broker stops taking requests long before.
    for _ in 0..200 {
        let (_, frame) = deaf.frame(12, &request);
        if stream.write_all(&frame).is_err() {
            break;
        }
    }
    assert_eq!(client.produce(&topic, &Batch::numbered("after", 1)), 8, "others are served");
    let grown = broker.resident_kib().saturating_sub(before);
    assert!(grown < 150 << 10, "resident memory grew by {grown} KiB");
}

#[test]
fn a_client_name_of_any_bytes_is_no_harm() {
    let broker = Broker::start();
    let mut stream = TcpStream::connect(broker.kafka()).expect("a connection");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a deadline");
    let mut frame = BytesMut::new();
    frame.put_slice(&[0, 18, 0, 0, 0, 0, 0, 1, 0, 4, 0xff, 0xfe, 0x00, 0x0a]);
    let length = i32::try_from(frame.len()).expect("small");
    stream.write_all(&length.to_be_bytes()).expect("sent");
    stream.write_all(&frame).expect("sent");
    let mut answer = [0; 4];
    // An answer or a closed connection, and the log stays one line an event.
    let _ = stream.read(&mut answer);
    let mut client = broker.connect();
    let named = api_versions().with_client_software_name(text("it"));
    assert_eq!(client.call(3, &named).error_code, NONE);
}

/// The soft limit on open files of this process.
fn open_files_max() -> usize {
    let limits = std::fs::read_to_string("/proc/self/limits").expect("/proc");
    let line = limits.lines().find(|line| line.starts_with("Max open files")).expect("the limit");
    line.split_whitespace().nth(3).and_then(|soft| soft.parse().ok()).unwrap_or(usize::MAX)
}
