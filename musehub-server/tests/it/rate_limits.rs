//! How often somebody may ask: by identity, by address, and most strictly with credentials that are not valid.

use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use musehub_core::Handle;
use musehub_core::memory::MemoryRates;
use musehub_core::port::Timestamp;
use musehub_server::http::RequestBody;
use musehub_server::http::origin::Connection;
use musehub_server::http::rate::{Class, Limiter, Rates, Who};
use musehub_server::http::route::TABLE;
use musehub_server::{App, Config, Limits};
use musehub_store::{Backend, RefLog, SqlIndex};
use musehub_test_services::postgres;
use musehub_test_support::mpack_client::mpack_key;
use musehub_test_support::transport::answer;
use musehub_test_support::{Answer, TestApp};

const REFS: &str = "/alice/demo/refs";

async fn limited(rates: &str) -> TestApp {
    let rates = Some(rates.parse().unwrap());
    let app = TestApp::with_config(Config { rates, ..Limits::default().into() }).await;
    app.repository("alice", "demo").await;
    app
}

/// A request from an address, with a token or without.
async fn ask(app: &Arc<App>, method: &str, path: &str, peer: &str, token: Option<&str>) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    let mut request = request.body(RequestBody::new(Full::new(Bytes::new()))).unwrap();
    request.extensions_mut().insert(Connection { peer: peer.parse().unwrap(), tls: false });
    answer(app.handle(request).await).await.unwrap()
}

