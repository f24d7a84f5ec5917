//! Dotted names to files, as CPython's import system would find them from any `sys.path` that is plausible.

use std::collections::{HashMap, HashSet};
use std::sync::OnceLock;

use rayon::prelude::*;

use super::learned::Learned;
use super::patched::Patched;
use crate::facts::{Import, ImportForm};
use crate::snapshot::{DirId, FileId, Node, Snapshot, TOP};

/// Where following a dotted name ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Walk {
    /// At a file or folder.
    Found(Node),
    /// Where anything may appear at run time.
    Open,
    /// `parent` is there for certain, and the part with this index is not below it.
    Missing { parent: Node, index: usize },
}

/// One plausible reading of an absolute import.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    pub(super) walk: Walk,
    /// Whether this reading is the one that counts when all fail.
    pub(super) strength: Strength,
    /// Whether folders without `__init__` hold nothing but what the snapshot shows.
    pub(super) closed: bool,
}

/// How sure it is that a top-level name means the entry of one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// It may as well be a package from elsewhere.
    Weak,
    /// The folder is a source root, or lies above the file.
    Strong,
    /// The importing file is itself part of that package.
    Own,
}

/// Where a relative import starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    /// At this folder.
    At(DirId),
    /// Above every package.
    Beyond,
    /// Above the snapshot, in a package whose rest is elsewhere.
    Outside,
}

/// Folders looked at for one top-level name. Where more hold an entry of that name, any of them may be meant.
const MAX_HOLDERS: usize = 1_024;

/// What the files of a snapshot do to each other's modules, beyond what the modules themselves say.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// Attributes that some file sets on a module; the name `*` stands for any.
    pub(super) written: HashMap<Node, HashSet<String>>,
    /// Folders without `__init__` from which most relative imports succeed, so that they do serve as packages, and do
    /// not hold examples, test data or parts of something larger.
    pub(super) proven: HashSet<DirId>,
    pub(super) patched: Patched,
}

/// Resolves the imports of one snapshot.
pub(super) struct Resolver<'s> {
    pub(super) snapshot: &'s Snapshot,
    pub(super) effects: Effects,
    /// By file, learned when first asked for.
    pub(super) learned: Vec<OnceLock<Learned<'s>>>,
}

impl<'s> Resolver<'s> {
    pub(super) fn new(snapshot: &'s Snapshot) -> Self {
        let learned = std::iter::repeat_with(OnceLock::new).take(snapshot.files.len()).collect();
        let mut resolver = Self { snapshot, effects: Effects::default(), learned };
        resolver.effects.patched = resolver.find_patched();
        let files = 0..snapshot.files.len();
        let bases: Vec<_> =
            files.clone().into_par_iter().flat_map_iter(|file| resolver.relative_bases(file)).collect();
        let mut balance: HashMap<DirId, i64> = HashMap::new();
        for (base, succeeds) in bases {
            *balance.entry(base).or_default() += if succeeds { 1 } else { -1 };
        }
        resolver.effects.proven =
            balance.into_iter().filter(|(_, balance)| *balance > 0).map(|(base, _)| base).collect();
        let written: Vec<_> = files.into_par_iter().flat_map_iter(|file| resolver.written_by(file)).collect();
        for (node, attribute) in written {
            resolver.effects.written.entry(node).or_default().insert(attribute);
        }
        resolver
    }

    pub(super) fn into_effects(self) -> Effects {
        self.effects
    }

    /// Follows `parts` from `start`. `closed`: a folder without `__init__` holds nothing but what the snapshot shows.
    pub(super) fn walk(&self, start: Node, parts: &[&str], closed: bool) -> Walk {
        let mut node = start;
        for (index, part) in parts.iter().enumerate() {
            match self.snapshot.child(node, part) {
                Some(child) => node = child,
                None if self.child_may_appear(node, part, closed) => return Walk::Open,
                None => return Walk::Missing { parent: node, index },
            }
        }
        Walk::Found(node)
    }

    /// Whether a submodule that the snapshot lacks may be there when the code runs.
    pub(super) fn child_may_appear(&self, node: Node, name: &str, closed: bool) -> bool {
        let snapshot = self.snapshot;
        match node {
            Node::Package(dir) => {
                let init = snapshot.dirs[dir].init.map(|init| &snapshot.modules[init]);
                // With a stub or a compiled file alone, the package itself is elsewhere.
                let unseen = init.is_none_or(|init| init.opaque || init.source.is_none());
                unseen || self.has_open_children(dir) || snapshot.may_be_built(dir, name)
            }
            Node::Namespace(dir) => {
                // Other distributions may add to a namespace, unless it lies in a package and has that one's path.
                let inside = snapshot.ancestors(dir).any(|dir| snapshot.dirs[dir].init.is_some());
                !(closed || inside) || self.has_open_children(dir) || snapshot.may_be_built(dir, name)
            }
            Node::Module(id) => {
                let module = &snapshot.modules[id];
                let replaced = module.source.is_none_or(|file| {
                    snapshot.files[file].facts.as_ref().is_none_or(|facts| facts.open.names)
                });
                module.opaque
                    || module.open_children
                    || replaced
                    || self.effects.patched.modules.contains(&id)
            }
        }
    }

