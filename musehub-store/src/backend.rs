//! The object store that everything canonical rests in, as two handles: one that is durable when a write returns, one for
//! what may be lost.

use std::ffi::OsStr;
use std::fmt;
use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path as FilePath, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use futures::StreamExt;
use futures::stream::{self, BoxStream};
use musehub_core::port::{BackendError, Timestamp};
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::signer::Signer;
use object_store::{
    Error, GetOptions, GetRange, GetResult, GetResultPayload, ObjectStore, ObjectStoreExt, PutMode,
    PutOptions,
};
use tokio::sync::Mutex;

use crate::s3;

/// A pack up to this size is written in one request; a larger one in parts.
pub(crate) const ONE_PUT: u64 = 32 << 20;
/// The size of a part of what is written in parts, in bytes, unless [`MAX_PARTS`] demands larger ones. S3 takes no part
/// under 5 MiB but the last.
const PART: usize = 8 << 20;
/// How many parts an object may have: S3's limit.
pub(crate) const MAX_PARTS: u64 = 10_000;
/// How many parts of one object are under way at a time.
pub(crate) const PARTS_AT_ONCE: usize = 2;
/// How much is asked for at a time of an object that is streamed over the network, in bytes. Each request has its own
/// retries, so a slow reader outlives a connection.
const PIECE: usize = 4 << 20;
/// How much of a file is read at a time, in bytes. Every piece is a hand-over to another thread and back; in those of 8 KiB that the
/// adapter's own stream has, that takes longer than all that is done with the bytes.
const FILE_PIECE: u64 = 1 << 20;
/// How often an object is created again where the store refuses it and yet has none: S3 does that to one of two that race.
const REFUSALS: u32 = 8;
/// The first wait before that; each is twice the one before.
const REFUSED_WAIT: Duration = Duration::from_millis(20);

/// Where an object store is: `file://DIRECTORY` or `s3://BUCKET/PREFIX`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoreLocation {
    /// A directory of this machine.
    Directory(PathBuf),
    /// A bucket of an S3-compatible store.
    Bucket {
        /// Its name.
        bucket: String,
        /// What every key begins with; may be empty.
        prefix: String,
    },
}

/// A text names no object store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a store reads file://DIRECTORY or s3://BUCKET/PREFIX")]
pub struct StoreLocationError;

impl FromStr for StoreLocation {
    type Err = StoreLocationError;

