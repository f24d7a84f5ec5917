//! Pages as a reader's browser gets them.

use std::collections::{BTreeMap, BTreeSet};

use musehub_test_support::history::write;
use musehub_test_support::record::set;
use musehub_test_support::{Answer, History, TestApp};

/// Text that would be markup if it came out as it went in.
const MARKUP: &str = "\"'><xss onload=alert(1)>&{{7919*7907}}{% raw %}";

async fn page(app: &TestApp, path: &str) -> String {
    let answer = app.get(path).send().await.expect(200);
    assert_page(&answer, path);
    answer.text()
}

#[track_caller]
fn assert_page(answer: &Answer, path: &str) {
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
    assert_eq!(answer.header("x-frame-options"), "DENY", "{path}");
    assert!(!answer.header("referrer-policy").is_empty(), "{path}");
    let policy = answer.header("content-security-policy");
    assert!(
        policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
        "{policy}"
    );
    assert!(!policy.contains("unsafe") && !policy.contains("http") && !policy.contains('*'), "{policy}");
    let html = answer.text();
    assert!(html.starts_with("<!doctype html>") && html.trim_end().ends_with("</html>"), "{path}");
    assert!(!html.contains("<script") && !html.contains(" style=") && !html.contains("<style"), "{path}");
    for markup in ["<xss", "62615533", "\"'>", " onload=alert(1)\""] {
        if let Some(at) = html.find(markup) {
            let around: String = html[at..].chars().take(200).collect();
            panic!("{path}: {around}");
        }
    }
}

