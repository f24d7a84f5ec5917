//! Changes of a repository's record.

use futures::executor::block_on;
use futures::future::join_all;
use musehub_core::hub::{MAX_DESCRIPTION_BYTES, RepositoryChange, UpdateError};
use musehub_core::port::{RefStore, RepositoryRecord, Visibility};
use musehub_core::settings::{
    BranchPattern, BranchProtection, Protection, RepositorySettings, SettingsError,
};

use crate::hub_fixtures::{World, branch, chain, push_of};

fn settings(required_approvals: u32) -> RepositorySettings {
    RepositorySettings { required_approvals, ..RepositorySettings::default() }
}

async fn stored(world: &World, repo: &RepositoryRecord) -> RepositoryRecord {
    world.refs.repository(&repo.owner, &repo.slug).await.unwrap().unwrap()
}

#[test]
fn a_change_is_in_the_store_and_in_the_index_and_leaves_the_rest() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        world.push(&repo, push_of("main", &chain("a", None, 1))).await.unwrap();
        let change = RepositoryChange {
            visibility: Some(Visibility::Private),
            settings: Some(settings(2)),
            ..RepositoryChange::default()
        };
        // By somebody who opened it before its first push.
        let changed = world.hub.update_repository(&repo, &change).await.unwrap();
        assert_eq!(changed, stored(&world, &repo).await);
        assert_eq!(changed, world.reopen(&repo).await);
        assert_eq!((changed.visibility, changed.settings.required_approvals), (Visibility::Private, 2));
        assert_eq!(
            (changed.description, changed.default_branch),
            (repo.description.clone(), Some(branch("main")))
        );
        let again = world.hub.update_repository(&world.reopen(&repo).await, &change).await.unwrap();
        assert_eq!(again.version, changed.version, "what changes nothing writes nothing");
    });
}

#[test]
fn changes_at_the_same_time_all_stay() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let about = |text: &str| RepositoryChange {
            description: Some(text.to_owned()),
            ..RepositoryChange::default()
        };
        let approvals = RepositoryChange { settings: Some(settings(1)), ..RepositoryChange::default() };
        let private = RepositoryChange { visibility: Some(Visibility::Private), ..about("new") };
        let changes = [&approvals, &private];
        let done = join_all(changes.map(|change| world.hub.update_repository(&repo, change))).await;
        assert!(done.iter().all(Result::is_ok), "{done:?}");
        let record = stored(&world, &repo).await;
        assert_eq!((record.version, record.settings.required_approvals), (3, 1));
        assert_eq!((record.visibility, record.description.as_str()), (Visibility::Private, "new"));
    });
}

#[test]
fn a_repository_that_was_deleted_meanwhile_is_not_changed() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let delete = RepositoryChange { deleted: Some(true), ..RepositoryChange::default() };
        world.hub.update_repository(&repo, &delete).await.unwrap();
        let change = RepositoryChange { settings: Some(settings(1)), ..RepositoryChange::default() };
        let refused = world.hub.update_repository(&repo, &change).await;
        assert!(matches!(refused, Err(UpdateError::NotFound)), "{refused:?}");
        assert_eq!(stored(&world, &repo).await.settings, RepositorySettings::default());
    });
}

#[test]
fn what_cannot_be_is_refused_and_nothing_is_written() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let none = RepositoryChange::default;
        let protected = BranchProtection {
            pattern: BranchPattern::parse("*").unwrap(),
            protection: Protection::default(),
        };
        let many =
            RepositorySettings { protected_branches: vec![protected; 101], ..RepositorySettings::default() };
        for (change, reason) in [
            (
                RepositoryChange { default_branch: Some(branch("gone")), ..none() },
                "there is no branch 'gone'",
            ),
            (RepositoryChange { description: Some("a\0".to_owned()), ..none() }, "a description has"),
            (
                RepositoryChange { description: Some("x".repeat(MAX_DESCRIPTION_BYTES + 1)), ..none() },
                "a description has",
            ),
            (RepositoryChange { settings: Some(settings(101)), ..none() }, "at most 100 approvals"),
            (RepositoryChange { settings: Some(many), ..none() }, "at most 100 branches"),
        ] {
            let refused = world.hub.update_repository(&repo, &change).await.unwrap_err().to_string();
            assert!(refused.starts_with(reason), "{refused}");
        }
        assert_eq!(stored(&world, &repo).await, repo);
        assert_eq!(settings(101).check(), Err(SettingsError::TooManyApprovals));
    });
}
