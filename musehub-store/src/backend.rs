//! The object store that everything canonical rests in, as two handles: one that is durable when a write returns, one for
//! what may be lost.

use std::path::Path as FilePath;
use std::sync::Arc;

use musehub_core::port::BackendError;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

/// An object store.
#[derive(Clone, Debug)]
pub struct Backend {
    /// A write is on disk, file and directory, when it returns.
    pub(crate) durable: Arc<dyn ObjectStore>,
    /// The same objects without that promise: for reading, and for staging, which a crash may lose.
    pub(crate) fast: Arc<dyn ObjectStore>,
}

impl Backend {
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
        Ok(Self { durable: Arc::new(open()?.with_fsync(true)), fast: Arc::new(open()?) })
    }

    /// Memory: nothing outlives the process.
    #[must_use]
    pub fn memory() -> Self {
        let store = Arc::new(InMemory::new());
        Self { durable: store.clone(), fast: store }
    }

    /// The whole content of an object.
    pub(crate) async fn get(&self, path: &Path) -> Result<bytes::Bytes, BackendError> {
        let action = "reading from the object store";
        let found = self.fast.get(path).await.map_err(|error| failed(action, error))?;
        found.bytes().await.map_err(|error| failed(action, error))
    }
}

/// Says in the ports' terms what went wrong.
pub(crate) fn failed(action: &'static str, error: object_store::Error) -> BackendError {
    match error {
        object_store::Error::NotFound { path, .. } => BackendError::Missing { what: path },
        object_store::Error::AlreadyExists { path, .. } => BackendError::Conflict { what: path },
        other => BackendError::unavailable(action, other),
    }
}
