//! The canonical bytes of what rows name: from the object store, or made of the record that the row keeps while the object
//! store has none.

use std::collections::HashMap;

use bytes::Bytes;

use super::Hub;
use crate::id::{ObjectId, ObjectKey, ObjectKind};
use crate::object::{Commit, Record, Snapshot, SnapshotRecord};
use crate::port::{BackendError, CommitRow, Located, Place, RepositoryRecord, SnapshotRow, UnstoredRecord};
use crate::scheme::IdScheme;

impl Hub {
    /// The canonical bytes of commits, in the order of their rows.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails, the bytes are damaged, or a row's record does not give its id.
    pub async fn read_commits(
        &self,
        repo: &RepositoryRecord,
        rows: &[CommitRow],
    ) -> Result<Vec<Bytes>, BackendError> {
        let wanted: Vec<_> = rows.iter().map(|row| (row.id.key(), row.place)).collect();
        self.records(repo, &wanted).await
    }

    /// The canonical bytes of snapshots, in the order of their rows.
    ///
    /// # Errors
    /// As [`read_commits`](Self::read_commits).
    pub async fn read_snapshots(
        &self,
        repo: &RepositoryRecord,
        rows: &[SnapshotRow],
    ) -> Result<Vec<Bytes>, BackendError> {
        let wanted: Vec<_> = rows.iter().map(|row| (row.id.key(), row.place)).collect();
        self.records(repo, &wanted).await
    }

    /// Canonical bytes of objects, each at its place or, where there is none, of its row's record; in the order asked.
    pub(super) async fn records(
        &self,
        repo: &RepositoryRecord,
        wanted: &[(ObjectKey, Option<Place>)],
    ) -> Result<Vec<Bytes>, BackendError> {
        let located =
            |(key, place): &(ObjectKey, Option<Place>)| place.map(|place| Located { key: *key, place });
        let stored = self.read(wanted.iter().filter_map(located)).await?;
        if stored.len() == wanted.len() {
            return Ok(stored);
        }
        let mut unstored = HashMap::new();
        for kind in [ObjectKind::Commit, ObjectKind::Snapshot] {
            let lacking = wanted.iter().filter(|(key, place)| place.is_none() && key.kind == kind);
            let ids: Vec<ObjectId> = lacking.map(|(key, _)| key.id).collect();
            for record in self.unstored_records(repo, kind, &ids).await? {
                let bytes =
                    canonical_of(repo.scheme, &record).map_err(|reason| damaged(record.key, reason))?;
                unstored.insert(record.key, bytes);
            }
        }
        let mut stored = stored.into_iter();
        let mut answer = Vec::with_capacity(wanted.len());
        for (key, place) in wanted {
            let bytes = if place.is_some() { stored.next() } else { unstored.get(key).cloned() };
            answer.push(match bytes {
                Some(bytes) => bytes,
                // Back-filled since its row was read.
                None => self.read_where_it_lies(*key).await?,
            });
        }
        Ok(answer)
    }

    async fn unstored_records(
        &self,
        repo: &RepositoryRecord,
        kind: ObjectKind,
        ids: &[ObjectId],
    ) -> Result<Vec<UnstoredRecord>, BackendError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        self.backends.unstored.unstored_records(&repo.repo_id, kind, ids).await
    }

    async fn read_where_it_lies(&self, key: ObjectKey) -> Result<Bytes, BackendError> {
        let place = self.backends.objects.locate(&[key]).await?.pop().flatten();
        let place = place.ok_or_else(|| BackendError::Missing { what: key.to_string() })?;
        Ok(self.read([Located { key, place }]).await?.swap_remove(0))
    }
}

fn damaged(key: ObjectKey, reason: String) -> BackendError {
    BackendError::Damaged { what: format!("the record of {key} in its row"), reason }
}

/// The canonical bytes of a row's record, whose id is computed: it must be the row's.
pub(super) fn canonical_of(scheme: Option<IdScheme>, row: &UnstoredRecord) -> Result<Bytes, String> {
    let scheme = scheme.ok_or("its repository has no id scheme")?;
    match row.key.kind {
        ObjectKind::Commit => commit_of(scheme, row).map(|commit| commit.canonical()),
        ObjectKind::Snapshot => {
            snapshot_of(scheme, row)?.canonical(scheme).map_err(|error| error.to_string())
        }
        ObjectKind::Blob => Err("a blob has no record".to_owned()),
    }
}

/// The commit that a row's record is of.
pub(super) fn commit_of(scheme: IdScheme, row: &UnstoredRecord) -> Result<Commit, String> {
    let Record(mut record) = serde_json::from_str(&row.json).map_err(|error| error.to_string())?;
    // Without an id of its own, it has the row's, in the form that records of the scheme have.
    let text = match scheme {
        IdScheme::FlatV1 => row.key.id.to_hex(),
        IdScheme::TypedV1 | IdScheme::TypedV2 => row.key.id.to_string(),
    };
    record.entry("commit_id").or_insert_with(|| text.into());
    let commit = Commit::verify(scheme, record).map_err(|error| error.to_string())?;
    if commit.id().key() == row.key { Ok(commit) } else { Err(other_id(&commit.id())) }
}

/// The snapshot that a row's record is of.
pub(super) fn snapshot_of(scheme: IdScheme, row: &UnstoredRecord) -> Result<Snapshot, String> {
    let mut record: SnapshotRecord = serde_json::from_str(&row.json).map_err(|error| error.to_string())?;
    let _ = record.id.get_or_insert(row.key.id.into());
    let snapshot = Snapshot::verify(scheme, record).map_err(|error| error.to_string())?;
    if snapshot.id().key() == row.key { Ok(snapshot) } else { Err(other_id(&snapshot.id())) }
}

fn other_id(id: &impl std::fmt::Display) -> String {
    format!("its record has the id {id}")
}
