//! Keeping the truth and its index whole: use cases of the operator, which nobody reaches over the network.

mod backfill;
mod export;
mod import;
mod load_rows;
mod portable;
mod proof;
mod report;
mod verify;
mod verify_blobs;
mod verify_brought;
mod verify_packs;
mod verify_records;
mod verify_repositories;

use std::fmt;
use std::sync::Arc;

pub use backfill::{BackfillOptions, Backfilled};
pub use export::Transferred;
pub(in crate::hub) use import::IMPORTING;
pub use import::ImportOptions;
pub use load_rows::LoadedRows;
pub use report::{Event, Problem, ProblemKind};
pub use verify::{VerifyOptions, VerifySummary};

use super::{Backends, Hub};
use crate::name::{Handle, Slug};
use crate::port::{BackendError, IndexPages, PackAudit, RepositoryRecord, Unstored};

/// Why a repository is not exported or imported.
#[derive(Debug, thiserror::Error)]
pub enum PortableError {
    /// The stream is no whole export, or holds what is not so.
    #[error("the exported repository cannot be read: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// There is a repository of that name.
    #[error("{owner}/{slug} exists already")]
    Exists {
        /// The owner.
        owner: Handle,
        /// The name.
        slug: Slug,
    },
    /// Some of it is in the database alone.
    #[error(
        "{} commits, {} snapshots and {} branches of {owner}/{slug} are in the database alone: run `musehub-server backfill` first",
        rows.commits, rows.snapshots, rows.branches
    )]
    Unstored {
        /// The owner.
        owner: Handle,
        /// The name.
        slug: Slug,
        /// How much.
        rows: Unstored,
    },
    /// The stream cannot be read or written.
    #[error("the file cannot be read or written")]
    Io(#[from] std::io::Error),
    /// A backend failed.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// The use cases of the operator over the backends of a hub.
#[derive(Clone)]
pub struct Recovery {
    hub: Hub,
    pages: Arc<dyn IndexPages>,
    packs: Arc<dyn PackAudit>,
}

impl fmt::Debug for Recovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recovery").field("hub", &self.hub).finish_non_exhaustive()
    }
}

impl Recovery {
    /// The operator's use cases of `hub`: `pages` are of its index, `packs` of its object store.
    #[must_use]
    pub fn new(hub: Hub, pages: Arc<dyn IndexPages>, packs: Arc<dyn PackAudit>) -> Self {
        Self { hub, pages, packs }
    }

    fn backends(&self) -> &Backends {
        &self.hub.backends
    }

    /// The repository of this name, which is to be there, or all of them; deleted ones among them.
    async fn chosen(&self, name: Option<&(Handle, Slug)>) -> Result<Vec<RepositoryRecord>, BackendError> {
        let refs = &self.backends().refs;
        let Some((owner, slug)) = name else {
            return refs.repositories().await;
        };
        let found = refs.repository(owner, slug).await?;
        let missing = || BackendError::Missing { what: format!("repository {owner}/{slug}") };
        Ok(vec![found.ok_or_else(missing)?])
    }
}
