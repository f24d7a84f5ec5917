//! The composition root: a hub over its backends, and everything that requests and jobs are answered with.

mod answer;
mod count;
mod dispatch;
mod exchange;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub use exchange::Exchange;
use musehub_core::hub::mpack::Mpacks;
use musehub_core::hub::recovery::Recovery;
use musehub_core::hub::{Backends, Keyring, Releases};
use musehub_core::memory::MemoryRates;
use musehub_core::port::{
    BackendError, BreakageIndex, Clock, FactCache, IdentityStore, JobControl, JobQueue, ProofGuard,
    RateLimits, RepositoryIndex, SystemClock,
};
use musehub_core::{Hub, RepoId};
use musehub_store::{Backend, Creation, MpackFiles, PackedStore, RefLog, SqlIndex, StoreLocation, Upkeep};
use tokio::sync::{Notify, OnceCell};

use crate::auth::AccessOptions;
use crate::config::{Config, ConnectionLimits, Limits, Settings};
use crate::http::address::AddressKey;
use crate::http::origin::TrustedProxies;
use crate::http::rate::{Limiter, Rates, Reserving};
use crate::http::route::Router;
use crate::jobs::Registry;
use crate::metrics::Metrics;
use crate::pages::Pages;
use crate::scan::KeptScans;

/// How many bytes of snapshots and commits that were read lately stay in memory.
const RECORD_CACHE: usize = 16 << 20;

/// A server without its listener.
pub struct App {
    /// The use cases.
    pub hub: Hub,
    /// The use cases of the operator.
    pub recovery: Recovery,
    /// Who is who.
    pub identities: Arc<dyn IdentityStore>,
    /// The keys that they sign with.
    pub keyring: Keyring,
    /// What was proven once.
    pub proofs: Arc<dyn ProofGuard>,
    /// Who may come in, and as whom.
    pub access: AccessOptions,
    /// The read model of repositories.
    pub repositories: Arc<dyn RepositoryIndex>,
    /// What people call commits.
    pub releases: Releases,
    /// Background work.
    pub queue: Arc<dyn JobQueue>,
    /// The same, for those who look after it.
    pub control: Arc<dyn JobControl>,
    /// What runs it.
    pub handlers: Registry,
    /// How long a job is its worker's without a sign of life.
    pub lease: Duration,
    /// What the detector found.
    pub breakage: Arc<dyn BreakageIndex>,
    /// What is known of blobs.
    pub facts: Arc<dyn FactCache>,
    /// The last scans, to scan the next commit faster.
    pub scans: KeptScans,
    /// Packs of the wire.
    pub mpacks: Mpacks,
    /// The upkeep of the object store.
    pub upkeep: Upkeep,
    /// The log of branch moves.
    pub log: RefLog,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What a request may cost.
    pub limits: Limits,
    /// What the listener takes.
    pub connections: ConnectionLimits,
    /// The proxies in front.
    pub proxies: TrustedProxies,
    /// How often somebody may ask.
    pub limiter: Limiter,
    /// What is counted.
    pub metrics: Metrics,
    /// Whether the process has been told to stop.
    pub stopping: AtomicBool,
    /// The templates.
    pub pages: Pages,
    /// Wakes the worker when there is work.
    pub work: Notify,
    address_key: OnceCell<AddressKey>,
    backends: Backends,
    index: Arc<SqlIndex>,
    router: Router,
}

/// Makes sure that somebody decides races: pushes race for the creation of entries of the ref log.
fn decided(backend: Backend, creation: Creation, only_process: bool) -> Result<Backend, BackendError> {
    match creation {
        Creation::Exclusive => Ok(backend),
        Creation::Overwriting if only_process => Ok(backend.alone()),
        Creation::Overwriting => {
            let reason = "it overwrites objects that it was asked to create (`If-None-Match: *`), so pushes to two \
                          processes could be lost; --only-process promises that there is one";
            Err(BackendError::unavailable("opening the object store", reason))
        }
    }
}

impl std::fmt::Debug for App {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("App").field("limits", &self.limits).finish_non_exhaustive()
    }
}

impl App {
    /// A server over an object store and a database. The schema of the database is brought up to date.
    ///
    /// # Errors
    /// As [`open_store`](Self::open_store), and where the database cannot be opened.
    pub async fn open(settings: &Settings, config: impl Into<Config>) -> Result<Arc<Self>, BackendError> {
        let (backend, refs) = Self::open_store(settings).await?;
        let index = SqlIndex::connect(&settings.database).await?;
        Ok(Self::over(backend, refs, index, config))
    }

