//! Imports that fail under CPython are reported, each with its kind, place, sentence and help.

use musehub_intel::{Finding, Policy, SnapshotBuilder, detect, extract};

use super::{report, reports};

const PKG: (&str, &str) = ("pkg/__init__.py", "");

#[test]
fn a_renamed_function_breaks_every_importer() {
    reports(
        &[
            PKG,
            ("pkg/mod.py", "def new_name(): ..."),
            ("pkg/a.py", "from pkg.mod import old_name"),
            ("pkg/b.py", "from .mod import old_name as x"),
            ("pkg/sub/__init__.py", "def f():\n    from ..mod import old_name"),
            ("app.py", "from pkg.mod import (\n    new_name,\n    old_name,\n)"),
        ],
        &[
            "app.py:3 stale_import: imports 'old_name' from 'pkg.mod', but pkg/mod.py defines no such name",
            "pkg/a.py:1 stale_import: imports 'old_name' from 'pkg.mod', but pkg/mod.py defines no such name",
            "pkg/b.py:1 stale_import: imports 'old_name' from '.mod', but pkg/mod.py defines no such name",
            "pkg/sub/__init__.py:2 stale_import: imports 'old_name' from '..mod', but pkg/mod.py defines no such name",
        ],
    );
}

#[test]
fn a_deleted_module_is_an_error_where_the_import_always_runs() {
    reports(
        &[
            PKG,
            ("pkg/a.py", "import pkg.gone"),
            ("pkg/b.py", "from .gone import x, y"),
            ("pkg/c.py", "def f():\n    from pkg import gone"),
            ("pkg/d.py", "if condition:\n    import pkg.gone.deep as g"),
            ("pkg/e.py", "from . import gone"),
            ("pkg/f.py", "import_module('pkg.gone')"),
        ],
        &[
            "pkg/a.py:1 missing_module: imports 'pkg.gone', but pkg/ holds no module 'gone'",
            "pkg/b.py:1 missing_module: imports from '.gone', but pkg/ holds no module 'gone'",
            "pkg/c.py:2 stale_import: imports 'gone' from 'pkg', but pkg/__init__.py defines no such name and no such module is beside it",
            "pkg/d.py:2 stale_import: imports 'pkg.gone.deep', but pkg/ holds no module 'gone'",
            "pkg/e.py:1 stale_import: imports 'gone' from '.', but pkg/__init__.py defines no such name and no such module is beside it",
            "pkg/f.py:1 stale_import: imports 'pkg.gone', but pkg/ holds no module 'gone'",
        ],
    );
}

#[test]
fn a_package_that_imports_its_own_lost_submodule_is_reported() {
    reports(
        &[("pkg/__init__.py", "from . import gone"), ("pkg/a.py", "from pkg import gone")],
        &[
            "pkg/__init__.py:1 stale_import: imports 'gone' from '.', but pkg/__init__.py defines no such name and no such module is beside it",
        ],
    );
}

#[test]
fn a_package_that_imports_from_itself_by_name_is_reported_too() {
    reports(
        &[
            ("pkg/__init__.py", "from pkg import gone, here\nimport os"),
            ("pkg/here.py", ""),
            ("a.py", "import pkg\npkg.here.x"),
        ],
        &[
            "a.py:2 missing_symbol: uses 'pkg.here.x', but pkg/here.py defines no such name",
            "pkg/__init__.py:1 stale_import: imports 'gone' from 'pkg', but pkg/__init__.py defines no such name and no such module is beside it",
        ],
    );
}

#[test]
fn a_module_is_no_package() {
    reports(
        &[PKG, ("pkg/mod.py", ""), ("pkg/a.py", "import pkg.mod.inner")],
        &["pkg/a.py:1 missing_module: imports 'pkg.mod.inner', but pkg/mod.py is a module, not a package"],
    );
}

