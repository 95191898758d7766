//! Chance for simulations: what this thread draws comes from a seed. Only with the feature `simulation`, and only on a
//! thread that has called [`begin`].

use std::cell::Cell;

thread_local! {
    static STATE: Cell<Option<u64>> = const { Cell::new(None) };
}

/// From now on this thread draws from `seed`, and does at once what would go to other threads.
pub fn begin(seed: u64) {
    STATE.set(Some(seed));
}

/// This thread is as any other again.
pub fn end() {
    STATE.set(None);
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
