//! The contract of [`ReleaseStore`].

use futures::future::join_all;
use serde_json::json;

use super::fixtures::{at, commit_id, create_repositories, handle, repo};
use super::run_cases;
use crate::port::{BackendError, ReleaseFilter, ReleaseStore, RepositoryIndex};
use crate::release::{Channel, CommitTag, Release, ReleaseTag};

/// Runs every case, each against a backend fresh from `fresh`. It needs the port whose repositories the releases are of.
///
/// # Panics
/// Where the backend breaks the contract of [`ReleaseStore`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: ReleaseStore + RepositoryIndex,
{
    run_cases!(
        "release_store",
        fresh,
        [
            a_release_comes_back_as_it_was_kept,
            a_tag_of_a_release_is_there_once,
            releases_are_listed_newest_first_in_pages,
            channels_and_drafts_are_told_apart,
            a_removed_release_is_gone_and_its_tag_free,
            of_many_who_publish_one_tag_one_succeeds,
            tags_are_kept_once_for_each_label_and_commit,
            tags_are_listed_in_pages,
            a_renamed_tag_keeps_what_else_is_known_of_it,
            a_removed_tag_is_gone_from_its_commit_alone,
            of_many_who_rename_a_tag_one_succeeds,
            releases_and_tags_are_of_one_repository,
        ]
    );
}

const ALL: ReleaseFilter = ReleaseFilter { channel: None, drafts: true };

fn release(tag: &str, moment: i64) -> Release {
    let tag = ReleaseTag::parse(tag).expect("a version");
    let record = json!({
        "tag": tag.as_str(), "title": "It's “one” % \u{1f980}", "body": "a\nb", "nested": {"list": [1, null, "x"]},
    });
    Release {
        channel: Channel::of(&tag.version()),
        is_draft: false,
        commit: commit_id("1"),
        publisher: handle("alice"),
        created_at: at(moment),
        record: record.as_object().expect("an object").clone(),
        tag,
    }
}

fn tag(label: &str, commit: u64) -> CommitTag {
    CommitTag {
        label: label.to_owned(),
        commit: commit_id(&commit.to_string()),
        tag_id: format!("id of {label} {commit}"),
        created_at: "2026-11-21T02:06:41.641216+00:00".to_owned(),
        tagger: handle("alice"),
    }
}

fn tags_of(releases: &[Release]) -> Vec<&str> {
    releases.iter().map(|release| release.tag.as_str()).collect()
}

async fn a_release_comes_back_as_it_was_kept<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let kept = release("v1.2.3-beta.1+b", 5);
    store.add_release(&repo(1), &kept).await.expect("add_release");
    assert_eq!(store.releases(&repo(1), ALL, None, 10).await.expect("releases"), [kept]);
}

async fn a_tag_of_a_release_is_there_once<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let first = release("v1.0.0", 1);
    store.add_release(&repo(1), &first).await.expect("add_release");
    let second = store.add_release(&repo(1), &release("v1.0.0", 2)).await;
    assert!(matches!(second, Err(BackendError::Conflict { .. })), "{second:?}");
    store.add_release(&repo(1), &release("1.0.0", 3)).await.expect("another tag, though of one version");
    let kept = store.releases(&repo(1), ALL, None, 10).await.expect("releases");
    assert_eq!(tags_of(&kept), ["1.0.0", "v1.0.0"]);
    assert_eq!(kept[1], first);
}

async fn releases_are_listed_newest_first_in_pages<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    for (tag, moment) in
        [("0.1.0", 1), ("0.3.0", 3), ("0.2.0", 2), ("0.2.0-a", 2), ("v0.2.0", 2), ("0.4.0", 4)]
    {
        store.add_release(&repo(1), &release(tag, moment)).await.expect("add_release");
    }
    let expected = ["0.4.0", "0.3.0", "v0.2.0", "0.2.0-a", "0.2.0", "0.1.0"];
    let mut listed: Vec<Release> = Vec::new();
    loop {
        let after = listed.last().map(|last| (last.created_at, &last.tag));
        let page = store.releases(&repo(1), ALL, after, 2).await.expect("releases");
        assert!(page.len() <= 2);
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    assert_eq!(tags_of(&listed), expected);
}

