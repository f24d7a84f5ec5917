//! The composition root: a hub over its backends, and what a request meets on its way in and out.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, HeaderValue,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use musehub_core::hub::mpack::{MpackOptions, Mpacks};
use musehub_core::hub::recovery::Recovery;
use musehub_core::hub::{Backends, Keyring, Need, Opened, Releases, Viewer};
use musehub_core::memory::MemoryRates;
use musehub_core::mpack::Limits as Reading;
use musehub_core::port::{
    BackendError, BreakageIndex, Clock, FactCache, IdentityStore, JobControl, JobQueue, ProofGuard,
    RateLimits, RepositoryIndex, RepositoryRecord, SystemClock,
};
use musehub_core::{Handle, Hub, RepoId};
use musehub_store::{
    Backend, Creation, DatabaseUrl, MpackFiles, PackedStore, RefLog, SqlIndex, StoreLocation, Upkeep,
};
use tokio::sync::{Notify, OnceCell};

use crate::auth::{self, AccessOptions, Admitted};
use crate::config::{Config, ConnectionLimits};
use crate::http::address::AddressKey;
use crate::http::origin::{Origin, TrustedProxies};
use crate::http::rate::{Class, Limiter, Rates, Reserving, Who};
use crate::http::route::{Entry, Generation, NoRoute, Params, Route, Router, Rule};
use crate::http::{ApiError, Counted, Reply, RequestBody, health, html, plain, unsupported};
use crate::jobs::Registry;
use crate::metrics::Metrics;
use crate::pages::{self, ErrorPage, Pages};
use crate::scan::KeptScans;
use crate::{api, web, wire};

/// How many bytes of snapshots and commits that were read lately stay in memory.
const RECORD_CACHE: usize = 16 << 20;

/// What a request may cost. Every limit can be set; passing it is 413.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of one object.
    pub object: u64,
    /// Bytes of one upload of objects.
    pub upload: u64,
    /// Bytes of one push: its commits, snapshots and inline objects.
    pub push: u64,
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
            request: 64 << 20,
            fetch: 64 << 20,
            mpack: 2 << 30,
            mpack_inline: 64 << 20,
            mpack_ahead: 512 << 20,
        }
    }
}

