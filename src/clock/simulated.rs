//! Chance for simulations, and what they have come early: what this thread draws comes from a seed. Only with the feature `simulation`, and only on a
//! thread that has called [`begin`].

use std::cell::Cell;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
    static EPOCH_LAST: Cell<Option<i16>> = const { Cell::new(None) };
}

/// From now on this thread draws from `seed`, and does at once what would go to other threads.
pub fn begin(seed: u64) {
    STATE.set(Some(seed));
}

/// This thread is as any other again.
pub fn end() {
    STATE.set(None);
    EPOCH_LAST.set(None);
}

/// Producers get another id after this epoch, which is long before the real end if it is small.
pub fn end_epochs_at(epoch: Option<i16>) {
    EPOCH_LAST.set(epoch);
}

/// The last epoch of a producer; none: it is not simulated.
#[must_use]
pub fn epoch_last() -> Option<i16> {
    EPOCH_LAST.get()
}

/// Whether this thread simulates.
#[must_use]
pub fn is_on() -> bool {
    STATE.get().is_some()
}

/// The next number of the seed; none where nothing is simulated.
#[must_use]
pub fn draw() -> Option<u64> {
    let state = STATE.get()?.wrapping_add(STEP);
    STATE.set(Some(state));
    Some(mix(state))
}

/// The golden ratio's 64 bits: an odd step that visits every number.
const STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// Spreads a counter over all bits (`SplitMix64`).
fn mix(counter: u64) -> u64 {
    let once = (counter ^ (counter >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let twice = (once ^ (once >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    twice ^ (twice >> 31)
}
