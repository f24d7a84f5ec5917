//! The calls of Muse clients from late May 2026 on: one pack a push, one pack a fetch. The pack is written and read here with
//! code of its own, which must never call the hub's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use rmpv::Value;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::client::ClientError;
use crate::history::{Bundle, History, manifest_of};
use crate::id::Ids;
use crate::record::{get, list, map, pack, set, text, unpack};
use crate::transport::{Answer, Transport};

/// How a push has its pack written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum PackForm {
    /// The container, its snapshots as deltas where they can be.
    #[default]
    Container,
    /// The map that came before it, everything in full.
    Map,
}

/// A client of one repository.
#[derive(Clone)]
pub struct MpackClient {
    transport: Arc<dyn Transport>,
    base: String,
    token: Option<String>,
    /// How its packs are written.
    pub form: PackForm,
    /// What it computes ids with.
    pub ids: Ids,
}

impl std::fmt::Debug for MpackClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MpackClient").field("base", &self.base).finish_non_exhaustive()
    }
}

impl MpackClient {
    /// A client of the repository `owner/slug`.
    #[must_use]
    pub fn new(transport: Arc<dyn Transport>, owner: &str, slug: &str, token: Option<&str>) -> Self {
        let base = format!("/{owner}/{slug}");
        Self { transport, base, token: token.map(str::to_owned), form: PackForm::default(), ids: Ids::Flat }
    }

    /// The heads by branch, bare.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn heads(&self) -> Result<BTreeMap<String, String>, ClientError> {
        let answer = self.call("GET", "refs", None).await?;
        let heads = answer["branch_heads"].as_object().cloned().unwrap_or_default();
        let bare = |id: &serde_json::Value| bare(id.as_str().unwrap_or_default());
        Ok(heads.iter().map(|(name, id)| (name.clone(), bare(id))).collect())
    }

    /// A push of what the hub lacks of a branch: presign, upload, unpack.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn push(
        &self,
        local: &History,
        branch: &str,
        force: bool,
    ) -> Result<serde_json::Value, ClientError> {
        let head = local.head(branch).to_owned();
        let have: BTreeSet<String> = self.heads().await?.into_values().collect();
        let have = have.into_iter().filter(|id| *id != head && local.commits.contains_key(id)).collect();
        let bundle = local.bundle(&head, &have);
        let bytes = match self.form {
            PackForm::Container => container_of(&bundle),
            PackForm::Map => map_of(&bundle),
        };
        let key = self.upload(&bytes).await?;
        let body = json!({"mpack_key": key, "branch": branch, "head": prefixed(&head), "force": force});
        self.call("POST", "push/unpack-mpack", Some(body)).await
    }

    /// Uploads a pack to the address that the hub gives for it; its name.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn upload(&self, bytes: &[u8]) -> Result<String, ClientError> {
        let key = mpack_key(bytes);
        let url = self.presign(&key, bytes.len()).await?;
        let answer = self.put(&url, bytes).await?;
        if !matches!(answer.status, 200 | 204) {
            return Err(failed("upload", answer.status, answer.text()));
        }
        Ok(key)
    }

    /// An address to upload a pack to.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn presign(&self, key: &str, size: usize) -> Result<String, ClientError> {
        let body = json!({"mpack_key": key, "size_bytes": size});
        let answer = self.call("POST", "push/mpack-presign", Some(body)).await?;
        Ok(answer["upload_url"].as_str().unwrap_or_default().to_owned())
    }

    /// Sends bytes to an address, without credentials.
    ///
    /// # Errors
    /// [`ClientError`] where there is no answer.
    pub async fn put(&self, url: &str, bytes: &[u8]) -> Result<Answer, ClientError> {
        let request = Request::builder().method("PUT").uri(url).header(CONTENT_TYPE, MEDIA_TYPE);
        self.send(request, Bytes::copy_from_slice(bytes), "upload").await
    }

    /// Gets what is at an address, without credentials.
    ///
    /// # Errors
    /// [`ClientError`] where there is no answer.
    pub async fn get(&self, url: &str) -> Result<Answer, ClientError> {
        self.send(Request::builder().method("GET").uri(url), Bytes::new(), "download").await
    }

    /// The pack that answers a fetch. Its name is compared with its bytes.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn fetch_pack(&self, want: &[String], have: &[String]) -> Result<Bytes, ClientError> {
        let listed = |ids: &[String]| ids.iter().map(|id| prefixed(id)).collect::<Vec<_>>();
        let body = json!({"want": listed(want), "have": listed(have)});
        let answer = self.call("POST", "fetch", Some(body)).await?;
        let url = answer["mpack_url"].as_str().unwrap_or_default();
        let found = self.get(url).await?;
        if found.status != 200 {
            return Err(failed("download", found.status, found.text()));
        }
        if answer["mpack_id"] != mpack_key(&found.body) {
            return Err(failed("download", 0, "the pack is not the one that was named".into()));
        }
        Ok(found.body)
    }

    /// The whole repository; everything that came is verified.
    ///
    /// # Errors
    /// [`ClientError`]; status 0 where what came is not what it claims to be.
    pub async fn whole(&self) -> Result<History, ClientError> {
        let branches = self.heads().await?;
        let want: BTreeSet<String> = branches.values().cloned().collect();
        let bytes = self.fetch_pack(&want.into_iter().collect::<Vec<_>>(), &[]).await?;
        let mut local = History::with_ids(self.ids);
        local.branches = branches;
        let bundle = read_container(&bytes).map_err(|error| failed("fetch", 0, error))?;
        let named = |record: &Value, key: &str| (text(record, key).to_owned(), record.clone());
        local.commits = bundle.commits.iter().map(|record| named(record, "commit_id")).collect();
        local.snapshots = bundle.snapshots.iter().map(|record| named(record, "snapshot_id")).collect();
        local.objects = bundle.objects;
        local.verify().map_err(|error| failed("fetch", 0, error))?;
        Ok(local)
    }

    /// One call with credentials, in JSON.
    ///
    /// # Errors
    /// [`ClientError`], also for an answer that is no JSON.
    pub async fn call(
        &self,
        method: &'static str,
        path: &str,
        body: Option<serde_json::Value>,
    ) -> Result<serde_json::Value, ClientError> {
        let mut request = Request::builder().method(method).uri(format!("{}/{path}", self.base));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        request = request.header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let bytes = body.map_or_else(Bytes::new, |value| value.to_string().into());
        let answer = self.send(request, bytes, "call").await?;
        if !matches!(answer.status, 200 | 202) {
            return Err(failed("call", answer.status, answer.text()));
        }
        serde_json::from_slice(&answer.body).map_err(|error| failed("call", 0, error.to_string()))
    }

    async fn send(
        &self,
        request: hyper::http::request::Builder,
        bytes: Bytes,
        call: &'static str,
    ) -> Result<Answer, ClientError> {
        let request = request.body(bytes).map_err(|error| failed(call, 0, error.to_string()))?;
        self.transport.send(request).await.map_err(|error| failed(call, 0, error))
    }
}

