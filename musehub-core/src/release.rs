//! Releases and tags: names that people give to commits. No id covers them, so the database alone holds them.

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value};

use crate::id::CommitId;
use crate::name::{Handle, RepoId};
use crate::port::Timestamp;

/// The longest tag of a release, in bytes.
pub const MAX_RELEASE_TAG_BYTES: usize = 128;
/// The longest label of a tag, in bytes.
pub const MAX_LABEL_BYTES: usize = 255;

/// A version: what a release is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SemVer {
    /// Changes that break.
    pub major: u64,
    /// Changes that add.
    pub minor: u64,
    /// Changes that mend.
    pub patch: u64,
    /// What stands behind `-`; empty where nothing does.
    pub pre: String,
    /// What stands behind `+`; empty where nothing does.
    pub build: String,
}

/// A text is no version.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a release is called by a version, as v1.2.3, 1.2.3-beta.1 or 1.2.3+build, of at most {MAX_RELEASE_TAG_BYTES} bytes"
)]
pub struct ReleaseTagError;

/// The tag of a release: a version, perhaps with a `v` in front.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReleaseTag(Box<str>);

impl ReleaseTag {
    /// Checks a tag.
    ///
    /// # Errors
    /// [`ReleaseTagError`] where it is no version.
    pub fn parse(text: &str) -> Result<Self, ReleaseTagError> {
        if text.len() > MAX_RELEASE_TAG_BYTES {
            return Err(ReleaseTagError);
        }
        version(text).map(|_| Self(text.into())).ok_or(ReleaseTagError)
    }

    /// The tag as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The version that it says.
    #[must_use]
    pub fn version(&self) -> SemVer {
        version(&self.0).expect("a tag was checked when it was made")
    }
}

impl fmt::Display for ReleaseTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ReleaseTag {
    type Err = ReleaseTagError;

    fn from_str(text: &str) -> Result<Self, ReleaseTagError> {
        Self::parse(text)
    }
}

/// `v? MAJOR.MINOR.PATCH (-pre)? (+build)?`: numbers without leading zeros, words of letters, digits and `-` joined by dots.
fn version(text: &str) -> Option<SemVer> {
    let text = text.strip_prefix('v').unwrap_or(text);
    let (text, build) = text.split_once('+').map_or((text, None), |(text, build)| (text, Some(build)));
    let (numbers, pre) = text.split_once('-').map_or((text, None), |(text, pre)| (text, Some(pre)));
    let number = |digits: &str| {
        let plain = digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        digits.parse::<u64>().ok().filter(|_| plain)
    };
    let words = |text: Option<&str>| {
        let word =
            |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        match text {
            None => Some(String::new()),
            Some(text) => text.split('.').all(word).then(|| text.to_owned()),
        }
    };
    let mut numbers = numbers.split('.').map(number);
    let version = SemVer {
        major: numbers.next()??,
        minor: numbers.next()??,
        patch: numbers.next()??,
        pre: words(pre)?,
        build: words(build)?,
    };
    numbers.next().is_none().then_some(version)
}

/// Whom a release is for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Channel {
    /// Everybody.
    Stable,
    /// Those who try what is nearly done.
    Beta,
    /// Those who try what is begun.
    Alpha,
    /// Those who take what there is.
    Nightly,
}

/// A word names no channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a channel is one of stable, beta, alpha and nightly")]
pub struct ChannelError;

impl Channel {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Stable, Self::Beta, Self::Alpha, Self::Nightly];

    /// Its stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Beta => "beta",
            Self::Alpha => "alpha",
            Self::Nightly => "nightly",
        }
    }

    /// The channel that a version is for where nobody says: the one that its pre-release begins with, else stable.
    #[must_use]
    pub fn of(version: &SemVer) -> Self {
        let pre = version.pre.to_ascii_lowercase();
        let named = [Self::Alpha, Self::Beta, Self::Nightly];
        named.into_iter().find(|channel| pre.starts_with(channel.as_str())).unwrap_or(Self::Stable)
    }
}

impl FromStr for Channel {
    type Err = ChannelError;

    fn from_str(word: &str) -> Result<Self, ChannelError> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == word).ok_or(ChannelError)
    }
}

/// A release of a repository.
#[derive(Clone, PartialEq, Debug)]
pub struct Release {
    /// What it is called; a repository has one of each name.
    pub tag: ReleaseTag,
    /// Whom it is for.
    pub channel: Channel,
    /// Whether it is not published yet.
    pub is_draft: bool,
    /// The commit that is released.
    pub commit: CommitId,
    /// Who published it.
    pub publisher: Handle,
    /// When it came.
    pub created_at: Timestamp,
    /// Everything that is said about it, as its publisher's client says it.
    pub record: Map<String, Value>,
}

/// A text is no label.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("a tag has 1 to {MAX_LABEL_BYTES} bytes, no control character, and no white space at its ends")]
pub struct LabelError;

