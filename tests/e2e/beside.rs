//! Several processes on one data directory: two servers, and the command line beside them.

use std::sync::Arc;

use musehub_test_support::{History, MuseClient};

use crate::http::{client, get};
use crate::process::{Server, create_token, run};
use crate::push::{assert_same, repository};

#[tokio::test]
async fn what_one_server_acknowledged_the_other_shows_at_once() {
    let (data, token) = repository();
    let servers = [Server::start(data.path()), Server::start(data.path())];
    let mut source = History::new();
    for number in 0..20 {
        let _ = source.commit_file("main", &format!("change {number}"), "song.txt");
        let (to, other) = (&servers[number % 2], &servers[(number + 1) % 2]);
        let _ = client(to, "alice", "tunes", Some(&token)).push(&source, "main", false).await.unwrap();
        let seen = client(other, "alice", "tunes", None).clone_repository().await.unwrap();
        assert_same(&seen, &source);
        let page = get(other, "/alice/tunes/commits/main", None).await.expect(200).text();
        assert!(page.contains(&format!("change {number}")), "the page of commits is behind");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_pushes_that_race_for_a_branch_one_wins_whichever_server_they_go_to() {
    const ROUNDS: usize = 30;
    let (data, token) = repository();
    let servers = [Server::start(data.path()), Server::start(data.path())];
    let mut base = History::new();
    let _ = base.commit_file("main", "root", "song.txt");
    let _ = client(&servers[0], "alice", "tunes", Some(&token)).push(&base, "main", false).await.unwrap();
    let mut won = [0, 0];
    for round in 0..ROUNDS {
        let mut racers = Vec::new();
        for (name, server) in ["left", "right"].into_iter().zip(&servers) {
            let mut history = base.clone();
            let _ = history.commit_file("main", &format!("{name} {round}"), "song.txt");
            let bundle = history.bundle(history.head("main"), &[base.head("main").to_owned()].into());
            let remote = client(server, "alice", "tunes", Some(&token));
            // What takes long is done before, so that the pushes themselves meet.
            let _ = remote.upload(&bundle).await.unwrap();
            racers.push((history, bundle, remote));
        }
        let racing = racers.iter().map(|(_, bundle, remote)| {
            let (bundle, remote) = (bundle.clone(), remote.clone());
            tokio::spawn(async move { remote.push_bundle(&bundle, "main", false).await })
        });
        let racing: Vec<_> = racing.collect();
        let mut statuses = Vec::new();
        for push in racing {
            statuses.push(push.await.unwrap().map_or_else(|error| error.status, |_| 200));
        }
        let winner = match statuses[..] {
            [200, 409] => 0,
            [409, 200] => 1,
            _ => panic!(
                "round {round}: {statuses:?}\n{}\n{}",
                servers[0].process.printed(),
                servers[1].process.printed()
            ),
        };
        won[winner] += 1;
        base = racers.swap_remove(winner).0;
        for server in &servers {
            let heads = client(server, "alice", "tunes", None).refs().await.unwrap().branch_heads;
            assert_eq!(heads, base.branches, "round {round}");
        }
    }
    println!("wins by server: {won:?}");
    let clone = client(&servers[1], "alice", "tunes", None).clone_repository().await.unwrap();
    assert_same(&clone, &base);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pushes_to_different_branches_all_succeed_while_the_command_line_writes() {
    const PUSHES: usize = 10;
    let (data, token) = repository();
    let servers = [Server::start(data.path()), Server::start(data.path())];
    let mut root = History::new();
    let first = root.commit_file("main", "root", "song.txt");
    let _ = client(&servers[0], "alice", "tunes", Some(&token)).push(&root, "main", false).await.unwrap();
    let root = Arc::new(root);

    let mut pushers = Vec::new();
    for (number, server) in servers.iter().chain(&servers).enumerate() {
        let remote = client(server, "alice", "tunes", Some(&token));
        pushers.push(tokio::spawn(push_branch(
            remote,
            root.clone(),
            format!("branch-{number}"),
            first.clone(),
            PUSHES,
        )));
    }
    let directory = data.path().to_owned();
    let commands = tokio::task::spawn_blocking(move || {
        for number in 0..5 {
            let _ = run(&directory, &["repo", "create", &format!("alice/other-{number}")]).expect(0);
            let _ = create_token(&directory, &format!("bob-{number}"));
        }
    });
    let mut expected = root.branches.clone();
    for pusher in pushers {
        let (branch, head) = pusher.await.unwrap();
        expected.insert(branch, head);
    }
    commands.await.unwrap();
    for server in &servers {
        let clone = client(server, "alice", "tunes", None).clone_repository().await.unwrap();
        assert_eq!(clone.branches, expected);
        assert_eq!(clone.commits.len(), 1 + 4 * PUSHES);
        let _ = get(server, "/alice/other-4/refs", None).await.expect(200);
    }
}

/// Pushes commits one by one to a branch of its own; gives the branch and its head.
async fn push_branch(
    mut remote: MuseClient,
    root: Arc<History>,
    branch: String,
    from: String,
    pushes: usize,
) -> (String, String) {
    let mut history = History::clone(&root);
    history.branch(&branch, &from);
    for number in 0..pushes {
        let _ = history.commit_file(&branch, &format!("{branch} {number}"), &format!("{branch}.txt"));
        remote
            .push(&history, &branch, false)
            .await
            .unwrap_or_else(|error| panic!("{branch} {number}: {error}"));
    }
    let head = history.head(&branch).to_owned();
    (branch, head)
}
