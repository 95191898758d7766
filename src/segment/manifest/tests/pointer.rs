//! The value in the metadata store.

use super::*;
use crate::meta::{Entry, Revision};
use proptest::prelude::*;

fn entry(value: &[u8]) -> Entry {
    let key = pointer_key(topic_partition());
    Entry { key, value: value.to_vec().into(), mod_revision: Revision(1) }
}

#[test]
fn a_pointer_has_one_stored_form() {
    let root = ObjectRef { id: Uuid::from_u128(0xabc), bytes: 4_096, crc32c: 0x0a1b_2c3d };
    let pointer =
        ManifestPointer { root: Some(root), log_start_offset: Offset(7), archived_offset: Offset(900) };
    let text = r#"{"v":1,"log_start":7,"archived":900,"root":{"id":"00000000000000000000000000000abc","bytes":4096,"crc32c":"0a1b2c3d"}}"#;
    assert_eq!(pointer.encode(), text);
    assert_eq!(ManifestPointer::decode(&entry(text.as_bytes())), Ok(pointer));
    let without = ManifestPointer::without_root(Offset(7));
    assert_eq!(without.encode(), r#"{"v":1,"log_start":7,"archived":0,"root":null}"#);
    assert_eq!(ManifestPointer::decode(&entry(&without.encode())), Ok(without));
}

#[test]
fn a_pointer_that_makes_no_sense_is_refused() {
    for text in [
        "",
        "{}",
        r#"{"v":2,"log_start":7,"archived":0,"root":null}"#,
        r#"{"v":1,"log_start":-7,"archived":0,"root":null}"#,
        r#"{"v":1,"log_start":7,"archived":1,"root":null}"#,
        r#"{"v":1,"log_start":7,"archived":1,"root":{"id":"abc","bytes":4096,"crc32c":"0a1b2c3d"}}"#,
        r#"{"v":1,"log_start":7,"archived":1,"root":{"id":"00000000000000000000000000000abc","bytes":4096}}"#,
    ] {
        let error = ManifestPointer::decode(&entry(text.as_bytes())).expect_err(text);
        assert!(error.to_string().contains(&pointer_key(topic_partition())), "{error}");
    }
}

#[test]
fn a_key_names_its_partition() {
    let key = pointer_key(topic_partition());
    assert_eq!(key, "manifests/0123456789abcdef0123456789abcdef/3");
    assert!(key.starts_with(&pointer_prefix(topic_partition().topic_id)));
    assert_eq!(ManifestPointer::partition_of(&key), Some(topic_partition()));
    for other in [
        "manifests/0123456789abcdef0123456789abcdef",
        "manifests/x/3",
        "manifests/0123456789abcdef0123456789abcdef/03",
    ] {
        assert_eq!(ManifestPointer::partition_of(other), None, "{other}");
    }
}

proptest! {
    #[test]
    fn any_pointer_comes_back(id: u128, bytes: u64, crc32c: u32, start in 0..i64::MAX, end in 0..i64::MAX) {
        let root = ObjectRef { id: Uuid::from_u128(id), bytes, crc32c };
        let pointer = ManifestPointer { root: Some(root), log_start_offset: Offset(start), archived_offset: Offset(end) };
        prop_assert!(pointer.encode().len() < 200);
        prop_assert_eq!(ManifestPointer::decode(&entry(&pointer.encode())), Ok(pointer));
    }
}
