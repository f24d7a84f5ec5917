//! Every kind of drift on a live database, what is benign, and versions that cannot be served.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend};
use sea_orm_migration::MigratorTrait;

use super::catalogue::Catalogue;
use super::{SchemaError, SchemaReport, benign, check, declared, diff, read};
use crate::index::migration::Migrator;
use crate::index::{connect, migrate};

/// A database that was migrated.
async fn migrated() -> DatabaseConnection {
    let database = connect::in_memory().await.unwrap();
    migrate(&database).await.unwrap();
    database
}

async fn execute(database: &DatabaseConnection, script: &str) {
    database.execute_unprepared(script).await.unwrap_or_else(|error| panic!("{script}\n{error}"));
}

/// What SQLite cannot alter: the text of a table's definition.
fn redefined(table: &str, is: &str, becomes: &str) -> String {
    let [is, becomes] = [is, becomes].map(|text| text.replace('\'', "''"));
    format!(
        "PRAGMA writable_schema = ON; \
        UPDATE sqlite_schema SET sql = replace(sql, '{is}', '{becomes}') WHERE name = '{table}'; \
        PRAGMA writable_schema = RESET"
    )
}

async fn report(database: &DatabaseConnection) -> SchemaReport {
    check(database).await.unwrap().unwrap()
}

async fn drift(database: &DatabaseConnection) -> Vec<String> {
    report(database).await.differences.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_was_migrated_is_what_is_declared() {
    let database = migrated().await;
    let report = report(&database).await;
    assert_eq!(report.differences, []);
    assert!(report.is_clean());
    assert_eq!(report.version.as_deref(), Migrator::migrations().last().map(|last| last.name()));
    assert_eq!(report.tables, declared::catalogue(DbBackend::Sqlite).tables.len());
}

/// What happens to a database, and each line that the check has to say of it.
struct Drift {
    sqlite: String,
    lines: &'static [&'static str],
}

