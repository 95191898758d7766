//! Counters and gauges of the process.
