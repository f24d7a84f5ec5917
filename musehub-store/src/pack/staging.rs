//! Uploaded blobs that no push has claimed: packs under `staging/`, one per upload, visible once their index is there.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use musehub_core::port::{
    BackendError, PackId, PackedObject, Place, StageWriter, Staged, Staging, Timestamp, Waiting,
};
use musehub_core::{BlobId, ObjectKey, ObjectKind, RepoId, canonical};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use tokio::io::AsyncWriteExt;

use super::PackedStore;
use super::compress::Effort;
use super::format::{self, RECORD_FRAMING, RecordHeader};
use crate::backend::{Backend, PARTS_AT_ONCE, failed};

/// How many index files are read at a time.
const PARALLEL: usize = 16;

/// Where the pack of an upload lies. `upload` reads `<repository id>/<name>`.
pub(super) fn pack_path(upload: &str) -> Path {
    Path::from(format!("staging/{upload}.pack"))
}

fn index_path(upload: &str) -> Path {
    Path::from(format!("staging/{upload}.idx"))
}

#[async_trait]
impl Staging for PackedStore {
    async fn begin(&self, repo: &RepoId) -> Result<Box<dyn StageWriter>, BackendError> {
        let upload = format!("{repo}/{}", uuid::Uuid::new_v4());
        // What fits one part is written in one request.
        let part = self.backend.parts.part;
        let writer = BufWriter::with_capacity(self.backend.fast.clone(), pack_path(&upload), part)
            .with_max_concurrency(PARTS_AT_ONCE);
        let mut writer = Upload {
            backend: self.backend.clone(),
            upload,
            out: Some(writer),
            offset: 0,
            objects: Vec::new(),
            current: None,
        };
        writer.put(&format::pack_header(Effort::Push, 0)).await?;
        Ok(Box::new(writer))
    }

    async fn find(&self, repo: &RepoId, ids: &[BlobId]) -> Result<Vec<Option<Staged>>, BackendError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let uploads = self.finished(repo).await?;
        let indexes = futures::stream::iter(uploads).map(|(upload, length)| async move {
            match self.backend.get(&index_path(&upload)).await {
                Ok(bytes) => Ok(Some((upload, length, bytes))),
                // Discarded since it was listed.
                Err(BackendError::Missing { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let mut indexes = indexes.buffered(PARALLEL);
        let wanted: HashSet<ObjectKey> = ids.iter().map(BlobId::key).collect();
        let mut staged: HashMap<BlobId, (Arc<str>, PackedObject)> = HashMap::new();
        while let Some(read) = indexes.try_next().await? {
            let Some((upload, length, bytes)) = read else {
                continue;
            };
            // Nothing here is synced, so a power cut may leave half a file under its name. Its blobs are uploaded again.
            let Some(objects) =
                format::parse_index(&bytes).ok().filter(|index| index.1 == length).map(|index| index.2)
            else {
                continue;
            };
            let upload: Arc<str> = upload.into();
            for object in objects.into_iter().filter(|object| wanted.contains(&object.key)) {
                staged.insert(BlobId::from(object.key.id), (upload.clone(), object));
            }
        }
        let found = |id: &BlobId| {
            staged.get(id).map(|(upload, object)| Staged {
                id: *id,
                size: object.size,
                upload: upload.to_string(),
                offset: object.place.offset,
                length: object.place.length,
            })
        };
        Ok(ids.iter().map(found).collect())
    }

    async fn waiting(&self, repo: &RepoId) -> Result<Waiting, BackendError> {
        let finished = self.finished(repo).await?;
        Ok(Waiting { uploads: finished.len() as u64, bytes: finished.iter().map(|(_, length)| length).sum() })
    }

    async fn discard(&self, repo: &RepoId, uploads: &[String]) -> Result<(), BackendError> {
        let own = format!("{repo}/");
        for upload in uploads.iter().filter(|upload| upload.starts_with(&own)) {
            self.remove_upload(upload).await?;
        }
        Ok(())
    }

    async fn expire(&self, before: Timestamp) -> Result<u64, BackendError> {
        let finished = self.uploads("staging", ".idx").await?;
        let old = finished.iter().filter(|(_, at)| *at < before);
        let mut expired = 0;
        for (upload, _) in old {
            self.remove_upload(upload).await?;
            expired += 1;
        }
        // What a killed process left: packs that got no index in all that time.
        for (upload, written) in self.uploads("staging", ".pack").await? {
            if written < before && finished.binary_search_by(|(name, _)| name.cmp(&upload)).is_err() {
                self.remove_upload(&upload).await?;
            }
        }
        Ok(expired)
    }
}

impl PackedStore {
    /// The uploads that were last written to before `before`, finished or not, and their bytes.
    pub(crate) async fn expired_uploads(
        &self,
        before: Timestamp,
    ) -> Result<Vec<(String, u64)>, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from("staging")));
        let mut uploads: BTreeMap<String, (Timestamp, u64)> = BTreeMap::new();
        while let Some(entry) =
            entries.try_next().await.map_err(|error| failed("listing staged uploads", error))?
        {
            let path: &str = entry.location.as_ref();
            let upload = path.strip_prefix("staging/").and_then(|rest| rest.rsplit_once('.'));
            let Some((upload, "pack" | "idx")) = upload else {
                continue;
            };
            let written = Timestamp::from_millis(entry.last_modified.timestamp_millis());
            let (last, bytes) = uploads.entry(upload.to_owned()).or_default();
            *last = written.max(*last);
            *bytes += entry.size;
        }
        let expired = uploads.into_iter().filter(|(_, (last, _))| *last < before);
        Ok(expired.map(|(upload, (_, bytes))| (upload, bytes)).collect())
    }

    /// The finished uploads of a repository, in order, and the lengths of their packs.
    async fn finished(&self, repo: &RepoId) -> Result<Vec<(String, u64)>, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from(format!("staging/{repo}"))));
        let (mut lengths, mut finished) = (BTreeMap::new(), Vec::new());
        while let Some(entry) =
            entries.try_next().await.map_err(|error| failed("listing staged uploads", error))?
        {
            let path: &str = entry.location.as_ref();
            match path.strip_prefix("staging/").and_then(|rest| rest.rsplit_once('.')) {
                Some((upload, "pack")) => {
                    lengths.insert(upload.to_owned(), entry.size);
                }
                Some((upload, "idx")) => finished.push(upload.to_owned()),
                _ => {}
            }
        }
        finished.sort_unstable();
        let with_length = |upload: String| lengths.remove(&upload).map(|length| (upload, length));
        Ok(finished.into_iter().filter_map(with_length).collect())
    }

    /// The uploads below a prefix that have a file with an extension, in order, each with the time at which that was
    /// written. Those with an index are finished.
    async fn uploads(&self, prefix: &str, extension: &str) -> Result<Vec<(String, Timestamp)>, BackendError> {
        let entries = self.backend.fast.list(Some(&Path::from(prefix)));
        let uploads = entries.try_filter_map(|entry| async move {
            let path: &str = entry.location.as_ref();
            let upload = path.strip_prefix("staging/").and_then(|rest| rest.strip_suffix(extension));
            let finished = Timestamp::from_millis(entry.last_modified.timestamp_millis());
            Ok(upload.map(|upload| (upload.to_owned(), finished)))
        });
        let mut uploads: Vec<_> =
            uploads.try_collect().await.map_err(|error| failed("listing staged uploads", error))?;
        uploads.sort_unstable();
        Ok(uploads)
    }

    /// Removes an upload.
    pub(crate) async fn remove_upload(&self, upload: &str) -> Result<(), BackendError> {
        remove_upload(&self.backend, upload).await
    }
}

