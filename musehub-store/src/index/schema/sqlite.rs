//! The catalogue of a SQLite database. Discovery in `sea-schema` knows neither the order of an index's columns nor the
//! condition of a partial index, so the pragmas are asked.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use super::catalogue::{
    Catalogue, Column, Columns, DataType, ForeignKey, Index, Key, Kind, Reference, Table,
};
use super::declared::CLUSTERED;
use super::sqlite_text::{self, Definition};

/// Whatever rows can be read from, with the text that it was made by.
const RELATIONS: &str = "\
    SELECT t.name AS \"table\", l.type AS kind, l.wr, l.strict, t.sql \
    FROM sqlite_schema AS t JOIN pragma_table_list AS l ON l.schema = 'main' AND l.name = t.name \
    WHERE t.type IN ('table', 'view')";

const COLUMNS: &str = "\
    SELECT t.name AS \"table\", c.name, c.type, c.\"notnull\", c.dflt_value, c.pk, c.hidden \
    FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c \
    WHERE t.type = 'table' ORDER BY t.name, c.pk";

const TRIGGERS: &str = "SELECT tbl_name AS \"table\", name, sql FROM sqlite_schema WHERE type = 'trigger'";

const FOREIGN_KEYS: &str = "\
    SELECT t.name AS \"table\", k.id, k.\"table\" AS target, k.\"from\", k.\"to\", k.on_update, k.on_delete \
    FROM sqlite_schema AS t JOIN pragma_foreign_key_list(t.name) AS k \
    WHERE t.type = 'table' ORDER BY t.name, k.id, k.seq";

/// `key` leaves out the columns that an index holds only to find the row.
const INDEXES: &str = "\
    SELECT t.name AS \"table\", i.name, i.\"unique\", i.origin, s.sql, c.name AS \"column\", c.\"desc\", c.coll \
    FROM sqlite_schema AS t JOIN pragma_index_list(t.name) AS i JOIN pragma_index_xinfo(i.name) AS c \
    LEFT JOIN sqlite_schema AS s ON s.type = 'index' AND s.name = i.name \
    WHERE t.type = 'table' AND c.key ORDER BY t.name, i.name, c.seqno";

/// Reads the catalogue.
pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Catalogue, DbErr> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    for row in rows(connection, RELATIONS).await? {
        let name: String = row.try_get("", "table")?;
        tables.entry(name.clone()).or_default().kind = kind(&row)?;
        texts.insert(name, row.try_get("", "sql")?);
    }
    for row in rows(connection, COLUMNS).await? {
        column(tables.entry(row.try_get("", "table")?).or_default(), &row)?;
    }
    let mut keys: BTreeMap<(String, i64), ForeignKey> = BTreeMap::new();
    for row in rows(connection, FOREIGN_KEYS).await? {
        foreign_key(&mut keys, &row)?;
    }
    for ((table, _), key) in keys {
        tables.entry(table).or_default().foreign_keys.push(key);
    }
    let mut indexes: BTreeMap<(String, String), (Index, String)> = BTreeMap::new();
    for row in rows(connection, INDEXES).await? {
        index(&mut indexes, &row)?;
    }
    for ((table, name), (index, origin)) in indexes {
        let table = tables.entry(table).or_default();
        match origin.as_str() {
            // Only its index says what the columns compare by.
            "pk" => table.primary_key = Key::from(index.columns),
            "u" => table.uniques.push(Key::from(index.columns)),
            _ => {
                table.indexes.insert(name, index);
            }
        }
    }
    for row in rows(connection, TRIGGERS).await? {
        let table = tables.entry(row.try_get("", "table")?).or_default();
        let text: String = row.try_get("", "sql")?;
        table.extras.insert(("trigger".to_owned(), row.try_get("", "name")?), one_line(&text));
    }
    for (name, table) in &mut tables {
        let text = texts.get(name).map(String::as_str).unwrap_or_default();
        sqlite_text::definitions(text).iter().for_each(|definition| defined(table, definition));
        table.uniques.sort();
        table.foreign_keys.sort();
    }
    Ok(Catalogue { tables })
}

