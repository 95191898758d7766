//! Objects to a manifest: the root first, then the parts that it names.
//!
//! Nothing is believed: lengths, checksums, versions, counts, the order of lines, and every invariant of the
//! manifest are verified, and the log start and the archived offset are held against the pointer's.

#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;

use super::chunks::{Chunk, Chunks};
use super::encode::{EncodedLayout, PlacedChunk, PlacedProducers};
use super::frame::{self, Kind, ObjectRef};
use super::lookup::Manifest;
use super::pointer::ManifestPointer;
use super::segment_entry::Segment;
use super::state::ProducerSnapshot;
use super::stored::{Line, StoredPart, StoredState};
use crate::types::{Offset, TopicPartition};
use std::sync::Arc;
use uuid::Uuid;

/// Why bytes are no manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Length or checksum are not those of the object: cut short, or damaged on the way or at rest.
    #[error("manifest object {object} is not what was written")]
    NotWhatWasWritten {
        /// Which object.
        object: Uuid,
    },
    /// A later release wrote it.
    #[error("manifest object {object} has version {version}, which is not known here")]
    UnknownVersion {
        /// Which object.
        object: Uuid,
        /// Its version.
        version: u32,
    },
    /// It was written wrong, or is another partition's.
    #[error("manifest object {object} cannot be read: {reason}")]
    Malformed {
        /// Which object.
        object: Uuid,
        /// What is wrong.
        reason: String,
    },
}

/// A root, whose parts are still to be read.
#[derive(Debug)]
pub struct Root {
    topic_partition: TopicPartition,
    named: ObjectRef,
    state: StoredState,
    producers: StoredProducers,
    parts: Vec<StoredPart>,
    inline: Vec<Segment>,
}

#[derive(Debug)]
enum StoredProducers {
    Inline(Vec<ProducerSnapshot>),
    Part(ObjectRef),
}

/// A part that was read.
#[derive(Debug)]
pub struct Part {
    named: ObjectRef,
    content: PartContent,
}

#[derive(Debug)]
enum PartContent {
    Segments(Vec<Segment>),
    Producers(Vec<ProducerSnapshot>),
}

/// A manifest that was read.
#[derive(Debug)]
pub struct Opened {
    /// The manifest.
    pub manifest: Manifest,
    /// To be given to the next `encode`.
    pub layout: EncodedLayout,
    /// Segments that the root names and that lie below the pointer's log start.
    pub unreferenced: Vec<Segment>,
}

impl Root {
    /// Reads the root that a pointer names.
    pub fn decode(
        topic_partition: TopicPartition,
        named: &ObjectRef,
        bytes: &[u8],
    ) -> Result<Root, DecodeError> {
        let (kind, lines) = frame::decode(topic_partition, named, bytes)?;
        let out_of_order = || malformed(named, "it is no root, or its lines are out of order");
        let mut lines = lines.into_iter().peekable();
        let Some((Kind::Root, Line::Root(state))) = lines.next().map(|line| (kind, line)) else {
            return Err(out_of_order());
        };
        let mut producers = Vec::new();
        let mut producers_part = None;
        if let Some(Line::Producers(part)) = lines.next_if(|line| matches!(line, Line::Producers(_))) {
            producers_part = Some(ObjectRef::from(part));
        }
        while let Some(Line::Producer(producer)) = lines.next_if(|line| matches!(line, Line::Producer(_))) {
            producers.push(ProducerSnapshot::from(producer));
        }
        let mut parts = Vec::new();
        while let Some(Line::Part(part)) = lines.next_if(|line| matches!(line, Line::Part(_))) {
            parts.push(part);
        }
        let inline = segments(lines).ok_or_else(out_of_order)?;
        let producers = match producers_part {
            Some(part) if producers.is_empty() => StoredProducers::Part(part),
            Some(_) => return Err(out_of_order()),
            None => StoredProducers::Inline(producers),
        };
        Ok(Root { topic_partition, named: *named, state, producers, parts, inline })
    }

    /// The parts to read, in the order in which [`Root::open`] wants them.
    pub fn wanted(&self) -> impl Iterator<Item = ObjectRef> {
        let producers = match &self.producers {
            StoredProducers::Inline(_) => None,
            StoredProducers::Part(part) => Some(*part),
        };
        self.parts.iter().map(|part| part.object.into()).chain(producers)
    }