/// Checks the label of a tag: any text of 1 to [`MAX_LABEL_BYTES`] without control characters and white space at its ends.
///
/// # Errors
/// [`LabelError`] for any other.
pub fn check_label(text: &str) -> Result<(), LabelError> {
    let fits = (1..=MAX_LABEL_BYTES).contains(&text.len()) && text.trim() == text;
    if fits && !text.chars().any(char::is_control) { Ok(()) } else { Err(LabelError) }
}

/// A label that somebody gave to a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommitTag {
    /// The label.
    pub label: String,
    /// The commit.
    pub commit: CommitId,
    /// The id that its client gave it; the hub's own where the hub made it.
    pub tag_id: String,
    /// When it was made, as its client says it.
    pub created_at: String,
    /// Who brought or made it.
    pub tagger: Handle,
}

/// The longest id and the longest time of a tag, in bytes.
pub const MAX_TAG_TEXT_BYTES: usize = 64;

/// A tag that is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TagError {
    /// The label is none.
    #[error(transparent)]
    Label(#[from] LabelError),
    /// The id or the time is too long, or holds a NUL.
    #[error("'tag_id' and 'created_at' have at most {MAX_TAG_TEXT_BYTES} bytes")]
    Text,
}

impl CommitTag {
    /// A tag as a client sends it: none where its label is blank. One that brings no id gets one.
    ///
    /// # Errors
    /// [`TagError`].
    pub fn accept(
        label: &str,
        commit: CommitId,
        tag_id: String,
        created_at: String,
        tagger: Handle,
    ) -> Result<Option<Self>, TagError> {
        let label = label.trim();
        if label.is_empty() {
            return Ok(None);
        }
        check_label(label)?;
        if [&tag_id, &created_at].iter().any(|text| text.len() > MAX_TAG_TEXT_BYTES || text.contains('\0')) {
            return Err(TagError::Text);
        }
        let tag_id = if tag_id.is_empty() { RepoId::random().as_str().to_owned() } else { tag_id };
        Ok(Some(Self { label: label.to_owned(), commit, tag_id, created_at, tagger }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_client() {
        for (text, version) in [
            ("v1.2.3", (1, 2, 3, "", "")),
            ("0.0.0", (0, 0, 0, "", "")),
            ("v0.2.0-beta.1", (0, 2, 0, "beta.1", "")),
            ("1.2.3-rc.01+build.5-x", (1, 2, 3, "rc.01", "build.5-x")),
            ("1.2.3+a-b", (1, 2, 3, "", "a-b")),
            ("1.2.3--", (1, 2, 3, "-", "")),
        ] {
            let (major, minor, patch, pre, build) = version;
            let expected = SemVer { major, minor, patch, pre: pre.into(), build: build.into() };
            assert_eq!(ReleaseTag::parse(text).unwrap().version(), expected, "{text}");
        }
        let long = format!("1.2.3-{}", "a".repeat(MAX_RELEASE_TAG_BYTES));
        for bad in [
            "",
            "v",
            "1",
            "1.2",
            "1.2.3.4",
            "01.2.3",
            "1.2.3-",
            "1.2.3+",
            "1.2.3-a..b",
            "1.2.3-é",
            "1.2.x",
            "V1.2.3",
            "1.2.3 ",
            "1.-2.3",
            "99999999999999999999.0.0",
            "1.2.3-a+b+c",
            "1.2.3/..",
            &long,
        ] {
            assert_eq!(ReleaseTag::parse(bad), Err(ReleaseTagError), "{bad:?}");
        }
    }

    #[test]
    fn a_version_tells_its_channel() {
        for (tag, channel) in [
            ("1.0.0", Channel::Stable),
            ("1.0.0-rc.1", Channel::Stable),
            ("1.0.0-Beta.1", Channel::Beta),
            ("1.0.0-alpha", Channel::Alpha),
            ("1.0.0-nightly.5", Channel::Nightly),
        ] {
            assert_eq!(Channel::of(&ReleaseTag::parse(tag).unwrap().version()), channel, "{tag}");
        }
        for channel in Channel::ALL {
            assert_eq!(channel.as_str().parse(), Ok(channel));
        }
        assert_eq!("Stable".parse::<Channel>(), Err(ChannelError));
    }

    #[test]
    fn a_label_is_one_line_of_any_text() {
        for good in ["v1.0", "emotion:joyful", "a/b c", "größe 🎵", "..", &"x".repeat(MAX_LABEL_BYTES)] {
            assert_eq!(check_label(good), Ok(()), "{good:?}");
        }
        for bad in ["", " ", " a", "a\t", "a\nb", "a\0", "\u{7f}", &"é".repeat(128)] {
            assert_eq!(check_label(bad), Err(LabelError), "{bad:?}");
        }
    }
}
