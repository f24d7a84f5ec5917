//! Files committed through the hub, the first commit of a repository among them.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use bytes::Bytes;

use super::advance::Expected;
use super::compose::{Composer, Says};
use super::push::Origin;
use super::{
    CommitError, CreateError, Hub, InitialiseError, InlineBlob, NewRepository, Push, PushError, PushOutcome,
    ReadError,
};
use crate::cpu;
use crate::id::{BlobId, CommitId, HashAlgorithm};
use crate::merge::Tree;
use crate::name::{BranchName, Handle};
use crate::object::Manifest;
use crate::path::RepoPath;
use crate::port::RepositoryRecord;
use crate::scheme::IdScheme;

/// The most changes of one commit.
pub const MAX_FILE_CHANGES: usize = 20_000;

/// The longest message of a commit that the hub makes, in bytes.
pub const MAX_MESSAGE_BYTES: usize = 64 << 10;

/// The longest author of a commit that the hub makes, in bytes.
pub const MAX_AUTHOR_BYTES: usize = 256;

/// A commit to be made from changes of files.
#[derive(Clone, Debug)]
pub struct CommitFiles {
    /// The branch to move.
    pub branch: BranchName,
    /// Where it stands, by who asks; none makes a new branch with a commit that has no parent.
    pub expected_head: Option<CommitId>,
    /// Who wrote it.
    pub author: String,
    /// What it is about.
    pub message: String,
    /// The changes, made one after the other; no path is written twice.
    pub changes: Vec<FileChange>,
    /// How ids are computed where the repository has no history to say it; none for `typed-v2`.
    pub scheme: Option<IdScheme>,
}

/// A change of a file.
#[derive(Clone, Debug)]
pub enum FileChange {
    /// Writes a file, new or not.
    Put {
        /// Where.
        path: RepoPath,
        /// What.
        content: FileContent,
        /// Whether it is executable; none leaves that as it is. Only `typed-v2` records it.
        executable: Option<bool>,
    },
    /// Deletes a file that is there.
    Delete {
        /// Which.
        path: RepoPath,
    },
    /// Moves a file that is there to where none is.
    Move {
        /// Where it is.
        from: RepoPath,
        /// Where it will be.
        to: RepoPath,
    },
}

/// The content of a file.
#[derive(Clone, Debug)]
pub enum FileContent {
    /// Bytes at hand.
    Bytes(Bytes),
    /// A blob that was staged for the repository, or that it holds.
    Blob(BlobId),
}

/// The first commit of a repository.
#[derive(Clone, Debug)]
pub struct InitialCommit {
    /// The branch it is on, which becomes the default branch.
    pub branch: BranchName,
    /// Who makes it.
    pub author: Handle,
    /// The text of `README.md`.
    pub readme: String,
    /// The text of `LICENSE`.
    pub licence: Option<String>,
}

impl Hub {
    /// Creates a repository with a first commit. Where the id scheme is left open, it is `typed-v2`.
    ///
    /// A crash between the two leaves an empty repository, ready for a first push.
    ///
    /// # Errors
    /// [`InitialiseError`]: the repository is not created, or it is and its first commit is not made.
    pub async fn create_initialised(
        &self,
        new: NewRepository,
        initial: InitialCommit,
    ) -> Result<(RepositoryRecord, CommitId), InitialiseError> {
        let scheme = new.scheme.unwrap_or(IdScheme::TypedV2);
        let repo = self.create_repository(NewRepository { scheme: Some(scheme), ..new }).await?;
        let readme = Some(("README.md", initial.readme));
        let files = readme.into_iter().chain(initial.licence.map(|text| ("LICENSE", text)));
        let put = |(path, text): (&str, String)| FileChange::Put {
            path: RepoPath::parse(path).expect("a plain name is a path"),
            content: FileContent::Bytes(text.into()),
            executable: None,
        };
        let request = CommitFiles {
            branch: initial.branch,
            expected_head: None,
            author: initial.author.to_string(),
            message: "Initial commit".to_owned(),
            changes: files.map(put).collect(),
            scheme: Some(scheme),
        };
        let outcome = self.commit_files(&repo, &initial.author, request).await?;
        let current =
            self.backends.refs.repository(&repo.owner, &repo.slug).await.map_err(CreateError::from)?;
        Ok((current.unwrap_or(repo), outcome.head))
    }

