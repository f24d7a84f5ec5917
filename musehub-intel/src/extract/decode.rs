//! Bytes to text as CPython would read a source file, without ever failing on text in another encoding.

use std::borrow::Cow;

use encoding_rs::Encoding;

use super::MAX_FILE_BYTES;

/// The text of a file and whether every byte was understood.
pub(super) struct Decoded {
    pub(super) text: String,
    pub(super) clean: bool,
}

/// What a PEP 263 cookie, or its absence, says about the bytes.
enum Declared {
    Utf8,
    Ascii,
    Latin1,
    /// A superset of ASCII that can be decoded.
    Other(&'static Encoding),
    /// Anything else: even bytes that look like ASCII may stand for something different.
    Unknown,
}

/// `None` for what CPython does not take as source either: UTF-16, UTF-32, NUL bytes; and for files over the limit.
pub(super) fn decode(bytes: &[u8]) -> Option<Decoded> {
    if bytes.len() > MAX_FILE_BYTES {
        return None;
    }
    let unmarked = bytes.strip_prefix(b"\xef\xbb\xbf");
    let declared = if unmarked.is_some() { Declared::Utf8 } else { declared(bytes) };
    let bytes = unmarked.unwrap_or(bytes);
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) || bytes.contains(&0) {
        return None;
    }
    let (text, clean) = match declared {
        Declared::Utf8 => match std::str::from_utf8(bytes) {
            Ok(text) => (text.to_owned(), true),
            Err(_) => (latin_1(bytes), false),
        },
        Declared::Ascii => (latin_1(bytes), bytes.is_ascii()),
        Declared::Latin1 => (latin_1(bytes), true),
        Declared::Other(encoding) => {
            let (text, malformed) = encoding.decode_without_bom_handling(bytes);
            (text.into_owned(), !malformed)
        }
        Declared::Unknown => (latin_1(plain_lines(bytes)), false),
    };
    Some(Decoded { text, clean })
}

/// Each byte as the character of the same number, which keeps every position and every name in ASCII.
fn latin_1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

/// The lines before the first that an encoding may read otherwise: it holds bytes beyond ASCII, or one of the characters
/// that begin an escape in UTF-7, HZ, ISO 2022 and `unicode_escape`.
fn plain_lines(bytes: &[u8]) -> &[u8] {
    let is_special = |byte: &u8| !byte.is_ascii() || matches!(byte, b'+' | b'~' | b'\\' | 0x1b);
    let plain = &bytes[..bytes.iter().position(is_special).unwrap_or(bytes.len())];
    let whole_lines = plain.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end + 1);
    if plain.len() == bytes.len() { plain } else { &plain[..whole_lines] }
}

/// What the cookie in one of the first two lines declares.
fn declared(bytes: &[u8]) -> Declared {
    for line in bytes.split(|&byte| byte == b'\n').take(2) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim_start();
        if let Some(name) = line.strip_prefix('#').and_then(cookie) {
            return by_name(name);
        }
        if !line.is_empty() && !line.starts_with('#') {
            break;
        }
    }
    Declared::Utf8
}

/// The name after the first `coding:` or `coding=` of a comment.
fn cookie(comment: &str) -> Option<&str> {
    comment.match_indices("coding").find_map(|(start, word)| {
        let name = comment[start + word.len()..].strip_prefix([':', '='])?.trim_start_matches([' ', '\t']);
        let end = name.find(|c: char| !(c.is_alphanumeric() || "-_.".contains(c))).unwrap_or(name.len());
        (end > 0).then_some(&name[..end])
    })
}

