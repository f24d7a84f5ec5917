//! Tags of packs: kept with a push, and sent along with the commits that they are about.

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use super::Mpacks;
use crate::hub::{FetchError, Missing, PushError, ReleaseError};
use crate::id::CommitId;
use crate::mpack::{Contents, MpackError};
use crate::name::Handle;
use crate::port::{BackendError, RepositoryRecord};
use crate::release::CommitTag;

/// How many tags are read at a time.
const PAGE: u32 = 1000;
/// The names that a label may have in a record; the first one is written.
const LABELS: [&str; 3] = ["tag", "label", "name"];

/// The tags that records say; a blank one is none.
pub(super) fn read(records: &[Map<String, Value>], tagger: &Handle) -> Result<Vec<CommitTag>, MpackError> {
    let mut tags = Vec::with_capacity(records.len());
    for (number, record) in (1..).zip(records) {
        let fail = |reason: String| MpackError::Record { what: "tag", number, reason };
        let text = |key: &str| record.get(key).and_then(Value::as_str).unwrap_or_default();
        let label = LABELS.iter().map(|key| text(key)).find(|label| !label.is_empty()).unwrap_or_default();
        let commit =
            CommitId::parse(text("commit_id")).map_err(|error| fail(format!("commit_id: {error}")))?;
        let (tag_id, created_at) = (text("tag_id").to_owned(), text("created_at").to_owned());
        let tag = CommitTag::accept(label, commit, tag_id, created_at, tagger.clone());
        tags.extend(tag.map_err(|error| fail(error.to_string()))?);
    }
    Ok(tags)
}

impl Mpacks {
    /// Keeps the tags of a push whose branch has moved; how many are new.
    pub(super) async fn keep_tags(
        &self,
        repo: &RepositoryRecord,
        tags: &[CommitTag],
    ) -> Result<u64, PushError> {
        if tags.is_empty() {
            return Ok(0);
        }
        let stored = self.releases.tag(repo, tags).await.map_err(|error| match error {
            ReleaseError::NoSuchCommit { commit } => {
                PushError::Incomplete(Missing { commits: vec![commit], ..Missing::default() })
            }
            ReleaseError::Backend(error) => error.into(),
            other => BackendError::unavailable("keeping tags", other).into(),
        })?;
        if stored > 0 {
            self.end_built(repo).await?;
        }
        Ok(stored)
    }

    /// Has no pack that was built for a repository given out any more: something that they bring has changed. Addresses that were
    /// given out lead to them as long as they are valid.
    ///
    /// # Errors
    /// [`BackendError`] where the backend fails.
    pub async fn end_built(&self, repo: &RepositoryRecord) -> Result<(), BackendError> {
        let now = self.hub.backends.clock.now();
        self.built.end_fetch_packs(&repo.repo_id, &[], now).await
    }

    /// Adds the tags of the commits that a pack brings.
    pub(super) async fn add_tags(
        &self,
        repo: &RepositoryRecord,
        commits: &HashSet<CommitId>,
        contents: &mut Contents,
    ) -> Result<(), FetchError> {
        let mut after: Option<(String, CommitId)> = None;
        loop {
            let from = after.as_ref().map(|(label, commit)| (label.as_str(), *commit));
            let page = self.releases.tags(repo, from, PAGE).await?;
            for tag in page.iter().filter(|tag| commits.contains(&tag.commit)) {
                let record = json!({
                    "tag_id": tag.tag_id, "repo_id": repo.repo_id.as_str(), "commit_id": tag.commit.to_string(),
                    LABELS[0]: tag.label, "created_at": tag.created_at,
                });
                contents.tags.add(record.as_object().expect("it is written as one"));
            }
            let bytes = contents.commits.length() + contents.snapshots.length() + contents.tags.length();
            if bytes > self.options.records {
                return Err(FetchError::TooLarge { bytes, limit: self.options.records });
            }
            match page.last() {
                Some(last) if page.len() == PAGE as usize => after = Some((last.label.clone(), last.commit)),
                _ => return Ok(()),
            }
        }
    }
}