/// The addresses that a page links to, as a browser reads them.
fn links(html: &str) -> BTreeSet<String> {
    let hrefs = html.split("href=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    hrefs.map(|(href, _)| href.replace("&amp;", "&")).collect()
}

/// Whole ids of commits, in the order in which a page shows them.
fn commit_ids(html: &str) -> Vec<String> {
    let titles = html.split("<code class=\"id\" title=\"sha256:").skip(1);
    titles.map(|rest| rest[..64].to_owned()).collect()
}

fn python() -> History {
    let mut history = History::new();
    history.commit("main", "one", |tree| {
        write(tree, "pkg/__init__.py", "");
        write(tree, "pkg/a.py", "def here():\n    return 1\n");
        write(tree, "main.py", "from pkg.a import here\n");
        write(tree, "README.md", "# read me\n");
    });
    history
}

/// Follows every link from the first page on; all of them must lead somewhere.
async fn crawl(app: &TestApp) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    let mut dead = BTreeSet::new();
    let mut pending = vec!["/".to_owned()];
    while let Some(path) = pending.pop() {
        let answer = app.get(&path).send().await;
        if answer.status != 200 {
            dead.insert(path);
            continue;
        }
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        assert_page(&answer, &path);
        for link in links(&answer.text()) {
            let link = match link.strip_prefix('?') {
                Some(query) => format!("{}?{query}", path.split('?').next().unwrap()),
                None => link.split('#').next().unwrap().to_owned(),
            };
            if !link.is_empty() && seen.insert(link.clone()) {
                assert!(link.starts_with('/'), "{path} links to {link}");
                pending.push(link);
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere: {dead:?}");
    seen
}

#[tokio::test]
async fn every_link_of_an_empty_repository_leads_somewhere() {
    let app = TestApp::new().await;
    app.repository("alice", "empty").await;
    crawl(&app).await;
}

#[tokio::test]
async fn every_page_and_every_link_of_every_page_is_there() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = python();
    let root = history.head("main").to_owned();
    for name in
        ["feature/x/y", "with space", "ünï/cödé 中", "50%", "a+b", "q?a=b&c#d", "semi;colon", "@{u}", "~^:*["]
    {
        history.branch(name, &root);
        history.commit_file(name, &format!("on {name}"), "f.py");
    }
    for at in 0..40 {
        history.commit_file("main", &format!("commit {at}"), "f.txt");
    }
    history.commit("main", "break", |tree| {
        for at in 0..45 {
            write(tree, &format!("broken{at}.py"), format!("from pkg.a import gone{at}\n"));
        }
    });
    client.push(&history, "main", false).await.unwrap();
    for branch in history.branches.keys() {
        client.push(&history, branch, false).await.unwrap();
    }
    app.run_jobs().await;
    let seen = crawl(&app).await;
    for name in history.branches.keys() {
        let of_it = |link: &&String| link.starts_with("/alice/demo/commits/");
        let found = seen.iter().filter(of_it).any(|link| {
            let decoded =
                percent_encoding::percent_decode_str(&link["/alice/demo/commits/".len()..]).decode_utf8();
            decoded.unwrap() == *name
        });
        assert!(found, "no page links to {name}");
    }
    assert!(seen.iter().any(|link| link.contains("page=3")), "{seen:?}");
    assert!(seen.iter().any(|link| link.contains("cursor=")), "{seen:?}");
}

#[tokio::test]
async fn a_branch_is_found_however_its_name_is_encoded() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit_file("main", "root", "a");
    history.commit_file("ünï/with space", "on the other branch", "b");
    client.push(&history, "main", false).await.unwrap();
    client.push(&history, "ünï/with space", false).await.unwrap();
    for path in ["%C3%BCn%C3%AF/with%20space", "%c3%bcn%c3%af%2Fwith%20space", "%C3%BCn%C3%AF/with%20space/"]
    {
        let html = page(&app, &format!("/alice/demo/commits/{path}")).await;
        assert!(html.contains("on the other branch"), "{path}");
    }
    for path in ["nothing", "main/x", "MAIN", "%C3%BC", "..%2f..", "main%00", "%ff", "main%0a"] {
        let answer = app.get(&format!("/alice/demo/commits/{path}")).send().await;
        assert_eq!(answer.status, 404, "{path}");
    }
}

#[tokio::test]
async fn what_pushers_write_comes_out_as_text() {
    let app = TestApp::new().await;
    let token = app.token("alice").await;
    let body = serde_json::json!({"name": "demo", "description": MARKUP});
    let _ = app.post("/api/v1/repos").bearer(&token).json(&body).send().await.expect(201);
    let mut client = app.client("alice", "demo", Some("alice")).await;
    let mut history = python();
    history.branches.clear();
    let branch = format!("main{MARKUP}");
    history.commit(&branch, MARKUP, |tree| {
        write(tree, &format!("{MARKUP}.txt"), "x");
        write(tree, &format!("{MARKUP}/other/x.txt"), "import os\n");
        // The detector leaves templates alone, and takes braces for a sign of one.
        let script = MARKUP.split("{{").next().unwrap();
        write(tree, &format!("{script}.py"), "from pkg.a import gone\nimport pkg.ünbekannt\n");
        write(tree, "pkg/__init__.py", "");
        write(tree, "pkg/a.py", "");
    });
    let head = history.head(&branch).to_owned();
    let record = history.commits.get_mut(&head).unwrap();
    set(record, "author", MARKUP);
    set(record, "agent_id", MARKUP);
    client.push(&history, &branch, false).await.unwrap();
    app.run_jobs().await;

    let encoded = percent_encoding::utf8_percent_encode(&branch, percent_encoding::NON_ALPHANUMERIC);
    let mut all = String::new();
    for path in [
        "/".to_owned(),
        "/alice/demo".to_owned(),
        format!("/alice/demo/commits/{encoded}"),
        "/alice/demo/intel".to_owned(),
        "/alice/demo/intel/breakage".to_owned(),
    ] {
        let html = page(&app, &path).await;
        assert!(html.contains("&lt;xss"), "{path}");
        all.push_str(&html);
    }
    assert!(
        all.contains("gone") && all.contains("ünbekannt"),
        "the findings are shown: {}",
        &all[all.len() - 3000..]
    );
    let clone = client.clone_repository().await.unwrap();
    assert_eq!(clone.tree(&head), history.tree(&head));
}

#[tokio::test]
async fn what_readers_send_comes_out_as_text_or_not_at_all() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = python();
    history.commit("main", "break", |tree| write(tree, "b.py", "from pkg.a import gone\n"));
    client.push(&history, "main", false).await.unwrap();
    app.run_jobs().await;
    let encode = |text: &str| {
        percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
    };
    let odd: Vec<String> = [
        MARKUP,
        "' OR '1'='1",
        "'; DROP TABLE breakage_issues; --",
        "1; SELECT 1",
        "%27",
        "\0",
        "-1",
        "0",
        "99999999999999999999",
        "NaN",
        "",
    ]
    .map(encode)
    .into();
    let before = page(&app, "/alice/demo/intel/breakage").await;
    for value in &odd {
        for path in [
            format!("/?cursor={value}"),
            format!("/?cursor=alice%2F{value}"),
            format!("/alice/demo?x={value}"),
            format!("/alice/demo/commits/main?cursor={value}"),
            format!("/alice/demo/intel?{value}={value}"),
            format!("/alice/demo/intel/breakage?issue_type={value}"),
            format!("/alice/demo/intel/breakage?severity={value}&top={value}&page={value}"),
        ] {
            let html = page(&app, &path).await;
            if path.contains("/intel/breakage") {
                assert_eq!(html, before, "{path}");
            }
        }
        let answer = app.get(&format!("/alice/demo/commits/{value}x")).send().await.expect(404);
        assert_page(&answer, value);
        let answer = app.get(&format!("/{value}x/{value}")).send().await;
        assert_eq!(answer.status, 404, "{value}");
    }
    for host in [MARKUP, "evil.example/path", "a b", "x\">"] {
        let html = app.get("/alice/demo").header("host", host).send().await.expect(200);
        assert_page(&html, host);
        assert!(!html.text().contains("evil.example/path"));
    }
    assert!(
        app.get("/alice/demo")
            .header("host", "hub.example:8443")
            .send()
            .await
            .text()
            .contains("hub.example:8443")
    );
}

