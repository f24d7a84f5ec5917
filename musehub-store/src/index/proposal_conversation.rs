//! [`ProposalConversations`].

use async_trait::async_trait;
use musehub_core::name::{Handle, RepoId};
use musehub_core::port::{
    BackendError, NewProposalEntry, ProposalConversations, ProposalEntry, ProposalEntryKind, ProposalNumber,
    Review, Timestamp, Verdict,
};
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::proposal::{handle, missing};
use super::retry;
use super::sql::{Row, Write, damaged, integer};

const TABLE: &str = "musehub_proposal_entries";

/// The number of the next entry. Whoever has it holds back every other one of the proposal.
pub(super) const NEXT: &str = "\
    UPDATE musehub_proposals SET entries = entries + 1, updated_at = $3 WHERE repo_id = $1 AND number = $2 \
    RETURNING entries";

pub(super) const TOUCH: &str =
    "UPDATE musehub_proposals SET updated_at = $3 WHERE repo_id = $1 AND number = $2";

const ADD: &str = "\
    INSERT INTO musehub_proposal_entries (repo_id, number, entry_id, kind, author, body, commit_id, subject, created_at, \
        deleted) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";

pub(super) const CHANGE: &str = "\
    UPDATE musehub_proposal_entries SET body = $4, edited_at = $5, deleted = $6 \
    WHERE repo_id = $1 AND number = $2 AND entry_id = $3 AND deleted = $7";

/// The columns that [`entry`] reads, in its order.
macro_rules! columns {
    () => {
        "SELECT entry_id, kind, author, body, commit_id, subject, created_at, edited_at, deleted \
         FROM musehub_proposal_entries WHERE repo_id = $1 AND number = $2"
    };
}

pub(super) const ENTRY: &str = concat!(columns!(), " AND entry_id = $3");

pub(super) const ENTRIES: &str = concat!(columns!(), " AND entry_id > $3 ORDER BY entry_id LIMIT $4");

pub(super) const REVIEWS: &str = "\
    SELECT reviewer, verdict, commit_id, entry_id, created_at FROM musehub_proposal_reviews \
    WHERE repo_id = $1 AND number = $2 ORDER BY entry_id";

const PUT_REVIEW: &str = "\
    INSERT INTO musehub_proposal_reviews (repo_id, number, reviewer_key, reviewer, verdict, commit_id, entry_id, created_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
    ON CONFLICT (repo_id, number, reviewer_key) DO UPDATE SET reviewer = excluded.reviewer, verdict = excluded.verdict, \
        commit_id = excluded.commit_id, entry_id = excluded.entry_id, created_at = excluded.created_at";

pub(super) const DISMISS: &str =
    "DELETE FROM musehub_proposal_reviews WHERE repo_id = $1 AND number = $2 AND reviewer_key = $3";

/// Adds an entry within a transaction, with what it does to the verdicts that stand.
pub(super) async fn add_entry(
    write: &Write,
    repo: &RepoId,
    number: ProposalNumber,
    new: &NewProposalEntry,
) -> Result<ProposalEntry, BackendError> {
    let at = Value::from(new.at.as_millis());
    let key =
        || -> Result<[Value; 2], BackendError> { Ok([repo.as_str().into(), integer(number.get())?.into()]) };
    let [repo_id, of] = key()?;
    let rows = write.rows(NEXT, [repo_id, of, at.clone()]).await?;
    let next = rows.first().ok_or_else(|| missing(number))?;
    let id: i64 = Row::of("musehub_proposals", next).get(0, "entries")?;
    let [repo_id, of] = key()?;
    let values: [Value; 10] = [
        repo_id,
        of,
        id.into(),
        new.kind.as_str().into(),
        new.author.as_ref().map(Handle::as_str).into(),
        new.body.as_str().into(),
        new.commit.map(|commit| commit.to_string()).into(),
        new.subject.as_deref().into(),
        at.clone(),
        false.into(),
    ];
    write.execute(ADD, values).await?;
    if let (Some(verdict), Some(reviewer), Some(commit)) = (new.kind.verdict(), &new.author, new.commit) {
        let [repo_id, of] = key()?;
        let values: [Value; 8] = [
            repo_id,
            of,
            reviewer.as_str().to_ascii_lowercase().into(),
            reviewer.as_str().into(),
            verdict.as_str().into(),
            commit.to_string().into(),
            id.into(),
            at,
        ];
        write.execute(PUT_REVIEW, values).await?;
    }
    if let (ProposalEntryKind::ReviewDismissed, Some(reviewer)) = (new.kind, &new.subject) {
        let [repo_id, of] = key()?;
        write.execute(DISMISS, [repo_id, of, reviewer.to_ascii_lowercase().into()]).await?;
    }
    Ok(ProposalEntry {
        id: u64::try_from(id).map_err(|error| damaged("musehub_proposals", "entries", error))?,
        kind: new.kind,
        author: new.author.clone(),
        body: new.body.clone(),
        commit: new.commit,
        subject: new.subject.clone(),
        at: new.at,
        edited_at: None,
        deleted: false,
    })
}

