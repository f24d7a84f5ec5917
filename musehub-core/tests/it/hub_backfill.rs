//! Rows that come without objects: seen and fetched before, during and after they get them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::executor::block_on;
use musehub_core::hub::recovery::{
    BackfillOptions, Backfilled, Event, ImportOptions, PortableError, Problem, ProblemKind, Recovery,
    VerifyOptions,
};
use musehub_core::hub::{CaughtUp, PushError};
use musehub_core::port::{BackendError, HistoryIndex, RefStore, RepositoryRecord, Unstored, UnstoredIndex};
use musehub_core::scheme::IdScheme;
use serde_json::{Value, json};

use crate::hub_fixtures::{
    Cloned, Made, NO_LIMIT, World, chain, commit, handle, hub, native_commit, push_of, slug,
};
use crate::hub_ports::{Disturbed, Fault};

const FAULTS: [Fault; 4] = [Fault::Refused, Fault::AnswerLost, Fault::DiesBefore, Fault::DiesAfter];

/// A repository as lines of JSON.
struct RowFile {
    lines: Vec<Value>,
}

impl RowFile {
    fn new(scheme: IdScheme) -> Self {
        let repository = json!({"owner": "alice", "slug": "tunes", "visibility": "public", "scheme": scheme.as_str(),
            "default_branch": "main", "created_at": 1_700_000_000_000_i64, "description": "tunes"});
        let head = json!({"format": "musehub-rows", "version": 1});
        Self { lines: vec![head, json!({ "repository": repository })] }
    }

    fn history<'a>(mut self, history: impl IntoIterator<Item = &'a Made>) -> Self {
        for made in history {
            for blob in &made.blobs {
                self.lines.push(json!({"blob": {"id": blob.id, "base64": STANDARD.encode(&blob.content)}}));
            }
            let manifest: serde_json::Map<String, Value> =
                made.snapshot.manifest.iter().map(|(path, id)| (path.to_string(), json!(id))).collect();
            let mut snapshot = json!({"snapshot_id": made.snapshot_id(), "manifest": manifest});
            if !made.snapshot.directories.is_empty() {
                let directories: Vec<String> =
                    made.snapshot.directories.iter().map(ToString::to_string).collect();
                snapshot["directories"] = json!(directories);
            }
            self.lines.push(json!({ "snapshot": snapshot }));
            let mut record = made.record.clone();
            record.entry("commit_id").or_insert_with(|| json!(made.id));
            self.lines.push(json!({ "commit": record }));
        }
        self
    }

    fn branch(mut self, name: &str, head: &Made) -> Self {
        let moved_at = 1_750_000_000_000_i64;
        self.lines.push(json!({"branch": {"name": name, "head": head.id, "moved_at": moved_at}}));
        self
    }

    fn text(&self) -> String {
        let end = json!({"end": {"lines": self.lines.len() + 1}});
        self.lines.iter().chain([&end]).map(|line| format!("{line}\n")).collect()
    }
}

fn recovery(world: &World) -> Recovery {
    Recovery::new(world.hub.clone(), world.index.clone(), std::sync::Arc::new(world.objects.clone()))
}

async fn load(recovery: &Recovery, text: &str) -> Result<RepositoryRecord, PortableError> {
    let loaded = recovery.load_rows(&mut futures::io::Cursor::new(text), None, &mut |_| {}).await;
    loaded.map(|(repo, _)| repo)
}

async fn backfill(recovery: &Recovery, dry_run: bool) -> Result<(Backfilled, Vec<Problem>), BackendError> {
    let mut problems = Vec::new();
    let options = BackfillOptions { dry_run, ..BackfillOptions::default() };
    let mut tell = |event| {
        if let Event::Problem(problem) = event {
            problems.push(problem);
        }
    };
    let done = recovery.backfill(&options, &mut tell).await?;
    Ok((done, problems))
}

/// Nothing is wrong; how many rows wait.
async fn verified(world: &World) -> u64 {
    let mut problems = Vec::new();
    let mut tell = |event| {
        if let Event::Problem(problem) = event {
            problems.push(problem.to_string());
        }
    };
    let summary =
        recovery(world).verify(&VerifyOptions { objects: true, ..Default::default() }, &mut tell).await;
    assert_eq!(problems, [] as [String; 0]);
    summary.unwrap().unstored
}

