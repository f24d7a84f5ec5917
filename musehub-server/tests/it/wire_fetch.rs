//! What a client gets: refs, negotiation, history.

use std::collections::{BTreeMap, BTreeSet};

use musehub_server::Limits;
use musehub_test_support::client::{read_bundle, read_refs};
use musehub_test_support::history::{NewCommit, noise, write};
use musehub_test_support::record::{get, in_order, list, map, text, text_list, texts};
use musehub_test_support::{History, MuseClient, TestApp, Value};
use serde_json::json;

async fn pushed(history: &History) -> (TestApp, MuseClient) {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    for branch in history.branches.keys() {
        client.push(history, branch, false).await.unwrap();
    }
    (app, client)
}

/// Six commits on `main`, two on `side`, which left it after the second.
fn two_branches() -> History {
    let mut history = History::new();
    for at in 0..2 {
        history.commit_file("main", &format!("m{at}"), &format!("m{at}"));
    }
    history.fork("side", "main");
    for at in 2..6 {
        history.commit_file("main", &format!("m{at}"), &format!("m{at}"));
    }
    for at in 0..2 {
        history.commit_file("side", &format!("s{at}"), &format!("s{at}"));
    }
    history
}

/// Commits from the head of a branch back to its root.
fn line(history: &History, branch: &str) -> Vec<String> {
    history.walk(history.head(branch), &BTreeSet::new())
}

fn ids(records: &[Value], key: &str) -> Vec<String> {
    records.iter().map(|record| text(record, key).to_owned()).collect()
}

#[tokio::test]
async fn an_incremental_fetch_brings_what_is_new_and_nothing_else() {
    let mut history = two_branches();
    let (_app, mut client) = pushed(&history).await;
    let mut local = client.clone_repository().await.unwrap();
    assert_eq!(client.clone().fetch(&mut local, "main").await.unwrap(), 0);
    let new = history.commit_file("main", "new", "new.txt");
    let again = history.commit_file("main", "newer", "m0");
    client.push(&history, "main", false).await.unwrap();

    let have: Vec<String> = local.commits.keys().cloned().collect();
    let bundle = client.fetch_bundle(std::slice::from_ref(&again), &have).await.unwrap();
    assert_eq!(ids(&bundle.commits, "commit_id"), [new, again], "parents come first");
    assert_eq!((bundle.snapshots.len(), bundle.objects.len()), (2, 2));
    client.tracking.clear();
    assert_eq!(client.fetch(&mut local, "main").await.unwrap(), 2);
    assert_eq!(local.tree(history.head("main")), history.tree(history.head("main")));
}

#[tokio::test]
async fn a_have_stands_for_its_whole_history() {
    let history = two_branches();
    let (_app, client) = pushed(&history).await;
    let main = line(&history, "main");
    let want = [main[0].clone()];
    for (at, have) in main.iter().enumerate() {
        let bundle = client.fetch_bundle(&want, std::slice::from_ref(have)).await.unwrap();
        assert_eq!(bundle.commits.len(), at, "have {at} back");
    }
    // The tip of the other branch: both have what lies below the fork.
    let bundle = client.fetch_bundle(&want, &[history.head("side").to_owned()]).await.unwrap();
    assert_eq!(bundle.commits.len(), 4);
    assert_eq!(bundle.objects.len(), 4, "files from below the fork are not sent again");
}

#[tokio::test]
async fn ids_that_the_repository_does_not_hold_are_ignored() {
    let history = two_branches();
    let (_app, client) = pushed(&history).await;
    let unknown: Vec<String> = (0..3).map(|at| format!("{at:064}")).collect();
    let none = client.fetch_bundle(&unknown, &[]).await.unwrap();
    assert!(none.commits.is_empty() && none.snapshots.is_empty() && none.objects.is_empty());
    let want = [unknown[0].clone(), history.head("side").to_owned()];
    let some = client.fetch_bundle(&want, &unknown).await.unwrap();
    assert_eq!(some.commits.len(), 4);
    // Ids of snapshots and objects are no commits.
    let record = history.record(history.head("side"));
    let none = client.fetch_bundle(&[text(record, "snapshot_id").to_owned()], &[]).await.unwrap();
    assert!(none.commits.is_empty());
}

