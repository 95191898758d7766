//! Random records, passes that break off, merges, log starts and time, against a plain list of all records.

use super::super::compact::*;
use super::{manifest, segment};
use crate::hashing::HashMap;
use crate::segment::manifest::{Archived, CleanPass, Manifest, Segment};
use crate::types::{Offset, Timestamp};
use proptest::prelude::*;
use std::collections::BTreeMap;
use uuid::Uuid;

const SETTINGS: CompactionSettings =
    CompactionSettings { min_dirty_ratio: 0.3, min_lag_ms: 20, max_lag_ms: 200, delete_retention_ms: 100 };

#[derive(Clone, Debug, PartialEq, Eq)]
struct Record {
    offset: i64,
    at: i64,
    key: Option<u8>,
    value: Option<u32>,
}

#[derive(Clone, Debug)]
enum Event {
    /// Records of these keys, with a value or without, go into one segment; one offset in so many is a gap.
    Archive {
        keys: Vec<(Option<u8>, bool)>,
        gap: usize,
    },
    /// A pass with room for so many keys, if one is due; it breaks off after so many groups.
    Compact {
        keys_max: usize,
        groups_max: usize,
    },
    /// Neighbours become one.
    Merge {
        first: prop::sample::Index,
    },
    Drop {
        share: f64,
    },
    Pass {
        millis: i64,
    },
}

fn event() -> impl Strategy<Value = Event> {
    let key = prop_oneof![20 => (0..12_u8).prop_map(Some), 1 => Just(None)];
    let record = (key, prop::bool::weighted(0.3));
    prop_oneof![
        5 => (prop::collection::vec(record, 1..30), 2..9_usize).prop_map(|(keys, gap)| Event::Archive { keys, gap }),
        4 => (1..16_usize, prop_oneof![3 => Just(usize::MAX), 1 => 0..4_usize])
            .prop_map(|(keys_max, groups_max)| Event::Compact { keys_max, groups_max }),
        2 => any::<prop::sample::Index>().prop_map(|first| Event::Merge { first }),
        1 => (0.0..0.6).prop_map(|share| Event::Drop { share }),
        4 => (1..80_i64).prop_map(|millis| Event::Pass { millis }),
    ]
}

struct World {
    now: i64,
    ids: u128,
    manifest: Manifest,
    /// What the segments hold.
    files: HashMap<Uuid, Vec<Record>>,
    /// All that was ever written.
    history: Vec<Record>,
    /// The highest end of any pass, also of those that broke off.
    attempted_up_to: i64,
    /// When the first pass ended that saw a tombstone.
    first_seen: BTreeMap<i64, i64>,
}

impl World {
    fn new() -> World {
        let (files, history, first_seen) = (HashMap::default(), Vec::new(), BTreeMap::new());
        let manifest = manifest(Vec::new());
        World { now: 1_000, ids: 0, manifest, files, history, attempted_up_to: 0, first_seen }
    }

    fn play(&mut self, event: &Event) {
        match event {
            Event::Archive { keys, gap } => self.archive(keys, *gap),
            Event::Compact { keys_max, groups_max } => self.compact(*keys_max, *groups_max),
            Event::Merge { first } => self.merge(first),
            Event::Drop { share } => {
                let to = Offset((self.manifest.archived_offset().0 as f64 * share) as i64);
                self.manifest = self.manifest.drop_before(to).manifest;
            }
            Event::Pass { millis } => self.now += millis,
        }
    }

    fn archive(&mut self, keys: &[(Option<u8>, bool)], gap: usize) {
        let from = self.manifest.archived_offset().0;
        let mut records = Vec::new();
        let mut offset = from;
        for (place, &(key, is_tombstone)) in keys.iter().enumerate() {
            offset += i64::from(place % gap == 0);
            let value = (!is_tombstone).then_some(place as u32);
            records.push(Record { offset, at: self.now, key, value });
            offset += 1;
        }
        self.history.extend(records.iter().cloned());
        let segments = self.store(from..offset, 0, records).into_iter().collect();
        let archived_offset = Offset(offset);
        let archived =
            Archived { segments, archived_offset, leader_epochs: Vec::new(), producers: Vec::new() };
        self.manifest = self.manifest.append_segments(archived).expect("legal").manifest;
    }

