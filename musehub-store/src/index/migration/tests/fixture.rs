//! Databases of earlier versions, kept as SQL, and how the next one is made.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use musehub_test_services::{Engine, postgres};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection};
use sea_orm_migration::MigratorTrait;

use crate::index::migration::Migrator;
use crate::index::{DatabaseUrl, connect, hot_queries, migrate, schema, sql};

/// A database of each engine of one version, with rows in every table.
pub(super) struct Fixture {
    /// The last migration that it has.
    pub(super) version: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

macro_rules! fixture {
    ($version:literal) => {
        Fixture {
            version: $version,
            sqlite: include_str!(concat!("../../../../tests/fixtures/", $version, ".sqlite.sql")),
            postgres: include_str!(concat!("../../../../tests/fixtures/", $version, ".postgres.sql")),
        }
    };
}

/// All that are kept, oldest first.
pub(super) const FIXTURES: [Fixture; 2] = [fixture!("m0001_first_schema"), fixture!("m0011_rate_limits")];

impl Fixture {
    pub(super) const fn script(&self, engine: Engine) -> &'static str {
        match engine {
            Engine::Sqlite => self.sqlite,
            Engine::Postgres => self.postgres,
        }
    }

    /// How many migrations it has.
    pub(super) fn steps(&self) -> u32 {
        let at = Migrator::migrations().iter().position(|migration| migration.name() == self.version);
        u32::try_from(at.expect("its version is a migration") + 1).unwrap()
    }
}

/// A database made by a script, and where it is.
pub(super) async fn load(
    engine: Engine,
    directory: &Path,
    script: &str,
) -> (DatabaseConnection, DatabaseUrl) {
    let (database, url) = match engine {
        Engine::Sqlite => {
            let path = directory.join("musehub.db");
            (connect::sqlite::writer(&path).await.unwrap(), DatabaseUrl::sqlite(path))
        }
        Engine::Postgres => {
            let url = postgres::database().await;
            (Database::connect(&url).await.unwrap(), url.parse().unwrap())
        }
    };
    database.execute_unprepared(script).await.unwrap();
    (database, url)
}

pub(super) type Rows = Vec<Vec<Option<String>>>;

/// All rows of all tables as texts, each with the columns that it was read by.
pub(super) async fn tables(database: &DatabaseConnection) -> BTreeMap<String, (Vec<String>, Rows)> {
    let mut all = BTreeMap::new();
    for (table, columns) in schema::read(database).await.unwrap().tables {
        let columns: Vec<String> = columns.columns.into_keys().collect();
        let rows = rows(database, &table, &columns).await;
        all.insert(table, (columns, rows));
    }
    all
}

/// All rows of a table as texts, of these columns, in their order.
pub(super) async fn rows(database: &DatabaseConnection, table: &str, columns: &[String]) -> Rows {
    let texts: Vec<String> = columns.iter().map(|column| format!("CAST(\"{column}\" AS TEXT)")).collect();
    let order: Vec<String> = (1..=columns.len()).map(|at| at.to_string()).collect();
    let query = format!("SELECT {} FROM {table} ORDER BY {}", texts.join(", "), order.join(", "));
    let rows = sql::rows(database, "reading rows", &query, []).await.unwrap();
    rows.iter().map(|row| (0..columns.len()).map(|at| row.try_get_by_index(at).unwrap()).collect()).collect()
}

/// How many rows refer to others that are not there, by the foreign keys of the database.
pub(super) async fn orphans(database: &DatabaseConnection) -> BTreeMap<String, i64> {
    let mut orphans = BTreeMap::new();
    for (table, is) in schema::read(database).await.unwrap().tables {
        for key in is.foreign_keys {
            let pairs = key.columns.0.iter().zip(&key.reference.columns.0);
            let same: Vec<String> = pairs.map(|(from, to)| format!("p.{to} = c.{from}")).collect();
            let null: Vec<String> =
                key.columns.0.iter().map(|column| format!("c.{column} IS NULL")).collect();
            let query = format!(
                "SELECT COUNT(*) FROM {table} AS c WHERE NOT ({}) AND NOT EXISTS (SELECT 1 FROM {} AS p WHERE {})",
                null.join(" OR "),
                key.table,
                same.join(" AND ")
            );
            let counted = sql::rows(database, "counting orphans", &query, []).await.unwrap();
            let counted: i64 = counted[0].try_get_by_index(0).unwrap();
            if counted > 0 {
                orphans.insert(format!("{table} {} to {}", key.columns, key.table), counted);
            }
        }
    }
    orphans
}

/// Texts that trouble whoever quotes, in columns that take any.
const TROUBLE: &str = "\
    UPDATE musehub_repos SET description = 'It''s about \"tunes\" — é\n\\ %_' WHERE owner = 'owner1'; \
    UPDATE musehub_commits SET message = 'first\n\nsecond; -- ''third''', author = 'Älice' WHERE commit_id = 'commit1'; \
    UPDATE seaql_migrations SET applied_at = 1772323200";

/// Rows of each table of the next fixture.
const ROWS: usize = 3;

/// A database of the head with rows in every table.
async fn head(engine: Engine) -> DatabaseConnection {
    let database = connect::empty(engine).await;
    migrate(&database).await.unwrap();
    hot_queries::tests::fill(&database, ROWS, |_| true).await;
    database.execute_unprepared(TROUBLE).await.unwrap();
    database
}

