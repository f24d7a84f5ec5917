//! Snapshots: a manifest, and what a client said along with it.

use std::fmt;

use bytes::Bytes;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use super::record::Strict;
use super::{IdProof, Manifest, ObjectError, OpaqueIds, holds_nul};
use crate::canonical::{self, json};
use crate::id::{BlobId, HashAlgorithm, ObjectKind, SnapshotId};
use crate::path::RepoPath;
use crate::scheme::typed_v1::{SnapshotFields, SnapshotForm};
use crate::scheme::{FormulaError, IdScheme, flat_v1, typed_v2};

/// A snapshot as a client sends it: nothing of it is proven.
#[derive(Clone, Debug, Default)]
pub struct SnapshotRecord {
    /// The id it claims; none where the sender leaves it to the hub.
    pub id: Option<SnapshotId>,
    /// The files.
    pub manifest: Manifest,
    /// Directories that are recorded though empty.
    pub directories: Vec<RepoPath>,
    /// Files that are executable.
    pub executables: Vec<RepoPath>,
    /// Every other field of the record: kept and given back.
    pub extra: Map<String, Value>,
}

/// A snapshot whose id is that of its content.
#[derive(Clone, Debug)]
pub struct Snapshot {
    id: SnapshotId,
    record: SnapshotRecord,
}

impl Snapshot {
    /// Verifies a record under a scheme.
    ///
    /// # Errors
    /// [`ObjectError`]: the claimed id is another, a text holds NUL, or the scheme has no place for a field.
    pub fn verify(scheme: IdScheme, record: SnapshotRecord) -> Result<Self, ObjectError> {
        Self::accept(scheme, record, OpaqueIds::Refuse).map(|(snapshot, _)| snapshot)
    }

