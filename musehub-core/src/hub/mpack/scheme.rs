//! Which scheme the ids of a pack are of, where the repository does not say.

use bytes::Bytes;
use serde_json::{Map, Value};

use crate::hub::InlineBlob;
use crate::id::BlobId;
use crate::mpack::expand;
use crate::object::Commit;
use crate::port::RepositoryRecord;
use crate::scheme::{BlobHasher, IdScheme};

/// What clients of this generation compute, the likeliest first.
const CLIENT_SCHEMES: [IdScheme; 3] = [IdScheme::TypedV1, IdScheme::FlatV1, IdScheme::TypedV2];

/// The schemes that a pack may be of; narrowed down as it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Candidates(Vec<IdScheme>);

impl Candidates {
    pub(super) fn of(repo: &RepositoryRecord) -> Self {
        Self(repo.scheme.map_or_else(|| CLIENT_SCHEMES.to_vec(), |scheme| vec![scheme]))
    }

    /// The likeliest.
    pub(super) fn first(&self) -> IdScheme {
        self.0[0]
    }

    /// All of them, the likeliest first.
    pub(super) fn all(&self) -> &[IdScheme] {
        &self.0
    }

    /// Drops the schemes under which the first of `blobs` that says something does not have its id; each has at most `limit`
    /// bytes. Empty ones say nothing.
    pub(super) fn narrow_by_blobs(&mut self, blobs: &[InlineBlob], limit: u64) {
        let Some(sample) = blobs.iter().find(|blob| !blob.content.is_empty()).filter(|_| self.0.len() > 1)
        else {
            return;
        };
        self.keep(|scheme| {
            let blob = plain(scheme, sample.clone(), limit);
            blob_id(scheme, blob.id, &blob.content) == Some(blob.id)
        });
    }

    /// Drops the schemes under which a commit does not have its id.
    pub(super) fn narrow_by_commit(&mut self, record: &Map<String, Value>) {
        if self.0.len() > 1 {
            self.keep(|scheme| Commit::verify(scheme, record.clone()).is_ok());
        }
    }

    /// Where nothing would be left, all stay: verification says then what does not fit.
    pub(super) fn keep(&mut self, fits: impl Fn(IdScheme) -> bool) {
        let fitting: Vec<IdScheme> = self.0.iter().copied().filter(|scheme| fits(*scheme)).collect();
        if !fitting.is_empty() {
            self.0 = fitting;
        }
    }
}

/// The id of bytes under a scheme, of the hash function of the id that they claim.
pub(super) fn blob_id(scheme: IdScheme, claimed: BlobId, content: &[u8]) -> Option<BlobId> {
    let mut hasher = BlobHasher::new(scheme, claimed.object_id().algorithm(), content.len() as u64);
    hasher.update(content).ok()?;
    hasher.finish().ok()
}

/// The beginning of every frame of zstd.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// The bytes of a blob as they were before a client compressed it, where it did: the container has no word for that. Its id
/// decides: a file that is a frame itself is left as it is.
pub(super) fn plain(scheme: IdScheme, blob: InlineBlob, limit: u64) -> InlineBlob {
    if !blob.content.starts_with(&ZSTD_MAGIC) || blob_id(scheme, blob.id, &blob.content) == Some(blob.id) {
        return blob;
    }
    let fits = |content: &Bytes| blob_id(scheme, blob.id, content) == Some(blob.id);
    match expand(&blob.content, limit).filter(fits) {
        Some(content) => InlineBlob { content, ..blob },
        None => blob,
    }
}
