//! Which texts are paths, and that the names of journal objects can be read back.

use crate::store::{ObjectPath, paths};
use crate::types::{MergeNumber, SessionId, ViewNumber};
use proptest::prelude::*;
use uuid::Uuid;

const SESSION: SessionId = SessionId(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));

fn path(text: &str) -> ObjectPath {
    ObjectPath::parse(text).expect("a legal path")
}

#[test]
fn a_path_of_legal_levels_is_kept_as_it_is() {
    for text in ["a", "a/b", "journal/0/1.arrow", "A-Z_0.9=x", "..a", "a..", "...", ".hidden", "a/.b/c"] {
        assert_eq!(path(text).as_str(), text);
        assert_eq!(path(text).to_string(), text);
    }
    let longest = "x".repeat(1024);
    assert_eq!(path(&longest).as_str(), longest);
}

#[test]
fn a_path_that_some_store_would_change_is_refused() {
    for text in [
        "", "/", "/a", "a/", "a//b", ".", "..", "a/.", "a/../b", "./a", "a b", "a#1", "a%20", "a\\b", "a\nb",
        "a\0", "ä", "a:b", "a?b", "a*", "a~", "a+b", "a,b", "a@b",
    ] {
        let message = ObjectPath::parse(text).expect_err(text).to_string();
        assert!(message.contains(&format!("{text:?}")), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    let too_long = "x".repeat(1025);
    let message = ObjectPath::parse(&too_long).expect_err("too long").to_string();
    assert!(message.contains("1024") && message.len() < 200, "{message}");
}

#[test]
fn a_journal_object_has_one_name() {
    let name = paths::journal_object(SESSION, 42);
    assert_eq!(name.as_str(), "journal/0123456789abcdef0123456789abcdef/00000000000000000042.arrow");
    assert_eq!(paths::parse_journal_object(&name), Some((SESSION, 42)));
    assert!(name.as_str().starts_with(paths::journal_prefix(SESSION).as_str()));
    assert!(name.as_str().starts_with(paths::journals_prefix().as_str()));
    assert_eq!(paths::cluster_marker().as_str(), "cluster.json");
}

#[test]
fn a_merged_object_has_one_name_which_is_no_numbered_ones() {
    let number = MergeNumber { view: ViewNumber(7), attempt: 3 };
    let name = paths::merged_object(SESSION, number);
    assert_eq!(name.as_str(), "journal/0123456789abcdef0123456789abcdef/merged-7-3.arrow");
    assert_eq!(paths::parse_merged_object(&name), Some((SESSION, number)));
    assert_eq!(paths::parse_journal_object(&name), None);
    assert_eq!(paths::parse_merged_object(&paths::journal_object(SESSION, 42)), None);
}

#[test]
fn a_name_that_we_do_not_make_is_no_journal_object() {
    for text in [
        "cluster.json",
        "journal",
        "journals/0123456789abcdef0123456789abcdef/00000000000000000042.arrow",
        "journal/0123456789abcdef0123456789abcdef",
        "journal/0123456789abcdef0123456789abcdef/42.arrow",
        "journal/0123456789abcdef0123456789abcdef/00000000000000000042",
        "journal/0123456789abcdef0123456789abcdef/00000000000000000042.arrow.arrow",
        "journal/0123456789abcdef0123456789abcdef/-0000000000000000042.arrow",
        "journal/0123456789abcdef0123456789abcdef/99999999999999999999.arrow",
        "journal/0123456789abcdef0123456789abcdef/x/00000000000000000042.arrow",
        "journal/0123456789ABCDEF0123456789ABCDEF/00000000000000000042.arrow",
        "journal/01234567-89ab-cdef-0123-456789abcdef/00000000000000000042.arrow",
        "x/journal/0123456789abcdef0123456789abcdef/00000000000000000042.arrow",
        "journal/0123456789abcdef0123456789abcdef/merged-7.arrow",
        "journal/0123456789abcdef0123456789abcdef/merged-07-3.arrow",
        "journal/0123456789abcdef0123456789abcdef/merged--7-3.arrow",
        "journal/0123456789abcdef0123456789abcdef/merged-7-3-1.arrow",
        "journal/0123456789abcdef0123456789abcdef/merged-7-3",
        "journal/0123456789abcdef0123456789abcdef/x/merged-7-3.arrow",
        "journal/0123456789ABCDEF0123456789ABCDEF/merged-7-3.arrow",
    ] {
        assert_eq!(paths::parse_journal_object(&path(text)), None, "{text}");
        assert_eq!(paths::parse_merged_object(&path(text)), None, "{text}");
    }
}

proptest! {
    #[test]
    fn the_name_of_a_journal_object_gives_back_its_session_and_number(id: u128, seq: u64) {
        let session = SessionId(Uuid::from_u128(id));
        let name = paths::journal_object(session, seq);
        prop_assert_eq!(paths::parse_journal_object(&name), Some((session, seq)));
    }

    #[test]
    fn the_name_of_a_merged_object_gives_back_its_session_and_number(id: u128, view in 0..=i32::MAX, attempt: u32) {
        let (session, number) = (SessionId(Uuid::from_u128(id)), MergeNumber { view: ViewNumber(view), attempt });
        let name = paths::merged_object(session, number);
        prop_assert_eq!(paths::parse_merged_object(&name), Some((session, number)));
    }

    #[test]
    fn names_stand_in_the_order_of_their_numbers(a: u64, b: u64) {
        let (name_a, name_b) = (paths::journal_object(SESSION, a), paths::journal_object(SESSION, b));
        prop_assert_eq!(name_a.cmp(&name_b), a.cmp(&b));
        prop_assert_eq!(name_a.as_str().cmp(name_b.as_str()), a.cmp(&b));
    }

    #[test]
    fn no_text_makes_the_parser_panic_or_changes(text in "\\PC{0,40}|[a-c/.#%]{0,12}") {
        if let Ok(path) = ObjectPath::parse(&text) {
            prop_assert_eq!(path.as_str(), text);
        }
    }
}