/// Removes an upload, its index first: what is half removed is not visible.
pub(super) async fn remove_upload(backend: &Backend, upload: &str) -> Result<(), BackendError> {
    for path in [index_path(upload), pack_path(upload)] {
        match backend.fast.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => return Err(failed("discarding an upload", error)),
        }
    }
    Ok(())
}

/// An upload in progress. Dropped before it is finished, it leaves no index, so nothing that anyone sees.
struct Upload {
    backend: Backend,
    upload: String,
    /// None once it is finished.
    out: Option<BufWriter>,
    offset: u64,
    objects: Vec<PackedObject>,
    current: Option<Current>,
}

/// The blob that is being written.
struct Current {
    object: PackedObject,
    remaining: u64,
    hash: blake3::Hasher,
}

impl Upload {
    async fn put(&mut self, bytes: &[u8]) -> Result<(), BackendError> {
        self.offset += bytes.len() as u64;
        let out = self.out.as_mut().expect("only finishing, which consumes the upload, takes the writer");
        let written = out.write_all(bytes).await;
        written.map_err(|error| BackendError::unavailable("writing to staging", error))
    }

    /// Ends the blob that is being written, if there is one.
    async fn end_blob(&mut self) -> Result<(), BackendError> {
        let Some(current) = self.current.take() else {
            return Ok(());
        };
        if current.remaining > 0 {
            let reason = format!("{} bytes of its payload are missing", current.remaining);
            return Err(BackendError::Damaged { what: format!("{} in staging", current.object.key), reason });
        }
        self.put(current.hash.finalize().as_bytes()).await?;
        self.objects.push(current.object);
        Ok(())
    }
}

impl Drop for Upload {
    /// Discards what was sent: a bucket keeps the parts of an upload that is neither completed nor aborted, unseen and
    /// for ever.
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

#[async_trait]
impl StageWriter for Upload {
    async fn begin_blob(&mut self, id: BlobId, size: u64) -> Result<(), BackendError> {
        self.end_blob().await?;
        let prefix = canonical::header(ObjectKind::Blob, size);
        let stored = prefix.len() as u64 + size;
        let header = RecordHeader::raw(id.key(), stored).bytes();
        let place =
            Place { pack: PackId::new([0; 32]), offset: self.offset, length: stored + RECORD_FRAMING };
        let object = PackedObject { key: id.key(), place, size };
        let mut hash = blake3::Hasher::new();
        hash.update(&header);
        hash.update(&prefix);
        self.put(&header).await?;
        self.put(&prefix).await?;
        self.current = Some(Current { object, remaining: size, hash });
        Ok(())
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), BackendError> {
        let length = piece.len() as u64;
        let refuse = |what: &str| {
            Err(BackendError::Damaged { what: "an upload to staging".to_owned(), reason: what.to_owned() })
        };
        match &mut self.current {
            None => return refuse("bytes came before a blob was begun"),
            Some(current) if current.remaining < length => {
                return refuse("a blob is longer than was announced");
            }
            Some(current) => {
                current.remaining -= length;
                current.hash.update(&piece);
            }
        }
        self.put(&piece).await
    }

    async fn finish(mut self: Box<Self>) -> Result<Option<String>, BackendError> {
        self.end_blob().await?;
        if self.objects.is_empty() {
            return Ok(None);
        }
        // No footer: a staged pack is read by its index alone, and its name is not the hash of its bytes.
        let mut out = self.out.take().expect("an upload is finished once");
        let written = out.shutdown().await;
        written.map_err(|error| BackendError::unavailable("writing to staging", error))?;
        let index = format::write_index(PackId::new([0; 32]), self.offset, &self.objects);
        let written = self.backend.fast.put(&index_path(&self.upload), index.into()).await;
        written.map_err(|error| failed("writing to staging", error))?;
        Ok(Some(self.upload.clone()))
    }
}
