//! The command line: help, repositories, tokens, and the server's own behaviour as a process.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;

use musehub_test_services::Engine;
use musehub_test_support::History;
use musehub_test_support::signing::Signer;

use crate::http::{client, get};
use crate::process::{Process, Ran, Server, create_token, musehub, over, run};

#[test]
fn every_command_explains_itself() {
    let commands: &[(&[&str], &[&str])] = &[
        (&[], &["serve", "demo", "repo", "token", "schema", "breakage"]),
        (&["schema"], &["check"]),
        (&["schema", "check"], &["--data", "3"]),
        (&["serve"], &["--data", "--listen", "127.0.0.1:1337"]),
        (&["demo"], &["--data", "--listen", "127.0.0.1:1337"]),
        (&["repo"], &["create"]),
        (&["repo", "create"], &["OWNER/SLUG", "--private", "--data"]),
        (&["repo", "collaborator"], &["add", "remove", "list"]),
        (&["repo", "collaborator", "add"], &["OWNER/SLUG", "HANDLE", "--role", "--data"]),
        (&["token"], &["create", "list", "revoke"]),
        (&["token", "create"], &["HANDLE", "--scope", "--expires", "--data"]),
        (&["token", "list"], &["HANDLE", "--data"]),
        (&["token", "revoke"], &["HANDLE", "TOKEN_ID", "--data"]),
        (&["key"], &["add", "list", "revoke"]),
        (&["key", "add"], &["HANDLE", "PUBLIC_KEY", "--data"]),
        (&["key", "list"], &["HANDLE", "--data"]),
        (&["key", "revoke"], &["HANDLE", "KEY_ID", "--data"]),
        (&["verify"], &["--repo", "--objects", "--json", "--data"]),
        (&["rebuild-index"], &["--discard-old", "--replace", "--progress", "--data"]),
        (&["export"], &["OWNER/SLUG", "FILE", "--data"]),
        (&["import"], &["FILE", "--as", "--data"]),
        (&["backup"], &["FILE", "--data"]),
        (&["restore"], &["FILE", "--replace", "--data"]),
        (&["openapi"], &["OpenAPI 3.1", "/api/v1/openapi.json"]),
        (
            &["breakage"],
            &["DIR", "OWNER/SLUG[@REF]", "--json", "--sarif", "--github", "--policy", "Exit status"],
        ),
    ];
    for (command, named) in commands {
        let ran = Ran::of(musehub(command).arg("--help")).expect(0);
        assert!(ran.out.contains("Usage: musehub-server"), "{command:?}: {}", ran.out);
        for option in *named {
            assert!(ran.out.contains(option), "{command:?} does not name {option}: {}", ran.out);
        }
    }
    let version = Ran::of(musehub(&["--version"]).env("NO_COLOR", "1")).expect(0);
    assert_eq!(version.out.trim(), format!("musehub-server {}", env!("CARGO_PKG_VERSION")));
}

#[test]
fn a_command_that_is_none_is_refused_with_status_2() {
    for command in [&[][..], &["sing"], &["serve", "--loud"], &["repo"], &["token", "create"], &["breakage"]]
    {
        let ran = Ran::of(&mut musehub(command)).expect(2);
        assert!(ran.err.contains("Usage: musehub-server"), "{command:?}: {}", ran.err);
    }
}

#[test]
fn a_repository_is_made_once_and_the_data_directory_with_it() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("not/yet/there");
    let made = run(&data, &["repo", "create", "alice/tunes"]).expect(0);
    assert!(made.out.contains("alice/tunes"), "{made:?}");
    assert_eq!(data.join("musehub.db").is_file(), Engine::chosen() == Engine::Sqlite);
    assert!(data.join("store").is_dir());

    let again = run(&data, &["repo", "create", "alice/tunes"]).expect(2);
    assert_eq!(again.err.trim(), "error: alice/tunes exists already");
    assert_eq!(again.out, "");
    let _ = run(&data, &["repo", "create", "alice/tunes", "--private"]).expect(2);
    let _ = run(&data, &["repo", "create", "bob/tunes"]).expect(0);
}

#[test]
fn data_is_kept_in_musehub_data_where_no_directory_is_given() {
    let parent = tempfile::tempdir().unwrap();
    let _ = Ran::of(musehub(&["repo", "create", "alice/tunes"]).current_dir(parent.path())).expect(0);
    assert!(parent.path().join("musehub-data/musehub.db").is_file());
}

#[test]
fn a_malformed_name_is_refused_with_a_sentence_and_makes_nothing() {
    let parent = tempfile::tempdir().unwrap();
    let data = parent.path().join("data");
    let long = format!("alice/{}", "x".repeat(65));
    let names = [
        "alice",
        "alice/",
        "/tunes",
        "../tunes",
        "alice/..",
        "alice/a/b",
        "alice/.muse",
        "a b/c",
        "api/tunes",
    ];
    for name in names.into_iter().chain([long.as_str()]) {
        let ran = run(&data, &["repo", "create", name]).expect(2);
        assert!(ran.err.starts_with("error: ") && ran.err.contains("OWNER/SLUG"), "{name}: {}", ran.err);
    }
    let ran = run(&data, &["token", "create", "al/ice"]).expect(2);
    assert!(ran.err.contains("'al/ice' is no name"), "{}", ran.err);
    assert!(!data.exists());
}

