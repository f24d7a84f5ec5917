//! Reads a pack of either form.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::container::Container;
use super::input::Input;
use super::map::MapForm;
use super::{Limits, MAGIC, MpackError, MpackId, SnapshotDelta};
use crate::id::BlobId;
use crate::object::SnapshotRecord;

/// Something that a pack holds. Nothing of it is proven.
#[derive(Clone, Debug)]
pub enum Item {
    /// A whole object.
    Blob {
        /// The id it claims.
        id: BlobId,
        /// Its bytes.
        content: Bytes,
    },
    /// An object that comes in [pieces](Item::Piece), which follow until there are `size` bytes.
    LargeBlob {
        /// The id it claims.
        id: BlobId,
        /// How many bytes it has.
        size: u64,
    },
    /// The next bytes of a large object.
    Piece(Bytes),
    /// The record of a commit.
    Commit(Map<String, Value>),
    /// The record of a snapshot.
    Snapshot(SnapshotRecord),
    /// A snapshot, as what it changes of another one.
    Delta(SnapshotDelta),
    /// The record of a tag.
    Tag(Map<String, Value>),
}

/// How much of each a pack holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    /// Objects.
    pub blobs: u64,
    /// Commits.
    pub commits: u64,
    /// Snapshots, full or as deltas.
    pub snapshots: u64,
    /// Tags.
    pub tags: u64,
}

/// Reads a pack that comes in pieces: [`push`](Self::push) what has come, take what is complete with [`next`](Self::next),
/// and [`finish`](Self::finish) at the end.
///
/// In memory are what was pushed and not taken, and no more than one record.
///
/// ```
/// # use musehub_core::mpack::{Limits, Reader};
/// # let bytes = b"MUSE";
/// let mut reader = Reader::new(Limits::default());
/// reader.push(bytes);
/// while let Ok(Some(_)) = reader.next() {}
/// ```
pub struct Reader {
    input: Input,
    form: Form,
    common: Common,
}

/// What both forms share while they are read.
pub(super) struct Common {
    pub(super) limits: Limits,
    pub(super) counts: Counts,
    /// Bytes of records and of objects that were expanded, so far.
    total: u64,
}

impl Common {
    /// Counts bytes against the limit of all together.
    pub(super) fn spend(&mut self, bytes: u64) -> Result<(), MpackError> {
        self.total = self.total.saturating_add(bytes);
        if self.total > self.limits.total {
            let what = "the records of the pack have at least".to_owned();
            return Err(MpackError::TooLarge { what, size: self.total, limit: self.limits.total });
        }
        Ok(())
    }
}

enum Form {
    Unknown,
    Container(Container),
    Map(MapForm),
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("read", &self.input.taken()).finish_non_exhaustive()
    }
}

impl Reader {
    /// Begins a pack.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            input: Input::default(),
            form: Form::Unknown,
            common: Common { limits, counts: Counts::default(), total: 0 },
        }
    }

    /// Adds the next bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }

    /// The next thing that is complete; none where more bytes are needed, or where the pack has ended.
    ///
    /// # Errors
    /// [`MpackError`]; then nothing more can be read.
    #[expect(clippy::should_implement_trait, reason = "it fails, and none does not mean the end")]
    pub fn next(&mut self) -> Result<Option<Item>, MpackError> {
        loop {
            match &mut self.form {
                Form::Container(container) => return container.next(&mut self.input, &mut self.common),
                Form::Map(map) => return map.next(&mut self.input, &mut self.common),
                Form::Unknown => {
                    let begins = self.input.bytes();
                    match begins.first() {
                        None => return Ok(None),
                        // The magic's first byte is a small number in msgpack, never a map.
                        Some(first) if *first == MAGIC[0] => {
                            self.form = Form::Container(Container::default());
                        }
                        Some(_) => self.form = Form::Map(MapForm::default()),
                    }
                }
            }
        }
    }

    /// Ends the pack: its id, and how much it held.
    ///
    /// # Errors
    /// [`MpackError`] where it is not whole.
    pub fn finish(mut self) -> Result<(MpackId, Counts), MpackError> {
        if self.next()?.is_some() {
            return Err(MpackError::layout("something of it was left unread"));
        }
        let ended = match &self.form {
            Form::Unknown => false,
            Form::Container(container) => container.has_ended(),
            Form::Map(map) => map.has_ended(),
        };
        if !ended {
            return Err(MpackError::Truncated);
        }
        if !self.input.is_empty() {
            return Err(MpackError::layout("there is more after its end"));
        }
        Ok((MpackId::new(self.input.digest()), self.common.counts))
    }
}
