//! The pages of a commit, of two versions beside each other and of branches, whatever a pusher put into them.

use std::collections::BTreeSet;

use musehub_core::hub::{Need, RepositoryChange, Viewer};
use musehub_core::settings::{BranchPattern, BranchProtection, Protection, RepositorySettings};
use musehub_core::{Handle, Slug};
use musehub_test_support::history::write;
use musehub_test_support::record::{map, set, texts};
use musehub_test_support::{Answer, History, MuseClient, TestApp};

struct Site {
    app: TestApp,
    client: MuseClient,
    history: History,
}

impl Site {
    async fn new() -> Self {
        let app = TestApp::new().await;
        let client = app.repository("alice", "demo").await;
        Self { app, client, history: History::new() }
    }

    /// Commits files, and pushes the branch.
    async fn push(&mut self, branch: &str, message: &str, files: &[(&str, &[u8])]) -> String {
        let commit = self.history.commit(branch, message, |tree| {
            for (path, content) in files {
                write(tree, path, content.to_vec());
            }
        });
        self.client.push(&self.history, branch, false).await.unwrap();
        commit
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

/// The text of a page between tags, without markup.
fn text_of(html: &str) -> String {
    let pieces = html.split('<').filter_map(|piece| piece.split_once('>').map(|(_, text)| text));
    let text = pieces.collect::<String>();
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

fn headings(html: &str) -> Vec<String> {
    let headings = html.split("<h3 class=\"diff-path\">").skip(1);
    headings
        .filter_map(|rest| rest.split_once("</h3>"))
        .map(|(path, _)| text_of(&format!("<h3>{path}")))
        .collect()
}

#[tokio::test]
async fn a_commit_is_shown_with_its_message_its_parents_and_what_it_changed() {
    let mut site = Site::new().await;
    let first =
        site.push("main", "first", &[("a.py", b"def a():\n    return 1\n"), ("old.txt", b"same\n")]).await;
    let second = site.history.commit("main", "Return two\n\nBecause one was <not> enough.", |tree| {
        write(tree, "a.py", "def a():\n    return 2\n");
        write(tree, "b.py", "\"\"\"several\nlines\"\"\"\n");
        let moved = tree.remove("old.txt").unwrap();
        tree.insert("docs/new.txt".into(), moved);
    });
    site.client.push(&site.history, "main", false).await.unwrap();

    let html = site.page(&format!("commits/{second}")).await;
    assert!(html.contains("<h1 class=\"commit-title\">Return two</h1>"), "{html}");
    assert!(html.contains("Because one was &lt;not&gt; enough.") && html.contains("alice"));
    assert!(html.contains(&format!("/alice/demo/commits/sha256%3A{first}")), "{html}");
    assert!(html.contains(&format!("/alice/demo/tree/sha256%3A{second}")));
    assert_eq!(headings(&html), ["a.py", "b.py", "old.txt→docs/new.txt"]);
    assert!(html.contains("3 changed files") && html.contains("1 moved"));
    assert!(html.contains("return</span> <span class=\"hl-number diff-word\">1</span>"), "{html}");
    assert!(html.contains("<span class=\"hl-comment\">lines&quot;&quot;&quot;</span>"), "{html}");
    assert!(html.contains("moved without changes") && html.contains("@@ -1,2 +1,2 @@"));

    let split = site.page(&format!("commits/sha256:{second}?view=split")).await;
    assert!(split.contains("diff--split") && split.contains("diff-none"), "{split}");
    let only = site.page(&format!("commits/{second}?file=b.py")).await;
    assert_eq!(headings(&only), ["b.py"]);
    assert!(site.page(&format!("commits/{second}?file=c.py")).await.contains("Nothing changed there"));
    for odd in ["?view=x&page=0", "?page=x&file=../x", "?view=&file=", "?page=99999999999999999999"] {
        assert_eq!(headings(&site.page(&format!("commits/{second}{odd}")).await).len(), 3, "{odd}");
    }
    assert!(site.page(&format!("commits/{second}?page=7")).await.contains("Past the end"));

    let root = site.page(&format!("commits/{first}")).await;
    assert!(root.contains("the first commit of its history") && root.contains("2 added"));
    for absent in ["?parent=2", "?parent=0", "?parent=x"] {
        assert_eq!(site.get(&format!("commits/{second}{absent}")).await.status, 404, "{absent}");
    }
}

#[tokio::test]
async fn a_merge_is_compared_with_the_parent_that_is_asked_for() {
    let mut site = Site::new().await;
    let base = site.push("main", "base", &[("a", b"1\n")]).await;
    site.history.branch("side", &base);
    site.push("side", "side", &[("side", b"s\n")]).await;
    site.push("main", "ours", &[("main", b"m\n")]).await;
    let merge = site.history.merge("main", "side");
    site.client.push(&site.history, "main", false).await.unwrap();
    assert_eq!(headings(&site.page(&format!("commits/{merge}")).await), ["side"]);
    let second = site.page(&format!("commits/{merge}?parent=2")).await;
    assert_eq!(headings(&second), ["main"]);
    assert!(second.contains("?parent=2&amp;view=split"), "{second}");
    assert_eq!(site.get(&format!("commits/{merge}?parent=3")).await.status, 404);
}

#[tokio::test]
async fn what_was_recorded_about_a_commit_is_shown_and_no_signature_is_called_verified() {
    let mut site = Site::new().await;
    let commit = site.history.commit("main", "made", |tree| write(tree, "a", "1\n"));
    let record = site.history.commits.get_mut(&commit).unwrap();
    for (field, text) in [
        ("agent_id", "agent-<7>"),
        ("model_id", "model-8"),
        ("toolchain_id", "toolchain-9"),
        ("prompt_hash", "c0ffee"),
        ("sem_ver_bump", "major"),
        ("signer_key_id", "630dcd2966c43366"),
    ] {
        set(record, field, text);
    }
    set(record, "signature", "2a".repeat(32));
    set(record, "reviewed_by", texts(["grace", "<script>alert(1)</script>"]));
    set(record, "breaking_changes", texts(["a.f"]));
    set(record, "test_runs", 1234);
    set(record, "metadata", map([("section", "\"quoted\"".into())]));
    site.client.push(&site.history, "main", false).await.unwrap();
    let html = site.page(&format!("commits/{commit}")).await;
    for said in [
        "agent-&lt;7&gt;",
        "model-8",
        "toolchain-9",
        "c0ffee",
        "grace",
        "1,234",
        "section",
        "&quot;quoted&quot;",
        "signed, unverifiable",
        "630dcd2966c43366",
        "Reported by the client",
        "bump--major",
        "a.f",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert!(!html.contains("erified") && !html.contains("<script"), "{html}");
}

#[tokio::test]
async fn texts_of_every_kind_are_compared_or_said_to_be_none() {
    let mut site = Site::new().await;
    let (large, lines) = (vec![b'a'; (1 << 20) + 1], vec![b'\n'; 20_001]);
    let huge_line = format!("x = '{}'\n", "y".repeat(900_000)).into_bytes();
    let long: Vec<u8> = (0..3_000).flat_map(|n| format!("{n}\n").into_bytes()).collect();
    let before: [(&str, &[u8]); 7] = [
        ("binary", b"\0\x01"),
        ("crlf", b"one\r\ntwo\r\n"),
        ("end", b"same\nlast"),
        ("latin", b"caf\xe9\nother\n"),
        ("turned", b"x\n"),
        ("emptied", b"x\n"),
        ("huge", b"x = ''\n"),
    ];
    site.push("main", "before", &before).await;
    let after: [(&str, &[u8]); 11] = [
        ("binary", b"\0\x02"),
        ("crlf", b"one\ntwo\r\n"),
        ("end", b"same\nlast\n"),
        ("latin", b"caf\xe8\nother\n"),
        ("turned", "x\n\u{202e}evil\n".as_bytes()),
        ("emptied", b""),
        ("huge", &huge_line),
        ("large", &large),
        ("lines", &lines),
        ("long", &long),
        ("new-and-empty", b""),
    ];
    let commit = site.push("main", "after", &after).await;
    let html = site.page(&format!("commits/{commit}")).await;
    let part = |path: &str| {
        let start = html.find(&format!("aria-label=\"{path}\"")).unwrap_or_else(|| panic!("{path}"));
        let rest = &html[start..];
        rest[..rest.find("</section>").unwrap()].to_owned()
    };
    for (path, said) in [
        ("binary", "binary"),
        ("crlf", "␍"),
        ("end", "no newline at the end"),
        ("latin", "not UTF-8"),
        ("turned", "turn the direction of text"),
        ("emptied", "-1</span>"),
        ("huge", "bytes more"),
        ("large", "too large to show"),
        ("lines", "too large to show"),
        ("long", "shown on a page of their own"),
        ("new-and-empty", "an empty file"),
    ] {
        assert!(part(path).contains(said), "{path}: {}", part(path));
    }
    assert_eq!(part("crlf").matches('␍').count(), 2, "the line that had one, and the one that has");
    assert!(html.len() < 200_000, "{}", html.len());
    let alone = site.page(&format!("commits/{commit}?file=long")).await;
    assert!(alone.contains("-R3000\"") && alone.contains("+3,000"), "{}", alone.len());
}

#[tokio::test]
async fn hostile_names_and_texts_stay_text() {
    let mut site = Site::new().await;
    let script = "<script>alert(1)</script>";
    let name = "\"><img src=x onerror=alert(1)>\u{202e}.py";
    let word = "w".repeat(5_000);
    let content = format!("{script}\n{word}\n'\"`\\\u{202e}\u{2066}\u{0}");
    let text = content.replace('\0', "");
    site.push("main", "first", &[(name, b"x\n"), ("deep/x.html", b"<b>\n")]).await;
    let message = format!("{script} {word}\n\n{script}\u{202e}{word}");
    let branch = "feature/<b>&'x";
    site.history.fork(branch, "main");
    let commit =
        site.push(branch, &message, &[(name, text.as_bytes()), ("deep/x.html", content.as_bytes())]).await;
    let encoded = "feature/%3Cb%3E%26%27x";
    for path in [
        format!("commits/{commit}"),
        format!("commits/{commit}?view=split"),
        format!("commits/{commit}?file=%22%3E%3Cimg"),
        format!("compare/main...{encoded}"),
        format!("compare/{encoded}...main"),
        "branches".into(),
    ] {
        let html = site.page(&path).await;
        assert!(
            !html.contains("<script") && !html.contains("<img src=x") && !html.contains("<b>"),
            "{path}: {html}"
        );
        assert!(!html.contains('\0'), "{path}");
    }
    let html = site.page(&format!("commits/{commit}")).await;
    assert!(
        html.contains("&lt;script&gt;alert(1)&lt;/script&gt;") && html.contains("&quot;&gt;&lt;img src=x")
    );
    let answer = site.get(&format!("commits/{commit}")).await;
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
}

#[tokio::test]
async fn a_commit_of_thousands_of_files_is_shown_page_by_page() {
    let mut site = Site::new().await;
    let commit = site.history.commit("main", "many", |tree| {
        for at in 0..5_000 {
            write(tree, &format!("{at:04}/{}.py", "n".repeat(100)), format!("x = {at}\n").repeat(40));
        }
    });
    site.client.push(&site.history, "main", false).await.unwrap();
    let mut seen = BTreeSet::new();
    for page in [1, 2, 99, 100] {
        let html = site.page(&format!("commits/{commit}?page={page}")).await;
        assert!(html.contains("5,000 changed files") && html.contains(&format!("page {page} of 100")));
        assert!(html.len() < 2_000_000, "{}", html.len());
        let shown = headings(&html);
        assert_eq!(shown.len(), 50);
        seen.extend(shown);
    }
    assert_eq!(seen.len(), 200);
    assert!(seen.iter().next_back().unwrap().starts_with("4999/"));
}

#[tokio::test]
async fn a_page_is_full_at_some_point_and_says_so() {
    let mut site = Site::new().await;
    let commit = site.history.commit("main", "long files", |tree| {
        for at in 0..20 {
            write(tree, &format!("{at:02}.txt"), format!("{at}\n").repeat(900));
        }
        for at in 0..20 {
            write(tree, &format!("large-{at}"), format!("{at} {}\n", "z".repeat(990)).repeat(1_000));
        }
    });
    site.client.push(&site.history, "main", false).await.unwrap();
    let html = site.page(&format!("commits/{commit}")).await;
    assert!(html.contains("this page is full"), "{html}");
    assert_eq!(html.matches("<table").count(), 4);
    assert!(html.len() < 2_000_000, "{}", html.len());
    assert!(site.page(&format!("commits/{commit}?file=19.txt")).await.contains("-R900\""));
}

#[tokio::test]
async fn code_that_is_hostile_to_a_highlighter_is_compared_in_bounded_work() {
    let mut site = Site::new().await;
    let nested = format!("{}\n", "{\"a\":[".repeat(250)).repeat(300).into_bytes();
    let quotes = format!("{}\n", "'\"`\\".repeat(450)).repeat(60).into_bytes();
    let spaces = format!("x{}!\n", " ".repeat(1_900)).repeat(200).into_bytes();
    let words = format!("{}\n", "a b ".repeat(240)).repeat(400).into_bytes();
    let others = format!("{}\n", "b a c ".repeat(160)).repeat(400).into_bytes();
    site.push("main", "before", &[("w.txt", &words), ("b.json", b"{}\n")]).await;
    let files: [(&str, &[u8]); 4] =
        [("b.json", &nested), ("c.py", &quotes), ("d.rb", &spaces), ("w.txt", &others)];
    let commit = site.push("main", "hostile", &files).await;
    for view in ["unified", "split"] {
        let html = site.page(&format!("commits/{commit}?view={view}")).await;
        assert_eq!(headings(&html), ["b.json", "c.py", "d.rb", "w.txt"]);
    }
}

#[tokio::test]
async fn versions_are_compared_from_their_common_ancestor() {
    let mut site = Site::new().await;
    let base = site.push("main", "base", &[("a.txt", b"1\n2\n3\n"), ("b.txt", b"b\n")]).await;
    site.history.branch("feature/deep/branch", &base);
    site.push("feature/deep/branch", "one", &[("c.txt", b"c\n")]).await;
    let head = site.push("feature/deep/branch", "two", &[("a.txt", b"1\n2\nthree\n")]).await;
    let html = site.page("compare/main...feature/deep/branch").await;
    assert!(
        html.contains("main need only move forward") && html.contains("2 commits ahead, 0 behind"),
        "{html}"
    );
    site.push("main", "meanwhile", &[("b.txt", b"B\n")]).await;

    let html = site.page("compare/main...feature%2Fdeep%2Fbranch").await;
    assert_eq!(headings(&html), ["a.txt", "c.txt"], "what main did meanwhile is no part of it");
    assert!(
        html.contains("merges into main without conflict") && html.contains("2 commits ahead, 1 behind"),
        "{html}"
    );
    assert!(html.contains(&format!("/alice/demo/commits/sha256%3A{base}")));
    assert!(html.contains("one") && html.contains("two") && !html.contains("meanwhile"));
    assert!(html.contains("/alice/demo/compare/feature/deep/branch...main"), "the other way round");
    assert_eq!(headings(&site.page("compare/feature/deep/branch").await), ["a.txt", "c.txt"]);
    assert_eq!(
        headings(&site.page(&format!("compare/{base}...sha256:{head}?view=split")).await),
        ["a.txt", "c.txt"]
    );
    assert!(site.page("compare/main...main").await.contains("Both are the same commit"));
    assert!(site.page(&format!("compare/main...{base}")).await.contains("there is nothing to merge"));

    site.push("main", "conflicting", &[("a.txt", b"1\n2\nTHREE\n")]).await;
    let html = site.page("compare/main...feature/deep/branch").await;
    assert!(
        html.contains("conflicts with main in 1 path")
            && html.contains("<code class=\"foreign\">a.txt</code>"),
        "{html}"
    );

    let mut other = History::new();
    other.commit_file("orphan", "alone", "o.txt");
    site.client.push(&other, "orphan", false).await.unwrap();
    let html = site.page("compare/main...orphan").await;
    assert!(html.contains("no commit in common") && html.contains("no common ancestor"), "{html}");

    let absent = "f".repeat(64);
    for path in [
        "compare/main...absent",
        "compare/absent...main",
        "compare/...",
        "compare/main...",
        &format!("compare/main...{absent}"),
        "compare/main..main",
    ] {
        assert_eq!(site.get(path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn branches_are_listed_with_how_far_they_are_from_the_default_one() {
    let mut site = Site::new().await;
    let base = site.push("main", "base", &[("a", b"1\n")]).await;
    site.push("main", "ahead of others", &[("a", b"2\n")]).await;
    site.history.branch("topic/x", &base);
    site.push("topic/x", "one", &[("b", b"1\n")]).await;
    site.push("topic/x", "two", &[("b", b"2\n")]).await;
    let html = site.page("branches").await;
    let text = text_of(&html).split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("2 ahead1 behind"), "{text}");
    assert!(html.contains("/alice/demo/compare/main...topic/x") && html.contains("2 in all"));
    assert!(
        html.find(">main</a>").unwrap() < html.find(">topic/x</a>").unwrap(),
        "the default branch comes first"
    );
    for at in 0..40 {
        let name = format!("many/{at:02}");
        site.history.branch(&name, &base);
        site.client.push_bundle(&site.history.whole("main"), &name, false).await.unwrap();
    }
    let mut names = BTreeSet::new();
    for page in 1..=2 {
        let html = site.page(&format!("branches?page={page}")).await;
        let links = html.split("class=\"file-link\" href=\"/alice/demo/tree/").skip(1);
        names.extend(links.map(|rest| rest[..rest.find('"').unwrap()].to_owned()));
    }
    assert_eq!(names.len(), 42);
    for odd in ["?page=0", "?page=3", "?page=x"] {
        assert!(site.page(&format!("branches{odd}")).await.contains("page 1 of 2"), "{odd}");
    }
    let (owner, slug) = (Handle::parse("alice").unwrap(), Slug::parse("demo").unwrap());
    let hub = &site.app.app.hub;
    let repo = hub.open(&owner, &slug, &Viewer::Anonymous, Need::Read).await.unwrap();
    let pattern = BranchPattern::parse("topic/*").unwrap();
    let protected = BranchProtection { pattern, protection: Protection::default() };
    let settings = RepositorySettings { protected_branches: vec![protected], ..repo.settings.clone() };
    let change = RepositoryChange { settings: Some(settings), ..RepositoryChange::default() };
    hub.update_repository(&repo, &change).await.unwrap();
    assert!(!html.contains("protected"));
    let marked = [site.page("branches").await, site.page("branches?page=2").await].concat();
    assert_eq!(marked.matches("protected</span>").count(), 1, "{marked}");

    let empty = TestApp::new().await;
    let _ = empty.repository("alice", "demo").await;
    assert!(empty.get("/alice/demo/branches").send().await.expect(200).text().contains("No branches yet"));
}

#[tokio::test]
async fn nobody_sees_the_changes_of_a_repository_that_is_not_theirs_to_see() {
    let mut site = Site::new().await;
    let ours = site.push("main", "ours", &[("a", b"1\n")]).await;
    let mut other = site.app.private_repository("alice", "secret").await;
    let mut history = History::new();
    let theirs = history.commit_file("main", "secret plans", "hidden.py");
    other.push(&history, "main", false).await.unwrap();
    let token = site.app.token("alice").await;
    let stranger = site.app.token("bob").await;
    for path in [format!("commits/{theirs}"), "compare/main...main".into(), "branches".into()] {
        let path = format!("/alice/secret/{path}");
        let absent = site.app.get("/alice/absent/branches").send().await;
        let refused = site.app.get(&path).send().await;
        assert_eq!((refused.status, refused.text()), (404, absent.text()), "{path}");
        assert_eq!(site.app.get(&path).bearer(&stranger).send().await.status, 404, "{path}");
        assert_eq!(site.app.get(&path).bearer(&token).send().await.status, 200, "{path}");
    }
    // Naming a commit of another repository shows nothing of it.
    for path in [
        format!("commits/{theirs}"),
        format!("compare/{ours}...{theirs}"),
        format!("compare/{theirs}...main"),
    ] {
        assert_eq!(site.get(&path).await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn pages_lead_to_commits_and_branches() {
    let mut site = Site::new().await;
    let first = site
        .push("main", "first", &[("a.py", b"def f():\n    pass\n"), ("b.py", b"from a import f\n")])
        .await;
    let head = site.push("main", "second", &[("a.py", b"def g():\n    pass\n")]).await;
    site.app.run_jobs().await;
    let commit = |id: &str| format!("href=\"/alice/demo/commits/sha256%3A{id}\"");
    for path in ["commits/main", "intel/breakage", "tree/main"] {
        assert!(site.page(path).await.contains(&commit(&head)), "{path}");
    }
    assert!(site.page("commits/main").await.contains(&commit(&first)));
    let home = site.app.get("/alice/demo").send().await.expect(200).text();
    assert!(home.contains(&commit(&head)) && home.contains("href=\"/alice/demo/branches\""));
}
