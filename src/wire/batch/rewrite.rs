//! A batch with another header or codec: what the broker changes gets a new CRC.

use super::compression::{Codec, compress};
use super::header::{BatchHeader, CRC_FROM, HEADER_BYTES, LENGTH_END, crc_of};
use bytes::Bytes;

/// The records of `batch` under `header`, whose CRC is set.
pub(super) fn with_header(header: &mut BatchHeader, batch: &[u8]) -> Bytes {
    seal(header, batch.to_vec())
}

/// The records of `plain`, compressed by `codec`, under `header`, whose codec, length and CRC are set.
pub(super) fn with_codec(header: &mut BatchHeader, plain: &[u8], codec: Codec) -> Bytes {
    let records = compress(codec, plain);
    let mut batch = Vec::with_capacity(HEADER_BYTES + records.len());
    batch.resize(HEADER_BYTES, 0);
    batch.extend_from_slice(&records);
    header.set_codec(codec);
    header.batch_length =
        i32::try_from(batch.len() - LENGTH_END).expect("records are capped far below 2 GiB");
    seal(header, batch)
}

/// Writes `header` over the start of `batch` and then the CRC into both.
fn seal(header: &mut BatchHeader, mut batch: Vec<u8>) -> Bytes {
    batch[..HEADER_BYTES].copy_from_slice(&header.encode());
    header.crc = crc_of(&batch);
    batch[CRC_FROM - 4..CRC_FROM].copy_from_slice(&header.crc.to_be_bytes());
    Bytes::from(batch)
}
