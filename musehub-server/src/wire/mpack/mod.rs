//! The generation `mpack`: one pack a push, one pack a fetch. `docs/WIRE.md` describes it.
//!
//! Packs go to and from the store itself where it can sign addresses, else through this server's own. Ids have their prefix
//! on this wire.

mod download;
mod fetch;
mod push;
mod request;

use std::collections::BTreeMap;
use std::time::Duration;

use musehub_core::mpack::MpackId;
use musehub_core::port::{BranchRow, MpackAccess, MpackFile, RepositoryRecord};

pub(crate) use download::{by_address, by_key};
pub(crate) use fetch::{fetch, fetch_pack};
pub(crate) use push::{job, presign, unpack, upload};
use request::WantHave;

use crate::app::Exchange;
use crate::http::ApiError;
use crate::http::address::Permit;

/// The media type of a pack.
const MEDIA_TYPE: &str = "application/x-muse-pack";

/// For how long an address is valid. A large pack may take that long to be sent, and what is being sent is not cut off.
const ADDRESS_LIFE: Duration = Duration::from_secs(60 * 60);

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
    let app = exchange.app;
    if let Some(address) = app.mpacks.store().sign(file, access, ADDRESS_LIFE).await? {
        return Ok(address);
    }
    let (method, way) = match access {
        MpackAccess::Put => ("PUT", "push"),
        MpackAccess::Get => ("GET", "fetch"),
    };
    let path = format!("/{}/{}/{way}/mpack/{}", repo.owner, repo.slug, id.to_hex());
    let permit = Permit { method, path: &path, bytes };
    let signature = app.address_key().await?.sign(permit, app.clock.now(), ADDRESS_LIFE);
    Ok(format!("{}{path}{signature}", exchange.base_url()))
}

/// The repository and the pack that an address of this server's is about, once it was verified; and how many bytes it takes.
async fn verified(
    exchange: &Exchange<'_>,
    method: &str,
) -> Result<(RepositoryRecord, MpackId, u64), ApiError> {
    let app = exchange.app;
    let path = exchange.parts.uri.path();
    let key = app.address_key().await?;
    let bytes = key.verify(method, path, |name| exchange.query(name), app.clock.now())?;
    // What was signed has names and an id that are well-formed.
    let owner = musehub_core::Handle::parse(exchange.params.get("owner"))?;
    let slug = musehub_core::Slug::parse(exchange.params.get("slug"))?;
    let id = MpackId::parse(exchange.params.get("key"))?;
    let repo = app.repositories.repository(&owner, &slug).await?;
    let repo = repo.filter(|repo| !repo.deleted).ok_or_else(ApiError::not_found)?;
    Ok((repo, id, bytes))
}
