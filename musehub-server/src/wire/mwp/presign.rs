//! Addresses for large objects: the client of March 2026 uploads what has more than 64 KiB to them, one by one.
//!
//! That client ends with a traceback where such an upload is refused. So it is given none where an object that it can have might
//! be too large, its addresses cost nothing and are valid for an hour, and what it does not get an address for goes inline.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::CONTENT_LENGTH;
use musehub_core::BlobId;
use musehub_core::hub::Need;
use musehub_core::port::{MpackAccess, MpackFile};
use musehub_core::scheme::BlobHasher;
use serde::{Deserialize, Serialize};

use super::super::addresses::{self, address, own_address};
use super::super::object;
use super::super::records::{SCHEME, wire_id};
use crate::app::Exchange;
use crate::http::address::Permit;
use crate::http::{ApiError, Reply, RequestBody, plain};

/// Addresses of one answer. What comes to the store itself is read and proven by the push, for which its client waits.
const MOST: usize = 1000;
/// The largest file that the client keeps, in bytes.
const CLIENT_FILE: u64 = 256 << 20;
/// The shortest life of an address that somebody may ask for, in seconds.
const LEAST_LIFE: u64 = 30;

#[derive(Deserialize)]
struct PresignRequest {
    object_ids: Vec<BlobId>,
    direction: Direction,
    /// For how long the addresses are to be valid.
    ttl_seconds: Option<u64>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Put,
    Get,
}

#[derive(Serialize)]
struct PresignAnswer {
    presigned: BTreeMap<String, String>,
    inline: Vec<String>,
}

/// `POST presign`: an address for each object that is to be uploaded, or that is there to be read; the others go inline.
pub(crate) async fn presign(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let request: PresignRequest = exchange.decode(body).await?;
    if request.direction == Direction::Put {
        exchange.require(Need::Write)?;
    }
    let longest = addresses::LIFE.as_secs();
    let life = request.ttl_seconds.map_or(longest, |asked| asked.clamp(LEAST_LIFE, longest));
    let presigned = match request.direction {
        Direction::Put => uploads(exchange, &request.object_ids, Duration::from_secs(life)).await?,
        Direction::Get => downloads(exchange, &request.object_ids, Duration::from_secs(life)).await?,
    };
    let inline = request.object_ids.iter().map(|id| wire_id(id.object_id()));
    let inline = inline.filter(|id| !presigned.contains_key(id)).collect();
    exchange.ok(&PresignAnswer { presigned, inline })
}

/// Addresses for what the repository lacks.
async fn uploads(
    exchange: &Exchange<'_>,
    ids: &[BlobId],
    life: Duration,
) -> Result<BTreeMap<String, String>, ApiError> {
    let (repo, app) = (exchange.repository()?, exchange.app);
    let limit = app.limits.object;
    let mut presigned = BTreeMap::new();
    if limit < CLIENT_FILE {
        return Ok(presigned);
    }
    for id in app.hub.missing_objects(repo, ids).await?.into_iter().take(MOST) {
        let named = wire_id(id.object_id());
        let path = format!("/{}/{}/push/objects/{named}", repo.owner, repo.slug);
        let permit = Permit { method: "PUT", path: &path, bytes: limit };
        let file = MpackFile::of_object(&repo.repo_id, id);
        presigned.insert(named, address(exchange, &file, MpackAccess::Put, permit, life).await?);
    }
    Ok(presigned)
}

/// Addresses for what the repository holds. They are this server's: objects rest together, so the store has none for one alone.
async fn downloads(
    exchange: &Exchange<'_>,
    ids: &[BlobId],
    life: Duration,
) -> Result<BTreeMap<String, String>, ApiError> {
    let repo = exchange.repository()?;
    let mut presigned = BTreeMap::new();
    for row in exchange.app.hub.blobs(repo, ids).await?.into_iter().take(MOST) {
        let named = wire_id(row.id.object_id());
        let path = format!("/{}/{}/fetch/objects/{named}", repo.owner, repo.slug);
        let permit = Permit { method: "GET", path: &path, bytes: 0 };
        presigned.insert(named, own_address(exchange, permit, life).await?);
    }
    Ok(presigned)
}

/// `PUT push/objects/{id}`, to an address of this server's: one object, hashed and staged as it arrives.
pub(crate) async fn upload(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let (repo, limit) = addresses::verified(exchange, "PUT").await?;
    let id = BlobId::parse(exchange.params.get("id"))?;
    let size = exchange.header(&CONTENT_LENGTH).parse::<u64>().map_err(|_| {
        let detail = "an object is sent with its length, in Content-Length";
        ApiError::new(StatusCode::LENGTH_REQUIRED, "length_required", detail)
    })?;
    if size > limit {
        return Err(ApiError::too_large(format!("object {id} has {size} bytes; at most {limit} are taken")));
    }
    let invalid = |error: &dyn std::error::Error| ApiError::invalid(format!("object {id}: {error}"));
    let mut hasher = BlobHasher::new(repo.scheme.unwrap_or(SCHEME), id.object_id().algorithm(), size);
    let mut writer = exchange.app.hub.begin_upload(&repo).await?;
    writer.begin_blob(id, size).await?;
    let mut left = size;
    while let Some(piece) = body.next(size).await? {
        left -= piece.len() as u64;
        hasher.update(&piece).map_err(|error| invalid(&error))?;
        writer.write(piece).await?;
    }
    if left > 0 {
        return Err(ApiError::undecodable("the request body ended early"));
    }
    let computed = hasher.finish().map_err(|error| invalid(&error))?;
    if computed != id {
        return Err(ApiError::invalid(format!("object {id}: its content has the id {computed}")));
    }
    writer.finish().await?;
    Ok(plain(StatusCode::OK, "application/json", Bytes::from_static(b"{}")))
}

/// `GET fetch/objects/{id}`, to an address of this server's.
pub(crate) async fn download(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, _) = addresses::verified(exchange, "GET").await?;
    let id = BlobId::parse(exchange.params.get("id"))?;
    let row = exchange.app.hub.blobs(&repo, &[id]).await?.pop();
    object::send(exchange, &row.ok_or_else(object::absent)?).await
}
