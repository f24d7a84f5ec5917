//! Forwarding files: where the records of a pack went when it was folded into others. Log entries name packs for ever, so the
//! name of a pack that is gone leads on.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes};
use musehub_core::ObjectKey;
use musehub_core::port::{PackId, PackedObject, Place};

use super::format::{self, FormatError};
use crate::sealed::{CHECKSUM, Form};

const FORM: Form = Form { magic: *b"MHFW", version: 1, header: HEADER };
const HEADER: usize = 56;
const TARGET: usize = 32;
const ENTRY: usize = 80;
/// The target of a record that nothing needed any more.
const DROPPED: u32 = u32::MAX;

/// Where the records of a pack went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Forward {
    /// The pack that was folded.
    pub(crate) pack: PackId,
    /// Its records, in their order.
    pub(crate) records: Vec<Forwarded>,
}

/// Where one record went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Forwarded {
    pub(crate) key: ObjectKey,
    /// Length of its payload, in bytes.
    pub(crate) size: u64,
    pub(crate) from: Place,
    /// None where it was dropped.
    pub(crate) to: Option<Place>,
}

impl Forward {
    /// The packs that its records went to, each once, in the order of the records.
    pub(crate) fn targets(&self) -> Vec<PackId> {
        let mut targets = Vec::new();
        for to in self.records.iter().filter_map(|record| record.to) {
            if !targets.contains(&to.pack) {
                targets.push(to.pack);
            }
        }
        targets
    }

    /// What is left of the pack, in its order, each object where it lies now.
    pub(crate) fn objects(&self) -> Vec<PackedObject> {
        let moved = self.records.iter().filter_map(|record| {
            record.to.map(|place| PackedObject { key: record.key, place, size: record.size })
        });
        moved.collect()
    }

    /// By where records lay, where they lie now.
    pub(crate) fn by_place(&self) -> HashMap<Place, Place> {
        self.records.iter().filter_map(|record| Some((record.from, record.to?))).collect()
    }

    /// The bytes of the file.
    pub(crate) fn write(&self) -> Bytes {
        let targets = self.targets();
        let numbers: HashMap<PackId, u32> = targets.iter().copied().zip(0..).collect();
        let length = HEADER + targets.len() * TARGET + self.records.len() * ENTRY + CHECKSUM;
        let mut out = FORM.begin(length);
        out.put_slice(self.pack.as_bytes());
        out.put_u64_le(targets.len() as u64);
        out.put_u64_le(self.records.len() as u64);
        for target in &targets {
            out.put_slice(target.as_bytes());
        }
        for record in &self.records {
            format::put_plain_key(&mut out, record.key);
            out.put_u64_le(record.size);
            out.put_u64_le(record.from.offset);
            out.put_u64_le(record.from.length);
            let (target, offset, length) =
                record.to.map_or((DROPPED, 0, 0), |place| (numbers[&place.pack], place.offset, place.length));
            out.put_u32_le(target);
            out.put_u64_le(offset);
            out.put_u64_le(length);
        }
        Form::seal(out)
    }

    /// Reads the file of `pack`.
    pub(crate) fn parse(pack: PackId, bytes: &[u8]) -> Result<Self, FormatError> {
        let mut rest = FORM.open(bytes)?;
        if get_pack(&mut rest) != pack {
            return Err(FormatError::OtherPack);
        }
        let (targets, records) = (rest.get_u64_le(), rest.get_u64_le());
        let length = |count: u64, each: usize| usize::try_from(count).ok()?.checked_mul(each);
        let lengths = length(targets, TARGET).zip(length(records, ENTRY));
        let expected = lengths.and_then(|(targets, records)| targets.checked_add(records));
        if expected != Some(rest.len()) {
            return Err(FormatError::Length);
        }
        let targets: Vec<PackId> = (0..targets).map(|_| get_pack(&mut rest)).collect();
        let mut found = Vec::with_capacity(rest.len() / ENTRY);
        while rest.has_remaining() {
            found.push(get_record(pack, &targets, &mut rest)?);
        }
        Ok(Self { pack, records: found })
    }
}

fn get_pack(bytes: &mut &[u8]) -> PackId {
    let mut digest = [0; TARGET];
    bytes.copy_to_slice(&mut digest);
    PackId::new(digest)
}

fn get_record(pack: PackId, targets: &[PackId], bytes: &mut &[u8]) -> Result<Forwarded, FormatError> {
    let key = format::get_plain_key(bytes)?;
    let size = bytes.get_u64_le();
    let from = Place { pack, offset: bytes.get_u64_le(), length: bytes.get_u64_le() };
    let (target, offset, length) = (bytes.get_u32_le(), bytes.get_u64_le(), bytes.get_u64_le());
    let to = match target {
        DROPPED => None,
        number => {
            let target = usize::try_from(number).ok().and_then(|number| targets.get(number));
            Some(Place { pack: *target.ok_or(FormatError::Length)?, offset, length })
        }
    };
    Ok(Forwarded { key, size, from, to })
}

#[cfg(test)]
mod tests {
    use musehub_core::{HashAlgorithm, ObjectId, ObjectKind};

    use super::*;

    fn sample() -> Forward {
        let pack = PackId::new([1; 32]);
        let record = |n: u8, to: Option<u8>| Forwarded {
            key: ObjectKey { kind: ObjectKind::Blob, id: ObjectId::new(HashAlgorithm::Sha256, [n; 32]) },
            size: u64::from(n) * 1_000,
            from: Place { pack, offset: u64::from(n), length: 100 },
            to: to.map(|to| Place { pack: PackId::new([to; 32]), offset: u64::from(n) << 40, length: 90 }),
        };
        Forward {
            pack,
            records: vec![record(1, Some(9)), record(2, Some(8)), record(3, None), record(4, Some(9))],
        }
    }

    #[test]
    fn a_forwarding_file_comes_back_and_any_flipped_bit_is_found() {
        let forward = sample();
        assert_eq!(forward.targets(), [PackId::new([9; 32]), PackId::new([8; 32])]);
        assert_eq!(forward.objects().len(), 3);
        let bytes = forward.write();
        assert_eq!(Forward::parse(forward.pack, &bytes), Ok(forward.clone()));
        assert_eq!(Forward::parse(PackId::new([2; 32]), &bytes), Err(FormatError::OtherPack));
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(Forward::parse(forward.pack, &damaged).is_err(), "byte {at}");
        }
        for length in 0..bytes.len() {
            assert!(Forward::parse(forward.pack, &bytes[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn a_forwarding_file_of_a_pack_without_records_is_one() {
        let empty = Forward { pack: PackId::new([1; 32]), records: Vec::new() };
        assert_eq!(Forward::parse(empty.pack, &empty.write()), Ok(empty));
    }
}
