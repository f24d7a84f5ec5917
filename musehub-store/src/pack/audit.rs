//! [`PackAudit`]: packs, index files and forwarding files against each other and against their own names.

use std::collections::{BTreeSet, HashSet};

use async_trait::async_trait;
use bytes::Bytes;
use futures::TryStreamExt;
use musehub_core::hash::Hasher;
use musehub_core::port::{
    BackendError, ObjectStore, PackAudit, PackFault, PackFaultKind, PackId, PackReport, PackedObject, Place,
};
use musehub_core::{ObjectKey, ObjectKind, canonical};
use object_store::ObjectStoreExt;
use object_store::path::Path;

use super::format::{self, FormatError, PACK_FOOTER, PACK_HEADER, RECORD_HEADER};
use super::{Forward, PackedStore, index_path, pack_path, range};
use crate::backend::{failed, in_pieces};

/// Records that are in memory together, in bytes; a larger one is streamed.
const BATCH: u64 = 8 << 20;

#[async_trait]
impl PackAudit for PackedStore {
    async fn pack_names(&self) -> Result<Vec<PackId>, BackendError> {
        let mut names = BTreeSet::new();
        let mut entries = self.backend.fast.list(Some(&Path::from("packs")));
        while let Some(entry) =
            entries.try_next().await.map_err(|error| failed("listing the packs", error))?
        {
            let name = entry.location.filename().and_then(|name| name.rsplit_once('.'));
            if let Some((name, "pack" | "idx" | "fwd")) = name {
                names.extend(PackId::parse(name));
            }
        }
        Ok(names.into_iter().collect())
    }

    async fn audit(&self, pack: PackId, whole: bool) -> Result<PackReport, BackendError> {
        let mut report = PackReport::default();
        // First of all, as the collection removes the other files once this one is there.
        let forward = self.audit_forward(pack, &mut report).await?;
        let length = match self.backend.fast.head(&pack_path(pack)).await {
            Ok(found) => Some(found.size),
            Err(object_store::Error::NotFound { .. }) => None,
            Err(error) => return Err(failed("looking at a pack", error)),
        };
        let listed = self.audit_index(pack, &mut report).await?;
        if let (Some(forward), Some((_, objects))) = (&forward, &listed) {
            report.compare_forward(forward, objects);
        }
        let Some(length) = length else {
            if !report.folded {
                report.fault(PackFaultKind::MissingPack, None, "there is an index file and no pack");
            }
            return Ok(report);
        };
        let records = listed.as_ref().map(|(_, objects)| objects.len() as u64);
        let (listed_length, objects) = listed.unwrap_or((length, Vec::new()));
        if listed_length != length {
            let reason = format!("it has {length} bytes, its index says {listed_length}");
            report.fault(PackFaultKind::DamagedPack, None, &reason);
        }
        if whole {
            let intact = self.audit_bytes(pack, records, &mut report).await?;
            // Where the pack is what it always was, a record that is not where the index says is the index's lie.
            let unread = if intact { PackFaultKind::LyingIndex } else { PackFaultKind::DamagedObject };
            self.audit_records(pack, length, &objects, unread, &mut report).await?;
        }
        Ok(report)
    }
}

