//! Pass 1 on single files: bindings, openness, guards, and hostile input.

use super::extract;
use crate::facts::{BindingKind, Exports, FileFacts, Guard, Import, ImportForm, Reading, Scope, SymbolKind};

fn facts(source: &str) -> FileFacts {
    extract("m.py", source.as_bytes())
}

fn names(source: &str) -> Vec<String> {
    facts(source).names.into_keys().collect()
}

fn import(source: &str) -> Import {
    let mut imports = facts(source).imports;
    assert_eq!(imports.len(), 1, "{source}: {imports:?}");
    imports.remove(0)
}

#[test]
fn every_binding_statement_binds() {
    let cases: &[(&str, &[&str])] = &[
        ("def f(): x = 1", &["f"]),
        ("async def f(): ...", &["f"]),
        ("class C:\n    x = 1\n    def m(self): ...", &["C"]),
        ("a = b = 1", &["a", "b"]),
        ("a, (b, [c, *d]) = x", &["a", "b", "c", "d"]),
        ("a: int", &["a"]),
        ("a: int = 1", &["a"]),
        ("a += 1", &["a"]),
        ("(a := 1)", &["a"]),
        ("[b := x for x in y]", &["b"]),
        ("def f(x=(a := 1)): ...", &["a", "f"]),
        ("for a, b in x:\n    c = 1\nelse:\n    d = 1", &["a", "b", "c", "d"]),
        ("while x:\n    a = 1", &["a"]),
        ("with x as a, y as (b, c):\n    d = 1", &["a", "b", "c", "d"]),
        (
            "try:\n    a = 1\nexcept E as e:\n    b = 1\nelse:\n    c = 1\nfinally:\n    d = 1",
            &["a", "b", "c", "d", "e"],
        ),
        (
            "match x:\n    case [a, *b]: ...\n    case {'k': c, **d}: ...\n    case P(e) as f: g = 1",
            &["a", "b", "c", "d", "e", "f", "g"],
        ),
        ("if x:\n    if y:\n        a = 1\n    elif z:\n        b = 1\nelse:\n    c = 1", &["a", "b", "c"]),
        ("type A = int", &["A"]),
        ("import a.b, c as d", &["a", "d"]),
        ("from a import b, c as d", &["b", "d"]),
        ("def f():\n    global a\n    a = 1\n    b = 2", &["a", "f"]),
        ("class C:\n    global a\n    a = 1", &["C", "a"]),
        ("def f():\n    global g\n    def g(): ...", &["f", "g"]),
        ("a = 1\ndel a", &[]),
        ("a = 1\nif x:\n    del a", &["a"]),
        ("a = 1\ndel a\na = 2", &["a"]),
        ("def f():\n    global a\n    a = 1\ndel a", &["a", "f"]),
        ("[a for a in b]\nlambda c: c", &[]),
    ];
    for (source, expected) in cases {
        assert_eq!(&names(source), expected, "{source}");
    }
}

#[test]
fn definitions_win_over_imports_and_type_checking_is_noted() {
    let facts = facts(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import a\n    import b\nelse:\n    b = 1\n",
    );
    assert!(facts.names["a"].typing_only);
    assert!(!facts.names["b"].typing_only);
    assert_eq!((facts.names["b"].kind, facts.names["b"].line), (BindingKind::Variable, 6));
}

#[test]
fn all_is_read_from_its_literal_forms() {
    let listed = |names: &[&str]| Exports::Listed(names.iter().map(ToString::to_string).collect());
    let cases = [
        ("x = 1", Exports::Absent),
        ("__all__ = ['a', 'b']", listed(&["a", "b"])),
        ("__all__: list[str] = ['a']", listed(&["a"])),
        ("__all__ = ('a',) + ('b',)", listed(&["a", "b"])),
        ("__all__ = ['a']\n__all__ += ['b']", listed(&["a", "b"])),
        ("__all__ = ['a']\n__all__.extend(('b', 'c'))\n__all__.append('d')", listed(&["a", "b", "c", "d"])),
        ("__all__ = ['a'] + m.__all__", Exports::Computed),
        ("__all__ = []\nif x:\n    __all__ += ['a']", Exports::Computed),
        ("__all__ = ['a']\n__all__.remove('a')", Exports::Computed),
        ("__all__, x = y", Exports::Computed),
    ];
    for (source, expected) in cases {
        assert_eq!(facts(source).exports, expected, "{source}");
    }
}

