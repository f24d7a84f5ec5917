//! Feeds every input that the fuzzer found, and each that once failed, to the check of its target.

#![allow(clippy::unwrap_used, reason = "a failure should stop a test where it stands")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use musehub_test_decoders::{CHECKS, Check};

fn fuzz(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz").join(folder)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// Names every file whose check fails.
fn replay(name: &str, check: Check) {
    let mut files = files(&fuzz("corpus").join(name));
    let regressions = fuzz("regressions").join(name);
    if regressions.exists() {
        files.extend(self::files(&regressions));
    }
    let (mut taken, mut failed) = (0, Vec::new());
    for file in &files {
        let data = std::fs::read(file).unwrap();
        match catch_unwind(AssertUnwindSafe(|| check(&data))) {
            Ok(is_taken) => taken += usize::from(is_taken),
            Err(_) => failed.push(file),
        }
    }
    assert!(failed.is_empty(), "{name}: {failed:#?}");
    assert!(taken >= 2 && files.len() - taken >= 2, "of {} files of {name}, {taken} are taken", files.len());
}

macro_rules! corpus_of {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            let (_, check) = CHECKS.into_iter().find(|(name, _)| *name == stringify!($name)).unwrap();
            replay(stringify!($name), check);
        })*

        #[test]
        fn every_check_has_a_corpus_and_a_fuzz_target() {
            let mut checks = CHECKS.map(|(name, _)| name.to_owned());
            checks.sort_unstable();
            let mut tested = [$(stringify!($name)),*];
            tested.sort_unstable();
            assert_eq!(checks, tested);
            let name = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
            for folder in [fuzz("corpus"), fuzz("fuzz_targets")] {
                let mut names: Vec<String> = files(&folder).iter().map(name).collect();
                names.sort_unstable();
                assert_eq!(names, checks, "{}", folder.display());
            }
        }
    };
}

corpus_of!(pack, msgpack_bundle, json_bundle, canonical_object, id, branch_name, manifest_path);
