//! Import statements, calls that import, and which import a local name stands for.

use std::collections::HashSet;
use std::rc::Rc;

use ruff_python_ast::name::Name;
use ruff_python_ast::{self as ast, Expr};
use ruff_text_size::Ranged;

use super::walk::Walker;
use crate::facts::{AttributeUse, AttributeWrite, BindingKind, Guard, Import, ImportForm, Position};

/// What a local name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// The import with this index.
    Import(u32),
    /// Something else, or different things in different places.
    Other,
}

/// An attribute chain on a name that may turn out to be an import.
#[derive(Debug)]
pub(super) struct RawUse {
    pub(super) root: Name,
    pub(super) scopes: Rc<[u32]>,
    pub(super) chain: String,
    pub(super) at: Position,
    pub(super) guard: Guard,
}

/// The same, written.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct RawWrite {
    pub(super) root: Name,
    pub(super) scopes: Rc<[u32]>,
    pub(super) chain: String,
}

/// Whether two imports bind their local name to the same thing.
fn same_target(a: &Import, b: &Import) -> bool {
    let whole = |import: &Import| import.form == ImportForm::Plain && import.alias.is_none();
    if whole(a) && whole(b) {
        // `import a.b` and `import a.c` both bind `a`.
        return a.module.split('.').next() == b.module.split('.').next();
    }
    (a.form, a.level, &a.module, &a.name) == (b.form, b.level, &b.module, &b.name) && !whole(a) && !whole(b)
}

impl Walker<'_> {
    pub(super) fn import(&mut self, statement: &ast::StmtImport) {
        self.statements += 1;
        let damaged = self.is_damaged(statement.range);
        for alias in &statement.names {
            let top = alias.name.as_str().split('.').next().unwrap_or_default();
            let local = alias.asname.as_ref().map_or_else(|| Name::new(top), |name| name.id.clone());
            self.bind(&local, BindingKind::Import, alias.range.start());
            if damaged || !is_dotted_name(alias.name.as_str()) {
                continue;
            }
            let import = Import {
                form: ImportForm::Plain,
                level: 0,
                module: alias.name.to_string(),
                name: None,
                alias: alias.asname.as_ref().map(ToString::to_string),
                statement: self.statements,
                at: self.position(alias),
                guard: self.now.guard,
                scope: self.now.scope(),
            };
            self.keep(import, Some(&local));
        }
    }

    pub(super) fn import_from(&mut self, statement: &ast::StmtImportFrom) {
        self.statements += 1;
        let module = statement.module.as_ref().map_or("", |name| name.as_str());
        let damaged = self.is_damaged(statement.range)
            || !(is_dotted_name(module) || (module.is_empty() && statement.level > 0));
        for alias in &statement.names {
            let star = alias.name.as_str() == "*";
            let local = alias.asname.as_ref().unwrap_or(&alias.name);
            let own = statement.level == 1 && module.is_empty() && local.id == alias.name.id;
            if !star {
                let kind = if own { BindingKind::Submodule } else { BindingKind::Import };
                self.bind(&local.id, kind, alias.range.start());
            }
            if damaged {
                // What it would have bound is unknown.
                self.facts.open.names |= star;
                continue;
            }
            if module == "__future__" || !(star || is_identifier(alias.name.as_str())) {
                continue;
            }
            let import = Import {
                form: if star { ImportForm::Star } else { ImportForm::From },
                level: statement.level,
                module: module.to_owned(),
                name: (!star).then(|| alias.name.to_string()),
                alias: alias.asname.as_ref().map(ToString::to_string),
                statement: self.statements,
                at: self.position(alias),
                guard: self.now.guard,
                scope: self.now.scope(),
            };
            self.keep(import, (!star).then_some(&local.id));
        }
    }

    /// `import_module("literal")`; a relative literal only where the package is the file's own.
    pub(super) fn import_call(&mut self, call: &ast::ExprCall, module: &str, at: &impl Ranged) {
        let name = module.trim_start_matches('.');
        let level = u32::try_from(module.len() - name.len()).unwrap_or(u32::MAX);
        let package = call.arguments.args.get(1).or_else(|| {
            let package =
                |keyword: &&ast::Keyword| keyword.arg.as_ref().is_some_and(|arg| arg.as_str() == "package");
            call.arguments.keywords.iter().find(package).map(|keyword| &keyword.value)
        });
        let own_package = matches!(package, Some(Expr::Name(name)) if name.id.as_str() == "__package__");
        if !is_dotted_name(name) || (level > 0 && !own_package) {
            return;
        }
        self.statements += 1;
        let import = Import {
            form: ImportForm::Call,
            level,
            module: name.to_owned(),
            name: None,
            alias: None,
            statement: self.statements,
            at: self.position(at),
            guard: self.now.guard,
            scope: self.now.scope(),
        };
        self.keep(import, None);
    }

    fn keep(&mut self, import: Import, local: Option<&Name>) {
        if !self.has_room(self.facts.imports.len()) {
            self.facts.open.names |= import.form == ImportForm::Star;
            return;
        }
        if let Some(local) = local {
            let index = u32::try_from(self.facts.imports.len()).unwrap_or(u32::MAX);
            let key = (self.scope_of(local), local.clone());
            let root = match self.bound.get(&key) {
                None => Root::Import(index),
                Some(Root::Import(old)) if same_target(&self.facts.imports[*old as usize], &import) => {
                    Root::Import(*old)
                }
                Some(_) => Root::Other,
            };
            self.bound.insert(key, root);
        }
        self.facts.imports.push(import);
    }

    /// The scopes in which a name used here is looked up, innermost first; class bodies are taken for such.
    pub(super) fn scopes(&self) -> Rc<[u32]> {
        let innermost = self.bodies.last().map(|body| &body.scopes);
        innermost.map_or_else(|| Rc::from([0]), Rc::clone)
    }

    /// Keeps the attribute reads and writes whose first name is one import and nothing else where it is used.
    pub(super) fn resolve_uses(&mut self) {
        let bound = &self.bound;
        let import_of = |root: &Name, scopes: &[u32]| {
            let binder = scopes.iter().find_map(|&scope| bound.get(&(scope, root.clone())));
            match binder {
                Some(Root::Import(index)) => Some(*index),
                Some(Root::Other) | None => None,
            }
        };
        // A star import may bring any of the names, so none is certain to be what it looks like.
        let starred = self.facts.imports.iter().any(|import| import.form == ImportForm::Star);
        let mut seen = HashSet::new();
        let uses = std::mem::take(&mut self.raw_uses).into_iter();
        self.facts.uses = uses
            .filter(|_| !starred)
            .filter(|used| !used.chain.split('.').any(|attribute| self.probed.contains(attribute)))
            .filter_map(|used| {
                let import = import_of(&used.root, &used.scopes)?;
                let new = seen.insert((import, used.chain.clone(), used.guard));
                new.then_some(AttributeUse { import, chain: used.chain, at: used.at, guard: used.guard })
            })
            .collect();
        let writes = std::mem::take(&mut self.raw_writes).into_iter();
        self.facts.writes = writes
            .filter_map(|write| {
                Some(AttributeWrite { import: import_of(&write.root, &write.scopes)?, chain: write.chain })
            })
            .collect();
        self.facts.writes.sort();
        self.facts.writes.dedup();
    }
}

fn is_dotted_name(text: &str) -> bool {
    text.split('.').all(is_identifier)
}

fn is_identifier(text: &str) -> bool {
    let mut chars = text.chars();
    chars.next().is_some_and(|first| first == '_' || first.is_alphabetic())
        && chars.all(|c| c == '_' || c.is_alphanumeric())
}
