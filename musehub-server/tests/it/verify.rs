//! Verification finds each kind of damage to a store on disk, and names it.

use std::fs;
use std::path::{Path, PathBuf};

use musehub_core::hub::recovery::{Event, Problem, ProblemKind, VerifyOptions, VerifySummary};
use musehub_core::port::{ObjectStore, PackFaultKind, PackedObject, RefStore, RepositoryRecord};
use musehub_core::{Handle, ObjectKind, Slug};
use musehub_store::{Backend, PackedStore, RefLog, RepackOptions};
use musehub_test_support::history::{noise, write};
use musehub_test_support::{History, TestApp};
use sea_orm::{ConnectionTrait, Database};

use crate::durability::copy;

/// Lengths of an index file: its header, an entry, and within one the id and the offset.
const HEADER: usize = 56;
const ENTRY: usize = 60;
const KEY: usize = 36;

/// A data directory on which damage is done.
struct Damaged {
    directory: tempfile::TempDir,
}

impl Damaged {
    fn path(&self, pack: &PackedObject, extension: &str) -> PathBuf {
        let name = pack.place.pack.to_string();
        self.directory.path().join(format!("store/packs/{}/{name}.{extension}", &name[..2]))
    }

    fn edit(&self, pack: &PackedObject, extension: &str, edit: impl FnOnce(&mut Vec<u8>)) {
        let path = self.path(pack, extension);
        let mut bytes = fs::read(&path).unwrap();
        edit(&mut bytes);
        fs::write(path, bytes).unwrap();
    }

    /// Edits an index or forwarding file and gives it the checksum of what it says then.
    fn lie(&self, pack: &PackedObject, extension: &str, lie: impl FnOnce(&mut [u8])) {
        self.edit(pack, extension, |bytes| {
            let end = bytes.len() - 32;
            lie(&mut bytes[..end]);
            let checksum = *blake3::hash(&bytes[..end]).as_bytes();
            bytes[end..].copy_from_slice(&checksum);
        });
    }

    /// Does something to rows of the database.
    async fn rows(&self, surgery: &str) {
        let url = format!("sqlite://{}", self.directory.path().join("musehub.db").display());
        let database = Database::connect(url).await.unwrap();
        assert!(database.execute_unprepared(surgery).await.unwrap().rows_affected() > 0, "{surgery}");
        database.close().await.unwrap();
    }

    /// The directory of the log of `main` of the repository that has most moves.
    fn log(&self) -> PathBuf {
        let repositories = fs::read_dir(self.directory.path().join("store/refs")).unwrap();
        let logs = repositories.map(|repository| repository.unwrap().path().join("main"));
        logs.max_by_key(|log| fs::read_dir(log).map_or(0, Iterator::count)).unwrap()
    }

    /// Folds all packs into one, and gives the objects of the first as they lay before.
    async fn fold(&self) {
        let app = TestApp::open(self.directory.path()).await;
        let options = RepackOptions { min_packs: 2, all: true, dry_run: false };
        assert_eq!(app.app.upkeep.repack(options, &|_| ()).await.unwrap().written.len(), 1);
        app.app.close().await.unwrap();
    }

    async fn verify(&self, options: VerifyOptions) -> (VerifySummary, Vec<Problem>) {
        let app = TestApp::open(self.directory.path()).await;
        let mut problems = Vec::new();
        let mut note = |event| {
            if let Event::Problem(problem) = event {
                problems.push(problem);
            }
        };
        let summary = app.app.recovery.verify(&options, &mut note).await.unwrap();
        assert_eq!(summary.problems, problems.len() as u64);
        (summary, problems)
    }

    /// The problems, each as its line, of a verification of everything.
    async fn problems(&self) -> Vec<String> {
        let (_, problems) = self.verify(VerifyOptions { objects: true, ..VerifyOptions::default() }).await;
        problems.iter().map(ToString::to_string).collect()
    }
}

/// An entry of the log as it was written before entries had a checksum, to be changed.
fn unsealed(path: &Path) -> serde_json::Value {
    let mut entry: serde_json::Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    entry["format"] = 1.into();
    entry.as_object_mut().unwrap().remove("blake3");
    entry
}

