//! A server in process: no port, no listener, and jobs that run when a test says so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use musehub_core::Handle;
use musehub_core::hub::{Need, Viewer};
use musehub_core::port::{Clock as _, NewToken, RepositoryRecord, Scope, SystemClock, TokenHash};
use musehub_core::signature::request::Form;
use musehub_core::{BlobId, Slug};
use musehub_server::{App, Config, Limits, Settings, jobs};
use musehub_store::{Backend, RefLog, SqlIndex};
use musehub_test_services::{Engine, postgres};
use rmpv::Value;

use crate::client::MuseClient;
use crate::json_client::JsonClient;
use crate::mpack_client::MpackClient;
use crate::record::pack;
use crate::signing::{Claim, Signer};
use crate::transport::{Answer, InProcess, Transport};

/// A server in process.
#[derive(Clone, Debug)]
pub struct TestApp {
    /// The server.
    pub app: Arc<App>,
    directory: Option<Arc<tempfile::TempDir>>,
}

impl TestApp {
    /// A server in memory.
    pub async fn new() -> Self {
        Self::with_limits(Limits::default()).await
    }

    /// A server that the caller made.
    #[must_use]
    pub const fn of(app: Arc<App>) -> Self {
        Self { app, directory: None }
    }

    /// A server in memory, with limits of its own; its index is a new database of the engine chosen for this run.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub async fn with_limits(limits: Limits) -> Self {
        Self::with_config(limits).await
    }

    /// A server in memory, of which some things are chosen.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub async fn with_config(config: impl Into<Config>) -> Self {
        let app = match Engine::chosen() {
            Engine::Sqlite => App::in_memory(config).await.unwrap(),
            Engine::Postgres => {
                let url = postgres::database().await.parse().unwrap();
                let (backend, index) = (Backend::memory(), SqlIndex::connect(&url).await.unwrap());
                App::over(backend.clone(), RefLog::new(backend), index, config)
            }
        };
        Self { app, directory: None }
    }

    /// A server over a new directory, which goes with the last clone of this value.
    ///
    /// # Panics
    /// Where it cannot be made.
    pub async fn on_disk() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut settings = Settings::in_directory(directory.path());
        if Engine::chosen() == Engine::Postgres {
            settings.database = postgres::database().await.parse().unwrap();
        }
        let app = App::open(&settings, Limits::default()).await.unwrap();
        Self { app, directory: Some(Arc::new(directory)) }
    }

    /// A server over a directory that is the caller's, with a file of SQLite's in it whatever engine was chosen: so that
    /// the directory can be opened again, or copied, with all that there is.
    ///
    /// # Panics
    /// Where it cannot be opened.
    pub async fn open(directory: &Path) -> Self {
        let settings = Settings::in_directory(directory);
        Self { app: App::open(&settings, Limits::default()).await.unwrap(), directory: None }
    }

    /// A server over a directory that is the caller's, and over a database that is named by its URL.
    ///
    /// # Panics
    /// Where either cannot be opened.
    pub async fn open_with_database(directory: &Path, database: &str) -> Self {
        let mut settings = Settings::in_directory(directory);
        settings.database = database.parse().unwrap();
        Self { app: App::open(&settings, Limits::default()).await.unwrap(), directory: None }
    }

    /// Where the files of a server of [`TestApp::on_disk`] are.
    #[must_use]
    pub fn directory(&self) -> Option<PathBuf> {
        self.directory.as_ref().map(|directory| directory.path().to_owned())
    }

    /// A valid token of somebody's: always the same for one handle.
    ///
    /// # Panics
    /// Where the handle is none.
    pub async fn token(&self, handle: &str) -> String {
        let token = format!("mh_test_{handle}");
        let handle = Handle::parse(handle).unwrap();
        let hash = TokenHash::of(&token);
        if self.app.identities.token(hash).await.unwrap().is_none() {
            let created_at = self.app.clock.now();
            let new = NewToken { hash, handle, scope: Scope::Admin, created_at, expires_at: None };
            self.app.identities.add_token(&new).await.unwrap();
        }
        token
    }

    /// Somebody with a registered key, which is made of a number.
    ///
    /// # Panics
    /// Where it cannot be registered.
    pub async fn signer(&self, handle: &str, seed: u8) -> Signer {
        let signer = Signer::new(handle, seed);
        self.app.keyring.add_unproven(&signer.handle, signer.public()).await.unwrap();
        signer
    }

    /// Creates a public repository over the API, and gives a client of its owner's.
    pub async fn repository(&self, owner: &str, slug: &str) -> MuseClient {
        self.create(owner, slug, "public").await
    }

    /// Creates a private repository over the API, and gives a client of its owner's.
    pub async fn private_repository(&self, owner: &str, slug: &str) -> MuseClient {
        self.create(owner, slug, "private").await
    }

    async fn create(&self, owner: &str, slug: &str, visibility: &str) -> MuseClient {
        let token = self.token(owner).await;
        let body = serde_json::json!({"name": slug, "visibility": visibility});
        let answer = self.post("/api/v1/repos").bearer(&token).json(&body).send().await;
        let _ = answer.expect(201);
        self.client(owner, slug, Some(owner)).await
    }

    /// A client of a repository for somebody, or for nobody.
    pub async fn client(&self, owner: &str, slug: &str, who: Option<&str>) -> MuseClient {
        let token = match who {
            Some(who) => Some(self.token(who).await),
            None => None,
        };
        MuseClient::new(Arc::new(InProcess(self.app.clone())), owner, slug, token.as_deref())
    }

    /// A client of early March 2026 for somebody, or for nobody.
    pub async fn json_client(&self, owner: &str, slug: &str, who: Option<&str>) -> JsonClient {
        let token = match who {
            Some(who) => Some(self.token(who).await),
            None => None,
        };
        let repo_id = self.record(owner, slug).await.repo_id;
        JsonClient::new(Arc::new(InProcess(self.app.clone())), repo_id.as_str(), token.as_deref())
    }

    /// A client of packs of a repository for somebody, or for nobody.
    pub async fn mpack_client(&self, owner: &str, slug: &str, who: Option<&str>) -> MpackClient {
        let token = match who {
            Some(who) => Some(self.token(who).await),
            None => None,
        };
        MpackClient::new(Arc::new(InProcess(self.app.clone())), owner, slug, token.as_deref())
    }

    /// The record of a repository.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn record(&self, owner: &str, slug: &str) -> RepositoryRecord {
        let (owner, slug) = (Handle::parse(owner).unwrap(), Slug::parse(slug).unwrap());
        let viewer = Viewer::Identity(owner.clone());
        self.app.hub.open(&owner, &slug, &viewer, Need::Read).await.unwrap()
    }

    /// A GET.
    pub fn get(&self, path: &str) -> Call {
        self.request("GET", path)
    }

    /// A POST.
    pub fn post(&self, path: &str) -> Call {
        self.request("POST", path)
    }

    /// A request of any method.
    pub fn request(&self, method: &str, path: &str) -> Call {
        Call {
            transport: InProcess(self.app.clone()),
            head: Request::builder().method(method).uri(path),
            body: Bytes::new(),
        }
    }

    /// Runs background jobs until none is due; how many ran.
    ///
    /// # Panics
    /// Where the queue fails.
    pub async fn run_jobs(&self) -> usize {
        let mut ran = 0;
        while jobs::run_next(&self.app, "test").await.unwrap() {
            ran += 1;
        }
        ran
    }

    /// How many of the contents have facts of Python files.
    ///
    /// # Panics
    /// Where the cache fails.
    pub async fn known_facts(&self, ids: &[String]) -> usize {
        let ids: Vec<BlobId> = ids.iter().map(|id| BlobId::parse(id).unwrap()).collect();
        self.app.facts.facts("python.py.3", &ids).await.unwrap().len()
    }
}