#[test]
fn modules_that_make_names_at_run_time_are_open() {
    for source in [
        "globals()['a'] = 1",
        "globals().update(x)",
        "def f():\n    globals()['a'] = 1",
        "exec(code)",
        "exec(code, globals())",
        "locals()['a'] = 1",
        "vars()['a'] = 1",
        "def __getattr__(name): ...",
        "__getattr__, __dir__ = attach(x)",
        "import sys\nsys.modules[__name__] = X()",
        "import sys\nsetattr(sys.modules[__name__], n, 1)",
        "import sys\nsys.modules[__name__].__class__ = M",
        "import sys\nm = sys.modules[__name__]",
        "IntEnum._convert_('A', __name__, f)",
        "install(__name__)",
        "@global_enum\nclass E: ...",
        "x = (",
    ] {
        assert!(facts(source).open.names, "{source}");
    }
    for source in [
        "x = globals()['a']",
        "x = globals().get('a')",
        "if 'a' in globals(): ...",
        "x = '%(a)s' % globals()",
        "f(**globals())",
        "m = __import__(name, globals(), locals(), ['x'])",
        "def f():\n    exec(code)\n    locals()['a'] = 1",
        "log = getLogger(__name__)",
        "x = getattr(sys.modules[__name__], 'a')",
        "class C:\n    def __getattr__(self, n): ...",
    ] {
        assert!(!facts(source).open.names, "{source}");
    }
    assert!(facts("__path__ = extend_path(__path__, __name__)").open.children);
    assert!(facts("__path__.append(x)").open.children);
    assert!(facts("import sys\nsys.modules[f'{x}.y'] = z").open.importer);
    assert!(facts("import sys\nsys.modules[f'{__name__}.y'] = z").open.children);
    assert_eq!(facts("import sys\nsys.modules['a.' + x] = z").injected, ["a.*"]);
    assert!(facts("import sys\nsys.meta_path.append(x)").open.importer);
    let patcher = "class B:\n    def export(cls):\n        setattr(sys.modules[cls.__module__], name, cls)\n";
    assert_eq!(facts(patcher).patchers, ["B", "export"]);
    assert_eq!(facts("def f():\n    sys._getframe(1).f_globals['x'] = 1").patchers, ["f"]);
    assert!(facts("def f():\n    return sys._getframe(1).f_globals['__name__']").patchers.is_empty());
    assert_eq!(facts("@B.export\nclass C: ...\ninstall()\ndef f(): g()").calls, ["export", "install"]);
    assert_eq!(facts("import sys\nsys.modules['a.b'] = z").injected, ["a.b"]);
    assert_eq!(
        facts("ext_modules = [Extension('p._fast', s), RustExtension(name='p.rs')]").built,
        ["p._fast", "p.rs"]
    );
}

#[test]
fn a_getattr_that_shows_its_names_answers_only_those() {
    let answered = [
        "def __getattr__(name):\n    if name == 'x':\n        return load(name)\n    raise AttributeError(name)",
        "def __getattr__(name):\n    if name not in ('x', 'y'):\n        raise AttributeError(name)\n    return import_module(name)",
        "_old = {'x': 1}\ndef __getattr__(n):\n    if n in _old:\n        return _old[n]\n    raise AttributeError(n)",
        "def __getattr__(n):\n    if n == 'y':\n        return 1\n    elif 'x' == n:\n        return n\n    raise AttributeError",
    ];
    for source in answered {
        assert!(!facts(source).open.names && facts(source).names.contains_key("x"), "{source}");
    }
    let open = [
        "def __getattr__(name): return load(name)",
        "def __getattr__(name):\n    if name == 'x':\n        return 1\n    return load(name)",
        "def __getattr__(name):\n    if name in known():\n        return 1\n    raise AttributeError",
        "old = {'x': 1}\nold.update(y)\ndef __getattr__(n):\n    if n in old:\n        return old[n]\n    raise AttributeError",
        "def __getattr__(name):\n    if name != 'x':\n        warn()\n    return load(name)",
    ];
    for source in open {
        assert!(facts(source).open.names, "{source}");
    }
}

#[test]
fn imports_keep_their_form_and_place() {
    let plain = import("import a.b as c");
    assert_eq!((plain.form, &*plain.module, plain.alias.as_deref()), (ImportForm::Plain, "a.b", Some("c")));
    let from = import("x = 1\nfrom ..a import (\n    b,\n)");
    assert_eq!(
        (from.form, from.level, &*from.module, from.name.as_deref()),
        (ImportForm::From, 2, "a", Some("b"))
    );
    assert_eq!((from.at.line, from.at.column), (3, 5));
    assert_eq!(import("from . import *").form, ImportForm::Star);
    assert_eq!(import("importlib.import_module('a.b')").form, ImportForm::Call);
    let relative = import("import_module('..a', __package__)");
    assert_eq!((relative.level, &*relative.module), (2, "a"));
    for nothing in [
        "from __future__ import annotations",
        "import_module(name)",
        "import_module('.a', package=x)",
        "import_module('a b')",
    ] {
        assert!(facts(nothing).imports.is_empty(), "{nothing}");
    }
}

