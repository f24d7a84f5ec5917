//! What holds for the difference of any two texts and any two trees.

use musehub_core::RepoPath;
use musehub_core::diff::{self, Change, ChangeKind, Hunk, Selection, TextDiff, UnifiedLine, changed_words};
use musehub_core::merge::Tree;
use musehub_core::object::Manifest;
use musehub_core::scheme::IdScheme;
use musehub_core::{BlobId, HashAlgorithm};
use proptest::prelude::*;

/// Texts of few different lines, with all kinds of ends, bytes that are no UTF-8, and none or one newline at the end.
fn text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop::sample::select(vec![
        &b"a\n"[..],
        b"b\n",
        b"    c = 1\n",
        b"    c = 2\n",
        b"\n",
        b"a\r\n",
        b"\xff\xfe\n",
        b"}\n",
        b"\tx\n",
    ]);
    let end = prop::sample::select(vec![&b""[..], b"a", b"b", b"    c = 1", b"\r", b"\xc3"]);
    (prop::collection::vec(line, 0..60), end).prop_map(|(lines, end)| [lines.concat(), end.to_vec()].concat())
}

/// A text and what a few edits made of it.
fn versions() -> impl Strategy<Value = (Vec<u8>, Vec<u8>)> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..4_usize, 0..3_u8), 0..6);
    let edited = (text(), edits).prop_map(|(old, edits)| {
        let mut lines: Vec<Vec<u8>> = lines(&old).into_iter().map(<[u8]>::to_vec).collect();
        for (at, count, new) in edits {
            let at = at.index(lines.len() + 1);
            let end = (at + count).min(lines.len());
            lines.splice(at..end, (0..new).map(|n| format!("new {n}\n").into_bytes()));
        }
        (old, lines.concat())
    });
    prop_oneof![edited, (text(), text())]
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The old text with the hunks applied to it, and nothing else known of the new one than the lines that hunks say came.
fn applied(old: &[&[u8]], new: &[&[u8]], hunks: &[Hunk]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut done = 0;
    for Change { old: gone, new: come } in hunks.iter().flat_map(|hunk| &hunk.changes) {
        out.extend(old[done..gone.start].concat());
        out.extend(new[come.clone()].concat());
        done = gone.end;
    }
    out.extend(old[done..].concat());
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn applying_the_hunks_gives_the_new_text((old, new) in versions(), context in 0..6_usize) {
        let diff = TextDiff::of(&old, &new, context);
        let (before, after) = (lines(&old), lines(&new));
        prop_assert_eq!(applied(&before, &after, &diff.hunks), new.clone());
        prop_assert_eq!(diff.hunks.is_empty(), old == new);
        let changes = diff.hunks.iter().flat_map(|hunk| &hunk.changes);
        let (deleted, added) = changes.fold((0, 0), |(d, a), c| (d + c.old.len(), a + c.new.len()));
        prop_assert_eq!((diff.deleted, diff.added), (deleted, added));
        prop_assert_eq!(after.len() + deleted, before.len() + added);
    }

    #[test]
    fn hunks_are_in_order_apart_and_have_their_context((old, new) in versions(), context in 0..6_usize) {
        let diff = TextDiff::of(&old, &new, context);
        let (before, after) = (lines(&old), lines(&new));
        let mut end = 0;
        for (at, hunk) in diff.hunks.iter().enumerate() {
            prop_assert!(at == 0 || hunk.old.start > end, "{:?}", diff.hunks);
            end = hunk.old.end;
            let (first, last) = (&hunk.changes[0], &hunk.changes[hunk.changes.len() - 1]);
            prop_assert_eq!(first.old.start - hunk.old.start, context.min(first.old.start));
            prop_assert_eq!(hunk.old.end - last.old.end, context.min(before.len() - last.old.end));
            prop_assert_eq!(hunk.new.end - last.new.end, context.min(after.len() - last.new.end));
        }
    }

    #[test]
    fn both_views_have_the_lines_of_the_hunk_each_once((old, new) in versions(), context in 0..6_usize) {
        let diff = TextDiff::of(&old, &new, context);
        let (before, after) = (lines(&old), lines(&new));
        for hunk in &diff.hunks {
            let (mut olds, mut news) = (vec![], vec![]);
            for line in hunk.unified() {
                match line {
                    UnifiedLine::Context { old, new } => {
                        prop_assert_eq!(before[old], after[new]);
                        olds.push(old);
                        news.push(new);
                    }
                    UnifiedLine::Deleted { old, .. } => olds.push(old),
                    UnifiedLine::Added { new, .. } => news.push(new),
                }
            }
            prop_assert_eq!(&olds, &hunk.old.clone().collect::<Vec<_>>());
            prop_assert_eq!(&news, &hunk.new.clone().collect::<Vec<_>>());
            let rows: Vec<_> = hunk.split().collect();
            prop_assert_eq!(&rows.iter().filter_map(|row| row.old).collect::<Vec<_>>(), &olds);
            prop_assert_eq!(&rows.iter().filter_map(|row| row.new).collect::<Vec<_>>(), &news);
            for row in rows.iter().filter(|row| row.alike) {
                prop_assert_eq!(before[row.old.unwrap()], after[row.new.unwrap()]);
            }
            // What stands beside a line in one view came in its place in the other.
            let beside: Vec<_> = rows.iter().filter(|row| !row.alike).filter_map(|row| row.old.zip(row.new)).collect();
            let pairs = |line| match line {
                UnifiedLine::Deleted { old, by } => Some((old, by?)),
                _ => None,
            };
            prop_assert_eq!(hunk.unified().filter_map(pairs).collect::<Vec<_>>(), beside);
        }
    }

    #[test]
    fn words_that_did_not_change_are_the_same_in_both_lines(old in line(), new in line()) {
        if let Some([before, after]) = changed_words(&old, &new) {
            let rest = |line: &str, parts: &[std::ops::Range<usize>]| {
                let mut rest = String::new();
                let mut done = 0;
                for part in parts {
                    assert!(part.start >= done && part.end > part.start && line.get(part.clone()).is_some());
                    rest.push_str(&line[done..part.start]);
                    done = part.end;
                }
                rest + &line[done..]
            };
            // White space between two changed words counts as changed on that side.
            let dense = |text: String| text.replace(char::is_whitespace, "");
            prop_assert_eq!(dense(rest(&old, &before)), dense(rest(&new, &after)));
            prop_assert_eq!(before.is_empty() && after.is_empty(), old == new);
        }
    }

    #[test]
    fn the_changes_of_trees_make_one_of_the_other(old in files(), new in files(), page in 1..5_usize) {
        let (before, after) = (tree(&old), tree(&new));
        let diff = |wanted: &Selection| diff::trees(&before, &after, IdScheme::TypedV2, wanted);
        let whole = diff(&Selection::Page { offset: 0, limit: usize::MAX });
        let mut made = old.clone();
        for file in &whole.files {
            let gone = match file.kind() {
                ChangeKind::Added => None,
                ChangeKind::Renamed => {
                    prop_assert_eq!(file.old.unwrap().blob, file.new.unwrap().blob);
                    file.from.as_ref()
                }
                ChangeKind::Deleted | ChangeKind::Modified => Some(&file.path),
            };
            if let Some(gone) = gone {
                let (content, executable) = made.remove(gone.as_str()).unwrap();
                prop_assert_eq!(file.old.unwrap().blob, blob(content));
                prop_assert_eq!(file.old.unwrap().executable, executable);
            }
        }
        for file in &whole.files {
            if let Some(version) = file.new {
                let content = (0..5).find(|content| blob(*content) == version.blob).unwrap();
                prop_assert!(made.insert(file.path.to_string(), (content, version.executable)).is_none());
            }
        }
        prop_assert_eq!(made, new);
        prop_assert_eq!(whole.totals.files(), whole.files.len());
        let paged: Vec<_> = (0..=whole.files.len() / page)
            .flat_map(|at| diff(&Selection::Page { offset: at * page, limit: page }).files)
            .collect();
        prop_assert_eq!(paged, whole.files);
    }
}

