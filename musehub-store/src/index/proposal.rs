//! [`ProposalStore`].

use async_trait::async_trait;
use musehub_core::merge::Mergeability;
use musehub_core::name::{BranchName, Handle, RepoId};
use musehub_core::port::{
    BackendError, NewProposal, NewProposalEntry, Proposal, ProposalCheck, ProposalCounts, ProposalFilter,
    ProposalMerge, ProposalNumber, ProposalState, ProposalStore, Timestamp,
};
use sea_orm::{DbErr, QueryResult, SqlErr, Value};

use super::SqlIndex;
use super::proposal_conversation::add_entry;
use super::retry;
use super::sql::{Row, damaged, failure, integer};

const TABLE: &str = "musehub_proposals";

/// Holds back every other proposal that is about to be made in the repository. On SQLite the transaction itself does.
pub(super) const LOCK: &str = "UPDATE musehub_repos SET version = version WHERE repo_id = $1";

pub(super) const CREATE: &str = "\
    INSERT INTO musehub_proposals (repo_id, number, version, title, description, from_branch, to_branch, author, author_key, \
        state, draft, head_commit_id, base_commit_id, created_at, updated_at, entries) \
    SELECT $1, COALESCE(MAX(number), 0) + 1, 1, $2, $3, $4, $5, $6, $7, 'open', $8, $9, $10, $11, $11, 0 \
    FROM musehub_proposals WHERE repo_id = $1 RETURNING number";

pub(super) const REPLACE: &str = "\
    UPDATE musehub_proposals SET version = $3, title = $4, description = $5, from_branch = $6, to_branch = $7, state = $8, \
        draft = $9, head_commit_id = $10, base_commit_id = $11, merge_commit_id = $12, merge_source_id = $13, \
        merge_target_id = $14, merged_by = $15, merged_at = $16, updated_at = $17, closed_at = $18 \
    WHERE repo_id = $1 AND number = $2 AND version = $3 - 1";

/// The columns that [`proposal`] reads, in its order.
macro_rules! columns {
    () => {
        "SELECT number, version, title, description, from_branch, to_branch, author, state, draft, head_commit_id, \
         base_commit_id, merge_commit_id, merge_source_id, merge_target_id, merged_by, merged_at, created_at, updated_at, \
         closed_at, entries FROM musehub_proposals WHERE repo_id = $1"
    };
}

pub(super) const PROPOSAL: &str = concat!(columns!(), " AND number = $2");

pub(super) const COUNTS: &str =
    "SELECT state, COUNT(*) FROM musehub_proposals WHERE repo_id = $1 GROUP BY state";

pub(super) const CHECK: &str =
    "SELECT source_id, target_id, found FROM musehub_proposal_checks WHERE repo_id = $1 AND number = $2";

const PUT_CHECK: &str = "\
    INSERT INTO musehub_proposal_checks (repo_id, number, source_id, target_id, found) VALUES ($1, $2, $3, $4, $5) \
    ON CONFLICT (repo_id, number) DO UPDATE SET \
        source_id = excluded.source_id, target_id = excluded.target_id, found = excluded.found";

#[async_trait]
impl ProposalStore for SqlIndex {
    async fn create_proposal(&self, repo: &RepoId, new: &NewProposal) -> Result<Proposal, BackendError> {
        retry::transaction(|| async {
            let write = self.write("making a proposal").await?;
            write.execute(LOCK, [repo.as_str().into()]).await?;
            let author = new.author.as_str();
            let values: [Value; 11] = [
                repo.as_str().into(),
                new.title.as_str().into(),
                new.description.as_str().into(),
                new.source.as_str().into(),
                new.target.as_str().into(),
                author.into(),
                author.to_ascii_lowercase().into(),
                new.draft.into(),
                new.head.to_string().into(),
                new.base.to_string().into(),
                new.at.as_millis().into(),
            ];
            let rows =
                write.try_rows(CREATE, values).await.map_err(|error| twin("making a proposal", error))?;
            let number = rows.first().map_or(Ok(0), |row| Row::of(TABLE, row).get(0, "number"))?;
            let rows = write.rows(PROPOSAL, [repo.as_str().into(), number.into()]).await?;
            let made = rows.first().map(proposal).transpose()?;
            write.commit().await?;
            made.ok_or_else(|| damaged(TABLE, "number", "what was just written is not there"))
        })
        .await
    }