#[tokio::test]
async fn a_token_made_beside_a_running_server_is_valid_at_once_and_no_other_is() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let _ = run(data.path(), &["repo", "create", "alice/tunes"]).expect(0);
    let ran = run(data.path(), &["token", "create", "alice"]).expect(0);
    let token = ran.out.lines().last().unwrap().to_owned();
    assert!(token.len() >= 40 && token.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'), "{ran:?}");
    let second = create_token(data.path(), "alice");
    assert_ne!(token, second);

    let mut history = History::new();
    let head = history.commit_file("main", "first", "song.txt");
    for (branch, token) in [("main", &token), ("copy", &second)] {
        history.branch(branch, &head);
        client(&server, "alice", "tunes", Some(token)).push(&history, branch, false).await.unwrap();
    }
    let _ = get(&server, "/alice/tunes/refs", Some(&token)).await.expect(200);
    for unknown in ["mh_0000", "", &token[..token.len() - 1], &format!("{token}0")] {
        let refused = get(&server, "/alice/tunes/refs", Some(unknown)).await.expect(401);
        assert!(!refused.detail().is_empty());
    }
    assert_absent(data.path(), &token);
}

#[tokio::test]
async fn tokens_end_and_are_revoked_beside_a_running_server() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/diary", "--private"]).expect(0);
    let server = Server::start(data.path());
    let made =
        run(data.path(), &["token", "create", "alice", "--scope", "read", "--expires", "2h"]).expect(0);
    let token = made.out.lines().last().unwrap().to_owned();
    let _ = get(&server, "/alice/diary/refs", Some(&token)).await.expect(200);
    let listed = run(data.path(), &["token", "list", "alice"]).expect(0);
    let line = listed.out.lines().next().unwrap().to_owned();
    assert!(line.contains("read") && line.contains("until"), "{listed:?}");
    assert!(!listed.out.contains(&token), "{listed:?}");
    let id = line.split_whitespace().next().unwrap();
    let _ = run(data.path(), &["token", "revoke", "bob", id]).expect(2);
    let _ = run(data.path(), &["token", "revoke", "alice", id]).expect(0);
    let _ = get(&server, "/alice/diary/refs", Some(&token)).await.expect(401);
    let _ = run(data.path(), &["token", "revoke", "alice", id]).expect(2);
    assert!(run(data.path(), &["token", "list", "alice"]).expect(0).out.contains("revoked"));
    for age in ["0d", "90", "d", "-1h", "1y", "99999999999d"] {
        let _ = run(data.path(), &["token", "create", "alice", &format!("--expires={age}")]).expect(2);
    }
    let _ = run(data.path(), &["token", "create", "alice", "--scope", "root"]).expect(2);
}

#[tokio::test]
async fn collaborators_and_keys_are_told_to_a_running_server() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/diary", "--private"]).expect(0);
    let server = Server::start(data.path());
    let bob = create_token(data.path(), "bob");
    let sees = async || get(&server, "/alice/diary/refs", Some(&bob)).await.status;
    assert_eq!(sees().await, 404);
    let add =
        |who: &str| run(data.path(), &["repo", "collaborator", "add", "alice/diary", who, "--role", "read"]);
    let _ = add("bob").expect(0);
    assert_eq!(sees().await, 200);
    let listed = run(data.path(), &["repo", "collaborator", "list", "alice/diary"]).expect(0);
    assert!(listed.out.starts_with("bob  read  by alice"), "{listed:?}");
    let _ = run(data.path(), &["repo", "collaborator", "remove", "alice/diary", "bob"]).expect(0);
    assert_eq!(sees().await, 404);
    for who in ["ghost", "alice"] {
        let _ = add(who).expect(2);
    }

    let signer = Signer::new("alice", 1);
    let (key, id) = (signer.public().to_string(), signer.public().id().to_string());
    let _ = run(data.path(), &["key", "add", "alice", &key]).expect(0);
    let _ = run(data.path(), &["key", "add", "bob", &key]).expect(2);
    let _ = run(data.path(), &["key", "add", "bob", "AAAA"]).expect(2);
    assert!(run(data.path(), &["key", "list", "alice"]).expect(0).out.contains("in force"));
    let _ = run(data.path(), &["key", "revoke", "bob", &id]).expect(2);
    let _ = run(data.path(), &["key", "revoke", "alice", &id]).expect(0);
    assert!(run(data.path(), &["key", "list", "alice"]).expect(0).out.contains("retired"));
}

