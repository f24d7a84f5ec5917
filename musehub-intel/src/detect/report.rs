//! What a scan answers: findings, each with a sentence and a way out.

use serde::{Deserialize, Serialize};

use crate::facts::Guard;
use crate::history::Lack;

/// Which rule decides.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Every first-party import is resolved as CPython would.
    #[default]
    Resolved,
    /// Names and modules are looked up in two flat sets, for comparison: it misses most breakage and reports imports
    /// of other people's packages.
    NameUnion,
}

impl Policy {
    /// The name used on the command line.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::NameUnion => "name-union",
        }
    }
}

/// What kind of breakage a finding is. More kinds will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum IssueType {
    /// The module is there and the name is not, or the module is gone and the import does not always run.
    StaleImport,
    /// A module is gone, and importing the file fails for it.
    MissingModule,
    /// An attribute of an imported module is gone.
    MissingSymbol,
}

impl IssueType {
    /// Every kind there is.
    pub const ALL: [Self; 3] = [Self::StaleImport, Self::MissingModule, Self::MissingSymbol];

    /// The name kept in the index.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::StaleImport => "stale_import",
            Self::MissingModule => "missing_module",
            Self::MissingSymbol => "missing_symbol",
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(self) -> Severity {
        match self {
            Self::MissingModule => Severity::Error,
            Self::StaleImport | Self::MissingSymbol => Severity::Warning,
        }
    }
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Something will fail when it runs.
    Warning,
    /// The file cannot be imported.
    Error,
}

impl Severity {
    /// The name kept in the index.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

/// One thing that is broken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Its kind.
    pub issue_type: IssueType,
    /// Its severity, which follows from the kind.
    pub severity: Severity,
    /// The file that is broken.
    pub file_path: String,
    /// Line of the import or use, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// One sentence. The same breakage has the same sentence in every scan; lines and help are not part of it.
    pub description: String,
    /// The module as the source writes it, leading dots included.
    pub module: String,
    /// The name that is gone, unless the module is.
    pub name: Option<String>,
    /// What is missing, by its full dotted name: findings with one subject tell one story. Its last part is what `target`
    /// lacks.
    pub subject: String,
    /// The file or folder that should hold the missing name or module.
    pub target: Option<String>,
    /// What may be meant.
    pub help: Option<Help>,
    /// Why it is not counted; [`Guard::None`] for every finding that is.
    pub guard: Guard,
}

impl Finding {
    /// What is missing and where, as older trees are asked for it; `None` where no place should hold it.
    #[must_use]
    pub fn lack(&self) -> Option<Lack> {
        let name = self.subject.rsplit('.').next().unwrap_or_default();
        Some(Lack { holder: self.target.clone()?, name: name.to_owned() })
    }
}

/// What may be meant instead.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Help {
    /// The nearest name that exists in the same place.
    pub did_you_mean: Option<String>,
    /// The only other place that defines the name now.
    pub moved_to: Option<Place>,
}

/// Where something is defined.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The file.
    pub file_path: String,
    /// The line, from 1.
    pub line: u32,
}

impl std::fmt::Display for Help {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.moved_to, &self.did_you_mean) {
            (Some(place), _) => write!(f, "it is now in {}, line {}", place.file_path, place.line),
            (None, Some(name)) => write!(f, "did you mean '{name}'?"),
            (None, None) => Ok(()),
        }
    }
}

/// The answer of one scan.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What is broken, sorted by path, line and column.
    pub findings: Vec<Finding>,
    /// What would be broken but for a guard, in the same order; not counted.
    pub guarded: Vec<Finding>,
    /// Python files in the snapshot.
    pub files_scanned: usize,
    /// Of these, the ones with syntax errors or over a limit, read in part.
    pub files_partly_read: usize,
    /// Of these, the ones that could not be read at all.
    pub files_not_read: usize,
}

impl Report {
    /// Findings of one severity.
    #[must_use]
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}
