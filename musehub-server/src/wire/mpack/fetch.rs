//! A fetch: which pack answers it, and where it is.

use musehub_core::hub::Refs;
use musehub_core::port::{FetchPack, MpackAccess};
use serde::Serialize;

use super::{MEDIA_TYPE, WantHave, address, download, heads};
use crate::app::Exchange;
use crate::http::route::Generation;
use crate::http::{ApiError, Reply, RequestBody};

#[derive(Serialize)]
struct FetchAnswer<'a> {
    /// The SHA-256 of the pack.
    mpack_id: String,
    /// The same, by the name that pushes have for it.
    mpack_key: String,
    /// Where it is, for an hour.
    mpack_url: String,
    /// The same, by the name that some clients look for.
    presigned_url: String,
    mpack_size_bytes: u64,
    commit_count: u64,
    snapshot_count: u64,
    object_count: u64,
    blob_count: u64,
    branch_heads: std::collections::BTreeMap<&'a str, String>,
    /// Whether the pack was built before.
    cached: bool,
}

/// `POST fetch/mpack` and `fetch/presign`: the pack's name and address, or the pack itself where the client takes that.
pub(crate) async fn fetch_pack(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let request: WantHave = exchange.decode(body).await?;
    answer(exchange, request).await
}

/// `POST fetch`, which two generations call.
pub(crate) async fn fetch(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let request: WantHave = exchange.decode(body).await?;
    if request.is_prefixed() || accepts_pack(exchange) {
        let mut reply = answer(exchange, request).await?;
        reply.extensions_mut().insert(Generation("mpack"));
        return Ok(reply);
    }
    crate::wire::mwp::fetch(exchange, &request.want.ids, &request.have.ids).await
}

/// Answers a fetch of this generation.
async fn answer(exchange: &Exchange<'_>, request: WantHave) -> Result<Reply, ApiError> {
    let (repo, app) = (exchange.repository()?, exchange.app);
    let (pack, cached) = app.mpacks.fetch_pack(repo, &request.want.ids, &request.have.ids).await?;
    if accepts_pack(exchange) {
        return download::send(exchange, &pack).await;
    }
    let Refs { branches, .. } = app.hub.refs(repo).await?;
    let FetchPack { id, ref file, size, commits, snapshots, blobs, .. } = pack;
    let url = address(exchange, repo, file, MpackAccess::Get, id, 0).await?;
    exchange.ok(&FetchAnswer {
        mpack_id: id.to_string(),
        mpack_key: id.to_string(),
        mpack_url: url.clone(),
        presigned_url: url,
        mpack_size_bytes: size,
        commit_count: commits,
        snapshot_count: snapshots,
        object_count: blobs,
        blob_count: blobs,
        branch_heads: heads(&branches),
        cached,
    })
}

/// Whether a client takes a pack for an answer.
fn accepts_pack(exchange: &Exchange<'_>) -> bool {
    exchange.header(&hyper::header::ACCEPT).contains(MEDIA_TYPE)
}
