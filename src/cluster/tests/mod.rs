//! Tables of the cores, and small clusters made of them that a seed drives.

mod barrier;
mod handover;
mod placement;
mod suspicion;
mod views;
mod wars;

use super::{Stand, Standings};
use crate::meta::Revision;
use crate::meta::keys::view::{EarlierView, Member, View};
use crate::types::{BrokerId, Moment, PartitionIndex, SessionId, TopicId, TopicPartition, ViewNumber};
use std::time::Duration;
use uuid::Uuid;

/// The session with that number.
fn s(number: u128) -> SessionId {
    SessionId(Uuid::from_u128(number))
}

/// The member whose session and broker have one number.
fn member(number: i32) -> Member {
    Member::new(s(u128::from(number.unsigned_abs())), BrokerId(number))
}

/// Members of sessions with these numbers, each of the broker of that number.
fn members(numbers: &[i32]) -> Vec<Member> {
    numbers.iter().map(|&number| member(number)).collect()
}

fn view(number: i32, numbers: &[i32]) -> View {
    View::new(ViewNumber(number), members(numbers))
}

fn earlier(number: i32, numbers: &[i32]) -> EarlierView {
    EarlierView { first: None, number: ViewNumber(number), members: members(numbers) }
}

/// The views from `first` to `last` put together.
fn together(first: i32, last: i32, numbers: &[i32]) -> EarlierView {
    EarlierView { first: Some(ViewNumber(first)), ..earlier(last, numbers) }
}

/// Sessions, each of the broker of that number, and the views they have acknowledged.
fn standings(as_of: u64, acked: &[(i32, i32)]) -> Standings {
    let sessions = acked.iter().map(|&(number, view)| {
        let stand = Stand { broker_id: BrokerId(number), acked_view: ViewNumber(view) };
        (s(u128::from(number.unsigned_abs())), stand)
    });
    Standings { as_of: Revision(as_of), sessions: sessions.collect() }
}

fn partition(index: i32) -> TopicPartition {
    let topic_id = TopicId(Uuid::from_u128(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef));
    TopicPartition { topic_id, partition: PartitionIndex(index) }
}

fn at(millis: u64) -> Moment {
    Moment(Duration::from_millis(millis))
}

/// Chance from a seed: SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        usize::try_from(super::hash::mix(self.0) >> 33).expect("31 bits") % end
    }

    fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }
}
