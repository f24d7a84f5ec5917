//! Whether a module has a name when it has been imported: bindings, submodules, star imports, run-time tricks.

use std::collections::HashSet;

use super::resolve::Resolver;
use crate::facts::{BindingKind, Exports, FileFacts, Reading};
use crate::snapshot::{FileId, ModuleId, Node};

/// Star imports followed for one name; a longer trail is taken to provide it.
const MAX_TRAIL: usize = 1_024;

/// What every module has.
const MODULE_ATTRIBUTES: [&str; 14] = [
    "__name__",
    "__doc__",
    "__file__",
    "__dict__",
    "__spec__",
    "__loader__",
    "__package__",
    "__path__",
    "__cached__",
    "__builtins__",
    "__annotations__",
    "__class__",
    "__all__",
    "__dir__",
];

/// What is known about a name of a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// It is there, or may be.
    Present,
    /// A static type checker sees it; running code does not.
    TypingOnly,
    /// It is not there.
    Absent,
}

impl<'s> Resolver<'s> {
    /// Whether `from node import name` may succeed in `file`. `closed` as in [`Resolver::walk`].
    pub(super) fn presence(&self, file: FileId, node: Node, name: &str, closed: bool) -> Presence {
        let child = self.snapshot.child(node, name);
        let for_checkers = child.is_some_and(|child| self.snapshot.is_for_checkers(child));
        let found = child.is_some() && (!for_checkers || self.snapshot.files[file].is_stub);
        if found || MODULE_ATTRIBUTES.contains(&name) {
            return Presence::Present;
        }
        let may_appear = match node {
            // A module has no submodules; whether it is replaced shows in its own facts.
            Node::Module(_) => false,
            Node::Package(_) | Node::Namespace(_) => self.child_may_appear(node, name, closed),
        };
        if may_appear || self.is_written(node, name) {
            return Presence::Present;
        }
        let module = self.snapshot.module_of(node);
        match module.map_or(Presence::Absent, |module| self.module_presence(file, module, name)) {
            Presence::Absent if for_checkers => Presence::TypingOnly,
            presence => presence,
        }
    }

    fn is_written(&self, node: Node, name: &str) -> bool {
        self.effects.written.get(&node).is_some_and(|names| names.contains(name) || names.contains("*"))
    }

    /// Follows star imports without recursion: the same name is passed on unchanged at every step.
    fn module_presence(&self, importer: FileId, start: ModuleId, name: &str) -> Presence {
        let mut result = Presence::Absent;
        let mut seen = HashSet::from([start]);
        let mut trail = vec![start];
        let mut followed = 0;
        while let Some(id) = trail.pop() {
            let module = &self.snapshot.modules[id];
            // A stub alone stands for a compiled module, which may have more than the stub tells.
            if module.opaque || self.effects.patched.modules.contains(&id) || module.source.is_none() {
                return Presence::Present;
            }
            // Type checkers read the stub where there is one, running code never does.
            let for_checkers = self.snapshot.files[importer].is_stub;
            let stub = module.stub.filter(|_| for_checkers);
            for file in [module.source, stub].into_iter().flatten() {
                let Some(facts) = &self.snapshot.files[file].facts else {
                    return Presence::Present;
                };
                if facts.open.names {
                    return Presence::Present;
                }
                match facts.names.get(name) {
                    // Importing a name from oneself binds nothing unless it is there already.
                    Some(_) if file == importer && self.imports_from_itself(file, facts, name) => {}
                    Some(binding) if for_checkers || !binding.typing_only => return Presence::Present,
                    Some(_) => result = Presence::TypingOnly,
                    None => {}
                }
                let Some(stars) = &self.learned(file).stars else {
                    return Presence::Present;
                };
                followed += stars.len();
                if followed > MAX_TRAIL || !self.follow_stars(stars, name, &mut seen, &mut trail) {
                    return Presence::Present;
                }
            }
        }
        result
    }