    async fn replace_proposal(
        &self,
        repo: &RepoId,
        proposal: &Proposal,
        entries: &[NewProposalEntry],
    ) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            const ACTION: &str = "changing a proposal";
            let write = self.write(ACTION).await?;
            let values = replacement(repo, proposal)?;
            let replaced = write.try_execute(REPLACE, values).await.map_err(|error| twin(ACTION, error))?;
            if replaced == 0 {
                let key = [repo.as_str().into(), integer(proposal.number.get())?.into()];
                return match write.rows(PROPOSAL, key).await?.is_empty() {
                    true => Err(missing(proposal.number)),
                    false => Ok(false),
                };
            }
            for entry in entries {
                add_entry(&write, repo, proposal.number, entry).await?;
            }
            write.commit().await?;
            Ok(true)
        })
        .await
    }

    async fn proposal(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Option<Proposal>, BackendError> {
        let Ok(number) = integer(number.get()) else {
            return Ok(None);
        };
        let rows = self.rows("finding a proposal", PROPOSAL, [repo.as_str().into(), number.into()]).await?;
        rows.first().map(proposal).transpose()
    }

    async fn proposals(
        &self,
        repo: &RepoId,
        filter: &ProposalFilter,
        before: Option<ProposalNumber>,
        limit: u32,
    ) -> Result<Vec<Proposal>, BackendError> {
        let (query, values) = list_query(repo, filter, before, limit);
        let rows = self.rows("listing proposals", &query, values).await?;
        rows.iter().map(proposal).collect()
    }

    async fn proposal_counts(&self, repo: &RepoId) -> Result<ProposalCounts, BackendError> {
        let mut counts = ProposalCounts::default();
        for row in &self.rows("counting proposals", COUNTS, [repo.as_str().into()]).await? {
            let row = Row::of(TABLE, row);
            let count = row.number(1, "COUNT(*)")?;
            match state(&row.get::<String>(0, "state")?)? {
                ProposalState::Open => counts.open = count,
                ProposalState::Closed => counts.closed = count,
                ProposalState::Merged => counts.merged = count,
            }
        }
        Ok(counts)
    }

    async fn proposal_check(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Option<ProposalCheck>, BackendError> {
        const TABLE: &str = "musehub_proposal_checks";
        let Ok(number) = integer(number.get()) else {
            return Ok(None);
        };
        let rows = self.rows("finding a check", CHECK, [repo.as_str().into(), number.into()]).await?;
        let check = |row: &QueryResult| {
            let row = Row::of(TABLE, row);
            let found: String = row.get(2, "found")?;
            // Another version of the hub may have found it in other words.
            let Ok(found) = serde_json::from_str::<Mergeability>(&found) else {
                return Ok(None);
            };
            let (source, target) = (row.parse(0, "source_id")?, row.parse(1, "target_id")?);
            Ok(Some(ProposalCheck { source, target, found }))
        };
        rows.first().map_or(Ok(None), check)
    }

    async fn put_proposal_check(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        check: &ProposalCheck,
    ) -> Result<(), BackendError> {
        let found = serde_json::to_string(&check.found)
            .map_err(|error| BackendError::unavailable("writing what was found as JSON", error))?;
        retry::transaction(|| async {
            let write = self.write("keeping a check").await?;
            let values = [
                repo.as_str().into(),
                integer(number.get())?.into(),
                check.source.to_string().into(),
                check.target.to_string().into(),
                found.as_str().into(),
            ];
            write.execute(PUT_CHECK, values).await?;
            write.commit().await
        })
        .await
    }
}

/// The query of a page, with its values.
pub(super) fn list_query(
    repo: &RepoId,
    filter: &ProposalFilter,
    before: Option<ProposalNumber>,
    limit: u32,
) -> (String, Vec<Value>) {
    let ProposalFilter { state, author, source, target } = filter;
    let before = before.map(|before| i64::try_from(before.get()).unwrap_or(i64::MAX));
    let conditions: [(&str, Option<Value>); 5] = [
        ("number <", before.map(Value::from)),
        ("state =", state.map(|state| state.as_str().into())),
        ("author_key =", author.as_ref().map(|author| author.as_str().to_ascii_lowercase().into())),
        ("from_branch =", source.as_ref().map(|branch| branch.as_str().into())),
        ("to_branch =", target.as_ref().map(|branch| branch.as_str().into())),
    ];
    let (mut query, mut values) = (columns!().to_owned(), vec![Value::from(repo.as_str())]);
    for (condition, value) in conditions {
        if let Some(value) = value {
            values.push(value);
            query.push_str(&format!(" AND {condition} ${}", values.len()));
        }
    }
    values.push(i64::from(limit).into());
    query.push_str(&format!(" ORDER BY number DESC LIMIT ${}", values.len()));
    (query, values)
}

fn replacement(repo: &RepoId, proposal: &Proposal) -> Result<[Value; 18], BackendError> {
    let merge = proposal.merge.as_ref();
    Ok([
        repo.as_str().into(),
        integer(proposal.number.get())?.into(),
        integer(proposal.version)?.into(),
        proposal.title.as_str().into(),
        proposal.description.as_str().into(),
        proposal.source.as_str().into(),
        proposal.target.as_str().into(),
        proposal.state.as_str().into(),
        proposal.draft.into(),
        proposal.head.to_string().into(),
        proposal.base.to_string().into(),
        merge.map(|merge| merge.commit.to_string()).into(),
        merge.map(|merge| merge.source.to_string()).into(),
        merge.map(|merge| merge.target.to_string()).into(),
        merge.and_then(|merge| merge.by.as_ref().map(Handle::as_str)).into(),
        merge.map(|merge| merge.at.as_millis()).into(),
        proposal.updated_at.as_millis().into(),
        proposal.closed_at.map(Timestamp::as_millis).into(),
    ])
}

pub(super) fn missing(number: ProposalNumber) -> BackendError {
    BackendError::Missing { what: format!("proposal {number}") }
}

fn twin(action: &'static str, error: DbErr) -> BackendError {
    match error.sql_err() {
        Some(SqlErr::UniqueConstraintViolation(_)) => {
            BackendError::Conflict { what: "an open proposal of the same branches".to_owned() }
        }
        _ => failure(action, error),
    }
}

fn state(word: &str) -> Result<ProposalState, BackendError> {
    ProposalState::from_name(word).ok_or_else(|| damaged(TABLE, "state", "no state has that name"))
}

fn proposal(row: &QueryResult) -> Result<Proposal, BackendError> {
    let row = Row::of(TABLE, row);
    let branch = |at, column| {
        let name: String = row.get(at, column)?;
        BranchName::parse(&name).map_err(|error| damaged(TABLE, column, error))
    };
    let (word, author): (String, String) = (row.get(7, "state")?, row.get(6, "author")?);
    Ok(Proposal {
        number: ProposalNumber::new(row.number(0, "number")?),
        version: row.number(1, "version")?,
        title: row.get(2, "title")?,
        description: row.get(3, "description")?,
        source: branch(4, "from_branch")?,
        target: branch(5, "to_branch")?,
        author: handle("author", &author)?,
        state: state(&word)?,
        draft: row.get(8, "draft")?,
        head: row.parse(9, "head_commit_id")?,
        base: row.parse(10, "base_commit_id")?,
        merge: merge(&row)?,
        created_at: row.moment(16, "created_at")?,
        updated_at: row.moment(17, "updated_at")?,
        closed_at: row.get::<Option<i64>>(18, "closed_at")?.map(Timestamp::from_millis),
        entries: row.number(19, "entries")?,
    })
}

fn merge(row: &Row<'_>) -> Result<Option<ProposalMerge>, BackendError> {
    let Some(commit) = row.parse_nullable(11, "merge_commit_id")? else {
        return Ok(None);
    };
    let by: Option<String> = row.get(14, "merged_by")?;
    Ok(Some(ProposalMerge {
        commit,
        source: row.parse(12, "merge_source_id")?,
        target: row.parse(13, "merge_target_id")?,
        by: by.map(|by| handle("merged_by", &by)).transpose()?,
        at: row.moment(15, "merged_at")?,
    }))
}

pub(super) fn handle(column: &'static str, text: &str) -> Result<Handle, BackendError> {
    Handle::parse(text).map_err(|error| damaged(TABLE, column, error))
}
