//! The catalogue of a PostgreSQL database: of the schema that unqualified names mean. Discovery in `sea-schema` knows
//! neither defaults as PostgreSQL prints them nor partial indexes, so `pg_catalog` is asked.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use super::catalogue::{Catalogue, Column, Columns, DataType, Index, Reference, Table};

/// What all texts of the hub compare by.
const COLLATION: &str = "C";

const COLUMNS: &str = "\
    SELECT t.relname::text AS \"table\", a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type, \
        NOT a.attnotnull AS nullable, \
        CASE WHEN a.attidentity <> '' THEN 'an identity' \
            WHEN a.attgenerated <> '' THEN 'generated as ' || pg_get_expr(d.adbin, d.adrelid) \
            ELSE pg_get_expr(d.adbin, d.adrelid) END AS \"default\", \
        n.collname::text AS collation \
    FROM pg_class AS t \
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped \
    LEFT JOIN pg_collation AS n ON n.oid = a.attcollation \
    LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = a.attnum \
    WHERE t.relkind IN ('r', 'p') AND t.relnamespace = current_schema()::text::regnamespace";

/// Columns as JSON, so that no name is taken for several.
const CONSTRAINTS: &str = "\
    SELECT t.relname::text AS \"table\", k.contype::text AS kind, f.relname::text AS target, \
        k.confdeltype::text AS on_delete, k.confupdtype::text AS on_update, \
        array_to_json(ARRAY( \
            SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (number, position) \
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.position \
        ))::text AS columns, \
        array_to_json(ARRAY( \
            SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (number, position) \
            JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.number ORDER BY c.position \
        ))::text AS target_columns \
    FROM pg_constraint AS k \
    JOIN pg_class AS t ON t.oid = k.conrelid AND t.relnamespace = current_schema()::text::regnamespace \
    LEFT JOIN pg_class AS f ON f.oid = k.confrelid \
    WHERE k.contype IN ('p', 'u', 'f')";

/// Of each column of an index, what is not usual is said after its name.
const INDEXES: &str = "\
    SELECT t.relname::text AS \"table\", c.relname::text AS name, i.indisunique AS \"unique\", \
        pg_get_expr(i.indpred, i.indrelid, true) AS predicate, \
        concat_ws(' ', \
            CASE WHEN m.amname <> 'btree' THEN 'using ' || m.amname END, \
            CASE WHEN NOT i.indisvalid THEN 'not valid' END) AS peculiarity, \
        array_to_json(ARRAY( \
            SELECT concat_ws(' ', \
                CASE WHEN k.number > i.indnkeyatts THEN 'included' END, \
                pg_get_indexdef(i.indexrelid, k.number, true), \
                CASE WHEN n.oid <> COALESCE(a.attcollation, 0) THEN 'COLLATE ' || n.collname END, \
                CASE WHEN NOT o.opcdefault THEN o.opcname END, \
                CASE WHEN i.indoption[k.number - 1] & 1 = 1 THEN 'DESC' END) \
            FROM generate_series(1, i.indnatts) AS k (number) \
            LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.number - 1] \
            LEFT JOIN pg_collation AS n ON n.oid = i.indcollation[k.number - 1] \
            LEFT JOIN pg_opclass AS o ON o.oid = i.indclass[k.number - 1] \
            ORDER BY k.number \
        ))::text AS columns \
    FROM pg_index AS i \
    JOIN pg_class AS c ON c.oid = i.indexrelid \
    JOIN pg_am AS m ON m.oid = c.relam \
    JOIN pg_class AS t ON t.oid = i.indrelid AND t.relnamespace = current_schema()::text::regnamespace \
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u')) \
        AND t.relkind IN ('r', 'p')";

/// Reads the catalogue.
pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Catalogue, DbErr> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for row in rows(connection, COLUMNS).await? {
        let table = tables.entry(row.try_get("", "table")?).or_default();
        table.columns.insert(row.try_get("", "name")?, column(&row)?);
    }
    for row in rows(connection, CONSTRAINTS).await? {
        constraint(tables.entry(row.try_get("", "table")?).or_default(), &row)?;
    }
    for row in rows(connection, INDEXES).await? {
        let table = tables.entry(row.try_get("", "table")?).or_default();
        table.indexes.insert(row.try_get("", "name")?, index(&row)?);
    }
    Ok(Catalogue { tables })
}

async fn rows(connection: &impl ConnectionTrait, query: &str) -> Result<Vec<QueryResult>, DbErr> {
    connection.query_all_raw(Statement::from_string(connection.get_database_backend(), query)).await
}

fn column(row: &QueryResult) -> Result<Column, DbErr> {
    let mut data_type = DataType::of_postgres(&row.try_get::<String>("", "type")?);
    let collation: Option<String> = row.try_get("", "collation")?;
    if let Some(collation) = collation.filter(|collation| collation != COLLATION) {
        data_type = DataType::Other(format!("{data_type} collate {collation}"));
    }
    Ok(Column { data_type, nullable: row.try_get("", "nullable")?, default: row.try_get("", "default")? })
}

fn constraint(table: &mut Table, row: &QueryResult) -> Result<(), DbErr> {
    let columns = columns(row, "columns")?;
    match row.try_get::<String>("", "kind")?.as_str() {
        "p" => table.primary_key = columns,
        "u" => {
            table.uniques.insert(columns);
        }
        _ => {
            let reference = Reference {
                columns: self::columns(row, "target_columns")?,
                on_delete: action(&row.try_get::<String>("", "on_delete")?),
                on_update: action(&row.try_get::<String>("", "on_update")?),
            };
            table.foreign_keys.insert((columns, row.try_get("", "target")?), reference);
        }
    }
    Ok(())
}

/// What a foreign key does, by the letter that the catalogue has for it.
fn action(letter: &str) -> String {
    let action = match letter {
        "a" => "no action",
        "r" => "restrict",
        "c" => "cascade",
        "n" => "set null",
        "d" => "set default",
        other => other,
    };
    action.to_owned()
}

fn index(row: &QueryResult) -> Result<Index, DbErr> {
    Ok(Index {
        columns: columns(row, "columns")?,
        unique: row.try_get("", "unique")?,
        predicate: row.try_get("", "predicate")?,
        peculiarity: row.try_get("", "peculiarity")?,
    })
}

fn columns(row: &QueryResult, column: &str) -> Result<Columns, DbErr> {
    let json: String = row.try_get("", column)?;
    serde_json::from_str(&json).map(Columns).map_err(|error| DbErr::Json(error.to_string()))
}
