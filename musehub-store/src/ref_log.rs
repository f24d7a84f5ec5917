//! Branch moves and repository records as small objects that are created once: `refs/<repository id>/<branch>/<number>.json` and
//! `repositories/<owner>/<slug>/<version>.json`. Old moves lie in segments, `refs/<repository id>/=log/<number>.seg`.

mod compact;
mod deleted;
mod entry;
mod folded;
mod readable;
mod segment;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::sync::Arc;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt};
use musehub_core::port::{BackendError, Readable, RefLogEntry, RefStore, RepositoryRecord};
use musehub_core::{BranchName, Handle, RepoId, Slug};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use serde::{Deserialize, Serialize};

use crate::backend::{Backend, failed};
pub use compact::Compacted;
use folded::Remembered;

/// How many entries are read at a time.
const PARALLEL: usize = 32;
/// The longest file name that an escaped branch name may have; longer ones end in a hash.
const MAX_ESCAPED: usize = 180;

const WRITING: &str = "writing an entry of the log";
/// How often the log is looked at when it is folded meanwhile. Each repetition means that somebody else got on.
const ATTEMPTS: usize = 100;

/// A [`RefStore`] over an object store. Clones share what they know.
#[derive(Clone, Debug)]
pub struct RefLog {
    backend: Backend,
    remembered: Arc<Remembered>,
}

impl RefLog {
    /// The log in `backend`.
    #[must_use]
    pub fn new(backend: Backend) -> Self {
        Self { backend, remembered: Arc::default() }
    }

    async fn create<T: Serialize>(&self, path: &Path, value: T) -> Result<(), BackendError> {
        let resting = entry::write(value).map_err(|error| BackendError::unavailable(WRITING, error))?;
        for _ in 0..ATTEMPTS {
            let Err(error) = self.backend.create(path, resting.clone()).await else {
                return Ok(());
            };
            // Whatever a store answered, what it holds decides: an answer may be lost after the entry was made, and then a
            // repetition of the request meets its own entry.
            return match self.backend.get(path).await {
                Ok(present) if present != resting => Err(BackendError::Conflict { what: path.to_string() }),
                Ok(_) if self.backend.lasts_where_seen() => Ok(()),
                // It was folded since: whoever appends finds that out.
                Err(BackendError::Missing { .. }) if matches!(error, Error::AlreadyExists { .. }) => continue,
                // Where it is there and may be lost, the push is not acknowledged; the index learns of it all the same.
                _ => Err(BackendError::unavailable(WRITING, error)),
            };
        }
        Err(restless())
    }

    async fn read<T: for<'de> Deserialize<'de>>(&self, path: &Path) -> Result<T, BackendError> {
        let bytes = self.backend.get(path).await?;
        entry::read(&bytes).map_err(|reason| BackendError::Damaged { what: path.to_string(), reason })
    }

    async fn read_all<T: for<'de> Deserialize<'de>>(&self, paths: Vec<Path>) -> Result<Vec<T>, BackendError> {
        let reads = futures::stream::iter(paths).map(|path| async move { self.read(&path).await });
        reads.buffered(PARALLEL).try_collect().await
    }

    /// The numbers below a prefix, by the directory that they are in.
    async fn numbers(&self, prefix: &str) -> Result<BTreeMap<String, Vec<u64>>, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from(prefix)));
        let mut numbers: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("listing the log", error))? {
            let path: &str = entry.location.as_ref();
            let parts = path.strip_suffix(".json").and_then(|path| path.rsplit_once('/'));
            if let Some((directory, Ok(number))) =
                parts.map(|(directory, number)| (directory, number.parse()))
            {
                numbers.entry(directory.to_owned()).or_default().push(number);
            }
        }
        for of_directory in numbers.values_mut() {
            of_directory.sort_unstable();
        }
        Ok(numbers)
    }

    /// The last entry of each directory below a prefix.
    async fn latest<T: for<'de> Deserialize<'de>>(&self, prefix: &str) -> Result<Vec<T>, BackendError> {
        let numbers = self.numbers(prefix).await?;
        let last =
            numbers.iter().filter_map(|(directory, numbers)| Some(numbered(directory, *numbers.last()?)));
        self.read_all(last.collect()).await
    }
}

