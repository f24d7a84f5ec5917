//! Servers whose index rests in PostgreSQL.

use std::path::Path;
use std::process::Command;

use musehub_test_services::postgres;
use musehub_test_support::History;

use crate::http::client;
use crate::process::{Ran, Server, musehub};
use crate::push::assert_same;

const PASSWORD: &str = "correct-horse-battery";

/// A command over a database, which the environment names, with a data directory for the objects.
fn over(url: &str, data: &Path, arguments: &[&str]) -> Command {
    let mut command = musehub(arguments);
    command.env("MUSEHUB_DATABASE", url).env("RUST_LOG", "trace").arg("--data").arg(data);
    command
}

#[tokio::test]
async fn two_servers_on_one_database_serve_the_same_and_log_no_password() {
    let own = postgres::database().await;
    let role = format!("hub_{}", std::process::id());
    postgres::execute(&own, &format!("CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'")).await;
    postgres::execute(&own, &format!("GRANT CREATE ON SCHEMA public TO {role}")).await;
    let url = own.replace("musehub@", &format!("{role}:{PASSWORD}@"));
    let data = tempfile::tempdir().unwrap();

    let made = Ran::of(&mut over(&url, data.path(), &["repo", "create", "alice/tunes"])).expect(0);
    let token = Ran::of(&mut over(&url, data.path(), &["token", "create", "alice"])).expect(0);
    let secret = token.out.lines().last().unwrap();
    let servers = [(); 2].map(|()| Server::serve(&mut over(&url, data.path(), &["serve"])));
    let mut source = History::new();
    for number in 0..6 {
        let _ = source.commit_file("main", &format!("change {number}"), "song.txt");
        let server = &servers[number % 2];
        let _ = client(server, "alice", "tunes", Some(secret)).push(&source, "main", false).await.unwrap();
    }
    for server in &servers {
        assert_same(&client(server, "alice", "tunes", None).clone_repository().await.unwrap(), &source);
    }
    let checked = Ran::of(&mut over(&url, data.path(), &["schema", "check"])).expect(0);

    assert!(!data.path().join("musehub.db").exists(), "the index is on this machine");
    let logs = servers.map(|server| server.process.printed());
    assert!(logs.iter().all(|log| log.contains(&format!("postgres://{role}@"))), "{logs:?}");
    for printed in logs.iter().chain([&made.out, &made.err, &token.err, &checked.out, &checked.err]) {
        assert!(!printed.contains(PASSWORD), "{printed}");
    }
    postgres::execute(&own, &format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

#[test]
fn a_database_that_cannot_be_opened_is_named_without_its_password() {
    let data = tempfile::tempdir().unwrap();
    let socket = data.path().display();
    let urls = [
        format!("postgres://alice:{PASSWORD}@localhost/hub?host={socket}"),
        format!("postgres://alice:{PASSWORD}@localhost/hub?pass={PASSWORD}"),
        format!("mysql://alice:{PASSWORD}@localhost/hub"),
    ];
    for url in &urls {
        for mut command in
            [over(url, data.path(), &["serve"]), over("", data.path(), &["serve", "--database", url])]
        {
            let ran = Ran::of(&mut command).expect(2);
            assert!(!ran.err.contains(PASSWORD) && !ran.out.contains(PASSWORD), "{ran:?}");
            assert!(ran.err.contains("database") || ran.err.contains("postgres://alice@"), "{ran:?}");
        }
    }
    let help = Ran::of(&mut over(&urls[0], data.path(), &["serve", "--help"])).expect(0);
    assert!(help.out.contains("MUSEHUB_DATABASE") && !help.out.contains(PASSWORD), "{help:?}");
}