/// A hub that is whole, to be copied and damaged.
struct Whole {
    directory: tempfile::TempDir,
    /// What the first push of `alice/demo` wrote.
    objects: Vec<PackedObject>,
}

impl Whole {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut history = History::new();
        history.commit("main", "one", |tree| {
            write(tree, "a.txt", "a");
            write(tree, "b.txt", "not a");
            write(tree, "large", noise(1, 200_000));
        });
        let app = TestApp::open(directory.path()).await;
        let mut client = app.repository("alice", "demo").await;
        client.push(&history, "main", false).await.unwrap();
        let store =
            PackedStore::scan(Backend::local(&directory.path().join("store")).unwrap()).await.unwrap();
        let pack = store.packs().await.unwrap()[0];
        let objects = store.pack_objects(pack).await.unwrap();
        // The same objects again in another repository, which borrows them.
        app.repository("bob", "copy").await.push(&history, "main", false).await.unwrap();
        for at in 0..3 {
            history.commit_file("main", &format!("more {at}"), &format!("{at}.txt"));
            client.push(&history, "main", false).await.unwrap();
        }
        app.app.close().await.unwrap();
        Self { directory, objects }
    }

    fn damaged(&self) -> Damaged {
        let directory = tempfile::tempdir().unwrap();
        copy(self.directory.path(), directory.path());
        Damaged { directory }
    }

    fn of_kind(&self, kind: ObjectKind) -> PackedObject {
        *self.objects.iter().find(|object| object.key.kind == kind).unwrap()
    }

    fn position(&self, object: &PackedObject) -> usize {
        self.objects.iter().position(|other| other == object).unwrap()
    }
}

/// One of the problems has every word.
#[track_caller]
fn assert_names(problems: &[String], words: &[&str]) {
    let named = problems.iter().any(|problem| words.iter().all(|word| problem.contains(word)));
    assert!(named, "nothing says {words:?} in\n{}", problems.join("\n"));
}

#[tokio::test]
async fn a_whole_hub_has_no_problem_and_everything_is_counted() {
    let whole = Whole::new().await.damaged();
    for objects in [false, true] {
        let (summary, problems) = whole.verify(VerifyOptions { objects, ..VerifyOptions::default() }).await;
        assert!(problems.is_empty(), "{problems:?}");
        let counts = (summary.repositories, summary.branches, summary.moves, summary.packs);
        assert_eq!(counts, (2, 2, 5, 5));
        assert_eq!((summary.commits, summary.snapshots, summary.blobs), (5, 5, 9));
        assert_eq!((summary.pack_bytes > 200_000, summary.unused_packs), (objects, 0));
    }
    let name = Some((Handle::parse("bob").unwrap(), Slug::parse("copy").unwrap()));
    let (summary, problems) = whole.verify(VerifyOptions { repository: name, objects: true }).await;
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!((summary.repositories, summary.commits, summary.packs), (1, 1, 2), "its own and the borrowed");
}

#[tokio::test]
async fn a_flipped_byte_is_found_and_its_object_named() {
    let whole = Whole::new().await;
    for object in &whole.objects {
        let damaged = whole.damaged();
        let at = (object.place.offset + object.place.length / 2) as usize;
        damaged.edit(object, "pack", |bytes| bytes[at] ^= 1);
        let problems = damaged.problems().await;
        let pack = object.place.pack.to_string();
        assert_names(&problems, &["damaged-pack", &pack]);
        assert_names(&problems, &["damaged-object", &object.key.to_string(), &pack]);
        if object.key.kind != ObjectKind::Blob {
            assert_names(&problems, &["damaged-object alice/demo", &object.key.to_string()]);
        }
        let others = whole.objects.iter().filter(|other| other.key != object.key);
        for other in others {
            let named = problems.iter().any(|problem| problem.contains(&other.key.to_string()));
            assert!(!named, "{} is whole: {problems:?}", other.key);
        }
    }
}

