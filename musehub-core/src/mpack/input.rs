//! Bytes that have come and were not read yet.

use bytes::{Bytes, BytesMut};

use super::MpackError;
use crate::hash::Hasher;
use crate::id::HashAlgorithm;

/// What has come of a pack. Everything that is taken from it has been hashed.
pub(super) struct Input {
    buffer: BytesMut,
    hasher: Hasher,
    /// How many bytes were taken.
    taken: u64,
}

impl Default for Input {
    fn default() -> Self {
        Self { buffer: BytesMut::new(), hasher: Hasher::new(HashAlgorithm::Sha256), taken: 0 }
    }
}

impl Input {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    pub(super) fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    pub(super) const fn taken(&self) -> u64 {
        self.taken
    }

    /// The next `length` bytes, once they have come. The caller has bounded `length`.
    pub(super) fn take(&mut self, length: u64) -> Option<Bytes> {
        let length = usize::try_from(length).ok().filter(|length| *length <= self.buffer.len())?;
        let bytes = self.buffer.split_to(length).freeze();
        self.hasher.update(&bytes);
        self.taken += bytes.len() as u64;
        Some(bytes)
    }

    /// As many of the next `length` bytes as have come; none where nothing has.
    pub(super) fn take_some(&mut self, length: u64) -> Option<Bytes> {
        let there = (self.buffer.len() as u64).min(length);
        if there == 0 { None } else { self.take(there) }
    }

    /// A number that is less than or equal to `most`, in either order of its bytes: below 2^32 only one of them can be.
    pub(super) fn take_number(&mut self, most: u64, what: &str) -> Result<Option<u64>, MpackError> {
        match self.take(8) {
            None => Ok(None),
            Some(bytes) => number(&bytes, most, what).map(Some),
        }
    }

    /// The hash of everything that was taken.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.hasher.clone().finish()
    }
}

/// Eight bytes as a number of at most `most`: little-endian, as clients write it, or else big-endian.
pub(super) fn number(bytes: &[u8], most: u64, what: &str) -> Result<u64, MpackError> {
    let bytes: [u8; 8] = bytes.try_into().map_err(|_| MpackError::Truncated)?;
    let orders = [u64::from_le_bytes(bytes), u64::from_be_bytes(bytes)];
    let fitting = orders.into_iter().find(|number| *number <= most);
    fitting.ok_or_else(|| MpackError::layout(format!("{what} is {}, where at most {most} can be", orders[0])))
}
