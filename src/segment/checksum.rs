//! CRC-32C over bytes that lie in pieces.

/// Of the parts, one after the other.
pub(super) fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    parts.into_iter().for_each(|part| digest.update(part));
    // A CRC of 32 bits stands in the low half.
    digest.finalize() as u32
}
