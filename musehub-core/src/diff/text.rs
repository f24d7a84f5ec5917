//! Two texts, line by line: hunks with context, one below the other or side by side.

use std::ops::Range;

use super::lines::{Lines, Placement, Replaced};

/// The largest version of a file whose lines are compared, in bytes.
pub const MAX_DIFFED_BYTES: u64 = 1 << 20;

/// The most lines of such a version.
pub const MAX_DIFFED_LINES: usize = 20_000;

/// How many lines around a change belong to its hunk.
pub const CONTEXT_LINES: usize = 3;

/// How far into a file a NUL makes it binary, in bytes. Git's number.
const SNIFFED_BYTES: usize = 8_000;

/// Whether bytes are no text: a NUL stands near their start.
#[must_use]
pub fn is_binary(bytes: &[u8]) -> bool {
    bytes.iter().take(SNIFFED_BYTES).any(|byte| *byte == 0)
}

/// What there is to say about two versions of a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Comparison {
    /// Which lines differ.
    Text(TextDiff),
    /// A version is binary.
    Binary,
    /// A version has too many bytes or lines.
    TooLarge,
}

impl Comparison {
    /// Compares two versions; a file that is not there is as an empty one.
    #[must_use]
    pub fn of(old: &[u8], new: &[u8]) -> Self {
        if is_binary(old) || is_binary(new) {
            return Self::Binary;
        }
        let is_large = |text: &[u8]| {
            text.len() as u64 > MAX_DIFFED_BYTES
                || text.iter().filter(|byte| **byte == b'\n').count() > MAX_DIFFED_LINES
        };
        if is_large(old) || is_large(new) {
            return Self::TooLarge;
        }
        Self::Text(TextDiff::of(old, new, CONTEXT_LINES))
    }
}

/// Where two texts differ.
///
/// Lines are counted from 0; a text that ends without a newline has a last line all the same.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TextDiff {
    /// Groups of changes that stand close together, in order, with the lines around them.
    pub hunks: Vec<Hunk>,
    /// Lines that only the new text has.
    pub added: usize,
    /// Lines that only the old text has.
    pub deleted: usize,
    /// The last line of the old text, where it has no newline.
    pub old_unended: Option<usize>,
    /// The last line of the new text, where it has no newline.
    pub new_unended: Option<usize>,
}

/// Changes that stand close together, and the lines around them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hunk {
    /// Its lines in the old text.
    pub old: Range<usize>,
    /// Its lines in the new text.
    pub new: Range<usize>,
    /// The changes, at least one. What is between them is alike in both texts.
    pub changes: Vec<Change>,
}

/// Lines of the old text, and those of the new text in their place. One of the two may be empty.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// The lines that went.
    pub old: Range<usize>,
    /// The lines that came.
    pub new: Range<usize>,
}

/// A line of a hunk, where all are one below the other.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum UnifiedLine {
    /// Alike in both texts.
    Context {
        /// Its number in the old text.
        old: usize,
        /// Its number in the new text.
        new: usize,
    },
    /// Only in the old text.
    Deleted {
        /// Its number.
        old: usize,
        /// The line that came in its place, if one did.
        by: Option<usize>,
    },
    /// Only in the new text.
    Added {
        /// Its number.
        new: usize,
        /// The line in whose place it came, if there was one.
        of: Option<usize>,
    },
}

/// A row of a hunk, where the texts are side by side.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SplitRow {
    /// The line of the old text.
    pub old: Option<usize>,
    /// The line of the new text.
    pub new: Option<usize>,
    /// Whether they are alike.
    pub alike: bool,
}

impl TextDiff {
    /// Compares two texts; `context` is how many lines around a change belong to its hunk. Callers bound the texts.
    #[must_use]
    pub fn of(old: &[u8], new: &[u8], context: usize) -> Self {
        let mut lines = Lines::default();
        let (before, after) = (lines.split(old), lines.split(new));
        let replaced = lines.replaced(&before, &after, Placement::Indentation);
        let unended = |text: &[u8], lines: usize| (!text.ends_with(b"\n")).then(|| lines.checked_sub(1))?;
        Self {
            added: replaced.iter().map(|change| change.after.len()).sum(),
            deleted: replaced.iter().map(|change| change.before.len()).sum(),
            hunks: hunks(replaced, before.len(), after.len(), context),
            old_unended: unended(old, before.len()),
            new_unended: unended(new, after.len()),
        }
    }

