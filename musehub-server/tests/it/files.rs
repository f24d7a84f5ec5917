//! Folders, files in colour and their bytes, whatever a pusher put into them.

use musehub_test_support::history::{noise, write};
use musehub_test_support::{Answer, History, TestApp};

struct Site {
    app: TestApp,
    history: History,
}

impl Site {
    async fn new(files: &[(&str, &[u8])]) -> Self {
        let app = TestApp::new().await;
        let mut client = app.repository("alice", "demo").await;
        let mut history = History::new();
        history.commit("main", "files", |tree| {
            for (path, content) in files {
                write(tree, path, content.to_vec());
            }
        });
        history.fork("feature/deep/branch", "main");
        history.commit_file("feature/deep/branch", "on the side", "side.txt");
        client.push(&history, "main", false).await.unwrap();
        client.push(&history, "feature/deep/branch", false).await.unwrap();
        Self { app, history }
    }

    async fn get(&self, path: &str) -> Answer {
        self.app.get(&format!("/alice/demo/{path}")).send().await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await.expect(200);
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        answer.text()
    }
}

#[tokio::test]
async fn a_file_is_shown_in_colour_with_an_anchor_for_each_line() {
    let source = b"# note\nfrom os import path\n\ndef start():\n    return '<b>'\n";
    let site = Site::new(&[("pkg/sub/a.py", source)]).await;
    let html = site.page("blob/main/pkg/sub/a.py").await;
    for line in 1..=5 {
        assert!(html.contains(&format!(
            "<span class=\"code-line\" id=\"L{line}\"><a class=\"code-no\" href=\"#L{line}\""
        )));
    }
    assert!(!html.contains("id=\"L6\""));
    assert!(html.contains("<span class=\"hl-comment\"># note</span>"), "{html}");
    assert!(html.contains("<span class=\"hl-function\">start</span>"));
    assert!(html.contains("&lt;b&gt;") && !html.contains("<b>"));
    assert!(html.contains("5 lines") && html.contains("Python"));
    for crumb in ["/alice/demo/tree/main", "/alice/demo/tree/main/pkg", "/alice/demo/tree/main/pkg/sub"] {
        assert!(html.contains(&format!("href=\"{crumb}\"")), "{crumb}");
    }
}

