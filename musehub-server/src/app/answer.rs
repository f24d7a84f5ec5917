//! What a request meets on its way in and its answer on the way out: the route, its rule, the limits, the log and the measurements.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::header::{
    ACCEPT, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode};
use musehub_core::hub::Viewer;

use super::{App, Exchange};
use crate::http::origin::Origin;
use crate::http::route::{Entry, Generation, NoRoute, Params, Route, Rule};
use crate::http::{ApiError, Counted, Reply, RequestBody, health, html, plain, unsupported};
use crate::pages::{self, ErrorPage};

impl App {
    /// Answers a request. Never fails: whatever goes wrong becomes an answer.
    pub async fn handle(self: &Arc<Self>, request: Request<RequestBody>) -> Reply {
        let started = Instant::now();
        let _in_flight = self.metrics.request();
        let (parts, mut body) = request.into_parts();
        let path = parts.uri.path();
        let origin = self.proxies.origin(&parts);
        let found = self.router.find(&parts.method, path);
        let entry = found.as_ref().ok().map(|(entry, _)| *entry);
        let (page, answer) = match found {
            Err(NoRoute::NotFound) => {
                let told = unsupported(&parts.method, path).ok_or_else(ApiError::no_such_address);
                (prefers_html(&parts), told)
            }
            Err(NoRoute::Method(allowed)) => (false, Ok(wrong_method(&allowed))),
            Ok((entry, params)) => {
                let page = entry.is_page(prefers_html(&parts));
                (page, self.answer(entry, &parts, &params, &origin, &mut body).await)
            }
        };
        let mut reply = answer.unwrap_or_else(|error| {
            error.log();
            if page { self.error_page(&error) } else { error.reply() }
        });
        body.drain().await;
        add_security_headers(&mut reply);
        let (status, took) = (reply.status().as_u16(), started.elapsed());
        let client = origin.client.map(tracing::field::display);
        tracing::info!(
            method = %parts.method, path, status, ms = took.as_secs_f64() * 1000.0, client, "request"
        );
        self.count_request(&parts.method, entry, status, took, body.received());
        if let Some((transfer, generation)) = entry.and_then(|entry| entry.route.transfer()) {
            let spoken = reply.extensions().get().map_or(generation, |Generation(spoken)| spoken);
            self.metrics.transferred(transfer, spoken, status);
        }
        let sent = self.metrics.sent(pattern(entry));
        reply.map(|body| Counted::new(body, sent).boxed_unsync())
    }

    fn count_request(
        &self,
        method: &Method,
        entry: Option<&Entry>,
        status: u16,
        took: Duration,
        received: u64,
    ) {
        // What a client chose is no label.
        let known = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];
        let method = known.into_iter().find(|known| method.as_str() == *known).unwrap_or("other");
        self.metrics.answered(pattern(entry), method, status, took);
        self.metrics.received(pattern(entry), received);
    }

    /// Answers a request of an operator: metrics and health, and nothing else.
    pub async fn handle_operations(self: &Arc<Self>, request: Request<RequestBody>) -> Reply {
        let (parts, mut body) = request.into_parts();
        let answer = match (parts.method.as_str(), parts.uri.path()) {
            ("GET" | "HEAD", "/metrics") => {
                Ok(plain(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", self.metrics.render()))
            }
            ("GET" | "HEAD", "/health" | "/healthz") => health::health(),
            ("GET" | "HEAD", "/readyz") => health::ready(self).await,
            _ => Err(ApiError::no_such_address()),
        };
        let mut reply = answer.unwrap_or_else(|error| error.reply());
        body.drain().await;
        add_security_headers(&mut reply);
        reply
    }

    /// Lets in whoever the route's rule lets in, and no one else gets to its handler.
    async fn answer(
        self: &Arc<Self>,
        entry: &Entry,
        parts: &Parts,
        params: &Params,
        origin: &Origin,
        body: &mut RequestBody,
    ) -> Result<Reply, ApiError> {
        // Said to everybody, also with credentials that are not valid, and without a look at who they are.
        match entry.route {
            Route::Health => return health::health(),
            Route::Ready => return health::ready(self).await,
            _ => {}
        }
        self.count_sender(entry, parts, origin).await?;
        let admitted = match self.identify(entry, parts, body).await {
            Ok(viewer) => self.admit(entry.rule, viewer, params).await,
            Err(refusal) => Err(refusal),
        };
        // Whoever has still to be proven is counted as the address they come from.
        let known = admitted.as_ref().ok().filter(|_| body.is_proven());
        self.count_credentials(entry, parts, origin, known, admitted.as_ref().err()).await?;
        let answer = match admitted {
            Ok(admitted) => {
                Exchange { app: self, parts, params, origin, admitted }.dispatch(entry.route, body).await
            }
            Err(refusal) => Err(refusal),
        };
        let forged = |error: &ApiError| error.status == StatusCode::FORBIDDEN;
        if entry.rule == Rule::SignedAddress && answer.as_ref().is_err_and(forged) {
            self.count_failure(origin).await?;
        }
        // Nothing is said to who is not proven, not even that there is nothing: the answer would tell.
        if let Err(refusal) = body.settle().await {
            self.count_failure(origin).await?;
            // Where the handler met the refusal as it read the body, that one says more.
            return Err(answer
                .err()
                .filter(|error| error.status == StatusCode::UNAUTHORIZED)
                .unwrap_or(refusal));
        }
        answer
    }

    /// Who asks, proven where the handler does not read the body as it arrives.
    async fn identify(
        &self,
        entry: &Entry,
        parts: &Parts,
        body: &mut RequestBody,
    ) -> Result<Viewer, ApiError> {
        let viewer = self.viewer(parts, body).await?;
        if !entry.is_streamed {
            body.prove(self.limits.request).await?;
        }
        Ok(viewer)
    }

    fn error_page(&self, error: &ApiError) -> Reply {
        let title = error.status.canonical_reason().unwrap_or("Error").to_owned();
        let page = ErrorPage { status: error.status.as_u16(), title, sentence: error.detail.clone() };
        match self.pages.render(&page) {
            Ok(text) => {
                let mut reply = html(error.status, text);
                error.add_headers(&mut reply);
                reply
            }
            Err(_) => error.reply(),
        }
    }
}

/// The route as it is counted.
fn pattern(entry: Option<&Entry>) -> &'static str {
    entry.map_or("none", |entry| entry.path)
}

/// Whether a person with a browser asks.
pub(super) fn prefers_html(parts: &Parts) -> bool {
    parts
        .headers
        .get(ACCEPT)
        .and_then(|value| value.to_str().ok())
        .is_some_and(|accept| accept.contains("text/html"))
}

fn wrong_method(allowed: &str) -> Reply {
    let detail = format!("this address takes {allowed}");
    let mut reply = ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail).reply();
    if let Ok(value) = HeaderValue::from_str(allowed) {
        reply.headers_mut().insert(ALLOW, value);
    }
    reply
}

fn add_security_headers(reply: &mut Reply) {
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "strict-origin-when-cross-origin"),
    ];
    let headers = reply.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What pushers wrote comes under a policy of its own, which is stricter.
    let policy = HeaderValue::from_static(pages::CONTENT_SECURITY_POLICY);
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(policy);
    // What depends on who asks and changes with every push is nobody's to keep.
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}
