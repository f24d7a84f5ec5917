//! Canonical JSON: the one text of a value that ids are computed over.
//!
//! It is what Python's `json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True,
//! allow_nan=False)` prints: keys sorted by code point, no white space, ASCII only, floats as Python's `repr`.
//! Clients written in Python compute the same bytes, so nothing here may ever change; `tests/vectors` pins it.
//!
//! Where Python prints more than this hub can represent, the module refuses instead of guessing:
//!
//! * Integers are those of `i64` and `u64`. A larger one reads as a float, so its text is not canonical.
//! * Texts are UTF-8. Python can print a lone surrogate; here its escape does not read.
//! * Keys are texts. Python prints numbers as keys, in the order of the numbers.
//! * A key may be there once.
//! * Values nest at most [`MAX_DEPTH`] deep.

mod printer;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Number, Value};

use printer::Printer;

/// The deepest nesting of arrays and objects: what serde_json's reader accepts, so that whatever is printed can
/// be read again, and no value can exhaust the stack.
pub const MAX_DEPTH: usize = 127;

/// Why a value has no canonical text, or a text is not the canonical one.
#[derive(Debug, thiserror::Error)]
pub enum JsonError {
    /// A NaN or an infinity.
    #[error("JSON has no text for a number that is not finite")]
    NotFinite,
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("JSON may nest at most {MAX_DEPTH} deep")]
    TooDeep,
    /// A key of a map is a number, a truth value or a container.
    #[error("a key of a JSON object must be a text")]
    KeyNotText,
    /// A key is there twice.
    #[error("the key {0:?} is there twice")]
    DuplicateKey(String),
    /// The value cannot be expressed in JSON, or its `Serialize` gave up; the text says why.
    #[error("no JSON for this value: {0}")]
    Unsupported(String),
    /// The bytes are no JSON that this hub can represent.
    #[error("malformed JSON")]
    Malformed(#[source] serde_json::Error),
    /// The bytes are JSON, but not in the canonical form.
    #[error("JSON that is not in canonical form")]
    NotCanonical,
}

impl serde::ser::Error for JsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Unsupported(message.to_string())
    }
}

/// The canonical text of `value`, whatever the order its maps and fields come in.
///
/// An `f32` is printed as the `f64` of the same value. Byte strings (`serialize_bytes`) and 128-bit integers
/// have no canonical text.
///
/// # Errors
/// [`JsonError`] where there is none, see the [module](self).
pub fn to_vec<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, JsonError> {
    let mut out = Vec::new();
    value.serialize(Printer { out: &mut out, depth: 0 })?;
    Ok(out)
}

/// Appends the canonical text of `value`, and nothing where that fails.
///
/// # Errors
/// [`JsonError::TooDeep`], and [`JsonError::NotFinite`] where serde_json was built to hold such numbers.
pub fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<(), JsonError> {
    let start = out.len();
    let written = write_nested(out, value, 0);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

/// Appends `text` as a JSON string, quotes included.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    let bytes = text.as_bytes();
    out.push(b'"');
    // Without an early exit the compiler vectorises this, and nearly all texts are plain.
    if bytes.iter().fold(true, |plain, byte| plain & is_plain(*byte)) {
        out.extend_from_slice(bytes);
    } else {
        write_escaped(out, text);
    }
    out.push(b'"');
}

/// Reads a text that must be canonical.
///
/// # Errors
/// [`JsonError::Malformed`] where it is no JSON, or holds a lone surrogate or a float out of range, or nests too
/// deep; [`JsonError::NotCanonical`] where it is any other text than the one printed for its value.
pub fn parse_canonical(bytes: &[u8]) -> Result<Value, JsonError> {
    let value = serde_json::from_slice(bytes).map_err(JsonError::Malformed)?;
    let mut again = Vec::with_capacity(bytes.len());
    write_value(&mut again, &value)?;
    if again == bytes { Ok(value) } else { Err(JsonError::NotCanonical) }
}

/// Whether `bytes` are canonical JSON.
#[must_use]
pub fn is_canonical(bytes: &[u8]) -> bool {
    parse_canonical(bytes).is_ok()
}

const fn is_plain(byte: u8) -> bool {
    matches!(byte, 0x20..=0x7e) & (byte != b'"') & (byte != b'\\')
}

fn write_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
        let (plain, special) = rest.split_at(at);
        out.extend_from_slice(plain.as_bytes());
        let mut chars = special.chars();
        if let Some(c) = chars.next() {
            write_escape(out, c);
        }
        rest = chars.as_str();
    }
    out.extend_from_slice(rest.as_bytes());
}

fn write_escape(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => c as u8,
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{c}' => b'f',
        '\r' => b'r',
        _ => {
            for unit in c.encode_utf16(&mut [0; 2]) {
                out.extend_from_slice(b"\\u");
                let digit = |shift: u16| b"0123456789abcdef"[usize::from((*unit >> shift) & 0xf)];
                out.extend([digit(12), digit(8), digit(4), digit(0)]);
            }
            return;
        }
    };
    out.extend([b'\\', short]);
}

fn write_nested(out: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), JsonError> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(value) => write_bool(out, *value),
        Value::Number(number) => write_number(out, number)?,
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            let depth = deeper(depth)?;
            out.push(b'[');
            for (n, item) in items.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write_nested(out, item, depth)?;
            }
            out.push(b']');
        }
        Value::Object(map) => write_map(out, map, deeper(depth)?)?,
    }
    Ok(())
}

