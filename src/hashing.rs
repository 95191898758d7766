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

    /// Keyed by the machine's secret, or by the seed where a thread simulates.
    #[derive(Clone, Debug)]
    pub struct Hashing(SipHasher13);

    impl Default for Hashing {
        fn default() -> Hashing {
            let random = || RandomState::new().hash_one(0);
            let [one, other] = [(); 2].map(|()| simulated::draw().unwrap_or_else(random));
            Hashing(SipHasher13::new_with_keys(one, other))
        }
    }

    impl BuildHasher for Hashing {
        type Hasher = SipHasher13;

        fn build_hasher(&self) -> SipHasher13 {
            self.0
        }
    }
}

#[cfg(all(test, feature = "simulation"))]
mod tests {
    use super::HashSet;
    use crate::clock::random_id;
    use crate::clock::simulated::{begin, draw, end};

    #[test]
    fn the_same_seed_has_the_same_order_and_the_same_ids() {
        let drawn = || {
            begin(7);
            let order: Vec<u32> = (0..100).collect::<HashSet<_>>().into_iter().collect();
            let drawn = (draw(), random_id(), order);
            end();
            drawn
        };
        assert_eq!(drawn(), drawn());
        assert_eq!(draw(), None);
        assert_ne!(random_id(), random_id());
    }
}