    /// A file of these records, if there are any.
    fn store(&mut self, offsets: std::ops::Range<i64>, level: u8, records: Vec<Record>) -> Option<Segment> {
        let latest = records.iter().rev().max_by_key(|record| record.at)?;
        self.ids += 1;
        let segment = Segment {
            min_timestamp: Timestamp(records.iter().map(|record| record.at).min()?),
            max_timestamp: Timestamp(latest.at),
            max_timestamp_offset: Offset(latest.offset),
            rows: records.len() as u64,
            tombstones: records.iter().filter(|record| record.key.is_some() && record.value.is_none()).count()
                as u64,
            raw_bytes: records.len() as u64,
            file_bytes: records.len() as u64,
            unique: Uuid::from_u128(self.ids),
            level,
            ..segment(offsets.start, offsets.end)
        };
        self.files.insert(segment.unique, records);
        Some(segment)
    }

    fn rows(&self, segments: &[Segment]) -> Vec<Record> {
        segments.iter().flat_map(|segment| self.files[&segment.unique].iter().cloned()).collect()
    }

    fn replace(&mut self, replaced: &[Segment], records: Vec<Record>) {
        let (first, last) = (&replaced[0], &replaced[replaced.len() - 1]);
        let (offsets, level) = (first.offsets.start.0..last.offsets.end.0, first.level + 1);
        let with = self.store(offsets, level, records).into_iter().collect();
        let edited = self.manifest.replace(replaced, with).expect("legal");
        self.manifest = edited.manifest;
        for gone in edited.unreferenced {
            self.files.remove(&gone.unique).expect("it was there");
        }
    }

    fn merge(&mut self, first: &prop::sample::Index) {
        let segments: Vec<_> = self.manifest.segments().cloned().collect();
        if segments.len() > 1 {
            let first = first.index(segments.len() - 1);
            let run = &segments[first..first + 2];
            self.replace(run, self.rows(run));
        }
    }

    fn compact(&mut self, keys_max: usize, groups_max: usize) {
        let Some(plan) = plan(&self.manifest, &SETTINGS, Timestamp(self.now)) else { return };
        assert!(plan.dirty.end <= self.manifest.archived_offset());
        let memory_bytes = keys_max * 30;
        let mut pass =
            DirtyPass::new(plan.dirty.clone(), plan.dirty_rows, memory_bytes, HashKey(self.now as u64, 7));
        let dirty: Vec<_> = self.manifest.segments_from(plan.dirty.start).cloned().collect();
        for record in self.rows(&dirty) {
            if pass.observe(as_row(&record)) == PassProgress::Full {
                break;
            }
        }
        let expired_below =
            tombstones_expired_below(&self.manifest, SETTINGS.delete_retention_ms, Timestamp(self.now));
        let survivors = pass.finish(self.manifest.log_start_offset(), expired_below);
        assert!(survivors.memory_bytes() <= memory_bytes.max(48));
        let groups = rewrite_groups(self.manifest.segments(), survivors.up_to(), 40);
        let is_whole = groups.len() <= groups_max;
        self.attempted_up_to = self.attempted_up_to.max(survivors.up_to().0);
        for group in groups.iter().take(groups_max) {
            let mut records = self.rows(group);
            records.retain(|record| survivors.fate(as_row(record)) == Fate::Kept);
            self.replace(group, records);
        }
        if is_whole && !plan.dirty.is_empty() {
            assert!(survivors.up_to() > plan.dirty.start, "every pass gets further");
            let pass = CleanPass { up_to: survivors.up_to(), at: Timestamp(self.now) };
            self.manifest = self.manifest.note_clean_pass(pass).expect("legal").manifest;
            self.on_pass(survivors.up_to().0);
        }
    }

