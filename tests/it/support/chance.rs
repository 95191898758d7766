//! Chance with a seed, so that a run can be had again: `CENOTE_IT_SEED=<seed>`.

/// Numbers that look random; all of them follow from the seed (SplitMix64).
pub struct Chance {
    state: u64,
}

impl Chance {
    /// With the seed of the environment, or any other. It is printed, which the harness shows of failed tests.
    #[expect(clippy::print_stdout, reason = "the test harness keeps it for failed tests")]
    pub fn seeded() -> Chance {
        let named = std::env::var("CENOTE_IT_SEED").ok();
        let named = named.map(|seed| seed.parse().expect("CENOTE_IT_SEED is a number"));
        let seed = named.unwrap_or_else(|| uuid::Uuid::new_v4().as_u64_pair().0);
        println!("CENOTE_IT_SEED={seed}");
        Chance { state: seed }
    }

    /// With this seed.
    pub fn of(seed: u64) -> Chance {
        Chance { state: seed }
    }

    /// A number below `end`, which is not zero.
    pub fn below(&mut self, end: usize) -> usize {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let number = mixed(self.state) % u64::try_from(end).expect("64 bits");
        usize::try_from(number).expect("below a usize")
    }

    /// The same things in another order.
    pub fn shuffle<T>(&mut self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}

/// The bits of a number, mixed: neighbours have nothing in common.
pub fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}
