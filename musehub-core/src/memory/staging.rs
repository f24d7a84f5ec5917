//! Uploads in memory, with the writer's protocol enforced.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;

use super::objects::{MemoryObjects, State, is_blob_hash};
use super::{damaged, lock};
use crate::canonical;
use crate::id::{BlobId, ObjectKind};
use crate::name::RepoId;
use crate::port::{BackendError, Clock, StageWriter, Staged, Staging, Timestamp, Waiting};

/// A finished upload.
pub(super) struct Upload {
    repo: RepoId,
    finished_at: Timestamp,
    blobs: HashMap<BlobId, (Staged, Bytes)>,
}

impl Upload {
    /// The canonical bytes of a staged blob, where the handle is one that this upload gave out.
    pub(super) fn bytes_of(&self, staged: &Staged) -> Option<Bytes> {
        self.blobs.get(&staged.id).filter(|(held, _)| held == staged).map(|(_, bytes)| bytes.clone())
    }
}

#[async_trait]
impl Staging for MemoryObjects {
    async fn begin(&self, repo: &RepoId) -> Result<Box<dyn StageWriter>, BackendError> {
        let mut state = lock(&self.state);
        state.uploads_begun += 1;
        Ok(Box::new(Writer {
            state: Arc::clone(&self.state),
            clock: Arc::clone(&self.clock),
            repo: repo.clone(),
            upload: format!("upload-{}", state.uploads_begun),
            offset: 0,
            current: None,
            blobs: HashMap::new(),
            broken: false,
        }))
    }

    async fn find(&self, repo: &RepoId, ids: &[BlobId]) -> Result<Vec<Option<Staged>>, BackendError> {
        let state = lock(&self.state);
        let staged = |id| {
            let mut uploads = state.uploads.values().filter(|upload| upload.repo == *repo);
            uploads.find_map(|upload| upload.blobs.get(id)).map(|(staged, _)| staged.clone())
        };
        Ok(ids.iter().map(staged).collect())
    }

    async fn waiting(&self, repo: &RepoId) -> Result<Waiting, BackendError> {
        let state = lock(&self.state);
        let mut waiting = Waiting::default();
        for upload in state.uploads.values().filter(|upload| upload.repo == *repo) {
            waiting.uploads += 1;
            waiting.bytes += upload.blobs.values().map(|(staged, _)| staged.length).sum::<u64>();
        }
        Ok(waiting)
    }

    async fn discard(&self, repo: &RepoId, uploads: &[String]) -> Result<(), BackendError> {
        lock(&self.state).uploads.retain(|name, upload| upload.repo != *repo || !uploads.contains(name));
        Ok(())
    }

    async fn expire(&self, before: Timestamp) -> Result<u64, BackendError> {
        let mut state = lock(&self.state);
        let held = state.uploads.len();
        state.uploads.retain(|_, upload| upload.finished_at >= before);
        Ok((held - state.uploads.len()) as u64)
    }
}

/// An upload in progress. After an error it does nothing any more.
struct Writer {
    state: Arc<Mutex<State>>,
    clock: Arc<dyn Clock>,
    repo: RepoId,
    upload: String,
    offset: u64,
    current: Option<Current>,
    blobs: HashMap<BlobId, (Staged, Bytes)>,
    broken: bool,
}

struct Current {
    id: BlobId,
    size: u64,
    /// How many bytes of payload are still to come.
    left: u64,
    canonical: Vec<u8>,
}

impl Writer {
    fn refuse<T>(&mut self, reason: impl Into<String>) -> Result<T, BackendError> {
        self.broken = true;
        Err(damaged(self.upload.clone(), reason))
    }

    /// Files the current blob, which must be whole and have the hash it was announced with.
    fn close(&mut self) -> Result<(), BackendError> {
        if self.broken {
            return self.refuse("an earlier step failed");
        }
        let Some(Current { id, size, left, canonical }) = self.current.take() else {
            return Ok(());
        };
        if left > 0 {
            return self.refuse(format!("{left} bytes of {} never came", id.key()));
        }
        let payload = &canonical[canonical.len() - size as usize..];
        if !is_blob_hash(&id.object_id(), &canonical, payload) {
            return self.refuse(format!("the bytes of {} have another hash", id.key()));
        }
        let length = canonical.len() as u64;
        let staged = Staged { id, size, upload: self.upload.clone(), offset: self.offset, length };
        self.offset += length;
        self.blobs.insert(id, (staged, canonical.into()));
        Ok(())
    }
}

#[async_trait]
impl StageWriter for Writer {
    async fn begin_blob(&mut self, id: BlobId, size: u64) -> Result<(), BackendError> {
        self.close()?;
        self.current =
            Some(Current { id, size, left: size, canonical: canonical::header(ObjectKind::Blob, size) });
        Ok(())
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), BackendError> {
        if self.broken {
            return self.refuse("an earlier step failed");
        }
        let Some(current) = &mut self.current else {
            return self.refuse("a piece came before its blob");
        };
        let Some(left) = current.left.checked_sub(piece.len() as u64) else {
            let key = current.id.key();
            return self.refuse(format!("{key} has more bytes than announced"));
        };
        current.left = left;
        current.canonical.extend_from_slice(&piece);
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<Option<String>, BackendError> {
        self.close()?;
        let Self { state, clock, repo, upload, blobs, .. } = *self;
        if blobs.is_empty() {
            return Ok(None);
        }
        lock(&state).uploads.insert(upload.clone(), Upload { repo, finished_at: clock.now(), blobs });
        Ok(Some(upload))
    }
}
