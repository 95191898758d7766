//! What a pass of compaction does next when the manifest changes under it.

use super::super::compact::{DirtyPass, HashKey, PassProgress};
use super::super::upkeep::{PassStep, RunningPass};
use super::{manifest, segment, starts};
use crate::segment::manifest::{Manifest, Segment};
use crate::types::Offset;

/// Of four segments that are a group each, the first was to be rewritten: it comes again.
fn midway() -> (Manifest, RunningPass) {
    let four = manifest((0..4).map(|number| segment(number * 100, number * 100 + 100)).collect());
    let dirty = Offset(0)..Offset(400);
    let pass = DirtyPass::new(dirty.clone(), 400, 1 << 20, HashKey(1, 2));
    let mut running = RunningPass::new(&four, pass, &dirty);
    let Some(PassStep::Observe(pass, _)) = next(&mut running, &four) else { panic!("keys come first") };
    running.on_observed(pass, PassProgress::More);
    let Some(PassStep::Rewrite(_, group)) = next(&mut running, &four) else { panic!("then a group") };
    assert_eq!(starts(&group), [0]);
    running.again(group);
    (four, running)
}

fn next(running: &mut RunningPass, manifest: &Manifest) -> Option<PassStep> {
    running.next(manifest, 100, Offset::ZERO)
}

#[test]
fn what_the_log_start_has_passed_is_left_out() {
    let (four, mut running) = midway();
    let dropped = four.drop_before(Offset(250)).manifest;
    let Some(PassStep::Rewrite(_, group)) = next(&mut running, &dropped) else { panic!("there are more") };
    assert_eq!(starts(&group), [200]);
    let dropped = four.drop_before(Offset(400)).manifest;
    assert!(matches!(next(&mut running, &dropped), Some(PassStep::Note(Offset(400)))));
}

#[test]
fn a_pass_whose_segments_were_merged_meanwhile_is_not_noted() {
    let (four, mut running) = midway();
    let both: Vec<Segment> = four.segments().take(2).cloned().collect();
    let merged = four.replace(&both, vec![segment(0, 200)]).expect("neighbours").manifest;
    assert!(matches!(next(&mut running, &merged), Some(PassStep::GiveUp)));
}