/// Checks that no file below a directory holds a text.
fn assert_absent(directory: &Path, text: &str) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            assert_absent(&path, text);
        } else if let Ok(content) = std::fs::read(&path) {
            let held = content.windows(text.len()).any(|window| window == text.as_bytes());
            assert!(!held, "{} holds the token", path.display());
        }
    }
}

#[tokio::test]
async fn a_private_repository_is_there_for_its_owner_only() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/diary", "--private"]).expect(0);
    let (alice, bob) = (create_token(data.path(), "alice"), create_token(data.path(), "bob"));
    let server = Server::start(data.path());
    for path in ["refs", "intel", "intel/breakage"] {
        let path = format!("/alice/diary/{path}");
        let _ = get(&server, &path, Some(&alice)).await.expect(200);
        for token in [None, Some(bob.as_str())] {
            let hidden = get(&server, &path, token).await.expect(404);
            let absent = get(&server, &path.replace("diary", "dairy"), token).await.expect(404);
            assert_eq!(hidden.text(), absent.text(), "{path}");
        }
    }
}

#[test]
fn serve_on_a_taken_port_fails_and_says_so() {
    let data = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in ["serve", "demo"] {
        let ran = run(data.path(), &[command, "--listen", &address]).expect(2);
        let message = format!("error: cannot listen on {address}: ");
        assert!(ran.err.lines().any(|line| line.starts_with(&message)), "{}", ran.err);
    }
}

#[test]
fn serve_on_a_data_directory_that_cannot_be_one_fails_and_names_it() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("a-file");
    std::fs::write(&file, "").unwrap();
    let ran = run(&file, &["serve", "--listen", "127.0.0.1:0"]).expect(2);
    assert!(ran.err.starts_with("error: ") && ran.err.contains("a-file"), "{}", ran.err);
}

#[tokio::test]
async fn every_request_is_one_line_of_the_log() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let _ = get(&server, "/health", None).await.expect(200);
    let _ = get(&server, "/nobody/nothing", None).await.expect(404);
    for (path, status) in [("/health", 200), ("/nobody/nothing", 404)] {
        let line = server.process.wait_for(path, |line| line.contains(path).then(|| line.to_owned()));
        for part in ["method=GET", &format!("status={status}"), "ms="] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
    let lines = server.process.printed().lines().filter(|line| line.contains("/health")).count();
    assert_eq!(lines, 1);
}

#[test]
fn a_request_in_progress_is_answered_before_the_server_stops() {
    let data = tempfile::tempdir().unwrap();
    let _ = run(data.path(), &["repo", "create", "alice/tunes"]).expect(0);
    let token = create_token(data.path(), "alice");
    let server = Server::start(data.path());
    let body = br#"{"object_ids": []}"#;
    let head = format!(
        "POST /alice/tunes/filter-objects HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nAccept: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\n\r\n",
        body.len()
    );
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.write_all(head.as_bytes()).unwrap();
    // Sent when the body is asked for: the request is in progress.
    let mut go_on = [0; 25];
    connection.read_exact(&mut go_on).unwrap();
    assert_eq!(&go_on, b"HTTP/1.1 100 Continue\r\n\r\n");

    server.process.signal("TERM");
    server.process.wait_for("stop", |line| line.contains("stopping").then_some(()));
    connection.write_all(body).unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    assert!(answer.ends_with(r#"{"missing":[]}"#), "{answer}");
    let (status, printed) = server.process.wait();
    assert!(status.success(), "{status}: {printed}");
}

#[test]
fn an_idle_connection_does_not_keep_the_server_from_stopping() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let mut connection = TcpStream::connect(server.address).unwrap();
    connection.write_all(b"GET /health HTTP/1.1\r\nHost: hub\r\n\r\n").unwrap();
    let mut first = [0; 15];
    connection.read_exact(&mut first).unwrap();
    assert_eq!(&first, b"HTTP/1.1 200 OK");
    let asked = std::time::Instant::now();
    server.process.signal("TERM");
    let (status, printed) = server.process.wait();
    assert!(status.success(), "{status}: {printed}");
    assert!(asked.elapsed() < std::time::Duration::from_secs(10), "it waited for the idle connection");
}

#[test]
fn a_signal_right_after_the_address_is_known_ends_the_server_with_status_0() {
    let data = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        let server = Server::start(data.path());
        server.process.signal("TERM");
        let (status, printed) = server.process.wait();
        assert!(status.success(), "{status}: {printed}");
    }
}

#[test]
fn logs_can_be_turned_off() {
    let data = tempfile::tempdir().unwrap();
    let mut command = over(data.path(), &["demo", "--listen", "127.0.0.1:0"]);
    let demo = Process::start(command.env("RUST_LOG", "off")).unwrap();
    demo.wait_for("guide", |line| line.contains("Stop with Ctrl-C").then_some(()));
    assert!(!demo.printed().contains("INFO"), "{}", demo.printed());
}
