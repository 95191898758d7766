//! CRC-32C over bytes that lie in pieces.

/// Of the parts, one after the other.
pub(super) fn crc32c<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> u32 {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    parts.into_iter().for_each(|part| digest.update(part));
    // A CRC of 32 bits stands in the low half.
    digest.finalize() as u32
}

/// Of a file that is read piece by piece.
#[derive(Debug)]
pub struct FileChecksum(crc_fast::Digest);

impl Default for FileChecksum {
    fn default() -> FileChecksum {
        FileChecksum(crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi))
    }
}

impl FileChecksum {
    /// The bytes that follow.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of all of them.
    #[must_use]
    pub fn finish(self) -> u32 {
        self.0.finalize() as u32
    }
}
