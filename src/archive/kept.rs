//! A partition's manifest, with its place in the two stores, and how the next one takes its place.

use super::error::{ArchiveError, LoadError};
use crate::clock;
use crate::log::ArchivedLog;
use crate::meta::{Change, Compare, Entry, Revision, Settled, Standing, Term, Write};
use crate::segment::manifest::{
    Edited, EncodedLayout, EncodedObject, Manifest, ManifestPointer, ObjectRef, Part, Root, Segment,
    pointer_key,
};
use crate::store::paths::{self, ManifestObject};
use crate::store::{ObjectPath, ObjectStore};
use crate::types::{Offset, TopicName, TopicPartition};
use std::sync::Arc;

/// A manifest that is a partition's.
#[derive(Clone, Debug)]
pub(super) struct KeptManifest {
    pub manifest: Arc<Manifest>,
    /// The objects that hold it; none: nothing was archived yet.
    layout: Option<EncodedLayout>,
    root: Option<ObjectRef>,
    /// Of the pointer; none: there is none.
    revision: Option<Revision>,
}

/// What a swap has left behind.
#[derive(Debug)]
pub(super) struct Swapped {
    pub kept: KeptManifest,
    /// Nobody refers to these any more, but readers that have begun.
    pub garbage: Vec<ObjectPath>,
}

impl KeptManifest {
    /// The manifest of a partition without a pointer.
    pub fn none(topic_partition: TopicPartition) -> KeptManifest {
        KeptManifest {
            manifest: Arc::new(Manifest::new(topic_partition, Offset::ZERO)),
            layout: None,
            root: None,
            revision: None,
        }
    }

    /// The manifest that a pointer names; and the segments that its root has below the pointer's log start.
    pub async fn load(
        store: &ObjectStore,
        topic_partition: TopicPartition,
        entry: &Entry,
    ) -> Result<(KeptManifest, Vec<Segment>), LoadError> {
        let pointer = ManifestPointer::decode(entry)?;
        let revision = Some(entry.mod_revision);
        let Some(named) = pointer.root else {
            let manifest = Arc::new(Manifest::new(topic_partition, pointer.log_start_offset));
            return Ok((KeptManifest { manifest, layout: None, root: None, revision }, Vec::new()));
        };
        let bytes = store.get(&path_of(topic_partition, ManifestObject::Root(named.id))).await?;
        let root = Root::decode(topic_partition, &named, &bytes)?;
        let mut parts = Vec::new();
        for part in root.wanted() {
            let bytes = store.get(&path_of(topic_partition, ManifestObject::Part(part.id))).await?;
            parts.push(Part::decode(topic_partition, &part, &bytes)?);
        }
        let opened = root.open(&pointer, parts)?;
        let manifest = Arc::new(opened.manifest);
        let kept = KeptManifest { manifest, layout: Some(opened.layout), root: Some(named), revision };
        Ok((kept, opened.unreferenced))
    }

    /// Whether this is what the pointer says now.
    pub fn is_at(&self, pointer: &Entry) -> bool {
        self.revision == Some(pointer.mod_revision)
    }

    /// Every object that it consists of or refers to.
    pub fn objects(&self, topic: &TopicName) -> Vec<ObjectPath> {
        let topic_partition = self.manifest.topic_partition();
        let segments =
            self.manifest.segments().map(|segment| paths::segment(topic, topic_partition, &segment.name()));
        let layout = self.layout.iter().flat_map(EncodedLayout::objects).map(|object| {
            let kind = if Some(object) == self.root { ManifestObject::Root } else { ManifestObject::Part };
            path_of(topic_partition, kind(object.id))
        });
        segments.chain(layout).collect()
    }

    /// As the log needs it.
    pub fn archived_log(&self, topic: &TopicName) -> ArchivedLog {
        ArchivedLog { topic: topic.clone(), manifest: Arc::clone(&self.manifest) }
    }

    /// Stores an edited manifest, and makes it the partition's, if its term is open.
    pub async fn swap(
        &self,
        standing: &Standing,
        term: &Term,
        store: &ObjectStore,
        topic: &TopicName,
        edited: Edited,
    ) -> Result<Swapped, ArchiveError> {
        let Edited { manifest, unreferenced } = edited;
        let topic_partition = manifest.topic_partition();
        let encoded = manifest.encode(self.layout.as_ref(), clock::random_id);
        for part in &encoded.new_parts {
            put(store, topic_partition, ManifestObject::Part(part.named.id), part).await?;
        }
        put(store, topic_partition, ManifestObject::Root(encoded.root.named.id), &encoded.root).await?;
        let root = encoded.root.named;
        let revision = self.point(standing, term, &ManifestPointer::to(root, &manifest)).await?;
        let dropped_root =
            encoded.dropped_root.map(|root| path_of(topic_partition, ManifestObject::Root(root.id)));
        let dropped_parts =
            encoded.dropped_parts.iter().map(|part| path_of(topic_partition, ManifestObject::Part(part.id)));
        let segments =
            unreferenced.iter().map(|segment| paths::segment(topic, topic_partition, &segment.name()));
        let garbage = dropped_root.into_iter().chain(dropped_parts).chain(segments).collect();
        let kept = KeptManifest {
            manifest: Arc::new(manifest),
            layout: Some(encoded.layout),
            root: Some(root),
            revision: Some(revision),
        };
        Ok(Swapped { kept, garbage })
    }

    /// Moves the log start alone, which rewrites no object.
    pub async fn move_log_start(
        &self,
        standing: &Standing,
        term: &Term,
        topic: &TopicName,
        log_start_offset: Offset,
    ) -> Result<Swapped, ArchiveError> {
        let Edited { manifest, unreferenced } = self.manifest.drop_before(log_start_offset);
        let pointer = match self.root {
            Some(root) => ManifestPointer::to(root, &manifest),
            None => ManifestPointer::without_root(manifest.log_start_offset()),
        };
        let revision = Some(self.point(standing, term, &pointer).await?);
        let topic_partition = manifest.topic_partition();
        let segments =
            unreferenced.iter().map(|segment| paths::segment(topic, topic_partition, &segment.name()));
        let garbage = segments.collect();
        let kept = KeptManifest { manifest: Arc::new(manifest), revision, ..self.clone() };
        Ok(Swapped { kept, garbage })
    }

    async fn point(
        &self,
        standing: &Standing,
        term: &Term,
        pointer: &ManifestPointer,
    ) -> Result<Revision, ArchiveError> {
        let key = pointer_key(self.manifest.topic_partition());
        let compare = match self.revision {
            Some(revision) => Compare::Unchanged(key.clone(), revision),
            None => Compare::Absent(key.clone()),
        };
        let writes = vec![Write::Put(key, pointer.encode())];
        let terms = vec![term.clone()];
        let change = Change { compares: vec![compare], writes, reads: Vec::new(), terms };
        match standing.settle(&change).await? {
            Settled::Applied(revision) => Ok(revision),
            Settled::Refused(_) => Err(ArchiveError::Changed),
        }
    }
}

fn path_of(topic_partition: TopicPartition, object: ManifestObject) -> ObjectPath {
    paths::manifest_object(topic_partition, object)
}

async fn put(
    store: &ObjectStore,
    topic_partition: TopicPartition,
    object: ManifestObject,
    encoded: &EncodedObject,
) -> Result<(), ArchiveError> {
    Ok(store.put(&path_of(topic_partition, object), encoded.bytes.clone()).await?)
}
