//! Producer ids, taken from the metadata store in blocks: an id is never given twice.

use crate::meta::keys::producer_ids;
use crate::meta::{MetadataError, MetadataStore, Standing};
use crate::types::ProducerId;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Kafka's own block size.
const BLOCK_SIZE: i64 = 1000;

/// Gives ids out. What is left of a block when the broker ends is never used.
#[derive(Debug)]
pub struct ProducerIds {
    store: Arc<dyn MetadataStore>,
    standing: Arc<Standing>,
    block: Mutex<Range<i64>>,
}

impl ProducerIds {
    /// Takes blocks from `store`, while the session stands.
    #[must_use]
    pub fn new(store: Arc<dyn MetadataStore>, standing: Arc<Standing>) -> ProducerIds {
        ProducerIds { store, standing, block: Mutex::new(0..0) }
    }

    /// A new id.
    pub async fn next(&self) -> Result<ProducerId, MetadataError> {
        let mut block = self.block.lock().await;
        if block.is_empty() {
            *block = producer_ids::take_block(&self.store, &self.standing, BLOCK_SIZE).await?;
        }
        let id = block.start;
        block.start += 1;
        Ok(ProducerId(id))
    }
}
