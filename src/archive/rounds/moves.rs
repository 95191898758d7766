//! Partitions come and go: which broker leads what is decided elsewhere, and told here.
//!
//! What is under way about a partition that is led elsewhere by now is broken off. Its term is closed, so no swap is made
//! any more; what was written for one goes, unless it is not known whether the swap was made.

use super::Rounds;
use crate::archive::start::LoadedManifests;
use crate::hashing::HashSet;
use crate::types::TopicPartition;

impl Rounds {
    /// These partitions are led here from now on. What is known of one already is newer than what was read.
    pub(super) fn on_gained(&mut self, loaded: LoadedManifests) {
        self.litter.on_gained(self.now());
        self.graveyard.bury(self.now(), loaded.garbage);
        self.gone.extend(loaded.gone);
        for manifest in loaded.manifests {
            let topic_partition = manifest.topic_partition;
            self.upkeep.on_segments(topic_partition);
            self.kept.entry(topic_partition).or_insert(manifest.kept);
        }
    }

    /// These partitions are led here no longer.
    pub(super) fn on_lost(&mut self, partitions: &[TopicPartition]) {
        let lost: HashSet<TopicPartition> = partitions.iter().copied().collect();
        self.kept.retain(|partition, _| !lost.contains(partition));
        self.waiting.retain(|partition, _| !lost.contains(partition));
        // Whatever was sent for one compared a standing that is rewritten before another leads it.
        self.unsettled.retain(|partition| !lost.contains(partition));
        let is_lost = |partition| lost.contains(&partition);
        // No swap was sent for any of these.
        let on_their_way = self.archiving.abandon(is_lost).into_iter().chain(self.upkeep.drop_of(is_lost));
        self.graveyard.bury(self.now(), on_their_way);
    }
}
