//! Findings and facts in memory.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use async_trait::async_trait;

use super::conflict;
use super::index::MemoryIndex;
use crate::id::BlobId;
use crate::name::RepoId;
use crate::port::{
    BREAKAGE_HISTORY, BackendError, BreakageFilter, BreakageGroup, BreakageGrouping, BreakageIndex,
    BreakageIssue, BreakageMeta, FactCache, Severity,
};

#[derive(Debug, Default)]
pub(super) struct Intel {
    scans: HashMap<RepoId, (BreakageMeta, Vec<BreakageIssue>)>,
    history: HashMap<RepoId, Vec<BreakageMeta>>,
    facts: HashMap<String, HashMap<BlobId, String>>,
}

impl Intel {
    pub(super) fn forget(&mut self, repo: &RepoId) {
        self.scans.remove(repo);
    }
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
        && filter.file_path.as_ref().is_none_or(|wanted| *wanted == issue.file_path)
        && filter.subject.as_ref().is_none_or(|wanted| *wanted == issue.subject)
}

fn group(name: &str, issues: &[&BreakageIssue], each: u32) -> BreakageGroup {
    let distinct = |text: fn(&BreakageIssue) -> &str| {
        issues.iter().map(|issue| text(issue)).collect::<HashSet<_>>().len() as u64
    };
    BreakageGroup {
        name: name.to_owned(),
        issues: issues.len() as u64,
        errors: issues.iter().filter(|issue| issue.severity == Severity::Error).count() as u64,
        files: distinct(|issue| &issue.file_path),
        subjects: distinct(|issue| &issue.subject),
        first: issues.iter().take(each as usize).map(|issue| (*issue).clone()).collect(),
    }
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
        let history = state.intel.history.entry(repo.clone()).or_default();
        history.retain(|scan| scan.commit != meta.commit);
        history.push(meta.clone());
        history.sort_by_cached_key(|scan| (scan.scanned_at, scan.commit.to_string()));
        let surplus = history.len().saturating_sub(BREAKAGE_HISTORY as usize);
        history.drain(..surplus);
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

    async fn breakage_groups(
        &self,
        repo: &RepoId,
        by: BreakageGrouping,
        filter: &BreakageFilter,
        each: u32,
    ) -> Result<(Vec<BreakageGroup>, u64), BackendError> {
        let state = self.state();
        let issues = state.intel.scans.get(repo).into_iter().flat_map(|(_, issues)| issues);
        let mut groups: BTreeMap<&str, Vec<&BreakageIssue>> = BTreeMap::new();
        for issue in issues.filter(|issue| matches(issue, filter)) {
            let name = match by {
                BreakageGrouping::File => &issue.file_path,
                BreakageGrouping::Subject => &issue.subject,
            };
            groups.entry(name).or_default().push(issue);
        }
        let mut groups: Vec<(&str, Vec<&BreakageIssue>)> = groups.into_iter().collect();
        groups.sort_by_key(|(_, issues)| Reverse(issues.len()));
        let page = groups.iter().skip(filter.offset as usize).take(filter.limit as usize);
        Ok((page.map(|(name, issues)| group(name, issues, each)).collect(), groups.len() as u64))
    }

    async fn breakage_history(&self, repo: &RepoId, limit: u32) -> Result<Vec<BreakageMeta>, BackendError> {
        let state = self.state();
        let history = state.intel.history.get(repo).map_or(&[][..], Vec::as_slice);
        Ok(history[history.len().saturating_sub(limit as usize)..].to_vec())
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
