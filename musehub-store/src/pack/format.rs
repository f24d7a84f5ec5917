//! The bytes of packs and of their index files, version 1; `docs/STORAGE.md` specifies them.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use musehub_core::canonical;
use musehub_core::port::{PackId, PackedObject, Place};
use musehub_core::{HashAlgorithm, ObjectId, ObjectKey, ObjectKind};

use super::compress::{Effort, MAX_COMPRESSED, compress, decompress};
use crate::sealed::{CHECKSUM, Form, SealError};

const VERSION: u8 = 1;
const PACK: Form = Form { magic: *b"MHPK", version: VERSION, header: PACK_HEADER as usize };
const INDEX: Form = Form { magic: *b"MHIX", version: VERSION, header: INDEX_HEADER };

/// Length of a pack's header: magic, version, effort, variant.
pub(crate) const PACK_HEADER: u64 = 8;
/// Length of a pack's footer: number of records, BLAKE3 of everything before the footer.
pub(crate) const PACK_FOOTER: u64 = 40;
/// Length of a record's header: kind, encoding, algorithm, zero, digest, stored length, canonical length.
pub(crate) const RECORD_HEADER: u64 = 52;
/// Length of a record's trailer: BLAKE3 of the record's header and stored bytes.
pub(crate) const RECORD_TRAILER: u64 = 32;
/// What a record adds to the bytes it stores.
pub(crate) const RECORD_FRAMING: u64 = RECORD_HEADER + RECORD_TRAILER;

const INDEX_HEADER: usize = 56;
const INDEX_ENTRY: usize = 60;

/// Why bytes are no pack, record or index.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum FormatError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("it has an encoding, a kind or an algorithm that this hub does not know")]
    Unknown,
    #[error("it is of another pack")]
    OtherPack,
    #[error("its lengths do not fit together")]
    Length,
    #[error("its compressed bytes are not those of an object of its length")]
    Compression,
    #[error("its record is of {found}, not of {expected}")]
    OtherObject { expected: ObjectKey, found: ObjectKey },
    #[error(transparent)]
    Canonical(#[from] canonical::CanonicalError),
}

/// How a record stores canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Encoding {
    /// As they are.
    Raw,
    /// As one frame of zstd, shorter than they are.
    Zstd,
}

impl Encoding {
    const fn byte(self) -> u8 {
        match self {
            Self::Raw => 0,
            Self::Zstd => 1,
        }
    }

    const fn of_byte(byte: u8) -> Result<Self, FormatError> {
        match byte {
            0 => Ok(Self::Raw),
            1 => Ok(Self::Zstd),
            _ => Err(FormatError::Unknown),
        }
    }

    /// The encoding of a record of this length, of an object whose payload has `size` bytes: compressed ones are shorter.
    fn of_object(object: &PackedObject) -> Self {
        let canonical = canonical_length(object.key.kind, object.size);
        if canonical.checked_add(RECORD_FRAMING) == Some(object.place.length) {
            Self::Raw
        } else {
            Self::Zstd
        }
    }
}

/// What stands before the bytes that a record stores.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct RecordHeader {
    pub(crate) key: ObjectKey,
    pub(crate) encoding: Encoding,
    /// How many bytes the record stores.
    pub(crate) stored: u64,
    /// How many canonical bytes they stand for.
    pub(crate) canonical: u64,
}

impl RecordHeader {
    /// That of a record which stores `length` canonical bytes as they are.
    pub(crate) const fn raw(key: ObjectKey, length: u64) -> Self {
        Self { key, encoding: Encoding::Raw, stored: length, canonical: length }
    }

    pub(crate) fn bytes(&self) -> Bytes {
        let mut header = BytesMut::with_capacity(RECORD_HEADER as usize);
        put_key(&mut header, self.key, self.encoding);
        header.put_u64_le(self.stored);
        header.put_u64_le(self.canonical);
        header.freeze()
    }
}

/// The length of the canonical bytes of an object whose payload has `size` bytes.
pub(crate) fn canonical_length(kind: ObjectKind, size: u64) -> u64 {
    size.saturating_add(canonical::header(kind, size).len() as u64)
}

/// The size of the payload of an object whose canonical bytes have this length; none where there is no such object.
pub(crate) fn payload_size(kind: ObjectKind, canonical: u64) -> Option<u64> {
    // The kind, a space, the size in decimal digits, a zero byte.
    let rest = canonical.checked_sub(kind.as_str().len() as u64 + 2)?;
    (1..=20)
        .filter_map(|digits| rest.checked_sub(digits))
        .find(|size| canonical_length(kind, *size) == canonical)
}

