//! The files of one snapshot as Python's import system would see them: folders, packages, modules.

mod build;
mod hints;
pub(crate) mod outside;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::facts::FileFacts;

pub use build::SnapshotBuilder;
pub use hints::is_hint;

use hints::Hints;
use outside::Outside;

/// Whether a path is Python source that [`crate::extract`] reads.
#[must_use]
pub fn is_python(path: &str) -> bool {
    [".py", ".pyi", ".pyw"].iter().any(|suffix| path.ends_with(suffix))
}

/// The files of one snapshot, indexed for resolution. Made by [`SnapshotBuilder`].
#[derive(Debug)]
pub struct Snapshot {
    /// Python files, sorted by path.
    pub(crate) files: Vec<File>,
    pub(crate) dirs: Vec<Dir>,
    pub(crate) modules: Vec<Module>,
    /// Folders that hold an entry importable under a name.
    pub(crate) holders: HashMap<String, Vec<DirId>>,
    /// Dotted names that some file puts into `sys.modules`.
    pub(crate) injected: HashSet<String>,
    /// Starts of such names, where the rest is computed: sorted, and none begins with another.
    pub(crate) injected_starts: Vec<String>,
    pub(crate) hints: Hints,
    pub(crate) outside: &'static Outside,
    /// Sources of extension modules are about, so a private module may be compiled from one of them.
    pub(crate) has_native_sources: bool,
}

pub(crate) type FileId = usize;
pub(crate) type DirId = usize;
pub(crate) type ModuleId = usize;

/// The top folder.
pub(crate) const TOP: DirId = 0;

/// One Python file.
#[derive(Debug)]
pub(crate) struct File {
    pub(crate) path: String,
    pub(crate) dir: DirId,
    pub(crate) module: ModuleId,
    pub(crate) is_stub: bool,
    /// `None` when its bytes could not be had.
    pub(crate) facts: Option<Arc<FileFacts>>,
}

/// One folder.
#[derive(Debug, Default)]
pub(crate) struct Dir {
    /// Without a trailing slash; empty for the top.
    pub(crate) path: String,
    pub(crate) parent: Option<DirId>,
    pub(crate) dirs: HashMap<String, DirId>,
    pub(crate) modules: HashMap<String, ModuleId>,
    /// The module `__init__`, which makes the folder a regular package.
    pub(crate) init: Option<ModuleId>,
    /// It holds a file that marks the root of a project.
    pub(crate) is_project: bool,
    /// Submodules may appear at run time.
    pub(crate) open_children: bool,
    /// It holds Python source, not only stubs.
    pub(crate) has_sources: bool,
    /// It looks like a copy of the standard library, so its names are first-party here.
    pub(crate) is_standard_library: bool,
}

/// One importable file, with the stub beside it.
#[derive(Debug, Default)]
pub(crate) struct Module {
    pub(crate) dir: DirId,
    pub(crate) name: String,
    pub(crate) source: Option<FileId>,
    pub(crate) stub: Option<FileId>,
    /// Compiled, or made from a template: it exists, but what it defines is unknown.
    pub(crate) opaque: bool,
    /// Modules below it may appear at run time, although it is no package.
    pub(crate) open_children: bool,
}

/// What a dotted name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    /// A folder with `__init__`.
    Package(DirId),
    /// A folder without.
    Namespace(DirId),
    /// A file.
    Module(ModuleId),
}

impl Snapshot {
    /// Number of Python files.
    #[must_use]
    pub fn python_files(&self) -> usize {
        self.files.len()
    }

    /// Whether some file puts a module of this dotted name into `sys.modules`.
    pub(crate) fn is_injected(&self, dotted: &str) -> bool {
        // No start begins with another, so the last one not above the name is the only one that may fit.
        let after = self.injected_starts.partition_point(|start| start.as_str() <= dotted);
        let start = after.checked_sub(1).map(|last| &self.injected_starts[last]);
        self.injected.contains(dotted) || start.is_some_and(|start| dotted.starts_with(start))
    }

    pub(crate) fn folder(&self, dir: DirId) -> Node {
        if self.dirs[dir].init.is_some() { Node::Package(dir) } else { Node::Namespace(dir) }
    }

    /// The folder whose entries are a node's submodules.
    pub(crate) fn folder_of(&self, node: Node) -> Option<DirId> {
        match node {
            Node::Package(dir) | Node::Namespace(dir) => Some(dir),
            Node::Module(_) => None,
        }
    }

