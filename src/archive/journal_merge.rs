//! Which journal objects become one.
//!
//! A partition with little in the journal waits there until a segment is worth its PUTs ([`super::cut`]). While it waits
//! it pins the objects that its rows lie in, and all behind the first of them, of which most may be archived long ago. So
//! what is still needed of many old objects is copied into one *merged* object, which has the same format, and they go.
//!
//! ```text
//! merged, oldest first        numbered, pinned
//! ████ ███▌ █▌ ▌              ▎▏ ▎▏▏▏▎▏ │ ▏▎▏▏▏▎▏▎         ▎ needed of an object
//!          └──────── merged ───────────┘ └ half of them: what is young may be archived soon
//! ```
//!
//! The older half of what is pinned is merged for one of these reasons:
//!
//! - *many*: 500 objects or more, of which one output has room for what is needed: one PUT, 500 objects less. A journal has
//!   1,000 pinned objects then, some minutes of a busy broker; a restart reads as many indexes.
//! - *dead*: 128 MiB or more, at least four times what is needed: at least 100 objects go for a PUT, or an output is full.
//! - *spans*: a million or more. Each costs memory in the index, and in a merged object a partition has one instead of
//!   many. This is for ten thousand partitions that are all needed in full.
//! - *long*: 5,000 objects, whatever they have. Nothing else let go of them, and their number has to have a limit.
//!
//! Objects that are needed in full and are few stay as they are: busy partitions archive them in minutes.
//!
//! **Cost.** A PUT of 64 MiB, or one for 100 objects; for *many* 500. The youngest merged objects go into the output if each
//! is not larger than what is there already. So whatever is copied again comes into an object of twice the size: at most
//! ten times from 64 KiB on, and a list has one object of each size, besides full ones. Merged objects that are half dead
//! are copied with their neighbours, where at least 16 MiB are freed: at most as much is copied for this as dies, hence
//! never more than was merged at first.

use crate::log::{JournalUse, ObjectUse};
use std::ops::Range;

/// When and what to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalMergeSettings {
    /// The size of an output, in bytes of batches and of what their rows take besides.
    pub output_bytes: u64,
    /// So many old objects are many.
    pub objects: usize,
    /// So many old objects at least, if bytes are dead.
    pub objects_dead: usize,
    /// So many bytes of old objects at least, if most of them are dead.
    pub bytes_dead: u64,
    /// So many spans in old objects are too many.
    pub spans: u64,
    /// So many old objects are too many, whatever they have.
    pub objects_max: usize,
    /// Dead bytes in merged objects that are worth a PUT.
    pub merged_dead: u64,
    /// A list is not longer than this.
    pub merged_max: usize,
}

impl Default for JournalMergeSettings {
    fn default() -> JournalMergeSettings {
        JournalMergeSettings {
            output_bytes: 64 << 20,
            objects: 500,
            objects_dead: 100,
            bytes_dead: 128 << 20,
            spans: 1_000_000,
            objects_max: 5_000,
            merged_dead: 16 << 20,
            merged_max: 8_192,
        }
    }
}

/// Whether more is added to a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalLife {
    /// Its session stands.
    GoesOn,
    /// It has ended: there is nothing young in it.
    Over,
}

/// What is to become one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalMerge {
    /// The pinned objects below this number; none: none of them.
    pub until: Option<u64>,
    /// Neighbours in the list of merged objects.
    pub merged: Range<usize>,
}

/// What the rows of a span take in memory and in an index, besides their batches.
const SPAN_BYTES: u64 = 160;
/// Neighbours in a list that are looked at together.
const RUN_MAX: usize = 256;
/// Bytes are mostly dead if they are more than so many times those that are needed.
const DEAD_FACTOR: u64 = 4;

/// What is worth merging of a journal, if anything.
#[must_use]
pub fn choose(
    settings: &JournalMergeSettings,
    life: JournalLife,
    journal: &JournalUse,
) -> Option<JournalMerge> {
    flushed(settings, life, journal).or_else(|| half_dead(settings, journal))
}

fn flushed(settings: &JournalMergeSettings, life: JournalLife, journal: &JournalUse) -> Option<JournalMerge> {
    let count = match life {
        JournalLife::GoesOn => journal.flushed.len() / 2,
        JournalLife::Over => journal.flushed.len(),
    };
    let old = &journal.flushed[..count];
    if !is_worth_it(settings, &Sums::of(old.iter().map(|(_, object)| object))) {
        return None;
    }
    let mut bytes = 0;
    let fits = |(_, object): &&(u64, ObjectUse)| {
        let is_first = bytes == 0;
        bytes += cost(object);
        is_first || bytes <= settings.output_bytes
    };
    let taken = old.iter().take_while(fits).count();
    let mut bytes: u64 = old[..taken].iter().map(|(_, object)| cost(object)).sum();
    let is_small = |(_, object): &&(_, ObjectUse)| {
        let joins = cost(object) <= bytes && bytes + cost(object) <= settings.output_bytes;
        bytes += cost(object);
        joins
    };
    let end = journal.merged.len();
    let merged = end - journal.merged.iter().rev().take_while(is_small).count()..end;
    if merged.is_empty() && end >= settings.merged_max {
        return None;
    }
    Some(JournalMerge { until: Some(old[taken - 1].0 + 1), merged })
}

fn is_worth_it(settings: &JournalMergeSettings, old: &Sums) -> bool {
    let many = old.objects >= settings.objects && old.cost <= settings.output_bytes;
    let is_mostly_dead = old.bytes > old.needed_bytes.saturating_mul(DEAD_FACTOR);
    let dead = old.objects >= settings.objects_dead && old.bytes >= settings.bytes_dead && is_mostly_dead;
    old.objects > 0 && (many || dead || old.spans >= settings.spans || old.objects >= settings.objects_max)
}

/// The neighbours in the list with the most dead bytes among those whose better half is dead.
fn half_dead(settings: &JournalMergeSettings, journal: &JournalUse) -> Option<JournalMerge> {
    let mut best: Option<(u64, Range<usize>)> = None;
    for start in 0..journal.merged.len() {
        let mut run = Sums::default();
        for (end, (_, object)) in journal.merged.iter().enumerate().skip(start).take(RUN_MAX) {
            run.add(object);
            if run.cost > settings.output_bytes {
                break;
            }
            let dead = run.bytes - run.needed_bytes;
            let is_worth_it = dead >= run.needed_bytes.max(settings.merged_dead);
            if is_worth_it && best.as_ref().is_none_or(|(most, _)| dead > *most) {
                best = Some((dead, start..end + 1));
            }
        }
    }
    best.map(|(_, merged)| JournalMerge { until: None, merged })
}

fn cost(object: &ObjectUse) -> u64 {
    object.needed_bytes + object.spans * SPAN_BYTES
}

/// Several objects together.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    objects: usize,
    bytes: u64,
    needed_bytes: u64,
    spans: u64,
    cost: u64,
}

impl Sums {
    fn of<'a>(objects: impl Iterator<Item = &'a ObjectUse>) -> Sums {
        let mut sums = Sums::default();
        objects.for_each(|object| sums.add(object));
        sums
    }

    fn add(&mut self, object: &ObjectUse) {
        self.objects += 1;
        self.bytes += object.bytes;
        self.needed_bytes += object.needed_bytes;
        self.spans += object.spans;
        self.cost += cost(object);
    }
}
