//! Every kind of drift on live databases of both engines, what is benign, and versions that cannot be served.

mod postgres;
mod sqlite;

use musehub_test_services::Engine;
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};
use sea_orm_migration::MigratorTrait;

use super::catalogue::Catalogue;
use super::{SchemaError, SchemaReport, benign, check, declared, diff, read};
use crate::index::migration::Migrator;
use crate::index::{connect, migrate, upgrade};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// A database that was migrated.
async fn migrated(engine: Engine) -> DatabaseConnection {
    let database = connect::empty(engine).await;
    migrate(&database).await.unwrap();
    database
}

async fn execute(database: &impl ConnectionTrait, script: &str) {
    database.execute_unprepared(script).await.unwrap_or_else(|error| panic!("{script}\n{error}"));
}

async fn report(database: &impl ConnectionTrait) -> SchemaReport {
    check(database).await.unwrap().unwrap()
}

async fn drift(database: &impl ConnectionTrait) -> Vec<String> {
    report(database).await.differences.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn what_was_migrated_is_what_is_declared() {
    for engine in ENGINES {
        let database = migrated(engine).await;
        let report = report(&database).await;
        assert_eq!(report.differences, []);
        assert!(report.is_clean());
        assert_eq!(report.version.as_deref(), Migrator::migrations().last().map(|last| last.name()));
        assert_eq!(report.tables, declared::catalogue(database.get_database_backend()).tables.len());
    }
}

/// What happens to a database, and each line that the check has to say of it.
struct Drift {
    script: String,
    lines: &'static [&'static str],
}

/// Makes each drift and sees it caught, by the check and at the start: on SQLite in a database of its own, on PostgreSQL in
/// a transaction of its own, which takes it back.
async fn assert_drifts(engine: Engine, drifts: Vec<Drift>) {
    let mut unseen = Vec::new();
    match engine {
        Engine::Sqlite => {
            for drift in drifts {
                unseen.extend(is_unseen(&migrated(engine).await, drift).await);
            }
        }
        Engine::Postgres => {
            let database = migrated(engine).await;
            for drift in drifts {
                let transaction = database.begin().await.unwrap();
                unseen.extend(is_unseen(&transaction, drift).await);
                transaction.rollback().await.unwrap();
            }
            assert_eq!(self::drift(&database).await, <[&str; 0]>::default());
        }
    }
    assert!(unseen.is_empty(), "{}", unseen.join("\n\n"));
}

/// What the check or the start does not see of a drift; none where both see all of it.
async fn is_unseen(database: &impl ConnectionTrait, Drift { script, lines }: Drift) -> Option<String> {
    execute(database, &script).await;
    let seen = drift(database).await;
    if seen != lines {
        return Some(format!("{script}\nis seen as {seen:#?}\nand not as {lines:#?}"));
    }
    let Err(refused) = upgrade::verified(database).await else {
        return Some(format!("{script}\nis served"));
    };
    let source = std::error::Error::source(&refused).unwrap().downcast_ref::<SchemaError>().unwrap();
    for line in lines {
        assert!(source.to_string().contains(line), "{source}");
    }
    None
}

#[tokio::test]
async fn several_differences_are_all_named() {
    for engine in ENGINES {
        let database = migrated(engine).await;
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
        let refused = migrate(&database).await.unwrap_err();
        let said = std::error::Error::source(&refused).unwrap().to_string();
        assert_eq!(said.lines().count(), 4, "{said}");
        assert!(said.contains("\nmusehub_tokens: table is missing"), "{said}");
    }
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

/// Makes the sample as it is declared, and then with each change of its text, which has to be said in that line.
async fn assert_sample_drifts(engine: Engine, as_declared: &str, drifts: &[(&str, &str, &str)]) {
    let database = connect::empty(engine).await;
    assert_eq!(sample_drift(&database, as_declared).await, <[&str; 0]>::default());
    for (is, becomes, line) in drifts {
        assert!(as_declared.contains(is), "{is}");
        execute(&database, "DROP TABLE sample").await;
        let lines = sample_drift(&database, &as_declared.replace(is, becomes)).await;
        assert_eq!(lines, [format!("sample: {line}")]);
    }
}

#[tokio::test]
async fn what_is_benign_is_said_with_its_reason_and_nothing_else_is() {
    for engine in ENGINES {
        let database = migrated(engine).await;
        let before = report(&database).await.benign.len();
        execute(
            &database,
            "CREATE TABLE notes (text text CHECK (text <> '')); \
            CREATE VIEW names AS SELECT owner FROM musehub_repos; ANALYZE",
        )
        .await;
        let after = report(&database).await;
        assert_eq!(after.differences, []);
        assert!(after.benign.len() > before);
        let told = |table: &str| after.benign.iter().any(|(difference, _)| difference.table == table);
        assert!(told("notes") && told("names") && told("seaql_migrations"), "{:?}", after.benign);

        // The same kind of difference in a table of the hub's is not benign, nor is anything of the spelling but spelling.
        execute(&database, "CREATE TABLE musehub_notes (text text)").await;
        assert_eq!(drift(&database).await, ["musehub_notes: table is not declared"]);
        execute(&database, "DROP TABLE musehub_notes; DROP INDEX ix_background_jobs_claim").await;
        let claim = "CREATE INDEX ix_background_jobs_claim ON musehub_background_jobs (priority, created_at, run_at, job_type) WHERE ";
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
        let [line] = drift(&database).await.try_into().unwrap();
        let is = line
            .strip_prefix("musehub_background_jobs: condition of index ix_background_jobs_claim is ")
            .unwrap();
        assert!(
            is.contains("'RUNNING'") && is.ends_with(", should be status IN ('pending', 'running')"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_version_that_cannot_be_served_is_refused_by_name() {
    for engine in ENGINES {
        let refusal = async |script: &str| {
            let database = migrated(engine).await;
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
            "the database has tables of a hub (musehub_auth_keys is one) but no record of migrations"
        );
        assert_eq!(
            refusal("DROP TABLE seaql_migrations").await,
            "the database has tables of a hub (musehub_auth_keys is one) but no record of migrations"
        );
    }
}

#[tokio::test]
async fn migrations_that_are_pending_are_named_and_nothing_is_changed() {
    for engine in ENGINES {
        let database = connect::empty(engine).await;
        let names: Vec<String> = Migrator::migrations().iter().map(|one| one.name().to_owned()).collect();
        let empty = report(&database).await;
        assert_eq!((empty.pending.clone(), empty.version.clone()), (names.clone(), None));
        assert!(!empty.is_clean());
        assert_eq!(read(&database).await.unwrap(), Catalogue::default());

        Migrator::up(&database, Some(1)).await.unwrap();
        let first = report(&database).await;
        assert_eq!((first.pending.as_slice(), first.version.as_ref()), (&names[1..], names.first()));
    }
}

#[tokio::test]
async fn every_foreign_key_begins_an_index() {
    for engine in ENGINES {
        let database = migrated(engine).await;
        let live = read(&database).await.unwrap();
        for catalogue in [live, declared::catalogue(database.get_database_backend())] {
            let mut keys = 0;
            for (name, table) in catalogue.tables {
                for key in &table.foreign_keys {
                    assert!(table.is_indexed_by(&key.columns), "{name}: {} to {}", key.columns, key.table);
                    keys += 1;
                }
            }
            assert!(keys > 0);
        }
    }
}
