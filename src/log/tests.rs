//! The log's promises: who gets which offset, what is a repeat, what may be read.

mod index;
mod partition;
mod producers;
mod random;
mod segments;
mod reads;
mod stability;
mod transactions;
