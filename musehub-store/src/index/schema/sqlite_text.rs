//! What the texts say that SQLite keeps of tables and indexes, where no pragma does. Quoted names, literals and comments are
//! no words of theirs.

/// A word, a name or a mark of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Piece<'a> {
    /// Where it begins.
    at: usize,
    /// Within how many parentheses it stands, its own included.
    depth: usize,
    kind: Kind<'a>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind<'a> {
    Word(&'a str),
    /// Between quotes, without them: a name, or a literal.
    Quoted(&'a str),
    Open,
    Close,
    Comma,
    Other,
}

impl Piece<'_> {
    fn is(&self, word: &str) -> bool {
        matches!(self.kind, Kind::Word(text) if text.eq_ignore_ascii_case(word))
    }
}

/// What a `CREATE TABLE` says of one column or constraint.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Definition<'a> {
    /// Its first word: the name of the column, where it is of one.
    pub(super) name: String,
    pub(super) text: &'a str,
    pieces: Vec<Piece<'a>>,
}

impl Definition<'_> {
    /// Whether a word stands in it outside of parentheses.
    pub(super) fn has(&self, word: &str) -> bool {
        self.pieces.iter().any(|piece| piece.depth == 1 && piece.is(word))
    }

    /// What texts of the column compare by, where that is not their bytes.
    pub(super) fn collation(&self) -> Option<&str> {
        let at = self.pieces.iter().position(|piece| piece.depth == 1 && piece.is("COLLATE"))?;
        match self.pieces.get(at + 1)?.kind {
            Kind::Word(name) | Kind::Quoted(name) => {
                Some(name).filter(|name| !name.eq_ignore_ascii_case("BINARY"))
            }
            _ => None,
        }
    }
}

/// The columns and constraints of a `CREATE TABLE`, in order.
pub(super) fn definitions(sql: &str) -> Vec<Definition<'_>> {
    let mut definitions = Vec::new();
    let mut current: Vec<Piece<'_>> = Vec::new();
    // The first is the parenthesis that all of them stand in.
    for piece in pieces(sql).into_iter().filter(|piece| piece.depth > 0).skip(1) {
        let ends = piece.depth == 1 && matches!(piece.kind, Kind::Comma | Kind::Close);
        if !ends {
            current.push(piece);
            continue;
        }
        let pieces = std::mem::take(&mut current);
        if let Some(first) = pieces.first() {
            let name = match first.kind {
                Kind::Word(name) | Kind::Quoted(name) => name.to_owned(),
                _ => String::new(),
            };
            definitions.push(Definition { name, text: sql[first.at..piece.at].trim(), pieces });
        }
        if piece.kind == Kind::Close {
            break;
        }
    }
    definitions
}

/// The condition of a `CREATE INDEX`: what follows `WHERE`.
pub(super) fn condition(sql: &str) -> Option<String> {
    let pieces = pieces(sql);
    let begins = pieces.iter().find(|piece| piece.depth == 0 && piece.is("WHERE"))?;
    Some(sql[begins.at + "WHERE".len()..].trim().to_owned())
}

fn pieces(sql: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(first) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (kind, length) = match first {
            _ if first.is_whitespace() => (None, first.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => (None, rest.find("*/").map_or(rest.len(), |end| end + 2)),
            '\'' | '"' | '`' => quoted(rest, first),
            '[' => quoted(rest, ']'),
            _ if first.is_alphanumeric() || first == '_' => {
                let length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
                (Some(Kind::Word(&rest[..length])), length)
            }
            '(' => (Some(Kind::Open), 1),
            ')' => (Some(Kind::Close), 1),
            ',' => (Some(Kind::Comma), 1),
            _ => (Some(Kind::Other), first.len_utf8()),
        };
        if first == '(' {
            depth += 1;
        }
        pieces.extend(kind.map(|kind| Piece { at, depth, kind }));
        if first == ')' {
            depth = depth.saturating_sub(1);
        }
        at += length;
    }
    pieces
}

/// What begins with a quote, up to the next one that is not there twice.
fn quoted(text: &str, quote: char) -> (Option<Kind<'_>>, usize) {
    let mut rest = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = rest.next() {
        if c == quote && rest.next_if(|(_, next)| *next == quote).is_none() {
            return (Some(Kind::Quoted(&text[1..at])), at + 1);
        }
    }
    (Some(Kind::Other), text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(sql: &str) -> Vec<(String, &str)> {
        definitions(sql).into_iter().map(|definition| (definition.name, definition.text)).collect()
    }

    #[test]
    fn a_table_is_taken_apart_at_its_own_commas() {
        let sql = "CREATE TABLE \"t (x, y)\" ( -- a, b\n \"a,b\" varchar(1, 2) DEFAULT ',)''', [c d] int /* ) */ , \
            `e` text, PRIMARY KEY (\"a,b\", e)) WITHOUT ROWID, STRICT";
        let expected = [
            ("a,b", "\"a,b\" varchar(1, 2) DEFAULT ',)'''"),
            ("c d", "[c d] int /* ) */"),
            ("e", "`e` text"),
            ("PRIMARY", "PRIMARY KEY (\"a,b\", e)"),
        ];
        assert_eq!(texts(sql), expected.map(|(name, text)| (name.to_owned(), text)));
        assert_eq!(texts("CREATE VIEW v AS SELECT 1"), []);
        assert_eq!(texts("CREATE TABLE t (a 'never ends"), []);
    }

    #[test]
    fn words_within_quotes_comments_and_parentheses_are_not_its_own() {
        let sql = "CREATE TABLE t (\"check\" text DEFAULT 'CHECK' /* check */ -- check\n)";
        let [one] = definitions(sql).try_into().unwrap();
        assert!(!one.has("CHECK") && one.has("default"));
        let sql = "CREATE TABLE t (a text cHeck (a <> '' COLLATE NOCASE AND likely(1)))";
        let [one] = definitions(sql).try_into().unwrap();
        assert!(one.has("CHECK") && !one.has("NOCASE") && !one.has("likely"));
        assert_eq!(one.collation(), None);
    }

    #[test]
    fn a_collation_other_than_bytes_is_found() {
        let collation = |column: &str| {
            let sql = format!("CREATE TABLE t ({column})");
            definitions(&sql)[0].collation().map(str::to_owned)
        };
        assert_eq!(collation("a text collate \"NoCase\" NOT NULL").as_deref(), Some("NoCase"));
        assert_eq!(collation("a text COLLATE RTRIM").as_deref(), Some("RTRIM"));
        assert_eq!(collation("a text COLLATE binary"), None);
        assert_eq!(collation("a text DEFAULT 'COLLATE NOCASE'"), None);
    }

    #[test]
    fn a_condition_follows_where_outside_of_everything() {
        let index = |rest: &str| condition(&format!("CREATE INDEX \"where\" ON t {rest}"));
        assert_eq!(index("(a) WHERE b = 'where'").as_deref(), Some("b = 'where'"));
        assert_eq!(index("(a)where(b)").as_deref(), Some("(b)"));
        assert_eq!(index("(a /* WHERE b */)"), None);
        assert_eq!(index("(a, [where])"), None);
    }
}
