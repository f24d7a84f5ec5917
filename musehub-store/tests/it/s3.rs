//! Packs, staging and the ref log over S3-compatible servers: the contracts of core's ports, races, large packs, and stores
//! that cannot be used.

use std::time::Duration;

use musehub_core::conformance::{mpack_store, object_store, ref_store, staging};
use musehub_core::port::{BackendError, Clock, MpackStore, ObjectStore, RefStore, Staging, SystemClock};
use musehub_store::{Action, Backend, Creation, MpackFiles, PackedStore, Reason, RefLog, StoreLocation};
use musehub_test_services::proxy::Proxy;
use musehub_test_services::s3::{BUCKET, Kind, Server, fresh_prefix};

use crate::hub_world::World;
use crate::index_fixtures::{branch, commit_id, entry, repo};
use crate::pack_fixtures::{blob, bytes_of, noise, places, put, stage, staged};

/// What lies under a prefix of a server's bucket.
pub(crate) fn bucket(server: &Server, prefix: &str) -> Backend {
    Backend::s3(BUCKET, prefix, server.settings.clone()).unwrap()
}

fn fresh(kind: Kind) -> Backend {
    bucket(&Server::of(kind), &fresh_prefix())
}

async fn scan(backend: Backend) -> PackedStore {
    PackedStore::scan(backend).await.unwrap()
}

#[tokio::test]
async fn packs() {
    object_store::run(|| scan(fresh(Kind::S3sFs))).await;
}

#[tokio::test]
async fn staging_of_uploads() {
    staging::run(|| scan(fresh(Kind::S3sFs))).await;
}

#[tokio::test]
async fn packs_of_the_wire() {
    mpack_store::run(|| async { MpackFiles::new(fresh(Kind::S3sFs)) }).await;
}

/// Over the server that decides races as S3 does.
#[tokio::test]
async fn the_ref_log() {
    ref_store::run(|| async { RefLog::new(fresh(Kind::Moto)) }).await;
}

