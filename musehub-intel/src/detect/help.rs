//! What may be meant: the nearest name that exists, and the place where a moved definition is now.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::report::{Help, Place};
use super::resolve::Resolver;
use crate::facts::BindingKind;
use crate::snapshot::FileId;

/// Names compared for one suggestion; larger modules get none.
const MAX_NAMES: usize = 4_096;
/// Longer names are not compared.
const MAX_LENGTH: usize = 64;
/// Different missing names for which the nearest is looked for: nobody reads more.
const MAX_SUGGESTIONS: usize = 1_000;

/// Where the names that are missing somewhere are defined now.
pub(super) struct Definitions<'r, 's> {
    resolver: &'r Resolver<'s>,
    /// The first two places of each.
    names: HashMap<&'s str, Vec<(FileId, u32)>>,
    modules: HashMap<&'s str, Vec<FileId>>,
    suggestions: HashMap<(String, String, bool), Option<String>>,
}

impl<'r, 's> Definitions<'r, 's> {
    pub(super) fn of(resolver: &'r Resolver<'s>, wanted: HashSet<&str>) -> Self {
        let mut definitions =
            Self { resolver, names: HashMap::new(), modules: HashMap::new(), suggestions: HashMap::new() };
        if wanted.is_empty() {
            return definitions;
        }
        let snapshot = resolver.snapshot;
        let is_wanted = |(name, _): &(&String, &_)| wanted.contains(name.as_str());
        let defining = |id: FileId| {
            let facts = snapshot.files[id].facts.iter().filter(move |_| !snapshot.files[id].is_stub);
            let names = facts.flat_map(|facts| &facts.names).filter(is_wanted);
            let defined = names.filter(|(_, binding)| binding.kind >= BindingKind::Variable);
            defined.map(move |(name, binding)| (name.as_str(), (id, binding.line))).collect::<Vec<_>>()
        };
        let found: Vec<_> = (0..snapshot.files.len()).into_par_iter().flat_map_iter(defining).collect();
        for (name, place) in found {
            let places = definitions.names.entry(name).or_default();
            places.extend((places.len() < 2).then_some(place));
        }
        for (id, file) in snapshot.files.iter().enumerate().filter(|(_, file)| !file.is_stub) {
            let module = &snapshot.modules[file.module];
            let name = if module.name == "__init__" { snapshot.dir_name(file.dir) } else { &module.name };
            if wanted.contains(name) {
                definitions.modules.entry(name).or_default().push(id);
            }
        }
        definitions
    }

    /// Help for what is not in the file or folder at `target`: a name, or a module.
    pub(super) fn help(&mut self, target: &str, missing: &str, is_name: bool) -> Option<Help> {
        let moved_to = match self.names.get(missing).map(Vec::as_slice) {
            Some(&[(file, line)]) if is_name => Some(self.place(file, line)),
            _ => self.moved_module(missing),
        };
        let did_you_mean = self.suggestion(target, missing, is_name);
        (moved_to.is_some() || did_you_mean.is_some()).then_some(Help { did_you_mean, moved_to })
    }

    fn suggestion(&mut self, target: &str, missing: &str, is_name: bool) -> Option<String> {
        let key = (target.to_owned(), missing.to_owned(), is_name);
        if let Some(known) = self.suggestions.get(&key) {
            return known.clone();
        }
        if self.suggestions.len() >= MAX_SUGGESTIONS {
            return None;
        }
        let candidates = self.resolver.snapshot.node_at(target).map(|node| match is_name {
            true => self.resolver.names_of(node),
            false => self.resolver.submodules_of(node),
        });
        let suggestion = candidates.and_then(|candidates| nearest(missing, candidates));
        self.suggestions.insert(key, suggestion.clone());
        suggestion
    }

    fn moved_module(&self, name: &str) -> Option<Place> {
        match self.modules.get(name).map(Vec::as_slice) {
            Some(&[file]) => Some(self.place(file, 1)),
            _ => None,
        }
    }

    fn place(&self, file: FileId, line: u32) -> Place {
        Place { file_path: self.resolver.snapshot.files[file].path.clone(), line }
    }
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
