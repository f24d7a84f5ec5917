//! What is known of a merge before it is made.

use serde::{Deserialize, Serialize};

use super::{Conflicts, Outcome};

/// Whether two commits can be merged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mergeability {
    /// Both are the same commit.
    UpToDate,
    /// The target has all of the source: there is nothing to merge.
    Behind,
    /// The target can just be moved to the source.
    FastForward,
    /// They merge without conflict, but for those that the source wins.
    Clean,
    /// They do not.
    Conflicts(Conflicts),
    /// They have no commit in common.
    Unrelated,
}

impl Mergeability {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::UpToDate => "up_to_date",
            Self::Behind => "behind",
            Self::FastForward => "fast_forward",
            Self::Clean => "clean",
            Self::Conflicts(_) => "conflicts",
            Self::Unrelated => "unrelated",
        }
    }
}

impl From<Outcome> for Mergeability {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::UpToDate => Self::UpToDate,
            Outcome::Behind => Self::Behind,
            Outcome::FastForward => Self::FastForward,
            Outcome::Unrelated => Self::Unrelated,
            Outcome::Clean(_) => Self::Clean,
            Outcome::Conflicts(conflicts) => Self::Conflicts(conflicts),
        }
    }
}
