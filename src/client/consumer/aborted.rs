//! Which batches of an answer are of transactions that were aborted: pure.

use crate::types::{Offset, ProducerId};
use crate::wire::batch::BatchHeader;
use crate::wire::messages::fetch_response::AbortedTransaction;
use std::collections::HashSet;

/// The aborted transactions of an answer, against which its batches are held in order.
#[derive(Debug, Default)]
pub(super) struct Aborted {
    /// Where they begin, the last one first.
    to_come: Vec<(Offset, ProducerId)>,
    /// Those whose marker is still to come.
    begun: HashSet<ProducerId>,
}

impl Aborted {
    /// What an answer lists: nothing for who reads all.
    pub(super) fn new(listed: Option<Vec<AbortedTransaction>>) -> Aborted {
        let listed = listed.into_iter().flatten();
        let mut to_come: Vec<_> =
            listed.map(|of| (Offset(of.first_offset), ProducerId(of.producer_id.0))).collect();
        to_come.sort_unstable_by(|a, b| b.cmp(a));
        Aborted { to_come, begun: HashSet::new() }
    }

    /// Whether the next batch of the answer is of an aborted transaction. To be asked of each of them, as a marker
    /// ends what its producer has begun.
    pub(super) fn has(&mut self, batch: &BatchHeader) -> bool {
        while let Some((_, producer_id)) = self.to_come.pop_if(|(first, _)| *first < batch.offsets().end) {
            self.begun.insert(producer_id);
        }
        if batch.is_control() {
            self.begun.remove(&batch.producer_id);
            return false;
        }
        batch.is_transactional() && self.begun.contains(&batch.producer_id)
    }
}
