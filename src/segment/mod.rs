//! Segments: a partition's committed records as immutable Parquet files, and the list of them.

pub mod manifest;
