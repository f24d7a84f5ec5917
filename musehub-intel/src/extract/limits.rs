//! How much of a hostile file is safe to parse: a token scan that runs in constant stack before the parser does.
//!
//! The parser, the walk over its tree and the drop of the tree recurse once per nesting level, and a chain such as
//! `a.b.c` or `1+1+1` nests once per operator. A stack overflow cannot be caught, so the depth is bounded first.

use ruff_python_ast::token::TokenKind;
use ruff_python_parser::{Mode, lexer};

/// Files above this size are not read.
pub const MAX_FILE_BYTES: usize = 8 << 20;
/// Tokens after which the rest of a file is ignored: bounds the memory of the syntax tree.
const MAX_TOKENS: usize = 2_000_000;
/// Nesting after which the rest is ignored. CPython gives up at 100 indents, 200 brackets and about 3,000 operators.
pub(super) const MAX_DEPTH: usize = 3_000;

/// Rounds of the search for the longest prefix within the limits.
const MAX_CUTS: usize = 24;

/// The part of a text that is safe to parse.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fit {
    /// End of the last logical line within the limits, in bytes.
    pub(super) end: usize,
    /// An upper bound of the nesting in that part.
    pub(super) depth: usize,
}

/// Measures `text`; when it passes a limit, finds the longest run of whole lines, to about a thousandth, that does not.
pub(super) fn fit(text: &str) -> Fit {
    if let Some(depth) = depth_of(text) {
        return Fit { end: text.len(), depth };
    }
    let (mut fits, mut passes) = (Fit { end: 0, depth: 0 }, text.len());
    for _ in 0..MAX_CUTS {
        let middle = fits.end + (passes - fits.end) / 2;
        // Cutting behind a line feed never splits a character; a cut inside a string is one more syntax error.
        let Some(line) = text.as_bytes()[fits.end..middle].iter().rposition(|&byte| byte == b'\n') else {
            passes = middle;
            continue;
        };
        let end = fits.end + line + 1;
        match depth_of(&text[..end]) {
            Some(depth) => fits = Fit { end, depth },
            None => passes = end - 1,
        }
        if passes <= fits.end {
            break;
        }
    }
    fits
}

/// An upper bound of the nesting, or `None` when a limit is passed.
fn depth_of(text: &str) -> Option<usize> {
    let mut lexer = lexer::lex(text, Mode::Module);
    let mut nesting = Nesting::default();
    let mut deepest = 0;
    for _ in 0..MAX_TOKENS {
        let kind = lexer.next_token();
        if kind == TokenKind::EndOfFile {
            return Some(deepest);
        }
        nesting.see(kind);
        deepest = deepest.max(nesting.depth());
        if deepest > MAX_DEPTH {
            return None;
        }
    }
    None
}

/// The nesting at one token, overestimated.
#[derive(Default)]
struct Nesting {
    indents: usize,
    /// One entry per open bracket, and one for the logical line itself.
    levels: Vec<Level>,
    in_levels: usize,
}

/// Operators since the last comma, and lambdas, whose parameters' commas separate nothing.
#[derive(Default, Clone, Copy)]
struct Level {
    chain: usize,
    lambdas: usize,
}

impl Nesting {
    fn depth(&self) -> usize {
        self.indents + self.in_levels
    }

    fn see(&mut self, kind: TokenKind) {
        use TokenKind as T;
        match kind {
            T::Indent => self.indents += 1,
            T::Dedent => self.indents = self.indents.saturating_sub(1),
            T::Newline => {
                self.levels.clear();
                self.in_levels = 0;
            }
            // Outside brackets it ends a statement too.
            T::Semi if self.levels.len() <= 1 => {
                self.levels.clear();
                self.in_levels = 0;
            }
            T::Lpar | T::Lsqb | T::Lbrace | T::FStringStart | T::TStringStart => {
                self.current().chain += 1;
                self.in_levels += 1;
                self.levels.push(Level::default());
            }
            T::Rpar | T::Rsqb | T::Rbrace | T::FStringEnd | T::TStringEnd => {
                if self.levels.len() > 1
                    && let Some(level) = self.levels.pop()
                {
                    self.in_levels -= level.chain + level.lambdas;
                }
            }
            T::Comma => {
                let chain = std::mem::take(&mut self.current().chain);
                self.in_levels -= chain;
            }
            T::Lambda => {
                self.current().lambdas += 1;
                self.in_levels += 1;
            }
            T::Name | T::Int | T::Float | T::Complex | T::String | T::FStringMiddle | T::TStringMiddle => {}
            T::Comment | T::NonLogicalNewline | T::True | T::False | T::None | T::Ellipsis => {}
            _ => {
                self.current().chain += 1;
                self.in_levels += 1;
            }
        }
    }

    fn current(&mut self) -> &mut Level {
        if self.levels.is_empty() {
            self.levels.push(Level::default());
        }
        self.levels.last_mut().expect("a level was pushed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_fits_whole() {
        let text = "x = [1, 2, f(a.b)]\nif x:\n    y = 1\n";
        let fit = fit(text);
        assert_eq!(fit.end, text.len());
        assert!(fit.depth < 10, "{fit:?}");
    }

    #[test]
    fn long_flat_lists_are_not_deep() {
        let text = format!("x = [{}]\n", "a + 1, ".repeat(10_000));
        let fit = fit(&text);
        assert_eq!(fit.end, text.len());
        assert!(fit.depth < 10, "{fit:?}");
    }

    #[test]
    fn statements_on_one_line_are_not_deep() {
        let fit = fit(&"import a; x = lambda: y.z; ".repeat(10_000));
        assert!(fit.depth < 10, "{fit:?}");
        assert_eq!(super::fit(&"(;".repeat(MAX_DEPTH + 1)).end, 0);
    }

    #[test]
    fn the_text_before_a_deep_line_is_kept() {
        for deep in ["(", "a.", "not ", "lambda a, b: ", "1+", "f(1)(", "[[", "x if y else ", "-", "await "] {
            let text = format!("import os\n{}\n", deep.repeat(MAX_DEPTH + 1));
            assert_eq!(fit(&text).end, 10, "{deep}");
        }
    }
}
