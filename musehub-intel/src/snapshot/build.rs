//! Builds the index of a snapshot from its paths, facts and hints.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::hints::Hints;
use super::outside::Outside;
use super::{Dir, DirId, File, FileId, Module, ModuleId, Snapshot, TOP, is_python, join};
use crate::facts::FileFacts;

/// Standard-library names in one folder from which it counts as a copy of the standard library.
const STANDARD_LIBRARY_FROM: usize = 60;

/// Files that a project keeps at its root.
const PROJECT_FILES: [&str; 8] = [
    "pyproject.toml",
    "setup.py",
    "setup.cfg",
    "Pipfile",
    "manage.py",
    "pytest.ini",
    "tox.ini",
    "noxfile.py",
];

/// Endings of files that become a module of the same stem when built, and of built ones.
const COMPILED: [&str; 14] = [
    ".so", ".pyd", ".pyx", ".pxd", ".pyc", ".c", ".cc", ".cpp", ".cxx", ".f", ".f90", ".pyf", ".pyx.in",
    ".pyx.tp",
];
/// Endings of templates of Python modules.
const TEMPLATES: [&str; 7] =
    [".py.in", ".py.tpl", ".py.tmpl", ".py.jinja", ".py.jinja2", ".py.mako", ".py-tpl"];
/// Endings that show that the project compiles extension modules.
const NATIVE: [&str; 10] = [".c", ".cc", ".cpp", ".cxx", ".pyx", ".rs", ".f90", ".f", ".m", ".pyf"];

/// Collects the files of a snapshot.
///
/// Every path must be given, also of files that are not Python: they tell packages, extension modules and project
/// roots. Facts go with the Python ones, text with the ones that [`super::is_hint`] asks for.
#[derive(Debug, Default)]
pub struct SnapshotBuilder {
    paths: BTreeMap<String, Option<Arc<FileFacts>>>,
    hints: Hints,
}

impl SnapshotBuilder {
    /// An empty snapshot.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a file of which only the path is known.
    pub fn file(&mut self, path: impl Into<String>) -> &mut Self {
        self.paths.entry(path.into()).or_default();
        self
    }

    /// Adds a Python file with its facts.
    pub fn python(&mut self, path: impl Into<String>, facts: impl Into<Arc<FileFacts>>) -> &mut Self {
        self.paths.insert(path.into(), Some(facts.into()));
        self
    }

    /// Adds the text of a file for which [`super::is_hint`] holds.
    pub fn hint(&mut self, path: impl Into<String>, text: &str) -> &mut Self {
        let path = path.into();
        self.hints.read(&path, text);
        self.file(path)
    }

    /// Builds the index.
    #[must_use]
    pub fn build(self) -> Snapshot {
        let mut tree = Tree::new();
        for (path, facts) in self.paths {
            tree.add(path, facts);
        }
        tree.finish(self.hints)
    }
}

/// The index while it grows.
struct Tree {
    files: Vec<File>,
    dirs: Vec<Dir>,
    by_path: HashMap<String, DirId>,
    modules: Vec<Module>,
    has_native_sources: bool,
}

impl Tree {
    fn new() -> Self {
        Self {
            files: Vec::new(),
            dirs: vec![Dir::default()],
            by_path: HashMap::from([(String::new(), TOP)]),
            modules: Vec::new(),
            has_native_sources: false,
        }
    }

    /// The folder at `path`, made with those above it.
    fn dir(&mut self, path: &str) -> DirId {
        let mut dir = TOP;
        if let Some(&known) = self.by_path.get(path) {
            return known;
        }
        let mut end = 0;
        for name in path.split('/') {
            end += name.len();
            dir = match self.dirs[dir].dirs.get(name) {
                Some(&known) => known,
                None => {
                    let new = self.dirs.len();
                    self.dirs.push(Dir { path: path[..end].to_owned(), parent: Some(dir), ..Dir::default() });
                    self.dirs[dir].dirs.insert(name.to_owned(), new);
                    self.by_path.insert(path[..end].to_owned(), new);
                    new
                }
            };
            end += 1;
        }
        dir
    }

