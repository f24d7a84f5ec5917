//! An entry as it rests: one line of JSON that ends in its own checksum. Specified in `docs/STORAGE.md`.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The version of the form that is written.
const FORMAT: u32 = 2;
/// The version that had no checksum.
const UNSEALED: u32 = 1;
/// What comes between what the checksum is of and the checksum.
const SEAL: &[u8] = b",\"blake3\":\"";
/// What comes after the checksum.
const END: &[u8] = b"\"}";
/// Hexadecimal digits of a checksum.
const DIGITS: usize = 64;

#[derive(Serialize, Deserialize)]
struct Resting<T> {
    format: u32,
    /// Tells equal entries of two writers apart; what it says means nothing.
    #[serde(default)]
    writer: String,
    #[serde(flatten)]
    value: T,
}

/// The bytes of an entry.
pub(super) fn write<T: Serialize>(value: T) -> Result<Bytes, serde_json::Error> {
    let writer = uuid::Uuid::new_v4().simple().to_string();
    let mut text = serde_json::to_vec(&Resting { format: FORMAT, writer, value })?;
    // The brace that closes the object comes after the checksum.
    text.pop();
    let checksum = blake3::hash(&text).to_hex();
    for part in [SEAL, checksum.as_bytes(), END] {
        text.extend_from_slice(part);
    }
    Ok(text.into())
}

/// Reads an entry; says why where it is none.
pub(super) fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T, String> {
    let sealed = split(bytes);
    if let Some((body, checksum)) = sealed
        && blake3::hash(body).to_hex().as_bytes() != checksum
    {
        return Err("its checksum does not fit its bytes".to_owned());
    }
    let resting: Resting<T> = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    match (resting.format, sealed) {
        (UNSEALED, _) | (FORMAT, Some(_)) => Ok(resting.value),
        (FORMAT, None) => Err("it has no checksum".to_owned()),
        (format, _) => Err(format!("it has format {format}, this hub reads {FORMAT}")),
    }
}

/// What an entry's checksum is of, and the checksum, where it ends in one.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, checksum) = bytes.strip_suffix(END)?.split_last_chunk::<DIGITS>()?;
    Some((rest.strip_suffix(SEAL)?, checksum))
}