#[test]
fn guards_are_told_apart() {
    let cases = [
        ("import a", Guard::None, Scope::Module),
        ("if x:\n    import a", Guard::None, Scope::Conditional),
        ("def f():\n    import a", Guard::None, Scope::Function),
        ("class C:\n    import a", Guard::None, Scope::Module),
        ("try:\n    import a\nexcept ImportError: ...", Guard::Handled, Scope::Module),
        ("try:\n    import a\nexcept (KeyError, ModuleNotFoundError): ...", Guard::Handled, Scope::Module),
        ("try:\n    import a\nexcept Exception as e: ...", Guard::Handled, Scope::Module),
        ("try:\n    import a\nexcept: ...", Guard::Handled, Scope::Module),
        ("try: ...\nexcept ImportError:\n    import a", Guard::Handled, Scope::Conditional),
        ("try:\n    import a\nexcept KeyError: ...", Guard::None, Scope::Module),
        ("try: ...\nexcept ImportError: ...\nelse:\n    import a", Guard::None, Scope::Conditional),
        ("try:\n    import a\nfinally: ...", Guard::None, Scope::Module),
        ("try:\n    def f():\n        import a\nexcept ImportError: ...", Guard::None, Scope::Function),
        ("with suppress(ImportError):\n    import a", Guard::Suppressed, Scope::Module),
        ("with pytest.raises(builtins.ImportError):\n    import a", Guard::Suppressed, Scope::Module),
        ("with open(f):\n    import a", Guard::None, Scope::Module),
        ("if sys.version_info >= (3, 8):\n    import a", Guard::Platform, Scope::Conditional),
        ("if x: ...\nelif os.name == 'nt':\n    import a", Guard::Platform, Scope::Conditional),
        ("if sys.platform == 'win32': ...\nelse:\n    import a", Guard::Platform, Scope::Conditional),
        ("if TYPE_CHECKING:\n    import a", Guard::TypeChecking, Scope::Conditional),
        ("if typing.TYPE_CHECKING: ...\nelse:\n    import a", Guard::None, Scope::Module),
        ("if not TYPE_CHECKING:\n    import a", Guard::None, Scope::Module),
        ("if False:\n    import a", Guard::Unreachable, Scope::Conditional),
        ("raise SkipTest\nimport a", Guard::Unreachable, Scope::Module),
        ("pytest.skip('x', allow_module_level=True)\nimport a", Guard::Unreachable, Scope::Module),
    ];
    for (source, guard, scope) in cases {
        let import = import(source);
        assert_eq!((import.guard, import.scope), (guard, scope), "{source}");
    }
}

#[test]
fn attribute_uses_are_kept_only_where_the_name_is_certain() {
    let uses = |source: &str| facts(source).uses.into_iter().map(|used| used.chain).collect::<Vec<_>>();
    assert_eq!(uses("import a.b\na.b.c()\na.b.c()\n"), ["b.c"]);
    assert_eq!(uses("from a import b\ndef f(): return b.c.d"), ["c.d"]);
    for source in [
        "import a\na = 1\na.b",
        "import a\ndef f(a): a.b",
        "try:\n    import a\nexcept ImportError:\n    import c as a\na.b",
        "import a\nif hasattr(a, 'b'): a.b",
        "import a\nfrom x import *\na.b",
        "import a\ndef f(x: a.b): ...",
        "b = 1\nb.c",
    ] {
        assert!(uses(source).is_empty(), "{source}: {:?}", uses(source));
    }
    let scoped = "import a\ndef f(a): a.b\ndef g(): a.c\ndef h():\n    from x import a\n    a.d\n";
    assert_eq!(uses(scoped), ["c", "d"]);
    assert_eq!(facts(scoped).uses[1].import, 1);
    assert_eq!(facts("import a\na.b = 1\nsetattr(a.c, x, 1)").writes.len(), 2);
}

