//! Modules that call, or are decorated with, something that writes into its caller's module.

use std::collections::{HashMap, HashSet};

use rayon::prelude::*;

use super::resolve::Resolver;
use crate::snapshot::{DirId, FileId, ModuleId, Node};

/// Definitions looked at for the calls of one file.
const MAX_PATCHERS: usize = 4_096;

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
            let mut called =
                calls.filter_map(|name| patchers.get(name.as_str())).flatten().copied().peekable();
            if called.peek().is_none() {
                return false;
            }
            let reached = self.reached(id);
            called.take(MAX_PATCHERS).any(|patcher| patcher == id || self.reaches(&reached, patcher))
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

    /// The nodes that the imports of a file may lead to.
    fn reached(&self, file: FileId) -> HashSet<Node> {
        let facts = self.snapshot.files[file].facts.iter();
        let imports = facts.flat_map(|facts| &facts.imports);
        imports
            .flat_map(|import| self.targets(file, import).0.into_iter().chain(self.bound_nodes(file, import)))
            .collect()
    }

    /// Whether the module `other`, or a package around it, is among these nodes.
    fn reaches(&self, reached: &HashSet<Node>, other: FileId) -> bool {
        let snapshot = self.snapshot;
        let other = &snapshot.files[other];
        reached.contains(&Node::Module(other.module))
            || snapshot.ancestors(other.dir).any(|dir| reached.contains(&snapshot.folder(dir)))
    }
}
