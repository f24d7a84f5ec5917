//! What templates may call: escaping, numbers, ids, times and URLs.

use std::fmt::Write;

use minijinja::value::{Kwargs, ValueKind};
use minijinja::{AutoEscape, Error, Output, State, Value};

/// Longest first line of a commit message a row shows, in characters.
const FIRST_LINE_CHARS: usize = 200;
/// Longest time text shown when it is not ISO 8601, in characters.
const ODD_TIME_CHARS: usize = 32;
const SHORT_ID_CHARS: usize = 12;

/// Prints a value, escaped for text and for quoted attributes.
///
/// Unlike the engine's own escaping it leaves `/` alone, which keeps paths legible in the source,
/// and it shows control characters, which HTML does not allow, as U+FFFD.
pub(super) fn write_escaped(out: &mut Output, state: &mut State, value: &Value) -> Result<(), Error> {
    let plain = matches!(value.kind(), ValueKind::Number | ValueKind::Bool);
    if plain || value.is_safe() || matches!(state.auto_escape(), AutoEscape::None) {
        return Ok(write!(out, "{value}")?);
    }
    let owned;
    let text = match value.as_str() {
        Some(text) => text,
        None => {
            owned = value.to_string();
            owned.as_str()
        }
    };
    Ok(escape(out, text)?)
}

/// Writes text with everything escaped that is no plain text in HTML.
pub(super) fn escape(out: &mut impl Write, text: &str) -> std::fmt::Result {
    let mut rest = text;
    while let Some(at) = rest.find(needs_escape) {
        let (before, after) = rest.split_at(at);
        let mut chars = after.chars();
        let replacement = match chars.next() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            Some('\'') => "&#39;",
            _ => "\u{fffd}",
        };
        out.write_str(before)?;
        out.write_str(replacement)?;
        rest = chars.as_str();
    }
    out.write_str(rest)
}

fn needs_escape(c: char) -> bool {
    matches!(c, '&' | '<' | '>' | '"' | '\'') || (c.is_control() && !matches!(c, '\n' | '\t'))
}