async fn assert_clone(world: &World, repo: &RepositoryRecord, history: &[Made]) {
    let tip = history.last().unwrap().id;
    assert_eq!(world.heads(repo).await["main"], tip);
    assert_eq!(world.clone_of(repo, tip).await, Cloned::expected(history));
}

fn flat_history() -> Vec<Made> {
    let mut history = chain("tune", None, 7);
    let side = commit("side", &[&history[2]], &[("side.txt", "aside")]);
    let merge = commit("merge", &[&history[6], &side], &[("a.py", "merged"), ("side.txt", "aside")]);
    history.extend([side, merge]);
    history
}

fn native_history() -> Vec<Made> {
    let first = native_commit("first", &[], &[("a", "1"), ("b", "2")]);
    let second = native_commit("second", &[&first], &[("a", "1"), ("b", "3")]);
    vec![first, second]
}

#[test]
fn what_came_as_rows_is_fetched_as_it_is_and_is_the_same_once_it_is_stored() {
    block_on(async {
        for (scheme, history) in [(IdScheme::FlatV1, flat_history()), (IdScheme::TypedV2, native_history())] {
            let world = World::new();
            let file = RowFile::new(scheme).history(&history).branch("main", history.last().unwrap());
            let repo = load(&recovery(&world), &file.branch("old", &history[0]).text()).await.unwrap();
            assert_clone(&world, &repo, &history).await;
            let before = world.fetch(&repo, &[history.last().unwrap().id], &[]).await;
            let rows = history.len() as u64 * 2;
            assert_eq!(verified(&world).await, rows);
            let unsent = recovery(&world).export(&repo, &mut Vec::new(), &mut |_| {}).await;
            assert!(matches!(unsent, Err(PortableError::Unstored { .. })), "{unsent:?}");

            let (dry, _) = backfill(&recovery(&world), true).await.unwrap();
            assert_eq!((dry.commits + dry.snapshots, dry.packs, dry.left), (rows, 0, 0));
            assert_eq!(verified(&world).await, rows, "a dry run writes nothing");
            let (done, problems) = backfill(&recovery(&world), false).await.unwrap();
            assert_eq!(problems, []);
            assert_eq!((done.commits + done.snapshots, done.branches, done.bytes), (rows, 2, dry.bytes));
            assert_eq!(verified(&world).await, 0);
            let after = world.fetch(&repo, &[history.last().unwrap().id], &[]).await;
            let bytes = |plan: &musehub_core::hub::FetchPlan| -> Vec<_> {
                plan.commits.iter().map(|(row, bytes)| (row.id, bytes.clone())).collect()
            };
            assert_eq!(bytes(&before), bytes(&after), "every byte as before");
            assert_eq!(backfill(&recovery(&world), false).await.unwrap().0, Backfilled::default());

            let rebuilt = world.without_index();
            rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
            assert_clone(&rebuilt, &repo, &history).await;
            assert_eq!(
                rebuilt.hub.refs(&repo).await.unwrap().branches,
                world.hub.refs(&repo).await.unwrap().branches
            );
            let ids: Vec<_> = history.iter().map(|made| made.id).collect();
            for id in ids {
                assert_eq!(
                    rebuilt.hub.commit(&repo, id).await.unwrap(),
                    world.hub.commit(&repo, id).await.unwrap(),
                    "the rows come out the same"
                );
            }
        }
    });
}

#[test]
fn a_repository_of_rows_takes_pushes_once_it_is_stored() {
    block_on(async {
        let world = World::new();
        let mut history = chain("tune", None, 3);
        let file = RowFile::new(IdScheme::FlatV1).history(&history).branch("main", &history[2]);
        let repo = load(&recovery(&world), &file.text()).await.unwrap();
        let next = commit("next", &[&history[2]], &[("a.py", "more")]);
        for to in ["main", "new"] {
            let refused = world.push(&repo, push_of(to, [&next])).await;
            assert!(matches!(refused, Err(PushError::Unstored { .. })), "{to}: {refused:?}");
        }
        backfill(&recovery(&world), false).await.unwrap();
        for to in ["main", "new"] {
            world.push(&repo, push_of(to, [&next])).await.unwrap();
        }
        history.push(next);
        assert_clone(&world, &repo, &history).await;
        let rebuilt = world.without_index();
        rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        assert_clone(&rebuilt, &repo, &history).await;
        assert_eq!(verified(&world).await, 0);
    });
}

