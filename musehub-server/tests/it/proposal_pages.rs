//! The pages of proposals, whatever people write into them.

use std::collections::BTreeSet;

use musehub_core::hub::proposals::{MergeProposal, Propose, ReviewKind, Said};
use musehub_core::hub::{Need, Viewer};
use musehub_core::port::{Proposal, RepositoryRecord};
use musehub_core::{BranchName, Handle, Slug};
use musehub_test_support::history::write;
use musehub_test_support::{Answer, History, MuseClient, TestApp};

const HOSTILE: &str =
    "<script>alert(1)</script> [x](javascript:alert(1)) <img src=x onerror=alert(1)> \"'\u{202e}";

struct Site {
    app: TestApp,
    client: MuseClient,
    history: History,
    repo: RepositoryRecord,
}

impl Site {
    /// A repository with `main` and a branch `topic` that changed a file.
    async fn new() -> Self {
        let app = TestApp::new().await;
        let client = app.repository("alice", "demo").await;
        let mut site = Self { repo: record(&app, "demo").await, app, client, history: History::new() };
        site.push("main", "base", "a.txt", "1\n2\n3\n").await;
        site.history.fork("topic", "main");
        site.push("topic", "change", "a.txt", "1\n2\nthree\n").await;
        site.repo = record(&site.app, "demo").await;
        site
    }

    async fn push(&mut self, branch: &str, message: &str, path: &str, content: &str) -> String {
        let content = content.to_owned();
        let commit = self.history.commit(branch, message, |tree| write(tree, path, content));
        self.client.push(&self.history, branch, false).await.unwrap();
        commit
    }

    async fn propose(&self, title: &str, source: &str, description: &str) -> Proposal {
        let propose = Propose {
            title: title.to_owned(),
            description: description.to_owned(),
            source: BranchName::parse(source).unwrap(),
            target: BranchName::parse("main").unwrap(),
            draft: false,
        };
        self.app.app.hub.proposals().create(&self.repo, &handle("alice"), propose).await.unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.app.get(&format!("/alice/demo/{path}")).send().await
    }

    async fn page(&self, path: &str) -> String {
        let html = self.get(path).await.expect(200).text();
        assert!(!html.contains("<script") && !html.contains("<img src=x"), "{path}: {html}");
        html
    }
}

async fn record(app: &TestApp, slug: &str) -> RepositoryRecord {
    let slug = Slug::parse(slug).unwrap();
    app.app.hub.open(&handle("alice"), &slug, &Viewer::Anonymous, Need::Read).await.unwrap()
}

fn handle(name: &str) -> Handle {
    Handle::parse(name).unwrap()
}

