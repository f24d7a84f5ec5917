//! The walk over a syntax tree that collects a file's facts, statement by statement.

use std::collections::{HashMap, HashSet};

use ruff_python_ast::name::Name;
use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, Expr, Stmt};
use ruff_text_size::{Ranged, TextRange, TextSize};

use super::exports::ExportsOf;
use super::guard::{self, Test};
use super::imports::{RawUse, RawWrite, Root};
use super::lines::Lines;
use super::scope::{Body, Circumstances};
use super::{dynamic, getattr, symbols};
use crate::facts::{Binding, BindingKind, FileFacts, Guard, Reading};

/// Facts of one kind kept per file; a file with more is counted as partly read.
pub(super) const MAX_FACTS: usize = 65_536;

/// The facts of a parsed module, apart from how well it could be read. `errors` are sorted by start.
pub(super) fn facts_of(text: &str, module: &ast::ModModule, errors: &[TextRange]) -> FileFacts {
    let lines = Lines::new(text);
    let symbols = symbols::symbols_of(module, &lines);
    let mut walker = Walker::new(lines, &module.body, errors);
    walker.visit_body(&module.body);
    let mut facts = walker.finish();
    if symbols.len() > MAX_FACTS {
        facts.reading = Reading::Partly;
    }
    facts.symbols = symbols;
    facts.symbols.truncate(MAX_FACTS);
    facts
}

/// The state of the walk.
pub(super) struct Walker<'a> {
    pub(super) lines: Lines<'a>,
    module: &'a [Stmt],
    /// Sorted by start.
    errors: &'a [TextRange],
    pub(super) facts: FileFacts,
    pub(super) exports: ExportsOf,
    pub(super) now: Circumstances,
    /// The functions and classes around the present statement; empty at module level.
    pub(super) bodies: Vec<Body>,
    /// What binds a name in the scope with this number; the module's is 0.
    pub(super) bound: HashMap<(u32, Name), Root>,
    scopes_entered: u32,
    /// Attribute names that the file asks for before use, with `hasattr` or `getattr`.
    pub(super) probed: HashSet<String>,
    pub(super) raw_uses: Vec<RawUse>,
    pub(super) seen_uses: HashSet<(u32, Name, String, Guard)>,
    pub(super) raw_writes: HashSet<RawWrite>,
    pub(super) statements: u32,
    pub(super) calls: HashSet<String>,
    /// Names bound through `global`, which no `del` elsewhere undoes for certain.
    global_names: HashSet<Name>,
    deleted: HashSet<Name>,
    pub(super) overflow: bool,
}

impl<'a> Walker<'a> {
    fn new(lines: Lines<'a>, module: &'a [Stmt], errors: &'a [TextRange]) -> Self {
        Self {
            lines,
            module,
            errors,
            facts: FileFacts::default(),
            exports: ExportsOf::default(),
            now: Circumstances::default(),
            bodies: Vec::new(),
            bound: HashMap::new(),
            scopes_entered: 0,
            probed: HashSet::new(),
            raw_uses: Vec::new(),
            seen_uses: HashSet::new(),
            raw_writes: HashSet::new(),
            statements: 0,
            calls: HashSet::new(),
            global_names: HashSet::new(),
            deleted: HashSet::new(),
            overflow: false,
        }
    }

    fn finish(mut self) -> FileFacts {
        self.resolve_uses();
        for name in self.deleted.difference(&self.global_names) {
            self.facts.names.remove(name.as_str());
        }
        self.facts.exports = self.exports.finish();
        self.facts.calls = self.calls.into_iter().collect();
        self.facts.calls.sort_unstable();
        self.facts.patchers.sort_unstable();
        self.facts.patchers.dedup();
        if self.overflow {
            self.facts.reading = Reading::Partly;
        }
        self.facts
    }

    pub(super) fn at_module_level(&self) -> bool {
        self.bodies.is_empty()
    }

    /// Whether the parser stumbled inside `range`, so that what it made of it is a guess.
    pub(super) fn is_damaged(&self, range: TextRange) -> bool {
        let first = self.errors.partition_point(|error| error.start() < range.start());
        self.errors.get(first).is_some_and(|error| error.start() <= range.end())
    }

