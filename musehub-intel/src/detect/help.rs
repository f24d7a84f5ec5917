//! What may be meant: the nearest name that exists, and the place where a moved definition is now.

use std::collections::HashMap;

use super::report::{Help, Place};
use crate::facts::BindingKind;
use crate::snapshot::{FileId, Snapshot};

/// Names compared for one suggestion; larger modules get none.
const MAX_NAMES: usize = 4_096;
/// Longer names are not compared.
const MAX_LENGTH: usize = 64;

/// Where every name of a snapshot is defined. Built only when there is something to help with.
pub(super) struct Definitions<'s> {
    snapshot: &'s Snapshot,
    names: HashMap<&'s str, Vec<(FileId, u32)>>,
    modules: HashMap<&'s str, Vec<FileId>>,
}

impl<'s> Definitions<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Self {
        let mut names: HashMap<&str, Vec<_>> = HashMap::new();
        let mut modules: HashMap<&str, Vec<_>> = HashMap::new();
        for (id, file) in snapshot.files.iter().enumerate().filter(|(_, file)| !file.is_stub) {
            let module = &snapshot.modules[file.module];
            let name = if module.name == "__init__" { snapshot.dir_name(file.dir) } else { &module.name };
            modules.entry(name).or_default().push(id);
            for (name, binding) in file.facts.iter().flat_map(|facts| &facts.names) {
                if binding.kind >= BindingKind::Variable {
                    names.entry(name.as_str()).or_default().push((id, binding.line));
                }
            }
        }
        Self { snapshot, names, modules }
    }

    /// Help for a name that is not where it is looked for.
    pub(super) fn for_name(&self, name: &str, candidates: Vec<&str>) -> Option<Help> {
        let moved_to = match self.names.get(name).map(Vec::as_slice) {
            Some(&[(file, line)]) => Some(self.place(file, line)),
            _ => self.moved_module(name),
        };
        help(moved_to, nearest(name, candidates))
    }

    /// Help for a module that is gone.
    pub(super) fn for_module(&self, name: &str, candidates: Vec<&str>) -> Option<Help> {
        help(self.moved_module(name), nearest(name, candidates))
    }

    fn moved_module(&self, name: &str) -> Option<Place> {
        match self.modules.get(name).map(Vec::as_slice) {
            Some(&[file]) => Some(self.place(file, 1)),
            _ => None,
        }
    }

    fn place(&self, file: FileId, line: u32) -> Place {
        Place { file_path: self.snapshot.files[file].path.clone(), line }
    }
}

fn help(moved_to: Option<Place>, did_you_mean: Option<String>) -> Option<Help> {
    (moved_to.is_some() || did_you_mean.is_some()).then_some(Help { did_you_mean, moved_to })
}

/// The candidate with the fewest edits, at most a third of the name; the first in order among equals.
fn nearest(name: &str, mut candidates: Vec<&str>) -> Option<String> {
    let length = name.chars().count();
    if candidates.len() > MAX_NAMES || length > MAX_LENGTH {
        return None;
    }
    candidates.sort_unstable();
    let limit = length.div_ceil(3);
    candidates
        .into_iter()
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= limit && *candidate != name)
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= limit)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}

/// Levenshtein distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_wins_and_far_ones_are_not_offered() {
        assert_eq!(nearest("pasre", vec!["parse", "parser", "zip"]).as_deref(), Some("parse"));
        assert_eq!(nearest("load", vec!["dump", "save"]), None);
        assert_eq!(edits("kitten", "sitting"), 3);
    }
}