    /// Commits changes of files to a branch.
    ///
    /// # Errors
    /// [`CommitError`]; then nothing is visible. [`PushError::BranchMoved`] within it where the branch is not where it was
    /// expected.
    pub async fn commit_files(
        &self,
        repo: &RepositoryRecord,
        committer: &Handle,
        request: CommitFiles,
    ) -> Result<PushOutcome, CommitError> {
        let CommitFiles { branch, expected_head, author, message, changes, scheme } = request;
        require_texts(&message, &author)?;
        if changes.len() > MAX_FILE_CHANGES {
            return Err(CommitError::TooManyChanges);
        }
        self.require_head(repo, &branch, expected_head).await?;
        let scheme = repo.scheme.or(scheme).unwrap_or(IdScheme::TypedV2);
        let before = match expected_head {
            Some(head) => self.tree_of(repo, head).await?,
            None => Tree::default(),
        };
        let algorithm = algorithm_of(expected_head);
        let at = self.backends.clock.now();
        let composed_on = branch.clone();
        let (commit, snapshot, blobs) = cpu::run(move || {
            let (tree, blobs) = change(&before, changes, scheme, algorithm)?;
            if expected_head.is_some() && tree == before {
                return Err(CommitError::NothingChanged);
            }
            let composer = Composer { scheme, algorithm, branch: &composed_on, at };
            let snapshot = composer.snapshot(tree)?;
            let parents: Vec<CommitId> = expected_head.into_iter().collect();
            let says = Says { author: &author, message: &message, ..Says::default() };
            Ok((composer.commit(&parents, &snapshot, &says)?, snapshot, blobs))
        })
        .await?;
        let push = Push {
            branch,
            force: false,
            scheme,
            commits: vec![commit.record().clone()],
            snapshots: vec![snapshot],
            blobs,
        };
        Ok(self.receive(repo, committer, push, Expected::Head(expected_head), Origin::Hub).await?)
    }

    /// Whether a branch stands where it is expected, by the index: asked before work that would be for nothing. The move
    /// itself asks the log.
    ///
    /// # Errors
    /// [`PushError::BranchMoved`] where it stands elsewhere.
    pub async fn require_head(
        &self,
        repo: &RepositoryRecord,
        branch: &BranchName,
        expected: Option<CommitId>,
    ) -> Result<(), PushError> {
        let head = self.position(repo, branch).await?.head;
        if head == expected {
            return Ok(());
        }
        Err(PushError::BranchMoved { branch: branch.clone(), expected, head })
    }

    /// The tree of a commit.
    pub(super) async fn tree_of(&self, repo: &RepositoryRecord, id: CommitId) -> Result<Tree, ReadError> {
        let row = self.commit(repo, id).await?;
        Ok(Tree::of(&self.snapshot(repo, row.snapshot).await?))
    }
}

/// Refuses a message or an author that is too long or that no commit may have.
pub(super) fn require_texts(message: &str, author: &str) -> Result<(), CommitError> {
    let texts = [("message", message, MAX_MESSAGE_BYTES), ("author", author, MAX_AUTHOR_BYTES)];
    match texts.into_iter().find(|(_, text, limit)| text.len() > *limit || text.contains('\0')) {
        Some((field, _, limit)) => Err(CommitError::Text { field, limit }),
        None => Ok(()),
    }
}

/// The hash function of ids in a repository: that of the commits it has.
#[must_use]
pub fn algorithm_of(head: Option<CommitId>) -> HashAlgorithm {
    head.map_or_else(HashAlgorithm::default, |head| head.object_id().algorithm())
}

/// Makes changes one after the other; also the blobs that they bring.
fn change(
    before: &Tree,
    changes: Vec<FileChange>,
    scheme: IdScheme,
    algorithm: HashAlgorithm,
) -> Result<(Tree, Vec<InlineBlob>), CommitError> {
    let mut files: BTreeMap<RepoPath, BlobId> = before.manifest().iter().cloned().collect();
    let mut executables: BTreeSet<RepoPath> = before.executables().iter().cloned().collect();
    let mut directories = before.directories().to_vec();
    let mut blobs = Vec::new();
    let mut written = HashSet::new();
    let mut write_once = |path: &RepoPath| match written.insert(path.clone()) {
        true => Ok(()),
        false => Err(CommitError::WrittenTwice { path: path.clone() }),
    };
    let absent = |path: &RepoPath| CommitError::NoSuchFile { path: path.clone() };
    for change in changes {
        match change {
            FileChange::Put { path, content, executable } => {
                write_once(&path)?;
                if executable == Some(true) && !scheme.records_executables() {
                    return Err(CommitError::NoExecutables { scheme, path });
                }
                let id = match content {
                    FileContent::Blob(id) => id,
                    FileContent::Bytes(content) => {
                        let id = scheme.blob_id(algorithm, &content);
                        blobs.push(InlineBlob { id, content });
                        id
                    }
                };
                match executable {
                    Some(true) => executables.insert(path.clone()),
                    Some(false) => executables.remove(&path),
                    None => false,
                };
                directories.retain(|directory| directory != &path && !directory.is_below(&path));
                files.insert(path, id);
            }
            FileChange::Delete { path } => {
                files.remove(&path).ok_or_else(|| absent(&path))?;
                executables.remove(&path);
            }
            FileChange::Move { from, to } => {
                write_once(&to)?;
                if files.contains_key(&to) {
                    return Err(CommitError::FileExists { path: to });
                }
                let id = files.remove(&from).ok_or_else(|| absent(&from))?;
                if executables.remove(&from) {
                    executables.insert(to.clone());
                }
                directories.retain(|directory| directory != &to && !directory.is_below(&to));
                files.insert(to, id);
            }
        }
    }
    let manifest = Manifest::new(files.into_iter().collect())?;
    Ok((Tree::new(manifest, directories, executables.into_iter().collect()), blobs))
}
