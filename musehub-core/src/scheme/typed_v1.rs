//! `typed-v1`: the ids of Muse clients from late May 2026 on, SHA-256 over texts joined by NUL behind a header
//! `<kind> <size>\0`.
//!
//! | object | hashed behind the header |
//! |---|---|
//! | blob | the bytes |
//! | snapshot | `path NUL blob id` of every entry, sorted by path, joined by NUL; then the recorded directories |
//! | commit | parents sorted and joined by NUL, snapshot id, message, time, author, signer's public key: these six joined by NUL |
//!
//! What a blob's id covers is published with a vector. Of the other two not every byte is public: how directories are
//! marked, whether a manifest's ids enter with their prefix, which kind the header of a commit names. So there are
//! [forms](SnapshotForm::all), tried in order; the first is what the hub itself writes. No two different contents have one
//! payload, whatever the forms: a NUL inside a text is refused, and so are directories that a form could not tell from an
//! entry.

use super::FormulaError;
use crate::canonical;
use crate::hash::Hasher;
use crate::id::{BlobId, CommitId, HashAlgorithm, ObjectId, ObjectKind, SnapshotId};

const ALGORITHM: HashAlgorithm = HashAlgorithm::Sha256;
const NUL: &[u8] = b"\0";
/// What marks a directory.
const MARKER: &str = "dir";

/// The id of a file's bytes.
#[must_use]
pub fn blob_id(bytes: &[u8]) -> BlobId {
    super::typed_v2::blob_id(ALGORITHM, bytes)
}

/// How ids are written into a snapshot's payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum IdText {
    /// 64 digits.
    Bare,
    /// 64 digits behind `sha256:`, as the client's manifests have them.
    Prefixed,
}

/// How directories follow a snapshot's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Directories {
    /// `dir NUL path` for each.
    EachBehind,
    /// `path NUL dir` for each.
    EachBefore,
    /// `dir` once, then all paths.
    MarkedOnce,
}

/// A way in which clients may compute a snapshot's id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotForm {
    ids: IdText,
    directories: Directories,
}

impl SnapshotForm {
    /// What the hub itself writes.
    pub const OWN: Self = Self { ids: IdText::Bare, directories: Directories::EachBehind };

    /// Every form, the likeliest first.
    pub fn all() -> impl Iterator<Item = Self> {
        use Directories::{EachBefore, EachBehind, MarkedOnce};
        let of = |ids| [EachBehind, EachBefore, MarkedOnce].map(|directories| Self { ids, directories });
        of(IdText::Bare).into_iter().chain(of(IdText::Prefixed))
    }

    /// The forms that can differ for a snapshot with or without directories.
    fn distinct(directories: bool) -> impl Iterator<Item = Self> {
        Self::all().filter(move |form| directories || form.directories == Directories::EachBehind)
    }

    /// Whether the form tells a directory of this path from an entry and from another form's directories.
    fn can_say(self, directory: &str) -> bool {
        match self.directories {
            Directories::EachBefore => true,
            Directories::EachBehind => ObjectId::parse(directory).is_err(),
            Directories::MarkedOnce => directory != MARKER && ObjectId::parse(directory).is_err(),
        }
    }
}

/// A way in which clients may compute a commit's id: the kind that its header names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CommitForm {
    /// `commit <size>\0`.
    Commit,
    /// `blob <size>\0`: the client's function for blobs, applied to the joined texts.
    Blob,
}

impl CommitForm {
    /// What the hub itself writes.
    pub const OWN: Self = Self::Commit;
    /// Every form, the likeliest first.
    pub const ALL: [Self; 2] = [Self::Commit, Self::Blob];

    const fn kind(self) -> ObjectKind {
        match self {
            Self::Commit => ObjectKind::Commit,
            Self::Blob => ObjectKind::Blob,
        }
    }
}

/// What of a snapshot enters its id. Both lists are sorted and name nothing twice.
#[derive(Clone, Copy, Debug)]
pub struct SnapshotFields<'a> {
    /// Paths and their blobs.
    pub entries: &'a [(&'a str, &'a BlobId)],
    /// The directories that are recorded.
    pub directories: &'a [&'a str],
}