#[tokio::test]
async fn pages_that_cannot_be_shown_are_pages_too() {
    let app = TestApp::new().await;
    app.private_repository("alice", "secret").await;
    app.repository("alice", "open").await;
    for path in [
        "/alice/secret",
        "/alice/secret/commits/main",
        "/alice/secret/intel",
        "/alice/secret/intel/breakage",
        "/alice/absent",
        "/alice/absent/intel/breakage",
        "/alice/open/commits/absent",
    ] {
        let answer = app.get(path).send().await.expect(404);
        assert_page(&answer, path);
        assert!(answer.text().contains("404"), "{path}");
    }
    let answer = app.request("HEAD", "/alice/open").send().await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn an_empty_repository_says_how_to_push() {
    let app = TestApp::new().await;
    app.repository("alice", "demo").await;
    let html = app.get("/alice/demo").header("host", "hub.example").send().await.expect(200).text();
    assert!(html.contains("muse remote add origin http://hub.example/alice/demo"), "{html}");
    for path in ["/alice/demo/intel", "/alice/demo/intel/breakage"] {
        assert!(page(&app, path).await.contains("No scan yet"), "{path}");
    }
}

#[tokio::test]
async fn the_breakage_page_tells_its_states_apart() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = python();
    client.push(&history, "main", false).await.unwrap();
    let html = page(&app, "/alice/demo/intel/breakage").await;
    assert!(html.contains("Scan waiting its turn") && !html.contains("No structural breakage"), "{html}");

    app.run_jobs().await;
    let html = page(&app, "/alice/demo/intel/breakage").await;
    assert!(html.contains("No structural breakage detected") && !html.contains("No scan yet"), "{html}");
    assert!(page(&app, "/alice/demo").await.contains("clean"));

    history.commit("main", "break", |tree| {
        write(tree, "b.py", "import os\nfrom pkg.a import gone\nimport pkg.absent\n");
    });
    client.push(&history, "main", false).await.unwrap();
    let html = page(&app, "/alice/demo/intel/breakage").await;
    assert!(html.contains("a newer scan is pending"), "{html}");
    assert!(html.contains("No structural breakage detected"), "the last result stays: {html}");

    app.run_jobs().await;
    let html = page(&app, "/alice/demo/intel/breakage").await;
    let chips: Vec<&str> = html
        .split("class=\"bk-stat-val\">")
        .skip(1)
        .filter_map(|rest| rest.split_once('<'))
        .map(|(number, _)| number)
        .collect();
    assert_eq!(chips, ["2", "1", "1", "4"], "total, warnings, errors, files");
    assert!(html.contains("b.py<span class=\"bk-line\">:2</span>"), "{html}");
    assert!(html.contains("b.py<span class=\"bk-line\">:3</span>"), "{html}");
    assert!(html.contains("stale_import") && html.contains("gone"), "{html}");
    let scanned = &format!("sha256:{}", history.head("main"));
    assert!(html.contains(scanned), "{html}");
    let dashboard = page(&app, "/alice/demo/intel").await;
    assert!(dashboard.contains("gone") && dashboard.contains("pkg.absent"), "{dashboard}");
}

