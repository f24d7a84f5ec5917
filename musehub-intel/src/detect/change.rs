//! Which files a new snapshot could answer differently, told by names.
//!
//! Resolving an import asks for entries of folders and for facts of modules, always by a name that is part of the import,
//! of a star import on the way, or of a folder around the file. So a file is left alone when no such name belongs to
//! anything that changed. Names are compared without the folders they are in: a file may be checked in vain, never missed.
//! What reaches further than names, such as a new `__init__.py` or project file, makes every file be checked.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::resolve::{Effects, Resolver};
use super::scan::Scan;
use crate::facts::{BindingKind, Exports, FileFacts, Import, ImportForm};
use crate::snapshot::{Dir, DirId, FileId, Module, ModuleId, Node, Snapshot};

/// What differs between two snapshots, as far as pass 2 can notice.
pub(super) struct Changes {
    /// For each file of the new snapshot, the same file of the old one where its facts are the same.
    same: Vec<Option<FileId>>,
    /// Names of entries and of bindings that came, went or changed their kind, and of modules that changed otherwise.
    names: HashSet<String>,
    /// One bit for each of `names`, by [`bit`]: most parts of most imports are none of them, and are told so cheaply.
    bits: u64,
}

fn bit(name: &str) -> u64 {
    let edges =
        name.bytes().next().zip(name.bytes().last()).map_or(0, |(first, last)| first ^ last.rotate_left(3));
    1 << ((usize::from(edges) + 7 * name.len()) % 64)
}

impl Changes {
    /// `None` when every file has to be checked.
    pub(super) fn between(old: &Scan, new: &Resolver<'_>) -> Option<Self> {
        let (before, after) = (&old.snapshot, new.snapshot);
        let same_rules = before.hints == after.hints
            && before.has_native_sources == after.has_native_sources
            && before.injected == after.injected
            && before.injected_starts == after.injected_starts;
        if !same_rules {
            return None;
        }
        let mut moved = entries(before, after)?;
        let FileChanges { same, redefined, rebound } = files(before, after);
        moved.extend(rebound);
        let mut modules: HashSet<&str> = redefined;
        modules.extend(affected(before, after, &old.effects, &new.effects)?);
        close_over_stars(after, &moved, &mut modules);
        modules.extend(moved);
        let bits = modules.iter().fold(0, |bits, name| bits | bit(name));
        Some(Self { same, names: modules.into_iter().map(str::to_owned).collect(), bits })
    }

    /// The file of the old snapshot whose findings hold for this one.
    pub(super) fn unaffected(&self, snapshot: &Snapshot, file: FileId) -> Option<FileId> {
        let old = self.same[file]?;
        let Some(facts) = snapshot.files[file].facts.as_deref() else {
            return Some(old);
        };
        if self.names.is_empty() {
            return Some(old);
        }
        let is_changed = |dotted: &str| dotted.split('.').any(|part| self.concern(part));
        let import =
            |import: &Import| is_changed(&import.module) || import.name.as_deref().is_some_and(is_changed);
        let affected = facts.imports.iter().any(import)
            || facts.uses.iter().any(|used| is_changed(&used.chain))
            || around(snapshot, file).any(|name| self.concern(name));
        (!affected).then_some(old)
    }

    fn concern(&self, name: &str) -> bool {
        self.bits & bit(name) != 0 && self.names.contains(name)
    }
}

/// Names of the folders that a file lies in.
fn around(snapshot: &Snapshot, file: FileId) -> impl Iterator<Item = &str> {
    snapshot.ancestors(snapshot.files[file].dir).map(|dir| snapshot.dir_name(dir))
}

/// The name under which others import a module.
fn module_name(snapshot: &Snapshot, id: ModuleId) -> &str {
    let module = &snapshot.modules[id];
    if module.name == "__init__" { snapshot.dir_name(module.dir) } else { &module.name }
}

/// Names of folder entries that are in one snapshot only, or are something else now; `None` when a folder changed in a
/// way that concerns more than its entries.
fn entries<'s>(before: &'s Snapshot, after: &'s Snapshot) -> Option<HashSet<&'s str>> {
    let absent = Dir::default();
    let mut names = HashSet::new();
    let mut old_dirs: HashMap<&str, DirId> =
        before.dirs.iter().enumerate().map(|(id, dir)| (dir.path.as_str(), id)).collect();
    for (id, dir) in after.dirs.iter().enumerate() {
        let old = old_dirs.remove(dir.path.as_str());
        let old_dir = old.map_or(&absent, |old| &before.dirs[old]);
        if shape(before, old_dir) != shape(after, dir) {
            return None;
        }
        if old.is_none() {
            names.insert(after.dir_name(id));
        }
        let kinds = |snapshot: &Snapshot, id: ModuleId| kind(&snapshot.modules[id]);
        for (name, &module) in &dir.modules {
            let old = old_dir.modules.get(name).map(|&old| kinds(before, old));
            if old != Some(kinds(after, module)) {
                names.insert(module_name(after, module));
            }
        }
        let gone = old_dir.modules.iter().filter(|(name, _)| !dir.modules.contains_key(*name));
        names.extend(gone.map(|(_, &module)| module_name(before, module)));
    }
    for id in old_dirs.into_values() {
        let dir = &before.dirs[id];
        if shape(before, dir) != shape(after, &absent) {
            return None;
        }
        names.insert(before.dir_name(id));
        names.extend(dir.modules.values().map(|&module| module_name(before, module)));
    }
    Some(names)
}

