//! Commits that the hub itself makes: records as the clients of a repository's scheme write them.

use serde_json::{Map, Value, json};

use crate::id::{CommitId, HashAlgorithm, ObjectId, ObjectKind, SnapshotId};
use crate::merge::Tree;
use crate::name::{BranchName, Handle};
use crate::object::{Commit, ObjectError, Snapshot, SnapshotRecord};
use crate::port::{ProposalNumber, Timestamp};
use crate::scheme::typed_v1::{CommitFields, CommitForm};
use crate::scheme::{FormulaError, IdScheme, flat_v1};

/// The version of the record that clients of March 2026 write.
const FLAT_FORMAT_VERSION: u64 = 5;

/// How and when the commits of one request are made.
#[derive(Clone, Copy, Debug)]
pub(super) struct Composer<'a> {
    pub(super) scheme: IdScheme,
    pub(super) algorithm: HashAlgorithm,
    pub(super) branch: &'a BranchName,
    pub(super) at: Timestamp,
}

/// What a commit says beside its tree and parents.
#[derive(Clone, Debug, Default)]
pub(super) struct Says<'a> {
    pub(super) author: &'a str,
    pub(super) message: &'a str,
    /// Who merged it, where that is not who wrote it.
    pub(super) merged_by: Option<&'a Handle>,
    /// The proposal that it merges.
    pub(super) proposal: Option<ProposalNumber>,
    /// The commit that it replays, whose provenance it keeps.
    pub(super) replays: Option<&'a Commit>,
}

/// The fields of a commit that say what made it.
const PROVENANCE: [&str; 4] = ["agent_id", "model_id", "toolchain_id", "prompt_hash"];

impl Composer<'_> {
    /// A snapshot of a tree, its id computed.
    pub(super) fn snapshot(&self, tree: Tree) -> Result<SnapshotRecord, ObjectError> {
        let mut record = tree.into_record();
        if self.is_clients() {
            record.extra.insert("created_at".to_owned(), Value::String(client_time(self.at)));
        }
        let snapshot = Snapshot::with_algorithm(self.scheme, self.algorithm, record)?;
        Ok(snapshot.record().clone())
    }

    /// A commit, its id computed and verified.
    pub(super) fn commit(
        &self,
        parents: &[CommitId],
        snapshot: &SnapshotRecord,
        says: &Says<'_>,
    ) -> Result<Commit, ObjectError> {
        let snapshot = snapshot.id.expect("a composed snapshot has its id");
        let mut metadata = Map::new();
        if let Some(merger) = says.merged_by {
            metadata.insert("merged_by".to_owned(), json!(merger));
        }
        if let Some(proposal) = says.proposal {
            metadata.insert("proposal".to_owned(), json!(proposal.to_string()));
        }
        if let Some(replayed) = says.replays {
            metadata.insert("replays".to_owned(), json!(self.id_text(replayed.id().object_id())));
        }
        let committed_at = client_time(self.at);
        let mut record = Map::new();
        let mut set = |field: &str, value: Value| record.insert(field.to_owned(), value);
        set("message", json!(says.message));
        set("committed_at", json!(committed_at));
        set("author", json!(says.author));
        set("branch", json!(self.branch));
        set("metadata", Value::Object(metadata));
        for field in PROVENANCE {
            let text = says.replays.map(|commit| commit.text(field)).unwrap_or_default();
            if self.is_clients() || !text.is_empty() {
                set(field, json!(text));
            }
        }
        match self.scheme {
            IdScheme::FlatV1 | IdScheme::TypedV1 => {
                let id = self.client_id(parents, &snapshot, says, &committed_at)?;
                set("commit_id", json!(self.id_text(id)));
                set("snapshot_id", json!(self.id_text(snapshot.object_id())));
                for (n, field) in ["parent_commit_id", "parent2_commit_id"].into_iter().enumerate() {
                    set(field, json!(parents.get(n).map(|parent| self.id_text(parent.object_id()))));
                }
                // The rest of what its clients write; they take absent fields for these values, too.
                set("structured_delta", Value::Null);
                set("sem_ver_bump", json!("none"));
                set("breaking_changes", json!([]));
                set("signature", json!(""));
                set("reviewed_by", json!([]));
                set("test_runs", json!(0));
                if self.scheme == IdScheme::FlatV1 {
                    set("repo_id", json!(""));
                    set("signer_key_id", json!(""));
                    set("format_version", json!(FLAT_FORMAT_VERSION));
                }
            }
            IdScheme::TypedV2 => {
                set("snapshot_id", json!(snapshot));
                set("parents", json!(parents));
            }
        }
        Commit::verify(self.scheme, record)
    }

    /// The id of a commit whose record holds it.
    fn client_id(
        &self,
        parents: &[CommitId],
        snapshot: &SnapshotId,
        says: &Says<'_>,
        committed_at: &str,
    ) -> Result<ObjectId, ObjectError> {
        let Says { author, message, .. } = *says;
        let id = if self.scheme == IdScheme::TypedV1 {
            let signer_public_key = "";
            let hashed = CommitFields { parents, snapshot, message, committed_at, author, signer_public_key };
            hashed.id(CommitForm::OWN)
        } else {
            flat_v1::commit_id(parents, snapshot, message, committed_at)
        };
        id.map(|id| id.object_id()).map_err(|source: FormulaError| ObjectError::Formula {
            kind: ObjectKind::Commit,
            id: "made by the hub".to_owned(),
            source,
        })
    }

    /// Whether the records are those of Muse's own clients.
    const fn is_clients(&self) -> bool {
        match self.scheme {
            IdScheme::FlatV1 | IdScheme::TypedV1 => true,
            IdScheme::TypedV2 => false,
        }
    }

    fn id_text(&self, id: ObjectId) -> String {
        match self.scheme {
            IdScheme::FlatV1 => id.to_hex(),
            IdScheme::TypedV1 | IdScheme::TypedV2 => id.to_string(),
        }
    }
}

/// A time as Python's `isoformat` prints it, which is what clients write into commits: six digits of a second's fraction
/// or none.
fn client_time(at: Timestamp) -> String {
    let text = at.to_string();
    let text = text.trim_end_matches('Z');
    match text.strip_suffix(".000") {
        Some(whole) => format!("{whole}+00:00"),
        None => format!("{text}000+00:00"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_those_of_the_client() {
        let at = |millis| client_time(Timestamp::from_millis(millis));
        assert_eq!(at(1_774_008_000_000), "2026-03-20T12:00:00+00:00");
        assert_eq!(at(1_774_008_000_120), "2026-03-20T12:00:00.120000+00:00");
    }
}
