//! What edits do, and what they refuse.

use super::*;

#[test]
fn what_is_archived_is_appended() {
    let before = manifest(&[(0, 10), (10, 20)]);
    let edited = before.append_segments(archived(vec![segment(20, 25), segment(28, 30)], 33)).expect("legal");
    assert_eq!(offsets(&edited.manifest), [(0, 10), (10, 20), (20, 25), (28, 30)]);
    assert_eq!(edited.manifest.archived_offset(), Offset(33));
    assert_eq!(edited.unreferenced, []);
    assert_eq!(offsets(&before), [(0, 10), (10, 20)], "the manifest before is what it was");
}

#[test]
fn a_range_without_committed_records_moves_the_archived_offset_alone() {
    let edited = manifest(&[(0, 10)]).append_segments(archived(Vec::new(), 15)).expect("legal");
    assert_eq!(offsets(&edited.manifest), [(0, 10)]);
    assert_eq!(edited.manifest.archived_offset(), Offset(15));
}

#[test]
fn what_was_archived_meanwhile_is_not_archived_again() {
    let manifest = manifest(&[(0, 10)]);
    let refused = manifest.append_segments(archived(vec![segment(5, 10)], 10)).map(|_| ());
    assert!(matches!(refused, Err(EditError::Stale(_))), "{refused:?}");
}

#[test]
fn segments_that_overlap_or_leave_their_range_are_refused() {
    let manifest = manifest(&[(0, 10)]);
    for (segments, up_to) in [
        (vec![segment(9, 12)], 12),
        (vec![segment(10, 13)], 12),
        (vec![segment(10, 13), segment(12, 15)], 15),
        (vec![segment(13, 15), segment(10, 13)], 15),
        (vec![Segment { rows: 4, ..segment(10, 13) }], 13),
        (vec![Segment { rows: 0, ..segment(10, 13) }], 13),
        (vec![Segment { max_timestamp_offset: Offset(13), ..segment(10, 13) }], 13),
        (vec![Segment { min_timestamp: Timestamp(i64::MAX), ..segment(10, 13) }], 13),
        (vec![Segment { tombstones: 4, ..segment(10, 13) }], 13),
        (vec![Segment { offsets: Offset(13)..Offset(13), ..segment(10, 13) }], 13),
        (vec![Segment { offsets: Offset(13)..Offset(10), ..segment(10, 13) }], 13),
    ] {
        let refused = manifest.append_segments(archived(segments.clone(), up_to)).map(|_| ());
        assert!(matches!(refused, Err(EditError::Illegal(_))), "{segments:?}: {refused:?}");
    }
}

#[test]
fn epochs_are_added_and_a_known_one_goes_on() {
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    let first = Archived { leader_epochs: vec![epoch(1, 0), epoch(4, 5)], ..archived(Vec::new(), 10) };
    let manifest = empty.append_segments(first).expect("legal").manifest;
    let next = Archived { leader_epochs: vec![epoch(4, 10), epoch(7, 12)], ..archived(Vec::new(), 20) };
    let manifest = manifest.append_segments(next).expect("legal").manifest;
    assert_eq!(manifest.leader_epochs(), [epoch(1, 0), epoch(4, 5), epoch(7, 12)]);
    for wrong in
        [vec![epoch(8, 19)], vec![epoch(6, 21)], vec![epoch(8, 22), epoch(9, 22)], vec![epoch(8, 30)]]
    {
        let next = Archived { leader_epochs: wrong.clone(), ..archived(Vec::new(), 30) };
        let refused = manifest.append_segments(next).map(|_| ());
        assert!(matches!(refused, Err(EditError::Illegal(_))), "{wrong:?}: {refused:?}");
    }
}

#[test]
fn an_epoch_is_known_as_long_as_the_log_start_lies_in_it() {
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    let first = Archived { leader_epochs: vec![epoch(1, 0), epoch(4, 5)], ..archived(Vec::new(), 10) };
    let manifest = empty.append_segments(first).expect("legal").manifest;
    let epochs_from = |offset| manifest.drop_before(Offset(offset)).manifest.leader_epochs().to_vec();
    assert_eq!(epochs_from(4), [epoch(1, 0), epoch(4, 5)]);
    assert_eq!(epochs_from(5), [epoch(4, 5)]);
    assert_eq!(epochs_from(99), [epoch(4, 5)]);
}