fn drifts() -> Vec<Drift> {
    let plain = |sqlite: &str, lines| Drift { sqlite: sqlite.to_owned(), lines };
    let redefined = |table, is, becomes, lines| Drift { sqlite: redefined(table, is, becomes), lines };
    vec![
        plain("DROP TABLE musehub_intel_facts", &["musehub_intel_facts: table is missing"]),
        plain(
            "CREATE TABLE musehub_issue_labels (label text)",
            &["musehub_issue_labels: table is not declared"],
        ),
        plain(
            "ALTER TABLE musehub_objects DROP COLUMN size",
            &["musehub_objects: column size is missing, should be integer not null"],
        ),
        plain(
            "ALTER TABLE musehub_objects ADD COLUMN path text",
            &["musehub_objects: column path is not declared, is text null"],
        ),
        redefined(
            "musehub_repos",
            "\"owner\" varchar(64)",
            "\"owner\" varchar(32)",
            &["musehub_repos: type of column owner is varchar(32), should be varchar(64)"],
        ),
        redefined(
            "musehub_repos",
            "\"owner\" varchar(64)",
            "\"owner\" text",
            &["musehub_repos: type of column owner is text, should be varchar(64)"],
        ),
        redefined(
            "musehub_repos",
            "\"deleted\" boolean",
            "\"deleted\" integer",
            &["musehub_repos: type of column deleted is integer, should be boolean"],
        ),
        redefined(
            "musehub_intel_breakage_issues",
            "\"help\" text",
            "\"help\" jsonb_text",
            &["musehub_intel_breakage_issues: type of column help is jsonb, should be text"],
        ),
        redefined(
            "musehub_repos",
            "\"slug\" varchar(64) NOT NULL",
            "\"slug\" varchar(64)",
            &["musehub_repos: nullability of column slug is null, should be not null"],
        ),
        redefined(
            "musehub_repos",
            "\"scheme\" varchar(16) NULL",
            "\"scheme\" varchar(16) NOT NULL",
            &["musehub_repos: nullability of column scheme is not null, should be null"],
        ),
        redefined(
            "musehub_intel_breakage_issues",
            "DEFAULT 1",
            "DEFAULT 2",
            &["musehub_intel_breakage_issues: default of column column_number is 2, should be 1"],
        ),
        redefined(
            "musehub_intel_breakage_issues",
            "DEFAULT '{}'",
            "",
            &["musehub_intel_breakage_issues: default of column help is missing, should be '{}'"],
        ),
        redefined(
            "musehub_repos",
            "\"version\" integer NOT NULL",
            "\"version\" integer NOT NULL DEFAULT 0",
            &["musehub_repos: default of column version is not declared, is 0"],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind varchar(64) NOT NULL, blob_id varchar(128) NOT NULL, facts text NOT NULL, \
                PRIMARY KEY (blob_id, kind))",
            &["musehub_intel_facts: primary key is (blob_id, kind), should be (kind, blob_id)"],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind varchar(64) NOT NULL, blob_id varchar(128) NOT NULL, facts text NOT NULL, \
                UNIQUE (kind, blob_id))",
            &[
                "musehub_intel_facts: primary key is (), should be (kind, blob_id)",
                "musehub_intel_facts: unique constraint (kind, blob_id) is not declared",
            ],
        ),
        plain(
            "PRAGMA foreign_keys = OFF; DROP TABLE musehub_identities; CREATE TABLE musehub_identities ( \
                handle varchar(64) PRIMARY KEY NOT NULL, handle_key varchar(64) NOT NULL, created_at integer NOT NULL)",
            &["musehub_identities: unique constraint (handle_key) is missing"],
        ),
        redefined(
            "musehub_tokens",
            "ON DELETE CASCADE",
            "",
            &[
                "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete no action on update \
                no action, should be (handle) on delete cascade on update no action",
            ],
        ),
        plain(
            "DROP TABLE musehub_object_refs; CREATE TABLE musehub_object_refs ( \
                repo_id varchar(128) NOT NULL, object_id varchar(128) NOT NULL, PRIMARY KEY (repo_id, object_id))",
            &[
                "musehub_object_refs: foreign key (repo_id) to musehub_repos is missing, should be (repo_id) on delete \
                cascade on update no action",
            ],
        ),
        plain(
            "DROP TABLE musehub_object_refs; CREATE TABLE musehub_object_refs ( \
                repo_id varchar(128) NOT NULL REFERENCES musehub_repos (repo_id) ON DELETE CASCADE, \
                object_id varchar(128) NOT NULL REFERENCES musehub_objects (object_id), \
                PRIMARY KEY (repo_id, object_id))",
            &[
                "musehub_object_refs: foreign key (object_id) to musehub_objects is not declared, is (object_id) on \
                delete no action on update no action",
            ],
        ),
        plain(
            "DROP INDEX ix_commits_id",
            &["musehub_commits: index ix_commits_id is missing, should be (commit_id)"],
        ),
        plain(
            "CREATE INDEX ix_commits_author ON musehub_commits (author)",
            &["musehub_commits: index ix_commits_author is not declared, is (author)"],
        ),
        plain(
            "DROP INDEX ux_repos_name; CREATE UNIQUE INDEX ux_repos_name ON musehub_repos (slug_key, owner_key)",
            &[
                "musehub_repos: index ux_repos_name is unique (slug_key, owner_key), should be unique (owner_key, \
                slug_key)",
            ],
        ),
        plain(
            "DROP INDEX ux_repos_name; CREATE INDEX ux_repos_name ON musehub_repos (owner_key, slug_key)",
            &[
                "musehub_repos: index ux_repos_name is (owner_key, slug_key), should be unique (owner_key, slug_key)",
            ],
        ),
        plain(
            "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id DESC)",
            &["musehub_commits: index ix_commits_id is (commit_id DESC), should be (commit_id)"],
        ),
        plain(
            "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (lower(commit_id))",
            &["musehub_commits: index ix_commits_id is (an expression), should be (commit_id)"],
        ),
        plain(
            "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id) WHERE size > 0",
            &["musehub_commits: condition of index ix_commits_id is not declared, is size > 0"],
        ),
        plain(
            "DROP INDEX ix_background_jobs_claim; \
            CREATE INDEX ix_background_jobs_claim ON musehub_background_jobs (created_at, run_at, job_type) \
                WHERE status IN ('pending')",
            &[
                "musehub_background_jobs: condition of index ix_background_jobs_claim is status IN ('pending'), \
                should be status IN ('pending', 'running')",
            ],
        ),
    ]
}

