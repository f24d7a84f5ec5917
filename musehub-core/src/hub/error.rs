//! What a use case refuses, and why: each variant is something that a caller can act on.

use crate::graph::TopoError;
use crate::id::{BlobId, CommitId, SnapshotId};
use crate::merge::{Conflicts, MergeError};
use crate::name::{BranchName, Handle, Slug};
use crate::object::{ManifestError, ObjectError};
use crate::path::RepoPath;
use crate::port::BackendError;
use crate::scheme::IdScheme;
use crate::settings::SettingsError;
use crate::signature::KeyId;

use super::access::Need;
use super::collaborators::MAX_COLLABORATORS;
use super::commit_files::MAX_FILE_CHANGES;
use super::first_few;
use super::keyring::MAX_KEYS;
use super::merging::MAX_REPLAYED_COMMITS;
use super::repository::MAX_DESCRIPTION_BYTES;

/// Why a repository is not opened.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// There is none of that name that the viewer may see.
    #[error("repository not found")]
    NotFound,
    /// Somebody must say who they are.
    #[error("this needs a valid token or signature")]
    Unauthenticated,
    /// The viewer may do this, and not with this token.
    #[error("this token goes as far as '{}', and this needs '{}'", scope.as_str(), need.as_str())]
    Scope {
        /// How far it goes.
        scope: Need,
        /// What they wanted.
        need: Need,
    },
    /// The viewer may see it, and not do this.
    #[error("{}", forbidden(*need))]
    Forbidden {
        /// What they wanted.
        need: Need,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

fn forbidden(need: Need) -> &'static str {
    match need {
        Need::Read => "you may not read this repository",
        Need::Write => "you may not push to this repository",
        Need::Admin => "this is for those who administer the repository",
        Need::Owner => "this is for the owner of the repository",
    }
}

/// Why the collaborators of a repository stay as they are.
#[derive(Debug, thiserror::Error)]
pub enum CollaboratorError {
    /// The owner may do everything, and cannot be made to do less.
    #[error("{handle} owns this repository")]
    Owner {
        /// The owner.
        handle: Handle,
    },
    /// Nobody has that name.
    #[error("there is no identity '{handle}' here")]
    Unknown {
        /// The name.
        handle: Handle,
    },
    /// They are no collaborator.
    #[error("{handle} is no collaborator of this repository")]
    None {
        /// Who.
        handle: Handle,
    },
    /// No more fit.
    #[error("a repository has at most {MAX_COLLABORATORS} collaborators")]
    TooMany,
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why a key is not registered or retired.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// Names are given out by the operator.
    #[error("this hub registers nobody by themselves: ask its operator for a token, and add a key with it")]
    Closed,
    /// The name is somebody's.
    #[error("the name '{handle}' is taken")]
    Taken {
        /// The name.
        handle: Handle,
    },
    /// Nobody has that name.
    #[error("there is no identity '{handle}' here")]
    Unknown {
        /// The name.
        handle: Handle,
    },
    /// An agent registers no agents.
    #[error("only who runs agents registers them, and no agent does")]
    AgentOfAgent,
    /// Not a challenge of this hub for that name, or one that has ended or was answered.
    #[error("challenge_token is no challenge for this name that can still be answered: ask for a new one")]
    Challenge,
    /// The key did not sign the challenge.
    #[error("signature_b64 is not the key's signature of challenge_token")]
    Proof,
    /// Somebody's key already, or a retired one.
    #[error("the key {key} was registered before")]
    Registered {
        /// The key.
        key: KeyId,
    },
    /// No more fit.
    #[error("an identity has at most {MAX_KEYS} keys in force")]
    TooMany,
    /// There is no such key in force.
    #[error("there is no key {key} of yours in force")]
    NoKey {
        /// The key.
        key: KeyId,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why a repository is not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The owner has one of that name.
    #[error("{owner}/{slug} exists already")]
    Exists {
        /// The owner.
        owner: Handle,
        /// The name.
        slug: Slug,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What a push refers to and neither holds nor finds in the repository.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Missing {
    /// Parents, sorted.
    pub commits: Vec<CommitId>,
    /// Snapshots, sorted.
    pub snapshots: Vec<SnapshotId>,
    /// Blobs, sorted.
    pub blobs: Vec<BlobId>,
}

impl Missing {
    /// Whether nothing is missing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.commits.is_empty() && self.snapshots.is_empty() && self.blobs.is_empty()
    }
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts = [
            ("commits", self.commits.len(), first_few(&self.commits)),
            ("snapshots", self.snapshots.len(), first_few(&self.snapshots)),
            ("objects", self.blobs.len(), first_few(&self.blobs)),
        ];
        let named: Vec<_> = parts
            .iter()
            .filter(|(_, count, _)| *count > 0)
            .map(|(what, count, ids)| format!("{count} {what} ({ids})"))
            .collect();
        f.write_str(&named.join("; "))
    }
}

/// What a protected branch refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// To lose commits.
    Force,
    /// To be deleted or renamed.
    Deletion,
    /// To be moved but by the merge of a proposal.
    DirectPush,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Force => "it may not lose commits",
            Self::Deletion => "it may not be deleted or renamed",
            Self::DirectPush => "it is moved by the merge of a proposal only",
        })
    }
}

