//! The generation `mpack`: one pack a push, one pack a fetch. `docs/WIRE.md` describes it.
//!
//! Packs go to and from the store itself where it can sign addresses, else through this server's own. Ids have their prefix
//! on this wire.

mod download;
mod fetch;
mod push;
mod request;

use std::collections::BTreeMap;

use musehub_core::mpack::MpackId;
use musehub_core::port::{BranchRow, MpackAccess, MpackFile, RepositoryRecord};

pub(crate) use download::{by_address, by_key};
pub(crate) use fetch::{fetch, fetch_pack};
pub(crate) use push::{job, presign, unpack, upload};
use request::WantHave;

use super::addresses;
use crate::app::Exchange;
use crate::http::ApiError;
use crate::http::address::Permit;

/// The media type of a pack.
const MEDIA_TYPE: &str = "application/x-muse-pack";

fn heads(branches: &[BranchRow]) -> BTreeMap<&str, String> {
    branches.iter().map(|row| (row.name.as_str(), row.head.to_string())).collect()
}

/// An address of a pack: the store's own, or else one of this server's.
async fn address(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    file: &MpackFile,
    access: MpackAccess,
    id: MpackId,
    bytes: u64,
) -> Result<String, ApiError> {
    let (method, way) = match access {
        MpackAccess::Put => ("PUT", "push"),
        MpackAccess::Get => ("GET", "fetch"),
    };
    let path = format!("/{}/{}/{way}/mpack/{}", repo.owner, repo.slug, id.to_hex());
    let permit = Permit { method, path: &path, bytes };
    addresses::address(exchange, file, access, permit, addresses::LIFE).await
}

/// The repository and the pack that an address of this server's is about, once it was verified; and how many bytes it takes.
async fn verified(
    exchange: &Exchange<'_>,
    method: &str,
) -> Result<(RepositoryRecord, MpackId, u64), ApiError> {
    let (repo, bytes) = addresses::verified(exchange, method).await?;
    Ok((repo, MpackId::parse(exchange.params.get("key"))?, bytes))
}
