//! Drift of a SQLite database.

use musehub_test_services::Engine;

use super::{Drift, assert_drifts, assert_sample_drifts};

/// What SQLite cannot alter: the text of a table's definition.
fn redefined(table: &str, is: &str, becomes: &str) -> String {
    let [is, becomes] = [is, becomes].map(|text| text.replace('\'', "''"));
    format!(
        "PRAGMA writable_schema = ON; \
        UPDATE sqlite_schema SET sql = replace(sql, '{is}', '{becomes}') WHERE name = '{table}'; \
        PRAGMA writable_schema = RESET"
    )
}

fn drifts() -> Vec<Drift> {
    let plain = |script: &str, lines| Drift { script: script.to_owned(), lines };
    let redefined = |table, is, becomes, lines| Drift { script: redefined(table, is, becomes), lines };
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
                handle varchar(64) PRIMARY KEY NOT NULL, handle_key varchar(64) NOT NULL, created_at integer NOT NULL, \
                spawned_by varchar(64))",
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
                repo_id varchar(128) NOT NULL, object_id varchar(128) NOT NULL, PRIMARY KEY (repo_id, object_id)) WITHOUT ROWID; \
                CREATE INDEX ix_object_refs_object ON musehub_object_refs (object_id, repo_id)",
            &[
                "musehub_object_refs: foreign key (repo_id) to musehub_repos is missing, should be (repo_id) on delete \
                cascade on update no action",
            ],
        ),
        plain(
            "DROP TABLE musehub_object_refs; CREATE TABLE musehub_object_refs ( \
                repo_id varchar(128) NOT NULL REFERENCES musehub_repos (repo_id) ON DELETE CASCADE, \
                object_id varchar(128) NOT NULL REFERENCES musehub_objects (object_id), \
                PRIMARY KEY (repo_id, object_id)) WITHOUT ROWID; \
                CREATE INDEX ix_object_refs_object ON musehub_object_refs (object_id, repo_id)",
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
            CREATE INDEX ix_background_jobs_claim ON musehub_background_jobs (priority, created_at, run_at, job_type) \
                WHERE status IN ('pending')",
            &[
                "musehub_background_jobs: condition of index ix_background_jobs_claim is status IN ('pending'), \
                should be status IN ('pending', 'running')",
            ],
        ),
        plain(
            "DROP INDEX ix_commits_id; CREATE INDEX ix_commits_id ON musehub_commits (commit_id COLLATE NOCASE)",
            &["musehub_commits: index ix_commits_id is (commit_id COLLATE NOCASE), should be (commit_id)"],
        ),
        redefined(
            "musehub_tokens",
            "ON DELETE CASCADE",
            "ON DELETE CASCADE ON UPDATE CASCADE",
            &[
                "musehub_tokens: foreign key (handle) to musehub_identities is (handle) on delete cascade on update \
                cascade, should be (handle) on delete cascade on update no action",
            ],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind varchar(64) NOT NULL, blob_id varchar(128) NOT NULL, facts text NOT NULL UNIQUE, \
                PRIMARY KEY (kind, blob_id))",
            &["musehub_intel_facts: unique constraint (facts) is not declared"],
        ),
        redefined(
            "musehub_objects",
            "\"size\" integer NOT NULL",
            "\"size\" integer NOT NULL CHECK (size < 100)",
            &["musehub_objects: CHECK in \"size\" integer NOT NULL CHECK (size < 100) is not declared"],
        ),
        plain(
            "CREATE TRIGGER lose BEFORE INSERT ON musehub_objects BEGIN\n  SELECT RAISE(IGNORE);\nEND",
            &[
                "musehub_objects: trigger lose is not declared, is CREATE TRIGGER lose BEFORE INSERT ON musehub_objects \
                BEGIN SELECT RAISE(IGNORE); END",
            ],
        ),
        // In the primary key too, so that `Main` and `main` would be one row.
        plain(
            "DROP TABLE musehub_branches; CREATE TABLE musehub_branches (repo_id varchar(128) NOT NULL, \
                \"name\" varchar(255) COLLATE NOCASE NOT NULL, head_commit_id varchar(128), sequence integer NOT NULL, \
                moved_at integer NOT NULL, PRIMARY KEY (repo_id, name), \
                FOREIGN KEY (repo_id) REFERENCES musehub_repos (repo_id) ON DELETE CASCADE) WITHOUT ROWID",
            &[
                "musehub_branches: type of column name is varchar(255) collate NOCASE, should be varchar(255)",
                "musehub_branches: primary key is (repo_id, name COLLATE NOCASE), should be (repo_id, name)",
            ],
        ),
        // Of the primary key alone.
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind varchar(64) NOT NULL, blob_id varchar(128) NOT NULL, facts text NOT NULL, \
                PRIMARY KEY (kind, blob_id COLLATE NOCASE))",
            &[
                "musehub_intel_facts: primary key is (kind, blob_id COLLATE NOCASE), should be (kind, blob_id)",
            ],
        ),
        // Of a column that no index has.
        redefined(
            "musehub_commits",
            "author text",
            "author text COLLATE NOCASE",
            &["musehub_commits: type of column author is text collate NOCASE, should be text"],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind varchar(64) NOT NULL, blob_id varchar(128) NOT NULL, facts text NOT NULL, \
                PRIMARY KEY (kind, blob_id)) WITHOUT ROWID",
            &["musehub_intel_facts: kind is table (WITHOUT ROWID), should be table"],
        ),
        plain(
            "DROP TABLE musehub_object_refs; CREATE TABLE musehub_object_refs ( \
                repo_id varchar(128) NOT NULL REFERENCES musehub_repos (repo_id) ON DELETE CASCADE, \
                object_id varchar(128) NOT NULL, PRIMARY KEY (repo_id, object_id)); \
                CREATE INDEX ix_object_refs_object ON musehub_object_refs (object_id, repo_id)",
            &["musehub_object_refs: kind is table, should be table (WITHOUT ROWID)"],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind text NOT NULL, blob_id text NOT NULL, facts text NOT NULL, PRIMARY KEY (kind, blob_id)) STRICT",
            &[
                "musehub_intel_facts: kind is table (STRICT), should be table",
                "musehub_intel_facts: type of column blob_id is text, should be varchar(128)",
                "musehub_intel_facts: type of column kind is text, should be varchar(64)",
            ],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind varchar(64) NOT NULL, blob_id varchar(128) NOT NULL, facts text NOT NULL AS (kind || blob_id), \
                PRIMARY KEY (kind, blob_id))",
            &["musehub_intel_facts: default of column facts is not declared, is generated"],
        ),
        redefined(
            "musehub_tokens",
            "ON DELETE CASCADE",
            "ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
            &[
                "musehub_tokens: DEFERRABLE in FOREIGN KEY (\"handle\") REFERENCES \"musehub_identities\" (\"handle\") ON \
                DELETE CASCADE DEFERRABLE INITIALLY DEFERRED is not declared",
            ],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; CREATE TABLE musehub_intel_facts ( \
                kind varchar(64) NOT NULL, blob_id varchar(128) NOT NULL, facts text NOT NULL, \
                PRIMARY KEY (kind, blob_id) ON CONFLICT REPLACE)",
            &[
                "musehub_intel_facts: CONFLICT in PRIMARY KEY (kind, blob_id) ON CONFLICT REPLACE is not declared",
            ],
        ),
        plain(
            "DROP TABLE musehub_intel_facts; \
            CREATE VIEW musehub_intel_facts AS SELECT 'python' AS kind, 'id' AS blob_id, '{}' AS facts",
            &["musehub_intel_facts: kind is view, should be table"],
        ),
        plain(
            "CREATE VIEW musehub_names AS SELECT owner FROM musehub_repos",
            &["musehub_names: table is not declared, is view"],
        ),
    ]
}

#[tokio::test]
async fn every_kind_of_drift_is_one_line_and_keeps_the_hub_from_starting() {
    assert_drifts(Engine::Sqlite, drifts()).await;
}

#[tokio::test]
async fn every_type_and_default_is_told_from_its_neighbours() {
    let as_declared = "big integer PRIMARY KEY NOT NULL, whole integer NOT NULL, flag boolean NOT NULL DEFAULT FALSE, \
        plain json_text NOT NULL, \"binary\" jsonb_text, short varchar(8) NOT NULL DEFAULT 'it''s', \
        below integer NOT NULL DEFAULT -1, bytes blob NOT NULL, ratio double NOT NULL";
    let drifts = [
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
    ];
    assert_sample_drifts(Engine::Sqlite, as_declared, &drifts).await;
}
