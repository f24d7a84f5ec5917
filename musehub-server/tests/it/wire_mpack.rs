//! Packs of the wire: pushed, indexed, fetched.

use bytes::Bytes;
use musehub_test_support::history::{noise, write};
use musehub_test_support::id::Ids;
use musehub_test_support::mpack_client::{
    PackForm, container_of, mpack_key, read_container, read_tags, sections, with_tags,
};
use musehub_test_support::{History, MpackClient, TestApp, map, text};
use serde_json::{Value, json};

/// The phases that a dashboard reads.
const PHASES: [&str; 7] = [
    "fetch_mpack_ms",
    "unpack_ms",
    "snapshot_insert_ms",
    "commit_insert_ms",
    "object_puts_ms",
    "object_insert_ms",
    "object_refs_ms",
];

/// Eight files of about 128 bytes, four commits, two files changed by each.
fn small() -> History {
    let mut history = History::new();
    for number in 0..4_usize {
        history.commit("main", &format!("commit-{number:05}"), |tree| {
            for file in 0..8 {
                if number == 0 || number * 2 % 8 == file || (number * 2 + 1) % 8 == file {
                    let text = format!("c{number:04}-f{file}{}", "y".repeat(128));
                    write(tree, &format!("src/file_{file:04}.py"), text);
                }
            }
        });
    }
    history
}

async fn client(app: &TestApp, slug: &str) -> MpackClient {
    drop(app.repository("alice", slug).await);
    app.mpack_client("alice", slug, Some("alice")).await
}

async fn unpack(
    client: &MpackClient,
    key: &str,
    history: &History,
    more: Value,
) -> Result<Value, (u16, String)> {
    let mut body = json!({"mpack_key": key, "branch": "main", "head": history.head("main")});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let answer = client.call("POST", "push/unpack-mpack", Some(body)).await;
    answer.map_err(|error| (error.status, error.body))
}

#[tokio::test]
async fn a_push_says_what_it_wrote_and_how_long_each_phase_took() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    let answer = client.push(&history, "main", false).await.unwrap();
    assert_eq!(answer["commits_written"], 4);
    assert_eq!(answer["snapshots_written"], 4);
    assert_eq!(answer["blobs_written"], history.objects.len());
    assert_eq!(answer["object_refs_written"], history.objects.len());
    assert_eq!(answer["branch_heads"]["main"], format!("sha256:{}", history.head("main")));
    let millis = |key: &str| answer[key].as_f64().unwrap_or_else(|| panic!("{key} is no number"));
    assert!(PHASES.iter().all(|phase| millis(phase) >= 0.0));
    let sum: f64 = PHASES.iter().map(|phase| millis(phase)).sum();
    assert!(sum <= millis("elapsed_ms") + 50.0, "{answer}");
    let bytes = container_of(&history.whole("main"));
    assert_eq!(answer["mpack_size_bytes"], bytes.len());
    assert_eq!(client.whole().await.unwrap().head("main"), history.head("main"));
}

#[tokio::test]
async fn the_earlier_map_is_taken_as_well() {
    let app = TestApp::new().await;
    let mut client = client(&app, "song").await;
    client.form = PackForm::Map;
    let history = small();
    client.push(&history, "main", false).await.unwrap();
    let whole = client.whole().await.unwrap();
    assert_eq!(whole.commits.len(), 4);
    assert_eq!(whole.tree(history.head("main")), history.tree(history.head("main")));
}

#[tokio::test]
async fn every_id_of_a_pack_that_the_hub_has_already_belongs_to_the_second_repository_too() {
    let app = TestApp::new().await;
    let (one, two) = (client(&app, "one").await, client(&app, "two").await);
    let history = small();
    one.push(&history, "main", false).await.unwrap();
    let second = two.push(&history, "main", false).await.unwrap();
    assert_eq!(
        (&second["blobs_written"], &second["object_refs_written"]),
        (&json!(0), &json!(history.objects.len()))
    );
    assert_eq!(two.whole().await.unwrap().tree(history.head("main")), history.tree(history.head("main")));
}

