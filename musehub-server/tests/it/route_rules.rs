//! Every route of the table, called by everybody, answers as its rule promises.

use musehub_core::hub::Need;
use musehub_core::port::Role;
use musehub_core::{Handle, Slug};
use musehub_server::http::route::{Entry, Route, Rule, TABLE};
use musehub_test_support::{Answer, TestApp};

/// Whoever calls, from the least to the most that they may do with alice's repositories.
const VIEWERS: [(&str, Option<&str>, Option<Need>); 6] = [
    ("nobody", None, None),
    ("stranger", Some("mallory"), None),
    ("reader", Some("ruth"), Some(Need::Read)),
    ("writer", Some("walt"), Some(Need::Write)),
    ("admin", Some("ada"), Some(Need::Admin)),
    ("owner", Some("alice"), Some(Need::Owner)),
];

/// A repository that the routes are called on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Public,
    Private,
    Absent,
}

/// What a rule promises.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Promise {
    /// 401.
    Unauthenticated,
    /// 403.
    Forbidden,
    /// The 404 of what is not there.
    Hidden,
    /// The handler answers.
    Passes,
}

/// The contract, written apart from the code that keeps it.
fn promise(rule: Rule, who: Option<&str>, role: Option<Need>, kind: Kind) -> Promise {
    match rule {
        Rule::Anyone => Promise::Passes,
        // None of these calls has an address that the hub signed.
        Rule::SignedAddress => Promise::Forbidden,
        Rule::SignedIn(_) | Rule::Participant if who.is_none() => Promise::Unauthenticated,
        Rule::SignedIn(_) => Promise::Passes,
        Rule::Participant if kind == Kind::Public || (kind == Kind::Private && role.is_some()) => {
            Promise::Passes
        }
        Rule::Participant => Promise::Hidden,
        Rule::Repository(need) if need != Need::Read && who.is_none() => Promise::Unauthenticated,
        Rule::Repository(need) => {
            let may = match kind {
                Kind::Absent => None,
                Kind::Private => role,
                Kind::Public => role.or(Some(Need::Read)),
            };
            match may {
                None => Promise::Hidden,
                Some(may) if may >= need => Promise::Passes,
                Some(_) => Promise::Forbidden,
            }
        }
    }
}

/// The id of a repository of alice's; one that is nobody's where there is none.
async fn repo_id(app: &TestApp, slug: &str) -> String {
    let (owner, slug) = (Handle::parse("alice").unwrap(), Slug::parse(slug).unwrap());
    let found = app.app.repositories.repository(&owner, &slug).await.unwrap();
    found.map_or_else(|| "00000000-0000-4000-8000-000000000000".to_owned(), |repo| repo.repo_id.to_string())
}

/// A path that fits the pattern: names as they are, anything else filled in.
fn path(entry: &Entry, slug: &str, repo_id: &str) -> String {
    let part = |part: &str| match part {
        "{owner}" => "alice".to_owned(),
        "{slug}" => slug.to_owned(),
        "{repo_id}" => repo_id.to_owned(),
        _ if part.starts_with("{*") => "main".to_owned(),
        _ if part.starts_with('{') => "1".to_owned(),
        fixed => fixed.to_owned(),
    };
    entry.path.split('/').map(part).collect::<Vec<_>>().join("/")
}

async fn call(app: &TestApp, entry: &Entry, slug: &str, who: Option<&str>) -> Answer {
    let mut call = app.request(entry.method, &path(entry, slug, &repo_id(app, slug).await));
    if let Some(who) = who {
        call = call.bearer(&app.token(who).await);
    }
    // No message of any handler: whoever is let in is told so, and nothing happens.
    call.json(&serde_json::json!({"no handler": "knows this"})).send().await
}

fn assert_kept(entry: &Entry, promise: Promise, answer: &Answer, absent: &Answer, context: &str) {
    let text = answer.text();
    match promise {
        Promise::Unauthenticated => {
            assert_eq!(answer.status, 401, "{context}: {text}");
            assert!(!answer.header("www-authenticate").is_empty(), "{context}");
        }
        Promise::Forbidden => assert_eq!(answer.status, 403, "{context}: {text}"),
        Promise::Hidden => {
            assert_eq!(answer.status, 404, "{context}: {text}");
            assert_eq!(answer.body, absent.body, "{context}: not the bytes of what is absent");
            assert_eq!(answer.headers, absent.headers, "{context}: not the headers of what is absent");
        }
        Promise::Passes => {
            assert!(!matches!(answer.status, 401 | 403) && answer.status < 500, "{context}: {text}");
            let hides = matches!(entry.rule, Rule::Repository(_) | Rule::Participant) && answer.status == 404;
            assert!(
                !hides || answer.body != absent.body,
                "{context}: hidden, or the handler says what the rule says: {text}"
            );
        }
    }
}

