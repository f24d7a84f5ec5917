//! An object store in memory that fails where it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// What happens to a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Fault {
    /// It fails and has no effect.
    Before,
    /// It has its effect, and fails.
    After,
    /// Of what was to be written only half is there, where something could be overwritten; it fails.
    Torn,
}

/// Strikes one call, and every call after it: the process is gone.
#[derive(Debug)]
struct Plan {
    fault: Fault,
    at: u64,
}

/// The store. Clones share everything.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: Arc<InMemory>,
    plan: Arc<Option<Plan>>,
    calls: Arc<AtomicU64>,
    struck: Arc<Mutex<Option<String>>>,
}

impl Faulty {
    /// A store that never fails.
    pub(crate) fn sound() -> Self {
        Self::over(Arc::new(InMemory::new()), None)
    }

    fn over(inner: Arc<InMemory>, plan: Option<Plan>) -> Self {
        Self { inner, plan: Arc::new(plan), calls: Arc::default(), struck: Arc::default() }
    }

    /// The same objects, of which call number `at` fails, and all after it.
    pub(crate) fn failing(&self, fault: Fault, at: u64) -> Self {
        Self::over(self.inner.clone(), Some(Plan { fault, at }))
    }

    /// The same objects for a process that is well.
    pub(crate) fn recovered(&self) -> Self {
        Self::over(self.inner.clone(), None)
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The step at which it failed.
    pub(crate) fn struck(&self) -> Option<String> {
        self.struck.lock().unwrap().clone()
    }

    /// Every key and its bytes.
    pub(crate) async fn contents(&self) -> Vec<(String, Bytes)> {
        let listed: Vec<ObjectMeta> =
            self.inner.list(None).map(std::result::Result::unwrap).collect::<Vec<_>>().await;
        let mut contents = Vec::new();
        for entry in listed {
            let bytes = self.inner.get(&entry.location).await.unwrap().bytes().await.unwrap();
            contents.push((entry.location.to_string(), bytes));
        }
        contents.sort_unstable();
        contents
    }

    pub(crate) async fn put(&self, path: &str, bytes: &[u8]) {
        self.inner.put(&Path::from(path), Bytes::copy_from_slice(bytes).into()).await.unwrap();
    }

    pub(crate) async fn remove(&self, path: &str) {
        self.inner.delete(&Path::from(path)).await.unwrap();
    }

    /// What is to happen to the next call.
    fn next(&self, what: &str, path: Option<&Path>) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let plan = self.plan.as_ref().as_ref()?;
        if call < plan.at {
            return None;
        }
        let mut struck = self.struck.lock().unwrap();
        if struck.is_some() {
            return Some(Fault::Before);
        }
        *struck = Some(format!("{what} {}", path.map(step_of).unwrap_or_default()));
        Some(plan.fault)
    }

    fn check(&self, what: &str, path: Option<&Path>) -> Result<()> {
        match self.next(what, path) {
            None => Ok(()),
            Some(_) => Err(failure()),
        }
    }
}

/// A path without its names: which step it belongs to.
fn step_of(path: &Path) -> String {
    let text = path.as_ref();
    let top = text.split('/').next().unwrap_or_default();
    let kind = if text.contains("/=log/") { "=log/" } else { "" };
    match text.rsplit_once('.') {
        Some((_, extension)) => format!("{top}/{kind}*.{extension}"),
        None => format!("{top}/"),
    }
}

fn failure() -> object_store::Error {
    object_store::Error::Generic { store: "faulty", source: "told to fail".into() }
}

impl fmt::Debug for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Faulty").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.next("put", Some(path)) {
            None => self.inner.put_opts(path, payload, options).await,
            Some(Fault::Before) => Err(failure()),
            Some(Fault::After) => {
                self.inner.put_opts(path, payload, options).await?;
                Err(failure())
            }
            Some(Fault::Torn) => {
                // What is created once is atomic everywhere, or it would decide nothing.
                if options.mode == PutMode::Overwrite {
                    let bytes = Bytes::from(payload);
                    self.inner.put_opts(path, bytes.slice(..bytes.len() / 2).into(), options).await?;
                }
                Err(failure())
            }
        }
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.check("put parts", Some(path))?;
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(if options.head { "head" } else { "get" }, Some(path))?;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check("get", Some(path))?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deletions = paths.then(move |path| {
            let store = store.clone();
            async move {
                let path = path?;
                match store.next("delete", Some(&path)) {
                    None => store.inner.delete(&path).await.map(|()| path),
                    Some(Fault::Before) => Err(failure()),
                    Some(Fault::After | Fault::Torn) => {
                        store.inner.delete(&path).await?;
                        Err(failure())
                    }
                }
            }
        });
        deletions.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.check("list", prefix) {
            Ok(()) => self.inner.list(prefix),
            Err(error) => futures::stream::once(async { Err(error) }).boxed(),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check("list", prefix)?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check("copy", Some(to))?;
        self.inner.copy_opts(from, to, options).await
    }
}