    /// The file that runs when a node is imported.
    pub(crate) fn module_of(&self, node: Node) -> Option<ModuleId> {
        match node {
            Node::Package(dir) => self.dirs[dir].init,
            Node::Namespace(_) => None,
            Node::Module(module) => Some(module),
        }
    }

    /// The entry of a folder that `import name` finds, in CPython's order: package, module, namespace.
    pub(crate) fn entry(&self, dir: DirId, name: &str) -> Option<Node> {
        let dir = &self.dirs[dir];
        let folder = dir.dirs.get(name).copied();
        if let Some(folder) = folder
            && self.dirs[folder].init.is_some()
        {
            return Some(Node::Package(folder));
        }
        let module = dir.modules.get(name).copied().map(Node::Module);
        module.or(folder.map(Node::Namespace))
    }

    pub(crate) fn child(&self, node: Node, name: &str) -> Option<Node> {
        self.entry(self.folder_of(node)?, name)
    }

    /// Folders from `dir` up to the top.
    pub(crate) fn ancestors(&self, dir: DirId) -> impl Iterator<Item = DirId> {
        std::iter::successors(Some(dir), |&dir| self.dirs[dir].parent)
    }

    /// The last part of a folder's path.
    pub(crate) fn dir_name(&self, dir: DirId) -> &str {
        let path = &self.dirs[dir].path;
        path.rsplit('/').next().unwrap_or(path)
    }

    /// The first folder upward that is no regular package: where a test runner or script run puts `sys.path`.
    pub(crate) fn import_root(&self, dir: DirId) -> DirId {
        self.ancestors(dir).find(|&dir| self.dirs[dir].init.is_none()).unwrap_or(TOP)
    }

    /// A folder that a project's packages start from.
    pub(crate) fn is_source_root(&self, dir: DirId) -> bool {
        let project = |dir: DirId| dir == TOP || self.dirs[dir].is_project;
        let usual = || {
            let parent = self.dirs[dir].parent;
            let name = self.dir_name(dir);
            parent.is_some_and(project) && matches!(name, "src" | "lib" | "Lib" | "python" | "source" | "py")
        };
        project(dir) || usual() || self.hints.roots.contains(&self.dirs[dir].path)
    }

    /// Whether a submodule that the snapshot lacks may be made by a build.
    pub(crate) fn may_be_built(&self, dir: DirId, name: &str) -> bool {
        (self.has_native_sources && name.starts_with('_'))
            || self.hints.may_be_generated(&self.dirs[dir].path, name)
    }

    /// Whether type checkers alone find a module: a stub without its source. It stands for a compiled module where such are
    /// about, and for a package from elsewhere where the folder holds nothing but stubs.
    pub(crate) fn is_for_checkers(&self, node: Node) -> bool {
        let Some(id) = self.module_of(node) else { return false };
        let module = &self.modules[id];
        let stub_alone = module.stub.is_some() && module.source.is_none() && !module.opaque;
        stub_alone && !self.has_native_sources && self.dirs[module.dir].has_sources
    }

    /// The path that names a node in a sentence.
    pub(crate) fn path_of(&self, node: Node) -> String {
        match node {
            Node::Package(dir) | Node::Namespace(dir) => format!("{}/", self.dirs[dir].path),
            Node::Module(module) => self.path_of_module(module),
        }
    }

    /// The node whose [`Self::path_of`] this is.
    pub(crate) fn node_at(&self, path: &str) -> Option<Node> {
        let (folder, module) = path.rsplit_once('/').unwrap_or(("", path));
        let mut dir = TOP;
        for name in folder.split('/').filter(|name| !name.is_empty()) {
            dir = *self.dirs[dir].dirs.get(name)?;
        }
        if module.is_empty() {
            return Some(self.folder(dir));
        }
        let stem = module.rsplit_once('.').map_or(module, |(stem, _)| stem);
        self.dirs[dir].modules.get(stem).copied().map(Node::Module)
    }

    pub(crate) fn path_of_module(&self, module: ModuleId) -> String {
        let module = &self.modules[module];
        match module.source.or(module.stub) {
            Some(file) => self.files[file].path.clone(),
            None => join(&self.dirs[module.dir].path, &module.name),
        }
    }
}

/// `dir/name`, or `name` at the top.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.is_empty() { name.to_owned() } else { format!("{dir}/{name}") }
}
