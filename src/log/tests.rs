//! The log's promises: who gets which offset, what is a repeat, what may be read.

mod checkpoint;
mod directions;
mod index;
mod partition;
mod producers;
mod random;
mod reads;
mod segments;
mod stability;
mod transactions;
