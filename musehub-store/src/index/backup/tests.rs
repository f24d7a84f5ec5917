//! Backups of tables that are all filled, and of a database that is written to meanwhile.

use std::collections::BTreeSet;
use std::io::{Cursor, Write};

use musehub_core::name::{Handle, RepoId};
use musehub_core::port::{
    IdentityStore, NewProposalEntry, NewToken, ProofGuard, ProposalConversations, ProposalEntryKind,
    ProposalNumber, Scope, TokenHash,
};
use musehub_test_services::{Engine, postgres};
use sea_orm::{ConnectionTrait, DbBackend};
use tempfile::TempDir;

use super::*;
use crate::index::hot_queries::tests::{fill, repo_id};
use crate::index::schema::declared;
use crate::index::url::DatabaseUrl;

/// Made anew from the object store.
const STORED: [&str; 7] = [
    "musehub_branches",
    "musehub_commit_graph",
    "musehub_commits",
    "musehub_object_refs",
    "musehub_objects",
    "musehub_repos",
    "musehub_snapshots",
];
/// Computed again, or of no use to another hub.
const PASSING: [&str; 9] = [
    "musehub_branch_claims",
    "musehub_fetch_mpack_cache",
    "musehub_intel_breakage_issues",
    "musehub_intel_breakage_meta",
    "musehub_intel_facts",
    "musehub_proposal_checks",
    "musehub_rate_limits",
    "musehub_secrets",
    "musehub_spent_proofs",
];
/// More than two pages.
const ROWS: usize = 1_100;

#[test]
fn every_table_is_in_the_object_store_or_in_a_backup_or_is_made_again() {
    let kept: Vec<&str> = tables().iter().map(|table| table.name).collect();
    let mut said: Vec<&str> = kept.iter().chain(&STORED).chain(&PASSING).copied().collect();
    said.sort_unstable();
    let declared = declared::catalogue(DbBackend::Sqlite);
    let all: BTreeSet<&str> = declared.tables.keys().map(String::as_str).collect();
    assert_eq!(said, all.into_iter().collect::<Vec<_>>(), "each table once");
}

/// Two databases of an engine: one with rows in every table, and one with those that come from the object store.
struct Pair {
    old: SqlIndex,
    new: SqlIndex,
    _directory: TempDir,
}

impl Pair {
    async fn of(engine: Engine) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let open = async |name: &str| {
            let url = match engine {
                Engine::Sqlite => DatabaseUrl::sqlite(directory.path().join(name)),
                Engine::Postgres => postgres::database().await.parse().unwrap(),
            };
            SqlIndex::connect(&url).await.unwrap()
        };
        let (old, new) = (open("old.db").await, open("new.db").await);
        fill(&old.writer.patient(), ROWS, |_| true).await;
        let some =
            format!("UPDATE musehub_background_jobs SET job_type = '{INDEX_JOB}' WHERE created_at % 7 = 0");
        old.writer.patient().execute_unprepared(&some).await.unwrap();
        fill(&new.writer.patient(), ROWS, |table| STORED.contains(&table)).await;
        Self { old, new, _directory: directory }
    }
}

async fn count(index: &SqlIndex, rows: &str) -> i64 {
    let rows = index.rows("counting", &format!("SELECT COUNT(*) FROM {rows}"), []).await.unwrap();
    rows[0].try_get_by_index(0).unwrap()
}

