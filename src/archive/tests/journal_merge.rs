//! Which journal objects become one.

use super::super::journal_merge::{JournalLife, JournalMerge, JournalMergeSettings, choose};
use crate::log::{JournalUse, ObjectUse};
use crate::meta::keys::journal_starts::MergedObject;
use crate::types::{MergeNumber, ViewNumber};
use proptest::prelude::*;

const MIB: u64 = 1 << 20;

fn used(bytes: u64, needed_bytes: u64, spans: u64) -> ObjectUse {
    ObjectUse { bytes, index_bytes: 1_000, spans, needed_bytes }
}

fn flushed(count: u64, object: ObjectUse) -> Vec<(u64, ObjectUse)> {
    (10..10 + count).map(|seq| (seq, object)).collect()
}

fn merged(objects: &[ObjectUse]) -> Vec<(MergedObject, ObjectUse)> {
    let named = |(attempt, object): (usize, &ObjectUse)| {
        let number = MergeNumber { view: ViewNumber(1), attempt: attempt as u32 };
        (MergedObject { number, bytes: object.bytes + 1_000, puts: 0 }, *object)
    };
    objects.iter().enumerate().map(named).collect()
}

fn check(
    name: &str,
    life: JournalLife,
    flushed: Vec<(u64, ObjectUse)>,
    of_merged: &[ObjectUse],
    expected: Option<(Option<u64>, std::ops::Range<usize>)>,
) {
    let journal = JournalUse { flushed, merged: merged(of_merged) };
    let expected = expected.map(|(until, merged)| JournalMerge { until, merged });
    assert_eq!(choose(&JournalMergeSettings::default(), life, &journal), expected, "{name}");
}

#[test]
fn old_objects_are_merged_for_a_reason_and_young_ones_never() {
    use JournalLife::{GoesOn, Over};
    let sparse = used(8 * MIB, 1_000, 1);
    let small = used(2_000, 1_000, 1);
    let dense = used(2 * MIB, 2 * MIB, 100);
    let wide = used(2 * MIB, 2 * MIB, 10_000);
    for (name, life, flushed, expected) in [
        ("nothing", GoesOn, flushed(0, small), None),
        ("nothing, over", Over, flushed(0, small), None),
        ("few", GoesOn, flushed(999, small), None),
        ("many", GoesOn, flushed(1_000, small), Some((Some(510), 0..0))),
        ("many of a journal that is over", Over, flushed(500, small), Some((Some(510), 0..0))),
        ("few of a journal that is over", Over, flushed(499, small), None),
        ("mostly dead and large", GoesOn, flushed(200, sparse), Some((Some(110), 0..0))),
        ("mostly dead and large, but few", GoesOn, flushed(199, sparse), None),
        ("mostly dead and small", GoesOn, flushed(900, used(20_000, 100, 1)), None),
        ("needed in full", GoesOn, flushed(9_999, dense), None),
        ("needed in full, and too many", GoesOn, flushed(10_000, dense), Some((Some(41), 0..0))),
        ("of ten thousand partitions", GoesOn, flushed(200, wide), Some((Some(28), 0..0))),
        ("of ten thousand partitions, young", GoesOn, flushed(199, wide), None),
        ("larger than an output", Over, flushed(5_000, used(99 * MIB, 99 * MIB, 1)), Some((Some(11), 0..0))),
    ] {
        check(name, life, flushed, &[], expected);
    }
}

#[test]
fn the_youngest_merged_objects_join_if_they_are_not_larger_and_there_is_room() {
    // 500 × (1,000 + 160) bytes.
    let new = || flushed(1_000, used(2_000, 1_000, 1));
    let of = |bytes| used(bytes, bytes, 1);
    for (name, list, expected) in [
        ("a smaller one", vec![of(500_000)], 0..1),
        ("a larger one", vec![of(600_000)], 1..1),
        ("each as large as what follows it", vec![of(2_000_000), of(1_000_000), of(500_000)], 0..3),
        ("only the youngest", vec![of(1_000), of(2_000_000), of(500_000)], 2..3),
        ("what is needed of it is small", vec![used(600_000, 400_000, 1)], 0..1),
    ] {
        check(name, JournalLife::GoesOn, new(), &list, Some((Some(510), expected)));
    }
    let full = vec![of(30 * MIB), of(30 * MIB)];
    let many = flushed(1_000, used(2 * 66_000, 66_000, 1));
    check("no room for both", JournalLife::GoesOn, many, &full, Some((Some(510), 1..2)));
}

#[test]
fn merged_objects_that_are_half_dead_are_copied_with_their_neighbours() {
    let (alive, half, quarter) =
        (used(40 * MIB, 40 * MIB, 9), used(60 * MIB, 29 * MIB, 9), used(16 * MIB, 4 * MIB, 9));
    for (name, list, expected) in [
        ("none", vec![], None),
        ("alive", vec![alive, alive], None),
        ("half dead", vec![alive, half, alive], Some((None, 1..2))),
        ("too little to be worth it", vec![alive, quarter, alive], None),
        ("two that are worth it together", vec![alive, quarter, quarter], Some((None, 1..3))),
        ("the most of it", vec![half, alive, half, quarter], Some((None, 2..4))),
    ] {
        check(name, JournalLife::GoesOn, Vec::new(), &list, expected);
    }
}