#[tokio::test]
async fn findings_are_filtered_and_shown_page_by_page() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = python();
    history.commit("main", "break", |tree| {
        for at in 0..45 {
            write(tree, &format!("w{at:02}.py"), format!("from pkg.a import gone{at}\n"));
        }
        for at in 0..7 {
            write(tree, &format!("e{at:02}.py"), format!("import pkg.absent{at}\n"));
        }
    });
    client.push(&history, "main", false).await.unwrap();
    app.run_jobs().await;
    let rows = async |query: &str| -> Vec<String> {
        let html = page(&app, &format!("/alice/demo/intel/breakage{query}")).await;
        let files = html.split("<span class=\"bk-name\">").skip(1);
        files.filter_map(|rest| rest.split_once('<')).map(|(name, _)| name.to_owned()).collect()
    };
    let all = rows("?top=100").await;
    assert_eq!(all.len(), 52);
    assert!(all.is_sorted());
    let mut paged = Vec::new();
    for at in 1..=3 {
        paged.extend(rows(&format!("?page={at}")).await);
    }
    assert_eq!(paged, all);
    assert!(rows("?page=4").await.is_empty() && rows("?page=1000000").await.is_empty());
    assert_eq!(rows("?severity=error").await.len(), 7);
    assert_eq!(rows("?severity=warning&top=50").await.len(), 45);
    assert_eq!(rows("?issue_type=stale_import&top=50").await.len(), 45);
    assert_eq!(rows("?issue_type=stale_import&severity=error").await.len(), 0);
    for invalid in [
        "?top=7",
        "?top=-1",
        "?top=",
        "?page=0",
        "?page=x",
        "?severity=fatal",
        "?issue_type=x",
        "?top=1e3",
        "?&&=&",
    ] {
        assert_eq!(rows(invalid).await, all[..20], "{invalid}");
    }
}