#[tokio::test]
async fn every_kind_of_drift_is_one_line() {
    for Drift { sqlite, lines } in drifts() {
        let database = migrated().await;
        execute(&database, &sqlite).await;
        assert_eq!(drift(&database).await, lines, "{sqlite}");
        let refused = migrate(&database).await.unwrap_err();
        let source = std::error::Error::source(&refused).unwrap().downcast_ref::<SchemaError>().unwrap();
        assert!(source.to_string().contains(lines[0]), "{source}");
    }
}

#[tokio::test]
async fn several_differences_are_all_named() {
    let database = migrated().await;
    execute(&database, "DROP INDEX ix_commits_id; DROP INDEX ix_snapshots_id; DROP TABLE musehub_tokens")
        .await;
    assert_eq!(
        drift(&database).await,
        [
            "musehub_commits: index ix_commits_id is missing, should be (commit_id)",
            "musehub_snapshots: index ix_snapshots_id is missing, should be (snapshot_id)",
            "musehub_tokens: table is missing",
        ]
    );
}

/// A table with every type, to be made otherwise than it is declared.
#[expect(unreachable_pub, reason = "sea-orm's derives make public items beside these")]
mod sample {
    use sea_orm::entity::prelude::*;

    use crate::index::schema::declared::Declared;

    #[derive(Clone, Debug, PartialEq, DeriveEntityModel)]
    #[sea_orm(table_name = "sample")]
    pub struct Model {
        #[sea_orm(primary_key, auto_increment = false)]
        pub big: i64,
        pub whole: i32,
        #[sea_orm(default_value = false)]
        pub flag: bool,
        #[sea_orm(column_type = "Json")]
        pub plain: Json,
        #[sea_orm(column_type = "JsonBinary", nullable)]
        pub binary: Option<Json>,
        #[sea_orm(column_type = "String(StringLen::N(8))", default_value = "it's")]
        pub short: String,
        #[sea_orm(default_value = -1)]
        pub below: i64,
        #[sea_orm(column_type = "Blob")]
        pub bytes: Vec<u8>,
        pub ratio: f64,
    }

    #[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
    pub enum Relation {}

    impl ActiveModelBehavior for ActiveModel {}

    impl Declared for Entity {}
}

/// The lines about a table that was made so, in place of the sample.
async fn sample_drift(database: &DatabaseConnection, columns: &str) -> Vec<String> {
    execute(database, &format!("CREATE TABLE sample ({columns})")).await;
    let mut live = read(database).await.unwrap();
    live.tables.retain(|name, _| name == "sample");
    let declared = Catalogue {
        tables: [declared::table::<sample::Entity>(database.get_database_backend())].into_iter().collect(),
    };
    let differences = diff::diff(&live, &declared);
    let meant = differences.iter().filter(|difference| benign::reason(difference).is_none());
    meant.map(ToString::to_string).collect()
}

#[tokio::test]
async fn every_type_and_default_is_told_from_its_neighbours() {
    let database = connect::in_memory().await.unwrap();
    let as_declared = "big integer PRIMARY KEY NOT NULL, whole integer NOT NULL, flag boolean NOT NULL DEFAULT FALSE, \
        plain json_text NOT NULL, \"binary\" jsonb_text, short varchar(8) NOT NULL DEFAULT 'it''s', \
        below integer NOT NULL DEFAULT -1, bytes blob NOT NULL, ratio double NOT NULL";
    assert_eq!(sample_drift(&database, as_declared).await, <[&str; 0]>::default());
    for (is, becomes, line) in [
        ("whole integer", "whole text", "type of column whole is text, should be integer"),
        ("flag boolean", "flag integer", "type of column flag is integer, should be boolean"),
        ("plain json_text", "plain jsonb_text", "type of column plain is jsonb, should be json"),
        ("\"binary\" jsonb_text", "\"binary\" json_text", "type of column binary is json, should be jsonb"),
        ("varchar(8)", "varchar", "type of column short is varchar, should be varchar(8)"),
        ("varchar(8)", "varchar(80)", "type of column short is varchar(80), should be varchar(8)"),
        ("bytes blob", "bytes text", "type of column bytes is text, should be bytea"),
        ("ratio double", "ratio real", "type of column ratio is real, should be double precision"),
        ("DEFAULT FALSE", "DEFAULT TRUE", "default of column flag is TRUE, should be FALSE"),
        ("'it''s'", "'its'", "default of column short is 'its', should be 'it''s'"),
        ("-1", "1", "default of column below is 1, should be -1"),
    ] {
        execute(&database, "DROP TABLE sample").await;
        let lines = sample_drift(&database, &as_declared.replace(is, becomes)).await;
        assert_eq!(lines, [format!("sample: {line}")]);
    }
}

