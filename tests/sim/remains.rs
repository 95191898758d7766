//! What is left in the stores when no broker runs any more: `fsck`, and the records of the segments.

use crate::history::{Fact, Producer, Record, TopicId, TopicPartition};
use crate::metadata::{Metadata, MetadataOf};
use crate::network::Node;
use crate::objects::{Objects, ObjectsOf};
use crate::records::{number_in, tell_headers};
use cenote::archive::{self, LoadedManifest, Repair, fsck};
use cenote::clock::Clock;
use cenote::meta::{MetadataStore, Revision, Standing};
use cenote::segment::{ChunkId, Row, SegmentReader};
use cenote::store::ObjectStore;
use cenote::topic::Catalog;
use std::sync::Arc;

/// Whoever looks is no broker.
const LOOKER: Node = 60;

pub struct Remains {
    metadata: Arc<dyn MetadataStore>,
    store: ObjectStore,
}

impl Remains {
    pub fn new(metadata: &Arc<Metadata>, objects: &Arc<Objects>) -> Remains {
        let objects = ObjectsOf { objects: Arc::clone(objects), node: LOOKER };
        Remains {
            metadata: Arc::new(MetadataOf { store: Arc::clone(metadata), node: LOOKER }),
            store: ObjectStore::with_backend(Arc::new(objects), "simulated:"),
        }
    }

    /// What `fsck` says.
    pub async fn fsck(&self, allowed_bytes: u64) -> Fact {
        match fsck(Arc::clone(&self.metadata), &self.store, Repair::No).await {
            Ok(report) => {
                let said = |problem: &archive::Problem| format!("{}: {}", problem.place, problem.problem);
                let orphans = report.orphans;
                Fact::Fsck {
                    problems: report.problems.iter().map(said).collect(),
                    unreferenced_bytes: orphans.segments.bytes
                        + orphans.manifests.bytes
                        + orphans.journal.bytes,
                    allowed_bytes,
                }
            }
            Err(error) => {
                Fact::Fsck { problems: vec![error.to_string()], unreferenced_bytes: 0, allowed_bytes }
            }
        }
    }

    /// The records of all segments, by partition.
    pub async fn segments(&self) -> Vec<Fact> {
        let standing = Standing::new(Arc::clone(&self.metadata), "sessions/none".to_owned(), Revision(0));
        let catalog = Catalog::load(Arc::clone(&self.metadata), standing, Clock::System).await;
        let catalog = catalog.expect("the topics can be read");
        let loaded = archive::load(self.metadata.as_ref(), &self.store, &catalog).await;
        let mut facts = Vec::new();
        for manifest in loaded.expect("the manifests can be read").manifests {
            facts.push(self.of_partition(&manifest).await);
        }
        facts
    }

    async fn of_partition(&self, loaded: &LoadedManifest) -> Fact {
        let log = loaded.archived_log();
        let topic_partition = log.manifest.topic_partition();
        let place = TopicPartition {
            topic: TopicId(topic_partition.topic_id.0.as_u128()),
            partition: topic_partition.partition.0,
        };
        let start = log.manifest.log_start_offset();
        let mut records = Vec::new();
        for segment in log.manifest.segments() {
            let bytes = self.store.get(&log.refer(segment).path).await.expect("a segment is there");
            let reader = SegmentReader::open(bytes).await.expect("a segment can be read");
            let chunks = reader.footer().chunks();
            for chunk in chunks.start.0..chunks.end.0 {
                let rows = reader.rows(ChunkId(chunk)).await.expect("a chunk can be read");
                records.extend(rows.iter().filter(|row| row.offset >= start).map(|row| record(&row)));
            }
        }
        let archived = log.manifest.archived_offset().get();
        Fact::Segments { place, archived, records }
    }
}

fn record(row: &Row<'_>) -> Record {
    let header = row.headers.into_iter().find(|header| header.key == b"n").and_then(|header| header.value);
    let producer = Producer { producer_id: row.producer_id.0, producer_epoch: row.producer_epoch.0 };
    Record {
        offset: row.offset.get(),
        number: number_in(row.value.or(header).expect("every record has its number")),
        key: row.key.map(number_in),
        tombstone: row.value.is_none(),
        headers: tell_headers(row.headers.into_iter().map(|header| (header.key, header.value))),
        timestamp: row.timestamp.get(),
        producer: (producer.producer_id >= 0).then_some(producer),
    }
}