#[tokio::test]
async fn a_proposal_is_shown_with_its_commits_its_files_and_where_it_stands() {
    let mut site = Site::new().await;
    let number = site
        .propose("Spell it out", "topic", "Digits are hard.\nSee https://example.org/a?b=1.")
        .await
        .number;
    let head = site.history.head("topic").to_owned();
    let html = site.page(&format!("proposals/{number}")).await;
    for said in [
        "Spell it out",
        "#1",
        "alice",
        "proposed this",
        "Digits are hard.",
        "main need only move forward",
        "Nobody has reviewed this.",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    assert!(
        html.contains("<a href=\"https://example.org/a?b=1\" rel=\"nofollow noopener noreferrer ugc\">"),
        "{html}"
    );
    for tab in ["commits", "files", "conflicts"] {
        assert!(html.contains(&format!("href=\"/alice/demo/proposals/1/{tab}\"")), "{tab}");
    }
    let commits = site.page("proposals/1/commits").await;
    assert!(
        commits.contains(&format!("/alice/demo/commits/sha256%3A{head}")) && commits.contains("change"),
        "{commits}"
    );
    let files = site.page("proposals/1/files").await;
    assert!(files.contains("a.txt") && files.contains("+1") && files.contains("three"), "{files}");
    assert!(site.page("proposals/1/files?view=split").await.contains("diff--split"));
    assert!(site.page("proposals/1/conflicts").await.contains("Nothing stands in the way"));

    let ours = site.push("main", "another change", "a.txt", "1\n2\nTHREE\n").await;
    let html = site.page("proposals/1").await;
    assert!(html.contains("conflicts with main in 1 path"), "{html}");
    let conflicts = site.page("proposals/1/conflicts").await;
    assert!(conflicts.contains("Both sides changed the same lines."), "{conflicts}");
    for commit in [&ours, &head] {
        assert!(conflicts.contains(&format!("/alice/demo/blob/sha256%3A{commit}/a.txt")), "{conflicts}");
    }
    for (side, words) in [("main", "THREE"), ("topic", "three")] {
        let (before, _) = conflicts.split_once(&format!("\">What {side} changed")).expect("a link");
        let (_, link) = before.rsplit_once("/alice/demo/").unwrap();
        assert!(site.page(link).await.contains(words), "{link}");
    }
    assert!(
        !site.page("proposals/1/files").await.contains("THREE"),
        "what main did meanwhile is no part of it"
    );
    for absent in
        ["proposals/2", "proposals/0", "proposals/x", "proposals/1/x", "proposals/99999999999999999999"]
    {
        assert_eq!(site.get(absent).await.status, 404, "{absent}");
    }
}

#[tokio::test]
async fn a_merged_proposal_goes_on_showing_what_it_brought() {
    let site = Site::new().await;
    let number = site.propose("Spell it out", "topic", "").await.number;
    let how = MergeProposal { delete_source: true, ..MergeProposal::default() };
    let merged = site.app.app.hub.merge_proposal(&site.repo, &handle("alice"), number, how).await.unwrap();
    let html = site.page("proposals/1").await;
    for page in [&html, &site.page("proposals?state=merged").await] {
        assert!(page.contains("This branch is gone") && !page.contains("/commits/topic"), "{page}");
        assert!(page.contains("href=\"/alice/demo/commits/main\""), "{page}");
    }
    assert!(html.contains("Merged by") && html.contains("state--merged"), "{html}");
    let head = merged.outcome.head.to_string().replace(':', "%3A");
    assert!(html.contains(&format!("/alice/demo/commits/{head}")), "{html}");
    assert!(site.page("proposals/1/files").await.contains("three"));
    assert!(site.page("proposals/1/commits").await.contains("change"));
    assert!(site.page(&format!("commits/{head}")).await.contains("merged_by"));
}

#[tokio::test]
async fn what_people_write_stays_text() {
    let site = Site::new().await;
    let number = site
        .propose(&HOSTILE.replace('\u{202e}', ""), "topic", &format!("{HOSTILE} {}", "w".repeat(20_000)))
        .await
        .number;
    let proposals = site.app.app.hub.proposals();
    for (who, text) in [("bob", HOSTILE), ("carol", "see http://example.org/\"onmouseover=alert(1)//")] {
        proposals.comment(&site.repo, &handle(who), number, text.to_owned()).await.unwrap();
    }
    let said = Said { kind: ReviewKind::RequestChanges, body: HOSTILE.to_owned(), commit: None };
    proposals.review(&site.repo, &handle("bob"), number, said).await.unwrap();
    let deleted =
        proposals.comment(&site.repo, &handle("bob"), number, "regretted".to_owned()).await.unwrap();
    proposals.delete_entry(&site.repo, &handle("bob"), number, deleted.id).await.unwrap();
    let html = site.page("proposals/1").await;
    assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt; [x](javascript:alert(1))"), "{html}");
    assert!(!html.contains("href=\"javascript") && !html.contains("\"onmouseover"), "{html}");
    assert!(html.contains("asked for changes to") && html.contains("of somebody who may not push"), "{html}");
    assert!(html.contains("What was said here was deleted.") && !html.contains("regretted"), "{html}");
    site.page("proposals").await;
    site.page("proposals/1/files").await;
}

#[tokio::test]
async fn a_long_conversation_is_shown_in_parts() {
    let site = Site::new().await;
    let number = site.propose("Much to say", "topic", "start").await.number;
    for at in 0..120 {
        let body = format!("word {at:03}.");
        site.app.app.hub.proposals().comment(&site.repo, &handle("bob"), number, body).await.unwrap();
    }
    let first = site.page("proposals/1").await;
    assert!(
        first.contains("word 099.") && !first.contains("word 100.") && first.contains("?cursor=100"),
        "{first}"
    );
    let rest = site.page("proposals/1?cursor=100").await;
    assert!(rest.contains("word 100.") && rest.contains("word 119.") && !rest.contains("word 099."));
    assert!(!rest.contains("proposed this") && !rest.contains("?cursor="));
    for odd in ["?cursor=x", "?cursor=-1"] {
        assert!(site.page(&format!("proposals/1{odd}")).await.contains("word 000."), "{odd}");
    }
}

#[tokio::test]
async fn proposals_are_listed_by_state_and_page_by_page() {
    let mut site = Site::new().await;
    assert!(site.page("proposals").await.contains("No proposals yet"));
    for at in 0..35 {
        let name = format!("many/{at:02}");
        site.history.fork(&name, "topic");
        site.client.push_bundle(&site.history.whole("topic"), &name, false).await.unwrap();
        site.propose(&format!("Proposal of {name}"), &name, "").await;
    }
    let proposals = site.app.app.hub.proposals();
    for number in [3, 4] {
        let number = number.to_string().parse().unwrap();
        proposals.close(&site.repo, &handle("alice"), number).await.unwrap();
    }
    let titles = |html: &str| -> Vec<String> {
        let rest = html.split("Proposal of many/").skip(1);
        rest.map(|rest| rest[..2].to_owned()).collect()
    };
    let first = site.page("proposals").await;
    assert_eq!(titles(&first).len(), 30);
    assert_eq!(titles(&first)[0], "34", "the newest come first");
    let cursor = first.split("cursor=").nth(1).unwrap().split('"').next().unwrap();
    let second = site.page(&format!("proposals?state=open&cursor={cursor}")).await;
    let all: BTreeSet<String> = [titles(&first), titles(&second)].concat().into_iter().collect();
    assert_eq!(all.len(), 33);
    assert_eq!(titles(&site.page("proposals?state=closed").await), ["03", "02"]);
    assert_eq!(titles(&site.page("proposals?state=x&cursor=x").await), titles(&first));
    assert_eq!(titles(&site.page("proposals?state=all").await).len(), 30);
    assert!(site.page("proposals?state=merged").await.contains("No proposal is like that"));
}

#[tokio::test]
async fn proposals_of_a_private_repository_are_absent_for_others() {
    let app = TestApp::new().await;
    let mut client = app.private_repository("alice", "secret").await;
    let mut history = History::new();
    history.commit_file("main", "base", "a");
    client.push(&history, "main", false).await.unwrap();
    let token = app.token("alice").await;
    for path in ["proposals", "proposals/1", "proposals/1/files"] {
        let path = format!("/alice/secret/{path}");
        assert_eq!(app.get(&path).send().await.status, 404, "{path}");
        let own = app.get(&path).bearer(&token).send().await.status;
        assert_eq!(own, if path.ends_with("proposals") { 200 } else { 404 }, "{path}");
    }
}