#[tokio::test]
async fn a_delta_of_what_only_the_hub_has_is_rebuilt() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let mut history = History::new();
    for (message, path) in [("a", "a.txt"), ("b", "b.txt"), ("c", "c.txt")] {
        history.commit_file("main", message, path);
    }
    client.push(&history, "main", false).await.unwrap();
    // D has B for its parent; its pack has nothing but what it changes of B.
    let b = history.record(history.head("main"));
    let b = musehub_test_support::history::parents(b)[0].clone();
    history.branch("side", &b);
    history.commit_file("side", "d", "d.txt");
    client.push(&history, "side", false).await.unwrap();
    let whole = client.whole().await.unwrap();
    let d = history.head("side").to_owned();
    assert_eq!(whole.manifest(&d), history.manifest(&d));
    assert_eq!(whole.manifest(&d).len(), 3);
}

#[tokio::test]
async fn branches_move_forwards_or_by_force() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let mut history = small();
    client.push(&history, "main", false).await.unwrap();
    client.push(&history, "main", false).await.unwrap();
    history.commit_file("main", "forwards", "forwards.txt");
    client.push(&history, "main", false).await.unwrap();
    let head = history.head("main").to_owned();
    let other = {
        let mut other = History::new();
        other.commit_file("main", "from elsewhere", "x.txt");
        other
    };
    let refused = client.push(&other, "main", false).await.unwrap_err();
    assert_eq!(refused.status, 409, "{refused}");
    assert!(refused.body.contains("non_fast_forward"), "{refused}");
    assert_eq!(client.heads().await.unwrap()["main"], head);
    client.push(&other, "main", true).await.unwrap();
    assert_eq!(client.heads().await.unwrap()["main"], other.head("main"));
}

#[tokio::test]
async fn a_large_push_is_a_job_to_poll() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    let key = client.upload(&container_of(&history.whole("main"))).await.unwrap();
    let pending = unpack(&client, &key, &history, json!({"async": true})).await.unwrap();
    assert_eq!(pending["status"], "pending");
    let id = pending["job_id"].as_str().unwrap().to_owned();
    assert!(pending["poll_url"].as_str().unwrap().ends_with(&format!("/alice/song/push/jobs/{id}")));
    let path = format!("push/jobs/{id}");
    assert_eq!(client.call("GET", &path, None).await.unwrap()["status"], "pending");
    assert!(client.heads().await.unwrap().is_empty());
    // Asking again is asking once.
    assert_eq!(unpack(&client, &key, &history, json!({"async": true})).await.unwrap()["job_id"], *id);
    app.run_jobs().await;
    let done = client.call("GET", &path, None).await.unwrap();
    assert_eq!(done["status"], "done", "{done}");
    assert_eq!(done["commits_written"], 4);
    assert_eq!(done["branch_head"], format!("sha256:{}", history.head("main")));
    assert!(PHASES.iter().all(|phase| done["result"][phase].as_f64().is_some()), "{done}");
    assert_eq!(client.heads().await.unwrap()["main"], history.head("main"));
    // A repository's pushes are its own.
    let other = client_of(&app, "other").await;
    assert_eq!(other.call("GET", &path, None).await.unwrap_err().status, 404);
}

async fn client_of(app: &TestApp, slug: &str) -> MpackClient {
    client(app, slug).await
}

#[tokio::test]
async fn a_job_says_why_a_push_was_refused() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let mut other = History::new();
    other.commit_file("main", "first here", "x.txt");
    client.push(&other, "main", false).await.unwrap();
    let history = small();
    let key = client.upload(&container_of(&history.whole("main"))).await.unwrap();
    let pending = unpack(&client, &key, &history, json!({"async": true})).await.unwrap();
    app.run_jobs().await;
    let path = format!("push/jobs/{}", pending["job_id"].as_str().unwrap());
    let failed = client.call("GET", &path, None).await.unwrap();
    assert_eq!(
        (&failed["status"], &failed["code"]),
        (&json!("failed"), &json!("non_fast_forward")),
        "{failed}"
    );
    assert!(failed["error"].as_str().unwrap().contains("pull first"), "{failed}");
    assert_eq!(client.heads().await.unwrap()["main"], other.head("main"));
}

