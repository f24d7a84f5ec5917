//! The calls of Muse clients of early March 2026: JSON, contents in base64, a repository by its id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use bytes::Bytes;
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use serde_json::{Value, json};

use crate::client::{ClientError, Refs};
use crate::history::{Bundle, History};
use crate::id::Ids;
use crate::record::{from_json, to_json};
use crate::transport::Transport;

/// A client of one repository.
#[derive(Clone)]
pub struct JsonClient {
    transport: Arc<dyn Transport>,
    base: String,
    token: Option<String>,
    /// What it computes ids with.
    pub ids: Ids,
}

impl std::fmt::Debug for JsonClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonClient").field("base", &self.base).finish_non_exhaustive()
    }
}

impl JsonClient {
    /// A client of the repository of an id.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, repo_id: &str, token: Option<&str>) -> Self {
        Self {
            transport,
            base: format!("/wire/repos/{repo_id}"),
            token: token.map(str::to_owned),
            ids: Ids::Flat,
        }
    }

    /// The heads.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn refs(&self) -> Result<Refs, ClientError> {
        let answer = self.call("refs", None).await?;
        let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
        Ok(Refs {
            repo_id: text("repo_id"),
            domain: text("domain"),
            default_branch: text("default_branch"),
            branch_heads: text_map(&answer["branch_heads"]),
        })
    }

    /// A push of what the hub lacks of a branch, its objects in the bundle.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn push(&self, local: &History, branch: &str, force: bool) -> Result<Value, ClientError> {
        let head = local.head(branch).to_owned();
        let have: BTreeSet<String> = self.refs().await?.branch_heads.into_values().collect();
        let have = have.into_iter().filter(|id| *id != head && local.commits.contains_key(id)).collect();
        self.push_bundle(&local.bundle(&head, &have), branch, force).await
    }

    /// The call of a push.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn push_bundle(
        &self,
        bundle: &Bundle,
        branch: &str,
        force: bool,
    ) -> Result<Value, ClientError> {
        self.call("push", Some(push_body(bundle, branch, force))).await
    }

    /// An upload ahead of a push.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn push_objects(&self, objects: &BTreeMap<String, Bytes>) -> Result<Value, ClientError> {
        self.call("push/objects", Some(json!({"objects": wire_objects(objects)}))).await
    }

    /// Everything of `want` that is not behind `have`.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fetch(&self, want: &[String], have: &[String]) -> Result<Bundle, ClientError> {
        let answer = self.call("fetch", Some(json!({"want": want, "have": have}))).await?;
        read_bundle(&answer).map_err(|body| ClientError { status: 0, body, call: "fetch" })
    }

    /// The whole repository; everything that came is verified.
    ///
    /// # Errors
    /// [`ClientError`]; status 0 where what came is not what it claims to be.
    pub async fn whole(&self) -> Result<History, ClientError> {
        let refs = self.refs().await?;
        let want: BTreeSet<String> = refs.branch_heads.values().cloned().collect();
        let bundle = self.fetch(&want.into_iter().collect::<Vec<_>>(), &[]).await?;
        let mut local = History::with_ids(self.ids);
        (local.repo_id, local.branches) = (refs.repo_id, refs.branch_heads);
        local.receive(&bundle);
        local.verify().map_err(|body| ClientError { status: 0, body, call: "fetch" })?;
        Ok(local)
    }

    /// One call: GET without a body, POST with one.
    ///
    /// # Errors
    /// [`ClientError`], also for an answer that is no JSON.
    pub async fn call(&self, path: &'static str, body: Option<Value>) -> Result<Value, ClientError> {
        let failed = |status, body| ClientError { status, body, call: path };
        let mut request = Request::builder()
            .method(if body.is_some() { "POST" } else { "GET" })
            .uri(format!("{}/{path}", self.base))
            .header(ACCEPT, "application/json");
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = body.map_or_else(Bytes::new, |value| value.to_string().into());
        let request = request.body(bytes).map_err(|error| failed(0, error.to_string()))?;
        let answer = self.transport.send(request).await.map_err(|error| failed(0, error))?;
        if answer.status != 200 {
            return Err(failed(answer.status, answer.text()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| failed(0, error.to_string()))
    }
}

/// The body of a push.
#[must_use]
pub fn push_body(bundle: &Bundle, branch: &str, force: bool) -> Value {
    let records = |records: &[rmpv::Value]| records.iter().map(to_json).collect::<Vec<_>>();
    json!({
        "bundle": {
            "commits": records(&bundle.commits),
            "snapshots": records(&bundle.snapshots),
            "objects": wire_objects(&bundle.objects),
            "branch_heads": {},
        },
        "branch": branch,
        "force": force,
    })
}

/// Objects as these clients write them: every second one without padding.
#[must_use]
pub fn wire_objects(objects: &BTreeMap<String, Bytes>) -> Vec<Value> {
    let object = |(at, (id, content)): (usize, (&String, &Bytes))| {
        let text = if at % 2 == 0 { STANDARD.encode(content) } else { STANDARD_NO_PAD.encode(content) };
        json!({"object_id": id, "content_b64": text, "path": "src/some file.py"})
    };
    objects.iter().enumerate().map(object).collect()
}

/// What an answer to a fetch brings.
///
/// # Errors
/// Where a content is no base64 with its padding.
pub fn read_bundle(answer: &Value) -> Result<Bundle, String> {
    let list = |key: &str| answer[key].as_array().cloned().unwrap_or_default();
    let object = |object: &Value| {
        let (id, text) = (object["object_id"].as_str(), object["content_b64"].as_str());
        let (id, text) = id.zip(text).ok_or("an object lacks a field")?;
        let content = STANDARD.decode(text).map_err(|error| format!("object {id}: {error}"))?;
        Ok::<_, String>((id.to_owned(), Bytes::from(content)))
    };
    Ok(Bundle {
        commits: list("commits").iter().map(from_json).collect(),
        snapshots: list("snapshots").iter().map(from_json).collect(),
        objects: list("objects").iter().map(object).collect::<Result<_, _>>()?,
    })
}

fn text_map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