/// The names that CPython knows, as far as they can be decoded. The Encoding Standard would take ASCII and Latin-1 for
/// windows-1252, and lacks some of CPython's spellings.
fn by_name(name: &str) -> Declared {
    let name = name.to_ascii_lowercase().replace('_', "-");
    let is =
        |known: &str| name.strip_prefix(known).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'));
    if ["utf-8", "utf8", "u8", "cp65001"].into_iter().any(is) {
        return Declared::Utf8;
    }
    if ["latin-1", "iso-8859-1", "iso-latin-1", "latin1", "iso8859-1", "l1", "cp819", "8859"]
        .into_iter()
        .any(is)
    {
        return Declared::Latin1;
    }
    if ["ascii", "us-ascii", "646"].contains(&name.as_str()) {
        return Declared::Ascii;
    }
    let label: Cow<'_, str> = match name.as_str() {
        "cp874" => "windows-874".into(),
        "cp932" | "932" => "shift_jis".into(),
        "cp936" | "936" | "ms936" => "gbk".into(),
        "cp949" | "949" | "euckr" => "euc-kr".into(),
        "cp950" | "950" => "big5".into(),
        "eucjp" | "ujis" => "euc-jp".into(),
        "mac-roman" | "macroman" => "macintosh".into(),
        "mac-cyrillic" => "x-mac-cyrillic".into(),
        _ => name.into(),
    };
    match Encoding::for_label(label.as_bytes()) {
        Some(encoding) if encoding.is_ascii_compatible() => Declared::Other(encoding),
        Some(_) | None => Declared::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(bytes: &[u8]) -> (String, bool) {
        let decoded = decode(bytes).expect("text");
        (decoded.text, decoded.clean)
    }

    #[test]
    fn a_byte_order_mark_is_dropped() {
        assert_eq!(text(b"\xef\xbb\xbfx = 1"), ("x = 1".to_owned(), true));
    }

    #[test]
    fn latin_1_is_clean_only_when_declared() {
        let (declared, clean) = text(b"# -*- coding: latin-1 -*-\nx = '\xe9'");
        assert!(clean && declared.ends_with("'\u{e9}'"));
        for unclean in [&b"x = '\xe9'"[..], b"# coding: utf-8\nx = '\xe9'", b"# coding: ascii\nx = '\xe9'"] {
            assert!(!text(unclean).1);
        }
        assert!(!text(b"x = 1\n# coding: latin-1\ny = '\xe9'").1, "a statement is before the cookie");
    }

    #[test]
    fn other_supersets_of_ascii_are_decoded() {
        for (bytes, last) in [
            (&b"# coding: cp1251\nx = '\xf4'"[..], "'\u{444}'"),
            (b"#!/bin/python\n# vim: set fileencoding=windows_1251 :\nx = '\xf4'", "'\u{444}'"),
            (b"# coding=koi8-r\nx = '\xc6'", "'\u{444}'"),
            // The second byte of this character is a backslash.
            (b"# coding: shift_jis\nx = '\x95\x5c'", "'\u{8868}'"),
            (b"# coding: cp932\nx = '\x95\x5c'", "'\u{8868}'"),
            (b"# coding: euc_jp\nx = '\xc9\xbd'", "'\u{8868}'"),
            (b"# coding: gb2312\nx = '\xb1\xed'", "'\u{8868}'"),
            (b"# coding: iso-8859-15\nx = '\xa4'", "'\u{20ac}'"),
        ] {
            let (text, clean) = text(bytes);
            assert!(clean && text.ends_with(last), "{text:?}");
        }
        assert!(!text(b"# coding: shift_jis\nx = '\x95'").1, "a character is cut");
    }

    #[test]
    fn of_an_unknown_encoding_only_what_all_read_alike_is_kept() {
        for special in [&b"+ACIAIg-"[..], b"~{", b"\x1b$B", b"\\u0022", b"\xe9"] {
            for encoding in [&b"utf-7"[..], b"cp437", b"unicode_escape", b"iso2022_jp", b"hz", b"no such"] {
                let source =
                    [b"# coding: ", encoding, b"\nimport os\nx = '", special, b"'\nimport re\n"].concat();
                let (text, clean) = text(&source);
                assert!(!clean && text.ends_with("\nimport os\n"), "{text:?}");
            }
        }
        let (all, clean) = text(b"# coding: cp437\nimport os");
        assert!(!clean && all.ends_with("import os"));
    }

    #[test]
    fn utf_16_and_nul_bytes_are_not_source() {
        let wide = |bytes: &str, swap: bool| -> Vec<u8> {
            let units = bytes.encode_utf16();
            units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
        };
        for swap in [false, true] {
            assert!(decode(&wide("import os\n", swap)).is_none());
            assert!(decode(&wide("\u{feff}import os\n", swap)).is_none());
            assert!(decode(&wide("\u{feff}# coding: utf-16\n", swap)).is_none());
        }
        assert!(decode(b"x\0").is_none());
        // The cookie is no UTF-16, so CPython refuses the file; it is not taken to be read whole.
        assert!(!text(b"# coding: utf-16\nimport os\n").1);
    }
}
