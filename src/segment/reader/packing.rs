//! Compresses batches that are made of rows: what they need for it is kept by each thread from one to the next.
//!
//! These bytes are read a few times and never stored, so they are compressed for speed. What the segment's own
//! compression has hardly made smaller is not worth the time that its letters would take: zstd's fast levels then only
//! look for repetitions.

use crate::wire::batch::Codec;
use crate::wire::batch::compression::compress;
use flate2::write::GzEncoder;
use std::cell::RefCell;
use std::io::Write;
use zstd::bulk::Compressor;

/// How much time compression is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Effort {
    /// It becomes half as long, or shorter.
    Some,
    /// It stays longer than half.
    Least,
}

impl Effort {
    /// For rows of `raw_bytes` whose chunk has `stored_bytes` in the file.
    pub fn worth(raw_bytes: usize, stored_bytes: usize) -> Effort {
        if stored_bytes.saturating_mul(2) <= raw_bytes { Effort::Some } else { Effort::Least }
    }

    fn zstd_level(self) -> i32 {
        match self {
            Effort::Some => 1,
            Effort::Least => -1,
        }
    }
}

/// What a thread compresses with.
#[derive(Default)]
pub(super) struct Scratch {
    plain: Vec<u8>,
    packed: Vec<u8>,
    zstd: Option<(Effort, Compressor<'static>)>,
}

/// Larger buffers are not kept: a batch is larger only if it has a single record.
const KEPT_BYTES_MAX: usize = 2 << 20;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Scratch {
    /// Works with what this thread keeps. `work` does not come here again.
    pub fn of_this_thread<T>(work: impl FnOnce(&mut Scratch) -> T) -> T {
        SCRATCH.with_borrow_mut(|scratch| {
            let done = work(scratch);
            for buffer in [&mut scratch.plain, &mut scratch.packed] {
                if buffer.capacity() > KEPT_BYTES_MAX {
                    *buffer = Vec::new();
                }
            }
            done
        })
    }

    /// An empty buffer for what is to be compressed.
    pub fn plain(&mut self) -> &mut Vec<u8> {
        self.plain.clear();
        &mut self.plain
    }

    /// What was written to [`Scratch::plain`], compressed.
    pub fn pack(&mut self, codec: Codec, effort: Effort) -> &[u8] {
        match codec {
            Codec::Zstd => self.pack_zstd(effort),
            Codec::Gzip => self.pack_gzip(),
            codec => self.packed = compress(codec, &self.plain),
        }
        &self.packed
    }

    fn pack_zstd(&mut self, effort: Effort) {
        let (set, zstd) = self.zstd.get_or_insert_with(|| (effort, compressor(effort)));
        if *set != effort {
            (*set, *zstd) = (effort, compressor(effort));
        }
        self.packed.clear();
        self.packed.reserve(zstd::zstd_safe::compress_bound(self.plain.len()));
        zstd.compress_to_buffer(&self.plain, &mut self.packed).expect("there is room for what it can become");
    }

    fn pack_gzip(&mut self) {
        let mut packed = std::mem::take(&mut self.packed);
        packed.clear();
        let mut encoder = GzEncoder::new(packed, flate2::Compression::fast());
        encoder.write_all(&self.plain).expect("writing to memory cannot fail");
        self.packed = encoder.finish().expect("writing to memory cannot fail");
    }
}

fn compressor(effort: Effort) -> Compressor<'static> {
    Compressor::new(effort.zstd_level()).expect("memory is all that it can lack")
}
