//! The calls of the Muse client of March 2026, in its order and with its headers.
//!
//! It decodes msgpack only, whatever an answer says it is, and takes no more than 64 MiB, as the real one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, USER_AGENT};
use rmpv::Value;

use crate::history::{Bundle, History};
use crate::id::Ids;
use crate::record::{get, list, map, pack, text, text_list, texts, unpack};
use crate::transport::{Answer, Transport};

/// Objects of one upload.
pub const CHUNK_OBJECTS: usize = 400;
/// Objects above this size are asked addresses for.
pub const LARGE_OBJECT: usize = 65_536;
/// Haves of one round of negotiation.
pub const NEGOTIATE_DEPTH: usize = 64;
/// The largest answer that is read.
pub const MAX_RESPONSE: usize = 64 << 20;

/// Why a command of the client ends early.
#[derive(Clone, Debug)]
pub struct ClientError {
    /// The status; 0 where there was none, or the answer was of no use.
    pub status: u16,
    /// The answer's body, or what is wrong with it.
    pub body: String,
    /// Which call failed.
    pub call: &'static str,
}

impl std::fmt::Display for ClientError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: HTTP {}: {}", self.call, self.status, self.body)
    }
}

impl std::error::Error for ClientError {}

/// What a repository says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refs {
    /// Its id.
    pub repo_id: String,
    /// Its domain.
    pub domain: String,
    /// Its default branch.
    pub default_branch: String,
    /// Its heads.
    pub branch_heads: BTreeMap<String, String>,
}

/// What a push did.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PushReport {
    /// Whether nothing was sent, as the hub has the head already.
    pub up_to_date: bool,
    /// Which objects the hub asked for.
    pub missing: Vec<String>,
    /// How often objects were uploaded.
    pub uploads: usize,
    /// The heads after it.
    pub branch_heads: BTreeMap<String, String>,
    /// What the hub says about it.
    pub message: String,
}

/// A client with one remote.
#[derive(Clone)]
pub struct MuseClient {
    transport: Arc<dyn Transport>,
    base: String,
    token: Option<String>,
    /// The heads that earlier calls saw: the tracking refs.
    pub tracking: BTreeMap<String, String>,
    /// What it computes ids with; the real one knows none but the flat ones.
    pub ids: Ids,
}

impl std::fmt::Debug for MuseClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MuseClient").field("base", &self.base).finish_non_exhaustive()
    }
}

