use super::*;

fn topics(names: &[&str]) -> Vec<String> {
    names.iter().map(ToString::to_string).collect()
}

#[test]
fn what_was_written_is_read() {
    let subscribed = topics(&["flights", "weather"]);
    assert_eq!(decode_subscription(&encode_subscription(&subscribed)), Some(subscribed));
    let assigned = AssignedPartitions::from([
        ("flights".to_owned(), vec![PartitionIndex(0), PartitionIndex(2)]),
        ("weather".to_owned(), vec![]),
    ]);
    assert_eq!(decode_assignment(&encode_assignment(&assigned)), Some(assigned));
}

#[test]
fn the_bytes_are_those_of_apache_kafka() {
    let subscription = b"\0\x01\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0";
    assert_eq!(encode_subscription(&topics(&["t"])).as_ref(), subscription);
    let assigned = AssignedPartitions::from([("t".to_owned(), vec![PartitionIndex(3)])]);
    let assignment = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\x03\xff\xff\xff\xff";
    assert_eq!(encode_assignment(&assigned).as_ref(), assignment);
}

#[test]
fn newer_versions_are_read_as_far_as_they_are_known() {
    let newer = b"\0\x03\0\0\0\x01\0\x01t\xff\xff\xff\xff\0\0\0\0\0\0\0\x07\xff\xff";
    assert_eq!(decode_subscription(&Bytes::from_static(newer)), Some(topics(&["t"])));
}

#[test]
fn bytes_that_are_no_message_are_refused() {
    assert_eq!(decode_assignment(&Bytes::new()), Some(AssignedPartitions::new()));
    for bytes in [
        &b""[..],
        b"\0",
        b"\0\x01\x7f\xff\xff\xff",
        b"\0\x01\xff\xff\xff\xff",
        b"\0\x01\0\0\0\x01\0\x05t",
        b"\0\x01\0\0\0\x01\0\x01\xff",
    ] {
        assert_eq!(decode_subscription(&Bytes::from_static(bytes)), None, "{bytes:?}");
    }
    assert_eq!(decode_assignment(&Bytes::from_static(b"\0\x01\0\0\0\x01\0\x01t\x7f\xff\xff\xff")), None);
}
