//! Tests of the room, by what they are about.

#![allow(clippy::single_range_in_vec_init, reason = "a log may have one batch")]

mod acknowledgements;
mod acquisitions;
mod assignors;
mod fixture;
mod heartbeats;
mod random;
mod random_group;
mod restores;
mod sessions;