fn failed(call: &'static str, status: u16, body: String) -> ClientError {
    ClientError { status, body, call }
}

/// The media type of a pack.
const MEDIA_TYPE: &str = "application/x-muse-pack";

/// The name of a pack.
#[must_use]
pub fn mpack_key(bytes: &[u8]) -> String {
    let digits: String = Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{digits}")
}

fn prefixed(id: &str) -> String {
    format!("sha256:{}", bare(id))
}

fn bare(id: &str) -> String {
    id.trim_start_matches("sha256:").to_owned()
}

/// The fields of records that hold ids.
const IDS: [&str; 4] = ["commit_id", "snapshot_id", "parent_commit_id", "parent2_commit_id"];

/// A record whose ids have another form.
fn with_ids(record: &Value, form: fn(&str) -> String) -> Value {
    let mut record = record.clone();
    for field in IDS {
        if let Some(id) = get(&record, field).as_str().map(form) {
            set(&mut record, field, id);
        }
    }
    if get(&record, "manifest").is_map() {
        let manifest = manifest_of(&record).into_iter();
        let manifest = manifest.map(|(path, id)| (path.into(), form(&id).into())).collect();
        set(&mut record, "manifest", Value::Map(manifest));
    }
    record
}

/// A bundle as a container.
#[must_use]
pub fn container_of(bundle: &Bundle) -> Vec<u8> {
    with_tags(bundle, &[])
}

