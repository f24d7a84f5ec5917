//! Packs of the wire through the hub: indexed, refused, built, and indexed again elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::TryStreamExt;
use futures::executor::block_on;
use musehub_core::hub::mpack::{IndexError, Indexed, MpackOptions, Mpacks, UploadedPack};
use musehub_core::hub::{PushError, Releases};
use musehub_core::id::SnapshotId;
use musehub_core::memory::MemoryMpacks;
use musehub_core::mpack::{Contents, Item, Limits, MpackId, Reader, SnapshotDelta, object_entry};
use musehub_core::port::{FetchPack, MpackFile, MpackStore, RepositoryRecord, Stopwatch};
use musehub_core::{BlobId, CommitId};

use crate::hub_fixtures::{Cloned, Made, World, branch, chain, commit, handle};

/// A stopwatch that goes on by a millisecond whenever it is looked at.
#[derive(Default)]
struct Ticking(AtomicU64);

impl Stopwatch for Ticking {
    fn elapsed(&self) -> Duration {
        Duration::from_millis(self.0.fetch_add(1, Ordering::SeqCst))
    }
}

/// A hub, and its packs of the wire.
struct Packs {
    world: World,
    store: MemoryMpacks,
    mpacks: Mpacks,
}

impl Packs {
    fn new() -> Self {
        Self::with(MpackOptions::default())
    }

    fn with(options: MpackOptions) -> Self {
        Self::over(World::new(), MemoryMpacks::default(), options)
    }

    fn over(world: World, store: MemoryMpacks, options: MpackOptions) -> Self {
        let stopwatch: Arc<dyn Stopwatch> = Arc::new(Ticking::default());
        let built = world.index.clone();
        let releases = Releases::new(world.hub.clone(), built.clone());
        let mpacks =
            Mpacks::new(world.hub.clone(), Arc::new(store.clone()), built, stopwatch, releases, options);
        Self { world, store, mpacks }
    }

    async fn upload(&self, repo: &RepositoryRecord, bytes: &[u8]) -> MpackId {
        let id = MpackId::of(bytes);
        self.upload_as(repo, id, bytes).await;
        id
    }

    async fn upload_as(&self, repo: &RepositoryRecord, id: MpackId, bytes: &[u8]) {
        let mut writer = self.store.begin(&MpackFile::incoming(&repo.repo_id, id)).await.unwrap();
        writer.write(Bytes::copy_from_slice(bytes)).await.unwrap();
        writer.finish().await.unwrap();
    }

    async fn index(
        &self,
        repo: &RepositoryRecord,
        bytes: &[u8],
        head: CommitId,
    ) -> Result<Indexed, IndexError> {
        let id = self.upload(repo, bytes).await;
        let repo = self.world.reopen(repo).await;
        self.mpacks.index(&repo, &to(id, "main", head)).await.map(|(indexed, _)| indexed)
    }

    async fn bytes_of(&self, pack: &FetchPack) -> Vec<u8> {
        let pieces = self.store.read(&pack.file, 0..pack.size).await.unwrap();
        pieces.try_collect::<Vec<Bytes>>().await.unwrap().concat()
    }

    async fn fetch(&self, repo: &RepositoryRecord, want: &[CommitId], have: &[CommitId]) -> Vec<u8> {
        let repo = self.world.reopen(repo).await;
        let (pack, _) = self.mpacks.fetch_pack(&repo, want, have).await.unwrap();
        let bytes = self.bytes_of(&pack).await;
        assert_eq!(MpackId::of(&bytes), pack.id);
        assert_eq!(bytes.len() as u64, pack.size);
        bytes
    }
}

fn to(mpack_key: MpackId, name: &str, head: CommitId) -> UploadedPack {
    UploadedPack { mpack_key, branch: branch(name), head: Some(head), force: false, pusher: handle("alice") }
}

/// How a pack has the snapshots of commits.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Snapshots {
    Full,
    /// Each as a delta of the one before it; the first of this one.
    DeltasOf(usize),
}

