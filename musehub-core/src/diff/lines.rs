//! Texts as numbered lines, and where two of them differ.

use std::collections::HashMap;
use std::ops::Range;

use imara_diff::{Algorithm, Diff, IndentHeuristic, IndentLevel, NoSliderHeuristic, Token};

/// How wide a tabulator counts where indentation is compared.
const TAB_WIDTH: u8 = 8;

/// Where a difference stands that could stand in several places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Placement {
    /// As far down as it can.
    Down,
    /// Where the indentation makes it read best.
    Indentation,
}

/// Numbers lines, equal ones alike. Their ends count.
#[derive(Default)]
pub(crate) struct Lines<'a> {
    numbers: HashMap<&'a [u8], Token>,
    texts: Vec<&'a [u8]>,
}

/// Lines of one text that others stand in place of.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Replaced {
    /// The lines before.
    pub(crate) before: Range<usize>,
    /// The lines after.
    pub(crate) after: Range<usize>,
}

impl<'a> Lines<'a> {
    /// The lines of a text by number.
    pub(crate) fn split(&mut self, text: &'a [u8]) -> Vec<Token> {
        let mut number = |line| {
            *self.numbers.entry(line).or_insert_with(|| {
                self.texts.push(line);
                // A text is far below 2³² bytes.
                Token((self.texts.len() - 1) as u32)
            })
        };
        text.split_inclusive(|byte| *byte == b'\n').map(&mut number).collect()
    }

    /// The line of a number.
    pub(crate) fn text(&self, token: Token) -> &'a [u8] {
        self.texts[token.0 as usize]
    }

    /// Where two texts differ, in order.
    pub(crate) fn replaced(&self, before: &[Token], after: &[Token], placement: Placement) -> Vec<Replaced> {
        let mut diff = Diff::default();
        diff.compute_with(Algorithm::Myers, before, after, self.texts.len() as u32);
        match placement {
            Placement::Down => diff.postprocess_with(before, after, NoSliderHeuristic),
            Placement::Indentation => {
                let indent = |token| IndentLevel::for_ascii_line(self.text(token).iter().copied(), TAB_WIDTH);
                diff.postprocess_with(before, after, IndentHeuristic::new(indent));
            }
        }
        let range = |range: Range<u32>| range.start as usize..range.end as usize;
        diff.hunks().map(|hunk| Replaced { before: range(hunk.before), after: range(hunk.after) }).collect()
    }
}