#[tokio::test]
async fn an_address_takes_one_pack_and_no_other() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let bytes = container_of(&small().whole("main"));
    let url = client.presign(&mpack_key(&bytes), bytes.len()).await.unwrap();
    let mut other = bytes.clone();
    other[50] ^= 1;
    let refused = client.put(&url, &other).await.unwrap();
    assert_eq!(refused.status, 422, "{}", refused.text());
    let longer = [&bytes[..], b"x"].concat();
    assert_eq!(client.put(&url, &longer).await.unwrap().status, 413);
    // Nothing of either is there.
    let missing = unpack(&client, &mpack_key(&bytes), &small(), json!({})).await.unwrap_err();
    assert_eq!(missing.0, 404, "{}", missing.1);
    assert!(missing.1.contains("not_uploaded"), "{}", missing.1);
    for forged in [
        url.replace("bytes=", "bytes=1"),
        url.replace("/song/", "/other/"),
        url.split('?').next().unwrap().to_owned(),
        format!("{url}0"),
        url.replace("signature=", "signature=00"),
    ] {
        let refused = client.put(&forged, &bytes).await.unwrap();
        assert_eq!(refused.status, 403, "{forged}: {}", refused.text());
    }
    assert_eq!(client.put(&url, &bytes).await.unwrap().status, 200);
    unpack(&client, &mpack_key(&bytes), &small(), json!({})).await.unwrap();
}

#[tokio::test]
async fn a_pack_over_the_limit_is_refused_before_it_is_sent() {
    let limits = musehub_server::Limits { mpack: 1000, ..Default::default() };
    let app = TestApp::with_limits(limits).await;
    let client = client(&app, "song").await;
    let refused = client.presign(&mpack_key(b"x"), 1001).await.unwrap_err();
    assert_eq!(refused.status, 413, "{refused}");
    let url = client.presign(&mpack_key(&[1; 1001]), 1000).await.unwrap();
    assert_eq!(client.put(&url, &[1; 1001]).await.unwrap().status, 413);
}

#[tokio::test]
async fn what_is_no_pack_is_refused_with_a_reason_and_leaves_nothing() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    let whole = container_of(&history.whole("main"));
    let mut damaged = whole.clone();
    damaged[whole.len() - 1] ^= 1;
    let no_base = sections(&[(2, Vec::from(5_u64.to_le_bytes()))]);
    for (bytes, word) in [
        (b"no pack at all".to_vec(), "no pack"),
        (whole[..whole.len() - 40].to_vec(), "ends early"),
        (damaged, "checksum"),
        (no_base, "records"),
    ] {
        let key = client.upload(&bytes).await.unwrap();
        let (status, body) = unpack(&client, &key, &history, json!({})).await.unwrap_err();
        assert_eq!(status, 422, "{body}");
        assert!(body.contains(word), "{word}: {body}");
    }
    // What another repository has is nothing that this one may refer to.
    let without = sections(&[(1, b"MUSE\x01".iter().copied().chain([0; 8]).chain([0; 32]).collect())]);
    let key = client.upload(&without).await.unwrap();
    let (status, body) = unpack(&client, &key, &history, json!({})).await.unwrap_err();
    assert_eq!((status, body.contains("incomplete")), (422, true), "{body}");
    assert!(client.heads().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fetch_is_built_once_and_found_ahead_of_time() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let mut history = small();
    client.push(&history, "main", false).await.unwrap();
    app.run_jobs().await;
    let want = json!({"want": [format!("sha256:{}", history.head("main"))], "have": []});
    for path in ["fetch", "fetch/mpack", "fetch/presign"] {
        let answer = client.call("POST", path, Some(want.clone())).await.unwrap();
        assert_eq!(answer["cached"], true, "{path}: {answer}");
        assert_eq!(
            (&answer["commit_count"], &answer["object_count"]),
            (&json!(4), &json!(history.objects.len()))
        );
    }
    history.commit_file("main", "more", "more.txt");
    client.push(&history, "main", false).await.unwrap();
    let want = json!({
        "want": [format!("sha256:{}", history.head("main"))],
        "have": [want["want"][0]],
    });
    let answer = client.call("POST", "fetch/mpack", Some(want.clone())).await.unwrap();
    assert_eq!(
        (&answer["cached"], &answer["commit_count"], &answer["object_count"]),
        (&json!(false), &json!(1), &json!(1))
    );
    assert_eq!(client.call("POST", "fetch/mpack", Some(want)).await.unwrap()["cached"], true, "a retry");
}