/// A pack of commits as a client makes it: those of `made` from `from` on.
fn pack(made: &[Made], from: usize, snapshots: Snapshots) -> Vec<u8> {
    let mut contents = Contents::default();
    let mut blobs: Vec<(BlobId, Bytes)> = Vec::new();
    let mut seen: BTreeSet<BlobId> = BTreeSet::new();
    for (at, one) in made.iter().enumerate().skip(from) {
        contents.commits.add(&one.record);
        let base = match snapshots {
            Snapshots::Full => None,
            Snapshots::DeltasOf(first) if at == from => Some(&made[first]),
            Snapshots::DeltasOf(_) => Some(&made[at - 1]),
        };
        match base {
            Some(base) if base.snapshot_id() != one.snapshot_id() => {
                let delta = SnapshotDelta::between(
                    &base.snapshot,
                    base.snapshot_id(),
                    &one.snapshot,
                    one.snapshot_id(),
                );
                contents.snapshots.add_delta(&delta);
            }
            _ => contents.snapshots.add_snapshot(&one.snapshot),
        }
        for blob in one.blobs.iter().filter(|blob| seen.insert(blob.id)) {
            blobs.push((blob.id, blob.content.clone()));
        }
    }
    finish(contents, &blobs)
}

fn finish(mut contents: Contents, blobs: &[(BlobId, Bytes)]) -> Vec<u8> {
    contents.blobs = blobs.len() as u64;
    contents.blob_bytes = blobs.iter().map(|(_, content)| content.len() as u64).sum();
    let (mut out, mut writer) = contents.begin();
    for (id, content) in blobs {
        for piece in [&object_entry(*id, content.len() as u64), &content[..]] {
            writer.hash(piece);
            out.extend_from_slice(piece);
        }
    }
    out.extend_from_slice(&writer.finish().0);
    out
}

/// The seed's shape: eight files of about 128 bytes, four commits, two files changed by each.
fn seed_shape() -> Vec<Made> {
    let mut made: Vec<Made> = Vec::new();
    for number in 0..4_usize {
        let files: Vec<(String, String)> = (0..8_usize)
            .map(|file| {
                let changed = (0..2).find(|change| (number * 2 + change) % 8 == file);
                let text = match changed {
                    Some(change) => format!("c{number:04}-f{change}{}", "y".repeat(128)),
                    None => format!("base-{file:04}{}", "x".repeat(128)),
                };
                (format!("src/file_{file:04}.py"), text)
            })
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (&**path, &**text)).collect();
        let parents: Vec<&Made> = made.last().into_iter().collect();
        made.push(commit(&format!("commit-{number:05}"), &parents, &files));
    }
    made
}

fn all_blobs(made: &[Made]) -> Vec<BlobId> {
    let blobs: BTreeSet<BlobId> = made.iter().flat_map(|one| &one.blobs).map(|blob| blob.id).collect();
    blobs.into_iter().collect()
}

#[test]
fn indexing_says_how_long_each_phase_took() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = seed_shape();
        let bytes = pack(&made, 0, Snapshots::DeltasOf(0));
        let indexed = packs.index(&repo, &bytes, made[3].id).await.unwrap();
        let text = serde_json::to_value(&indexed).unwrap();
        let mut sum = 0.0;
        for phase in [
            "fetch_mpack_ms",
            "unpack_ms",
            "snapshot_insert_ms",
            "commit_insert_ms",
            "object_puts_ms",
            "object_insert_ms",
            "object_refs_ms",
        ] {
            let millis = text[phase].as_f64().unwrap_or_else(|| panic!("{phase} is no number"));
            assert!(millis >= 0.0, "{phase}");
            sum += millis;
        }
        assert!(sum <= indexed.elapsed_ms + 50.0, "{sum} > {}", indexed.elapsed_ms);
        assert_eq!(indexed.mpack_size_bytes, bytes.len() as u64);
        assert_eq!(indexed.phases().map(|(_, millis)| millis).iter().sum::<f64>(), sum);
        assert_eq!((indexed.commits_written, indexed.commits_skipped), (4, 0));
        assert_eq!(indexed.snapshots_written, 4);
        let blobs = all_blobs(&made).len() as u64;
        assert_eq!((indexed.objects_written, indexed.object_refs_written), (blobs, blobs));
        assert_eq!(indexed.branch_head, made[3].id);
        assert_eq!(serde_json::from_value::<Indexed>(text).unwrap(), indexed);
    });
}