#[tokio::test]
async fn an_answer_to_a_fetch_says_the_heads_and_has_the_shape_that_the_client_reads() {
    let history = two_branches();
    let (app, _) = pushed(&history).await;
    let heads: Vec<&String> = history.branches.values().collect();
    let body = map([("want", texts(heads)), ("have", texts::<&str>([]))]);
    let answer = app.post("/alice/demo/fetch").msgpack(&body).send().await.expect(200);
    assert_eq!(answer.header("content-type"), "application/x-msgpack");
    assert_eq!(answer.header("content-length"), answer.body.len().to_string());
    let value = answer.msgpack();
    let keys: BTreeSet<&str> = value.as_map().unwrap().iter().filter_map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, BTreeSet::from(["commits", "snapshots", "objects", "branch_heads"]));
    assert_eq!(text(get(&value, "branch_heads"), "main"), history.head("main"));
    for object in list(&value, "objects") {
        assert!(get(object, "content").is_bin() && get(object, "path").is_str());
    }
    let mut seen = BTreeSet::new();
    for commit in list(&value, "commits") {
        assert!(history.commits[text(commit, "commit_id")].as_map().unwrap().len() >= 22);
        for parent in musehub_test_support::history::parents(commit) {
            assert!(seen.contains(&parent), "parents come first");
        }
        assert!(seen.insert(text(commit, "commit_id").to_owned()), "each comes once");
    }
}

#[tokio::test]
async fn a_fetch_as_json_has_contents_in_base64() {
    let history = two_branches();
    let (app, _) = pushed(&history).await;
    let body = json!({"want": [history.head("main")], "have": []});
    for accept in ["application/json", "*/*", ""] {
        let call = app.post("/alice/demo/fetch").json(&body).header("accept", accept);
        let answer = call.send().await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        let value = answer.json();
        assert_eq!(value["commits"].as_array().unwrap().len(), 6);
        assert_eq!(value["branch_heads"]["side"], history.head("side"));
        let contents: BTreeSet<&str> =
            value["objects"].as_array().unwrap().iter().filter_map(|o| o["content"].as_str()).collect();
        // "m0 of m0\n"
        assert!(contents.contains("bTAgb2YgbTAK"), "{contents:?}");
    }
    // The request's format and the answer's are apart.
    let answer = app.post("/alice/demo/fetch").json(&body).accept_msgpack().send().await.expect(200);
    assert_eq!(read_bundle(&answer.msgpack()).commits.len(), 6);
}

#[tokio::test]
async fn refs_are_msgpack_or_json_as_the_client_accepts() {
    let history = two_branches();
    let (app, client) = pushed(&history).await;
    let answer = app.get("/alice/demo/refs").accept_msgpack().send().await.expect(200);
    assert_eq!(answer.header("content-type"), "application/x-msgpack");
    let refs = read_refs(&answer.msgpack());
    assert_eq!(refs, client.refs().await.unwrap());
    assert_eq!(refs.branch_heads, history.branches);
    let answer = app.get("/alice/demo/refs").header("accept", "application/json").send().await.expect(200);
    assert_eq!(answer.json()["branch_heads"]["main"], history.head("main"));
    let answer = app.get("/alice/demo/refs/").send().await.expect(200);
    assert_eq!(answer.json()["domain"], "code");
}

#[tokio::test]
async fn an_answer_over_the_limit_is_413_before_anything_is_sent() {
    let mut history = History::new();
    history.commit("main", "large", |tree| write(tree, "large", noise(1, 300_000)));
    let limits = |fetch| Limits { fetch, ..Limits::default() };
    let body = map([("want", texts([history.head("main")])), ("have", texts::<&str>([]))]);
    let mut length = 0;
    for (limit, status) in [(1 << 30, 200), (200_000, 413), (1000, 413), (0, 413)] {
        let app = TestApp::with_limits(limits(limit)).await;
        let mut client = app.repository("alice", "demo").await;
        client.push(&history, "main", false).await.unwrap();
        let answer = app.post("/alice/demo/fetch").msgpack(&body).send().await.expect(status);
        if status == 413 {
            assert!(answer.detail().contains("bytes"), "{}", answer.text());
            assert_eq!(answer.json()["code"], "too_large");
            let json = json!({"want": [history.head("main")]});
            let _ = app.post("/alice/demo/fetch").json(&json).send().await.expect(413);
            let same = json!({"want": [history.head("main")], "have": [history.head("main")]});
            let _ = app.post("/alice/demo/fetch").json(&same).send().await.expect(200);
        } else {
            length = answer.body.len() as u64;
        }
    }
    for (limit, status) in [(length, 200), (length - 1, 413)] {
        let app = TestApp::with_limits(limits(limit)).await;
        let mut client = app.repository("alice", "demo").await;
        client.push(&history, "main", false).await.unwrap();
        let _ = app.post("/alice/demo/fetch").msgpack(&body).send().await.expect(status);
    }
}

