//! Repositories in the SQL index.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]

use musehub_core::port::{BackendError, RepositoryIndex, RepositoryRecord, Visibility};
use musehub_core::scheme::IdScheme;
use musehub_core::settings::{BranchPattern, BranchProtection, Protection, RepositorySettings};

use crate::index_fixtures::{HOSTILE, branch, empty, handle, record, repo, slug};

#[tokio::test]
async fn a_record_comes_back_whole_by_name_and_by_id() {
    let index = empty().await;
    for (n, description) in (1..).zip(HOSTILE) {
        let whole = RepositoryRecord {
            version: 3,
            visibility: Visibility::Private,
            description: (*description).to_owned(),
            scheme: Some(IdScheme::TypedV2),
            default_branch: Some(branch("x'; --")),
            settings: RepositorySettings {
                protected_branches: vec![BranchProtection {
                    pattern: BranchPattern::parse("x'; --*").unwrap(),
                    protection: Protection { refuse_direct_push: true, ..Protection::default() },
                }],
                required_approvals: 2,
                ..RepositorySettings::default()
            },
            deleted: true,
            ..record(n, "Alice", &format!("Thing-{n}"))
        };
        index.put_repository(&whole).await.unwrap();
        let shouted = slug(&format!("THING-{n}"));
        assert_eq!(index.repository(&handle("aLICE"), &shouted).await.unwrap().as_ref(), Some(&whole));
        assert_eq!(index.repository_by_id(&repo(n)).await.unwrap(), Some(whole));
    }
    assert_eq!(index.repository(&handle("alice"), &slug("nothing")).await.unwrap(), None);
    assert_eq!(index.repository_by_id(&repo(99)).await.unwrap(), None);
}

#[tokio::test]
async fn only_a_later_version_replaces_a_record() {
    let index = empty().await;
    let described = |version, description: &str| RepositoryRecord {
        version,
        description: description.to_owned(),
        ..record(1, "alice", "thing")
    };
    for (version, description) in [(2, "second"), (1, "first"), (2, "another second")] {
        index.put_repository(&described(version, description)).await.unwrap();
    }
    assert_eq!(index.repository_by_id(&repo(1)).await.unwrap(), Some(described(2, "second")));
    let renamed = RepositoryRecord { slug: slug("renamed"), ..described(3, "third") };
    index.put_repository(&renamed).await.unwrap();
    assert_eq!(index.repository(&handle("alice"), &slug("thing")).await.unwrap(), None);
    assert_eq!(index.repository(&handle("alice"), &slug("renamed")).await.unwrap(), Some(renamed));
}

#[tokio::test]
async fn one_name_is_one_repository_whatever_its_case() {
    let index = empty().await;
    index.put_repository(&record(1, "alice", "thing")).await.unwrap();
    let refused = index.put_repository(&record(2, "ALICE", "Thing")).await;
    assert!(matches!(refused, Err(BackendError::Conflict { .. })), "{refused:?}");
    assert_eq!(index.repository_by_id(&repo(2)).await.unwrap(), None);
}

#[tokio::test]
async fn public_repositories_come_in_pages_in_order_of_name() {
    let index = empty().await;
    for (n, (owner, name)) in
        (1..).zip([("bob", "a"), ("Alice", "z"), ("alice", "b"), ("carol", "m"), ("bob", "B")])
    {
        index.put_repository(&record(n, owner, name)).await.unwrap();
    }
    let private = RepositoryRecord { visibility: Visibility::Private, ..record(6, "bob", "hidden") };
    let deleted = RepositoryRecord { deleted: true, ..record(7, "bob", "gone") };
    index.put_repository(&private).await.unwrap();
    index.put_repository(&deleted).await.unwrap();

    let names = |page: &[RepositoryRecord]| -> Vec<String> {
        page.iter().map(|record| format!("{}/{}", record.owner, record.slug)).collect()
    };
    let first = index.public_repositories(None, 2).await.unwrap();
    assert_eq!(names(&first), ["alice/b", "Alice/z"]);
    let after = (&first[1].owner, &first[1].slug);
    let rest = index.public_repositories(Some(after), 10).await.unwrap();
    assert_eq!(names(&rest), ["bob/a", "bob/B", "carol/m"]);
    assert_eq!(index.public_repositories(None, 0).await.unwrap(), []);
}
