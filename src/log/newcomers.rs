//! Producers that a partition does not know and that came without their beginning: for how long they are not believed.
//!
//! A client may have two requests under way and find that the second is taken: librdkafka concludes that the first is
//! stored, whatever was answered to it. A producer that is known is held to its sequence. One that is not may begin with
//! any, as its state may have expired; but not at once: the first request may have been refused, by the leader before, on its
//! way or here, and then it comes again ahead of the second.

use crate::types::ProducerId;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// So long an unknown producer has to begin at its beginning: clients repeat within less.
const DOUBTED_FOR: Duration = Duration::from_secs(10);
/// Who comes after this time is another story.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);
/// So many at a time; the one that came first makes room.
const MANY: usize = 256;

/// When each of them came first, in this order.
#[derive(Debug, Default)]
pub(super) struct Newcomers {
    came: VecDeque<(ProducerId, Instant)>,
}

impl Newcomers {
    /// Whether a producer that is not known is believed now that it begins in the middle; remembers when it first came.
    pub fn believes(&mut self, producer_id: ProducerId, now: Instant) -> bool {
        while self.came.front().is_some_and(|(_, since)| now.duration_since(*since) >= REMEMBERED_FOR) {
            self.came.pop_front();
        }
        if let Some((_, since)) = self.came.iter().find(|(came, _)| *came == producer_id) {
            return now.duration_since(*since) >= DOUBTED_FOR;
        }
        if self.came.len() == MANY {
            self.came.pop_front();
        }
        self.came.push_back((producer_id, now));
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{DOUBTED_FOR, MANY, Newcomers, REMEMBERED_FOR};
    use crate::types::ProducerId;
    use std::time::Duration;
    use tokio::time::Instant;

    const ONE: ProducerId = ProducerId(1);

    #[test]
    fn a_newcomer_is_believed_after_a_while_and_doubted_again_much_later() {
        let (mut newcomers, began) = (Newcomers::default(), Instant::now());
        let mut believes = |after: Duration| newcomers.believes(ONE, began + after);
        let moment = Duration::from_millis(1);
        let came = [Duration::ZERO, moment, DOUBTED_FOR - moment, DOUBTED_FOR, REMEMBERED_FOR - moment];
        assert_eq!(came.map(&mut believes), [false, false, false, true, true]);
        let came = [REMEMBERED_FOR, REMEMBERED_FOR + DOUBTED_FOR - moment, REMEMBERED_FOR + DOUBTED_FOR];
        assert_eq!(came.map(&mut believes), [false, false, true]);
    }

    #[test]
    fn any_number_of_newcomers_takes_a_bounded_room() {
        let (mut newcomers, began) = (Newcomers::default(), Instant::now());
        for id in 0..10_000 {
            assert!(!newcomers.believes(ProducerId(id), began));
        }
        assert_eq!(newcomers.came.len(), MANY);
        assert!(newcomers.believes(ProducerId(9_999), began + DOUBTED_FOR));
    }
}
