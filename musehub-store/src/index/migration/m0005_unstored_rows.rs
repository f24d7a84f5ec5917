//! Rows of commits and snapshots that wait to be back-filled: no place, and the record instead.

use sea_orm::DbBackend;
use sea_orm_migration::prelude::*;

/// Lets a commit or snapshot be a row without an object.
#[derive(Debug)]
pub(super) struct UnstoredRows;

impl MigrationName for UnstoredRows {
    fn name(&self) -> &str {
        "m0005_unstored_rows"
    }
}

/// SQLite cannot alter a column: new tables, copies, and the old names.
const SQLITE: &str = "\
    CREATE TABLE new_commits ( \
        repo_id varchar(128) NOT NULL, commit_id varchar(128) NOT NULL, snapshot_id varchar(128) NOT NULL, \
        author text NOT NULL, message text NOT NULL, committed_at text NOT NULL, agent_id text NOT NULL, \
        branch text NOT NULL, size integer NOT NULL, storage_uri text, record text, \
        PRIMARY KEY (repo_id, commit_id), \
        FOREIGN KEY (repo_id) REFERENCES musehub_repos (repo_id) ON DELETE CASCADE); \
    INSERT INTO new_commits SELECT repo_id, commit_id, snapshot_id, author, message, committed_at, agent_id, branch, \
        size, storage_uri, NULL FROM musehub_commits; \
    DROP TABLE musehub_commits; \
    ALTER TABLE new_commits RENAME TO musehub_commits; \
    CREATE INDEX ix_commits_id ON musehub_commits (commit_id); \
    CREATE TABLE new_snapshots ( \
        repo_id varchar(128) NOT NULL, snapshot_id varchar(128) NOT NULL, entry_count integer NOT NULL, \
        size integer NOT NULL, storage_uri text, record text, \
        PRIMARY KEY (repo_id, snapshot_id), \
        FOREIGN KEY (repo_id) REFERENCES musehub_repos (repo_id) ON DELETE CASCADE) WITHOUT ROWID; \
    INSERT INTO new_snapshots SELECT repo_id, snapshot_id, entry_count, size, storage_uri, NULL FROM musehub_snapshots; \
    DROP TABLE musehub_snapshots; \
    ALTER TABLE new_snapshots RENAME TO musehub_snapshots; \
    CREATE INDEX ix_snapshots_id ON musehub_snapshots (snapshot_id);";

const POSTGRES: &str = "\
    ALTER TABLE musehub_commits ALTER COLUMN storage_uri DROP NOT NULL, ADD COLUMN record text; \
    ALTER TABLE musehub_snapshots ALTER COLUMN storage_uri DROP NOT NULL, ADD COLUMN record text;";

/// Few rows wait, if any: what looks for them reads nothing else.
const INDEXES: &str = "\
    CREATE INDEX ix_commits_unstored ON musehub_commits (repo_id, commit_id) WHERE storage_uri IS NULL; \
    CREATE INDEX ix_snapshots_unstored ON musehub_snapshots (repo_id, snapshot_id) WHERE storage_uri IS NULL;";

#[async_trait::async_trait]
impl MigrationTrait for UnstoredRows {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let postgres = manager.get_database_backend() == DbBackend::Postgres;
        let connection = manager.get_connection();
        connection.execute_unprepared(if postgres { POSTGRES } else { SQLITE }).await?;
        connection.execute_unprepared(INDEXES).await?;
        Ok(())
    }
}
