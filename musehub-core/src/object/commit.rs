//! Commits: a snapshot in history, with every field that its author's client sent.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{IdProof, ObjectError, OpaqueIds, holds_nul};
use crate::canonical::{self, json};
use crate::id::{CommitId, IdError, ObjectKind, SnapshotId};
use crate::scheme::typed_v1::CommitFields;
use crate::scheme::{FormulaError, IdScheme, flat_v1, typed_v2};

/// The largest record of a commit, in bytes of canonical JSON.
pub const MAX_COMMIT_BYTES: u64 = 32 << 20;

/// The longest text of a time, in bytes.
const MAX_TIME_BYTES: usize = 64;

/// A commit whose id is that of its content.
///
/// The record is kept as it came, unknown fields included; what enters the id is never parsed and printed again.
#[derive(Clone, Debug)]
pub struct Commit {
    id: CommitId,
    parents: Vec<CommitId>,
    snapshot: SnapshotId,
    payload: Bytes,
    record: Map<String, Value>,
    proof: IdProof,
}

impl Commit {
    /// Verifies a record under a scheme.
    ///
    /// Under `flat-v1` and `typed-v1` parents are `parent_commit_id` and `parent2_commit_id`, and `commit_id` must be there;
    /// under `typed-v2` they are the list `parents`, and a `commit_id` that is there is checked and not kept.
    ///
    /// # Errors
    /// [`ObjectError`] with the first rule that the record breaks.
    pub fn verify(scheme: IdScheme, record: Map<String, Value>) -> Result<Self, ObjectError> {
        Self::accept(scheme, record, OpaqueIds::Refuse)
    }

    /// Verifies a record under a scheme, or takes its id on its client's word where that is allowed.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn accept(
        scheme: IdScheme,
        mut record: Map<String, Value>,
        opaque: OpaqueIds,
    ) -> Result<Self, ObjectError> {
        let claimed_text =
            record.get("commit_id").and_then(Value::as_str).unwrap_or("without an id").to_owned();
        let fields = Fields { id: &claimed_text, record: &record };
        let claimed = fields.commit("commit_id")?;
        let snapshot = fields.snapshot()?;
        fields.text("message")?;
        let committed_at = fields.text("committed_at")?;
        let printable = committed_at.bytes().all(|b| matches!(b, b' '..=b'~'));
        if committed_at.is_empty() || committed_at.len() > MAX_TIME_BYTES || !printable {
            return Err(fields.wrong("committed_at", "a time in ISO 8601, at most 64 characters"));
        }
        for field in ["author", "branch", "agent_id"] {
            if record.contains_key(field) {
                fields.text(field)?;
            }
        }
        let parents = fields.parents(scheme)?;
        if scheme == IdScheme::TypedV2 {
            record.remove("commit_id");
        }
        let payload = Self::payload(&claimed_text, &record)?;
        let fields = Fields { id: &claimed_text, record: &record };
        let (id, proof) = match (scheme, claimed) {
            (IdScheme::FlatV1 | IdScheme::TypedV1, None) => return Err(fields.wrong("commit_id", "an id")),
            (IdScheme::FlatV1, Some(claimed)) => {
                fields.require(claimed, fields.flat_v1_id(&parents, &snapshot)?)?
            }
            (IdScheme::TypedV1, Some(claimed)) => {
                match (fields.typed_v1_proof(claimed, &parents, &snapshot)?, opaque) {
                    (IdProof::Opaque, OpaqueIds::Refuse) => {
                        let kind = ObjectKind::Commit;
                        return Err(ObjectError::UnknownForm { kind, claimed: claimed_text });
                    }
                    (proof, _) => (claimed, proof),
                }
            }
            (IdScheme::TypedV2, claimed) => {
                let own = claimed.map_or(snapshot.object_id(), |id| id.object_id());
                let computed = typed_v2::object_id(own.algorithm(), ObjectKind::Commit, &payload).into();
                fields.require(claimed.unwrap_or(computed), computed)?
            }
        };
        Ok(Self { id, parents, snapshot, payload, record, proof })
    }

    /// The payload of a record that may be kept.
    fn payload(claimed_text: &str, record: &Map<String, Value>) -> Result<Bytes, ObjectError> {
        let kind = ObjectKind::Commit;
        let id = || claimed_text.to_owned();
        let payload = json::to_vec(record).map_err(|source| ObjectError::Json { kind, id: id(), source })?;
        let size = payload.len() as u64;
        if size > MAX_COMMIT_BYTES {
            return Err(ObjectError::TooLarge { kind, id: id(), size, limit: MAX_COMMIT_BYTES });
        }
        if record.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)) {
            return Err(ObjectError::Nul { kind, id: id() });
        }
        Ok(payload.into())
    }

    /// Reads canonical bytes that the hub wrote. Bytes from elsewhere go through [`Commit::verify`].
    ///
    /// # Errors
    /// [`ObjectError`] where they are not those of a commit.
    pub fn decode(scheme: IdScheme, id: CommitId, bytes: &[u8]) -> Result<Self, ObjectError> {
        let payload = canonical::payload_of(ObjectKind::Commit, bytes)?;
        let record: Map<String, Value> = serde_json::from_slice(payload)
            .map_err(|source| ObjectError::Record { kind: ObjectKind::Commit, source })?;
        let id_text = id.to_string();
        let fields = Fields { id: &id_text, record: &record };
        let (snapshot, parents) = (fields.snapshot()?, fields.parents(scheme)?);
        let proof = match scheme {
            IdScheme::FlatV1 | IdScheme::TypedV2 => IdProof::Verified,
            IdScheme::TypedV1 => fields.typed_v1_proof(id, &parents, &snapshot)?,
        };
        Ok(Self { id, parents, snapshot, payload: Bytes::copy_from_slice(payload), record, proof })
    }

    /// Its id.
    #[must_use]
    pub const fn id(&self) -> CommitId {
        self.id
    }

    /// Its parents, first parent first.
    #[must_use]
    pub fn parents(&self) -> &[CommitId] {
        &self.parents
    }

    /// Its snapshot.
    #[must_use]
    pub const fn snapshot(&self) -> SnapshotId {
        self.snapshot
    }

    /// What its id proves.
    #[must_use]
    pub const fn id_proof(&self) -> IdProof {
        self.proof
    }

    /// The record, as it came.
    #[must_use]
    pub const fn record(&self) -> &Map<String, Value> {
        &self.record
    }

    /// The text of a field; empty where it is absent or no text.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.record.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// The length of its payload, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.payload.len() as u64
    }

    /// Its canonical bytes.
    #[must_use]
    pub fn canonical(&self) -> Bytes {
        canonical::encode(ObjectKind::Commit, &self.payload).into()
    }
}