    fn has_open_children(&self, dir: DirId) -> bool {
        self.snapshot.dirs[dir].open_children || self.effects.patched.dirs.contains(&dir)
    }

    /// Every folder of the snapshot that could make `parts` mean something, and what it would mean; the surest first.
    pub(super) fn attempts(&self, file: FileId, parts: &[&str]) -> Vec<Attempt> {
        let Some(top) = parts.first() else {
            return Vec::new();
        };
        let holders = self.snapshot.holders.get(*top).map_or(&[][..], Vec::as_slice);
        if holders.len() > MAX_HOLDERS {
            return vec![Attempt { walk: Walk::Open, strength: Strength::Weak, closed: false }];
        }
        let injected = self.is_injected(parts);
        let mut readings: Vec<(Node, Strength)> = holders
            .iter()
            .filter_map(|&root| {
                let entry = self.snapshot.entry(root, top)?;
                let strength = self.strength(file, root, entry, top);
                self.is_plausible(file, root, strength).then_some((entry, strength))
            })
            .collect();
        readings.sort_by_key(|&(_, strength)| std::cmp::Reverse(strength));
        // A regular package anywhere on the path wins over every folder without `__init__`.
        let regular = |&(entry, strength): &(Node, Strength)| {
            strength > Strength::Weak && !matches!(entry, Node::Namespace(_))
        };
        let closed = readings.iter().any(regular);
        let walk = |entry| match self.walk(entry, &parts[1..], closed) {
            _ if injected => Walk::Open,
            // `import yaml.x` beside a file yaml.py: the name stands for two things, and the other was meant.
            Walk::Missing { parent: Node::Module(_), index: 0 } => Walk::Open,
            Walk::Missing { parent, index } => Walk::Missing { parent, index: index + 1 },
            other => other,
        };
        let attempt = |(entry, strength)| Attempt { walk: walk(entry), strength, closed };
        readings.into_iter().map(attempt).collect()
    }

    /// Whether some file puts a module of this name, or of a package around it, into `sys.modules`.
    fn is_injected(&self, parts: &[&str]) -> bool {
        (1..=parts.len()).any(|end| self.snapshot.is_injected(&parts[..end].join(".")))
    }

    /// Whether `root` may be on `sys.path` when `file` runs. Folders inside packages may where scripts lie in them.
    fn is_plausible(&self, file: FileId, root: DirId, strength: Strength) -> bool {
        strength > Strength::Weak
            || self.snapshot.dirs[root].init.is_none()
            || self.snapshot.dirs[root].open_children
            || self.snapshot.ancestors(self.snapshot.files[file].dir).any(|dir| dir == root)
    }

    fn strength(&self, file: FileId, root: DirId, entry: Node, top: &str) -> Strength {
        let snapshot = self.snapshot;
        let dir = &snapshot.dirs[root];
        if snapshot.outside.is_standard(top) && !dir.is_standard_library {
            return Strength::Weak;
        }
        if dir.init.is_some() && root != TOP {
            return Strength::Weak;
        }
        let lower = top.to_ascii_lowercase();
        let common = snapshot.outside.is_well_known(top) || snapshot.hints.dependencies.contains(&lower);
        let source_root = snapshot.is_source_root(root) && dir.init.is_none();
        let home = snapshot.files[file].dir;
        let own = |package| {
            let mut around = snapshot.ancestors(home).take_while(|&dir| snapshot.dirs[dir].init.is_some());
            around.any(|dir| dir == package)
        };
        if let Node::Package(package) = entry
            && (source_root || !common)
            && own(package)
        {
            return Strength::Own;
        }
        let regular = !matches!(entry, Node::Namespace(_));
        match () {
            () if source_root && (regular || !common) => Strength::Strong,
            () if !common && snapshot.ancestors(home).any(|dir| dir == root) => Strength::Strong,
            () => Strength::Weak,
        }
    }

    /// Where the dots of a relative import lead.
    pub(super) fn base(&self, file: FileId, level: u32) -> Base {
        let snapshot = self.snapshot;
        let mut dir = snapshot.files[file].dir;
        let mut through_packages = true;
        for _ in 1..level {
            through_packages &= snapshot.dirs[dir].init.is_some();
            match snapshot.dirs[dir].parent {
                Some(parent) => dir = parent,
                None if snapshot.dirs[TOP].init.is_some() => return Base::Outside,
                None => return Base::Beyond,
            }
        }
        let is_package = snapshot.dirs[dir].init.is_some();
        // A root without `__init__` is on the path, not in a package, whatever files lie in it.
        let root = snapshot.is_source_root(dir) || !is_identifier(snapshot.dir_name(dir));
        if level > 1 && through_packages && !is_package && root { Base::Beyond } else { Base::At(dir) }
    }