    /// Verifies a record under a scheme, or takes its id on its client's word where that is allowed.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn accept(
        scheme: IdScheme,
        record: SnapshotRecord,
        opaque: OpaqueIds,
    ) -> Result<(Self, IdProof), ObjectError> {
        let algorithm = record.id.map_or(HashAlgorithm::default(), |id| id.object_id().algorithm());
        Self::identified(scheme, algorithm, record, opaque)
    }

    /// Gives a record the id that it has under a scheme, of a hash function where the scheme leaves a choice.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn with_algorithm(
        scheme: IdScheme,
        algorithm: HashAlgorithm,
        record: SnapshotRecord,
    ) -> Result<Self, ObjectError> {
        Self::identified(scheme, algorithm, record, OpaqueIds::Refuse).map(|(snapshot, _)| snapshot)
    }

    fn identified(
        scheme: IdScheme,
        algorithm: HashAlgorithm,
        mut record: SnapshotRecord,
        opaque: OpaqueIds,
    ) -> Result<(Self, IdProof), ObjectError> {
        let claimed = record.id;
        let id_text = || claimed.map_or_else(|| "without an id".to_owned(), |id| id.to_string());
        if record.extra.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) {
            return Err(ObjectError::Nul { kind: ObjectKind::Snapshot, id: id_text() });
        }
        sort_unique(&mut record.directories);
        sort_unique(&mut record.executables);
        let formula = |source| ObjectError::Formula { kind: ObjectKind::Snapshot, id: id_text(), source };
        let computed = match scheme {
            IdScheme::FlatV1 => {
                if !record.directories.is_empty() || !record.executables.is_empty() {
                    return Err(ObjectError::UnknownField { id: id_text(), field: "directories".into() });
                }
                flat_v1::snapshot_id(record.manifest.iter().map(|(path, blob)| (path.as_str(), blob)))
                    .map_err(formula)?
            }
            IdScheme::TypedV1 => {
                if !record.executables.is_empty() {
                    return Err(ObjectError::UnknownField { id: id_text(), field: "executables".into() });
                }
                match claimed {
                    None => {
                        typed_v1_fields(&record, |fields| fields.id(SnapshotForm::OWN)).map_err(formula)?
                    }
                    Some(id) => {
                        let form = typed_v1_fields(&record, |fields| fields.form_of(&id)).map_err(formula)?;
                        return match (form, opaque) {
                            (Some(_), _) => Ok((Self { id, record }, IdProof::Verified)),
                            (None, OpaqueIds::Accept) => Ok((Self { id, record }, IdProof::Opaque)),
                            (None, OpaqueIds::Refuse) => Err(ObjectError::UnknownForm {
                                kind: ObjectKind::Snapshot,
                                claimed: id_text(),
                            }),
                        };
                    }
                }
            }
            IdScheme::TypedV2 => {
                if let Some(field) = record.extra.keys().find(|field| *field != "created_at") {
                    return Err(ObjectError::UnknownField { id: id_text(), field: field.clone() });
                }
                record.extra.clear();
                let payload = typed_payload(&record);
                typed_v2::object_id(algorithm, ObjectKind::Snapshot, &payload).into()
            }
        };
        if let Some(claimed) = claimed.filter(|claimed| *claimed != computed) {
            return Err(ObjectError::IdMismatch {
                kind: ObjectKind::Snapshot,
                claimed: claimed.to_string(),
                computed: computed.to_string(),
            });
        }
        record.id = Some(computed);
        Ok((Self { id: computed, record }, IdProof::Verified))
    }

    /// Reads canonical bytes that the hub wrote. Bytes from elsewhere go through [`Snapshot::verify`].
    ///
    /// # Errors
    /// [`ObjectError`] where they are not those of a snapshot.
    pub fn decode(id: SnapshotId, bytes: &[u8]) -> Result<Self, ObjectError> {
        let payload = canonical::payload_of(ObjectKind::Snapshot, bytes)?;
        let mut record: SnapshotRecord = serde_json::from_slice(payload)
            .map_err(|source| ObjectError::Record { kind: ObjectKind::Snapshot, source })?;
        record.id = Some(id);
        Ok(Self { id, record })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> SnapshotId {
        self.id
    }

    /// What its id proves under a repository's scheme. Where every form of the scheme is known, that was settled when it was
    /// taken; else the manifest is hashed.
    #[must_use]
    pub fn id_proof(&self, scheme: IdScheme) -> IdProof {
        match scheme {
            IdScheme::FlatV1 | IdScheme::TypedV2 => IdProof::Verified,
            IdScheme::TypedV1 => match typed_v1_fields(&self.record, |fields| fields.form_of(&self.id)) {
                Ok(Some(_)) => IdProof::Verified,
                Ok(None) | Err(_) => IdProof::Opaque,
            },
        }
    }

    /// Its files.
    #[must_use]
    pub const fn manifest(&self) -> &Manifest {
        &self.record.manifest
    }

    /// The whole record.
    #[must_use]
    pub const fn record(&self) -> &SnapshotRecord {
        &self.record
    }

    /// Its canonical bytes.
    ///
    /// # Errors
    /// [`ObjectError::Json`] where a field cannot be said in canonical JSON.
    pub fn canonical(&self, scheme: IdScheme) -> Result<Bytes, ObjectError> {
        let payload = match scheme {
            IdScheme::FlatV1 => self.whole_payload(BlobId::to_hex, &self.id.to_hex(), None)?,
            IdScheme::TypedV1 => {
                self.whole_payload(ToString::to_string, &self.id.to_string(), Some(&self.record.directories))?
            }
            IdScheme::TypedV2 => typed_payload(&self.record),
        };
        Ok(canonical::encode(ObjectKind::Snapshot, &payload).into())
    }

    /// Every field that came, its own id included, in the order of the keys. Ids are written as the scheme's clients do.
    fn whole_payload(
        &self,
        blob_text: impl Fn(&BlobId) -> String,
        own_id: &str,
        directories: Option<&[RepoPath]>,
    ) -> Result<Vec<u8>, ObjectError> {
        enum Field<'a> {
            Manifest,
            Directories(&'a [RepoPath]),
            Id,
            Extra(&'a Value),
        }
        let mut fields: Vec<(&str, Field<'_>)> =
            self.record.extra.iter().map(|(key, value)| (key.as_str(), Field::Extra(value))).collect();
        fields.push(("manifest", Field::Manifest));
        fields.push(("snapshot_id", Field::Id));
        fields.extend(directories.map(|paths| ("directories", Field::Directories(paths))));
        fields.sort_by_key(|(key, _)| *key);
        let mut out = Vec::with_capacity(128 + self.record.manifest.len() * 112);
        for (at, (key, field)) in fields.iter().enumerate() {
            out.push(if at == 0 { b'{' } else { b',' });
            json::write_string(&mut out, key);
            out.push(b':');
            match field {
                Field::Manifest => write_manifest(&mut out, &self.record.manifest, &blob_text),
                Field::Directories(paths) => write_paths(&mut out, paths),
                Field::Id => json::write_string(&mut out, own_id),
                Field::Extra(value) => json::write_value(&mut out, value).map_err(|source| {
                    ObjectError::Json { kind: ObjectKind::Snapshot, id: self.id.to_string(), source }
                })?,
            }
        }
        out.push(b'}');
        Ok(out)
    }
}

/// Does something with what enters the id under `typed-v1`.
fn typed_v1_fields<T>(
    record: &SnapshotRecord,
    then: impl FnOnce(&SnapshotFields<'_>) -> Result<T, FormulaError>,
) -> Result<T, FormulaError> {
    let entries: Vec<(&str, &BlobId)> =
        record.manifest.iter().map(|(path, blob)| (path.as_str(), blob)).collect();
    let directories: Vec<&str> = record.directories.iter().map(RepoPath::as_str).collect();
    then(&SnapshotFields { entries: &entries, directories: &directories })
}

fn typed_payload(record: &SnapshotRecord) -> Vec<u8> {
    let mut out = Vec::with_capacity(128 + record.manifest.len() * 112);
    out.extend_from_slice(b"{\"directories\":");
    write_paths(&mut out, &record.directories);
    out.extend_from_slice(b",\"executables\":");
    write_paths(&mut out, &record.executables);
    out.extend_from_slice(b",\"manifest\":");
    write_manifest(&mut out, &record.manifest, ToString::to_string);
    out.push(b'}');
    out
}

fn write_paths(out: &mut Vec<u8>, paths: &[RepoPath]) {
    out.push(b'[');
    for (at, path) in paths.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::write_string(out, path.as_str());
    }
    out.push(b']');
}

fn write_manifest(out: &mut Vec<u8>, manifest: &Manifest, id: impl Fn(&BlobId) -> String) {
    out.push(b'{');
    for (at, (path, blob)) in manifest.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        json::write_string(out, path.as_str());
        out.extend_from_slice(b":\"");
        out.extend_from_slice(id(blob).as_bytes());
        out.push(b'"');
    }
    out.push(b'}');
}

fn sort_unique(paths: &mut Vec<RepoPath>) {
    paths.sort();
    paths.dedup();
}

impl<'de> Deserialize<'de> for SnapshotRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RecordVisitor;

        impl<'de> Visitor<'de> for RecordVisitor {
            type Value = SnapshotRecord;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snapshot")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<SnapshotRecord, A::Error> {
                let mut record = SnapshotRecord::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "snapshot_id" => record.id = Some(map.next_value()?),
                        "manifest" => record.manifest = map.next_value()?,
                        "directories" => record.directories = map.next_value()?,
                        "executables" => record.executables = map.next_value()?,
                        _ => {
                            let value = map.next_value_seed(Strict)?;
                            record.extra.insert(key, value);
                        }
                    }
                }
                Ok(record)
            }
        }

        deserializer.deserialize_map(RecordVisitor)
    }
}