fn write_map(out: &mut Vec<u8>, map: &Map<String, Value>, depth: usize) -> Result<(), JsonError> {
    // serde_json sorts maps unless some crate of the build asks it for insertion order; ids cannot depend on that.
    let sorted = map.keys().is_sorted();
    let mut entries: Vec<_> = if sorted { Vec::new() } else { map.iter().collect() };
    entries.sort_unstable_by_key(|(key, _)| *key);
    let in_place = sorted.then(|| map.iter()).into_iter().flatten();

    out.push(b'{');
    for (n, (key, value)) in in_place.chain(entries).enumerate() {
        if n > 0 {
            out.push(b',');
        }
        write_string(out, key);
        out.push(b':');
        write_nested(out, value, depth)?;
    }
    out.push(b'}');
    Ok(())
}

/// The depth of an array or object inside of `depth` others, itself counted.
const fn deeper(depth: usize) -> Result<usize, JsonError> {
    if depth < MAX_DEPTH { Ok(depth + 1) } else { Err(JsonError::TooDeep) }
}

fn write_bool(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(if value { b"true" } else { b"false" });
}

fn write_number(out: &mut Vec<u8>, number: &Number) -> Result<(), JsonError> {
    if let Some(integer) = number.as_u64() {
        write_integer(out, integer);
    } else if let Some(integer) = number.as_i64() {
        write_integer(out, integer);
    } else {
        write_float(out, number.as_f64().ok_or(JsonError::NotFinite)?)?;
    }
    Ok(())
}

/// Room for the longest number, such as `-1.2345678901234567e-300`.
const NUMBER_BYTES: usize = 32;

/// The text that serde_json has for a number, in `buffer`.
fn number_text<T: Serialize>(buffer: &mut [u8; NUMBER_BYTES], number: T) -> &[u8] {
    let mut rest = buffer.as_mut_slice();
    serde_json::to_writer(&mut rest, &number).expect("a number takes at most 32 bytes");
    let free = rest.len();
    &buffer[..NUMBER_BYTES - free]
}

fn write_integer<T: Serialize>(out: &mut Vec<u8>, integer: T) {
    out.extend_from_slice(number_text(&mut [0; NUMBER_BYTES], integer));
}

/// Prints a float as Python's `repr`: the shortest digits that read back as the same float, with an exponent below
/// 1e-4 and from 1e16 on.
///
/// The digits are those of serde_json. Rust's own `{:e}` is as short, but where two texts are equally short and
/// equally near it may choose the other one than Python.
fn write_float(out: &mut Vec<u8>, float: f64) -> Result<(), JsonError> {
    if !float.is_finite() {
        return Err(JsonError::NotFinite);
    }
    if float.is_sign_negative() {
        out.push(b'-');
    }
    if float == 0.0 {
        out.extend_from_slice(b"0.0");
        return Ok(());
    }
    let (digits, count, exponent) = decimal(float.abs());
    let digits = &digits[..count];
    match exponent {
        -4..0 => {
            out.extend_from_slice(b"0.");
            out.extend((exponent..-1).map(|_| b'0'));
            out.extend_from_slice(digits);
        }
        0..16 => {
            let whole = exponent.unsigned_abs() as usize + 1;
            out.extend_from_slice(&digits[..whole.min(count)]);
            out.extend((count..whole).map(|_| b'0'));
            out.push(b'.');
            out.extend_from_slice(digits.get(whole..).filter(|part| !part.is_empty()).unwrap_or(b"0"));
        }
        _ => {
            out.push(digits[0]);
            if count > 1 {
                out.push(b'.');
                out.extend_from_slice(&digits[1..]);
            }
            out.extend_from_slice(if exponent < 0 { b"e-" } else { b"e+" });
            if exponent.abs() < 10 {
                out.push(b'0');
            }
            write_integer(out, exponent.unsigned_abs());
        }
    }
    Ok(())
}

/// A positive float as its significant digits, how many they are, and the power of ten of the first one.
fn decimal(float: f64) -> ([u8; NUMBER_BYTES], usize, i32) {
    let mut buffer = [0; NUMBER_BYTES];
    let text = number_text(&mut buffer, float);
    let (mantissa, mut exponent) = match text.iter().position(|byte| *byte == b'e') {
        None => (text, 0),
        Some(at) => (&text[..at], small_integer(&text[at + 1..])),
    };
    let mut digits = [0; NUMBER_BYTES];
    let mut count = 0;
    let mut in_fraction = false;
    for byte in mantissa {
        match byte {
            b'.' => in_fraction = true,
            b'0' if count == 0 => exponent -= i32::from(in_fraction),
            digit => {
                digits[count] = *digit;
                count += 1;
                exponent -= i32::from(in_fraction);
            }
        }
    }
    // So far the exponent is that of the last digit.
    exponent += i32::try_from(count).expect("a float has at most 17 digits") - 1;
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
    }
    (digits, count, exponent)
}

fn small_integer(text: &[u8]) -> i32 {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] | digits => (false, digits),
    };
    let value = digits.iter().fold(0, |value, digit| value * 10 + i32::from(digit - b'0'));
    if negative { -value } else { value }
}