async fn channels_and_drafts_are_told_apart<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    for (moment, tag) in (0..).zip(["1.0.0", "1.1.0-beta", "1.1.0-alpha", "1.1.0-nightly"]) {
        store.add_release(&repo(1), &release(tag, moment)).await.expect("add_release");
    }
    let draft = Release { is_draft: true, ..release("2.0.0", 9) };
    store.add_release(&repo(1), &draft).await.expect("add_release");
    for (channel, drafts, expected) in [
        (None, false, &["1.1.0-nightly", "1.1.0-alpha", "1.1.0-beta", "1.0.0"][..]),
        (Some(Channel::Beta), false, &["1.1.0-beta"]),
        (Some(Channel::Stable), false, &["1.0.0"]),
        (Some(Channel::Stable), true, &["2.0.0", "1.0.0"]),
    ] {
        let found = store.releases(&repo(1), ReleaseFilter { channel, drafts }, None, 10).await;
        assert_eq!(tags_of(&found.expect("releases")), expected, "{channel:?} {drafts}");
    }
}

async fn a_removed_release_is_gone_and_its_tag_free<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let kept = release("v1.0.0", 1);
    assert!(!store.remove_release(&repo(1), &kept.tag).await.expect("remove_release"), "there is none");
    store.add_release(&repo(1), &kept).await.expect("add_release");
    assert!(store.remove_release(&repo(1), &kept.tag).await.expect("remove_release"));
    assert!(!store.remove_release(&repo(1), &kept.tag).await.expect("remove_release"), "it is gone");
    assert!(store.releases(&repo(1), ALL, None, 10).await.expect("releases").is_empty());
    store.add_release(&repo(1), &kept).await.expect("its tag is free");
}

async fn of_many_who_publish_one_tag_one_succeeds<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let id = repo(1);
    let releases: Vec<Release> = (0..20).map(|moment| release("v1.0.0", moment)).collect();
    let added = join_all(releases.iter().map(|release| store.add_release(&id, release))).await;
    assert_eq!(added.iter().filter(|result| result.is_ok()).count(), 1);
    assert_eq!(store.releases(&id, ALL, None, 10).await.expect("releases").len(), 1);
}

async fn tags_are_kept_once_for_each_label_and_commit<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let (first, other) = (tag("emotion:joyful", 1), tag("emotion:joyful", 2));
    let twice = CommitTag { tag_id: "another".to_owned(), ..first.clone() };
    let batch = [first.clone(), twice.clone(), other.clone()];
    assert_eq!(store.add_tags(&repo(1), &batch).await.expect("add_tags"), 2);
    assert_eq!(store.add_tags(&repo(1), &[twice, tag("é", 1)]).await.expect("add_tags"), 1);
    assert_eq!(store.add_tags(&repo(1), &[]).await.expect("add_tags"), 0);
    let kept = store.tags(&repo(1), None, 10).await.expect("tags");
    assert_eq!(kept.len(), 3);
    assert!(kept.contains(&first) && kept.contains(&other), "the first of each stays as it was");
}

async fn tags_are_listed_in_pages<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let labels = ["A", "a", "a-b", "a.b", "a/b", "v1", "é", "😀"];
    let many: Vec<CommitTag> =
        labels.iter().flat_map(|label| [2, 1, 3].map(|commit| tag(label, commit))).collect();
    assert_eq!(store.add_tags(&repo(1), &many).await.expect("add_tags"), many.len() as u64);
    let mut expected: Vec<_> = many.iter().map(|tag| (tag.label.clone(), tag.commit)).collect();
    expected.sort();
    let mut listed: Vec<CommitTag> = Vec::new();
    loop {
        let after = listed.last().map(|last| (last.label.as_str(), last.commit));
        let page = store.tags(&repo(1), after, 5).await.expect("tags");
        if page.is_empty() {
            break;
        }
        listed.extend(page);
    }
    let listed: Vec<_> = listed.into_iter().map(|tag| (tag.label, tag.commit)).collect();
    assert_eq!(listed, expected);
}

