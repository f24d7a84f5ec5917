//! What a merge of three trees must give, said as plainly as can be: by loops over everything.

use std::collections::{BTreeMap, BTreeSet};

use crate::merge_fixtures::{File, Files};

/// A merge by the model.
#[derive(Debug)]
pub(crate) struct Expected {
    /// The merged tree, where nothing conflicts.
    pub(crate) files: Files,
    /// The paths in conflict.
    pub(crate) conflicts: BTreeSet<String>,
    /// The texts that have to be read.
    pub(crate) texts: BTreeSet<String>,
}

type Version<'a> = Option<&'a File>;

/// Where a side moved the file that the base has at `old`.
fn moved_to(base: &Files, side: &Files, old: &str) -> Option<String> {
    let text = &base.files.get(old)?.text;
    if text.is_empty() || side.files.contains_key(old) {
        return None;
    }
    let only = |from: &Files, but: &Files| -> Vec<String> {
        let here = from.files.iter().filter(|(at, file)| file.text == *text && !but.files.contains_key(*at));
        here.map(|(at, _)| at.clone()).collect()
    };
    let (deleted, added) = (only(base, side), only(side, base));
    if deleted.len() == 1 && added.len() == 1 {
        return Some(added[0].clone());
    }
    let name = |at: &str| at.rsplit('/').next().unwrap().to_owned();
    let alike = |list: &[String]| list.iter().filter(|at| name(at) == name(old)).cloned().collect::<Vec<_>>();
    match (&alike(&deleted)[..], &alike(&added)[..]) {
        ([_], [new]) => Some(new.clone()),
        _ => None,
    }
}

/// The lines of three versions between lines that all have: the chunks of a three-way merge.
pub(crate) fn merge_lines(base: &str, ours: &str, theirs: &str) -> Option<String> {
    let [base, ours, theirs] =
        [base, ours, theirs].map(|text| text.split_inclusive('\n').collect::<Vec<_>>());
    let stable: Vec<&str> =
        base.iter().copied().filter(|line| ours.contains(line) && theirs.contains(line)).collect();
    let (mut at, mut merged) = ([0; 3], String::new());
    for line in stable.iter().map(Some).chain([None]) {
        let chunk: Vec<String> = [&base, &ours, &theirs]
            .iter()
            .zip(&mut at)
            .map(|(lines, at)| {
                let end =
                    line.map_or(lines.len(), |line| lines.iter().position(|other| other == line).unwrap());
                let chunk = lines[*at..end].concat();
                *at = end + 1;
                chunk
            })
            .collect();
        merged.push_str(match &chunk[..] {
            [_, ours, theirs] if ours == theirs => ours,
            [base, ours, theirs] if base == ours => theirs,
            [base, ours, theirs] if base == theirs => ours,
            _ => return None,
        });
        merged.push_str(line.unwrap_or(&""));
    }
    Some(merged)
}

const fn merge_flags(base: bool, ours: bool, theirs: bool) -> bool {
    if ours == theirs { ours } else { !base }
}

impl Expected {
    pub(crate) fn of(base: &Files, ours: &Files, theirs: &Files) -> Self {
        let mut expected =
            Self { files: Files::default(), conflicts: BTreeSet::new(), texts: BTreeSet::new() };
        let versions = expected.versions(base, ours, theirs);
        for (at, [base, ours, theirs]) in &versions {
            expected.merge_file(at, *base, *ours, *theirs);
        }
        let recorded = ours.directories.union(&theirs.directories);
        let kept = recorded.filter(|at| {
            merge_flags(
                base.directories.contains(*at),
                ours.directories.contains(*at),
                theirs.directories.contains(*at),
            )
        });
        expected.files.directories = kept.cloned().collect();
        expected.find_clashes();
        expected
    }

    /// The three versions at each path, edits being where the other side moved the file.
    fn versions<'a>(
        &mut self,
        base: &'a Files,
        ours: &'a Files,
        theirs: &'a Files,
    ) -> BTreeMap<String, [Version<'a>; 3]> {
        let mut versions = BTreeMap::new();
        for at in base.files.keys().chain(ours.files.keys()).chain(theirs.files.keys()) {
            versions.insert(at.clone(), [base, ours, theirs].map(|side| side.files.get(at)));
        }
        for (old, file) in &base.files {
            let free = |at: &String, side: &Files| side.has_room_for(old, at);
            match (moved_to(base, ours, old), moved_to(base, theirs, old)) {
                (Some(mine), Some(other)) if mine == other => {
                    versions.get_mut(&mine).unwrap()[0] = Some(file);
                }
                (Some(mine), Some(other)) if free(&mine, theirs) && free(&other, ours) => {
                    self.conflicts.insert(old.clone());
                    versions.remove(&mine);
                    versions.remove(&other);
                }
                (Some(new), None) if free(&new, theirs) => {
                    if let Some(edited) = theirs.files.get(old).filter(|edited| *edited != file) {
                        versions.insert(new.clone(), [Some(file), ours.files.get(&new), Some(edited)]);
                        versions.remove(old);
                    }
                }
                (None, Some(new)) if free(&new, ours) => {
                    if let Some(edited) = ours.files.get(old).filter(|edited| *edited != file) {
                        versions.insert(new.clone(), [Some(file), Some(edited), theirs.files.get(&new)]);
                        versions.remove(old);
                    }
                }
                _ => {}
            }
        }
        versions
    }

    fn merge_file(&mut self, at: &str, base: Version<'_>, ours: Version<'_>, theirs: Version<'_>) {
        let taken = if ours == theirs || base == theirs {
            ours.cloned()
        } else if base == ours {
            theirs.cloned()
        } else {
            let (Some(ours), Some(theirs)) = (ours, theirs) else {
                self.conflicts.insert(at.to_owned());
                return;
            };
            let executable =
                merge_flags(base.is_some_and(|f| f.executable), ours.executable, theirs.executable);
            let text = if ours.text == theirs.text {
                Some(ours.text.clone())
            } else if let Some(base) = base {
                self.merge_text(base, ours, theirs)
            } else {
                None
            };
            let Some(text) = text else {
                self.conflicts.insert(at.to_owned());
                return;
            };
            Some(File { text, executable })
        };
        if let Some(file) = taken {
            self.files.files.insert(at.to_owned(), file);
        }
    }

    fn merge_text(&mut self, base: &File, ours: &File, theirs: &File) -> Option<String> {
        if base.text == ours.text {
            return Some(theirs.text.clone());
        }
        if base.text == theirs.text {
            return Some(ours.text.clone());
        }
        let versions = [base, ours, theirs];
        self.texts.extend(versions.map(|file| file.text.clone()));
        if versions.iter().any(|file| file.is_binary()) {
            return None;
        }
        merge_lines(&base.text, &ours.text, &theirs.text)
    }

    fn find_clashes(&mut self) {
        let Files { files, directories } = &self.files;
        for file in files.keys() {
            let below = format!("{file}/");
            if directories.contains(file)
                || files.keys().chain(directories).any(|other| other.starts_with(&below))
            {
                self.conflicts.insert(file.clone());
            }
        }
    }
}