/// Why a push is refused. Nothing of a refused push is visible.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// An object is not what it claims to be.
    #[error(transparent)]
    Object(#[from] ObjectError),
    /// An inline blob is not what it claims to be.
    #[error("object {claimed}: its content has the id {computed}")]
    BlobMismatch {
        /// The id it came with.
        claimed: BlobId,
        /// The id of what came.
        computed: BlobId,
    },
    /// An object that was uploaded by itself has more bytes than are taken.
    #[error("object {id} has {size} bytes; at most {limit} are taken")]
    BlobTooLarge {
        /// The object.
        id: BlobId,
        /// Its length.
        size: u64,
        /// How long it may be.
        limit: u64,
    },
    /// The repository takes signed commits only.
    #[error(
        "this repository takes only commits with a valid signature: that of commit {commit} is '{state}'"
    )]
    NotSigned {
        /// The first commit that is not.
        commit: CommitId,
        /// What its signature is: a word of [`SignatureState`](crate::signature::commit::SignatureState).
        state: &'static str,
    },
    /// Commits are their own ancestors, or come twice with different content.
    #[error("the commits of this push are no history: {0}")]
    Graph(#[from] TopoError),
    /// The push refers to what is neither in it nor in the repository.
    #[error("the push refers to what is neither in it nor in this repository: {0}")]
    Incomplete(Missing),
    /// A snapshot comes as a delta of one that is nowhere.
    #[error(
        "snapshot {snapshot} comes as a delta of {base}, which is neither in the push nor in this repository; send it in full"
    )]
    MissingBase {
        /// The snapshot that cannot be rebuilt.
        snapshot: SnapshotId,
        /// What it is based on.
        base: SnapshotId,
    },
    /// Deltas that would be rebuilt to more than is taken.
    #[error("the snapshots of this push are rebuilt to more than {limit} bytes; push in several steps")]
    TooManySnapshots {
        /// How many bytes they may have.
        limit: u64,
    },
    /// More than one commit could be the new head.
    #[error("the push has several tips ({}), and not exactly one of them is on branch '{branch}'", first_few(.tips))]
    AmbiguousTip {
        /// The branch pushed to.
        branch: BranchName,
        /// The commits that are nobody's parent.
        tips: Vec<CommitId>,
    },
    /// There is no commit in the push, and the branch is new.
    #[error("branch '{branch}' does not exist, and the push has no commit to create it with")]
    NothingToPush {
        /// The branch pushed to.
        branch: BranchName,
    },
    /// A branch below a branch, which no client can keep in a directory of refs.
    #[error(
        "branch '{branch}' and branch '{existing}' cannot exist together: one would be a directory of the other"
    )]
    BranchConflict {
        /// The branch pushed to.
        branch: BranchName,
        /// The branch that is there.
        existing: BranchName,
    },
    /// The head is not an ancestor of what was pushed.
    #[error(
        "non-fast-forward push to '{branch}': its head {head} is not an ancestor of {tip}; pull first, or push with force"
    )]
    NotFastForward {
        /// The branch pushed to.
        branch: BranchName,
        /// Its head.
        head: CommitId,
        /// The commit pushed.
        tip: CommitId,
    },
    /// The settings of the repository protect the branch.
    #[error("'{branch}' is protected: {refused}")]
    Protected {
        /// The branch.
        branch: BranchName,
        /// What is refused.
        refused: Refused,
    },
    /// The branch is not where who moves it expects it.
    #[error(
        "branch '{branch}' moved: expected {}, but {}",
        expected.map_or_else(|| "no such branch".to_owned(), |id| format!("its head to be {id}")),
        head.map_or_else(|| "there is none".to_owned(), |id| format!("it is {id}"))
    )]
    BranchMoved {
        /// The branch.
        branch: BranchName,
        /// Where it was expected; none where it was expected to be new.
        expected: Option<CommitId>,
        /// Where it is.
        head: Option<CommitId>,
    },
    /// The repository computes ids in another way.
    #[error("this repository has ids of scheme {}", scheme.as_str())]
    OtherScheme {
        /// The repository's scheme.
        scheme: IdScheme,
    },
    /// The repository came as rows of a database, and its objects are not written yet.
    #[error(
        "what branch '{branch}' stands on was loaded as rows of a database whose objects are not written yet: the \
         operator has to run `musehub-server backfill`"
    )]
    Unstored {
        /// A branch that would stand on what the log does not know.
        branch: BranchName,
    },
    /// So much was uploaded to the repository and claimed by no push that no more is taken.
    #[error(
        "{uploads} uploads of {bytes} bytes wait in this repository for pushes that claim them, and no more is taken: \
         push what was uploaded, or wait until it expires, a day after it came"
    )]
    StagingFull {
        /// How many wait.
        uploads: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// The branch moved again and again while the push was tried.
    #[error("branch '{branch}' is moving too fast; try again")]
    Busy {
        /// The branch pushed to.
        branch: BranchName,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why the hub does not commit files.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// The commit is refused as a push of it would be.
    #[error(transparent)]
    Push(#[from] PushError),
    /// What the branch was expected to be at is not there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The files cannot be side by side.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// There is no such file to delete or move.
    #[error("there is no file '{path}'")]
    NoSuchFile {
        /// The path.
        path: RepoPath,
    },
    /// There is a file where another one should be moved to.
    #[error("there is a file '{path}' already")]
    FileExists {
        /// The path.
        path: RepoPath,
    },
    /// Two changes write one path, so what it should hold is anybody's guess.
    #[error("'{path}' is written twice")]
    WrittenTwice {
        /// The path.
        path: RepoPath,
    },
    /// The repository's scheme has no place for the executable bit.
    #[error("'{path}' cannot be executable: ids of scheme {scheme} do not record it")]
    NoExecutables {
        /// The repository's scheme.
        scheme: IdScheme,
        /// The file.
        path: RepoPath,
    },
    /// The files are what they were.
    #[error("the changes leave every file as it is")]
    NothingChanged,
    /// More changes than one commit takes.
    #[error("more than {MAX_FILE_CHANGES} changes")]
    TooManyChanges,
    /// A text is too long, or holds NUL.
    #[error("the {field} may have {limit} bytes and no NUL")]
    Text {
        /// Which.
        field: &'static str,
        /// How long it may be, in bytes.
        limit: usize,
    },
}

impl From<ObjectError> for CommitError {
    fn from(error: ObjectError) -> Self {
        Self::Push(error.into())
    }
}

/// Why a repository is not created with a first commit.
#[derive(Debug, thiserror::Error)]
pub enum InitialiseError {
    /// It is not created.
    #[error(transparent)]
    Create(#[from] CreateError),
    /// It is created, and empty.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Why a merge is not made. Nothing is written then.
#[derive(Debug, thiserror::Error)]
pub enum MergeRefused {
    /// The result is refused as a push of it would be, or the branch moved.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The message or the author.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// One of the commits is not there.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A limit of merging is reached.
    #[error(transparent)]
    Limit(#[from] MergeError),
    /// The branch has all of the source.
    #[error("there is nothing to merge")]
    NothingToMerge,
    /// The histories have no commit in common.
    #[error("the two histories have no commit in common")]
    Unrelated,
    /// The branch has commits that the source does not have.
    #[error("the branch has commits that the source does not have, so it cannot be moved there")]
    NotFastForward,
    /// Both sides changed the same.
    #[error("{} conflicts", .0.total)]
    Conflicts(Conflicts),
    /// A merge commit cannot be replayed.
    #[error("{commit} is a merge, which cannot be replayed; merge or squash instead")]
    ReplaysMerge {
        /// The commit.
        commit: CommitId,
    },
    /// Too long a history to be replayed.
    #[error("more than {MAX_REPLAYED_COMMITS} commits to replay; merge or squash instead")]
    TooManyCommits,
}

impl From<BackendError> for MergeRefused {
    fn from(error: BackendError) -> Self {
        Self::Push(error.into())
    }
}

impl From<ObjectError> for MergeRefused {
    fn from(error: ObjectError) -> Self {
        Self::Push(error.into())
    }
}

/// Why a branch is not created, renamed or deleted.
#[derive(Debug, thiserror::Error)]
pub enum BranchError {
    /// The move is refused: the branch is there already or stands elsewhere, or its name is in the way of another one.
    #[error(transparent)]
    Push(#[from] PushError),
    /// There is no such commit or branch.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The default branch stays.
    #[error("'{branch}' is the default branch")]
    IsDefault {
        /// The branch.
        branch: BranchName,
    },
}

impl From<BackendError> for BranchError {
    fn from(error: BackendError) -> Self {
        Self::Push(error.into())
    }
}

/// Why a repository is not changed.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The settings do not keep to their limits.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The default branch has to be there.
    #[error("there is no branch '{branch}'")]
    NoSuchBranch {
        /// The branch.
        branch: BranchName,
    },
    /// The description is too long, or holds NUL.
    #[error("a description has at most {MAX_DESCRIPTION_BYTES} bytes and no NUL")]
    Description,
    /// The repository was deleted meanwhile.
    #[error("repository not found")]
    NotFound,
    /// Others changed the repository again and again meanwhile.
    #[error("the repository is being changed by others; try again")]
    Busy,
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why a fetch is refused.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The answer would be larger than the client takes.
    #[error("the answer would have about {bytes} bytes; at most {limit} can be answered")]
    TooLarge {
        /// What it would have.
        bytes: u64,
        /// What it may have.
        limit: u64,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// Why something of a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The repository does not hold it.
    #[error("{what} is not in this repository")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
