//! Decodes single records: msgpack maps that are in memory as a whole.

use std::fmt;
use std::marker::PhantomData;

use bytes::Bytes;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

use super::reader::Item;
use super::scan::{MAX_DEPTH, Scanner};
use super::writer::SectionKind;
use super::{MpackError, SnapshotDelta, expand, word};
use crate::id::{BlobId, SnapshotId};
use crate::object::{Manifest, Record, SnapshotRecord};
use crate::path::RepoPath;

/// Decodes one record of a section.
pub(super) fn decode(kind: SectionKind, bytes: &[u8], number: u64) -> Result<Item, MpackError> {
    let fail = |reason| MpackError::Record { what: word(kind), number, reason };
    match kind {
        SectionKind::Commits => from_msgpack::<Record>(bytes).map(|record| Item::Commit(record.0)),
        SectionKind::Tags => from_msgpack::<Record>(bytes).map(|record| Item::Tag(record.0)),
        SectionKind::Snapshots => from_msgpack::<AnySnapshot>(bytes).and_then(AnySnapshot::into_item),
        SectionKind::Objects => Err("an object is not a record".to_owned()),
    }
    .map_err(fail)
}

/// Decodes an object of the earlier form; gives also how many bytes it had once it was not compressed any more, 0 where it never
/// was.
pub(super) fn decode_blob(bytes: &Bytes, number: u64, limit: u64) -> Result<(Item, u64), MpackError> {
    let fail = |reason: String| MpackError::Record { what: word(SectionKind::Objects), number, reason };
    let object: ObjectMap<'_> = from_msgpack(bytes).map_err(fail)?;
    let id = object.object_id.ok_or_else(|| fail("it has no 'object_id'".to_owned()))?;
    let content = object.content.ok_or_else(|| fail(format!("object {id} has no 'content'")))?;
    let too_large = |size| MpackError::TooLarge { what: format!("object {id} has"), size, limit };
    if content.len() as u64 > limit {
        return Err(too_large(content.len() as u64));
    }
    match object.encoding.as_deref() {
        None | Some("" | "raw" | "identity") => Ok((Item::Blob { id, content: bytes.slice_ref(content) }, 0)),
        Some("zstd") => {
            let reason = "its content is no frame of zstd, or expands to more than is taken";
            let bad = || MpackError::Compression { id: id.to_string(), reason };
            let content = expand(content, limit).ok_or_else(bad)?;
            let expanded = content.len() as u64;
            Ok((Item::Blob { id, content }, expanded))
        }
        Some(_) => Err(MpackError::Compression { id: id.to_string(), reason: "its encoding is not 'zstd'" }),
    }
}

/// Decodes a text.
pub(super) fn text(bytes: &[u8]) -> Result<String, MpackError> {
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    String::deserialize(&mut decoder).map_err(|_| MpackError::layout("a key of its map is no text"))
}

/// Decodes a map: a list is none, though a derived structure would take it.
fn from_msgpack<'de, T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, String> {
    struct OnlyMap<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for OnlyMap<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(serde::de::value::MapAccessDeserializer::new(map))
        }
    }

    // The decoder stops after a value, and does not say where.
    let length = bytes.len() as u64;
    if !matches!(Scanner::default().scan(bytes, length, ""), Ok(Some(end)) if end == length) {
        return Err("it is not one value of msgpack".to_owned());
    }
    let mut decoder = rmp_serde::Deserializer::from_read_ref(bytes);
    decoder.set_max_depth(2 * MAX_DEPTH);
    decoder.deserialize_map(OnlyMap(PhantomData)).map_err(|error| error.to_string())
}

/// An object of the earlier form.
#[derive(Default)]
struct ObjectMap<'a> {
    object_id: Option<BlobId>,
    content: Option<&'a [u8]>,
    encoding: Option<String>,
}

impl<'de> Deserialize<'de> for ObjectMap<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor;

        impl<'de> Visitor<'de> for ObjectVisitor {
            type Value = ObjectMap<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ObjectMap<'de>, A::Error> {
                let mut object = ObjectMap::default();
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "object_id" => object.object_id = Some(map.next_value()?),
                        "content" => object.content = Some(map.next_value()?),
                        "encoding" => object.encoding = map.next_value()?,
                        _ => drop(map.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(object)
            }
        }

        deserializer.deserialize_map(ObjectVisitor)
    }
}

/// A snapshot, full or as a delta.
#[derive(Default)]
struct AnySnapshot {
    record: SnapshotRecord,
    has_manifest: bool,
    base: Option<SnapshotId>,
    upsert: Vec<(RepoPath, BlobId)>,
    remove: Vec<RepoPath>,
    directories: Option<Vec<RepoPath>>,
    executables: Option<Vec<RepoPath>>,
}

impl AnySnapshot {
    fn into_item(self) -> Result<Item, String> {
        let Self { mut record, has_manifest, base, upsert, remove, directories, executables } = self;
        let id = record.id.ok_or("it has no 'snapshot_id'")?;
        if has_manifest {
            record.directories = directories.unwrap_or_default();
            record.executables = executables.unwrap_or_default();
            return Ok(Item::Snapshot(record));
        }
        let base = base.ok_or_else(|| format!("{id} has neither a 'manifest' nor a 'parent_snapshot_id'"))?;
        let extra = record.extra;
        Ok(Item::Delta(SnapshotDelta { id, base, upsert, remove, directories, executables, extra }))
    }
}

impl<'de> Deserialize<'de> for AnySnapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SnapshotVisitor;

        impl<'de> Visitor<'de> for SnapshotVisitor {
            type Value = AnySnapshot;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a snapshot")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<AnySnapshot, A::Error> {
                let mut snapshot = AnySnapshot::default();
                let record = &mut snapshot.record;
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "snapshot_id" => record.id = Some(map.next_value()?),
                        "manifest" => {
                            let manifest: Option<Manifest> = map.next_value()?;
                            snapshot.has_manifest = manifest.is_some();
                            record.manifest = manifest.unwrap_or_default();
                        }
                        "parent_snapshot_id" => snapshot.base = map.next_value()?,
                        "delta_add" | "delta_upsert" => {
                            let added: Option<Manifest> = map.next_value()?;
                            snapshot.upsert.extend(added.iter().flatten().cloned());
                        }
                        "delta_remove" => {
                            snapshot.remove = map.next_value::<Option<_>>()?.unwrap_or_default();
                        }
                        "directories" => snapshot.directories = map.next_value()?,
                        "executables" => snapshot.executables = map.next_value()?,
                        _ => {
                            let value = plain_value(&mut map)?;
                            record.extra.insert(key, value);
                        }
                    }
                }
                Ok(snapshot)
            }
        }

        deserializer.deserialize_map(SnapshotVisitor)
    }
}

/// A value that is not ours to understand, as strictly as those of records.
fn plain_value<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Value, A::Error> {
    map.next_value_seed(crate::object::Strict)
}

/// A record as msgpack, its keys in order.
pub(super) fn encode(record: &Map<String, Value>) -> Vec<u8> {
    rmp_serde::to_vec_named(record).expect("a JSON value is msgpack")
}