async fn rows(connection: &impl ConnectionTrait, query: &str) -> Result<Vec<QueryResult>, DbErr> {
    connection.query_all_raw(Statement::from_string(connection.get_database_backend(), query)).await
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn kind(row: &QueryResult) -> Result<Kind, DbErr> {
    let kind: String = row.try_get("", "kind")?;
    if kind != "table" {
        return Ok(Kind::Other(if kind == "view" { kind } else { format!("{kind} table") }));
    }
    let mut peculiarities = Vec::new();
    for (column, peculiarity) in [("wr", CLUSTERED), ("strict", "STRICT")] {
        if row.try_get::<i64>("", column)? != 0 {
            peculiarities.push(peculiarity);
        }
    }
    Ok(Kind::Table(peculiarities.join(", ")))
}

/// Words that change what is accepted, or when.
const WORDS: [&str; 5] = ["AUTOINCREMENT", "CHECK", "CONFLICT", "DEFERRABLE", "MATCH"];

/// What no pragma tells: the collation of a column that no index has, and [`WORDS`].
fn defined(table: &mut Table, definition: &Definition<'_>) {
    if let (Some(column), Some(collation)) = (table.columns.get_mut(&definition.name), definition.collation())
    {
        column.data_type = DataType::Other(format!("{} collate {collation}", column.data_type));
    }
    for word in WORDS.into_iter().filter(|word| definition.has(word)) {
        let place = format!("in {}", one_line(definition.text));
        table.extras.insert((word.to_owned(), place), String::new());
    }
}

fn column(table: &mut Table, row: &QueryResult) -> Result<(), DbErr> {
    let name: String = row.try_get("", "name")?;
    if row.try_get::<i64>("", "pk")? > 0 {
        table.primary_key.columns.0.push(name.clone());
    }
    let default = match row.try_get::<i64>("", "hidden")? {
        0 => row.try_get("", "dflt_value")?,
        _ => Some("generated".to_owned()),
    };
    let column = Column {
        data_type: DataType::of_sqlite(&row.try_get::<String>("", "type")?),
        nullable: row.try_get::<i64>("", "notnull")? == 0,
        default,
    };
    table.columns.insert(name, column);
    Ok(())
}

fn foreign_key(keys: &mut BTreeMap<(String, i64), ForeignKey>, row: &QueryResult) -> Result<(), DbErr> {
    let action = |column| row.try_get::<String>("", column).map(|action| action.to_ascii_lowercase());
    let reference = Reference {
        columns: Columns::default(),
        on_delete: action("on_delete")?,
        on_update: action("on_update")?,
        peculiarity: String::new(),
    };
    let table = row.try_get("", "target")?;
    let key = keys.entry((row.try_get("", "table")?, row.try_get("", "id")?)).or_insert(ForeignKey {
        columns: Columns::default(),
        table,
        reference,
    });
    key.columns.0.push(row.try_get("", "from")?);
    // NULL where the key names no columns and so means the primary key of its target.
    if let Some(target) = row.try_get("", "to")? {
        key.reference.columns.0.push(target);
    }
    Ok(())
}

fn index(indexes: &mut BTreeMap<(String, String), (Index, String)>, row: &QueryResult) -> Result<(), DbErr> {
    let sql: Option<String> = row.try_get("", "sql")?;
    let index = Index {
        columns: Columns::default(),
        unique: row.try_get::<i64>("", "unique")? != 0,
        predicate: sql.as_deref().and_then(sqlite_text::condition),
        peculiarity: String::new(),
    };
    let key = (row.try_get("", "table")?, row.try_get("", "name")?);
    let (index, _) = indexes.entry(key).or_insert((index, row.try_get("", "origin")?));
    let name: Option<String> = row.try_get("", "column")?;
    let mut column = name.unwrap_or_else(|| "an expression".to_owned());
    let collation: String = row.try_get("", "coll")?;
    if !collation.eq_ignore_ascii_case("binary") {
        column.push_str(&format!(" COLLATE {collation}"));
    }
    if row.try_get::<i64>("", "desc")? != 0 {
        column.push_str(" DESC");
    }
    index.columns.0.push(column);
    Ok(())
}
