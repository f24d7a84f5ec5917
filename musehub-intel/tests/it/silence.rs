//! Imports that may succeed are never reported.

use super::{findings, reports, silent};

const PKG: (&str, &str) = ("pkg/__init__.py", "");

#[test]
fn the_standard_library_and_other_packages_are_not_ours() {
    silent(&[
        PKG,
        (
            "pkg/a.py",
            "import os, json.gone, numpy.gone\nfrom collections import Gone\nfrom django.x import y",
        ),
    ]);
}

#[test]
fn a_folder_named_like_a_standard_module_proves_nothing() {
    silent(&[
        ("test/__init__.py", ""),
        ("test/a.py", "from test.support import x\nimport queue"),
        ("queue.py", ""),
    ]);
    silent(&[("types/__init__.py", ""), ("app.py", "from types import SimpleNamespace")]);
}

#[test]
fn submodules_are_attributes_of_their_package() {
    silent(&[
        PKG,
        ("pkg/mod.py", "x = 1"),
        ("pkg/sub/__init__.py", ""),
        ("pkg/data/table.csv", ""),
        ("app.py", "from pkg import mod, sub, data\nimport pkg.sub, pkg.data\nimport pkg\npkg.mod.x"),
    ]);
}

#[test]
fn reexports_and_star_imports_provide_names() {
    silent(&[
        ("pkg/__init__.py", "from .a import f\nfrom .b import *\nfrom . import c as d"),
        ("pkg/a.py", "def f(): ..."),
        ("pkg/b.py", "from .c import *"),
        ("pkg/c.py", "g = 1"),
        ("app.py", "from pkg import f, g, d, a, b"),
    ]);
}

#[test]
fn a_star_import_from_elsewhere_may_bring_anything() {
    silent(&[
        PKG,
        ("pkg/a.py", "from numpy import *"),
        ("pkg/b.py", "from .a import *"),
        ("c.py", "from pkg.b import sin"),
    ]);
    silent(&[
        PKG,
        ("pkg/a.py", "try:\n    from ._fast import *\nexcept ImportError: ..."),
        ("c.py", "from pkg.a import x"),
    ]);
}

#[test]
fn dynamic_modules_are_believed() {
    for dynamic in [
        "def __getattr__(name): ...",
        "globals().update(load())",
        "for n in names:\n    globals()[n] = 1",
        "import sys\nsys.modules[__name__] = Lazy()",
        "import sys\nsetattr(sys.modules[__name__], 'x', 1)",
        "exec(open('x').read())",
        "old, new = recreate_module(__name__)",
        "import sys\nthis = sys.modules[__name__]\nthis.x = 1",
    ] {
        silent(&[PKG, ("pkg/a.py", dynamic), ("b.py", "from pkg.a import x\nimport pkg.a\npkg.a.x")]);
    }
}

#[test]
fn names_set_from_another_file_count() {
    silent(&[
        PKG,
        ("pkg/a.py", ""),
        ("pkg/setup.py", "import pkg.a\npkg.a.x = 1"),
        ("pkg/other.py", "from . import a\nsetattr(a, 'y', 1)"),
        ("b.py", "from pkg.a import x, y\nfrom pkg import a\na.x"),
    ]);
    silent(&[
        PKG,
        ("pkg/a.py", ""),
        ("c.py", "from pkg import a\nfor n in x: setattr(a, n, 1)"),
        ("b.py", "from pkg.a import y"),
    ]);
}

#[test]
fn decorators_that_write_into_their_caller_are_known() {
    let patch = "import sys\nclass Backend:\n    @staticmethod\n    def export(cls):\n        setattr(sys.modules[cls.__module__], 'Canvas', cls)\n";
    silent(&[
        PKG,
        ("pkg/bases.py", patch),
        ("pkg/agg.py", "from .bases import Backend\n@Backend.export\nclass _Agg: ..."),
        ("b.py", "from pkg.agg import Canvas"),
    ]);
}

#[test]
fn packages_that_change_their_path_have_unknown_submodules() {
    silent(&[
        ("pkg/__init__.py", "__path__ = __import__('pkgutil').extend_path(__path__, __name__)"),
        ("a.py", "import pkg.gone"),
    ]);
    silent(&[
        ("pkg/__init__.py", "import sys\nsys.meta_path.append(X())"),
        ("a.py", "from pkg.gone import x"),
    ]);
    silent(&[
        PKG,
        ("pkg/compat.py", "import sys\nsys.modules['pkg.compat.moves'] = x"),
        ("a.py", "from pkg.compat.moves import y"),
    ]);
    silent(&[
        PKG,
        ("pkg/six.py", "import sys\nsys.modules[__name__ + '.moves'] = x"),
        ("a.py", "from pkg.six.moves import y"),
    ]);
}

