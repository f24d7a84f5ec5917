//! Which names a module-level `__getattr__` answers, where its code shows them all.

use ruff_python_ast::visitor::{self, Visitor};
use ruff_python_ast::{self as ast, CmpOp, Expr, Stmt};

/// The names that `function` answers, or `None` when it may answer any. `body` is the module it stands in.
pub(super) fn answered(function: &ast::StmtFunctionDef, body: &[Stmt]) -> Option<Vec<String>> {
    let [parameter] = &*function.parameters.args else {
        return None;
    };
    let mut reader =
        Reader { parameter: parameter.parameter.name.as_str(), body, names: Vec::new(), loose: false };
    // Falling off the end answers `None` for every name.
    let ends = reader.block(&function.body) || leaves(&function.body);
    (ends && !reader.loose).then_some(reader.names)
}

/// Reads the body of `__getattr__`. What it does with a name is of no interest once a test has pinned the name down.
struct Reader<'a> {
    parameter: &'a str,
    body: &'a [Stmt],
    names: Vec<String>,
    /// The parameter is used where it may be anything.
    loose: bool,
}

impl<'a> Reader<'a> {
    /// Whether the rest of the block, and so its end, is for known names only.
    fn block(&mut self, block: &'a [Stmt]) -> bool {
        for stmt in block {
            let Stmt::If(branch) = stmt else {
                self.visit_stmt(stmt);
                continue;
            };
            match self.pins(&branch.test) {
                Some(true) => {
                    branch.elif_else_clauses.iter().for_each(|clause| self.visit_elif_else_clause(clause))
                }
                // `if name not in known: raise`: what follows knows the name.
                Some(false) if leaves(&branch.body) && branch.elif_else_clauses.is_empty() => {
                    self.block(&branch.body);
                    return true;
                }
                _ => self.visit_stmt(stmt),
            }
        }
        false
    }

    /// Whether a test pins the name to known ones where it holds (true) or where it does not (false).
    fn pins(&mut self, test: &Expr) -> Option<bool> {
        let Expr::Compare(compare) = test else { return None };
        let ([op], [right]) = (&*compare.ops, &*compare.comparators) else {
            return None;
        };
        let is_parameter =
            |side: &Expr| matches!(side, Expr::Name(name) if name.id.as_str() == self.parameter);
        let known = match op {
            CmpOp::Eq | CmpOp::NotEq if is_parameter(&compare.left) => vec![string(right)?],
            CmpOp::Eq | CmpOp::NotEq if is_parameter(right) => vec![string(&compare.left)?],
            CmpOp::In | CmpOp::NotIn if is_parameter(&compare.left) => self.members(right)?,
            _ => return None,
        };
        self.names.extend(known);
        Some(matches!(op, CmpOp::Eq | CmpOp::In))
    }

    /// The strings of a literal collection, or of a name assigned one at the top of the module.
    fn members(&self, collection: &Expr) -> Option<Vec<String>> {
        let Expr::Name(name) = collection else {
            return strings(collection);
        };
        let mut found = None;
        for stmt in self.body {
            let (target, value) = match stmt {
                Stmt::Assign(assign) => (assign.targets.first()?, Some(&*assign.value)),
                Stmt::AnnAssign(assign) => (&*assign.target, assign.value.as_deref()),
                // Anything else done to it may add members.
                Stmt::AugAssign(assign) => (&*assign.target, None),
                Stmt::Expr(statement) => match &*statement.value {
                    Expr::Call(call) => match &*call.func {
                        Expr::Attribute(method) => (&*method.value, None),
                        _ => continue,
                    },
                    _ => continue,
                },
                _ => continue,
            };
            if matches!(target, Expr::Name(target) if target.id == name.id) {
                found = Some(strings(value?)?);
            }
        }
        found
    }
}

fn string(expr: &Expr) -> Option<String> {
    let Expr::StringLiteral(literal) = expr else {
        return None;
    };
    Some(literal.value.to_str().to_owned())
}

fn strings(expr: &Expr) -> Option<Vec<String>> {
    match expr {
        Expr::List(list) => list.elts.iter().map(string).collect(),
        Expr::Tuple(tuple) => tuple.elts.iter().map(string).collect(),
        Expr::Set(set) => set.elts.iter().map(string).collect(),
        Expr::Dict(dict) => dict.items.iter().map(|item| item.key.as_ref().and_then(string)).collect(),
        Expr::Call(call) if matches!(&*call.func, Expr::Name(name) if matches!(name.id.as_str(), "set" | "frozenset")) => {
            strings(call.arguments.args.first()?)
        }
        _ => None,
    }
}

fn leaves(body: &[Stmt]) -> bool {
    matches!(body.last(), Some(Stmt::Raise(_)))
}

impl<'a> Visitor<'a> for Reader<'a> {
    fn visit_body(&mut self, body: &'a [Stmt]) {
        self.block(body);
    }

    fn visit_stmt(&mut self, stmt: &'a Stmt) {
        match stmt {
            // An error may name the name.
            Stmt::Raise(_) => {}
            Stmt::Return(_) => self.loose = true,
            _ => visitor::walk_stmt(self, stmt),
        }
    }

    fn visit_elif_else_clause(&mut self, clause: &'a ast::ElifElseClause) {
        let pinned = clause.test.as_ref().map(|test| self.pins(test));
        match pinned {
            Some(Some(true)) => {}
            _ => visitor::walk_elif_else_clause(self, clause),
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Name(name) => self.loose |= name.id.as_str() == self.parameter,
            _ => visitor::walk_expr(self, expr),
        }
    }
}
