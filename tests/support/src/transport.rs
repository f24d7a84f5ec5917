//! How requests get to a server.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_LENGTH, HeaderMap};
use hyper::{Request, Response};
use musehub_server::App;
use musehub_server::http::RequestBody;
use rmpv::Value;

use crate::described::Asked;
use crate::record;

/// Sends requests to one server: requests carry a path. One with a whole address goes there, where the transport can.
#[async_trait]
pub trait Transport: Send + Sync {
    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    /// Where there is no whole answer.
    async fn send(&self, request: Request<Bytes>) -> Result<Answer, String>;
}

/// What a server answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// A header; empty where it is absent.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}; {} {}", self.status, self.text()))
    }

    /// The body as msgpack.
    ///
    /// # Panics
    /// Where it is none.
    #[must_use]
    pub fn msgpack(&self) -> Value {
        record::unpack(&self.body).unwrap_or_else(|error| panic!("{error}; {} {}", self.status, self.text()))
    }

    /// The field `detail` of an error; empty where there is none.
    #[must_use]
    pub fn detail(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["detail"].as_str().unwrap_or_default().to_owned()
    }

    /// This answer, if its status is `status`.
    ///
    /// # Panics
    /// Where it is another.
    #[track_caller]
    #[must_use]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text().chars().take(600).collect::<String>());
        self
    }
}

/// A server in this process. What it answers under `/api/` must be as it describes itself.
#[derive(Clone, Debug)]
pub struct InProcess(pub Arc<App>);

#[async_trait]
impl Transport for InProcess {
    async fn send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        let (mut head, body) = request.into_parts();
        // An address that the server gave out leads to itself.
        if let Some(path) = head.uri.path_and_query().cloned() {
            head.uri = path.into();
        }
        let request = Request::from_parts(head, body);
        let asked = Asked::of(&request);
        let request = request.map(|bytes| RequestBody::new(Pieces::new(bytes)));
        let answer = answer(self.0.handle(request).await).await?;
        if let Some(asked) = asked {
            asked.check(&answer);
        }
        Ok(answer)
    }
}

/// Reads an answer to its end, which must be where its length says.
///
/// # Errors
/// Where the body breaks off or has another length than announced.
pub async fn answer<B>(response: Response<B>) -> Result<Answer, String>
where
    B: Body<Data = Bytes>,
    B::Error: std::fmt::Display,
{
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_err(|error| format!("the answer broke off: {error}"))?;
    let body = body.to_bytes();
    if let Some(announced) = head.headers.get(CONTENT_LENGTH)
        && announced.as_bytes() != body.len().to_string().as_bytes()
    {
        return Err(format!("{} bytes came, {announced:?} were announced", body.len()));
    }
    Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
}

/// A body in pieces of a few KiB, as a connection delivers it; counts what was taken of it.
#[derive(Debug)]
pub struct Pieces {
    rest: Bytes,
    taken: Arc<AtomicU64>,
    announced: bool,
}

impl Pieces {
    /// A body of these bytes.
    #[must_use]
    pub fn new(bytes: Bytes) -> Self {
        Self { rest: bytes, taken: Arc::default(), announced: true }
    }

    /// The same body with its length not said beforehand.
    #[must_use]
    pub fn unannounced(mut self) -> Self {
        self.announced = false;
        self
    }

    /// How many bytes were taken, now and later.
    #[must_use]
    pub fn taken(&self) -> Arc<AtomicU64> {
        self.taken.clone()
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        // No power of two, so that pieces and values do not end together.
        const PIECE: usize = 15_001;
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let most = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(most);
        self.taken.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.announced && self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        if self.announced { SizeHint::with_exact(self.rest.len() as u64) } else { SizeHint::default() }
    }
}