#[async_trait]
impl ProposalConversations for SqlIndex {
    async fn add_proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        entry: &NewProposalEntry,
    ) -> Result<ProposalEntry, BackendError> {
        retry::transaction(|| async {
            let write = self.write("adding to a conversation").await?;
            let added = add_entry(&write, repo, number, entry).await?;
            write.commit().await?;
            Ok(added)
        })
        .await
    }

    async fn change_proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        id: u64,
        body: Option<&str>,
        at: Timestamp,
    ) -> Result<bool, BackendError> {
        retry::transaction(|| async {
            let write = self.write("changing what was said").await?;
            let touch = [repo.as_str().into(), integer(number.get())?.into(), at.as_millis().into()];
            if write.execute(TOUCH, touch).await? == 0 {
                return Err(missing(number));
            }
            let values: [Value; 7] = [
                repo.as_str().into(),
                integer(number.get())?.into(),
                integer(id)?.into(),
                body.unwrap_or_default().into(),
                at.as_millis().into(),
                body.is_none().into(),
                false.into(),
            ];
            let changed = write.execute(CHANGE, values).await? > 0;
            if changed {
                write.commit().await?;
            }
            Ok(changed)
        })
        .await
    }

    async fn proposal_entry(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        id: u64,
    ) -> Result<Option<ProposalEntry>, BackendError> {
        let (Ok(number), Ok(id)) = (integer(number.get()), integer(id)) else {
            return Ok(None);
        };
        let values = [repo.as_str().into(), number.into(), id.into()];
        let rows = self.rows("reading what was said", ENTRY, values).await?;
        rows.first().map(entry).transpose()
    }

    async fn proposal_entries(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
        after: u64,
        limit: u32,
    ) -> Result<Vec<ProposalEntry>, BackendError> {
        let (Ok(number), Ok(after)) = (integer(number.get()), integer(after)) else {
            return Ok(Vec::new());
        };
        let values = [repo.as_str().into(), number.into(), after.into(), i64::from(limit).into()];
        let rows = self.rows("reading a conversation", ENTRIES, values).await?;
        rows.iter().map(entry).collect()
    }

    async fn proposal_reviews(
        &self,
        repo: &RepoId,
        number: ProposalNumber,
    ) -> Result<Vec<Review>, BackendError> {
        let Ok(number) = integer(number.get()) else {
            return Ok(Vec::new());
        };
        let rows = self.rows("reading reviews", REVIEWS, [repo.as_str().into(), number.into()]).await?;
        rows.iter().map(review).collect()
    }
}

fn entry(row: &QueryResult) -> Result<ProposalEntry, BackendError> {
    let row = Row::of(TABLE, row);
    let kind: String = row.get(1, "kind")?;
    let author: Option<String> = row.get(2, "author")?;
    Ok(ProposalEntry {
        id: row.number(0, "entry_id")?,
        kind: ProposalEntryKind::from_name(&kind)
            .ok_or_else(|| damaged(TABLE, "kind", "no kind has that name"))?,
        author: author.map(|author| handle("author", &author)).transpose()?,
        body: row.get(3, "body")?,
        commit: row.parse_nullable(4, "commit_id")?,
        subject: row.get(5, "subject")?,
        at: row.moment(6, "created_at")?,
        edited_at: row.get::<Option<i64>>(7, "edited_at")?.map(Timestamp::from_millis),
        deleted: row.get(8, "deleted")?,
    })
}

fn review(row: &QueryResult) -> Result<Review, BackendError> {
    const TABLE: &str = "musehub_proposal_reviews";
    let row = Row::of(TABLE, row);
    let (reviewer, verdict): (String, String) = (row.get(0, "reviewer")?, row.get(1, "verdict")?);
    Ok(Review {
        reviewer: handle("reviewer", &reviewer)?,
        verdict: Verdict::from_name(&verdict)
            .ok_or_else(|| damaged(TABLE, "verdict", "no verdict has that name"))?,
        commit: row.parse(2, "commit_id")?,
        entry: row.number(3, "entry_id")?,
        at: row.moment(4, "created_at")?,
    })
}
