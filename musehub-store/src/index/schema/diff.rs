//! In what two catalogues differ.

use std::collections::BTreeMap;
use std::fmt::{self, Display};

use super::catalogue::{Catalogue, Column, Columns, Table};

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
}

impl Display for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table => f.write_str("table"),
            Self::Column(name) => write!(f, "column {name}"),
            Self::Type(column) => write!(f, "type of column {column}"),
            Self::Nullability(column) => write!(f, "nullability of column {column}"),
            Self::Default(column) => write!(f, "default of column {column}"),
            Self::PrimaryKey => f.write_str("primary key"),
            Self::Unique(columns) => write!(f, "unique constraint {columns}"),
            Self::ForeignKey(columns) => write!(f, "foreign key {columns}"),
            Self::Index(name) => write!(f, "index {name}"),
            Self::Predicate(index) => write!(f, "condition of index {index}"),
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
            (is, should) => sink.presence(Item::Table, is.map(|_| ""), should.map(|_| "")),
        }
    }
    differences
}

fn tables(sink: &mut Sink<'_>, is: &Table, should: &Table) {
    for (name, is, should) in pairs(&is.columns, &should.columns) {
        match (is, should) {
            (Some(is), Some(should)) => columns(sink, name, is, should),
            (is, should) => sink.presence(Item::Column(name.clone()), is.map(brief), should.map(brief)),
        }
    }
    sink.value(Item::PrimaryKey, &is.primary_key, &should.primary_key);
    let mut uniques: Vec<&Columns> = is.uniques.symmetric_difference(&should.uniques).collect();
    uniques.sort();
    for columns in uniques {
        let side = |table: &Table| table.uniques.contains(columns).then_some("");
        sink.presence(Item::Unique(columns.to_string()), side(is), side(should));
    }
    for ((columns, target), is, should) in pairs(&is.foreign_keys, &should.foreign_keys) {
        sink.presence(Item::ForeignKey(format!("{columns} to {target}")), is, should);
    }
    for (name, is, should) in pairs(&is.indexes, &should.indexes) {
        sink.presence(Item::Index(name.clone()), is, should);
        if let (Some(is), Some(should)) = (is, should) {
            sink.presence(Item::Predicate(name.clone()), is.predicate.as_ref(), should.predicate.as_ref());
        }
    }
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
