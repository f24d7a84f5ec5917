//! Pass 2: every import and attribute use of one file against what the snapshot holds.
//!
//! A file is checked on its own, from its facts and the index of the snapshot, so a caller may check only the files
//! that a push could have broken.

use super::names::Presence;
use super::report::{Finding, IssueType};
use super::resolve::{Base, Resolver, Strength, Walk, parts_of};
use crate::facts::{AttributeUse, BindingKind, FileFacts, Guard, Import, ImportForm, Position, Scope};
use crate::snapshot::{DirId, FileId, Node};

/// Why an import fails.
enum Failure {
    /// The part with this index is not below `parent`.
    Module { parent: Node, part: String },
    /// The name is not in `node`.
    Name { node: Node, name: String, typing_only: bool },
    /// The dots lead above every package.
    Beyond,
}

impl Resolver<'_> {
    /// What is broken in one file, guarded or not.
    pub(super) fn check(&self, file: FileId) -> Vec<Finding> {
        let Some(facts) = &self.snapshot.files[file].facts else {
            return Vec::new();
        };
        if self.snapshot.files[file].path.contains("{{") {
            // The tree of a project template: its paths and modules take their names later.
            return Vec::new();
        }
        let mut broken = Vec::new();
        let mut reported = None;
        for import in &facts.imports {
            let Some(failure) = self.failure(file, import) else {
                continue;
            };
            let whole_statement = !matches!(failure, Failure::Name { .. });
            if whole_statement && reported == Some(import.statement) {
                continue;
            }
            if whole_statement && import.form != ImportForm::Plain {
                reported = Some(import.statement);
            }
            broken.push(self.describe(file, import, failure));
        }
        if !self.snapshot.files[file].is_stub {
            broken.extend(facts.uses.iter().filter_map(|used| self.check_use(file, facts, used)));
        }
        broken
    }

    fn failure(&self, file: FileId, import: &Import) -> Option<Failure> {
        let parts = parts_of(import);
        if import.level == 0 {
            return self.absolute_failure(file, import, &parts);
        }
        let base = match self.base(file, import.level) {
            Base::At(base) => base,
            Base::Beyond => return Some(Failure::Beyond),
            Base::Outside => return None,
        };
        let start = self.snapshot.folder(base);
        let uncertain = |node: Node| node == start && !self.serves_as_package(base);
        match self.walk_relative(file, base, &parts) {
            Walk::Open => None,
            Walk::Missing { parent, .. } if uncertain(parent) => None,
            Walk::Missing { parent, index } => {
                Some(Failure::Module { parent, part: parts[index].to_owned() })
            }
            Walk::Found(node) if uncertain(node) => None,
            Walk::Found(node) if self.lacks_source(file, node, import) => self.stub_failure(node, true),
            Walk::Found(node) => {
                let failure = self.name_failure(file, node, import, true)?;
                let merged = matches!(node, Node::Package(_) | Node::Namespace(_))
                    && self.is_merged_submodule(file, base, &parts, import);
                (!merged).then_some(failure)
            }
        }
    }

    /// `from . import name` where the submodule lies in another folder of the same package.
    fn is_merged_submodule(&self, file: FileId, base: DirId, parts: &[&str], import: &Import) -> bool {
        let Some(name) = &import.name else { return false };
        let parts: Vec<&str> = parts.iter().copied().chain([name.as_str()]).collect();
        self.walk_relative(file, base, &parts) == Walk::Open
    }

    fn absolute_failure(&self, file: FileId, import: &Import, parts: &[&str]) -> Option<Failure> {
        let mut worst: Option<(Strength, Failure)> = None;
        for attempt in self.attempts(file, parts) {
            let failure = match attempt.walk {
                Walk::Open => return None,
                Walk::Missing { parent, index } => Failure::Module { parent, part: parts[index].to_owned() },
                Walk::Found(node) if self.lacks_source(file, node, import) => {
                    self.stub_failure(node, attempt.closed)?
                }
                Walk::Found(node) => match self.name_failure(file, node, import, attempt.closed) {
                    None => return None,
                    // The package of the importing file is in `sys.modules` already: no other reading is possible.
                    Some(failure) if attempt.strength == Strength::Own => return Some(failure),
                    Some(failure) => failure,
                },
            };
            // Of equals, the reading that came further tells more.
            let further = matches!(failure, Failure::Name { .. });
            let better = match &worst {
                None => true,
                Some((strength, old)) => {
                    attempt.strength > *strength
                        || (attempt.strength == *strength && further && !matches!(old, Failure::Name { .. }))
                }
            };
            if better {
                worst = Some((attempt.strength, failure));
            }
        }
        worst.filter(|(strength, _)| *strength > Strength::Weak).map(|(_, failure)| failure)
    }

    /// Whether `import` runs, and so needs more than the stub that `node` is.
    fn lacks_source(&self, file: FileId, node: Node, import: &Import) -> bool {
        let runs = !self.snapshot.files[file].is_stub && import.guard != Guard::TypeChecking;
        runs && self.snapshot.is_for_checkers(node)
    }

    /// The failure to import a module of which there is a stub only.
    fn stub_failure(&self, node: Node, closed: bool) -> Option<Failure> {
        let Node::Module(id) = node else { return None };
        let module = &self.snapshot.modules[id];
        let parent = self.snapshot.folder(module.dir);
        let may_appear = self.child_may_appear(parent, &module.name, closed);
        (!may_appear).then(|| Failure::Module { parent, part: module.name.clone() })
    }

    /// What `import` takes from `node` and does not find.
    fn name_failure(&self, file: FileId, node: Node, import: &Import, closed: bool) -> Option<Failure> {
        match import.form {
            ImportForm::Plain | ImportForm::Call => None,
            ImportForm::Star => self.star_failure(file, node),
            ImportForm::From => {
                let name = import.name.as_deref()?;
                let typing_only = match self.presence(file, node, name, closed) {
                    Presence::Present => return None,
                    Presence::TypingOnly if import.guard == Guard::TypeChecking => return None,
                    Presence::TypingOnly => true,
                    Presence::Absent => false,
                };
                Some(Failure::Name { node, name: name.to_owned(), typing_only })
            }
        }
    }

    /// `from node import *` fails when `__all__` lists a name that is not there. Stubs are never run.
    fn star_failure(&self, file: FileId, node: Node) -> Option<Failure> {
        let source = self.snapshot.modules[self.snapshot.module_of(node)?].source?;
        if source == file || self.snapshot.files[file].is_stub {
            return None;
        }
        let missing = self.stale_export(node, source)?;
        Some(Failure::Name { node, name: missing.to_owned(), typing_only: false })
    }

    fn describe(&self, file: FileId, import: &Import, failure: Failure) -> Finding {
        let module = format!("{}{}", ".".repeat(import.level as usize), import.module);
        let star = import.form == ImportForm::Star;
        let (text, issue_type, lacks, name) = match failure {
            Failure::Beyond => (
                format!("imports from '{module}', which leads above the top-level package"),
                gone_module(import),
                None,
                None,
            ),
            Failure::Module { parent, part } => {
                let from = if import.form == ImportForm::From || star { "from " } else { "" };
                let why = match parent {
                    Node::Module(_) => {
                        format!("{} is a module, not a package", self.snapshot.path_of(parent))
                    }
                    _ => format!("{} holds no module '{part}'", self.folder_name(parent)),
                };
                (
                    format!("imports {from}'{module}', but {why}"),
                    gone_module(import),
                    Some((parent, part)),
                    None,
                )
            }
            Failure::Name { node, name, typing_only } => {
                let what = match (star, typing_only) {
                    (true, _) => format!("imports '*' from '{module}', whose __all__ lists '{name}'"),
                    (false, _) => format!("imports '{name}' from '{module}'"),
                };
                let why = self.lack(node, typing_only);
                (format!("{what}, but {why}"), IssueType::StaleImport, Some((node, name.clone())), Some(name))
            }
        };
        let subject =
            lacks.as_ref().map_or_else(|| module.clone(), |(node, lacks)| self.subject(import, *node, lacks));
        let target = lacks.map(|(node, _)| self.snapshot.path_of(node));
        let finding = self.finding(file, issue_type, import.at, import.guard, text);
        Finding { module, name, subject, target, ..finding }
    }

    /// The dotted name of what `node` lacks: as an absolute import writes it, or by where it lies.
    fn subject(&self, import: &Import, node: Node, lacks: &str) -> String {
        let written = import.name.as_deref() == Some(lacks) || import.form == ImportForm::Star;
        match import.level {
            0 if written => format!("{}.{lacks}", import.module),
            0 => {
                let parts = parts_of(import);
                let end = parts.iter().position(|part| *part == lacks).map_or(parts.len(), |at| at + 1);
                parts[..end].join(".")
            }
            _ => format!("{}.{lacks}", self.dotted(node)).trim_start_matches('.').to_owned(),
        }
    }

    /// The dotted name of a node, from where imports of it start.
    fn dotted(&self, node: Node) -> String {
        let snapshot = self.snapshot;
        let (dir, module) = match node {
            Node::Package(dir) => (dir, None),
            Node::Namespace(dir) => (dir, None),
            Node::Module(module) => (snapshot.modules[module].dir, Some(&snapshot.modules[module].name)),
        };
        let root = match node {
            // A folder without `__init__` is no root of itself.
            Node::Namespace(_) => {
                let above = snapshot.ancestors(dir).skip(1).find(|&dir| snapshot.is_source_root(dir));
                above.unwrap_or(dir)
            }
            Node::Package(_) | Node::Module(_) => snapshot.import_root(dir),
        };
        let folders = snapshot.dirs[dir].path[snapshot.dirs[root].path.len()..].trim_start_matches('/');
        let parts = folders.split('/').filter(|part| !part.is_empty());
        parts.chain(module.map(String::as_str)).collect::<Vec<_>>().join(".")
    }

    /// How a sentence says that `node` lacks a name.
    fn lack(&self, node: Node, typing_only: bool) -> String {
        let defines = if typing_only { "defines it for type checkers only" } else { "defines no such name" };
        match (node, self.snapshot.module_of(node)) {
            (Node::Namespace(_), _) | (_, None) => format!("{} holds no such module", self.folder_name(node)),
            (Node::Module(_), Some(module)) => format!("{} {defines}", self.snapshot.path_of_module(module)),
            (Node::Package(_), Some(init)) => {
                let path = self.snapshot.path_of_module(init);
                if typing_only {
                    format!("{path} {defines}")
                } else {
                    format!("{path} {defines} and no such module is beside it")
                }
            }
        }
    }

    fn folder_name(&self, node: Node) -> String {
        match self.snapshot.path_of(node) {
            top if top == "/" => "the top folder".to_owned(),
            path => path,
        }
    }

    fn finding(
        &self,
        file: FileId,
        issue_type: IssueType,
        at: Position,
        guard: Guard,
        description: String,
    ) -> Finding {
        Finding {
            issue_type,
            severity: issue_type.severity(),
            file_path: self.snapshot.files[file].path.clone(),
            line: at.line,
            column: at.column,
            description,
            module: String::new(),
            name: None,
            subject: String::new(),
            target: None,
            help: None,
            guard,
        }
    }

    fn check_use(&self, file: FileId, facts: &FileFacts, used: &AttributeUse) -> Option<Finding> {
        let import = facts.imports.get(used.import as usize)?;
        let chain: Vec<&str> = used.chain.split('.').collect();
        let nodes = self.certain_nodes(file, import)?;
        let mut lacking = None;
        for node in nodes {
            lacking = Some(self.lacking_attribute(file, node, &chain)?);
        }
        let (node, index) = lacking?;
        let name = chain[index].to_owned();
        let local = import.alias.as_deref().or(import.name.as_deref());
        let local = local.unwrap_or_else(|| import.module.split('.').next().unwrap_or_default());
        let owner =
            std::iter::once(local).chain(chain[..index].iter().copied()).collect::<Vec<_>>().join(".");
        // The import itself asked for this submodule, and is reported for it.
        let dotted = format!("{owner}.{name}");
        if self.learned(file).imports(self, file, &dotted) {
            return None;
        }
        let text = format!("uses '{owner}.{name}', but {}", self.lack(node, false));
        let finding = self.finding(file, IssueType::MissingSymbol, used.at, used.guard, text);
        let target = Some(self.snapshot.path_of(node));
        let subject = format!("{}.{name}", self.dotted(node));
        Some(Finding { module: owner, name: Some(name), subject, target, ..finding })
    }

    /// The modules that a local name may stand for, when it certainly stands for one of them.
    fn certain_nodes(&self, file: FileId, import: &Import) -> Option<Vec<Node>> {
        let (targets, complete) = self.targets(file, import);
        if !complete || targets.is_empty() {
            return None;
        }
        if let Some(name) = &import.name {
            // A package may bind the name of a submodule to something else.
            let rebound = targets.iter().any(|&node| !self.is_plain_submodule(node, name));
            if rebound {
                return None;
            }
        }
        let nodes = self.bound_nodes(file, import);
        (!nodes.is_empty()).then_some(nodes)
    }

    /// Whether `node.name` is its submodule of that name and nothing else.
    fn is_plain_submodule(&self, node: Node, name: &str) -> bool {
        let written = self.effects.written.get(&node).is_some_and(|names| names.contains(name));
        if written || self.snapshot.child(node, name).is_none() {
            return false;
        }
        let Some(id) = self.snapshot.module_of(node) else {
            return true;
        };
        let module = &self.snapshot.modules[id];
        [module.source, module.stub].into_iter().flatten().all(|file| {
            self.snapshot.files[file].facts.as_ref().is_some_and(|facts| {
                let starred = facts.imports.iter().any(|import| import.form == ImportForm::Star);
                let bound = facts.names.get(name);
                !facts.open.names
                    && !starred
                    && bound.is_none_or(|binding| {
                        binding.kind == BindingKind::Answered || self.imports_from_itself(file, facts, name)
                    })
            })
        })
    }

    /// The first attribute of a chain that is certainly missing, and the module that lacks it.
    fn lacking_attribute(&self, file: FileId, start: Node, chain: &[&str]) -> Option<(Node, usize)> {
        let mut node = start;
        for (index, attribute) in chain.iter().enumerate() {
            if self.is_plain_submodule(node, attribute) {
                node = self.snapshot.child(node, attribute)?;
                continue;
            }
            let absent = self.presence(file, node, attribute, false) == Presence::Absent;
            return (absent && !attribute.starts_with("__")).then_some((node, index));
        }
        None
    }
}

/// A module that is gone breaks the importing file where the import always runs.
fn gone_module(import: &Import) -> IssueType {
    let always =
        import.scope == Scope::Module && import.guard == Guard::None && import.form != ImportForm::Call;
    if always { IssueType::MissingModule } else { IssueType::StaleImport }
}
