//! What was known at a moment, of a number that only grows.

use super::Moment;

/// The largest number that was told up to each moment.
pub struct Known {
    steps: Vec<(Moment, i64)>,
}

impl Known {
    /// Gathers what was told, in any order.
    pub fn of(told: impl IntoIterator<Item = (Moment, i64)>) -> Known {
        let mut steps: Vec<(Moment, i64)> = told.into_iter().collect();
        steps.sort();
        let mut largest = i64::MIN;
        for (_, number) in &mut steps {
            largest = largest.max(*number);
            *number = largest;
        }
        Known { steps }
    }

    /// The largest that was told before this moment.
    pub fn before(&self, moment: Moment) -> Option<i64> {
        let earlier = self.steps.partition_point(|&(at, _)| at < moment);
        earlier.checked_sub(1).map(|last| self.steps[last].1)
    }
}
