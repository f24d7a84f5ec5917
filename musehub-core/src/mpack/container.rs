//! Reads the container.

use std::collections::VecDeque;

use super::input::{Input, number};
use super::reader::{Common, Item};
use super::writer::{FOOTER_BYTES, ID_BYTES, ROW_BYTES, SectionKind};
use super::{MAGIC, MpackError, VERSION, record, word};
use crate::id::BlobId;

/// Objects up to this size are given whole.
const WHOLE: u64 = 1 << 20;

/// What the header has before its table.
const HEADER_BYTES: u64 = 6;
/// What OBJECTS begins with: magic, version, count.
const OBJECTS_HEADER_BYTES: u64 = 13;
/// What an object has in front of its bytes.
const ENTRY_BYTES: u64 = ID_BYTES as u64 + 8;

/// How far a container has been read.
#[derive(Debug, Default)]
pub(super) struct Container {
    state: State,
    sections: VecDeque<Section>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum State {
    #[default]
    Header,
    /// Between two sections.
    Between,
    /// In a section, with so many of its bytes and records left.
    Count(Section),
    Records(Section, u64),
    /// In the bytes of a large object.
    Large(Section, u64, u64),
    /// In a section that is passed over.
    Skip(u64),
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Section {
    /// None for a type that this hub does not know.
    kind: Option<SectionKind>,
    /// How many of its bytes are left.
    left: u64,
}

impl Section {
    /// Takes bytes off what is left.
    fn less(self, bytes: u64, what: &str) -> Result<Self, MpackError> {
        let left = self.left.checked_sub(bytes);
        let left = left.ok_or_else(|| MpackError::layout(format!("{what} goes beyond its section")))?;
        Ok(Self { left, ..self })
    }
}

impl Container {
    pub(super) fn has_ended(&self) -> bool {
        self.state == State::Ended
    }

    pub(super) fn next(
        &mut self,
        input: &mut Input,
        common: &mut Common,
    ) -> Result<Option<Item>, MpackError> {
        loop {
            let before = self.state;
            match self.state {
                State::Header => self.header(input)?,
                State::Between => self.between(input)?,
                State::Count(section) => self.count(section, input, common)?,
                State::Records(section, 0) => self.end_section(section, input)?,
                State::Records(section, left) => {
                    let item = match section.kind {
                        Some(SectionKind::Objects) => self.object(section, left, input, common)?,
                        Some(kind) => self.record(section, kind, left, input, common)?,
                        None => None,
                    };
                    if item.is_some() {
                        return Ok(item);
                    }
                }
                State::Large(section, bytes, left) => {
                    let Some(piece) = input.take_some(bytes.min(WHOLE)) else {
                        return Ok(None);
                    };
                    let bytes = bytes - piece.len() as u64;
                    self.state = if bytes == 0 {
                        State::Records(section, left)
                    } else {
                        State::Large(section, bytes, left)
                    };
                    return Ok(Some(Item::Piece(piece)));
                }
                State::Skip(0) => self.state = State::Between,
                State::Skip(left) => {
                    if let Some(skipped) = input.take_some(left) {
                        self.state = State::Skip(left - skipped.len() as u64);
                    }
                }
                State::Ended => return Ok(None),
            }
            if self.state == before {
                return Ok(None);
            }
        }
    }

    /// Magic, version and table: once all of it has come.
    fn header(&mut self, input: &mut Input) -> Result<(), MpackError> {
        let bytes = input.bytes();
        if !MAGIC.starts_with(&bytes[..bytes.len().min(MAGIC.len())]) {
            return Err(MpackError::layout("it begins with neither 'MUSE' nor a msgpack map"));
        }
        let Some(&[version, sections]) = bytes.get(4..6) else {
            return Ok(());
        };
        if version != VERSION {
            return Err(MpackError::layout(format!("its version is {version}; this hub reads {VERSION}")));
        }
        let length = HEADER_BYTES + u64::from(sections) * ROW_BYTES as u64;
        if let Some(header) = input.take(length) {
            self.sections = table(&header[HEADER_BYTES as usize..], length)?;
            self.state = State::Between;
        }
        Ok(())
    }

    fn between(&mut self, input: &mut Input) -> Result<(), MpackError> {
        match self.sections.pop_front() {
            Some(Section { kind: None, left }) => self.state = State::Skip(left),
            Some(Section { left: 0, .. }) => self.state = State::Skip(0),
            Some(section) => self.state = State::Count(section),
            None => {
                if input.bytes().len() < FOOTER_BYTES {
                    return Ok(());
                }
                let computed = input.digest();
                let footer = input.take(FOOTER_BYTES as u64).ok_or(MpackError::Truncated)?;
                if footer[..] != computed {
                    return Err(MpackError::Checksum);
                }
                self.state = State::Ended;
            }
        }
        Ok(())
    }

    /// The number of records that a section begins with.
    fn count(&mut self, section: Section, input: &mut Input, common: &mut Common) -> Result<(), MpackError> {
        let (begin, each, end) = match section.kind {
            Some(SectionKind::Objects) => (OBJECTS_HEADER_BYTES, ENTRY_BYTES, FOOTER_BYTES as u64),
            _ => (8, 9, 0),
        };
        if (input.bytes().len() as u64) < begin.min(section.left) {
            return Ok(());
        }
        let section = section.less(begin, "the count")?;
        if section.kind == Some(SectionKind::Objects) {
            let head = input.take(5).ok_or(MpackError::Truncated)?;
            if head[..4] != MAGIC || head[4] != VERSION {
                return Err(MpackError::layout("OBJECTS is no pack of version 1"));
            }
        }
        let most = section.left.saturating_sub(end) / each;
        let Some(count) = input.take_number(most, "the number of records of a section")? else {
            return Ok(());
        };
        let counts = &mut common.counts;
        match section.kind {
            Some(SectionKind::Objects) => counts.blobs += count,
            Some(SectionKind::Commits) => counts.commits += count,
            Some(SectionKind::Snapshots) => counts.snapshots += count,
            Some(SectionKind::Tags) => counts.tags += count,
            None => {}
        }
        self.state = State::Records(section, count);
        Ok(())
    }

    fn end_section(&mut self, section: Section, input: &mut Input) -> Result<(), MpackError> {
        // The checksum inside OBJECTS is covered by the container's own, so nothing more is learned from it.
        let end = if section.kind == Some(SectionKind::Objects) { FOOTER_BYTES as u64 } else { 0 };
        if section.left != end {
            return Err(MpackError::layout("a section is longer than its records"));
        }
        if input.take(end).is_some() {
            self.state = State::Between;
        }
        Ok(())
    }

    fn object(
        &mut self,
        section: Section,
        left: u64,
        input: &mut Input,
        common: &Common,
    ) -> Result<Option<Item>, MpackError> {
        let Some(head) = input.bytes().get(..ENTRY_BYTES as usize) else {
            return Ok(None);
        };
        let room = section.less(ENTRY_BYTES + FOOTER_BYTES as u64, "an object")?.left;
        let id = std::str::from_utf8(&head[..ID_BYTES]).ok().and_then(|text| BlobId::parse(text).ok());
        let id = id.ok_or_else(|| MpackError::Record {
            what: word(SectionKind::Objects),
            number: common.counts.blobs + 1 - left,
            reason: "its id is not 'sha256:' and 64 digits".to_owned(),
        })?;
        let size = number(&head[ID_BYTES..], room, "the length of an object")?;
        if size > common.limits.object {
            let what = format!("object {id} has");
            return Err(MpackError::TooLarge { what, size, limit: common.limits.object });
        }
        let section = section.less(ENTRY_BYTES + size, "an object")?;
        if size > WHOLE {
            input.take(ENTRY_BYTES);
            self.state = State::Large(section, size, left - 1);
            return Ok(Some(Item::LargeBlob { id, size }));
        }
        if (input.bytes().len() as u64) < ENTRY_BYTES + size {
            return Ok(None);
        }
        input.take(ENTRY_BYTES);
        let content = input.take(size).ok_or(MpackError::Truncated)?;
        self.state = State::Records(section, left - 1);
        Ok(Some(Item::Blob { id, content }))
    }

    fn record(
        &mut self,
        section: Section,
        kind: SectionKind,
        left: u64,
        input: &mut Input,
        common: &mut Common,
    ) -> Result<Option<Item>, MpackError> {
        let Some(head) = input.bytes().get(..8) else {
            return Ok(None);
        };
        let room = section.less(8, "a record")?.left;
        let size = number(head, room, "the length of a record")?;
        if size > common.limits.record {
            let what = format!("a {} of the pack has", word(kind));
            return Err(MpackError::TooLarge { what, size, limit: common.limits.record });
        }
        if (input.bytes().len() as u64) < 8 + size {
            return Ok(None);
        }
        input.take(8);
        let bytes = input.take(size).ok_or(MpackError::Truncated)?;
        common.spend(size)?;
        let counted = match kind {
            SectionKind::Objects => common.counts.blobs,
            SectionKind::Commits => common.counts.commits,
            SectionKind::Snapshots => common.counts.snapshots,
            SectionKind::Tags => common.counts.tags,
        };
        let item = record::decode(kind, &bytes, counted + 1 - left)?;
        self.state = State::Records(section.less(8 + size, "a record")?, left - 1);
        Ok(Some(item))
    }
}

/// Reads a number in one order of its bytes.
type ByteOrder = fn([u8; 8]) -> u64;

/// The sections of a table, in the order in which they lie, without a gap. Numbers of either byte order are taken, and offsets
/// from the beginning of the container or from the end of its table: only one reading leaves no gap.
fn table(rows: &[u8], header: u64) -> Result<VecDeque<Section>, MpackError> {
    let readings: [(ByteOrder, u64); 4] = [
        (u64::from_le_bytes, header),
        (u64::from_be_bytes, header),
        (u64::from_le_bytes, 0),
        (u64::from_be_bytes, 0),
    ];
    let mut found = readings.into_iter().filter_map(|(read, start)| contiguous(rows, read, start));
    let gaps =
        || MpackError::layout("its sections leave gaps, overlap, or begin elsewhere than after the table");
    found.next().ok_or_else(gaps)
}

fn contiguous(rows: &[u8], read: ByteOrder, start: u64) -> Option<VecDeque<Section>> {
    let mut sections = Vec::new();
    for row in rows.chunks_exact(ROW_BYTES) {
        let field = |from: usize| row[from..from + 8].try_into().ok().map(read);
        sections.push((field(1)?, field(9)?, row[0]));
    }
    sections.sort_by_key(|(offset, length, _)| (*offset, *length));
    let mut end = start;
    for (offset, length, _) in &sections {
        if *offset != end {
            return None;
        }
        end = end.checked_add(*length)?;
    }
    let known = |(_, left, number): (u64, u64, u8)| Section { kind: SectionKind::of(number), left };
    Some(sections.into_iter().map(known).collect())
}
