//! A proxy that does to HTTP what networks and overloaded servers do to it.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures::{StreamExt, stream};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{CONTENT_LENGTH, IF_NONE_MATCH, RANGE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is answered 503 and goes no further.
    Unavailable,
    /// The connection is closed before it goes any further.
    Dropped,
    /// It is carried out, and the connection is closed instead of an answer.
    AnswerLost,
    /// It is carried out, and answered 503 all the same.
    AnswerSpoilt,
    /// It is not carried out, and answered 409 as S3 answers one of two that race.
    Racing,
    /// The connection is closed after so many bytes of the answer's body.
    Cut(usize),
    /// The answer's body ends after so many bytes, and the answer says that this is all.
    Short(usize),
}

/// A request, as far as a plan may ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Call {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub target: String,
    /// The range that it asks for.
    pub range: Option<String>,
}

type Plan = Box<dyn FnMut(&Call) -> Option<Fault> + Send>;
type Body = BoxBody<Bytes, std::io::Error>;

/// A proxy in front of a server.
pub struct Proxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    accepting: tokio::task::JoinHandle<()>,
}

/// What becomes of `If-None-Match`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Conditions {
    Kept,
    Ignored,
    Refused,
}

struct State {
    plan: Plan,
    conditions: Conditions,
    calls: Vec<(Call, Option<Fault>)>,
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Proxy").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// A proxy in front of `server` that harms nothing until it has a plan.
    pub async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State {
            plan: Box::new(|_| None),
            conditions: Conditions::Kept,
            calls: Vec::new(),
        }));
        let shared = state.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let state = shared.clone();
                let service = service_fn(move |request| carry(server, state.clone(), request));
                let serving = hyper::server::conn::http1::Builder::new();
                // Ends with an error whenever the plan has it so.
                tokio::spawn(serving.serve_connection(TokioIo::new(connection), service));
            }
        });
        Self { address, state, accepting }
    }

    /// From now on, what `plan` says happens to each request. Forgets the calls so far.
    pub fn plan(&self, plan: impl FnMut(&Call) -> Option<Fault> + Send + 'static) {
        let mut state = self.state.lock().unwrap();
        state.plan = Box::new(plan);
        state.calls.clear();
    }

    /// From now on, requests go on without their conditions: some stores ignore these.
    pub fn ignore_conditions(&self) {
        self.state.lock().unwrap().conditions = Conditions::Ignored;
    }

    /// From now on, requests that have a condition are answered 501 and go no further, as by stores that know none.
    pub fn refuse_conditions(&self) {
        self.state.lock().unwrap().conditions = Conditions::Refused;
    }

    /// The requests since the last plan, and what happened to each.
    pub fn calls(&self) -> Vec<(Call, Option<Fault>)> {
        self.state.lock().unwrap().calls.clone()
    }

    /// How many requests met a fault since the last plan.
    pub fn faults(&self) -> usize {
        self.calls().iter().filter(|(_, fault)| fault.is_some()).count()
    }
}

async fn carry(
    server: SocketAddr,
    state: Arc<Mutex<State>>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, std::io::Error> {
    let call = Call {
        method: request.method().clone(),
        target: request.uri().to_string(),
        range: request.headers().get(RANGE).map(|range| range.to_str().unwrap().to_owned()),
    };
    let (fault, conditions) = {
        let mut state = state.lock().unwrap();
        let fault = (state.plan)(&call);
        state.calls.push((call, fault));
        (fault, state.conditions)
    };
    if conditions != Conditions::Kept
        && request.headers_mut().remove(IF_NONE_MATCH).is_some()
        && conditions == Conditions::Refused
    {
        let _ = request.into_body().collect().await;
        return Ok(not_implemented());
    }
    match fault {
        Some(Fault::Dropped) => return Err(broken()),
        Some(Fault::Unavailable | Fault::Racing) => {
            // Clients that write before they read must be able to write.
            let _ = request.into_body().collect().await;
            let racing = fault == Some(Fault::Racing);
            return Ok(status(if racing { StatusCode::CONFLICT } else { StatusCode::SERVICE_UNAVAILABLE }));
        }
        _ => {}
    }
    let (mut parts, body) = forward(server, request).await?.into_parts();
    let (rest, ends_well) = match fault {
        Some(Fault::AnswerLost) => return Err(broken()),
        Some(Fault::AnswerSpoilt) => return Ok(status(StatusCode::SERVICE_UNAVAILABLE)),
        Some(Fault::Cut(at)) if at < body.len() => (body.slice(..at), false),
        Some(Fault::Short(at)) if at < body.len() => {
            parts.headers.insert(CONTENT_LENGTH, at.into());
            (body.slice(..at), true)
        }
        _ => (body, true),
    };
    let end = stream::once(async move {
        // What was sent so far leaves when the body has to be waited for.
        tokio::task::yield_now().await;
        if ends_well { Ok(Frame::data(Bytes::new())) } else { Err(broken()) }
    });
    let frames = stream::once(async move { Ok(Frame::data(rest)) }).chain(end);
    Ok(Response::from_parts(parts, BodyExt::boxed(StreamBody::new(frames))))
}

/// Sends a request on, headers as they are: the signature covers them.
async fn forward(server: SocketAddr, request: Request<Incoming>) -> Result<Response<Bytes>, std::io::Error> {
    let connection = TokioIo::new(TcpStream::connect(server).await?);
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(connection).await.map_err(std::io::Error::other)?;
    tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(std::io::Error::other)?;
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.map_err(std::io::Error::other)?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

fn status(status: StatusCode) -> Response<Body> {
    let body = Full::new(Bytes::new()).map_err(|never: Infallible| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}

/// As S3 words it.
fn not_implemented() -> Response<Body> {
    let text = "<Error><Code>NotImplemented</Code><Message>A header implies functionality that is not implemented.\
                </Message></Error>";
    let body = Full::new(Bytes::from(text)).map_err(|never: Infallible| match never {}).boxed();
    let mut answer = Response::new(body);
    *answer.status_mut() = StatusCode::NOT_IMPLEMENTED;
    answer
}

fn broken() -> std::io::Error {
    std::io::ErrorKind::BrokenPipe.into()
}
