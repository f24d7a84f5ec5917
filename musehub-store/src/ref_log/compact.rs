//! Compaction of the log: old entries of a repository become one segment, and then their files go. Also what the upkeep of the
//! store asks of the log as a whole.
//!
//! Order: segment, created once; then the entries that it holds are removed. A crash in between leaves entries that every
//! reader passes over and that the next compaction removes.

use std::collections::{BTreeMap, HashMap, HashSet};

use futures::{StreamExt, TryStreamExt};
use musehub_core::RepoId;
use musehub_core::port::{BackendError, PackId, RefLogEntry, Timestamp};
use object_store::ObjectStore;
use object_store::path::Path;
use serde::Serialize;

use super::folded::{segment_directory, segment_path};
use super::segment::Segment;
use super::{ATTEMPTS, PARALLEL, RefLog, Retry, branch_directory, numbered, restless};
use crate::backend::failed;

/// How many moves are folded into one segment at most, which bounds the memory of it.
const MOVES: usize = 50_000;
/// From how many bytes of their texts on a segment gets no more moves. A push may borrow from many packs, and a segment that
/// would be too long is one that nobody reads.
const SEGMENT_BYTES: usize = 16 << 20;
/// How many bytes the name of a pack takes there.
const PACK_NAME: usize = 67;
/// How many bytes a move takes without the names of packs, about.
const ENTRY: usize = 500;

/// What a compaction did.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Compacted {
    /// Repositories that had something to fold.
    pub repositories: u64,
    /// Moves that lie in segments now.
    pub folded: u64,
    /// Files of entries removed.
    pub removed: u64,
}

/// The files of the entries of a repository: by directory of the branch, then number, when each was written.
type Files = BTreeMap<String, BTreeMap<u64, Timestamp>>;

impl RefLog {
    /// Folds the entries of every repository that has at least `least` written before `before`.
    ///
    /// # Errors
    /// [`BackendError`] where the store fails or an entry is damaged; what was folded until then stays folded.
    pub async fn compact(&self, before: Timestamp, least: usize) -> Result<Compacted, BackendError> {
        let mut done = Compacted::default();
        for (repo, old) in self.old_entries(before).await? {
            if old >= least.max(1) {
                let files = self.entry_files(&repo).await?;
                self.compact_repository(&repo, files, before, &mut done).await?;
            }
        }
        Ok(done)
    }

