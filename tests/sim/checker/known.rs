//! What was known at a moment of a number that only grows.

use super::Moment;

/// A number, and the event that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Told {
    pub at: Moment,
    pub value: i64,
}

/// The largest number that was told up to each moment.
#[derive(Debug, Default)]
pub struct Known {
    steps: Vec<(Moment, Told)>,
}

impl Known {
    /// Gathers what was told, in any order.
    pub fn of(told: impl IntoIterator<Item = Told>) -> Known {
        let mut told: Vec<Told> = told.into_iter().collect();
        told.sort();
        let mut steps: Vec<(Moment, Told)> = Vec::new();
        for one in told {
            if steps.last().is_none_or(|(_, largest)| one.value > largest.value) {
                steps.push((one.at, one));
            }
        }
        Known { steps }
    }

    /// The largest that was told before this moment.
    pub fn before(&self, moment: Moment) -> Option<Told> {
        let earlier = self.steps.partition_point(|&(at, _)| at < moment);
        earlier.checked_sub(1).map(|last| self.steps[last].1)
    }

    /// The largest of all.
    pub fn largest(&self) -> Option<Told> {
        self.steps.last().map(|&(_, told)| told)
    }
}

/// The smallest number that was told in answer to a question that was asked after a moment: no less than what was true then.
#[derive(Debug, Default)]
pub struct Later {
    steps: Vec<(Moment, i64)>,
}

impl Later {
    /// Gathers what was told, by the moments of the questions, in any order.
    pub fn of(told: impl IntoIterator<Item = (Moment, i64)>) -> Later {
        let mut steps: Vec<(Moment, i64)> = told.into_iter().collect();
        steps.sort();
        let mut smallest = i64::MAX;
        for (_, value) in steps.iter_mut().rev() {
            smallest = smallest.min(*value);
            *value = smallest;
        }
        Later { steps }
    }

    /// The smallest told to who asked after this moment.
    pub fn after(&self, moment: Moment) -> Option<i64> {
        let first = self.steps.partition_point(|&(asked, _)| asked <= moment);
        self.steps.get(first).map(|&(_, value)| value)
    }
}
