//! The catalogue of a SQLite database. Discovery in `sea-schema` knows neither the order of an index's columns nor the
//! condition of a partial index, so the pragmas are asked.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use super::catalogue::{Catalogue, Column, Columns, DataType, Index, Reference, Table};

const COLUMNS: &str = "\
    SELECT t.name AS \"table\", c.name, c.type, c.\"notnull\", c.dflt_value, c.pk \
    FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c \
    WHERE t.type = 'table' ORDER BY t.name, c.pk";

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
    let mut tables = BTreeMap::new();
    for row in rows(connection, COLUMNS).await? {
        let table: &mut Table = tables.entry(row.try_get("", "table")?).or_default();
        column(table, &row)?;
    }
    let mut keys: BTreeMap<(String, i64), ForeignKey> = BTreeMap::new();
    for row in rows(connection, FOREIGN_KEYS).await? {
        foreign_key(&mut keys, &row)?;
    }
    for ((table, _), (columns, target, reference)) in keys {
        tables.entry(table).or_default().foreign_keys.insert((columns, target), reference);
    }
    let mut indexes: BTreeMap<(String, String), (Index, String)> = BTreeMap::new();
    for row in rows(connection, INDEXES).await? {
        index(&mut indexes, &row)?;
    }
    for ((table, name), (index, origin)) in indexes {
        let table = tables.entry(table).or_default();
        match origin.as_str() {
            "pk" => {}
            "u" => {
                table.uniques.insert(index.columns);
            }
            _ => {
                table.indexes.insert(name, index);
            }
        }
    }
    Ok(Catalogue { tables })
}

async fn rows(connection: &impl ConnectionTrait, query: &str) -> Result<Vec<QueryResult>, DbErr> {
    connection.query_all_raw(Statement::from_string(connection.get_database_backend(), query)).await
}

fn column(table: &mut Table, row: &QueryResult) -> Result<(), DbErr> {
    let name: String = row.try_get("", "name")?;
    if row.try_get::<i64>("", "pk")? > 0 {
        table.primary_key.0.push(name.clone());
    }
    let column = Column {
        data_type: DataType::of_sqlite(&row.try_get::<String>("", "type")?),
        nullable: row.try_get::<i64>("", "notnull")? == 0,
        default: row.try_get("", "dflt_value")?,
    };
    table.columns.insert(name, column);
    Ok(())
}

/// Its columns, the table that it refers to, and the rest.
type ForeignKey = (Columns, String, Reference);

fn foreign_key(keys: &mut BTreeMap<(String, i64), ForeignKey>, row: &QueryResult) -> Result<(), DbErr> {
    let action = |column| row.try_get::<String>("", column).map(|action| action.to_ascii_lowercase());
    let reference = Reference {
        columns: Columns::default(),
        on_delete: action("on_delete")?,
        on_update: action("on_update")?,
    };
    let key = (row.try_get("", "table")?, row.try_get("", "id")?);
    let target = row.try_get("", "target")?;
    let (columns, _, reference) = keys.entry(key).or_insert((Columns::default(), target, reference));
    columns.0.push(row.try_get("", "from")?);
    // NULL where the key names no columns and so means the primary key of its target.
    if let Some(target) = row.try_get("", "to")? {
        reference.columns.0.push(target);
    }
    Ok(())
}

fn index(indexes: &mut BTreeMap<(String, String), (Index, String)>, row: &QueryResult) -> Result<(), DbErr> {
    let sql: Option<String> = row.try_get("", "sql")?;
    let index = Index {
        columns: Columns::default(),
        unique: row.try_get::<i64>("", "unique")? != 0,
        predicate: sql.as_deref().and_then(predicate),
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

/// The condition of a `CREATE INDEX`: what follows `WHERE` outside of parentheses and quotes.
fn predicate(sql: &str) -> Option<String> {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, byte) in sql.bytes().enumerate() {
        match (quote, byte) {
            (Some(open), _) if open == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"' | b'`') => quote = Some(byte),
            (None, b'[') => quote = Some(b']'),
            (None, b'(') => depth += 1,
            (None, b')') => depth = depth.saturating_sub(1),
            (None, b'w' | b'W') if depth == 0 => {
                let rest = sql.get(at..at + 5).filter(|word| word.eq_ignore_ascii_case("where"));
                let alone = sql[..at].ends_with([' ', ')', '\n', '\t']);
                if rest.is_some() && alone {
                    return Some(sql[at + 5..].trim().to_owned());
                }
            }
            (None, _) => {}
        }
    }
    None
}
