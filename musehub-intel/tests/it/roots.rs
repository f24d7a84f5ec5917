//! Where imports start from: source roots are found, not configured.

use super::{findings, reports, silent};

#[test]
fn src_layouts_are_found() {
    reports(
        &[
            ("pyproject.toml", ""),
            ("src/pkg/__init__.py", ""),
            ("src/pkg/a.py", "x = 1"),
            ("tests/test_a.py", "from pkg.a import x\nfrom pkg.a import gone\nimport pkg.lost"),
        ],
        &[
            "tests/test_a.py:2 stale_import: imports 'gone' from 'pkg.a', but src/pkg/a.py defines no such name",
            "tests/test_a.py:3 missing_module: imports 'pkg.lost', but src/pkg/ holds no module 'lost'",
        ],
    );
}

#[test]
fn several_projects_in_one_repository_see_each_other() {
    reports(
        &[
            ("one/pyproject.toml", ""),
            ("one/alpha/__init__.py", "x = 1"),
            ("two/setup.py", ""),
            ("two/src/beta/__init__.py", "from alpha import x\nfrom alpha import gone"),
            ("two/tests/test_b.py", "from beta import x\nfrom beta import lost"),
        ],
        &[
            "two/src/beta/__init__.py:2 stale_import: imports 'gone' from 'alpha', but one/alpha/__init__.py defines no such name and no such module is beside it",
            "two/tests/test_b.py:2 stale_import: imports 'lost' from 'beta', but two/src/beta/__init__.py defines no such name and no such module is beside it",
        ],
    );
}

#[test]
fn packages_of_the_same_name_are_told_apart_from_inside() {
    let files = |service: &'static str| {
        [(format!("{service}/app/__init__.py"), ""), (format!("{service}/app/m.py"), "")]
    };
    let mut all = [files("one"), files("two")].concat();
    all.push(("two/app/m2.py".to_owned(), "from app.m import only_one"));
    all[1].1 = "only_one = 1";
    let files: Vec<_> = all.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    // `two/app` is in `sys.modules` as `app` when its own module runs.
    assert_eq!(findings(&files).len(), 1);
}

#[test]
fn scripts_see_their_neighbours() {
    reports(
        &[("tools/run.py", "import helper\nfrom helper import f, gone"), ("tools/helper.py", "def f(): ...")],
        &[
            "tools/run.py:2 stale_import: imports 'gone' from 'helper', but tools/helper.py defines no such name",
        ],
    );
    // Run as a script from inside the package, or not at all: unknown.
    silent(&[("pkg/__init__.py", ""), ("pkg/run.py", "from helper import gone"), ("pkg/helper.py", "")]);
}

#[test]
fn test_folders_are_import_roots_of_their_files() {
    reports(
        &[
            ("pyproject.toml", ""),
            ("tests/unit/deep/__init__.py", ""),
            ("tests/unit/deep/test_a.py", "from support import f\nfrom support import gone"),
            ("tests/unit/support.py", "f = 1"),
            ("tests/other/support.py", "g = 1"),
        ],
        &[
            "tests/unit/deep/test_a.py:2 stale_import: imports 'gone' from 'support', but tests/unit/support.py defines no such name",
        ],
    );
    // Another folder on the path may be the one meant.
    silent(&[
        ("tests/a/support.py", "f = 1"),
        ("tests/b/support.py", "g = 1"),
        ("tests/a/test_a.py", "from support import g"),
    ]);
}

#[test]
fn folders_named_like_well_known_packages_prove_nothing() {
    silent(&[
        ("tests/contrib/flask/__init__.py", ""),
        ("tests/contrib/test_x.py", "from flask import Flask"),
    ]);
    silent(&[
        ("requirements.txt", "Unusual_Thing>=1\n"),
        ("t/unusual_thing.py", ""),
        ("t/a.py", "from unusual_thing import x"),
    ]);
    silent(&[("docs/flask.py", ""), ("docs/conf.py", "import flask.json\nfrom flask import Flask")]);
    silent(&[("redis/dump.py", ""), ("app.py", "from redis import Redis")]);
}

#[test]
fn a_project_of_a_well_known_name_is_still_its_own() {
    reports(
        &[
            ("pyproject.toml", ""),
            ("src/flask/__init__.py", "from .app import Flask"),
            ("src/flask/app.py", ""),
            ("tests/test_flask.py", "from flask import Gone"),
            ("examples/flask/demo.py", ""),
        ],
        &[
            "src/flask/__init__.py:1 stale_import: imports 'Flask' from '.app', but src/flask/app.py defines no such name",
            "tests/test_flask.py:1 stale_import: imports 'Gone' from 'flask', but src/flask/__init__.py defines no such name and no such module is beside it",
        ],
    );
}

#[test]
fn vendored_copies_do_not_speak_for_the_package() {
    silent(&[
        ("pkg/__init__.py", ""),
        ("pkg/_vendor/__init__.py", ""),
        ("pkg/_vendor/lib/__init__.py", ""),
        ("app.py", "from lib import anything"),
    ]);
}

#[test]
fn folders_of_one_package_may_be_merged() {
    silent(&[
        ("src/pkg/__init__.py", ""),
        ("src/pkg/a.py", "from .made import x\nfrom pkg.made import y\nfrom . import made"),
        ("gen/pkg/__init__.py", ""),
        ("gen/pkg/made.py", "x = y = 1"),
    ]);
}

#[test]
fn relative_imports_work_by_folder() {
    silent(&[
        ("a/b/c.py", "from . import d\nfrom .d import x\nfrom ..e import y"),
        ("a/b/d.py", "x = 1"),
        ("a/e.py", "y = 1"),
    ]);
    silent(&[("my-app/__init__.py", ""), ("my-app/a.py", "from .b import x"), ("my-app/b.py", "x = 1")]);
    // The snapshot may itself be a package of something larger.
    silent(&[
        ("__init__.py", ""),
        ("a/__init__.py", "from ...other import x\nfrom .. import b"),
        ("b.py", ""),
    ]);
    silent(&[
        (
            "data/case.py",
            "from . import anything
from .gone import x",
        ),
        ("data/other.py", ""),
    ]);
    reports(
        &[
            ("a/b/c.py", "from .gone import x"),
            ("a/b/d.py", "from . import c"),
            ("a/b/e.py", "from .d import c"),
        ],
        &["a/b/c.py:1 missing_module: imports from '.gone', but a/b/ holds no module 'gone'"],
    );
}

#[test]
fn configured_roots_count() {
    reports(
        &[
            ("pyproject.toml", "[tool.setuptools.packages.find]\nwhere = [\"code\"]\n"),
            ("code/pkg/__init__.py", ""),
            ("tests/test_a.py", "from pkg import gone"),
        ],
        &[
            "tests/test_a.py:1 stale_import: imports 'gone' from 'pkg', but code/pkg/__init__.py defines no such name and no such module is beside it",
        ],
    );
}