#[test]
fn what_a_pack_brings_is_what_a_push_brings() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = seed_shape();
        packs.index(&repo, &pack(&made, 0, Snapshots::DeltasOf(0)), made[3].id).await.unwrap();
        let repo = packs.world.reopen(&repo).await;
        assert_eq!(packs.world.clone_of(&repo, made[3].id).await, Cloned::expected(&made));
        // The pack is gone, and asking again says that it is done.
        let id = MpackId::of(&pack(&made, 0, Snapshots::DeltasOf(0)));
        assert_eq!(packs.store.size(&MpackFile::incoming(&repo.repo_id, id)).await.unwrap(), None);
        let (again, _) = packs.mpacks.index(&repo, &to(id, "main", made[3].id)).await.unwrap();
        assert_eq!((again.commits_written, again.branch_head), (0, made[3].id));
        let other = packs.mpacks.index(&repo, &to(id, "other", made[3].id)).await;
        assert!(matches!(other, Err(IndexError::NotUploaded(_))), "{other:?}");
    });
}

#[test]
fn a_history_pushed_into_a_second_repository_is_held_by_that_one_too() {
    block_on(async {
        let packs = Packs::new();
        let made = seed_shape();
        let bytes = pack(&made, 0, Snapshots::Full);
        let blobs = all_blobs(&made);
        let (one, two) = (packs.world.create("one").await, packs.world.create("two").await);
        packs.index(&one, &bytes, made[3].id).await.unwrap();
        let second = packs.index(&two, &bytes, made[3].id).await.unwrap();
        assert_eq!(second.objects_written, 0, "the store has them");
        assert_eq!(second.objects_skipped, blobs.len() as u64);
        assert_eq!(second.object_refs_written, blobs.len() as u64, "and the repository holds every one");
        let two = packs.world.reopen(&two).await;
        assert_eq!(packs.world.hub.blobs(&two, &blobs).await.unwrap().len(), blobs.len());
        assert_eq!(packs.world.clone_of(&two, made[3].id).await, Cloned::expected(&made));
    });
}

#[test]
fn indexing_a_pack_again_changes_nothing() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = seed_shape();
        let bytes = pack(&made, 0, Snapshots::Full);
        packs.index(&repo, &bytes, made[3].id).await.unwrap();
        let again = packs.index(&repo, &bytes, made[3].id).await.unwrap();
        assert_eq!((again.commits_written, again.commits_skipped), (0, 4));
        assert_eq!((again.snapshots_written, again.object_refs_written), (0, 0));
        assert_eq!(packs.world.refs_of(&repo, &branch("main")).await.len(), 1);
    });
}

#[test]
fn a_delta_whose_base_is_only_here_is_rebuilt() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 3);
        packs.index(&repo, &pack(&made, 0, Snapshots::DeltasOf(0)), made[2].id).await.unwrap();
        // D has B for its parent, and comes as a delta of B's snapshot alone.
        let files = [("a.py", "from d\n"), ("new/d.py", "d\n")];
        let d = commit("d", &[&made[1]], &files);
        let history = [made[1].clone(), d.clone()];
        let bytes = pack(&history, 1, Snapshots::DeltasOf(0));
        let repo = packs.world.reopen(&repo).await;
        let id = packs.upload(&repo, &bytes).await;
        packs.mpacks.index(&repo, &to(id, "side", d.id)).await.unwrap();
        let expected = Cloned::expected([&made[0], &made[1], &d]);
        assert_eq!(packs.world.clone_of(&repo, d.id).await, expected);
        let snapshot = packs.world.hub.snapshot(&repo, d.snapshot_id()).await.unwrap();
        assert_eq!(snapshot.manifest(), &d.snapshot.manifest, "never an empty one");
    });
}