impl SnapshotFields<'_> {
    /// The id under one form.
    ///
    /// # Errors
    /// [`FormulaError::Unsorted`], [`FormulaError::Nul`], [`FormulaError::ForeignAlgorithm`] where a blob's id is not of
    /// SHA-256, and [`FormulaError::Unmarked`] where the form cannot say a directory.
    pub fn id(&self, form: SnapshotForm) -> Result<SnapshotId, FormulaError> {
        self.check()?;
        if !self.directories.iter().all(|directory| form.can_say(directory)) {
            return Err(FormulaError::Unmarked);
        }
        let mut size = 0;
        self.write(form, &mut |bytes| size += bytes.len() as u64);
        let mut hasher = Hasher::new(ALGORITHM);
        hasher.update(&canonical::header(ObjectKind::Snapshot, size));
        self.write(form, &mut |bytes| hasher.update(bytes));
        Ok(SnapshotId::new(ALGORITHM, hasher.finish()))
    }

    /// The first form that gives `id`.
    ///
    /// # Errors
    /// As [`id`](Self::id), except for directories that a form cannot say: then it is not that form.
    pub fn form_of(&self, id: &SnapshotId) -> Result<Option<SnapshotForm>, FormulaError> {
        require_own_algorithm(id.object_id())?;
        for form in SnapshotForm::distinct(!self.directories.is_empty()) {
            match self.id(form) {
                Ok(computed) if computed == *id => return Ok(Some(form)),
                Ok(_) | Err(FormulaError::Unmarked) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    fn check(&self) -> Result<(), FormulaError> {
        let paths = || self.entries.iter().map(|(path, _)| *path);
        if !paths().is_sorted_by(|a, b| a < b) || !self.directories.is_sorted_by(|a, b| a < b) {
            return Err(FormulaError::Unsorted);
        }
        if paths().chain(self.directories.iter().copied()).any(|path| path.contains('\0')) {
            return Err(FormulaError::Nul);
        }
        self.entries.iter().try_for_each(|(_, blob)| require_own_algorithm(blob.object_id()))
    }

    fn write(&self, form: SnapshotForm, out: &mut dyn FnMut(&[u8])) {
        let mut first = true;
        let mut text = |bytes: &[u8]| {
            if !std::mem::take(&mut first) {
                out(NUL);
            }
            out(bytes);
        };
        for (path, blob) in self.entries {
            text(path.as_bytes());
            match form.ids {
                IdText::Bare => text(&digits(blob.object_id())),
                IdText::Prefixed => text(blob.to_string().as_bytes()),
            }
        }
        let marker = MARKER.as_bytes();
        for (at, directory) in self.directories.iter().enumerate() {
            match form.directories {
                Directories::EachBehind => [marker, directory.as_bytes()].map(&mut text),
                Directories::EachBefore => [directory.as_bytes(), marker].map(&mut text),
                Directories::MarkedOnce if at == 0 => [marker, directory.as_bytes()].map(&mut text),
                Directories::MarkedOnce => {
                    text(directory.as_bytes());
                    continue;
                }
            };
        }
    }
}

/// What of a commit enters its id.
#[derive(Clone, Copy, Debug)]
pub struct CommitFields<'a> {
    /// Its parents; their order does not matter.
    pub parents: &'a [CommitId],
    /// Its snapshot.
    pub snapshot: &'a SnapshotId,
    /// Its message.
    pub message: &'a str,
    /// Its time, as the client sent it.
    pub committed_at: &'a str,
    /// Its author; empty where the client names none.
    pub author: &'a str,
    /// The public key that it is signed with; empty where it is not.
    pub signer_public_key: &'a str,
}

impl CommitFields<'_> {
    /// The id under one form.
    ///
    /// # Errors
    /// [`FormulaError::Nul`] where a text holds a NUL, [`FormulaError::ForeignAlgorithm`] where one of the ids is not of
    /// SHA-256.
    pub fn id(&self, form: CommitForm) -> Result<CommitId, FormulaError> {
        let payload = self.payload()?;
        let mut hasher = Hasher::new(ALGORITHM);
        hasher.update(&canonical::header(form.kind(), payload.len() as u64));
        hasher.update(&payload);
        Ok(CommitId::new(ALGORITHM, hasher.finish()))
    }

    /// The first form that gives `id`.
    ///
    /// # Errors
    /// As [`id`](Self::id).
    pub fn form_of(&self, id: &CommitId) -> Result<Option<CommitForm>, FormulaError> {
        require_own_algorithm(id.object_id())?;
        for form in CommitForm::ALL {
            if self.id(form)? == *id {
                return Ok(Some(form));
            }
        }
        Ok(None)
    }

    fn payload(&self) -> Result<Vec<u8>, FormulaError> {
        let texts = [self.message, self.committed_at, self.author, self.signer_public_key];
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(FormulaError::Nul);
        }
        let ids = self.parents.iter().map(CommitId::object_id);
        ids.chain([self.snapshot.object_id()]).try_for_each(require_own_algorithm)?;
        // Digests sort as their digits do.
        let mut parents = self.parents.to_vec();
        parents.sort_unstable();
        let parents: Vec<String> = parents.iter().map(CommitId::to_hex).collect();
        let (parents, snapshot) = (parents.join("\0"), self.snapshot.to_hex());
        let [message, time, author, key] = texts;
        Ok([&*parents, &*snapshot, message, time, author, key].join("\0").into_bytes())
    }
}

fn require_own_algorithm(id: ObjectId) -> Result<(), FormulaError> {
    if id.algorithm() == ALGORITHM { Ok(()) } else { Err(FormulaError::ForeignAlgorithm) }
}

