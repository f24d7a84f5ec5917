//! Reads the earlier form: one msgpack map with lists of commits, snapshots and objects.

use bytes::Bytes;

use super::input::Input;
use super::reader::{Common, Item};
use super::scan::Scanner;
use super::writer::SectionKind;
use super::{MpackError, record, word};

/// The longest key.
const MAX_KEY_BYTES: u64 = 1024;
/// What an object has beside its bytes, at most.
const OBJECT_MARGIN: u64 = 64 << 10;

/// How far a map has been read.
#[derive(Debug, Default)]
pub(super) struct MapForm {
    state: State,
    scanner: Scanner,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Header,
    /// Before a key, with so many left.
    Key(u64),
    /// Before the value of a key: a list of what is known, or anything.
    Value(u64, Option<SectionKind>),
    /// In a list, with so many left.
    Items(u64, SectionKind, u64),
    Ended,
}

impl MapForm {
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    pub(super) fn next(
        &mut self,
        input: &mut Input,
        common: &mut Common,
    ) -> Result<Option<Item>, MpackError> {
        loop {
            match self.state {
                State::Header => {
                    let Some(keys) = head(input, Collection::Map)? else {
                        return Ok(None);
                    };
                    self.state = State::Key(keys);
                }
                State::Key(0) => self.state = State::Ended,
                State::Key(keys) => {
                    let Some(key) = self.value(input, MAX_KEY_BYTES, "a key")? else {
                        return Ok(None);
                    };
                    self.state = State::Value(keys - 1, list_of(&record::text(&key)?));
                }
                State::Value(keys, None) => {
                    let limit = common.limits.record;
                    let Some(skipped) = self.value(input, limit, "a value")? else {
                        return Ok(None);
                    };
                    common.spend(skipped.len() as u64)?;
                    self.state = State::Key(keys);
                }
                State::Value(keys, Some(kind)) => {
                    let Some(items) = head(input, Collection::List)? else {
                        return Ok(None);
                    };
                    self.state = State::Items(keys, kind, items);
                }
                State::Items(keys, _, 0) => self.state = State::Key(keys),
                State::Items(keys, kind, left) => {
                    let limit = match kind {
                        SectionKind::Objects => common.limits.object.saturating_add(OBJECT_MARGIN),
                        _ => common.limits.record,
                    };
                    let Some(bytes) = self.value(input, limit, word(kind))? else {
                        return Ok(None);
                    };
                    self.state = State::Items(keys, kind, left - 1);
                    return item(kind, &bytes, common).map(Some);
                }
                State::Ended => return Ok(None),
            }
        }
    }

    /// The bytes of the next value, once all of them have come.
    fn value(&mut self, input: &mut Input, limit: u64, what: &str) -> Result<Option<Bytes>, MpackError> {
        let Some(length) = self.scanner.scan(input.bytes(), limit, what)? else {
            return Ok(None);
        };
        self.scanner = Scanner::default();
        Ok(input.take(length))
    }
}

fn item(kind: SectionKind, bytes: &Bytes, common: &mut Common) -> Result<Item, MpackError> {
    let count = match kind {
        SectionKind::Objects => &mut common.counts.blobs,
        SectionKind::Commits => &mut common.counts.commits,
        SectionKind::Snapshots => &mut common.counts.snapshots,
        SectionKind::Tags => &mut common.counts.tags,
    };
    *count += 1;
    let number = *count;
    if kind != SectionKind::Objects {
        common.spend(bytes.len() as u64)?;
        return record::decode(kind, bytes, number);
    }
    let (item, expanded) = record::decode_blob(bytes, number, common.limits.object)?;
    common.spend(expanded)?;
    Ok(item)
}

/// Which list a key names. What else there is (`meta`, `summary`) says nothing that the hub relies on.
fn list_of(key: &str) -> Option<SectionKind> {
    match key {
        "commits" => Some(SectionKind::Commits),
        "snapshots" => Some(SectionKind::Snapshots),
        "objects" | "blobs" => Some(SectionKind::Objects),
        "tags" => Some(SectionKind::Tags),
        _ => None,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Collection {
    Map,
    List,
}

/// How many entries a collection has whose head is next; nil counts for an empty list.
fn head(input: &mut Input, expected: Collection) -> Result<Option<u64>, MpackError> {
    let Some(first) = input.bytes().first().copied() else {
        return Ok(None);
    };
    let size = match (expected, first) {
        (Collection::Map, 0x80..=0x8f) | (Collection::List, 0x90..=0x9f) => {
            input.take(1);
            return Ok(Some(u64::from(first & 0x0f)));
        }
        (Collection::List, 0xc0) => {
            input.take(1);
            return Ok(Some(0));
        }
        (Collection::Map, 0xde) | (Collection::List, 0xdc) => 2,
        (Collection::Map, 0xdf) | (Collection::List, 0xdd) => 4,
        (Collection::Map, _) => {
            return Err(MpackError::layout("it begins with neither 'MUSE' nor a msgpack map"));
        }
        (Collection::List, _) => return Err(MpackError::layout("a list of its map is none")),
    };
    let Some(bytes) = input.take(1 + size) else {
        return Ok(None);
    };
    Ok(Some(bytes[1..].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte))))
}
