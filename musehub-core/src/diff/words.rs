//! Two lines, word by word.

use std::collections::HashMap;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, NoSliderHeuristic, Token};

/// The longest line whose words are compared, in bytes.
pub const MAX_WORDS_BYTES: usize = 1_000;

/// Of the longer line, white space aside, at least this part must be in the other one too: one in so many bytes.
const ALIKE: usize = 3;

/// The parts of two lines that differ, in bytes. None where a line is too long, or where the lines have so little in common
/// that one is not a change of the other.
///
/// Words are runs of letters, digits and `_`, of white space, and any other character by itself.
#[must_use]
pub fn changed_words(old: &str, new: &str) -> Option<[Vec<Range<usize>>; 2]> {
    if old.len().max(new.len()) > MAX_WORDS_BYTES {
        return None;
    }
    let mut numbers: HashMap<&str, Token> = HashMap::new();
    let [before, after] = [old, new].map(|line| {
        let words = words(line);
        let number = |word: &Range<usize>| {
            let next = Token(u32::try_from(numbers.len()).unwrap_or(u32::MAX));
            *numbers.entry(&line[word.clone()]).or_insert(next)
        };
        let tokens: Vec<Token> = words.iter().map(number).collect();
        Line { text: line, words, tokens }
    });
    let mut diff = Diff::default();
    diff.compute_with(Algorithm::Myers, &before.tokens, &after.tokens, numbers.len() as u32);
    diff.postprocess_with(&before.tokens, &after.tokens, NoSliderHeuristic);
    let old = before.changed(|at| diff.is_removed(at));
    let new = after.changed(|at| diff.is_added(at));
    let common = |line: &Line<'_>, changed: &[usize]| {
        let same = (0..line.words.len()).filter(|at| changed.binary_search(at).is_err());
        same.map(|at| line.weight(at)).sum::<usize>()
    };
    let longer = before.whole().max(after.whole());
    let alike = common(&before, &old).min(common(&after, &new));
    (alike * ALIKE >= longer && alike > 0).then(|| [before.parts(&old), after.parts(&new)])
}

struct Line<'a> {
    text: &'a str,
    words: Vec<Range<usize>>,
    tokens: Vec<Token>,
}

impl Line<'_> {
    /// The words of which `is_changed` holds, by number.
    fn changed(&self, is_changed: impl Fn(u32) -> bool) -> Vec<usize> {
        (0_u32..).zip(0..self.words.len()).filter(|(at, _)| is_changed(*at)).map(|(_, at)| at).collect()
    }

    /// How much a word counts.
    fn weight(&self, word: usize) -> usize {
        if self.is_space(word) { 0 } else { self.words[word].len() }
    }

    fn whole(&self) -> usize {
        (0..self.words.len()).map(|word| self.weight(word)).sum()
    }

    fn is_space(&self, word: usize) -> bool {
        self.text[self.words[word].clone()].chars().all(char::is_whitespace)
    }

    /// Changed words as parts of the line; those with nothing but white space between them are one.
    fn parts(&self, changed: &[usize]) -> Vec<Range<usize>> {
        let mut parts: Vec<Range<usize>> = Vec::new();
        let mut last: Option<usize> = None;
        for word in changed.iter().copied() {
            let Range { start, end } = self.words[word].clone();
            let joins = last.is_some_and(|last| (last + 1..word).all(|between| self.is_space(between)));
            match parts.last_mut().filter(|_| joins) {
                Some(part) => part.end = end,
                None => parts.push(start..end),
            }
            last = Some(word);
        }
        parts
    }
}

#[derive(PartialEq, Eq)]
enum Class {
    Word,
    Space,
    Other,
}

fn words(line: &str) -> Vec<Range<usize>> {
    let class = |c: char| match c {
        '_' => Class::Word,
        c if c.is_alphanumeric() => Class::Word,
        c if c.is_whitespace() => Class::Space,
        _ => Class::Other,
    };
    let mut words: Vec<Range<usize>> = Vec::new();
    let mut last = Class::Other;
    for (at, c) in line.char_indices() {
        let this = class(c);
        let end = at + c.len_utf8();
        match words.last_mut().filter(|_| this == last && this != Class::Other) {
            Some(word) => word.end = end,
            None => words.push(at..end),
        }
        last = this;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both lines with brackets around what changed.
    fn marked(old: &str, new: &str) -> Option<[String; 2]> {
        let mark = |line: &str, parts: &[Range<usize>]| {
            let mut marked = line.to_owned();
            for part in parts.iter().rev() {
                marked.insert(part.end, ']');
                marked.insert(part.start, '[');
            }
            marked
        };
        let [before, after] = changed_words(old, new)?;
        Some([mark(old, &before), mark(new, &after)])
    }

    #[test]
    fn words_that_changed_are_found() {
        let cases = [
            ("return ignite(fuel)", "return start(fuel)", "return [ignite](fuel)", "return [start](fuel)"),
            ("limit = 10", "limit = 100", "limit = [10]", "limit = [100]"),
            ("f(a, b)", "f(a, b, c)", "f(a, b)", "f(a, b[, c])"),
            ("naïve café = 1", "naïve thé = 1", "naïve [café] = 1", "naïve [thé] = 1"),
            ("    deep = 1", "deep = 1", "[    ]deep = 1", "deep = 1"),
            (
                "one two three four x = 1 + 2",
                "1 2 three four x = 1 + 2",
                "[one two] three four x = 1 + 2",
                "[1 2] three four x = 1 + 2",
            ),
        ];
        for (old, new, before, after) in cases {
            assert_eq!(marked(old, new), Some([before.into(), after.into()]), "{old} / {new}");
        }
    }

    #[test]
    fn lines_that_have_little_in_common_are_not_compared() {
        for (old, new) in
            [("alpha beta gamma", "x = 17"), ("", "x"), ("   ", "  "), ("(", "completely_different(")]
        {
            assert_eq!(marked(old, new), None, "{old:?} / {new:?}");
        }
        assert_eq!(changed_words(&"a ".repeat(MAX_WORDS_BYTES), "a "), None);
    }
}
