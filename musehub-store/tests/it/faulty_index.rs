//! What the upkeep tells an index, heard on the way: it may fail, and others may do something before or after it.

use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::future::BoxFuture;
use musehub_core::port::{BackendError, BlobRow, MaintenanceIndex, Place, Relocation};
use musehub_core::{BlobId, RepoId};
use musehub_store::SqlIndex;

/// A call of the upkeep.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Told {
    Relocate,
    ForgetBlobs,
    RestoreBlobs,
    ForgetRepository(RepoId),
}

impl Told {
    /// The step that it is, as a faulty store names its own.
    pub(crate) fn step(&self) -> &'static str {
        match self {
            Self::Relocate => "index: relocate",
            Self::ForgetBlobs => "index: forget blobs",
            Self::RestoreBlobs => "index: restore blobs",
            Self::ForgetRepository(_) => "index: forget a repository",
        }
    }
}

/// When it is heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    Before,
    After,
}

type Hook = Box<dyn Fn(When, Told) -> BoxFuture<'static, Result<(), BackendError>> + Send + Sync>;

/// The index, and something that happens around each call.
pub(crate) struct Heard {
    index: Arc<SqlIndex>,
    hook: Hook,
    told: Mutex<Vec<Told>>,
}

impl Heard {
    pub(crate) fn over(
        index: Arc<SqlIndex>,
        hook: impl Fn(When, Told) -> BoxFuture<'static, Result<(), BackendError>> + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { index, hook: Box::new(hook), told: Mutex::default() })
    }

    /// The calls so far.
    pub(crate) fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }

    async fn hear<T>(
        &self,
        told: Told,
        call: impl Future<Output = Result<T, BackendError>>,
    ) -> Result<T, BackendError> {
        self.told.lock().unwrap().push(told.clone());
        (self.hook)(When::Before, told.clone()).await?;
        let answer = call.await?;
        (self.hook)(When::After, told).await?;
        Ok(answer)
    }
}

impl fmt::Debug for Heard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Heard").field("told", &self.told).finish_non_exhaustive()
    }
}

pub(crate) fn failure() -> BackendError {
    BackendError::unavailable("telling the index", "told to fail")
}

#[async_trait]
impl MaintenanceIndex for Heard {
    async fn relocate(&self, moves: &[Relocation]) -> Result<u64, BackendError> {
        self.hear(Told::Relocate, self.index.relocate(moves)).await
    }

    async fn forget_blobs(&self, blobs: &[(BlobId, Place)]) -> Result<u64, BackendError> {
        self.hear(Told::ForgetBlobs, self.index.forget_blobs(blobs)).await
    }

    async fn restore_blobs(&self, blobs: &[BlobRow]) -> Result<(), BackendError> {
        self.hear(Told::RestoreBlobs, self.index.restore_blobs(blobs)).await
    }

    async fn forget_repository(&self, repo: &RepoId) -> Result<(), BackendError> {
        self.hear(Told::ForgetRepository(repo.clone()), self.index.forget_repository(repo)).await
    }
}