#[test]
fn dots_above_the_top_level_package_are_reported() {
    reports(
        &[
            PKG,
            ("util.py", "x = 1"),
            ("pkg/a.py", "from .. import util"),
            ("pkg/b.py", "from ....far import x"),
        ],
        &[
            "pkg/a.py:1 missing_module: imports from '..', which leads above the top-level package",
            "pkg/b.py:1 missing_module: imports from '....far', which leads above the top-level package",
        ],
    );
}

#[test]
fn star_imports_hand_on_public_names_only() {
    reports(
        &[
            PKG,
            ("pkg/base.py", "def f(): ...\ndef _g(): ..."),
            ("pkg/listed.py", "__all__ = ['_h']\ndef _h(): ...\ndef i(): ..."),
            ("pkg/api.py", "from .base import *\nfrom .listed import *"),
            ("app.py", "from pkg.api import f, _h\nfrom pkg.api import _g\nfrom pkg.api import i"),
        ],
        &[
            "app.py:2 stale_import: imports '_g' from 'pkg.api', but pkg/api.py defines no such name",
            "app.py:3 stale_import: imports 'i' from 'pkg.api', but pkg/api.py defines no such name",
        ],
    );
}

#[test]
fn star_imports_are_followed_through_cycles() {
    reports(
        &[
            PKG,
            ("pkg/a.py", "from .b import *\nx = 1"),
            ("pkg/b.py", "from .a import *\ny = 1"),
            ("app.py", "from pkg.a import x, y\nfrom pkg.a import z"),
        ],
        &["app.py:2 stale_import: imports 'z' from 'pkg.a', but pkg/a.py defines no such name"],
    );
}

#[test]
fn a_star_import_fails_on_a_stale_all() {
    reports(
        &[PKG, ("pkg/a.py", "__all__ = ['f', 'gone']\ndef f(): ..."), ("app.py", "from pkg.a import *")],
        &[
            "app.py:1 stale_import: imports '*' from 'pkg.a', whose __all__ lists 'gone', but pkg/a.py defines no such name",
        ],
    );
}

#[test]
fn names_bound_for_type_checkers_only_are_missing_at_run_time() {
    reports(
        &[
            PKG,
            ("pkg/a.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from x import T"),
            ("pkg/b.py", "from .a import T"),
            ("pkg/c.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .a import T"),
            ("pkg/d.pyi", "from .a import T"),
        ],
        &["pkg/b.py:1 stale_import: imports 'T' from '.a', but pkg/a.py defines it for type checkers only"],
    );
}

#[test]
fn deleted_names_are_gone() {
    reports(
        &[PKG, ("pkg/a.py", "x = 1\ndel x"), ("pkg/b.py", "from .a import x")],
        &["pkg/b.py:1 stale_import: imports 'x' from '.a', but pkg/a.py defines no such name"],
    );
}

#[test]
fn a_broken_reexport_is_reported_where_it_breaks_only() {
    reports(
        &[PKG, ("pkg/a.py", ""), ("pkg/b.py", "from .a import gone"), ("pkg/c.py", "from .b import gone")],
        &["pkg/b.py:1 stale_import: imports 'gone' from '.a', but pkg/a.py defines no such name"],
    );
}

#[test]
fn attributes_of_modules_are_checked() {
    reports(
        &[
            PKG,
            ("pkg/mod.py", "def f(): ..."),
            ("a.py", "import pkg.mod\npkg.mod.f()\npkg.mod.gone()\npkg.nothing"),
            ("b.py", "from pkg import mod as m\nm.f()\nm.gone.x\nm.gone()"),
            ("c.py", "import pkg.mod as m\ndef f():\n    m.gone()"),
        ],
        &[
            "a.py:3 missing_symbol: uses 'pkg.mod.gone', but pkg/mod.py defines no such name",
            "a.py:4 missing_symbol: uses 'pkg.nothing', but pkg/__init__.py defines no such name and no such module is beside it",
            "b.py:3 missing_symbol: uses 'm.gone', but pkg/mod.py defines no such name",
            "b.py:4 missing_symbol: uses 'm.gone', but pkg/mod.py defines no such name",
            "c.py:3 missing_symbol: uses 'm.gone', but pkg/mod.py defines no such name",
        ],
    );
}