impl Limits {
    /// What packs of the wire may cost.
    fn mpacks(self) -> MpackOptions {
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

/// The ref log. Pushes race for the creation of its entries.
fn ref_log(backend: &Backend, creation: Creation, only_process: bool) -> Result<RefLog, BackendError> {
    match creation {
        Creation::Exclusive => Ok(RefLog::new(backend.clone())),
        Creation::Overwriting if only_process => Ok(RefLog::alone(backend.clone())),
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
        let refs = ref_log(&backend, creation, settings.only_process)?;
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
        let hub = hub.with_loose_objects(files.clone(), limits.object);
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

    /// Answers a request. Never fails: whatever goes wrong becomes an answer.
    pub async fn handle(self: &Arc<Self>, request: Request<RequestBody>) -> Reply {
        let started = Instant::now();
        let _in_flight = self.metrics.request();
        let (parts, mut body) = request.into_parts();
        let path = parts.uri.path();
        let origin = self.proxies.origin(&parts);
        let found = self.router.find(&parts.method, path);
        let entry = found.as_ref().ok().map(|(entry, _)| *entry);
        let (page, answer) = match found {
            Err(NoRoute::NotFound) => {
                let told = unsupported(&parts.method, path).ok_or_else(ApiError::no_such_address);
                (prefers_html(&parts), told)
            }
            Err(NoRoute::Method(allowed)) => (false, Ok(wrong_method(&allowed))),
            Ok((entry, params)) => {
                let page = entry.is_page(prefers_html(&parts));
                (page, self.answer(entry, &parts, &params, &origin, &mut body).await)
            }
        };
        let mut reply = answer.unwrap_or_else(|error| {
            error.log();
            if page { self.error_page(&error) } else { error.reply() }
        });
        body.drain().await;
        add_security_headers(&mut reply);
        let (status, took) = (reply.status().as_u16(), started.elapsed());
        let client = origin.client.map(tracing::field::display);
        tracing::info!(
            method = %parts.method, path, status, ms = took.as_secs_f64() * 1000.0, client, "request"
        );
        self.count_request(&parts.method, entry, status, took, body.received());
        if let Some((transfer, generation)) = entry.and_then(|entry| entry.route.transfer()) {
            let spoken = reply.extensions().get().map_or(generation, |Generation(spoken)| spoken);
            self.metrics.transferred(transfer, spoken, status);
        }
        let sent = self.metrics.sent(pattern(entry));
        reply.map(|body| Counted::new(body, sent).boxed_unsync())
    }

    fn count_request(
        &self,
        method: &Method,
        entry: Option<&Entry>,
        status: u16,
        took: Duration,
        received: u64,
    ) {
        // What a client chose is no label.
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
        let method = known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other");
        self.metrics.answered(pattern(entry), method, status, took);
        self.metrics.received(pattern(entry), received);
    }

    /// Answers a request of an operator: metrics and health, and nothing else.
    pub async fn handle_operations(self: &Arc<Self>, request: Request<RequestBody>) -> Reply {
        let (parts, mut body) = request.into_parts();
        let answer = match (parts.method.as_str(), parts.uri.path()) {
            ("GET" | "HEAD", "/metrics") => {
                Ok(plain(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics.render()))
            }
            ("GET" | "HEAD", "/health" | "/healthz") => health::health(),
            ("GET" | "HEAD", "/readyz") => health::ready(self).await,
            _ => Err(ApiError::no_such_address()),
        };
        let mut reply = answer.unwrap_or_else(|error| error.reply());
        body.drain().await;
        add_security_headers(&mut reply);
        reply
    }

    /// Lets in whoever the route's rule lets in, and no one else gets to its handler.
    async fn answer(
        self: &Arc<Self>,
        entry: &Entry,
        parts: &Parts,
        params: &Params,
        origin: &Origin,
        body: &mut RequestBody,
    ) -> Result<Reply, ApiError> {
        // Said to everybody, also with credentials that are not valid, and without a look at who they are.
        match entry.route {
            Route::Health => return health::health(),
            Route::Ready => return health::ready(self).await,
            _ => {}
        }
        self.count_sender(entry, parts, origin).await?;
        let admitted = match self.identify(entry, parts, body).await {
            Ok(viewer) => self.admit(entry.rule, viewer, params).await,
            Err(refusal) => Err(refusal),
        };
        // Whoever has still to be proven is counted as the address they come from.
        let known = admitted.as_ref().ok().filter(|_| body.is_proven());
        self.count_credentials(entry, parts, origin, known, admitted.as_ref().err()).await?;
        let answer = match admitted {
            Ok(admitted) => {
                Exchange { app: self, parts, params, origin, admitted }.dispatch(entry.route, body).await
            }
            Err(refusal) => Err(refusal),
        };
        let forged = |error: &ApiError| error.status == StatusCode::FORBIDDEN;
        if entry.rule == Rule::SignedAddress && answer.as_ref().is_err_and(forged) {
            self.count_failure(origin).await?;
        }
        // Nothing is said to who is not proven, not even that there is nothing: the answer would tell.
        if let Err(refusal) = body.settle().await {
            self.count_failure(origin).await?;
            // Where the handler met the refusal as it read the body, that one says more.
            return Err(answer
                .err()
                .filter(|error| error.status == StatusCode::UNAUTHORIZED)
                .unwrap_or(refusal));
        }
        answer
    }

    /// Counts a request without credentials, by where it comes from.
    async fn count_sender(&self, entry: &Entry, parts: &Parts, origin: &Origin) -> Result<(), ApiError> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        let (Some((class, cost)), Some(client)) = (entry.charge(), origin.client) else {
            return Ok(());
        };
        self.limit(Who::Address(client), class, cost).await
    }

    /// Counts a request with credentials: by who sent it, where they are valid.
    async fn count_credentials(
        &self,
        entry: &Entry,
        parts: &Parts,
        origin: &Origin,
        known: Option<&Admitted>,
        refusal: Option<&ApiError>,
    ) -> Result<(), ApiError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        let Some((class, cost)) = entry.charge() else {
            return Ok(());
        };
        if let Some(handle) = known.and_then(|admitted| admitted.viewer.handle()) {
            return self.limit(Who::Identity(handle), class, cost).await;
        }
        if refusal.is_some_and(|error| error.status == StatusCode::UNAUTHORIZED) {
            return self.count_failure(origin).await;
        }
        match origin.client {
            Some(client) => self.limit(Who::Address(client), class, cost).await,
            None => Ok(()),
        }
    }

    /// Counts credentials that are not valid, by the address they come from.
    async fn count_failure(&self, origin: &Origin) -> Result<(), ApiError> {
        match origin.client {
            Some(client) => self.limit(Who::Address(client), Class::Failure, 1).await,
            None => Ok(()),
        }
    }

    /// Who asks, proven where the handler does not read the body as it arrives.
    async fn identify(
        &self,
        entry: &Entry,
        parts: &Parts,
        body: &mut RequestBody,
    ) -> Result<Viewer, ApiError> {
        let viewer = self.viewer(parts, body).await?;
        if !entry.is_streamed {
            body.prove(self.limits.request).await?;
        }
        Ok(viewer)
    }

    async fn limit(&self, who: Who<'_>, class: Class, cost: u32) -> Result<(), ApiError> {
        let counted = self.limiter.count(who, class, cost, self.clock.now()).await;
        counted.inspect_err(|_| self.metrics.limited(class.as_str()))
    }

    fn error_page(&self, error: &ApiError) -> Reply {
        let title = error.status.canonical_reason().unwrap_or("Error").to_owned();
        let page = ErrorPage { status: error.status.as_u16(), title, sentence: error.detail.clone() };
        match self.pages.render(&page) {
            Ok(text) => {
                let mut reply = html(error.status, text);
                error.add_headers(&mut reply);
                reply
            }
            Err(_) => error.reply(),
        }
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

/// The route as it is counted.
fn pattern(entry: Option<&Entry>) -> &'static str {
    entry.map_or("none", |entry| entry.path)
}

/// One request on its way to an answer, whose sender the route's rule has let in.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The server.
    pub app: &'a Arc<App>,
    /// The head of the request.
    pub parts: &'a Parts,
    /// The named parts of its path.
    pub params: &'a Params,
    /// Where it comes from, and what it was sent to.
    pub origin: &'a Origin,
    admitted: Admitted,
}

impl Exchange<'_> {
    async fn dispatch(&self, route: Route, body: &mut RequestBody) -> Result<Reply, ApiError> {
        match route {
            Route::Health => health::health(),
            Route::Ready => health::ready(self.app).await,
            Route::OpenApi => Ok(api::openapi::openapi_json()),
            Route::Static => web::asset(self.params.get("name")),
            Route::CreateRepository => api::repositories::create_repository(self, body).await,
            Route::CommitFiles => api::commits::commit_files(self, body).await,
            Route::ShowRepository => api::settings::show_repository(self).await,
            Route::UpdateRepository => api::settings::update_repository(self, body).await,
            Route::ListBranches => api::branches::list_branches(self).await,
            Route::CreateBranch => api::branches::create_branch(self, body).await,
            Route::RenameBranch => api::branches::rename_branch(self, body).await,
            Route::DeleteBranch => api::branches::delete_branch(self).await,
            Route::ListTags => api::tags::list_tags(self).await,
            Route::CreateTag => api::tags::create_tag(self, body).await,
            Route::RenameTag => api::tags::rename_tag(self, body).await,
            Route::DeleteTag => api::tags::delete_tag(self).await,
            Route::ListProposals => api::proposals::list_proposals(self).await,
            Route::CreateProposal => api::proposals::create_proposal(self, body).await,
            Route::ShowProposal => api::proposals::show_proposal(self).await,
            Route::EditProposal => api::proposals::edit_proposal(self, body).await,
            Route::CloseProposal => api::proposals::close_proposal(self).await,
            Route::ReopenProposal => api::proposals::reopen_proposal(self).await,
            Route::MergeProposal => api::proposals::merging::merge_proposal(self, body).await,
            Route::ProposalCommits => api::proposals::contents::list_proposal_commits(self).await,
            Route::ProposalFiles => api::proposals::contents::list_proposal_files(self).await,
            Route::Conversation => api::proposals::conversation::list_conversation(self).await,
            Route::Comment => api::proposals::conversation::comment_on_proposal(self, body).await,
            Route::EditComment => api::proposals::conversation::edit_comment(self, body).await,
            Route::DeleteComment => api::proposals::conversation::delete_comment(self).await,
            Route::Review => api::proposals::conversation::review_proposal(self, body).await,
            Route::DismissReview => api::proposals::conversation::dismiss_review(self, body).await,
            Route::ShowCommit => api::commits::show(self).await,
            Route::SyncPush => api::sync::push(self, body).await,
            Route::SyncPull => api::sync::pull(self, body).await,
            Route::Challenge => api::keys::challenge(self, body).await,
            Route::Register => api::keys::register(self, body).await,
            Route::Keys => api::keys::list(self).await,
            Route::AddKey => api::keys::add(self, body).await,
            Route::RetireKey => api::keys::retire(self).await,
            Route::RegisterAgent => api::keys::register_agent(self, body).await,
            Route::Collaborators => api::collaborators::list(self).await,
            Route::PutCollaborator => api::collaborators::put(self, body).await,
            Route::RemoveCollaborator => api::collaborators::remove(self).await,
            Route::Refs => wire::mwp::refs(self).await,
            Route::FilterObjects => wire::mwp::filter_objects(self, body).await,
            Route::Presign => wire::mwp::presign::presign(self, body).await,
            Route::UploadObject => wire::mwp::presign::upload(self, body).await,
            Route::DownloadObject => wire::mwp::presign::download(self).await,
            Route::PushObjects => wire::mwp::push_objects(self, body).await,
            Route::Push => wire::mwp::push(self, body).await,
            Route::Fetch => wire::mpack::fetch(self, body).await,
            Route::FetchPack => wire::mpack::fetch_pack(self, body).await,
            Route::DownloadPack => wire::mpack::by_key(self).await,
            Route::SignedDownload => wire::mpack::by_address(self).await,
            Route::PresignPack => wire::mpack::presign(self, body).await,
            Route::UploadPack => wire::mpack::upload(self, body).await,
            Route::UnpackPack => wire::mpack::unpack(self, body).await,
            Route::PushJob => wire::mpack::job(self).await,
            Route::Negotiate => wire::mwp::negotiate(self, body).await,
            Route::PublishRelease => wire::mwp::releases::publish(self, body).await,
            Route::Releases => wire::mwp::releases::list(self).await,
            Route::RetractRelease => wire::mwp::releases::retract(self).await,
            Route::AddTags => wire::mwp::releases::tag(self, body).await,
            Route::Tags if prefers_html(self.parts) => web::tags(self).await,
            Route::Tags => wire::mwp::releases::tags(self).await,
            Route::Object => wire::object::object(self).await,
            Route::JsonRefs => wire::json::refs(self).await,
            Route::JsonPushObjects => wire::json::push_objects(self, body).await,
            Route::JsonPush => wire::json::push(self, body).await,
            Route::JsonFetch => wire::json::fetch(self, body).await,
            Route::Home => web::home(self).await,
            Route::Repository => web::repository(self).await,
            Route::Commits => web::commits(self).await,
            Route::Compare => web::compare(self).await,
            Route::Branches => web::branches(self).await,
            Route::Proposals => web::proposals(self).await,
            Route::Proposal => web::proposal(self).await,
            Route::ProposalTab => web::proposal_tab(self).await,
            Route::Intel => web::intel(self).await,
            Route::Breakage => web::breakage(self).await,
            Route::BreakageJson => web::breakage_json(self).await,
            Route::Jobs => wire::jobs::list(self).await,
            Route::Job => wire::jobs::show(self).await,
            Route::Tree => web::tree(self).await,
            Route::Blob => web::blob(self).await,
            Route::Raw => web::raw(self).await,
        }
    }

