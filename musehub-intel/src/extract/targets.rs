//! Reads and writes of attributes and items: uses of imported modules, and writes into namespaces.

use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{self as ast, Expr};

use super::dynamic::{self, Leading};
use super::imports::{RawUse, RawWrite};
use super::walk::Walker;

/// `a.b.c` taken apart: the innermost expression and the attributes after it, dotted.
fn chain(attribute: &ast::ExprAttribute) -> (&Expr, String) {
    let mut attrs = vec![attribute.attr.as_str()];
    let mut root = &*attribute.value;
    while let Expr::Attribute(inner) = root {
        attrs.push(inner.attr.as_str());
        root = &inner.value;
    }
    attrs.reverse();
    (root, attrs.join("."))
}

impl<'a> Walker<'a> {
    pub(super) fn read_attribute(&mut self, attribute: &'a ast::ExprAttribute) {
        let (root, chain) = chain(attribute);
        match root {
            Expr::Name(name) => {
                self.note_special_chain(name, &chain);
                let scopes = self.scopes();
                let guard = self.now.attribute_guard();
                // A guarded use must not stand for a later one that nothing guards.
                let seen = (scopes[0], name.id.clone(), chain.clone(), guard);
                if !self.has_room(self.raw_uses.len()) || !self.seen_uses.insert(seen) {
                    return;
                }
                let at = self.position(name);
                self.raw_uses.push(RawUse { root: name.id.clone(), scopes, chain, at, guard });
            }
            _ if self.is_namespace(root) => {
                self.facts.open.names |=
                    !matches!(chain.as_str(), "get" | "keys" | "values" | "items" | "copy" | "__contains__");
            }
            _ if dynamic::is_own_module(root) => {
                self.facts.open.names |= chain.starts_with("__") && !chain.starts_with("__doc__");
            }
            other => self.visit_expr(other),
        }
    }

    fn note_special_chain(&mut self, root: &ast::ExprName, chain: &str) {
        let first = chain.split('.').next().unwrap_or_default();
        if root.id.as_str() == "sys" && matches!(first, "meta_path" | "path_hooks") {
            self.note_importer();
        }
        if let Some(at) = chain.find("__dict__") {
            let owner = chain[..at].trim_end_matches('.');
            let target = if owner.is_empty() { "*".to_owned() } else { format!("{owner}.*") };
            self.write(&root.id, target);
        }
    }

    pub(super) fn write_attribute(&mut self, attribute: &'a ast::ExprAttribute) {
        self.note_foreign_write(&attribute.value);
        match chain(attribute) {
            (Expr::Name(name), chain) => {
                self.note_special_chain(name, &chain);
                self.write(&name.id, chain);
            }
            (root, _) if dynamic::is_own_module(root) => self.facts.open.names = true,
            (root, _) => self.visit_expr(root),
        }
    }

    /// Notes that `chain` is set on whatever `root` stands for.
    pub(super) fn write(&mut self, root: &ast::name::Name, chain: String) {
        if self.has_room(self.raw_writes.len()) {
            self.raw_writes.insert(RawWrite { root: root.clone(), scopes: self.scopes(), chain });
        }
    }

    pub(super) fn write_item(&mut self, subscript: &'a ast::ExprSubscript) {
        let (owner, key) = (&*subscript.value, &*subscript.slice);
        self.note_foreign_write(owner);
        if self.is_namespace(owner) {
            self.facts.open.names = true;
        } else if dynamic::is_sys_modules(owner) {
            self.inject(key);
        } else {
            self.visit_expr(owner);
        }
        self.visit_expr(key);
    }

    /// `sys.modules[key] = …`.
    pub(super) fn inject(&mut self, key: &Expr) {
        let leading = dynamic::leading_part(key);
        match (key, leading) {
            (Expr::Name(name), _) if name.id.as_str() == "__name__" => self.facts.open.names = true,
            (_, Some(Leading::OwnName)) => self.facts.open.children = true,
            (_, Some(Leading::Text(text))) if self.has_room(self.facts.injected.len()) => {
                let open = if matches!(key, Expr::StringLiteral(_)) { "" } else { "*" };
                self.facts.injected.push(format!("{text}{open}"));
            }
            _ => self.note_importer(),
        }
    }

    /// Modules appear under computed names: now, or when the function around is called.
    pub(super) fn note_importer(&mut self) {
        if self.now.in_function {
            self.note_patcher();
        } else {
            self.facts.open.importer = true;
        }
    }

    pub(super) fn read_item(&mut self, subscript: &'a ast::ExprSubscript, whole: &'a Expr) {
        if self.is_namespace(&subscript.value) {
            self.visit_expr(&subscript.slice);
        } else if dynamic::is_own_module(whole) {
            // The module as an object, handed to something that may do anything to it.
            self.facts.open.names = true;
        } else {
            self.visit_expr(&subscript.value);
            self.visit_expr(&subscript.slice);
        }
    }

    pub(super) fn comparison(&mut self, compare: &'a ast::ExprCompare) {
        for side in std::iter::once(&*compare.left).chain(&*compare.comparators) {
            if !self.is_namespace(side) {
                self.visit_expr(side);
            }
        }
    }

    pub(super) fn operation(&mut self, operation: &'a ast::ExprBinOp) {
        self.visit_expr(&operation.left);
        // `"%(x)s" % globals()` only reads.
        if operation.op != ast::Operator::Mod || !self.is_namespace(&operation.right) {
            self.visit_expr(&operation.right);
        }
    }

    /// Whether `expr` is the dictionary of the module's own names.
    pub(super) fn is_namespace(&self, expr: &Expr) -> bool {
        dynamic::is_namespace_call(expr, self.at_module_level())
    }
}
