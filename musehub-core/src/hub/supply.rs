//! Where the bytes of a push's blobs come from: the push itself, staging, or a pack that has them already.

use std::collections::{HashMap, HashSet};

use bytes::Bytes;

use super::advance::Novelty;
use super::{Hub, Missing, PushError, sorted};
use crate::canonical;
use crate::id::{BlobId, ObjectKey, ObjectKind};
use crate::port::{BackendError, BlobRow, Located, ObjectBody, Place, RepositoryRecord, Staged};
use crate::scheme::IdScheme;

/// A blob that the repository lacks and whose bytes are at hand.
struct Found {
    id: BlobId,
    size: u64,
    body: ObjectBody,
}

impl Hub {
    /// Finds the bytes of each of `blobs` that the repository lacks; gives those that are nowhere.
    pub(super) async fn collect_blobs(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        blobs: Vec<BlobId>,
        novelty: &mut Novelty,
    ) -> Result<Vec<BlobId>, PushError> {
        // In this order: a push that takes staged blobs records them before it discards them, so what is staged no more is
        // held by the time the index is asked.
        let staged = self.backends.staging.find(&repo.repo_id, &blobs).await?;
        let held = self.backends.history.blobs(&repo.repo_id, &blobs).await?;
        // Whoever sends a blob that is held may do so because it is lost.
        let offered = |(id, staged): (&BlobId, &Option<Staged>)| {
            (staged.is_some() || novelty.incoming.blobs.contains_key(id)).then_some(*id)
        };
        let offered: HashSet<BlobId> = blobs.iter().zip(&staged).filter_map(offered).collect();
        let again = held.iter().filter(|row| offered.contains(&row.id)).map(BlobRow::located);
        let mut lost = self.lost(again.collect()).await?;
        let held: HashSet<BlobId> =
            held.iter().filter(|row| !lost.contains(&row.located())).map(|row| row.id).collect();

        let mut found: Vec<Found> = Vec::new();
        let mut missing = Vec::new();
        for (id, staged) in blobs.into_iter().zip(staged).filter(|(id, _)| !held.contains(id)) {
            match source(scheme, id, novelty.incoming.blobs.get(&id), staged) {
                Some((size, body)) => found.push(Found { id, size, body }),
                None => missing.push(id),
            }
        }
        for staged in self.stage_loose(repo, scheme, &missing).await? {
            missing.retain(|id| *id != staged.id);
            found.push(Found { id: staged.id, size: staged.size, body: ObjectBody::Staged(staged) });
        }
        self.share(found, &mut lost, novelty).await?;
        novelty.lost = sorted(&lost);
        Ok(missing)
    }

    /// Finds the bytes of a push's blobs once more, as staged ones are there no more.
    ///
    /// # Errors
    /// [`PushError::Incomplete`] where some are nowhere now: whoever pushes has to send them again.
    pub(super) async fn collect_again(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        novelty: &mut Novelty,
    ) -> Result<(), PushError> {
        let written = novelty.blobs.drain(..).map(|(id, _)| id);
        let mut blobs: Vec<BlobId> = written.chain(novelty.shared.drain(..).map(|row| row.id)).collect();
        blobs.sort_unstable();
        novelty.uploads.clear();
        let missing = self.collect_blobs(repo, scheme, blobs, novelty).await?;
        if missing.is_empty() {
            return Ok(());
        }
        Err(PushError::Incomplete(Missing { blobs: missing, ..Missing::default() }))
    }

    /// Decides which blobs need not be written, as their bytes rest already: they have been proven to the hub, so another
    /// repository's copy will do.
    async fn share(
        &self,
        found: Vec<Found>,
        lost: &mut HashSet<Located>,
        novelty: &mut Novelty,
    ) -> Result<(), BackendError> {
        let keys: Vec<ObjectKey> = found.iter().map(|found| found.id.key()).collect();
        let places = self.backends.objects.locate(&keys).await?;
        let known =
            keys.into_iter().zip(places).filter_map(|(key, place)| Some(Located { key, place: place? }));
        let known: Vec<Located> = known.collect();
        lost.extend(self.lost(known.clone()).await?);
        let there: HashMap<ObjectKey, Place> = known
            .into_iter()
            .filter(|known| !lost.contains(known))
            .map(|known| (known.key, known.place))
            .collect();
        for Found { id, size, body } in found {
            if let ObjectBody::Staged(staged) = &body {
                novelty.uploads.insert(staged.upload.clone());
            }
            match there.get(&id.key()) {
                Some(place) => novelty.shared.push(BlobRow { id, size, place: *place }),
                None => novelty.blobs.push((id, body)),
            }
        }
        Ok(())
    }

    /// Those of the objects that are not where they were written: their pack was lost.
    pub(super) async fn lost(&self, objects: Vec<Located>) -> Result<HashSet<Located>, BackendError> {
        if objects.is_empty() {
            return Ok(HashSet::new());
        }
        let places: Vec<Place> = objects.iter().map(|object| object.place).collect();
        let present = self.backends.objects.present(&places).await?;
        let lost = objects.into_iter().zip(present).filter(|(_, present)| !present);
        Ok(lost.map(|(object, _)| object).collect())
    }
}

/// Where the bytes of a blob are: in the push, in staging, or known without asking.
fn source(
    scheme: IdScheme,
    id: BlobId,
    inline: Option<&Bytes>,
    staged: Option<Staged>,
) -> Option<(u64, ObjectBody)> {
    if let Some(content) = inline {
        let canonical = canonical::encode(ObjectKind::Blob, content).into();
        return Some((content.len() as u64, ObjectBody::Canonical(canonical)));
    }
    if let Some(staged) = staged {
        return Some((staged.size, ObjectBody::Staged(staged)));
    }
    if scheme.blob_id(id.object_id().algorithm(), b"") == id {
        return Some((0, ObjectBody::Canonical(canonical::encode(ObjectKind::Blob, b"").into())));
    }
    None
}
