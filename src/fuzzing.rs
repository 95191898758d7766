//! Arbitrary bytes at every door: a target for each kind of bytes that come from a client, another broker or a store.
//!
//! ```text
//! seeds, in fuzz/seeds ─┬─▶ mutations by a seeded generator ─▶ cargo test        (runner.rs)
//!                       └─▶ libFuzzer, led by coverage      ─▶ cargo fuzz run    (the package in fuzz/)
//! ```
//!
//! Promises of all of them: bytes give a value or an error, and never a panic; a value that has an encoder comes back from what
//! that writes; and what is reserved on the way is bounded by the length of the bytes ([`Target::memory_max`]). Where a
//! checksum guards bytes, they are tried as they are and once more with a checksum that is right.
//!
//! Compiled for tests and for `cargo fuzz` alone. What is private to a room is checked in its own `fuzzing.rs`.

mod batches;
mod connection;
mod metadata;
mod requests;

#[cfg(test)]
mod mutator;
#[cfg(test)]
mod runner;
#[cfg(test)]
mod seeds;

use crate::wire::{RequestHeader, private};
use crate::{client, group, journal, log, mesh, net, peers, segment, txn};
use bytes::Bytes;

/// One kind of bytes.
#[derive(Debug)]
pub struct Target {
    /// What `fuzz/fuzz_targets` and `fuzz/seeds` call it.
    pub name: &'static str,
    check: fn(&[u8]),
    reserves: Reserves,
}

/// What may be reserved at once on the way of an input, in bytes.
#[derive(Clone, Copy, Debug)]
struct Reserves {
    /// Whatever its length.
    base: usize,
    /// For each byte of it. A number in a list of JSON or a field without content takes two bytes or one where it is
    /// written, and dozens in memory.
    per_byte: usize,
}

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

/// All of them.
pub static TARGETS: [Target; 11] = [
    // The first buffer of a frame that claims to be long, which the memory budget has let in.
    target("frames", net::fuzzing::frames, 1_280 * KIB, 8),
    // An element of two bytes may become three hundred (`wire::ELEMENTS_MAX`), here twice.
    target("requests", requests::check, 16 * KIB, 640),
    // The tables of a codec, and what plain records may come to.
    target("batches", batches::check, 24 * MIB, 64),
    target("connection", connection::check, usize::MAX, 0),
    target("journal_object", journal::fuzzing::object, 64 * KIB, 64),
    // A zstd frame of some bytes may truly hold as many rows as a block has at most, and twice that while it grows.
    target("journal_index", journal::fuzzing::index_object, 96 * MIB, 64),
    target("manifest", segment::manifest::fuzzing::manifest, 256 * KIB, 256),
    target("segment", segment::fuzzing::footer, 256 * KIB, 256),
    // A group of a few hundred bytes may say who has all partitions there may be.
    target("metadata", metadata::check, 256 * MIB, 256),
    target("subscriptions", subscriptions, 16 * KIB, 64),
    target("mesh", between_brokers, 64 * KIB, 64),
];

const fn target(name: &'static str, check: fn(&[u8]), base: usize, per_byte: usize) -> Target {
    Target { name, check, reserves: Reserves { base, per_byte } }
}

impl Target {
    /// The target of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<&'static Target> {
        TARGETS.iter().find(|target| target.name == name)
    }

    /// Feeds it.
    ///
    /// # Panics
    /// If a promise is broken.
    pub fn feed(&self, bytes: &[u8]) {
        (self.check)(bytes);
    }

    /// What feeding it with so many bytes may reserve at once.
    #[must_use]
    pub fn memory_max(&self, length: usize) -> usize {
        self.reserves.base.saturating_add(self.reserves.per_byte * length)
    }
}

/// An answer to what Kafka does not know.
fn private_answer(bytes: &[u8]) {
    let header = RequestHeader { api_key: 0x4000, api_version: 0, correlation_id: 7, client_id: None };
    if let Ok(answer) = private::decode_answer(Bytes::copy_from_slice(bytes)) {
        let written = Bytes::from(private::encode_answer(&header, answer.clone()).chunks.concat());
        assert_eq!(private::decode_answer(written.slice(4..)), Ok(answer));
    }
}

/// What members of groups tell each other in bytes that are opaque to the protocol.
fn subscriptions(bytes: &[u8]) {
    group::fuzzing::embedded(bytes);
    client::fuzzing::embedded(bytes);
}

/// What brokers tell each other besides Kafka's requests: the first byte chooses.
fn between_brokers(bytes: &[u8]) {
    let Some((kind, bytes)) = bytes.split_first() else { return };
    match kind {
        0 => mesh::fuzzing::preamble(bytes),
        1 => mesh::fuzzing::hello(bytes),
        2 => private_answer(bytes),
        3 => txn::fuzzing::remote(bytes),
        4 => group::fuzzing::remote(bytes),
        5 => peers::fuzzing::report(bytes),
        6 => log::fuzzing::wanted(bytes),
        7 => log::fuzzing::directions(bytes),
        _ => {}
    }
}
