//! What resolving one file's own imports tells, kept while a snapshot is checked: others ask for it over and over.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use super::resolve::Resolver;
use crate::facts::{Exports, Import, ImportForm};
use crate::snapshot::{FileId, Node};

/// One file's imports, resolved and indexed.
#[derive(Debug)]
pub(super) struct Learned<'s> {
    /// What its star imports lead to, each once; `None` where one of them leads out of sight.
    pub(super) stars: Option<Vec<Node>>,
    /// Its imports by the local name that they bind.
    by_name: HashMap<&'s str, Vec<&'s Import>>,
    /// The dotted names of modules that it imports, and those of the packages around them.
    modules: OnceLock<HashSet<&'s str>>,
    /// What its `__all__` lists.
    listed: HashSet<&'s str>,
    /// A name in it that is not there.
    pub(super) stale_export: OnceLock<Option<&'s str>>,
}

impl<'s> Learned<'s> {
    /// The imports that bind a local name.
    pub(super) fn binders(&self, name: &str) -> &[&'s Import] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// Whether `__all__` lists a name.
    pub(super) fn lists(&self, name: &str) -> bool {
        self.listed.contains(name)
    }

    /// Whether the file imports a module of this dotted name, or one below it.
    pub(super) fn imports(&self, resolver: &Resolver<'s>, file: FileId, dotted: &str) -> bool {
        let modules = self.modules.get_or_init(|| {
            let imports = resolver.snapshot.files[file].facts.iter().flat_map(|facts| &facts.imports);
            let absolute = imports.filter(|import| import.level == 0).map(|import| import.module.as_str());
            absolute
                .flat_map(|module| {
                    let inner = module.match_indices('.').map(|(end, _)| &module[..end]);
                    inner.chain(std::iter::once(module))
                })
                .collect()
        });
        modules.contains(dotted)
    }
}

impl<'s> Resolver<'s> {
    /// What the imports of a file tell.
    pub(super) fn learned(&self, file: FileId) -> &Learned<'s> {
        self.learned[file].get_or_init(|| self.learn(file))
    }

    fn learn(&self, file: FileId) -> Learned<'s> {
        let snapshot: &'s _ = self.snapshot;
        let imports = snapshot.files[file].facts.iter().flat_map(|facts| &facts.imports);
        let mut by_name: HashMap<&str, Vec<&Import>> = HashMap::new();
        let mut stars = Some(Vec::new());
        let mut seen = HashSet::new();
        for import in imports {
            if let Some(local) = import.local_name() {
                by_name.entry(local).or_default().push(import);
            }
            if import.form != ImportForm::Star
                || stars.is_none()
                || !seen.insert((import.level, &import.module))
            {
                continue;
            }
            let (nodes, complete) = self.targets(file, import);
            match &mut stars {
                Some(known) if complete => known.extend(nodes),
                _ => stars = None,
            }
        }
        let listed = match snapshot.files[file].facts.as_ref().map(|facts| &facts.exports) {
            Some(Exports::Listed(names)) => names.iter().map(String::as_str).collect(),
            _ => HashSet::new(),
        };
        Learned { stars, by_name, modules: OnceLock::new(), listed, stale_export: OnceLock::new() }
    }
}
