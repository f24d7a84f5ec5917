//! Base64 as clients write it, with padding or without.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::Bytes;

/// How many characters a content of `size` bytes has, with padding.
pub(super) const fn length(size: u64) -> u64 {
    size.div_ceil(3).saturating_mul(4)
}

/// A content as it stands in a body: decoded piece by piece, never whole beside its text.
#[derive(Debug)]
pub(super) struct Text<'a>(&'a [u8]);

impl<'a> Text<'a> {
    /// None where no content has a text of this length.
    pub(super) fn new(text: &'a str) -> Option<Self> {
        let digits = text.trim_end_matches('=').as_bytes();
        (digits.len() % 4 != 1).then_some(Self(digits))
    }

    /// How many bytes it has.
    pub(super) const fn size(&self) -> u64 {
        let rest = self.0.len() % 4;
        (self.0.len() / 4 * 3 + rest.saturating_sub(1)) as u64
    }

    /// The next bytes, about `most`; none where it is no base64.
    pub(super) fn next(&mut self, most: usize) -> Option<Bytes> {
        let wanted = (most / 3).max(1) * 4;
        let (piece, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        STANDARD_NO_PAD.decode(piece).ok().map(Bytes::from)
    }
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn a_text_decodes_in_pieces_with_padding_or_without() {
        for size in 0..30_usize {
            let content: Vec<u8> = (0..size).map(|at| at as u8 ^ 0x5a).collect();
            let padded = STANDARD.encode(&content);
            assert_eq!(length(size as u64), padded.len() as u64);
            for text in [&*padded, padded.trim_end_matches('='), &format!("{padded}==")] {
                for most in [1, 3, 4, 7, 100] {
                    let mut text = Text::new(text).unwrap();
                    assert_eq!(text.size(), size as u64);
                    let mut decoded = Vec::new();
                    while decoded.len() < size {
                        let piece = text.next(most).unwrap();
                        assert!(!piece.is_empty() && piece.len() <= most.max(3));
                        decoded.extend_from_slice(&piece);
                    }
                    assert_eq!(decoded, content);
                }
            }
        }
    }

    #[test]
    fn what_is_no_base64_is_seen() {
        assert!(Text::new("A").is_none() && Text::new("AAAAA").is_none());
        for bad in ["AA A", "AA\n", "AA-_", "A=AA", "ÿ"] {
            let decoded = Text::new(bad).is_none_or(|mut text| text.next(100).is_none());
            assert!(decoded, "{bad:?}");
        }
    }
}