/// The header of a pack whose records were compressed with an effort. `variant` tells packs of the same records apart, where
/// the name of one is no longer to be used.
pub(crate) fn pack_header(effort: Effort, variant: u16) -> [u8; PACK_HEADER as usize] {
    let mut header = [0; PACK_HEADER as usize];
    header[..4].copy_from_slice(&PACK.magic);
    header[4] = PACK.version;
    header[5] = match effort {
        Effort::Push => 0,
        Effort::Repack => 1,
    };
    header[6..].copy_from_slice(&variant.to_le_bytes());
    header
}

/// Reads the header of a pack: how hard its records were compressed.
pub(crate) fn parse_pack_header(header: &[u8]) -> Result<Effort, FormatError> {
    PACK.check_opening(header)?;
    match header[5] {
        0 => Ok(Effort::Push),
        1 => Ok(Effort::Repack),
        _ => Err(FormatError::Unknown),
    }
}

/// The footer of a pack: `hash` has seen every byte before it.
pub(crate) fn pack_footer(records: u64, hash: &blake3::Hasher) -> Bytes {
    let mut footer = BytesMut::with_capacity(PACK_FOOTER as usize);
    footer.put_u64_le(records);
    footer.put_slice(hash.finalize().as_bytes());
    footer.freeze()
}

/// Reads the footer of a pack, whose `hash` has seen every byte before it: how many records the pack has.
pub(crate) fn parse_pack_footer(footer: &[u8], hash: &blake3::Hasher) -> Result<u64, FormatError> {
    let mut rest = footer;
    if rest.len() as u64 != PACK_FOOTER {
        return Err(SealError::Truncated.into());
    }
    let records = rest.get_u64_le();
    if rest == hash.finalize().as_bytes() { Ok(records) } else { Err(SealError::Checksum.into()) }
}

fn put_key(out: &mut BytesMut, key: ObjectKey, encoding: Encoding) {
    out.put_u8(match key.kind {
        ObjectKind::Blob => 1,
        ObjectKind::Snapshot => 2,
        ObjectKind::Commit => 3,
    });
    out.put_u8(encoding.byte());
    out.put_u8(match key.id.algorithm() {
        HashAlgorithm::Sha256 => 1,
        HashAlgorithm::Blake3 => 2,
    });
    out.put_u8(0);
    out.put_slice(key.id.digest());
}

/// A key without an encoding.
pub(crate) fn put_plain_key(out: &mut BytesMut, key: ObjectKey) {
    put_key(out, key, Encoding::Raw);
}

pub(crate) fn get_plain_key(bytes: &mut impl Buf) -> Result<ObjectKey, FormatError> {
    match get_key(bytes)? {
        (key, Encoding::Raw) => Ok(key),
        (_, Encoding::Zstd) => Err(FormatError::Unknown),
    }
}

fn get_key(bytes: &mut impl Buf) -> Result<(ObjectKey, Encoding), FormatError> {
    let (kind, encoding, algorithm, zero) = (bytes.get_u8(), bytes.get_u8(), bytes.get_u8(), bytes.get_u8());
    let mut digest = [0; 32];
    bytes.copy_to_slice(&mut digest);
    let kind = match kind {
        1 => ObjectKind::Blob,
        2 => ObjectKind::Snapshot,
        3 => ObjectKind::Commit,
        _ => return Err(FormatError::Unknown),
    };
    let algorithm = match algorithm {
        1 => HashAlgorithm::Sha256,
        2 => HashAlgorithm::Blake3,
        _ => return Err(FormatError::Unknown),
    };
    if zero != 0 {
        return Err(FormatError::Unknown);
    }
    Ok((ObjectKey { kind, id: ObjectId::new(algorithm, digest) }, Encoding::of_byte(encoding)?))
}

/// Reads a record's header: whose it is and how many bytes it stores.
pub(crate) fn parse_record_header(header: &[u8]) -> Result<RecordHeader, FormatError> {
    let mut bytes = header.get(..RECORD_HEADER as usize).ok_or(SealError::Truncated)?;
    let (key, encoding) = get_key(&mut bytes)?;
    let (stored, canonical) = (bytes.get_u64_le(), bytes.get_u64_le());
    let fits = match encoding {
        Encoding::Raw => stored == canonical,
        Encoding::Zstd => stored < canonical && canonical <= MAX_COMPRESSED,
    };
    if fits { Ok(RecordHeader { key, encoding, stored, canonical }) } else { Err(FormatError::Length) }
}

/// The record of an object that stores its canonical bytes as they are.
pub(crate) fn raw_record(key: ObjectKey, canonical: &[u8]) -> Bytes {
    record(RecordHeader::raw(key, canonical.len() as u64), canonical)
}