/// A request being made.
#[derive(Debug)]
#[must_use]
pub struct Call {
    transport: InProcess,
    head: hyper::http::request::Builder,
    body: Bytes,
}

impl Call {
    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head = self.head.header(name, value);
        self
    }

    /// Adds a token.
    pub fn bearer(self, token: &str) -> Self {
        self.header(AUTHORIZATION.as_str(), &format!("Bearer {token}"))
    }

    /// Signs it as it is so far, for this machine, now, in the newest form.
    ///
    /// # Panics
    /// Where path or headers are malformed.
    pub fn signed(self, signer: &Signer) -> Self {
        let seconds = SystemClock.now().as_millis() / 1000;
        self.signed_as(signer, Form::V2, seconds)
    }

    /// Signs it in a form, at a time.
    ///
    /// # Panics
    /// Where path or headers are malformed.
    pub fn signed_as(self, signer: &Signer, form: Form, seconds: i64) -> Self {
        let method = self.head.method_ref().unwrap().as_str().to_owned();
        let path = self.head.uri_ref().unwrap().path_and_query().unwrap().as_str().to_owned();
        let body = self.body.clone();
        let (method, path, body) = (method.as_str(), path.as_str(), &body[..]);
        let claim = Claim { form, method, host: "localhost:1337", path, seconds, body };
        let authorization = signer.authorization(&claim);
        self.header("host", "localhost:1337").header(AUTHORIZATION.as_str(), &authorization)
    }

    /// Takes msgpack for an answer.
    pub fn accept_msgpack(self) -> Self {
        self.header(ACCEPT.as_str(), "application/x-msgpack, application/json")
    }

    /// Sends msgpack, and takes it.
    pub fn msgpack(self, value: &Value) -> Self {
        self.accept_msgpack().bytes("application/x-msgpack", pack(value))
    }

    /// Sends JSON.
    pub fn json(self, value: &serde_json::Value) -> Self {
        self.bytes("application/json", value.to_string())
    }

    /// Sends bytes of any type.
    pub fn bytes(mut self, content_type: &str, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self.header(CONTENT_TYPE.as_str(), content_type)
    }

    /// The request itself.
    ///
    /// # Panics
    /// Where path or headers are malformed.
    #[must_use]
    pub fn into_request(self) -> Request<Bytes> {
        self.head.body(self.body).unwrap()
    }

    /// Sends it.
    ///
    /// # Panics
    /// Where there is no whole answer.
    pub async fn send(self) -> Answer {
        let transport = self.transport.clone();
        transport.send(self.into_request()).await.unwrap()
    }
}