fn digits(id: ObjectId) -> [u8; 64] {
    let mut digits = [0; 64];
    hex::encode_to_slice(id.digest(), &mut digits).expect("32 bytes are 64 digits");
    digits
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const TIME: &str = "2026-05-20T16:00:00+00:00";

    fn blob(byte: u8) -> BlobId {
        BlobId::new(ALGORITHM, [byte; 32])
    }

    #[test]
    fn a_snapshot_is_known_by_each_form_of_its_id_and_by_no_other() {
        let (id, other) = (blob(1), blob(2));
        let entries = [("a", &id), ("b/c", &other)];
        let fields = SnapshotFields { entries: &entries, directories: &["b", "empty"] };
        for form in SnapshotForm::all() {
            assert_eq!(fields.form_of(&fields.id(form).unwrap()), Ok(Some(form)));
        }
        assert_eq!(fields.form_of(&SnapshotId::new(ALGORITHM, [9; 32])), Ok(None));
        let bare = SnapshotFields { directories: &[], ..fields };
        let distinct: Vec<SnapshotId> =
            SnapshotForm::distinct(false).map(|form| bare.id(form).unwrap()).collect();
        assert_eq!(distinct.len(), 2);
        assert_ne!(distinct[0], distinct[1]);
        assert_eq!(bare.form_of(&bare.id(SnapshotForm::OWN).unwrap()), Ok(Some(SnapshotForm::OWN)));
    }

    /// Every snapshot of a few awkward names, under every form: two of them never share an id.
    #[test]
    fn no_two_snapshots_have_one_id_whatever_the_forms() {
        let id = blob(0xaa);
        let (bare, prefixed) = (id.to_hex(), id.to_string());
        let mut names = [MARKER, "a", "z", &bare, &prefixed];
        names.sort_unstable();
        let chosen = |bits: usize| -> Vec<&str> {
            names.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, name)| *name).collect()
        };
        let mut seen: HashMap<SnapshotId, (usize, usize)> = HashMap::new();
        for files in 0..1_usize << names.len() {
            let entries: Vec<(&str, &BlobId)> = chosen(files).into_iter().map(|name| (name, &id)).collect();
            for directories in 0..1_usize << names.len() {
                let fields = SnapshotFields { entries: &entries, directories: &chosen(directories) };
                for form in SnapshotForm::all() {
                    match fields.id(form) {
                        Ok(id) => {
                            let first = *seen.entry(id).or_insert((files, directories));
                            assert_eq!(first, (files, directories), "{form:?}");
                        }
                        Err(error) => assert_eq!(error, FormulaError::Unmarked),
                    }
                }
            }
        }
        assert!(seen.len() > 2000, "{}", seen.len());
    }

    #[test]
    fn lists_out_of_order_and_nul_have_no_id() {
        let id = blob(1);
        let of = |entries: &[(&str, &BlobId)], directories: &[&str]| {
            SnapshotFields { entries, directories }.id(SnapshotForm::OWN)
        };
        assert_eq!(of(&[("b", &id), ("a", &id)], &[]), Err(FormulaError::Unsorted));
        assert_eq!(of(&[("a", &id)], &["c", "c"]), Err(FormulaError::Unsorted));
        assert_eq!(of(&[("a\0", &id)], &[]), Err(FormulaError::Nul));
        assert_eq!(of(&[], &["\0"]), Err(FormulaError::Nul));
        let foreign = BlobId::new(HashAlgorithm::Blake3, [1; 32]);
        assert_eq!(of(&[("a", &foreign)], &[]), Err(FormulaError::ForeignAlgorithm));
    }

    #[test]
    fn every_field_of_a_commit_counts_and_the_order_of_parents_does_not() {
        let snapshot = SnapshotId::new(ALGORITHM, [1; 32]);
        let [a, b] = [2, 3].map(|n| CommitId::new(ALGORITHM, [n; 32]));
        let parents = [a, b];
        let fields = CommitFields {
            parents: &parents,
            snapshot: &snapshot,
            message: "m",
            committed_at: TIME,
            author: "ada",
            signer_public_key: "ed25519:k",
        };
        let id = fields.id(CommitForm::OWN).unwrap();
        assert_eq!(CommitFields { parents: &[b, a], ..fields }.id(CommitForm::OWN), Ok(id));
        for form in CommitForm::ALL {
            assert_eq!(fields.form_of(&fields.id(form).unwrap()), Ok(Some(form)));
        }
        for other in [
            CommitFields { parents: &[a], ..fields },
            CommitFields { message: "n", ..fields },
            CommitFields { committed_at: "2026-05-20T16:00:00Z", ..fields },
            CommitFields { author: "eve", ..fields },
            CommitFields { signer_public_key: "", ..fields },
        ] {
            assert_eq!(other.form_of(&id), Ok(None));
        }
        assert_eq!(CommitFields { author: "a\0b", ..fields }.id(CommitForm::OWN), Err(FormulaError::Nul));
        let foreign = CommitId::new(HashAlgorithm::Blake3, [1; 32]);
        let foreign = CommitFields { parents: &[foreign], ..fields };
        assert_eq!(foreign.id(CommitForm::OWN), Err(FormulaError::ForeignAlgorithm));
    }
}