#[test]
fn a_list_that_is_full_takes_no_more() {
    let many = || flushed(1_000, used(2_000, 1_000, 1));
    let large = vec![used(40 * MIB, 40 * MIB, 1); 8_192];
    check("full", JournalLife::GoesOn, many(), &large, None);
    check("room", JournalLife::GoesOn, many(), &large[1..], Some((Some(510), 8_191..8_191)));
}

/// A journal as a list of numbers, to see what any load comes to.
struct Model {
    journal: JournalUse,
    next: u64,
    written: u64,
    needed_in_all: u64,
    puts: u64,
    full_puts: u64,
    freed: u64,
}

impl Model {
    fn flush(&mut self, object: ObjectUse) {
        self.next += 1;
        self.needed_in_all += object.needed_bytes;
        if object.spans > 0 || !self.journal.flushed.is_empty() {
            self.journal.flushed.push((self.next, object));
        }
    }

    /// Lets go of a share, in sixteenths, of what each object has that is older than `age` objects.
    fn archive(&mut self, age: u64, share: u64) {
        let is_old = |seq: u64| seq + age < self.next;
        let let_go = |object: &mut ObjectUse| {
            let keep = |number: u64| number - number * share / 16;
            (object.spans, object.needed_bytes) = (keep(object.spans), keep(object.needed_bytes));
            if object.spans == 0 || share == 16 {
                (object.spans, object.needed_bytes) = (0, 0);
            }
        };
        self.journal
            .flushed
            .iter_mut()
            .filter(|(seq, _)| is_old(*seq))
            .for_each(|(_, object)| let_go(object));
        self.journal.merged.iter_mut().for_each(|(_, object)| let_go(object));
        let first = self.journal.flushed.iter().position(|(_, object)| object.spans > 0);
        self.journal.flushed.drain(..first.unwrap_or(self.journal.flushed.len()));
        self.journal.merged.retain(|(_, object)| object.spans > 0);
    }

    fn merge(&mut self, settings: &JournalMergeSettings) -> bool {
        let Some(merge) = choose(settings, JournalLife::GoesOn, &self.journal) else { return false };
        let until = merge.until.unwrap_or(0);
        let flushed = self.journal.flushed.partition_point(|(seq, _)| *seq < until);
        let taken: Vec<ObjectUse> = self.journal.flushed.drain(..flushed).map(|(_, object)| object).collect();
        let of_merged: Vec<ObjectUse> =
            self.journal.merged[merge.merged.clone()].iter().map(|(_, object)| *object).collect();
        let sum = |get: fn(&ObjectUse) -> u64| taken.iter().chain(&of_merged).map(get).sum::<u64>();
        let (bytes, spans) = (sum(|object| object.needed_bytes), sum(|object| object.spans));
        assert!(flushed > 0 || !of_merged.is_empty(), "a merge has something to merge");
        assert!(bytes + 160 * spans <= settings.output_bytes || taken.len() == 1, "an output has its size");
        self.puts += 1;
        self.written += bytes;
        self.freed += taken.len() as u64;
        self.full_puts += u64::from(bytes + 160 * spans > settings.output_bytes / 3);
        let out = merged(&[used(bytes, bytes, spans)]);
        self.journal.merged.splice(merge.merged, out);
        true
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    /// Whatever the load: pinned objects have a limit, the list is short, and merging costs few PUTs and few bytes.
    #[test]
    fn merging_bounds_what_is_pinned_and_what_it_costs(
        load in prop::collection::vec((1..40_000_u64, 0..17_u64, 1..20_u64, 0..400_u64, 0..17_u64, 0..3_u8), 1..400),
    ) {
        // A thousandth of the real sizes.
        let settings = JournalMergeSettings {
            output_bytes: 64 << 10, objects: 50, objects_dead: 10, bytes_dead: 128 << 10,
            spans: 1_000, objects_max: 500, merged_dead: 16 << 10, merged_max: 8_192,
        };
        let journal = JournalUse { flushed: Vec::new(), merged: Vec::new() };
        let mut model =
            Model { journal, next: 0, written: 0, needed_in_all: 0, puts: 0, full_puts: 0, freed: 0 };
        for (bytes, needed, spans, age, share, what) in load {
            for _ in 0..20 {
                let needed_bytes = bytes * needed / 16;
                let spans = if needed_bytes == 0 { 0 } else { spans };
                model.flush(used(bytes, needed_bytes, spans));
                while model.merge(&settings) {}
            }
            if what == 0 {
                model.archive(age, share);
            }
            while model.merge(&settings) {}
            prop_assert!(model.journal.flushed.len() <= 1_000);
            let waiting: u64 = model.journal.merged.iter().map(|(_, object)| object.needed_bytes + 160 * object.spans).sum();
            let dead: u64 = model.journal.merged.iter().map(|(_, object)| object.bytes - object.needed_bytes).sum();
            let list = model.journal.merged.len() as u64;
            prop_assert!(list <= 12 + 3 * waiting / settings.output_bytes + dead / 2_000, "{list} for {waiting} and {dead} dead");
        }
        // A PUT has much in it, or stands for many, or frees many dead bytes.
        let of_dead = model.written / settings.merged_dead + 1;
        prop_assert!(model.puts <= model.full_puts + model.freed / 10 + of_dead, "{} PUTs", model.puts);
        prop_assert!(model.written <= 8 * model.needed_in_all, "{} of {}", model.written, model.needed_in_all);
    }
}
