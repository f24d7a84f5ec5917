//! Packs of the wire over an object store: `mpacks/incoming/` for what clients upload, `mpacks/built/` for what they fetch,
//! `mpacks/objects/` for objects that they upload one by one.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use musehub_core::RepoId;
use musehub_core::port::{
    BackendError, MpackAccess, MpackArea, MpackFile, MpackStore, MpackWriter, Timestamp,
};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncWriteExt;

use crate::backend::{Backend, PARTS_AT_ONCE, failed};

/// Where the secret rests that addresses of the hub's own are signed with.
const SECRET: &str = "keys/addresses";

/// Packs of the wire in an object store.
#[derive(Clone, Debug)]
pub struct MpackFiles {
    backend: Backend,
    /// Whether clients may be given addresses of the store itself.
    direct: bool,
}

impl MpackFiles {
    /// Packs in `backend`. Clients are given addresses of the store itself where it can sign them.
    #[must_use]
    pub const fn new(backend: Backend) -> Self {
        Self { backend, direct: true }
    }

    /// Has everything go through the hub, though the store could sign addresses: for a store that clients cannot reach.
    #[must_use]
    pub fn through_the_hub(self) -> Self {
        Self { direct: false, ..self }
    }
}

const fn folder(area: MpackArea) -> &'static str {
    match area {
        MpackArea::Incoming => "mpacks/incoming",
        MpackArea::Built => "mpacks/built",
        MpackArea::Object => "mpacks/objects",
    }
}

fn path(file: &MpackFile) -> Path {
    Path::from(format!("{}/{}/{}.mpack", folder(file.area), file.repo, file.name()))
}

/// Which file lies at a path below an area's folder.
fn file_at(area: MpackArea, path: &Path) -> Option<MpackFile> {
    let rest = path.as_ref().strip_prefix(folder(area))?.strip_prefix('/')?;
    let (repo, name) = rest.split_once('/')?;
    MpackFile::from_stored(area, &RepoId::parse(repo).ok()?, name.strip_suffix(".mpack")?)
}

#[async_trait]
impl MpackStore for MpackFiles {
    async fn begin(&self, file: &MpackFile) -> Result<Box<dyn MpackWriter>, BackendError> {
        // What the hub promised to have must outlive a power cut: a push that is acknowledged with a job to poll, and a pack that
        // its row says is there.
        let out = BufWriter::with_capacity(self.backend.durable.clone(), path(file), self.backend.parts.part)
            .with_max_concurrency(PARTS_AT_ONCE);
        Ok(Box::new(Writer { out: Some(out) }))
    }

    async fn size(&self, file: &MpackFile) -> Result<Option<u64>, BackendError> {
        match self.backend.fast.head(&path(file)).await {
            Ok(found) => Ok(Some(found.size)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(failed("looking for a pack", error)),
        }
    }

    async fn read(
        &self,
        file: &MpackFile,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError> {
        let path = path(file);
        if range.is_empty() {
            return match self.size(file).await? {
                Some(_) => Ok(stream::empty().boxed()),
                None => Err(BackendError::Missing { what: path.to_string() }),
            };
        }
        let pieces = self.backend.stream(&path, range).await;
        let pieces = pieces.map_err(|error| failed("reading a pack", error))?;
        Ok(pieces.map_err(|error| failed("reading a pack", error)).boxed())
    }

    async fn remove(&self, file: &MpackFile) -> Result<(), BackendError> {
        match self.backend.fast.delete(&path(file)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(failed("removing a pack", error)),
        }
    }

    async fn written_before(
        &self,
        area: MpackArea,
        before: Timestamp,
    ) -> Result<Vec<(MpackFile, u64)>, BackendError> {
        let entries = self.backend.fast.list(Some(&Path::from(folder(area))));
        let old = entries.try_filter_map(|entry| async move {
            let written = Timestamp::from_millis(entry.last_modified.timestamp_millis());
            let file = file_at(area, &entry.location).filter(|_| written < before);
            Ok(file.map(|file| (file, entry.size)))
        });
        let mut old: Vec<_> = old.try_collect().await.map_err(|error| failed("listing packs", error))?;
        old.sort_unstable();
        Ok(old)
    }

    async fn files_of(&self, area: MpackArea, repo: &RepoId) -> Result<Vec<(MpackFile, u64)>, BackendError> {
        let prefix = Path::from(format!("{}/{repo}", folder(area)));
        let entries = self.backend.fast.list(Some(&prefix));
        let named = entries.try_filter_map(|entry| async move {
            Ok(file_at(area, &entry.location).map(|file| (file, entry.size)))
        });
        let mut files: Vec<_> =
            named.try_collect().await.map_err(|error| failed("listing uploads", error))?;
        files.sort_unstable();
        Ok(files)
    }

    async fn sign(
        &self,
        file: &MpackFile,
        access: MpackAccess,
        life: Duration,
    ) -> Result<Option<String>, BackendError> {
        let Some(signing) = self.backend.signing.as_ref().filter(|_| self.direct) else {
            return Ok(None);
        };
        let method = match access {
            MpackAccess::Get => reqwest::Method::GET,
            MpackAccess::Put => reqwest::Method::PUT,
        };
        let key = Path::from_iter(signing.prefix.parts().chain(path(file).parts()));
        let signed = signing.signer.signed_url(method, &key, life).await;
        signed.map(|url| Some(url.to_string())).map_err(|error| failed("signing an address", error))
    }

    async fn secret(&self) -> Result<[u8; 32], BackendError> {
        let path = Path::from(SECRET);
        loop {
            match self.backend.get(&path).await {
                Ok(bytes) => {
                    let damaged = || BackendError::Damaged {
                        what: SECRET.to_owned(),
                        reason: "it has not 32 bytes".to_owned(),
                    };
                    return bytes[..].try_into().map_err(|_| damaged());
                }
                Err(BackendError::Missing { .. }) => {}
                Err(error) => return Err(error),
            }
            let fresh = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
            let fresh: Vec<u8> = fresh.iter().flat_map(|part| part.into_bytes()).collect();
            let secret = Bytes::copy_from_slice(blake3::hash(&fresh).as_bytes());
            match self.backend.create(&path, secret).await {
                // Whoever was first counts, so it is read back.
                Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(error) => return Err(failed("making a secret", error)),
            }
        }
    }
}

/// A pack being written. Dropped before it is finished, it leaves nothing.
struct Writer {
    /// None once it is finished.
    out: Option<BufWriter>,
}

impl Writer {
    fn out(&mut self) -> &mut BufWriter {
        self.out.as_mut().expect("only finishing, which consumes the writer, takes it")
    }
}

#[async_trait]
impl MpackWriter for Writer {
    async fn write(&mut self, piece: Bytes) -> Result<(), BackendError> {
        let written = self.out().put(piece).await;
        written.map_err(|error| failed("writing a pack", error))
    }

    async fn finish(mut self: Box<Self>) -> Result<(), BackendError> {
        let written = self.out().shutdown().await;
        // What failed is discarded with the writer.
        written.map_err(|error| BackendError::unavailable("writing a pack", error))?;
        self.out = None;
        Ok(())
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let Some(mut out) = self.out.take() else {
            return;
        };
        // Without a runtime nothing was sent.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // It is not there to be seen, so nobody misses it if this fails.
            runtime.spawn(async move { out.abort().await });
        }
    }
}
