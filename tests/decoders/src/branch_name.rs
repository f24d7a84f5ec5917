//! Names of branches, and of those who own them.

use std::path::{Component, Path};

use musehub_core::name::{MAX_BRANCH_BYTES, MAX_NAME_BYTES};
use musehub_core::{BranchName, Handle, Slug};
use serde_json::Value;

/// Reads a text as each kind of name. The first line is also compared with the second one: whether they can be side by side.
///
/// # Panics
/// Where a name is taken that a client could not keep as a file below its refs, or that a URL could not hold.
pub fn branch_name(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else {
        return false;
    };
    let (first, second) = text.split_once('\n').unwrap_or((text, ""));
    // No name holds the line's end that tells them apart.
    assert!(!text.contains('\n') || BranchName::parse(text).is_err());
    word(first);
    let json = Value::String(first.to_owned());
    let Ok(name) = BranchName::parse(first) else {
        assert!(serde_json::from_value::<BranchName>(json).is_err());
        return false;
    };
    assert_eq!(name.as_str(), first);
    assert_eq!(serde_json::from_value::<BranchName>(json.clone()).unwrap(), name);
    assert_eq!(serde_json::to_value(&name).unwrap(), json);
    stays_below_refs(first);
    if let Ok(other) = BranchName::parse(second) {
        stand_side_by_side(&name, &other);
    }
    true
}

/// What a client does with a name: it is a path below a directory, on any system.
fn stays_below_refs(name: &str) {
    assert!(!name.is_empty() && name.len() <= MAX_BRANCH_BYTES);
    assert!(!name.chars().any(char::is_control) && !name.contains(['\\', '\0']));
    let components: Vec<&str> = Path::new(name)
        .components()
        .map(|component| match component {
            Component::Normal(segment) => segment.to_str().unwrap(),
            other => panic!("{name:?} has {other:?}"),
        })
        .collect();
    assert_eq!(components, name.split('/').collect::<Vec<_>>(), "every segment counts");
    for segment in components {
        assert!(!segment.starts_with('.') && !segment.ends_with(".lock"), "{segment:?} of {name:?}");
        assert_eq!(segment.trim(), segment);
    }
    assert!(!name.starts_with('-') && name != "HEAD" && !name.contains(".."));
}

/// Two names exclude each other where one is a directory that the other's file is in.
fn stand_side_by_side(one: &BranchName, other: &BranchName) {
    let excluded = one.is_in_the_way_of(other);
    assert_eq!(excluded, other.is_in_the_way_of(one));
    let (a, b) = (Path::new(one.as_str()), Path::new(other.as_str()));
    assert_eq!(excluded, a != b && (a.starts_with(b) || b.starts_with(a)), "{one:?} {other:?}");
}

/// Handles and slugs are segments of URLs.
fn word(text: &str) {
    let names = [
        Handle::parse(text).map(|handle| handle.as_str().to_owned()),
        Slug::parse(text).map(|slug| slug.as_str().to_owned()),
    ];
    for name in names.into_iter().flatten() {
        assert_eq!(name, text);
        assert!(!name.is_empty() && name.len() <= MAX_NAME_BYTES && !name.contains(".."));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        assert!(name.chars().all(plain));
        assert!(name.starts_with(|c: char| c.is_ascii_alphanumeric()));
        assert!(name.ends_with(|c: char| c.is_ascii_alphanumeric()));
    }
}
