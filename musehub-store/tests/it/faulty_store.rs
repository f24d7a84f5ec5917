//! An object store in memory that fails where it is told to.

use std::fmt;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
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

/// What somebody else does before a call.
struct Meanwhile {
    at: u64,
    act: Box<dyn Fn() -> BoxFuture<'static, ()> + Send + Sync>,
}

/// The store. Clones share everything.
#[derive(Clone)]
pub(crate) struct Faulty {
    inner: Arc<InMemory>,
    plan: Arc<Option<Plan>>,
    meanwhile: Option<Arc<Meanwhile>>,
    calls: Arc<AtomicU64>,
    steps: Arc<Mutex<Vec<String>>>,
    struck: Arc<Mutex<Option<String>>>,
}

impl Faulty {
    /// A store that never fails.
    pub(crate) fn sound() -> Self {
        Self::over(Arc::new(InMemory::new()), None)
    }

    fn over(inner: Arc<InMemory>, plan: Option<Plan>) -> Self {
        Self {
            inner,
            plan: Arc::new(plan),
            meanwhile: None,
            calls: Arc::default(),
            steps: Arc::default(),
            struck: Arc::default(),
        }
    }

    /// The same objects, of which call number `at` fails, and all after it.
    pub(crate) fn failing(&self, fault: Fault, at: u64) -> Self {
        Self::over(self.inner.clone(), Some(Plan { fault, at }))
    }

    /// The same objects, and somebody who does something before call number `at`. What call that was says
    /// [`struck`](Self::struck).
    pub(crate) fn before(
        &self,
        at: u64,
        act: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) -> Self {
        let meanwhile = Some(Arc::new(Meanwhile { at, act: Box::new(act) }));
        Self { meanwhile, ..Self::over(self.inner.clone(), None) }
    }

    /// The same objects for a process that is well.
    pub(crate) fn recovered(&self) -> Self {
        Self::over(self.inner.clone(), None)
    }

    /// How many calls there were.
    pub(crate) fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The steps since this was asked last, in their order.
    pub(crate) fn steps(&self) -> Vec<String> {
        std::mem::take(&mut self.steps.lock().unwrap())
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

    /// What is to happen to the next call, after what somebody else does before it.
    async fn next(&self, what: &str, path: Option<&Path>) -> Option<Fault> {
        if let Some(meanwhile) = &self.meanwhile
            && self.calls() == meanwhile.at
        {
            *self.struck.lock().unwrap() = Some(step(what, path));
            (meanwhile.act)().await;
        }
        self.fate(what, path)
    }

    /// A call of something else than the store, which the process would not live to make either.
    pub(crate) async fn other(&self, what: &str) -> Option<Fault> {
        self.next(what, None).await
    }

    /// What is to happen to the next call.
    fn fate(&self, what: &str, path: Option<&Path>) -> Option<Fault> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        self.steps.lock().unwrap().push(step(what, path));
        let plan = self.plan.as_ref().as_ref()?;
        if call < plan.at {
            return None;
        }
        let mut struck = self.struck.lock().unwrap();
        if struck.is_some() {
            return Some(Fault::Before);
        }
        *struck = Some(step(what, path));
        Some(plan.fault)
    }

    async fn check(&self, what: &str, path: Option<&Path>) -> Result<()> {
        match self.next(what, path).await {
            None => Ok(()),
            Some(_) => Err(failure()),
        }
    }
}

fn step(what: &str, path: Option<&Path>) -> String {
    format!("{what} {}", path.map(step_of).unwrap_or_default())
}

/// A path without its names: which step it belongs to.
fn step_of(path: &Path) -> String {
    let text = path.as_ref();
    let top = text.split('/').next().unwrap_or_default();
    let kind = if text.contains("/=log/") { "=log/" } else { "" };
    match text.rsplit_once('.') {
        Some((_, extension)) => format!("{top}/{kind}*.{extension}"),
        None if text.ends_with("/purged") => format!("{top}/{kind}purged"),
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

/// An upload in parts, each of them a call.
#[derive(Debug)]
struct Parts {
    store: Faulty,
    path: Path,
    upload: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for Parts {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (store, path, part) = (self.store.clone(), self.path.clone(), self.upload.put_part(data));
        async move {
            store.check("put a part of", Some(&path)).await?;
            part.await
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        match self.store.next("complete", Some(&self.path)).await {
            None => self.upload.complete().await,
            Some(Fault::Before | Fault::Torn) => Err(failure()),
            Some(Fault::After) => {
                self.upload.complete().await?;
                Err(failure())
            }
        }
    }

    async fn abort(&mut self) -> Result<()> {
        self.store.check("abort", Some(&self.path)).await?;
        self.upload.abort().await
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, path: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        match self.next("put", Some(path)).await {
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
        self.check("put parts", Some(path)).await?;
        let upload = self.inner.put_multipart_opts(path, options).await?;
        Ok(Box::new(Parts { store: self.clone(), path: path.clone(), upload }))
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.check(if options.head { "head" } else { "get" }, Some(path)).await?;
        self.inner.get_opts(path, options).await
    }

    async fn get_ranges(&self, path: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.check("get", Some(path)).await?;
        self.inner.get_ranges(path, ranges).await
    }

    fn delete_stream(&self, paths: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        let deletions = paths.then(move |path| {
            let store = store.clone();
            async move {
                let path = path?;
                match store.next("delete", Some(&path)).await {
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
        let (store, prefix) = (self.clone(), prefix.cloned());
        let listing = async move {
            match store.check("list", prefix.as_ref()).await {
                Ok(()) => store.inner.list(prefix.as_ref()),
                Err(error) => futures::stream::once(async { Err(error) }).boxed(),
            }
        };
        futures::stream::once(listing).flatten().boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.check("list", prefix).await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.check("copy", Some(to)).await?;
        self.inner.copy_opts(from, to, options).await
    }
}
