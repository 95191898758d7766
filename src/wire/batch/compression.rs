//! The four codecs, with a cap on what comes out: a batch of a kilobyte may claim gigabytes.
//!
//! Decompression streams into one growing buffer and stops one byte past the cap. What a frame claims about
//! its own size is at most a hint, and a window over [`WINDOW_LOG_MAX`] is refused.

mod xerial;

use bytes::Bytes;
use flate2::read::{GzEncoder, MultiGzDecoder};
use std::io::{Read, Write};

/// How a batch's records are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Codec {
    /// Not at all.
    #[default]
    None,
    /// RFC 1952.
    Gzip,
    /// Raw, or framed as the Java library does.
    Snappy,
    /// The LZ4 frame format.
    Lz4,
    /// RFC 8878 (KIP-110).
    Zstd,
}

/// Why records cannot be decompressed.
#[derive(Debug, thiserror::Error)]
pub enum CompressionError {
    /// More than the cap comes out.
    #[error("more than {bytes_max} bytes when decompressed")]
    TooLarge {
        /// The cap.
        bytes_max: usize,
    },
    /// The stream is damaged, ends early, or goes on after its end.
    #[error("cannot decompress {codec:?}: {reason}")]
    Malformed {
        /// Which codec.
        codec: Codec,
        /// As its library says.
        reason: String,
    },
}

/// 8 MiB: what `zstd` needs up to level 19, and what a decoder must accept by RFC 8878.
pub const WINDOW_LOG_MAX: u32 = 23;

/// Levels that are balanced between size and speed: Apache Kafka's own defaults are 6 and 3.
const GZIP_LEVEL: u32 = 6;
const ZSTD_LEVEL: i32 = 3;

impl Codec {
    /// All of them, in order of their numbers.
    pub const ALL: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    /// The codec of the lowest three bits of a batch's attributes.
    #[must_use]
    pub fn from_bits(bits: i16) -> Option<Codec> {
        usize::try_from(bits).ok().and_then(|bits| Codec::ALL.get(bits).copied())
    }

    /// Its number in a batch's attributes.
    #[must_use]
    pub const fn bits(self) -> i16 {
        self as i16
    }

    /// The codec of a name as topic settings have it: `none` or `uncompressed`, `gzip`, `snappy`, `lz4`, `zstd`.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Codec> {
        match name {
            "none" | "uncompressed" => Some(Codec::None),
            _ => Codec::ALL.into_iter().find(|codec| codec.name() == name),
        }
    }

    /// Its name, as Kafka writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Codec::None => "none",
            Codec::Gzip => "gzip",
            Codec::Snappy => "snappy",
            Codec::Lz4 => "lz4",
            Codec::Zstd => "zstd",
        }
    }
}

/// The plain bytes: a slice of `payload` itself when nothing is compressed. At most `bytes_max` of them.
pub fn decompress(codec: Codec, payload: &Bytes, bytes_max: usize) -> Result<Bytes, CompressionError> {
    let plain = match codec {
        Codec::None if payload.len() <= bytes_max => return Ok(payload.clone()),
        Codec::None => return Err(CompressionError::TooLarge { bytes_max }),
        Codec::Gzip => read_all(codec, MultiGzDecoder::new(&payload[..]), payload.len(), bytes_max)?,
        Codec::Snappy => xerial::decompress(payload, bytes_max)?,
        Codec::Lz4 => {
            read_all(codec, lz4_flex::frame::FrameDecoder::new(&payload[..]), payload.len(), bytes_max)?
        }
        Codec::Zstd => read_all(codec, zstd_decoder(payload)?, payload.len(), bytes_max)?,
    };
    Ok(Bytes::from(plain))
}

/// `plain` compressed, framed as Java clients expect it.
#[must_use]
pub fn compress(codec: Codec, plain: &[u8]) -> Vec<u8> {
    match codec {
        Codec::None => plain.to_vec(),
        Codec::Gzip => gzip(plain),
        Codec::Snappy => xerial::compress(plain),
        Codec::Lz4 => lz4(plain),
        Codec::Zstd => zstd::bulk::compress(plain, ZSTD_LEVEL).expect("memory is all that it can lack"),
    }
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(plain.len() / 2);
    let mut encoder = GzEncoder::new(plain, flate2::Compression::new(GZIP_LEVEL));
    encoder.read_to_end(&mut out).expect("reading from memory cannot fail");
    out
}

/// Blocks of 64 KiB that stand alone, as the Java client writes them.
fn lz4(plain: &[u8]) -> Vec<u8> {
    let info = lz4_flex::frame::FrameInfo::new()
        .block_size(lz4_flex::frame::BlockSize::Max64KB)
        .block_mode(lz4_flex::frame::BlockMode::Independent);
    let mut encoder =
        lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::with_capacity(plain.len() / 2));
    encoder.write_all(plain).expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}

fn zstd_decoder(payload: &[u8]) -> Result<impl Read, CompressionError> {
    let malformed = |error: std::io::Error| malformed(Codec::Zstd, error);
    let mut decoder = zstd::stream::read::Decoder::with_buffer(payload).map_err(malformed)?;
    decoder.window_log_max(WINDOW_LOG_MAX).map_err(malformed)?;
    Ok(decoder)
}

/// Reads to the end, or to one byte past the cap.
fn read_all(
    codec: Codec,
    reader: impl Read,
    hint: usize,
    bytes_max: usize,
) -> Result<Vec<u8>, CompressionError> {
    let mut plain = Vec::with_capacity(hint.saturating_mul(4).min(bytes_max));
    let mut reader = reader.take(bytes_max as u64 + 1);
    reader.read_to_end(&mut plain).map_err(|error| malformed(codec, error))?;
    if plain.len() > bytes_max { Err(CompressionError::TooLarge { bytes_max }) } else { Ok(plain) }
}

fn malformed(codec: Codec, reason: impl std::fmt::Display) -> CompressionError {
    CompressionError::Malformed { codec, reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
