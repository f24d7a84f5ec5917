//! In what two catalogues differ.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::catalogue::{Catalogue, Column, ForeignKey, Key, Kind, Table};

/// One difference between the database and what the hub declares, shown as one line.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Difference {
    /// The table that has it.
    pub table: String,
    /// What of the table.
    pub item: Item,
    /// What the database has; none where it has nothing there.
    pub is: Option<String>,
    /// What the hub declares; none where it declares nothing there.
    pub should: Option<String>,
}

/// What of a table differs.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Item {
    /// That it is there.
    Table,
    /// What it is, and what is not usual of it as a whole.
    Kind,
    /// That this column is there.
    Column(String),
    /// The type of this column.
    Type(String),
    /// Whether this column may be null.
    Nullability(String),
    /// The default of this column.
    Default(String),
    /// The primary key.
    PrimaryKey,
    /// A unique constraint on these columns.
    Unique(String),
    /// The foreign key of these columns to that table.
    ForeignKey(String),
    /// The index of this name.
    Index(String),
    /// The condition of the partial index of this name.
    Predicate(String),
    /// What the hub declares of no table, such as a trigger: what it is, and its name.
    Extra(String, String),
}

impl Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("table"),
            Self::Kind => f.write_str("kind"),
            Self::Column(name) => write!(f, "column {name}"),
            Self::Type(column) => write!(f, "type of column {column}"),
            Self::Nullability(column) => write!(f, "nullability of column {column}"),
            Self::Default(column) => write!(f, "default of column {column}"),
            Self::PrimaryKey => f.write_str("primary key"),
            Self::Unique(columns) => write!(f, "unique constraint {columns}"),
            Self::ForeignKey(columns) => write!(f, "foreign key {columns}"),
            Self::Index(name) => write!(f, "index {name}"),
            Self::Predicate(index) => write!(f, "condition of index {index}"),
            Self::Extra(what, name) => write!(f, "{what} {name}"),
        }
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, item, is, should } = self;
        let line = match (is, should) {
            (None, Some(should)) if should.is_empty() => format!("{table}: {item} is missing"),
            (None, Some(should)) => format!("{table}: {item} is missing, should be {should}"),
            (Some(is), None) if is.is_empty() => format!("{table}: {item} is not declared"),
            (Some(is), None) => format!("{table}: {item} is not declared, is {is}"),
            (is, should) => {
                let [is, should] = [is, should].map(|side| side.as_deref().unwrap_or_default());
                format!("{table}: {item} is {is}, should be {should}")
            }
        };
        // One line, whatever somebody called a column.
        f.write_str(&line.replace(['\n', '\r'], " "))
    }
}

/// Every difference, in the order of tables. What is missing or too much is one difference, whatever it consists of.
pub(super) fn diff(is: &Catalogue, should: &Catalogue) -> Vec<Difference> {
    let mut differences = Vec::new();
    for (name, is, should) in pairs(&is.tables, &should.tables) {
        let mut sink = Sink { table: name, differences: &mut differences };
        match (is, should) {
            (Some(is), Some(should)) => tables(&mut sink, is, should),
            (is, should) => sink.presence(Item::Table, is.map(unusual), should.map(|_| String::new())),
        }
    }
    differences
}

fn tables(sink: &mut Sink<'_>, is: &Table, should: &Table) {
    sink.value(Item::Kind, &is.kind, &should.kind);
    if matches!(is.kind, Kind::Other(_)) {
        return;
    }
    for (name, is, should) in pairs(&is.columns, &should.columns) {
        match (is, should) {
            (Some(is), Some(should)) => columns(sink, name, is, should),
            (is, should) => sink.presence(Item::Column(name.clone()), is.map(brief), should.map(brief)),
        }
    }
    sink.value(Item::PrimaryKey, &is.primary_key, &should.primary_key);
    for (columns, is, should) in pairs(&uniques(is), &uniques(should)) {
        let both = is.is_some() && should.is_some();
        let [is, should] = [is, should].map(|side| side.map(|keys| if both { keys.as_str() } else { "" }));
        sink.presence(Item::Unique(columns.clone()), is, should);
    }
    for (columns, is, should) in pairs(&foreign_keys(is), &foreign_keys(should)) {
        sink.presence(Item::ForeignKey(columns.clone()), is, should);
    }
    for (name, is, should) in pairs(&is.indexes, &should.indexes) {
        sink.presence(Item::Index(name.clone()), is, should);
        if let (Some(is), Some(should)) = (is, should) {
            sink.presence(Item::Predicate(name.clone()), is.predicate.as_ref(), should.predicate.as_ref());
        }
    }
    for ((what, name), is, should) in pairs(&is.extras, &should.extras) {
        sink.presence(Item::Extra(what.clone(), name.clone()), is, should);
    }
}

/// Unique constraints by their columns. What is there twice is one entry that names both.
fn uniques(table: &Table) -> BTreeMap<String, String> {
    by_name(table.uniques.iter().map(|key: &Key| (key.columns.to_string(), key.to_string())))
}

/// Foreign keys by their columns and table, as [`uniques`].
fn foreign_keys(table: &Table) -> BTreeMap<String, String> {
    let named = |key: &ForeignKey| (format!("{} to {}", key.columns, key.table), key.reference.to_string());
    by_name(table.foreign_keys.iter().map(named))
}

fn by_name(constraints: impl Iterator<Item = (String, String)>) -> BTreeMap<String, String> {
    let mut by_name: BTreeMap<String, String> = BTreeMap::new();
    for (name, constraint) in constraints {
        let all = by_name.entry(name).or_default();
        if !all.is_empty() {
            all.push_str(" and ");
        }
        all.push_str(&constraint);
    }
    by_name
}

/// What a table is, where it is none like those of the hub.
fn unusual(table: &Table) -> String {
    if table.kind == Kind::default() { String::new() } else { table.kind.to_string() }
}

fn columns(sink: &mut Sink<'_>, name: &str, is: &Column, should: &Column) {
    sink.value(Item::Type(name.to_owned()), &is.data_type, &should.data_type);
    let nullability = |column: &Column| if column.nullable { "null" } else { "not null" };
    sink.value(Item::Nullability(name.to_owned()), nullability(is), nullability(should));
    sink.presence(Item::Default(name.to_owned()), is.default.as_ref(), should.default.as_ref());
}

fn brief(column: &Column) -> String {
    let null = if column.nullable { "null" } else { "not null" };
    format!("{} {null}", column.data_type)
}

/// What both maps have under each key that one of them has.
fn pairs<'a, K: Ord, V>(
    is: &'a BTreeMap<K, V>,
    should: &'a BTreeMap<K, V>,
) -> impl Iterator<Item = (&'a K, Option<&'a V>, Option<&'a V>)> {
    let only_declared = should.keys().filter(|key| !is.contains_key(*key));
    let mut keys: Vec<&K> = is.keys().chain(only_declared).collect();
    keys.sort();
    keys.into_iter().map(|key| (key, is.get(key), should.get(key)))
}

/// Collects the differences of one table.
struct Sink<'a> {
    table: &'a str,
    differences: &'a mut Vec<Difference>,
}

impl Sink<'_> {
    /// What both have must be alike.
    fn value<V: Display>(&mut self, item: Item, is: V, should: V) {
        self.presence(item, Some(is), Some(should));
    }

    /// What one has, both must have, and alike.
    fn presence<V: Display>(&mut self, item: Item, is: Option<V>, should: Option<V>) {
        let [is, should] = [is, should].map(|side| side.map(|value| value.to_string()));
        if is != should {
            self.differences.push(Difference { table: self.table.to_owned(), item, is, should });
        }
    }
}