#[test]
fn producers_are_those_at_the_archived_offset() {
    let next = Archived { producers: vec![producer(1, 10), producer(2, 9)], ..archived(Vec::new(), 10) };
    let empty = Manifest::new(topic_partition(), Offset::ZERO);
    let manifest = empty.append_segments(next).expect("legal").manifest;
    assert_eq!(manifest.producers(), [producer(1, 10), producer(2, 9)]);
    let open = |first_offset| {
        let open =
            OpenTransactionSnapshot { ordinal: TransactionOrdinal(1), first_offset: Offset(first_offset) };
        ProducerSnapshot { open: Some(open), ..producer(3, 12) }
    };
    let six = ProducerSnapshot { batches: vec![producer(3, 12).batches[0].clone(); 6], ..producer(3, 12) };
    for (producers, legal) in [
        (vec![open(11)], true),
        (vec![open(12)], false),
        (vec![producer(1, 13)], false),
        (vec![producer(2, 12), producer(1, 12)], false),
        (vec![producer(1, 12), producer(1, 12)], false),
        (vec![six], false),
    ] {
        let appended = manifest.append_segments(Archived { producers, ..archived(Vec::new(), 12) });
        assert_eq!(appended.is_ok(), legal, "{appended:?}");
    }
}

#[test]
fn a_run_of_segments_is_replaced() {
    let manifest = manifest(&[(0, 10), (10, 20), (20, 30), (30, 40)]);
    let merged = Segment { level: 1, ..segment(10, 30) };
    let edited = manifest.replace(&[segment(10, 20), segment(20, 30)], vec![merged]).expect("legal");
    assert_eq!(offsets(&edited.manifest), [(0, 10), (10, 30), (30, 40)]);
    assert_eq!(names(&edited.unreferenced), [(10, 20), (20, 30)]);
    let nothing_left = edited.manifest.replace(&[segment(0, 10)], Vec::new()).expect("legal");
    assert_eq!(offsets(&nothing_left.manifest), [(10, 30), (30, 40)]);
    let shrunk =
        edited.manifest.replace(&[segment(0, 10)], vec![segment(2, 4), segment(7, 8)]).expect("legal");
    assert_eq!(offsets(&shrunk.manifest), [(2, 4), (7, 8), (10, 30), (30, 40)]);
}

#[test]
fn what_is_not_there_any_more_is_not_replaced() {
    let manifest = manifest(&[(0, 10), (10, 20), (20, 30)]);
    let dropped = manifest.drop_before(Offset(10)).manifest;
    let other = Segment { unique: Uuid::from_u128(9), ..segment(10, 20) };
    for (manifest, replaced) in [
        (&dropped, vec![segment(0, 10), segment(10, 20)]),
        (&manifest, vec![segment(0, 10), segment(20, 30)]),
        (&manifest, vec![other]),
        (&manifest, vec![segment(20, 30), segment(30, 40)]),
    ] {
        let refused = manifest.replace(&replaced, Vec::new()).map(|_| ());
        assert!(matches!(refused, Err(EditError::Stale(_))), "{replaced:?}: {refused:?}");
    }
}

#[test]
fn a_replacement_that_is_more_than_what_it_replaces_is_refused() {
    let manifest = manifest(&[(0, 10), (10, 20), (20, 30)]);
    let sparse = Segment { rows: 3, ..segment(10, 20) };
    let with_sparse =
        manifest.replace(&[segment(10, 20)], vec![Segment { unique: Uuid::from_u128(1), ..sparse }]);
    let with_sparse = with_sparse.expect("legal").manifest;
    let sparse = with_sparse.segment_at(Offset(10)).expect("it is there").clone();
    for (manifest, replaced, with) in [
        (&manifest, vec![segment(10, 20)], vec![segment(9, 20)]),
        (&manifest, vec![segment(10, 20)], vec![segment(10, 21)]),
        (&manifest, vec![segment(10, 20)], vec![segment(10, 20)]),
        (&manifest, vec![segment(10, 20)], vec![segment(10, 16), segment(14, 18)]),
        (&manifest, vec![], vec![]),
        (&with_sparse, vec![sparse], vec![segment(10, 14)]),
    ] {
        let refused = manifest.replace(&replaced, with.clone()).map(|_| ());
        assert!(matches!(refused, Err(EditError::Illegal(_))), "{with:?}: {refused:?}");
    }
}

