//! The ports: what the use cases ask of the world, as narrow, object-safe traits.
//!
//! | port | says |
//! |---|---|
//! | [`ObjectStore`] | immutable objects, in packs: the truth |
//! | [`Staging`] | uploaded blobs that no push has claimed yet |
//! | [`RefStore`] | branch moves and repository records, as create-only logs: the truth |
//! | [`RepositoryIndex`], [`HistoryIndex`] | the queryable read model, rebuilt from the two above |
//! | [`BranchClaims`] | names of branches that are about to be made or moved |
//! | [`MaintenanceIndex`] | the same read model, told where objects went |
//! | [`UnstoredIndex`] | rows whose objects the object store lacks |
//! | [`IndexPages`] | the same from one end to the other, for checks and copies |
//! | [`PackAudit`] | packs as files, whatever the index believes |
//! | [`JobQueue`], [`JobControl`] | background work, for those who do it and those who look after it |
//! | [`MpackStore`], [`FetchPacks`] | packs of the wire, uploaded or built, and which fetch they answer |
//! | [`BreakageIndex`], [`FactCache`] | what intelligence found |
//! | [`ProposalStore`], [`ProposalConversations`] | proposals to merge branches, and what people say of them |
//! | [`ReleaseStore`] | what people call commits: releases and tags |
//! | [`IdentityStore`] | who is who, and who holds which token |
//! | [`KeyStore`], [`ProofGuard`] | the keys of identities, and what was proven with them once |
//! | [`Collaborators`] | who may do what with a repository of somebody else's |
//! | [`RateLimits`] | how often somebody may ask |
//! | [`Clock`], [`Stopwatch`] | now; how much time passes |

mod branch_claims;
mod collaborators;
mod fetch_packs;
mod history_index;
mod identity_store;
mod index_pages;
mod intel_index;
mod job_queue;
mod key_store;
mod maintenance_index;
mod mpack_store;
mod object_store;
mod pack_audit;
mod proposal_conversation;
mod proposal_store;
mod rate_limits;
mod ref_store;
mod release_store;
mod repository_index;
mod unstored_index;

use std::fmt;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

pub use branch_claims::{BranchClaim, BranchClaims};
pub use collaborators::{Collaborator, Collaborators, Role, UnknownWord};
pub use fetch_packs::{FetchKey, FetchPack, FetchPacks};
pub use history_index::{BlobRow, BranchRow, CommitRow, HistoryIndex, MoveRows, RowTimes, SnapshotRow};
pub use identity_store::{Identity, IdentityStore, NewToken, Scope, TokenHash, TokenRow};
pub use index_pages::{BranchPosition, IndexPages};
pub use intel_index::{
    BREAKAGE_HISTORY, BreakageFilter, BreakageGroup, BreakageGrouping, BreakageIndex, BreakageIssue,
    BreakageMeta, Definition, FactCache, Help, RemovedBy, Severity,
};
pub use job_queue::{
    Cancellation, GiveBack, InvalidJobId, Job, JobControl, JobCursor, JobFilter, JobId, JobKind, JobOrder,
    JobPriority, JobQueue, JobStatus, Lease, NewJob, UnknownJobStatus,
};
pub use key_store::{KeyRecord, KeyStore, ProofGuard};
pub use maintenance_index::{MAINTENANCE_BATCH, MaintenanceIndex, Relocation};
pub use mpack_store::{MpackAccess, MpackArea, MpackFile, MpackStore, MpackWriter};
pub use object_store::{
    Located, NewObject, ObjectBody, ObjectStore, PackId, PackedObject, Place, PlaceError, PutReceipt,
    StageWriter, Staged, Staging, Waiting,
};
pub use pack_audit::{PackAudit, PackFault, PackFaultKind, PackReport};
pub use proposal_conversation::{
    NewProposalEntry, ProposalConversations, ProposalEntry, ProposalEntryKind, Review, Verdict,
};
pub use proposal_store::{
    NewProposal, Proposal, ProposalCheck, ProposalCounts, ProposalFilter, ProposalMerge, ProposalNumber,
    ProposalState, ProposalStore,
};
pub use rate_limits::{Rate, RateLimits, Taken};
pub use ref_store::{Readable, RefLogEntry, RefStore, RepositoryRecord, Visibility};
pub use release_store::{ReleaseFilter, ReleaseStore};
pub use repository_index::RepositoryIndex;
pub use unstored_index::{Unstored, UnstoredIndex, UnstoredRecord, UnstoredRows};

/// A boxed cause.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a backend did not do what a port promises.
///
/// Causes hang off `source`; nothing of them is meant for a client.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// What was to be created exists already with other content.
    #[error("{what} exists already")]
    Conflict {
        /// What exists.
        what: String,
    },
    /// Something that must be there is not.
    #[error("{what} is not there")]
    Missing {
        /// What is absent.
        what: String,
    },
    /// Bytes at rest are not what they were when they were written.
    #[error("{what} is damaged: {reason}")]
    Damaged {
        /// Which object of which pack.
        what: String,
        /// What does not fit.
        reason: String,
    },
    /// The backend failed; trying again later may help.
    #[error("{action} failed")]
    Unavailable {
        /// What was tried.
        action: &'static str,
        /// Why it failed.
        #[source]
        source: Cause,
    },
}

impl BackendError {
    /// A failure of the backend itself while doing `action`.
    pub fn unavailable(action: &'static str, source: impl Into<Cause>) -> Self {
        Self::Unavailable { action, source: source.into() }
    }

    /// Whether something at rest is lost or not what it was, so that trying again is of no use: others are no worse off.
    #[must_use]
    pub const fn is_damage(&self) -> bool {
        matches!(self, Self::Missing { .. } | Self::Damaged { .. })
    }
}

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment moved by `millis` milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(millis))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let moment = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(self.0) * 1_000_000)
            .map_err(|_| fmt::Error)?;
        let (date, clock) = (moment.date(), moment.time());
        write!(
            f,
            "{date}T{:02}:{:02}:{:02}.{:03}Z",
            clock.hour(),
            clock.minute(),
            clock.second(),
            clock.millisecond()
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl serde::Serialize for Timestamp {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_i64(self.0)
    }
}

impl<'de> serde::Deserialize<'de> for Timestamp {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        i64::deserialize(deserializer).map(Self)
    }
}

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let nanos = time::OffsetDateTime::now_utc().unix_timestamp_nanos() / 1_000_000;
        Timestamp(i64::try_from(nanos).unwrap_or(i64::MAX))
    }
}

/// Measures how long something takes.
pub trait Stopwatch: Send + Sync {
    /// The time since a moment that stays the same. It never goes back, whatever happens to the [`Clock`].
    fn elapsed(&self) -> Duration;
}

impl Stopwatch for SystemClock {
    fn elapsed(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
    }
}