    /// Who asks.
    #[must_use]
    pub const fn viewer(&self) -> &Viewer {
        &self.admitted.viewer
    }

    /// The handle of who asks.
    ///
    /// # Errors
    /// 401 where nobody does, which no route that only some may use gets to.
    pub fn caller(&self) -> Result<&Handle, ApiError> {
        self.viewer().handle().ok_or_else(auth::unauthenticated)
    }

    /// The repository that the address names, opened as the route's rule says.
    ///
    /// # Errors
    /// 404 where that rule is about none.
    pub fn repository(&self) -> Result<&RepositoryRecord, ApiError> {
        Ok(&self.opened()?.repository)
    }

    /// Asks for more than the route's rule does, where what is needed stands in the request.
    ///
    /// # Errors
    /// 401 where nobody asks for more than reading, 403 where it is not theirs to do.
    pub fn require(&self, need: Need) -> Result<(), ApiError> {
        if need > Need::Read {
            self.caller()?;
        }
        self.viewer().require_scope(need)?;
        Ok(self.opened()?.require(need)?)
    }

    /// The repository and what the sender may do with it.
    ///
    /// # Errors
    /// 404 where the route's rule is about none.
    pub fn opened(&self) -> Result<&Opened, ApiError> {
        self.admitted.opened.as_ref().ok_or_else(ApiError::not_found)
    }

