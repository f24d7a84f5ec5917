//! Uploads that wait for a push: taken by another one meanwhile, and too many of them.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures::executor::block_on;
use futures::stream::BoxStream;
use musehub_core::hub::{Backends, Push, PushError, StagingLimits};
use musehub_core::memory::MemoryObjects;
use musehub_core::port::{
    BackendError, Located, NewObject, ObjectStore, PackId, PackedObject, Place, PutReceipt, RepositoryRecord,
};
use musehub_core::{Hub, ObjectKey};

use crate::hub_fixtures::{Cloned, Made, World, commit, hub, push_of};

/// Lets another push go first, between the look at staging and the writing of a pack.
struct Overtaken {
    inner: MemoryObjects,
    first: Mutex<Option<(Hub, RepositoryRecord, Push)>>,
}

#[async_trait]
impl ObjectStore for Overtaken {
    async fn put(&self, objects: Vec<NewObject>) -> Result<PutReceipt, BackendError> {
        let first = self.first.lock().unwrap().take();
        if let Some((hub, repo, push)) = first {
            hub.receive_push(&repo, &repo.owner, push).await.unwrap();
        }
        self.inner.put(objects).await
    }

    async fn locate(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Place>>, BackendError> {
        self.inner.locate(keys).await
    }

    async fn present(&self, places: &[Place]) -> Result<Vec<bool>, BackendError> {
        self.inner.present(places).await
    }

    async fn read(&self, objects: &[Located]) -> Result<Vec<Bytes>, BackendError> {
        self.inner.read(objects).await
    }

    async fn stream(
        &self,
        object: Located,
    ) -> Result<BoxStream<'static, Result<Bytes, BackendError>>, BackendError> {
        self.inner.stream(object).await
    }

    async fn packs(&self) -> Result<Vec<PackId>, BackendError> {
        self.inner.packs().await
    }

    async fn pack_objects(&self, pack: PackId) -> Result<Vec<PackedObject>, BackendError> {
        self.inner.pack_objects(pack).await
    }
}

/// A push without its blobs, which are staged.
fn bare(to: &str, made: &Made) -> Push {
    Push { blobs: Vec::new(), ..push_of(to, [made]) }
}

#[test]
fn a_push_whose_upload_another_one_takes_finds_the_blobs_where_that_one_put_them() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let ours = commit("ours", &[], &[("a", "shared"), ("b", "ours")]);
        let theirs = commit("theirs", &[], &[("a", "shared"), ("b", "theirs")]);
        world.stage(&repo, &[ours.blobs.clone(), theirs.blobs.clone()].concat()).await;
        let again = ours.blobs.iter().filter(|blob| blob.content != "shared").cloned();
        world.stage(&repo, &again.collect::<Vec<_>>()).await;
        let first = Mutex::new(Some((world.hub.clone(), repo.clone(), bare("theirs", &theirs))));
        let objects = Arc::new(Overtaken { inner: world.objects.clone(), first });
        let overtaken = hub(Backends { objects, ..world.backends() });
        overtaken.receive_push(&repo, &repo.owner, bare("ours", &ours)).await.unwrap();
        for made in [&ours, &theirs] {
            assert_eq!(world.clone_of(&repo, made.id).await, Cloned::expected([made]));
        }
    });
}

#[test]
fn a_push_whose_upload_is_gone_is_told_what_to_send_again() {
    block_on(async {
        let world = World::new();
        let repo = world.create("demo").await;
        let ours = commit("ours", &[], &[("a", "shared"), ("b", "ours")]);
        let theirs = commit("theirs", &[], &[("a", "shared")]);
        world.stage(&repo, &ours.blobs).await;
        let first = Mutex::new(Some((world.hub.clone(), repo.clone(), bare("theirs", &theirs))));
        let objects = Arc::new(Overtaken { inner: world.objects.clone(), first });
        let overtaken = hub(Backends { objects, ..world.backends() });
        let error = overtaken.receive_push(&repo, &repo.owner, bare("ours", &ours)).await.unwrap_err();
        let PushError::Incomplete(missing) = error else { panic!("{error}") };
        let own = ours.blobs.iter().find(|blob| blob.content == "ours").unwrap().id;
        assert_eq!((missing.commits.len(), missing.snapshots.len(), missing.blobs), (0, 0, vec![own]));
        world.stage(&repo, &ours.blobs).await;
        world.push(&repo, bare("ours", &ours)).await.unwrap();
    });
}

#[test]
fn no_more_uploads_wait_in_a_repository_than_may() {
    block_on(async {
        let world = World::new();
        let (repo, other) = (world.create("demo").await, world.create("other").await);
        for (limits, label) in [
            (StagingLimits { uploads: 2, bytes: u64::MAX }, "few"),
            // Canonical bytes of two files of eight.
            (StagingLimits { uploads: u64::MAX, bytes: 2 * 15 }, "short"),
        ] {
            let made = [1, 2].map(|n| commit(label, &[], &[("a", &format!("{label:6}{n:2}"))]));
            let hub = world.hub.clone().with_staging_limits(limits);
            for made in &made {
                drop(hub.begin_upload(&repo).await.unwrap());
                world.stage(&repo, &made.blobs).await;
            }
            let Err(refused) = hub.begin_upload(&repo).await else { panic!("a third upload begins") };
            assert!(matches!(refused, PushError::StagingFull { uploads: 2, bytes: 30 }), "{refused}");
            drop(hub.begin_upload(&other).await.unwrap());
            world.push(&repo, bare(label, &made[0])).await.unwrap();
            drop(hub.begin_upload(&repo).await.unwrap());
            world.push(&repo, bare(&format!("{label}-too"), &made[1])).await.unwrap();
        }
    });
}