#[tokio::test]
async fn a_truncated_pack_is_found_with_every_object_behind_its_end() {
    let whole = Whole::new().await;
    let object = whole.objects[1];
    let damaged = whole.damaged();
    damaged.edit(&object, "pack", |bytes| bytes.truncate(object.place.offset as usize + 10));
    let problems = damaged.problems().await;
    assert_names(&problems, &["damaged-pack", &object.place.pack.to_string(), "its index says"]);
    for behind in &whole.objects[1..] {
        assert_names(&problems, &["damaged-object", &behind.key.to_string()]);
    }
    let before = whole.objects[0].key.to_string();
    assert!(!problems.iter().any(|problem| problem.contains(&before)), "{problems:?}");
    let (_, shallow) = damaged.verify(VerifyOptions::default()).await;
    assert!(shallow.iter().any(|problem| problem.to_string().starts_with("damaged-pack")), "{shallow:?}");
}

#[tokio::test]
async fn a_missing_pack_and_a_missing_index_are_found() {
    let whole = Whole::new().await;
    let commit = whole.of_kind(ObjectKind::Commit);
    let pack = commit.place.pack.to_string();

    let damaged = whole.damaged();
    fs::remove_file(damaged.path(&commit, "pack")).unwrap();
    let problems = damaged.problems().await;
    assert_names(&problems, &["missing-pack", &pack]);
    assert_names(&problems, &["row-without-object alice/demo", &commit.key.to_string(), &pack]);

    let damaged = whole.damaged();
    fs::remove_file(damaged.path(&commit, "idx")).unwrap();
    assert_names(&damaged.problems().await, &["missing-index", &pack]);
}

#[tokio::test]
async fn a_row_without_object_is_found() {
    let whole = Whole::new().await;
    let damaged = whole.damaged();
    for extension in ["pack", "idx"] {
        fs::remove_file(damaged.path(&whole.objects[0], extension)).unwrap();
    }
    let problems = damaged.problems().await;
    for object in &whole.objects {
        assert_names(&problems, &["row-without-object alice/demo", &object.key.to_string()]);
    }
    let blob = whole.of_kind(ObjectKind::Blob).key.to_string();
    assert_names(&problems, &["row-without-object bob/copy", &blob]);
}

#[tokio::test]
async fn an_index_that_lies_is_found_although_its_checksum_fits() {
    let whole = Whole::new().await;
    let [first, second] = [0, 1].map(|nth| {
        let blobs = whole.objects.iter().filter(|object| object.key.kind == ObjectKind::Blob);
        let small = blobs.filter(|object| object.size < 100).collect::<Vec<_>>();
        *small[nth]
    });
    let entry = |object: &PackedObject| HEADER + whole.position(object) * ENTRY;
    let pack = first.place.pack.to_string();

    let damaged = whole.damaged();
    damaged.lie(&first, "idx", |bytes| {
        let (a, b) = (entry(&first), entry(&second));
        for at in 0..KEY {
            bytes.swap(a + at, b + at);
        }
    });
    let problems = damaged.problems().await;
    for object in [&first, &second] {
        assert_names(&problems, &["lying-index", &object.key.to_string(), &pack]);
        assert_names(&problems, &["row-without-object alice/demo", &object.key.to_string(), &pack]);
    }

    // The length of a compressed record says nothing of that of its object.
    let dull = whole.of_kind(ObjectKind::Snapshot);
    let damaged = whole.damaged();
    damaged.lie(&dull, "idx", |bytes| bytes[entry(&dull) + KEY + 16] -= 1);
    let problems = damaged.problems().await;
    assert_names(&problems, &["lying-index", &dull.key.to_string(), "not as long"]);

    let damaged = whole.damaged();
    damaged.lie(&first, "idx", |bytes| bytes[entry(&first) + KEY] += 1);
    assert_names(&damaged.problems().await, &["lying-index", &pack, "do not fit together"]);

    let damaged = whole.damaged();
    damaged.edit(&first, "idx", |bytes| bytes[entry(&first)] ^= 1);
    assert_names(&damaged.problems().await, &["damaged-index", &pack, "checksum"]);
}