/// The fields of a record, with the id that errors about them name.
struct Fields<'a> {
    id: &'a str,
    record: &'a Map<String, Value>,
}

impl<'a> Fields<'a> {
    fn wrong(&self, field: &'static str, expected: &'static str) -> ObjectError {
        ObjectError::Field { kind: ObjectKind::Commit, id: self.id.to_owned(), field, expected }
    }

    fn bad_id(&self, field: &'static str, source: IdError) -> ObjectError {
        ObjectError::Id { kind: ObjectKind::Commit, id: self.id.to_owned(), field, source }
    }

    fn text(&self, field: &'static str) -> Result<&'a str, ObjectError> {
        self.record.get(field).and_then(Value::as_str).ok_or_else(|| self.wrong(field, "a text"))
    }

    fn commit(&self, field: &'static str) -> Result<Option<CommitId>, ObjectError> {
        match self.record.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => {
                CommitId::parse(text).map(Some).map_err(|source| self.bad_id(field, source))
            }
            Some(_) => Err(self.wrong(field, "an id or null")),
        }
    }

    fn snapshot(&self) -> Result<SnapshotId, ObjectError> {
        let text = self.text("snapshot_id")?;
        SnapshotId::parse(text).map_err(|source| self.bad_id("snapshot_id", source))
    }

    fn parents(&self, scheme: IdScheme) -> Result<Vec<CommitId>, ObjectError> {
        match scheme {
            IdScheme::FlatV1 | IdScheme::TypedV1 => {
                let (first, second) = (self.commit("parent_commit_id")?, self.commit("parent2_commit_id")?);
                if first.is_none() && second.is_some() {
                    return Err(self.wrong("parent_commit_id", "an id where there is a second parent"));
                }
                Ok(first.into_iter().chain(second).collect())
            }
            IdScheme::TypedV2 => {
                let list = self.record.get("parents").and_then(Value::as_array);
                let list = list.filter(|list| list.len() <= 2);
                let list = list.ok_or_else(|| self.wrong("parents", "a list of at most two ids"))?;
                list.iter()
                    .map(|parent| parent.as_str().ok_or_else(|| self.wrong("parents", "a list of ids")))
                    .map(|text| CommitId::parse(text?).map_err(|source| self.bad_id("parents", source)))
                    .collect()
            }
        }
    }
    fn flat_v1_id(&self, parents: &[CommitId], snapshot: &SnapshotId) -> Result<CommitId, ObjectError> {
        let (message, time) = (self.text("message")?, self.text("committed_at")?);
        flat_v1::commit_id(parents, snapshot, message, time).map_err(|source| self.no_id(source))
    }

    fn typed_v1_proof(
        &self,
        claimed: CommitId,
        parents: &[CommitId],
        snapshot: &SnapshotId,
    ) -> Result<IdProof, ObjectError> {
        let optional = |field| match self.record.get(field) {
            None | Some(Value::Null) => Ok(""),
            Some(_) => self.text(field),
        };
        let hashed = CommitFields {
            parents,
            snapshot,
            message: self.text("message")?,
            committed_at: self.text("committed_at")?,
            author: optional("author")?,
            signer_public_key: optional("signer_public_key")?,
        };
        let form = hashed.form_of(&claimed).map_err(|source| self.no_id(source))?;
        Ok(if form.is_some() { IdProof::Verified } else { IdProof::Opaque })
    }

    fn require(&self, claimed: CommitId, computed: CommitId) -> Result<(CommitId, IdProof), ObjectError> {
        if claimed == computed {
            return Ok((computed, IdProof::Verified));
        }
        Err(ObjectError::IdMismatch {
            kind: ObjectKind::Commit,
            claimed: self.id.to_owned(),
            computed: computed.to_string(),
        })
    }

    fn no_id(&self, source: FormulaError) -> ObjectError {
        ObjectError::Formula { kind: ObjectKind::Commit, id: self.id.to_owned(), source }
    }
}
