//! What those who administer a repository decide about it: part of its record, so that the object store keeps it.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::name::{BranchName, MAX_BRANCH_BYTES};

/// The longest list of protected branches.
pub const MAX_PROTECTIONS: usize = 100;
/// The most approvals that a merge can be made to need.
pub const MAX_REQUIRED_APPROVALS: u32 = 100;
/// The most stars of a pattern.
const MAX_STARS: usize = 8;

/// The settings of a repository. What an older record does not name has its default.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct RepositorySettings {
    /// What may not happen to branches. All that match a branch count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub protected_branches: Vec<BranchProtection>,
    /// How many people have to approve a proposal before it can be merged.
    pub required_approvals: u32,
    /// Whether commits that are pushed need a valid signature.
    pub require_signed_commits: bool,
    /// Whether commits and snapshots are taken whose ids no known formula gives.
    pub accept_opaque_ids: bool,
}

/// Settings that cannot be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum SettingsError {
    /// Too many protections.
    #[error("at most {MAX_PROTECTIONS} branches can be protected")]
    TooManyProtections,
    /// Too many approvals.
    #[error("at most {MAX_REQUIRED_APPROVALS} approvals can be required")]
    TooManyApprovals,
}

impl RepositorySettings {
    /// Whether they keep to their limits.
    ///
    /// # Errors
    /// [`SettingsError`] names the limit that they do not keep.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.protected_branches.len() > MAX_PROTECTIONS {
            return Err(SettingsError::TooManyProtections);
        }
        if self.required_approvals > MAX_REQUIRED_APPROVALS {
            return Err(SettingsError::TooManyApprovals);
        }
        Ok(())
    }

    /// What may not happen to a branch, by all patterns that match it; none where no pattern does.
    #[must_use]
    pub fn protection(&self, branch: &BranchName) -> Option<Protection> {
        let matching = self.protected_branches.iter().filter(|protected| protected.pattern.matches(branch));
        matching.map(|protected| protected.protection).reduce(Protection::and)
    }
}

/// Branches that are protected, and from what.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BranchProtection {
    /// Which.
    pub pattern: BranchPattern,
    /// From what.
    #[serde(flatten)]
    pub protection: Protection,
}

/// What may not happen to a branch.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Protection {
    /// It may not lose commits.
    pub refuse_force: bool,
    /// It may not be deleted or renamed.
    pub refuse_deletion: bool,
    /// It moves by the merge of a proposal only.
    pub refuse_direct_push: bool,
}

impl Default for Protection {
    /// What people mean who protect a branch and say no more: it loses nothing and stays.
    fn default() -> Self {
        Self { refuse_force: true, refuse_deletion: true, refuse_direct_push: false }
    }
}

impl Protection {
    const fn and(self, other: Self) -> Self {
        Self {
            refuse_force: self.refuse_force || other.refuse_force,
            refuse_deletion: self.refuse_deletion || other.refuse_deletion,
            refuse_direct_push: self.refuse_direct_push || other.refuse_direct_push,
        }
    }
}

/// Names branches: the name of one, in which each `*` stands for any characters, `/` included.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct BranchPattern(Box<str>);

/// A text is no pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a pattern of branches has 1 to {MAX_BRANCH_BYTES} bytes, at most {MAX_STARS} '*', and is the name of a branch with \
     each '*' put for a part of it"
)]
pub struct PatternError;

impl BranchPattern {
    /// Checks a pattern.
    ///
    /// # Errors
    /// [`PatternError`] where no branch can have a name like that.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        let stars = text.bytes().filter(|&byte| byte == b'*').count();
        // With a letter for each star it must be a name, so that nobody believes to protect what cannot be.
        let example = text.replace('*', "x");
        if stars > MAX_STARS || text.len() > MAX_BRANCH_BYTES || BranchName::parse(&example).is_err() {
            return Err(PatternError);
        }
        Ok(Self(text.into()))
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names a branch.
    #[must_use]
    pub fn matches(&self, branch: &BranchName) -> bool {
        let mut parts = self.0.split('*');
        let first = parts.next().unwrap_or_default();
        let Some(mut rest) = branch.as_str().strip_prefix(first) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        for part in parts {
            // The earliest place leaves most for what follows.
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for BranchPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for BranchPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for BranchPattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for BranchPattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::id::parse_text(deserializer, "a pattern of branches", Self::parse)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, branch: &str) -> bool {
        BranchPattern::parse(pattern).unwrap().matches(&BranchName::parse(branch).unwrap())
    }

    #[test]
    fn a_star_stands_for_any_characters() {
        for (pattern, branch) in [
            ("main", "main"),
            ("*", "a/b/c"),
            ("release/*", "release/1.0/hotfix"),
            ("*/stable", "a/b/stable"),
            ("a*b*c", "a-b-b-c"),
            ("a*b*c", "abc"),
            ("v*.*", "v1.0"),
            ("**", "x"),
        ] {
            assert!(matches(pattern, branch), "{pattern} {branch}");
        }
        for (pattern, branch) in [
            ("main", "main2"),
            ("main", "a/main"),
            ("release/*", "release"),
            ("aba*aba", "aba"),
            ("ab*ba", "aba"),
            ("a*b*c", "acb"),
            ("*.x", "x"),
        ] {
            assert!(!matches(pattern, branch), "{pattern} {branch}");
        }
    }

    #[test]
    fn a_pattern_is_refused_that_names_no_branch() {
        for bad in ["", "/", "a//b", "../*", "a\0", "*********", &"x".repeat(256)] {
            assert!(BranchPattern::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn settings_come_back_from_json_and_older_records_have_defaults() {
        let older: RepositorySettings = serde_json::from_str("{}").unwrap();
        assert_eq!(older, RepositorySettings::default());
        let text =
            r#"{"protected_branches":[{"pattern":"main","refuse_direct_push":true}],"required_approvals":2}"#;
        let settings: RepositorySettings = serde_json::from_str(text).unwrap();
        let expected = Protection { refuse_force: true, refuse_deletion: true, refuse_direct_push: true };
        let main = BranchName::parse("main").unwrap();
        assert_eq!(settings.protection(&main), Some(expected));
        let again = serde_json::from_str(&serde_json::to_string(&settings).unwrap()).unwrap();
        assert_eq!(settings, again);
    }

    #[test]
    fn all_protections_that_match_a_branch_count() {
        let of = |pattern, protection| BranchProtection {
            pattern: BranchPattern::parse(pattern).unwrap(),
            protection,
        };
        let none = Protection { refuse_force: false, refuse_deletion: false, refuse_direct_push: false };
        let settings = RepositorySettings {
            protected_branches: vec![
                of("*", Protection { refuse_force: true, ..none }),
                of("rel*", Protection { refuse_deletion: true, ..none }),
            ],
            ..RepositorySettings::default()
        };
        let protection = |name| settings.protection(&BranchName::parse(name).unwrap()).unwrap();
        assert_eq!(protection("main"), Protection { refuse_force: true, ..none });
        assert_eq!(protection("rel/1"), Protection { refuse_force: true, refuse_deletion: true, ..none });
        assert_eq!(RepositorySettings::default().protection(&BranchName::parse("main").unwrap()), None);
    }
}
