//! Segments: entries of the log that were folded into one file, all branches of a repository together. Specified in
//! `docs/STORAGE.md`.

use std::collections::HashMap;

use bytes::{Buf, BufMut, Bytes};
use musehub_core::port::RefLogEntry;
use musehub_core::{BranchName, RepoId};
use serde::{Deserialize, Serialize};

use crate::sealed::{CHECKSUM, Form, SealError};

const FORM: Form = Form { magic: *b"MHLS", version: 1, header: HEADER };
const HEADER: usize = 24;
/// The most bytes that a segment's text may have.
const MAX_TEXT: u64 = 1 << 30;
/// Text of this kind shrinks to a sixth at once; more effort gains little.
const LEVEL: i32 = 3;

/// Why bytes are no segment.
#[derive(Debug, thiserror::Error)]
pub(super) enum SegmentError {
    #[error(transparent)]
    Seal(#[from] SealError),
    #[error("its lengths do not fit together")]
    Length,
    #[error("its text is not that of a segment: {0}")]
    Text(String),
}

/// Entries that were folded together, and where every branch stood then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Segment {
    pub(super) repo_id: RepoId,
    /// Counts the segments of the repository from 1.
    pub(super) number: u64,
    /// The last folded move of every branch, whichever segment it is in, ordered by name.
    pub(super) heads: Vec<FoldedBranch>,
    /// The moves of this segment, in order of branch and number.
    pub(super) moves: Vec<RefLogEntry>,
}

/// How far a branch is folded.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct FoldedBranch {
    /// Its last folded move.
    pub(super) last: RefLogEntry,
    /// Which segments have its moves, oldest first.
    pub(super) stretches: Vec<Stretch>,
}

/// Moves of one branch that follow one another, in one segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Stretch {
    pub(super) segment: u64,
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Segment {
    /// The segment after `before`, with more moves, which are in order of branch and number and follow what is folded.
    pub(super) fn after(before: Option<&Self>, repo: &RepoId, moves: Vec<RefLogEntry>) -> Self {
        let number = before.map_or(1, |before| before.number + 1);
        let mut heads: HashMap<BranchName, FoldedBranch> = before
            .map(|before| before.heads.iter().map(|head| (head.last.branch.clone(), head.clone())).collect())
            .unwrap_or_default();
        for entry in &moves {
            let head = heads
                .entry(entry.branch.clone())
                .or_insert_with(|| FoldedBranch { last: entry.clone(), stretches: Vec::new() });
            head.last = entry.clone();
            match head.stretches.last_mut() {
                Some(stretch) if stretch.segment == number => stretch.last = entry.sequence,
                _ => head.stretches.push(Stretch {
                    segment: number,
                    first: entry.sequence,
                    last: entry.sequence,
                }),
            }
        }
        let mut heads: Vec<FoldedBranch> = heads.into_values().collect();
        heads.sort_unstable_by(|a, b| a.last.branch.as_str().cmp(b.last.branch.as_str()));
        Self { repo_id: repo.clone(), number, heads, moves }
    }

    /// The number of the last folded move of each branch.
    pub(super) fn folded(&self) -> HashMap<BranchName, u64> {
        self.heads.iter().map(|head| (head.last.branch.clone(), head.last.sequence)).collect()
    }

    pub(super) fn head(&self, branch: &BranchName) -> Option<&FoldedBranch> {
        self.heads.iter().find(|head| head.last.branch == *branch)
    }

    /// The bytes of the file.
    pub(super) fn write(&self) -> Result<Bytes, SegmentError> {
        let text = serde_json::to_vec(self).map_err(|error| SegmentError::Text(error.to_string()))?;
        if text.len() as u64 > MAX_TEXT {
            return Err(SegmentError::Length);
        }
        let packed =
            zstd::bulk::compress(&text, LEVEL).map_err(|error| SegmentError::Text(error.to_string()))?;
        let mut out = FORM.begin(HEADER + packed.len() + CHECKSUM);
        out.put_u64_le(text.len() as u64);
        out.put_u64_le(packed.len() as u64);
        out.put_slice(&packed);
        Ok(Form::seal(out))
    }

    /// Reads a file.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, SegmentError> {
        let mut rest = FORM.open(bytes)?;
        let (length, packed) = (rest.get_u64_le(), rest.get_u64_le());
        if packed != rest.len() as u64 || length > MAX_TEXT {
            return Err(SegmentError::Length);
        }
        let text = zstd::bulk::decompress(rest, length as usize)
            .map_err(|error| SegmentError::Text(error.to_string()))?;
        if text.len() as u64 != length {
            return Err(SegmentError::Length);
        }
        serde_json::from_slice(&text).map_err(|error| SegmentError::Text(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use musehub_core::port::Timestamp;
    use musehub_core::{CommitId, Handle, HashAlgorithm};

    use super::*;

    fn entry(branch: &str, sequence: u64) -> RefLogEntry {
        let commit = |n: u64| CommitId::new(HashAlgorithm::Sha256, [n as u8; 32]);
        RefLogEntry {
            repo_id: RepoId::parse("00000000-0000-4000-8000-000000000001").unwrap(),
            branch: BranchName::parse(branch).unwrap(),
            sequence,
            old: (sequence > 1).then(|| commit(sequence - 1)),
            new: Some(commit(sequence)),
            forced: false,
            pusher: Handle::parse("pusher").unwrap(),
            at: Timestamp::from_millis(7),
            packs: Vec::new(),
            borrowed: Vec::new(),
        }
    }

    #[test]
    fn segments_follow_one_another_and_know_where_every_move_is() {
        let repo = entry("main", 1).repo_id;
        let first = Segment::after(None, &repo, vec![entry("a", 1), entry("main", 1), entry("main", 2)]);
        let second = Segment::after(Some(&first), &repo, vec![entry("b", 1), entry("main", 3)]);
        assert_eq!((first.number, second.number), (1, 2));
        let stretch = |segment, first, last| Stretch { segment, first, last };
        let main = BranchName::parse("main").unwrap();
        assert_eq!(second.head(&main).unwrap().stretches, [stretch(1, 1, 2), stretch(2, 3, 3)]);
        assert_eq!(second.head(&main).unwrap().last, entry("main", 3));
        assert_eq!(second.folded().len(), 3);
        assert_eq!(second.moves.len(), 2, "a segment has its own moves only");
    }

    #[test]
    fn a_segment_comes_back_and_any_flipped_bit_is_found() {
        let segment =
            Segment::after(None, &entry("main", 1).repo_id, (1..20).map(|n| entry("main", n)).collect());
        let bytes = segment.write().unwrap();
        assert_eq!(Segment::parse(&bytes).unwrap(), segment);
        for at in 0..bytes.len() {
            let mut damaged = bytes.to_vec();
            damaged[at] ^= 1;
            assert!(Segment::parse(&damaged).is_err(), "byte {at}");
        }
        for length in 0..bytes.len() {
            assert!(Segment::parse(&bytes[..length]).is_err(), "{length} bytes");
        }
    }
}