/// A collection removes the index file first. Cut off behind it, or looked at beside it, everything is there.
#[tokio::test]
async fn packs_that_were_folded_are_whole_at_every_step_of_their_removal() {
    let whole = Whole::new().await;
    let folded = whole.damaged();
    folded.fold().await;
    for extension in ["", "idx", "pack"] {
        if !extension.is_empty() {
            fs::remove_file(folded.path(&whole.objects[0], extension)).unwrap();
        }
        for objects in [false, true] {
            let options = VerifyOptions { objects, ..VerifyOptions::default() };
            let (summary, problems) = folded.verify(options).await;
            assert!(problems.is_empty(), "without {extension}: {problems:?}");
            assert_eq!((summary.packs, summary.folded_packs, summary.unused_packs), (1, 5, 0));
        }
    }
}

#[tokio::test]
async fn a_forwarding_file_that_is_damaged_or_lies_is_found() {
    // Of a file with one target: its header, the target, and of an entry the offset it had, the one it has, and its length.
    const ENTRIES: usize = 56 + 32;
    const OLD_OFFSET: usize = KEY + 8;
    const NEW_OFFSET: usize = KEY + 28;
    let whole = Whole::new().await;
    let first = whole.objects[0];
    let pack = first.place.pack.to_string();
    for files_are_there in [true, false] {
        let folded = whole.damaged();
        folded.fold().await;
        if !files_are_there {
            for extension in ["idx", "pack"] {
                fs::remove_file(folded.path(&first, extension)).unwrap();
            }
        }
        let original = fs::read(folded.path(&first, "fwd")).unwrap();
        let restore = || fs::write(folded.path(&first, "fwd"), &original).unwrap();

        folded.edit(&first, "fwd", |bytes| bytes[ENTRIES + NEW_OFFSET] ^= 1);
        let problems = folded.problems().await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_names(&problems, &["damaged-forward", &pack, "checksum"]);

        restore();
        folded.lie(&first, "fwd", |bytes| bytes[ENTRIES + NEW_OFFSET] ^= 1);
        let problems = folded.problems().await;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_names(&problems, &["lying-forward", &pack, &first.key.to_string()]);

        // The target is a pack that is not there.
        restore();
        folded.lie(&first, "fwd", |bytes| bytes[56] ^= 1);
        assert_names(&folded.problems().await, &["lying-forward", &pack, "it leads to"]);

        restore();
        folded.lie(&first, "fwd", |bytes| bytes[ENTRIES + OLD_OFFSET] ^= 1);
        let problems = folded.problems().await;
        if files_are_there {
            assert_names(&problems, &["lying-forward", &pack, "does not say where the record"]);
        }
        let lost = fs::remove_file(folded.path(&first, "fwd"));
        lost.unwrap();
        let kind = if files_are_there { None } else { Some("missing-pack") };
        let problems = folded.problems().await;
        assert_eq!(problems.first().and_then(|problem| problem.split(' ').next()), kind, "{problems:?}");
    }
}

/// What leads on to what leads astray is found, too, though nothing names the pack in the middle.
#[tokio::test]
async fn a_damaged_forwarding_file_in_the_middle_of_a_way_is_found_once() {
    let whole = Whole::new().await;
    let damaged = whole.damaged();
    damaged.fold().await;
    let packs = PackedStore::scan(Backend::local(&damaged.directory.path().join("store")).unwrap());
    let middle = packs.await.unwrap().pack_objects(whole.objects[0].place.pack).await.unwrap()[0];
    {
        let app = TestApp::open(damaged.directory.path()).await;
        let mut client = app.client("alice", "demo", Some("alice")).await;
        let mut history = client.clone_repository().await.unwrap();
        history.commit_file("main", "later", "later.txt");
        client.push(&history, "main", false).await.unwrap();
        app.app.close().await.unwrap();
    }
    damaged.fold().await;
    damaged.edit(&middle, "fwd", |bytes| bytes[70] ^= 1);
    let problems = damaged.problems().await;
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_names(
        &problems,
        &["lying-forward", &format!("the forwarding file of pack {}", middle.place.pack)],
    );
}

