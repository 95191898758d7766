//! Hash maps and sets. Their secret comes from the machine, so that no client can choose keys that collide; in a
//! simulation it comes from the seed, and with it the order in which they are walked. Hence no room makes a map of
//! `std::collections` that it walks.

/// A map by hash.
pub type HashMap<K, V> = std::collections::HashMap<K, V, Hashing>;
/// A set by hash.
pub type HashSet<T> = std::collections::HashSet<T, Hashing>;

/// What makes hashes.
#[cfg(not(feature = "simulation"))]
pub type Hashing = std::hash::RandomState;
#[cfg(feature = "simulation")]
pub use seeded::Hashing;

#[cfg(feature = "simulation")]
mod seeded {
    use crate::clock::simulated;
    use siphasher::sip::SipHasher13;
    use std::hash::{BuildHasher, RandomState};

    /// The machine's secret, or one of the seed where a thread simulates.
    #[derive(Clone, Debug)]
    pub enum Hashing {
        /// The machine's.
        Random(RandomState),
        /// The seed's.
        Seeded(SipHasher13),
    }

    impl Default for Hashing {
        fn default() -> Hashing {
            match simulated::draw() {
                Some(key) => Hashing::Seeded(SipHasher13::new_with_keys(key, key.rotate_left(32))),
                None => Hashing::Random(RandomState::new()),
            }
        }
    }

    impl BuildHasher for Hashing {
        type Hasher = SipHasher13;

        fn build_hasher(&self) -> SipHasher13 {
            match self {
                // Its own hasher is of another type; what it makes of a constant is as secret as its key.
                Hashing::Random(state) => SipHasher13::new_with_keys(state.hash_one(0), state.hash_one(1)),
                Hashing::Seeded(hasher) => *hasher,
            }
        }
    }
}
