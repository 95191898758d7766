//! The cluster's secret: what all its brokers know and nobody else.
//!
//! It has to be random (`openssl rand -base64 32`), not a word: whoever reaches the mesh's port sees a certificate that was
//! signed by a key made from it, and may try guesses at home. What is kept in memory is not the secret but the key that HKDF
//! extracts from it (RFC 5869), and nothing prints either.

use ring::hkdf::{HKDF_SHA256, Prk, Salt};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A key from which others are made, one for each purpose.
#[derive(Clone)]
pub struct ClusterSecret {
    key: Prk,
}

/// Why there is no secret. Never tells any of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Too short to be one.
    #[error("the cluster secret has {0} bytes and must have 16 to 4096; openssl rand -base64 32 makes one")]
    Length(usize),
    /// The file cannot be read.
    #[error("the cluster secret cannot be read from {path:?}: {error}")]
    File {
        /// Which file.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
}

/// The shortest secret, in bytes.
const SECRET_BYTES_MIN: usize = 16;
/// The longest.
const SECRET_BYTES_MAX: usize = 4096;
/// Sets these keys apart from any that are made of the same secret elsewhere.
const SALT: &[u8] = b"cenote cluster secret, 1";

impl ClusterSecret {
    /// Takes `secret` without the white space around it: files and variables often end with a line feed.
    pub fn new(secret: &[u8]) -> Result<ClusterSecret, SecretError> {
        let secret = secret.trim_ascii();
        if !(SECRET_BYTES_MIN..=SECRET_BYTES_MAX).contains(&secret.len()) {
            return Err(SecretError::Length(secret.len()));
        }
        Ok(ClusterSecret { key: Salt::new(HKDF_SHA256, SALT).extract(secret) })
    }

    /// Reads a file that has nothing but the secret in it.
    pub fn from_file(path: &Path) -> Result<ClusterSecret, SecretError> {
        let mut bytes = Vec::new();
        let limit = SECRET_BYTES_MAX as u64 + 2;
        File::open(path)
            .and_then(|file| file.take(limit).read_to_end(&mut bytes))
            .map_err(|error| SecretError::File { path: path.to_owned(), error })?;
        ClusterSecret::new(&bytes)
    }

    /// The key for one purpose. Keys for two purposes tell nothing about each other, nor about the secret.
    pub(super) fn key(&self, purpose: &[u8]) -> [u8; 32] {
        let mut key = [0; 32];
        self.key
            .expand(&[purpose], HKDF_SHA256)
            .and_then(|made| made.fill(&mut key))
            .expect("32 bytes are as much as one step of HKDF-SHA256 gives");
        key
    }
}

impl fmt::Debug for ClusterSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClusterSecret(not shown)")
    }
}

#[cfg(test)]
mod tests;
