//! What a database consists of, as values that two sources can be compared by.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// The tables of a database, by name.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::index) struct Catalogue {
    pub(in crate::index) tables: BTreeMap<String, Table>,
}

/// One table. Constraints go by their columns, since SQLite keeps no names of them.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(in crate::index) struct Table {
    pub(in crate::index) columns: BTreeMap<String, Column>,
    pub(in crate::index) primary_key: Columns,
    pub(in crate::index) uniques: BTreeSet<Columns>,
    /// By their columns and the table that they refer to.
    pub(in crate::index) foreign_keys: BTreeMap<(Columns, String), Reference>,
    /// By name, without those that only carry a primary key or a unique constraint.
    pub(in crate::index) indexes: BTreeMap<String, Index>,
}

impl Table {
    /// Whether an index of any kind finds the rows of given values of `columns`.
    #[cfg(test)]
    pub(in crate::index) fn is_indexed_by(&self, columns: &Columns) -> bool {
        let whole = self.indexes.values().filter(|index| index.predicate.is_none());
        whole
            .map(|index| &index.columns)
            .chain(&self.uniques)
            .chain([&self.primary_key])
            .any(|indexed| indexed.0.starts_with(&columns.0))
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

/// What a foreign key refers to in its table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::index) struct Reference {
    pub(in crate::index) columns: Columns,
    /// In lower case, e.g. `cascade`.
    pub(in crate::index) on_delete: String,
    /// As `on_delete`.
    pub(in crate::index) on_update: String,
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { columns, on_delete, on_update } = self;
        write!(f, "{columns} on delete {on_delete} on update {on_update}")
    }
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
        let space = if self.peculiarity.is_empty() { "" } else { " " };
        write!(f, "{unique}{}{space}{}", self.columns, self.peculiarity)
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