#[tokio::test]
async fn a_gap_in_a_log_and_a_damaged_entry_are_found() {
    let whole = Whole::new().await;
    for (number, expected) in [(2, "log-gap"), (4, "log-gap")] {
        let damaged = whole.damaged();
        fs::remove_file(damaged.log().join(format!("{number:012}.json"))).unwrap();
        assert_names(&damaged.problems().await, &[expected, "alice/demo", "branch main"]);
    }
    for number in [1, 4] {
        let damaged = whole.damaged();
        fs::write(damaged.log().join(format!("{number:012}.json")), "{").unwrap();
        assert_names(&damaged.problems().await, &["damaged-log", "alice/demo", "branch main"]);
    }
}

#[tokio::test]
async fn a_branch_that_points_at_no_commit_is_found() {
    let whole = Whole::new().await.damaged();
    let log = whole.log();
    let mut entry = unsealed(&log.join("000000000004.json"));
    let lost = format!("sha256:{}", "5".repeat(64));
    entry["old"] = entry["new"].clone();
    entry["new"] = lost.clone().into();
    entry["sequence"] = 5.into();
    fs::write(log.join("000000000005.json"), entry.to_string()).unwrap();
    let problems = whole.problems().await;
    assert_names(&problems, &["missing-head alice/demo branch main", &lost]);
    assert_names(&problems, &["stale-branch alice/demo branch main"]);
}

/// Without its record a repository is not served again once the database is made anew.
#[tokio::test]
async fn a_repository_without_record_is_found_and_its_history_followed_all_the_same() {
    let whole = Whole::new().await;
    let damaged = whole.damaged();
    fs::remove_dir_all(damaged.directory.path().join("store/repositories/alice")).unwrap();
    let (summary, problems) =
        damaged.verify(VerifyOptions { objects: true, ..VerifyOptions::default() }).await;
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["row-without-object alice/demo: the store has no record of it"]);
    assert_eq!((summary.repositories, summary.commits, summary.unused_packs), (2, 5, 0));
    let named = Some((Handle::parse("alice").unwrap(), Slug::parse("demo").unwrap()));
    let (_, problems) = damaged.verify(VerifyOptions { repository: named, objects: false }).await;
    assert_eq!(problems.len(), 1, "{problems:?}");

    let blob = whole.objects.iter().find(|object| object.size == 200_000).unwrap();
    damaged.edit(blob, "pack", |bytes| bytes[(blob.place.offset + 100) as usize] ^= 1);
    assert_names(&damaged.problems().await, &["damaged-object", &blob.key.to_string()]);
}