#[test]
fn a_log_start_drops_whole_segments_and_may_lie_inside_one() {
    let manifest = manifest(&[(0, 10), (10, 20), (25, 30)]);
    for (offset, left, dropped) in [
        (0, vec![(0, 10), (10, 20), (25, 30)], vec![]),
        (9, vec![(0, 10), (10, 20), (25, 30)], vec![]),
        (10, vec![(10, 20), (25, 30)], vec![(0, 10)]),
        (22, vec![(25, 30)], vec![(0, 10), (10, 20)]),
        (30, vec![], vec![(0, 10), (10, 20), (25, 30)]),
        (99, vec![], vec![(0, 10), (10, 20), (25, 30)]),
    ] {
        let edited = manifest.drop_before(Offset(offset));
        assert_eq!(edited.manifest.log_start_offset(), Offset(offset));
        assert_eq!(edited.manifest.archived_offset(), Offset(30), "the journal is still needed from there");
        assert_eq!((offsets(&edited.manifest), names(&edited.unreferenced)), (left, dropped));
    }
}

#[test]
fn a_log_start_never_goes_back() {
    let manifest = manifest(&[(0, 10)]).drop_before(Offset(7)).manifest;
    assert_eq!(manifest.drop_before(Offset(3)).manifest.log_start_offset(), Offset(7));
}

#[test]
fn what_was_archived_below_a_new_log_start_is_not_referenced() {
    let manifest = manifest(&[(0, 10)]).drop_before(Offset(25)).manifest;
    let edited =
        manifest.append_segments(archived(vec![segment(10, 20), segment(20, 30)], 30)).expect("legal");
    assert_eq!(offsets(&edited.manifest), [(20, 30)]);
    assert_eq!(names(&edited.unreferenced), [(10, 20)]);
}

#[test]
fn clean_passes_go_forward_and_the_clock_does_not_make_them_older() {
    let pass = |up_to, at| CleanPass { up_to: Offset(up_to), at: Timestamp(at) };
    let before = manifest(&[(0, 10), (10, 20)]);
    let first = before.note_clean_pass(pass(10, 500)).expect("legal").manifest;
    let second = first.note_clean_pass(pass(15, 400)).expect("legal").manifest;
    assert_eq!(second.clean_passes(), [pass(10, 500), pass(15, 500)]);
    assert_eq!(second.cleaned_up_to(), Offset(15));
    assert!(matches!(second.note_clean_pass(pass(15, 600)), Err(EditError::Stale(_))));
    assert!(matches!(second.note_clean_pass(pass(21, 600)), Err(EditError::Illegal(_))));
    let dropped = second.drop_before(Offset(12)).manifest;
    assert_eq!(dropped.clean_passes(), [pass(15, 500)], "no record is left that the first saw");
    assert_eq!(second.drop_before(Offset(19)).manifest.cleaned_up_to(), Offset(15));
}

#[test]
fn many_clean_passes_are_kept_as_fewer_later_ones() {
    let mut cleaned = manifest(&[(0, 1_000)]);
    for number in 1..=150 {
        let pass = CleanPass { up_to: Offset(number), at: Timestamp(number) };
        cleaned = cleaned.note_clean_pass(pass).expect("legal").manifest;
    }
    assert_eq!(cleaned.clean_passes().len(), 100);
    assert_eq!(cleaned.clean_passes()[0], CleanPass { up_to: Offset(51), at: Timestamp(51) });
}
