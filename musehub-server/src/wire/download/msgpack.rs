//! The parts of an answer in msgpack.

use std::collections::BTreeMap;

use bytes::Bytes;
use musehub_core::object::Snapshot;
use musehub_core::port::{BlobRow, CommitRow};
use musehub_core::scheme::IdScheme;
use rayon::prelude::*;

use crate::http::ApiError;
use crate::wire::records::{WireSnapshot, commit_msgpack, wire_id};

/// The beginning: commits and snapshots, encoded on all cores, and how many objects follow.
pub(super) fn head(
    scheme: IdScheme,
    commits: Vec<(CommitRow, Bytes)>,
    snapshots: Vec<Snapshot>,
    objects: usize,
) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    rmp::encode::write_map_len(&mut out, 4).map_err(ApiError::internal)?;
    let commits = commits.into_par_iter().map(|(row, bytes)| commit_msgpack(scheme, &row, &bytes));
    write_list(&mut out, "commits", commits.collect())?;
    let encode =
        |snapshot: Snapshot| rmp_serde::to_vec_named(&WireSnapshot(&snapshot)).map_err(ApiError::internal);
    write_list(&mut out, "snapshots", snapshots.into_par_iter().map(encode).collect())?;
    write_text(&mut out, "objects")?;
    write_length(&mut out, objects)?;
    Ok(out)
}

fn write_list(out: &mut Vec<u8>, key: &str, items: Result<Vec<Vec<u8>>, ApiError>) -> Result<(), ApiError> {
    let items = items?;
    write_text(out, key)?;
    write_length(out, items.len())?;
    out.reserve(items.iter().map(Vec::len).sum());
    for item in items {
        out.extend_from_slice(&item);
    }
    Ok(())
}

fn write_length(out: &mut Vec<u8>, items: usize) -> Result<(), ApiError> {
    let count = u32::try_from(items).map_err(ApiError::internal)?;
    rmp::encode::write_array_len(out, count).map_err(ApiError::internal)?;
    Ok(())
}

fn write_text(out: &mut Vec<u8>, text: &str) -> Result<(), ApiError> {
    rmp::encode::write_str(out, text).map_err(ApiError::internal)
}

/// Everything of an object but its content, which ends it.
pub(super) fn before(row: &BlobRow) -> Result<Vec<u8>, ApiError> {
    let size =
        u32::try_from(row.size).map_err(|_| ApiError::too_large("an object is too large for this format"))?;
    let mut out = Vec::with_capacity(112);
    rmp::encode::write_map_len(&mut out, 3).map_err(ApiError::internal)?;
    for text in ["object_id", &wire_id(row.id.object_id()), "path", "", "content"] {
        write_text(&mut out, text)?;
    }
    rmp::encode::write_bin_len(&mut out, size).map_err(ApiError::internal)?;
    Ok(out)
}

/// The end: the heads.
pub(super) fn tail(heads: &BTreeMap<&str, String>) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    write_text(&mut out, "branch_heads")?;
    out.extend(rmp_serde::to_vec_named(heads).map_err(ApiError::internal)?);
    Ok(out)
}
