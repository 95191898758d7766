use super::cluster::Cluster;
use super::journal_starts::{self, JournalStart, MergedObject};
use super::journals::{self, Journal};
use super::producer_ids::{TakeBlockError, take_block};
use super::sessions::{self, Session};
use super::view::{Member, View};
use crate::meta::contract::{applied, put, writing};
use crate::meta::faults::FaultyStore;
use crate::meta::{Entry, MetadataStore, Revision, Standing, StandingError, Write};
use crate::types::{BrokerId, ClusterId, MergeNumber, SessionId, ViewNumber};
use bytes::Bytes;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

const ID: Uuid = Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef);

fn entry(value: Bytes) -> Entry {
    Entry { key: "k".into(), value, mod_revision: Revision(1) }
}

#[test]
fn stored_forms_are_as_documented() {
    let hex = "0123456789abcdef0123456789abcdef";
    let cluster = Cluster { cluster_id: ClusterId(ID) };
    assert_eq!(cluster.encode(), format!(r#"{{"v":1,"cluster_id":"{hex}"}}"#));
    assert_eq!(Cluster::decode(&entry(cluster.encode())).expect("readable"), cluster);

    let member = Member { session: SessionId(ID), broker_id: BrokerId(1) };
    let view = View { number: ViewNumber(7), members: vec![member] };
    let text = format!(r#"{{"v":1,"number":7,"members":[{{"session":"{hex}","broker_id":1}}]}}"#);
    assert_eq!(view.encode(), text);
    assert_eq!(View::decode(&entry(view.encode())).expect("readable"), view);

    let session = Session { broker_id: BrokerId(1), acked_view: ViewNumber(7), started_ms: 5 };
    assert_eq!(session.encode(), r#"{"v":1,"broker_id":1,"acked_view":7,"started_ms":5}"#);
    assert_eq!(Session::decode(&entry(session.encode())).expect("readable"), session);

    let journal = Journal { committed: 12, final_seq: None };
    assert_eq!(journal.encode(), r#"{"v":1,"committed":12,"final":null}"#);
    assert_eq!(Journal::decode(&entry(journal.encode())).expect("readable"), journal);
}

#[test]
fn a_journal_start_is_as_documented_with_merged_objects_and_without() {
    let start = JournalStart { first: 12, merged: Vec::new() };
    assert_eq!(start.encode(), r#"{"v":1,"first":12}"#);
    assert_eq!(JournalStart::decode(&entry(start.encode())).expect("readable"), start);
    let number = MergeNumber { view: ViewNumber(7), attempt: 3 };
    let merged = MergedObject { number, bytes: 52_000, puts: 500_000_000 };
    let start = JournalStart { first: 12, merged: vec![merged] };
    let text = r#"{"v":1,"first":12,"merged":[{"number":"7-3","bytes":52000,"puts":500000000}]}"#;
    assert_eq!(start.encode(), text);
    assert_eq!(JournalStart::decode(&entry(start.encode())).expect("readable"), start);
    for number in ["7", "-7-3", "7--3", "07-3", "7-+3", "7-4294967296"] {
        let text = text.replace("7-3", number);
        assert!(JournalStart::decode(&entry(Bytes::from(text))).is_err(), "{number}");
    }
}

#[test]
fn keys_name_their_session() {
    let session = SessionId(ID);
    assert_eq!(sessions::session_of(&sessions::key(session)), Some(session));
    assert_eq!(journals::session_of(&journals::key(session)), Some(session));
    assert_eq!(journals::session_of("journals/x"), None);
    assert_eq!(journal_starts::session_of(&journal_starts::key(session)), Some(session));
}

#[test]
fn a_newer_format_is_an_error() {
    let error = Journal::decode(&entry(Bytes::from_static(b"{\"v\":2}"))).expect_err("not ours");
    assert_eq!(error.to_string(), "the metadata at k cannot be read: format 2 of a newer release");
    assert!(Journal::decode(&entry(Bytes::from_static(b"nonsense"))).is_err());
}

async fn standing() -> (Arc<FaultyStore>, Standing) {
    let store = Arc::new(FaultyStore::new(1_000));
    let revision = applied(&store.inner, writing(vec![], vec![put("s", "")])).await.expect("applied");
    let of_standing: Arc<dyn MetadataStore> = store.clone();
    (store, Standing::new(of_standing, "s".into(), revision))
}

#[tokio::test]
async fn blocks_of_producer_ids_never_overlap() {
    let (store, standing) = standing().await;
    assert_eq!(take_block(&*store, &standing, 1000).await.expect("taken"), 0..1000);
    let mut takers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let (store, standing) = (Arc::clone(&store), standing.clone());
        takers.spawn(async move { take_block(&*store, &standing, 10).await.expect("taken") });
    }
    let mut blocks = takers.join_all().await;
    blocks.sort_by_key(|block| block.start);
    assert!(blocks.windows(2).all(|pair| pair[0].end <= pair[1].start));
}

#[tokio::test]
async fn a_block_whose_answer_was_lost_is_not_given_out() {
    let (store, standing) = standing().await;
    store.answers_to_lose.store(1, Ordering::SeqCst);
    assert_eq!(take_block(&*store, &standing, 10).await.expect("taken"), 10..20);
}

#[tokio::test]
async fn a_sealed_session_takes_no_ids() {
    let (store, standing) = standing().await;
    applied(&store.inner, writing(vec![], vec![Write::Delete("s".into())])).await.expect("applied");
    let error = take_block(&*store, &standing, 10).await.expect_err("it was sealed");
    assert!(matches!(error, TakeBlockError::Standing(StandingError::Lost)));
    assert!(standing.is_lost());
}

#[test]
fn a_name_in_a_key_has_no_separators_and_no_two_names_share_one() {
    for (name, expected) in
        [("", "%"), ("a.B_9-", "a.B_9-"), ("%", "%25"), ("a/b", "a%2fb"), ("é", "%c3%a9"), ("a b", "a%20b")]
    {
        assert_eq!(super::escaped(name), expected);
        assert_eq!(super::unescaped(expected).as_deref(), Some(name));
    }
}
