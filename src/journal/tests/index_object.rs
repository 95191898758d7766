//! The stored form of index objects; and that recovery gives the same with them, without them, and with damaged ones.

use super::super::index_object::{
    BLOCK, IndexedObject, decode_index_object, encode_index_object, last_of_block,
};
use super::super::indexer::Indexer;
use super::super::{
    DecodeError, EndedJournal, ObjectId, Partitions, RecoveredObject, RecoveryError, check_index_object,
    decode_index, encode, index_end, recover,
};
use super::{partition, row, session_id};
use crate::meta::keys::journal_starts::JournalStart;
use crate::store::{ObjectStore, paths};
use crate::types::SessionId;
use bytes::Bytes;
use futures_util::TryStreamExt;
use proptest::prelude::*;
use std::sync::Arc;

fn of() -> SessionId {
    session_id(1)
}

/// Puts a journal of `count` objects, and gives what its committer would hand on.
async fn put_journal(store: &ObjectStore, count: u64) -> Vec<IndexedObject> {
    let mut objects = Vec::new();
    for seq in 1..=count {
        let rows = (0..seq % 3 + 1).map(|index| row(partition(u128::from(index), 0), seq as i64, &["v"]));
        let object = encode(ObjectId { session: of(), seq }, rows.collect());
        let bytes = object.bytes.len() as u64;
        store.put(&paths::journal_object(of(), seq), object.bytes).await.expect("in memory");
        objects.push(IndexedObject { bytes, rows: object.rows, byte_ranges: object.byte_ranges });
    }
    objects
}

fn journal(first: u64, final_seq: u64) -> EndedJournal {
    EndedJournal { session: of(), start: JournalStart { first, merged: Vec::new() }, final_seq }
}

async fn recovered(
    store: &ObjectStore,
    journal: EndedJournal,
) -> Result<Vec<RecoveredObject>, RecoveryError> {
    recover(store, &[journal], Partitions::All).try_collect().await
}

/// As much as is compared of what was recovered.
fn told(objects: &[RecoveredObject]) -> Vec<(String, u64, u64, String)> {
    let told = |object: &RecoveredObject| {
        (object.name.to_string(), object.bytes, object.puts, format!("{:?}", object.index))
    };
    objects.iter().map(told).collect()
}

#[tokio::test]
async fn what_is_recovered_is_the_same_with_index_objects_and_without() {
    let store = ObjectStore::in_memory();
    let objects = put_journal(&store, 3 * BLOCK + 5).await;
    for (first, last) in [(1, 3 * BLOCK + 5), (1, 2 * BLOCK), (BLOCK / 2, 2 * BLOCK + 1), (BLOCK, BLOCK + 1)]
    {
        let without = recovered(&store, journal(first, last)).await.expect("all there");
        assert_eq!(without.len() as u64, last - first + 1);
        // The second block has none.
        for end in [BLOCK, 3 * BLOCK] {
            let block = &objects[(end - BLOCK) as usize..end as usize];
            let path = paths::index_object(of(), end);
            store.put(&path, encode_index_object(of(), end, block)).await.expect("in memory");
        }
        let with = recovered(&store, journal(first, last)).await.expect("all there");
        assert_eq!(told(&with), told(&without), "from {first} to {last}");
        for end in [BLOCK, 3 * BLOCK] {
            store.delete(&paths::index_object(of(), end)).await.expect("in memory");
        }
    }
}

#[tokio::test]
async fn a_damaged_index_object_is_passed_over_and_told_of() {
    let store = ObjectStore::in_memory();
    let objects = put_journal(&store, BLOCK).await;
    let whole = encode_index_object(of(), BLOCK, &objects);
    let path = paths::index_object(of(), BLOCK);
    let expected = recovered(&store, journal(1, BLOCK)).await.expect("all there");
    store.put(&path, whole.clone()).await.expect("in memory");
    check_index_object(&store, of(), BLOCK).await.expect("whole");
    let mut flipped = whole.to_vec();
    flipped[whole.len() / 2] ^= 1;
    for damaged in [Bytes::from(flipped), whole.slice(..whole.len() - 1), whole.slice(..3), Bytes::new()] {
        store.delete(&path).await.expect("in memory");
        store.put(&path, damaged).await.expect("in memory");
        let found = recovered(&store, journal(1, BLOCK)).await.expect("the objects themselves are there");
        assert_eq!(told(&found), told(&expected));
        check_index_object(&store, of(), BLOCK).await.expect_err("damaged");
    }
}

#[tokio::test]
async fn each_full_block_gets_its_index_object() {
    let store = ObjectStore::in_memory();
    let objects = put_journal(&store, 2 * BLOCK + 3).await;
    let mut indexer = Indexer::new(of(), store.clone());
    for (seq, object) in (1..).zip(objects.iter().cloned()) {
        indexer.on_committed(seq, object);
    }
    indexer.settled().await;
    let listed = store.list_sorted(Some(&paths::index_prefix(of())), 10).await.expect("in memory");
    let found: Vec<_> = listed.iter().filter_map(|found| paths::parse_index_object(&found.path)).collect();
    assert_eq!(found, [(of(), BLOCK), (of(), 2 * BLOCK)]);
    let bytes = store.get(&paths::index_object(of(), 2 * BLOCK)).await.expect("it was listed");
    let block = decode_index_object(of(), 2 * BLOCK, &bytes, &Partitions::All).expect("whole");
    for (id, size, index) in block {
        let object = store.get(&paths::journal_object(of(), id.seq)).await.expect("put above");
        assert_eq!((size, index), (object.len() as u64, decode_index(id, &object).expect("whole")));
    }
}

