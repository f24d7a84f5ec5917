//! Code in colour: which part of a line is of which class, in bounded time.
//!
//! Classes and not styles, since the content security policy allows no inline style. A file costs at most a budget of
//! time; what is left when it is spent, and files with very long lines, are shown without colour.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use minijinja::value::Serde;
use minijinja::{Error, Value};
use serde::{Deserialize, Serialize};
use syntect::parsing::{ParseState, Scope, ScopeStack, SyntaxReference, SyntaxSet};

use super::filters::escape;

/// The longest line of a file that is highlighted, in bytes. Patterns may go over a line once for each of its characters.
pub const MAX_LINE_BYTES: usize = 2_000;

/// The longest first line that is looked at for an interpreter, in bytes.
const MAX_SHEBANG_BYTES: usize = 200;

/// The deepest scopes that are followed, as a file may open them without end.
const MAX_DEPTH: usize = 200;

/// Classes by the scopes they stand for, in the order in which they are tried.
const CLASSES: [(&str, &[&str]); 10] = [
    ("hl-comment", &["comment", "punctuation.definition.comment"]),
    ("hl-string", &["string", "punctuation.definition.string", "markup.raw", "constant.character"]),
    ("hl-number", &["constant"]),
    ("hl-keyword", &["keyword", "storage", "entity.name.tag"]),
    ("hl-function", &["entity.name.function", "support.function", "variable.function"]),
    ("hl-type", &["entity.name", "support", "entity.other.inherited-class", "entity.other.attribute-name"]),
    ("hl-variable", &["variable.parameter", "variable.language"]),
    ("hl-heading", &["markup.heading", "entity.name.section"]),
    ("hl-inserted", &["markup.inserted"]),
    ("hl-deleted", &["markup.deleted"]),
];

/// The class of words that changed.
const MARK: &str = "diff-word";

static SYNTAXES: LazyLock<SyntaxSet> = LazyLock::new(two_face::syntax::extra_newlines);

static SCOPES: LazyLock<Vec<(Scope, u8)>> = LazyLock::new(|| {
    let classes = (0..).zip(CLASSES);
    let scopes = classes.flat_map(|(class, (_, scopes))| scopes.iter().map(move |scope| (*scope, class)));
    let mut scopes: Vec<(Scope, u8)> =
        scopes.filter_map(|(scope, class)| Some((Scope::new(scope).ok()?, class))).collect();
    // The most specific first: a function's name is more than a name.
    scopes.sort_by_key(|(scope, _)| std::cmp::Reverse(scope.len()));
    scopes
});

/// A line and the classes of its parts.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CodeLine {
    /// The line without its end.
    pub text: String,
    /// Parts from the left: length in bytes, and which class where it has one.
    pub parts: Vec<(u32, Option<u8>)>,
}

/// A file in colour.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Highlighted {
    /// Its lines.
    pub lines: Vec<CodeLine>,
    /// The language it was taken for.
    pub language: Option<String>,
}

/// The lines of a text without colour.
#[must_use]
pub fn plain_lines(text: &str) -> Vec<CodeLine> {
    text.lines().map(plain).collect()
}

fn plain(line: &str) -> CodeLine {
    CodeLine { text: line.to_owned(), parts: Vec::new() }
}

/// Highlights a file by its path and first line, until `budget` is spent.
#[must_use]
pub fn highlight(path: &str, text: &str, budget: Duration) -> Highlighted {
    let Some(syntax) = syntax(path, text) else {
        return Highlighted { lines: plain_lines(text), language: None };
    };
    let until = Instant::now() + budget;
    let language = Some(syntax.name.clone());
    if text.lines().any(|line| line.len() > MAX_LINE_BYTES) {
        return Highlighted { lines: plain_lines(text), language };
    }
    let mut painter = Some(Painter::new(syntax));
    let mut lines = Vec::new();
    for line in text.lines() {
        let painted = match &mut painter {
            Some(painter) if Instant::now() < until => painter.line(line),
            _ => None,
        };
        // Without the lines before it no later line can be understood.
        if painted.is_none() {
            painter = None;
        }
        lines.push(painted.unwrap_or_else(|| plain(line)));
    }
    Highlighted { lines, language }
}

fn syntax(path: &str, text: &str) -> Option<&'static SyntaxReference> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let extension = name.rsplit_once('.').map_or(name, |(_, extension)| extension);
    let by_name = SYNTAXES
        .find_syntax_by_extension(name)
        .or_else(|| SYNTAXES.find_syntax_by_extension(&extension.to_ascii_lowercase()));
    let shebang =
        text.lines().next().filter(|line| line.starts_with("#!") && line.len() <= MAX_SHEBANG_BYTES);
    let found = by_name.or_else(|| SYNTAXES.find_syntax_by_first_line(shebang?));
    found.filter(|syntax| syntax.name != SYNTAXES.find_syntax_plain_text().name)
}