    fn from_str(text: &str) -> Result<Self, StoreLocationError> {
        if let Some(directory) = text.strip_prefix("file://").filter(|directory| !directory.is_empty()) {
            return Ok(Self::Directory(directory.into()));
        }
        let rest = text.strip_prefix("s3://").ok_or(StoreLocationError)?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        // Nothing of it may end up in another part of a request's address.
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        let named = !bucket.is_empty() && bucket.bytes().all(allowed);
        let prefix = prefix.trim_end_matches('/');
        let keyed = prefix.is_empty() || Path::parse(prefix).is_ok_and(|path| path.as_ref() == prefix);
        if !named || !keyed {
            return Err(StoreLocationError);
        }
        Ok(Self::Bucket { bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "file://{}", directory.display()),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// An object store.
#[derive(Clone, Debug)]
pub struct Backend {
    /// A write is on disk, file and directory, when it returns.
    pub(crate) durable: Arc<dyn ObjectStore>,
    /// The same objects without that promise: for reading, and for staging, which a crash may lose.
    pub(crate) fast: Arc<dyn ObjectStore>,
    /// How much one request asks for of what is streamed; none where reading cannot break off.
    piece: Option<usize>,
    /// Where the objects are files.
    directory: Option<PathBuf>,
    /// Signs addresses; none where the objects have none.
    pub(crate) signing: Option<Signing>,
    pub(crate) parts: Parts,
    /// Held while something is created, where the store does not decide races.
    alone: Option<Arc<Mutex<()>>>,
}

/// What is written in parts, and in which.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Parts {
    /// A pack up to this size is written in one request.
    pub(crate) one_put: u64,
    /// The size of a part; an upload that fits one is written in one request.
    pub(crate) part: usize,
}

impl Default for Parts {
    fn default() -> Self {
        Self { one_put: ONE_PUT, part: PART }
    }
}

/// Signs addresses of a store whose keys begin with a prefix.
#[derive(Clone, Debug)]
pub(crate) struct Signing {
    pub(crate) signer: Arc<dyn Signer>,
    pub(crate) prefix: Path,
}

impl Backend {
    /// The store at a location. `settings` are pairs such as `AWS_ENDPOINT_URL` and its value, commonly the environment;
    /// see [`s3`](Self::s3). Nothing is asked of a bucket yet: [`check`](Self::check) does.
    ///
    /// # Errors
    /// [`BackendError`] where a directory cannot be created or settings do not make a client.
    pub fn open(
        location: &StoreLocation,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BackendError> {
        let backend = match location {
            StoreLocation::Directory(directory) => Self::local(directory),
            StoreLocation::Bucket { bucket, prefix } => Self::s3(bucket, prefix, settings),
        }?;
        #[cfg(feature = "failpoints")]
        let backend = backend.failing();
        Ok(backend)
    }

    /// The same objects, whose writes are fail points.
    #[cfg(feature = "failpoints")]
    fn failing(self) -> Self {
        use crate::failpoints::Failing;
        let durable = Failing::over(self.durable, self.directory.clone());
        let parts = crate::failpoints::parts().unwrap_or(self.parts);
        Self { durable, fast: Failing::over(self.fast, self.directory.clone()), parts, ..self }
    }

    /// Files below a directory, which is created.
    ///
    /// # Errors
    /// [`BackendError`] where the directory cannot be created or opened.
    pub fn local(directory: &FilePath) -> Result<Self, BackendError> {
        std::fs::create_dir_all(directory)
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", directory.display())))
            .map_err(|error| BackendError::unavailable("creating the store's directory", error))?;
        let open = || {
            LocalFileSystem::new_with_prefix(directory).map_err(|error| failed("opening the store", error))
        };
        let (durable, fast) = (open()?.with_fsync(true), open()?.with_automatic_cleanup(true));
        Ok(Self {
            durable: Arc::new(durable),
            fast: Arc::new(fast),
            piece: None,
            directory: Some(directory.to_owned()),
            signing: None,
            parts: Parts::default(),
            alone: None,
        })
    }

    /// Objects of an S3-compatible store whose keys begin with `prefix`. Of `settings` those that begin with `AWS_` say
    /// where it is and who asks: `AWS_ENDPOINT_URL`, `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
    /// `AWS_SESSION_TOKEN` and the others of its kind. Without keys the machine's own role is asked for.
    ///
    /// # Errors
    /// [`BackendError`] where the settings contradict each other, or name a plain `http` endpoint of another machine
    /// without `AWS_ALLOW_HTTP=true`.
    pub fn s3(
        bucket: &str,
        prefix: &str,
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, BackendError> {
        let (store, signing) = s3::open(bucket, prefix, settings)
            .map_err(|error| BackendError::unavailable("opening the object store", error))?;
        let signing = Some(signing);
        Ok(Self {
            durable: store.clone(),
            fast: store,
            piece: Some(PIECE),
            directory: None,
            signing,
            parts: Parts::default(),
            alone: None,
        })
    }

    /// Memory: nothing outlives the process.
    #[must_use]
    pub fn memory() -> Self {
        Self::over(Arc::new(InMemory::new()))
    }

    /// Any object store, which is durable when a write returns.
    #[must_use]
    pub fn over(store: Arc<dyn ObjectStore>) -> Self {
        Self {
            durable: store.clone(),
            fast: store,
            piece: None,
            directory: None,
            signing: None,
            parts: Parts::default(),
            alone: None,
        }
    }

    /// A store that [overwrites](Creation::Overwriting) what it was asked to create. This value and its clones then must be the
    /// only ones that write it: another process would overwrite what they create, and lose pushes.
    #[must_use]
    pub fn alone(self) -> Self {
        Self { alone: Some(Arc::default()), ..self }
    }

    /// Creates an object: of all who try, one succeeds, and the others get [`Error::AlreadyExists`]. Any other error
    /// leaves open whether it is there now.
    pub(crate) async fn create(&self, path: &Path, bytes: Bytes) -> object_store::Result<()> {
        let _held = match &self.alone {
            None => None,
            Some(lock) => {
                let held = lock.lock().await;
                match self.durable.head(path).await {
                    Err(Error::NotFound { .. }) => Some(held),
                    Ok(_) => return Err(already(path)),
                    Err(error) => return Err(error),
                }
            }
        };
        // A store that knows no conditions may refuse a request that has one.
        let mode = if self.alone.is_some() { PutMode::Overwrite } else { PutMode::Create };
        let mut wait = REFUSED_WAIT;
        for _ in 0..REFUSALS {
            let options = PutOptions { mode: mode.clone(), ..PutOptions::default() };
            match self.durable.put_opts(path, bytes.clone().into(), options).await {
                Err(error @ Error::AlreadyExists { .. }) => match self.durable.head(path).await {
                    // Two raced, and neither had written yet.
                    Err(Error::NotFound { .. }) => {}
                    _ => return Err(error),
                },
                done => return done.map(drop),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        let source = format!("the store refuses {path} and has no such object").into();
        Err(Error::Generic { store: "create", source })
    }

    /// Whether an object that is there is so for good. On local disk it may be seen, and be gone after a power cut, if the
    /// write that made it failed.
    pub(crate) const fn lasts_where_seen(&self) -> bool {
        self.directory.is_none()
    }

    /// Files that writes left which never ended, untouched since `before`, and their lengths. No listing shows them.
    /// Stores that are no directory have means of their own against such.
    pub(crate) fn interrupted(&self, before: Timestamp) -> Result<Vec<(PathBuf, u64)>, BackendError> {
        let mut found = Vec::new();
        let mut pending: Vec<PathBuf> = self.directory.iter().cloned().collect();
        while let Some(directory) = pending.pop() {
            let entries = match std::fs::read_dir(&directory) {
                Ok(entries) => entries,
                // Directories go when they are empty.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(BackendError::unavailable("looking for interrupted writes", error)),
            };
            for entry in entries {
                let entry = entry
                    .map_err(|error| BackendError::unavailable("looking for interrupted writes", error))?;
                // One that is gone meanwhile was none.
                let Ok(metadata) = entry.metadata() else {
                    continue;
                };
                if metadata.is_dir() {
                    pending.push(entry.path());
                } else if is_unfinished(&entry.file_name()) && written(&metadata) < before {
                    found.push((entry.path(), metadata.len()));
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }

    /// Asks the store whether it is there, may be written, listed, read and deleted from, and keeps the promise that the
    /// ref log is built on: that a key is created once.
    ///
    /// # Errors
    /// [`BackendError::Unavailable`], whose source says which of these fails.
    pub async fn check(&self) -> Result<Creation, BackendError> {
        let checked = s3::check(self.durable.as_ref()).await;
        checked.map_err(|error| BackendError::unavailable("opening the object store", error))
    }

    /// The whole content of an object.
    pub(crate) async fn get(&self, path: &Path) -> Result<Bytes, BackendError> {
        let action = "reading from the object store";
        let found = self.fast.get(path).await.map_err(|error| failed(action, error))?;
        found.bytes().await.map_err(|error| failed(action, error))
    }

    /// A range of an object in pieces. Fails at once where the object is not there or ends before the range begins; one
    /// that ends within it gives less than was asked for.
    pub(crate) async fn stream(
        &self,
        path: &Path,
        range: Range<u64>,
    ) -> object_store::Result<BoxStream<'static, object_store::Result<Bytes>>> {
        let Some(piece) = self.piece else {
            let options = GetOptions { range: Some(GetRange::Bounded(range)), ..GetOptions::default() };
            return Ok(in_pieces(self.fast.get_opts(path, options).await?));
        };
        let end_of = move |start: u64| start.saturating_add(piece as u64).min(range.end);
        let first = self.fast.get_range(path, range.start..end_of(range.start)).await?;
        let (store, path) = (self.fast.clone(), path.clone());
        let starts = (range.start..range.end).step_by(piece).skip(1);
        let rest = stream::iter(starts).then(move |start| {
            let (store, path) = (store.clone(), path.clone());
            async move { store.get_range(&path, start..end_of(start)).await }
        });
        Ok(stream::once(async { Ok(first) }).chain(rest).boxed())
    }

    /// The size of the parts of an object of `length` bytes.
    pub(crate) fn part_size(&self, length: u64) -> usize {
        let enough = usize::try_from(length.div_ceil(MAX_PARTS)).unwrap_or(usize::MAX);
        if enough <= self.parts.part {
            self.parts.part
        } else {
            enough.checked_next_multiple_of(1 << 20).unwrap_or(usize::MAX)
        }
    }
}

/// What was found, in pieces. A file is read on through its handle, so that it may be removed meanwhile.
pub(crate) fn in_pieces(found: GetResult) -> BoxStream<'static, object_store::Result<Bytes>> {
    let range = found.range;
    let (file, path) = match found.payload {
        GetResultPayload::Stream(pieces) => return pieces,
        GetResultPayload::File(file, path) => (file, path),
    };
    let pieces = stream::try_unfold((file, range.start), move |(file, at)| {
        let path = path.clone();
        async move {
            let wanted = (range.end - at).min(FILE_PIECE);
            let read = tokio::task::spawn_blocking(move || read_at(file, at, wanted)).await;
            let failed = |source: Box<dyn std::error::Error + Send + Sync>| object_store::Error::Generic {
                store: "file",
                source: format!("{}: {source}", path.display()).into(),
            };
            let (file, piece) =
                read.map_err(|error| failed(error.into()))?.map_err(|error| failed(error.into()))?;
            let next = at + piece.len() as u64;
            Ok((!piece.is_empty()).then_some((piece, (file, next))))
        }
    });
    pieces.boxed()
}

/// Up to so many bytes of a file from a place on; fewer at its end.
fn read_at(mut file: File, at: u64, wanted: u64) -> std::io::Result<(File, Bytes)> {
    let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or(0));
    file.seek(SeekFrom::Start(at))?;
    file.by_ref().take(wanted).read_to_end(&mut piece)?;
    Ok((file, piece.into()))
}

fn already(path: &Path) -> Error {
    Error::AlreadyExists { path: path.to_string(), source: "it was there before".into() }
}

/// Who decides which of several processes creates an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Creation {
    /// The store: it creates a key once.
    Exclusive,
    /// Something else must: the store overwrites where it was asked to create.
    Overwriting,
}

/// Whether a file is one that a write has not moved to its name yet: the adapter appends `#` and a number until then.
fn is_unfinished(name: &OsStr) -> bool {
    let number = name.to_str().and_then(|name| name.rsplit_once('#')).map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// When a file was written; now, where its file system does not say.
fn written(metadata: &Metadata) -> Timestamp {
    let age = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    let millis = age.and_then(|age| i64::try_from(age.as_millis()).ok());
    Timestamp::from_millis(millis.unwrap_or(i64::MAX))
}

/// Says in the ports' terms what went wrong.
pub(crate) fn failed(action: &'static str, error: object_store::Error) -> BackendError {
    match error {
        object_store::Error::NotFound { path, .. } => BackendError::Missing { what: path },
        object_store::Error::AlreadyExists { path, .. } => BackendError::Conflict { what: path },
        other => BackendError::unavailable(action, other),
    }
}

#[cfg(test)]
mod tests {
    use futures::TryStreamExt;

    use super::*;

    #[test]
    fn a_location_comes_back_from_its_text() {
        for text in ["file:///srv/store", "s3://bucket", "s3://my.bucket-1/deep/prefix"] {
            assert_eq!(text.parse::<StoreLocation>().unwrap().to_string(), text);
        }
        assert_eq!("s3://bucket/".parse::<StoreLocation>().unwrap().to_string(), "s3://bucket");
        for bad in
            ["", "store", "file://", "s3://", "s3:///p", "s3://b?x/p", "s3://b/../p", "s3://b//p", "gs://b/p"]
        {
            assert_eq!(bad.parse::<StoreLocation>(), Err(StoreLocationError), "{bad}");
        }
    }

    #[test]
    fn parts_are_large_enough_for_a_store_that_takes_ten_thousand() {
        let backend = Backend::memory();
        assert_eq!(backend.part_size(1), PART);
        assert_eq!(backend.part_size(MAX_PARTS * PART as u64), PART);
        for length in [MAX_PARTS * PART as u64 + 1, 1 << 40, 5 << 40] {
            assert!(length.div_ceil(backend.part_size(length) as u64) <= MAX_PARTS);
        }
    }

    #[tokio::test]
    async fn a_file_is_read_in_large_pieces_and_to_its_end_though_it_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let backend = Backend::local(directory.path()).unwrap();
        let (path, piece) = (Path::from("a/file"), usize::try_from(FILE_PIECE).unwrap());
        let content: Vec<u8> = (0..2 * piece + 7).map(|at| (at % 251) as u8).collect();
        backend.fast.put(&path, content.clone().into()).await.unwrap();
        let mut pieces = backend.stream(&path, 5..content.len() as u64).await.unwrap();
        let first = pieces.try_next().await.unwrap().unwrap();
        backend.fast.delete(&path).await.unwrap();
        let rest: Vec<Bytes> = pieces.try_collect().await.unwrap();
        let lengths: Vec<usize> = rest.iter().map(Bytes::len).collect();
        assert_eq!((first.len(), &lengths[..]), (piece, &[piece, 2][..]));
        assert_eq!([&first[..], &rest.concat()].concat(), &content[5..]);
        assert!(backend.stream(&path, 0..1).await.is_err());
    }
}