    /// The last line of the old text that a hunk has; none where there is no hunk.
    #[must_use]
    pub fn old_end(&self) -> usize {
        self.hunks.last().map_or(0, |hunk| hunk.old.end)
    }

    /// The same of the new text.
    #[must_use]
    pub fn new_end(&self) -> usize {
        self.hunks.last().map_or(0, |hunk| hunk.new.end)
    }
}

/// Joins changes whose context overlaps or touches.
fn hunks(replaced: Vec<Replaced>, old_lines: usize, new_lines: usize, context: usize) -> Vec<Hunk> {
    let mut hunks: Vec<Hunk> = Vec::new();
    for Replaced { before: old, after: new } in replaced {
        let end = |end: usize, lines: usize| end.saturating_add(context).min(lines);
        let (old_end, new_end) = (end(old.end, old_lines), end(new.end, new_lines));
        let start = old.start.saturating_sub(context);
        match hunks.last_mut().filter(|last| last.old.end >= start) {
            Some(last) => {
                last.old.end = old_end;
                last.new.end = new_end;
                last.changes.push(Change { old, new });
            }
            None => hunks.push(Hunk {
                old: start..old_end,
                new: new.start - (old.start - start)..new_end,
                changes: vec![Change { old, new }],
            }),
        }
    }
    hunks
}

impl Hunk {
    /// Its lines one below the other: of each change first what went, then what came.
    pub fn unified(&self) -> impl Iterator<Item = UnifiedLine> {
        self.parts().flat_map(|part| {
            let change = part.change.clone();
            let by = change.new.clone();
            let deleted =
                change.old.clone().zip(padded(by)).map(|(old, by)| UnifiedLine::Deleted { old, by });
            let added = change.new.zip(padded(change.old)).map(|(new, of)| UnifiedLine::Added { new, of });
            let context = part.old.zip(part.new).map(|(old, new)| UnifiedLine::Context { old, new });
            context.chain(deleted).chain(added)
        })
    }

    /// Its lines side by side.
    pub fn split(&self) -> impl Iterator<Item = SplitRow> {
        self.parts().flat_map(|part| {
            let rows = part.change.old.len().max(part.change.new.len());
            let changed = padded(part.change.old).zip(padded(part.change.new)).take(rows);
            let alike = part.old.zip(part.new);
            let alike = alike.map(|(old, new)| SplitRow { old: Some(old), new: Some(new), alike: true });
            alike.chain(changed.map(|(old, new)| SplitRow { old, new, alike: false }))
        })
    }

    /// The stretches of lines that are alike, each with the change after it; the last one's is empty.
    fn parts(&self) -> impl Iterator<Item = Part> {
        let end = Change { old: self.old.end..self.old.end, new: self.new.end..self.new.end };
        let changes = self.changes.iter().cloned().chain([end]);
        changes.scan((self.old.start, self.new.start), |(old, new), change| {
            let part = Part { old: *old..change.old.start, new: *new..change.new.start, change };
            (*old, *new) = (part.change.old.end, part.change.new.end);
            Some(part)
        })
    }
}

struct Part {
    old: Range<usize>,
    new: Range<usize>,
    change: Change,
}

