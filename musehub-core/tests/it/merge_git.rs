//! The same merges by git: `git merge-file` for texts, `git merge-tree` for histories.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use musehub_core::merge::{Conflict, ConflictKind, FileStrategy, Outcome};

use crate::merge_fixtures::{Files, History, Random, blob, merge_texts, seeds, with_seed};

const TEXTS: u64 = 150;
const HISTORIES: u64 = 4000;

/// Runs git in a folder, apart from what the machine configures.
fn git(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new("git")
        .args(arguments)
        .current_dir(folder)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("git is in PATH");
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().unwrap();
    // Where git did not read all of it, its status says why.
    let _ = writer.join().unwrap();
    output
}

/// A text with some lines replaced by new ones, and now and then without its last line's end.
fn edited(random: &mut Random, text: &str, mut line: impl FnMut(&mut Random) -> String) -> String {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    for _ in 0..random.below(3) {
        let start = random.below(lines.len() + 1);
        let end = (start + random.below(3)).min(lines.len());
        let new: Vec<String> = (0..random.below(3)).map(|_| line(random)).collect();
        lines.splice(start..end, new);
    }
    let mut text = lines.concat();
    if random.one_in(8) && text.ends_with('\n') {
        text.pop();
    }
    text
}

/// What git makes of three texts; none where they conflict.
fn merge_by_git(folder: &Path, [base, ours, theirs]: [&str; 3], strategy: FileStrategy) -> Option<String> {
    for (name, text) in [("base", base), ("ours", ours), ("theirs", theirs)] {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let favour: &[&str] = if strategy == FileStrategy::Overlay { &["--theirs"] } else { &[] };
    let output =
        git(folder, &[&["merge-file", "-p", "-q"], favour, &["ours", "base", "theirs"]].concat(), b"");
    let conflicts = output.status.code().expect("git ended by itself");
    assert!((0..128).contains(&conflicts), "{}", String::from_utf8_lossy(&output.stderr));
    (conflicts == 0).then(|| String::from_utf8(output.stdout).unwrap())
}

const STRATEGIES: [FileStrategy; 2] = [FileStrategy::Recursive, FileStrategy::Overlay];

#[test]
fn texts_merge_as_git_merges_files() {
    let folder = tempfile::tempdir().unwrap();
    for seed in seeds(TEXTS) {
        with_seed(seed, |random| {
            let mut next = 0;
            let mut line = || {
                next += 1;
                format!("line {next}\n")
            };
            let base: String = (0..random.below(14)).map(|_| line()).collect();
            let [ours, theirs] = [0, 1].map(|_| edited(random, &base, |_| line()));
            for strategy in STRATEGIES {
                let of_git = merge_by_git(folder.path(), [&base, &ours, &theirs], strategy);
                assert_eq!(
                    merge_texts(&base, &ours, &theirs, strategy),
                    of_git,
                    "{base:?} {ours:?} {theirs:?}"
                );
            }
        });
    }
}

/// Where lines are alike there are several shortest differences, and git may choose another one.
#[test]
fn texts_of_like_lines_merge_as_git_merges_files_but_for_few() {
    let folder = tempfile::tempdir().unwrap();
    let (mut tried, mut other) = (0, 0);
    let line = |random: &mut Random| (*random.pick(&["{\n", "}\n", "\n", "x\n", "y\n", "z\n"])).to_owned();
    for seed in seeds(TEXTS) {
        with_seed(seed, |random| {
            let base: String = (0..random.below(14)).map(|_| line(random)).collect();
            let [ours, theirs] = [0, 1].map(|_| edited(random, &base, line));
            for strategy in STRATEGIES {
                let of_git = merge_by_git(folder.path(), [&base, &ours, &theirs], strategy);
                tried += 1;
                other += u32::from(merge_texts(&base, &ours, &theirs, strategy) != of_git);
            }
        });
    }
    println!("{other} of {tried} are another merge than git's");
    assert!(other * 50 <= tried, "{other} of {tried}");
}

/// A history as a stream for `git fast-import`, commit `n` as branch `<case>-<n>`.
fn export(stream: &mut Vec<u8>, case: u64, history: &History) {
    for (n, (parents, files)) in history.commits.iter().enumerate() {
        let parents: Vec<String> =
            parents.iter().map(|parent| format!("refs/heads/{case}-{parent}")).collect();
        export_commit(stream, &format!("{case}-{n}"), &parents, files);
    }
}

fn export_commit(stream: &mut Vec<u8>, branch: &str, parents: &[String], files: &Files) {
    // Each has a message of its own: commits that are alike in everything would be one commit of git's.
    let length = branch.len();
    let mut text =
        format!("commit refs/heads/{branch}\ncommitter a <a@a> 1700000000 +0000\ndata {length}\n{branch}\n");
    for (at, parent) in parents.iter().enumerate() {
        writeln!(text, "{} {parent}", if at == 0 { "from" } else { "merge" }).unwrap();
    }
    text.push_str("deleteall\n");
    for (at, file) in &files.files {
        let mode = if file.executable { "100755" } else { "100644" };
        write!(text, "M {mode} inline {at}\ndata {}\n{}\n", file.text.len(), file.text).unwrap();
    }
    text.push('\n');
    stream.extend_from_slice(text.as_bytes());
}

/// Whether git and we read a move in the same way: git takes a deletion of what the other side moved for a conflict, and
/// tells equal files apart by more than their names.
fn is_plain(history: &History, commits: &[usize]) -> bool {
    let trees = commits.iter().map(|n| &history.commits[*n].1);
    let mut places: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (at, file) in trees.flat_map(|tree| &tree.files) {
        places.entry(&file.text).or_default().push(at);
    }
    places.values().all(|places| places.iter().all(|at| *at == places[0]))
}

/// Whether both sides added one content, and one of them as an executable: git takes that for a conflict, we take the bit.
fn adds_a_bit(history: &History, bases: &[usize], [ours, theirs]: [&Files; 2]) -> bool {
    let added = |at: &str| bases.iter().any(|base| !history.commits[*base].1.files.contains_key(at));
    ours.files.iter().any(|(at, file)| {
        let other = theirs.files.get(at).filter(|other| other.text == file.text && *other != file);
        other.is_some() && added(at)
    })
}

/// Whether git finds nothing in a conflict: it records no directories, and takes a file that one side added empty for
/// one that the other side edited.
fn is_ours_alone(conflict: &Conflict, sides: &[&Files; 2]) -> bool {
    let empty = Some(blob(""));
    match &conflict.kind {
        ConflictKind::FileDirectory { below } => {
            *below == conflict.path || !sides.iter().any(|side| side.files.contains_key(below.as_str()))
        }
        ConflictKind::AddAdd => conflict.ours == empty || conflict.theirs == empty,
        _ => false,
    }
}

#[test]
fn histories_merge_as_git_merges_trees() {
    let folder = tempfile::tempdir().unwrap();
    let must = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    must(git(folder.path(), &["init", "-q", "--bare", "."], b""));
    let (mut stream, mut requests, mut expected) = (Vec::new(), String::new(), Vec::new());
    for seed in seeds(HISTORIES) {
        with_seed(seed, |random| {
            let length = 3 + random.below(9);
            let history = History::random(random, length);
            let [a, b] = [0, 1].map(|_| history.commits.len() - 1 - random.below(length.min(3)));
            let (outcome, _) = history.merge(a, b, FileStrategy::Recursive);
            let bases = history.bases(a, b);
            if bases.len() > 2 || !is_plain(&history, &[&bases[..], &[a, b]].concat()) {
                return;
            }
            let sides = [a, b].map(|n| &history.commits[n].1);
            if adds_a_bit(&history, &bases, sides) {
                return;
            }
            if std::env::var_os("MUSEHUB_MERGE_SEED").is_some() {
                let bases: Vec<_> = bases.iter().map(|base| &history.commits[*base].1).collect();
                println!("{seed}: bases {bases:#?}, sides {sides:#?}, {outcome:#?}");
            }
            let merged = match outcome {
                Outcome::Clean(merged) => Some(history.read(&merged.tree, &merged.blobs)),
                Outcome::Conflicts(conflicts) => {
                    if conflicts.listed.iter().all(|conflict| is_ours_alone(conflict, &sides)) {
                        return;
                    }
                    None
                }
                Outcome::UpToDate | Outcome::Behind | Outcome::FastForward | Outcome::Unrelated => return,
            };
            export(&mut stream, seed, &history);
            if let Some(files) = &merged {
                export_commit(&mut stream, &format!("{seed}-merged"), &[], files);
            }
            writeln!(requests, "{seed}-{a} {seed}-{b}").unwrap();
            expected.push((seed, merged.is_some()));
        });
    }
    must(git(folder.path(), &["fast-import", "--quiet"], &stream));
    let arguments = [
        "-c",
        "merge.directoryRenames=false",
        "merge-tree",
        "-X",
        "find-renames=100%",
        "-X",
        "diff-algorithm=myers",
        "--no-messages",
        "--stdin",
        "-z",
    ];
    let answers = must(git(folder.path(), &arguments, requests.as_bytes()));
    let trees: String = expected
        .iter()
        .filter(|(_, clean)| *clean)
        .fold(String::new(), |list, (seed, _)| list + &format!("{seed}-merged^{{tree}}\n"));
    let trees = must(git(folder.path(), &["cat-file", "--batch-check=%(objectname)"], trees.as_bytes()));
    compare(&answers, trees.lines(), &expected);
}

/// Compares what git answered, `<1 or 0> NUL <tree> NUL [<conflicted file> NUL]… NUL` for each merge.
fn compare<'a>(answers: &str, mut trees: impl Iterator<Item = &'a str>, expected: &[(u64, bool)]) {
    let mut fields = answers.split('\0');
    let (mut clean, mut refused) = (0, 0);
    for (seed, is_clean) in expected {
        let status = fields.next().unwrap();
        let tree = fields.next().unwrap();
        let conflicts: Vec<&str> = fields.by_ref().take_while(|field| !field.is_empty()).collect();
        assert_eq!(status == "1", *is_clean, "MUSEHUB_MERGE_SEED={seed}: git says {conflicts:?}");
        if *is_clean {
            assert_eq!(Some(tree), trees.next(), "MUSEHUB_MERGE_SEED={seed}: the tree of git and ours");
            clean += 1;
        } else {
            refused += 1;
        }
    }
    println!("{clean} clean, {refused} refused");
    assert!(expected.len() < 10 || (clean > 0 && refused > 0), "{clean} clean, {refused} refused");
}
