//! Releases and tags of the generation `mwp`.

use musehub_core::CommitId;
use musehub_core::hub::Need;
use musehub_core::object::Record;
use musehub_core::port::ReleaseFilter;
use musehub_core::release::{Channel, CommitTag, Release, ReleaseTag};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody};
use crate::wire::records::wire_id;

/// The largest record of a release, in bytes of JSON.
const MAX_RELEASE: usize = 4 << 20;
/// The longest id or time that a client gives to a tag, in bytes.
const MAX_TEXT: usize = 64;
/// The most tags of one answer.
const TAGS_PAGE: u32 = 1000;

#[derive(Serialize)]
struct PublishedAnswer<'a> {
    release_id: &'a str,
}

/// `POST releases`
pub(crate) async fn publish(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, publisher) = (exchange.repository()?, exchange.caller()?);
    let Record(mut record) = exchange.decode(body).await?;
    // It says so itself, and whoever reads it wants to know of which repository it is.
    record.insert("repo_id".to_owned(), repo.repo_id.as_str().into());
    let text = |record: &Map<String, Value>, field: &str| match record.get(field) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(_) => Err(ApiError::invalid(format!("field '{field}' must be a text"))),
    };
    let tag =
        ReleaseTag::parse(&text(&record, "tag")?).map_err(|error| ApiError::invalid(error.to_string()))?;
    let channel = match &*text(&record, "channel")? {
        "" => Channel::of(&tag.version()),
        word => word
            .parse()
            .map_err(|error: musehub_core::release::ChannelError| ApiError::invalid(error.to_string()))?,
    };
    let commit = CommitId::parse(&text(&record, "commit_id")?)
        .map_err(|error| ApiError::invalid(format!("commit_id: {error}")))?;
    let is_draft = match record.get("is_draft") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(is_draft)) => *is_draft,
        Some(_) => return Err(ApiError::invalid("field 'is_draft' must be true or false")),
    };
    if !record.get("changelog").is_none_or(Value::is_array) {
        return Err(ApiError::invalid("field 'changelog' must be a list"));
    }
    for field in ["title", "body", "snapshot_id", "agent_id", "model_id", "gpg_signature", "created_at"] {
        let value = text(&record, field)?;
        record.insert(field.to_owned(), value.into());
    }
    let given = text(&record, "release_id")?;
    let release_id = if given.is_empty() || given.len() > MAX_TEXT {
        musehub_core::RepoId::random().as_str().to_owned()
    } else {
        given
    };
    complete(&mut record, &release_id, &tag, channel, commit, is_draft);
    let size = serde_json::to_vec(&record).map_err(ApiError::internal)?.len();
    if size > MAX_RELEASE {
        return Err(ApiError::too_large(format!(
            "a release has at most {MAX_RELEASE} bytes, this one {size}"
        )));
    }
    let release = Release {
        tag,
        channel,
        is_draft,
        commit,
        publisher: publisher.clone(),
        created_at: exchange.app.clock.now(),
        record,
    };
    exchange.app.releases.publish(repo, &release).await?;
    exchange.ok(&PublishedAnswer { release_id: &release_id })
}

/// The fields that the hub has checked, as the client reads them back.
fn complete(
    record: &mut Map<String, Value>,
    release_id: &str,
    tag: &ReleaseTag,
    channel: Channel,
    commit: CommitId,
    is_draft: bool,
) {
    let version = tag.version();
    let fields = json!({
        "release_id": release_id,
        "tag": tag.as_str(),
        "channel": channel.as_str(),
        "commit_id": wire_id(commit.object_id()),
        "is_draft": is_draft,
        "semver": {
            "major": version.major, "minor": version.minor, "patch": version.patch,
            "pre": version.pre, "build": version.build,
        },
    });
    let Value::Object(fields) = fields else { return };
    record.extend(fields);
    record.entry("changelog").or_insert_with(|| json!([]));
}

#[derive(Serialize)]
struct ReleasesAnswer {
    releases: Vec<Map<String, Value>>,
}