#[tokio::test]
async fn negotiation_ends_when_more_haves_would_change_nothing() {
    let history = two_branches();
    let (_app, client) = pushed(&history).await;
    let main = line(&history, "main");
    let side = line(&history, "side");
    let unknown = "f".repeat(64);
    let fork = main[4].clone();
    assert!(side.contains(&fork));
    struct Case<'a> {
        want: &'a str,
        have: Vec<String>,
        ack: usize,
        base: Option<&'a str>,
        ready: bool,
    }
    let cases = [
        Case { want: &main[0], have: vec![], ack: 0, base: None, ready: true },
        Case { want: &main[0], have: vec![unknown.clone()], ack: 0, base: None, ready: false },
        Case { want: &main[0], have: vec![main[0].clone()], ack: 1, base: Some(&main[0]), ready: true },
        Case { want: &main[2], have: vec![main[0].clone()], ack: 1, base: Some(&main[2]), ready: true },
        Case { want: &main[0], have: vec![main[3].clone()], ack: 1, base: Some(&main[3]), ready: true },
        Case { want: &main[0], have: main[2..].to_vec(), ack: 4, base: Some(&main[2]), ready: true },
        Case { want: &main[0], have: vec![side[0].clone()], ack: 1, base: Some(&fork), ready: true },
        Case {
            want: &main[0],
            have: vec![unknown.clone(), main[5].clone()],
            ack: 1,
            base: Some(&main[5]),
            ready: true,
        },
    ];
    for case in cases {
        let answer = client.negotiate(&[case.want.to_owned()], &case.have).await.unwrap();
        assert_eq!(text_list(&answer, "ack").len(), case.ack, "{:?}", case.have);
        assert_eq!(get(&answer, "common_base").as_str(), case.base, "{:?}", case.have);
        assert_eq!(get(&answer, "ready").as_bool(), Some(case.ready), "{:?}", case.have);
    }
}

#[tokio::test]
async fn acknowledged_haves_are_given_in_their_order() {
    let history = two_branches();
    let (_app, client) = pushed(&history).await;
    let main = line(&history, "main");
    let unknown = "f".repeat(64);
    let have = [main[3].clone(), unknown, main[1].clone(), main[5].clone()];
    let answer = client.negotiate(&main[..1], &have).await.unwrap();
    assert_eq!(text_list(&answer, "ack"), [main[3].clone(), main[1].clone(), main[5].clone()]);
}

#[tokio::test]
async fn a_pull_with_hundreds_of_local_commits_gets_what_it_lacks() {
    let mut history = History::new();
    for at in 0..300 {
        history.commit_file("main", &at.to_string(), "f");
    }
    let (_app, mut client) = pushed(&history).await;
    let mut local = client.clone_repository().await.unwrap();
    // Work of its own, which the hub knows nothing of.
    for at in 0..200 {
        local.commit_file("main", &format!("mine {at}"), "g");
    }
    history.commit_file("main", "theirs", "h");
    client.push(&history, "main", false).await.unwrap();
    let came = client.pull(&mut local, "main").await.unwrap();
    assert!(came >= 1, "{came}");
    assert_eq!(local.tree(history.head("main")), history.tree(history.head("main")));
}

#[tokio::test]
async fn lists_of_ids_have_no_bound_of_their_own() {
    let history = two_branches();
    let (_app, client) = pushed(&history).await;
    let made_up = |count: u64| (0..count).map(|at| format!("{:064x}", at + (1 << 40)));
    let mut have: Vec<String> = made_up(50_000).collect();
    have.insert(31_337, line(&history, "main")[3].clone());
    let want: Vec<String> = made_up(2_000).chain([history.head("main").to_owned()]).collect();
    assert_eq!(client.fetch_bundle(&want, &have).await.unwrap().commits.len(), 3);
    let answer = client.negotiate(&want, &have).await.unwrap();
    assert_eq!(text_list(&answer, "ack").len(), 1);

    let mut objects: Vec<String> = made_up(100_000).collect();
    let held = history.objects.keys().next().unwrap().clone();
    objects.insert(70_000, held.clone());
    let missing = client.filter_objects(&objects).await.unwrap();
    objects.retain(|id| *id != held);
    assert_eq!(missing, objects, "in the order given");
}

