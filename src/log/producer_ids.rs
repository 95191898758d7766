//! Producer ids, taken from the metadata store in blocks: an id is never given twice.

use crate::meta::keys::producer_ids;
use crate::meta::keys::producer_ids::TakeBlockError;
use crate::meta::{MetadataStore, Standing};
use crate::types::ProducerId;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Kafka's own block size.
const BLOCK_SIZE: u32 = 1000;

/// Gives ids out. What is left of a block when the broker ends is never used.
#[derive(Debug)]
pub struct ProducerIds {
    store: Arc<dyn MetadataStore>,
    standing: Standing,
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// Takes blocks from `store`, while the session stands.
    #[must_use]
    pub fn new(store: Arc<dyn MetadataStore>, standing: Standing) -> ProducerIds {
        ProducerIds { store, standing, block: Mutex::new(0..0) }
    }

    /// A new id.
    pub async fn next(&self) -> Result<ProducerId, TakeBlockError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = producer_ids::take_block(self.store.as_ref(), &self.standing, BLOCK_SIZE).await?;
        }
        let id = block.start;
        block.start += 1;
        Ok(ProducerId(id))
    }
}
