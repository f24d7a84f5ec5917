//! Repository records.

use futures::future::join_all;

use super::super::fixtures::{after_first_push, branch, handle, record, repo, slug};
use super::{RACERS, assert_one_won, is_conflict};
use crate::port::{RefStore, RepositoryRecord, Visibility};
use crate::scheme::IdScheme;

pub(super) async fn a_record_comes_back<B: RefStore>(refs: &B) {
    let bare = record(1, "alice", "bare");
    let full = RepositoryRecord {
        visibility: Visibility::Private,
        description: "\"quotes\", \\, \n, Ünï \u{1f980}, \u{0}".to_owned(),
        scheme: Some(IdScheme::TypedV2),
        default_branch: Some(branch("Ünï/x %2F")),
        ..record(2, "alice", "full")
    };
    for record in [&bare, &full] {
        refs.put_repository(record).await.expect("put_repository");
        let found = refs.repository(&record.owner, &record.slug).await.expect("repository");
        assert_eq!(found.as_ref(), Some(record), "a record comes back as it was written");
    }
    let mut all = refs.repositories().await.expect("repositories");
    all.sort_by_key(|record| record.repo_id.clone());
    assert_eq!(all, [bare, full], "repositories gives each record");
}

pub(super) async fn names_compare_without_case<B: RefStore>(refs: &B) {
    let first = record(1, "Alice", "Demo");
    refs.put_repository(&first).await.expect("put_repository");
    for (owner, name) in [("Alice", "Demo"), ("alice", "demo"), ("ALICE", "DEMO")] {
        let found = refs.repository(&handle(owner), &slug(name)).await.expect("repository");
        assert_eq!(found.as_ref(), Some(&first), "{owner}/{name} is Alice/Demo");
        let second = refs.put_repository(&record(2, owner, name)).await;
        assert!(is_conflict(&second), "{owner}/{name} is taken by Alice/Demo");
    }
    assert_eq!(
        refs.repositories().await.expect("repositories"),
        [first],
        "nothing but the first was written"
    );
}

pub(super) async fn names_do_not_run_together<B: RefStore>(refs: &B) {
    let names =
        [("a", "b-c"), ("a-b", "c"), ("a", "b.c"), ("a.b", "c"), ("a", "b_c"), ("a", "b"), ("b", "a")];
    for (n, (owner, name)) in (1..).zip(names) {
        refs.put_repository(&record(n, owner, name)).await.expect("these are different names");
    }
    for (n, (owner, name)) in (1..).zip(names) {
        let found = refs.repository(&handle(owner), &slug(name)).await.expect("repository");
        assert_eq!(found.map(|record| record.repo_id), Some(repo(n)), "{owner}/{name} is its own repository");
    }
}

pub(super) async fn versions_follow_one_another<B: RefStore>(refs: &B) {
    let first = record(1, "alice", "demo");
    let mut present = first.clone();
    refs.put_repository(&present).await.expect("version 1");
    for version in 2..=12 {
        present = RepositoryRecord {
            version,
            description: format!("version {version}"),
            ..after_first_push(&present)
        };
        refs.put_repository(&present).await.expect("the next version");
        let found = refs.repository(&first.owner, &first.slug).await.expect("repository");
        assert_eq!(found.as_ref(), Some(&present), "the highest version is in force");
    }
    for version in 1..=12 {
        let other = RepositoryRecord { version, description: "late".to_owned(), ..present.clone() };
        assert!(is_conflict(&refs.put_repository(&other).await), "version {version} exists");
    }
    assert!(is_conflict(&refs.put_repository(&present).await), "an equal version exists as well");
    assert_eq!(
        refs.repositories().await.expect("repositories"),
        [present],
        "the version in force, and only that"
    );
}

pub(super) async fn a_deleted_repository_can_be_restored<B: RefStore>(refs: &B) {
    let first = record(1, "alice", "demo");
    let deleted = RepositoryRecord { version: 2, deleted: true, ..first.clone() };
    let restored = RepositoryRecord { version: 3, ..first.clone() };
    for present in [first, deleted, restored] {
        refs.put_repository(&present).await.expect("the next version");
        let found = refs.repository(&present.owner, &present.slug).await.expect("repository");
        assert_eq!(found.as_ref(), Some(&present), "the version in force, deleted or not");
        assert_eq!(refs.repositories().await.expect("repositories"), [present], "the version in force");
    }
}

pub(super) async fn one_of_many_gets_a_name<B: RefStore>(refs: &B) {
    let names = ["demo", "Demo", "DEMO"];
    let records: Vec<RepositoryRecord> =
        (0..RACERS).zip(names.iter().cycle()).map(|(n, name)| record(n as u64, "alice", name)).collect();
    let results = join_all(records.iter().map(|record| refs.put_repository(record))).await;
    let winner = assert_one_won(&results);
    let found = refs.repository(&handle("alice"), &slug("demo")).await.expect("repository");
    assert_eq!(found.as_ref(), Some(&records[winner]), "the winner has the name");
    assert_eq!(refs.repositories().await.expect("repositories").len(), 1, "the others have nothing");
}

pub(super) async fn one_of_many_creates_a_version<B: RefStore>(refs: &B) {
    let first = record(1, "alice", "demo");
    refs.put_repository(&first).await.expect("version 1");
    let second = |n: usize| RepositoryRecord { version: 2, description: format!("by {n}"), ..first.clone() };
    let records: Vec<RepositoryRecord> = (0..RACERS).map(second).collect();
    let results = join_all(records.iter().map(|record| refs.put_repository(record))).await;
    let winner = assert_one_won(&results);
    let found = refs.repository(&first.owner, &first.slug).await.expect("repository");
    assert_eq!(found.as_ref(), Some(&records[winner]), "the winner's version is in force");
}
