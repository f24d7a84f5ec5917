//! What `__all__` holds after all statements that build it.

use ruff_python_ast::{self as ast, Expr};

use super::walk::MAX_FACTS;
use crate::facts::Exports;

/// The list as built so far.
#[derive(Debug, Default)]
pub(super) struct ExportsOf {
    assigned: bool,
    computed: bool,
    names: Vec<String>,
}

impl ExportsOf {
    /// `__all__ = value`, or `__all__ += value` when it `adds`. `certain`: at the top of the module, unguarded.
    pub(super) fn assign(&mut self, target: &Expr, value: Option<&Expr>, adds: bool, certain: bool) {
        match target {
            Expr::Name(name) if name.id.as_str() == "__all__" => {}
            // Unpacked into: the value is not looked at.
            Expr::Tuple(tuple) => {
                return tuple.elts.iter().for_each(|target| self.assign(target, None, adds, certain));
            }
            Expr::List(list) => {
                return list.elts.iter().for_each(|target| self.assign(target, None, adds, certain));
            }
            _ => return,
        }
        if !adds && self.assigned {
            // Which of two assignments counts would need an order of execution.
            self.computed = true;
        }
        self.assigned = true;
        self.add(value, certain);
    }

    /// `__all__.extend([...])` and the other methods of a list.
    pub(super) fn method(&mut self, call: &ast::ExprCall, certain: bool) {
        let Expr::Attribute(function) = &*call.func else {
            return;
        };
        if !matches!(&*function.value, Expr::Name(name) if name.id.as_str() == "__all__") {
            return;
        }
        self.assigned = true;
        match (function.attr.as_str(), &*call.arguments.args) {
            ("extend", [value]) => self.add(Some(value), certain),
            ("append", [Expr::StringLiteral(literal)]) => {
                self.names.push(literal.value.to_str().to_owned());
                self.computed |= !certain;
            }
            ("sort" | "reverse", _) => {}
            _ => self.computed = true,
        }
    }

    fn add(&mut self, value: Option<&Expr>, certain: bool) {
        self.computed |= !certain;
        self.computed |= !value.is_some_and(|value| collect(value, &mut self.names));
    }

    pub(super) fn finish(self) -> Exports {
        match (self.assigned, self.computed || self.names.len() > MAX_FACTS) {
            (false, _) => Exports::Absent,
            (true, true) => Exports::Computed,
            (true, false) => Exports::Listed(self.names),
        }
    }
}

/// Adds the strings of a literal list, tuple or sum of such; false when something else is in it.
fn collect(value: &Expr, names: &mut Vec<String>) -> bool {
    let elements = match value {
        Expr::List(list) => &list.elts,
        Expr::Tuple(tuple) => &tuple.elts,
        Expr::BinOp(sum) if sum.op == ast::Operator::Add => {
            return collect(&sum.left, names) && collect(&sum.right, names);
        }
        _ => return false,
    };
    elements.iter().all(|element| {
        let Expr::StringLiteral(literal) = element else {
            return false;
        };
        names.push(literal.value.to_str().to_owned());
        true
    })
}
