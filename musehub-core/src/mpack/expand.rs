//! Objects that come compressed.

use std::io::Read;

use bytes::Bytes;

/// The largest window that a frame may ask for, as a power of two.
const WINDOW_LOG: u32 = 27;

/// How much more than its compressed bytes an object may have, whatever the limit: what no text or code comes near.
const MAX_RATIO: u64 = 4096;

/// The bytes of an object that came as a frame of zstd; none where it is no frame, or one of more than `limit` bytes. Memory
/// grows with what comes out, never with what the frame promises.
#[must_use]
pub fn expand(compressed: &[u8], limit: u64) -> Option<Bytes> {
    let limit = limit.min((compressed.len() as u64).saturating_mul(MAX_RATIO));
    let mut decoder = zstd::stream::read::Decoder::with_buffer(compressed).ok()?;
    decoder.window_log_max(WINDOW_LOG).ok()?;
    let mut expanded = Vec::new();
    let mut decoder = decoder.take(limit.saturating_add(1));
    decoder.read_to_end(&mut expanded).ok()?;
    (expanded.len() as u64 <= limit).then(|| expanded.into())
}
