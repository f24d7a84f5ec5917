//! Merges of random histories: what must hold of each, and the same as a naive model where there is one base.

use std::collections::BTreeSet;

use musehub_core::merge::{Conflicts, FileStrategy, Outcome};

use crate::merge_fixtures::{Files, History, seeds, with_seed};
use crate::merge_model::Expected;

const CASES: u64 = 100_000;

fn paths(conflicts: &Conflicts) -> BTreeSet<String> {
    conflicts.listed.iter().map(|conflict| conflict.path.to_string()).collect()
}

fn lines(files: &Files) -> BTreeSet<&str> {
    files.files.values().flat_map(|file| file.text.split_inclusive('\n')).collect()
}

/// What neither side nor a virtual base may make of any merge.
fn check_clean(history: &History, bases: &[usize], [ours, theirs]: [&Files; 2], merged: &Files) {
    for (at, file) in &ours.files {
        if theirs.files.get(at) == Some(file) {
            assert_eq!(merged.files.get(at), Some(file), "both sides have it alike at {at}");
        }
    }
    let before: BTreeSet<&str> = bases.iter().flat_map(|base| lines(&history.commits[*base].1)).collect();
    let after = lines(merged);
    for (side, other) in [(ours, theirs), (theirs, ours)] {
        let other = lines(other);
        for line in lines(side) {
            assert!(before.contains(line) || other.contains(line) || after.contains(line), "lost {line:?}");
        }
        for (at, file) in &side.files {
            let added = bases.iter().all(|base| !history.commits[*base].1.files.contains_key(at));
            if added && !file.text.is_empty() {
                assert!(merged.files.contains_key(at), "the addition of {at} survives");
            }
        }
    }
}

#[test]
fn random_histories_merge_as_the_model_says_and_lose_nothing() {
    let seeds: Vec<u64> = seeds(CASES).collect();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let parts = seeds.chunks(seeds.len().div_ceil(threads).max(1));
    let sums = std::thread::scope(|scope| {
        let running: Vec<_> = parts.map(|part| scope.spawn(|| check_all(part))).collect();
        running.into_iter().map(|part| part.join().unwrap()).collect::<Vec<_>>()
    });
    let [clean, refused, crossed] = [0, 1, 2].map(|n| sums.iter().map(|sum| sum[n]).sum::<u64>());
    println!("{clean} clean, {refused} refused, {crossed} of several bases");
    if std::env::var_os("MUSEHUB_MERGE_SEED").is_none() {
        assert!(clean > 0 && refused > 0 && crossed > 0, "{clean} {refused} {crossed}");
    }
}

/// How many of these merge, how many are refused, and how many have several bases.
fn check_all(seeds: &[u64]) -> [u64; 3] {
    let (mut clean, mut refused, mut crossed) = (0_u64, 0_u64, 0_u64);
    for seed in seeds.iter().copied() {
        with_seed(seed, |random| {
            let length = 3 + random.below(9);
            let history = History::random(random, length);
            let [a, b] = [0, 1].map(|_| history.commits.len() - 1 - random.below(length.min(3)));
            let (outcome, asked) = history.merge(a, b, FileStrategy::Recursive);
            let (mirrored, _) = history.merge(b, a, FileStrategy::Recursive);
            let (overlaid, _) = history.merge(a, b, FileStrategy::Overlay);
            let bases = history.bases(a, b);
            let sides = [a, b].map(|n| &history.commits[n].1);
            crossed += u64::from(bases.len() > 1);
            match (outcome, mirrored, overlaid) {
                (Outcome::UpToDate, Outcome::UpToDate, _) => assert_eq!(a, b),
                (Outcome::Behind, Outcome::FastForward, _) => assert_eq!(bases, [b]),
                (Outcome::FastForward, Outcome::Behind, _) => assert_eq!(bases, [a]),
                (Outcome::Clean(merged), Outcome::Clean(mirrored), Outcome::Clean(overlaid)) => {
                    clean += 1;
                    let files = history.read(&merged.tree, &merged.blobs);
                    assert_eq!(files, history.read(&mirrored.tree, &mirrored.blobs), "the sides count alike");
                    assert_eq!(merged.tree, overlaid.tree, "without conflicts there is nothing to win");
                    assert!(overlaid.overridden.is_empty());
                    check_clean(&history, &bases, sides, &files);
                    if let [base] = bases[..] {
                        let expected = Expected::of(&history.commits[base].1, sides[0], sides[1]);
                        assert_eq!(expected.conflicts, BTreeSet::new());
                        assert_eq!(files, expected.files);
                        assert_eq!(asked, expected.texts, "nothing is read in vain");
                    }
                }
                (Outcome::Conflicts(found), Outcome::Conflicts(mirrored), Outcome::Clean(overlaid)) => {
                    refused += 1;
                    assert_eq!(paths(&found), paths(&mirrored), "the sides count alike");
                    assert_eq!(found.total, found.listed.len());
                    assert!(!overlaid.overridden.is_empty());
                    let files = history.read(&overlaid.tree, &overlaid.blobs);
                    check_overlay(&history, &bases, sides, &files, &found);
                    if let [base] = bases[..] {
                        let expected = Expected::of(&history.commits[base].1, sides[0], sides[1]);
                        assert_eq!(paths(&found), expected.conflicts);
                    }
                }
                other => panic!("{other:?}"),
            }
        });
    }
    [clean, refused, crossed]
}

/// Their side wins what conflicts, and nothing else.
fn check_overlay(
    history: &History,
    bases: &[usize],
    [ours, theirs]: [&Files; 2],
    merged: &Files,
    conflicts: &Conflicts,
) {
    let before: BTreeSet<&str> = bases.iter().flat_map(|base| lines(&history.commits[*base].1)).collect();
    let (mine, after) = (lines(ours), lines(merged));
    for line in lines(theirs) {
        assert!(
            before.contains(line) || mine.contains(line) || after.contains(line),
            "lost {line:?} of theirs"
        );
    }
    let paths = paths(conflicts);
    for (at, file) in &ours.files {
        let apart = paths.iter().all(|path| path != at && !at.starts_with(&format!("{path}/")));
        if apart && theirs.files.get(at) == Some(file) {
            assert_eq!(merged.files.get(at), Some(file), "both sides have it alike at {at}");
        }
    }
}
