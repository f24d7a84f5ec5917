//! Which packs were built for which fetch.

use async_trait::async_trait;

use super::{BackendError, MpackFile, Timestamp};
use crate::hash::Hasher;
use crate::id::{CommitId, HashAlgorithm};
use crate::mpack::MpackId;
use crate::name::RepoId;

/// Names a fetch: a hash of the repository, of what is wanted and of what is there already, in any order.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FetchKey(String);

impl FetchKey {
    /// The name of a fetch.
    #[must_use]
    pub fn of(repo: &RepoId, want: &[CommitId], have: &[CommitId]) -> Self {
        let mut hasher = Hasher::new(HashAlgorithm::Blake3);
        hasher.update(repo.as_str().as_bytes());
        for (word, ids) in [("\0want\0", want), ("\0have\0", have)] {
            hasher.update(word.as_bytes());
            let mut ids = ids.to_vec();
            ids.sort_unstable();
            ids.dedup();
            for id in ids {
                hasher.update(id.to_string().as_bytes());
            }
        }
        Self(hex::encode(hasher.finish()))
    }

    /// A key as a backend kept it.
    #[must_use]
    pub fn from_stored(text: String) -> Self {
        Self(text)
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A pack that was built for a fetch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FetchPack {
    /// The fetch.
    pub key: FetchKey,
    /// Its id, which clients compare with what they got.
    pub id: MpackId,
    /// Where it lies; this also says whose it is.
    pub file: MpackFile,
    /// Its length, in bytes.
    pub size: u64,
    /// How many commits it has.
    pub commits: u64,
    /// How many snapshots it has.
    pub snapshots: u64,
    /// How many objects it has.
    pub blobs: u64,
    /// When it was built.
    pub created_at: Timestamp,
    /// Until when it is given to clients. It lies there for some time more, for those who were given it last.
    pub expires_at: Timestamp,
}

/// Packs that were built, by the fetch that they answer. Nothing here is the truth: a pack that is forgotten is built again.
#[async_trait]
pub trait FetchPacks: Send + Sync {
    /// The pack for a fetch.
    async fn fetch_pack(&self, key: &FetchKey) -> Result<Option<FetchPack>, BackendError>;

    /// The newest pack of a repository that has an id.
    async fn fetch_pack_by_id(&self, repo: &RepoId, id: MpackId) -> Result<Option<FetchPack>, BackendError>;

    /// The packs of a repository, those that expire last first, at most `limit`.
    async fn fetch_packs(&self, repo: &RepoId, limit: u32) -> Result<Vec<FetchPack>, BackendError>;

    /// Records a pack; gives the file of the one that it replaces, where that is another.
    async fn record_fetch_pack(&self, pack: &FetchPack) -> Result<Option<MpackFile>, BackendError>;

    /// Has the packs of a repository, those of `keep` excepted, expire at `end` where they would later.
    async fn end_fetch_packs(
        &self,
        repo: &RepoId,
        keep: &[FetchKey],
        end: Timestamp,
    ) -> Result<(), BackendError>;

    /// Packs that expired before `before`, the oldest first, at most `limit`.
    async fn expired_fetch_packs(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> Result<Vec<FetchPack>, BackendError>;

    /// Forgets those of these packs that expired before `before`, and so not one that was recorded again meanwhile.
    async fn forget_fetch_packs(&self, keys: &[FetchKey], before: Timestamp) -> Result<(), BackendError>;

    /// Which of these files of one repository are recorded.
    async fn recorded_files(&self, files: &[MpackFile]) -> Result<Vec<MpackFile>, BackendError>;
}