    /// Whether all that binds `name` in a package's `__init__` is an import of the submodule of that name.
    pub(super) fn imports_from_itself(&self, file: FileId, facts: &FileFacts, name: &str) -> bool {
        let own = self.snapshot.folder(self.snapshot.files[file].dir);
        match facts.names.get(name).map(|binding| binding.kind) {
            Some(BindingKind::Submodule) => true,
            Some(BindingKind::Import) => self.learned(file).binders(name).iter().all(|import| {
                import.name.as_deref() == Some(name) && self.targets(file, import) == (vec![own], true)
            }),
            _ => false,
        }
    }

    /// Adds the modules whose star import may bring `name`; false when one of them certainly may.
    fn follow_stars(
        &self,
        stars: &[Node],
        name: &str,
        seen: &mut HashSet<ModuleId>,
        trail: &mut Vec<ModuleId>,
    ) -> bool {
        for &node in stars {
            if self.snapshot.child(node, name).is_some() || self.is_written(node, name) {
                return false;
            }
            let Some(module) = self.snapshot.module_of(node) else {
                continue;
            };
            match self.passes(module, name) {
                Passes::Lists => return false,
                Passes::Yes if seen.insert(module) => trail.push(module),
                Passes::Yes | Passes::No => {}
            }
        }
        true
    }

    /// Whether `from module import *` hands on a name.
    fn passes(&self, id: ModuleId, name: &str) -> Passes {
        let module = &self.snapshot.modules[id];
        let mut passes = Passes::No;
        for file in [module.source, module.stub].into_iter().flatten() {
            let Some(facts) = &self.snapshot.files[file].facts else {
                return Passes::Yes;
            };
            match &facts.exports {
                Exports::Listed(_) if self.learned(file).lists(name) => return Passes::Lists,
                Exports::Listed(_) => {}
                Exports::Computed => passes = Passes::Yes,
                Exports::Absent if !name.starts_with('_') => passes = Passes::Yes,
                Exports::Absent => {}
            }
            if facts.open.names {
                passes = Passes::Yes;
            }
        }
        // Its `__all__` may be out of sight.
        if module.opaque || self.effects.patched.modules.contains(&id) || module.source.is_none() {
            Passes::Yes
        } else {
            passes
        }
    }

    /// A name that the `__all__` of a file lists and its module has not, so that every star import of it fails.
    pub(super) fn stale_export(&self, node: Node, source: FileId) -> Option<&'s str> {
        *self.learned(source).stale_export.get_or_init(|| {
            let facts = self.snapshot.files[source].facts.as_ref()?;
            match &facts.exports {
                Exports::Listed(names) if facts.reading == Reading::Whole => {
                    // A module of the same name stands for any importer.
                    let mut names = names.iter();
                    names
                        .find(|name| self.presence(source, node, name, true) == Presence::Absent)
                        .map(String::as_str)
                }
                _ => None,
            }
        })
    }

    /// The names that a reader could have meant when `node` lacks one.
    pub(super) fn names_of(&self, node: Node) -> Vec<&str> {
        let mut names = Vec::new();
        if let Some(module) = self.snapshot.module_of(node) {
            let module = &self.snapshot.modules[module];
            for file in [module.source, module.stub].into_iter().flatten() {
                let facts = self.snapshot.files[file].facts.iter();
                names.extend(facts.flat_map(|facts| facts.names.keys().map(String::as_str)));
            }
        }
        names.extend(self.submodules_of(node));
        names
    }

    /// The submodules of a node by name.
    pub(super) fn submodules_of(&self, node: Node) -> Vec<&str> {
        let Some(dir) = self.snapshot.folder_of(node) else {
            return Vec::new();
        };
        let dir = &self.snapshot.dirs[dir];
        dir.modules
            .keys()
            .chain(dir.dirs.keys())
            .map(String::as_str)
            .filter(|name| *name != "__init__")
            .collect()
    }
}

/// What a star import does with one name.
enum Passes {
    /// `__all__` lists it: if it were missing, the star import itself would fail.
    Lists,
    /// It is handed on if it is there.
    Yes,
    /// It is not handed on.
    No,
}
