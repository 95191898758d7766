//! Writes the index objects of a journal, beside it: nothing waits for one, and one that cannot be put is
//! missing, which costs time where partitions are taken over and nothing else.

use super::decode::ObjectIndex;
use super::index_object::{BLOCK, IndexedObject, ROWS_MAX, block_of, encode_index_object, last_of_block};
use super::recovery::RecoveredObject;
use super::row::ObjectNumber;
use super::session::EndedJournal;
use crate::store::{ObjectStore, paths};
use crate::types::SessionId;
use std::borrow::Borrow;
use std::sync::Arc;
use tokio::task::JoinSet;

/// Gathers what is committed, block by block.
#[derive(Debug)]
pub(super) struct Indexer {
    session: SessionId,
    store: ObjectStore,
    /// The committed objects of the last block that is not full.
    block: Vec<Arc<IndexedObject>>,
    rows: usize,
    puts: JoinSet<()>,
}

/// Index objects on their way; more are not written.
const PUTS_MAX: usize = 4;

impl Indexer {
    pub fn new(session: SessionId, store: ObjectStore) -> Indexer {
        Indexer { session, store, block: Vec::new(), rows: 0, puts: JoinSet::new() }
    }

    /// Object `seq` is committed; they come in their order, from 1 on.
    pub fn on_committed(&mut self, seq: u64, object: IndexedObject) {
        self.rows += object.rows.len();
        if self.rows > ROWS_MAX {
            self.block = Vec::new();
        } else {
            self.block.push(Arc::new(object));
        }
        if seq < last_of_block(seq) {
            return;
        }
        self.rows = 0;
        let block = std::mem::take(&mut self.block);
        while self.puts.try_join_next().is_some() {}
        if block.len() as u64 == BLOCK && self.puts.len() < PUTS_MAX {
            self.puts.spawn(put(self.store.clone(), self.session, seq, block));
        }
    }

    /// A view was acknowledged: others may take over what it took away, and read the block that is not full yet. What comes
    /// after is missing in its index object until the whole one replaces it.
    pub fn on_acknowledged(&mut self, last: u64) {
        while self.puts.try_join_next().is_some() {}
        let is_whole = self.block.len() as u64 == last % BLOCK;
        if self.block.is_empty() || !is_whole || self.puts.len() >= PUTS_MAX {
            return;
        }
        let mut block = self.block.clone();
        block.resize(BLOCK as usize, Arc::default());
        self.puts.spawn(put(self.store.clone(), self.session, last_of_block(last), block));
    }

    /// Waits for what is on its way.
    #[cfg(test)]
    pub async fn settled(&mut self) {
        while self.puts.join_next().await.is_some() {}
    }
}

/// Writes the index object of the last block of a journal that has ended, of which `objects` are needed. If it cannot be
/// put, the objects go on being read themselves.
pub async fn index_end(store: &ObjectStore, ended: &EndedJournal, objects: &[RecoveredObject]) {
    let (session, last) = (ended.session, last_of_block(ended.final_seq));
    if last == ended.final_seq {
        return;
    }
    let mut block = vec![IndexedObject::default(); BLOCK as usize];
    let (mut rows, first) = (0, *block_of(last).start());
    for object in objects {
        let ObjectNumber::Flushed(seq) = object.name.number else { continue };
        let Some(place) = seq.checked_sub(first).and_then(|at| block.get_mut(at as usize)) else { continue };
        let ObjectIndex { rows: of_object, byte_ranges, .. } = object.index.clone();
        rows += of_object.len();
        *place = IndexedObject { bytes: object.bytes, rows: of_object, byte_ranges };
    }
    if (1..=ROWS_MAX).contains(&rows) {
        put(store.clone(), session, last, block).await;
    }
}

async fn put(
    store: ObjectStore,
    session: SessionId,
    last: u64,
    block: Vec<impl Borrow<IndexedObject> + Send + 'static>,
) {
    let encoded = crate::background::blocking(move || encode_index_object(session, last, &block)).await;
    let bytes = encoded.expect("encoding does not panic");
    if let Err(error) = store.put_bulk(&paths::index_object(session, last), bytes).await {
        tracing::debug!(%session, last, %error, "an index object was not written");
    }
}
