//! Writes the container: records first, then objects, whose bytes are sent as they are read.

use serde_json::{Map, Value};

use super::{MAGIC, SnapshotDelta, VERSION, record};
use crate::hash::Hasher;
use crate::id::{BlobId, HashAlgorithm, ObjectId};
use crate::mpack::MpackId;
use crate::object::{Commit, SnapshotRecord};
use crate::scheme::IdScheme;

/// The length of an id as text.
pub(super) const ID_BYTES: usize = 71;
/// The length of a row of the table.
pub(super) const ROW_BYTES: usize = 17;
/// The length of a checksum.
pub const FOOTER_BYTES: usize = 32;

/// What a section holds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum SectionKind {
    /// Objects: the bytes of files.
    Objects,
    /// Records of commits.
    Commits,
    /// Records of snapshots, full or as deltas.
    Snapshots,
    /// Records of tags.
    Tags,
}

impl SectionKind {
    /// The number of a section of this kind.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Objects => 1,
            Self::Commits => 2,
            Self::Snapshots => 3,
            Self::Tags => 4,
        }
    }

    /// The kind that has a number.
    #[must_use]
    pub const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Objects),
            2 => Some(Self::Commits),
            3 => Some(Self::Snapshots),
            4 => Some(Self::Tags),
            _ => None,
        }
    }
}

/// A section of records, being written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordSection {
    bytes: Vec<u8>,
    count: u64,
}

impl Default for RecordSection {
    fn default() -> Self {
        Self { bytes: vec![0; 8], count: 0 }
    }
}

impl RecordSection {
    /// How many records there are.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.count
    }

    /// Its length, in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Adds any record.
    pub fn add(&mut self, fields: &Map<String, Value>) {
        self.add_encoded(&record::encode(fields));
    }

    /// Adds a commit, its ids in the form that this generation writes.
    pub fn add_commit(&mut self, commit: &Commit) {
        let mut fields = commit.record().clone();
        prefix_commit_ids(&mut fields);
        fields.insert("commit_id".to_owned(), commit.id().to_string().into());
        self.add(&fields);
    }

    /// Adds a snapshot in full.
    pub fn add_snapshot(&mut self, snapshot: &SnapshotRecord) {
        let mut fields = snapshot.extra.clone();
        let manifest = snapshot.manifest.iter();
        let manifest = manifest.map(|(path, blob)| (path.to_string(), blob.to_string().into()));
        fields.insert("manifest".to_owned(), Value::Object(manifest.collect()));
        if let Some(id) = snapshot.id {
            fields.insert("snapshot_id".to_owned(), id.to_string().into());
        }
        fields.insert("directories".to_owned(), texts(&snapshot.directories));
        if !snapshot.executables.is_empty() {
            fields.insert("executables".to_owned(), texts(&snapshot.executables));
        }
        self.add(&fields);
    }

    /// Adds a snapshot as a delta.
    pub fn add_delta(&mut self, delta: &SnapshotDelta) {
        let mut fields = delta.extra.clone();
        let upsert = delta.upsert.iter();
        let upsert = upsert.map(|(path, blob)| (path.to_string(), blob.to_string().into()));
        fields.insert("snapshot_id".to_owned(), delta.id.to_string().into());
        fields.insert("parent_snapshot_id".to_owned(), delta.base.to_string().into());
        fields.insert("delta_upsert".to_owned(), Value::Object(upsert.collect()));
        fields.insert("delta_remove".to_owned(), texts(&delta.remove));
        for (key, paths) in [("directories", &delta.directories), ("executables", &delta.executables)] {
            if let Some(paths) = paths {
                fields.insert(key.to_owned(), texts(paths));
            }
        }
        self.add(&fields);
    }

    fn add_encoded(&mut self, bytes: &[u8]) {
        self.count += 1;
        self.bytes.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        self.bytes.extend_from_slice(bytes);
    }

    fn finish(mut self) -> Vec<u8> {
        self.bytes[..8].copy_from_slice(&self.count.to_le_bytes());
        self.bytes
    }
}

fn texts<T: ToString>(items: &[T]) -> Value {
    Value::Array(items.iter().map(|item| Value::String(item.to_string())).collect())
}

/// The fields of a commit's record that hold an id which enters its own.
const COMMIT_IDS: [&str; 4] = ["commit_id", "snapshot_id", "parent_commit_id", "parent2_commit_id"];

/// Gives the ids of a commit's record the form `sha256:…`. What is no id stays as it is.
fn prefix_commit_ids(fields: &mut Map<String, Value>) {
    rewrite_commit_ids(fields, |id| id.to_string());
}

/// Gives the ids of a commit's record the form in which a scheme keeps them, so that whoever fetches it by another generation
/// gets what that generation writes.
pub(crate) fn commit_ids_for(scheme: IdScheme, fields: &mut Map<String, Value>) {
    if scheme == IdScheme::FlatV1 {
        rewrite_commit_ids(fields, |id| id.to_hex());
    }
}

