//! Fail points, for tests of crashes: a write of this process that a variable of the environment names fails, or ends the
//! process. Built only with the feature `failpoints`, which nothing that is deployed has.
//!
//! `MUSEHUB_FAILPOINT=FAULT:N:STEP` strikes the Nth write, counted from 1, of a step such as `put packs/*.pack`,
//! `delete staging/*.idx` or `rows: recording a move`. `MUSEHUB_FAILPOINT_LOG=FILE` lists the steps of a process, a line each.
//! `MUSEHUB_FAILPOINT_PARTS=BYTES` has packs and uploads of more bytes written in parts of that size, so that tests need no
//! large ones.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::Write as _;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use musehub_core::port::BackendError;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

use crate::backend::Parts;

/// What happens to a write.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fault {
    /// The process ends before it.
    Abort,
    /// The process ends when half of what was to be written is there; after a write that is whole or not at all.
    Torn,
    /// It fails and has no effect.
    Before,
    /// It has its effect, and fails.
    After,
    /// It fails, and every later write but removals: the disk is full.
    Full,
}

impl Fault {
    fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "abort" => Self::Abort,
            "torn" => Self::Torn,
            "before" => Self::Before,
            "after" => Self::After,
            "full" => Self::Full,
            _ => return None,
        })
    }
}

/// What the environment asks for, and what has happened.
struct Points {
    plan: Option<(Fault, u64, String)>,
    log: Option<File>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    seen: HashMap<String, u64>,
    full: bool,
}

impl Points {
    /// Those of this process.
    fn of_process() -> &'static Self {
        static POINTS: OnceLock<Points> = OnceLock::new();
        POINTS.get_or_init(|| {
            let plan = std::env::var("MUSEHUB_FAILPOINT").ok().map(|text| {
                let mut parts = text.splitn(3, ':');
                let fault = parts.next().and_then(Fault::parse);
                let number = parts.next().and_then(|number| number.parse().ok());
                let step = parts.next().map(str::to_owned);
                fault.zip(number).zip(step).map(|((fault, number), step)| (fault, number, step)).expect(
                    "only a test sets the variable, and one that it cannot be read from must not go unnoticed",
                )
            });
            let log = std::env::var_os("MUSEHUB_FAILPOINT_LOG").map(|path| {
                let opened = File::options().append(true).create(true).open(path);
                opened.expect("a test that asks for a list of steps names a file that can be written")
            });
            Self { plan, log, state: Mutex::default() }
        })
    }

    /// What is to happen to the next write of a step. `adds`: it takes room on the disk.
    fn next(&self, step: &str, adds: bool) -> Option<Fault> {
        if let Some(mut log) = self.log.as_ref() {
            // One write, so that lines of threads do not mix.
            let _ = log.write_all(format!("{step}\n").as_bytes());
        }
        let (fault, number, planned) = self.plan.as_ref()?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = state.seen.entry(step.to_owned()).or_default();
        *seen += 1;
        let struck = step == planned && *seen == *number;
        if struck {
            eprintln!("failpoint: {fault:?} at {step}");
            state.full = *fault == Fault::Full;
        }
        if state.full {
            return adds.then_some(Fault::Full);
        }
        struck.then_some(*fault)
    }

    /// As [`next`](Self::next); ends the process where that is to happen before the write.
    fn strike(&self, step: &str, adds: bool) -> Option<Fault> {
        let fault = self.next(step, adds);
        if fault == Some(Fault::Abort) {
            std::process::abort();
        }
        fault
    }
}

/// Changes a file of this machine that is no object: the step `file: STEP`.
pub(crate) fn file<T>(step: &str, change: impl FnOnce() -> std::io::Result<T>) -> std::io::Result<T> {
    let refused = |fault| Err(std::io::Error::other(failure(fault)));
    match Points::of_process().strike(&format!("file: {step}"), true) {
        None => change(),
        Some(fault @ (Fault::Before | Fault::Full)) => refused(fault),
        Some(fault) => {
            let changed = change()?;
            if fault == Fault::After {
                drop(changed);
                return refused(fault);
            }
            std::process::abort()
        }
    }
}

/// The sizes from which on this process writes in parts, where a test chose them.
pub(crate) fn parts() -> Option<Parts> {
    let part = std::env::var("MUSEHUB_FAILPOINT_PARTS").ok()?;
    let part: usize = part.parse().expect("only a test sets the variable, to a number of bytes");
    Some(Parts { one_put: part as u64, part })
}

/// What is still to happen to a transaction once it is committed.
#[derive(Debug)]
pub(crate) struct Transaction(Option<Fault>);