    fn on_pass(&mut self, up_to: i64) {
        let start = self.manifest.log_start_offset().0;
        for record in self.history.iter().filter(|record| record.offset < up_to && record.value.is_none()) {
            self.first_seen.entry(record.offset).or_insert(self.now);
        }
        // Exactly the last record of each key is there below the end of the pass, tombstones aside, and those whose
        // successor a pass saw that went further but broke off.
        let last_below = |up_to: i64| {
            let below = self.history.iter().filter(|record| record.offset < up_to && record.key.is_some());
            below.map(|record| (record.key, record.clone())).collect::<BTreeMap<_, _>>()
        };
        let (last, last_attempted) = (last_below(up_to), last_below(self.attempted_up_to));
        let is_value = |record: &Record| record.value.is_some() && record.offset >= start;
        let there: Vec<_> =
            self.readable().into_iter().filter(|record| record.offset < up_to && is_value(record)).collect();
        assert!(there.iter().all(|record| last[&record.key] == *record), "nothing has a successor");
        for record in last.values().filter(|record| is_value(record)) {
            let is_superseded = last_attempted[&record.key] != *record;
            assert!(there.contains(record) || is_superseded, "{record:?} is gone");
        }
    }

    fn readable(&self) -> Vec<Record> {
        let segments: Vec<_> = self.manifest.segments().cloned().collect();
        let start = self.manifest.log_start_offset().0;
        self.rows(&segments).into_iter().filter(|record| record.offset >= start).collect()
    }

    fn check(&self) {
        let (start, cleaned) = (self.manifest.log_start_offset().0, self.manifest.cleaned_up_to().0);
        let readable = self.readable();
        assert!(readable.windows(2).all(|pair| pair[0].offset < pair[1].offset), "in order");
        let known: HashMap<i64, &Record> =
            self.history.iter().map(|record| (record.offset, record)).collect();
        assert!(readable.iter().all(|record| known[&record.offset] == record), "as written");
        let there: HashMap<i64, &Record> = readable.iter().map(|record| (record.offset, record)).collect();
        // Whoever reads it all ends with the same table.
        let table = |records: &[Record]| {
            let mut table = BTreeMap::new();
            for record in records.iter().filter(|record| record.key.is_some() && record.offset >= start) {
                table.insert(record.key, record.value);
            }
            table.retain(|_, value| value.is_some());
            table
        };
        assert_eq!(table(&readable), table(&self.history), "the last value of each key");
        for (place, record) in self.history.iter().enumerate().filter(|(_, record)| record.offset >= start) {
            let is_last = !self.history[place + 1..].iter().any(|later| later.key == record.key);
            let is_young = self
                .first_seen
                .get(&record.offset)
                .is_none_or(|seen| self.now < seen + SETTINGS.delete_retention_ms);
            // A pass that broke off may have taken what is superseded, and what has no key.
            let must_stay = record.key.is_some() && is_last && (record.value.is_some() || is_young);
            assert!(
                !must_stay || there.contains_key(&record.offset),
                "{record:?} is gone, cleaned to {cleaned}"
            );
            let too_young_to_touch = self.now - record.at < SETTINGS.min_lag_ms;
            assert!(!too_young_to_touch || there.contains_key(&record.offset), "{record:?} was safe");
        }
    }
}

fn as_row(record: &Record) -> RowKey<'_> {
    let key = record.key.as_ref().map(std::slice::from_ref);
    RowKey { offset: Offset(record.offset), key, is_tombstone: record.value.is_none() }
}

proptest! {
    #[test]
    fn compaction_leaves_the_last_value_of_each_key(events in prop::collection::vec(event(), 1..60)) {
        let mut world = World::new();
        for event in &events {
            world.play(event);
            world.check();
        }
        // In the end, when all had its time and room, nothing but the last values is left.
        for _ in 0..40 {
            world.now += SETTINGS.max_lag_ms + SETTINGS.delete_retention_ms + 1;
            world.play(&Event::Compact { keys_max: 16, groups_max: usize::MAX });
            world.check();
        }
        prop_assert!(world.manifest.segment_at(world.manifest.cleaned_up_to()).is_none(), "nothing is dirty");
        let keys: Vec<_> = world.readable().into_iter().map(|record| record.key).collect();
        let distinct: std::collections::BTreeSet<_> = keys.iter().collect();
        prop_assert_eq!(keys.len(), distinct.len());
        let totals = world.manifest.totals();
        prop_assert!(totals.tombstones as f64 <= SETTINGS.min_dirty_ratio * totals.rows as f64, "{totals:?}");
    }
}
