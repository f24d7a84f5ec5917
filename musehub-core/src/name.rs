//! Names that people choose: branches, handles and slugs, and the random ids of repositories.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Why a text is no name.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// No branch name.
    #[error("'{}' is no branch name: {reason}", name.escape_default())]
    Branch {
        /// What was given.
        name: String,
        /// The rule that it breaks.
        reason: &'static str,
    },
    /// No handle or slug.
    #[error(
        "'{}' is no name: 1 to 64 of a-z, A-Z, 0-9, '-', '_' and '.', beginning and ending with a letter or digit",
        name.escape_default()
    )]
    Malformed {
        /// What was given.
        name: String,
    },
    /// A word that the hub's own routes begin with.
    #[error("'{name}' is reserved")]
    Reserved {
        /// What was given.
        name: String,
    },
    /// No repository id.
    #[error("a repository id is a UUID in lower-case text form")]
    RepoId,
}

macro_rules! text_name {
    ($(#[$doc:meta])* $name:ident, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks a name.
            ///
            /// # Errors
            /// [`NameError`] with the rule it breaks.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                $check(text)?;
                Ok(Self(text.into()))
            }

            /// The text of the name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::id::parse_text(deserializer, "a name", Self::parse)
            }
        }
    };
}

text_name!(
    /// The name of a branch: what the March 2026 client accepts, less what would make a client write outside its
    /// directory of refs.
    BranchName,
    check_branch
);
text_name!(
    /// The name of an identity: a person, an organisation or an agent.
    Handle,
    check_handle
);
text_name!(
    /// The name of a repository below its owner.
    Slug,
    check_slug
);
text_name!(
    /// The random id of a repository: a UUID. Renaming keeps it.
    RepoId,
    check_repo_id
);

impl BranchName {
    /// Whether one of the two is a directory of the other: clients keep a branch as a file, so such two cannot be side by
    /// side.
    #[must_use]
    pub fn is_in_the_way_of(&self, other: &Self) -> bool {
        let below =
            |upper: &str, lower: &str| lower.strip_prefix(upper).is_some_and(|rest| rest.starts_with('/'));
        below(self.as_str(), other.as_str()) || below(other.as_str(), self.as_str())
    }
}

impl RepoId {
    /// A new id.
    #[must_use]
    pub fn random() -> Self {
        Self(uuid::Uuid::new_v4().to_string().into())
    }
}

/// The longest branch name, in bytes.
pub const MAX_BRANCH_BYTES: usize = 255;

/// The longest handle or slug, in bytes.
pub const MAX_NAME_BYTES: usize = 64;

/// Owners that would shadow a route of the hub.
const RESERVED_HANDLES: &[&str] = &[
    "admin",
    "api",
    "assets",
    "explore",
    "favicon.ico",
    "health",
    "healthz",
    "help",
    "login",
    "logout",
    "metrics",
    "new",
    "o",
    "openapi.json",
    "readyz",
    "robots.txt",
    "search",
    "settings",
    "static",
    "well-known",
    "wire",
];

/// Slugs that would shadow a page of an owner.
const RESERVED_SLUGS: &[&str] = &["repositories", "settings"];

fn check_branch(name: &str) -> Result<(), NameError> {
    let refuse = |reason| Err(NameError::Branch { name: name.chars().take(80).collect(), reason });
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > MAX_BRANCH_BYTES {
        return refuse("it has more than 255 bytes");
    }
    if name.chars().any(|c| c.is_control() || c == '\\') {
        return refuse("it holds a control character or a back-slash");
    }
    if name.starts_with('/') || name.ends_with('/') || name.contains("//") {
        return refuse("it has an empty segment");
    }
    if name.starts_with('.') || name.ends_with('.') || name.contains("..") {
        return refuse("it begins or ends with '.' or holds '..'");
    }
    if name == "HEAD" || name.starts_with('-') {
        return refuse("it is HEAD or begins with '-'");
    }
    for segment in name.split('/') {
        if segment.starts_with('.') || segment.to_ascii_lowercase().ends_with(".lock") {
            return refuse("a segment begins with '.' or ends with '.lock'");
        }
        if segment.trim() != segment {
            return refuse("a segment begins or ends with a space");
        }
    }
    if name.as_bytes().get(1) == Some(&b':') && name.as_bytes()[0].is_ascii_alphabetic() {
        return refuse("it begins like a drive");
    }
    Ok(())
}

fn check_word(name: &str) -> Result<(), NameError> {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    let bytes = name.as_bytes();
    let well_formed = !bytes.is_empty()
        && bytes.len() <= MAX_NAME_BYTES
        && bytes.iter().copied().all(inner)
        && bytes[0].is_ascii_alphanumeric()
        && bytes[bytes.len() - 1].is_ascii_alphanumeric()
        && !name.contains("..");
    if well_formed { Ok(()) } else { Err(NameError::Malformed { name: name.chars().take(80).collect() }) }
}

fn check_reserved(name: &str, reserved: &[&str]) -> Result<(), NameError> {
    if reserved.iter().any(|word| word.eq_ignore_ascii_case(name)) {
        return Err(NameError::Reserved { name: name.to_owned() });
    }
    Ok(())
}

fn check_handle(name: &str) -> Result<(), NameError> {
    check_word(name)?;
    check_reserved(name, RESERVED_HANDLES)
}

fn check_slug(name: &str) -> Result<(), NameError> {
    check_word(name)?;
    check_reserved(name, RESERVED_SLUGS)
}

fn check_repo_id(id: &str) -> Result<(), NameError> {
    let well_formed = id.len() == 36
        && id.bytes().enumerate().all(|(at, b)| match at {
            8 | 13 | 18 | 23 => b == b'-',
            _ => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
        });
    if well_formed { Ok(()) } else { Err(NameError::RepoId) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branch_names_of_the_client_are_accepted() {
        let long = "b".repeat(255);
        for good in ["main", "feat/x", "a/b/c", "release-1.0", "héhé", "with space", "a@{b}", "x^y", &long]
        {
            assert!(BranchName::parse(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn branch_names_that_would_write_elsewhere_are_refused() {
        let long = "b".repeat(256);
        for bad in [
            "",
            &long,
            "../../x",
            "a/../b",
            ".hidden",
            "a/.b",
            "trailing.",
            "a..b",
            "a//b",
            "/a",
            "a/",
            "a\\b",
            "a\0b",
            "a\nb",
            "a\rb",
            "a\tb",
            "a\u{1b}b",
            "HEAD",
            "-x",
            "x.lock",
            "x/y.LOCK",
            "C:x",
            "a /b",
        ] {
            assert!(BranchName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn handles_and_slugs_keep_clear_of_routes() {
        for bad in ["api", "Health", "o", "static", "", "-a", "a-", "a b", "ü", "a/b", "a..b", "..", "."] {
            assert!(Handle::parse(bad).is_err(), "{bad:?}");
        }
        for good in ["alice", "muse-hub", "a_b.c", "A1", "0"] {
            assert!(Handle::parse(good).is_ok() && Slug::parse(good).is_ok(), "{good:?}");
        }
    }
}
