//! Records and ids as clients of March 2026 write them: ids of SHA-256 bare, in both directions.

use std::collections::BTreeMap;

use musehub_core::object::{Manifest, Snapshot};
use musehub_core::port::{BranchRow, CommitRow};
use musehub_core::scheme::IdScheme;
use musehub_core::{HashAlgorithm, ObjectId, canonical};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::http::ApiError;

/// What these clients take a repository for; they know no other word of ours.
pub(super) const DOMAIN: &str = "code";

/// The scheme of the ids that these clients compute.
pub(super) const SCHEME: IdScheme = IdScheme::FlatV1;

/// An id as these clients write it.
pub(crate) fn wire_id(id: ObjectId) -> String {
    match id.algorithm() {
        HashAlgorithm::Sha256 => id.to_hex(),
        HashAlgorithm::Blake3 => id.to_string(),
    }
}

/// The heads of branches by name.
pub(super) fn heads(branches: &[BranchRow]) -> BTreeMap<&str, String> {
    branches.iter().map(|row| (row.name.as_str(), wire_id(row.head.object_id()))).collect()
}

/// The answer to `refs`.
#[derive(Serialize)]
pub(super) struct RefsAnswer<'a> {
    pub(super) repo_id: &'a str,
    pub(super) domain: &'a str,
    pub(super) default_branch: &'a str,
    pub(super) branch_heads: BTreeMap<&'a str, String>,
}

/// The answer to a push.
#[derive(Serialize)]
pub(super) struct PushAnswer<'a> {
    pub(super) ok: bool,
    pub(super) message: String,
    pub(super) branch_heads: BTreeMap<&'a str, String>,
    pub(super) remote_head: String,
}

/// The answer to an upload of objects.
#[derive(Serialize)]
pub(super) struct PushObjectsAnswer {
    pub(super) stored: usize,
    pub(super) skipped: usize,
}

/// A commit's record at rest as msgpack, every field of it.
pub(super) fn commit_msgpack(scheme: IdScheme, row: &CommitRow, bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    let (_, payload) = canonical::decode(bytes).map_err(ApiError::internal)?;
    let mut out = Vec::with_capacity(payload.len());
    if scheme == SCHEME {
        let mut from = serde_json::Deserializer::from_slice(payload);
        let mut to = rmp_serde::Serializer::new(&mut out).with_struct_map();
        serde_transcode::transcode(&mut from, &mut to).map_err(ApiError::internal)?;
        return Ok(out);
    }
    rmp_serde::encode::write_named(&mut out, &translated(row, payload)?).map_err(ApiError::internal)?;
    Ok(out)
}

/// A commit's record at rest as JSON, every field of it. Where its author is left to the pusher, it names the pusher.
pub(super) fn commit_json(scheme: IdScheme, row: &CommitRow, bytes: &[u8]) -> Result<Vec<u8>, ApiError> {
    #[derive(Deserialize)]
    struct Author {
        #[serde(default)]
        author: String,
    }

    let (_, payload) = canonical::decode(bytes).map_err(ApiError::internal)?;
    let mut record = if scheme == SCHEME {
        let Author { author } = serde_json::from_slice(payload).map_err(ApiError::internal)?;
        if !author.is_empty() {
            return Ok(payload.to_vec());
        }
        serde_json::from_slice(payload).map_err(ApiError::internal)?
    } else {
        translated(row, payload)?
    };
    // No id of this scheme covers the author.
    if scheme == SCHEME {
        record.insert("author".to_owned(), Value::String(row.author.clone()));
    }
    serde_json::to_vec(&record).map_err(ApiError::internal)
}

/// A record of another scheme, with the fields by which these clients follow a history.
fn translated(row: &CommitRow, payload: &[u8]) -> Result<Map<String, Value>, ApiError> {
    let mut record: Map<String, Value> = serde_json::from_slice(payload).map_err(ApiError::internal)?;
    let parent = |at: usize| row.parents.get(at).map(|id| wire_id(id.object_id())).into();
    for (field, value) in [
        ("commit_id", wire_id(row.id.object_id()).into()),
        ("snapshot_id", wire_id(row.snapshot.object_id()).into()),
        ("parent_commit_id", parent(0)),
        ("parent2_commit_id", parent(1)),
    ] {
        record.insert(field.to_owned(), value);
    }
    Ok(record)
}

/// A snapshot's record, every field of it.
pub(super) struct WireSnapshot<'a>(pub(super) &'a Snapshot);

impl Serialize for WireSnapshot<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let record = self.0.record();
        let listed = [("directories", &record.directories), ("executables", &record.executables)];
        let listed = listed.into_iter().filter(|(_, paths)| !paths.is_empty());
        let mut map = serializer.serialize_map(Some(2 + record.extra.len() + listed.clone().count()))?;
        map.serialize_entry("snapshot_id", &wire_id(self.0.id().object_id()))?;
        map.serialize_entry("manifest", &WireManifest(&record.manifest))?;
        for (key, paths) in listed {
            map.serialize_entry(key, paths)?;
        }
        for (key, value) in &record.extra {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

struct WireManifest<'a>(&'a Manifest);

impl Serialize for WireManifest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (path, blob) in self.0 {
            map.serialize_entry(path.as_str(), &wire_id(blob.object_id()))?;
        }
        map.end()
    }
}
