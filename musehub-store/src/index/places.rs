//! Where objects lie, whichever repository holds them: what the packed store asks.

use std::collections::HashMap;

use async_trait::async_trait;
use musehub_core::port::{BackendError, Place};
use musehub_core::{ObjectId, ObjectKey, ObjectKind};

use super::SqlIndex;
use super::dialect::among;
use super::sql::{Row, id_array};
use crate::pack::PlaceIndex;

pub(super) const BLOBS: &str =
    concat!("SELECT object_id, storage_uri FROM musehub_objects WHERE ", among!("object_id", "$1"));

pub(super) const SNAPSHOTS: &str = concat!(
    "SELECT snapshot_id, storage_uri FROM musehub_snapshots WHERE storage_uri IS NOT NULL AND ",
    among!("snapshot_id", "$1")
);

pub(super) const COMMITS: &str = concat!(
    "SELECT commit_id, storage_uri FROM musehub_commits WHERE storage_uri IS NOT NULL AND ",
    among!("commit_id", "$1")
);

#[async_trait]
impl PlaceIndex for SqlIndex {
    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        let mut found: HashMap<ObjectKey, Place> = HashMap::new();
        for (kind, query, table) in [
            (ObjectKind::Blob, BLOBS, "musehub_objects"),
            (ObjectKind::Snapshot, SNAPSHOTS, "musehub_snapshots"),
            (ObjectKind::Commit, COMMITS, "musehub_commits"),
        ] {
            let ids: Vec<ObjectId> = keys.iter().filter(|key| key.kind == kind).map(|key| key.id).collect();
            if ids.is_empty() {
                continue;
            }
            for row in self.rows("looking up where objects lie", query, [id_array(ids)]).await? {
                let row = Row::of(table, &row);
                found.insert(ObjectKey { kind, id: row.parse(0, "id")? }, row.parse(1, "storage_uri")?);
            }
        }
        Ok(keys.iter().map(|key| found.get(key).copied()).collect())
    }
}
