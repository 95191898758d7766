//! When a partition's committed records leave the journal for a segment.
//!
//! A partition is cut when what it has reaches a size, or when the oldest of it reaches an age *and has paid for its
//! segment*. A segment costs two PUTs, its file and the manifest's root. A journal object costs one, which the
//! partitions in it share by their bytes. What a partition has in the journal has paid once its shares come to the
//! two PUTs. So, whatever the number of partitions and however the load is spread over them, segments cost no more
//! PUTs than the journal did:
//!
//! | partitions, equally busy | journal objects a second | paid after |
//! | --- | --- | --- |
//! | 1 | 4 | 0.5 s: the age decides |
//! | 1,000 | 4 | 8 min: the age decides |
//! | 10,000 | 4 | 83 min |
//!
//! A fixed size would not do: one lone topic of a record a second should be readable as Parquet after ten minutes,
//! ten thousand of them must not cost ten thousand files. What has not paid waits up to `age_max`, where it is cut
//! nevertheless: 100,000 silent partitions that hold one record each cost two PUTs a second then, once. For a compacted
//! topic neither age is above its `max.compaction.lag.ms`, as only what is archived is compacted: who sets it pays for it.
//!
//! What has its rows merged into another object ([`super::journal_merge`]) keeps what it has paid: a merged object stands
//! for as many PUTs as the shares of its rows come to.
//!
//! Who waits pins nothing for long, as old journal objects are merged. What remains is an entry in the index for each span
//! and the list of merged objects. Only if those come to too much the caller says so, and the age alone decides.
//!
//! And each batch of an idempotent producer leaves a row in memory until it is archived. Where too many wait in all, those
//! partitions are cut that have most of them, whether they have paid or not ([`to_relieve`]).

use crate::config::ArchiveConfig;
use crate::journal::PUT_MILLIONTHS;
use crate::topic::TopicSettings;
use crate::types::Moment;
use std::cmp::Reverse;
use std::ops::Add;
use std::time::Duration;

/// When to archive a partition, by its settings and the broker's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CutSettings {
    /// Batches of this size, in bytes, are a segment: 64 MiB by default.
    pub bytes: u64,
    /// How long a record waits in a partition whose segments are worth their PUTs: 10 min by default. For a
    /// compacted topic at most its `max.compaction.lag.ms`.
    pub age: Duration,
    /// How long a record waits in any partition: 24 h by default, and likewise.
    pub age_max: Duration,
}

/// What is older than this goes under pressure.
const AGE_UNDER_PRESSURE: Duration = Duration::from_secs(60);

impl CutSettings {
    /// Those of a topic; what it does not say is the broker's.
    #[must_use]
    pub fn of(broker: &ArchiveConfig, topic: &TopicSettings, pressure: JournalPressure) -> CutSettings {
        let bytes = topic.archive_bytes.unwrap_or(broker.bytes);
        let (mut age, mut age_max) = (topic.archive_age.unwrap_or(broker.age), broker.age_max);
        if topic.cleanup_policy.compact {
            let lag = u64::try_from(topic.max_compaction_lag_ms).unwrap_or(u64::MAX);
            let lag = Duration::from_millis(lag);
            (age, age_max) = (age.min(lag), age_max.min(lag));
        }
        if pressure == JournalPressure::High {
            age = age.min(AGE_UNDER_PRESSURE);
        }
        CutSettings { bytes, age, age_max }
    }
}

/// What a partition has between its archived offset and its last stable offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unarchived {
    /// Batches as they lie in the journal, in bytes.
    pub bytes: u64,
    /// When the oldest of it was committed, or found by a restart; none if there is nothing.
    pub oldest: Option<Moment>,
    /// Its share in the PUTs of the journal objects that it lies in.
    pub paid: PutShare,
}

/// Parts of a PUT, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PutShare(u64);

impl PutShare {
    const MILLION: u64 = PUT_MILLIONTHS;
    /// What a segment costs: its file, and the root of the manifest.
    pub const OF_A_SEGMENT: PutShare = PutShare(2 * PutShare::MILLION);

