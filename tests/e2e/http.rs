//! Requests over TCP: a connection each, as Python's `urllib` makes them.

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::{CONNECTION, HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use musehub_test_support::transport::answer;
use musehub_test_support::{Answer, MpackClient, MuseClient, Transport};
use tokio::net::TcpStream;

use crate::process::{PATIENCE, Server};

/// Sends a request, whose address is a path, and reads the whole answer.
pub(crate) async fn send(address: SocketAddr, request: Request<Bytes>) -> Result<Answer, String> {
    match tokio::time::timeout(PATIENCE, exchange(address, request)).await {
        Ok(answer) => answer,
        Err(_) => panic!("no answer within {PATIENCE:?}"),
    }
}

async fn exchange(address: SocketAddr, request: Request<Bytes>) -> Result<Answer, String> {
    let (mut head, body) = request.into_parts();
    // A whole address leads elsewhere: to an object store, say.
    let elsewhere = head.uri.authority().map(|authority| authority.as_str().parse());
    let address = elsewhere.transpose().map_err(|error| format!("{}: {error}", head.uri))?.unwrap_or(address);
    head.uri = head.uri.path_and_query().cloned().ok_or("an address without a path")?.into();
    let request = Request::from_parts(head, body);
    let stream = TcpStream::connect(address).await.map_err(|error| error.to_string())?;
    let _ = stream.set_nodelay(true);
    let mut request = request.map(Full::new);
    let host = HeaderValue::from_str(&address.to_string()).unwrap();
    request.headers_mut().insert(HOST, host);
    request.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    let connected = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = connected.map_err(|error| error.to_string())?;
    // Ends with the connection; what goes wrong there is told to the sender.
    tokio::spawn(connection);
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    answer(response).await
}

/// A GET, with a token or without.
pub(crate) async fn get(server: &Server, path: &str, token: Option<&str>) -> Answer {
    let mut request = Request::get(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    send(server.address, request.body(Bytes::new()).unwrap()).await.unwrap()
}

/// A server at an address.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tcp(pub(crate) SocketAddr);

#[async_trait]
impl Transport for Tcp {
    async fn send(&self, request: Request<Bytes>) -> Result<Answer, String> {
        send(self.0, request).await
    }
}

/// A Muse client of a repository at a server.
pub(crate) fn client(server: &Server, owner: &str, slug: &str, token: Option<&str>) -> MuseClient {
    MuseClient::new(Arc::new(Tcp(server.address)), owner, slug, token)
}

/// A client of packs.
pub(crate) fn mpack_client(address: SocketAddr, owner: &str, slug: &str, token: Option<&str>) -> MpackClient {
    MpackClient::new(Arc::new(Tcp(address)), owner, slug, token)
}
