//! Objects that clients uploaded one by one past the hub, to addresses of the store itself: found, proven and staged when a push
//! refers to them and nothing else has them.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use futures::TryStreamExt;

use super::{Hub, PushError};
use crate::cpu;
use crate::id::{BlobId, ObjectKind};
use crate::object::ObjectError;
use crate::port::{BackendError, MpackArea, MpackFile, MpackStore, RepositoryRecord, StageWriter, Staged};
use crate::scheme::{BlobHasher, IdScheme};

/// Where such objects come in.
#[derive(Clone)]
pub(super) struct LooseObjects {
    pub(super) store: Arc<dyn MpackStore>,
    /// Bytes of one.
    pub(super) limit: u64,
}

/// One that came in.
struct Found {
    id: BlobId,
    file: MpackFile,
    size: u64,
}

impl Hub {
    /// The same hub, which looks for objects that a push lacks where clients may have uploaded them one by one; of at most `limit`
    /// bytes each.
    #[must_use]
    pub fn with_loose_objects(self, store: Arc<dyn MpackStore>, limit: u64) -> Self {
        Self { loose: Some(LooseObjects { store, limit }), ..self }
    }

    /// Stages those of the blobs that came in one by one, proven.
    pub(super) async fn stage_loose(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        wanted: &[BlobId],
    ) -> Result<Vec<Staged>, PushError> {
        let Some(loose) = self.loose.as_ref().filter(|_| !wanted.is_empty()) else {
            return Ok(Vec::new());
        };
        let wanted: HashSet<BlobId> = wanted.iter().copied().collect();
        let there = loose.store.files_of(MpackArea::Object, &repo.repo_id).await?;
        let found = there.into_iter().filter_map(|(file, size)| {
            let id = file.object().filter(|id| wanted.contains(id))?;
            Some((id, Found { id, file, size }))
        });
        let found: HashMap<BlobId, Found> = found.collect();
        if found.is_empty() {
            return Ok(Vec::new());
        }
        let mut writer = self.begin_upload(repo).await?;
        for object in found.values() {
            let staged = loose.stage(scheme, object, writer.as_mut()).await;
            if matches!(staged, Err(PushError::BlobMismatch { .. } | PushError::BlobTooLarge { .. })) {
                // Whoever tries again uploads it again.
                loose.store.remove(&object.file).await?;
            }
            staged?;
        }
        writer.finish().await?;
        for object in found.values() {
            loose.store.remove(&object.file).await?;
        }
        let ids: Vec<BlobId> = found.into_keys().collect();
        let staged = self.backends.staging.find(&repo.repo_id, &ids).await?;
        Ok(staged.into_iter().flatten().collect())
    }
}

impl LooseObjects {
    async fn stage(
        &self,
        scheme: IdScheme,
        object: &Found,
        writer: &mut dyn StageWriter,
    ) -> Result<(), PushError> {
        let Found { id, ref file, size } = *object;
        if size > self.limit {
            return Err(PushError::BlobTooLarge { id, size, limit: self.limit });
        }
        let formula = |source| ObjectError::Formula { kind: ObjectKind::Blob, id: id.to_string(), source };
        let mut hasher = BlobHasher::new(scheme, id.object_id().algorithm(), size);
        writer.begin_blob(id, size).await?;
        let mut pieces = self.store.read(file, 0..size).await?;
        let mut length = 0;
        while let Some(piece) = pieces.try_next().await? {
            length += piece.len() as u64;
            if length > size {
                break;
            }
            let bytes = piece.clone();
            let hashed = cpu::run(move || hasher.update(&bytes).map(|()| hasher)).await;
            hasher = hashed.map_err(formula)?;
            writer.write(piece).await?;
        }
        if length != size {
            let reason = format!("it was replaced while it was read: {length} bytes instead of {size}");
            return Err(BackendError::Damaged { what: format!("the upload of object {id}"), reason }.into());
        }
        let computed = hasher.finish().map_err(formula)?;
        if computed == id { Ok(()) } else { Err(PushError::BlobMismatch { claimed: id, computed }) }
    }
}
