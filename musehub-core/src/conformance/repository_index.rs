//! The contract of [`RepositoryIndex`].

use futures::future::join_all;

use super::fixtures::{after_first_push, branch, create_repositories, handle, record, repo, slug};
use super::run_cases;
use crate::port::{RepositoryIndex, RepositoryRecord, Visibility};
use crate::scheme::IdScheme;

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`RepositoryIndex`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RepositoryIndex,
{
    run_cases!(
        "repository_index",
        fresh,
        [
            a_fresh_index_is_empty,
            a_record_comes_back_by_name_and_by_id,
            names_compare_without_case,
            the_latest_version_stays,
            one_version_written_by_many_is_one,
            deleted_repositories_keep_their_row,
            public_repositories_are_listed_in_order,
            pages_of_public_repositories_are_the_whole,
        ]
    );
}

async fn by_name<B: RepositoryIndex>(index: &B, owner: &str, name: &str) -> Option<RepositoryRecord> {
    index.repository(&handle(owner), &slug(name)).await.expect("repository")
}

async fn by_id<B: RepositoryIndex>(index: &B, n: u64) -> Option<RepositoryRecord> {
    index.repository_by_id(&repo(n)).await.expect("repository_by_id")
}

async fn write<B: RepositoryIndex>(index: &B, record: &RepositoryRecord) {
    index.put_repository(record).await.expect("put_repository");
}

async fn a_fresh_index_is_empty<B: RepositoryIndex>(index: &B) {
    assert_eq!(by_name(index, "alice", "demo").await, None, "an unknown name is none");
    assert_eq!(by_id(index, 1).await, None, "an unknown id is none");
    assert_eq!(
        index.public_repositories(None, 10).await.expect("public_repositories"),
        [],
        "nothing to list"
    );
}

async fn a_record_comes_back_by_name_and_by_id<B: RepositoryIndex>(index: &B) {
    let bare = RepositoryRecord { description: String::new(), ..record(1, "alice", "bare") };
    let full = RepositoryRecord {
        version: 7,
        visibility: Visibility::Private,
        description: "\"quotes\", \\, \n, Ünï \u{1f980}".to_owned(),
        scheme: Some(IdScheme::TypedV2),
        default_branch: Some(branch("Ünï/x %2F")),
        ..record(2, "Some.Bot-1_x", "full")
    };
    for (n, record) in [(1, &bare), (2, &full)] {
        write(index, record).await;
        assert_eq!(by_id(index, n).await.as_ref(), Some(record), "a record comes back by its id");
        let found = by_name(index, record.owner.as_str(), record.slug.as_str()).await;
        assert_eq!(found.as_ref(), Some(record), "a record comes back by its name");
    }
}

async fn names_compare_without_case<B: RepositoryIndex>(index: &B) {
    let written = record(1, "Alice", "Demo");
    write(index, &written).await;
    for (owner, name) in [("Alice", "Demo"), ("alice", "demo"), ("ALICE", "dEMO")] {
        assert_eq!(
            by_name(index, owner, name).await.as_ref(),
            Some(&written),
            "{owner}/{name} is Alice/Demo"
        );
    }
    for (owner, name) in [("alice", "dem"), ("alic", "demo"), ("alice", "demo_"), ("demo", "alice")] {
        let Ok(name) = crate::name::Slug::parse(name) else {
            continue;
        };
        let found = index.repository(&handle(owner), &name).await.expect("repository");
        assert_eq!(found, None, "{owner}/{name} is another name");
    }
}

async fn the_latest_version_stays<B: RepositoryIndex>(index: &B) {
    let first = record(1, "alice", "demo");
    let second = after_first_push(&first);
    let fourth = RepositoryRecord { version: 4, description: "fourth".to_owned(), ..second.clone() };
    let same_version = RepositoryRecord { description: "another fourth".to_owned(), ..fourth.clone() };
    for (written, expected) in [
        (&first, &first),
        (&first, &first),
        (&second, &second),
        (&first, &second),
        (&fourth, &fourth),
        (&second, &fourth),
        (&same_version, &fourth),
    ] {
        write(index, written).await;
        assert_eq!(by_id(index, 1).await.as_ref(), Some(expected), "the latest version by id");
        assert_eq!(
            by_name(index, "alice", "demo").await.as_ref(),
            Some(expected),
            "the latest version by name"
        );
    }
    let listed = index.public_repositories(None, 10).await.expect("public_repositories");
    assert_eq!(listed, [fourth], "a repository is listed once, in its latest version");
}

