//! The catalogue of a PostgreSQL database: of the schema that unqualified names mean. Discovery in `sea-schema` knows
//! neither defaults as PostgreSQL prints them nor partial indexes, so `pg_catalog` is asked.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement};

use super::catalogue::{
    Catalogue, Column, Columns, DataType, ForeignKey, Index, Key, Kind, Reference, Table,
};

/// What all texts of the hub compare by.
const COLLATION: &str = "C";

/// That a relation is in the schema that unqualified names mean, whatever letters the name of that has.
macro_rules! here {
    ($alias:literal) => {
        concat!($alias, ".relnamespace = quote_ident(current_schema())::regnamespace")
    };
}

/// Whatever rows can be read from. Of a table, what is not usual of it as a whole.
const RELATIONS: &str = concat!(
    "\
    SELECT t.relname::text AS \"table\", t.relkind::text AS kind, \
        concat_ws(', ', \
            CASE t.relpersistence WHEN 'u' THEN 'unlogged' WHEN 't' THEN 'temporary' END, \
            CASE WHEN t.relkind = 'p' THEN 'partitioned' END, \
            CASE WHEN t.relispartition THEN 'a partition' END, \
            (SELECT 'inherits ' || string_agg(i.inhparent::regclass::text, ' and ' ORDER BY i.inhseqno) \
                FROM pg_inherits AS i WHERE i.inhrelid = t.oid), \
            (SELECT 'inherited by ' || string_agg(i.inhrelid::regclass::text, ' and ' ORDER BY i.inhrelid::regclass::text) \
                FROM pg_inherits AS i WHERE i.inhparent = t.oid), \
            CASE WHEN t.relrowsecurity THEN 'row-level security' END, \
            CASE WHEN t.relforcerowsecurity THEN 'row-level security forced' END) AS peculiarity \
    FROM pg_class AS t WHERE t.relkind IN ('r', 'p', 'v', 'm', 'f') AND ",
    here!("t")
);

const COLUMNS: &str = concat!(
    "\
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
    WHERE t.relkind IN ('r', 'p') AND ",
    here!("t")
);

/// Columns as JSON, so that no name is taken for several.
///
/// What is not usual of a constraint is what its definition says beside its columns and actions, such as `DEFERRABLE`,
/// `NOT VALID`, `MATCH FULL`, `NULLS NOT DISTINCT`. A definition that does not begin as expected is kept whole.
const CONSTRAINTS: &str = concat!(
    "\
    SELECT t.relname::text AS \"table\", k.contype::text AS kind, f.relname::text AS target, \
        k.confdeltype::text AS on_delete, k.confupdtype::text AS on_update, \
        array_to_json(ARRAY( \
            SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS c (number, position) \
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = c.number ORDER BY c.position \
        ))::text AS columns, \
        array_to_json(ARRAY( \
            SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY AS c (number, position) \
            JOIN pg_attribute AS a ON a.attrelid = k.confrelid AND a.attnum = c.number ORDER BY c.position \
        ))::text AS target_columns, \
        concat_ws(' ', \
            CASE WHEN f.relnamespace <> t.relnamespace THEN 'in ' || f.relnamespace::regnamespace::text END, \
            NULLIF(trim(regexp_replace(regexp_replace(pg_get_constraintdef(k.oid), \
                '^((PRIMARY KEY|UNIQUE)( NULLS NOT DISTINCT)? \\([^)]*\\)|FOREIGN KEY \\([^)]*\\) REFERENCES [^(]*\\([^)]*\\))', '\\3'), \
                ' ON (UPDATE|DELETE) (NO ACTION|RESTRICT|CASCADE|SET NULL|SET DEFAULT)', '', 'g')), ''), \
            CASE WHEN EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgconstraint = k.oid AND g.tgenabled NOT IN ('O', 'A')) \
                THEN 'not enforced, as its triggers are disabled' END) AS peculiarity \
    FROM pg_constraint AS k \
    JOIN pg_class AS t ON t.oid = k.conrelid AND ",
    here!("t"),
    " \
    LEFT JOIN pg_class AS f ON f.oid = k.confrelid \
    WHERE k.contype IN ('p', 'u', 'f')"
);

