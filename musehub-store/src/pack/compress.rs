//! Compression of single records with zstd: chosen per record, kept only where it saves a worthwhile part.

use std::cell::RefCell;

use bytes::Bytes;
use zstd::bulk::{Compressor, Decompressor};

use super::format::FormatError;

/// The longest canonical bytes that a compressed record has. They are in memory as a whole when it is read; what is longer
/// rests as it is and is streamed.
pub(crate) const MAX_COMPRESSED: u64 = 8 << 20;

/// What is shorter gains nothing.
const MIN_LENGTH: usize = 128;
/// Bytes longer than this are probed before they are compressed as a whole.
const PROBE_FROM: usize = 64 << 10;
/// The length of each of three samples.
const PROBE: usize = 4 << 10;
/// The part of its length that compression has to save, as a divisor.
const WORTHWHILE: usize = 16;
/// Compresses samples.
const PROBE_LEVEL: i32 = 1;

/// How hard to try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Effort {
    /// While a client waits.
    Push,
    /// In the background, once for good.
    Repack,
}

impl Effort {
    const fn level(self) -> i32 {
        match self {
            Self::Push => 1,
            Self::Repack => 9,
        }
    }
}

/// The bytes to store instead of canonical ones; none where they had better rest as they are.
pub(crate) fn compress(canonical: &[u8], effort: Effort) -> Option<Vec<u8>> {
    let fits = (MIN_LENGTH..=MAX_COMPRESSED as usize).contains(&canonical.len());
    if !fits || (canonical.len() > PROBE_FROM && !looks_compressible(canonical)) {
        return None;
    }
    let stored = at_level(effort.level(), canonical)?;
    is_worthwhile(canonical.len(), stored.len()).then_some(stored)
}

/// Whether samples from the beginning, the middle and the end shrink.
fn looks_compressible(bytes: &[u8]) -> bool {
    let starts = [0, bytes.len() / 2, bytes.len() - PROBE];
    let mut samples = Vec::with_capacity(starts.len() * PROBE);
    for start in starts {
        samples.extend_from_slice(&bytes[start..start + PROBE]);
    }
    at_level(PROBE_LEVEL, &samples).is_some_and(|stored| is_worthwhile(samples.len(), stored.len()))
}

fn is_worthwhile(before: usize, after: usize) -> bool {
    after.saturating_add(before.div_ceil(WORTHWHILE)) <= before
}

/// Compresses with a context that the thread keeps: making one costs more than compressing a small record. None where zstd
/// fails, which costs space and nothing else.
fn at_level(level: i32, bytes: &[u8]) -> Option<Vec<u8>> {
    thread_local! {
        static CONTEXT: RefCell<Option<Compressor<'static>>> = const { RefCell::new(None) };
    }
    CONTEXT.with_borrow_mut(|context| {
        if context.is_none() {
            *context = Some(Compressor::new(level).ok()?);
        }
        let compressor = context.as_mut()?;
        compressor.set_compression_level(level).ok()?;
        compressor.compress(bytes).ok()
    })
}

/// The canonical bytes of a record, of which there are exactly `length`.
pub(crate) fn decompress(stored: &[u8], length: u64) -> Result<Bytes, FormatError> {
    if length > MAX_COMPRESSED || stored.len() as u64 >= length {
        return Err(FormatError::Length);
    }
    // The buffer is the bound: a stream that gives more fails, whatever it promises.
    let capacity = length as usize;
    let mut decompressor = Decompressor::new().map_err(|_| FormatError::Compression)?;
    let canonical = decompressor.decompress(stored, capacity).map_err(|_| FormatError::Compression)?;
    if canonical.len() != capacity {
        return Err(FormatError::Compression);
    }
    Ok(canonical.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    #[test]
    fn text_shrinks_and_comes_back_at_both_efforts() {
        let text: Vec<u8> =
            (0..9_000).flat_map(|n| format!("def f_{n}(x): return x\n").into_bytes()).collect();
        for length in [MIN_LENGTH, 1_000, PROBE_FROM + 1, text.len()] {
            for effort in [Effort::Push, Effort::Repack] {
                let stored = compress(&text[..length], effort).expect("text compresses");
                assert!(stored.len() < length);
                assert_eq!(decompress(&stored, length as u64).unwrap(), text[..length]);
            }
        }
    }

    #[test]
    fn what_does_not_shrink_is_too_short_or_too_long_rests_as_it_is() {
        let mut half = noise(PROBE_FROM);
        half.extend(vec![b'a'; MIN_LENGTH]);
        for bytes in [noise(5_000), noise(1 << 20), vec![b'a'; MIN_LENGTH - 1], half] {
            assert_eq!(compress(&bytes, Effort::Push), None);
        }
        assert_eq!(compress(&vec![b'a'; MAX_COMPRESSED as usize + 1], Effort::Push), None);
    }

    #[test]
    fn a_stream_that_gives_more_or_less_than_was_said_is_refused() {
        let bomb = at_level(19, &vec![0; 256 << 20]).unwrap();
        assert!(bomb.len() < 32 << 10);
        assert_eq!(decompress(&bomb, 256 << 20), Err(FormatError::Length));
        assert_eq!(decompress(&bomb, MAX_COMPRESSED), Err(FormatError::Compression));
        let stored = at_level(1, &[b'a'; 1_000]).unwrap();
        for length in [0, 1, 999, 1_001] {
            assert!(decompress(&stored, length).is_err(), "{length}");
        }
        assert!(decompress(&stored[..stored.len() - 1], 1_000).is_err());
        assert!(decompress(b"no stream of zstd", 1_000).is_err());
    }
}
