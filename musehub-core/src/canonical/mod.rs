//! Canonical bytes: `<kind> <size>\0<payload>`, the one form in which objects rest and are exported.
//!
//! The payload of a blob is the file's bytes; that of a snapshot or a commit is canonical [JSON](json).

pub mod json;

use crate::id::ObjectKind;

/// Why bytes are not canonical bytes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CanonicalError {
    /// No `<kind> <size>\0` in front.
    #[error("the header '<kind> <size>\\0' is missing or malformed")]
    Header,
    /// The header's size is not that of what follows.
    #[error("the header says {declared} bytes, {actual} follow")]
    Size {
        /// What the header says.
        declared: u64,
        /// What follows it.
        actual: u64,
    },
    /// An object of another kind than was asked for.
    #[error("expected a {expected}, found a {found}")]
    Kind {
        /// What was asked for.
        expected: ObjectKind,
        /// What is there.
        found: ObjectKind,
    },
}

/// The longest header: the longest kind, a space, 20 digits and the NUL.
pub const MAX_HEADER_BYTES: usize = 30;

/// The header of an object whose payload has `size` bytes.
#[must_use]
pub fn header(kind: ObjectKind, size: u64) -> Vec<u8> {
    format!("{kind} {size}\0").into_bytes()
}

/// The canonical bytes of a payload.
#[must_use]
pub fn encode(kind: ObjectKind, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAX_HEADER_BYTES + payload.len());
    bytes.extend_from_slice(&header(kind, payload.len() as u64));
    bytes.extend_from_slice(payload);
    bytes
}

/// Reads a header: the kind, the payload's size and where the payload begins.
///
/// # Errors
/// [`CanonicalError::Header`] where `bytes` do not begin with one. Leading zeros and signs are no size.
pub fn parse_header(bytes: &[u8]) -> Result<(ObjectKind, u64, usize), CanonicalError> {
    let window = &bytes[..bytes.len().min(MAX_HEADER_BYTES)];
    let end = window.iter().position(|b| *b == 0).ok_or(CanonicalError::Header)?;
    let text = std::str::from_utf8(&window[..end]).map_err(|_| CanonicalError::Header)?;
    let (kind, digits) = text.split_once(' ').ok_or(CanonicalError::Header)?;
    let kind = match kind {
        "blob" => ObjectKind::Blob,
        "snapshot" => ObjectKind::Snapshot,
        "commit" => ObjectKind::Commit,
        _ => return Err(CanonicalError::Header),
    };
    let well_formed =
        digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    let size = digits.parse().ok().filter(|_| well_formed).ok_or(CanonicalError::Header)?;
    Ok((kind, size, end + 1))
}

/// Takes canonical bytes apart into kind and payload.
///
/// # Errors
/// [`CanonicalError`] where the header is malformed or its size is not that of the payload.
pub fn decode(bytes: &[u8]) -> Result<(ObjectKind, &[u8]), CanonicalError> {
    let (kind, declared, start) = parse_header(bytes)?;
    let payload = &bytes[start..];
    let actual = payload.len() as u64;
    if actual != declared {
        return Err(CanonicalError::Size { declared, actual });
    }
    Ok((kind, payload))
}

/// The payload of canonical bytes that must be of one kind.
///
/// # Errors
/// [`CanonicalError`] as [`decode`] gives, and for another kind.
pub fn payload_of(expected: ObjectKind, bytes: &[u8]) -> Result<&[u8], CanonicalError> {
    let (found, payload) = decode(bytes)?;
    if found == expected { Ok(payload) } else { Err(CanonicalError::Kind { expected, found }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_comes_back_from_its_bytes() {
        for kind in [ObjectKind::Blob, ObjectKind::Snapshot, ObjectKind::Commit] {
            for payload in [&b""[..], b"x", b"\0\0", &[7; 1000]] {
                assert_eq!(decode(&encode(kind, payload)), Ok((kind, payload)));
            }
        }
        assert_eq!(encode(ObjectKind::Blob, b"hi"), b"blob 2\0hi");
    }

    #[test]
    fn malformed_headers_are_refused() {
        for bad in [
            &b""[..],
            b"blob",
            b"blob 2",
            b"blob \0",
            b"blob 02\0hi",
            b"blob +2\0hi",
            b"tree 0\0",
            b"blob 2 \0hi",
        ] {
            assert_eq!(decode(bad), Err(CanonicalError::Header), "{bad:?}");
        }
        assert_eq!(decode(b"blob 18446744073709551616\0"), Err(CanonicalError::Header));
        assert_eq!(decode(b"blob 3\0hi"), Err(CanonicalError::Size { declared: 3, actual: 2 }));
        assert_eq!(decode(b"blob 1\0hi"), Err(CanonicalError::Size { declared: 1, actual: 2 }));
        let wrong = payload_of(ObjectKind::Commit, b"blob 2\0hi");
        assert_eq!(
            wrong,
            Err(CanonicalError::Kind { expected: ObjectKind::Commit, found: ObjectKind::Blob })
        );
    }
}