fn line() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec!["a", "bc", "_x1", " ", "  ", "(", ")", "=", "é", "\u{202e}", "1"]);
    prop::collection::vec(word, 0..20).prop_map(|words| words.concat())
}

type Files = std::collections::BTreeMap<String, (u8, bool)>;

fn files() -> impl Strategy<Value = Files> {
    let path = prop::sample::select(vec!["a", "b", "c", "d/a", "d/b", "e/a", "e/f/a", "é"]);
    prop::collection::btree_map(path.prop_map(str::to_owned), (0..5_u8, any::<bool>()), 0..8)
}

/// The file of a number; 0 is the empty one.
fn blob(content: u8) -> BlobId {
    IdScheme::TypedV2.blob_id(HashAlgorithm::Blake3, &vec![content; content.into()])
}

fn tree(files: &Files) -> Tree {
    let path = |path: &String| RepoPath::parse(path).unwrap();
    let entries = files.iter().map(|(at, (content, _))| (path(at), blob(*content))).collect();
    let executables = files.iter().filter(|(_, (_, executable))| *executable).map(|(at, _)| path(at));
    Tree::new(Manifest::new(entries).unwrap(), vec![], executables.collect())
}

/// Texts that make naive algorithms take quadratic time or worse: each is as large as texts that are compared may be.
#[test]
fn hostile_texts_are_compared_in_bounded_work() {
    let lines = diff::MAX_DIFFED_LINES;
    let numbered = |numbers: &mut dyn Iterator<Item = usize>| {
        numbers.map(|n| format!("{n}\n")).collect::<String>().into_bytes()
    };
    let noise = |seed: usize, kinds: usize| {
        let mut state = seed;
        numbered(&mut (0..lines).map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 33) % kinds
        }))
    };
    let cases = [
        (numbered(&mut (0..lines)), numbered(&mut (0..lines).rev())),
        (noise(1, 2), noise(2, 2)),
        (noise(3, 60), noise(4, 60)),
        (noise(5, 300), noise(6, 300)),
        (noise(7, lines), noise(8, lines)),
        (b"\n".repeat(lines), b" \n".repeat(lines)),
        (b"a\n\n".repeat(lines / 2), b"\na\n".repeat(lines / 2)),
        (vec![b'a'; 1 << 20], vec![b'b'; 1 << 20]),
    ];
    for (old, new) in cases {
        let diff = TextDiff::of(&old, &new, 3);
        let (before, after) = (self::lines(&old), self::lines(&new));
        assert_eq!(applied(&before, &after, &diff.hunks), new);
    }
}