/// `GET releases`: the newest first. Drafts are for those who may publish.
pub(crate) async fn list(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let opened = exchange.opened()?;
    let channel = match exchange.query("channel").as_deref() {
        None | Some("") => None,
        Some(word) => Some(
            word.parse()
                .map_err(|error: musehub_core::release::ChannelError| ApiError::invalid(error.to_string()))?,
        ),
    };
    let asked = exchange.query("include_drafts").is_some_and(|value| matches!(&*value, "1" | "true"));
    let filter = ReleaseFilter { channel, drafts: asked && opened.granted >= Need::Write };
    let size = |release: &Release| serde_json::to_vec(&release.record).map_or(0, |bytes| bytes.len() as u64);
    let limit = exchange.app.limits.fetch;
    let releases = exchange.app.releases.list(&opened.repository, filter, limit, size).await?;
    exchange.ok(&ReleasesAnswer { releases: releases.into_iter().map(|release| release.record).collect() })
}

#[derive(Serialize)]
struct RetractedAnswer<'a> {
    retracted: &'a str,
}

/// `DELETE releases/{tag}`
pub(crate) async fn retract(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let tag = exchange.params.get("tag");
    exchange.app.releases.retract(exchange.repository()?, tag).await?;
    exchange.ok(&RetractedAnswer { retracted: tag })
}

#[derive(Deserialize)]
struct TagsRequest {
    tags: Vec<TagRecord>,
}

#[derive(Deserialize)]
struct TagRecord {
    commit_id: CommitId,
    tag: String,
    #[serde(default)]
    tag_id: String,
    #[serde(default)]
    created_at: String,
}

#[derive(Serialize)]
struct StoredAnswer {
    stored: u64,
}

/// `POST tags`: all or none. A label that its commit has already stays as it is.
pub(crate) async fn tag(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, tagger) = (exchange.repository()?, exchange.caller()?);
    let request: TagsRequest = exchange.decode(body).await?;
    let mut tags = Vec::with_capacity(request.tags.len());
    for record in request.tags {
        let TagRecord { commit_id, tag, tag_id, created_at } = record;
        let tag = CommitTag::accept(&tag, commit_id, tag_id, created_at, tagger.clone());
        tags.extend(tag.map_err(|error| ApiError::invalid(error.to_string()))?);
    }
    let stored = exchange.app.releases.tag(repo, &tags).await?;
    if stored > 0 {
        // Packs bring tags along.
        exchange.app.mpacks.end_built(repo).await?;
    }
    exchange.ok(&StoredAnswer { stored })
}

#[derive(Serialize)]
struct TagsAnswer<'a> {
    tags: Vec<WireTag<'a>>,
    /// Where the next page begins; none where this is the last.
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct WireTag<'a> {
    tag_id: &'a str,
    repo_id: &'a str,
    commit_id: String,
    tag: &'a str,
    created_at: &'a str,
}

/// `GET tags`: by label, a page at a time.
pub(crate) async fn tags(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let limit = exchange.query("limit").and_then(|limit| limit.parse().ok()).unwrap_or(TAGS_PAGE);
    let limit = limit.clamp(1, TAGS_PAGE);
    let cursor = exchange.query("cursor").filter(|cursor| !cursor.is_empty());
    let after = match &cursor {
        None => None,
        Some(cursor) => {
            let wrong = || ApiError::invalid("this cursor is not one of ours");
            let (commit, label) = cursor.split_once(' ').ok_or_else(wrong)?;
            Some((label, CommitId::parse(commit).map_err(|_| wrong())?))
        }
    };
    let tags = exchange.app.releases.tags(repo, after, limit).await?;
    let full = tags.len() == limit as usize;
    let last = tags.last().filter(|_| full);
    let next_cursor = last.map(|tag| format!("{} {}", wire_id(tag.commit.object_id()), tag.label));
    let wire = |tag: &CommitTag| (wire_id(tag.commit.object_id()), tag.clone());
    let tags: Vec<(String, CommitTag)> = tags.iter().map(wire).collect();
    let listed = tags.iter().map(|(commit_id, tag)| WireTag {
        tag_id: &tag.tag_id,
        repo_id: repo.repo_id.as_str(),
        commit_id: commit_id.clone(),
        tag: &tag.label,
        created_at: &tag.created_at,
    });
    exchange.ok(&TagsAnswer { tags: listed.collect(), next_cursor })
}
