//! Which repositories a verification looks at: those that the store has records of, and those of which only rows or a log are
//! left.

use std::collections::HashSet;

use super::report::finding;
use super::verify::{PAGE, Verification};
use super::{Problem, ProblemKind};
use crate::name::{Handle, RepoId, Slug};
use crate::port::{BackendError, RepositoryRecord};

impl Verification<'_> {
    /// The repository of this name, which is to be there, or all of them; deleted ones among them. One without a record is
    /// reported, and looked at by its row.
    pub(super) async fn repositories(
        &mut self,
        name: Option<&(Handle, Slug)>,
    ) -> Result<Vec<RepositoryRecord>, BackendError> {
        match name {
            None => self.all_repositories().await,
            Some((owner, slug)) => {
                let row = self.recovery.backends().repositories.repository(owner, slug).await;
                match row {
                    Ok(Some(row)) => Ok(vec![self.recorded_as(row).await?]),
                    _ => self.recovery.chosen(name).await,
                }
            }
        }
    }

    async fn all_repositories(&mut self) -> Result<Vec<RepositoryRecord>, BackendError> {
        let refs = &self.recovery.backends().refs;
        // Before the records: a record is older than the first move.
        let moved = refs.moved_repositories().await?;
        let (mut found, unread) = match refs.repositories().await {
            Ok(records) => (records, None),
            // Then they are asked for one by one, by their rows.
            Err(error) => (Vec::new(), Some(finding(error)?)),
        };
        let mut known: HashSet<RepoId> = found.iter().map(|repo| repo.repo_id.clone()).collect();
        let before = self.summary.problems;
        let mut after = None;
        loop {
            let page = self.recovery.pages.repository_page(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                break;
            };
            after = Some(last.clone());
            for repo in page {
                if known.insert(repo.clone()) {
                    found.extend(self.only_by_row(&repo).await?);
                }
            }
        }
        match unread {
            Some(reason) if self.summary.problems == before => {
                self.problem(Problem::new(ProblemKind::DamagedLog, reason));
            }
            Some(_) => {}
            None => {
                for repo in moved.iter().filter(|repo| !known.contains(repo)) {
                    let detail = format!("repository {repo} has moves and neither a record nor a row");
                    self.problem(Problem::new(ProblemKind::DamagedLog, detail));
                }
            }
        }
        Ok(found)
    }

    /// A repository that was not among the records.
    async fn only_by_row(&mut self, repo: &RepoId) -> Result<Option<RepositoryRecord>, BackendError> {
        match self.recovery.backends().repositories.repository_by_id(repo).await {
            Ok(Some(row)) => self.recorded_as(row).await.map(Some),
            Ok(None) => Ok(None),
            Err(error) => {
                let reason = format!("the row of repository {repo}: {}", finding(error)?);
                self.problem(Problem::new(ProblemKind::WrongRow, reason));
                Ok(None)
            }
        }
    }

    /// The record of a repository that has a row; the row where there is none.
    async fn recorded_as(&mut self, row: RepositoryRecord) -> Result<RepositoryRecord, BackendError> {
        let (kind, reason) = match self.recovery.backends().refs.repository(&row.owner, &row.slug).await {
            Ok(Some(record)) if record.repo_id == row.repo_id => return Ok(record),
            Ok(Some(other)) => (
                ProblemKind::RowWithoutObject,
                format!("the record of its name is of repository {}", other.repo_id),
            ),
            Ok(None) => (ProblemKind::RowWithoutObject, "the store has no record of it".to_owned()),
            Err(error) => (ProblemKind::DamagedLog, finding(error)?),
        };
        self.problem(Problem::new(kind, reason).of(&row));
        Ok(row)
    }

    /// The row of a repository is its record. One that was deleted for good has neither a row nor a log.
    pub(super) async fn repository_row(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let (kind, reason) = match self.recovery.backends().repositories.repository_by_id(&repo.repo_id).await
        {
            Ok(Some(row)) if row == *repo => {
                let by_name =
                    self.recovery.backends().repositories.repository(&repo.owner, &repo.slug).await?;
                if by_name.as_ref() == Some(repo) {
                    return Ok(());
                }
                (ProblemKind::WrongRow, "its row is not found by its name".to_owned())
            }
            Ok(Some(_)) => (ProblemKind::WrongRow, "its row is not its record".to_owned()),
            Ok(None) if repo.deleted && self.has_no_log(repo).await => return Ok(()),
            Ok(None) => (ProblemKind::ObjectWithoutRow, "its record has no row".to_owned()),
            Err(error) => (ProblemKind::WrongRow, finding(error)?),
        };
        self.problem(Problem::new(kind, reason).of(repo));
        Ok(())
    }

    /// What cannot be asked now is asked, and told, when its branches are gone through.
    async fn has_no_log(&self, repo: &RepositoryRecord) -> bool {
        self.recovery.backends().refs.heads(&repo.repo_id).await.is_ok_and(|heads| heads.is_empty())
    }
}