#[test]
fn a_delta_without_a_base_is_refused_by_name() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 3);
        packs.index(&repo, &pack(&made[..1], 0, Snapshots::Full), made[0].id).await.unwrap();
        // The delta of the second snapshot is left out.
        let mut contents = Contents::default();
        made[1..].iter().for_each(|one| contents.commits.add(&one.record));
        let base = &made[1];
        let delta = SnapshotDelta::between(
            &base.snapshot,
            base.snapshot_id(),
            &made[2].snapshot,
            made[2].snapshot_id(),
        );
        contents.snapshots.add_delta(&delta);
        let refused = packs.index(&repo, &finish(contents, &[]), made[2].id).await;
        let Err(IndexError::Push(PushError::MissingBase { snapshot, base: named })) = refused else {
            panic!("{refused:?}");
        };
        assert_eq!((snapshot, named), (made[2].snapshot_id(), base.snapshot_id()));

        // Another repository's snapshot is none of this one's.
        let other = packs.world.create("other").await;
        let tail = pack(&made[..2], 1, Snapshots::DeltasOf(0));
        let refused = packs.index(&other, &tail, made[1].id).await;
        assert!(matches!(refused, Err(IndexError::Push(PushError::Incomplete(_)))), "{refused:?}");
    });
}

#[test]
fn deltas_that_are_based_on_each_other_are_refused() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 2);
        let mut contents = Contents::default();
        made.iter().for_each(|one| contents.commits.add(&one.record));
        for (from, to) in [(0, 1), (1, 0)] {
            let (from, to): (&Made, &Made) = (&made[from], &made[to]);
            let delta =
                SnapshotDelta::between(&from.snapshot, from.snapshot_id(), &to.snapshot, to.snapshot_id());
            contents.snapshots.add_delta(&delta);
        }
        let refused = packs.index(&repo, &finish(contents, &[]), made[1].id).await;
        assert!(matches!(refused, Err(IndexError::Push(PushError::MissingBase { .. }))), "{refused:?}");
    });
}

#[test]
fn a_delta_that_rebuilds_another_manifest_is_refused() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 2);
        let mut contents = Contents::default();
        made.iter().for_each(|one| contents.commits.add(&one.record));
        contents.snapshots.add_snapshot(&made[0].snapshot);
        let mut delta = SnapshotDelta::between(
            &made[0].snapshot,
            made[0].snapshot_id(),
            &made[1].snapshot,
            made[1].snapshot_id(),
        );
        delta.upsert.clear();
        contents.snapshots.add_delta(&delta);
        let blobs: Vec<(BlobId, Bytes)> =
            made.iter().flat_map(|one| &one.blobs).map(|blob| (blob.id, blob.content.clone())).collect();
        let refused = packs.index(&repo, &finish(contents, &blobs), made[1].id).await;
        assert!(matches!(refused, Err(IndexError::Push(PushError::Object(_)))), "{refused:?}");
        assert!(packs.world.heads(&repo).await.is_empty(), "nothing is visible");
    });
}

