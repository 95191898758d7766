//! Partitions: offsets, dedupe, marks, waiters, read plans.
