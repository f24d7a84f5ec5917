//! Signed requests: who signed is known from the header, and proven once the whole body is here.

use std::sync::Arc;

use async_trait::async_trait;
use hyper::http::request::Parts;
use musehub_core::hash;
use musehub_core::hub::Viewer;
use musehub_core::port::{Clock, ProofGuard, Timestamp};
use musehub_core::signature::PublicKey;
use musehub_core::signature::request::{Form, Request, SignedHeader, WINDOW_MILLIS, canonical_host};
use musehub_core::{Handle, HashAlgorithm};

use crate::app::App;
use crate::http::{ApiError, BodyProof, RequestBody};

/// A signature whose request is still arriving.
struct Pending {
    header: SignedHeader,
    keys: Vec<PublicKey>,
    method: String,
    /// Each host that the client may have signed.
    hosts: Vec<String>,
    path: String,
    proofs: Arc<dyn ProofGuard>,
    clock: Arc<dyn Clock>,
}

impl App {
    /// Who is said to have signed, and the seal on the body that this puts: nothing is read to its end before it is proven.
    pub(super) async fn signer(
        &self,
        header: &str,
        parts: &Parts,
        body: &mut RequestBody,
    ) -> Result<Viewer, ApiError> {
        let header =
            SignedHeader::parse(header).map_err(|error| ApiError::unauthorized(error.to_string()))?;
        let now = self.clock.now();
        if !header.is_timely(now.as_millis()) {
            let detail = format!(
                "the signature's time is more than {} s away from this server's, which is {}",
                WINDOW_MILLIS / 1000,
                now.as_millis() / 1000
            );
            return Err(ApiError::unauthorized(detail));
        }
        let records = self.keyring.keys(&header.handle).await?;
        let mut records = records.into_iter().filter(|record| record.retired_at.is_none()).peekable();
        let Some(handle) = records.peek().map(|record| record.handle.clone()) else {
            let detail = format!("No registered keys for identity '{}'", header.handle);
            return Err(ApiError::unauthorized(detail));
        };
        let pending = Pending {
            header,
            keys: records.map(|record| record.key).collect(),
            method: parts.method.as_str().to_owned(),
            hosts: self.access.hosts(parts),
            path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
            proofs: self.proofs.clone(),
            clock: self.clock.clone(),
        };
        body.seal(Box::new(pending));
        Ok(Viewer::Identity(handle))
    }
}

#[async_trait]
impl BodyProof for Pending {
    async fn prove(&self, body: [u8; 32]) -> Result<(), ApiError> {
        let is_signed = |host: &str| {
            let request = Request { method: &self.method, host, path: &self.path };
            self.header.is_signed_by(&self.keys, &request, &body)
        };
        let signed = match self.header.form {
            Form::V1 => is_signed(""),
            Form::V2 => self.hosts.iter().any(|host| is_signed(host)),
        };
        if !signed {
            return Err(self.refusal());
        }
        // Signatures of one text are equal, and clients ask the same several times a second: what changes nothing may come
        // again.
        if matches!(self.method.as_str(), "GET" | "HEAD") {
            return Ok(());
        }
        self.spend(&self.header.handle).await
    }
}

impl Pending {
    fn refusal(&self) -> ApiError {
        if self.header.form == Form::V2 && self.hosts.is_empty() {
            let detail = "this server is not told that it is this host, so nothing signed for it counts; its operator does \
                          so with --public-host";
            return ApiError::unauthorized(detail);
        }
        ApiError::unauthorized("this signature is not valid here")
    }

    /// Refuses a signature that was used before, in whatever process of this hub.
    async fn spend(&self, handle: &Handle) -> Result<(), ApiError> {
        let bytes = self.header.signature.as_bytes();
        let name = handle.as_str().to_ascii_lowercase();
        let proof = hash::digest(HashAlgorithm::Blake3, &[b"msign\0", name.as_bytes(), b"\0", bytes]);
        // Twice its time: clocks of several processes differ.
        let until =
            Timestamp::from_millis(self.header.seconds.saturating_mul(1000)).plus_millis(2 * WINDOW_MILLIS);
        if !self.proofs.spend(&proof, until).await? {
            return Err(ApiError::unauthorized("this signature was used before: sign each request anew"));
        }
        // Now and then, by chance.
        if bytes[0] == 0 {
            // The request has proven itself, whatever becomes of old proofs.
            if let Err(error) = self.proofs.forget_spent(self.clock.now()).await {
                tracing::warn!(%error, "used proofs were not forgotten");
            }
        }
        Ok(())
    }
}

/// What the operator decides about who may come in.
#[derive(Clone, Debug, Default)]
pub struct AccessOptions {
    /// The hosts under which clients reach this server, as they sign them. Without, only this machine's own names are signed
    /// for here.
    pub public_hosts: Vec<String>,
    /// Whether anybody may take a free name with a key.
    pub open_registration: bool,
}

impl AccessOptions {
    /// The hosts that a client may have signed: those this server answers to, whatever the request says.
    fn hosts(&self, parts: &Parts) -> Vec<String> {
        if !self.public_hosts.is_empty() {
            return self.public_hosts.iter().map(|host| canonical_host(host)).collect();
        }
        let said = parts.uri.authority().map(|authority| authority.as_str());
        let said = said.or_else(|| parts.headers.get(hyper::header::HOST)?.to_str().ok()).unwrap_or_default();
        let said = canonical_host(said);
        let port = said.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
        let name = port.map_or(said.as_str(), |(name, _)| name);
        if matches!(name, "localhost" | "127.0.0.1" | "[::1]") { vec![said] } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use musehub_core::memory::FixedClock;
    use musehub_core::port::BackendError;

    use super::*;

    /// Marks proofs and never forgets one.
    struct Unforgetting;

    #[async_trait]
    impl ProofGuard for Unforgetting {
        async fn spend(&self, _: &[u8; 32], _: Timestamp) -> Result<bool, BackendError> {
            Ok(true)
        }

        async fn forget_spent(&self, _: Timestamp) -> Result<u64, BackendError> {
            Err(BackendError::unavailable("forgetting used proofs", "it takes too long"))
        }

        async fn shared_secret(&self, _: &str, fresh: &[u8; 32]) -> Result<[u8; 32], BackendError> {
            Ok(*fresh)
        }
    }

    #[tokio::test]
    async fn a_request_that_has_proven_itself_passes_where_old_proofs_are_not_forgotten() {
        // One of the signatures that old proofs are forgotten with.
        let header = format!("handle=\"alice\" ts=0 sig=\"{}\"", "A".repeat(86));
        let pending = Pending {
            header: SignedHeader::parse(&header).unwrap(),
            keys: Vec::new(),
            method: "POST".to_owned(),
            hosts: Vec::new(),
            path: "/".to_owned(),
            proofs: Arc::new(Unforgetting),
            clock: Arc::new(FixedClock::new(Timestamp::default())),
        };
        assert_eq!(pending.header.signature.as_bytes()[0], 0);
        assert!(pending.spend(&pending.header.handle).await.is_ok());
    }
}