#[test]
fn the_rules_of_fast_forwards() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 3);
        // FF-1: a new branch.
        packs.index(&repo, &pack(&made[..2], 0, Snapshots::Full), made[1].id).await.unwrap();
        // FF-2: forwards, over what the pack has and what is stored.
        packs.index(&repo, &pack(&made, 2, Snapshots::DeltasOf(1)), made[2].id).await.unwrap();
        // FF-3: the same head.
        packs.index(&repo, &pack(&made, 2, Snapshots::DeltasOf(1)), made[2].id).await.unwrap();
        // FF-4: diverged, refused, and the branch stays.
        let aside = commit("aside", &[&made[0]], &[("x", "x\n")]);
        let bytes = pack(std::slice::from_ref(&aside), 0, Snapshots::Full);
        let refused = packs.index(&repo, &bytes, aside.id).await;
        assert!(matches!(refused, Err(IndexError::Push(PushError::NotFastForward { .. }))), "{refused:?}");
        assert_eq!(packs.world.heads(&repo).await["main"], made[2].id);
        // FF-5: by force. The pack of the refused try is still there.
        let repo = packs.world.reopen(&repo).await;
        let forced = UploadedPack { force: true, ..to(MpackId::of(&bytes), "main", aside.id) };
        packs.mpacks.index(&repo, &forced).await.unwrap();
        assert_eq!(packs.world.heads(&repo).await["main"], aside.id);
    });
}

#[test]
fn a_pack_without_commits_moves_a_branch_to_what_is_held() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 2);
        packs.index(&repo, &pack(&made, 0, Snapshots::Full), made[1].id).await.unwrap();
        let repo = packs.world.reopen(&repo).await;
        let empty = packs.upload(&repo, &finish(Contents::default(), &[])).await;
        packs.mpacks.index(&repo, &to(empty, "copy", made[0].id)).await.unwrap();
        assert_eq!(packs.world.heads(&repo).await["copy"], made[0].id);
        let nowhere = commit("nowhere", &[], &[]);
        packs.upload(&repo, &finish(Contents::default(), &[])).await;
        let refused = packs.mpacks.index(&repo, &to(empty, "copy", nowhere.id)).await;
        assert!(matches!(refused, Err(IndexError::Push(PushError::Incomplete(_)))), "{refused:?}");
    });
}

#[test]
fn other_bytes_than_the_key_names_are_refused() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 1);
        let bytes = pack(&made, 0, Snapshots::Full);
        let claimed = MpackId::of(b"something else");
        packs.upload_as(&repo, claimed, &bytes).await;
        let refused = packs.mpacks.index(&repo, &to(claimed, "main", made[0].id)).await;
        assert!(matches!(refused, Err(IndexError::WrongId { .. })), "{refused:?}");
        assert!(packs.world.heads(&repo).await.is_empty());
        // The form of the id that some clients compute is taken.
        let mut typed = format!("blob {}\0", bytes.len()).into_bytes();
        typed.extend_from_slice(&bytes);
        let typed = MpackId::of(&typed);
        packs.upload_as(&repo, typed, &bytes).await;
        packs.mpacks.index(&repo, &to(typed, "main", made[0].id)).await.unwrap();
    });
}

#[test]
fn limits_leave_nothing_behind() {
    block_on(async {
        let made = chain("c", None, 6);
        let bytes = pack(&made, 0, Snapshots::DeltasOf(0));
        let small = Packs::with(MpackOptions { pack: 100, ..MpackOptions::default() });
        let repo = small.world.create("song").await;
        let refused = small.index(&repo, &bytes, made[5].id).await;
        assert!(matches!(refused, Err(IndexError::TooLarge { .. })), "{refused:?}");
        let file = MpackFile::incoming(&repo.repo_id, MpackId::of(&bytes));
        assert_eq!(small.store.size(&file).await.unwrap(), None, "it will never be taken");

        let rebuilt = Packs::with(MpackOptions { rebuilt: 600, ..MpackOptions::default() });
        let repo = rebuilt.world.create("song").await;
        let refused = rebuilt.index(&repo, &bytes, made[5].id).await;
        assert!(matches!(refused, Err(IndexError::Push(PushError::TooManySnapshots { .. }))), "{refused:?}");
        assert!(rebuilt.world.heads(&repo).await.is_empty());

        let reading = Limits { object: 3, ..Limits::default() };
        let objects = Packs::with(MpackOptions { reading, ..MpackOptions::default() });
        let repo = objects.world.create("song").await;
        let refused = objects.index(&repo, &bytes, made[5].id).await;
        assert!(matches!(refused, Err(IndexError::Pack(_))), "{refused:?}");
    });
}