#[test]
fn a_back_fill_that_fails_at_any_call_leaves_everything_readable_and_goes_on() {
    block_on(async {
        let history = flat_history();
        let file = RowFile::new(IdScheme::FlatV1).history(&history).branch("main", history.last().unwrap());
        let text = file.branch("old", &history[1]).text();
        for fault in FAULTS {
            let mut at = 0;
            loop {
                let world = World::new();
                let repo = load(&recovery(&world), &text).await.unwrap();
                let failing = Disturbed::failing(world.backends(), fault, at);
                let struck = Recovery::new(
                    hub(failing.backends()),
                    world.index.clone(),
                    std::sync::Arc::new(world.objects.clone()),
                );
                let answer = backfill(&struck, false).await;
                if !failing.struck() {
                    assert!(answer.is_ok());
                    break;
                }
                let context = format!("call {at} {fault:?}: {answer:?}");
                let survivor = world.restarted();
                assert_clone(&survivor, &repo, &history).await;
                nothing_is_lost_unsaid(&survivor, &repo, &context).await;
                survivor.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                assert_clone(&survivor, &repo, &history).await;
                let (_, problems) = backfill(&recovery(&survivor), false).await.unwrap();
                assert_eq!(problems, [], "{context}");
                assert_eq!(verified(&survivor).await, 0, "{context}");
                let rebuilt = survivor.without_index();
                rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                assert_clone(&rebuilt, &repo, &history).await;
                assert_eq!(rebuilt.heads(&repo).await, survivor.heads(&repo).await, "{context}");
                at += 1;
            }
            assert!(at > 10, "{fault:?} struck {at} calls");
        }
    });
}

/// Whoever makes the index anew or exports the repository has all of its branches, or is told that some are in the index alone.
async fn nothing_is_lost_unsaid(world: &World, repo: &RepositoryRecord, context: &str) {
    let waiting = world.index.unstored(&repo.repo_id).await.unwrap();
    let mut file = Vec::new();
    let exported = recovery(world).export(repo, &mut file, &mut |_| {}).await;
    let rebuilt = world.without_index();
    rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    if !waiting.is_empty() {
        assert!(
            matches!(exported, Err(PortableError::Unstored { rows, .. }) if rows == waiting),
            "{context}"
        );
        return;
    }
    assert_eq!(rebuilt.heads(repo).await, world.heads(repo).await, "{context}");
    exported.unwrap_or_else(|error| panic!("{context}: {error}"));
    let elsewhere = World::new();
    let (imported, _) =
        recovery(&elsewhere).import(&mut &file[..], &ImportOptions::default(), &mut |_| {}).await.unwrap();
    assert_eq!(elsewhere.heads(&imported).await, world.heads(repo).await, "{context}");
}

#[test]
fn a_load_that_fails_at_any_call_shows_nothing_and_goes_on() {
    block_on(async {
        let history = flat_history();
        let file = RowFile::new(IdScheme::FlatV1).history(&history).branch("main", history.last().unwrap());
        let text = file.text();
        for fault in FAULTS {
            let mut at = 0;
            loop {
                let world = World::new();
                let failing = Disturbed::failing(world.backends(), fault, at);
                let struck = Recovery::new(
                    hub(failing.backends()),
                    world.index.clone(),
                    std::sync::Arc::new(world.objects.clone()),
                );
                let answer = load(&struck, &text).await;
                if !failing.struck() {
                    answer.unwrap();
                    break;
                }
                let context = format!("call {at} {fault:?}");
                let survivor = world.restarted();
                survivor.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
                let shown = survivor.refs.repository(&handle("alice"), &slug("tunes")).await.unwrap();
                let shown = match shown.filter(|record| !record.deleted) {
                    Some(record) => record,
                    None => {
                        load(&recovery(&survivor), &text).await.unwrap_or_else(|e| panic!("{context}: {e}"))
                    }
                };
                assert_clone(&survivor, &shown, &history).await;
                backfill(&recovery(&survivor), false).await.unwrap();
                assert_eq!(verified(&survivor).await, 0, "{context}");
                at += 1;
            }
            assert!(at > 5, "{fault:?} struck {at} calls");
        }
    });
}