#[tokio::test]
async fn a_block_that_is_not_full_has_one_when_a_view_is_acknowledged() {
    let store = ObjectStore::in_memory();
    let objects = put_journal(&store, BLOCK + 9).await;
    let mut indexer = Indexer::new(of(), store.clone());
    let told = BLOCK + 6;
    for (seq, object) in (1..=told).zip(objects.iter().cloned()) {
        indexer.on_committed(seq, object);
    }
    indexer.on_acknowledged(told);
    indexer.settled().await;
    let without = recovered(&store, journal(BLOCK + 2, BLOCK + 9)).await.expect("all there");
    for seq in 1..=told {
        store.delete(&paths::journal_object(of(), seq)).await.expect("in memory");
    }
    // What came after is read itself.
    let with = recovered(&store, journal(BLOCK + 2, BLOCK + 9)).await.expect("the others are told of");
    assert_eq!(self::told(&with), self::told(&without));
}

#[tokio::test]
async fn an_ended_journal_has_one_for_its_last_objects_too() {
    let store = ObjectStore::in_memory();
    put_journal(&store, BLOCK + 9).await;
    let (first, last) = (BLOCK + 3, BLOCK + 9);
    let without = recovered(&store, journal(first, last)).await.expect("all there");
    index_end(&store, &journal(first, last), &without).await;
    check_index_object(&store, of(), 2 * BLOCK).await.expect("it was put");
    for seq in BLOCK..=last {
        store.delete(&paths::journal_object(of(), seq)).await.expect("in memory");
    }
    let with = recovered(&store, journal(first, last)).await.expect("nothing else is read");
    assert_eq!(told(&with), told(&without));
    // Of what was not needed then it says nothing, and nobody takes that for nothing.
    let before = recovered(&store, journal(first - 1, last)).await;
    assert!(matches!(before, Err(RecoveryError::Missing(_))), "{before:?}");
}

#[tokio::test]
async fn an_index_object_gives_the_rows_of_wanted_partitions_alone() {
    let store = ObjectStore::in_memory();
    let objects = put_journal(&store, BLOCK).await;
    let bytes = encode_index_object(of(), BLOCK, &objects);
    let wanted = partition(1, 0);
    let these = Partitions::These(Arc::new([wanted].into_iter().collect()));
    let block = decode_index_object(of(), BLOCK, &bytes, &these).expect("whole");
    assert_eq!(block.len(), objects.len());
    for ((_, size, index), object) in block.iter().zip(&objects) {
        assert_eq!(*size, object.bytes);
        let all = object.rows.iter().zip(&object.byte_ranges);
        let expected: Vec<_> = all.filter(|(row, _)| row.topic_partition == wanted).collect();
        assert_eq!(index.rows.iter().zip(&index.byte_ranges).collect::<Vec<_>>(), expected);
        assert!(index.spans.iter().all(|span| span.topic_partition == wanted));
    }
}

#[test]
fn an_index_object_of_another_place_is_refused() {
    let empty = IndexedObject { bytes: 0, rows: Vec::new(), byte_ranges: Vec::new() };
    let bytes = encode_index_object(of(), BLOCK, &vec![empty; BLOCK as usize]);
    assert!(decode_index_object(of(), BLOCK, &bytes, &Partitions::All).is_ok());
    let named = Err(DecodeError::Damaged("it names itself differently"));
    assert_eq!(decode_index_object(session_id(2), BLOCK, &bytes, &Partitions::All), named);
    assert_eq!(decode_index_object(of(), 2 * BLOCK, &bytes, &Partitions::All), named);
    assert_eq!((last_of_block(1), last_of_block(BLOCK), last_of_block(BLOCK + 1)), (BLOCK, BLOCK, 2 * BLOCK));
}

proptest! {
    #[test]
    fn random_bytes_are_no_index_object(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(decode_index_object(of(), BLOCK, &bytes, &Partitions::All).is_err());
    }
}

#[test]
fn a_number_of_rows_that_are_not_there_costs_nothing() {
    let object = encode(ObjectId { session: of(), seq: 1 }, vec![row(partition(1, 0), 0, &["v"])]);
    let bytes = object.bytes.len() as u64;
    let one = IndexedObject { bytes, rows: object.rows, byte_ranges: object.byte_ranges };
    let block: Vec<_> = std::iter::once(one).chain(vec![IndexedObject::default(); 63]).collect();
    let mut claims = encode_index_object(of(), BLOCK, &block).to_vec();
    claims[40..44].copy_from_slice(&400_000_u32.to_le_bytes());
    let end = claims.len() - 4;
    let crc = crc_fast::crc32_iscsi(&claims[..end]);
    claims[end..].copy_from_slice(&crc.to_le_bytes());
    let reserved = allocation_counter::measure(|| {
        let read = decode_index_object(of(), BLOCK, &claims, &Partitions::All);
        assert_eq!(read, Err(DecodeError::Damaged("rows are missing")));
    });
    assert!(reserved.bytes_max < 256 * 1024, "{} bytes for {end}", reserved.bytes_max);
}
