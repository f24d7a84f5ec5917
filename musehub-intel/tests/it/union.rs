//! The flat rule, kept for comparison: what it misses and what it reports wrongly.

use musehub_intel::{Policy, detect};

use super::snapshot;

fn flat(files: &[(&str, &str)]) -> Vec<String> {
    detect(&snapshot(files), Policy::NameUnion)
        .findings
        .into_iter()
        .map(|finding| finding.description)
        .collect()
}

#[test]
fn an_import_is_stale_when_neither_name_nor_module_is_known() {
    let files = [
        ("pkg/__init__.py", ""),
        ("pkg/a.py", "def f(): ...\nclass C:\n    def m(self): ..."),
        (
            "b.py",
            "from pkg.a import f, m\nfrom pkg.a import gone\nfrom pkg.lost import nothing\nimport pkg.a\nimport os",
        ),
    ];
    assert_eq!(
        flat(&files),
        [
            "imports 'nothing' but no symbol with that name exists in HEAD",
            "imports 'os' but no symbol with that name exists in HEAD",
        ]
    );
}
