//! Where the objects of a pack go while it is read: into memory as long as they are few bytes, else into staging.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use rayon::prelude::*;

use super::phases::{Phase, Phases};
use super::scheme::{Candidates, blob_id, plain};
use crate::cpu;
use crate::hub::{Hub, InlineBlob, PushError};
use crate::id::{BlobId, ObjectKind};
use crate::mpack::Limits;
use crate::object::ObjectError;
use crate::port::{BackendError, RepositoryRecord, StageWriter};
use crate::scheme::{BlobHasher, FormulaError, IdScheme};

/// How many bytes of objects are held in memory; a pack with more of them is staged.
const HELD: u64 = 32 << 20;

/// The objects of one pack on their way.
pub(super) struct Intake<'a> {
    hub: &'a Hub,
    repo: &'a RepositoryRecord,
    limits: Limits,
    phases: &'a Arc<Phases>,
    /// What the pack's ids may be of.
    pub(super) candidates: Candidates,
    held: Vec<InlineBlob>,
    held_bytes: u64,
    staging: Option<Staging>,
}

struct Staging {
    writer: Box<dyn StageWriter>,
    /// What was staged: a client may send an object twice.
    seen: HashSet<BlobId>,
    large: Option<Large>,
}

/// The large object that is coming in.
struct Large {
    id: BlobId,
    left: u64,
    /// None where it is held already and its bytes are passed over; else one for each scheme that its id may be of.
    hashers: Option<Vec<(IdScheme, BlobHasher)>>,
}

impl<'a> Intake<'a> {
    pub(super) fn new(
        hub: &'a Hub,
        repo: &'a RepositoryRecord,
        limits: Limits,
        phases: &'a Arc<Phases>,
    ) -> Self {
        let candidates = Candidates::of(repo);
        Self { hub, repo, limits, phases, candidates, held: Vec::new(), held_bytes: 0, staging: None }
    }

    /// Takes whole objects.
    pub(super) async fn take(&mut self, blobs: Vec<InlineBlob>) -> Result<(), PushError> {
        if blobs.is_empty() {
            return Ok(());
        }
        if self.staging.is_some() {
            return self.stage(blobs).await;
        }
        self.held_bytes += blobs.iter().map(|blob| blob.content.len() as u64).sum::<u64>();
        self.held.extend(blobs);
        if self.held_bytes > HELD { self.spill().await } else { Ok(()) }
    }

    /// Begins an object that comes in pieces.
    pub(super) async fn begin_large(&mut self, id: BlobId, size: u64) -> Result<(), PushError> {
        if self.staging.is_none() {
            self.spill().await?;
        }
        let held = self.hub.unheld_objects(self.repo, &[id]).await?.is_empty();
        let staging = self.staging.as_mut().expect("what was held is staged now");
        let wanted = !held && staging.seen.insert(id);
        let hasher =
            |scheme: &IdScheme| (*scheme, BlobHasher::new(*scheme, id.object_id().algorithm(), size));
        let hashers = wanted.then(|| self.candidates.all().iter().map(hasher).collect());
        if wanted {
            self.phases.timed(Phase::ObjectPuts, staging.writer.begin_blob(id, size)).await?;
        }
        staging.large = Some(Large { id, left: size, hashers });
        Ok(())
    }

    /// Takes the next bytes of a large object.
    pub(super) async fn piece(&mut self, piece: Bytes) -> Result<(), PushError> {
        let staging = self.staging.as_mut().expect("a large object was begun");
        let large = staging.large.as_mut().expect("a large object was begun");
        large.left -= piece.len() as u64;
        let Some(hashers) = large.hashers.take() else {
            return Ok(());
        };
        let (id, ended) = (large.id, large.left == 0);
        let formula = |source| {
            PushError::from(ObjectError::Formula { kind: ObjectKind::Blob, id: id.to_string(), source })
        };
        let bytes = piece.clone();
        let hashers = cpu::run(move || update_all(hashers, &bytes)).await.map_err(formula)?;
        self.phases.timed(Phase::ObjectPuts, staging.writer.write(piece)).await?;
        if !ended {
            large.hashers = Some(hashers);
            return Ok(());
        }
        let (mut fitting, mut refused) = (Vec::new(), None);
        for (scheme, hasher) in hashers {
            let computed = hasher.finish().map_err(formula)?;
            if computed == id {
                fitting.push(scheme);
            } else {
                refused.get_or_insert(computed);
            }
        }
        match refused {
            Some(computed) if fitting.is_empty() => Err(PushError::BlobMismatch { claimed: id, computed }),
            _ => {
                self.candidates.keep(|scheme| fitting.contains(&scheme));
                Ok(())
            }
        }
    }

