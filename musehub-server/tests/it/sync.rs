//! The sync of the earliest clients.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use musehub_test_support::history::{noise, write};
use musehub_test_support::{Answer, History, TestApp, get, id, text};
use serde_json::{Value, json};

/// What an early client sends for a branch, all of it.
pub(crate) fn push_body(source: &History, branch: &str) -> Value {
    let bundle = source.bundle(source.head(branch), &BTreeSet::new());
    let field = |record, name| text(record, name).to_owned();
    let commit = |record| {
        let parents = ["parent_commit_id", "parent2_commit_id"].map(|name| field(record, name));
        json!({
            "commitId": field(record, "commit_id"),
            "parentIds": parents.into_iter().filter(|parent| !parent.is_empty()).collect::<Vec<_>>(),
            "message": field(record, "message"),
            "snapshotId": field(record, "snapshot_id"),
            "timestamp": field(record, "committed_at"),
            "author": field(record, "author"),
        })
    };
    let snapshot = |record| {
        let manifest = get(record, "manifest").as_map().unwrap().iter();
        let manifest: BTreeMap<&str, &str> =
            manifest.map(|(path, id)| (path.as_str().unwrap(), id.as_str().unwrap())).collect();
        let created_at = field(record, "created_at");
        json!({"snapshotId": field(record, "snapshot_id"), "manifest": manifest, "createdAt": created_at})
    };
    let objects = bundle.objects.iter();
    let objects: Vec<Value> = objects
        .map(|(id, content)| json!({"objectId": id, "path": "p", "contentB64": STANDARD.encode(content)}))
        .collect();
    json!({
        "branch": branch, "headCommitId": source.head(branch), "force": false,
        "commits": bundle.commits.iter().map(commit).collect::<Vec<_>>(),
        "snapshots": bundle.snapshots.iter().map(snapshot).collect::<Vec<_>>(),
        "objects": objects,
    })
}

async fn send(app: &TestApp, path: &str, who: Option<&str>, body: &Value) -> Answer {
    let call = app.post(path);
    match who {
        Some(who) => call.bearer(&app.token(who).await).json(body).send().await,
        None => call.json(body).send().await,
    }
}

/// Pushes all of a branch as the owner.
pub(crate) async fn push(app: &TestApp, repo_id: &str, source: &History, branch: &str) -> Answer {
    send(app, &format!("/api/v1/repos/{repo_id}/push"), Some("alice"), &push_body(source, branch)).await
}

async fn repository(app: &TestApp, slug: &str, visibility: &str) -> String {
    let body = json!({"name": slug, "visibility": visibility});
    let made = send(app, "/api/v1/repos", Some("alice"), &body).await.expect(201).json();
    made["repo_id"].as_str().unwrap().to_owned()
}

/// Everything of a pull, page by page; how many pages there were.
async fn pull(app: &TestApp, repo_id: &str, who: Option<&str>, request: &Value) -> (Vec<Value>, usize) {
    let mut pages = Vec::new();
    let mut request = request.clone();
    loop {
        let page =
            send(app, &format!("/api/v1/repos/{repo_id}/pull"), who, &request).await.expect(200).json();
        let next = page["nextCursor"].clone();
        assert_eq!(page["hasMore"].as_bool().unwrap(), !next.is_null());
        pages.push(page);
        if next.is_null() {
            let count = pages.len();
            return (pages, count);
        }
        request["cursor"] = next;
    }
}

fn objects(pages: &[Value]) -> BTreeMap<String, Vec<u8>> {
    let listed = pages.iter().flat_map(|page| page["objects"].as_array().unwrap());
    let object = |object: &Value| {
        let content = STANDARD.decode(object["contentB64"].as_str().unwrap()).unwrap();
        (object["objectId"].as_str().unwrap().to_owned(), content)
    };
    let all: Vec<_> = listed.map(object).collect();
    let count = all.len();
    let objects: BTreeMap<_, _> = all.into_iter().collect();
    assert_eq!(objects.len(), count, "no object comes twice");
    assert!(objects.iter().all(|(name, content)| *name == id::object_id(content)));
    objects
}