/// `1234567` as `1,234,567`.
pub(super) fn fmtnum(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The word after a number: `1|plural("branch", "branches")` is `branch`.
pub(super) fn plural(number: u64, one: String, many: String) -> String {
    if number == 1 { one } else { many }
}

/// The first twelve characters of an id, without its algorithm.
pub(super) fn short_id(id: &str) -> String {
    let digits = id.split_once(':').map_or(id, |(_, digits)| digits);
    digits.chars().take(SHORT_ID_CHARS).collect()
}

/// The first line that is not blank, cut where no row could show more.
pub(super) fn first_line(message: &str) -> String {
    let line = message.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    cut(line, FIRST_LINE_CHARS)
}

/// Bytes in the largest unit that keeps the number at or above one.
pub(super) fn filesize(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// The folder part of a path with its closing slash, or nothing.
pub(super) fn path_dir(path: &str) -> String {
    path.rfind('/').map_or_else(String::new, |slash| path[..=slash].to_owned())
}

/// The last segment of a path.
pub(super) fn path_name(path: &str) -> String {
    path.rfind('/').map_or_else(|| path.to_owned(), |slash| path[slash + 1..].to_owned())
}

/// Date and minute of an ISO 8601 text, the zone only where it is not UTC. Commit times are kept
/// as clients wrote them, so any other text is shown as it stands.
pub(super) fn when(time: &str) -> String {
    match iso_parts(time) {
        Some((day, clock, zone)) => {
            if matches!(zone, "" | "Z" | "+00:00") {
                format!("{day} {clock}")
            } else {
                format!("{day} {clock} {zone}")
            }
        }
        None => cut(time, ODD_TIME_CHARS),
    }
}

/// The date of an ISO 8601 text; any other text as it stands.
pub(super) fn day(time: &str) -> String {
    iso_parts(time).map_or_else(|| cut(time, ODD_TIME_CHARS), |(day, _, _)| day.to_owned())
}

/// The minute of an ISO 8601 text; nothing for any other text.
pub(super) fn clock(time: &str) -> String {
    iso_parts(time).map_or_else(String::new, |(_, clock, _)| clock.to_owned())
}

/// Percent-encodes a path and keeps its slashes.
pub(super) fn urlpath(path: &str) -> String {
    percent_encode(path, |byte| byte == b'/')
}

/// Percent-encodes one query value.
pub(super) fn urlquery(value: &str) -> String {
    percent_encode(value, |_| false)
}

/// The query of a selection of issues with some of it changed; a change to `none` takes it out. It leads to the first page
/// unless it says which.
pub(super) fn selection(filter: &Value, changes: Kwargs) -> Result<String, Error> {
    query(filter, &["top", "issue_type", "severity", "file", "subject", "group", "page"], changes)
}

/// The same of what is shown of a difference.
pub(super) fn diff_query(diff: &Value, changes: Kwargs) -> Result<String, Error> {
    query(diff, &["parent", "view", "file", "page"], changes)
}

/// A query of the fields of `chosen`, some of them changed. What a page begins with is left out.
fn query(chosen: &Value, keys: &[&str], changes: Kwargs) -> Result<String, Error> {
    let mut query = String::new();
    for key in keys.iter().copied() {
        let value = match changes.has(key) {
            true => changes.get::<Value>(key)?,
            false if key == "page" => continue,
            false => chosen.get_attr(key)?,
        };
        let default = (key == "page" && value == Value::from(1))
            || (key == "view" && value.as_str() == Some("unified"));
        if value.is_none() || default {
            continue;
        }
        query.push(if query.is_empty() { '?' } else { '&' });
        query.push_str(key);
        query.push('=');
        query.push_str(&urlquery(&value.to_string()));
    }
    changes.assert_all_used()?;
    // A link without anything leads to the page as it begins, not to itself.
    Ok(if query.is_empty() { "?".to_owned() } else { query })
}

/// Encodes every byte outside the unreserved set of RFC 3986 §2.3 that `keep` does not keep.
fn percent_encode(text: &str, keep: impl Fn(u8) -> bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || keep(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(HEX[usize::from(byte >> 4)]));
            encoded.push(char::from(HEX[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// Splits `YYYY-MM-DDTHH:MM[:SS[.ffffff]][zone]` into date, minute and zone.
fn iso_parts(time: &str) -> Option<(&str, &str, &str)> {
    const SHAPE: &[u8; 16] = b"dddd-dd-ddTdd:dd";
    let head = time.get(..SHAPE.len())?;
    let matches = head.bytes().zip(SHAPE).all(|(byte, shape)| match shape {
        b'd' => byte.is_ascii_digit(),
        b'T' => matches!(byte, b'T' | b't' | b' '),
        other => byte == *other,
    });
    let zone = time[SHAPE.len()..].trim_start_matches(|c: char| c.is_ascii_digit() || ":.".contains(c));
    let known = matches!(zone, "" | "Z" | "z") || (zone.len() == 6 && zone.starts_with(['+', '-']));
    (matches && known).then(|| (&time[..10], &time[11..16], zone))
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((end, _)) => format!("{}…", text[..end].trim_end()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_grouped_by_thousands() {
        let cases = [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")];
        for (number, text) in cases {
            assert_eq!(fmtnum(number), text);
        }
        assert_eq!(fmtnum(u64::MAX), "18,446,744,073,709,551,615");
    }

    #[test]
    fn sizes_use_the_largest_unit_that_fits() {
        let cases = [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1_048_575, "1023.9 KiB"),
            (1_048_576, "1.0 MiB"),
            (u64::MAX, "16777215.9 TiB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(filesize(bytes), text);
        }
    }

    #[test]
    fn short_ids_drop_the_algorithm() {
        assert_eq!(short_id("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("0123456789abcdef"), "0123456789ab");
        assert_eq!(short_id("é"), "é");
    }

    #[test]
    fn first_lines_are_found_and_cut() {
        assert_eq!(first_line("\n  subject \nbody"), "subject");
        assert_eq!(first_line(" \n"), "");
        assert_eq!(first_line(&"ü".repeat(5000)).chars().count(), FIRST_LINE_CHARS + 1);
    }

    #[test]
    fn paths_split_at_the_last_slash() {
        assert_eq!((path_dir("a/b/c.py").as_str(), path_name("a/b/c.py").as_str()), ("a/b/", "c.py"));
        assert_eq!((path_dir("c.py").as_str(), path_name("c.py").as_str()), ("", "c.py"));
    }

    #[test]
    fn times_are_read_where_they_are_iso_and_shown_as_they_stand_elsewhere() {
        let cases = [
            ("2026-03-20T12:00:00+00:00", "2026-03-20 12:00"),
            ("2026-03-20T12:00:00.123456+02:00", "2026-03-20 12:00 +02:00"),
            ("2026-03-20T12:00Z", "2026-03-20 12:00"),
            ("2026-03-20", "2026-03-20"),
            ("2026-03-20T12:00:00 hello", "2026-03-20T12:00:00 hello"),
            ("ééééééééé", "ééééééééé"),
            ("", ""),
        ];
        for (time, text) in cases {
            assert_eq!(when(time), text);
        }
        assert_eq!(day("2026-03-20T12:00:00+00:00"), "2026-03-20");
        assert_eq!(clock("2026-03-20T12:00:00+00:00"), "12:00");
        assert_eq!(clock("noon"), "");
        assert_eq!(when(&"x".repeat(500)).chars().count(), ODD_TIME_CHARS + 1);
    }

    #[test]
    fn urls_keep_only_unreserved_characters() {
        assert_eq!(urlpath("feature/ü #1?&%\"<"), "feature/%C3%BC%20%231%3F%26%25%22%3C");
        assert_eq!(urlquery("a/b c=~1"), "a%2Fb%20c%3D~1");
    }

    #[test]
    fn control_characters_are_shown_as_replacement() {
        let mut env = minijinja::Environment::new();
        env.set_formatter(write_escaped);
        env.set_auto_escape_callback(|_| AutoEscape::Html);
        let html = env
            .render_str("{{ text }} {{ n }}", minijinja::context! { text => "a\0\u{1b}\u{85}\t/<", n => 7 });
        assert_eq!(html.ok().as_deref(), Some("a\u{fffd}\u{fffd}\u{fffd}\t/&lt; 7"));
    }
}