/// The record of an object that stores its canonical bytes compressed; none where that is not worth it.
pub(crate) fn compressed_record(key: ObjectKey, canonical: &[u8], effort: Effort) -> Option<Bytes> {
    let stored = compress(canonical, effort)?;
    let (length, canonical) = (stored.len() as u64, canonical.len() as u64);
    Some(record(RecordHeader { key, encoding: Encoding::Zstd, stored: length, canonical }, &stored))
}

fn record(header: RecordHeader, stored: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(stored.len() + RECORD_FRAMING as usize);
    out.put_slice(&header.bytes());
    out.put_slice(stored);
    let checksum = blake3::hash(&out);
    out.put_slice(checksum.as_bytes());
    out.freeze()
}

/// Takes a whole record apart: whose it is, and its canonical bytes, proven by the checksum.
pub(crate) fn parse_record(record: &Bytes) -> Result<(ObjectKey, Bytes), FormatError> {
    let header = parse_record_header(record)?;
    if record.len() as u64 != header.stored.saturating_add(RECORD_FRAMING) {
        return Err(FormatError::Length);
    }
    let (body, checksum) = record.split_at(record.len() - RECORD_TRAILER as usize);
    if blake3::hash(body).as_bytes() != checksum {
        return Err(SealError::Checksum.into());
    }
    let stored = record.slice(RECORD_HEADER as usize..body.len());
    let canonical = match header.encoding {
        Encoding::Raw => stored,
        Encoding::Zstd => decompress(&stored, header.canonical)?,
    };
    let (kind, _) = canonical::decode(&canonical)?;
    if kind != header.key.kind {
        return Err(FormatError::Unknown);
    }
    Ok((header.key, canonical))
}

/// The index file of a pack.
pub(crate) fn write_index(pack: PackId, pack_length: u64, objects: &[PackedObject]) -> Bytes {
    let mut out = INDEX.begin(INDEX_HEADER + objects.len() * INDEX_ENTRY + CHECKSUM);
    out.put_slice(pack.as_bytes());
    out.put_u64_le(pack_length);
    out.put_u64_le(objects.len() as u64);
    for object in objects {
        put_key(&mut out, object.key, Encoding::of_object(object));
        out.put_u64_le(object.place.offset);
        out.put_u64_le(object.place.length);
        out.put_u64_le(object.size);
    }
    Form::seal(out)
}

/// Reads an index file: the pack it is of, that pack's length, and what it holds.
pub(crate) fn parse_index(bytes: &[u8]) -> Result<(PackId, u64, Vec<PackedObject>), FormatError> {
    let mut rest = INDEX.open(bytes)?;
    let mut digest = [0; 32];
    rest.copy_to_slice(&mut digest);
    let (pack, pack_length, count) = (PackId::new(digest), rest.get_u64_le(), rest.get_u64_le());
    if !rest.len().is_multiple_of(INDEX_ENTRY) || (rest.len() / INDEX_ENTRY) as u64 != count {
        return Err(FormatError::Length);
    }
    let mut objects = Vec::with_capacity(rest.len() / INDEX_ENTRY);
    // Records follow one another without a gap.
    let mut next = PACK_HEADER;
    while rest.has_remaining() {
        let (key, encoding) = get_key(&mut rest)?;
        let place = Place { pack, offset: rest.get_u64_le(), length: rest.get_u64_le() };
        let size = rest.get_u64_le();
        let end = place.offset.checked_add(place.length).ok_or(FormatError::Length)?;
        if place.offset != next || place.length < RECORD_FRAMING || end > pack_length {
            return Err(FormatError::Length);
        }
        next = end;
        let object = PackedObject { key, place, size };
        check_encoding(&object, encoding)?;
        objects.push(object);
    }
    Ok((pack, pack_length, objects))
}

