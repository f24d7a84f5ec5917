//! Three versions of a text, merged line by line as `git merge-file` does it.
//!
//! Lines are compared as bytes, their ends included, so any encoding without NUL is text. The differences are those of
//! Myers' algorithm with the cut-offs of git, which keep hostile texts from taking quadratic time.

use std::ops::Range;

use imara_diff::Token;

use super::MAX_TEXT_LINES;
use crate::diff::lines::{Lines, Placement, Replaced};

/// The length of conflict markers in a virtual base. Longer than git's, so that no file that somebody committed with
/// markers is taken for one.
const MARKER_LENGTH: usize = 11;

/// What becomes of lines that both sides changed in different ways.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Overlap {
    /// There is no merged text.
    Refuse,
    /// Their lines are taken.
    Theirs,
    /// Both are taken, between markers.
    Mark,
}

/// Whether bytes are text, without NUL and of not too many lines.
pub(super) fn is_mergeable(bytes: &[u8]) -> bool {
    !bytes.contains(&0) && bytes.iter().filter(|byte| **byte == b'\n').count() < MAX_TEXT_LINES
}

/// A merged text.
#[derive(Debug)]
pub(super) struct MergedText {
    pub(super) bytes: Vec<u8>,
    /// Whether both sides changed the same lines somewhere.
    pub(super) overlaps: bool,
}

/// Merges what two sides made of a text; none where they changed the same lines, or lines that touch, in different ways
/// and `overlap` refuses that.
pub(super) fn merge(base: &[u8], ours: &[u8], theirs: &[u8], overlap: Overlap) -> Option<MergedText> {
    let mut lines = Lines::default();
    let [base, ours, theirs] = [base, ours, theirs].map(|text| lines.split(text));
    let hunks = |side: &[Token]| -> Vec<Hunk> {
        let replaced = lines.replaced(&base, side, Placement::Down).into_iter();
        replaced.map(|Replaced { before, after }| Hunk { base: before, side: after }).collect()
    };
    let (our_hunks, their_hunks) = (hunks(&ours), hunks(&theirs));
    let mut merged = Output { lines: &lines, bytes: Vec::new() };
    let mut overlaps = false;
    let mut done = 0;
    for region in regions(&our_hunks, &their_hunks) {
        merged.add(&base[done..region.base.start]);
        done = region.base.end;
        let mine = &ours[region.ours.clone()];
        let other = &theirs[region.theirs.clone()];
        match region.changed {
            Changed::Ours => merged.add(mine),
            Changed::Theirs => merged.add(other),
            Changed::Both if mine == other => merged.add(mine),
            Changed::Both => {
                overlaps = true;
                match overlap {
                    Overlap::Refuse => return None,
                    Overlap::Theirs => merged.add(other),
                    Overlap::Mark => merged.mark(mine, other),
                }
            }
        }
    }
    merged.add(&base[done..]);
    Some(MergedText { bytes: merged.bytes, overlaps })
}

struct Output<'a> {
    lines: &'a Lines<'a>,
    bytes: Vec<u8>,
}

impl Output<'_> {
    fn add(&mut self, tokens: &[Token]) {
        for token in tokens {
            self.bytes.extend_from_slice(self.lines.text(*token));
        }
    }

    fn mark(&mut self, ours: &[Token], theirs: &[Token]) {
        for (marker, lines) in [(b'<', Some(ours)), (b'=', Some(theirs)), (b'>', None)] {
            if self.bytes.last().is_some_and(|last| *last != b'\n') {
                self.bytes.push(b'\n');
            }
            self.bytes.extend_from_slice(&[marker; MARKER_LENGTH]);
            self.bytes.push(b'\n');
            self.add(lines.unwrap_or_default());
        }
    }
}

/// Lines of the base that a side replaced by others.
struct Hunk {
    base: Range<usize>,
    side: Range<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    Ours,
    Theirs,
    Both,
}

/// Lines of the base that were changed, with what they are on either side.
struct Region {
    base: Range<usize>,
    ours: Range<usize>,
    theirs: Range<usize>,
    changed: Changed,
}

/// Joins the hunks of both sides that overlap or touch.
fn regions(ours: &[Hunk], theirs: &[Hunk]) -> Vec<Region> {
    let mut regions = Vec::new();
    let (mut ours, mut theirs) = (Side::new(ours), Side::new(theirs));
    while let Some(start) = [ours.next_start(), theirs.next_start()].into_iter().flatten().min() {
        let mut end = start;
        let (from_ours, from_theirs) = (ours.taken, theirs.taken);
        // A hunk that is taken may reach further, to where more of the other side's begin.
        while let Some(reached) = ours.take(end).or_else(|| theirs.take(end)) {
            end = end.max(reached);
        }
        let changed = match (ours.taken > from_ours, theirs.taken > from_theirs) {
            (true, false) => Changed::Ours,
            (false, _) => Changed::Theirs,
            (true, true) => Changed::Both,
        };
        regions.push(Region {
            base: start..end,
            ours: ours.span(from_ours, start, end),
            theirs: theirs.span(from_theirs, start, end),
            changed,
        });
    }
    regions
}