    /// Puts the manifest together, as `pointer` wants it.
    pub fn open(self, pointer: &ManifestPointer, parts: Vec<Part>) -> Result<Opened, DecodeError> {
        let wrong = |reason: &str| malformed(&self.named, reason);
        let is_wanted = self.wanted().eq(parts.iter().map(|part| part.named));
        let (log_start_offset, archived_offset) = (Offset(self.state.log_start), Offset(self.state.archived));
        if !is_wanted || pointer.root != Some(self.named) {
            return Err(wrong("it was opened with other objects than it names"));
        }
        if pointer.archived_offset != archived_offset || pointer.log_start_offset < log_start_offset {
            return Err(wrong("its offsets are not those of its pointer"));
        }
        let (placed, producers, placed_producers) = self.contents(parts)?;
        let inline = Chunk::new(self.inline.clone()).map(Arc::new);
        let chunks = placed.iter().map(|placed| Arc::clone(&placed.chunk)).chain(inline);
        let manifest = Manifest {
            topic_partition: self.topic_partition,
            log_start_offset,
            archived_offset,
            chunks: Chunks::new(chunks.collect()),
            leader_epochs: Arc::new(self.state.leader_epochs()),
            clean_passes: Arc::new(self.state.clean_passes()),
            producers,
        };
        if let Some(fault) = manifest.fault() {
            return Err(wrong(fault));
        }
        let layout = EncodedLayout { root: self.named, parts: placed, producers: placed_producers };
        let edited = manifest.drop_before(pointer.log_start_offset);
        Ok(Opened { manifest: edited.manifest, layout, unreferenced: edited.unreferenced })
    }

    fn contents(&self, parts: Vec<Part>) -> Result<Contents, DecodeError> {
        let mut placed = Vec::with_capacity(self.parts.len());
        let mut placed_producers = None;
        for (place, part) in parts.into_iter().enumerate() {
            let object = part.named;
            match (part.content, self.parts.get(place)) {
                (PartContent::Segments(segments), Some(stored)) => {
                    let chunk =
                        Chunk::new(segments).filter(|chunk| StoredPart::new(object, chunk) == *stored);
                    let chunk =
                        chunk.ok_or_else(|| malformed(&object, "it is not as its root describes it"))?;
                    placed.push(PlacedChunk { chunk: Arc::new(chunk), object });
                }
                (PartContent::Producers(producers), None) => {
                    placed_producers = Some(PlacedProducers { producers: Arc::new(producers), object });
                }
                _ => return Err(malformed(&object, "it is a part of another kind")),
            }
        }
        let producers = match (&self.producers, &placed_producers) {
            (StoredProducers::Inline(producers), _) => Arc::new(producers.clone()),
            (StoredProducers::Part(_), Some(placed)) => Arc::clone(&placed.producers),
            (StoredProducers::Part(_), None) => {
                return Err(malformed(&self.named, "its producers are missing"));
            }
        };
        Ok((placed, producers, placed_producers))
    }
}

type Contents = (Vec<PlacedChunk>, Arc<Vec<ProducerSnapshot>>, Option<PlacedProducers>);

impl Part {
    /// Reads a part that a root names.
    pub fn decode(
        topic_partition: TopicPartition,
        named: &ObjectRef,
        bytes: &[u8],
    ) -> Result<Part, DecodeError> {
        let (kind, lines) = frame::decode(topic_partition, named, bytes)?;
        let content = match kind {
            Kind::Root => None,
            Kind::Segments => segments(lines).map(PartContent::Segments),
            Kind::Producers => producers(lines).map(PartContent::Producers),
        };
        let content =
            content.ok_or_else(|| malformed(named, "it is no part, or has lines of another kind"))?;
        Ok(Part { named: *named, content })
    }
}

fn segments(lines: impl IntoIterator<Item = Line>) -> Option<Vec<Segment>> {
    let segment = |line| match line {
        Line::Segment(segment) => Some(Segment::from(segment)),
        _ => None,
    };
    lines.into_iter().map(segment).collect()
}

fn producers(lines: impl IntoIterator<Item = Line>) -> Option<Vec<ProducerSnapshot>> {
    let producer = |line| match line {
        Line::Producer(producer) => Some(ProducerSnapshot::from(producer)),
        _ => None,
    };
    lines.into_iter().map(producer).collect()
}

fn malformed(named: &ObjectRef, reason: &str) -> DecodeError {
    DecodeError::Malformed { object: named.id, reason: reason.to_owned() }
}
