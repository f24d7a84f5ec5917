//! Code that makes names and modules at run time, where a static reader must stop claiming that something is missing.

use ruff_python_ast::visitor::Visitor;
use ruff_python_ast::{self as ast, Expr};

use super::walk::Walker;

/// `name` of `name`, `x.name`, `name(...)`, `x.name(...)`.
pub(super) fn last_name(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Name(name) => Some(name.id.as_str()),
        Expr::Attribute(attribute) => Some(attribute.attr.as_str()),
        Expr::Call(call) => last_name(&call.func),
        _ => None,
    }
}

fn is_name(expr: &Expr, wanted: &str) -> bool {
    matches!(expr, Expr::Name(name) if name.id.as_str() == wanted)
}

/// `globals()`, and at module level `locals()` and `vars()`, which are the same dictionary there.
pub(super) fn is_namespace_call(expr: &Expr, at_module_level: bool) -> bool {
    let Expr::Call(call) = expr else { return false };
    let Expr::Name(function) = &*call.func else {
        return false;
    };
    match function.id.as_str() {
        "globals" => true,
        "locals" | "vars" => at_module_level && call.arguments.args.is_empty(),
        _ => false,
    }
}

/// `sys.modules`.
pub(super) fn is_sys_modules(expr: &Expr) -> bool {
    matches!(expr, Expr::Attribute(attribute)
        if attribute.attr.as_str() == "modules" && last_name(&attribute.value).is_some_and(|name| name.ends_with("sys")))
}

/// `sys.modules[key]` with a computed key, or a frame's globals: the names of some other module.
fn is_foreign_module(expr: &Expr) -> bool {
    match expr {
        Expr::Subscript(subscript) => {
            is_sys_modules(&subscript.value)
                && !is_name(&subscript.slice, "__name__")
                && !matches!(&*subscript.slice, Expr::StringLiteral(_))
        }
        Expr::Attribute(attribute) => attribute.attr.as_str() == "f_globals",
        _ => false,
    }
}

/// `sys.modules[__name__]`, `import_module(__name__)`, `__import__(__name__)`.
pub(super) fn is_own_module(expr: &Expr) -> bool {
    match expr {
        Expr::Subscript(subscript) => {
            is_sys_modules(&subscript.value) && is_name(&subscript.slice, "__name__")
        }
        Expr::Call(call) => {
            matches!(last_name(&call.func), Some("import_module" | "__import__"))
                && call.arguments.args.first().is_some_and(|argument| is_name(argument, "__name__"))
        }
        _ => false,
    }
}

/// What a computed module name starts with.
pub(super) enum Leading<'e> {
    /// The module's own name.
    OwnName,
    /// A literal; the whole of it where nothing is computed.
    Text(&'e str),
}

/// The known start of a module name: of a literal, `"a." + x`, `f"a.{x}"`, `"a.%s" % x`, `__name__ + ".x"`.
pub(super) fn leading_part(key: &Expr) -> Option<Leading<'_>> {
    match key {
        Expr::StringLiteral(literal) => Some(Leading::Text(literal.value.to_str())),
        Expr::BinOp(sum) if sum.op == ast::Operator::Add => match &*sum.left {
            left if is_name(left, "__name__") => Some(Leading::OwnName),
            left => leading_part(left),
        },
        Expr::FString(text) => match text.value.elements().next()? {
            ast::InterpolatedStringElement::Literal(literal) => Some(Leading::Text(&literal.value)),
            ast::InterpolatedStringElement::Interpolation(part) => {
                is_name(&part.expression, "__name__").then_some(Leading::OwnName)
            }
        },
        _ => None,
    }
}

/// A call statement such as `install(__name__)`: whoever is told the module's name may put things into it.
pub(super) fn is_handed_own_name(call: &ast::ExprCall) -> bool {
    !matches!(last_name(&call.func), Some("getLogger" | "main" | "print"))
        && call.arguments.args.iter().any(|argument| is_name(argument, "__name__"))
}

/// `old, new = recreate_module(__name__, …)`: as above, but most functions that return something only want a label.
fn replaces_module(call: &ast::ExprCall) -> bool {
    const TELLING: [&str; 6] = ["module", "lazy", "import", "attach", "export", "deprecat"];
    let function = last_name(&call.func).unwrap_or_default().to_ascii_lowercase();
    is_handed_own_name(call) && TELLING.iter().any(|part| function.contains(part))
}

/// `sys.exit()`, `pytest.skip(…, allow_module_level=True)`: the rest of the module does not run.
pub(super) fn leaves_module(call: &ast::ExprCall) -> bool {
    match last_name(&call.func) {
        Some("exit" | "_exit" | "quit") => true,
        Some("skip") => call.arguments.keywords.iter().any(|keyword| {
            keyword.arg.as_ref().is_some_and(|name| name.as_str() == "allow_module_level")
                && matches!(&keyword.value, Expr::BooleanLiteral(literal) if literal.value)
        }),
        _ => false,
    }
}

/// Functions that only look at the namespace or module they are handed.
fn only_looks(function: &str) -> bool {
    matches!(
        function,
        "dict"
            | "len"
            | "sorted"
            | "list"
            | "set"
            | "tuple"
            | "id"
            | "print"
            | "repr"
            | "type"
            | "isinstance"
            | "eval"
            | "get_type_hints"
            | "__import__"
    ) || probes(function)
}

fn probes(function: &str) -> bool {
    matches!(function, "getattr" | "hasattr")
}