#[tokio::test]
async fn more_than_a_thousand_branches_are_cloned() {
    let mut history = History::new();
    history.commit_file("main", "root", "f");
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    client.push(&history, "main", false).await.unwrap();
    let root = history.head("main").to_owned();
    for at in 0..1050 {
        let name = format!("b/{at}");
        history.branch(&name, &root);
        client.push_bundle(&history.whole("main"), &name, false).await.unwrap();
    }
    let clone = client.clone_repository().await.unwrap();
    assert_eq!(clone.branches, history.branches);
}

#[tokio::test]
async fn a_have_of_another_repository_is_not_known_here() {
    let history = two_branches();
    let app = TestApp::new().await;
    let mut one = app.repository("alice", "one").await;
    one.push(&history, "main", false).await.unwrap();
    let mut other = app.repository("alice", "other").await;
    let mut elsewhere = History::new();
    elsewhere.commit_file("main", "elsewhere", "e");
    other.push(&elsewhere, "main", false).await.unwrap();
    let answer = other.negotiate(&line(&elsewhere, "main"), &line(&history, "main")).await.unwrap();
    assert!(text_list(&answer, "ack").is_empty());
    assert!(other.fetch_bundle(&line(&history, "main"), &[]).await.unwrap().commits.is_empty());
}

/// Histories with merges, reverts and unrelated roots: whatever a client has, a fetch completes it.
#[tokio::test]
async fn a_fetch_completes_any_local_history() {
    for seed in 1..=12_u64 {
        let random = noise(seed, 4096);
        let mut dice = random.iter().map(|byte| usize::from(*byte));
        let mut roll = move |sides: usize| dice.next().unwrap() % sides;
        let mut history = History::new();
        let mut made: Vec<String> = Vec::new();
        for at in 0..40 {
            let committed_at = format!("2026-05-01T00:{at:02}:00+00:00");
            let parents: Vec<String> = match roll(8) {
                0 => vec![],
                1..=5 => made.last().cloned().into_iter().collect(),
                _ if made.len() < 2 => vec![],
                _ => [roll(made.len()), roll(made.len())].map(|at| made[at].clone()).to_vec(),
            };
            let parents: Vec<String> = parents.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
            // Few paths and contents, so that trees and files come back.
            let mut tree = parents.first().map(|parent| history.tree(parent)).unwrap_or_default();
            write(&mut tree, &format!("p{}", roll(4)), format!("{}", roll(3)));
            made.push(history.add(NewCommit {
                branch: "main",
                message: &format!("{at}"),
                committed_at: &committed_at,
                parents,
                tree,
            }));
        }
        let named: BTreeSet<String> =
            made.iter().flat_map(|id| musehub_test_support::history::parents(history.record(id))).collect();
        for (at, tip) in made.iter().filter(|id| !named.contains(*id)).enumerate() {
            history.branch(&format!("tip-{at}"), tip);
        }
        let (_app, client) = pushed(&history).await;
        for _ in 0..6 {
            let mut local = History::new();
            let mut have = Vec::new();
            for _ in 0..roll(4) {
                let from = &made[roll(made.len())];
                have.push(from.clone());
                let bundle = history.bundle(from, &BTreeSet::new());
                let by = |records: Vec<Value>, key| -> BTreeMap<String, Value> {
                    records.into_iter().map(|record| (text(&record, key).to_owned(), record)).collect()
                };
                local.commits.extend(by(bundle.commits, "commit_id"));
                local.snapshots.extend(by(bundle.snapshots, "snapshot_id"));
                local.objects.extend(bundle.objects);
            }
            let want: Vec<String> = history.branches.values().cloned().collect();
            let bundle = client.fetch_bundle(&want, &have).await.unwrap();
            for commit in bundle.commits {
                let id = text(&commit, "commit_id").to_owned();
                assert!(!local.commits.contains_key(&id), "seed {seed}: {id} is there already");
                assert_eq!(in_order(&commit), in_order(history.record(&id)));
                local.commits.insert(id, commit);
            }
            for snapshot in bundle.snapshots {
                local.snapshots.insert(text(&snapshot, "snapshot_id").to_owned(), snapshot);
            }
            local.objects.extend(bundle.objects);
            local.branches = history.branches.clone();
            local.verify().unwrap_or_else(|why| panic!("seed {seed}, have {have:?}: {why}"));
            assert_eq!(local.commits.len(), made.len());
        }
    }
}