#[test]
fn compiled_and_generated_modules_are_believed() {
    for file in [
        "pkg/fast.pyx",
        "pkg/fast.c",
        "pkg/fast.cpython-311-x86_64-linux-gnu.so",
        "pkg/fast.pyd",
        "pkg/fast.py.in",
    ] {
        silent(&[
            PKG,
            (file, ""),
            ("a.py", "from pkg.fast import x\nimport pkg.fast\nfrom pkg import fast\nfast.y"),
        ]);
    }
    silent(&[PKG, ("src/lib.rs", ""), ("a.py", "from pkg import _native\nfrom pkg._core import x")]);
    silent(&[
        PKG,
        ("setup.py", "setup(ext_modules=[Extension('pkg.fast', [])])"),
        ("a.py", "from pkg.fast import x"),
    ]);
    silent(&[
        PKG,
        ("a.py", "from pkg._version import version\nfrom pkg.api_pb2 import X\nfrom pkg.version import v"),
    ]);
    let scm = ("pyproject.toml", "[tool.setuptools_scm]\nwrite_to = \"pkg/scm.py\"\n");
    silent(&[PKG, scm, ("a.py", "from pkg.scm import version")]);
    silent(&[PKG, (".gitignore", "*.pyc\n/pkg/made.py\n"), ("a.py", "from pkg.made import x")]);
    let plain = ("pyproject.toml", "[project]\nname = \"pkg\"\n");
    assert_eq!(findings(&[PKG, plain, ("a.py", "from pkg.version import v")]).len(), 1);
}

#[test]
fn stubs_stand_for_what_they_describe() {
    let user = ("a.py", "from pkg.fast import f, _hidden\nimport pkg.fast\nfrom pkg import fast");
    let stub = ("pkg/fast.pyi", "def f(): ...");
    silent(&[PKG, stub, ("src/lib.rs", ""), user]);
    silent(&[PKG, stub, (".gitignore", "/pkg/fast.py\n"), user]);
    silent(&[("pkg/__init__.pyi", ""), stub, user]);
    let beside = [PKG, ("pkg/a.py", "x = 1"), ("pkg/a.pyi", "y: int")];
    silent(&[&beside[..], &[("b.py", "from pkg.a import x"), ("c.pyi", "from pkg.a import x, y")]].concat());
    reports(
        &[&beside[..], &[("b.py", "from pkg.a import y")]].concat(),
        &["b.py:1 stale_import: imports 'y' from 'pkg.a', but pkg/a.py defines no such name"],
    );
}

#[test]
fn namespace_packages_may_have_parts_elsewhere() {
    silent(&[
        ("ns/a/__init__.py", ""),
        ("b.py", "import ns.other\nfrom ns.other.x import y\nfrom ns import other2"),
    ]);
    reports(
        &[("ns/a/__init__.py", ""), ("b.py", "from ns.a import gone")],
        &[
            "b.py:1 stale_import: imports 'gone' from 'ns.a', but ns/a/__init__.py defines no such name and no such module is beside it",
        ],
    );
}

#[test]
fn attribute_reads_stop_where_anything_may_be() {
    silent(&[
        ("pkg/__init__.py", "from .mod import mod\nfrom .other import thing as conf"),
        ("pkg/mod.py", "mod = object()"),
        ("pkg/other.py", "thing = object()"),
        ("pkg/conf.py", ""),
        ("a.py", "import pkg\npkg.mod.anything\npkg.conf.anything\nfrom pkg import mod\nmod.anything"),
        ("b.py", "import pkg.conf as c\ndef f(c): c.gone"),
        (
            "c.py",
            "import pkg.conf as c\nif hasattr(c, 'gone'): c.gone\ntry:\n    c.lost\nexcept AttributeError: ...",
        ),
        ("d.py", "import pkg.conf\npkg.conf.__file__\npkg.conf.__wrapped__"),
    ]);
}

#[test]
fn project_templates_are_not_python_yet() {
    silent(&[
        ("t/{{cookiecutter.name}}/__init__.py", ""),
        ("t/{{cookiecutter.name}}/a.py", "from .gone import x"),
    ]);
}

#[test]
fn unread_files_are_believed() {
    silent(&[
        PKG,
        ("pkg/a.py", "\u{0}"),
        ("pkg/b.py", "x = ("),
        ("c.py", "from pkg.a import x\nfrom pkg.b import y"),
    ]);
}

#[test]
fn modules_put_in_place_by_name_are_found_by_relative_imports_too() {
    silent(&[
        ("pkg/__init__.py", "import sys\nsys.modules['pkg.q'] = sys.modules['pkg.sub.r'] = x"),
        ("pkg/sub/__init__.py", ""),
        ("pkg/a.py", "from .q import x\nfrom .sub.r import y"),
        ("pkg/sub/b.py", "from ..q import x\nfrom .r import y"),
    ]);
}
