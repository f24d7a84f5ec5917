//! Bytes to text as CPython would read a source file, without ever failing on text in another encoding.

use super::MAX_FILE_BYTES;

/// The text of a file and whether every byte was understood.
pub(super) struct Decoded {
    pub(super) text: String,
    pub(super) clean: bool,
}

/// `None` for what CPython does not take as source either: UTF-16, UTF-32, NUL bytes; and for files over the limit.
pub(super) fn decode(bytes: &[u8]) -> Option<Decoded> {
    if bytes.len() > MAX_FILE_BYTES {
        return None;
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        return None;
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        return Some(Decoded { text: text.to_owned(), clean: true });
    }
    // Identifiers and keywords are ASCII in nearly all such files, so reading each other byte as one character keeps
    // every position and every name. Multi-byte encodings may garble strings; the parser then recovers.
    let text = bytes.iter().map(|&byte| char::from(byte)).collect();
    Some(Decoded { text, clean: declares_encoding(bytes) })
}

/// Whether one of the first two lines carries a PEP 263 cookie other than UTF-8.
fn declares_encoding(bytes: &[u8]) -> bool {
    bytes.split(|&byte| byte == b'\n').take(2).any(|line| {
        let line = String::from_utf8_lossy(line);
        let Some((before, after)) = line.split_once("coding") else {
            return false;
        };
        let name = after.trim_start_matches([':', '=']).trim_start().to_ascii_lowercase();
        before.trim_start().starts_with('#')
            && after.starts_with([':', '='])
            && !name.is_empty()
            && !name.starts_with("utf-8")
            && !name.starts_with("utf8")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_dropped() {
        let decoded = decode(b"\xef\xbb\xbfx = 1").expect("text");
        assert_eq!((decoded.text.as_str(), decoded.clean), ("x = 1", true));
    }

    #[test]
    fn latin_1_is_clean_only_when_declared() {
        let declared = decode(b"# -*- coding: latin-1 -*-\nx = '\xe9'").expect("text");
        assert!(declared.clean && declared.text.ends_with("'\u{e9}'"));
        assert!(!decode(b"x = '\xe9'").expect("text").clean);
        assert!(!decode(b"# coding: utf-8\nx = '\xe9'").expect("text").clean);
    }

    #[test]
    fn utf_16_and_nul_bytes_are_not_source() {
        assert!(decode(b"\xff\xfex\0").is_none());
        assert!(decode(b"x\0").is_none());
    }
}
