//! The listener and what stands around it: proxies, metrics, readiness, slow and greedy clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use bytes::Bytes;
use hyper::Request;

use crate::http::send;
use crate::process::{PATIENCE, Server, create_token, over};

/// A server with more options.
fn serve(data: &std::path::Path, more: &[&str]) -> Server {
    Server::serve(over(data, &["serve"]).args(more))
}

/// What comes of a repository created with some headers: its address.
async fn clone_url(server: &Server, token: &str, name: &str, headers: &[(&str, &str)]) -> String {
    let mut request = Request::post("/api/v1/repos").header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("content-type", "application/json");
    let body = Bytes::from(format!("{{\"name\":\"{name}\"}}"));
    let answer = send(server.address, request.body(body).unwrap()).await.unwrap().expect(201).json();
    answer["clone_url"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn only_a_trusted_proxy_says_where_the_server_is_and_who_asks() {
    let data = tempfile::tempdir().unwrap();
    let token = create_token(data.path(), "alice");
    let says = [
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "hub.example"),
        ("x-forwarded-for", "198.51.100.1, 203.0.113.9"),
    ];
    let server = serve(data.path(), &["--trusted-proxy", "10.0.0.0/8,127.0.0.1"]);
    assert_eq!(clone_url(&server, &token, "one", &says).await, "https://hub.example/alice/one");
    let by_client = |line: &str| line.contains(" client=203.0.113.9").then_some(());
    server.process.wait_for("client", by_client);
    drop(server);
    let server = serve(data.path(), &["--trusted-proxy", "10.0.0.0/8"]);
    let own = format!("http://{}/alice/two", server.address);
    assert_eq!(clone_url(&server, &token, "two", &says).await, own);
    server.process.wait_for("client", |line| line.contains(" client=127.0.0.1").then_some(()));
    assert!(!server.process.printed().contains("203.0.113.9"), "a stranger was believed");
}

#[tokio::test]
async fn metrics_are_served_at_an_address_of_their_own_and_nowhere_else() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path(), &["--metrics-listen", "127.0.0.1:0"]);
    let metrics: SocketAddr = server.process.wait_for("address of metrics", |line| {
        line.split_once(" metrics address=")?.1.split_whitespace().next()?.parse().ok()
    });
    let get = async |address, path: &str| {
        send(address, Request::get(path).body(Bytes::new()).unwrap()).await.unwrap()
    };
    assert_eq!(get(server.address, "/health").await.status, 200);
    assert_eq!(get(server.address, "/nowhere").await.status, 404);
    let shown = get(metrics, "/metrics").await.expect(200);
    assert!(shown.header("content-type").starts_with("text/plain; version=0.0.4"), "{shown:?}");
    let shown = shown.text();
    for line in [
        "musehub_http_requests_total{route=\"/health\",method=\"GET\",status=\"200\"} 1",
        "musehub_http_requests_total{route=\"none\",method=\"GET\",status=\"404\"} 1",
        "musehub_http_request_duration_seconds_count{route=\"/health\"} 1",
        "musehub_http_requests_in_flight 0",
    ] {
        assert!(shown.lines().any(|one| one == line), "{line} is not in\n{shown}");
    }
    for (address, path, status) in [
        (server.address, "/metrics", 404),
        (metrics, "/", 404),
        (metrics, "/static/style.css", 404),
        (metrics, "/readyz", 200),
        (metrics, "/healthz", 200),
        (server.address, "/readyz", 200),
        (server.address, "/healthz", 200),
    ] {
        assert_eq!(get(address, path).await.status, status, "{path} at {address}");
    }
}

/// Reads until the server closes the connection; what it said.
fn read_to_end(mut stream: TcpStream) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut said = Vec::new();
    // A reset is an end, too.
    let _ = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}

#[test]
fn clients_that_are_slow_with_their_heads_are_cut_off() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path(), &["--head-timeout", "1"]);
    // Nothing; the beginning of HTTP/2's preface, and of a head; a head after a whole request.
    for begin in [
        "",
        "P",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /health HTTP/1.1\r\nhost: a\r\nx-slow: ",
        "GET /health HTTP/1.1\r\nhost: a\r\n\r\nGET /",
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.write_all(begin.as_bytes()).unwrap();
        let said = read_to_end(stream);
        assert_eq!(said.contains("200 OK"), begin.contains("\r\n\r\nGET"), "{begin:?}: {said}");
    }
}

#[test]
fn heads_that_are_too_large_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path(), &[]);
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let long = format!("x-long: {}\r\n", "y".repeat(1 << 20));
    for headers in [many, long] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        // The server may close before it has read all of it.
        let _ = stream.write_all(format!("GET /health HTTP/1.1\r\nhost: a\r\n{headers}\r\n").as_bytes());
        let said = read_to_end(stream);
        assert!(!said.contains("200 OK"), "{said}");
    }
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
    assert!(read_to_end(stream).contains("200 OK"));
}

#[test]
fn one_address_has_so_many_connections_and_gets_new_ones_when_old_ones_end() {
    let data = tempfile::tempdir().unwrap();
    let server = serve(data.path(), &["--max-connections-per-address", "2"]);
    let ask = |stream: &mut TcpStream| {
        stream.write_all(b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n").is_ok() && {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let mut said = [0; 12];
            stream.read_exact(&mut said).is_ok() && said == *b"HTTP/1.1 200"
        }
    };
    let mut held: Vec<TcpStream> = (0..2).map(|_| TcpStream::connect(server.address).unwrap()).collect();
    assert!(held.iter_mut().all(ask));
    assert!(!ask(&mut TcpStream::connect(server.address).unwrap()), "a third one is closed");
    drop(held.pop());
    // The server hears of the end when it hears of it.
    let started = std::time::Instant::now();
    while !ask(&mut TcpStream::connect(server.address).unwrap()) {
        assert!(started.elapsed() < PATIENCE, "the place of a connection that ended stays taken");
    }
}
