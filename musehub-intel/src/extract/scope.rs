//! Where the walk stands: the chain of scopes, what guards the present statement, and whether it runs for certain.

use std::collections::HashSet;
use std::rc::Rc;

use ruff_python_ast::name::Name;

use super::guard::Caught;
use crate::facts::{Guard, Scope};

/// One function or class body.
#[derive(Debug)]
pub(super) struct Body {
    pub(super) name: Name,
    /// Its number within the file, and those of the scopes around it, out to the module's 0.
    pub(super) scopes: Rc<[u32]>,
    /// Names declared `global` here.
    pub(super) globals: HashSet<Name>,
}

impl Body {
    pub(super) fn of(name: &Name, scopes: Rc<[u32]>) -> Self {
        Self { name: name.clone(), scopes, globals: HashSet::new() }
    }
}

/// The circumstances of the present statement.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Circumstances {
    pub(super) guard: Guard,
    pub(super) catches_attributes: bool,
    pub(super) conditional: bool,
    pub(super) in_function: bool,
}

impl Circumstances {
    pub(super) fn scope(self) -> Scope {
        match (self.in_function, self.conditional) {
            (true, _) => Scope::Function,
            (false, true) => Scope::Conditional,
            (false, false) => Scope::Module,
        }
    }

    /// Under a further guard; code that never runs stays so whatever is inside it.
    pub(super) fn under(mut self, guard: Guard) -> Self {
        if guard != Guard::None && !matches!(self.guard, Guard::TypeChecking | Guard::Unreachable) {
            self.guard = guard;
        }
        self
    }

    pub(super) fn perhaps(mut self) -> Self {
        self.conditional = true;
        self
    }

    pub(super) fn catching(mut self, caught: Caught, guard: Guard) -> Self {
        self.catches_attributes |= caught.attributes;
        if caught.imports { self.under(guard) } else { self }
    }

    /// Inside a function the enclosing handlers are long gone when the code runs.
    pub(super) fn called_later(mut self) -> Self {
        if matches!(self.guard, Guard::Handled | Guard::Suppressed) {
            self.guard = Guard::None;
        }
        self.catches_attributes = false;
        self.in_function = true;
        self
    }

    /// The guard of an attribute read here.
    pub(super) fn attribute_guard(self) -> Guard {
        match self.guard {
            // A handler of import errors only does not catch the error of an attribute.
            Guard::Handled | Guard::Suppressed | Guard::None if self.catches_attributes => Guard::Handled,
            Guard::Handled | Guard::Suppressed => Guard::None,
            guard => guard,
        }
    }
}
