//! Size and SHA-256 of what is copied.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileChecksum {
    pub(crate) bytes: u64,
    /// In lower-case hex.
    pub(crate) sha256: String,
}

/// Computes a [`FileChecksum`].
#[derive(Default)]
pub(crate) struct Hasher {
    sha256: Sha256,
    bytes: u64,
}

impl Hasher {
    pub(crate) fn add(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        self.bytes += piece.len() as u64;
    }

    pub(crate) fn checksum(self) -> FileChecksum {
        let hash = self.sha256.finalize();
        FileChecksum {
            bytes: self.bytes,
            sha256: hash.iter().map(|byte| format!("{byte:02x}")).collect(),
        }
    }
}
