//! Which commit took away what an import asks for: a walk back through older trees, without I/O.
//!
//! Whoever drives the walk shows one tree after another, newest first, and says what is known of files; the walk says which
//! files it has to know more about. A tree in which a name is present where the next newer one lacks it was followed by the
//! commit that removed it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;

use crate::facts::{BindingKind, FileFacts, Import, ImportForm};

/// Files looked into for one name in one tree: a longer trail of star imports is not followed.
const MAX_TRAIL: usize = 16;

/// Something missing, and the file or folder that should hold it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Lack {
    /// `pkg/mod.py`, or `pkg/` with the slash: [`crate::Finding::target`].
    pub holder: String,
    /// The name, or the module.
    pub name: String,
}

/// The files of an older tree.
pub trait OldTree {
    /// Whether this file is there.
    fn has_file(&self, path: &str) -> bool;
    /// Whether any file is below this folder, which is given with its slash.
    fn has_folder(&self, path: &str) -> bool;
    /// The facts of a file that is there, where they are known.
    fn facts(&self, path: &str) -> Option<Arc<FileFacts>>;
}

/// Looks for the commits that removed what is lacking.
#[derive(Debug)]
pub struct Removals<C> {
    pending: HashSet<Lack>,
    found: HashMap<Lack, C>,
    /// The commit whose tree was shown last.
    newer: C,
}

/// What [`Removals::show`] answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    /// The tree has been looked at; show the next older one.
    Next,
    /// Learn the facts of these files of the tree, and show it again.
    Needs(Vec<String>),
}

impl<C: Clone> Removals<C> {
    /// A walk that starts at `newest`, the commit in whose tree all of this is lacking.
    pub fn new(newest: C, lacks: impl IntoIterator<Item = Lack>) -> Self {
        Self { pending: lacks.into_iter().collect(), found: HashMap::new(), newer: newest }
    }

    /// Whether nothing is left to look for.
    pub fn is_done(&self) -> bool {
        self.pending.is_empty()
    }

    /// What no tree so far held.
    pub fn pending(&self) -> impl Iterator<Item = &Lack> {
        self.pending.iter()
    }

    /// Takes what is known already, or known not to be found, off the walk.
    pub fn settle(&mut self, lack: &Lack, removed_by: Option<C>) {
        if self.pending.remove(lack)
            && let Some(commit) = removed_by
        {
            self.found.insert(lack.clone(), commit);
        }
    }

    /// Shows the tree of `commit`, the first parent of the commit shown before.
    pub fn show(&mut self, commit: C, tree: &impl OldTree) -> Shown {
        let mut needs = Vec::new();
        let mut present = Vec::new();
        for lack in &self.pending {
            match is_present(lack, tree) {
                Ok(true) => present.push(lack.clone()),
                Ok(false) => {}
                Err(unknown) => needs.extend(unknown),
            }
        }
        if !needs.is_empty() {
            needs.sort_unstable();
            needs.dedup();
            return Shown::Needs(needs);
        }
        let remover = std::mem::replace(&mut self.newer, commit);
        for lack in present {
            self.pending.remove(&lack);
            self.found.insert(lack, remover.clone());
        }
        Shown::Next
    }

    /// The commits found.
    pub fn finish(self) -> HashMap<Lack, C> {
        self.found
    }
}

/// Whether a tree holds what is lacking; the files to learn about first where that is not known.
fn is_present(lack: &Lack, tree: &impl OldTree) -> Result<bool, Vec<String>> {
    let base = match lack.holder.strip_suffix('/') {
        Some(folder) => {
            if is_module(folder, &lack.name, tree) {
                return Ok(true);
            }
            folder
        }
        None => stem(&lack.holder),
    };
    let mut trail = VecDeque::from(homes(base, tree));
    let mut seen: HashSet<String> = trail.iter().cloned().collect();
    let mut unknown = Vec::new();
    for _ in 0..MAX_TRAIL {
        let Some(path) = trail.pop_front() else { break };
        let Some(facts) = tree.facts(&path) else {
            unknown.push(path);
            continue;
        };
        // An import by the package of its own submodule binds nothing that was not looked for above.
        let binding = facts.names.get(&lack.name);
        if binding.is_some_and(|binding| binding.kind != BindingKind::Submodule && !binding.typing_only) {
            return Ok(true);
        }
        for import in facts.imports.iter().filter(|import| import.form == ImportForm::Star) {
            let new = star_homes(&path, import, tree).into_iter().filter(|home| seen.insert(home.clone()));
            trail.extend(new.collect::<Vec<_>>());
        }
    }
    if unknown.is_empty() { Ok(false) } else { Err(unknown) }
}

/// Whether `folder` has a module or folder of this name.
fn is_module(folder: &str, name: &str, tree: &impl OldTree) -> bool {
    let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
    !homes(&path, tree).is_empty() || tree.has_folder(&format!("{path}/"))
}

/// The files that define the module at `base`, which is a path without suffix.
fn homes(base: &str, tree: &impl OldTree) -> Vec<String> {
    let package = if base.is_empty() { String::new() } else { format!("{base}/") };
    let files = [format!("{base}.py"), format!("{package}__init__.py"), format!("{base}.pyi")];
    files.into_iter().filter(|path| tree.has_file(path)).collect()
}

/// `pkg/mod` of `pkg/mod.py`, `pkg` of `pkg/__init__.py`.
fn stem(path: &str) -> &str {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    stem.strip_suffix("/__init__").unwrap_or(stem)
}

/// The files that a star import of `path` leads to: for an absolute one, below the nearest folder that has it.
fn star_homes(path: &str, import: &Import, tree: &impl OldTree) -> Vec<String> {
    let module = import.module.replace('.', "/");
    let parent = |folder: &str| folder.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned();
    let join = |folder: &str| match (folder.is_empty(), module.is_empty()) {
        (true, _) => module.clone(),
        (false, true) => folder.to_owned(),
        (false, false) => format!("{folder}/{module}"),
    };
    let mut folder = parent(path);
    if import.level > 0 {
        for _ in 1..import.level {
            folder = parent(&folder);
        }
        return homes(&join(&folder), tree);
    }
    loop {
        let found = homes(&join(&folder), tree);
        if !found.is_empty() || folder.is_empty() {
            return found;
        }
        folder = parent(&folder);
    }
}