#[tokio::test]
async fn a_history_is_shown_page_by_page_and_each_commit_once() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    history.commit_file("main", "root", "a");
    // A line with a side line that is merged now and then.
    for at in 0..24 {
        history.commit_file("main", &format!("main {at}"), "a");
        let from = history.head("main").to_owned();
        history.branch("side", &from);
        history.commit_file("side", &format!("side {at}"), "b");
        if at % 2 == 0 {
            history.commit_file("main", &format!("more {at}"), "c");
            history.merge("main", "side");
        }
    }
    client.push(&history, "main", false).await.unwrap();
    let expected: BTreeSet<String> =
        history.walk(history.head("main"), &BTreeSet::new()).into_iter().collect();
    assert!(expected.len() > 60, "{}", expected.len());

    let mut shown = Vec::new();
    let mut next = Some("/alice/demo/commits/main".to_owned());
    let mut pages = 0;
    while let Some(path) = next {
        let html = page(&app, &path).await;
        shown.extend(commit_ids(&html));
        next = links(&html).into_iter().find(|link| link.contains("cursor="));
        pages += 1;
        assert!(pages < 10, "the pages do not end");
    }
    assert_eq!(shown.len(), expected.len());
    assert_eq!(shown.iter().cloned().collect::<BTreeSet<_>>(), expected);
    assert_eq!(shown[0], history.head("main"));
    let at: BTreeMap<&String, usize> = shown.iter().enumerate().map(|(at, id)| (id, at)).collect();
    for id in &shown {
        for parent in musehub_test_support::history::parents(history.record(id)) {
            assert!(at[&parent] > at[id], "{parent} is older than {id}");
        }
    }
    assert!(pages == 3, "{pages}");
    // A cursor that is no commit of this branch shows a page all the same.
    for cursor in ["f".repeat(64), history.head("side").to_owned()] {
        page(&app, &format!("/alice/demo/commits/main?cursor={cursor}")).await;
    }
}

#[tokio::test]
async fn the_list_of_repositories_is_shown_page_by_page() {
    let app = TestApp::new().await;
    for at in 0..65 {
        app.repository(["alice", "bob"][at % 2], &format!("repo-{at}")).await;
        if at % 5 == 0 {
            app.private_repository("carol", &format!("secret-{at}")).await;
        }
    }
    let mut seen = Vec::new();
    let mut next = Some("/".to_owned());
    while let Some(path) = next {
        let html = page(&app, &path).await;
        let links = links(&html);
        seen.extend(links.iter().filter(|link| link.contains("repo-") && !link.contains("cursor")).cloned());
        assert!(!html.contains("carol"), "{path}");
        next = links.into_iter().find(|link| link.contains("cursor="));
    }
    assert_eq!(seen.len(), 65);
    assert_eq!(seen.iter().collect::<BTreeSet<_>>().len(), 65);
}

#[tokio::test]
async fn a_large_repository_has_a_page() {
    let app = TestApp::new().await;
    let mut client = app.repository("alice", "demo").await;
    let mut history = History::new();
    let root = history.commit("main", &"m".repeat(100_000), |tree| {
        for at in 0..1500 {
            write(tree, &format!("{at}-{}", "n".repeat(150)), "");
            write(tree, &format!("d{at}/x"), "");
        }
    });
    client.push(&history, "main", false).await.unwrap();
    for at in 0..210 {
        let name = format!("b{at}/{}", "n".repeat(240));
        history.branch(&name, &root);
        client.push_bundle(&history.whole("main"), &name, false).await.unwrap();
    }
    for at in 0..40 {
        history.commit_file("main", &format!("{at} {}", "w ".repeat(2_000)), "f");
    }
    client.push(&history, "main", false).await.unwrap();
    for path in
        ["/", "/alice/demo", "/alice/demo/commits/main", "/alice/demo/intel", "/alice/demo/intel/breakage"]
    {
        let html = page(&app, path).await;
        assert!(html.len() < 2_000_000, "{path}: {}", html.len());
    }
}

#[tokio::test]
async fn assets_are_served_with_their_types_and_kept_for_long() {
    let app = TestApp::new().await;
    let html = page(&app, "/").await;
    let assets: Vec<String> = links(&html).into_iter().filter(|link| link.starts_with("/static/")).collect();
    assert!(assets.len() >= 2, "{assets:?}");
    for asset in assets {
        let answer = app.get(&asset).send().await.expect(200);
        let kind = answer.header("content-type");
        assert!(kind.starts_with("text/css") || kind == "image/svg+xml", "{asset}: {kind}");
        assert!(answer.header("cache-control").contains("immutable"), "{asset}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
}
