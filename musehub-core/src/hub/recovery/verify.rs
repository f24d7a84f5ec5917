//! Verification: from the log over every row to the bytes, and from the packs back to the rows.

use std::collections::{BTreeMap, HashSet};

use serde::Serialize;

use super::backfill::carrier;
use super::report::finding;
use super::verify_blobs::KnownPacks;
use super::verify_brought::Brought;
use super::{Event, Problem, ProblemKind, Recovery};
use crate::id::{BlobId, CommitId};
use crate::name::{BranchName, Handle, Slug};
use crate::port::{BackendError, BranchPosition, PackId, RefLogEntry, RepositoryRecord, Unstored};

/// Rows of one page of commits, snapshots or blobs.
pub(super) const PAGE: u32 = 1000;
/// Branches of one page.
const BRANCHES: u32 = 256;

/// What to verify.
#[derive(Clone, Debug, Default)]
pub struct VerifyOptions {
    /// One repository only, and the packs that it uses; all of them otherwise.
    pub repository: Option<(Handle, Slug)>,
    /// Whether every byte of every pack is read and hashed again, too.
    pub objects: bool,
}

/// What a verification looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct VerifySummary {
    /// Repositories.
    pub repositories: u64,
    /// Branches, deleted ones included.
    pub branches: u64,
    /// Moves of branches.
    pub moves: u64,
    /// Commits, read and their ids computed again.
    pub commits: u64,
    /// Snapshots, read and their ids computed again.
    pub snapshots: u64,
    /// Blobs, once per repository that holds them.
    pub blobs: u64,
    /// Commits and snapshots of which the database alone has the record: they wait to be back-filled.
    pub unstored: u64,
    /// Branches that the database alone has: they wait for their first move, which a back-fill writes last.
    pub unstored_branches: u64,
    /// Packs.
    pub packs: u64,
    /// Packs whose records were copied into other packs, to which their names lead.
    pub folded_packs: u64,
    /// Packs that no move and no row names: what a push that failed leaves behind, perhaps half of one. They are no problem.
    pub unused_packs: u64,
    /// Bytes of packs that were read from end to end.
    pub pack_bytes: u64,
    /// Commits whose ids their clients vouch for and nothing proves. They are no problem.
    pub opaque_commits: u64,
    /// Snapshots of which the same is true.
    pub opaque_snapshots: u64,
    /// Problems found.
    pub problems: u64,
}

/// A verification in progress.
pub(super) struct Verification<'a> {
    pub(super) recovery: &'a Recovery,
    pub(super) summary: VerifySummary,
    /// Packs that moves name: 32 bytes for each push there ever was.
    pub(super) moved: HashSet<PackId>,
    /// Packs that moves borrow from.
    pub(super) borrowed: HashSet<PackId>,
    /// Packs that rows name, or that moves lead to.
    pub(super) used: HashSet<PackId>,
    /// Of the packs that moves name those that were followed to where their records lie.
    pub(super) followed: HashSet<PackId>,
    /// Of the packs that moves name those that lead nowhere, and why.
    pub(super) unread: BTreeMap<PackId, String>,
    /// What the present repository was brought.
    pub(super) brought: Brought,
    pub(super) known_packs: KnownPacks,
    /// Blobs that the present repository is known to hold.
    pub(super) held_blobs: HashSet<BlobId>,
    report: &'a mut (dyn FnMut(Event) + Send),
}

impl Recovery {
    /// Verifies the hub or one repository of it. Every problem is told to `report` as it is found.
    ///
    /// Memory is bounded by a page of rows, one snapshot, a hash per pack, and some eight bytes for each object of the largest
    /// repository. Beside a running server, a push in progress
    /// may look like a branch that is stale.
    ///
    /// # Errors
    /// [`BackendError`] where a backend cannot be asked, and [`BackendError::Missing`] where there is no repository of the
    /// name given. Damage is a problem that is reported, not an error.
    pub async fn verify(
        &self,
        options: &VerifyOptions,
        report: &mut (dyn FnMut(Event) + Send),
    ) -> Result<VerifySummary, BackendError> {
        let mut verification = Verification {
            recovery: self,
            summary: VerifySummary::default(),
            moved: HashSet::new(),
            borrowed: HashSet::new(),
            used: HashSet::new(),
            followed: HashSet::new(),
            unread: BTreeMap::new(),
            brought: Brought::default(),
            known_packs: KnownPacks::default(),
            held_blobs: HashSet::new(),
            report,
        };
        let repositories = verification.repositories(options.repository.as_ref()).await?;
        for repo in &repositories {
            verification.repository(repo).await?;
        }
        if options.repository.is_none() {
            verification.unheld_blobs().await?;
        }
        verification.packs(options.objects, options.repository.is_some()).await?;
        Ok(verification.summary)
    }
}