impl Transaction {
    /// A transaction is about to be committed.
    pub(crate) fn before_commit(action: &'static str) -> std::result::Result<Self, BackendError> {
        let fault = Points::of_process().strike(&format!("rows: {action}"), true);
        match fault {
            Some(fault @ (Fault::Before | Fault::Full)) => {
                Err(BackendError::unavailable(action, failure(fault)))
            }
            fault => Ok(Self(fault)),
        }
    }

    /// It is committed.
    pub(crate) fn after_commit(self, action: &'static str) -> std::result::Result<(), BackendError> {
        match self.0 {
            Some(Fault::After) => Err(BackendError::unavailable(action, failure(Fault::After))),
            Some(_) => std::process::abort(),
            None => Ok(()),
        }
    }
}

/// An object store whose writes are fail points.
#[derive(Clone, Debug)]
pub(crate) struct Failing {
    inner: Arc<dyn ObjectStore>,
    /// Where objects are files.
    directory: Option<PathBuf>,
}

impl Failing {
    pub(crate) fn over(inner: Arc<dyn ObjectStore>, directory: Option<PathBuf>) -> Arc<dyn ObjectStore> {
        Arc::new(Self { inner, directory })
    }

    /// Writes half of an object, and ends the process. What is created once is atomic everywhere, or it would decide
    /// nothing, and what is there already, as a pack of equal objects, is replaced as a whole; of such, local disk keeps half
    /// of the file that was to get its name.
    async fn tear(&self, path: &Path, payload: PutPayload, options: PutOptions) -> ! {
        let bytes = Bytes::from(payload);
        let half = bytes.slice(..bytes.len() / 2);
        if options.mode == PutMode::Overwrite && self.inner.head(path).await.is_err() {
            let _ = self.inner.put_opts(path, half.into(), options).await;
        } else if let Some(directory) = &self.directory {
            let file = directory.join(format!("{path}#1"));
            let made = file.parent().map(std::fs::create_dir_all);
            let written = std::fs::write(&file, &half);
            eprintln!("failpoint: half of {}: {made:?} {written:?}", file.display());
        }
        std::process::abort()
    }
}

impl fmt::Display for Failing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Failing({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Failing {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match Points::of_process().strike(&step("put", path), true) {
            None | Some(Fault::Abort) => self.inner.put_opts(path, payload, options).await,
            Some(Fault::Torn) => self.tear(path, payload, options).await,
            Some(Fault::After) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(failure(Fault::After))
            }
            Some(fault) => Err(failure(fault)),
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        after(&step("begin", path), true, self.inner.put_multipart_opts(path, options))
            .await
            .map(|inner| Box::new(FailingUpload { inner, path: path.clone() }) as Box<dyn MultipartUpload>)
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let inner = self.inner.clone();
        let deletions = paths.then(move |path| {
            let inner = inner.clone();
            async move {
                let path = path?;
                after(&step("delete", &path), false, inner.delete(&path)).await?;
                Ok(path)
            }
        });
        deletions.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        after(&step("copy", to), true, self.inner.copy_opts(from, to, options)).await
    }
}

/// An upload in parts, each of which is a fail point, and its end.
#[derive(Debug)]
struct FailingUpload {
    inner: Box<dyn MultipartUpload>,
    path: Path,
}

#[async_trait]
impl MultipartUpload for FailingUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let part = self.inner.put_part(data);
        let step = step("part", &self.path);
        async move { after(&step, true, part).await }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        after(&step("complete", &self.path), true, self.inner.complete()).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// A write that is whole or not at all.
async fn after<T>(step: &str, adds: bool, write: impl Future<Output = Result<T>>) -> Result<T> {
    match Points::of_process().strike(step, adds) {
        None | Some(Fault::Abort) => write.await,
        Some(Fault::Torn) => {
            let _ = write.await;
            std::process::abort()
        }
        Some(Fault::After) => {
            write.await?;
            Err(failure(Fault::After))
        }
        Some(fault) => Err(failure(fault)),
    }
}

/// A path without its names: which step a write belongs to.
fn step(operation: &str, path: &Path) -> String {
    let text = path.as_ref();
    let top = text.split('/').next().unwrap_or_default();
    let extension = text.rsplit_once('.').map_or("", |(_, extension)| extension);
    let dot = if extension.is_empty() { "" } else { "." };
    format!("{operation} {top}/*{dot}{extension}")
}

fn failure(fault: Fault) -> object_store::Error {
    let source = match fault {
        Fault::Full => std::io::Error::from(std::io::ErrorKind::StorageFull),
        _ => std::io::Error::other("told to fail"),
    };
    object_store::Error::Generic { store: "failpoints", source: source.into() }
}