async fn status(app: &TestApp, path: &str, peer: &str, token: Option<&str>) -> u16 {
    ask(&app.app, "GET", path, peer, token).await.status
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_told_when_to_come_back() {
    let app = limited("read=0.001/3").await;
    for _ in 0..3 {
        assert_eq!(status(&app, REFS, "192.0.2.1", None).await, 200);
    }
    let refused = ask(&app.app, "GET", REFS, "192.0.2.1", None).await.expect(429);
    assert_eq!(refused.json()["code"], "rate_limited");
    let wait: u64 = refused.header("retry-after").parse().unwrap();
    assert!((1..=1_001).contains(&wait), "{wait}");
    assert!(refused.detail().contains(&format!("{wait} seconds")), "{}", refused.detail());
    for path in ["/health", "/readyz", "/nowhere/at/all"] {
        assert_ne!(status(&app, path, "192.0.2.1", None).await, 429, "{path} costs nothing");
    }
    assert_eq!(status(&app, REFS, "192.0.2.2", None).await, 200, "others have limits of their own");
    let text = app.app.metrics.render();
    assert!(text.contains("musehub_rate_limited_total{class=\"read\"} 1"), "{text}");
}

#[tokio::test]
async fn whoever_has_a_network_has_one_limit() {
    let app = limited("read=0.001/3").await;
    for n in 0..3 {
        assert_eq!(status(&app, REFS, &format!("2001:db8:1:2::{n}"), None).await, 200);
    }
    assert_eq!(status(&app, REFS, "2001:db8:1:2:ffff::9", None).await, 429);
    assert_eq!(status(&app, REFS, "2001:db8:1:3::1", None).await, 200);
    // The same address in another form.
    for _ in 0..2 {
        assert_eq!(status(&app, REFS, "192.0.2.1", None).await, 200);
    }
    assert_eq!(status(&app, REFS, "::ffff:192.0.2.1", None).await, 200);
    assert_eq!(status(&app, REFS, "192.0.2.1", None).await, 429);
}

#[tokio::test]
async fn an_identity_has_one_limit_wherever_it_is_and_whatever_its_address_did() {
    let app = limited("read=0.001/3").await;
    let (alice, bob) = (app.token("alice").await, app.token("bob").await);
    for _ in 0..4 {
        status(&app, REFS, "192.0.2.1", None).await;
    }
    assert_eq!(status(&app, REFS, "192.0.2.1", None).await, 429);
    for n in 1..4 {
        assert_eq!(status(&app, REFS, &format!("192.0.2.{n}"), Some(&alice)).await, 200);
    }
    assert_eq!(status(&app, REFS, "192.0.2.9", Some(&alice)).await, 429);
    assert_eq!(status(&app, REFS, "192.0.2.1", Some(&bob)).await, 200);
}

#[tokio::test]
async fn wrong_credentials_have_the_strictest_limit_and_right_ones_do_not_suffer_from_it() {
    let app = limited("read=0.001/1000,failure=0.001/5").await;
    let alice = app.token("alice").await;
    for n in 0..5 {
        assert_eq!(status(&app, REFS, "192.0.2.1", Some(&format!("mh_guess{n}"))).await, 401);
    }
    assert_eq!(status(&app, REFS, "192.0.2.1", Some("mh_guess")).await, 429);
    assert_eq!(status(&app, REFS, "192.0.2.1", Some(&alice)).await, 200);
    assert_eq!(status(&app, REFS, "192.0.2.2", Some("mh_guess")).await, 401);
}

#[tokio::test]
async fn writes_and_reads_are_counted_apart() {
    let app = limited("read=0.001/1000,write=0.001/3").await;
    let bob = app.token("bob").await;
    for expected in [403, 403, 403, 403, 403] {
        // Not allowed, and counted by address: nothing says that an identity pays for what it may not do.
        assert_eq!(
            ask(&app.app, "POST", "/alice/demo/filter-objects", "192.0.2.1", Some(&bob)).await.status,
            expected
        );
    }
    // One of three was to make the repository.
    let alice = app.token("alice").await;
    let create = async || ask(&app.app, "POST", "/api/v1/repos", "192.0.2.1", Some(&alice)).await.status;
    assert_eq!([create().await, create().await, create().await], [400, 400, 429]);
    assert_eq!(status(&app, REFS, "192.0.2.1", Some(&alice)).await, 200);
}

/// What a route costs, by the table.
fn charge(method: &str, path: &str) -> Option<(Class, u32)> {
    let entry = TABLE.iter().find(|entry| entry.method == method && entry.path.ends_with(path));
    entry.unwrap_or_else(|| panic!("no {method} {path}")).charge()
}

#[tokio::test]
async fn a_first_push_of_a_hundred_thousand_objects_at_once_is_let_through_by_every_generation() {
    /// The calls of a push, and how often each is made.
    type Calls = &'static [(&'static str, &'static str, usize)];
    // In chunks of 400.
    let small: Calls = &[
        ("GET", "{slug}/refs", 1),
        ("POST", "/filter-objects", 1),
        ("POST", "{slug}/presign", 1),
        ("POST", "{slug}/push/objects", 100_000 / 400),
        ("POST", "{slug}/push", 1),
    ];
    // Each of them large, with an address of its own.
    let large: Calls = &[
        ("GET", "{slug}/refs", 1),
        ("POST", "/filter-objects", 1),
        ("POST", "{slug}/presign", 1),
        ("PUT", "/push/objects/{id}", 100_000),
        ("POST", "{slug}/push", 1),
    ];
    let json: Calls = &[
        ("GET", "{repo_id}/refs", 1),
        ("POST", "wire/repos/{repo_id}/push/objects", 100_000 / 400),
        ("POST", "wire/repos/{repo_id}/push", 1),
    ];
    let mpack: Calls = &[
        ("GET", "{slug}/refs", 1),
        ("POST", "/push/mpack-presign", 1),
        ("PUT", "/push/mpack/{key}", 1),
        ("POST", "/push/unpack-mpack", 1),
        // Polling for five minutes, twice a second.
        ("GET", "/push/jobs/{id}", 600),
    ];
    // 64 commits in each request of a negotiation over 100,000.
    let pull: Calls =
        &[("GET", "{slug}/refs", 1), ("POST", "/negotiate", 100_000 / 64), ("POST", "{slug}/fetch", 1)];
    let now = Timestamp::from_millis(1_800_000_000_000);
    for calls in [small, large, json, mpack, pull] {
        let limiter = Limiter::over(Rates::default(), Arc::new(MemoryRates::default()));
        for (method, path, times) in calls {
            let Some((class, cost)) = charge(method, path) else { continue };
            for _ in 0..*times {
                let who = Who::Identity(&Handle::parse("alice").unwrap());
                limiter
                    .count(who, class, cost, now)
                    .await
                    .unwrap_or_else(|error| panic!("{path}: {error:?}"));
            }
        }
    }
}

#[test]
fn what_only_reads_is_counted_as_reading_whatever_its_method() {
    for path in [
        "{slug}/fetch",
        "{slug}/fetch/mpack",
        "{slug}/fetch/presign",
        "/filter-objects",
        "/negotiate",
        "{repo_id}/fetch",
        "{repo_id}/pull",
    ] {
        assert!(matches!(charge("POST", path), Some((Class::Read, _))), "{path}: {:?}", charge("POST", path));
    }
    for entry in TABLE.iter().filter(|entry| entry.method == "GET") {
        assert!(!matches!(entry.charge(), Some((Class::Write | Class::Failure, _))), "{}", entry.path);
    }
    for path in ["{slug}/push", "{repo_id}/push", "/push/unpack-mpack", "{slug}/push/objects"] {
        assert!(matches!(charge("POST", path), Some((Class::Write, _))), "{path}");
    }
}

#[tokio::test]
async fn addresses_that_were_given_out_cost_nothing_and_forged_ones_count_as_wrong_credentials() {
    let app = limited("write=0.001/4,failure=0.001/3").await;
    let client = app.mpack_client("alice", "demo", Some("alice")).await;
    let url = client.presign(&mpack_key(b"not sent"), 8).await.unwrap();
    let path = url.split_once("://").unwrap().1.split_once('/').unwrap().1.to_owned();
    for _ in 0..10 {
        let answer = ask(&app.app, "PUT", &format!("/{path}"), "192.0.2.1", None).await;
        assert_eq!(answer.status, 422, "another pack than the address names: {}", answer.text());
    }
    for expected in [403, 403, 403, 429] {
        let answer = ask(&app.app, "PUT", &format!("/{path}0"), "192.0.2.1", None).await;
        assert_eq!(answer.status, expected, "{}", answer.text());
    }
    let answer = ask(&app.app, "PUT", &format!("/{path}"), "192.0.2.1", None).await;
    assert_eq!(answer.status, 422, "who has the address does not suffer from it");
}

#[tokio::test]
async fn a_server_that_was_told_no_limits_has_none() {
    let app = TestApp::new().await;
    app.repository("alice", "demo").await;
    for _ in 0..50 {
        assert_eq!(status(&app, REFS, "192.0.2.1", Some("mh_guess")).await, 401);
    }
}

#[tokio::test]
async fn processes_on_one_database_count_together() {
    let url = postgres::database().await.parse().unwrap();
    let mut processes = Vec::new();
    for _ in 0..2 {
        let (backend, index) = (Backend::memory(), SqlIndex::connect(&url).await.unwrap());
        let config = Config { rates: Some("read=0.001/64".parse().unwrap()), ..Config::default() };
        processes.push(App::over(backend.clone(), RefLog::new(backend), index, config));
    }
    let mut let_through = 0;
    for _ in 0..64 {
        for process in &processes {
            let status = ask(process, "GET", REFS, "192.0.2.1", None).await.status;
            assert!(matches!(status, 404 | 429), "{status}");
            let_through += usize::from(status == 404);
        }
    }
    assert_eq!(let_through, 64, "of 128 requests");
}