#[tokio::test]
async fn what_an_early_client_pushes_others_clone_and_pull() {
    let app = TestApp::new().await;
    let repo_id = repository(&app, "demo", "public").await;
    let mut source = History::new();
    source.commit("main", "first", |tree| {
        write(tree, "a", "1");
        write(tree, "empty", "");
    });
    source.fork("side", "main");
    source.commit_file("side", "aside", "b");
    source.commit_file("main", "on", "c");
    source.merge("main", "side");
    let pushed = push(&app, &repo_id, &source, "main").await.expect(200).json();
    assert_eq!(pushed, json!({"ok": true, "remoteHead": source.head("main")}));
    // A later client reads the same.
    let cloned = app.client("alice", "demo", None).await.clone_repository().await.unwrap();
    assert_eq!(cloned.tree(cloned.head("main")), source.tree(source.head("main")));
    assert_eq!(cloned.commits.len(), 4);

    let (pages, count) = pull(&app, &repo_id, None, &json!({"branch": "main"})).await;
    assert_eq!((count, &pages[0]["remoteHead"]), (1, &json!(source.head("main"))));
    let commits = pages[0]["commits"].as_array().unwrap();
    let ids: BTreeSet<&str> = commits.iter().map(|commit| commit["commitId"].as_str().unwrap()).collect();
    assert_eq!(ids, source.commits.keys().map(String::as_str).collect());
    // Parents first, and with all that an id is computed from.
    let mut seen = BTreeSet::new();
    for commit in commits {
        let parents: Vec<&str> =
            commit["parentIds"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert!(parents.iter().all(|parent| seen.contains(parent)));
        let field = |name: &str| commit[name].as_str().unwrap();
        let computed = id::commit_id(&parents, field("snapshotId"), field("message"), field("timestamp"));
        assert_eq!(computed, field("commitId"));
        seen.insert(field("commitId"));
    }
    assert_eq!(objects(&pages).len(), source.objects.len());

    // What is had is not sent again, and nothing where all is had.
    let have = json!({"branch": "main", "haveCommits": [source.head("side")], "haveObjects": [id::object_id(b"c of on\n")]});
    let (pages, _) = pull(&app, &repo_id, None, &have).await;
    assert_eq!(pages[0]["commits"].as_array().unwrap().len(), 2);
    assert!(objects(&pages).is_empty());
    let (pages, _) =
        pull(&app, &repo_id, None, &json!({"branch": "main", "haveCommits": [source.head("main")]})).await;
    assert_eq!((&pages[0]["commits"], &pages[0]["remoteHead"]), (&json!([]), &json!(source.head("main"))));
    let (pages, _) = pull(&app, &repo_id, None, &json!({"branch": "absent"})).await;
    assert_eq!(pages[0]["remoteHead"], Value::Null);
}

#[tokio::test]
async fn a_pull_comes_page_by_page_to_its_end() {
    let app = TestApp::new().await;
    let repo_id = repository(&app, "demo", "public").await;
    let mut source = History::new();
    source.commit("main", "many", |tree| {
        for number in 0..1201 {
            write(tree, &format!("f{number}"), format!("{number}"));
        }
        // Of these, two are more than a page has.
        for seed in 0..3 {
            write(tree, &format!("large{seed}"), noise(seed, 9 << 20));
        }
    });
    let _ = push(&app, &repo_id, &source, "main").await.expect(200);
    let request = json!({"branch": "main"});
    let (pages, count) = pull(&app, &repo_id, None, &request).await;
    assert!(count >= 3, "{count} pages");
    assert!(pages.iter().all(|page| page["objects"].as_array().unwrap().len() <= 500));
    assert!(pages[1..].iter().all(|page| page["commits"] == json!([]) && page["snapshots"] == json!([])));
    let all: BTreeMap<String, Vec<u8>> =
        source.objects.iter().map(|(id, content)| (id.clone(), content.to_vec())).collect();
    assert_eq!(objects(&pages), all);
    // A branch that moves between two pages does not mix what they bring.
    let first = send(&app, &format!("/api/v1/repos/{repo_id}/pull"), None, &request).await.expect(200).json();
    let before = source.head("main").to_owned();
    source.commit_file("main", "meanwhile", "news");
    let _ = push(&app, &repo_id, &source, "main").await.expect(200);
    let mut next = request;
    next["cursor"] = first["nextCursor"].clone();
    let (rest, _) = pull(&app, &repo_id, None, &next).await;
    assert!(rest.iter().all(|page| page["remoteHead"] == json!(before)));
    assert_eq!(objects(&[vec![first], rest].concat()), all);
    for bad in ["", "x", "a.b", &format!("{before}.")] {
        let body = json!({"branch": "main", "cursor": bad});
        let _ = send(&app, &format!("/api/v1/repos/{repo_id}/pull"), None, &body).await.expect(422);
    }
}

#[tokio::test]
async fn a_push_that_the_branch_cannot_follow_is_refused_as_early_clients_read_it() {
    let app = TestApp::new().await;
    let repo_id = repository(&app, "demo", "public").await;
    let mut ours = History::new();
    ours.commit_file("main", "root", "a");
    let mut theirs = ours.clone();
    ours.commit_file("main", "ours", "a");
    theirs.commit_file("main", "theirs", "a");
    let _ = push(&app, &repo_id, &ours, "main").await.expect(200);
    let refused = push(&app, &repo_id, &theirs, "main").await.expect(409).json();
    assert_eq!(refused["detail"]["error"], "non_fast_forward");
    let mut forced = push_body(&theirs, "main");
    forced["force"] = true.into();
    let path = format!("/api/v1/repos/{repo_id}/push");
    let _ = send(&app, &path, Some("alice"), &forced).await.expect(200);
    // A head that is held already needs nothing but its id.
    let bare = json!({"branch": "again", "headCommitId": ours.head("main")});
    let _ = send(&app, &path, Some("alice"), &bare).await.expect(200);
    let heads = app.client("alice", "demo", None).await.refs().await.unwrap().branch_heads;
    assert_eq!((&*heads["main"], &*heads["again"]), (theirs.head("main"), ours.head("main")));
}

#[tokio::test]
async fn what_is_not_what_it_claims_to_be_is_refused_and_leaves_nothing() {
    let app = TestApp::new().await;
    let repo_id = repository(&app, "demo", "public").await;
    let path = format!("/api/v1/repos/{repo_id}/push");
    let mut source = History::new();
    source.commit_file("main", "one", "a");
    let good = push_body(&source, "main");
    let zeros = json!("0".repeat(64));
    for (pointer, wrong, status) in [
        ("/commits/0/message", json!("another"), 422),
        ("/commits/0/timestamp", json!("2026-03-20T12:00:00Z"), 422),
        ("/commits/0/commitId", zeros.clone(), 422),
        ("/commits/0/commitId", json!("main"), 422),
        ("/commits/0/snapshotId", zeros.clone(), 422),
        ("/commits/0/snapshotId", Value::Null, 422),
        ("/commits/0/parentIds", json!([zeros]), 422),
        ("/commits/0/parentIds", json!([zeros, zeros, zeros]), 422),
        ("/snapshots/0/manifest", json!({"../x": zeros}), 422),
        ("/snapshots/0/manifest", json!({}), 422),
        ("/objects/0/contentB64", json!("AAAA"), 422),
        ("/objects/0/contentB64", json!("?"), 422),
        ("/objects", json!([]), 422),
        ("/snapshots", json!([]), 422),
        ("/commits", json!([]), 422),
        ("/headCommitId", zeros.clone(), 422),
        ("/branch", json!("../../x"), 422),
        ("/branch", Value::Null, 422),
    ] {
        let mut body = good.clone();
        *body.pointer_mut(pointer).unwrap() = wrong.clone();
        let refused = send(&app, &path, Some("alice"), &body).await;
        assert_eq!(refused.status, status, "{pointer} = {wrong}: {}", refused.text());
    }
    assert!(app.client("alice", "demo", None).await.refs().await.unwrap().branch_heads.is_empty());
    let _ = send(&app, &path, Some("alice"), &good).await.expect(200);
}

#[tokio::test]
async fn only_the_owner_pushes_and_a_private_repository_is_hidden() {
    let app = TestApp::new().await;
    let (public, private) =
        (repository(&app, "open", "public").await, repository(&app, "secret", "private").await);
    let mut source = History::new();
    source.commit_file("main", "one", "a");
    let body = push_body(&source, "main");
    let absent = "00000000-0000-4000-8000-000000000000";
    for (repo, who, status) in [
        (public.as_str(), None, 401),
        (&public, Some("bob"), 403),
        (&private, None, 401),
        (&private, Some("bob"), 404),
        (absent, Some("bob"), 404),
        ("not-an-id", Some("bob"), 404),
        (&public, Some("alice"), 200),
        (&private, Some("alice"), 200),
    ] {
        let answer = send(&app, &format!("/api/v1/repos/{repo}/push"), who, &body).await;
        assert_eq!(answer.status, status, "{repo} {who:?}: {}", answer.text());
    }
    let ask = json!({"branch": "main"});
    let of = async |repo: &str, who| send(&app, &format!("/api/v1/repos/{repo}/pull"), who, &ask).await;
    let _ = of(&public, None).await.expect(200);
    let _ = of(&private, Some("alice")).await.expect(200);
    for who in [None, Some("bob")] {
        assert_eq!(of(&private, who).await.expect(404).body, of(absent, who).await.expect(404).body);
    }
}
