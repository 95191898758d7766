use super::{
    FetchContext, FetchSessions, PartitionRef, SessionFault, SessionRequest, Told, TopicRef, Wanted,
};
use std::time::Duration;
use tokio::time::Instant;

fn partition(index: i32) -> PartitionRef {
    (TopicRef::Name("t".into()), index)
}

fn request(session_id: i32, session_epoch: i32, partitions: &[i32]) -> SessionRequest {
    let wanted = Wanted { fetch_offset: 0, bytes_max: 100, current_leader_epoch: -1 };
    let wanted = partitions.iter().map(|index| (partition(*index), wanted)).collect();
    SessionRequest { session_id, session_epoch, wanted, forgotten: Vec::new() }
}

fn told(high_watermark: i64) -> Option<Told> {
    Some(Told { high_watermark, last_stable_offset: high_watermark, log_start_offset: 0 })
}

fn wanted(context: &FetchContext) -> Vec<i32> {
    context.wanted.iter().map(|((_, index), _)| *index).collect()
}

#[test]
fn an_incremental_fetch_remembers_its_partitions_and_names_what_changed() {
    let (sessions, now) = (FetchSessions::default(), Instant::now());
    let first = sessions.context(now, 7, request(0, 0, &[0, 1, 2])).expect("begins");
    assert_eq!(first.session_id, 7);
    assert!((0..3).all(|index| first.names(&partition(index), told(5), false)), "a full answer names all");

    let next = sessions.context(now, 8, request(7, 1, &[])).expect("goes on");
    assert_eq!((wanted(&next), next.session_id), (vec![0, 1, 2], 7));
    assert!(!next.names(&partition(0), told(5), false), "nothing has changed");
    assert!(next.names(&partition(1), told(6), false), "its end has moved");
    assert!(next.names(&partition(2), None, false), "an error is always named");

    let forget = SessionRequest { forgotten: vec![partition(0)], ..request(7, 2, &[3]) };
    assert_eq!(wanted(&sessions.context(now, 8, forget).expect("goes on")), [1, 2, 3]);
}

#[test]
fn the_partition_after_one_that_had_records_is_served_first() {
    let (sessions, now) = (FetchSessions::default(), Instant::now());
    let first = sessions.context(now, 7, request(0, 0, &[0, 1, 2])).expect("begins");
    first.names(&partition(0), told(5), true);
    let next = sessions.context(now, 8, request(7, 1, &[])).expect("goes on");
    assert_eq!(wanted(&next), [1, 2, 0]);
}

#[test]
fn a_session_that_is_unknown_or_out_of_step_is_refused() {
    let (sessions, now) = (FetchSessions::default(), Instant::now());
    let fault = |request| sessions.context(now, 9, request).err();
    assert_eq!(fault(request(5, 1, &[])), Some(SessionFault::Unknown));
    sessions.context(now, 7, request(0, 0, &[0])).expect("begins");
    assert_eq!(fault(request(7, 2, &[])), Some(SessionFault::WrongEpoch));
    assert_eq!(fault(request(7, 1, &[])), None);
    assert_eq!(fault(request(7, 1, &[])), Some(SessionFault::WrongEpoch));
}

#[test]
fn a_session_is_closed_or_replaced_by_its_owner() {
    let (sessions, now) = (FetchSessions::default(), Instant::now());
    sessions.context(now, 7, request(0, 0, &[0])).expect("begins");
    assert_eq!(sessions.context(now, 8, request(7, 0, &[1])).expect("replaces").session_id, 8);
    assert_eq!(sessions.count(), 1);
    assert_eq!(sessions.context(now, 9, request(8, -1, &[1])).expect("closes").session_id, 0);
    assert_eq!(sessions.count(), 0);
}

#[test]
fn when_all_slots_are_taken_only_a_silent_session_makes_room() {
    let (sessions, now) = (FetchSessions::default(), Instant::now());
    for id in 1..=1000 {
        sessions.context(now, id, request(0, 0, &[0])).expect("begins");
    }
    assert_eq!(sessions.context(now, 5000, request(0, 0, &[0])).expect("goes on").session_id, 0);
    let later = now + Duration::from_secs(121);
    assert_eq!(sessions.context(later, 5000, request(0, 0, &[0])).expect("begins").session_id, 5000);
    assert_eq!(sessions.count(), 1000);
}