#[async_trait]
impl RefStore for RefLog {
    async fn put_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        let path = numbered(&repository_directory(&record.owner, &record.slug), record.version);
        self.create(&path, record).await
    }

    /// Writes the same bytes over it.
    async fn renew_repository(&self, record: &RepositoryRecord) -> Result<(), BackendError> {
        let path = numbered(&repository_directory(&record.owner, &record.slug), record.version);
        let bytes = self.backend.get(&path).await?;
        let written = self.backend.durable.put(&path, bytes.into()).await;
        written.map(drop).map_err(|error| failed(WRITING, error))
    }

    async fn repository(
        &self,
        owner: &Handle,
        slug: &Slug,
    ) -> Result<Option<RepositoryRecord>, BackendError> {
        Ok(self.latest(&repository_directory(owner, slug)).await?.pop())
    }

    async fn repositories(&self) -> Result<Vec<RepositoryRecord>, BackendError> {
        self.latest("repositories").await
    }

    async fn moved_repositories(&self) -> Result<Vec<RepoId>, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from("refs")));
        let mut moved = BTreeSet::new();
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("listing the log", error))? {
            let path: &str = entry.location.as_ref();
            // What marks a log that is being removed is no move.
            if path.ends_with(".json") || path.ends_with(".seg") {
                moved.extend(path.split('/').nth(1).and_then(|repo| RepoId::parse(repo).ok()));
            }
        }
        Ok(moved.into_iter().collect())
    }

    async fn append(&self, entry: &RefLogEntry) -> Result<(), BackendError> {
        let path = numbered(&branch_directory(&entry.repo_id, &entry.branch), entry.sequence);
        self.create(&path, entry).await?;
        self.refuse_folded(entry).await
    }

    async fn heads(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, BackendError> {
        for _ in 0..ATTEMPTS {
            match self.try_heads(repo).await {
                Err(Retry::Moved) => {}
                Err(Retry::Failed(error)) => return Err(error),
                Ok(heads) => return Ok(heads),
            }
        }
        Err(restless())
    }

    async fn history(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
    ) -> Result<Vec<RefLogEntry>, BackendError> {
        for _ in 0..ATTEMPTS {
            match self.try_history(repo, branch, after).await {
                Err(Retry::Moved) => {}
                Err(Retry::Failed(error)) => return Err(error),
                Ok(moves) => return Ok(moves),
            }
        }
        Err(restless())
    }

    async fn readable_repositories(&self) -> Result<Readable<RepositoryRecord>, BackendError> {
        self.read_repositories().await
    }

    async fn readable_moves(&self, repo: &RepoId) -> Result<Readable<RefLogEntry>, BackendError> {
        self.read_moves(repo).await
    }
}

/// The log was folded at every look, which happens once in an hour: something else is wrong.
fn restless() -> BackendError {
    BackendError::unavailable("reading the log", "entries that are listed are not there, again and again")
}

/// Why a look at the log has to be repeated, or is in vain.
enum Retry {
    /// Entries were folded while they were being read.
    Moved,
    Failed(BackendError),
}

impl Retry {
    /// An entry that was listed and is absent has been folded since.
    fn moved(error: BackendError) -> Self {
        match error {
            BackendError::Missing { .. } => Self::Moved,
            error => Self::Failed(error),
        }
    }
}

impl From<BackendError> for Retry {
    fn from(error: BackendError) -> Self {
        Self::Failed(error)
    }
}

impl RefLog {
    /// The last move of every branch: of those listed where there is one, else of those folded. The listing comes first, so
    /// what is absent from it because it was folded is in the segment.
    async fn try_heads(&self, repo: &RepoId) -> Result<Vec<RefLogEntry>, Retry> {
        let mut listed = self.numbers(&format!("refs/{repo}")).await?;
        listed.remove(&folded::segment_directory(repo));
        let folds = self.folds(repo).await?;
        if folds.purged {
            return Ok(Vec::new());
        }
        let mut heads: BTreeMap<String, RefLogEntry> = BTreeMap::new();
        if let Some(segment) = self.newest_segment(repo, folds).await? {
            let last = segment.heads.into_iter().map(|head| head.last);
            heads.extend(last.map(|entry| (branch_directory(repo, &entry.branch), entry)));
        }
        let mut later = Vec::new();
        for (directory, numbers) in listed {
            let folded = heads.get(&directory).map_or(0, |head| head.sequence);
            let Some(last) = numbers.last().filter(|last| **last > folded) else {
                continue;
            };
            later.push(numbered(&directory, *last));
            heads.remove(&directory);
        }
        let later: Vec<RefLogEntry> = self.read_all(later).await.map_err(Retry::moved)?;
        heads.extend(later.into_iter().map(|entry| (branch_directory(repo, &entry.branch), entry)));
        Ok(heads.into_values().collect())
    }

    async fn try_history(
        &self,
        repo: &RepoId,
        branch: &BranchName,
        after: u64,
    ) -> Result<Vec<RefLogEntry>, Retry> {
        let directory = branch_directory(repo, branch);
        let numbers = self.numbers(&directory).await?.remove(&directory).unwrap_or_default();
        let folds = self.folds(repo).await?;
        if folds.purged {
            return Ok(Vec::new());
        }
        let (mut moves, until) = self.folded_moves(repo, branch, after, folds).await?;
        let after = after.max(until);
        let later: Vec<u64> = numbers.into_iter().filter(|number| *number > after).collect();
        // Numbers follow one another: one that is not there is a loss, or came while the directory was being listed, or was
        // folded then.
        let gap = (after.saturating_add(1)..).zip(&later).find(|(expected, number)| expected != *number);
        if let Some((absent, _)) = gap {
            let found = self.read::<RefLogEntry>(&numbered(&directory, absent)).await;
            return Err(match found {
                Err(error) if self.folds(repo).await? == folds => Retry::Failed(error),
                _ => Retry::Moved,
            });
        }
        let paths = later.into_iter().map(|number| numbered(&directory, number));
        let later: Vec<RefLogEntry> = self.read_all(paths.collect()).await.map_err(Retry::moved)?;
        moves.extend(later);
        Ok(moves)
    }
}