/// A bundle and records of tags as a container.
#[must_use]
pub fn with_tags(bundle: &Bundle, tags: &[Value]) -> Vec<u8> {
    // Oldest first, so that the base of a delta has come before it.
    let commits: Vec<Value> = bundle.commits.iter().rev().map(|record| with_ids(record, prefixed)).collect();
    let mut sent: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let of_commit: BTreeMap<&str, &str> = bundle
        .commits
        .iter()
        .map(|record| (text(record, "commit_id"), text(record, "snapshot_id")))
        .collect();
    let mut snapshots = Vec::new();
    for commit in bundle.commits.iter().rev() {
        let id = text(commit, "snapshot_id");
        let Some(record) = bundle.snapshots.iter().find(|record| text(record, "snapshot_id") == id) else {
            continue;
        };
        if sent.contains_key(id) {
            continue;
        }
        let manifest = manifest_of(record);
        let base = of_commit.get(text(commit, "parent_commit_id")).filter(|base| sent.contains_key(**base));
        snapshots.push(match base {
            Some(base) => delta(id, base, &sent[*base], &manifest),
            None => with_ids(record, prefixed),
        });
        sent.insert(id.to_owned(), manifest);
    }
    let mut all = vec![(1, local_pack(&bundle.objects)), (2, counted(&commits)), (3, counted(&snapshots))];
    if !tags.is_empty() {
        all.push((4, counted(tags)));
    }
    sections(&all)
}

fn delta(id: &str, base: &str, from: &BTreeMap<String, String>, to: &BTreeMap<String, String>) -> Value {
    let upsert = to.iter().filter(|(path, id)| from.get(*path) != Some(id));
    let upsert = upsert.map(|(path, id)| (path.as_str().into(), prefixed(id).into())).collect();
    let remove = from.keys().filter(|path| !to.contains_key(*path)).map(|path| path.as_str().into());
    map([
        ("snapshot_id", prefixed(id).into()),
        ("parent_snapshot_id", prefixed(base).into()),
        ("delta_upsert", Value::Map(upsert)),
        ("delta_remove", Value::Array(remove.collect())),
    ])
}

fn local_pack(objects: &BTreeMap<String, Bytes>) -> Vec<u8> {
    let mut out = b"MUSE\x01".to_vec();
    out.extend((objects.len() as u64).to_le_bytes());
    for (id, content) in objects {
        out.extend(prefixed(id).into_bytes());
        out.extend((content.len() as u64).to_le_bytes());
        out.extend_from_slice(content);
    }
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    out
}

fn counted(records: &[Value]) -> Vec<u8> {
    let mut out = (records.len() as u64).to_le_bytes().to_vec();
    for record in records {
        let bytes = pack(record);
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(bytes);
    }
    out
}

/// A container of these sections.
#[must_use]
pub fn sections(sections: &[(u8, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"MUSE\x01".to_vec();
    out.push(sections.len() as u8);
    let mut offset = 6 + 17 * sections.len() as u64;
    for (kind, bytes) in sections {
        out.push(*kind);
        out.extend(offset.to_le_bytes());
        out.extend((bytes.len() as u64).to_le_bytes());
        offset += bytes.len() as u64;
    }
    sections.iter().for_each(|(_, bytes)| out.extend_from_slice(bytes));
    let checksum = Sha256::digest(&out);
    out.extend_from_slice(&checksum);
    out
}

/// A bundle as the map that came before the container.
#[must_use]
pub fn map_of(bundle: &Bundle) -> Vec<u8> {
    let records =
        |records: &[Value]| Value::Array(records.iter().map(|record| with_ids(record, prefixed)).collect());
    let objects = bundle.objects.iter().map(|(id, content)| {
        map([("object_id", prefixed(id).into()), ("content", Value::Binary(content.to_vec()))])
    });
    pack(&map([
        ("commits", records(&bundle.commits)),
        ("snapshots", records(&bundle.snapshots)),
        ("objects", Value::Array(objects.collect())),
    ]))
}

/// The tags that a container holds, their ids bare.
///
/// # Errors
/// Where it is not what the format says.
pub fn read_tags(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let sections = read_sections(bytes)?;
    let Some((_, section)) = sections.iter().find(|(kind, _)| *kind == 4) else {
        return Ok(Vec::new());
    };
    Ok(read_records(section)?.iter().map(|record| with_ids(record, bare)).collect())
}

/// What a container holds, its ids bare and its snapshots in full.
///
/// # Errors
/// Where it is not what the format says.
pub fn read_container(bytes: &[u8]) -> Result<Bundle, String> {
    let mut bundle = Bundle::default();
    for (kind, section) in read_sections(bytes)? {
        match kind {
            1 => bundle.objects = read_objects(section)?,
            2 => {
                bundle.commits = read_records(section)?.iter().map(|record| with_ids(record, bare)).collect()
            }
            3 => bundle.snapshots = rebuilt(&read_records(section)?)?,
            _ => {}
        }
    }
    // Newest first, as bundles are.
    bundle.commits.reverse();
    Ok(bundle)
}

/// The sections of a container, by their types.
fn read_sections(bytes: &[u8]) -> Result<Vec<(u8, &[u8])>, String> {
    let (body, checksum) = bytes.split_at_checked(bytes.len().saturating_sub(32)).ok_or("too short")?;
    if Sha256::digest(body)[..] != *checksum {
        return Err("the checksum does not fit".into());
    }
    if body.get(..5) != Some(b"MUSE\x01") {
        return Err("no container".into());
    }
    let rows = usize::from(body[5]);
    let section = |row: &[u8]| {
        let number = |from: usize| u64::from_le_bytes(row[from..from + 8].try_into().unwrap()) as usize;
        let section = body.get(number(1)..number(1) + number(9)).ok_or("a section is elsewhere")?;
        Ok((row[0], section))
    };
    body[6..6 + 17 * rows].chunks_exact(17).map(section).collect()
}

/// Takes bytes off the front.
fn cut<'a>(rest: &mut &'a [u8], length: usize) -> Result<&'a [u8], String> {
    let (taken, left) = rest.split_at_checked(length).ok_or("a section ends early")?;
    *rest = left;
    Ok(taken)
}

