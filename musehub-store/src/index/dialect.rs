//! Where SQLite and PostgreSQL read different SQL. The text of a statement is written once; what only one of them
//! understands stands in it as a mark:
//!
//! | mark | SQLite | PostgreSQL |
//! |---|---|---|
//! | `{each $n}` | `SELECT value FROM json_each($n)` | `SELECT json_array_elements_text($n::json) COLLATE "C"` |
//! | `{among $n}` | `IN (`each`)` | `= ANY (ARRAY (`each`))` |
//! | `{of SELECT …}` | `IN (SELECT …)` | `= ANY (ARRAY (SELECT …))` |
//! | `{skip locked}` | nothing: there is one writer | `FOR UPDATE SKIP LOCKED` |
//! | `{some of t by k}` | `(k) IN (SELECT k FROM t WHERE repo_id = $1 LIMIT $2)` | `ctid = ANY (ARRAY (SELECT ctid …))` |
//! | `{keep others out}` | nothing: there is one writer | `FOR NO KEY UPDATE` |
//!
//! `ANY` of an array, as PostgreSQL then looks each id up in the index, whatever it guesses of their number.
//!
//! Beside the marks, the engines part where they are [opened](super::connect), where the schema is
//! [brought up to date](super::upgrade), and in `WITHOUT ROWID` of some tables.

use std::borrow::Cow;

use sea_orm::DbBackend;

/// A condition that `column` is among the texts of the JSON array bound as `$n`.
///
/// One bound value for any number of ids: one statement to prepare, and no limit to keep to.
macro_rules! among {
    ($column:literal, $bind:literal) => {
        concat!($column, " {among ", $bind, "}")
    };
}
pub(super) use among;

/// The text that an engine reads.
pub(super) fn text(engine: DbBackend, marked: &str) -> Cow<'_, str> {
    if !marked.contains('{') {
        return Cow::Borrowed(marked);
    }
    let mut text = String::with_capacity(marked.len() + 128);
    let mut pieces = marked.split('{');
    text.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        let (mark, rest) = piece.split_once('}').expect("a mark ends in the text of its statement");
        text.push_str(&spelled(engine, mark));
        text.push_str(rest);
    }
    Cow::Owned(text)
}

fn spelled(engine: DbBackend, mark: &str) -> String {
    let postgres = engine == DbBackend::Postgres;
    match mark.split_once(' ') {
        Some(("each", bind)) if postgres => {
            format!("SELECT json_array_elements_text({bind}::json) COLLATE \"C\"")
        }
        Some(("each", bind)) => format!("SELECT value FROM json_each({bind})"),
        Some(("among", bind)) => {
            let each = spelled(engine, &format!("each {bind}"));
            if postgres { format!("= ANY (ARRAY ({each}))") } else { format!("IN ({each})") }
        }
        Some(("of", query)) if postgres => format!("= ANY (ARRAY ({query}))"),
        Some(("of", query)) => format!("IN ({query})"),
        Some(("some", of)) => {
            let (table, key) = of
                .strip_prefix("of ")
                .and_then(|of| of.split_once(" by "))
                .expect("it names a table and its key");
            let some = |columns: &str| format!("SELECT {columns} FROM {table} WHERE repo_id = $1 LIMIT $2");
            if postgres {
                format!("ctid = ANY (ARRAY ({}))", some("ctid"))
            } else {
                format!("({key}) IN ({})", some(key))
            }
        }
        Some(("keep", "others out")) if postgres => "FOR NO KEY UPDATE".to_owned(),
        Some(("keep", "others out")) => String::new(),
        Some(("skip", "locked")) if postgres => "FOR UPDATE SKIP LOCKED".to_owned(),
        Some(("skip", "locked")) => String::new(),
        _ => unreachable!("marks are written in this crate: {mark}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_engine_gets_its_own_words() {
        let marked = concat!("SELECT a FROM t WHERE ", among!("a", "$2"), " LIMIT 1 {skip locked}");
        assert_eq!(
            text(DbBackend::Sqlite, marked),
            "SELECT a FROM t WHERE a IN (SELECT value FROM json_each($2)) LIMIT 1 "
        );
        assert_eq!(
            text(DbBackend::Postgres, marked),
            "SELECT a FROM t WHERE a = ANY (ARRAY (SELECT json_array_elements_text($2::json) COLLATE \"C\")) \
             LIMIT 1 FOR UPDATE SKIP LOCKED"
        );
        let some = "DELETE FROM t WHERE {some of t by repo_id, k}";
        assert_eq!(
            text(DbBackend::Sqlite, some),
            "DELETE FROM t WHERE (repo_id, k) IN (SELECT repo_id, k FROM t WHERE repo_id = $1 LIMIT $2)"
        );
        assert_eq!(
            text(DbBackend::Postgres, some),
            "DELETE FROM t WHERE ctid = ANY (ARRAY (SELECT ctid FROM t WHERE repo_id = $1 LIMIT $2))"
        );
        assert_eq!(text(DbBackend::Postgres, "SELECT 1"), "SELECT 1");
        let marked = "SELECT a FROM t WHERE a {of SELECT b FROM u LIMIT 2}";
        assert_eq!(text(DbBackend::Sqlite, marked), "SELECT a FROM t WHERE a IN (SELECT b FROM u LIMIT 2)");
        let postgres = "SELECT a FROM t WHERE a = ANY (ARRAY (SELECT b FROM u LIMIT 2))";
        assert_eq!(text(DbBackend::Postgres, marked), postgres);
    }
}
