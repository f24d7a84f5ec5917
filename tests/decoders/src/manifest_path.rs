//! Paths of manifests, one by one and together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use musehub_core::object::Manifest;
use musehub_core::path::{MAX_PATH_BYTES, MAX_PATH_SEGMENTS};
use musehub_core::{BlobId, HashAlgorithm, RepoPath};
use serde_json::{Map, Value};

/// More paths than this of one input say nothing new.
const MOST_PATHS: usize = 200;

/// Reads each line as a path, and all of them as a manifest.
///
/// # Panics
/// Where a path leaves its tree or enters the client's own directory, or a manifest is another than a naive one.
pub fn manifest_path(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let mut paths = Vec::new();
    for line in text.split('\n').take(MOST_PATHS) {
        let json = Value::String(line.to_owned());
        let Ok(path) = RepoPath::parse(line) else {
            assert!(serde_json::from_value::<RepoPath>(json).is_err());
            continue;
        };
        assert_eq!(path.as_str(), line);
        assert_eq!(serde_json::from_value::<RepoPath>(json.clone()).unwrap(), path);
        assert_eq!(serde_json::to_value(&path).unwrap(), json);
        stays_in_its_tree(line);
        paths.push(path);
    }
    manifest(&paths);
    !paths.is_empty()
}

/// What a client does with a path: it joins it to the root of a tree, on any system.
fn stays_in_its_tree(path: &str) {
    assert!(!path.is_empty() && path.len() <= MAX_PATH_BYTES);
    assert!(path.split('/').count() <= MAX_PATH_SEGMENTS);
    assert!(!path.chars().any(char::is_control));
    let drive =
        |path: &str| path.as_bytes()[0].is_ascii_alphabetic() && path.as_bytes().get(1) == Some(&b':');
    assert!(!drive(path), "{path:?}");
    // Once with the separators of this system, once with those of the other one.
    for path in [path.to_owned(), path.replace('\\', "/")] {
        assert!(!path.starts_with('/'), "{path:?}");
        let normal = |component| matches!(component, Component::Normal(_));
        assert!(Path::new(&path).components().all(normal), "{path:?}");
        for segment in path.split('/') {
            assert!(!is_the_clients_own(segment), "{segment:?} of {path:?}");
        }
    }
}

/// Whether some file system takes a segment for `.muse` or for the directory above.
fn is_the_clients_own(segment: &str) -> bool {
    let no_width =
        |c: &char| matches!(*c as u32, 0x200c..=0x200f | 0x202a..=0x202e | 0x206a..=0x206f | 0xfeff);
    let visible: String = segment.chars().filter(|c| !no_width(c)).collect();
    let shown = visible.to_lowercase();
    let stem = shown.split(':').next().unwrap().trim_end_matches(['.', ' ']);
    let short =
        stem.strip_prefix("muse~").is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()));
    visible == ".." || visible == "." || stem == ".muse" || short
}

fn blob(path: &RepoPath) -> BlobId {
    BlobId::new(HashAlgorithm::Sha256, crate::sha256(&[path.as_str().as_bytes()]))
}

fn manifest(paths: &[RepoPath]) {
    let entries: Vec<(RepoPath, BlobId)> = paths.iter().map(|path| (path.clone(), blob(path))).collect();
    let listed: BTreeSet<&str> = paths.iter().map(RepoPath::as_str).collect();
    let is_folder = |file: &str| {
        let folder = format!("{file}/");
        listed.iter().any(|path| path.starts_with(&folder))
    };
    let fits = listed.len() == paths.len() && !listed.iter().any(|path| is_folder(path));
    let made = Manifest::new(entries.clone());
    assert_eq!(made.is_ok(), fits, "{paths:?}: {made:?}");
    let Ok(made) = made else {
        return;
    };
    let naive: BTreeMap<&str, BlobId> = paths.iter().map(|path| (path.as_str(), blob(path))).collect();
    assert!(
        made.iter()
            .map(|(path, blob)| (path.as_str(), *blob))
            .eq(naive.iter().map(|(path, blob)| (*path, *blob)))
    );
    assert_eq!((made.len(), made.is_empty()), (naive.len(), naive.is_empty()));
    // Whatever the order in which it comes, and by either format.
    let fields: Map<String, Value> =
        entries.iter().rev().map(|(path, blob)| (path.to_string(), blob.to_hex().into())).collect();
    let msgpack = rmp_serde::to_vec_named(&fields).unwrap();
    assert_eq!(rmp_serde::from_slice::<Manifest>(&msgpack).unwrap(), made);
    assert_eq!(serde_json::from_value::<Manifest>(Value::Object(fields)).unwrap(), made);
    for (path, held) in made.iter().take(20) {
        assert_eq!(made.get(path.as_str()), Some(*held));
        let folder = path.as_str().rsplit_once('/').map(|(folder, _)| folder);
        for folder in folder.into_iter().filter_map(|folder| RepoPath::parse(folder).ok()) {
            let start = format!("{folder}/");
            let inside = naive.keys().filter(|path| path.starts_with(&start)).count();
            assert!(path.is_below(&folder) && made.has_start(&start));
            assert_eq!(made.below(&folder).len(), inside);
            assert!(made.get(folder.as_str()).is_none(), "a folder is no file");
        }
    }
}
