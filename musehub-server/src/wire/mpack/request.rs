//! What a fetch asks for, and which generation asks it: clients of both call one address.

use std::fmt;

use musehub_core::CommitId;
use serde::de::{Deserialize, Deserializer, SeqAccess, Visitor};

/// Ids of commits, and whether any of them came with its prefix: clients of this generation write it, those of March 2026 never
/// do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct WireIds {
    pub(super) ids: Vec<CommitId>,
    pub(super) prefixed: bool,
}

/// What a fetch asks for.
#[derive(Clone, PartialEq, Eq, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct WantHave {
    pub(super) want: WireIds,
    pub(super) have: WireIds,
}

impl WantHave {
    /// Whether a client of this generation asks.
    pub(super) const fn is_prefixed(&self) -> bool {
        self.want.prefixed || self.have.prefixed
    }
}

impl<'de> Deserialize<'de> for WireIds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListVisitor;

        impl<'de> Visitor<'de> for ListVisitor {
            type Value = WireIds;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of ids")
            }

            fn visit_unit<E: serde::de::Error>(self) -> Result<WireIds, E> {
                Ok(WireIds::default())
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<WireIds, A::Error> {
                let mut ids = WireIds::default();
                while let Some(text) = list.next_element::<String>()? {
                    ids.prefixed |= text.starts_with("sha256:");
                    ids.ids.push(CommitId::parse(&text).map_err(serde::de::Error::custom)?);
                }
                Ok(ids)
            }
        }

        deserializer.deserialize_any(ListVisitor)
    }
}
