//! Packs of the wire, in both of their forms.

use musehub_core::mpack::{Counts, Item, Limits, MAGIC, MpackError, MpackId, Reader, SnapshotDelta, expand};
use musehub_core::object::{Manifest, SnapshotRecord};
use musehub_core::scheme::IdScheme;
use musehub_core::{BlobId, RepoPath, SnapshotId};
use serde_json::{Map, Value};

use crate::pack_forms::{container, earlier_form};
use crate::records;

/// So little that the limits are met.
const TIGHT: Limits = Limits { object: 600, record: 900, total: 4 << 10 };

/// Longer than a container's checksum.
const FOOTER_BYTES: usize = 32;

/// Reads a pack, whole and in pieces; once more with the checksum that its bytes have, as nobody makes that up.
///
/// # Panics
/// Where the pieces change what it is, a limit is not kept, or what it holds is not read again from a pack of either form.
pub fn pack(data: &[u8]) -> bool {
    let taken = reading(data, Limits::default());
    if data.starts_with(&MAGIC) && data.len() >= FOOTER_BYTES {
        let body = &data[..data.len() - FOOTER_BYTES];
        let sealed = [body, &crate::sha256(&[body])].concat();
        reading(&sealed, TIGHT);
        reading(&sealed, Limits::default())
    } else {
        reading(data, TIGHT);
        taken
    }
}

/// What a frame of zstd begins with.
const FRAME: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// Whether it is a pack.
fn reading(data: &[u8], limits: Limits) -> bool {
    let (held, end) = read(data, data.len(), limits);
    let (again, end_again) = read(data, crate::piece_size(data), limits);
    assert_eq!(held, again, "the pieces change what is read");
    match (&end, &end_again) {
        (Ok(end), Ok(again)) => assert_eq!(end, again),
        (Err(error), Err(again)) => {
            assert_eq!(std::mem::discriminant(error), std::mem::discriminant(again), "{error} {again}");
        }
        _ => panic!("the pieces change how it ends: {end:?} {end_again:?}"),
    }
    within(&held, data.len(), limits);
    let Ok((id, counts)) = end else {
        return false;
    };
    assert_eq!(id, MpackId::of(data));
    assert_eq!(counts, held.counts());
    if limits != Limits::default() {
        return true;
    }
    held.deltas.iter().for_each(|delta| rebuilds(delta, &held.snapshots));
    held.commits.iter().for_each(|record| records::commit(IdScheme::TypedV1, record));
    held.snapshots.iter().for_each(|kept| records::snapshot(IdScheme::TypedV1, &kept.record()));
    if held.names_no_path_twice() {
        returns(&held, crate::piece_size(data).is_multiple_of(2));
    }
    true
}

/// What a pack holds, as values that can be compared.
#[derive(Clone, PartialEq, Debug, Default)]
pub(crate) struct Held {
    pub(crate) commits: Vec<Map<String, Value>>,
    pub(crate) snapshots: Vec<Kept>,
    pub(crate) deltas: Vec<SnapshotDelta>,
    pub(crate) tags: Vec<Map<String, Value>>,
    pub(crate) blobs: Vec<(BlobId, Vec<u8>)>,
}

/// A snapshot's record.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Kept {
    id: Option<SnapshotId>,
    manifest: Manifest,
    directories: Vec<RepoPath>,
    executables: Vec<RepoPath>,
    extra: Map<String, Value>,
}

impl Kept {
    fn of(record: SnapshotRecord) -> Self {
        let SnapshotRecord { id, manifest, directories, executables, extra } = record;
        Self { id, manifest, directories, executables, extra }
    }

    pub(crate) fn record(&self) -> SnapshotRecord {
        let Self { id, manifest, directories, executables, extra } = self.clone();
        SnapshotRecord { id, manifest, directories, executables, extra }
    }
}

impl Held {
    fn counts(&self) -> Counts {
        Counts {
            blobs: self.blobs.len() as u64,
            commits: self.commits.len() as u64,
            snapshots: (self.snapshots.len() + self.deltas.len()) as u64,
            tags: self.tags.len() as u64,
        }
    }

    /// A delta may name a path by both of the names that added files have, which is refused where it is rebuilt.
    fn names_no_path_twice(&self) -> bool {
        self.deltas.iter().all(|delta| {
            let mut paths: Vec<&RepoPath> = delta.upsert.iter().map(|(path, _)| path).collect();
            paths.sort_unstable();
            paths.is_sorted_by(|a, b| a < b)
        })
    }
}

