//! Packs as clients of the generation `mpack` send and take them: the container `MUSE`, and the msgpack map that came
//! before it. Nothing here does I/O, and nothing that is read is believed before it is bounded.
//!
//! ```text
//! container   "MUSE"  u8 version = 1  u8 sections  table  sections  32 bytes SHA-256 of all above
//! table row   u8 type  u64 offset  u64 length
//! type 1      OBJECTS: "MUSE" u8 1  u64 count  count × (71 ASCII id, u64 length, bytes)  32 bytes SHA-256 of these
//! type 2…4    COMMITS, SNAPSHOTS, TAGS: u64 count  count × (u64 length, a msgpack map)
//! ```
//!
//! `docs/WIRE.md` says which of this is public knowledge and which is decided here. [`Reader`] takes both forms, in pieces of
//! any size; [`Contents`] writes the container. Ids are not recomputed here: that is for whoever knows the scheme.

mod container;
mod delta;
mod expand;
mod id;
mod input;
mod map;
mod reader;
mod record;
mod scan;
mod writer;

pub use delta::SnapshotDelta;
pub use expand::expand;
pub use id::MpackId;
pub use reader::{Counts, Item, Reader};
pub(crate) use writer::commit_ids_for;
pub use writer::{Contents, FOOTER_BYTES, ObjectsWriter, RecordSection, SectionKind, object_entry};

use crate::id::ObjectKind;

/// What a container begins with.
pub const MAGIC: [u8; 4] = *b"MUSE";

/// The version of the container and of its objects that this hub reads and writes.
pub const VERSION: u8 = 1;

/// What reading a pack may cost. Passing one of these is [`MpackError::TooLarge`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Bytes of one object, compressed or not.
    pub object: u64,
    /// Bytes of one record of a commit, snapshot or tag.
    pub record: u64,
    /// Bytes of all records together, and of all compressed objects together once they are not compressed any more.
    pub total: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { object: 256 << 20, record: 160 << 20, total: 1 << 30 }
    }
}

/// Why bytes are no pack, or none that is taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MpackError {
    /// The bytes break the layout.
    #[error("this is no pack: {0}")]
    Layout(String),
    /// The pack ends in the middle.
    #[error("the pack ends early")]
    Truncated,
    /// The checksum at the end is another one.
    #[error("the pack's checksum does not fit its bytes")]
    Checksum,
    /// A record is not what it should be.
    #[error("{what} {number} of the pack: {reason}")]
    Record {
        /// What it should be.
        what: &'static str,
        /// Its number, from 1.
        number: u64,
        /// What is wrong.
        reason: String,
    },
    /// More than is taken.
    #[error("{what} {size} bytes, at most {limit} are taken")]
    TooLarge {
        /// What is too large, with its verb.
        what: String,
        /// How large it is, as far as that is known.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A compressed object that does not expand to anything acceptable.
    #[error("object {id}: {reason}")]
    Compression {
        /// The object.
        id: String,
        /// What is wrong.
        reason: &'static str,
    },
}

impl MpackError {
    fn layout(reason: impl Into<String>) -> Self {
        Self::Layout(reason.into())
    }
}

/// What the records of a section are called in messages.
const fn word(kind: SectionKind) -> &'static str {
    match kind {
        SectionKind::Objects => ObjectKind::Blob.as_str(),
        SectionKind::Commits => ObjectKind::Commit.as_str(),
        SectionKind::Snapshots => ObjectKind::Snapshot.as_str(),
        SectionKind::Tags => "tag",
    }
}

#[cfg(test)]
mod tests;
