//! Tags over the API, on their page, and to clients.

use musehub_test_support::record::{list, text};
use musehub_test_support::{Answer, History, TestApp};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

const TAGS: &str = "/api/v1/repos/alice/demo/tags";

/// A repository of two commits.
struct Scene {
    app: TestApp,
    alice: String,
    commits: [String; 2],
}

impl Scene {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let alice = app.token("alice").await;
        let mut history = History::new();
        let commits = ["first <work>", "second"].map(|message| history.commit_file("main", message, message));
        app.repository("alice", "demo").await.push(&history, "main", false).await.unwrap();
        Self { app, alice, commits: commits.map(|id| format!("sha256:{id}")) }
    }

    async fn make(&self, name: &str, commit: &str) -> Answer {
        let body = json!({"name": name, "commit_id": commit});
        self.app.post(TAGS).bearer(&self.alice).json(&body).send().await
    }

    async fn rename(&self, (name, commit): (&str, &str), to: &str) -> Answer {
        let body = json!({"name": to, "commit_id": commit});
        self.app.request("PATCH", &at(name)).bearer(&self.alice).json(&body).send().await
    }

    async fn delete(&self, name: &str, commit: &str) -> Answer {
        let path = format!("{}?commit_id={commit}", at(name));
        self.app.request("DELETE", &path).bearer(&self.alice).send().await
    }

    async fn listed(&self, query: &str) -> Value {
        self.app.get(&format!("{TAGS}{query}")).send().await.expect(200).json()
    }

    /// Names and commits of all tags.
    async fn names(&self) -> Vec<(String, String)> {
        let listed = self.listed("?limit=100").await;
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        let rows = listed["tags"].as_array().unwrap().iter();
        rows.map(|row| (text(row, "name"), text(row, "commit_id"))).collect()
    }

    async fn page(&self, query: &str) -> String {
        let path = format!("/alice/demo/tags{query}");
        let page = self.app.get(&path).header("accept", "text/html,*/*;q=0.8").send().await.expect(200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        page.text()
    }
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn at(name: &str) -> String {
    format!("{TAGS}/{}", encoded(name))
}

fn code(answer: &Answer) -> String {
    answer.json()["code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn tags_are_made_renamed_and_deleted_each_at_its_commit() {
    let scene = Scene::new().await;
    let [first, second] = &scene.commits;
    let made = scene.make("v1", first).await.expect(201).json();
    assert_eq!(
        (&made["name"], &made["commit_id"], &made["tagger"]),
        (&json!("v1"), &json!(first), &json!("alice"))
    );
    assert!(made["created_at"].as_str().unwrap().ends_with('Z'), "{made}");
    let _ = scene.make("v1", second).await.expect(201);
    let twice = scene.make("v1", first).await.expect(409);
    assert_eq!(code(&twice), "exists");

    let renamed = scene.rename(("v1", first), "v1/é +%").await.expect(200).json();
    assert_eq!(renamed, json!({"name": "v1/é +%", "commit_id": first}));
    let gone = scene.rename(("v1", first), "v2").await.expect(404);
    assert_eq!(code(&gone), "not_found");
    let _ = scene.make("v3", second).await.expect(201);
    let taken = scene.rename(("v3", second), "v1").await.expect(409);
    assert_eq!(code(&taken), "exists");
    let names = [("v1", second), ("v1/é +%", first), ("v3", second)];
    let names: Vec<_> = names.iter().map(|(name, commit)| ((*name).to_owned(), (*commit).clone())).collect();
    assert_eq!(scene.names().await, names);

    let _ = scene.delete("v1", first).await.expect(404);
    let _ = scene.delete("v1/é +%", first).await.expect(200);
    let _ = scene.delete("v1/é +%", first).await.expect(404);
    assert_eq!(scene.names().await, [names[0].clone(), names[2].clone()]);
    let slashes = format!("{TAGS}/a/b?commit_id={first}");
    let _ = scene.make("a/b", first).await.expect(201);
    let _ = scene.app.request("DELETE", &slashes).bearer(&scene.alice).send().await.expect(200);
}

#[tokio::test]
async fn what_is_no_tag_is_refused_and_leaves_nothing() {
    let scene = Scene::new().await;
    let first = &scene.commits[0];
    for bad in ["", " ", "a ", "a\nb", "a\0", &"x".repeat(256)] {
        let refused = scene.make(bad, first).await.expect(422);
        assert_eq!(code(&refused), "invalid", "{bad:?}");
    }
    let _ = scene.make("kept", first).await.expect(201);
    let _ = scene.rename(("kept", first), "a\tb").await.expect(422);
    let absent = format!("sha256:{}", "0".repeat(64));
    let refused = scene.make("v1", &absent).await.expect(422);
    assert_eq!(code(&refused), "incomplete");
    let _ = scene.make("v1", "no id").await.expect(422);
    let _ = scene.app.request("DELETE", &at("kept")).bearer(&scene.alice).send().await.expect(422);
    let _ = scene.delete("kept", "no-id").await.expect(422);
    for query in ["?cursor=x", "?limit=0", "?limit=101"] {
        let _ = scene.app.get(&format!("{TAGS}{query}")).send().await.expect(422);
    }
    assert_eq!(scene.names().await, [("kept".to_owned(), first.clone())]);
}

#[tokio::test]
async fn tags_are_listed_page_by_page_here_and_on_their_page() {
    let scene = Scene::new().await;
    assert!(scene.page("").await.contains("No tags yet"));
    let mut expected = Vec::new();
    for number in 0..32 {
        for commit in &scene.commits {
            let name = format!("<b>{number:02} é & more</b>");
            let _ = scene.make(&name, commit).await.expect(201);
            expected.push((name, commit.clone()));
        }
    }
    expected.sort();
    let (mut seen, mut query) = (Vec::new(), "?limit=7".to_owned());
    loop {
        let listed = scene.listed(&query).await;
        let rows = listed["tags"].as_array().unwrap();
        assert!(!rows.is_empty() && rows.len() <= 7);
        let text = |row: &Value, field: &str| row[field].as_str().unwrap().to_owned();
        seen.extend(rows.iter().map(|row| (text(row, "name"), text(row, "commit_id"))));
        let Some(cursor) = listed["next_cursor"].as_str() else { break };
        query = format!("?limit=7&cursor={}", encoded(cursor));
    }
    assert_eq!(seen, expected);

    let (mut shown, mut query) = (0, String::new());
    for _ in 0..3 {
        let html = scene.page(&query).await;
        shown += html.matches("tag-row").count();
        assert!(!html.contains("<b>"), "{html}");
        assert!(html.contains("first &lt;work&gt;") && html.contains("tagged by alice"), "{html}");
        let Some((_, rest)) = html.split_once("/tags?cursor=") else { break };
        query = format!("?cursor={}", rest.split('"').next().unwrap());
    }
    assert_eq!(shown, expected.len());
    assert!(scene.page("?cursor=nonsense").await.contains("&lt;b&gt;00"), "the first page");
}

#[tokio::test]
async fn clients_and_the_api_see_the_same_tags() {
    let scene = Scene::new().await;
    let first = &scene.commits[0];
    let pushed = json!({"tags": [{"tag_id": "t", "repo_id": "", "commit_id": first, "tag": "pushed",
        "created_at": "2026-03-20T17:42:12.641216+00:00"}]});
    let _ = scene.app.post("/alice/demo/tags").bearer(&scene.alice).json(&pushed).send().await.expect(200);
    let _ = scene.make("made", first).await.expect(201);
    let listed = scene.listed("").await;
    assert_eq!(
        (&listed["tags"][1]["name"], &listed["tags"][1]["created_at"]),
        (&json!("pushed"), &json!("2026-03-20T17:42:12.641216+00:00"))
    );
    let wire = scene.app.get("/alice/demo/tags").accept_msgpack().send().await.expect(200).msgpack();
    let names: Vec<&str> = list(&wire, "tags").iter().map(|tag| text(tag, "tag")).collect();
    assert_eq!(names, ["made", "pushed"]);
    let head = scene.page("").await;
    assert!(head.contains("made") && head.contains("pushed"));
    let repository = scene.app.get("/alice/demo").send().await.expect(200).text();
    assert!(repository.contains("href=\"/alice/demo/tags\""), "the page is linked to");
}

#[tokio::test]
async fn versions_are_compared_by_their_tags() {
    let scene = Scene::new().await;
    let [first, second] = &scene.commits;
    for (name, commit) in
        [("v1", first), ("v2/ü", second), ("v1.0", second), ("twice", first), ("twice", second)]
    {
        let _ = scene.make(name, commit).await.expect(201);
    }
    let compare = async |range: &str| scene.app.get(&format!("/alice/demo/compare/{range}")).send().await;
    for range in ["v1...v2/%C3%BC", "v1...main", &format!("{first}...v1.0")] {
        let html = compare(range).await.expect(200).text();
        assert!(html.contains("1 commit ahead, 0 behind") && html.contains("second"), "{range}: {html}");
    }
    let several = compare("twice...main").await.expect(404).text();
    assert!(several.contains("several commits have that tag"), "{several}");
    let absent = compare("v...main").await.expect(404).text();
    assert!(absent.contains("no such branch, commit or tag"), "{absent}");
    // A branch that is called like a tag is the branch.
    let _ = scene.make("main", first).await.expect(201);
    let html = compare("v1...main").await.expect(200).text();
    assert!(html.contains("1 commit ahead"), "{html}");
}

#[tokio::test]
async fn the_page_of_a_hidden_repository_is_the_page_of_an_absent_one() {
    let scene = Scene::new().await;
    drop(scene.app.private_repository("alice", "secret").await);
    let page = async |slug: &str| {
        let path = format!("/alice/{slug}/tags");
        scene.app.get(&path).header("accept", "text/html").send().await.expect(404)
    };
    let (hidden, absent) = (page("secret").await, page("absent").await);
    assert_eq!(hidden.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(hidden.body, absent.body);
}