#[test]
fn a_row_whose_record_does_not_give_its_id_is_never_read_and_is_left_with_what_stands_on_it() {
    block_on(async {
        let world = World::new();
        let history = chain("tune", None, 5);
        let mut file = RowFile::new(IdScheme::FlatV1).history(&history);
        for line in &mut file.lines {
            if line["commit"]["message"] == "tune 2" {
                line["commit"]["message"] = json!("another message");
            }
        }
        let file = file.branch("main", &history[4]).branch("old", &history[1]);
        let repo = load(&recovery(&world), &file.text()).await.unwrap();
        let refused = world.hub.fetch(&repo, &[history[4].id], &[], NO_LIMIT).await.unwrap_err().to_string();
        assert!(refused.contains(&history[2].id.key().to_string()), "{refused}");

        let (done, problems) = backfill(&recovery(&world), false).await.unwrap();
        assert_eq!((done.commits, done.snapshots, done.branches, done.left), (2, 5, 1, 4));
        let objects: Vec<_> = problems.iter().filter_map(|problem| problem.object.clone()).collect();
        let named = |at: usize| history[at].id.key().to_string();
        assert_eq!(objects, [named(2), named(3), named(4), named(4)]);
        assert!(problems.iter().all(|problem| problem.kind == ProblemKind::UnstorableRow));
        assert!(problems[0].detail.contains("has the id"), "{}", problems[0]);
        let left = Unstored { commits: 3, snapshots: 0, branches: 1 };
        assert_eq!(world.index.unstored(&repo.repo_id).await.unwrap(), left);
        let rebuilt = world.without_index();
        rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        let heads = rebuilt.heads(&repo).await;
        assert_eq!(heads.into_iter().collect::<Vec<_>>(), [("old".to_owned(), history[1].id)]);
        let (again, _) = backfill(&recovery(&world), false).await.unwrap();
        assert_eq!((again.commits, again.snapshots, again.left), (0, 0, 4), "they stay where they are");
    });
}

#[test]
fn nothing_is_pushed_onto_rows_whatever_branch_it_is_to() {
    block_on(async {
        let world = World::new();
        let history = chain("tune", None, 5);
        let mut file = RowFile::new(IdScheme::FlatV1).history(&history);
        for line in &mut file.lines {
            if line["commit"]["message"] == "tune 2" {
                line["commit"]["message"] = json!("another message");
            }
        }
        let file = file.branch("main", &history[4]).branch("old", &history[1]);
        let repo = load(&recovery(&world), &file.text()).await.unwrap();
        let refused = async |to: &str, commits: &[&Made]| {
            let error = world.push(&repo, push_of(to, commits.iter().copied())).await.unwrap_err();
            assert!(matches!(error, PushError::Unstored { .. }), "{to}: {error}");
        };
        let root =
            commit("root", &[], &[("a.py", "tune 0\n"), ("b.py", "tune 0\n"), ("lib/c.py", "tune 0\n")]);
        assert_eq!(root.snapshot_id(), history[0].snapshot_id(), "a snapshot that is only a row");
        refused("root", &[&root]).await;

        let (done, _) = backfill(&recovery(&world), false).await.unwrap();
        assert_eq!((done.branches, done.left), (1, 4), "one branch is stored, the other stays");
        let merge = commit("merge", &[&history[1], &history[4]], &[("m", "m")]);
        refused("old", &[&merge]).await;
        let onto = commit("onto", &[&history[4]], &[("o", "o")]);
        refused("new", &[&onto]).await;
        let to = push_of("new", []);
        let error = world.hub.receive_push_to(&repo, &repo.owner, to, history[3].id).await.unwrap_err();
        assert!(matches!(error, PushError::Unstored { .. }), "{error}");

        let next = commit("next", &[&history[1]], &[("n", "n")]);
        world.push(&repo, push_of("old", [&next])).await.unwrap();
        let rebuilt = world.without_index();
        rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        let heads = rebuilt.heads(&repo).await;
        let expected = [("old".to_owned(), next.id)];
        assert_eq!(heads.into_iter().collect::<Vec<_>>(), expected, "the log says all that was acknowledged");
    });
}