/// Refuses an entry whose lengths are not those of its encoding.
fn check_encoding(object: &PackedObject, encoding: Encoding) -> Result<(), FormatError> {
    let canonical = canonical_length(object.key.kind, object.size);
    let stored = object.place.length - RECORD_FRAMING;
    let fits = match encoding {
        Encoding::Raw => stored == canonical,
        Encoding::Zstd => stored < canonical && canonical <= MAX_COMPRESSED,
    };
    if fits { Ok(()) } else { Err(FormatError::Length) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record_of(canonical: &[u8]) -> (ObjectKey, Bytes) {
        let key = ObjectKey { kind: ObjectKind::Blob, id: ObjectId::new(HashAlgorithm::Sha256, [9; 32]) };
        let compressed = compressed_record(key, canonical, Effort::Push);
        (key, compressed.unwrap_or_else(|| raw_record(key, canonical)))
    }

    fn sample() -> (ObjectKey, Bytes) {
        record_of(b"blob 2\0hi")
    }

    fn compressible() -> Vec<u8> {
        canonical::encode(ObjectKind::Blob, &b"the same again ".repeat(40))
    }

    #[test]
    fn the_length_of_canonical_bytes_says_the_size_of_the_payload() {
        for kind in [ObjectKind::Blob, ObjectKind::Snapshot, ObjectKind::Commit] {
            for size in (0..1_200).chain([99_999, 100_000, u64::from(u32::MAX)]) {
                assert_eq!(payload_size(kind, canonical_length(kind, size)), Some(size));
            }
            assert_eq!(
                payload_size(kind, canonical_length(kind, 9) + 1),
                None,
                "a size of ten has one digit more"
            );
            assert_eq!(payload_size(kind, 3), None);
        }
    }

    #[test]
    fn a_record_comes_back_and_any_flipped_bit_is_found() {
        for canonical in [b"blob 2\0hi".to_vec(), compressible()] {
            let (key, record) = record_of(&canonical);
            assert_eq!(parse_record(&record).unwrap(), (key, Bytes::from(canonical)));
            for at in 0..record.len() {
                let mut damaged = record.to_vec();
                damaged[at] ^= 1;
                assert!(parse_record(&damaged.into()).is_err(), "byte {at}");
            }
            for length in 0..record.len() {
                assert!(parse_record(&record.slice(..length)).is_err(), "{length} bytes");
            }
        }
    }

    #[test]
    fn a_compressed_record_that_lies_with_a_right_checksum_is_refused() {
        let canonical = compressible();
        let (key, whole) = record_of(&canonical);
        let header = parse_record_header(&whole).unwrap();
        assert_eq!(header.encoding, Encoding::Zstd);
        let stored = &whole[RECORD_HEADER as usize..whole.len() - RECORD_TRAILER as usize];
        let forged = |header: RecordHeader, stored: &[u8]| parse_record(&record(header, stored));
        assert_eq!(forged(header, stored), Ok((key, Bytes::from(canonical.clone()))));
        for canonical in
            [header.canonical - 1, header.canonical + 1, header.stored, MAX_COMPRESSED + 1, u64::MAX]
        {
            let lie = forged(RecordHeader { canonical, ..header }, stored);
            assert!(matches!(lie, Err(FormatError::Length | FormatError::Compression)), "{lie:?}");
        }
        let raw = RecordHeader { encoding: Encoding::Raw, canonical: header.stored, ..header };
        assert!(forged(raw, stored).is_err(), "compressed bytes are no canonical bytes");
        let commit = ObjectKey { kind: ObjectKind::Commit, ..key };
        assert_eq!(forged(RecordHeader { key: commit, ..header }, stored), Err(FormatError::Unknown));
    }

    #[test]
    fn an_index_with_a_gap_an_overlap_or_an_end_beyond_its_pack_is_refused() {
        let (key, record) = sample();
        let pack = PackId::new([3; 32]);
        let length = record.len() as u64;
        let index = |offsets: [u64; 2], pack_length| {
            let objects =
                offsets.map(|offset| PackedObject { key, place: Place { pack, offset, length }, size: 2 });
            parse_index(&write_index(pack, pack_length, &objects)).map(|_| ())
        };
        let (first, second) = (PACK_HEADER, PACK_HEADER + length);
        assert_eq!(index([first, second], second + length), Ok(()));
        for (offsets, pack_length) in [
            ([first, second], second + length - 1),
            ([first, second + 1], 1000),
            ([first, second - 1], 1000),
            ([first, first], 1000),
            ([second, first], 1000),
            ([0, second], 1000),
            ([first, u64::MAX], u64::MAX),
        ] {
            assert_eq!(index(offsets, pack_length), Err(FormatError::Length), "{offsets:?}");
        }
    }

    #[test]
    fn an_index_comes_back_and_any_flipped_bit_is_found() {
        let (key, record) = sample();
        let pack = PackId::new([3; 32]);
        let place = Place { pack, offset: PACK_HEADER, length: record.len() as u64 };
        let objects = vec![PackedObject { key, place, size: 2 }];
        let index = write_index(pack, 1000, &objects);
        assert_eq!(parse_index(&index), Ok((pack, 1000, objects)));
        for at in 0..index.len() {
            let mut damaged = index.to_vec();
            damaged[at] ^= 1;
            assert!(parse_index(&damaged).is_err(), "byte {at}");
        }
        for length in 0..index.len() {
            assert!(parse_index(&index[..length]).is_err(), "{length} bytes");
        }
    }
}