    /// How many entries of each repository were written before `before`.
    async fn old_entries(&self, before: Timestamp) -> Result<BTreeMap<RepoId, usize>, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from("refs")));
        let mut counts = BTreeMap::new();
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("listing the log", error))? {
            if let Some((repo, ..)) = parse_path(entry.location.as_ref()) {
                let written = Timestamp::from_millis(entry.last_modified.timestamp_millis());
                *counts.entry(repo).or_default() += usize::from(written < before);
            }
        }
        Ok(counts)
    }

    async fn compact_repository(
        &self,
        repo: &RepoId,
        mut files: Files,
        before: Timestamp,
        done: &mut Compacted,
    ) -> Result<(), BackendError> {
        done.repositories += 1;
        loop {
            let folds = self.folds(repo).await?;
            if folds.purged {
                return Ok(());
            }
            let newest = self.newest_segment(repo, folds).await?;
            let folded = newest.as_ref().map(Segment::folded).unwrap_or_default();
            let folded: HashMap<String, u64> =
                folded.into_iter().map(|(branch, until)| (branch_directory(repo, &branch), until)).collect();
            // What a segment holds already: a compaction was interrupted.
            done.removed += self.remove_folded(&mut files, &folded).await?;
            let paths = foldable(&files, &folded, before);
            if paths.is_empty() {
                return Ok(());
            }
            let moves: Vec<RefLogEntry> = match self.read_some(paths).await {
                Ok(moves) => moves,
                // Another process has folded them since they were listed.
                Err(BackendError::Missing { .. }) => return Ok(()),
                Err(error) => return Err(error),
            };
            done.folded += moves.len() as u64;
            let segment = Segment::after(newest.as_ref(), repo, moves);
            self.create_segment(repo, &segment).await?;
        }
    }

    /// The first of these entries, at least one, as many as go into one segment.
    async fn read_some(&self, paths: Vec<Path>) -> Result<Vec<RefLogEntry>, BackendError> {
        let reads =
            futures::stream::iter(paths).map(|path| async move { self.read::<RefLogEntry>(&path).await });
        let mut reads = reads.buffered(PARALLEL);
        let mut moves = Vec::new();
        let mut bytes = 0;
        while bytes < SEGMENT_BYTES
            && let Some(entry) = reads.try_next().await?
        {
            bytes += PACK_NAME * (entry.packs.len() + entry.borrowed.len()) + ENTRY;
            moves.push(entry);
        }
        Ok(moves)
    }

    async fn create_segment(&self, repo: &RepoId, segment: &Segment) -> Result<(), BackendError> {
        let bytes = segment
            .write()
            .map_err(|error| BackendError::unavailable("writing a segment of the log", error))?;
        let path = segment_path(repo, segment.number);
        match self.backend.create(&path, bytes).await {
            // Another process folded the same moves; what it did is looked at next.
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(failed("writing a segment of the log", error)),
        }
    }

    /// Removes the files of entries that a segment holds; how many there were.
    async fn remove_folded(
        &self,
        files: &mut Files,
        folded: &HashMap<String, u64>,
    ) -> Result<u64, BackendError> {
        let mut paths = Vec::new();
        for (directory, numbers) in files.iter_mut() {
            let until = folded.get(directory).copied().unwrap_or(0);
            let later = numbers.split_off(&(until + 1));
            paths.extend(
                std::mem::replace(numbers, later).into_keys().map(|number| numbered(directory, number)),
            );
        }
        files.retain(|_, numbers| !numbers.is_empty());
        self.remove(paths).await
    }

    pub(super) async fn remove(&self, paths: Vec<Path>) -> Result<u64, BackendError> {
        let count = paths.len() as u64;
        let paths = futures::stream::iter(paths.into_iter().map(Ok)).boxed();
        let mut removed = self.backend.fast.delete_stream(paths);
        while let Some(result) = removed.next().await {
            match result {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(failed("removing entries of the log", error)),
            }
        }
        Ok(count)
    }

    /// The files of the entries of a repository.
    async fn entry_files(&self, repo: &RepoId) -> Result<Files, BackendError> {
        let mut entries = self.backend.fast.list(Some(&Path::from(format!("refs/{repo}"))));
        let mut found = Files::new();
        while let Some(entry) = entries.try_next().await.map_err(|error| failed("listing the log", error))? {
            let Some((_, directory, number)) = parse_path(entry.location.as_ref()) else {
                continue;
            };
            let written = Timestamp::from_millis(entry.last_modified.timestamp_millis());
            found.entry(directory).or_default().insert(number, written);
        }
        Ok(found)
    }

    /// Every pack that an entry of any repository names, written or borrowed; those of some repositories are not looked at.
    ///
    /// Entries are read while they are listed, so there are never more in memory than are under way.
    pub(crate) async fn named_packs(
        &self,
        except: &HashSet<RepoId>,
    ) -> Result<HashSet<PackId>, BackendError> {
        for _ in 0..ATTEMPTS {
            match self.try_named_packs(except).await {
                Err(Retry::Moved) => {}
                Err(Retry::Failed(error)) => return Err(error),
                Ok(packs) => return Ok(packs),
            }
        }
        Err(restless())
    }

    /// Entries first, segments after them: an entry that was removed before it could be listed is in a segment that is
    /// listed, and one that is removed before it can be read is met as absent.
    async fn try_named_packs(&self, except: &HashSet<RepoId>) -> Result<HashSet<PackId>, Retry> {
        let mut packs = HashSet::new();
        let entries = self.backend.fast.list(Some(&Path::from("refs")));
        let paths = entries.map_err(|error| Retry::Failed(failed("listing the log", error)));
        let paths = paths.try_filter_map(|entry| async move {
            let parsed = parse_path(entry.location.as_ref());
            Ok(parsed.filter(|(repo, ..)| !except.contains(repo)).map(|_| entry.location))
        });
        let reads =
            paths.map_ok(|path| async move { self.read::<RefLogEntry>(&path).await.map_err(Retry::moved) });
        let mut reads = reads.try_buffer_unordered(PARALLEL).boxed();
        while let Some(entry) = reads.try_next().await? {
            packs.extend(entry.packs.into_iter().chain(entry.borrowed));
        }
        for (repo, number) in self.segments().await? {
            if except.contains(&repo) {
                continue;
            }
            for entry in self.segment(&repo, number).await?.moves {
                packs.extend(entry.packs.into_iter().chain(entry.borrowed));
            }
        }
        Ok(packs)
    }

    /// Every segment of every repository.
    async fn segments(&self) -> Result<Vec<(RepoId, u64)>, BackendError> {
        let entries = self.backend.fast.list(Some(&Path::from("refs")));
        let segments = entries.try_filter_map(|entry| async move {
            let parts: Vec<&str> = entry.location.as_ref().split('/').collect();
            let ["refs", repo, "=log", name] = parts[..] else {
                return Ok(None);
            };
            let number = name.strip_suffix(".seg").and_then(|number| number.parse().ok());
            Ok(RepoId::parse(repo).ok().zip(number))
        });
        segments.try_collect().await.map_err(|error| failed("listing the log", error))
    }
}

/// The entries to fold next, those of each branch without a gap.
fn foldable(files: &Files, folded: &HashMap<String, u64>, before: Timestamp) -> Vec<Path> {
    let mut paths = Vec::new();
    for (directory, numbers) in files {
        let next = folded.get(directory).copied().unwrap_or(0) + 1;
        let run = (next..)
            .zip(numbers)
            .take_while(|(expected, (number, written))| expected == *number && **written < before);
        paths.extend(run.map(|(number, _)| numbered(directory, number)));
        if paths.len() >= MOVES {
            paths.truncate(MOVES);
            break;
        }
    }
    paths
}

/// Takes `refs/<repository id>/<branch>/<number>.json` apart: the repository, the directory and the number.
fn parse_path(path: &str) -> Option<(RepoId, String, u64)> {
    let (directory, name) = path.rsplit_once('/')?;
    let number = name.strip_suffix(".json")?.parse().ok()?;
    let (repo, branch) = directory.strip_prefix("refs/")?.split_once('/')?;
    let repo = RepoId::parse(repo).ok()?;
    if branch.contains('/') || directory == segment_directory(&repo) {
        return None;
    }
    Some((repo, directory.to_owned(), number))
}