async fn one_version_written_by_many_is_one<B: RepositoryIndex>(index: &B) {
    let versions: Vec<RepositoryRecord> =
        (1..=12).map(|version| RepositoryRecord { version, ..record(1, "alice", "demo") }).collect();
    let writes = versions.iter().chain(&versions).map(|record| index.put_repository(record));
    for result in join_all(writes).await {
        result.expect("writing a version again, or one too late, is harmless");
    }
    assert_eq!(
        by_id(index, 1).await.as_ref(),
        versions.last(),
        "the latest version stays, whatever the order"
    );
}

async fn deleted_repositories_keep_their_row<B: RepositoryIndex>(index: &B) {
    let first = record(1, "alice", "demo");
    let deleted = RepositoryRecord { version: 2, deleted: true, ..first.clone() };
    let restored = RepositoryRecord { version: 3, ..first.clone() };
    for (present, listed) in [(&first, true), (&deleted, false), (&restored, true)] {
        write(index, present).await;
        assert_eq!(
            by_id(index, 1).await.as_ref(),
            Some(present),
            "rows mirror the records, deleted ones too"
        );
        assert_eq!(by_name(index, "alice", "demo").await.as_ref(), Some(present), "by name as well");
        let public = index.public_repositories(None, 10).await.expect("public_repositories");
        assert_eq!(public.len(), usize::from(listed), "deleted repositories are not listed");
    }
}

async fn public_repositories_are_listed_in_order<B: RepositoryIndex>(index: &B) {
    let in_order = [
        ("a", "x"),
        ("a", "Y"),
        ("a", "z"),
        ("a-b", "a"),
        ("a.b", "a"),
        ("a0", "a"),
        ("a_b", "a"),
        ("Ab", "a"),
        ("b", "A"),
        ("B", "b"),
    ];
    for (n, (owner, name)) in (1..).zip(in_order).collect::<Vec<_>>().into_iter().rev() {
        write(index, &record(n, owner, name)).await;
    }
    let private = RepositoryRecord { visibility: Visibility::Private, ..record(100, "a", "private") };
    let deleted = RepositoryRecord { deleted: true, ..record(101, "a", "y-deleted") };
    write(index, &private).await;
    write(index, &deleted).await;
    let listed = index.public_repositories(None, 100).await.expect("public_repositories");
    let names: Vec<(&str, &str)> =
        listed.iter().map(|record| (record.owner.as_str(), record.slug.as_str())).collect();
    assert_eq!(names, in_order, "public repositories by owner, then slug, in ASCII order without case");
}

async fn pages_of_public_repositories_are_the_whole<B: RepositoryIndex>(index: &B) {
    create_repositories(index, 25).await;
    let whole = index.public_repositories(None, 100).await.expect("public_repositories");
    assert_eq!(whole.len(), 25, "all are listed");
    assert_eq!(index.public_repositories(None, 0).await.expect("public_repositories"), [], "none of none");
    let mut pages: Vec<RepositoryRecord> = Vec::new();
    for _ in 0..=whole.len() {
        let after = pages.last().map(|record| (&record.owner, &record.slug));
        let page = index.public_repositories(after, 7).await.expect("public_repositories");
        assert!(page.len() <= 7, "a page keeps its limit");
        pages.extend(page);
    }
    assert_eq!(pages, whole, "pages are the whole, in its order");
    let (owner, name) = (handle("FIXTURE"), slug("Repository-3.5"));
    let after = index.public_repositories(Some((&owner, &name)), 100).await.expect("public_repositories");
    let expected: Vec<RepositoryRecord> =
        whole.into_iter().filter(|record| record.slug.as_str() > "repository-3.5").collect();
    assert_eq!(after, expected, "a page may begin after a name that is not there");
}
