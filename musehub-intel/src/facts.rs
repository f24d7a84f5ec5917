//! What one Python file says about itself: the names it binds, the modules it imports, the parts it computes.
//!
//! Facts depend on the bytes and on `.py` or `.pyi` only, never on where the file lies, so they can be kept for
//! ever under the id of the blob and shared between commits and repositories.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bumped whenever extraction changes what it finds, so that cached facts of an older build are not mixed in.
pub const FACTS_VERSION: u32 = 3;

/// Everything pass 1 learns from one file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// How much of the file could be read.
    pub reading: Reading,
    /// Names bound in the module's own scope, however deeply nested the binding statement is.
    pub names: BTreeMap<String, Binding>,
    /// What `__all__` says.
    pub exports: Exports,
    /// Which parts of the module are made at run time, out of sight of a static reader.
    pub open: Open,
    /// Import statements at any depth, and `importlib.import_module("literal")`, in source order.
    pub imports: Vec<Import>,
    /// Attribute chains read from imported names, such as `mod.gone` after `import mod`.
    pub uses: Vec<AttributeUse>,
    /// Attributes written on imported names, such as `mod.flag = True`.
    pub writes: Vec<AttributeWrite>,
    /// Dotted names that the file puts into `sys.modules`; with `*` at the end where only the start is literal.
    pub injected: Vec<String>,
    /// Extension modules that a build script declares, as in `Extension("pkg._speedups", …)`.
    pub built: Vec<String>,
    /// Functions and classes that write into whichever module uses them, or into `sys.modules`.
    pub patchers: Vec<String>,
    /// Last names of what is called, or decorates, while the module is imported.
    pub calls: Vec<String>,
    /// Functions, classes, methods and variables for listings.
    pub symbols: Vec<Symbol>,
}

/// How much of a file could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reading {
    /// All of it.
    #[default]
    Whole,
    /// It has syntax errors, bytes outside its encoding, or passes a limit; what could be read is here.
    Partly,
    /// Nothing: too large, or not text.
    Not,
}

/// One name of the module's scope.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// What kind of statement binds it; a definition wins over an import.
    pub kind: BindingKind,
    /// Line of that statement, from 1.
    pub line: u32,
    /// Bound for type checkers only (under `if TYPE_CHECKING`), so absent at run time.
    pub typing_only: bool,
}

/// The statement that binds a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum BindingKind {
    /// Answered by the module's `__getattr__`.
    Answered,
    /// An import, so a re-export.
    Import,
    /// `from . import name`: the submodule of that name.
    Submodule,
    /// A target of a loop, `with`, `except`, `match` or walrus.
    Target,
    /// An assignment or a type alias.
    Variable,
    /// `def` or `async def`.
    Function,
    /// `class`.
    Class,
}

/// The state of `__all__`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exports {
    /// Not assigned: every name without a leading underscore is public.
    #[default]
    Absent,
    /// Only string literals, at the top of the module.
    Listed(Vec<String>),
    /// Computed, conditional or shrunk: any name may be in it.
    Computed,
}

/// Parts of a module that only running it can tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// Names may appear that no statement shows: `globals()`, `exec`, `__getattr__`, a replaced module.
    pub names: bool,
    /// Submodules may appear without a file: `__path__` is changed.
    pub children: bool,
    /// Modules are put into `sys.modules`, or an importer is installed, under computed names.
    pub importer: bool,
}

/// One imported thing; `from m import a, b` gives two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Import {
    /// The form of the statement.
    pub form: ImportForm,
    /// Number of leading dots.
    pub level: u32,
    /// Dotted module name without the dots; empty in `from . import x`.
    pub module: String,
    /// The imported name, for [`ImportForm::From`].
    pub name: Option<String>,
    /// The local name after `as`.
    pub alias: Option<String>,
    /// Number of the statement within the file, so that a missing module is reported once.
    pub statement: u32,
    /// Where the module or name stands in the source.
    pub at: Position,
    /// What keeps a failure from being breakage.
    pub guard: Guard,
    /// When the statement runs.
    pub scope: Scope,
}

impl Import {
    /// The local name that the statement binds, if it binds one.
    #[must_use]
    pub fn local_name(&self) -> Option<&str> {
        match (self.form, &self.alias, &self.name) {
            (ImportForm::Star | ImportForm::Call, _, _) => None,
            (_, Some(alias), _) => Some(alias),
            (_, None, Some(name)) => Some(name),
            (_, None, None) => self.module.split('.').next(),
        }
    }
}

/// The form of an import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ImportForm {
    /// `import a.b`.
    Plain,
    /// `from a.b import c`.
    From,
    /// `from a.b import *`.
    Star,
    /// `importlib.import_module("a.b")` or `__import__("a.b")`.
    Call,
}

/// Line and column, both from 1; columns count characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Position {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

/// Why a failing import or attribute would not be breakage.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Guard {
    /// Nothing guards it.
    #[default]
    None,
    /// It depends on the platform or the Python version.
    Platform,
    /// `contextlib.suppress(ImportError)`, `pytest.raises(ImportError)` and the like.
    Suppressed,
    /// A `try` whose handlers catch the failure, or the fallback in such a handler.
    Handled,
    /// `if TYPE_CHECKING`: never run.
    TypeChecking,
    /// Behind `if False` or after the module has left: never run.
    Unreachable,
}

impl Guard {
    /// The name used in reports.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Platform => "platform",
            Self::Suppressed => "suppressed",
            Self::Handled => "handled",
            Self::TypeChecking => "type_checking",
            Self::Unreachable => "unreachable",
        }
    }
}

/// When a statement runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Always, when the module is imported.
    #[default]
    Module,
    /// Perhaps, when the module is imported: it is under a condition.
    Conditional,
    /// Later, in a function.
    Function,
}

/// An attribute chain read from an imported name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttributeUse {
    /// Index into [`FileFacts::imports`] of the import that binds the first name.
    pub import: u32,
    /// The attributes after that name, dotted.
    pub chain: String,
    /// Where the first name stands.
    pub at: Position,
    /// What keeps a failure from being breakage.
    pub guard: Guard,
}

/// An attribute written on an imported name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct AttributeWrite {
    /// Index into [`FileFacts::imports`].
    pub import: u32,
    /// The attributes, dotted; the last is the one written, `*` when its name is computed.
    pub chain: String,
}

/// One entry of the symbol list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Symbol {
    /// `name`, or `Class.name` inside classes.
    pub qualified_name: String,
    /// What it is.
    pub kind: SymbolKind,
    /// First line of the statement, decorators excluded.
    pub line: u32,
    /// Last line of the statement.
    pub end_line: u32,
}

/// What a [`Symbol`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum SymbolKind {
    /// A function of the module.
    Function,
    /// A coroutine function of the module.
    AsyncFunction,
    /// A class, nested classes included.
    Class,
    /// A method.
    Method,
    /// A coroutine method.
    AsyncMethod,
    /// A variable of the module.
    Variable,
}

impl SymbolKind {
    /// The name used in listings.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Function => "function",
            Self::AsyncFunction => "async_function",
            Self::Class => "class",
            Self::Method => "method",
            Self::AsyncMethod => "async_method",
            Self::Variable => "variable",
        }
    }
}
