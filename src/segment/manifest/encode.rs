//! A manifest to objects: a root, and those parts that no earlier object holds.
//!
//! All chunks of segments but the last are parts; the last one, at most 1,000 segments, stands in the root itself.
//! So a partition of up to 1,000 segments has a root alone, and one of 1,000,000 a root of 1,000 names and as many
//! segments. An append rewrites the root, and once in 1,000 segments makes a part; a change in the middle makes one
//! part or two. Producers have an object of their own once there are more than [`PRODUCERS_INLINE_MAX`].

use super::chunks::Chunk;
use super::frame::{self, Kind, ObjectRef, crc32c};
use super::lookup::Manifest;
use super::state::ProducerSnapshot;
use super::stored::{Line, StoredPart, StoredProducer, StoredRef, StoredSegment, StoredState};
use crate::hashing::HashMap;
use crate::types::TopicPartition;
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

/// Producers that a root has itself.
const PRODUCERS_INLINE_MAX: usize = 1_000;

/// An object ready to be put.
#[derive(Clone, Debug)]
pub struct EncodedObject {
    /// Its name, length and checksum.
    pub named: ObjectRef,
    /// The whole object.
    pub bytes: Bytes,
}

/// A manifest as objects. The parts are put before the root, the root before the pointer is swapped.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// What the pointer shall name.
    pub root: EncodedObject,
    /// Parts that were not there before.
    pub new_parts: Vec<EncodedObject>,
    /// Parts of the previous layout that this one does not name.
    pub dropped_parts: Vec<ObjectRef>,
    /// The root of the previous layout.
    pub dropped_root: Option<ObjectRef>,
    /// To be given to the next `encode`, if the swap succeeds.
    pub layout: EncodedLayout,
}

/// Which object holds which chunk.
#[derive(Clone, Debug)]
pub struct EncodedLayout {
    pub(super) root: ObjectRef,
    pub(super) parts: Vec<PlacedChunk>,
    pub(super) producers: Option<PlacedProducers>,
}

/// A chunk that is stored. It is held, so that another cannot come to lie at its address.
#[derive(Clone, Debug)]
pub(super) struct PlacedChunk {
    pub chunk: Arc<Chunk>,
    pub object: ObjectRef,
}

#[derive(Clone, Debug)]
pub(super) struct PlacedProducers {
    pub producers: Arc<Vec<ProducerSnapshot>>,
    pub object: ObjectRef,
}

impl EncodedLayout {
    /// Every object of it: the root first.
    pub fn objects(&self) -> impl Iterator<Item = ObjectRef> {
        std::iter::once(self.root).chain(self.parts())
    }

    /// Every part of it.
    fn parts(&self) -> impl Iterator<Item = ObjectRef> {
        let producers = self.producers.iter().map(|placed| placed.object);
        self.parts.iter().map(|placed| placed.object).chain(producers)
    }
}

impl Manifest {
    /// Writes it. What `previous` placed already and this manifest still has is not written again; `new_id` names
    /// each new object.
    pub fn encode(&self, previous: Option<&EncodedLayout>, new_id: impl FnMut() -> Uuid) -> Encoded {
        let mut writer = Writer { topic_partition: self.topic_partition, new_id, new_parts: Vec::new() };
        let (inline, parts) = match self.chunks.all().split_last() {
            Some((last, before)) => (last.segments(), writer.place(before, previous)),
            None => (&[][..], Vec::new()),
        };
        let producers = writer.place_producers(&self.producers, previous);

        let mut lines = vec![Line::Root(StoredState::of(self))];
        match &producers {
            Some(placed) => lines.push(Line::Producers(StoredRef::from(placed.object))),
            None => lines.extend(producer_lines(&self.producers)),
        }
        lines.extend(parts.iter().map(|placed| Line::Part(StoredPart::new(placed.object, &placed.chunk))));
        lines.extend(segment_lines(inline));
        let root = writer.object(Kind::Root, &lines);

        let layout = EncodedLayout { root: root.named, parts, producers };
        let dropped_parts = previous.map(|previous| dropped(previous, &layout)).unwrap_or_default();
        let dropped_root = previous.map(|previous| previous.root);
        Encoded { root, new_parts: writer.new_parts, dropped_parts, dropped_root, layout }
    }
}

struct Writer<F> {
    topic_partition: TopicPartition,
    new_id: F,
    new_parts: Vec<EncodedObject>,
}

impl<F: FnMut() -> Uuid> Writer<F> {
    fn object(&mut self, kind: Kind, lines: &[Line]) -> EncodedObject {
        let bytes = frame::encode(self.topic_partition, kind, lines);
        let named = ObjectRef { id: (self.new_id)(), bytes: bytes.len() as u64, crc32c: crc32c(&bytes) };
        EncodedObject { named, bytes }
    }

    fn part(&mut self, kind: Kind, lines: &[Line]) -> ObjectRef {
        let object = self.object(kind, lines);
        let named = object.named;
        self.new_parts.push(object);
        named
    }

    fn place(&mut self, chunks: &[Arc<Chunk>], previous: Option<&EncodedLayout>) -> Vec<PlacedChunk> {
        let known = previous.map_or(&[][..], |previous| &previous.parts).iter();
        let known: HashMap<_, _> = known.map(|placed| (Arc::as_ptr(&placed.chunk), placed.object)).collect();
        let place = |chunk: &Arc<Chunk>| {
            let written = || {
                let lines: Vec<Line> = segment_lines(chunk.segments()).collect();
                self.part(Kind::Segments, &lines)
            };
            let object = known.get(&Arc::as_ptr(chunk)).copied().unwrap_or_else(written);
            PlacedChunk { chunk: Arc::clone(chunk), object }
        };
        chunks.iter().map(place).collect()
    }

    fn place_producers(
        &mut self,
        producers: &Arc<Vec<ProducerSnapshot>>,
        previous: Option<&EncodedLayout>,
    ) -> Option<PlacedProducers> {
        if producers.len() <= PRODUCERS_INLINE_MAX {
            return None;
        }
        let known = previous.and_then(|previous| previous.producers.as_ref());
        if let Some(known) = known.filter(|known| Arc::ptr_eq(&known.producers, producers)) {
            return Some(known.clone());
        }
        let lines: Vec<Line> = producer_lines(producers).collect();
        let object = self.part(Kind::Producers, &lines);
        Some(PlacedProducers { producers: Arc::clone(producers), object })
    }
}

fn segment_lines(segments: &[super::Segment]) -> impl Iterator<Item = Line> {
    segments.iter().map(|segment| Line::Segment(StoredSegment::from(segment)))
}

fn producer_lines(producers: &[ProducerSnapshot]) -> impl Iterator<Item = Line> {
    producers.iter().map(|producer| Line::Producer(StoredProducer::from(producer)))
}

fn dropped(previous: &EncodedLayout, layout: &EncodedLayout) -> Vec<ObjectRef> {
    let kept: crate::hashing::HashSet<Uuid> = layout.parts().map(|object| object.id).collect();
    previous.parts().filter(|object| !kept.contains(&object.id)).collect()
}