/// The numbers of a range, and then nothing for ever.
fn padded(range: Range<usize>) -> impl Iterator<Item = Option<usize>> {
    range.map(Some).chain(std::iter::repeat(None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(letters: &str) -> Vec<u8> {
        letters.chars().flat_map(|letter| [letter as u8, b'\n']).collect()
    }

    fn unified(old: &str, new: &str, context: usize) -> String {
        let (before, after) = (text(old), text(new));
        let diff = TextDiff::of(&before, &after, context);
        let line = |line| match line {
            UnifiedLine::Context { old: at, .. } => format!(" {}", &old[at..=at]),
            UnifiedLine::Deleted { old: at, .. } => format!("-{}", &old[at..=at]),
            UnifiedLine::Added { new: at, .. } => format!("+{}", &new[at..=at]),
        };
        let hunk = |hunk: &Hunk| hunk.unified().map(line).collect::<String>();
        diff.hunks.iter().map(hunk).collect::<Vec<_>>().join(" | ")
    }

    #[test]
    fn changes_come_with_the_lines_around_them() {
        assert_eq!(unified("abcdefgh", "abcXefgh", 1), " c-d+X e");
        assert_eq!(unified("abcdefgh", "Xabcdefgh", 2), "+X a b");
        assert_eq!(unified("abcdefgh", "abcdefg", 2), " f g-h");
        assert_eq!(unified("abc", "abc", 3), "");
        assert_eq!(unified("", "ab", 3), "+a+b");
        assert_eq!(unified("ab", "", 3), "-a-b");
    }

    #[test]
    fn changes_that_share_context_are_one_hunk_and_others_are_not() {
        assert_eq!(unified("abcdefgh", "aXcdeYgh", 1), " a-b+X c |  e-f+Y g");
        assert_eq!(unified("abcdefgh", "aXcdeYgh", 2), " a-b+X c d e-f+Y g h");
        assert_eq!(unified("abcdefgh", "aXcYefgh", 1), " a-b+X c-d+Y e");
    }

    #[test]
    fn lines_that_came_in_place_of_others_stand_beside_them() {
        let (old, new) = (text("abcd"), text("aXYZd"));
        let diff = TextDiff::of(&old, &new, 1);
        let rows: Vec<_> = diff.hunks[0].split().map(|row| (row.old, row.new, row.alike)).collect();
        let expected = [
            (Some(0), Some(0), true),
            (Some(1), Some(1), false),
            (Some(2), Some(2), false),
            (None, Some(3), false),
            (Some(3), Some(4), true),
        ];
        assert_eq!(rows, expected);
        assert_eq!((diff.added, diff.deleted), (3, 2));
        let pairs = diff.hunks[0].unified().filter_map(|line| match line {
            UnifiedLine::Added { new, of } => Some((new, of)),
            _ => None,
        });
        assert_eq!(pairs.collect::<Vec<_>>(), [(1, Some(1)), (2, Some(2)), (3, None)]);
    }

    #[test]
    fn the_end_of_a_line_counts() {
        let diff = TextDiff::of(b"a\nb", b"a\nb\n", 3);
        assert_eq!((diff.added, diff.deleted), (1, 1));
        assert_eq!((diff.old_unended, diff.new_unended), (Some(1), None));
        let diff = TextDiff::of(b"a\r\nb\r\n", b"a\nb\r\n", 3);
        assert_eq!((diff.added, diff.deleted), (1, 1));
        let diff = TextDiff::of(b"", b"a", 3);
        assert_eq!((diff.old_unended, diff.new_unended), (None, Some(0)));
        let diff = TextDiff::of(b"caf\xe9\nx\n", b"caf\xe8\nx\n", 3);
        assert_eq!((diff.added, diff.deleted), (1, 1));
    }

    #[test]
    fn a_block_that_was_added_begins_where_its_indentation_does() {
        let old = b"def a():\n    x\n\ndef c():\n    z\n";
        let new = b"def a():\n    x\n\ndef b():\n    y\n\ndef c():\n    z\n";
        let diff = TextDiff::of(old, new, 0);
        assert_eq!(diff.hunks[0].changes, [Change { old: 3..3, new: 3..6 }]);
    }

    #[test]
    fn what_is_no_text_or_too_much_of_it_is_not_compared() {
        assert_eq!(Comparison::of(b"a\0b", b"a"), Comparison::Binary);
        assert_eq!(Comparison::of(b"", b"\0"), Comparison::Binary);
        let late = [&[b'a'; SNIFFED_BYTES][..], b"\0"].concat();
        assert!(matches!(Comparison::of(&late, b""), Comparison::Text(_)));
        let large = vec![b'a'; MAX_DIFFED_BYTES as usize + 1];
        assert_eq!(Comparison::of(&large, b""), Comparison::TooLarge);
        let long = vec![b'\n'; MAX_DIFFED_LINES + 1];
        assert_eq!(Comparison::of(b"", &long), Comparison::TooLarge);
        assert!(matches!(Comparison::of(b"", &long[1..]), Comparison::Text(_)));
    }
}