impl MuseClient {
    /// A client of the repository `owner/slug`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, owner: &str, slug: &str, token: Option<&str>) -> Self {
        Self {
            transport,
            base: format!("/{owner}/{slug}"),
            token: token.map(str::to_owned),
            tracking: BTreeMap::new(),
            ids: Ids::Flat,
        }
    }

    /// `muse ls-remote`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refs(&self) -> Result<Refs, ClientError> {
        let body = self.call("refs", None, true).await?;
        Ok(read_refs(&body))
    }

    /// `muse push`: refs, filter-objects, presign where there are large objects, uploads, push.
    ///
    /// # Errors
    /// [`ClientError`] of the first call that the real client does not shrug off.
    pub async fn push(
        &mut self,
        local: &History,
        branch: &str,
        force: bool,
    ) -> Result<PushReport, ClientError> {
        let head = local.head(branch).to_owned();
        let heads = self.refs().await.map(|refs| refs.branch_heads).unwrap_or_default();
        if heads.get(branch) == Some(&head) {
            return Ok(PushReport {
                up_to_date: true,
                missing: Vec::new(),
                uploads: 0,
                branch_heads: heads,
                message: String::new(),
            });
        }
        let mut have: BTreeSet<String> = heads.into_values().chain(self.tracking.values().cloned()).collect();
        have.retain(|id| *id != head && local.commits.contains_key(id));
        let bundle = local.bundle(&head, &have);
        let (missing, uploads) = self.upload(&bundle).await?;
        let answer = self.push_bundle(&bundle, branch, force).await?;
        let branch_heads = text_map(get(&answer, "branch_heads"));
        self.tracking.extend(branch_heads.get(branch).map(|head| (branch.to_owned(), head.clone())));
        Ok(PushReport {
            up_to_date: false,
            missing,
            uploads,
            branch_heads,
            message: text(&answer, "message").to_owned(),
        })
    }

    /// Uploads what the hub says it lacks of a bundle, as a push does.
    ///
    /// # Errors
    /// [`ClientError`] of an upload; those of the calls before it are shrugged off.
    pub async fn upload(&self, bundle: &Bundle) -> Result<(Vec<String>, usize), ClientError> {
        let candidates: Vec<String> = bundle.objects.keys().cloned().collect();
        // Whatever is wrong with the answer means that everything is missing; an empty list, that nothing is.
        let missing = self.filter_objects(&candidates).await.unwrap_or(candidates);
        let large: Vec<&String> =
            missing.iter().filter(|id| bundle.objects[*id].len() > LARGE_OBJECT).collect();
        let mut presigned = BTreeMap::new();
        if !large.is_empty() {
            let body = map([("object_ids", texts(&large)), ("direction", "put".into())]);
            if let Ok(answer) = self.call("presign", Some(&body), true).await {
                presigned = text_map(get(&answer, "presigned"));
            }
        }
        for (id, url) in &presigned {
            self.put(url, bundle.objects[id].clone()).await?;
        }
        let mut uploads = 0;
        let rest: Vec<String> = missing.iter().filter(|id| !presigned.contains_key(*id)).cloned().collect();
        for chunk in rest.chunks(CHUNK_OBJECTS) {
            let objects = chunk.iter().map(|id| (id.as_str(), bundle.objects[id].clone()));
            self.call("push/objects", Some(&upload_body(objects)), true).await?;
            uploads += 1;
        }
        Ok((missing, uploads))
    }

    /// Uploads an object to an address, without credentials. The real client ends with a traceback where it is refused.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn put(&self, url: &str, content: Bytes) -> Result<(), ClientError> {
        let failed = |status, body| ClientError { status, body, call: "upload" };
        let request = Request::put(url)
            .header(USER_AGENT, "Python-urllib/3.13")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(CONTENT_LENGTH, content.len());
        let request = request.body(content).map_err(|error| failed(0, error.to_string()))?;
        let answer = self.transport.send(request).await.map_err(|error| failed(0, error))?;
        if answer.status < 300 { Ok(()) } else { Err(failed(answer.status, answer.text())) }
    }

    /// The call that ends a push.
    ///
    /// # Errors
    /// [`ClientError`], also where the answer's `ok` is not true.
    pub async fn push_bundle(
        &self,
        bundle: &Bundle,
        branch: &str,
        force: bool,
    ) -> Result<Value, ClientError> {
        let answer = self.call("push", Some(&push_body(bundle, branch, force)), true).await?;
        if get(&answer, "ok") == &Value::Boolean(true) {
            Ok(answer)
        } else {
            Err(ClientError {
                status: 0,
                body: format!("Push rejected by remote: {}", text(&answer, "message")),
                call: "push",
            })
        }
    }

    /// Which of the objects the hub lacks.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn filter_objects(&self, ids: &[String]) -> Result<Vec<String>, ClientError> {
        let body = map([("object_ids", texts(ids))]);
        let answer = self.call("filter-objects", Some(&body), true).await?;
        Ok(text_list(&answer, "missing"))
    }

    /// `muse fetch`: refs, then everything of one branch that is not in the local history. Returns how many commits came.
    ///
    /// # Errors
    /// [`ClientError`]; 404 without a call where there is no such branch.
    pub async fn fetch(&mut self, local: &mut History, branch: &str) -> Result<usize, ClientError> {
        let head = self.branch_head(branch).await?;
        if self.tracking.get(branch) == Some(&head) {
            return Ok(0);
        }
        // Every commit of the local store, however many.
        let have: Vec<String> = local.commits.keys().cloned().collect();
        let bundle = self.fetch_bundle(std::slice::from_ref(&head), &have).await?;
        self.receive(local, branch, &head, &bundle)
    }

    /// `muse pull` without its merge: refs, negotiation in batches, fetch. Returns how many commits came.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn pull(&mut self, local: &mut History, branch: &str) -> Result<usize, ClientError> {
        let head = self.branch_head(branch).await?;
        let all: Vec<String> = local.commits.keys().cloned().collect();
        let mut have = all.clone();
        for batch in all.chunks(NEGOTIATE_DEPTH) {
            let Ok(found) = self.negotiate(std::slice::from_ref(&head), batch).await else {
                break;
            };
            if get(&found, "ready").as_bool() == Some(true) {
                let ack = text_list(&found, "ack");
                have = if ack.is_empty() { batch.to_vec() } else { ack };
                break;
            }
        }
        let bundle = self.fetch_bundle(std::slice::from_ref(&head), &have).await?;
        self.receive(local, branch, &head, &bundle)
    }

    /// `muse clone`: refs and fetch without a token, every head at once. Everything that came is verified.
    ///
    /// # Errors
    /// [`ClientError`]; status 0 where what came is not what it claims to be.
    pub async fn clone_repository(&self) -> Result<History, ClientError> {
        let refs = read_refs(&self.call("refs", None, false).await?);
        let want: BTreeSet<&String> = refs.branch_heads.values().collect();
        let body = map([("want", texts(want)), ("have", texts::<&str>([]))]);
        let bundle = read_bundle(&self.call("fetch", Some(&body), false).await?);
        let mut local = History::with_ids(self.ids);
        local.repo_id = refs.repo_id;
        local.receive(&bundle);
        local.branches = refs.branch_heads;
        local.verify().map_err(|body| ClientError { status: 0, body, call: "fetch" })?;
        Ok(local)
    }

    /// One fetch call.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fetch_bundle(&self, want: &[String], have: &[String]) -> Result<Bundle, ClientError> {
        let body = map([("want", texts(want)), ("have", texts(have))]);
        Ok(read_bundle(&self.call("fetch", Some(&body), true).await?))
    }

    /// One round of negotiation.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn negotiate(&self, want: &[String], have: &[String]) -> Result<Value, ClientError> {
        let body = map([("want", texts(want)), ("have", texts(have))]);
        self.call("negotiate", Some(&body), true).await
    }

    async fn branch_head(&self, branch: &str) -> Result<String, ClientError> {
        let mut heads = self.refs().await?.branch_heads;
        heads.remove(branch).ok_or_else(|| ClientError {
            status: 404,
            body: format!("branch {branch:?} is not on the remote"),
            call: "refs",
        })
    }

    fn receive(
        &mut self,
        local: &mut History,
        branch: &str,
        head: &str,
        bundle: &Bundle,
    ) -> Result<usize, ClientError> {
        local.receive(bundle);
        local.verify().map_err(|body| ClientError { status: 0, body, call: "fetch" })?;
        if !local.commits.contains_key(head) {
            let body = format!("the head {head} did not come");
            return Err(ClientError { status: 0, body, call: "fetch" });
        }
        self.tracking.insert(branch.to_owned(), head.to_owned());
        Ok(bundle.commits.len())
    }

    /// One call as the real client makes it: GET without a body, POST with one.
    async fn call(
        &self,
        path: &'static str,
        body: Option<&Value>,
        token: bool,
    ) -> Result<Value, ClientError> {
        let failed = |status, body| ClientError { status, body, call: path };
        let answer = self.send(path, body, token).await.map_err(|error| failed(0, error))?;
        if answer.status != 200 {
            return Err(failed(answer.status, answer.text().chars().take(400).collect()));
        }
        if answer.body.len() > MAX_RESPONSE {
            return Err(failed(0, "the answer has more than 64 MiB".into()));
        }
        if answer.body.is_empty() {
            return Ok(Value::Map(Vec::new()));
        }
        unpack(&answer.body).map_err(|error| failed(0, format!("Server returned invalid msgpack: {error}")))
    }

    async fn send(&self, path: &str, body: Option<&Value>, token: bool) -> Result<Answer, String> {
        let mut request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(format!("{}/{path}", self.base))
            .header(USER_AGENT, "Python-urllib/3.13")
            .header(ACCEPT_ENCODING, "identity")
            .header(ACCEPT, "application/x-msgpack, application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-msgpack");
        }
        if let Some(token) = self.token.as_ref().filter(|_| token) {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = body.map_or_else(Bytes::new, |value| pack(value).into());
        let request = request.body(bytes).map_err(|error| error.to_string())?;
        self.transport.send(request).await
    }
}

