//! Tests of the room, by what they are about.

mod acknowledgements;
mod acquisitions;
mod assignors;
mod fixture;
mod heartbeats;
mod random;
mod random_group;
mod restores;
mod sessions;