    /// An object store and the log of its refs. How a bucket is reached stands in the environment.
    ///
    /// # Errors
    /// [`BackendError`] where it cannot be opened, or where it overwrites what it was asked to create and there may be other
    /// processes.
    pub async fn open_store(settings: &Settings) -> Result<(Backend, RefLog), BackendError> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let backend = Backend::open(&settings.store, environment)?;
        let creation = match &settings.store {
            StoreLocation::Directory(_) => Creation::Exclusive,
            StoreLocation::Bucket { .. } => backend.check().await?,
        };
        let backend = decided(backend, creation, settings.only_process)?;
        let refs = RefLog::new(backend.clone());
        Ok((backend, refs))
    }

    /// A server in memory.
    ///
    /// # Errors
    /// [`BackendError`] where the database cannot be made.
    pub async fn in_memory(config: impl Into<Config>) -> Result<Arc<Self>, BackendError> {
        let backend = Backend::memory();
        let refs = RefLog::new(backend.clone());
        Ok(Self::over(backend, refs, SqlIndex::in_memory().await?, config))
    }

    /// A server over an object store, its ref log and an index that are open.
    #[must_use]
    pub fn over(backend: Backend, refs: RefLog, index: SqlIndex, config: impl Into<Config>) -> Arc<Self> {
        let Config { limits, connections, proxies, rates, access, handlers, lease, store_addresses } =
            config.into();
        let index = Arc::new(index);
        let limiter = rates.map_or_else(Limiter::off, |rates| limiter(rates, &index));
        let files = MpackFiles::new(backend.clone());
        let files = Arc::new(if store_addresses { files } else { files.through_the_hub() });
        let store = PackedStore::new(backend, index.clone()).with_cache(RECORD_CACHE);
        let objects = Arc::new(store.clone());
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let backends = Backends {
            objects: objects.clone(),
            staging: objects.clone(),
            refs: Arc::new(refs.clone()),
            repositories: index.clone(),
            history: index.clone(),
            unstored: index.clone(),
            claims: index.clone(),
            collaborators: index.clone(),
            keys: index.clone(),
            proposals: index.clone(),
            conversations: index.clone(),
            clock: clock.clone(),
        };
        let hub = Hub::new(backends.clone(), handlers.hub_options());
        let hub = hub.with_loose_objects(files.clone(), limits.object).with_staging_limits(limits.staging());
        let releases = Releases::new(hub.clone(), index.clone());
        Arc::new(Self {
            mpacks: Mpacks::new(
                hub.clone(),
                files,
                index.clone(),
                Arc::new(SystemClock),
                releases.clone(),
                limits.mpacks(),
            ),
            address_key: OnceCell::new(),
            recovery: Recovery::new(hub.clone(), index.clone(), objects),
            releases,
            hub,
            upkeep: Upkeep::new(store, refs.clone(), index.clone(), clock.clone()),
            log: refs,
            identities: index.clone(),
            keyring: Keyring::new(
                index.clone(),
                index.clone(),
                index.clone(),
                clock.clone(),
                access.open_registration,
            ),
            proofs: index.clone(),
            access,
            repositories: index.clone(),
            queue: index.clone(),
            control: index.clone(),
            handlers,
            lease,
            breakage: index.clone(),
            facts: index.clone(),
            index,
            scans: KeptScans::default(),
            clock,
            limits,
            connections,
            proxies,
            limiter,
            metrics: Metrics::default(),
            stopping: AtomicBool::new(false),
            pages: Pages::new(),
            work: Notify::new(),
            backends,
            router: Router::default(),
        })
    }

    /// Waits for running statements and closes the database, for whoever needs it alone next.
    ///
    /// # Errors
    /// [`BackendError`] where the driver fails.
    pub async fn close(&self) -> Result<(), BackendError> {
        self.index.close().await
    }

    /// The staging area that uploads go to.
    pub fn staging(&self) -> &dyn musehub_core::port::Staging {
        self.backends.staging.as_ref()
    }

    /// What signs addresses of this server's own: the same for every process over one store.
    pub(crate) async fn address_key(&self) -> Result<&AddressKey, BackendError> {
        let make = async || Ok(AddressKey::new(&self.mpacks.store().secret().await?));
        self.address_key.get_or_try_init(make).await
    }

    /// Whether the database answers.
    pub(crate) async fn ask_database(&self) -> Result<(), BackendError> {
        self.repositories.repository_by_id(&nobody()).await.map(drop)
    }

    /// Whether the object store answers.
    pub(crate) async fn ask_store(&self) -> Result<(), BackendError> {
        self.backends.refs.heads(&nobody()).await.map(drop)
    }

    /// Tells whoever asks whether the server is ready that it is not any more.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }
}

/// Buckets in memory, or in the database where several processes may share it.
fn limiter(rates: Rates, index: &Arc<SqlIndex>) -> Limiter {
    let buckets: Arc<dyn RateLimits> = if index.is_shared() {
        Arc::new(Reserving::from(index.clone()))
    } else {
        Arc::new(MemoryRates::default())
    };
    Limiter::over(rates, buckets)
}

/// The id of a repository that is never there.
fn nobody() -> RepoId {
    RepoId::parse("00000000-0000-0000-0000-000000000000").expect("it has the form of an id")
}