    /// Binds `name` in the scope of the present statement.
    pub(super) fn bind(&mut self, name: &Name, kind: BindingKind, at: TextSize) {
        if kind >= BindingKind::Target {
            self.shadow(name);
        }
        let global = match self.bodies.last() {
            None => false,
            Some(body) if body.globals.contains(name) => true,
            Some(_) => return,
        };
        if global {
            self.global_names.insert(name.clone());
        }
        self.deleted.remove(name);
        match name.as_str() {
            // A function of this name is read more closely.
            "__getattr__" => self.facts.open.names |= kind != BindingKind::Function,
            "__path__" => self.facts.open.children = true,
            _ => {}
        }
        let typing_only = self.now.guard == Guard::TypeChecking;
        if self.facts.names.len() >= MAX_FACTS && !self.facts.names.contains_key(name.as_str()) {
            self.overflow = true;
            return;
        }
        let line = self.lines.line(at);
        let new = Binding { kind, line, typing_only };
        self.facts
            .names
            .entry(name.to_string())
            .and_modify(|old| {
                let better = if kind > old.kind { new } else { *old };
                *old = Binding { typing_only: typing_only && old.typing_only, ..better };
            })
            .or_insert(new);
    }

    /// The number of the scope in which the present statement binds `name`.
    pub(super) fn scope_of(&self, name: &Name) -> u32 {
        self.bodies.last().map_or(0, |body| if body.globals.contains(name) { 0 } else { body.scopes[0] })
    }

    /// Notes that something other than an import binds `name` here.
    pub(super) fn shadow(&mut self, name: &Name) {
        self.bound.insert((self.scope_of(name), name.clone()), Root::Other);
    }

    fn enter(&mut self, name: &Name) {
        self.scopes_entered += 1;
        let scopes = std::iter::once(self.scopes_entered).chain(self.scopes().iter().copied()).collect();
        self.bodies.push(Body::of(name, scopes));
    }

    /// Binds every name of an assignment target and looks at the objects it writes into.
    pub(super) fn bind_target(&mut self, target: &'a Expr, kind: BindingKind) {
        match target {
            Expr::Name(name) => self.bind(&name.id, kind, name.range.start()),
            Expr::Tuple(tuple) => tuple.elts.iter().for_each(|target| self.bind_target(target, kind)),
            Expr::List(list) => list.elts.iter().for_each(|target| self.bind_target(target, kind)),
            Expr::Starred(starred) => self.bind_target(&starred.value, kind),
            Expr::Attribute(attribute) => self.write_attribute(attribute),
            Expr::Subscript(subscript) => self.write_item(subscript),
            other => self.visit_expr(other),
        }
    }

    /// Visits `body` under other circumstances.
    fn block(&mut self, circumstances: Circumstances, body: &'a [Stmt]) {
        let before = std::mem::replace(&mut self.now, circumstances);
        self.visit_body(body);
        self.now = before;
    }

    fn function(&mut self, function: &'a ast::StmtFunctionDef) {
        for decorator in &function.decorator_list {
            self.note_call(&decorator.expression);
            self.visit_expr(&decorator.expression);
        }
        self.bind(&function.name.id, BindingKind::Function, function.name.range.start());
        if function.name.as_str() == "__getattr__" && self.at_module_level() {
            self.module_getattr(function);
        }
        self.defaults(&function.parameters);
        self.enter(&function.name.id);
        for parameter in function.parameters.iter() {
            self.shadow(&parameter.name().id);
        }
        self.block(self.now.called_later(), &function.body);
        self.bodies.pop();
    }

    /// A module's `__getattr__` may answer any name, unless its code shows which.
    fn module_getattr(&mut self, function: &ast::StmtFunctionDef) {
        let Some(names) = getattr::answered(function, self.module) else {
            self.facts.open.names = true;
            return;
        };
        for name in names {
            self.bind(&Name::new(name), BindingKind::Answered, function.name.range.start());
        }
    }

    /// Default values are evaluated around the function, not in it.
    fn defaults(&mut self, parameters: &'a ast::Parameters) {
        for default in parameters.iter().filter_map(|parameter| parameter.default()) {
            self.visit_expr(default);
        }
    }

    fn class(&mut self, class: &'a ast::StmtClassDef) {
        for decorator in &class.decorator_list {
            self.note_call(&decorator.expression);
            self.facts.open.names |= dynamic::last_name(&decorator.expression) == Some("global_enum");
            self.visit_expr(&decorator.expression);
        }
        if let Some(arguments) = &class.arguments {
            self.visit_arguments(arguments);
        }
        self.bind(&class.name.id, BindingKind::Class, class.name.range.start());
        self.enter(&class.name.id);
        self.block(self.now, &class.body);
        self.bodies.pop();
    }

