//! When idempotent producers have left too many rows in memory: partitions are archived before their time.

use super::Rounds;
use crate::archive::archiver::Call;
use crate::archive::cut::{self, CutSettings, JournalPressure};
use crate::log::Partition;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Partitions that are looked at in one go.
const YIELD_EVERY: usize = 256;

impl Rounds {
    /// Archives those partitions that have most of the rows, if too many wait in all; whoever asks meanwhile is answered in
    /// between. A partition that could not be archived a moment ago is as good as held.
    pub(super) async fn relieve(&mut self, calls: &mut mpsc::Receiver<Call>) {
        let partitions = self.start.log.partitions();
        let (mut all, mut archivable) = (0, Vec::new());
        for (looked_at, partition) in partitions.iter().enumerate() {
            if looked_at % YIELD_EVERY == 0 {
                tokio::task::yield_now().await;
            }
            let rows = partition.waiting_rows();
            all += rows.all;
            if rows.archivable > 0 && !self.rests(partition.topic_partition()) {
                archivable.push((partition, rows.archivable));
            }
        }
        self.start.metrics.archive.waiting_rows.set(i64::try_from(all).unwrap_or(i64::MAX));
        for partition in cut::to_relieve(self.start.waiting_rows_max, all, archivable) {
            while let Ok(call) = calls.try_recv() {
                self.on_call(call).await;
            }
            self.archive_now(partition).await;
        }
    }

    /// Archives a segment of what a partition has, whatever it has paid.
    async fn archive_now(&mut self, partition: &Arc<Partition>) {
        let Some(topic) = self.start.catalog.by_id(partition.topic_partition().topic_id) else { return };
        let settings = CutSettings::of(&self.start.config, &topic.settings, JournalPressure::High);
        let unarchived = partition.unarchived(settings.bytes);
        let runs = self.archiving.runs(partition.topic_partition());
        if unarchived.from < unarchived.to && !runs {
            self.archive_or_rest(partition, &topic, unarchived).await;
        }
    }
}
