//! What a killed process leaves behind harms nothing.

use std::path::Path;

use bytes::Bytes;
use musehub_core::port::{BackendError, ObjectStore, RefStore, Staging, Timestamp};
use musehub_core::scheme::flat_v1;
use musehub_store::{Backend, RefLog};

use crate::index_fixtures::{branch, record};
use crate::pack_fixtures::{Disk, blob, bytes_of, find, noise, places, put, repo, stage, staged};

/// Later than any clock: 9999-12-31.
const FAR_FUTURE: Timestamp = Timestamp::from_millis(253_402_214_400_000);

/// Leaves beside a file what an interrupted write of it leaves.
fn leave_behind(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    for suffix in ["#1", "#2"] {
        let mut name = path.as_os_str().to_owned();
        name.push(suffix);
        std::fs::write(name, b"half of wh").unwrap();
    }
}

#[tokio::test]
async fn what_an_interrupted_put_leaves_is_no_pack_and_does_not_hinder_the_next() {
    let model = Disk::new().await;
    let objects = [blob(b"one"), blob(b"two")];
    let pack = put(&model.store, &objects).await.pack.unwrap();
    let disk = Disk::new().await;
    // Killed while the pack was written, then while the index was.
    leave_behind(&disk.path(pack, "pack"));
    assert_eq!(disk.reopened().await.packs().await.unwrap(), []);
    std::fs::copy(model.path(pack, "pack"), disk.path(pack, "pack")).unwrap();
    leave_behind(&disk.path(pack, "idx"));
    let store = disk.reopened().await;
    assert_eq!(store.packs().await.unwrap(), []);
    assert_eq!(store.locate(&[objects[0].key]).await.unwrap(), [None]);
    // The same push again.
    let receipt = put(&store, &objects).await;
    assert_eq!(receipt.pack, Some(pack));
    let again = disk.reopened().await;
    assert_eq!(again.packs().await.unwrap(), [pack]);
    let read = again.read(&places(&receipt)).await.unwrap();
    assert!(read.iter().eq(objects.iter().map(bytes_of)));
}

#[tokio::test]
async fn what_an_interrupted_append_leaves_is_no_move_and_does_not_hinder_the_next() {
    let directory = tempfile::tempdir().unwrap();
    let log = RefLog::new(Backend::local(directory.path()).unwrap());
    let record = record(1, "alice", "demo");
    let entry = musehub_core::port::RefLogEntry {
        repo_id: record.repo_id.clone(),
        branch: branch("main"),
        sequence: 1,
        old: None,
        new: Some(crate::index_fixtures::commit_id(1)),
        forced: false,
        pusher: record.owner.clone(),
        at: Timestamp::from_millis(1),
        packs: Vec::new(),
        borrowed: Vec::new(),
    };
    let root = directory.path();
    leave_behind(&root.join("repositories/alice/demo/000000000001.json"));
    leave_behind(&root.join(format!("refs/{}/main/000000000001.json", record.repo_id)));
    assert_eq!(log.repositories().await.unwrap(), []);
    assert_eq!(log.heads(&record.repo_id).await.unwrap(), []);
    log.put_repository(&record).await.unwrap();
    log.append(&entry).await.unwrap();
    assert_eq!(log.repositories().await.unwrap(), std::slice::from_ref(&record));
    assert_eq!(log.heads(&record.repo_id).await.unwrap(), [entry]);
}

#[tokio::test]
async fn nothing_of_an_unfinished_upload_is_visible() {
    let disk = Disk::new().await;
    let payload = noise(1, 9 << 20);
    let id = flat_v1::blob_id(&payload);
    let mut writer = disk.store.begin(&repo()).await.unwrap();
    writer.begin_blob(id, payload.len() as u64).await.unwrap();
    for piece in payload.chunks(1 << 20) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
        assert_eq!(find(&disk.store, id).await, None);
        assert_eq!(find(&disk.reopened().await, id).await, None);
    }
    // Killed: the writer's destructor never ran.
    std::mem::forget(writer);
    let again = disk.reopened().await;
    assert_eq!(find(&again, id).await, None);
    assert_eq!(again.locate(&[id.key()]).await.unwrap(), [None]);
    assert_eq!(again.packs().await.unwrap(), []);
    assert_eq!(again.expire(FAR_FUTURE).await.unwrap(), 0, "it is no upload");
    let upload = stage(&again, &payload, &[1 << 20]).await;
    put(&again, &[staged(&upload)]).await;
    assert_eq!(again.packs().await.unwrap().len(), 1, "the same upload again succeeds");
}

#[tokio::test]
async fn an_upload_killed_before_its_index_is_swept_away_with_the_expired_ones() {
    let disk = Disk::new().await;
    stage(&disk.store, b"whole", &[2]).await;
    stage(&disk.store, b"without an index", &[2]).await;
    let index =
        |disk: &Disk| disk.files().into_iter().filter(|file| file.ends_with(".idx")).collect::<Vec<_>>();
    std::fs::remove_file(disk.directory.path().join(&index(&disk)[0])).unwrap();
    assert_eq!(disk.count(".pack"), 2);
    assert_eq!(disk.store.expire(Timestamp::from_millis(0)).await.unwrap(), 0);
    assert_eq!(disk.count(".pack"), 2, "it may still be finished");
    assert_eq!(disk.store.expire(FAR_FUTURE).await.unwrap(), 1, "only the whole one counts");
    assert!(disk.files().is_empty(), "{:?}", disk.files());
}

#[tokio::test]
async fn an_upload_half_discarded_is_not_visible() {
    let disk = Disk::new().await;
    let upload = stage(&disk.store, b"half gone", &[3]).await;
    let pack = disk.files().into_iter().find(|file| file.ends_with(".pack")).unwrap();
    std::fs::remove_file(disk.directory.path().join(pack)).unwrap();
    disk.store.discard(&repo(), std::slice::from_ref(&upload.upload)).await.unwrap();
    assert_eq!(find(&disk.store, upload.id).await, None);
    let put = disk.store.put(vec![staged(&upload)]).await;
    assert!(matches!(put, Err(BackendError::Missing { .. })), "{put:?}");
    assert!(disk.files().is_empty(), "{:?}", disk.files());
}
