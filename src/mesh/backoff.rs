//! How long to wait before the next attempt: twice as long each time up to a limit, spread by chance.
//!
//! Pure: chance comes in as a seed. Waits between half of the step and all of it, so that brokers which lost each other at the
//! same moment do not come back at the same moment.

use std::time::Duration;

/// The pauses of one row of attempts.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    max: Duration,
    step: Duration,
    chance: u64,
}

impl Backoff {
    /// Begins with `first`, ends with `max`.
    #[must_use]
    pub fn new(first: Duration, max: Duration, seed: u64) -> Backoff {
        Backoff { first, max, step: first, chance: seed }
    }

    /// The next pause.
    pub fn next_pause(&mut self) -> Duration {
        let step = self.step;
        self.step = (step * 2).min(self.max);
        let half = step / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(self.draw() % spread)
    }

    /// It worked: the next pause is a first one.
    pub fn reset(&mut self) {
        self.step = self.first;
    }

    /// SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators").
    fn draw(&mut self) -> u64 {
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.chance;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;
    use std::time::Duration;

    const FIRST: Duration = Duration::from_millis(50);
    const MAX: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_double_up_to_the_limit_and_begin_anew() {
        let mut backoff = Backoff::new(FIRST, MAX, 7);
        for millis in [50, 100, 200, 400, 800, 1000, 1000] {
            let step = Duration::from_millis(millis);
            let pause = backoff.next_pause();
            assert!(pause >= step / 2 && pause <= step, "{pause:?} of {step:?}");
        }
        backoff.reset();
        assert!(backoff.next_pause() <= FIRST);
    }

    #[test]
    fn two_seeds_wait_differently_and_one_seed_the_same() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(FIRST, MAX, seed);
            (0..8).map(|_| backoff.next_pause()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(1), pauses(1));
        assert_ne!(pauses(1), pauses(2));
    }
}
