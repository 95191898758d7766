//! Subscriptions and base64, from anybody.

use super::super::subscription::topics;
use super::super::text::{bytes_cost, decode, encode, string_cost};
use super::*;
use proptest::prelude::*;

#[test]
fn the_topics_of_every_version_are_read() {
    for version in 0..=4_u8 {
        let mut bytes = subscription_to(&["a", "b", "a"]).to_vec();
        bytes[1] = version;
        bytes.extend([7; 20]);
        let topics = topics(&bytes).expect("a subscription");
        assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[test]
fn what_is_no_subscription_has_no_topics() {
    let cases: [&[u8]; 7] = [
        &[],
        &[0],
        &[0, 1, 0, 0, 0],
        &[255, 255, 0, 0, 0, 0],
        &[0, 1, 255, 255, 255, 255],
        &[0, 1, 127, 255, 255, 255, 0, 1, b'a'],
        &[0, 1, 0, 0, 0, 1, 0, 2, 0xff, 0xff],
    ];
    for bytes in cases {
        assert_eq!(topics(bytes), None, "{bytes:?}");
    }
}

#[test]
fn bytes_are_written_as_everybody_writes_them() {
    for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
        assert_eq!(encode(bytes.as_bytes()), text);
        assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()));
    }
    for text in ["Z", "Zg=", "Zg", "====", "Z===", "Zg==Zg==", "Zm9\u{e9}"] {
        assert_eq!(decode(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), head in 0..12_u8) {
        let _ = topics(&bytes);
        let mut likely = vec![0, 1, 0, 0, 0, head];
        likely.extend(&bytes);
        let _ = topics(&likely);
    }

    #[test]
    fn bytes_come_back_from_text(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        let text = encode(&bytes);
        prop_assert_eq!(text.len(), bytes_cost(&bytes));
        prop_assert_eq!(decode(&text), Some(bytes));
    }

    #[test]
    fn no_text_costs_more_than_is_counted(text in any::<String>()) {
        let json = serde_json::to_string(&text).expect("plain data");
        prop_assert!(json.len() <= string_cost(&text) + 2);
        let _ = decode(&text);
    }
}
