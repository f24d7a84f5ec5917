//! The licences that a first commit can bring, by their SPDX identifiers.

use std::fmt;
use std::str::FromStr;

use crate::port::Timestamp;

/// A licence of the set that the hub knows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Licence {
    id: &'static str,
    text: &'static str,
}

/// No licence of the set.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no licence that this hub knows the text of; known are {}", Licence::ids().collect::<Vec<_>>().join(", "))]
pub struct UnknownLicence;

const fn licence(id: &'static str, text: &'static str) -> Licence {
    Licence { id, text }
}

/// Texts as their authors publish them; `{year}` and `{holder}` stand where theirs leaves a blank in the licence itself.
const KNOWN: &[Licence] = &[
    licence("0BSD", include_str!("licence/0BSD.txt")),
    licence("Apache-2.0", include_str!("licence/Apache-2.0.txt")),
    licence("BSD-2-Clause", include_str!("licence/BSD-2-Clause.txt")),
    licence("BSD-3-Clause", include_str!("licence/BSD-3-Clause.txt")),
    licence("CC0-1.0", include_str!("licence/CC0-1.0.txt")),
    licence("GPL-3.0-only", include_str!("licence/GPL-3.0.txt")),
    licence("GPL-3.0-or-later", include_str!("licence/GPL-3.0.txt")),
    licence("ISC", include_str!("licence/ISC.txt")),
    licence("MIT", include_str!("licence/MIT.txt")),
    licence("MPL-2.0", include_str!("licence/MPL-2.0.txt")),
    licence("Unlicense", include_str!("licence/Unlicense.txt")),
];

impl Licence {
    /// The identifiers of all, in order.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        KNOWN.iter().map(|licence| licence.id)
    }

    /// The SPDX identifier.
    #[must_use]
    pub const fn id(self) -> &'static str {
        self.id
    }

    /// The text, for the year of a moment (in UTC) and whoever holds the rights. Some texts name neither.
    #[must_use]
    pub fn text(self, at: Timestamp, holder: &str) -> String {
        let moment = at.to_string();
        let year = moment.split('-').next().expect("a split text has a first part");
        self.text.replace("{year}", year).replace("{holder}", holder)
    }
}

impl fmt::Display for Licence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl FromStr for Licence {
    type Err = UnknownLicence;

    /// Reads an identifier; SPDX compares them without regard to case.
    fn from_str(text: &str) -> Result<Self, UnknownLicence> {
        KNOWN.iter().find(|licence| licence.id.eq_ignore_ascii_case(text)).copied().ok_or(UnknownLicence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_licence_names_year_and_holder_and_leaves_no_blank() {
        let at = Timestamp::from_millis(1_774_008_000_000);
        for id in Licence::ids() {
            let licence: Licence = id.to_lowercase().parse().unwrap();
            assert_eq!(licence.id(), id);
            let text = licence.text(at, "Ann {year}");
            assert!(!text.contains("{holder}") && text.len() > 600 && text.ends_with('\n'), "{id}");
            let named = text.contains("2026 Ann {year}\n") || text.contains("2026, Ann {year}\n");
            let nameless =
                ["Apache-2.0", "CC0-1.0", "GPL-3.0-only", "GPL-3.0-or-later", "MPL-2.0", "Unlicense"];
            assert_eq!(named, !nameless.contains(&id), "{id}");
        }
    }

    #[test]
    fn an_unknown_licence_is_refused_with_the_known_ones() {
        for bad in ["", "mit ", "WTFPL", "MIT OR Apache-2.0"] {
            let refused = bad.parse::<Licence>().unwrap_err().to_string();
            assert!(
                refused.contains("Apache-2.0, BSD-2-Clause") && refused.ends_with("Unlicense"),
                "{refused}"
            );
        }
    }
}
