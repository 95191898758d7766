use super::cluster::Cluster;
use super::journal_starts::{self, JournalStart, MergedObject};
use super::journals::{self, Journal};
use super::producer_ids::{TakeBlockError, take_block};
use super::sessions::{self, LISTENERS_MAX, Listener, Session};
use super::view::{EarlierView, MEMBERS_MAX, Member, PlacementNumber, View};
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

    let journal = Journal { committed: 12, final_seq: None };
    assert_eq!(journal.encode(), r#"{"v":1,"committed":12,"final":null}"#);
    assert_eq!(Journal::decode(&entry(journal.encode())).expect("readable"), journal);
}

fn member(number: u128, broker_id: i32) -> Member {
    Member::new(SessionId(Uuid::from_u128(number)), BrokerId(broker_id))
}

fn decoded_view(view: &View) -> Result<View, String> {
    View::decode(&entry(view.encode())).map_err(|error| error.reason)
}

#[test]
fn a_view_is_as_documented() {
    let hex = "0123456789abcdef0123456789abcdef";
    let one = Member::new(SessionId(ID), BrokerId(1));
    let view = View::new(ViewNumber(7), vec![one.clone()]);
    let text =
        format!(r#"{{"v":1,"number":7,"placement":1,"members":[{{"session":"{hex}","broker_id":1}}]}}"#);
    assert_eq!(view.encode(), text);
    assert_eq!(decoded_view(&view).as_ref(), Ok(&view));

    let two = Member { zone: Some("eu-1a".into()), weight: 2, ..one.clone() };
    let before = EarlierView { first: Some(ViewNumber(3)), number: ViewNumber(5), members: vec![one] };
    let last = EarlierView { first: None, number: ViewNumber(6), members: vec![] };
    let view = View { earlier: vec![before, last], ..View::new(ViewNumber(7), vec![two]) };
    let text = format!(
        r#"{{"v":1,"number":7,"placement":1,"members":[{{"session":"{hex}","broker_id":1,"zone":"eu-1a","weight":2}}],"earlier":[{{"first":3,"number":5,"members":[{{"session":"{hex}","broker_id":1}}]}},{{"number":6,"members":[]}}]}}"#
    );
    assert_eq!(view.encode(), text);
    assert_eq!(decoded_view(&view).as_ref(), Ok(&view));
}

#[test]
fn a_view_of_the_first_release_is_still_read() {
    let hex = "0123456789abcdef0123456789abcdef";
    let text = format!(r#"{{"v":1,"number":7,"members":[{{"session":"{hex}","broker_id":1}}]}}"#);
    let view = View::decode(&entry(text.into())).expect("readable");
    assert_eq!(view, View::new(ViewNumber(7), vec![Member::new(SessionId(ID), BrokerId(1))]));
}

#[test]
fn a_placement_that_is_not_known_is_read_and_told_apart() {
    let view = View { placement: PlacementNumber(9), ..View::new(ViewNumber(7), vec![]) };
    let read = decoded_view(&view).expect("readable");
    assert!(!read.placement.is_known() && PlacementNumber::default().is_known());
}

#[test]
fn a_view_beyond_its_limits_is_an_error() {
    let members = |range: std::ops::Range<i32>| range.map(|id| member(id as u128, id)).collect::<Vec<_>>();
    let view = |members| View::new(ViewNumber(7), members);
    let earlier = |number, members| EarlierView { first: None, number: ViewNumber(number), members };
    let with = |earlier| View { earlier, ..view(vec![]) };
    let size = i32::try_from(MEMBERS_MAX).expect("a small number");
    assert!(decoded_view(&view(members(0..size))).is_ok());
    let light = Member { weight: 0, ..member(1, 1) };
    let heavy = Member { weight: 101, ..member(1, 1) };
    let far = Member { zone: Some("z".repeat(65)), ..member(1, 1) };
    for (wrong, reason) in [
        (view(members(0..size + 1)), "1001 members, at most 1000"),
        (view(vec![member(1, 1), member(1, 2)]), "a session is a member twice"),
        (view(vec![member(1, 1), member(2, 1)]), "a broker is a member twice"),
        (view(vec![light]), "a weight of 0, not 1 to 100"),
        (view(vec![heavy]), "a weight of 101, not 1 to 100"),
        (view(vec![far]), "a zone of 65 bytes, at most 64"),
        (with((0..17).map(|number| earlier(number, vec![])).collect()), "17 earlier views, at most 16"),
        (
            with((0..5).map(|number| earlier(number, members(0..size))).collect()),
            "5000 members of earlier views, at most 4000",
        ),
        (with(vec![earlier(7, vec![])]), "an earlier view is 7"),
        (with(vec![earlier(5, vec![]), earlier(4, vec![])]), "earlier view 4 is out of order"),
        (with(vec![earlier(5, vec![member(1, 1), member(2, 1)])]), "a broker is a member twice"),
    ] {
        assert_eq!(decoded_view(&wrong), Err(reason.to_owned()));
    }
}

#[test]
fn the_greatest_view_fits_into_a_transaction() {
    let zone = Some("z".repeat(64));
    let session = |number: usize| SessionId(Uuid::from_u128(u128::MAX - number as u128));
    let member = |number: usize| Member {
        zone: zone.clone(),
        weight: 100,
        ..Member::new(session(number), BrokerId(i32::MAX - i32::try_from(number).expect("a small number")))
    };
    let members = |count: usize| (0..count).map(member).collect::<Vec<_>>();
    let number = |number| ViewNumber(i32::MAX - 100 + number);
    let earlier = |at| EarlierView { first: None, number: number(at), members: members(1_000) };
    let view = View {
        earlier: (0..4).map(earlier).collect(),
        ..View::new(ViewNumber(i32::MAX), members(MEMBERS_MAX))
    };
    assert!(decoded_view(&view).is_ok());
    assert!(view.encode().len() < 1024 * 1024, "{}", view.encode().len());
}

#[test]
fn a_session_is_as_documented() {
    let session = Session::new(BrokerId(1), ViewNumber(7), 5);
    assert_eq!(session.encode(), r#"{"v":1,"broker_id":1,"acked_view":7,"started_ms":5}"#);
    assert_eq!(Session::decode(&entry(session.encode())).expect("readable"), session);
    let listener =
        Listener { name: "public".into(), host: "b1".into(), port: 9092, security: "SASL_SSL".into() };
    let session = Session {
        zone: Some("eu-1a".into()),
        weight: 2,
        listeners: vec![listener.clone()],
        mesh: Some("10.0.0.1:9191".into()),
        ..session
    };
    let text = concat!(
        r#"{"v":1,"broker_id":1,"acked_view":7,"zone":"eu-1a","weight":2,"#,
        r#""listeners":[{"name":"public","host":"b1","port":9092,"security":"SASL_SSL"}],"#,
        r#""mesh":"10.0.0.1:9191","started_ms":5}"#
    );
    assert_eq!(session.encode(), text);
    assert_eq!(Session::decode(&entry(session.encode())).expect("readable"), session);
    for wrong in [
        Session { weight: 0, ..session.clone() },
        Session { listeners: vec![listener.clone(); LISTENERS_MAX + 1], ..session.clone() },
        Session {
            listeners: vec![Listener { host: "h".repeat(256), ..listener.clone() }],
            ..session.clone()
        },
        Session { listeners: vec![Listener { name: "n".repeat(65), ..listener }], ..session.clone() },
        Session { mesh: Some("h".repeat(262)), ..session.clone() },
    ] {
        assert!(Session::decode(&entry(wrong.encode())).is_err());
    }
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