    /// The folders without `__init__` that a relative import of `file` starts from, each with whether it succeeds.
    fn relative_bases(&self, file: FileId) -> Vec<(DirId, bool)> {
        let snapshot = self.snapshot;
        let facts = snapshot.files[file].facts.iter();
        let relative = facts.flat_map(|facts| &facts.imports).filter(|import| import.level > 0);
        relative
            .filter_map(|import| match self.base(file, import.level) {
                Base::At(base) if snapshot.dirs[base].init.is_none() => {
                    let first = parts_of(import).first().copied().or(import.name.as_deref())?;
                    Some((base, snapshot.entry(base, first).is_some()))
                }
                _ => None,
            })
            .collect()
    }

    /// Whether a relative import that starts at `base` may be relied on to mean what lies there.
    pub(super) fn serves_as_package(&self, base: DirId) -> bool {
        self.snapshot.dirs[base].init.is_some() || self.effects.proven.contains(&base)
    }

    /// Follows the module of a relative import; dotted names inside it may also be found through another root.
    pub(super) fn walk_relative(&self, file: FileId, base: DirId, parts: &[&str]) -> Walk {
        let walk = self.walk(self.snapshot.folder(base), parts, true);
        let Walk::Missing { .. } = walk else { return walk };
        // A build may merge two folders of the same package.
        let root = self.snapshot.import_root(base);
        let above =
            self.snapshot.dirs[base].path[self.snapshot.dirs[root].path.len()..].trim_start_matches('/');
        if above.is_empty() {
            return walk;
        }
        let dotted: Vec<&str> = above.split('/').chain(parts.iter().copied()).collect();
        let elsewhere =
            || self.attempts(file, &dotted).iter().any(|attempt| matches!(attempt.walk, Walk::Found(_)));
        if self.is_injected(&dotted) || elsewhere() { Walk::Open } else { walk }
    }

    /// Every node that the module of an import may be, and whether that is all.
    pub(super) fn targets(&self, file: FileId, import: &Import) -> (Vec<Node>, bool) {
        let parts = parts_of(import);
        if import.level > 0 {
            let Base::At(base) = self.base(file, import.level) else {
                return (Vec::new(), false);
            };
            return match self.walk_relative(file, base, &parts) {
                Walk::Found(node) => (vec![node], true),
                _ => (Vec::new(), false),
            };
        }
        let attempts = self.attempts(file, &parts);
        let known = attempts.iter().any(|attempt| attempt.strength > Strength::Weak);
        let own = attempts.iter().find(|attempt| attempt.strength == Strength::Own);
        if let Some(Attempt { walk: Walk::Found(node), .. }) = own {
            return (vec![*node], true);
        }
        let mut nodes = Vec::new();
        for attempt in &attempts {
            match attempt.walk {
                Walk::Found(node) => nodes.push(node),
                Walk::Open | Walk::Missing { .. } => {}
            }
        }
        let complete = known && !nodes.is_empty();
        (nodes, complete)
    }

    /// The attributes that a file sets on modules.
    fn written_by(&self, file: FileId) -> Vec<(Node, String)> {
        let Some(facts) = &self.snapshot.files[file].facts else {
            return Vec::new();
        };
        let mut written = Vec::new();
        for write in &facts.writes {
            let import = &facts.imports[write.import as usize];
            let mut parts: Vec<&str> = write.chain.split('.').collect();
            let Some(attribute) = parts.pop() else { continue };
            for node in self.bound_nodes(file, import) {
                if let Walk::Found(node) = self.walk(node, &parts, true) {
                    written.push((node, attribute.to_owned()));
                }
            }
        }
        written
    }

    /// The modules that the local name of an import may stand for.
    pub(super) fn bound_nodes(&self, file: FileId, import: &Import) -> Vec<Node> {
        if import.form == ImportForm::Plain && import.alias.is_none() {
            let top = Import { module: parts_of(import)[0].to_owned(), ..import.clone() };
            return self.targets(file, &top).0;
        }
        let (nodes, _) = self.targets(file, import);
        match &import.name {
            None => nodes,
            Some(name) => nodes.into_iter().filter_map(|node| self.snapshot.child(node, name)).collect(),
        }
    }
}

/// The parts of the dotted module name; none for `from . import x`.
pub(super) fn parts_of(import: &Import) -> Vec<&str> {
    import.module.split('.').filter(|part| !part.is_empty()).collect()
}

fn is_identifier(name: &str) -> bool {
    name.chars().all(|c| c == '_' || c.is_alphanumeric()) && !name.starts_with(|c: char| c.is_ascii_digit())
}