/// Goes over a file line by line.
struct Painter {
    state: ParseState,
    stack: ScopeStack,
    known: HashMap<Scope, Option<u8>>,
}

impl Painter {
    fn new(syntax: &SyntaxReference) -> Self {
        Self { state: ParseState::new(syntax), stack: ScopeStack::new(), known: HashMap::new() }
    }

    /// The next line in colour; none where the grammar fails.
    fn line(&mut self, line: &str) -> Option<CodeLine> {
        let changes = self.state.parse_line(&format!("{line}\n"), &SYNTAXES).ok()?;
        let mut parts: Vec<(u32, Option<u8>)> = Vec::new();
        let mut from = 0;
        for (at, change) in &changes {
            self.paint(from, (*at).min(line.len()), &mut parts)?;
            from = (*at).min(line.len()).max(from);
            self.stack.apply(change).ok()?;
            if self.stack.len() > MAX_DEPTH {
                return None;
            }
        }
        self.paint(from, line.len(), &mut parts)?;
        Some(CodeLine { text: line.to_owned(), parts })
    }

    fn paint(&mut self, from: usize, to: usize, parts: &mut Vec<(u32, Option<u8>)>) -> Option<()> {
        if from >= to {
            return Some(());
        }
        let class = self.class();
        let length = u32::try_from(to - from).ok()?;
        match parts.last_mut() {
            Some((last, same)) if *same == class => *last += length,
            _ => parts.push((length, class)),
        }
        Some(())
    }

    /// The class of the innermost scope that has one.
    fn class(&mut self) -> Option<u8> {
        let known = &mut self.known;
        self.stack.scopes.iter().rev().find_map(|scope| {
            *known.entry(*scope).or_insert_with(|| {
                let found = SCOPES.iter().find(|(prefix, _)| prefix.is_prefix_of(*scope));
                found.map(|(_, class)| *class)
            })
        })
    }
}

/// Lines as HTML, each with its number and an anchor. The one filter whose answer is markup: it escapes every text itself.
pub(super) fn code(lines: Serde<Vec<CodeLine>>) -> Result<Value, Error> {
    let mut html = String::new();
    for (number, line) in (1_usize..).zip(&lines.0) {
        write_line(&mut html, number, line)?;
    }
    Ok(Value::from_safe_string(html))
}

fn write_line(html: &mut String, number: usize, line: &CodeLine) -> std::fmt::Result {
    // The numbers are no stops of the keyboard: there would be thousands on the way through a page.
    write!(
        html,
        "<span class=\"code-line\" id=\"L{number}\"><a class=\"code-no\" href=\"#L{number}\" tabindex=\"-1\">{number}</a>"
    )?;
    write_code(html, line, &[])?;
    html.push_str("\n</span>");
    Ok(())
}

/// Writes the text of a line in colour, with `marked` parts of it, in bytes and in order, standing out. Parts and marks that
/// do not fit the text count for nothing.
pub(super) fn write_code(html: &mut String, line: &CodeLine, marked: &[(u32, u32)]) -> std::fmt::Result {
    let text = line.text.as_str();
    let place = |at: u32| usize::try_from(at).ok().filter(|at| text.is_char_boundary(*at));
    let marked = marked.iter().filter_map(|(start, end)| Some((place(*start)?, place(*end)?)));
    let marked: Vec<(usize, usize)> = marked.collect();
    let mut at: usize = 0;
    for (length, class) in &line.parts {
        let end = usize::try_from(*length).ok().and_then(|length| at.checked_add(length));
        let Some(end) = end.filter(|end| text.is_char_boundary(*end)) else {
            break;
        };
        let class = class.and_then(|class| CLASSES.get(usize::from(class))).map(|(class, _)| *class);
        write_part(html, text, at, end, class, &marked)?;
        at = end;
    }
    write_part(html, text, at, text.len(), None, &marked)
}