/// The body of `push/objects`.
pub fn upload_body<'a>(objects: impl IntoIterator<Item = (&'a str, Bytes)>) -> Value {
    let object = |(id, content): (&str, Bytes)| {
        map([("object_id", id.into()), ("content", Value::Binary(content.to_vec()))])
    };
    map([("objects", Value::Array(objects.into_iter().map(object).collect()))])
}

/// The body of `push`.
#[must_use]
pub fn push_body(bundle: &Bundle, branch: &str, force: bool) -> Value {
    let records = map([
        ("commits", Value::Array(bundle.commits.clone())),
        ("snapshots", Value::Array(bundle.snapshots.clone())),
        ("objects", Value::Array(Vec::new())),
    ]);
    map([("bundle", records), ("branch", branch.into()), ("force", force.into())])
}

/// What an answer to a fetch brings. An object whose content is not binary is dropped, as the real client does.
#[must_use]
pub fn read_bundle(answer: &Value) -> Bundle {
    let object = |object: &Value| {
        let content = get(object, "content").as_slice().filter(|_| get(object, "content").is_bin())?;
        Some((text(object, "object_id").to_owned(), Bytes::copy_from_slice(content)))
    };
    Bundle {
        commits: list(answer, "commits").to_vec(),
        snapshots: list(answer, "snapshots").to_vec(),
        objects: list(answer, "objects").iter().filter_map(object).collect(),
    }
}

/// What an answer to refs says, with the real client's defaults.
#[must_use]
pub fn read_refs(answer: &Value) -> Refs {
    let or = |key, default: &str| get(answer, key).as_str().unwrap_or(default).to_owned();
    Refs {
        repo_id: or("repo_id", ""),
        domain: or("domain", "midi"),
        default_branch: or("default_branch", "main"),
        branch_heads: text_map(get(answer, "branch_heads")),
    }
}

fn text_map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_map().map_or(&[][..], Vec::as_slice).iter();
    pairs.filter_map(|(key, value)| Some((key.as_str()?.to_owned(), value.as_str()?.to_owned()))).collect()
}
