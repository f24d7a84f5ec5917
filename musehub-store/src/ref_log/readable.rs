//! What of a damaged log can be read: entry by entry, where readers of a whole one stop at the first that cannot.

use std::collections::HashMap;

use futures::StreamExt;
use musehub_core::RepoId;
use musehub_core::port::{BackendError, Readable, RefLogEntry, RepositoryRecord};
use object_store::path::Path;
use serde::Deserialize;

use super::folded::{Folds, segment_directory};
use super::{ATTEMPTS, PARALLEL, RefLog, branch_directory, numbered, restless};

impl RefLog {
    /// The records in force that can be read.
    pub(super) async fn read_repositories(&self) -> Result<Readable<RepositoryRecord>, BackendError> {
        let numbers = self.numbers("repositories").await?;
        let last =
            numbers.iter().filter_map(|(directory, numbers)| Some(numbered(directory, *numbers.last()?)));
        let mut readable = Readable::default();
        let mut reads = self.each(last.collect());
        while let Some(read) = reads.next().await {
            readable.add(read)?;
        }
        Ok(readable)
    }

    /// The moves of a repository that can be read.
    pub(super) async fn read_moves(&self, repo: &RepoId) -> Result<Readable<RefLogEntry>, BackendError> {
        for _ in 0..ATTEMPTS {
            let mut listed = self.numbers(&format!("refs/{repo}")).await?;
            listed.remove(&segment_directory(repo));
            let folds = self.folds(repo).await?;
            if folds.purged {
                return Ok(Readable::default());
            }
            let mut readable = Readable::default();
            let folded = self.read_folded(repo, folds, &mut readable).await?;
            for (directory, numbers) in listed {
                let until = folded.as_ref().map(|folded| folded.get(&directory).copied().unwrap_or(0));
                self.read_branch(&directory, &numbers, until, &mut readable).await?;
            }
            // What was folded meanwhile looks as if it were lost.
            if self.folds(repo).await? == folds {
                return Ok(readable);
            }
        }
        Err(restless())
    }

    /// Folded moves, and how far each branch is folded, by its directory; none where that cannot be read.
    async fn read_folded(
        &self,
        repo: &RepoId,
        folds: Folds,
        readable: &mut Readable<RefLogEntry>,
    ) -> Result<Option<HashMap<String, u64>>, BackendError> {
        let mut folded = HashMap::new();
        let newest = match self.newest_segment(repo, folds).await {
            Ok(newest) => newest,
            Err(error) => {
                readable.set_aside(error)?;
                return Ok(None);
            }
        };
        for head in newest.into_iter().flat_map(|segment| segment.heads) {
            let branch = head.last.branch;
            folded.insert(branch_directory(repo, &branch), head.last.sequence);
            match self.folded_moves(repo, &branch, 0, folds).await {
                Ok((moves, _)) => readable.items.extend(moves),
                Err(error) => readable.set_aside(error)?,
            }
        }
        Ok(Some(folded))
    }

    /// The entries of one branch after those that are folded, up to the first that cannot be read.
    async fn read_branch(
        &self,
        directory: &str,
        numbers: &[u64],
        until: Option<u64>,
        readable: &mut Readable<RefLogEntry>,
    ) -> Result<(), BackendError> {
        let later: Vec<u64> = numbers.iter().copied().filter(|number| *number > until.unwrap_or(0)).collect();
        // Where it is not known how far the branch is folded, what is there is all that there is.
        let first = until.map_or_else(|| later.first().copied().unwrap_or(1), |until| until + 1);
        let run = (first..).zip(&later).take_while(|(expected, number)| expected == *number).count();
        let paths = later[..run].iter().map(|number| numbered(directory, *number));
        let mut reads = self.each::<RefLogEntry>(paths.collect());
        while let Some(read) = reads.next().await {
            let damaged = read.is_err();
            readable.add(read)?;
            if damaged {
                return Ok(());
            }
        }
        if run < later.len() {
            let what = numbered(directory, first + run as u64).to_string();
            readable.damage.push(BackendError::Missing { what });
        }
        Ok(())
    }

    fn each<T: for<'de> Deserialize<'de> + Send>(
        &self,
        paths: Vec<Path>,
    ) -> impl futures::Stream<Item = Result<T, BackendError>> + Unpin {
        let reads = futures::stream::iter(paths).map(move |path| async move { self.read(&path).await });
        Box::pin(reads.buffered(PARALLEL))
    }
}