impl Verification<'_> {
    pub(super) fn problem(&mut self, problem: Problem) {
        self.summary.problems += 1;
        (self.report)(Event::Problem(problem));
    }

    pub(super) fn progress(&mut self, stage: &'static str, done: u64, total: Option<u64>) {
        (self.report)(Event::Progress { stage, done, total });
    }

    async fn repository(&mut self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        self.summary.repositories += 1;
        self.held_blobs.clear();
        self.repository_row(repo).await?;
        self.brought = Brought::default();
        for (branch, row) in self.branches(repo).await? {
            self.branch(repo, &branch, row.as_ref()).await?;
        }
        self.commits(repo).await?;
        self.snapshots(repo).await?;
        self.blobs(repo).await?;
        self.rowless(repo).await
    }

    /// What was asked of rows; none where one cannot be read, which is reported.
    pub(super) fn readable<T>(
        &mut self,
        repo: &RepositoryRecord,
        asked: Result<T, BackendError>,
    ) -> Result<Option<T>, BackendError> {
        match asked {
            Ok(found) => Ok(Some(found)),
            Err(error) => {
                self.problem(Problem::new(ProblemKind::WrongRow, finding(error)?).of(repo));
                Ok(None)
            }
        }
    }

    /// The branches that the log or the index knows, with their rows.
    async fn branches(
        &mut self,
        repo: &RepositoryRecord,
    ) -> Result<BTreeMap<BranchName, Option<BranchPosition>>, BackendError> {
        let backends = self.recovery.backends();
        let Unstored { commits, snapshots, .. } = backends.unstored.unstored(&repo.repo_id).await?;
        self.brought.came_as_rows = commits + snapshots > 0;
        let mut branches = BTreeMap::new();
        match backends.refs.heads(&repo.repo_id).await {
            Ok(heads) => {
                self.brought.came_as_rows |= heads.iter().any(|last| last.branch == carrier());
                branches.extend(heads.into_iter().map(|last| (last.branch, None)));
            }
            // The branches that the index knows are looked at one by one.
            Err(error) => {
                self.brought.incomplete = true;
                let problem = Problem::new(ProblemKind::DamagedLog, finding(error)?);
                self.problem(problem.of(repo));
            }
        }
        let mut after = None;
        loop {
            let page = self.recovery.pages.branch_page(&repo.repo_id, after.as_ref(), BRANCHES).await;
            let Some(page) = self.readable(repo, page)? else {
                return Ok(branches);
            };
            let Some(last) = page.last() else {
                return Ok(branches);
            };
            after = Some(last.name.clone());
            branches.extend(page.into_iter().map(|row| (row.name.clone(), Some(row))));
        }
    }

    /// The log of a branch without a gap, and the index where the log ends.
    async fn branch(
        &mut self,
        repo: &RepositoryRecord,
        branch: &BranchName,
        row: Option<&BranchPosition>,
    ) -> Result<(), BackendError> {
        self.summary.branches += 1;
        let backends = self.recovery.backends();
        let moves = match backends.refs.history(&repo.repo_id, branch, 0).await {
            Ok(moves) => moves,
            Err(error) => {
                self.brought.incomplete = true;
                let gap = matches!(error, BackendError::Missing { .. });
                let kind = if gap { ProblemKind::LogGap } else { ProblemKind::DamagedLog };
                self.problem(Problem::new(kind, finding(error)?).of(repo).branch(branch));
                return Ok(());
            }
        };
        self.summary.moves += moves.len() as u64;
        self.moves(repo, branch, &moves);
        self.brought_by(repo, branch, &moves).await?;
        let position = backends.history.branch(&repo.repo_id, branch).await;
        let Some((head, sequence)) = self.readable(repo, position)? else {
            return Ok(());
        };
        if moves.is_empty() && sequence == 0 {
            // It came as rows, and has no move before its objects are written.
            self.summary.unstored_branches += u64::from(head.is_some());
        }
        if let Some((kind, detail)) = self.compare_branch(moves.last(), head, sequence, row) {
            self.problem(Problem::new(kind, detail).of(repo).branch(branch));
        }
        let log_head = moves.last().and_then(|last| last.new);
        for head in [head, log_head.filter(|log_head| Some(*log_head) != head)].into_iter().flatten() {
            let held = backends.history.commits(&repo.repo_id, &[head]).await;
            if self.readable(repo, held)?.is_some_and(|held| held.is_empty()) {
                let problem = Problem::new(ProblemKind::MissingHead, "its head is not in the repository");
                self.problem(problem.of(repo).branch(branch).object(head.key()));
            }
        }
        Ok(())
    }

    /// What is wrong with where the index has a branch, whose log ends with `last`.
    fn compare_branch(
        &self,
        last: Option<&RefLogEntry>,
        head: Option<CommitId>,
        sequence: u64,
        row: Option<&BranchPosition>,
    ) -> Option<(ProblemKind, String)> {
        let log_sequence = last.map_or(0, |last| last.sequence);
        if log_sequence < sequence {
            let detail =
                format!("its last move by the index is {sequence}, its log ends with {log_sequence}");
            return Some((ProblemKind::LogGap, detail));
        }
        if sequence < log_sequence {
            let detail = format!("its last move by the index is {sequence}, by its log {log_sequence}");
            return Some((ProblemKind::StaleBranch, detail));
        }
        let Some(last) = last else {
            // One that came as a row has no move before its objects are written.
            let came = self.brought.came_as_rows && head.is_some();
            return (!came).then(|| (ProblemKind::WrongRow, "its log has no move".to_owned()));
        };
        if last.new != head {
            let name =
                |head: Option<CommitId>| head.map_or_else(|| "none".to_owned(), |head| head.to_string());
            let detail = format!("its head by the index is {}, by its log {}", name(head), name(last.new));
            return Some((ProblemKind::WrongRow, detail));
        }
        let moved_at = row.filter(|row| row.sequence == sequence).map(|row| row.moved_at);
        let differs = moved_at.is_some_and(|moved_at| moved_at != last.at);
        differs.then(|| {
            (ProblemKind::WrongRow, "it moved last at another time by the index than by its log".to_owned())
        })
    }

    fn moves(&mut self, repo: &RepositoryRecord, branch: &BranchName, moves: &[RefLogEntry]) {
        let mut head = None;
        for (number, entry) in (1..).zip(moves) {
            let fits = entry.sequence == number
                && entry.old == head
                && entry.repo_id == repo.repo_id
                && entry.branch == *branch;
            if !fits {
                let detail = format!("move {number} does not go on from the one before it");
                self.problem(Problem::new(ProblemKind::DamagedLog, detail).of(repo).branch(branch));
            }
            head = entry.new;
        }
    }
}
