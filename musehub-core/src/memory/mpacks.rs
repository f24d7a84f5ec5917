//! Packs of the wire in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use futures::stream::{self, BoxStream};

use super::{damaged, lock, missing};
use crate::name::RepoId;
use crate::port::{
    BackendError, Clock, MpackAccess, MpackArea, MpackFile, MpackStore, MpackWriter, SystemClock, Timestamp,
};

/// The length of a piece of what is read.
const PIECE_BYTES: usize = 64 << 10;

type Files = BTreeMap<MpackFile, (Bytes, Timestamp)>;

/// An [`MpackStore`] in memory, whose packs have no addresses. Clones share one store.
#[derive(Clone)]
pub struct MemoryMpacks {
    files: Arc<Mutex<Files>>,
    clock: Arc<dyn Clock>,
    secret: [u8; 32],
}

impl MemoryMpacks {
    /// An empty store that takes the times of its packs from a clock.
    #[must_use]
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let (a, b) = (uuid::Uuid::new_v4().into_bytes(), uuid::Uuid::new_v4().into_bytes());
        let mut secret = [0; 32];
        secret[..16].copy_from_slice(&a);
        secret[16..].copy_from_slice(&b);
        Self { files: Arc::default(), clock, secret }
    }
}

impl Default for MemoryMpacks {
    fn default() -> Self {
        Self::with_clock(Arc::new(SystemClock))
    }
}

impl fmt::Debug for MemoryMpacks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryMpacks").field("packs", &lock(&self.files).len()).finish_non_exhaustive()
    }
}

#[async_trait]
impl MpackStore for MemoryMpacks {
    async fn begin(&self, file: &MpackFile) -> Result<Box<dyn MpackWriter>, BackendError> {
        Ok(Box::new(Writer { store: self.clone(), file: file.clone(), bytes: BytesMut::new() }))
    }

    async fn size(&self, file: &MpackFile) -> Result<Option<u64>, BackendError> {
        Ok(lock(&self.files).get(file).map(|(bytes, _)| bytes.len() as u64))
    }

    async fn read(
        &self,
        file: &MpackFile,
        range: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError> {
        let bytes = lock(&self.files).get(file).map(|(bytes, _)| bytes.clone());
        let bytes = bytes.ok_or_else(|| missing(format!("pack {}", file.name())))?;
        if range.start > range.end || range.end > bytes.len() as u64 {
            return Err(damaged(format!("pack {}", file.name()), "it has no such range"));
        }
        // Offsets within bytes in memory fit their index type.
        let bytes = bytes.slice(range.start as usize..range.end as usize);
        let starts = (0..bytes.len()).step_by(PIECE_BYTES);
        let pieces = starts.map(move |start| Ok(bytes.slice(start..bytes.len().min(start + PIECE_BYTES))));
        Ok(stream::iter(pieces).boxed())
    }

    async fn remove(&self, file: &MpackFile) -> Result<(), BackendError> {
        lock(&self.files).remove(file);
        Ok(())
    }

    async fn written_before(
        &self,
        area: MpackArea,
        before: Timestamp,
    ) -> Result<Vec<(MpackFile, u64)>, BackendError> {
        let files = lock(&self.files);
        let old = files.iter().filter(|(file, (_, at))| file.area == area && *at < before);
        Ok(old.map(|(file, (bytes, _))| (file.clone(), bytes.len() as u64)).collect())
    }

    async fn files_of(&self, area: MpackArea, repo: &RepoId) -> Result<Vec<(MpackFile, u64)>, BackendError> {
        let files = lock(&self.files);
        let theirs = files.iter().filter(|(file, _)| file.area == area && file.repo == *repo);
        Ok(theirs.map(|(file, (bytes, _))| (file.clone(), bytes.len() as u64)).collect())
    }

    async fn sign(
        &self,
        _file: &MpackFile,
        _access: MpackAccess,
        _life: Duration,
    ) -> Result<Option<String>, BackendError> {
        Ok(None)
    }

    async fn secret(&self) -> Result<[u8; 32], BackendError> {
        Ok(self.secret)
    }
}

struct Writer {
    store: MemoryMpacks,
    file: MpackFile,
    bytes: BytesMut,
}

#[async_trait]
impl MpackWriter for Writer {
    async fn write(&mut self, piece: Bytes) -> Result<(), BackendError> {
        self.bytes.extend_from_slice(&piece);
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<(), BackendError> {
        let Self { store, file, bytes } = *self;
        lock(&store.files).insert(file, (bytes.freeze(), store.clock.now()));
        Ok(())
    }
}
