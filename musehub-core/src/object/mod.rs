//! Snapshots and commits as values: read from a client's records, verified, and written as canonical bytes.
//!
//! A value of [`Snapshot`] or [`Commit`] has passed verification: its id is the one that the scheme computes.

mod commit;
mod manifest;
mod record;
mod snapshot;

use serde_json::Value;

pub use commit::{Commit, MAX_COMMIT_BYTES};
pub use manifest::{MAX_MANIFEST_ENTRIES, Manifest, ManifestError};
pub use record::Record;
pub(crate) use record::Strict;
pub use snapshot::{Snapshot, SnapshotRecord};

use crate::canonical::CanonicalError;
use crate::canonical::json::JsonError;
use crate::id::{IdError, ObjectKind};
use crate::scheme::FormulaError;

/// What is known of an object's id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum IdProof {
    /// It is the one that the content has.
    #[default]
    Verified,
    /// It is of no form that this hub knows: its client's word, and nothing else, ties it to the content.
    Opaque,
}

/// What is done about an id that is of no known form, under a scheme whose forms are not all public.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OpaqueIds {
    /// The object is refused.
    #[default]
    Refuse,
    /// The object is taken, and its id is [`IdProof::Opaque`].
    Accept,
}

/// Why a record is no object.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// The id that came with a record is not the one that its content has.
    #[error("{kind} {claimed}: its content has the id {computed}")]
    IdMismatch {
        /// What it is.
        kind: ObjectKind,
        /// The id that came with it.
        claimed: String,
        /// The id of what came.
        computed: String,
    },
    /// The id that came with a record is of no form that this hub knows.
    #[error(
        "{kind} {claimed}: its content has this id under no form that is known of clients of this kind; the owner of a \
         repository can let it take such ids by the setting accept_opaque_ids"
    )]
    UnknownForm {
        /// What it is.
        kind: ObjectKind,
        /// The id that came with it.
        claimed: String,
    },
    /// A field is absent or of another type.
    #[error("{kind} {id}: field '{field}' must be {expected}")]
    Field {
        /// What it is.
        kind: ObjectKind,
        /// The id it came with, as text.
        id: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// An id in a record is none.
    #[error("{kind} {id}: field '{field}': {source}")]
    Id {
        /// What it is.
        kind: ObjectKind,
        /// The id it came with, as text.
        id: String,
        /// The field.
        field: &'static str,
        /// What is wrong with it.
        source: IdError,
    },
    /// The scheme has no id for it.
    #[error("{kind} {id}: {source}")]
    Formula {
        /// What it is.
        kind: ObjectKind,
        /// The id it came with, as text.
        id: String,
        /// Why not.
        source: FormulaError,
    },
    /// A text holds NUL, which no id formula can tell from its own separator.
    #[error("{kind} {id}: a text holds NUL")]
    Nul {
        /// What it is.
        kind: ObjectKind,
        /// The id it came with, as text.
        id: String,
    },
    /// A record is larger than the hub keeps.
    #[error("{kind} {id}: {size} bytes, at most {limit} are kept")]
    TooLarge {
        /// What it is.
        kind: ObjectKind,
        /// The id it came with, as text.
        id: String,
        /// Its size.
        size: u64,
        /// The limit.
        limit: u64,
    },
    /// A manifest breaks a rule.
    #[error("snapshot {id}: {source}")]
    Manifest {
        /// The snapshot.
        id: String,
        /// The rule.
        source: ManifestError,
    },
    /// A field that the id scheme has no place for.
    #[error("snapshot {id}: field '{field}' is not part of a snapshot of this scheme")]
    UnknownField {
        /// The snapshot.
        id: String,
        /// The field.
        field: String,
    },
    /// A value that canonical JSON cannot say.
    #[error("{kind} {id}: {source}")]
    Json {
        /// What it is.
        kind: ObjectKind,
        /// The id it came with, as text.
        id: String,
        /// Why.
        source: JsonError,
    },
    /// Bytes at rest are no canonical bytes.
    #[error(transparent)]
    Canonical(#[from] CanonicalError),
    /// Bytes at rest are no record.
    #[error("a {kind} at rest is no record")]
    Record {
        /// What it should be.
        kind: ObjectKind,
        /// Why it is not.
        source: serde_json::Error,
    },
}

/// Whether a text anywhere in `value` holds NUL. The caller has bounded the depth by printing the value.
fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(map) => map.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

#[cfg(test)]
mod tests;
