//! Settings of brokers, drawn so that rare things are common.

use crate::dice::Dice;
use crate::network::Node;
use cenote::config::{ArchivePace, Config, Flags, resolve};
use cenote::types::BrokerId;
use std::time::Duration;

#[derive(Clone, Debug)]
pub struct Settings {
    /// Journal objects are cut at this size, in bytes: one batch each, or many.
    flush_bytes: usize,
    flush_millis: u64,
    puts_in_flight: usize,
    /// Records are archived at this size or age.
    archive_bytes: u64,
    archive_millis: u64,
    pace: ArchivePace,
    pub cache_entries: usize,
    zone: Option<&'static str>,
}

/// How long objects lie in graveyards: less than usual, and longer than any read all the same.
pub const GRACE: Duration = Duration::from_secs(30);

impl Settings {
    pub fn drawn(dice: &Dice) -> Settings {
        Settings {
            flush_bytes: *dice.pick(&[1, 300, 2_000, 1 << 20]),
            flush_millis: *dice.pick(&[0, 1, 20, 100]),
            puts_in_flight: usize::try_from(dice.between(1..6)).expect("few"),
            archive_bytes: *dice.pick(&[500, 2_000, 1 << 20]),
            archive_millis: *dice.pick(&[0, 500, 3_000, 20_000]),
            pace: ArchivePace {
                grace: GRACE,
                retention_every: Duration::from_millis(*dice.pick(&[200, 1_000, 10_000])),
                compaction_every: Duration::from_millis(*dice.pick(&[200, 1_000, 10_000])),
                journal_merge_every: Duration::from_millis(*dice.pick(&[200, 1_000])),
                journal_merge_objects: *dice.pick(&[2, 20, 500]),
                merge_fan_in: *dice.pick(&[2, 8]),
            },
            cache_entries: *dice.pick(&[1, 3, 1_000]),
            zone: *dice.pick(&[None, Some("a"), Some("b")]),
        }
    }

    /// The whole of a broker's settings.
    pub fn config(&self, node: Node) -> Config {
        let mut config = resolve(&Flags::default(), &|_| None).expect("the defaults are legal").0;
        config.broker_id = BrokerId(i32::try_from(node).expect("few brokers"));
        config.store = "memory:".parse().expect("a URL");
        config.zone = self.zone.map(ToOwned::to_owned);
        config.journal.flush_bytes = self.flush_bytes;
        config.journal.flush_interval = Duration::from_millis(self.flush_millis);
        config.journal.puts_in_flight = self.puts_in_flight;
        config.archive.bytes = self.archive_bytes;
        config.archive.age = Duration::from_millis(self.archive_millis);
        config.archive.age_max = Duration::from_millis(self.archive_millis * 4);
        config.archive.pace = self.pace;
        config.groups.initial_rebalance_delay = Duration::from_millis(200);
        config.topics.auto_create = false;
        config
    }
}