/// What a folder is to the files in it and below it.
fn shape(snapshot: &Snapshot, dir: &Dir) -> impl PartialEq + use<> {
    let init = dir.init.map(|init| kind(&snapshot.modules[init]));
    (init, dir.is_project, dir.open_children, dir.has_sources, dir.is_standard_library)
}

fn kind(module: &Module) -> impl PartialEq + use<> {
    (module.source.is_some(), module.stub.is_some(), module.opaque, module.open_children)
}

/// What changed in files that are in both snapshots.
struct FileChanges<'s> {
    /// For each new file, the old one where its facts are the same.
    same: Vec<Option<FileId>>,
    /// Names of modules of which importers may see anything else.
    redefined: HashSet<&'s str>,
    /// Names that modules bind otherwise than before, or no more; nothing else about these modules changed.
    rebound: HashSet<&'s str>,
}

fn files<'s>(before: &'s Snapshot, after: &'s Snapshot) -> FileChanges<'s> {
    let mut changes = FileChanges {
        same: vec![None; after.files.len()],
        redefined: HashSet::new(),
        rebound: HashSet::new(),
    };
    let mut old = 0;
    // Both are sorted by path.
    for (new, file) in after.files.iter().enumerate() {
        while before.files.get(old).is_some_and(|earlier| earlier.path < file.path) {
            old += 1;
        }
        let Some(earlier) = before.files.get(old).filter(|earlier| earlier.path == file.path) else {
            continue;
        };
        match (&earlier.facts, &file.facts) {
            (Some(earlier), Some(now)) if Arc::ptr_eq(earlier, now) || earlier == now => {
                changes.same[new] = Some(old);
            }
            (None, None) => changes.same[new] = Some(old),
            (Some(earlier), Some(now)) if differ_in_names_only(earlier, now) => {
                changes.rebound.extend(rebound(earlier, now));
            }
            _ => drop(changes.redefined.insert(module_name(after, file.module))),
        }
    }
    changes
}

/// Whether all that importers can tell two versions of a module apart by is what single names stand for.
fn differ_in_names_only(a: &FileFacts, b: &FileFacts) -> bool {
    fn stars(facts: &FileFacts) -> Vec<(u32, &str)> {
        let stars = facts.imports.iter().filter(|import| import.form == ImportForm::Star);
        stars.map(|import| (import.level, import.module.as_str())).collect()
    }
    a.reading == b.reading && a.open == b.open && a.exports == b.exports && stars(a) == stars(b)
}

/// The names that two versions of a module do not bind in the same way.
fn rebound<'s>(a: &'s FileFacts, b: &'s FileFacts) -> impl Iterator<Item = &'s str> {
    fn bindings(facts: &FileFacts) -> HashSet<(&str, BindingKind, bool)> {
        facts.names.iter().map(|(name, bound)| (name.as_str(), bound.kind, bound.typing_only)).collect()
    }
    fn imports<'a>(facts: &'a FileFacts) -> HashSet<(&'a str, ImportForm, u32, &'a str, Option<&'a str>)> {
        let key = |import: &'a Import| {
            let local = import.local_name()?;
            Some((local, import.form, import.level, import.module.as_str(), import.name.as_deref()))
        };
        facts.imports.iter().filter_map(key).collect()
    }
    let bound: HashSet<&str> =
        bindings(a).symmetric_difference(&bindings(b)).map(|(name, ..)| *name).collect();
    let imported: HashSet<&str> =
        imports(a).symmetric_difference(&imports(b)).map(|(name, ..)| *name).collect();
    bound.into_iter().chain(imported)
}

