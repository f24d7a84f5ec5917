//! Hunks as HTML: a table whose rows are lines, with numbers that can be linked to.

use std::fmt::Write;

use minijinja::value::Serde;
use minijinja::{Error, Value};

use super::changes::{DiffHunk, DiffLine, DiffRow, LineFate};
use super::filters::escape;
use super::highlight::write_code;

/// Hunks as bodies of a table. Like that of code this filter answers markup: it escapes every text itself. `anchor` is what
/// the file is called in links on the page.
pub(super) fn hunks(hunks: Serde<Vec<DiffHunk>>, anchor: String) -> Result<Value, Error> {
    let mut html = String::new();
    let mut file = FileWriter { anchor, html: &mut html };
    for hunk in &hunks.0 {
        file.hunk(hunk)?;
    }
    Ok(Value::from_safe_string(html))
}

struct FileWriter<'a> {
    anchor: String,
    html: &'a mut String,
}

impl FileWriter<'_> {
    fn hunk(&mut self, hunk: &DiffHunk) -> std::fmt::Result {
        let DiffHunk { old_start, old_lines, new_start, new_lines, rows } = hunk;
        let columns = if matches!(rows.first(), Some(DiffRow::Two(..))) { 4 } else { 3 };
        write!(
            self.html,
            "<tbody>\n<tr class=\"diff-at\"><td colspan=\"{columns}\">@@ -{old_start},{old_lines} +{new_start},{new_lines} @@</td></tr>\n"
        )?;
        for row in rows {
            self.html.push_str("<tr>");
            match row {
                DiffRow::One(line) => {
                    self.number('L', line.old, line.fate)?;
                    self.number('R', line.new, line.fate)?;
                    self.code(line)?;
                }
                DiffRow::Two(old, new) => {
                    self.side('L', old.as_ref(), old.as_ref().and_then(|line| line.old))?;
                    self.side('R', new.as_ref(), new.as_ref().and_then(|line| line.new))?;
                }
            }
            self.html.push_str("</tr>\n");
        }
        self.html.push_str("</tbody>\n");
        Ok(())
    }

    fn side(&mut self, side: char, line: Option<&DiffLine>, number: Option<u32>) -> std::fmt::Result {
        match line {
            Some(line) => {
                self.number(side, number, line.fate)?;
                self.code(line)
            }
            None => {
                self.html.push_str("<td class=\"diff-none\"></td><td class=\"diff-none\"></td>");
                Ok(())
            }
        }
    }

    fn number(&mut self, side: char, number: Option<u32>, fate: LineFate) -> std::fmt::Result {
        let class = match fate {
            LineFate::Kept => "",
            LineFate::Added => " diff-no--added",
            LineFate::Deleted => " diff-no--deleted",
        };
        let Some(number) = number else {
            return write!(self.html, "<td class=\"diff-no{class}\"></td>");
        };
        // No stops of the keyboard: there would be thousands on the way through a page.
        write!(self.html, "<td class=\"diff-no{class}\" id=\"")?;
        escape(self.html, &self.anchor)?;
        write!(self.html, "-{side}{number}\"><a href=\"#")?;
        escape(self.html, &self.anchor)?;
        write!(self.html, "-{side}{number}\" tabindex=\"-1\">{number}</a></td>")
    }

    fn code(&mut self, line: &DiffLine) -> std::fmt::Result {
        let (class, sign) = match line.fate {
            LineFate::Kept => ("", ' '),
            LineFate::Added => (" diff-code--added", '+'),
            LineFate::Deleted => (" diff-code--deleted", '-'),
        };
        write!(self.html, "<td class=\"diff-code{class}\"><span class=\"diff-sign\">{sign}</span>")?;
        write_code(self.html, &line.code, &line.words)?;
        if line.cut > 0 {
            write!(self.html, "<span class=\"diff-end\">… {} bytes more</span>", line.cut)?;
        }
        if line.returns {
            self.html.push_str("<span class=\"diff-end\" title=\"carriage return\">␍</span>");
        }
        if line.unended {
            self.html.push_str("<span class=\"diff-end\">no newline at the end</span>");
        }
        self.html.push_str("</td>");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::super::highlight::CodeLine;
    use super::*;

    fn line(fate: LineFate, text: &str) -> DiffLine {
        DiffLine {
            fate,
            old: (fate != LineFate::Added).then_some(7),
            new: (fate != LineFate::Deleted).then_some(9),
            code: CodeLine { text: text.to_owned(), parts: vec![] },
            words: vec![],
            cut: 0,
            returns: false,
            unended: false,
        }
    }

    fn html(rows: Vec<DiffRow>) -> String {
        let hunk = DiffHunk { old_start: 7, old_lines: 1, new_start: 9, new_lines: 1, rows };
        hunks(Serde(vec![hunk]), "d-<1>".into()).unwrap().to_string()
    }

    #[test]
    fn a_line_has_its_numbers_its_sign_and_its_text_escaped() {
        let html = html(vec![DiffRow::One(line(LineFate::Deleted, "<b>\u{0}&"))]);
        assert!(html.contains("@@ -7,1 +9,1 @@"));
        assert!(
            html.contains("id=\"d-&lt;1&gt;-L7\"><a href=\"#d-&lt;1&gt;-L7\" tabindex=\"-1\">7</a>"),
            "{html}"
        );
        assert!(html.contains("<span class=\"diff-sign\">-</span>&lt;b&gt;\u{fffd}&amp;</td>"), "{html}");
        assert!(!html.contains("R9") && !html.contains("<b>"));
    }

    #[test]
    fn what_has_no_counterpart_stands_alone() {
        let html = html(vec![
            DiffRow::Two(None, Some(line(LineFate::Added, "x"))),
            DiffRow::Two(Some(line(LineFate::Deleted, "y")), None),
        ]);
        assert_eq!(html.matches("diff-none").count(), 4);
        assert!(html.contains("-R9\"") && html.contains("-L7\"") && html.contains("colspan=\"4\""));
    }

    #[test]
    fn changed_words_are_marked_across_colours_and_odd_places_are_left_alone() {
        let mut coloured = line(LineFate::Added, "let é = 1;");
        coloured.code.parts = vec![(3, Some(3)), (4, None), (3, Some(2))];
        coloured.words = vec![(0, 6), (5, 200), (9, 10)];
        let html = html(vec![DiffRow::One(coloured)]);
        assert!(html.contains("<span class=\"hl-keyword diff-word\">let</span>"), "{html}");
        assert!(html.contains("<span class=\"diff-word\"> é</span>"), "{html}");
        assert!(html.contains(";"), "{html}");
    }

    #[test]
    fn ends_of_lines_are_said() {
        let mut odd = line(LineFate::Added, "x");
        (odd.cut, odd.returns, odd.unended) = (12, true, true);
        let html = html(vec![DiffRow::One(odd)]);
        for said in ["… 12 bytes more", "␍", "no newline at the end"] {
            assert!(html.contains(said), "{html}");
        }
    }
}