#[test]
fn a_guarded_use_does_not_stand_for_a_later_one_without_a_guard() {
    let user = "import pkg.mod as m\ntry:\n    m.gone\nexcept AttributeError:\n    pass\nm.gone\nm.gone\n";
    let report = report(&[PKG, ("pkg/mod.py", ""), ("a.py", user)]);
    let lines = |found: &[Finding]| found.iter().map(|finding| finding.line).collect::<Vec<_>>();
    assert_eq!((lines(&report.findings), lines(&report.guarded)), (vec![6], vec![3]));
}

#[test]
fn a_stub_is_no_module_when_code_runs() {
    let stub = ("pkg/gone.pyi", "def f(): ...");
    let checked = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import gone\n    from .gone import f";
    let files = [
        ("pkg/__init__.py", "from . import gone"),
        stub,
        ("pkg/a.py", "from .gone import f"),
        ("pkg/b.pyi", "from .gone import f\nfrom . import gone"),
        ("pkg/c.py", checked),
        ("d.py", "import pkg.gone"),
    ];
    reports(
        &files,
        &[
            "d.py:1 missing_module: imports 'pkg.gone', but pkg/ holds no module 'gone'",
            "pkg/__init__.py:1 stale_import: imports 'gone' from '.', but pkg/__init__.py defines it for type checkers only",
            "pkg/a.py:1 missing_module: imports from '.gone', but pkg/ holds no module 'gone'",
        ],
    );
    assert!(report(&files).guarded.is_empty(), "checkers do find it");
}

/// The lines of findings, and how many files were read partly and not at all.
fn scanned(source: &[u8]) -> (Vec<u32>, usize, usize) {
    let mut snapshot = SnapshotBuilder::new();
    snapshot.python(PKG.0, extract(PKG.0, b"")).python("a.py", extract("a.py", source));
    let report = detect(&snapshot.build(), Policy::Resolved);
    let lines = report.findings.iter().map(|finding| finding.line).collect();
    (lines, report.files_partly_read, report.files_not_read)
}

#[test]
fn text_in_other_encodings_gives_no_findings_of_its_own() {
    // The second byte of the character is a backslash: misread, the text would not end where it does.
    let japanese =
        b"# coding: shift_jis\nx = '\x95\x5c'; y = '''\nfrom pkg import gone\n'''\nfrom pkg import lost\n";
    assert_eq!(scanned(japanese), (vec![5], 0, 0));
    let russian = b"# coding: cp1251\nx = '\xf4'\nfrom pkg import lost\n";
    assert_eq!(scanned(russian), (vec![3], 0, 0));
    // `+ACcAJwAn-` is three quotes: all that follows is text.
    let escaped = b"# coding: utf-7\nfrom pkg import lost\nx = +ACcAJwAn-\nfrom pkg import gone\n";
    assert_eq!(scanned(escaped), (vec![2], 1, 0));
    // What is not read may hold the handler.
    let unknown =
        b"# coding: cp437\ntry:\n    from pkg import gone\n    x = '\xe1'\nexcept ImportError: ...\n";
    assert_eq!(scanned(unknown), (vec![], 1, 0));
    let wide: Vec<u8> = "from pkg import gone\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_eq!(scanned(&wide), (vec![], 0, 1));
    assert_eq!(scanned(&[&b"\xff\xfe"[..], &wide].concat()), (vec![], 0, 1));
}

