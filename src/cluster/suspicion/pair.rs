//! How often two brokers have sealed each other lately, and how long one of them waits before it does so again.

use super::SuspicionSettings;
use crate::types::Moment;
use std::time::Duration;

/// What this broker remembers of another one, over sessions of both.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pair {
    level: u32,
    /// When the level was last changed.
    at: Moment,
}

const LEVEL_MAX: u32 = 16;

impl Pair {
    /// One has sealed the other, or a third has whom this one suspected as well.
    pub(super) fn on_sealed(&mut self, settings: &SuspicionSettings, now: Moment) {
        self.level = (self.level(settings, now) + 1).min(LEVEL_MAX);
        self.at = now;
    }

    /// Seals that are not forgotten.
    pub(super) fn level(&self, settings: &SuspicionSettings, now: Moment) -> u32 {
        let (mut level, mut quiet) = (self.level, now.since(self.at));
        while level > 0 {
            let forget = settings.forget.max(waiting(settings, level) * 4);
            if quiet < forget {
                break;
            }
            quiet -= forget;
            level -= 1;
        }
        level
    }

    /// How long to wait beyond what the reason asks for.
    pub(super) fn back_off(&self, settings: &SuspicionSettings, now: Moment) -> Duration {
        waiting(settings, self.level(settings, now))
    }
}

/// Nothing at level 0, the least at 1, and double with each.
fn waiting(settings: &SuspicionSettings, level: u32) -> Duration {
    match level.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            let factor = 1u32.checked_shl(doublings).unwrap_or(u32::MAX);
            settings.back_off.saturating_mul(factor).min(settings.back_off_max)
        }
    }
}