fn cut_number(rest: &mut &[u8]) -> Result<usize, String> {
    Ok(u64::from_le_bytes(cut(rest, 8)?.try_into().unwrap()) as usize)
}

fn read_objects(section: &[u8]) -> Result<BTreeMap<String, Bytes>, String> {
    let (mut rest, checksum) =
        section.split_at_checked(section.len().saturating_sub(32)).ok_or("too short")?;
    if Sha256::digest(rest)[..] != *checksum {
        return Err("the checksum of OBJECTS does not fit".into());
    }
    if cut(&mut rest, 5)? != b"MUSE\x01" {
        return Err("OBJECTS is no pack".into());
    }
    let mut objects = BTreeMap::new();
    for _ in 0..cut_number(&mut rest)? {
        let id = std::str::from_utf8(cut(&mut rest, 71)?).map_err(|error| error.to_string())?;
        let length = cut_number(&mut rest)?;
        objects.insert(bare(id), Bytes::copy_from_slice(cut(&mut rest, length)?));
    }
    if rest.is_empty() { Ok(objects) } else { Err("OBJECTS is longer than its objects".into()) }
}

fn read_records(mut rest: &[u8]) -> Result<Vec<Value>, String> {
    let mut records = Vec::new();
    for _ in 0..cut_number(&mut rest)? {
        let length = cut_number(&mut rest)?;
        records.push(unpack(cut(&mut rest, length)?)?);
    }
    Ok(records)
}

/// Snapshots in full, those that come as deltas rebuilt.
fn rebuilt(records: &[Value]) -> Result<Vec<Value>, String> {
    let mut manifests: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut full = Vec::new();
    for record in records {
        let id = bare(text(record, "snapshot_id"));
        let manifest = if get(record, "manifest").is_map() {
            manifest_of(&with_ids(record, bare))
        } else {
            let base = bare(text(record, "parent_snapshot_id"));
            let mut manifest =
                manifests.get(&base).cloned().ok_or(format!("the base {base} did not come"))?;
            for path in list(record, "delta_remove") {
                manifest.remove(path.as_str().unwrap_or_default());
            }
            let upsert = map([("manifest", get(record, "delta_upsert").clone())]);
            manifest.extend(manifest_of(&upsert).into_iter().map(|(path, id)| (path, bare(&id))));
            manifest
        };
        let entries = manifest.iter().map(|(path, id)| (path.as_str().into(), id.as_str().into()));
        full.push(map([
            ("snapshot_id", id.as_str().into()),
            ("manifest", Value::Map(entries.collect())),
            ("created_at", get(record, "created_at").clone()),
        ]));
        manifests.insert(id, manifest);
    }
    Ok(full)
}
