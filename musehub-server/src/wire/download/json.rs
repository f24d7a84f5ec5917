//! The parts of an answer in JSON.

use std::collections::BTreeMap;

use bytes::Bytes;
use musehub_core::object::Snapshot;
use musehub_core::port::{BlobRow, CommitRow};
use musehub_core::scheme::IdScheme;
use rayon::prelude::*;

use crate::http::ApiError;
use crate::wire::records::{WireSnapshot, commit_json, wire_id};

/// The beginning: commits and snapshots, encoded on all cores.
pub(super) fn head(
    scheme: IdScheme,
    commits: Vec<(CommitRow, Bytes)>,
    snapshots: Vec<Snapshot>,
) -> Result<Vec<u8>, ApiError> {
    let commits: Vec<Vec<u8>> = commits
        .into_par_iter()
        .map(|(row, bytes)| commit_json(scheme, &row, &bytes))
        .collect::<Result<_, _>>()?;
    let encode =
        |snapshot: Snapshot| serde_json::to_vec(&WireSnapshot(&snapshot)).map_err(ApiError::internal);
    let snapshots: Vec<Vec<u8>> = snapshots.into_par_iter().map(encode).collect::<Result<_, _>>()?;
    let mut out = Vec::new();
    for (key, items) in [("{\"commits\":[", commits), ("],\"snapshots\":[", snapshots)] {
        out.extend_from_slice(key.as_bytes());
        out.extend_from_slice(&items.join(&b','));
    }
    out.extend_from_slice(b"],\"objects\":[");
    Ok(out)
}

/// Everything of the object at a place of the list that stands before its content.
pub(super) fn before(at: usize, row: &BlobRow, content: &str) -> Vec<u8> {
    let comma = if at == 0 { "" } else { "," };
    let id = wire_id(row.id.object_id());
    format!("{comma}{{\"object_id\":\"{id}\",\"path\":\"\",\"{content}\":\"").into_bytes()
}

/// The end: the heads.
pub(super) fn tail(heads: &BTreeMap<&str, String>) -> Result<Vec<u8>, ApiError> {
    let mut out = b"],\"branch_heads\":".to_vec();
    serde_json::to_writer(&mut out, heads).map_err(ApiError::internal)?;
    out.push(b'}');
    Ok(out)
}