fn numbered(directory: &str, number: u64) -> Path {
    Path::from(format!("{directory}/{number:012}.json"))
}

fn repository_directory(owner: &Handle, slug: &Slug) -> String {
    format!(
        "repositories/{}/{}",
        escape(&owner.as_str().to_lowercase()),
        escape(&slug.as_str().to_lowercase())
    )
}

fn branch_directory(repo: &RepoId, branch: &BranchName) -> String {
    format!("refs/{repo}/{}", escape(branch.as_str()))
}

/// A name as one segment that no store and no file system changes, confuses with another or finds too long: everything but
/// `a`–`z`, `0`–`9`, `-` and `_` as `=` and two hexadecimal digits.
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len());
    for byte in name.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => escaped.push(char::from(byte)),
            _ => {
                let _ = write!(escaped, "={byte:02x}");
            }
        }
    }
    if escaped.len() > MAX_ESCAPED {
        escaped.truncate(MAX_ESCAPED - 66);
        let _ = write!(escaped, "=={}", blake3::hash(name.as_bytes()).to_hex());
    }
    escaped
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use futures::stream::BoxStream;
    use musehub_core::port::Timestamp;
    use musehub_core::{CommitId, HashAlgorithm};
    use object_store::{
        CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, PutMultipartOptions,
        PutOptions, PutPayload, PutResult, Result as StoreResult,
    };

    use super::*;

    /// Writes, and says that it failed, as a disk does that cannot sync the directory.
    #[derive(Debug)]
    struct Unsynced(Arc<dyn ObjectStore>);

    impl fmt::Display for Unsynced {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("Unsynced")
        }
    }

    #[async_trait]
    impl ObjectStore for Unsynced {
        async fn put_opts(
            &self,
            path: &Path,
            payload: PutPayload,
            options: PutOptions,
        ) -> StoreResult<PutResult> {
            self.0.put_opts(path, payload, options).await?;
            Err(object_store::Error::Generic {
                store: "unsynced",
                source: "the directory was not synced".into(),
            })
        }

        async fn put_multipart_opts(
            &self,
            path: &Path,
            options: PutMultipartOptions,
        ) -> StoreResult<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(path, options).await
        }

        async fn get_opts(&self, path: &Path, options: GetOptions) -> StoreResult<GetResult> {
            self.0.get_opts(path, options).await
        }

        fn delete_stream(
            &self,
            paths: BoxStream<'static, StoreResult<Path>>,
        ) -> BoxStream<'static, StoreResult<Path>> {
            self.0.delete_stream(paths)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, StoreResult<ObjectMeta>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> StoreResult<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> StoreResult<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn an_entry_that_local_disk_may_lose_is_not_acknowledged() {
        let directory = tempfile::tempdir().unwrap();
        let local = Backend::local(directory.path()).unwrap();
        let entry = RefLogEntry {
            repo_id: RepoId::parse("00000000-0000-4000-8000-000000000001").unwrap(),
            branch: BranchName::parse("main").unwrap(),
            sequence: 1,
            old: None,
            new: Some(CommitId::new(HashAlgorithm::Sha256, [1; 32])),
            forced: false,
            pusher: Handle::parse("pusher").unwrap(),
            at: Timestamp::from_millis(1),
            packs: Vec::new(),
            borrowed: Vec::new(),
        };
        let mut unsynced = local.clone();
        unsynced.durable = Arc::new(Unsynced(local.durable.clone()));
        let unsynced = RefLog::new(unsynced);
        let answer = unsynced.append(&entry).await;
        assert!(matches!(answer, Err(BackendError::Unavailable { .. })), "{answer:?}");
        let after = RefLog::new(local).append(&entry).await;
        assert!(matches!(after, Err(BackendError::Conflict { .. })), "it is there all the same: {after:?}");
        // What a network store shows is there for good; only its answer was lost.
        let answer =
            RefLog::new(Backend::over(Arc::new(Unsynced(Arc::new(object_store::memory::InMemory::new())))));
        answer.append(&entry).await.unwrap();
    }

    #[test]
    fn names_become_segments_that_stay_apart() {
        assert_eq!(escape("feat/x-1"), "feat=2fx-1");
        assert_eq!(escape("Main"), "=4dain");
        assert_eq!(escape("a.b"), "a=2eb");
        let long: Vec<String> = ["é", "è"].iter().map(|last| format!("{}{last}", "ü".repeat(120))).collect();
        assert_ne!(escape(&long[0]), escape(&long[1]));
        assert!(escape(&long[0]).len() <= MAX_ESCAPED);
    }
}
