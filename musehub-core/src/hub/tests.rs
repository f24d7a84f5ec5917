use super::*;
use crate::hash;
use crate::id::{BlobId, HashAlgorithm, SnapshotId};

fn id(n: u8) -> [u8; 32] {
    hash::digest(HashAlgorithm::Sha256, &[&[n]])
}

#[test]
fn errors_name_the_first_few_of_many_ids() {
    assert_eq!(first_few::<u8>(&[]), "");
    assert_eq!(first_few(&[1]), "1");
    assert_eq!(first_few(&[1, 2, 3]), "1, 2, 3");
    assert_eq!(first_few(&[1, 2, 3, 4, 5]), "1, 2, 3 and 2 more");
}

#[test]
fn what_is_missing_is_said_by_kind() {
    let algorithm = HashAlgorithm::Sha256;
    let commits = vec![CommitId::new(algorithm, id(1))];
    let blobs: Vec<BlobId> = (0..5).map(|n| BlobId::new(algorithm, id(n))).collect();
    let missing = Missing { commits: commits.clone(), snapshots: Vec::new(), blobs: blobs.clone() };
    let expected = format!(
        "1 commits ({}); 5 objects ({}, {}, {} and 2 more)",
        commits[0], blobs[0], blobs[1], blobs[2]
    );
    assert_eq!(missing.to_string(), expected);
    assert!(!missing.is_empty() && Missing::default().is_empty());
    let snapshots = vec![SnapshotId::new(algorithm, id(9))];
    let missing = Missing { snapshots, ..Missing::default() };
    assert!(!missing.is_empty());
}

#[test]
fn a_set_comes_out_in_order() {
    let set: HashSet<u32> = [9, 1, 5, 3].into();
    assert_eq!(sorted(&set), [1, 3, 5, 9]);
}