/// A repository of alice's, whom others help.
async fn make(app: &TestApp, kind: Kind, slug: &str) {
    match kind {
        Kind::Public => drop(app.repository("alice", slug).await),
        Kind::Private => drop(app.private_repository("alice", slug).await),
        Kind::Absent => return,
    }
    let (repo, alice) = (app.record("alice", slug).await, Handle::parse("alice").unwrap());
    for (who, role) in [("ruth", Role::Read), ("walt", Role::Write), ("ada", Role::Admin)] {
        app.token(who).await;
        let who = Handle::parse(who).unwrap();
        app.app.hub.set_collaborator(&repo, &who, role, &alice).await.unwrap();
    }
}

#[tokio::test]
async fn each_route_answers_everybody_as_its_rule_promises() {
    let app = TestApp::new().await;
    let mut fresh = 0;
    for entry in TABLE {
        // What a stranger is told of what was never there, in the form of this route.
        let absent = call(&app, entry, "never-there", Some("mallory")).await;
        for (viewer, who, role) in VIEWERS {
            for kind in [Kind::Public, Kind::Private, Kind::Absent] {
                fresh += 1;
                let slug = format!("{}-{fresh}", format!("{kind:?}").to_lowercase());
                make(&app, kind, &slug).await;
                let promise = promise(entry.rule, who, role, kind);
                let answer = call(&app, entry, &slug, who).await;
                let context =
                    format!("{} {} ({}) by {viewer}, {kind:?}", entry.method, entry.path, entry.rule);
                assert_kept(entry, promise, &answer, &absent, &context);
            }
        }
    }
    // With `-- --nocapture`, the whole of it as a table.
    println!("{}", table());
}

/// The table, as the rules promise it.
fn table() -> String {
    let heads = VIEWERS.map(|(viewer, ..)| viewer).join(" | ");
    let mut text = format!(
        "| method | path | rule | repository | {heads} |\n|---|---|---|---|{}\n",
        "---|".repeat(VIEWERS.len())
    );
    for entry in TABLE {
        let kinds: &[Kind] = match entry.rule {
            Rule::Repository(_) => &[Kind::Public, Kind::Private, Kind::Absent],
            _ => &[Kind::Absent],
        };
        for kind in kinds {
            let of = if kinds.len() > 1 { format!("{kind:?}").to_lowercase() } else { "–".to_owned() };
            let cells = VIEWERS.map(|(_, who, role)| match promise(entry.rule, who, role, *kind) {
                Promise::Unauthenticated => "401",
                Promise::Forbidden => "403",
                Promise::Hidden => "404",
                Promise::Passes => "in",
            });
            let Entry { method, path, rule, .. } = entry;
            text.push_str(&format!("| {method} | `{path}` | {rule} | {of} | {} |\n", cells.join(" | ")));
        }
    }
    text
}

#[tokio::test]
async fn a_bad_token_is_refused_on_every_route() {
    let app = TestApp::new().await;
    drop(app.repository("alice", "open").await);
    let id = repo_id(&app, "open").await;
    // Whether the server is up is said to everybody, without a look at who they are.
    for entry in TABLE.iter().filter(|entry| !matches!(entry.route, Route::Health | Route::Ready)) {
        let bad = app.request(entry.method, &path(entry, "open", &id)).bearer("no such token");
        let answer = bad.json(&serde_json::json!({})).send().await;
        assert_eq!(answer.status, 401, "{} {}: {}", entry.method, entry.path, answer.text());
    }
}

/// A row that names a repository and lets everybody in would be a way around.
#[test]
fn a_path_that_names_a_repository_has_a_rule_about_it() {
    for entry in TABLE {
        let by_name = entry.path.contains("{owner}/{slug}");
        let names_one = by_name || entry.path.contains("{repo_id}");
        let about_one = matches!(entry.rule, Rule::Repository(_) | Rule::SignedAddress | Rule::Participant);
        assert!(!names_one || about_one, "{} {}", entry.method, entry.path);
        assert!(
            names_one || !matches!(entry.rule, Rule::Repository(_) | Rule::Participant),
            "{} {}",
            entry.method,
            entry.path
        );
        assert_eq!(by_name, entry.path.contains("{slug}"), "{}: no path names half of it", entry.path);
    }
}

#[test]
fn what_writes_needs_somebody_to_be_known() {
    for entry in TABLE.iter().filter(|entry| !matches!(entry.method, "GET" | "POST")) {
        assert_ne!(entry.rule, Rule::Anyone, "{} {}", entry.method, entry.path);
        assert_ne!(entry.rule, Rule::Repository(Need::Read), "{} {}", entry.method, entry.path);
    }
}