#[test]
fn guarded_breakage_is_classed_and_not_counted() {
    let report = report(&[
        PKG,
        ("pkg/a.py", "try:\n    import pkg.gone\nexcept ImportError:\n    pass"),
        ("pkg/b.py", "from contextlib import suppress\nwith suppress(ImportError):\n    from .gone import x"),
        ("pkg/c.py", "import sys\nif sys.platform == 'win32':\n    from . import _win"),
        ("pkg/d.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .gone import T"),
    ]);
    assert!(report.findings.is_empty(), "{:?}", report.findings);
    let guards: Vec<_> = report.guarded.iter().map(|f| (f.file_path.as_str(), f.guard.as_str())).collect();
    assert_eq!(
        guards,
        [
            ("pkg/a.py", "handled"),
            ("pkg/b.py", "suppressed"),
            ("pkg/c.py", "platform"),
            ("pkg/d.py", "type_checking")
        ]
    );
}

#[test]
fn help_names_the_nearest_name_and_the_new_home() {
    let report = report(&[
        PKG,
        ("pkg/a.py", "def parse(): ...\ndef other(): ..."),
        ("pkg/b.py", "x = 1\n\ndef moved(): ..."),
        ("pkg/sub/__init__.py", ""),
        ("pkg/sub/tools.py", ""),
        (
            "app.py",
            "from pkg.a import prase\nfrom pkg.a import moved\nfrom pkg.tools import x\nfrom pkg.a import nothing_like_it",
        ),
    ]);
    let help: Vec<_> = report.findings.iter().map(|f| f.help.as_ref().map(ToString::to_string)).collect();
    let help: Vec<_> = help.iter().map(Option::as_deref).collect();
    assert_eq!(
        help,
        [
            Some("did you mean 'parse'?"),
            Some("it is now in pkg/b.py, line 3"),
            Some("it is now in pkg/sub/tools.py, line 1"),
            None,
        ]
    );
}

#[test]
fn findings_carry_what_grouping_needs() {
    let report = report(&[PKG, ("pkg/a.py", ""), ("b.py", "x = 'é'; from pkg.a import gone")]);
    let finding = &report.findings[0];
    assert_eq!((finding.line, finding.column), (1, 28));
    assert_eq!((finding.module.as_str(), finding.name.as_deref()), ("pkg.a", Some("gone")));
    assert_eq!((finding.target.as_deref(), finding.subject.as_str()), (Some("pkg/a.py"), "pkg.a.gone"));
    assert_eq!(finding.severity.as_str(), "warning");
}

#[test]
fn one_missing_name_has_one_subject_however_it_is_asked_for() {
    let report = report(&[
        ("setup.py", ""),
        ("src/pkg/__init__.py", ""),
        ("src/pkg/sub/__init__.py", "from ..a import gone\nfrom .. import a\na.gone\nfrom ..lost import x"),
        ("src/pkg/a.py", ""),
        ("src/pkg/b.py", "import pkg.a as m\nm.gone()\nfrom . import lost\nimport pkg.lost.deep"),
        ("src/ns/c.py", "from . import d\nfrom . import e\nfrom . import f\nfrom . import lost"),
        ("src/ns/d.py", ""),
        ("src/ns/e.py", ""),
        ("src/ns/f.py", ""),
        ("tests/test_a.py", "from pkg.a import gone\nfrom pkg import lost"),
    ]);
    let mut subjects: Vec<_> = report.findings.iter().map(|finding| finding.subject.as_str()).collect();
    subjects.sort_unstable();
    let expected = [["ns.lost"; 1].as_slice(), &["pkg.a.gone"; 4], &["pkg.lost"; 4]].concat();
    assert_eq!(subjects, expected);
}

#[test]
fn files_with_syntax_errors_are_counted_and_their_imports_checked() {
    let report = report(&[
        PKG,
        ("pkg/a.py", "def f(:\n    pass\nx = 1\n"),
        ("pkg/b.py", "from .a import whatever\nfrom .c import gone\n"),
        ("pkg/c.py", ""),
        ("pkg/d.py", "from .c import gone\nclass (:\n"),
    ]);
    let at: Vec<_> = report.findings.iter().map(|f| (f.file_path.as_str(), f.line)).collect();
    assert_eq!(at, [("pkg/b.py", 2), ("pkg/d.py", 1)]);
    assert_eq!((report.files_scanned, report.files_partly_read, report.files_not_read), (5, 2, 0));
}