#[tokio::test]
async fn a_pack_is_downloaded_whole_in_ranges_and_by_key() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    client.push(&history, "main", false).await.unwrap();
    let head = format!("sha256:{}", history.head("main"));
    let answer = client.call("POST", "fetch", Some(json!({"want": [head]}))).await.unwrap();
    let url = answer["mpack_url"].as_str().unwrap();
    let whole = client.get(url).await.unwrap();
    assert_eq!(whole.status, 200);
    assert_eq!(whole.header("content-type"), "application/x-muse-pack");
    assert_eq!(answer["mpack_size_bytes"], whole.body.len());
    assert!(read_container(&whole.body).is_ok());

    let path = url.split_once("//").unwrap().1.split_once('/').unwrap().1;
    let part = app.get(&format!("/{path}")).header("range", "bytes=10-19").send().await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    assert_eq!(part.header("content-range"), format!("bytes 10-19/{}", whole.body.len()));
    let beyond = app.get(&format!("/{path}")).header("range", "bytes=99999999-").send().await;
    assert_eq!(beyond.status, 416);

    let key = answer["mpack_id"].as_str().unwrap();
    let by_key = app.get(&format!("/alice/song/fetch/mpack?mpack_key={key}")).send().await;
    assert_eq!((by_key.status, &by_key.body), (200, &whole.body));
    let other = app.get(&format!("/alice/song/fetch/mpack?mpack_key={}", mpack_key(b"x"))).send().await;
    assert_eq!(other.status, 404);
    let direct = app.post("/alice/song/fetch/mpack").header("accept", "application/x-muse-pack");
    let direct = direct.json(&json!({"want": [head], "have": []})).send().await;
    assert_eq!((direct.status, &direct.body), (200, &whole.body));
    assert_eq!(client.get(&format!("{url}0")).await.unwrap().status, 403);
}

#[tokio::test]
async fn a_private_repository_gives_its_packs_to_its_readers() {
    let app = TestApp::new().await;
    drop(app.private_repository("alice", "secret").await);
    let owner = app.mpack_client("alice", "secret", Some("alice")).await;
    let history = small();
    owner.push(&history, "main", false).await.unwrap();
    let id = {
        let want = json!({"want": [format!("sha256:{}", history.head("main"))]});
        owner.call("POST", "fetch/mpack", Some(want)).await.unwrap()["mpack_id"].as_str().unwrap().to_owned()
    };
    for who in [None, Some("mallory")] {
        let stranger = app.mpack_client("alice", "secret", who).await;
        for (method, path, body) in [
            ("POST", "fetch", Some(json!({"want": [], "have": ["sha256:00"]}))),
            ("POST", "fetch/mpack", Some(json!({"want": []}))),
            ("GET", &*format!("fetch/mpack?mpack_key={id}"), None),
        ] {
            let refused = stranger.call(method, path, body).await.unwrap_err();
            assert_eq!(refused.status, 404, "{path}: {refused}");
        }
    }
    // Nor does another repository know a pack by its id.
    let other = client_of(&app, "open").await;
    let refused = other.call("GET", &format!("fetch/mpack?mpack_key={id}"), None).await.unwrap_err();
    assert_eq!(refused.status, 404);
}

#[tokio::test]
async fn two_generations_share_an_address() {
    let app = TestApp::new().await;
    let mpack = client(&app, "song").await;
    let history = small();
    mpack.push(&history, "main", false).await.unwrap();
    let march = app.client("alice", "song", None).await;
    let head = history.head("main").to_owned();
    let bundle = march.fetch_bundle(std::slice::from_ref(&head), &[]).await.unwrap();
    assert_eq!(bundle.commits.len(), 4, "bare ids: a bundle");
    let clone = march.clone_repository().await.unwrap();
    assert_eq!(clone.tree(&head), history.tree(&head));
    let pack = mpack.fetch_pack(std::slice::from_ref(&head), &[]).await.unwrap();
    assert_eq!(read_container(&pack).unwrap().commits.len(), 4, "ids with a prefix: a pack");
}

