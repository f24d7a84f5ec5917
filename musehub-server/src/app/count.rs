//! Which requests are counted against which limit.

use hyper::StatusCode;
use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;

use super::App;
use crate::auth::Admitted;
use crate::http::ApiError;
use crate::http::origin::Origin;
use crate::http::rate::{Class, Who};
use crate::http::route::Entry;

impl App {
    /// Counts a request without credentials, by where it comes from.
    pub(super) async fn count_sender(
        &self,
        entry: &Entry,
        parts: &Parts,
        origin: &Origin,
    ) -> Result<(), ApiError> {
        if parts.headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        let (Some((class, cost)), Some(client)) = (entry.charge(), origin.client) else {
            return Ok(());
        };
        self.limit(Who::Address(client), class, cost).await
    }

    /// Counts a request with credentials: by who sent it, where they are valid.
    pub(super) async fn count_credentials(
        &self,
        entry: &Entry,
        parts: &Parts,
        origin: &Origin,
        known: Option<&Admitted>,
        refusal: Option<&ApiError>,
    ) -> Result<(), ApiError> {
        if !parts.headers.contains_key(AUTHORIZATION) {
            return Ok(());
        }
        let Some((class, cost)) = entry.charge() else {
            return Ok(());
        };
        if let Some(handle) = known.and_then(|admitted| admitted.viewer.handle()) {
            return self.limit(Who::Identity(handle), class, cost).await;
        }
        if refusal.is_some_and(|error| error.status == StatusCode::UNAUTHORIZED) {
            return self.count_failure(origin).await;
        }
        match origin.client {
            Some(client) => self.limit(Who::Address(client), class, cost).await,
            None => Ok(()),
        }
    }

    /// Counts credentials that are not valid, by the address they come from.
    pub(super) async fn count_failure(&self, origin: &Origin) -> Result<(), ApiError> {
        match origin.client {
            Some(client) => self.limit(Who::Address(client), Class::Failure, 1).await,
            None => Ok(()),
        }
    }

    pub(super) async fn limit(&self, who: Who<'_>, class: Class, cost: u32) -> Result<(), ApiError> {
        let counted = self.limiter.count(who, class, cost, self.clock.now()).await;
        counted.inspect_err(|_| self.metrics.limited(class.as_str()))
    }
}
