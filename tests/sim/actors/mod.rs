//! Those who use the brokers. Each writes down what it did and what it was told.

pub mod chain;
pub mod consumer;
pub mod consumer_group;
pub mod group;
pub mod operator;
pub mod producer;
pub mod reader;
pub mod transaction;
pub mod transactional;

use crate::history::Outcome;

/// Codes by which a broker says that nothing was done and nothing will be: of Produce.
const REFUSALS: [i16; 13] = [3, 6, 10, 17, 18, 21, 29, 44, 45, 47, 59, 87, 100];

/// What is known of an attempt to produce that failed by a code.
pub fn refusal(code: i16) -> Outcome {
    if REFUSALS.contains(&code) { Outcome::Refused(code) } else { Outcome::Unknown }
}
