//! What came out of it.

use serde::Serialize;
use std::fmt::Display;

/// What was checked, what is wrong, and what nobody needs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct FsckReport {
    /// Whose store it is.
    pub cluster_id: String,
    /// What was looked at.
    pub checked: Checked,
    /// What is wrong: the first thousand.
    pub problems: Vec<Problem>,
    /// How many problems there are.
    pub problems_total: u64,
    /// What nothing refers to.
    pub orphans: Orphans,
    /// Objects of deleted topics, which the next start of a broker removes.
    pub deleted_topics: Count,
    /// What no Cenote has named; it is never touched.
    pub strangers: Count,
    /// Orphans that were deleted.
    pub repaired: Count,
}

/// How much was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// Topics that exist.
    pub topics: u64,
    /// Partitions with a manifest.
    pub partitions: u64,
    /// Objects of their manifests.
    pub manifest_objects: u64,
    /// Segments.
    pub segments: u64,
    /// Their rows.
    pub rows: u64,
    /// Their bytes.
    pub segment_bytes: u64,
    /// Journal objects.
    pub journal_objects: u64,
    /// Their bytes.
    pub journal_bytes: u64,
}

/// Something that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// An object, a key or a partition.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// Objects that nothing refers to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Orphans {
    /// Parquet files.
    pub segments: Count,
    /// Lists of segments.
    pub manifests: Count,
    /// Journal objects outside of what is committed and needed.
    pub journal: Count,
    /// Files of a local directory that killed processes left of their PUTs.
    pub unfinished: Count,
}

/// How many, and how much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// How many objects.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

const PROBLEMS_MAX: usize = 1_000;

impl FsckReport {
    pub(super) fn problem(&mut self, place: &dyn Display, problem: &dyn Display) {
        self.problems_total += 1;
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(Problem { place: place.to_string(), problem: problem.to_string() });
        }
    }
}

impl Orphans {
    /// All kinds together.
    #[must_use]
    pub fn total(&self) -> Count {
        let all = [self.segments, self.manifests, self.journal, self.unfinished];
        Count {
            objects: all.iter().map(|count| count.objects).sum(),
            bytes: all.iter().map(|count| count.bytes).sum(),
        }
    }
}

impl Count {
    pub(super) fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}