/// Names of modules to which other files now do something else; `None` when folders are concerned.
fn affected<'s>(
    before: &'s Snapshot,
    after: &'s Snapshot,
    was: &Effects,
    is: &Effects,
) -> Option<HashSet<&'s str>> {
    let paths = |snapshot: &'s Snapshot, dirs: &HashSet<DirId>| -> HashSet<&'s str> {
        dirs.iter().map(|&dir| snapshot.dirs[dir].path.as_str()).collect()
    };
    let same_dirs = |old: &HashSet<DirId>, new: &HashSet<DirId>| paths(before, old) == paths(after, new);
    if !same_dirs(&was.proven, &is.proven) || !same_dirs(&was.patched.dirs, &is.patched.dirs) {
        return None;
    }
    let mut names = HashSet::new();
    let place = |snapshot: &'s Snapshot, id: ModuleId| {
        let module = &snapshot.modules[id];
        (snapshot.dirs[module.dir].path.as_str(), module.name.as_str())
    };
    let patched = |snapshot: &'s Snapshot, modules: &HashSet<ModuleId>| -> HashMap<_, _> {
        modules.iter().map(|&id| (place(snapshot, id), module_name(snapshot, id))).collect()
    };
    let (was_patched, is_patched) =
        (patched(before, &was.patched.modules), patched(after, &is.patched.modules));
    names.extend(difference(&was_patched, &is_patched));
    names.extend(difference(&written(before, was), &written(after, is)));
    Some(names)
}

/// The module names of what other files write, by module and attribute.
fn written<'s, 'e>(snapshot: &'s Snapshot, effects: &'e Effects) -> HashMap<(String, &'e str), &'s str> {
    let each = |(&node, attributes): (&Node, &'e HashSet<String>)| {
        let (path, name) = (snapshot.path_of(node), name_of(snapshot, node));
        attributes.iter().map(move |attribute| ((path.clone(), attribute.as_str()), name)).collect::<Vec<_>>()
    };
    effects.written.iter().flat_map(each).collect()
}

/// The values of keys that are in one of two maps only.
fn difference<'s, K: Eq + std::hash::Hash>(a: &HashMap<K, &'s str>, b: &HashMap<K, &'s str>) -> Vec<&'s str> {
    let only = |these: &HashMap<K, &'s str>, those: &HashMap<K, &'s str>| {
        these.iter().filter(|(key, _)| !those.contains_key(key)).map(|(_, &name)| name).collect::<Vec<_>>()
    };
    [only(a, b), only(b, a)].concat()
}

fn name_of(snapshot: &Snapshot, node: Node) -> &str {
    match node {
        Node::Package(dir) | Node::Namespace(dir) => snapshot.dir_name(dir),
        Node::Module(module) => module_name(snapshot, module),
    }
}

/// Adds the modules whose names come through others: a star import hands on what its target has.
fn close_over_stars<'s>(snapshot: &'s Snapshot, moved: &HashSet<&str>, modules: &mut HashSet<&'s str>) {
    let mut starred: Vec<(FileId, HashSet<&str>)> = Vec::new();
    for (id, file) in snapshot.files.iter().enumerate() {
        let Some(facts) = file.facts.as_deref() else { continue };
        let by_entries = !moved.is_empty() && follows(snapshot, id, facts).any(|name| moved.contains(name));
        if by_entries {
            modules.insert(module_name(snapshot, file.module));
        }
        if facts.imports.iter().any(|import| import.form == ImportForm::Star) {
            let stars = facts.imports.iter().filter(|import| import.form == ImportForm::Star);
            starred.push((
                id,
                stars.flat_map(|import| import.module.split('.')).chain(around(snapshot, id)).collect(),
            ));
        }
    }
    loop {
        let known = modules.len();
        for (id, through) in &starred {
            if modules.iter().any(|name| through.contains(name)) {
                modules.insert(module_name(snapshot, snapshot.files[*id].module));
            }
        }
        if modules.len() == known {
            return;
        }
    }
}

/// The names of entries by which it is decided what a module has: those on the way of its star imports, of imports from
/// its own package, and of what its `__all__` lists.
fn follows<'s>(snapshot: &'s Snapshot, file: FileId, facts: &'s FileFacts) -> impl Iterator<Item = &'s str> {
    let own = snapshot.dir_name(snapshot.files[file].dir);
    let from_own = move |import: &Import| {
        let last = import.module.rsplit('.').next().unwrap_or_default();
        import.name.is_some() && (last.is_empty() || last == own)
    };
    let shown = move |import: &&Import| import.form == ImportForm::Star || from_own(import);
    let imports = facts.imports.iter().filter(shown).flat_map(|import| import.module.split('.'));
    let listed: &[String] = if let Exports::Listed(names) = &facts.exports { names } else { &[] };
    let stars = facts.imports.iter().any(|import| import.form == ImportForm::Star);
    let around = around(snapshot, file).filter(move |_| stars);
    imports.chain(listed.iter().map(String::as_str)).chain(around)
}
