//! Whether canonical bytes are those of the object that they are said to be of.

use crate::id::{CommitId, SnapshotId};
use crate::object::{Commit, IdProof, OpaqueIds, Snapshot};
use crate::scheme::IdScheme;

/// The commit that canonical bytes are of, its id computed again and its bytes printed again.
pub(super) fn prove_commit(
    scheme: Option<IdScheme>,
    id: CommitId,
    bytes: &[u8],
    opaque: OpaqueIds,
) -> Result<Commit, String> {
    let scheme = scheme.ok_or("its repository has no id scheme")?;
    let decoded = Commit::decode(scheme, id, bytes).map_err(|error| error.to_string())?;
    let mut record = decoded.record().clone();
    if scheme == IdScheme::TypedV2 {
        record.insert("commit_id".to_owned(), id.to_string().into());
    }
    let proven = Commit::accept(scheme, record, opaque).map_err(|error| error.to_string())?;
    if proven.id() != id {
        return Err(format!("its content has the id {}", proven.id()));
    }
    if proven.canonical() != bytes { Err("its bytes are not canonical".to_owned()) } else { Ok(proven) }
}

/// The snapshot that canonical bytes are of, its id computed again and its bytes printed again.
pub(super) fn prove_snapshot(
    scheme: Option<IdScheme>,
    id: SnapshotId,
    bytes: &[u8],
    opaque: OpaqueIds,
) -> Result<(Snapshot, IdProof), String> {
    let scheme = scheme.ok_or("its repository has no id scheme")?;
    let decoded = Snapshot::decode(id, bytes).map_err(|error| error.to_string())?;
    let proven = Snapshot::accept(scheme, decoded.record().clone(), opaque);
    let (proven, proof) = proven.map_err(|error| error.to_string())?;
    let printed = proven.canonical(scheme).map_err(|error| error.to_string())?;
    if printed != bytes { Err("its bytes are not canonical".to_owned()) } else { Ok((proven, proof)) }
}