#[tokio::test]
async fn of_racing_appends_from_several_processes_exactly_one_wins() {
    let (server, prefix) = (Server::of(Kind::Moto), fresh_prefix());
    let mut old = None;
    for sequence in 1..=10 {
        let racers: Vec<_> = (0..8)
            .map(|n| {
                let mut entry = entry(1, sequence, Some(commit_id(sequence * 100 + n)));
                entry.old = old;
                let log = RefLog::new(bucket(&server, &prefix));
                tokio::spawn(async move { log.append(&entry).await.map(|()| entry) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(entry) => winners.push(entry),
                Err(BackendError::Conflict { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        let heads = RefLog::new(bucket(&server, &prefix)).heads(&repo(1)).await.unwrap();
        assert_eq!(winners, heads, "move {sequence}: what rests is the one winner's");
        old = heads[0].new;
    }
}

#[tokio::test]
async fn of_racing_equal_entries_one_wins() {
    let (server, prefix) = (Server::of(Kind::Moto), fresh_prefix());
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let log = RefLog::new(bucket(&server, &prefix));
            tokio::spawn(async move { log.append(&entry(1, 1, Some(commit_id(1)))).await })
        })
        .collect();
    let mut won = 0;
    for racer in racers {
        won += usize::from(racer.await.unwrap().is_ok());
    }
    assert_eq!(won, 1);
}

/// Over a store that ignores conditions, and within one process.
#[tokio::test]
async fn a_log_that_is_alone_decides_races_itself() {
    let server = Server::of(Kind::Moto);
    let proxy = Proxy::start(server.address()).await;
    proxy.ignore_conditions();
    let server = server.through(proxy.address);
    ref_store::run(|| async { RefLog::new(bucket(&server, &fresh_prefix()).alone()) }).await;
}

/// Over a store that answers 501 to every condition: nothing that is created once may ask for one.
#[tokio::test]
async fn a_store_that_knows_no_conditions_is_kept_tidy_by_the_only_process() {
    let server = Server::of(Kind::Moto);
    let proxy = Proxy::start(server.address()).await;
    proxy.refuse_conditions();
    let backend = bucket(&server.through(proxy.address), &fresh_prefix());
    assert_eq!(backend.check().await.unwrap(), Creation::Overwriting);
    let backend = backend.alone();
    ref_store::run(|| {
        let backend = bucket(&server.through(proxy.address), &fresh_prefix()).alone();
        async { RefLog::new(backend) }
    })
    .await;
    let world = World::on(backend.clone()).await;
    let histories = crate::upkeep::repositories_of(&world, 2).await;
    let compacted = world.log.compact(SystemClock.now().plus_millis(1), 1).await.unwrap();
    assert_eq!(compacted.folded, 4);
    let repacked = world.repack_all().await;
    assert_eq!((repacked.folds, repacked.folded.len()), (1, 4));
    world.wait(2);
    let collected = world.collect().await;
    assert_eq!(crate::upkeep::of(&collected, Reason::Folded, Action::Removed), 4);
    crate::upkeep::expect_both(&world, &histories, "after the upkeep").await;
    let addresses = MpackFiles::new(backend);
    assert_eq!(addresses.secret().await.unwrap(), addresses.secret().await.unwrap());
}

#[tokio::test]
async fn a_pack_of_many_parts_comes_back_from_staging_and_from_memory() {
    // Refuses parts under 5 MiB, but the last, as S3 does.
    let backend = fresh(Kind::Moto);
    let store = scan(backend.clone()).await;
    let payload = noise(1, (37 << 20) + 12_345);
    let upload = stage(&store, &payload, &[1 << 20, 3, 700_000]).await;
    let objects = [staged(&upload), blob(b"beside"), blob(&noise(2, 3 << 20))];
    let receipt = put(&store, &objects).await;
    let again = scan(backend).await;
    assert_eq!(again.packs().await.unwrap(), [receipt.pack.unwrap()]);
    let read = again.read(&places(&receipt)).await.unwrap();
    assert!(read[0].ends_with(&payload) && read[0].len() < payload.len() + 32);
    assert_eq!((&read[1], &read[2]), (bytes_of(&objects[1]), bytes_of(&objects[2])));
}

/// What a bucket would keep unseen: parts of uploads that never end.
#[tokio::test]
async fn an_upload_that_is_given_up_is_aborted() {
    let server = Server::of(Kind::S3sFs);
    let proxy = Proxy::start(server.address()).await;
    let store = scan(bucket(&server.through(proxy.address), &fresh_prefix())).await;
    let mut writer = store.begin(&crate::pack_fixtures::repo()).await.unwrap();
    let payload = noise(3, 20 << 20);
    writer.begin_blob(musehub_core::scheme::flat_v1::blob_id(&payload), payload.len() as u64).await.unwrap();
    writer.write(payload.into()).await.unwrap();
    drop(writer);
    let aborted = || {
        let calls = proxy.calls();
        calls.iter().any(|(call, _)| call.method == "DELETE" && call.target.contains("uploadId="))
    };
    let begun = std::time::Instant::now();
    while !aborted() {
        assert!(begun.elapsed() < Duration::from_secs(120), "nothing was aborted: {:?}", proxy.calls());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_store_that_creates_once_is_told_from_one_that_overwrites() {
    for kind in [Kind::S3sFs, Kind::Moto] {
        assert_eq!(fresh(kind).check().await.unwrap(), Creation::Exclusive, "{kind:?}");
    }
    let backend = fresh(Kind::S3sFs);
    backend.check().await.unwrap();
    assert_eq!(scan(backend).await.packs().await.unwrap(), [], "the check leaves nothing that counts");
    // Conditions are signed for, and this server checks no signatures.
    let server = Server::of(Kind::Moto);
    let proxy = Proxy::start(server.address()).await;
    proxy.ignore_conditions();
    let careless = bucket(&server.through(proxy.address), &fresh_prefix());
    assert_eq!(careless.check().await.unwrap(), Creation::Overwriting);
    assert_eq!(Backend::memory().check().await.unwrap(), Creation::Exclusive);
    let directory = tempfile::tempdir().unwrap();
    let local = Backend::local(directory.path()).unwrap();
    assert_eq!(local.check().await.unwrap(), Creation::Exclusive);
}

#[tokio::test]
async fn a_store_that_cannot_be_used_says_why() {
    let server = Server::of(Kind::S3sFs);
    let why = async |bucket: &str, server: &Server| {
        let backend = Backend::s3(bucket, &fresh_prefix(), server.settings.clone()).unwrap();
        let Err(BackendError::Unavailable { source, .. }) = backend.check().await else {
            panic!("{bucket} can be used");
        };
        source.to_string()
    };
    // The other one makes a bucket of whatever it is asked for.
    assert_eq!(why("nowhere", &Server::of(Kind::Moto)).await, "there is no such bucket");
    let refused = "it refuses these credentials, or they do not permit writing";
    assert_eq!(why(BUCKET, &server.with("AWS_SECRET_ACCESS_KEY", "guessed")).await, refused);
    assert_eq!(why(BUCKET, &server.with("AWS_ACCESS_KEY_ID", "stranger")).await, refused);
}

#[tokio::test]
async fn a_prefix_sees_only_its_own() {
    let server = Server::of(Kind::S3sFs);
    let prefix = fresh_prefix();
    let location: StoreLocation = format!("s3://{BUCKET}/{prefix}").parse().unwrap();
    let open = || Backend::open(&location, server.settings.clone()).unwrap();
    let store = scan(open()).await;
    put(&store, &[blob(b"mine")]).await;
    let log = RefLog::new(open());
    log.append(&entry(1, 1, Some(commit_id(1)))).await.unwrap();
    assert_eq!(log.history(&repo(1), &branch("main"), 0).await.unwrap().len(), 1);
    for other in [format!("{prefix}x"), format!("{prefix}/below"), fresh_prefix()] {
        assert_eq!(scan(bucket(&server, &other)).await.packs().await.unwrap(), [], "{other}");
    }
    assert_eq!(scan(open()).await.packs().await.unwrap().len(), 1);
}
