//! The formulas of ids, written from the description of the format and not from the hub's code.

use std::collections::BTreeMap;

use rmpv::Value;
use sha2::{Digest, Sha256};

use crate::history::parents;
use crate::record::text;

/// The id of the empty file, and of the snapshot without files.
pub const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Which clients' formulas.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Ids {
    /// Those of March 2026.
    #[default]
    Flat,
    /// Those from late May 2026 on, behind a header of kind and size.
    Typed,
}

impl Ids {
    /// The id of a file's bytes.
    #[must_use]
    pub fn object(self, content: &[u8]) -> String {
        self.of("blob", content)
    }

    /// The id of a manifest, sorted by path.
    #[must_use]
    pub fn snapshot(self, manifest: &BTreeMap<String, String>) -> String {
        match self {
            Self::Flat => snapshot_id(manifest.iter().map(|(path, id)| (path.as_str(), id.as_str()))),
            Self::Typed => {
                let pairs: Vec<String> = manifest.iter().map(|(path, id)| format!("{path}\0{id}")).collect();
                self.of("snapshot", pairs.join("\0").as_bytes())
            }
        }
    }

    /// The id that the fields of a commit's record have.
    #[must_use]
    pub fn commit(self, record: &Value) -> String {
        let mut parents = parents(record);
        parents.sort_unstable();
        let field = |key| text(record, key);
        let (snapshot, message, time) = (field("snapshot_id"), field("message"), field("committed_at"));
        match self {
            Self::Flat => {
                commit_id(&parents.iter().map(String::as_str).collect::<Vec<_>>(), snapshot, message, time)
            }
            Self::Typed => {
                let parents = parents.join("\0");
                let texts = [&*parents, snapshot, message, time, field("author"), field("signer_public_key")];
                self.of("commit", texts.join("\0").as_bytes())
            }
        }
    }

    fn of(self, kind: &str, payload: &[u8]) -> String {
        match self {
            Self::Flat => sha256(payload),
            Self::Typed => sha256(&[format!("{kind} {}\0", payload.len()).as_bytes(), payload].concat()),
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id of a file's bytes.
#[must_use]
pub fn object_id(content: &[u8]) -> String {
    sha256(content)
}

/// The id of a manifest: `path NUL id` of each file, sorted, joined with NUL.
pub fn snapshot_id<'a>(manifest: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let mut parts: Vec<String> = manifest.into_iter().map(|(path, id)| format!("{path}\0{id}")).collect();
    parts.sort();
    sha256(parts.join("\0").as_bytes())
}

/// The id of a commit: its parents sorted, its snapshot, its message and its time as it is written, joined with NUL.
#[must_use]
pub fn commit_id(parents: &[&str], snapshot: &str, message: &str, committed_at: &str) -> String {
    let mut parents = parents.to_vec();
    parents.sort_unstable();
    sha256([&parents.join("\0"), snapshot, message, committed_at].join("\0").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_file_has_the_published_id_of_the_later_clients() {
        let id = Ids::Typed.object(b"");
        assert_eq!(id, "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813");
        assert_eq!(Ids::Flat.object(b""), EMPTY);
    }

    #[test]
    fn ids_are_those_that_python_computes() {
        let hello = object_id(b"hello\n");
        assert_eq!(hello, "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
        assert_eq!(object_id(b""), EMPTY);
        assert_eq!(snapshot_id([]), EMPTY);
        let snapshot = snapshot_id([("b.txt", hello.as_str()), ("a/é.txt", EMPTY)]);
        assert_eq!(snapshot, "9f99c35ae5511096ffaacf8d194ba223cac0fff853f1868c6f7c8f32905bc7b1");
        let first = commit_id(&[], &snapshot, "first", "2026-03-20T12:00:00+00:00");
        assert_eq!(first, "e96da750e0754b0847804a43cf0073ed8518bd0c8a7a0937be0eb4a7d5bec9d3");
        let second = commit_id(&[&first], &snapshot, "second", "2026-03-20T12:00:01.000001+00:00");
        assert_eq!(second, "4e7b35745addbffafcda18f04bfd274dad091b597f4ba34040111c186b94f8ec");
        let (f, zero) = ("f".repeat(64), "0".repeat(64));
        let merge = commit_id(&[&f, &zero], &snapshot, "merge", "2026-03-20T12:00:02+00:00");
        assert_eq!(merge, "b360862bd6f40b71614a976db83e3a870c1acc6fdb90b59b1908aedf3e265349");
    }
}