    /// A header as text; empty where it is absent or no text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> &str {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the client takes msgpack.
    #[must_use]
    pub fn accepts_msgpack(&self) -> bool {
        self.header(&ACCEPT).contains("application/x-msgpack")
    }

    /// The address of the client, also behind trusted proxies; none where the request came over no network.
    #[must_use]
    pub fn client_address(&self) -> Option<IpAddr> {
        self.origin.client
    }

    /// The host that the client addressed, also through trusted proxies, with its port where it named one: what signatures
    /// of requests name.
    #[must_use]
    pub fn public_host(&self) -> &str {
        &self.origin.host
    }

    /// Where clients reach this server, as far as this request tells.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.origin.base_url()
    }

    /// A parameter of the query; none where it is absent or no text.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
        let spaced = pair.1.replace('+', " ");
        Some(percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
    }
}

/// Whether a person with a browser asks.
fn prefers_html(parts: &Parts) -> bool {
    parts
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn wrong_method(allowed: &str) -> Reply {
    let detail = format!("this address takes {allowed}");
    let mut reply = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).reply();
    if let Ok(value) = HeaderValue::from_str(allowed) {
        reply.headers_mut().insert(ALLOW, value);
    }
    reply
}

fn add_security_headers(reply: &mut Reply) {
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "strict-origin-when-cross-origin"),
    ];
    let headers = reply.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What pushers wrote comes under a policy of its own, which is stricter.
    let policy = HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    // What depends on who asks and changes with every push is nobody's to keep.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
