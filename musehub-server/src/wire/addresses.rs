//! Addresses that clients are given for single files: the store's own where it signs them, else this server's.

use std::time::Duration;

use musehub_core::port::{MpackAccess, MpackFile, RepositoryRecord};
use musehub_core::{Handle, Slug};

use crate::app::Exchange;
use crate::http::ApiError;
use crate::http::address::Permit;

/// For how long an address is valid. A large file may take that long to be sent, and what is being sent is not cut off.
pub(super) const LIFE: Duration = Duration::from_secs(60 * 60);

/// An address of a file in the store itself, or else one of this server's that permits the same.
pub(super) async fn address(
    exchange: &Exchange<'_>,
    file: &MpackFile,
    access: MpackAccess,
    permit: Permit<'_>,
    life: Duration,
) -> Result<String, ApiError> {
    match exchange.app.mpacks.store().sign(file, access, life).await? {
        Some(address) => Ok(address),
        None => own_address(exchange, permit, life).await,
    }
}

/// An address of this server's.
pub(super) async fn own_address(
    exchange: &Exchange<'_>,
    permit: Permit<'_>,
    life: Duration,
) -> Result<String, ApiError> {
    let app = exchange.app;
    let signature = app.address_key().await?.sign(permit, app.clock.now(), life);
    Ok(format!("{}{}{signature}", exchange.base_url(), permit.path))
}

/// The repository that an address of this server's is about, once it was verified; and how many bytes it takes.
pub(super) async fn verified(
    exchange: &Exchange<'_>,
    method: &str,
) -> Result<(RepositoryRecord, u64), ApiError> {
    let app = exchange.app;
    let path = exchange.parts.uri.path();
    let key = app.address_key().await?;
    let bytes = key.verify(method, path, |name| exchange.query(name), app.clock.now())?;
    // What was signed has names that are well-formed.
    let owner = Handle::parse(exchange.params.get("owner"))?;
    let slug = Slug::parse(exchange.params.get("slug"))?;
    let repo = app.repositories.repository(&owner, &slug).await?;
    let repo = repo.filter(|repo| !repo.deleted).ok_or_else(ApiError::not_found)?;
    Ok((repo, bytes))
}
