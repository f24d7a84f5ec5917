//! The symbol list of a module: what a reader of the file would call its parts.

use ruff_python_ast::{self as ast, Expr, Stmt};
use ruff_text_size::Ranged;

use super::lines::Lines;
use crate::facts::{Symbol, SymbolKind};

/// Functions, classes and variables of the module itself, and the methods and classes inside classes.
pub(super) fn symbols_of(module: &ast::ModModule, lines: &Lines<'_>) -> Vec<Symbol> {
    let mut symbols = Vec::new();
    collect(&module.body, "", lines, &mut symbols);
    symbols
}

fn collect(body: &[Stmt], class: &str, lines: &Lines<'_>, symbols: &mut Vec<Symbol>) {
    let push = |name: &str, kind, stmt: &Stmt, symbols: &mut Vec<Symbol>| {
        let line = match stmt {
            Stmt::FunctionDef(function) => lines.line(function.name.range.start()),
            Stmt::ClassDef(class) => lines.line(class.name.range.start()),
            other => lines.line(other.range().start()),
        };
        let end_line = lines.line(stmt.range().end());
        let qualified_name = format!("{class}{name}");
        symbols.push(Symbol { qualified_name, kind, line, end_line });
    };
    for stmt in body {
        match stmt {
            Stmt::FunctionDef(function) => {
                let kind = match (class.is_empty(), function.is_async) {
                    (true, false) => SymbolKind::Function,
                    (true, true) => SymbolKind::AsyncFunction,
                    (false, false) => SymbolKind::Method,
                    (false, true) => SymbolKind::AsyncMethod,
                };
                push(function.name.as_str(), kind, stmt, symbols);
            }
            Stmt::ClassDef(inner) => {
                push(inner.name.as_str(), SymbolKind::Class, stmt, symbols);
                collect(&inner.body, &format!("{class}{}.", inner.name), lines, symbols);
            }
            Stmt::Assign(assign) if class.is_empty() => {
                for target in &assign.targets {
                    if let Expr::Name(name) = target {
                        push(name.id.as_str(), SymbolKind::Variable, stmt, symbols);
                    }
                }
            }
            Stmt::AnnAssign(assign) if class.is_empty() => {
                if let Expr::Name(name) = &*assign.target {
                    push(name.id.as_str(), SymbolKind::Variable, stmt, symbols);
                }
            }
            _ => {}
        }
    }
}