fn rewrite_commit_ids(fields: &mut Map<String, Value>, form: impl Fn(ObjectId) -> String) {
    let rewrite = |value: &mut Value| {
        if let Some(id) = value.as_str().and_then(|text| ObjectId::parse(text).ok()) {
            *value = Value::String(form(id));
        }
    };
    for field in COMMIT_IDS {
        if let Some(value) = fields.get_mut(field) {
            rewrite(value);
        }
    }
    for field in ["parents", "parent_ids"] {
        if let Some(Value::Array(parents)) = fields.get_mut(field) {
            parents.iter_mut().for_each(rewrite);
        }
    }
}

/// What a container holds besides the bytes of objects: enough to know its length, and all of its beginning.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Commits, parents first.
    pub commits: RecordSection,
    /// Snapshots, bases first.
    pub snapshots: RecordSection,
    /// Tags.
    pub tags: RecordSection,
    /// How many objects there will be.
    pub blobs: u64,
    /// How many bytes they have together.
    pub blob_bytes: u64,
}

impl Contents {
    /// The length of OBJECTS.
    fn objects_length(&self) -> u64 {
        13 + self.blobs * (ID_BYTES as u64 + 8) + self.blob_bytes + FOOTER_BYTES as u64
    }

    /// Everything before the first object, and who writes what comes after that.
    #[must_use]
    pub fn begin(self) -> (Vec<u8>, ObjectsWriter) {
        let objects = self.objects_length();
        let has_objects = self.blobs > 0;
        let mut sections: Vec<(SectionKind, Vec<u8>)> = Vec::new();
        let lists = [
            (SectionKind::Commits, self.commits),
            (SectionKind::Snapshots, self.snapshots),
            (SectionKind::Tags, self.tags),
        ];
        for (kind, section) in lists {
            if section.count() > 0 {
                sections.push((kind, section.finish()));
            }
        }
        let rows = sections.len() + usize::from(has_objects);
        let mut out = Vec::from(MAGIC);
        out.push(VERSION);
        out.push(u8::try_from(rows).expect("there are four kinds of sections"));
        let mut offset = (out.len() + rows * ROW_BYTES) as u64;
        let mut row = |out: &mut Vec<u8>, kind: SectionKind, length: u64| {
            out.push(kind.number());
            out.extend_from_slice(&offset.to_le_bytes());
            out.extend_from_slice(&length.to_le_bytes());
            offset += length;
        };
        for (kind, bytes) in &sections {
            row(&mut out, *kind, bytes.len() as u64);
        }
        if has_objects {
            row(&mut out, SectionKind::Objects, objects);
        }
        for (_, bytes) in sections {
            out.extend_from_slice(&bytes);
        }
        let mut writer = ObjectsWriter {
            inner: has_objects.then(|| Hasher::new(HashAlgorithm::Sha256)),
            outer: Hasher::new(HashAlgorithm::Sha256),
        };
        writer.outer.update(&out);
        if has_objects {
            let mut head = Vec::from(MAGIC);
            head.push(VERSION);
            head.extend_from_slice(&self.blobs.to_le_bytes());
            writer.hash(&head);
            out.extend_from_slice(&head);
        }
        (out, writer)
    }
}

/// Hashes the objects of a container as they are written, and ends it.
#[derive(Clone, Debug)]
pub struct ObjectsWriter {
    /// Of OBJECTS alone; none where there are no objects.
    inner: Option<Hasher>,
    outer: Hasher,
}

impl ObjectsWriter {
    /// Takes the next bytes of OBJECTS: [entries](object_entry) and contents. Both hashes are computed at a time.
    pub fn hash(&mut self, bytes: &[u8]) {
        let Self { inner, outer } = self;
        match inner {
            // A hand-over to another thread costs more than hashing little.
            Some(inner) if bytes.len() > 64 << 10 => {
                rayon::join(|| inner.update(bytes), || outer.update(bytes));
            }
            Some(inner) => {
                inner.update(bytes);
                outer.update(bytes);
            }
            None => outer.update(bytes),
        }
    }

    /// The end of the container, and the pack's id.
    #[must_use]
    pub fn finish(mut self) -> (Vec<u8>, MpackId) {
        let mut end = Vec::with_capacity(2 * FOOTER_BYTES);
        if let Some(inner) = self.inner.take() {
            end.extend_from_slice(&inner.finish());
            self.outer.update(&end);
        }
        let checksum = self.outer.clone().finish();
        self.outer.update(&checksum);
        end.extend_from_slice(&checksum);
        (end, MpackId::new(self.outer.finish()))
    }
}

/// What stands in front of an object's bytes.
#[must_use]
pub fn object_entry(id: BlobId, size: u64) -> Vec<u8> {
    let mut entry = id.to_string().into_bytes();
    debug_assert_eq!(entry.len(), ID_BYTES, "both hash functions have names of six letters");
    entry.extend_from_slice(&size.to_le_bytes());
    entry
}

#[cfg(test)]
pub(super) fn rewrite_for_tests(fields: &mut Map<String, Value>) {
    prefix_commit_ids(fields);
}
