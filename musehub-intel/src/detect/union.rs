//! The rule that the breakage page began with: an import is stale when neither its name nor its module is known.
//!
//! It resolves nothing, so it is kept for comparison only.

use std::collections::HashSet;

use super::report::{Finding, IssueType};
use crate::facts::{Guard, Import, ImportForm};
use crate::snapshot::{File, Snapshot};

/// Every import of the snapshot against two flat sets.
pub(super) fn findings(snapshot: &Snapshot) -> Vec<Finding> {
    let mut symbols = HashSet::new();
    let mut modules = HashSet::new();
    for file in &snapshot.files {
        modules.insert(module_name(&file.path));
        for symbol in file.facts.iter().flat_map(|facts| &facts.symbols) {
            let name = &*symbol.qualified_name;
            symbols.insert(name);
            symbols.insert(name.rsplit('.').next().unwrap_or(name));
        }
    }
    let known = |name: &str, module: &str| symbols.contains(name) || modules.contains(module);
    let files = snapshot.files.iter();
    files.flat_map(|file| stale(file).filter(|finding| !known(name_of(finding), &finding.module))).collect()
}

fn name_of(finding: &Finding) -> &str {
    finding.name.as_deref().unwrap_or_default()
}

/// Every import statement of a file, phrased as if it were stale.
fn stale(file: &File) -> impl Iterator<Item = Finding> {
    let imports = file.facts.iter().flat_map(|facts| &facts.imports);
    imports.filter(|import| import.form != ImportForm::Call).map(|import| {
        let name = bound_name(import);
        Finding {
            issue_type: IssueType::StaleImport,
            severity: IssueType::StaleImport.severity(),
            file_path: file.path.clone(),
            line: import.at.line,
            column: import.at.column,
            description: format!("imports '{name}' but no symbol with that name exists in HEAD"),
            module: import.module.clone(),
            subject: if import.form == ImportForm::From {
                format!("{}.{name}", import.module)
            } else {
                name.clone()
            },
            name: Some(name),
            target: None,
            help: None,
            guard: Guard::None,
        }
    })
}

fn bound_name(import: &Import) -> String {
    match (&import.name, import.form) {
        (Some(name), _) => name.clone(),
        (None, ImportForm::Star) => "*".to_owned(),
        (None, _) => import.module.clone(),
    }
}

/// `pkg.mod` of `pkg/mod.py`, `pkg` of `pkg/__init__.py`.
fn module_name(path: &str) -> String {
    let stem = path.rsplit_once('.').map_or(path, |(stem, _)| stem);
    stem.strip_suffix("/__init__").unwrap_or(stem).replace('/', ".")
}
