//! Who asks, and whether the rule of the route lets them in: decided once, before any handler runs.

mod msign;

use hyper::header::AUTHORIZATION;
use hyper::http::request::Parts;
use musehub_core::hub::{AccessError, Need, Opened, Viewer};
use musehub_core::port::TokenHash;
use musehub_core::signature::request::SCHEME;
use musehub_core::{Handle, RepoId, Slug};

use crate::app::App;
use crate::http::route::{Params, Rule};
use crate::http::{ApiError, RequestBody};

pub use msign::AccessOptions;

/// Who was let in, and to what.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// Who asks.
    pub viewer: Viewer,
    /// The repository that the address names, where the rule is about one.
    pub opened: Option<Opened>,
}

impl App {
    /// Applies a route's rule to a request.
    ///
    /// # Errors
    /// 401, 403, or 404 for a repository that is absent or not theirs to see.
    pub(crate) async fn admit(
        &self,
        rule: Rule,
        viewer: Viewer,
        params: &Params,
    ) -> Result<Admitted, ApiError> {
        let opened = match rule {
            Rule::Anyone | Rule::SignedAddress => None,
            Rule::SignedIn(_) if viewer.handle().is_none() => return Err(unauthenticated()),
            Rule::SignedIn(need) => {
                viewer.require_scope(need)?;
                None
            }
            Rule::Participant if viewer.handle().is_none() => return Err(unauthenticated()),
            Rule::Participant => {
                viewer.require_scope(Need::Write)?;
                Some(self.open_named(params, &viewer, Need::Read).await?)
            }
            Rule::Repository(need) => Some(self.open_named(params, &viewer, need).await?),
        };
        Ok(Admitted { viewer, opened })
    }

    /// Who asks: a token or signature that is there must be valid, even where none is needed. A signature is proven by the
    /// body, on which this puts a seal.
    ///
    /// # Errors
    /// 401.
    pub(crate) async fn viewer(&self, parts: &Parts, body: &mut RequestBody) -> Result<Viewer, ApiError> {
        let mut headers = parts.headers.get_all(AUTHORIZATION).iter();
        let Some(header) = headers.next() else {
            return Ok(Viewer::Anonymous);
        };
        if headers.next().is_some() {
            return Err(ApiError::unauthorized("a request has one header 'Authorization'"));
        }
        let refuse = || ApiError::unauthorized("this token is not valid here");
        let text = header.to_str().map_err(|_| refuse())?;
        let (scheme, token) = text.split_once(' ').ok_or_else(refuse)?;
        if scheme.eq_ignore_ascii_case(SCHEME) {
            return self.signer(token, parts, body).await;
        }
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(refuse());
        }
        let found = self.identities.token(TokenHash::of(token.trim())).await?;
        let found = found.filter(|row| row.is_live(self.clock.now())).ok_or_else(refuse)?;
        Ok(Viewer::by_token(found.handle, found.scope))
    }

    /// The repository that the address names, for somebody who may do what they want.
    async fn open_named(&self, params: &Params, viewer: &Viewer, need: Need) -> Result<Opened, ApiError> {
        let names = match params.get("repo_id") {
            "" => Handle::parse(params.get("owner")).ok().zip(Slug::parse(params.get("slug")).ok()),
            id => self.names_of(id).await?,
        };
        // A name that cannot be is one that is not there; whoever would write is asked for a token first all the same.
        match names {
            Some((owner, slug)) => Ok(self.hub.opened(&owner, &slug, viewer, need).await?),
            None if need > Need::Read && viewer.handle().is_none() => Err(unauthenticated()),
            None => Err(ApiError::not_found()),
        }
    }

    /// The names by which the repository of an id is opened; none where there is no such repository.
    async fn names_of(&self, id: &str) -> Result<Option<(Handle, Slug)>, ApiError> {
        let Ok(id) = RepoId::parse(id) else {
            return Ok(None);
        };
        let repo = self.repositories.repository_by_id(&id).await?;
        Ok(repo.map(|repo| (repo.owner, repo.slug)))
    }
}

/// Nobody asks, where somebody must.
pub(crate) fn unauthenticated() -> ApiError {
    AccessError::Unauthenticated.into()
}