impl<'a> Walker<'a> {
    pub(super) fn call(&mut self, call: &'a ast::ExprCall, whole: &'a Expr) {
        if self.is_namespace(whole) || is_own_module(whole) {
            self.facts.open.names = true;
            return;
        }
        self.note_call(whole);
        self.facts.open.names |= self.at_module_level() && replaces_module(call);
        let function = last_name(&call.func).unwrap_or_default();
        let arguments = &*call.arguments.args;
        self.special_call(call, function, arguments);
        self.visit_expr(&call.func);
        for argument in arguments {
            let looked_at = only_looks(function) && (self.is_namespace(argument) || is_own_module(argument));
            if !looked_at {
                self.visit_expr(argument);
            }
        }
        for keyword in &call.arguments.keywords {
            // `**globals()` only reads.
            if keyword.arg.is_some() || !self.is_namespace(&keyword.value) {
                self.visit_expr(&keyword.value);
            }
        }
    }

    fn special_call(&mut self, call: &'a ast::ExprCall, function: &str, arguments: &'a [Expr]) {
        match (function, arguments) {
            (name, [_, Expr::StringLiteral(attribute), ..]) if probes(name) => {
                self.probed.insert(attribute.value.to_str().to_owned());
            }
            ("setattr" | "__setattr__" | "vars", [owner, ..]) if is_foreign_module(owner) => {
                self.note_patcher()
            }
            // `monkeypatch.setattr` refuses names that are not there, so it adds none.
            ("setattr", _) if !matches!(&*call.func, Expr::Name(_)) => {}
            ("setattr" | "__setattr__", [owner, attribute, ..]) => self.write_by_call(owner, attribute),
            ("vars", [owner]) => self.write_any(owner, "*"),
            ("exec" | "execfile", [] | [_]) if self.at_module_level() => self.facts.open.names = true,
            ("import_module" | "__import__", [Expr::StringLiteral(module), ..]) => {
                self.import_call(call, module.value.to_str(), module);
            }
            ("extend_path" | "declare_namespace", _) => self.facts.open.children = true,
            ("_convert_" | "_convert", [_, own, ..]) if is_name(own, "__name__") => {
                self.facts.open.names = true
            }
            ("setitem", [owner, key, ..]) if is_sys_modules(owner) => self.inject(key),
            _ => {}
        }
        if let Expr::Attribute(method) = &*call.func {
            self.method_call(method, arguments);
        }
        if function.ends_with("Extension") {
            self.note_built(call);
        }
    }

    fn method_call(&mut self, method: &'a ast::ExprAttribute, arguments: &'a [Expr]) {
        let name = method.attr.as_str();
        if is_sys_modules(&method.value) {
            match (name, arguments) {
                ("setdefault" | "__setitem__", [key, ..]) => self.inject(key),
                ("update", _) => self.note_importer(),
                _ => {}
            }
        }
        if matches!(name, "update" | "setdefault" | "__setitem__") && is_foreign_namespace(&method.value) {
            self.note_patcher();
        }
        if name == "dict" && arguments.first().is_some_and(is_modules_argument) {
            // `mock.patch.dict(sys.modules, …)`.
            self.note_importer();
        }
        if matches!(name, "append" | "extend" | "insert") && last_name(&method.value) == Some("__path__") {
            self.facts.open.children = true;
            self.facts.open.importer |= !is_name(&method.value, "__path__");
        }
    }

    /// Notes what is called or decorates while the module is imported.
    pub(super) fn note_call(&mut self, callee: &Expr) {
        if !self.now.in_function
            && let Some(name) = last_name(callee)
            && !self.calls.contains(name)
            && self.has_room(self.calls.len())
        {
            self.calls.insert(name.to_owned());
        }
    }

    /// Notes that the functions and classes around the present statement write into other modules.
    pub(super) fn note_patcher(&mut self) {
        self.facts.patchers.extend(self.bodies.iter().map(|body| body.name.to_string()));
    }

    /// Notes an assignment into the names of another module.
    pub(super) fn note_foreign_write(&mut self, owner: &Expr) {
        if is_foreign_module(owner) || is_foreign_namespace(owner) {
            self.note_patcher();
        }
    }

    fn write_by_call(&mut self, owner: &'a Expr, attribute: &Expr) {
        match attribute {
            Expr::StringLiteral(literal) => self.write_any(owner, literal.value.to_str()),
            _ => self.write_any(owner, "*"),
        }
    }

    /// Notes a write of `attribute` on the object that a chain of names stands for.
    fn write_any(&mut self, owner: &Expr, attribute: &str) {
        let mut attrs = vec![attribute];
        let mut root = owner;
        while let Expr::Attribute(inner) = root {
            attrs.push(inner.attr.as_str());
            root = &inner.value;
        }
        attrs.reverse();
        if let Expr::Name(name) = root {
            self.write(&name.id, attrs.join("."));
        }
    }

    fn note_built(&mut self, call: &ast::ExprCall) {
        let named = |keyword: &&ast::Keyword| {
            keyword.arg.as_ref().is_some_and(|name| matches!(name.as_str(), "name" | "target"))
        };
        let keyword = call.arguments.keywords.iter().find(named).map(|keyword| &keyword.value);
        if let Some(Expr::StringLiteral(literal)) = call.arguments.args.first().or(keyword)
            && self.has_room(self.facts.built.len())
        {
            self.facts.built.push(literal.value.to_str().to_owned());
        }
    }
}

/// The dictionary of some other module's names.
fn is_foreign_namespace(expr: &Expr) -> bool {
    match expr {
        Expr::Attribute(attribute) if attribute.attr.as_str() == "__dict__" => {
            is_foreign_module(&attribute.value)
        }
        other => matches!(other, Expr::Attribute(_)) && is_foreign_module(other),
    }
}

/// `sys.modules` or `"sys.modules"`.
fn is_modules_argument(expr: &Expr) -> bool {
    is_sys_modules(expr)
        || matches!(expr, Expr::StringLiteral(literal) if literal.value.to_str() == "sys.modules")
}