    fn branches(&mut self, branch: &'a ast::StmtIf) {
        self.visit_expr(&branch.test);
        let test = Test::of(&branch.test);
        self.block(taken(self.now, test), &branch.body);
        let mut rest = not_taken(self.now, test);
        for clause in &branch.elif_else_clauses {
            let Some(condition) = &clause.test else {
                self.block(rest, &clause.body);
                continue;
            };
            self.visit_expr(condition);
            let test = Test::of(condition);
            self.block(taken(rest, test), &clause.body);
            rest = not_taken(rest, test);
        }
    }

    fn try_statement(&mut self, statement: &'a ast::StmtTry) {
        let caught = guard::caught_by(statement);
        self.block(self.now.catching(caught, Guard::Handled), &statement.body);
        for handler in &statement.handlers {
            let ast::ExceptHandler::ExceptHandler(inner) = handler;
            if let Some(kind) = &inner.type_ {
                self.visit_expr(kind);
            }
            if let Some(name) = &inner.name {
                self.bind(&name.id, BindingKind::Target, name.range.start());
            }
            // The fallback runs only where the first choice failed: it is part of the same guard.
            let fallback = self.now.perhaps().catching(guard::caught_by_handler(handler), Guard::Handled);
            self.block(fallback, &inner.body);
        }
        let otherwise = if statement.handlers.is_empty() { self.now } else { self.now.perhaps() };
        self.block(otherwise, &statement.orelse);
        self.block(self.now, &statement.finalbody);
    }

    fn with_statement(&mut self, statement: &'a ast::StmtWith) {
        let mut inside = self.now;
        for item in &statement.items {
            self.visit_expr(&item.context_expr);
            inside = inside.catching(guard::caught_by_context(&item.context_expr), Guard::Suppressed);
            if let Some(target) = &item.optional_vars {
                self.bind_target(target, BindingKind::Target);
            }
        }
        self.block(inside, &statement.body);
    }

    fn match_statement(&mut self, statement: &'a ast::StmtMatch) {
        self.visit_expr(&statement.subject);
        for case in &statement.cases {
            self.visit_pattern(&case.pattern);
            if let Some(condition) = &case.guard {
                self.visit_expr(condition);
            }
            self.block(self.now.perhaps(), &case.body);
        }
    }

    fn assignment(&mut self, assign: &'a ast::StmtAssign) {
        self.visit_expr(&assign.value);
        for target in &assign.targets {
            self.note_exports(target, Some(&assign.value), false);
            self.bind_target(target, BindingKind::Variable);
        }
    }

    fn note_exports(&mut self, target: &Expr, value: Option<&Expr>, adds: bool) {
        if !self.at_module_level() && !self.bodies.iter().any(|body| body.globals.contains("__all__")) {
            return;
        }
        let certain = self.at_module_level() && !self.now.conditional && self.now.guard == Guard::None;
        self.exports.assign(target, value, adds, certain);
    }

    fn delete(&mut self, statement: &'a ast::StmtDelete) {
        for target in &statement.targets {
            match target {
                Expr::Name(name) if self.at_module_level() && !self.now.conditional => {
                    self.deleted.insert(name.id.clone());
                }
                Expr::Name(_) => {}
                other => self.visit_expr(other),
            }
        }
    }

    fn expression(&mut self, value: &'a Expr) {
        self.visit_expr(value);
        if let Expr::Call(call) = value
            && self.at_module_level()
        {
            self.exports.method(call, !self.now.conditional);
            self.facts.open.names |= dynamic::is_handed_own_name(call);
            if dynamic::leaves_module(call) && !self.now.conditional {
                self.now = self.now.under(Guard::Unreachable);
            }
        }
    }
}

/// The circumstances of a branch whose test held.
fn taken(now: Circumstances, test: Test) -> Circumstances {
    let certain = test == Test::NotTypeChecking;
    let inside = now.under(test.guard_if_true());
    if certain { inside } else { inside.perhaps() }
}

/// The circumstances after a test that did not hold.
fn not_taken(now: Circumstances, test: Test) -> Circumstances {
    let certain = matches!(test, Test::TypeChecking | Test::Never);
    let inside = now.under(test.guard_if_false());
    if certain { inside } else { inside.perhaps() }
}

