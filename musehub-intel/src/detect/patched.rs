//! Modules that call, or are decorated with, something that writes into its caller's module.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::resolve::Resolver;
use crate::snapshot::{DirId, FileId, ModuleId};

/// Where names and submodules may appear because importing a module calls for it.
#[derive(Debug, Default)]
pub(super) struct Patched {
    pub(super) modules: HashSet<ModuleId>,
    /// The packages around them.
    pub(super) dirs: HashSet<DirId>,
}

impl Resolver<'_> {
    /// Finds them by the names that are called and where these may have been imported from.
    pub(super) fn find_patched(&self) -> Patched {
        let snapshot = self.snapshot;
        let mut patchers: HashMap<&str, Vec<FileId>> = HashMap::new();
        for (id, file) in snapshot.files.iter().enumerate() {
            for name in file.facts.iter().flat_map(|facts| &facts.patchers) {
                patchers.entry(name).or_default().push(id);
            }
        }
        let is_patched = |&id: &FileId| {
            let calls = snapshot.files[id].facts.iter().flat_map(|facts| &facts.calls);
            let mut called = calls.filter_map(|name| patchers.get(name.as_str())).flatten().copied();
            called.any(|patcher| patcher == id || self.may_import(id, patcher))
        };
        let files: Vec<FileId> = (0..snapshot.files.len()).into_par_iter().filter(is_patched).collect();
        let packages = |file: &FileId| {
            let dirs = snapshot.ancestors(snapshot.files[*file].dir);
            dirs.take_while(|&dir| snapshot.dirs[dir].init.is_some())
        };
        Patched {
            modules: files.iter().map(|&file| snapshot.files[file].module).collect(),
            dirs: files.iter().flat_map(packages).collect(),
        }
    }

    /// Whether an import of `file` leads to the module `other` or to a package around it.
    fn may_import(&self, file: FileId, other: FileId) -> bool {
        let snapshot = self.snapshot;
        let other = &snapshot.files[other];
        let facts = snapshot.files[file].facts.iter();
        facts.flat_map(|facts| &facts.imports).any(|import| {
            let nodes = self.targets(file, import).0.into_iter().chain(self.bound_nodes(file, import));
            nodes.into_iter().any(|node| {
                let around = snapshot.folder_of(node);
                snapshot.module_of(node) == Some(other.module)
                    || around.is_some_and(|dir| snapshot.ancestors(other.dir).any(|above| above == dir))
            })
        })
    }
}
