//! The last scans of repositories, in memory. They only save work: without them every file is checked again, and the answer is
//! the same.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use musehub_core::port::RemovedBy;
use musehub_core::{BlobId, CommitId, RepoId};
use musehub_intel::Scan;
use musehub_intel::history::Lack;

use super::learn::Known;

/// Facts, by the length of their text, that all kept scans may hold together: about twice as much in memory.
const MAX_SIZE: usize = 128 << 20;

/// What a scan leaves for the next one.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) commit: CommitId,
    pub(super) scan: Scan,
    pub(super) known: Known,
    pub(super) hints: HashMap<BlobId, Arc<str>>,
    /// What was missing at `commit`, and who removed it as far as that could be found.
    pub(super) removals: Arc<HashMap<Lack, Option<RemovedBy>>>,
}

/// The last scan of each repository; the ones used longest ago make room for new ones.
#[derive(Debug, Default)]
pub struct KeptScans(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    scans: HashMap<RepoId, Entry>,
    clock: u64,
}

#[derive(Debug)]
struct Entry {
    kept: Arc<Kept>,
    size: usize,
    used: u64,
}

impl KeptScans {
    pub(super) fn of(&self, repo: &RepoId) -> Option<Arc<Kept>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let used = state.clock;
        let entry = state.scans.get_mut(repo)?;
        entry.used = used;
        Some(entry.kept.clone())
    }

    pub(super) fn keep(&self, repo: &RepoId, kept: Kept) {
        let size = kept.known.size();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.clock += 1;
        let used = state.clock;
        state.scans.insert(repo.clone(), Entry { kept: Arc::new(kept), size, used });
        while state.scans.values().map(|entry| entry.size).sum::<usize>() > MAX_SIZE {
            let oldest = state.scans.iter().min_by_key(|(_, entry)| entry.used).map(|(repo, _)| repo.clone());
            let Some(oldest) = oldest else { break };
            state.scans.remove(&oldest);
        }
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).scans.clear();
    }
}
