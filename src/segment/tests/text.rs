//! Which columns are strings, and that nothing else hangs on it.

use super::world::{OwnedBatch, OwnedRecord, open, read_rows, small_pages, text_record, write};
use crate::segment::SegmentOptions;
use crate::segment::schema::TextColumns;

fn options(text: bool) -> SegmentOptions {
    SegmentOptions { text, ..small_pages() }
}

fn check(records: Vec<OwnedRecord>, text: bool, expected: TextColumns) {
    let end = records.len() as i64;
    let batch = OwnedBatch::plain(0, records);
    let segment = write(std::slice::from_ref(&batch), 0..end, options(text));
    assert_eq!(open(&segment.bytes).footer().text(), expected);
    assert_eq!(read_rows(&segment.bytes), batch.rows());
}

const NONE: TextColumns = TextColumns { key: false, value: false, header_key: true };
const BOTH: TextColumns = TextColumns { key: true, value: true, header_key: true };

#[test]
fn a_topic_without_the_setting_has_no_strings() {
    check(vec![text_record(1, "plain"); 20], false, NONE);
}

#[test]
fn a_file_of_valid_text_has_strings() {
    let keyed = OwnedRecord { key: Some("schlüssel".into()), ..text_record(1, "wert: ß, 水") };
    check(vec![keyed; 20], true, BOTH);
    check(vec![text_record(1, ""); 20], true, BOTH);
}

#[test]
fn one_value_that_is_no_text_makes_its_column_binary() {
    let mut records = vec![text_record(1, "text"); 20];
    records[13].value = Some(vec![0xff, b'a']);
    check(records, true, TextColumns { value: false, ..BOTH });
    // Two halves of one character are no text although they are when joined.
    let mut halves = vec![text_record(1, "text"); 20];
    (halves[3].key, halves[4].key) = (Some(vec![0xc3]), Some(vec![0xbc]));
    check(halves, true, TextColumns { key: false, ..BOTH });
}

#[test]
fn a_header_whose_key_is_no_text_survives() {
    let mut records = vec![text_record(1, "text"); 20];
    records[2].headers = vec![(vec![0xfe], None), (b"same".to_vec(), Some(vec![])), (b"same".to_vec(), None)];
    check(records, true, TextColumns { header_key: false, ..BOTH });
}