#[tokio::test]
async fn a_pack_with_more_than_fits_into_memory_is_staged() {
    let app = TestApp::on_disk().await;
    let client = client(&app, "song").await;
    let mut history = History::new();
    history.commit("main", "large", |tree| {
        for n in 0..5 {
            write(tree, &format!("large/{n}.bin"), noise(n, (9 << 20) + 3));
        }
        write(tree, "small.txt", "small\n");
        write(tree, "empty.txt", Bytes::new());
    });
    let answer = client.push(&history, "main", false).await.unwrap();
    assert_eq!(answer["blobs_written"], 7);
    let whole = client.whole().await.unwrap();
    assert_eq!(whole.tree(history.head("main")), history.tree(history.head("main")));
}

/// A container of a history with tags.
fn tagged(history: &History, tags: &[(&str, &str)]) -> Vec<u8> {
    let tag = |(label, commit): &(&str, &str)| {
        map([
            ("tag_id", format!("id-{label}").into()),
            ("repo_id", "theirs".into()),
            ("commit_id", format!("sha256:{commit}").into()),
            ("tag", (*label).into()),
            ("created_at", "2026-06-01T00:00:00+00:00".into()),
        ])
    };
    with_tags(&history.whole("main"), &tags.iter().map(tag).collect::<Vec<_>>())
}

#[tokio::test]
async fn tags_of_a_pack_are_kept_and_come_back_with_the_commits_that_they_are_about() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    let (head, first) =
        (history.head("main").to_owned(), history.walk(history.head("main"), &[].into()).pop().unwrap());
    let bytes = tagged(&history, &[("v1", &first), ("stage:master", &head), ("  ", &head)]);
    let key = client.upload(&bytes).await.unwrap();
    let done = unpack(&client, &key, &history, json!({})).await.unwrap();
    assert_eq!(done["tags_written"], 2, "{done}");
    let listed = client.call("GET", "tags", None).await.unwrap();
    let labels = |listed: &Value| -> Vec<(String, String)> {
        let tags = listed["tags"].as_array().unwrap().iter();
        let text =
            |tag: &Value, key: &str| tag[key].as_str().unwrap().trim_start_matches("sha256:").to_owned();
        tags.map(|tag| (text(tag, "tag"), text(tag, "commit_id"))).collect()
    };
    let both = vec![("stage:master".to_owned(), head.clone()), ("v1".to_owned(), first.clone())];
    assert_eq!(labels(&listed), both);

    app.run_jobs().await;
    let whole = read_tags(&client.fetch_pack(std::slice::from_ref(&head), &[]).await.unwrap()).unwrap();
    let named: Vec<(String, String)> =
        whole.iter().map(|tag| (text(tag, "tag").to_owned(), text(tag, "commit_id").to_owned())).collect();
    assert_eq!(named, both);
    assert_eq!(
        (text(&whole[0], "tag_id"), text(&whole[0], "created_at")),
        ("id-stage:master", "2026-06-01T00:00:00+00:00")
    );
    let since = client.fetch_pack(std::slice::from_ref(&head), std::slice::from_ref(&first)).await.unwrap();
    assert_eq!(read_tags(&since).unwrap().len(), 1, "those of the commits that come");

    // A tag that comes later is in what is fetched from then on, built ahead or not.
    let token = app.token("alice").await;
    let body = json!({"tags": [{"commit_id": head, "tag": "later"}]});
    let _ = app.post("/alice/song/tags").bearer(&token).json(&body).send().await.expect(200);
    let whole = read_tags(&client.fetch_pack(std::slice::from_ref(&head), &[]).await.unwrap()).unwrap();
    assert_eq!(whole.len(), 3);
    // The same pack again changes nothing, and is no error.
    let key = client.upload(&bytes).await.unwrap();
    assert_eq!(unpack(&client, &key, &history, json!({})).await.unwrap()["tags_written"], 0);
}

#[tokio::test]
async fn a_pack_whose_tags_are_no_good_is_refused_as_a_whole() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    let (head, nowhere) = (history.head("main").to_owned(), "ab".repeat(32));
    for (tags, code, word) in [
        ([("v1", &*head), ("v2", &*nowhere)], "incomplete", &*nowhere),
        ([("v1", &*head), ("bell\u{7}", &*head)], "invalid", "control"),
        ([("v1", &*head), (&*"x".repeat(256), &*head)], "invalid", "255 bytes"),
        ([("v1", &*head), ("v2", "no id")], "invalid", "commit_id"),
    ] {
        let key = client.upload(&tagged(&history, &tags)).await.unwrap();
        let (status, body) = unpack(&client, &key, &history, json!({})).await.unwrap_err();
        assert!(status == 422 && body.contains(code) && body.contains(word), "{word}: {body}");
        assert!(client.heads().await.unwrap().is_empty(), "{word}");
        assert_eq!(client.call("GET", "tags", None).await.unwrap()["tags"], json!([]), "{word}");
    }
}