    /// Ends the pack: what it held in memory, of the likeliest scheme. What was staged is there for the push to find.
    pub(super) async fn finish(mut self) -> Result<Vec<InlineBlob>, PushError> {
        let scheme = self.candidates.first();
        if let Some(staging) = self.staging.take() {
            self.phases.timed(Phase::ObjectPuts, staging.writer.finish()).await?;
            return Ok(Vec::new());
        }
        let limit = self.limits.object;
        let held = std::mem::take(&mut self.held);
        Ok(cpu::run(move || held.into_par_iter().map(|blob| plain(scheme, blob, limit)).collect()).await)
    }

    /// Moves what is held to staging.
    async fn spill(&mut self) -> Result<(), PushError> {
        let writer = self.hub.begin_upload(self.repo).await?;
        self.staging = Some(Staging { writer, seen: HashSet::new(), large: None });
        let held = std::mem::take(&mut self.held);
        self.stage(held).await
    }

    /// Verifies objects on all cores and stages those that are new.
    async fn stage(&mut self, blobs: Vec<InlineBlob>) -> Result<(), PushError> {
        let ids: Vec<BlobId> = blobs.iter().map(|blob| blob.id).collect();
        let unheld: HashSet<BlobId> = self.hub.unheld_objects(self.repo, &ids).await?.into_iter().collect();
        let staging = self.staging.as_mut().expect("whoever calls this has begun to stage");
        let wanted: Vec<InlineBlob> = blobs
            .into_iter()
            .filter(|blob| unheld.contains(&blob.id) && staging.seen.insert(blob.id))
            .collect();
        let limit = self.limits.object;
        self.candidates.narrow_by_blobs(&wanted, limit);
        let scheme = self.candidates.first();
        let verified = cpu::run(move || {
            let verify = |blob: InlineBlob| {
                let blob = plain(scheme, blob, limit);
                match blob_id(scheme, blob.id, &blob.content) {
                    Some(computed) if computed == blob.id => Ok(blob),
                    Some(computed) => Err(PushError::BlobMismatch { claimed: blob.id, computed }),
                    None => Err(ambiguous(blob.id)),
                }
            };
            wanted.into_par_iter().map(verify).collect::<Result<Vec<_>, _>>()
        })
        .await?;
        let write = async {
            for blob in verified {
                staging.writer.begin_blob(blob.id, blob.content.len() as u64).await?;
                if !blob.content.is_empty() {
                    staging.writer.write(blob.content).await?;
                }
            }
            Ok::<(), BackendError>(())
        };
        Ok(self.phases.timed(Phase::ObjectPuts, write).await?)
    }
}

fn ambiguous(id: BlobId) -> PushError {
    let source = FormulaError::Ambiguous;
    ObjectError::Formula { kind: ObjectKind::Blob, id: id.to_string(), source }.into()
}

/// Feeds every hasher, and drops those under whose scheme there is no such blob; the error of the first where none is left.
fn update_all(
    hashers: Vec<(IdScheme, BlobHasher)>,
    bytes: &[u8],
) -> Result<Vec<(IdScheme, BlobHasher)>, FormulaError> {
    let mut failed = None;
    let mut left = Vec::with_capacity(hashers.len());
    for (scheme, mut hasher) in hashers {
        match hasher.update(bytes) {
            Ok(()) => left.push((scheme, hasher)),
            Err(error) => drop(failed.get_or_insert(error)),
        }
    }
    match failed {
        Some(error) if left.is_empty() => Err(error),
        _ => Ok(left),
    }
}
