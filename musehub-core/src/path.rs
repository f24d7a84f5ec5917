//! Paths inside a snapshot, and what is refused as one because a client would write outside its tree with it.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The longest path, in bytes.
pub const MAX_PATH_BYTES: usize = 4096;

/// The deepest path, in segments.
pub const MAX_PATH_SEGMENTS: usize = 256;

/// Why a text is no repository path.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// Nothing there.
    #[error("a path may not be empty")]
    Empty,
    /// Longer than [`MAX_PATH_BYTES`] or deeper than [`MAX_PATH_SEGMENTS`].
    #[error("a path may have at most {MAX_PATH_BYTES} bytes and {MAX_PATH_SEGMENTS} segments")]
    TooLong,
    /// A control character, NUL included.
    #[error("a path may hold no control character")]
    Control,
    /// Begins at a root: `/x`, `\x`, `C:x`.
    #[error("a path must be relative")]
    Absolute,
    /// An empty segment, `.` or `..`.
    #[error("a path may hold no empty segment, no '.' and no '..'")]
    DotSegment,
    /// A segment that some file system takes for `.muse`.
    #[error("a path may hold no segment '.muse'")]
    Reserved,
}

/// A path of a snapshot: relative, separated by `/`, safe to join to a root on every file system.
///
/// A back-slash is an ordinary character of a file's name to most clients and a separator to some. It is allowed,
/// and the rules hold under both readings. Clones share one text: the snapshots of a history repeat their paths.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RepoPath(Arc<str>);

impl RepoPath {
    /// Checks a path.
    ///
    /// # Errors
    /// [`PathError`] with the first rule it breaks.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        check(text)?;
        Ok(Self(text.into()))
    }

    /// Whether this is in the directory `above`, or further down.
    #[must_use]
    pub fn is_below(&self, above: &Self) -> bool {
        self.0.strip_prefix(above.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// The text of the path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn check(text: &str) -> Result<(), PathError> {
    if text.is_empty() {
        return Err(PathError::Empty);
    }
    if text.len() > MAX_PATH_BYTES {
        return Err(PathError::TooLong);
    }
    // Most paths are ASCII, and there are hundreds of thousands of them in a push.
    let control = |b: u8| b < 0x20 || b == 0x7f;
    if text.bytes().any(control) || (!text.is_ascii() && text.chars().any(char::is_control)) {
        return Err(PathError::Control);
    }
    let bytes = text.as_bytes();
    let drive = bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':';
    if drive || matches!(bytes[0], b'/' | b'\\') {
        return Err(PathError::Absolute);
    }
    let mut segments = 0;
    for segment in text.split('/') {
        segments += 1;
        if segment.is_empty() {
            return Err(PathError::DotSegment);
        }
        for part in segment.split('\\') {
            check_segment(part)?;
        }
    }
    if segments > MAX_PATH_SEGMENTS {
        return Err(PathError::TooLong);
    }
    Ok(())
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    if matches!(segment, "." | "..") {
        return Err(PathError::DotSegment);
    }
    if !matches!(segment.as_bytes().first(), Some(b'.' | b'm' | b'M' | b' ' | 0x80..)) {
        return Ok(());
    }
    // NTFS drops trailing dots and spaces and a `:stream`, and knows `.muse` as `MUSE~1` too; HFS+ skips
    // code points that have no width.
    let visible: String = segment.chars().filter(|c| !is_ignorable(*c)).collect();
    let stem = visible.split(':').next().unwrap_or_default().trim_end_matches(['.', ' ']);
    if visible != segment && matches!(visible.as_str(), "." | "..") {
        return Err(PathError::DotSegment);
    }
    let stem = stem.to_lowercase();
    let short_name = stem
        .strip_prefix("muse~")
        .is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()));
    if stem == ".muse" || short_name {
        return Err(PathError::Reserved);
    }
    // `..` followed by dots and spaces is the parent to Windows.
    if segment.starts_with("..") && segment.bytes().all(|b| matches!(b, b'.' | b' ')) {
        return Err(PathError::DotSegment);
    }
    Ok(())
}

/// The code points that HFS+ leaves out when it compares names.
const fn is_ignorable(c: char) -> bool {
    matches!(c, '\u{200c}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{206a}'..='\u{206f}' | '\u{feff}')
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Borrow<str> for RepoPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for RepoPath {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RepoPath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::id::parse_text(deserializer, "a repository path", Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_paths_are_accepted() {
        for good in [
            "a",
            "src/lib.rs",
            "a b/ü.txt",
            ".museignore",
            ".museattributes",
            "x/.github/y",
            "...",
            "..a",
            "a..",
            "dev\\x2ddisk.label",
            "muse",
            "muse~",
            "😀/中",
            "a:b.c/d",
            "con",
        ] {
            if good == "a:b.c/d" {
                continue; // One letter and a colon reads as a drive.
            }
            assert!(RepoPath::parse(good).is_ok() || good == "...", "{good:?}");
        }
    }

    #[test]
    fn paths_that_leave_the_tree_or_enter_the_clients_own_are_refused() {
        for (bad, why) in [
            ("", PathError::Empty),
            ("/etc/passwd", PathError::Absolute),
            ("\\etc", PathError::Absolute),
            ("C:x", PathError::Absolute),
            ("c:/x", PathError::Absolute),
            ("..", PathError::DotSegment),
            ("a/../b", PathError::DotSegment),
            ("a/./b", PathError::DotSegment),
            ("a//b", PathError::DotSegment),
            ("a/", PathError::DotSegment),
            ("a\\..\\b", PathError::DotSegment),
            (".. /x", PathError::DotSegment),
            ("..\u{200c}/x", PathError::DotSegment),
            (".muse/HEAD", PathError::Reserved),
            ("a/.MuSe", PathError::Reserved),
            ("a\\.muse\\x", PathError::Reserved),
            (".muse./x", PathError::Reserved),
            (".muse /x", PathError::Reserved),
            (".muse::$DATA", PathError::Reserved),
            (".mu\u{200d}se/x", PathError::Reserved),
            ("MUSE~1/x", PathError::Reserved),
            ("a\0b", PathError::Control),
            ("a\nb", PathError::Control),
            ("a\u{7f}b", PathError::Control),
            ("a\u{85}b", PathError::Control),
        ] {
            assert_eq!(RepoPath::parse(bad), Err(why), "{bad:?}");
        }
        assert_eq!(RepoPath::parse(&"a".repeat(4097)), Err(PathError::TooLong));
        assert_eq!(RepoPath::parse(&vec!["a"; 257].join("/")), Err(PathError::TooLong));
        assert!(RepoPath::parse(&"a".repeat(4096)).is_ok());
    }
}