async fn a_renamed_tag_keeps_what_else_is_known_of_it<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 2).await;
    let (first, other, taken) = (tag("a", 1), tag("a", 2), tag("b", 2));
    store.add_tags(&repo(1), &[first.clone(), other.clone(), taken.clone()]).await.expect("add_tags");
    let renamed = async |of: u64, from: (&str, u64), to: &str| {
        store.rename_tag(&repo(of), (from.0, commit_id(&from.1.to_string())), to).await
    };
    assert!(renamed(1, ("a", 1), "é/b").await.expect("rename_tag"));
    for (of, from) in [(1, ("a", 1)), (1, ("a", 3)), (1, ("c", 1)), (2, ("a", 2))] {
        assert!(!renamed(of, from, "x").await.expect("rename_tag"), "{of} {from:?} is not there");
    }
    for to in ["b", "a"] {
        let refused = renamed(1, ("a", 2), to).await;
        assert!(matches!(refused, Err(BackendError::Conflict { .. })), "{to}: {refused:?}");
    }
    let kept = store.tags(&repo(1), None, 10).await.expect("tags");
    assert_eq!(kept, [other, taken, CommitTag { label: "é/b".to_owned(), ..first }]);
}

async fn a_removed_tag_is_gone_from_its_commit_alone<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 2).await;
    let tags = [tag("a", 1), tag("a", 2), tag("b", 1)];
    for of in [1, 2] {
        store.add_tags(&repo(of), &tags).await.expect("add_tags");
    }
    let first = ("a", commit_id("1"));
    assert!(store.remove_tag(&repo(1), first).await.expect("remove_tag"));
    assert!(!store.remove_tag(&repo(1), first).await.expect("remove_tag"), "it is gone");
    let mut kept = store.tags(&repo(1), None, 10).await.expect("tags");
    kept.sort_by(|one, other| one.label.cmp(&other.label));
    assert_eq!(kept, tags[1..]);
    assert_eq!(store.tags(&repo(2), None, 10).await.expect("tags").len(), 3);
    assert_eq!(store.add_tags(&repo(1), &tags[..1]).await.expect("add_tags"), 1, "it can be made again");
}

async fn of_many_who_rename_a_tag_one_succeeds<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let (id, from) = (repo(1), ("a", commit_id("1")));
    store.add_tags(&id, &[tag("a", 1)]).await.expect("add_tags");
    let labels: Vec<String> = (0..10).map(|number| format!("to {number}")).collect();
    let renamed = join_all(labels.iter().map(|label| store.rename_tag(&id, from, label))).await;
    let done: Vec<&String> = labels
        .iter()
        .zip(renamed)
        .filter(|(_, renamed)| *renamed.as_ref().expect("rename_tag"))
        .map(|(label, _)| label)
        .collect();
    let kept = store.tags(&id, None, 20).await.expect("tags");
    assert_eq!(done, kept.iter().map(|tag| &tag.label).collect::<Vec<_>>());
    assert_eq!(done.len(), 1);
}

async fn releases_and_tags_are_of_one_repository<B: ReleaseStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 2).await;
    store.add_release(&repo(1), &release("v1.0.0", 1)).await.expect("add_release");
    store.add_tags(&repo(1), &[tag("x", 1)]).await.expect("add_tags");
    assert!(store.releases(&repo(2), ALL, None, 10).await.expect("releases").is_empty());
    assert!(store.tags(&repo(2), None, 10).await.expect("tags").is_empty());
    assert!(!store.remove_release(&repo(2), &release("v1.0.0", 1).tag).await.expect("remove_release"));
    store.add_release(&repo(2), &release("v1.0.0", 1)).await.expect("the same tag elsewhere");
    assert_eq!(store.add_tags(&repo(2), &[tag("x", 1)]).await.expect("add_tags"), 1);
    let absent = store.add_release(&repo(3), &release("v1.0.0", 1)).await;
    assert!(matches!(absent, Err(BackendError::Missing { .. })), "{absent:?}");
}