/// Of each column of an index, what is not usual is said after its name. `NULLS NOT DISTINCT` is unknown to PostgreSQL before
/// 15, where asking for its column would fail.
const INDEXES: &str = concat!(
    "\
    SELECT t.relname::text AS \"table\", c.relname::text AS name, i.indisunique AS \"unique\", \
        pg_get_expr(i.indpred, i.indrelid, true) AS predicate, \
        concat_ws(' ', \
            CASE WHEN m.amname <> 'btree' THEN 'using ' || m.amname END, \
            CASE WHEN to_jsonb(i) ->> 'indnullsnotdistinct' = 'true' THEN 'NULLS NOT DISTINCT' END, \
            CASE WHEN NOT (i.indisvalid AND i.indisready AND i.indislive) THEN 'not valid' END) AS peculiarity, \
        array_to_json(ARRAY( \
            SELECT concat_ws(' ', \
                CASE WHEN k.number > i.indnkeyatts THEN 'included' END, \
                pg_get_indexdef(i.indexrelid, k.number, true), \
                CASE WHEN n.oid <> COALESCE(a.attcollation, 0) THEN 'COLLATE ' || n.collname END, \
                CASE WHEN NOT o.opcdefault THEN o.opcname END, \
                CASE i.indoption[k.number - 1] & 3 \
                    WHEN 1 THEN 'DESC NULLS LAST' WHEN 2 THEN 'NULLS FIRST' WHEN 3 THEN 'DESC' END) \
            FROM generate_series(1, i.indnatts) AS k (number) \
            LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[k.number - 1] \
            LEFT JOIN pg_collation AS n ON n.oid = i.indcollation[k.number - 1] \
            LEFT JOIN pg_opclass AS o ON o.oid = i.indclass[k.number - 1] \
            ORDER BY k.number \
        ))::text AS columns \
    FROM pg_index AS i \
    JOIN pg_class AS c ON c.oid = i.indexrelid \
    JOIN pg_am AS m ON m.oid = c.relam \
    JOIN pg_class AS t ON t.oid = i.indrelid AND ",
    here!("t"),
    " \
    WHERE NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x')) \
        AND t.relkind IN ('r', 'p')"
);

/// What the hub declares of no table and what changes what is written or read. `n` is what newer servers have for NOT
/// NULL, `t` is a trigger.
const EXTRAS: &str = concat!(
    "\
    SELECT t.relname::text AS \"table\", e.what, e.name::text AS name, regexp_replace(e.definition, '\\s+', ' ', 'g') AS definition \
    FROM pg_class AS t JOIN ( \
        SELECT conrelid AS relation, 'constraint' AS what, conname AS name, pg_get_constraintdef(oid) AS definition \
            FROM pg_constraint WHERE contype NOT IN ('p', 'u', 'f', 'n', 't') \
        UNION ALL SELECT tgrelid, 'trigger', tgname, pg_get_triggerdef(oid, true) FROM pg_trigger WHERE NOT tgisinternal \
        UNION ALL SELECT ev_class, 'rule', rulename, pg_get_ruledef(oid, true) FROM pg_rewrite WHERE rulename <> '_RETURN' \
        UNION ALL SELECT polrelid, 'policy', polname, concat_ws(' ', 'USING ' || pg_get_expr(polqual, polrelid), \
            'WITH CHECK ' || pg_get_expr(polwithcheck, polrelid)) FROM pg_policy \
    ) AS e ON e.relation = t.oid \
    WHERE t.relkind IN ('r', 'p') AND ",
    here!("t")
);

/// Reads the catalogue.
pub(super) async fn read(connection: &impl ConnectionTrait) -> Result<Catalogue, DbErr> {
    let mut tables: BTreeMap<String, Table> = BTreeMap::new();
    for row in rows(connection, RELATIONS).await? {
        tables.entry(row.try_get("", "table")?).or_default().kind = kind(&row)?;
    }
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
    for row in rows(connection, EXTRAS).await? {
        let table = tables.entry(row.try_get("", "table")?).or_default();
        table
            .extras
            .insert((row.try_get("", "what")?, row.try_get("", "name")?), row.try_get("", "definition")?);
    }
    for table in tables.values_mut() {
        table.uniques.sort();
        table.foreign_keys.sort();
    }
    Ok(Catalogue { tables })
}

async fn rows(connection: &impl ConnectionTrait, query: &str) -> Result<Vec<QueryResult>, DbErr> {
    connection.query_all_raw(Statement::from_string(connection.get_database_backend(), query)).await
}

fn kind(row: &QueryResult) -> Result<Kind, DbErr> {
    let other = match row.try_get::<String>("", "kind")?.as_str() {
        "v" => "view",
        "m" => "materialized view",
        "f" => "foreign table",
        _ => return Ok(Kind::Table(row.try_get("", "peculiarity")?)),
    };
    Ok(Kind::Other(other.to_owned()))
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
    let peculiarity = row.try_get("", "peculiarity")?;
    match row.try_get::<String>("", "kind")?.as_str() {
        "p" => table.primary_key = Key { columns, peculiarity },
        "u" => table.uniques.push(Key { columns, peculiarity }),
        _ => {
            let reference = Reference {
                columns: self::columns(row, "target_columns")?,
                on_delete: action(&row.try_get::<String>("", "on_delete")?),
                on_update: action(&row.try_get::<String>("", "on_update")?),
                peculiarity,
            };
            table.foreign_keys.push(ForeignKey { columns, table: row.try_get("", "target")?, reference });
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
