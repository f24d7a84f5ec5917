//! What keeps a failing import from being breakage: handlers, `suppress`, version checks, `TYPE_CHECKING`.

use ruff_python_ast::{self as ast, Expr};

use crate::facts::Guard;

/// Which failures a handler or context manager swallows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Caught {
    pub(super) imports: bool,
    pub(super) attributes: bool,
}

impl Caught {
    fn or(self, other: Self) -> Self {
        Self { imports: self.imports || other.imports, attributes: self.attributes || other.attributes }
    }
}

/// What the handlers of one `try` swallow together; those that could not be read may swallow anything.
pub(super) fn caught_by(statement: &ast::StmtTry) -> Caught {
    if statement.handlers.is_empty() && statement.finalbody.is_empty() {
        return Caught { imports: true, attributes: true };
    }
    statement.handlers.iter().fold(Caught::default(), |caught, handler| caught.or(caught_by_handler(handler)))
}

/// What one handler swallows; a bare `except` swallows everything.
pub(super) fn caught_by_handler(handler: &ast::ExceptHandler) -> Caught {
    let ast::ExceptHandler::ExceptHandler(handler) = handler;
    match handler.type_.as_deref() {
        None => Caught { imports: true, attributes: true },
        Some(kind) => caught_by_class(kind),
    }
}

fn caught_by_class(kind: &Expr) -> Caught {
    let name = match kind {
        Expr::Tuple(tuple) => {
            return tuple
                .elts
                .iter()
                .fold(Caught::default(), |caught, kind| caught.or(caught_by_class(kind)));
        }
        Expr::Name(name) => name.id.as_str(),
        Expr::Attribute(attribute) => attribute.attr.as_str(),
        // A computed class may be any.
        _ => {
            return Caught { imports: true, attributes: true };
        }
    };
    let any = matches!(name, "Exception" | "BaseException");
    Caught {
        imports: any || name.contains("Import") || name.contains("IMPORT") || name.contains("ModuleNotFound"),
        attributes: any || name.contains("Attribute"),
    }
}

/// What a `with` item swallows: any call that is handed an exception class, as `suppress` and `pytest.raises` are.
pub(super) fn caught_by_context(context: &Expr) -> Caught {
    let Expr::Call(call) = context else {
        return Caught::default();
    };
    let arguments =
        call.arguments.args.iter().chain(call.arguments.keywords.iter().map(|keyword| &keyword.value));
    arguments
        .filter(|argument| matches!(argument, Expr::Name(_) | Expr::Attribute(_) | Expr::Tuple(_)))
        .fold(Caught::default(), |caught, argument| caught.or(caught_by_class(argument)))
}

/// What the test of an `if` says about its two branches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Test {
    /// True for type checkers only.
    TypeChecking,
    /// True at run time only.
    NotTypeChecking,
    /// Never true.
    Never,
    /// Depends on platform or version.
    Platform,
    /// Anything else.
    Other,
}

impl Test {
    pub(super) fn of(test: &Expr) -> Self {
        match test {
            Expr::UnaryOp(unary) if unary.op == ast::UnaryOp::Not => match Self::of(&unary.operand) {
                Self::TypeChecking => Self::NotTypeChecking,
                Self::NotTypeChecking => Self::TypeChecking,
                Self::Platform => Self::Platform,
                Self::Never | Self::Other => Self::Other,
            },
            Expr::BooleanLiteral(literal) if !literal.value => Self::Never,
            Expr::NumberLiteral(literal) if is_zero(&literal.value) => Self::Never,
            _ if mentions(test, |name| matches!(name, "TYPE_CHECKING" | "MYPY")) => Self::TypeChecking,
            _ if mentions(test, is_platform_name) => Self::Platform,
            _ => Self::Other,
        }
    }

    /// The guard of the branch taken when the test holds.
    pub(super) fn guard_if_true(self) -> Guard {
        match self {
            Self::TypeChecking => Guard::TypeChecking,
            Self::Never => Guard::Unreachable,
            Self::Platform => Guard::Platform,
            Self::NotTypeChecking | Self::Other => Guard::None,
        }
    }

    /// The guard of the branches taken when it does not.
    pub(super) fn guard_if_false(self) -> Guard {
        match self {
            Self::NotTypeChecking => Guard::TypeChecking,
            Self::Platform => Guard::Platform,
            Self::TypeChecking | Self::Never | Self::Other => Guard::None,
        }
    }
}

fn is_zero(number: &ast::Number) -> bool {
    matches!(number, ast::Number::Int(value) if value.as_u8() == Some(0))
}

fn is_platform_name(name: &str) -> bool {
    const NAMES: [&str; 11] = [
        "version_info",
        "hexversion",
        "platform",
        "implementation",
        "python_implementation",
        "PY2",
        "PY3",
        "six",
        "version_tuple",
        "python_version",
        "python_version_tuple",
    ];
    const PARTS: [&str; 8] = ["WIN32", "WINDOWS", "MACOS", "DARWIN", "LINUX", "POSIX", "PYPY", "CPYTHON"];
    if NAMES.contains(&name)
        || name.strip_prefix("PY3").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    {
        return true;
    }
    let upper = name.to_ascii_uppercase();
    PARTS.iter().any(|part| upper.contains(part)) || upper == "OS_NAME"
}

/// Whether a name satisfying `wanted`, or `os.name`, occurs in the operators, calls and attributes of a test.
fn mentions(expr: &Expr, wanted: impl Fn(&str) -> bool + Copy) -> bool {
    match expr {
        Expr::Name(name) => wanted(name.id.as_str()),
        Expr::Attribute(attribute) => {
            let os_name = attribute.attr.as_str() == "name"
                && matches!(&*attribute.value, Expr::Name(name) if name.id.as_str() == "os");
            wanted(if os_name { "platform" } else { attribute.attr.as_str() })
                || mentions(&attribute.value, wanted)
        }
        Expr::Compare(compare) => {
            mentions(&compare.left, wanted) || compare.comparators.iter().any(|side| mentions(side, wanted))
        }
        Expr::BoolOp(op) => op.values.iter().any(|value| mentions(value, wanted)),
        Expr::UnaryOp(op) => mentions(&op.operand, wanted),
        Expr::Call(call) => {
            mentions(&call.func, wanted) || call.arguments.args.iter().any(|arg| mentions(arg, wanted))
        }
        Expr::Subscript(subscript) => mentions(&subscript.value, wanted),
        _ => false,
    }
}