#[tokio::test]
async fn what_is_benign_is_said_with_its_reason_and_nothing_else_is() {
    let database = migrated().await;
    let before = report(&database).await.benign.len();
    execute(&database, "CREATE TABLE notes (text text); ANALYZE").await;
    let after = report(&database).await;
    assert_eq!(after.differences, []);
    assert!(after.benign.len() > before);
    let told = |table: &str| after.benign.iter().any(|(difference, _)| difference.table == table);
    assert!(told("notes") && told("seaql_migrations"), "{:?}", after.benign);

    // The same kind of difference in a table of the hub's is not benign, nor is anything of the spelling but spelling.
    execute(&database, "CREATE TABLE musehub_notes (text text)").await;
    assert_eq!(drift(&database).await, ["musehub_notes: table is not declared"]);
    execute(&database, "DROP TABLE musehub_notes; DROP INDEX ix_background_jobs_claim").await;
    let claim = "CREATE INDEX ix_background_jobs_claim ON musehub_background_jobs (created_at, run_at, job_type) WHERE ";
    execute(&database, &format!("{claim} (\"status\" in ('pending','running'))")).await;
    let spelled = report(&database).await;
    assert_eq!(spelled.differences, []);
    assert!(
        spelled.benign.iter().any(|(difference, _)| difference.table == "musehub_background_jobs"),
        "{:?}",
        spelled.benign
    );
    execute(
        &database,
        &format!("DROP INDEX ix_background_jobs_claim; {claim} status IN ('pending', 'RUNNING')"),
    )
    .await;
    assert_eq!(drift(&database).await.len(), 1);
}

#[tokio::test]
async fn a_version_that_cannot_be_served_is_refused_by_name() {
    let refusal = async |script: &str| {
        let database = migrated().await;
        execute(&database, script).await;
        let checked = check(&database).await.unwrap().unwrap_err().to_string();
        let refused = migrate(&database).await.unwrap_err();
        assert_eq!(std::error::Error::source(&refused).unwrap().to_string(), checked);
        checked
    };
    assert_eq!(
        refusal("INSERT INTO seaql_migrations VALUES ('m9998_later', 0), ('m9999_last', 0)").await,
        "the database was made by a newer hub: this one does not know m9998_later, m9999_last"
    );
    assert_eq!(
        refusal("DELETE FROM seaql_migrations WHERE version = 'm0001_first_schema'").await,
        "the database has m0002_breakage_help but not m0001_first_schema, which comes before it"
    );
    assert_eq!(
        refusal("DELETE FROM seaql_migrations").await,
        "the database has tables of a hub (musehub_background_jobs is one) but no record of migrations"
    );
    assert_eq!(
        refusal("DROP TABLE seaql_migrations").await,
        "the database has tables of a hub (musehub_background_jobs is one) but no record of migrations"
    );
}

#[tokio::test]
async fn migrations_that_are_pending_are_named_and_nothing_is_changed() {
    let database = connect::in_memory().await.unwrap();
    let names: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
    let empty = report(&database).await;
    assert_eq!((empty.pending.clone(), empty.version.clone()), (names.clone(), None));
    assert!(!empty.is_clean());
    assert_eq!(read(&database).await.unwrap(), Catalogue::default());

    Migrator::up(&database, Some(1)).await.unwrap();
    let first = report(&database).await;
    assert_eq!((first.pending.as_slice(), first.version.as_ref()), (&names[1..], names.first()));
}

#[tokio::test]
async fn every_foreign_key_begins_an_index() {
    let live = read(&migrated().await).await.unwrap();
    for catalogue in [live, declared::catalogue(DbBackend::Sqlite)] {
        for (name, table) in catalogue.tables {
            for (columns, target) in table.foreign_keys.keys() {
                assert!(table.is_indexed_by(columns), "{name}: {columns} to {target}");
            }
        }
    }
}