impl<'a> Visitor<'a> for Walker<'a> {
    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            Stmt::FunctionDef(function) => self.function(function),
            Stmt::ClassDef(class) => self.class(class),
            Stmt::If(branch) => self.branches(branch),
            Stmt::Try(statement) => self.try_statement(statement),
            Stmt::With(statement) => self.with_statement(statement),
            Stmt::Match(statement) => self.match_statement(statement),
            Stmt::For(statement) => {
                self.visit_expr(&statement.iter);
                self.bind_target(&statement.target, BindingKind::Target);
                self.block(self.now.perhaps(), &statement.body);
                self.block(self.now.perhaps(), &statement.orelse);
            }
            Stmt::While(statement) => {
                self.visit_expr(&statement.test);
                self.block(self.now.perhaps(), &statement.body);
                self.block(self.now.perhaps(), &statement.orelse);
            }
            Stmt::Assign(assign) => self.assignment(assign),
            Stmt::AugAssign(assign) => {
                self.visit_expr(&assign.value);
                self.note_exports(&assign.target, Some(&assign.value), true);
                self.bind_target(&assign.target, BindingKind::Variable);
            }
            Stmt::AnnAssign(assign) => {
                if let Some(value) = &assign.value {
                    self.visit_expr(value);
                    self.note_exports(&assign.target, Some(value), false);
                }
                // Without a value nothing is bound, but the author says that the name will be there.
                self.bind_target(&assign.target, BindingKind::Variable);
            }
            Stmt::TypeAlias(alias) => self.bind_target(&alias.name, BindingKind::Variable),
            Stmt::Import(statement) => self.import(statement),
            Stmt::ImportFrom(statement) => self.import_from(statement),
            Stmt::Global(statement) => {
                if let Some(body) = self.bodies.last_mut() {
                    body.globals.extend(statement.names.iter().map(|name| name.id.clone()));
                }
            }
            Stmt::Delete(statement) => self.delete(statement),
            Stmt::Expr(statement) => self.expression(&statement.value),
            Stmt::Raise(_) => {
                visitor::walk_stmt(self, stmt);
                if self.at_module_level() && !self.now.conditional {
                    self.now = self.now.under(Guard::Unreachable);
                }
            }
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            // Statement targets are bound elsewhere: only those of comprehensions come by here.
            Expr::Name(name) if name.ctx == ast::ExprContext::Store => {
                self.shadow(&name.id);
            }
            Expr::Name(_) => {}
            Expr::Named(named) => {
                self.visit_expr(&named.value);
                self.bind_target(&named.target, BindingKind::Target);
            }
            Expr::Attribute(attribute) => self.read_attribute(attribute),
            Expr::Subscript(subscript) => self.read_item(subscript, expr),
            Expr::Call(call) => self.call(call, expr),
            Expr::Compare(compare) => self.comparison(compare),
            Expr::BinOp(operation) => self.operation(operation),
            _ => visitor::walk_expr(self, expr),
        }
    }

    /// Annotations may never be evaluated, so nothing in them is taken for a use.
    fn visit_annotation(&mut self, _: &'a Expr) {}

    fn visit_parameter(&mut self, parameter: &'a ast::Parameter) {
        // Of a lambda, which has no scope of its own here.
        self.shadow(&parameter.name.id);
    }

    fn visit_pattern(&mut self, pattern: &'a ast::Pattern) {
        let bound = match pattern {
            ast::Pattern::MatchAs(pattern) => pattern.name.as_ref(),
            ast::Pattern::MatchStar(pattern) => pattern.name.as_ref(),
            ast::Pattern::MatchMapping(pattern) => pattern.rest.as_ref(),
            _ => None,
        };
        if let Some(name) = bound {
            self.bind(&name.id, BindingKind::Target, name.range.start());
        }
        visitor::walk_pattern(self, pattern);
    }
}

impl Walker<'_> {
    /// Whether the byte range of a node may be trusted and its facts kept.
    pub(super) fn has_room(&mut self, kept: usize) -> bool {
        self.overflow |= kept >= MAX_FACTS;
        kept < MAX_FACTS
    }

    pub(super) fn position(&self, node: &impl Ranged) -> crate::facts::Position {
        self.lines.position(node.range().start())
    }
}
