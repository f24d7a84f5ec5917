//! What can be chosen of a server; everything has a default.

use std::path::Path;
use std::time::Duration;

use musehub_core::hub::StagingLimits;
use musehub_core::hub::mpack::MpackOptions;
use musehub_core::mpack::Limits as Reading;
use musehub_store::{DatabaseUrl, StoreLocation};

use crate::auth::AccessOptions;
use crate::http::origin::TrustedProxies;
use crate::http::rate::Rates;
use crate::jobs::{LEASE, Registry};

/// What a request may cost. Every limit can be set; passing it is 413.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one object.
    pub object: u64,
    /// Bytes of one upload of objects.
    pub upload: u64,
    /// Bytes of one push: its commits, snapshots and inline objects.
    pub push: u64,
    /// Uploads that may wait in one repository for a push that claims them.
    pub staged_uploads: u64,
    /// Their bytes together.
    pub staged_bytes: u64,
    /// Bytes of any other request.
    pub request: u64,
    /// Bytes of what a fetch answers; the client of March 2026 takes no more than 64 MiB.
    pub fetch: u64,
    /// Bytes of one pack of a push.
    pub mpack: u64,
    /// Bytes of a pack that is indexed while its client waits; a larger one is a job to poll.
    pub mpack_inline: u64,
    /// Bytes of objects of a pack that is built before a clone asks for it; 0 for none.
    pub mpack_ahead: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            object: 256 << 20,
            upload: 8 << 30,
            push: 1 << 30,
            staged_uploads: 10_000,
            staged_bytes: 64 << 30,
            request: 64 << 20,
            fetch: 64 << 20,
            mpack: 2 << 30,
            mpack_inline: 64 << 20,
            mpack_ahead: 512 << 20,
        }
    }
}

impl Limits {
    /// What may wait for pushes.
    pub(crate) const fn staging(self) -> StagingLimits {
        StagingLimits { uploads: self.staged_uploads, bytes: self.staged_bytes }
    }

    /// What packs of the wire may cost.
    pub(crate) fn mpacks(self) -> MpackOptions {
        let defaults = MpackOptions::default();
        let reading = Reading { object: self.object, total: self.push, ..defaults.reading };
        let (pack, ahead) = (self.mpack, self.mpack_ahead);
        MpackOptions { pack, reading, rebuilt: self.push, records: self.push, ahead, ..defaults }
    }
}

/// Where a server keeps what it has.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The object store.
    pub store: StoreLocation,
    /// The database of the index, identities, tokens and jobs.
    pub database: DatabaseUrl,
    /// Promises that no other process writes to the store.
    pub only_process: bool,
}

impl Settings {
    /// Everything in one directory: `store/` and `musehub.db`.
    #[must_use]
    pub fn in_directory(data: &Path) -> Self {
        Self {
            store: StoreLocation::Directory(data.join("store")),
            database: DatabaseUrl::sqlite(data.join("musehub.db")),
            only_process: false,
        }
    }
}

/// What the listener takes.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at one time; more wait.
    pub all: usize,
    /// Of one address, or of one network of 64 bits under IPv6; more are closed. Trusted proxies have no such limit.
    pub per_address: usize,
    /// How long a client may take for a handshake, for the head of its first request, and for that of each following one.
    pub head_time: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { all: 4096, per_address: 256, head_time: Duration::from_secs(30) }
    }
}

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// What a request may cost.
    pub limits: Limits,
    /// What the listener takes.
    pub connections: ConnectionLimits,
    /// The proxies in front.
    pub proxies: TrustedProxies,
    /// How often somebody may ask; none for as often as they like.
    pub rates: Option<Rates>,
    /// Who may come in, and as whom.
    pub access: AccessOptions,
    /// The kinds of jobs.
    pub handlers: Registry,
    /// How long a job is its worker's without a sign of life.
    pub lease: Duration,
    /// Whether clients may be given addresses of the object store itself, where it can sign them.
    pub store_addresses: bool,
}

impl Default for Config {
    fn default() -> Self {
        Limits::default().into()
    }
}

impl From<Limits> for Config {
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            connections: ConnectionLimits::default(),
            proxies: TrustedProxies::default(),
            rates: None,
            access: AccessOptions::default(),
            handlers: Registry::standard(),
            lease: LEASE,
            store_addresses: true,
        }
    }
}
