//! Counts while it runs, and says at the end what was measured.

use crate::cli::error::CliError;
use hdrhistogram::Histogram;
use parking_lot::Mutex;
use serde_json::{Map, Value, json};
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// What is measured while it runs.
pub(super) struct Meter {
    name: &'static str,
    counts: Mutex<Counts>,
}

struct Counts {
    records: u64,
    bytes: u64,
    latencies: Histogram<u64>,
}

/// What was measured.
pub(super) struct Report {
    name: &'static str,
    elapsed: Duration,
    records: u64,
    bytes: u64,
    latencies: Histogram<u64>,
}

/// The percentiles that are shown, and their names.
const PERCENTILES: [(&str, f64); 7] = [
    ("p50", 50.0),
    ("p90", 90.0),
    ("p95", 95.0),
    ("p99", 99.0),
    ("p99.9", 99.9),
    ("p99.99", 99.99),
    ("max", 100.0),
];
/// An hour, in microseconds: longer latencies count as this.
const LATENCY_MICROS_MAX: u64 = 3_600_000_000;
const MEGABYTE: f64 = 1e6;

impl Meter {
    pub(super) fn new(name: &'static str) -> Meter {
        let latencies = Histogram::new(3).expect("three digits are legal");
        Meter { name, counts: Mutex::new(Counts { records: 0, bytes: 0, latencies }) }
    }

    /// One record, and how long it took; kept in microseconds.
    pub(super) fn record(&self, latency: Duration, bytes: usize) {
        let mut counts = self.counts.lock();
        counts.records += 1;
        counts.bytes += u64::try_from(bytes).unwrap_or(0);
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        counts
            .latencies
            .record(micros.min(LATENCY_MICROS_MAX))
            .expect("the histogram grows to its highest value");
    }

    /// A line on the terminal each second, if there is one, until aborted.
    pub(super) fn show_each_second(self: &Arc<Meter>) -> JoinHandle<()> {
        let meter = Arc::clone(self);
        tokio::spawn(async move {
            if !io::stderr().is_terminal() {
                return;
            }
            let mut second = tokio::time::interval(Duration::from_secs(1));
            let (mut records, mut bytes) = (0, 0);
            loop {
                second.tick().await;
                let (now_records, now_bytes, p99) = {
                    let counts = meter.counts.lock();
                    (counts.records, counts.bytes, counts.latencies.value_at_percentile(99.0))
                };
                let line = format!(
                    "{}: {} records/s, {:.1} MB/s, p99 {:.2} ms, {now_records} records",
                    meter.name,
                    now_records - records,
                    (now_bytes - bytes) as f64 / MEGABYTE,
                    p99 as f64 / 1000.0,
                );
                let _nobody_looks = writeln!(io::stderr().lock(), "{line}");
                (records, bytes) = (now_records, now_bytes);
            }
        })
    }

    pub(super) fn report(&self, elapsed: Duration) -> Report {
        let counts = self.counts.lock();
        let (records, bytes, latencies) = (counts.records, counts.bytes, counts.latencies.clone());
        Report { name: self.name, elapsed, records, bytes, latencies }
    }
}

impl Report {
    pub(super) fn print(&self, as_json: bool) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        let seconds = self.elapsed.as_secs_f64().max(1e-9);
        let (records_rate, megabytes_rate) =
            (self.records as f64 / seconds, self.bytes as f64 / MEGABYTE / seconds);
        let latencies = PERCENTILES
            .map(|(name, percentile)| (name, self.latencies.value_at_percentile(percentile) as f64 / 1000.0));
        if as_json {
            let latencies: Map<String, Value> =
                latencies.iter().map(|(name, millis)| ((*name).to_owned(), json!(millis))).collect();
            let document = json!({
                "bench": self.name,
                "records": self.records,
                "bytes": self.bytes,
                "seconds": seconds,
                "records_per_second": records_rate,
                "megabytes_per_second": megabytes_rate,
                "latency_ms": latencies,
            });
            return Ok(writeln!(out, "{document}")?);
        }
        writeln!(
            out,
            "{}: {} records in {seconds:.2} s: {records_rate:.0} records/s, {megabytes_rate:.2} MB/s",
            self.name, self.records
        )?;
        let latencies = latencies.map(|(name, millis)| format!("{name} {millis:.2}"));
        Ok(writeln!(out, "latency ms: {}", latencies.join("  "))?)
    }
}