/// Writes a part that is of one class, cut where marks begin and end.
fn write_part(
    html: &mut String,
    text: &str,
    start: usize,
    end: usize,
    class: Option<&str>,
    marked: &[(usize, usize)],
) -> std::fmt::Result {
    let mut at = start;
    while at < end {
        let inside = marked.iter().find(|(from, to)| *from <= at && at < *to);
        let next = match inside {
            Some((_, to)) => *to,
            None => marked.iter().map(|(from, _)| *from).filter(|from| *from > at).min().unwrap_or(end),
        };
        let next = next.min(end);
        let classes: Vec<&str> = class.into_iter().chain(inside.map(|_| MARK)).collect();
        if classes.is_empty() {
            escape(html, &text[at..next])?;
        } else {
            write!(html, "<span class=\"{}\">", classes.join(" "))?;
            escape(html, &text[at..next])?;
            html.push_str("</span>");
        }
        at = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    const BUDGET: Duration = Duration::from_secs(60);

    /// The classes of the parts of a line that have one.
    fn classes(line: &CodeLine) -> Vec<(&str, &str)> {
        let mut rest = line.text.as_str();
        let mut found = Vec::new();
        for (length, class) in &line.parts {
            let (part, after) = rest.split_at(*length as usize);
            rest = after;
            found.extend(class.map(|class| (part.trim(), CLASSES[usize::from(class)].0)));
        }
        found
    }

    fn html(lines: &[CodeLine]) -> String {
        let mut html = String::new();
        for (number, line) in (1..).zip(lines) {
            write_line(&mut html, number, line).unwrap();
        }
        html
    }

    #[test]
    fn python_is_in_colour() {
        let text = "# note\ndef start(self):\n    return \"\"\"a\nb\"\"\" + 7\n";
        let shown = highlight("pkg/a.py", text, BUDGET);
        assert_eq!(shown.language.as_deref(), Some("Python"));
        let all: Vec<(&str, &str)> = shown.lines.iter().flat_map(classes).collect();
        for expected in [
            ("# note", "hl-comment"),
            ("def", "hl-keyword"),
            ("start", "hl-function"),
            ("return", "hl-keyword"),
            ("\"\"\"a", "hl-string"),
            ("b\"\"\"", "hl-string"),
            ("7", "hl-number"),
        ] {
            assert!(all.contains(&expected), "{expected:?} in {all:?}");
        }
    }

    #[test]
    fn languages_are_known_by_name_extension_and_interpreter() {
        let language = |path, text| highlight(path, text, BUDGET).language;
        for (path, text, name) in [
            ("a.rs", "", "Rust"),
            ("x/Makefile", "", "Makefile"),
            ("A.PY", "", "Python"),
            ("pyproject.toml", "", "TOML"),
            ("run", "#!/usr/bin/env python3\n", "Python"),
        ] {
            assert_eq!(language(path, text).as_deref(), Some(name), "{path}");
        }
        for path in ["a.unheard-of", "notes.txt", "run", ""] {
            assert_eq!(language(path, "text"), None, "{path}");
        }
    }

    #[test]
    fn without_time_or_with_long_lines_the_text_is_shown_plain() {
        let text = "def a():\r\n    pass\n";
        let shown = highlight("a.py", text, Duration::ZERO);
        assert_eq!(shown.lines, plain_lines(text));
        assert_eq!(shown.lines[0].text, "def a():");
        let long = format!("x = 1\n# {}\n", "y".repeat(MAX_LINE_BYTES));
        assert_eq!(highlight("a.py", &long, BUDGET).lines, plain_lines(&long));
    }

    #[test]
    fn whatever_the_file_its_text_is_whole_and_escaped() {
        let nested = format!("{}\n", "(".repeat(1_500)).repeat(20);
        let cases = [
            ("a.py", "x = '<script>alert(1)</script>' # \"</span><img src=x>&\n\t\u{0}\u{1b}é\u{202e}\n"),
            ("a.html", "<script>x</script><!-- -->\n<style>b{}</style>\n"),
            ("a.md", "# *<b>* `<i>`\n```python\nimport x\n"),
            ("a.js", &nested),
            ("a.yaml", "a: [\n- &x *x\n"),
            ("a.json", "{\"a\": [[[[\n"),
        ];
        for (path, text) in cases {
            let shown = highlight(path, text, BUDGET);
            let lines: Vec<&str> = shown.lines.iter().map(|line| line.text.as_str()).collect();
            assert_eq!(lines, text.lines().collect::<Vec<_>>(), "{path}");
            for line in &shown.lines {
                let length: usize = line.parts.iter().map(|(length, _)| *length as usize).sum();
                assert!(length == line.text.len() || line.parts.is_empty(), "{path}: {line:?}");
            }
            let html = html(&shown.lines);
            for tag in html.split('<').skip(1) {
                let ours = ["span class=\"", "/span>", "a class=\"code-no\"", "/a>"];
                assert!(ours.iter().any(|own| tag.starts_with(own)), "{path}: <{tag}");
            }
        }
    }

    #[test]
    fn parts_that_do_not_fit_their_text_lose_colour_and_nothing_else() {
        let line = CodeLine { text: "é<b>".into(), parts: vec![(1, Some(0)), (9, Some(200))] };
        assert!(html(&[line]).contains("</a>é&lt;b&gt;\n</span>"));
        let line = CodeLine { text: "ab".into(), parts: vec![(1, Some(200))] };
        assert!(html(&[line]).contains("</a>ab\n</span>"));
    }

    #[test]
    fn every_class_names_scopes_that_exist() {
        let named: usize = CLASSES.iter().map(|(_, scopes)| scopes.len()).sum();
        assert_eq!(SCOPES.len(), named);
    }
}
