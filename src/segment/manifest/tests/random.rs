//! Random edits, saved and read back now and then, against a plain list.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Event {
    /// So many segments of so many offsets each, with such a gap before each.
    Append {
        segments: i64,
        offsets: i64,
        gap: i64,
    },
    /// Nothing but a gap is archived.
    AppendNothing {
        gap: i64,
    },
    /// Some neighbours become one, two or none.
    Replace {
        first: prop::sample::Index,
        count: usize,
        with: usize,
    },
    Drop {
        share: f64,
    },
    Clean {
        share: f64,
    },
    /// Saved, swapped, what was dropped is deleted; and read again, by another leader.
    Reopen,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => (1..700_i64, 1..20_i64, 0..3_i64)
            .prop_map(|(segments, offsets, gap)| Event::Append { segments, offsets, gap }),
        1 => (1..50_i64).prop_map(|gap| Event::AppendNothing { gap }),
        6 => (any::<prop::sample::Index>(), prop_oneof![1..10_usize, 1..600_usize], 0..3_usize)
            .prop_map(|(first, count, with)| Event::Replace { first, count, with }),
        2 => (0.0..1.1).prop_map(|share| Event::Drop { share: share * share * share }),
        1 => (0.0..1.0).prop_map(|share| Event::Clean { share }),
        3 => Just(Event::Reopen),
    ]
}

struct World {
    manifest: Manifest,
    model: Vec<Segment>,
    layout: Option<EncodedLayout>,
    objects: Objects,
    /// Where the log start was when the manifest was saved last.
    saved: Option<ManifestPointer>,
}

impl World {
    fn new() -> World {
        let manifest = Manifest::new(topic_partition(), Offset::ZERO);
        World { manifest, model: Vec::new(), layout: None, objects: Objects::default(), saved: None }
    }

    fn play(&mut self, event: &Event) {
        match event {
            Event::Append { segments, offsets, gap } => self.append(*segments, *offsets, *gap),
            Event::AppendNothing { gap } => {
                let up_to = self.manifest.archived_offset().0 + gap;
                let edited = self.manifest.append_segments(archived(Vec::new(), up_to));
                self.take(edited.expect("legal"), &[]);
            }
            Event::Replace { first, count, with } if !self.model.is_empty() => {
                self.replace(first.index(self.model.len()), *count, *with);
            }
            Event::Replace { .. } => {}
            Event::Drop { share } => {
                let edited = self.manifest.drop_before(self.offset(*share));
                self.take(edited, &[]);
            }
            Event::Clean { share } => {
                let up_to = self.offset(*share);
                match self.manifest.note_clean_pass(CleanPass { up_to, at: Timestamp(up_to.0) }) {
                    Ok(edited) => self.take(edited, &[]),
                    Err(error) => assert!(up_to <= self.manifest.cleaned_up_to(), "{error}"),
                }
            }
            Event::Reopen => self.reopen(),
        }
    }

    fn offset(&self, share: f64) -> Offset {
        Offset((self.manifest.archived_offset().0 as f64 * share) as i64)
    }

    fn append(&mut self, segments: i64, offsets: i64, gap: i64) {
        let from = self.manifest.archived_offset().0;
        let place = |number| from + number * (offsets + gap) + gap;
        let segments: Vec<_> =
            (0..segments).map(|number| segment(place(number), place(number) + offsets)).collect();
        let up_to = segments.last().expect("one at least").offsets.end.0;
        self.model.extend(segments.iter().cloned());
        let edited = self.manifest.append_segments(archived(segments.clone(), up_to)).expect("legal");
        self.take(edited, &segments);
    }

    fn replace(&mut self, first: usize, count: usize, with: usize) {
        let end = (first + count).min(self.model.len());
        let replaced = self.model[first..end].to_vec();
        let (start, middle, last) = (
            replaced[0].offsets.start.0,
            replaced[replaced.len() / 2].offsets.start.0,
            replaced[replaced.len() - 1].offsets.end.0,
        );
        let ranges = match with {
            0 => vec![],
            2 if start < middle => vec![(start, middle), (middle, last)],
            _ => vec![(start, last)],
        };
        // Half of the rows of each are gone, and the ids are new.
        let half = |(start, end): (i64, i64)| {
            let old = replaced.iter().filter(|old| start <= old.offsets.start.0 && old.offsets.end.0 <= end);
            let rows = old.map(|old| old.rows).sum::<u64>().div_ceil(2);
            self.objects.ids += 1;
            Segment { rows, unique: Uuid::from_u128(self.objects.ids), ..segment(start, end) }
        };
        let with: Vec<_> = ranges.into_iter().map(half).collect();
        let edited = self.manifest.replace(&replaced, with.clone()).expect("legal");
        self.model.splice(first..end, with.iter().cloned());
        self.take(edited, &with);
    }

    /// Takes an edit after which the model, still without the log start, says what should be there.
    fn take(&mut self, edited: Edited, new: &[Segment]) {
        let start = edited.manifest.log_start_offset();
        let before: Vec<_> = self.manifest.segments().chain(new).cloned().collect();
        self.manifest = edited.manifest;
        self.model.retain(|segment| segment.offsets.end > start);
        let gone = before.into_iter().filter(|segment| !self.model.contains(segment));
        let by_id = |mut segments: Vec<Segment>| {
            segments.sort_by_key(|segment| segment.unique);
            segments
        };
        assert_eq!(by_id(edited.unreferenced), by_id(gone.collect()), "what is gone is told");
    }

    fn reopen(&mut self) {
        let encoded = self.objects.save(&self.manifest, self.layout.as_ref());
        self.objects.remove_dropped(&encoded);
        let pointer = ManifestPointer::to(encoded.root.named, &self.manifest);
        let opened = self.objects.open(&pointer).expect("readable");
        assert_same(&opened.manifest, &self.manifest);
        let mut referenced: Vec<_> = encoded.layout.objects().map(|object| object.id).collect();
        let mut there: Vec<_> = self.objects.stored.keys().copied().collect();
        referenced.sort();
        there.sort();
        assert_eq!(referenced, there, "nothing is left over, and nothing is missing");
        assert!(there.len() <= 3 + self.model.len() / 125, "{} objects", there.len());
        self.manifest = opened.manifest;
        self.layout = Some(opened.layout);
        self.saved = Some(pointer);
    }

    fn check(&self) {
        assert_eq!(self.manifest.fault(), None);
        assert!(self.manifest.segments().eq(&self.model));
        assert_eq!(self.manifest.totals(), self.model.iter().map(Segment::totals).sum());
        for share in [0.0, 0.1, 0.5, 0.77, 1.0] {
            let offset = self.offset(share);
            let expected = self.model.iter().find(|segment| segment.offsets.end > offset);
            assert_eq!(self.manifest.segment_at(offset), expected);
            let target = Timestamp(1_000 + offset.0);
            let expected = self.model.iter().filter(|segment| segment.max_timestamp >= target);
            assert!(self.manifest.segments_from_timestamp(target).eq(expected));
        }
        let latest = self.model.iter().rev().max_by_key(|segment| segment.max_timestamp);
        assert_eq!(self.manifest.segment_of_max_timestamp(), latest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn edits_keep_the_manifest_sound(events in prop::collection::vec(event(), 1..40)) {
        let mut world = World::new();
        for event in &events {
            world.play(event);
            world.check();
        }
        world.reopen();
        world.check();
    }
}
