//! Texts as they are kept.
//!
//! PostgreSQL keeps no NUL in a text, and clients may put one into a message or a name. So a NUL is kept as
//! U+FDD0 and `0`, on every engine alike, and U+FDD0 itself, a code point that Unicode gives to nobody, as U+FDD0 and
//! `1`.

use sea_orm::Value;

const ESCAPE: char = '\u{fdd0}';

/// A text as it is kept.
pub(super) fn kept(text: String) -> String {
    if !text.contains(['\0', ESCAPE]) {
        return text;
    }
    text.replace(ESCAPE, "\u{fdd0}1").replace('\0', "\u{fdd0}0")
}

/// A text that was kept, as it was.
pub(super) fn read(kept: String) -> String {
    if !kept.contains(ESCAPE) {
        return kept;
    }
    kept.replace("\u{fdd0}0", "\0").replace("\u{fdd0}1", "\u{fdd0}")
}

/// A bound value as it is kept.
pub(super) fn kept_value(value: Value) -> Value {
    match value {
        Value::String(Some(text)) => Value::String(Some(kept(text))),
        other => other,
    }
}

/// A JSON array of texts as they are kept. Holds no character that is kept otherwise, so it can be bound itself.
pub(super) fn kept_array(texts: &[&str]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| kept((*text).to_owned())).collect();
    serde_json::Value::from(texts).to_string().replace(ESCAPE, "\\ufdd0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_holds_no_nul_and_reads_as_it_was() {
        for text in
            ["", "plain", "\0", "a\0b\0", "\u{fdd0}", "\u{fdd0}0", "\0\u{fdd0}1\0", "0\u{fdd0}\u{fdd0}"]
        {
            let kept = kept(text.to_owned());
            assert!(!kept.contains('\0'));
            assert_eq!(read(kept), text);
        }
        let array = kept_array(&["a\0", "\u{fdd0}\"\\"]);
        let read_back: Vec<String> = serde_json::from_str(&array).unwrap();
        let read_back: Vec<String> = read_back.into_iter().map(read).collect();
        assert_eq!(read_back, ["a\0", "\u{fdd0}\"\\"]);
        assert_eq!(kept(array.clone()), array);
    }
}