#[tokio::test]
async fn a_repository_that_was_deleted_for_good_is_not_missed() {
    let damaged = Whole::new().await.damaged();
    let store = damaged.directory.path().join("store");
    let log = RefLog::new(Backend::local(&store).unwrap());
    let present =
        log.repository(&Handle::parse("bob").unwrap(), &Slug::parse("copy").unwrap()).await.unwrap();
    let present = present.unwrap();
    let deleted = RepositoryRecord { version: present.version + 1, deleted: true, ..present };
    log.put_repository(&deleted).await.unwrap();
    damaged.rows("DELETE FROM musehub_repos WHERE owner = 'bob'").await;
    let (_, problems) = damaged.verify(VerifyOptions::default()).await;
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_names(&lines, &["object-without-row bob/copy: its record has no row"]);
    fs::remove_dir_all(store.join("refs").join(deleted.repo_id.as_str())).unwrap();
    let (summary, problems) = damaged.verify(VerifyOptions::default()).await;
    assert!(problems.is_empty(), "{problems:?}");
    assert_eq!(summary.unused_packs, 1, "what it had waits for the collection");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_found_and_the_others_are_looked_at() {
    let damaged = Whole::new().await.damaged();
    let records = damaged.directory.path().join("store/repositories/alice/demo");
    let last = fs::read_dir(&records).unwrap().map(|entry| entry.unwrap().path()).max().unwrap();
    fs::write(last, "{").unwrap();
    let (summary, problems) = damaged.verify(VerifyOptions::default()).await;
    let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert_names(&lines, &["damaged-log alice/demo", "repositories/alice/demo/"]);
    assert_eq!((summary.repositories, summary.commits), (2, 5));
}

#[tokio::test]
async fn a_log_with_neither_record_nor_row_is_found() {
    let damaged = Whole::new().await.damaged();
    fs::remove_dir_all(damaged.directory.path().join("store/repositories/alice")).unwrap();
    fs::remove_file(damaged.directory.path().join("musehub.db")).unwrap();
    let problems = damaged.problems().await;
    assert_names(&problems, &["damaged-log", "has moves and neither a record nor a row"]);
}

/// The database of before a push beside the store of after it: what the log names has no rows.
#[tokio::test]
async fn an_object_without_row_is_found() {
    let whole = Whole::new().await;
    let ahead = whole.damaged();
    let commit;
    {
        let app = TestApp::open(ahead.directory.path()).await;
        let client = app.client("alice", "demo", Some("alice")).await;
        let mut history = client.clone_repository().await.unwrap();
        commit = history.commit_file("main", "unindexed", "u.txt");
        let mut client = client;
        client.push(&history, "main", false).await.unwrap();
    }
    let damaged = whole.damaged();
    copy(&ahead.directory.path().join("store"), &damaged.directory.path().join("store"));
    let problems = damaged.problems().await;
    assert_names(&problems, &["object-without-row", &format!("commit sha256:{commit}")]);
    assert_names(&problems, &["stale-branch alice/demo branch main"]);
    assert_names(&problems, &["missing-head alice/demo branch main", &commit]);
}

#[tokio::test]
async fn a_move_that_says_something_else_than_what_happened_is_found() {
    let whole = Whole::new().await;
    let borrowed = |damaged: &Damaged| {
        let mut logs = fs::read_dir(damaged.directory.path().join("store/refs")).unwrap();
        let mut paths = logs.by_ref().map(|log| log.unwrap().path().join("main/000000000001.json"));
        paths.find(|path| !unsealed(path)["borrowed"].as_array().unwrap().is_empty()).unwrap()
    };
    // Sealed, whatever is changed is damage.
    for (member, changed) in [("at", 1.into()), ("pusher", "eve".into()), ("forced", true.into())] {
        let damaged = whole.damaged();
        let path = borrowed(&damaged);
        let mut entry: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let before = entry.to_string();
        entry[member] = changed;
        assert_ne!(entry.to_string(), before);
        let text = fs::read_to_string(&path).unwrap();
        let seal = text.find(",\"blake3\"").unwrap();
        let body = &mut entry;
        let checksum = body.as_object_mut().unwrap().remove("blake3");
        assert!(checksum.is_some());
        let body = body.to_string();
        fs::write(&path, format!("{}{}", &body[..body.len() - 1], &text[seal..])).unwrap();
        assert_names(&damaged.problems().await, &["damaged-log bob/copy branch main", "checksum"]);
    }
    // What was written before there were checksums is compared with what came of it.
    let damaged = whole.damaged();
    let path = borrowed(&damaged);
    let mut entry = unsealed(&path);
    entry["borrowed"][0] = "7".repeat(64).into();
    fs::write(&path, entry.to_string()).unwrap();
    assert_names(&damaged.problems().await, &["missing-pack", &"7".repeat(64)]);
    let damaged = whole.damaged();
    let path = borrowed(&damaged);
    let mut entry = unsealed(&path);
    entry["at"] = 1.into();
    fs::write(&path, entry.to_string()).unwrap();
    assert_names(&damaged.problems().await, &["wrong-row bob/copy branch main", "another time"]);
}

/// All kinds of problems.
const KINDS: [ProblemKind; 19] = [
    ProblemKind::RowWithoutObject,
    ProblemKind::ObjectWithoutRow,
    ProblemKind::WrongRow,
    ProblemKind::MissingHead,
    ProblemKind::UnstorableRow,
    ProblemKind::MissingParent,
    ProblemKind::MissingSnapshot,
    ProblemKind::MissingBlob,
    ProblemKind::LogGap,
    ProblemKind::DamagedLog,
    ProblemKind::StaleBranch,
    ProblemKind::Pack(PackFaultKind::MissingPack),
    ProblemKind::Pack(PackFaultKind::MissingIndex),
    ProblemKind::Pack(PackFaultKind::DamagedPack),
    ProblemKind::Pack(PackFaultKind::DamagedIndex),
    ProblemKind::Pack(PackFaultKind::LyingIndex),
    ProblemKind::Pack(PackFaultKind::DamagedForward),
    ProblemKind::Pack(PackFaultKind::LyingForward),
    ProblemKind::Pack(PackFaultKind::DamagedObject),
];

/// Does what brings a problem of a kind about. Whoever adds a kind says here how, and adds it to those above.
async fn inflict(kind: ProblemKind, whole: &Whole, on: &Damaged) {
    let blob = whole.of_kind(ObjectKind::Blob);
    let flip = |extension, at: usize| on.edit(&blob, extension, |bytes| bytes[at] ^= 1);
    let remove = |extension| fs::remove_file(on.path(&blob, extension)).unwrap();
    let rows = async |surgery: &str| on.rows(surgery).await;
    match kind {
        ProblemKind::RowWithoutObject => rows("UPDATE musehub_objects SET size = size + 1").await,
        ProblemKind::ObjectWithoutRow | ProblemKind::MissingSnapshot => {
            rows("DELETE FROM musehub_snapshots").await;
        }
        ProblemKind::WrongRow => rows("UPDATE musehub_commits SET message = 'another'").await,
        ProblemKind::MissingHead => {
            let surgery = format!("UPDATE musehub_branches SET head_commit_id = 'sha256:{}'", "5".repeat(64));
            rows(&surgery).await;
        }
        ProblemKind::UnstorableRow => {
            rows("UPDATE musehub_commits SET storage_uri = NULL, record = '[]'").await;
        }
        ProblemKind::MissingParent => {
            let parents = "SELECT parent_id FROM musehub_commit_graph WHERE parent_id IS NOT NULL";
            rows(&format!("DELETE FROM musehub_commits WHERE commit_id IN ({parents})")).await;
        }
        ProblemKind::MissingBlob => rows("DELETE FROM musehub_object_refs").await,
        ProblemKind::LogGap => rows("UPDATE musehub_branches SET sequence = sequence + 1").await,
        ProblemKind::StaleBranch => rows("DELETE FROM musehub_branches").await,
        ProblemKind::DamagedLog => fs::write(on.log().join("000000000002.json"), "{").unwrap(),
        ProblemKind::Pack(kind) => match kind {
            PackFaultKind::MissingPack => remove("pack"),
            PackFaultKind::MissingIndex => remove("idx"),
            PackFaultKind::DamagedPack => flip("pack", blob.place.offset as usize),
            PackFaultKind::DamagedObject => flip("pack", blob.place.offset as usize + 60),
            PackFaultKind::DamagedIndex => flip("idx", 70),
            PackFaultKind::LyingIndex => on.lie(&blob, "idx", |bytes| bytes[HEADER + KEY] ^= 1),
            PackFaultKind::DamagedForward => {
                on.fold().await;
                flip("fwd", 70);
            }
            PackFaultKind::LyingForward => {
                on.fold().await;
                on.lie(&blob, "fwd", |bytes| bytes[60] ^= 1);
            }
        },
    }
}

#[tokio::test]
async fn every_kind_of_problem_is_found() {
    let whole = Whole::new().await;
    for kind in KINDS {
        let damaged = whole.damaged();
        inflict(kind, &whole, &damaged).await;
        let (_, problems) = damaged.verify(VerifyOptions { objects: true, ..VerifyOptions::default() }).await;
        assert!(problems.iter().any(|problem| problem.kind == kind), "{kind:?} is not among {problems:?}");
    }
}
