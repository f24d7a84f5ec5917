//! Releases and tags in memory.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound;

use async_trait::async_trait;

use super::conflict;
use super::index::MemoryIndex;
use crate::id::CommitId;
use crate::name::RepoId;
use crate::port::{BackendError, ReleaseFilter, ReleaseStore, Timestamp};
use crate::release::{CommitTag, Release, ReleaseTag};

/// Of one repository.
#[derive(Debug, Default)]
struct Named {
    releases: BTreeMap<ReleaseTag, Release>,
    tags: BTreeMap<(String, CommitId), CommitTag>,
}

#[derive(Debug, Default)]
pub(super) struct AllNamed(HashMap<RepoId, Named>);

impl AllNamed {
    pub(super) fn forget(&mut self, repo: &RepoId) {
        self.0.remove(repo);
    }
}

#[async_trait]
impl ReleaseStore for MemoryIndex {
    async fn add_release(&self, repo: &RepoId, release: &Release) -> Result<(), BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        let releases = &mut state.named.0.entry(repo.clone()).or_default().releases;
        if releases.contains_key(&release.tag) {
            return Err(conflict(format!("release {}", release.tag)));
        }
        releases.insert(release.tag.clone(), release.clone());
        Ok(())
    }

    async fn releases(
        &self,
        repo: &RepoId,
        filter: ReleaseFilter,
        after: Option<(Timestamp, &ReleaseTag)>,
        limit: u32,
    ) -> Result<Vec<Release>, BackendError> {
        let state = self.state();
        let mut found: Vec<&Release> =
            state.named.0.get(repo).into_iter().flat_map(|named| named.releases.values()).collect();
        found.retain(|release| {
            filter.channel.is_none_or(|channel| channel == release.channel)
                && (filter.drafts || !release.is_draft)
                && after.is_none_or(|after| (release.created_at, &release.tag) < after)
        });
        found.sort_by(|a, b| (b.created_at, &b.tag).cmp(&(a.created_at, &a.tag)));
        Ok(found.into_iter().take(limit as usize).cloned().collect())
    }

    async fn remove_release(&self, repo: &RepoId, tag: &ReleaseTag) -> Result<bool, BackendError> {
        let mut state = self.state();
        Ok(state.named.0.get_mut(repo).is_some_and(|named| named.releases.remove(tag).is_some()))
    }

    async fn add_tags(&self, repo: &RepoId, tags: &[CommitTag]) -> Result<u64, BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        let held = &mut state.named.0.entry(repo.clone()).or_default().tags;
        let before = held.len();
        for tag in tags {
            held.entry((tag.label.clone(), tag.commit)).or_insert_with(|| tag.clone());
        }
        Ok((held.len() - before) as u64)
    }

    async fn tags(
        &self,
        repo: &RepoId,
        after: Option<(&str, CommitId)>,
        limit: u32,
    ) -> Result<Vec<CommitTag>, BackendError> {
        let state = self.state();
        let start = match after {
            None => Bound::Unbounded,
            Some((label, commit)) => Bound::Excluded((label.to_owned(), commit)),
        };
        let found = state
            .named
            .0
            .get(repo)
            .into_iter()
            .flat_map(|named| named.tags.range((start.clone(), Bound::Unbounded)));
        Ok(found.take(limit as usize).map(|(_, tag)| tag.clone()).collect())
    }

    async fn rename_tag(
        &self,
        repo: &RepoId,
        (label, commit): (&str, CommitId),
        to: &str,
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let Some(named) = state.named.0.get_mut(repo) else { return Ok(false) };
        let from = (label.to_owned(), commit);
        if !named.tags.contains_key(&from) {
            return Ok(false);
        }
        let to = (to.to_owned(), commit);
        if named.tags.contains_key(&to) {
            return Err(conflict(format!("tag {} of {commit}", to.0)));
        }
        if let Some(tag) = named.tags.remove(&from) {
            named.tags.insert(to.clone(), CommitTag { label: to.0, ..tag });
        }
        Ok(true)
    }

    async fn remove_tag(
        &self,
        repo: &RepoId,
        (label, commit): (&str, CommitId),
    ) -> Result<bool, BackendError> {
        let mut state = self.state();
        let Some(named) = state.named.0.get_mut(repo) else { return Ok(false) };
        Ok(named.tags.remove(&(label.to_owned(), commit)).is_some())
    }
}