/// The hunks of one side, as far as they have been taken into regions.
struct Side<'a> {
    hunks: &'a [Hunk],
    taken: usize,
}

impl<'a> Side<'a> {
    const fn new(hunks: &'a [Hunk]) -> Self {
        Self { hunks, taken: 0 }
    }

    fn next_start(&self) -> Option<usize> {
        self.hunks.get(self.taken).map(|hunk| hunk.base.start)
    }

    /// Takes the next hunk if it begins at `end` or before, and says where it ends.
    fn take(&mut self, end: usize) -> Option<usize> {
        let hunk = self.hunks.get(self.taken).filter(|hunk| hunk.base.start <= end)?;
        self.taken += 1;
        Some(hunk.base.end)
    }

    /// What the lines `start..end` of the base are on this side, of which the hunks since `from` are part.
    fn span(&self, from: usize, start: usize, end: usize) -> Range<usize> {
        let at = |line: usize, hunks: usize| match hunks.checked_sub(1) {
            None => line,
            Some(last) => self.hunks[last].side.end + (line - self.hunks[last].base.end),
        };
        at(start, from)..at(end, self.taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, ours: &str, theirs: &str, overlap: Overlap) -> Option<String> {
        let text = |letters: &str| letters.chars().fold(String::new(), |text, c| format!("{text}{c}\n"));
        let merged = merge(text(base).as_bytes(), text(ours).as_bytes(), text(theirs).as_bytes(), overlap);
        merged.map(|merged| String::from_utf8(merged.bytes).unwrap().replace('\n', ""))
    }

    fn clean(base: &str, ours: &str, theirs: &str) -> Option<String> {
        let there = merged(base, ours, theirs, Overlap::Refuse);
        assert_eq!(merged(base, theirs, ours, Overlap::Refuse), there, "the sides count alike");
        there
    }

    #[test]
    fn changes_apart_from_each_other_are_both_taken() {
        assert_eq!(clean("abcde", "Xbcde", "abcdY").as_deref(), Some("XbcdY"));
        assert_eq!(clean("abcde", "acde", "abcdXYe").as_deref(), Some("acdXYe"));
        assert_eq!(clean("abcde", "XabcdeY", "abde").as_deref(), Some("XabdeY"));
        assert_eq!(clean("abcde", "abcde", "Xe").as_deref(), Some("Xe"));
    }

    #[test]
    fn the_same_change_is_taken_once() {
        assert_eq!(clean("abc", "aXc", "aXc").as_deref(), Some("aXc"));
        assert_eq!(clean("", "ab", "ab").as_deref(), Some("ab"));
        assert_eq!(clean("abc", "", "").as_deref(), Some(""));
        assert_eq!(clean("abcdef", "aXcdeY", "aXcdef").as_deref(), Some("aXcdeY"));
    }

    #[test]
    fn changes_that_overlap_or_touch_are_refused() {
        for (base, ours, theirs) in
            [("abc", "aXc", "aYc"), ("abc", "Xbc", "aYc"), ("ab", "aXb", "aYb"), ("abc", "ac", "abXc")]
        {
            assert_eq!(clean(base, ours, theirs), None, "{base} {ours} {theirs}");
        }
        // Ours reaches over two changes of theirs: one region.
        assert_eq!(clean("abcdefg", "aXYZg", "aBcdeFg"), None);
    }

    #[test]
    fn their_lines_win_where_they_may_and_nothing_else_of_ours_is_lost() {
        assert_eq!(merged("abcde", "Xbcde", "Ybcde", Overlap::Theirs).as_deref(), Some("Ybcde"));
        assert_eq!(merged("abcde", "Xbcdefg", "Ybcde", Overlap::Theirs).as_deref(), Some("Ybcdefg"));
    }

    #[test]
    fn both_are_marked_and_a_marker_begins_its_line() {
        let marked = merge(b"a\nb", b"a\nx", b"a\ny", Overlap::Mark).unwrap().bytes;
        let expected = "a\n<<<<<<<<<<<\nx\n===========\ny\n>>>>>>>>>>>\n";
        assert_eq!(String::from_utf8(marked).unwrap(), expected);
    }

    #[test]
    fn a_missing_newline_at_the_end_is_a_change_like_others() {
        let merge = |base: &str, ours: &str, theirs: &str| {
            merge(base.as_bytes(), ours.as_bytes(), theirs.as_bytes(), Overlap::Refuse)
                .map(|merged| merged.bytes)
        };
        assert_eq!(merge("a\nb\nc", "A\nb\nc", "a\nb\nc\n").unwrap(), b"A\nb\nc\n");
        assert_eq!(merge("a\nb", "a\nb\nc", "a\nb\n"), None);
        assert_eq!(
            merge("a\r\nb\r\nc\r\n", "A\r\nb\r\nc\r\n", "a\r\nb\r\nC\r\n").unwrap(),
            b"A\r\nb\r\nC\r\n"
        );
    }
}