    /// The share of `bytes` in the PUT of an object that has `object_bytes`.
    #[must_use]
    pub fn of(bytes: u64, object_bytes: u64) -> PutShare {
        PutShare::of_several(bytes, object_bytes, PutShare::MILLION)
    }

    /// The share of `bytes` in an object that has `object_bytes` and stands for so many millionths of a PUT.
    #[must_use]
    pub fn of_several(bytes: u64, object_bytes: u64, millionths: u64) -> PutShare {
        let share = u128::from(bytes.min(object_bytes)) * u128::from(millionths);
        let share = share.checked_div(u128::from(object_bytes)).unwrap_or(0);
        PutShare(u64::try_from(share).expect("a share is not more than the whole"))
    }

    /// The number that it is stored as.
    #[must_use]
    pub fn millionths(self) -> u64 {
        self.0
    }
}

impl Add for PutShare {
    type Output = PutShare;

    fn add(self, other: PutShare) -> PutShare {
        PutShare(self.0.saturating_add(other.0))
    }
}

/// Whether what the broker has to remember of those who wait comes to too much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalPressure {
    /// It does not.
    Low,
    /// It does: less of it is worth PUTs.
    High,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveCut {
    /// Archive what there is.
    Now,
    /// Nothing until then, unless more is committed or the pressure rises before.
    At(Moment),
    /// Nothing until something is committed.
    Nothing,
}

/// Rows of idempotent producers that wait in memory, in all partitions together: about 96 MB.
pub const WAITING_ROWS_MAX: u64 = 2_000_000;

/// Which partitions to archive, as more rows wait in all than `max`: those with the most, until three quarters of it are
/// left. `archivable` has what each could let go of. The next one is never smaller than the average of those that are left,
/// so segments are as large as they can be.
///
/// Rows above a last stable offset cannot go. If they alone come to almost as much as may wait, a few rows of others would
/// take the sum above it again and again, and each time all others would be cut, whatever they have. So nothing is cut
/// before a quarter of `max` can go, and where what is held leaves no room at all, never more than half of what can: the
/// many that have a row or two are left to their time. What is held comes on top, for as long as a transaction may last.
#[must_use]
pub fn to_relieve<P>(max: u64, waiting: u64, archivable: impl IntoIterator<Item = (P, u64)>) -> Vec<P> {
    if waiting <= max {
        return Vec::new();
    }
    let mut archivable: Vec<(P, u64)> = archivable.into_iter().filter(|(_, rows)| *rows > 0).collect();
    let all: u64 = archivable.iter().map(|(_, rows)| rows).sum();
    if all < max / 4 {
        return Vec::new();
    }
    archivable.sort_by_key(|(_, rows)| Reverse(*rows));
    let left = max - max / 4;
    let mut surplus = if waiting - all >= left { all / 2 } else { waiting - left };
    let is_cut = |(_, rows): &(P, u64)| {
        let is_cut = surplus > 0;
        surplus = surplus.saturating_sub(*rows);
        is_cut
    };
    archivable.into_iter().take_while(is_cut).map(|(partition, _)| partition).collect()
}

/// Whether a partition is to be archived.
#[must_use]
pub fn decide(
    settings: &CutSettings,
    now: Moment,
    unarchived: Unarchived,
    pressure: JournalPressure,
) -> ArchiveCut {
    let Some(oldest) = unarchived.oldest else { return ArchiveCut::Nothing };
    if unarchived.bytes >= settings.bytes {
        return ArchiveCut::Now;
    }
    let is_worth_it = pressure == JournalPressure::High || unarchived.paid >= PutShare::OF_A_SEGMENT;
    let age = if is_worth_it { settings.age } else { settings.age.max(settings.age_max) };
    let due = oldest + age;
    if now >= due { ArchiveCut::Now } else { ArchiveCut::At(due) }
}
