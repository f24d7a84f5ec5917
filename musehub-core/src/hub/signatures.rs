//! Whether commits are signed, by whom, and whether a push may bring them.

use std::collections::HashMap;

use super::{Hub, PushError};
use crate::id::CommitId;
use crate::object::Commit;
use crate::port::{BackendError, KeyRecord, RepositoryRecord};
use crate::scheme::IdScheme;
use crate::signature::KeyId;
use crate::signature::commit::{Checked, SignatureState, check};

/// The most commits whose records are in memory at one time.
const BATCH: usize = 256;

impl Hub {
    /// What is known of the signatures of commits that a repository holds, in the order given.
    ///
    /// # Errors
    /// [`BackendError`] where a backend fails; [`BackendError::Missing`] where the repository does not hold one of them.
    pub async fn signature_states(
        &self,
        repo: &RepositoryRecord,
        ids: &[CommitId],
    ) -> Result<Vec<(CommitId, SignatureState)>, BackendError> {
        let scheme = repo.scheme.unwrap_or(IdScheme::FlatV1);
        let mut checked = Vec::with_capacity(ids.len());
        for batch in ids.chunks(BATCH) {
            let rows = self.commit_rows(repo, batch).await?;
            let records = self.read_commits(repo, &rows).await?;
            for (row, bytes) in rows.iter().zip(records) {
                let commit = Commit::decode(scheme, row.id, &bytes).map_err(|error| {
                    BackendError::Damaged { what: format!("commit {}", row.id), reason: error.to_string() }
                })?;
                checked.push((row.id, check(scheme, &commit)));
            }
        }
        let keys = self.keys_of(checked.iter().map(|(_, checked)| *checked)).await?;
        Ok(checked.into_iter().map(|(id, checked)| (id, checked.settle(&keys))).collect())
    }

    /// Refuses commits without a valid signature, where the repository asks for one. `commits` are those that a push brings
    /// and the repository does not hold.
    pub(super) async fn require_signatures(
        &self,
        repo: &RepositoryRecord,
        scheme: IdScheme,
        commits: impl Iterator<Item = &Commit>,
    ) -> Result<(), PushError> {
        if !repo.settings.require_signed_commits {
            return Ok(());
        }
        let checked: Vec<(CommitId, Checked)> =
            commits.map(|commit| (commit.id(), check(scheme, commit))).collect();
        let keys = self.keys_of(checked.iter().map(|(_, checked)| *checked)).await?;
        for (commit, checked) in checked {
            let state = checked.settle(&keys);
            if !matches!(state, SignatureState::Valid { .. }) {
                return Err(PushError::NotSigned { commit, state: state.as_str() });
            }
        }
        Ok(())
    }

    /// The registered ones among the keys that made signatures.
    async fn keys_of(
        &self,
        checked: impl Iterator<Item = Checked>,
    ) -> Result<HashMap<KeyId, KeyRecord>, BackendError> {
        let mut ids: Vec<KeyId> = checked
            .filter_map(|checked| match checked {
                Checked::SignedBy(key) => Some(key),
                Checked::Settled(_) => None,
            })
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let records = self.backends.keys.keys_by_id(&ids).await?;
        Ok(records.into_iter().map(|record| (record.key.id(), record)).collect())
    }
}
