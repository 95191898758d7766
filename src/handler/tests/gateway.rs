//! Two brokers, joined by a real mesh: whatever is asked of one that the other leads is answered as if it led it.

mod fetched;
mod grouped;
mod lost;
mod pair;
mod produced;
mod zoned;