#[test]
fn a_pack_larger_than_what_is_held_is_staged_and_large_objects_come_in_pieces() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        // Nine objects of 4 MiB are more than is held in memory; each is given in pieces.
        let text = |n: usize| format!("{n}").repeat(4 << 20);
        let texts: Vec<(String, String)> = (0..9).map(|n| (format!("large/{n}"), text(n))).collect();
        let mut files: Vec<(&str, &str)> = texts.iter().map(|(path, text)| (&**path, &**text)).collect();
        files.push(("small", "small\n"));
        let one = commit("large", &[], &files);
        let made = [one.clone(), commit("next", &[&one], &[("small", "small\n"), ("empty", "")])];
        let bytes = pack(&made, 0, Snapshots::Full);
        let indexed = packs.index(&repo, &bytes, made[1].id).await.unwrap();
        assert_eq!(indexed.objects_written, 11);
        let repo = packs.world.reopen(&repo).await;
        assert_eq!(packs.world.clone_of(&repo, made[1].id).await, Cloned::expected(&made));
        // One wrong byte of a large object.
        let at = bytes.len() / 2;
        let mut damaged = bytes.clone();
        damaged[at] ^= 1;
        let other = packs.world.create("other").await;
        packs.upload_as(&other, MpackId::of(&damaged), &damaged).await;
        let refused = packs.mpacks.index(&other, &to(MpackId::of(&damaged), "main", made[1].id)).await;
        assert!(refused.is_err());
        assert!(packs.world.heads(&other).await.is_empty());
    });
}

#[test]
fn a_built_pack_brings_everything_to_another_hub() {
    block_on(async {
        let (here, there) = (Packs::new(), Packs::new());
        let repo = here.world.create("song").await;
        let mut made = chain("c", None, 5);
        let aside = chain("aside", Some(&made[1]), 2);
        let merge = commit("merge", &[&made[4], &aside[1]], &[("a.py", "merged\n")]);
        made.extend(aside);
        made.push(merge.clone());
        here.index(&repo, &pack(&made, 0, Snapshots::Full), merge.id).await.unwrap();
        let bytes = here.fetch(&repo, &[merge.id], &[]).await;
        // Most snapshots came as deltas.
        let mut reader = Reader::new(Limits::default());
        reader.push(&bytes);
        let (mut full, mut deltas) = (0, 0);
        while let Some(item) = reader.next().unwrap() {
            full += usize::from(matches!(item, Item::Snapshot(_)));
            deltas += usize::from(matches!(item, Item::Delta(_)));
        }
        assert_eq!((full, deltas), (1, 7));

        let copy = there.world.create("copy").await;
        there.index(&copy, &bytes, merge.id).await.unwrap();
        let copy = there.world.reopen(&copy).await;
        assert_eq!(there.world.clone_of(&copy, merge.id).await, Cloned::expected(&made));

        // And what came since then, to whoever has the rest.
        let next = commit("next", &[&merge], &[("a.py", "next\n")]);
        let history = [merge.clone(), next.clone()];
        here.index(&repo, &pack(&history, 1, Snapshots::DeltasOf(0)), next.id).await.unwrap();
        let tail = here.fetch(&repo, &[next.id], &[merge.id]).await;
        assert!(tail.len() < bytes.len() / 2);
        there.index(&copy, &tail, next.id).await.unwrap();
        made.push(next.clone());
        assert_eq!(there.world.clone_of(&copy, next.id).await, Cloned::expected(&made));
    });
}