/// The lines of a backup.
async fn backed_up(index: &SqlIndex) -> String {
    let mut backup = Vec::new();
    index.backup(&mut backup, Timestamp::default()).await.unwrap();
    String::from_utf8(backup).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_row_of_every_table_that_is_kept_comes_back_and_no_other() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Pair { old, new, .. } = &Pair::of(engine).await;
        let backup = backed_up(old).await;
        let rows = new.restore(&mut Cursor::new(&backup), false).await.unwrap();
        assert_eq!(backup, backed_up(new).await, "{engine:?}");
        let mut kept = 0;
        for table in tables() {
            let (here, all) = (format!("{} WHERE {}", table.name, table.only), table.name.to_owned());
            let here = count(old, &here).await;
            assert!(here > 100, "{engine:?}: {} has {here} rows", table.name);
            assert_eq!(count(new, &all).await, here, "{engine:?}: {}", table.name);
            kept += here;
        }
        assert_eq!(rows, u64::try_from(kept).unwrap());
        for table in PASSING {
            assert!(count(old, table).await > 0, "{table}");
            assert_eq!(count(new, table).await, 0, "{table}");
        }
        // And over what is there.
        assert_eq!(new.restore(&mut Cursor::new(&backup), true).await.unwrap(), rows);
        assert_eq!(backup, backed_up(new).await, "{engine:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_database_knows_which_proofs_were_used_and_what_is_still_to_be_indexed() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Pair { old, new, .. } = &Pair::of(engine).await;
        let until = Timestamp::from_millis(60_000);
        assert!(old.spend(&[7; 32], until).await.unwrap());
        let secret = old.shared_secret("addresses", &[1; 32]).await.unwrap();
        new.carry_over(old).await.unwrap();
        assert!(!new.spend(&[7; 32], until).await.unwrap(), "{engine:?}: it was used before");
        assert_eq!(new.shared_secret("addresses", &[2; 32]).await.unwrap(), secret);
        assert_eq!(backed_up(old).await, backed_up(new).await, "{engine:?}");
        let jobs = count(new, "musehub_background_jobs").await;
        assert!(jobs > 100, "{jobs}");
    }
}

/// Somebody comes, with a token, and says something, whenever a backup has come to another table.
struct Busy<'a> {
    index: &'a SqlIndex,
    backup: Vec<u8>,
    tables: BTreeSet<String>,
}

const NUMBER: ProposalNumber = ProposalNumber::new(7);

async fn comment(index: &SqlIndex, author: &Handle) -> Result<u64, BackendError> {
    let entry = NewProposalEntry {
        kind: ProposalEntryKind::Comment,
        author: Some(author.clone()),
        body: "one more thing".to_owned(),
        commit: None,
        subject: None,
        at: Timestamp::default(),
    };
    let repo = RepoId::parse(&repo_id(0)).unwrap();
    index.add_proposal_entry(&repo, NUMBER, &entry).await.map(|entry| entry.id)
}

impl Busy<'_> {
    async fn somebody_comes(&self) {
        // Before all that were read already.
        let handle = Handle::parse(&format!("a{}", self.tables.len())).unwrap();
        let token = NewToken {
            hash: TokenHash::of(handle.as_str()),
            handle: handle.clone(),
            scope: Scope::Push,
            created_at: Timestamp::default(),
            expires_at: None,
        };
        self.index.add_token(&token).await.unwrap();
        comment(self.index, &handle).await.unwrap();
    }
}

impl Write for Busy<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.backup.extend_from_slice(bytes);
        let line: serde_json::Value = serde_json::from_slice(bytes).expect("a line at a time");
        if let Some(table) = line["table"].as_str()
            && self.tables.insert(table.to_owned())
        {
            let runtime = tokio::runtime::Handle::current();
            tokio::task::block_in_place(|| runtime.block_on(self.somebody_comes()));
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_server_at_work_is_of_one_moment() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let Pair { old, new, .. } = &Pair::of(engine).await;
        let mut busy = Busy { index: old, backup: Vec::new(), tables: BTreeSet::new() };
        old.backup(&mut busy, Timestamp::default()).await.unwrap();
        assert_eq!(busy.tables.len(), tables().len(), "in the middle of all of them");

        new.restore(&mut Cursor::new(&busy.backup), false).await.unwrap();
        let owner = Handle::parse("owner1").unwrap();
        assert_eq!(comment(new, &owner).await.unwrap(), 2, "{engine:?}: after the one that was there");
        assert_eq!(comment(old, &owner).await.unwrap(), busy.tables.len() as u64 + 2, "{engine:?}");
    }
}

#[tokio::test]
async fn what_comes_after_the_last_line_is_refused() {
    let index = SqlIndex::in_memory().await.unwrap();
    let backup = backed_up(&index).await;
    for more in ["\n", "x", &backup] {
        let longer = format!("{backup}{more}");
        match index.restore(&mut Cursor::new(&longer), false).await {
            Err(BackupError::Malformed { reason, .. }) => assert!(reason.contains("after"), "{reason}"),
            other => panic!("{more}: {other:?}"),
        }
    }
    assert_eq!(index.restore(&mut Cursor::new(&backup), false).await.unwrap(), 0);
}
