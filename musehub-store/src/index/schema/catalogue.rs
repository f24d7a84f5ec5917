//! What a database consists of, as values that two sources can be compared by.

use std::collections::BTreeMap;
use std::fmt;

/// The tables of a database, and what reads like one, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::index) struct Catalogue {
    pub(in crate::index) tables: BTreeMap<String, Table>,
}

/// One table. Constraints go by their columns, since SQLite keeps no names of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::index) struct Table {
    pub(in crate::index) kind: Kind,
    pub(in crate::index) columns: BTreeMap<String, Column>,
    pub(in crate::index) primary_key: Key,
    /// In order. One may be there twice.
    pub(in crate::index) uniques: Vec<Key>,
    /// In order. One may be there twice.
    pub(in crate::index) foreign_keys: Vec<ForeignKey>,
    /// By name, without those that only carry a constraint.
    pub(in crate::index) indexes: BTreeMap<String, Index>,
    /// What the hub declares of no table and what changes what is written or read, by what it is and is called: triggers,
    /// rules, checks.
    pub(in crate::index) extras: BTreeMap<(String, String), String>,
}

impl Table {
    /// Whether an index of any kind finds the rows of given values of `columns`.
    #[cfg(test)]
    pub(in crate::index) fn is_indexed_by(&self, columns: &Columns) -> bool {
        let whole = self.indexes.values().filter(|index| index.predicate.is_none());
        let keys = self.uniques.iter().chain([&self.primary_key]).map(|key| &key.columns);
        whole.map(|index| &index.columns).chain(keys).any(|indexed| indexed.0.starts_with(&columns.0))
    }
}

/// What rows come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::index) enum Kind {
    /// A table, and what is not usual of it as a whole: empty for nothing.
    Table(String),
    /// A view or something else by this name, whose columns mean nothing to the hub.
    Other(String),
}

impl Default for Kind {
    fn default() -> Self {
        Self::Table(String::new())
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(nothing) if nothing.is_empty() => f.write_str("table"),
            Self::Table(peculiarity) => write!(f, "table ({peculiarity})"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// One column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::index) struct Column {
    pub(in crate::index) data_type: DataType,
    pub(in crate::index) nullable: bool,
    /// An expression, in the words of its source.
    pub(in crate::index) default: Option<String>,
}

/// Columns in order; of an index, each with what is not usual of it, such as `DESC`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(in crate::index) struct Columns(pub(in crate::index) Vec<String>);

impl fmt::Display for Columns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({})", self.0.join(", "))
    }
}

/// A primary key or a unique constraint.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub(in crate::index) struct Key {
    pub(in crate::index) columns: Columns,
    /// What else is not usual of it, empty for nothing.
    pub(in crate::index) peculiarity: String,
}

impl From<Columns> for Key {
    fn from(columns: Columns) -> Self {
        Self { columns, peculiarity: String::new() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.columns)?;
        peculiar(f, &self.peculiarity)
    }
}

/// One foreign key.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::index) struct ForeignKey {
    pub(in crate::index) columns: Columns,
    /// The table that it refers to.
    pub(in crate::index) table: String,
    pub(in crate::index) reference: Reference,
}

/// What a foreign key refers to in its table.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(in crate::index) struct Reference {
    pub(in crate::index) columns: Columns,
    /// In lower case, e.g. `cascade`.
    pub(in crate::index) on_delete: String,
    /// As `on_delete`.
    pub(in crate::index) on_update: String,
    /// What else is not usual of it, empty for nothing.
    pub(in crate::index) peculiarity: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { columns, on_delete, on_update, peculiarity } = self;
        write!(f, "{columns} on delete {on_delete} on update {on_update}")?;
        peculiar(f, peculiarity)
    }
}

/// Ends with what is not usual, if anything.
fn peculiar(f: &mut fmt::Formatter<'_>, peculiarity: &str) -> fmt::Result {
    if peculiarity.is_empty() { Ok(()) } else { write!(f, " {peculiarity}") }
}

/// One index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::index) struct Index {
    pub(in crate::index) columns: Columns,
    pub(in crate::index) unique: bool,
    /// Which rows it has, where not all: a condition in the words of its source.
    pub(in crate::index) predicate: Option<String>,
    /// What else is not usual of it, empty for nothing.
    pub(in crate::index) peculiarity: String,
}

/// Without the predicate, which is compared apart.
impl fmt::Display for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unique = if self.unique { "unique " } else { "" };
        write!(f, "{unique}{}", self.columns)?;
        peculiar(f, &self.peculiarity)
    }
}

/// The type of a column, by the names that PostgreSQL has for them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::index) enum DataType {
    Boolean,
    SmallInt,
    Integer,
    BigInt,
    Double,
    Text,
    Varchar(Option<u32>),
    Json,
    Jsonb,
    Bytes,
    /// Any other, in the words of its source. It equals nothing that another source says.
    Other(String),
}

/// Each type without a length: its name in PostgreSQL, and what columns of it are declared as in SQLite.
const NAMES: [(DataType, &str, &str); 9] = [
    (DataType::Boolean, "boolean", "boolean"),
    (DataType::SmallInt, "smallint", "smallint"),
    (DataType::Integer, "integer", "integer"),
    (DataType::BigInt, "bigint", "bigint"),
    (DataType::Double, "double precision", "double"),
    (DataType::Text, "text", "text"),
    (DataType::Json, "json", "json_text"),
    (DataType::Jsonb, "jsonb", "jsonb_text"),
    (DataType::Bytes, "bytea", "blob"),
];

impl DataType {
    /// Reads what PostgreSQL's `format_type` says.
    pub(in crate::index) fn of_postgres(text: &str) -> Self {
        let named = NAMES.into_iter().find(|(_, name, _)| *name == text);
        named.map_or_else(|| Self::varchar(text, "character varying"), |(data_type, ..)| data_type)
    }

    /// Reads what a column was declared as in SQLite.
    pub(in crate::index) fn of_sqlite(text: &str) -> Self {
        let text = text.to_ascii_lowercase();
        let named = NAMES.into_iter().find(|(.., name)| *name == text);
        named.map_or_else(|| Self::varchar(&text, "varchar"), |(data_type, ..)| data_type)
    }

    fn varchar(text: &str, name: &str) -> Self {
        let length = |rest: &str| match rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(digits) => digits.parse().ok().map(Some),
            None => rest.is_empty().then_some(None),
        };
        let length = text.strip_prefix(name).and_then(length);
        length.map_or_else(|| Self::Other(text.to_owned()), Self::Varchar)
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Varchar(Some(length)) => write!(f, "varchar({length})"),
            Self::Varchar(None) => f.write_str("varchar"),
            Self::Other(text) => f.write_str(text),
            plain => {
                let named = NAMES.iter().find(|(data_type, ..)| data_type == plain);
                f.write_str(named.map_or("", |(_, name, _)| name))
            }
        }
    }
}