#[tokio::test]
async fn a_version_is_a_branch_with_slashes_or_a_commit() {
    let site = Site::new(&[("pkg/a.py", b"x = 1\n")]).await;
    let head = site.history.head("main").to_owned();
    for version in
        ["main", "feature/deep/branch", "feature%2Fdeep%2Fbranch", &head, &format!("sha256:{head}")]
    {
        assert!(site.page(&format!("blob/{version}/pkg/a.py")).await.contains("id=\"L1\""), "{version}");
        assert!(site.page(&format!("tree/{version}/pkg")).await.contains("a.py"), "{version}");
        assert!(site.page(&format!("tree/{version}")).await.contains("/pkg\""), "{version}");
    }
    assert!(site.page("blob/feature/deep/branch/side.txt").await.contains("on the side"));
    let absent = "f".repeat(64);
    for path in [
        "blob/main/absent.py",
        "blob/main/pkg",
        "blob/main",
        "blob/feature/deep/pkg/a.py",
        "blob/mainly/pkg/a.py",
        &format!("blob/{absent}/pkg/a.py"),
        "blob/main/../main/pkg/a.py",
        "blob/main/pkg%2F..%2Fpkg%2Fa.py",
        "blob/main/pkg//a.py",
        "blob/main/%00",
        "blob/main/%ff",
        "tree/main/pkg/a.py",
        "tree/main/pk",
        "tree/absent",
        "raw/main/pkg",
    ] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn a_commit_of_another_repository_is_not_shown() {
    let site = Site::new(&[("a.py", b"x = 1\n")]).await;
    let mut other = site.app.private_repository("alice", "secret").await;
    let mut history = History::new();
    let commit = history.commit_file("main", "secret", "hidden.py");
    other.push(&history, "main", false).await.unwrap();
    for path in ["blob", "raw"] {
        assert_eq!(site.get(&format!("{path}/{commit}/hidden.py")).await.status, 404);
        let theirs = format!("/alice/secret/{path}/main/hidden.py");
        assert_eq!(site.app.get(&theirs).send().await.status, 404);
        let token = site.app.token("alice").await;
        assert_eq!(site.app.get(&theirs).bearer(&token).send().await.status, 200);
    }
}

#[tokio::test]
async fn what_is_no_text_is_said_and_not_shown() {
    let large = vec![b'a'; (1 << 20) + 1];
    let lines = vec![b'\n'; 20_001];
    let files: [(&str, &[u8]); 6] = [
        ("empty.py", b""),
        ("image.png", b"\x89PNG\r\n\x1a\n\0\0\0"),
        ("large.txt", &large),
        ("lines.txt", &lines),
        ("latin.py", b"name = 'caf\xe9'\n"),
        ("turned.py", "x = '\u{202e}'\n".as_bytes()),
    ];
    let site = Site::new(&files).await;
    for (path, sentence) in [
        ("empty.py", "An empty file"),
        ("image.png", "A binary file"),
        ("large.txt", "Too large to show"),
        ("lines.txt", "Too large to show"),
        ("latin.py", "not UTF-8"),
        ("turned.py", "turn the direction of text"),
    ] {
        let html = site.page(&format!("blob/main/{path}")).await;
        assert!(html.contains(sentence), "{path}: {html}");
        assert!(html.contains(&format!("/alice/demo/raw/main/{path}")), "{path}");
        assert!(html.len() < 100_000, "{path}");
    }
    assert!(site.page("blob/main/latin.py").await.contains("caf\u{fffd}"));
}

#[tokio::test]
async fn code_that_is_hostile_to_a_highlighter_costs_bounded_work() {
    let minified = format!("var a={};\n", "[".repeat(400_000)).into_bytes();
    let nested = format!("{}\n", "{\"a\":[".repeat(250)).repeat(300).into_bytes();
    let quotes = "'\"`\\".repeat(450).into_bytes().repeat(60);
    let spaces = format!("x{}!\n", " ".repeat(1_900)).repeat(200).into_bytes();
    let markdown = "*_`[".repeat(400).into_bytes().repeat(20);
    let random = noise(7, 300_000).iter().map(|byte| byte | 1).collect::<Vec<u8>>();
    let files: [(&str, &[u8]); 6] = [
        ("a.js", &minified),
        ("b.json", &nested),
        ("c.py", &quotes),
        ("d.rb", &spaces),
        ("e.md", &markdown),
        ("f.html", &random),
    ];
    let site = Site::new(&files).await;
    for (path, _) in files {
        let html = site.page(&format!("blob/main/{path}")).await;
        assert!(html.contains("id=\"L1\""), "{path}");
    }
}

#[tokio::test]
async fn bytes_are_served_so_that_no_browser_runs_them() {
    let html = b"<script>alert(1)</script>";
    let site = Site::new(&[("x/a b\"ü;.html", html), ("empty", b"")]).await;
    let answer = site.get("raw/main/x/a%20b%22%C3%BC%3B.html").await.expect(200);
    assert_eq!(answer.body.as_ref(), html);
    assert_eq!(answer.header("content-type"), "application/octet-stream");
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("content-length"), html.len().to_string());
    let disposition = answer.header("content-disposition");
    assert_eq!(disposition, "attachment; filename*=UTF-8''a%20b%22%C3%BC%3B%2Ehtml");
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("sandbox") && policy.starts_with("default-src 'none'"), "{policy}");
    assert!(site.get("raw/main/empty").await.expect(200).body.is_empty());
}

#[tokio::test]
async fn folders_list_what_is_in_them() {
    let site = Site::new(&[
        ("README.md", b"# x\n"),
        ("pkg/__init__.py", b""),
        ("pkg/a.py", b"x\n"),
        ("pkg/sub/b.py", b""),
        ("pkg-other/c.py", b""),
    ])
    .await;
    let html = site.page("tree/main/pkg").await;
    for link in [
        "/alice/demo/tree/main/pkg/sub",
        "/alice/demo/blob/main/pkg/a.py",
        "/alice/demo/blob/main/pkg/__init__.py",
    ] {
        assert!(html.contains(&format!("href=\"{link}\"")), "{link}: {html}");
    }
    assert!(!html.contains("c.py") && !html.contains("README"));
    let home = site.app.get("/alice/demo").send().await.expect(200).text();
    for link in ["/alice/demo/tree/main/pkg", "/alice/demo/blob/main/README.md"] {
        assert!(home.contains(&format!("href=\"{link}\"")), "{link}");
    }
}