#[test]
fn symbols_list_the_parts_of_a_module() {
    let facts =
        facts("X = 1\nclass C:\n    class D:\n        async def m(self): ...\n\n@d\ndef f():\n    y = 1\n");
    let symbols: Vec<_> =
        facts.symbols.iter().map(|s| (&*s.qualified_name, s.kind, s.line, s.end_line)).collect();
    assert_eq!(
        symbols,
        [
            ("X", SymbolKind::Variable, 1, 1),
            ("C", SymbolKind::Class, 2, 4),
            ("C.D", SymbolKind::Class, 3, 4),
            ("C.D.m", SymbolKind::AsyncMethod, 4, 4),
            ("f", SymbolKind::Function, 7, 8),
        ]
    );
}

#[test]
fn the_rest_of_a_file_with_syntax_errors_is_used() {
    let facts = facts("import a\ndef f(:\n    pass\nfrom b import c\nx = 1\n");
    assert_eq!(facts.reading, Reading::Partly);
    assert_eq!(facts.imports.len(), 2);
    assert!(facts.open.names && facts.names.contains_key("x"));
    let conflict = self::facts("<<<<<<< ours\nfrom a import b\n=======\nfrom c import d\n>>>>>>> theirs\n");
    assert_eq!(conflict.reading, Reading::Partly);
}

#[test]
fn damaged_imports_are_not_guessed() {
    for source in ["from {{ a }}.b import c\n", "import a.\n", "from a import\n", "from a. import b\n"] {
        assert!(facts(source).imports.is_empty(), "{source}: {:?}", facts(source).imports);
    }
}

#[test]
fn other_encodings_never_fail() {
    let latin = extract("m.py", b"# coding: latin-1\nimport a\nx = '\xe9'\n");
    assert_eq!((latin.reading, latin.imports.len()), (Reading::Whole, 1));
    let garbage = extract("m.py", b"import a\nx = '\xe9'\n");
    assert_eq!((garbage.reading, garbage.imports.len()), (Reading::Partly, 1));
    assert_eq!(extract("m.py", b"\xff\xfei\0m\0").reading, Reading::Not);
    assert_eq!(extract("m.py", b"\xef\xbb\xbfimport a\n").imports.len(), 1);
    assert_eq!(extract("m.py", b"").reading, Reading::Whole);
}

#[test]
fn deep_nesting_costs_neither_stack_nor_the_rest_of_the_file() {
    let n = 100_000;
    let deep = [
        "(".repeat(n),
        "[".repeat(n),
        "x = a".to_owned() + &".b".repeat(n),
        "x = f".to_owned() + &"()".repeat(n),
        "x = 1".to_owned() + &" + 1".repeat(n),
        "x = ".to_owned() + &"-".repeat(n) + "1",
        "x = ".to_owned() + &"not ".repeat(n) + "1",
        "x = ".to_owned() + &"lambda a, b: ".repeat(n) + "1",
        "x = ".to_owned() + &"1 if 2 else ".repeat(n) + "3",
        "x = ".to_owned() + &"{1: ".repeat(n),
        "x = ".to_owned() + &"f'{".repeat(n),
        "x = ".to_owned() + &"await ".repeat(n) + "y",
        "x = 1".to_owned() + &" ** 1".repeat(n),
        "if x: ".repeat(n),
        (0..2_000).map(|depth| " ".repeat(depth) + "if x:\n").collect(),
        "(\n".to_owned() + &(0..2_000).map(|depth| " ".repeat(depth) + "def f():\n").collect::<String>(),
        "@a\n".repeat(n),
        "match x:\n case ".to_owned() + &"[".repeat(n),
        "x = ".to_owned() + &"*".repeat(n) + "1",
        "async ".repeat(n),
        "x".to_owned() + &"[0]".repeat(n) + " = 1",
    ];
    for source in deep {
        let facts = facts(&format!("import a\n{source}\n"));
        assert_eq!(facts.imports.len(), 1, "{}", &source[..20]);
    }
}

#[test]
fn nesting_that_cpython_takes_is_read_whole() {
    let terms = "x = 1".to_owned() + &" + 1".repeat(2_000) + "\n";
    let brackets = "y = ".to_owned() + &"(".repeat(150) + &")".repeat(150) + "\n";
    let table = format!("z = [{}]\n", "('a', 1, f.g(2)),\n".repeat(20_000));
    assert_eq!(facts(&(terms + &brackets + &table)).reading, Reading::Whole);
}

#[test]
fn facts_survive_serialisation() {
    let facts = facts("import a.b\nfrom . import c\n__all__ = ['d']\ndef d(): a.b.e()\n");
    let text = serde_json::to_string(&facts).expect("facts are serialisable");
    assert_eq!(serde_json::from_str::<FileFacts>(&text).expect("and back"), facts);
}
