//! Findings and facts in memory.

use std::collections::{HashMap, HashSet};

use async_trait::async_trait;

use super::conflict;
use super::index::MemoryIndex;
use crate::id::BlobId;
use crate::name::RepoId;
use crate::port::{BackendError, BreakageFilter, BreakageIndex, BreakageIssue, BreakageMeta, FactCache};

#[derive(Debug, Default)]
pub(super) struct Intel {
    scans: HashMap<RepoId, (BreakageMeta, Vec<BreakageIssue>)>,
    facts: HashMap<String, HashMap<BlobId, String>>,
}

fn check_scan(meta: &BreakageMeta, issues: &[BreakageIssue]) -> Result<(), BackendError> {
    if meta.total_issues != meta.warning_count + meta.error_count || (issues.len() as u64) > meta.total_issues
    {
        return Err(conflict("a scan whose sums do not fit its issues"));
    }
    let mut seen = HashSet::new();
    match issues.iter().find(|issue| !seen.insert(issue.issue_id)) {
        Some(twice) => Err(conflict(format!("issue {}", twice.issue_id))),
        None => Ok(()),
    }
}

fn matches(issue: &BreakageIssue, filter: &BreakageFilter) -> bool {
    filter.issue_type.as_ref().is_none_or(|wanted| *wanted == issue.issue_type)
        && filter.severity.is_none_or(|wanted| wanted == issue.severity)
}

#[async_trait]
impl BreakageIndex for MemoryIndex {
    async fn replace_breakage(
        &self,
        repo: &RepoId,
        meta: &BreakageMeta,
        issues: &[BreakageIssue],
    ) -> Result<(), BackendError> {
        let mut state = self.state();
        state.require_repository(repo)?;
        check_scan(meta, issues)?;
        let mut issues = issues.to_vec();
        let order = |issue: &BreakageIssue| (issue.file_path.clone(), issue.line, issue.issue_id);
        issues.sort_by_cached_key(order);
        state.intel.scans.insert(repo.clone(), (meta.clone(), issues));
        Ok(())
    }

    async fn breakage_meta(&self, repo: &RepoId) -> Result<Option<BreakageMeta>, BackendError> {
        Ok(self.state().intel.scans.get(repo).map(|(meta, _)| meta.clone()))
    }

    async fn breakage_issues(
        &self,
        repo: &RepoId,
        filter: &BreakageFilter,
    ) -> Result<(Vec<BreakageIssue>, u64), BackendError> {
        let state = self.state();
        let issues = state.intel.scans.get(repo).into_iter().flat_map(|(_, issues)| issues);
        let matching: Vec<&BreakageIssue> = issues.filter(|issue| matches(issue, filter)).collect();
        let page = matching.iter().skip(filter.offset as usize).take(filter.limit as usize);
        Ok((page.map(|issue| (*issue).clone()).collect(), matching.len() as u64))
    }
}

#[async_trait]
impl FactCache for MemoryIndex {
    async fn facts(&self, kind: &str, blobs: &[BlobId]) -> Result<Vec<(BlobId, String)>, BackendError> {
        let state = self.state();
        let Some(known) = state.intel.facts.get(kind) else {
            return Ok(Vec::new());
        };
        let blobs: HashSet<&BlobId> = blobs.iter().collect();
        Ok(blobs.into_iter().filter_map(|blob| known.get(blob).map(|facts| (*blob, facts.clone()))).collect())
    }

    async fn put_facts(&self, kind: &str, facts: &[(BlobId, String)]) -> Result<(), BackendError> {
        let mut state = self.state();
        let known = state.intel.facts.entry(kind.to_owned()).or_default();
        for (blob, text) in facts {
            if known.get(blob).is_some_and(|held| held != text) {
                return Err(conflict(format!("{kind} of {}", blob.key())));
            }
        }
        known.extend(facts.iter().cloned());
        Ok(())
    }
}
