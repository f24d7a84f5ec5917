//! One request on its way to an answer, as handlers see it.

use std::net::IpAddr;
use std::sync::Arc;

use hyper::header::{ACCEPT, HeaderName};
use hyper::http::request::Parts;
use musehub_core::Handle;
use musehub_core::hub::{Need, Opened, Viewer};
use musehub_core::port::RepositoryRecord;

use super::App;
use crate::auth::{self, Admitted};
use crate::http::ApiError;
use crate::http::origin::Origin;
use crate::http::route::Params;

/// One request on its way to an answer, whose sender the route's rule has let in.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The server.
    pub app: &'a Arc<App>,
    /// The head of the request.
    pub parts: &'a Parts,
    /// The named parts of its path.
    pub params: &'a Params,
    /// Where it comes from, and what it was sent to.
    pub origin: &'a Origin,
    pub(super) admitted: Admitted,
}

impl Exchange<'_> {
    /// Who asks.
    #[must_use]
    pub const fn viewer(&self) -> &Viewer {
        &self.admitted.viewer
    }

    /// The handle of who asks.
    ///
    /// # Errors
    /// 401 where nobody does, which no route that only some may use gets to.
    pub fn caller(&self) -> Result<&Handle, ApiError> {
        self.viewer().handle().ok_or_else(auth::unauthenticated)
    }

    /// The repository that the address names, opened as the route's rule says.
    ///
    /// # Errors
    /// 404 where that rule is about none.
    pub fn repository(&self) -> Result<&RepositoryRecord, ApiError> {
        Ok(&self.opened()?.repository)
    }

    /// Asks for more than the route's rule does, where what is needed stands in the request.
    ///
    /// # Errors
    /// 401 where nobody asks for more than reading, 403 where it is not theirs to do.
    pub fn require(&self, need: Need) -> Result<(), ApiError> {
        if need > Need::Read {
            self.caller()?;
        }
        self.viewer().require_scope(need)?;
        Ok(self.opened()?.require(need)?)
    }

    /// The repository and what the sender may do with it.
    ///
    /// # Errors
    /// 404 where the route's rule is about none.
    pub fn opened(&self) -> Result<&Opened, ApiError> {
        self.admitted.opened.as_ref().ok_or_else(ApiError::not_found)
    }

    /// A header as text; empty where it is absent or no text.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> &str {
        self.parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether the client takes msgpack.
    #[must_use]
    pub fn accepts_msgpack(&self) -> bool {
        self.header(&ACCEPT).contains("application/x-msgpack")
    }

    /// The address of the client, also behind trusted proxies; none where the request came over no network.
    #[must_use]
    pub fn client_address(&self) -> Option<IpAddr> {
        self.origin.client
    }

    /// The host that the client addressed, also through trusted proxies, with its port where it named one: what signatures
    /// of requests name.
    #[must_use]
    pub fn public_host(&self) -> &str {
        &self.origin.host
    }

    /// Where clients reach this server, as far as this request tells.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.origin.base_url()
    }

    /// A parameter of the query; none where it is absent or no text.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.parts.uri.query()?;
        let pair = query.split('&').filter_map(|pair| pair.split_once('=')).find(|(key, _)| *key == name)?;
        let spaced = pair.1.replace('+', " ");
        Some(percent_encoding::percent_decode_str(&spaced).decode_utf8().ok()?.into_owned())
    }
}
