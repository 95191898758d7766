//! Tests of the room, by what they are about.

mod assignors;
mod classic;
mod commits;
mod fixture;
mod heartbeats;
mod mixed;
mod random;
mod rebalances;
mod restores;
mod steps;
mod subscriptions;