#[test]
fn a_pack_is_built_once_and_ahead() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 3);
        packs.index(&repo, &pack(&made, 0, Snapshots::Full), made[2].id).await.unwrap();
        let repo = packs.world.reopen(&repo).await;
        let (before, _) = packs.mpacks.fetch_pack(&repo, &[], &[]).await.unwrap();
        assert_eq!(packs.mpacks.prebuild(&repo).await.unwrap(), 1);
        let (still, hit) = packs.mpacks.fetch_pack(&repo, &[], &[]).await.unwrap();
        assert!(hit && still.expires_at < before.expires_at, "what is no clone's any more ends");
        assert_eq!(packs.mpacks.prebuild(&repo).await.unwrap(), 0);
        let (first, hit) = packs.mpacks.fetch_pack(&repo, &[made[2].id], &[]).await.unwrap();
        assert!(hit);
        let (tail, hit) = packs.mpacks.fetch_pack(&repo, &[made[2].id], &[made[1].id]).await.unwrap();
        assert!(!hit && tail.expires_at < first.expires_at, "built for one fetch, kept for a short time");
        // What is not a head is nobody's clone.
        let (old, _) = packs.mpacks.fetch_pack(&repo, &[made[0].id], &[]).await.unwrap();
        assert_eq!(old.expires_at, tail.expires_at);
        // A file that somebody removed is built again.
        packs.store.remove(&first.file).await.unwrap();
        let (again, hit) = packs.mpacks.fetch_pack(&repo, &[made[2].id], &[]).await.unwrap();
        assert!(!hit);
        assert_eq!(again.id, first.id, "the same contents have the same id");
        // Nothing to send is a pack too.
        let (empty, _) = packs.mpacks.fetch_pack(&repo, &[made[0].id], &[made[2].id]).await.unwrap();
        assert_eq!((empty.commits, empty.blobs, empty.size), (0, 0, 38));
    });
}

#[test]
fn what_is_of_no_use_any_more_is_swept() {
    block_on(async {
        let at_once = MpackOptions {
            upload_life: Duration::ZERO,
            clone_life: Duration::ZERO,
            grace: Duration::ZERO,
            ..MpackOptions::default()
        };
        // The files are of the year 1970, the hub's clock stands in 2027.
        let clock = musehub_core::memory::FixedClock::default();
        let packs = Packs::over(World::new(), MemoryMpacks::with_clock(Arc::new(clock)), at_once);
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 2);
        packs.index(&repo, &pack(&made, 0, Snapshots::Full), made[1].id).await.unwrap();
        let repo = packs.world.reopen(&repo).await;
        packs.upload(&repo, b"never indexed").await;
        let (live, _) = packs.mpacks.fetch_pack(&repo, &[made[1].id], &[made[0].id]).await.unwrap();
        let orphan = MpackFile::new_built(&repo.repo_id);
        packs.store.begin(&orphan).await.unwrap().finish().await.unwrap();
        let counted = packs.mpacks.sweep(true).await.unwrap();
        assert_eq!((counted.uploads, counted.built), (1, 1));
        assert!(packs.store.size(&orphan).await.unwrap().is_some(), "it was only counted");
        assert_eq!(packs.mpacks.sweep(false).await.unwrap(), counted);
        assert_eq!(packs.store.size(&orphan).await.unwrap(), None);
        assert!(packs.store.size(&live.file).await.unwrap().is_some(), "its time is not over");
        assert_eq!(packs.mpacks.sweep(false).await.unwrap().bytes, 0);
    });
}

#[test]
fn ids_of_a_snapshot_are_never_taken_on_trust() {
    block_on(async {
        let packs = Packs::new();
        let repo = packs.world.create("song").await;
        let made = chain("c", None, 1);
        let mut lying = made[0].clone();
        lying.snapshot.manifest = commit("x", &[], &[("other", "other\n")]).snapshot.manifest;
        lying.blobs = commit("x", &[], &[("other", "other\n")]).blobs;
        let claimed: SnapshotId = lying.snapshot_id();
        let refused = packs.index(&repo, &pack(&[lying], 0, Snapshots::Full), made[0].id).await;
        let Err(IndexError::Push(error)) = refused else { panic!("{refused:?}") };
        assert!(error.to_string().contains(&claimed.to_hex()), "{error}");
    });
}
