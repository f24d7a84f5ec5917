//! What changed between two versions: which files, and which lines and words of a text. Pure: whoever shows a difference
//! fetches the contents.
//!
//! * [`trees`] compares two trees path by path, by the ids of blobs alone. A file that was moved without an edit is
//!   found by the same rule as in a [merge](crate::merge).
//! * [`TextDiff`] compares two texts line by line, as bytes and with their ends, so that any encoding, a carriage return
//!   and a missing newline at the end are seen. The differences are Myers' with the cut-offs of git, which keep hostile texts
//!   from taking quadratic time; where they could stand in several places, they are moved to where the indentation says.
//! * [`changed_words`] compares two lines.
//!
//! # Limits
//!
//! Trees: a page of files at a time ([`Selection`]), while the totals count all of them. Texts: [`MAX_DIFFED_BYTES`] and
//! [`MAX_DIFFED_LINES`] for either version; what is larger, and what has a NUL near its start, has no lines to compare
//! ([`Comparison`]). Words: lines of up to [`MAX_WORDS_BYTES`].

pub(crate) mod lines;
mod text;
mod tree;
mod words;

pub use text::{
    CONTEXT_LINES, Change, Comparison, Hunk, MAX_DIFFED_BYTES, MAX_DIFFED_LINES, SplitRow, TextDiff,
    UnifiedLine, is_binary,
};
pub use tree::{ChangeKind, ChangedFile, FileVersion, Selection, Totals, TreeDiff, trees};
pub use words::{MAX_WORDS_BYTES, changed_words};