#[tokio::test]
async fn a_pack_is_known_by_either_form_of_its_id() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    // Uploaded under the hash of a blob of these bytes.
    let bytes = container_of(&history.whole("main"));
    let typed = format!("sha256:{}", Ids::Typed.object(&bytes));
    let url = client.presign(&typed, bytes.len()).await.unwrap();
    assert_eq!(client.put(&url, &bytes).await.unwrap().status, 200);
    unpack(&client, &typed, &history, json!({})).await.unwrap();

    let pack = client.fetch_pack(&[history.head("main").to_owned()], &[]).await.unwrap();
    let by_key = async |key: &str| app.get(&format!("/alice/song/fetch/mpack?mpack_key={key}")).send().await;
    let typed = format!("sha256:{}", Ids::Typed.object(&pack));
    for _ in 0..2 {
        assert_eq!(by_key(&typed).await.expect(200).body, pack);
    }
    assert_eq!(by_key(&mpack_key(&pack)).await.expect(200).body, pack);
    assert_eq!(by_key(&mpack_key(b"another")).await.status, 404);
    // Nor does another repository know it.
    let other = client_of(&app, "other").await;
    let refused = other.call("GET", &format!("fetch/mpack?mpack_key={typed}"), None).await.unwrap_err();
    assert_eq!(refused.status, 404);
}

#[tokio::test]
async fn transfers_are_counted_by_generation() {
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    client.push(&history, "main", false).await.unwrap();
    client.whole().await.unwrap();
    let _ = app.client("alice", "song", None).await.clone_repository().await.unwrap();
    let _ = app.json_client("alice", "song", None).await.whole().await.unwrap();
    let metrics = app.app.metrics.render();
    for line in [
        "musehub_pushes_total{generation=\"mpack\",outcome=\"done\"} 1",
        "musehub_fetches_total{generation=\"mpack\",outcome=\"done\"} 1",
        "musehub_fetches_total{generation=\"mwp\",outcome=\"done\"} 1",
        "musehub_fetches_total{generation=\"json\",outcome=\"done\"} 1",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

#[tokio::test]
async fn one_line_of_the_log_and_the_metrics_have_every_phase() {
    log();
    let app = TestApp::new().await;
    let client = client(&app, "song").await;
    let history = small();
    let key = client.upload(&container_of(&history.whole("main"))).await.unwrap();
    unpack(&client, &key, &history, json!({"async": true})).await.unwrap();
    app.run_jobs().await;
    let lines = String::from_utf8(LOGGED.take()).unwrap();
    let summary = lines.lines().filter(|line| line.contains("mpack.index") && line.contains("done"));
    let summary = summary.filter(|line| line.contains("elapsed_ms=")).collect::<Vec<_>>();
    let [line] = summary[..] else { panic!("{summary:?}") };
    for phase in PHASES {
        assert!(line.contains(&format!("{phase}=")), "{phase} in {line}");
    }
    let metrics = app.app.metrics.render();
    for phase in PHASES {
        let phase = phase.trim_end_matches("_ms");
        let counted = format!("kind=\"mpack.index\",phase=\"{phase}\"");
        assert!(metrics.contains(&counted), "{counted} in {metrics}");
    }
}

thread_local! {
    static LOGGED: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

/// Keeps what each thread logs from here on. One subscriber for all of them: whether a line is wanted is remembered for the
/// whole process, so that one for a single thread can miss lines that others came across first.
fn log() {
    struct Lines;

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            LOGGED.with_borrow_mut(|lines| lines.extend_from_slice(bytes));
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    let subscriber = tracing_subscriber::fmt().with_writer(|| Lines).with_ansi(false).finish();
    tracing::subscriber::set_global_default(subscriber).unwrap();
    LOGGED.take();
}