/// What a database consists of, as the script that makes another like it.
async fn dump(database: &DatabaseConnection, engine: Engine) -> String {
    let mut script = String::new();
    for statement in texts(database, tables_as_sql(engine)).await {
        writeln!(script, "{statement};").unwrap();
    }
    for (table, columns) in parents_first(database).await {
        let quoted = columns.iter().map(|column| match engine {
            Engine::Sqlite => format!("quote(\"{column}\")"),
            Engine::Postgres => format!("quote_nullable(\"{column}\"::text)"),
        });
        let quoted: Vec<String> = quoted.collect();
        let names: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let query = format!("SELECT {} FROM {table} ORDER BY 1", quoted.join(" || ', ' || "));
        for values in texts(database, &query).await {
            writeln!(script, "INSERT INTO {table} ({}) VALUES ({values});", names.join(", ")).unwrap();
        }
    }
    for statement in texts(database, rest_as_sql(engine)).await {
        writeln!(script, "{statement};").unwrap();
    }
    script
}

async fn texts(database: &DatabaseConnection, query: &str) -> Vec<String> {
    let rows = sql::rows(database, "reading a schema", query, []).await.unwrap();
    rows.iter().map(|row| row.try_get_by_index(0).unwrap()).collect()
}

/// The tables of a database with their columns, none before those that it refers to.
async fn parents_first(database: &DatabaseConnection) -> Vec<(String, Vec<String>)> {
    let mut left = schema::read(database).await.unwrap().tables;
    let mut ordered = Vec::new();
    while !left.is_empty() {
        let waits = |name: &String| {
            left[name].foreign_keys.iter().any(|key| key.table != *name && left.contains_key(&key.table))
        };
        let ready: Vec<String> = left.keys().filter(|name| !waits(name)).cloned().collect();
        assert!(!ready.is_empty(), "tables refer to each other in a ring");
        for name in ready {
            let table = left.remove(&name).unwrap();
            ordered.push((name, table.columns.into_keys().collect()));
        }
    }
    ordered
}

/// Selects the statements that make the tables. On PostgreSQL their constraints come after the rows.
const fn tables_as_sql(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name"
        }
        Engine::Postgres => {
            "SELECT format('CREATE TABLE %I (%s)', t.relname, string_agg(concat_ws(' ', quote_ident(a.attname), \
                format_type(a.atttypid, a.atttypmod), 'COLLATE ' || quote_ident(n.collname), \
                CASE WHEN a.attnotnull THEN 'NOT NULL' END, \
                'DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum)) \
            FROM pg_class AS t JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped \
            LEFT JOIN pg_collation AS n ON n.oid = a.attcollation AND n.collname <> 'default' \
            LEFT JOIN pg_attrdef AS d ON d.adrelid = t.oid AND d.adnum = a.attnum \
            WHERE t.relkind = 'r' AND t.relnamespace = 'public'::regnamespace GROUP BY t.relname ORDER BY t.relname"
        }
    }
}

/// Selects the statements that make indexes and constraints, foreign keys last.
const fn rest_as_sql(engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => {
            "SELECT sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY name"
        }
        Engine::Postgres => {
            "SELECT sql FROM ( \
                SELECT CASE WHEN k.contype = 'f' THEN 3 ELSE 1 END AS turn, k.conrelid::regclass::text || k.conname AS name, \
                    format('ALTER TABLE %s ADD CONSTRAINT %I %s', k.conrelid::regclass, k.conname, \
                        pg_get_constraintdef(k.oid)) AS sql \
                FROM pg_constraint AS k \
                WHERE k.connamespace = 'public'::regnamespace AND k.contype IN ('p', 'u', 'f') \
                UNION ALL SELECT 2, i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid) FROM pg_index AS i \
                JOIN pg_class AS c ON c.oid = i.indexrelid AND c.relnamespace = 'public'::regnamespace \
                WHERE NOT EXISTS ( \
                    SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u')) \
            ) AS rest ORDER BY turn, name"
        }
    }
}

/// With `MUSEHUB_KEEP_FIXTURE=1` in the environment it is written, too, unless this version is kept already.
#[tokio::test]
async fn a_fixture_of_the_head_makes_the_database_that_it_was_made_of() {
    let version = Migrator::migrations().last().unwrap().name().to_owned();
    for (engine, name) in [(Engine::Sqlite, "sqlite"), (Engine::Postgres, "postgres")] {
        let made_of = head(engine).await;
        let script = dump(&made_of, engine).await;
        let directory = tempfile::tempdir().unwrap();
        let (made, _) = load(engine, directory.path(), &script).await;
        assert_eq!(schema::read(&made).await.unwrap(), schema::read(&made_of).await.unwrap());
        let tables = tables(&made).await;
        assert_eq!(tables, self::tables(&made_of).await);
        for (table, (_, rows)) in tables {
            assert!(rows.len() >= ROWS, "{table} has {} rows", rows.len());
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
        let file = folder.join(format!("{version}.{name}.sql"));
        if std::env::var_os("MUSEHUB_KEEP_FIXTURE").is_some() && !file.exists() {
            let about =
                format!("-- A database of version {version}, with rows in every table. It never changes.");
            std::fs::write(file, format!("{about}\n\n{script}")).unwrap();
        }
    }
}