impl PackedStore {
    /// Reads the forwarding file of a pack that has one.
    async fn audit_forward(
        &self,
        pack: PackId,
        report: &mut PackReport,
    ) -> Result<Option<Forward>, BackendError> {
        match self.forward(pack).await {
            Ok(forward) => {
                report.folded = forward.is_some();
                Ok(forward)
            }
            Err(BackendError::Damaged { reason, .. }) => {
                report.folded = true;
                report.fault(PackFaultKind::DamagedForward, None, &reason);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Reads the index file; gives the length that it says the pack has, and what it lists.
    async fn audit_index(
        &self,
        pack: PackId,
        report: &mut PackReport,
    ) -> Result<Option<(u64, Vec<PackedObject>)>, BackendError> {
        let bytes = match self.backend.get(&index_path(pack)).await {
            Ok(bytes) => bytes,
            Err(BackendError::Missing { .. }) => {
                if !report.folded {
                    report.fault(PackFaultKind::MissingIndex, None, "there is a pack and no index file");
                }
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        match format::parse_index(&bytes) {
            Ok((named, length, objects)) => {
                let records_end = objects.last().map_or(PACK_HEADER, |last| range(&last.place).end);
                if named == pack && records_end.checked_add(PACK_FOOTER) == Some(length) {
                    return Ok(Some((length, objects)));
                }
                let reason = "it is of another pack, or of a pack of another length than its entries have";
                report.fault(PackFaultKind::LyingIndex, None, reason);
            }
            Err(FormatError::Length) => {
                report.fault(PackFaultKind::LyingIndex, None, "its entries do not fit together");
            }
            Err(error) => report.fault(PackFaultKind::DamagedIndex, None, &error.to_string()),
        }
        Ok(None)
    }

    /// Reads the pack from end to end: whether its name is the hash of its bytes; and its header and footer, which has to count
    /// the records that the index lists.
    async fn audit_bytes(
        &self,
        pack: PackId,
        records: Option<u64>,
        report: &mut PackReport,
    ) -> Result<bool, BackendError> {
        let reading = |error| failed("reading a pack", error);
        let mut pieces = in_pieces(self.backend.fast.get(&pack_path(pack)).await.map_err(reading)?);
        let mut whole = blake3::Hasher::new();
        let mut ends = Ends::default();
        while let Some(piece) = pieces.try_next().await.map_err(reading)? {
            whole.update(&piece);
            ends.update(&piece);
            report.bytes += piece.len() as u64;
        }
        let intact = PackId::new(*whole.finalize().as_bytes()) == pack;
        if !intact {
            let reason = "its bytes are not those that its name is the hash of";
            report.fault(PackFaultKind::DamagedPack, None, reason);
        } else if let Err(error) = ends.check(records) {
            report.fault(PackFaultKind::DamagedPack, None, &error.to_string());
        }
        Ok(intact)
    }

    /// Every record that the index lists: there, whole, of the object listed, and its bytes those of the id.
    async fn audit_records(
        &self,
        pack: PackId,
        length: u64,
        objects: &[PackedObject],
        unread: PackFaultKind,
        report: &mut PackReport,
    ) -> Result<(), BackendError> {
        let mut batch: Vec<&PackedObject> = Vec::new();
        let mut bytes = 0;
        for object in objects {
            if range(&object.place).end > length {
                report.fault(unread, Some(object.key), "the pack ends before its record does");
            } else if object.place.length > BATCH {
                self.audit_large(pack, object, unread, report).await?;
            } else {
                if bytes + object.place.length > BATCH {
                    self.audit_batch(pack, &batch, unread, report).await?;
                    batch.clear();
                    bytes = 0;
                }
                bytes += object.place.length;
                batch.push(object);
            }
        }
        self.audit_batch(pack, &batch, unread, report).await
    }

    async fn audit_batch(
        &self,
        pack: PackId,
        batch: &[&PackedObject],
        unread: PackFaultKind,
        report: &mut PackReport,
    ) -> Result<(), BackendError> {
        let ranges: Vec<_> = batch.iter().map(|object| range(&object.place)).collect();
        if ranges.is_empty() {
            return Ok(());
        }
        let records = self.backend.fast.get_ranges(&pack_path(pack), &ranges).await;
        let records = records.map_err(|error| failed("reading a pack", error))?;
        for (object, record) in batch.iter().zip(records) {
            match format::parse_record(&record) {
                Ok((key, canonical)) => {
                    let mut proof = Proof::new(object);
                    proof.update(&canonical);
                    report.compare(object, key, proof);
                }
                Err(error) => report.fault(unread, Some(object.key), &error.to_string()),
            }
        }
        Ok(())
    }

    async fn audit_large(
        &self,
        pack: PackId,
        object: &PackedObject,
        unread: PackFaultKind,
        report: &mut PackReport,
    ) -> Result<(), BackendError> {
        let start = object.place.offset;
        let header = self.backend.fast.get_range(&pack_path(pack), start..start + RECORD_HEADER).await;
        let header = header.map_err(|error| failed("reading a pack", error))?;
        let key = match format::parse_record_header(&header) {
            Ok(header) => header.key,
            Err(error) => {
                report.fault(unread, Some(object.key), &error.to_string());
                return Ok(());
            }
        };
        let mut proof = Proof::new(object);
        let mut pieces = self.stream(object.located()).await?;
        loop {
            match pieces.try_next().await {
                Ok(Some(piece)) => proof.update(&piece),
                Ok(None) => break,
                Err(BackendError::Damaged { reason, .. }) => {
                    report.fault(unread, Some(object.key), &reason);
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        report.compare(object, key, proof);
        Ok(())
    }
}

/// The header and the footer of a pack whose bytes go by, and the hash of all before the footer.
#[derive(Default)]
struct Ends {
    header: Vec<u8>,
    body: blake3::Hasher,
    /// The last bytes that went by, as many as a footer has.
    last: Vec<u8>,
}

impl Ends {
    fn update(&mut self, piece: &[u8]) {
        let wanted = PACK_HEADER as usize - self.header.len();
        self.header.extend_from_slice(&piece[..piece.len().min(wanted)]);
        let footer = PACK_FOOTER as usize;
        let passed = (self.last.len() + piece.len()).saturating_sub(footer);
        let of_last = passed.min(self.last.len());
        self.body.update(&self.last[..of_last]);
        self.last.drain(..of_last);
        self.body.update(&piece[..passed - of_last]);
        self.last.extend_from_slice(&piece[passed - of_last..]);
    }

    fn check(&self, records: Option<u64>) -> Result<(), FormatError> {
        format::parse_pack_header(&self.header)?;
        let counted = format::parse_pack_footer(&self.last, &self.body)?;
        if records.is_some_and(|records| records != counted) { Err(FormatError::Length) } else { Ok(()) }
    }
}

/// The canonical bytes of an object on their way through the hashes that its id may be.
struct Proof {
    key: ObjectKey,
    /// The first bytes, with the header in them.
    head: Vec<u8>,
    length: u64,
    /// Of a blob, the hash of the bare file, which begins after the header.
    bare: Option<Hasher>,
    canonical: Option<Hasher>,
    /// How many bytes of the header are still to come before the file begins.
    header: u64,
}

impl Proof {
    fn new(object: &PackedObject) -> Self {
        let is_blob = object.key.kind == ObjectKind::Blob;
        let hasher = || is_blob.then(|| Hasher::new(object.key.id.algorithm()));
        let header = canonical::header(object.key.kind, object.size).len() as u64;
        Self { key: object.key, head: Vec::new(), length: 0, bare: hasher(), canonical: hasher(), header }
    }

    fn update(&mut self, piece: &Bytes) {
        let wanted = canonical::MAX_HEADER_BYTES - self.head.len();
        self.head.extend_from_slice(&piece[..piece.len().min(wanted)]);
        self.length += piece.len() as u64;
        if let Some(hasher) = &mut self.canonical {
            hasher.update(piece);
        }
        if let Some(hasher) = &mut self.bare {
            // What is left of the header is at most the piece, which is in memory.
            let cut = self.header.min(piece.len() as u64);
            self.header -= cut;
            hasher.update(&piece[cut as usize..]);
        }
    }

    /// Why these are not the bytes of the id. Ids of snapshots and commits are proven with their repository's scheme,
    /// elsewhere.
    fn finish(self, size: u64) -> Result<(), (PackFaultKind, &'static str)> {
        let damaged = |reason| Err((PackFaultKind::DamagedObject, reason));
        match canonical::parse_header(&self.head) {
            Ok((kind, _, _)) if kind != self.key.kind => return damaged("it is of another kind"),
            Ok((_, found, start)) if found != size || self.length != size + start as u64 => {
                return Err((PackFaultKind::LyingIndex, "it is not as long as the index says"));
            }
            Ok(_) => {}
            Err(_) => return damaged("its bytes are not canonical"),
        }
        let ids = [self.bare, self.canonical].into_iter().flatten().map(Hasher::finish);
        let digest = self.key.id.digest();
        if self.key.kind == ObjectKind::Blob && !ids.into_iter().any(|id| id == *digest) {
            return damaged("its bytes are not those that its id is the hash of");
        }
        Ok(())
    }
}

/// Where faults are written down.
trait Faults {
    fn fault(&mut self, kind: PackFaultKind, object: Option<ObjectKey>, reason: &str);
    fn compare(&mut self, listed: &PackedObject, found: ObjectKey, proof: Proof);
    fn compare_forward(&mut self, forward: &Forward, listed: &[PackedObject]);
}

impl Faults for PackReport {
    fn fault(&mut self, kind: PackFaultKind, object: Option<ObjectKey>, reason: &str) {
        self.faults.push(PackFault { kind, object, reason: reason.to_owned() });
    }

    /// Compares what a forwarding file says of the pack's own records with the pack's index.
    fn compare_forward(&mut self, forward: &Forward, listed: &[PackedObject]) {
        let forwarded: HashSet<(ObjectKey, Place, u64)> =
            forward.records.iter().map(|record| (record.key, record.from, record.size)).collect();
        let differs =
            listed.iter().find(|object| !forwarded.contains(&(object.key, object.place, object.size)));
        if let Some(object) = differs {
            let reason = format!("it does not say where the record at {} went", object.place);
            self.fault(PackFaultKind::LyingForward, Some(object.key), &reason);
        } else if forward.records.len() != listed.len() {
            let reason =
                format!("it has {} records, the index lists {}", forward.records.len(), listed.len());
            self.fault(PackFaultKind::LyingForward, None, &reason);
        }
    }

    /// Compares the record that was found with what the index lists at its place.
    fn compare(&mut self, listed: &PackedObject, found: ObjectKey, proof: Proof) {
        if found != listed.key {
            let reason = format!("the index has it at {}, where {found} is", listed.place);
            self.fault(PackFaultKind::LyingIndex, Some(listed.key), &reason);
            return;
        }
        if let Err((kind, reason)) = proof.finish(listed.size) {
            self.fault(kind, Some(listed.key), reason);
        }
    }
}
