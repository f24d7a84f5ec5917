//! Files that begin with four letters and a version and end in the BLAKE3 hash of all before it: index files, forwarding files
//! and segments of the log.

use bytes::{BufMut, Bytes, BytesMut};

/// Length of what stands before a file's own content: letters, version, three zero bytes.
const OPENING: usize = 8;
/// Length of what stands behind it.
pub(crate) const CHECKSUM: usize = 32;

/// A form of file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Form {
    pub(crate) magic: [u8; 4],
    pub(crate) version: u8,
    /// The least length before the checksum, the first eight bytes included.
    pub(crate) header: usize,
}

/// Why bytes are no whole file of a form.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum SealError {
    #[error("it is truncated")]
    Truncated,
    #[error("it does not begin as one")]
    Magic,
    #[error("it has version {found}, this hub reads version {known}")]
    Version { found: u8, known: u8 },
    #[error("its checksum does not fit its bytes")]
    Checksum,
}

impl Form {
    /// The beginning of a file, with room for `length` bytes in all.
    pub(crate) fn begin(&self, length: usize) -> BytesMut {
        let mut out = BytesMut::with_capacity(length);
        out.put_slice(&self.magic);
        out.put_slice(&[self.version, 0, 0, 0]);
        out
    }

    /// The whole file of what was begun and filled.
    pub(crate) fn seal(mut out: BytesMut) -> Bytes {
        let checksum = blake3::hash(&out);
        out.put_slice(checksum.as_bytes());
        out.freeze()
    }

    /// What a whole file holds between its version and its checksum: as many bytes as the header has there, at least.
    pub(crate) fn open<'a>(&self, bytes: &'a [u8]) -> Result<&'a [u8], SealError> {
        if bytes.len() < self.header + CHECKSUM {
            return Err(SealError::Truncated);
        }
        let (body, checksum) = bytes.split_at(bytes.len() - CHECKSUM);
        self.check_opening(body)?;
        if blake3::hash(body).as_bytes() != checksum {
            return Err(SealError::Checksum);
        }
        Ok(&body[OPENING..])
    }

    /// Refuses bytes that do not begin as this form does.
    pub(crate) fn check_opening(&self, bytes: &[u8]) -> Result<(), SealError> {
        let opening = bytes.get(..OPENING).ok_or(SealError::Truncated)?;
        if opening[..4] != self.magic {
            return Err(SealError::Magic);
        }
        if opening[4] != self.version {
            return Err(SealError::Version { found: opening[4], known: self.version });
        }
        Ok(())
    }
}
