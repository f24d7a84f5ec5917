//! TLS in the binary: both versions of HTTP, a certificate that is replaced while connections are open, and one that is bad.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::process::{Ran, Server, create_token, musehub, over};

/// A certificate of `localhost` and its key, in files.
struct Certificate {
    folder: TempDir,
}

impl Certificate {
    /// Makes one; gives it in the form that a client trusts.
    fn new() -> (Self, CertificateDer<'static>) {
        let made = Self { folder: tempfile::tempdir().unwrap() };
        let trusted = made.renew();
        (made, trusted)
    }

    fn renew(&self) -> CertificateDer<'static> {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        // The key first: while they do not belong together, the old ones stay in use.
        std::fs::write(self.key(), signing_key.serialize_pem()).unwrap();
        std::fs::write(self.certificate(), cert.pem()).unwrap();
        cert.der().clone()
    }

    fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key.pem")
    }

    fn serve(&self, data: &Path) -> Server {
        let mut command = over(data, &["serve"]);
        Server::serve(command.arg("--tls-cert").arg(self.certificate()).arg("--tls-key").arg(self.key()))
    }
}

/// A connection that trusts one certificate.
async fn connect(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
    alpn: &[&str],
    versions: &[&'static SupportedProtocolVersion],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from("localhost").unwrap(), stream).await
}

async fn trusting(
    address: SocketAddr,
    trusted: &CertificateDer<'static>,
) -> std::io::Result<TlsStream<TcpStream>> {
    connect(address, trusted, &["http/1.1"], rustls::ALL_VERSIONS).await
}

type Sender = http1::SendRequest<Full<Bytes>>;

async fn http1(stream: TlsStream<TcpStream>) -> Sender {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn send(sender: &mut Sender, request: Request<Full<Bytes>>) -> (u16, Value) {
    sender.ready().await.unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    (status, serde_json::from_slice(&body).unwrap())
}

fn health() -> Request<Full<Bytes>> {
    Request::get("/health").header("host", "localhost").body(Full::default()).unwrap()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken_and_addresses_say_https() {
    let data = tempfile::tempdir().unwrap();
    let token = create_token(data.path(), "alice");
    let (certificate, trusted) = Certificate::new();
    let server = certificate.serve(data.path());
    for versions in [&[&rustls::version::TLS13][..], &[&rustls::version::TLS12][..]] {
        let stream = connect(server.address, &trusted, &["h2", "http/1.1"], versions).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let request = Request::get("https://localhost/health").body(Full::<Bytes>::default()).unwrap();
        let answer = sender.send_request(request).await.unwrap();
        assert_eq!((answer.status().as_u16(), answer.version()), (200, hyper::Version::HTTP_2));
    }
    let mut sender = http1(trusting(server.address, &trusted).await.unwrap()).await;
    let create = Request::post("/api/v1/repos")
        .header("host", "hub.example:8443")
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::from("{\"name\":\"tunes\"}"))
        .unwrap();
    let (status, created) = send(&mut sender, create).await;
    assert_eq!((status, &created["clone_url"]), (201, &Value::from("https://hub.example:8443/alice/tunes")));
    // Whoever speaks no TLS gets no answer, and disturbs nobody.
    let plain = crate::http::send(server.address, Request::get("/health").body(Bytes::new()).unwrap()).await;
    assert!(plain.is_err(), "{plain:?}");
    assert_eq!(send(&mut sender, health()).await.0, 200);
}

#[tokio::test]
async fn a_new_certificate_is_taken_without_dropping_connections_and_a_bad_one_is_not() {
    let data = tempfile::tempdir().unwrap();
    let (certificate, first) = Certificate::new();
    let server = certificate.serve(data.path());
    let mut old = http1(trusting(server.address, &first).await.unwrap()).await;
    assert_eq!(send(&mut old, health()).await.0, 200);

    let second = certificate.renew();
    let taken = |line: &str| line.contains("the certificate was read again").then_some(());
    server.process.wait_for("new certificate", taken);
    assert!(trusting(server.address, &first).await.is_err(), "the old certificate is still shown");
    let mut new = http1(trusting(server.address, &second).await.unwrap()).await;
    assert_eq!(send(&mut new, health()).await.0, 200);
    assert_eq!(send(&mut old, health()).await.0, 200, "a connection outlives its certificate");

    let good = std::fs::read(certificate.certificate()).unwrap();
    std::fs::write(certificate.certificate(), "no certificate").unwrap();
    server.process.signal("HUP");
    let refused = |line: &str| line.contains("the new certificate cannot be used").then_some(());
    server.process.wait_for("complaint", refused);
    assert!(trusting(server.address, &second).await.is_ok(), "the old certificate stays in use");
    std::fs::write(certificate.certificate(), good).unwrap();
    server.process.signal("HUP");
    let mut again = http1(trusting(server.address, &second).await.unwrap()).await;
    assert_eq!(send(&mut again, health()).await.0, 200);
}

#[test]
fn a_server_does_not_start_with_a_certificate_that_cannot_be_used() {
    let data = tempfile::tempdir().unwrap();
    let ((one, _), (other, _)) = (Certificate::new(), Certificate::new());
    for (certificate, key, said) in [
        (one.certificate(), other.key(), "cannot be used"),
        (one.key(), one.key(), "no certificate"),
        (one.certificate(), one.certificate(), "no private key"),
        (one.folder.path().join("absent"), one.key(), "cannot read"),
    ] {
        let mut command = over(data.path(), &["serve", "--listen", "127.0.0.1:0"]);
        let ran = Ran::of(command.arg("--tls-cert").arg(certificate).arg("--tls-key").arg(key)).expect(2);
        assert!(ran.err.contains(said), "{ran:?}");
    }
    let mut command = musehub(&["serve", "--tls-cert"]);
    let ran = Ran::of(command.arg(one.certificate())).expect(2);
    assert!(ran.err.contains("--tls-key"), "{ran:?}");
}