fn read(data: &[u8], piece: usize, limits: Limits) -> (Held, Result<(MpackId, Counts), MpackError>) {
    let mut reader = Reader::new(limits);
    let mut held = Held::default();
    // Bytes that are to come of an object that comes in pieces.
    let mut large = 0;
    let mut pieces = data.chunks(piece.max(1));
    loop {
        match reader.next() {
            Ok(Some(item)) => take(item, &mut held, &mut large),
            Ok(None) => match pieces.next() {
                Some(piece) => reader.push(piece),
                None => break,
            },
            Err(error) => return (held, Err(error)),
        }
    }
    let end = reader.finish();
    assert!(large == 0 || end.is_err(), "a large object has ended");
    (held, end)
}

fn take(item: Item, held: &mut Held, large: &mut u64) {
    if let Item::Piece(piece) = &item {
        assert!(!piece.is_empty() && piece.len() as u64 <= *large);
        *large -= piece.len() as u64;
        held.blobs.last_mut().unwrap().1.extend_from_slice(piece);
        return;
    }
    assert_eq!(*large, 0, "nothing comes in the middle of a large object");
    match item {
        Item::Blob { id, content } => held.blobs.push((id, content.to_vec())),
        Item::LargeBlob { id, size } => {
            *large = size;
            held.blobs.push((id, Vec::new()));
        }
        Item::Commit(record) => held.commits.push(record),
        Item::Snapshot(record) => held.snapshots.push(Kept::of(record)),
        Item::Delta(delta) => held.deltas.push(delta),
        Item::Tag(record) => held.tags.push(record),
        Item::Piece(_) => {}
    }
}

/// Nothing that was read is more than the limits let in.
fn within(held: &Held, length: usize, limits: Limits) {
    let blobs: u64 = held.blobs.iter().map(|(_, content)| content.len() as u64).sum();
    assert!(blobs <= length as u64 + limits.total);
    for (_, content) in &held.blobs {
        assert!(content.len() as u64 <= limits.object);
        if !content.starts_with(&FRAME) {
            continue;
        }
        if let Some(expanded) = expand(content, limits.object) {
            assert!(expanded.len() as u64 <= limits.object && expanded.len() / 4096 <= content.len());
        }
    }
    let records = held.commits.len() + held.snapshots.len() + held.deltas.len() + held.tags.len();
    assert!(records as u64 <= limits.total, "every record has a byte");
}

/// What a delta makes of its base is what it was made from, and the change between the two is found again.
fn rebuilds(delta: &SnapshotDelta, bases: &[Kept]) {
    let base = bases.iter().find(|base| base.id == Some(delta.base)).map(Kept::record).unwrap_or_default();
    let Ok(rebuilt) = delta.apply(&base) else {
        return;
    };
    let removed = |path: &RepoPath| delta.remove.contains(path);
    for (path, blob) in rebuilt.manifest.iter() {
        let added = delta.upsert.iter().find(|(added, _)| added == path).map(|(_, blob)| *blob);
        let kept = base.manifest.get(path.as_str()).filter(|_| !removed(path));
        assert_eq!(added.or(kept), Some(*blob));
    }
    let kept = base
        .manifest
        .iter()
        .filter(|(path, _)| !removed(path) && !delta.upsert.iter().any(|(added, _)| added == path));
    assert_eq!(rebuilt.manifest.len(), kept.count() + delta.upsert.len());
    let found = SnapshotDelta::between(&base, delta.base, &rebuilt, delta.id);
    assert!(found.upsert.len() + found.remove.len() <= base.manifest.len() + rebuilt.manifest.len());
    let again = found.apply(&base).unwrap();
    assert_eq!(Kept::of(again), Kept::of(rebuilt));
}

/// What a pack holds is read again from both forms, and its container is always the same one.
fn returns(held: &Held, compressed: bool) {
    let (bytes, id) = container(held);
    let (again, end) = read(&bytes, bytes.len(), Limits::default());
    assert_eq!(end, Ok((id, held.counts())));
    assert_eq!(&again, held);
    assert_eq!(container(&again), (bytes, id), "one content has one container");
    let bytes = earlier_form(held, compressed);
    let (again, end) = read(&bytes, bytes.len(), Limits::default());
    assert_eq!(end, Ok((MpackId::of(&bytes), held.counts())));
    assert_eq!(&again, held);
}
