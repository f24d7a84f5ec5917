//! Finds where a msgpack value ends, in bytes that come in pieces.

use super::MpackError;

/// Collections may be nested this deep.
pub(super) const MAX_DEPTH: usize = 128;

/// How far one value has been looked through.
#[derive(Debug, Default)]
pub(super) struct Scanner {
    position: u64,
    /// How many values are still to come, of each collection that is open.
    open: Vec<u64>,
}

impl Scanner {
    /// The length of the value that `bytes` begin with; none where more of them are needed. `bytes` are always those of the
    /// same value, from its beginning.
    pub(super) fn scan(&mut self, bytes: &[u8], limit: u64, what: &str) -> Result<Option<u64>, MpackError> {
        let first = self.position == 0;
        if first && self.open.is_empty() {
            self.open.push(1);
        }
        while let Some(left) = self.open.last_mut() {
            if *left == 0 {
                self.open.pop();
                continue;
            }
            let rest = usize::try_from(self.position).ok().and_then(|at| bytes.get(at..)).unwrap_or_default();
            let Some((header, body, inner)) = head(rest)? else {
                return Ok(None);
            };
            *left -= 1;
            self.position += header + body;
            if self.position > limit {
                let what = format!("{what} of the pack has at least");
                return Err(MpackError::TooLarge { what, size: self.position, limit });
            }
            if inner > 0 {
                if self.open.len() > MAX_DEPTH {
                    return Err(MpackError::layout("a value is nested too deeply"));
                }
                self.open.push(inner);
            }
        }
        Ok((self.position <= bytes.len() as u64).then_some(self.position))
    }
}

/// What a value's first bytes say: how many they are, how many bytes follow that are its own, and how many values it holds.
/// None where there are too few to say.
fn head(bytes: &[u8]) -> Result<Option<(u64, u64, u64)>, MpackError> {
    let Some(first) = bytes.first() else {
        return Ok(None);
    };
    let length = |size: usize| {
        let digits = bytes.get(1..=size)?;
        Some(digits.iter().fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte)))
    };
    let plain = |size: u64| Some((1, size, 0));
    let sized = |size: usize, more: u64| length(size).map(|body| (1 + size as u64, body + more, 0));
    let listed =
        |size: usize, each: u64| length(size).map(|count| (1 + size as u64, 0, count.saturating_mul(each)));
    Ok(match *first {
        0x00..=0x7f | 0xe0..=0xff | 0xc0 | 0xc2 | 0xc3 => plain(0),
        0x80..=0x8f => Some((1, 0, 2 * u64::from(first & 0x0f))),
        0x90..=0x9f => Some((1, 0, u64::from(first & 0x0f))),
        0xa0..=0xbf => plain(u64::from(first & 0x1f)),
        0xcc | 0xd0 => plain(1),
        0xcd | 0xd1 => plain(2),
        0xca | 0xce | 0xd2 => plain(4),
        0xcb | 0xcf | 0xd3 => plain(8),
        0xc4 | 0xd9 => sized(1, 0),
        0xc5 | 0xda => sized(2, 0),
        0xc6 | 0xdb => sized(4, 0),
        0xc7 => sized(1, 1),
        0xc8 => sized(2, 1),
        0xc9 => sized(4, 1),
        0xd4..=0xd8 => plain(1 + (1 << (first - 0xd4))),
        0xdc => listed(2, 1),
        0xdd => listed(4, 1),
        0xde => listed(2, 2),
        0xdf => listed(4, 2),
        0xc1 => return Err(MpackError::layout("a byte that no msgpack has")),
    })
}