    fn module(&mut self, dir: DirId, name: &str) -> ModuleId {
        if let Some(&known) = self.dirs[dir].modules.get(name) {
            return known;
        }
        let id = self.modules.len();
        self.modules.push(Module { dir, name: name.to_owned(), ..Module::default() });
        self.dirs[dir].modules.insert(name.to_owned(), id);
        if name == "__init__" {
            self.dirs[dir].init = Some(id);
        }
        id
    }

    fn add(&mut self, path: String, facts: Option<Arc<FileFacts>>) {
        let (folder, name) = path.rsplit_once('/').unwrap_or(("", &path));
        let dir = self.dir(folder);
        self.dirs[dir].is_project |= PROJECT_FILES.contains(&name);
        if is_python(&path) {
            let is_stub = name.ends_with(".pyi");
            let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
            let module = self.module(dir, stem);
            let id: FileId = self.files.len();
            self.dirs[dir].has_sources |= !is_stub;
            let slot = &mut self.modules[module];
            if is_stub {
                slot.stub = Some(id)
            } else {
                slot.source = Some(id)
            }
            self.files.push(File { path, dir, module, is_stub, facts });
            return;
        }
        self.has_native_sources |= NATIVE.iter().any(|ending| name.ends_with(ending));
        if COMPILED.iter().chain(&TEMPLATES).any(|ending| name.ends_with(ending)) {
            let stem = name.split('.').next().unwrap_or(name).to_owned();
            let module = self.module(dir, &stem);
            self.modules[module].opaque = true;
        }
    }

    fn finish(mut self, mut hints: Hints) -> Snapshot {
        let mut injected = HashSet::new();
        let mut injected_starts = BTreeSet::new();
        for file in 0..self.files.len() {
            let Some(facts) = self.files[file].facts.clone() else {
                continue;
            };
            for name in &facts.injected {
                match name.strip_suffix('*') {
                    // A start that names no package would silence everything.
                    Some(start) if start.contains('.') => drop(injected_starts.insert(start.to_owned())),
                    Some(_) => {}
                    None => drop(injected.insert(name.clone())),
                }
            }
            hints.add_built(facts.built.iter().map(String::as_str));
            self.open(file, &facts);
        }
        let outside = Outside::get();
        let mut holders: HashMap<String, Vec<DirId>> = HashMap::new();
        for (id, dir) in self.dirs.iter_mut().enumerate() {
            let names: HashSet<&String> = dir.dirs.keys().chain(dir.modules.keys()).collect();
            let standard = names.iter().filter(|name| outside.is_standard(name)).count();
            dir.is_standard_library = standard >= STANDARD_LIBRARY_FROM;
            for name in names {
                holders.entry(name.clone()).or_default().push(id);
            }
        }
        Snapshot {
            files: self.files,
            dirs: self.dirs,
            modules: self.modules,
            holders,
            injected,
            injected_starts: without_longer(injected_starts),
            hints,
            outside,
            has_native_sources: self.has_native_sources,
        }
    }

    /// Opens the packages into which a file may put modules at run time.
    fn open(&mut self, file: FileId, facts: &FileFacts) {
        let File { dir, module, .. } = self.files[file];
        let is_init = self.modules[module].name == "__init__";
        if facts.open.children {
            self.modules[module].open_children = true;
            self.dirs[dir].open_children |= is_init;
        }
        if facts.open.importer {
            self.open_around(module);
        }
    }

    /// Modules appear under computed names, which nearly always start with those of the packages around.
    fn open_around(&mut self, module: ModuleId) {
        self.modules[module].open_children = true;
        let mut next = Some(self.modules[module].dir);
        while let Some(dir) = next.filter(|&dir| self.dirs[dir].init.is_some()) {
            self.dirs[dir].open_children = true;
            next = self.dirs[dir].parent;
        }
    }
}

/// Of sorted texts, the ones that do not begin with another.
fn without_longer(starts: BTreeSet<String>) -> Vec<String> {
    let mut shortest: Vec<String> = Vec::new();
    for start in starts {
        if !shortest.last().is_some_and(|last| start.starts_with(last)) {
            shortest.push(start);
        }
    }
    shortest
}

/// Hint paths are relative to the folder of the file that gives them.
pub(super) fn resolve(base: &str, path: &str) -> String {
    let path = path.trim_start_matches("./").trim_matches('/');
    if path.is_empty() || path == "." { base.to_owned() } else { join(base, path) }
}