#[test]
fn a_load_that_fails_late_leaves_no_rows() {
    block_on(async {
        let world = World::new();
        let history = chain("tune", None, 300);
        let mut file = RowFile::new(IdScheme::FlatV1).history(&history).branch("main", &history[299]);
        let whole = file.text();
        file.lines.push(json!({"other": {}}));
        let error = load(&recovery(&world), &file.text()).await.unwrap_err();
        assert!(error.to_string().contains("unknown variant"), "{error}");
        let left = world.refs.repository(&handle("alice"), &slug("tunes")).await.unwrap().unwrap();
        assert!(left.deleted);
        assert_eq!(world.index.unstored(&left.repo_id).await.unwrap(), Unstored::default());
        let repo = load(&recovery(&world), &whole).await.unwrap();
        assert_clone(&world, &repo, &history).await;
    });
}

#[test]
fn a_blob_that_no_snapshot_names_is_held_after_a_rebuild_and_in_an_export_too() {
    block_on(async {
        let world = World::new();
        let history = chain("tune", None, 2);
        let mut file = RowFile::new(IdScheme::FlatV1).history(&history).branch("main", &history[1]);
        let unnamed = musehub_core::scheme::flat_v1::blob_id(b"nobody names it");
        file.lines.insert(2, json!({"blob": {"id": unnamed, "base64": STANDARD.encode(b"nobody names it")}}));
        let repo = load(&recovery(&world), &file.text()).await.unwrap();
        backfill(&recovery(&world), false).await.unwrap();
        let held = world.index.blobs(&repo.repo_id, &[unnamed]).await.unwrap();
        assert_eq!(held.len(), 1);
        let rebuilt = world.without_index();
        rebuilt.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
        assert_eq!(rebuilt.index.blobs(&repo.repo_id, &[unnamed]).await.unwrap(), held);
        let mut file = Vec::new();
        recovery(&world).export(&repo, &mut file, &mut |_| {}).await.unwrap();
        let elsewhere = World::new();
        let options = ImportOptions::default();
        let (copy, _) = recovery(&elsewhere).import(&mut &file[..], &options, &mut |_| {}).await.unwrap();
        assert_eq!(elsewhere.index.blobs(&copy.repo_id, &[unnamed]).await.unwrap().len(), 1);
        assert_eq!(verified(&elsewhere).await, 0);
    });
}

#[test]
fn a_file_of_rows_that_does_not_fit_shows_nothing() {
    block_on(async {
        let history = chain("tune", None, 2);
        let whole = || RowFile::new(IdScheme::FlatV1).history(&history).branch("main", &history[1]);
        let edited = |edit: &dyn Fn(&mut Vec<Value>)| {
            let mut file = whole();
            edit(&mut file.lines);
            file.text()
        };
        let cases: Vec<(&str, String)> = vec![
            ("the file ends before", whole().text().rsplit_once("{\"end\"").unwrap().0.to_owned()),
            ("it says", whole().text().replace("\"lines\":", "\"lines\":1")),
            ("no musehub-rows", edited(&|lines| lines[0]["format"] = json!("other"))),
            ("of version 1", edited(&|lines| lines[0]["version"] = json!(2))),
            ("the repository comes first", edited(&|lines| drop(lines.remove(1)))),
            ("second repository", edited(&|lines| lines.push(lines[1].clone()))),
            ("unknown variant", edited(&|lines| lines.push(json!({"other": {}})))),
            (
                "comes after it, or not at all",
                edited(&|lines| lines.retain(|line| line["snapshot"].is_null())),
            ),
            ("comes after it, or not at all", {
                let first = history[0].id.to_hex();
                edited(&|lines| lines.retain(|line| line["commit"]["commit_id"] != json!(first)))
            }),
            ("its content has the id", edited(&|lines| lines[2]["blob"]["base64"] = json!("AAAA"))),
            (
                "cannot be beside",
                edited(&|lines| {
                    let mut below = lines.last().unwrap().clone();
                    below["branch"]["name"] = json!("main/below");
                    lines.push(below);
                }),
            ),
        ];
        for (expected, text) in cases {
            let world = World::new();
            let error = load(&recovery(&world), &text).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{expected}: {error}");
            let shown = world.refs.repository(&handle("alice"), &slug("tunes")).await.unwrap();
            assert!(shown.is_none_or(|record| record.deleted), "{expected}");
            let repo = load(&recovery(&world), &whole().text()).await.unwrap();
            assert_clone(&world, &repo, &history).await;
        }
        let world = World::new();
        load(&recovery(&world), &whole().text()).await.unwrap();
        let taken = load(&recovery(&world), &whole().text()).await;
        assert!(matches!(taken, Err(PortableError::Exists { .. })), "{taken:?}");
    });
}
