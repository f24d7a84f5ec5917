//! The body of a push in msgpack. Its records are kept; its objects are staged as they are read, but for the first few MiB, which
//! the pack of the push takes as they are.

use bytes::Bytes;
use musehub_core::hub::{InlineBlob, Push};
use musehub_core::object::{Record, SnapshotRecord};
use musehub_core::{BlobId, BranchName};
use rmp::Marker;

use crate::http::{ApiError, Pieces};
use crate::wire::codec::{msgpack_value, require_end};
use crate::wire::records::SCHEME;
use crate::wire::upload::{self, MAX_HELD, Sink};

/// How many bytes of objects stay in memory.
const MAX_INLINE: u64 = 8 << 20;

/// The records of a bundle.
#[derive(Default)]
struct Records {
    commits: Option<Vec<Record>>,
    snapshots: Option<Vec<SnapshotRecord>>,
}

/// Where the objects of a bundle go.
struct Objects {
    sink: Sink,
    held: Vec<InlineBlob>,
    bytes: u64,
}

/// Reads a push. What was staged of it counts once the sink is finished.
pub(in crate::wire) fn from_msgpack<R: Pieces>(reader: &mut R, sink: Sink) -> Result<(Sink, Push), ApiError> {
    let mut objects = Objects { sink, held: Vec::new(), bytes: 0 };
    let (mut records, mut branch, mut force): (Option<Records>, Option<String>, Option<bool>) =
        (None, None, None);
    for _ in 0..map_length(reader)? {
        match upload::read_text(reader)?.as_str() {
            "bundle" if records.is_none() => records = Some(read_bundle(reader, &mut objects)?),
            "branch" if branch.is_none() => branch = Some(msgpack_value(&mut *reader)?),
            "force" if force.is_none() => force = Some(msgpack_value(&mut *reader)?),
            key @ ("bundle" | "branch" | "force") => return Err(twice("a push", key)),
            _ => upload::skip_value(reader, 0)?,
        }
    }
    require_end(&mut *reader)?;
    let Records { commits, snapshots } = records.ok_or_else(|| missing("bundle"))?;
    let push = Push {
        branch: BranchName::parse(&branch.ok_or_else(|| missing("branch"))?)?,
        force: force.unwrap_or_default(),
        scheme: SCHEME,
        commits: commits.unwrap_or_default().into_iter().map(|record| record.0).collect(),
        snapshots: snapshots.unwrap_or_default(),
        blobs: objects.held,
    };
    Ok((objects.sink, push))
}

fn read_bundle<R: Pieces>(reader: &mut R, objects: &mut Objects) -> Result<Records, ApiError> {
    let mut records = Records::default();
    let mut seen = false;
    for _ in 0..map_length(reader)? {
        match upload::read_text(reader)?.as_str() {
            "commits" if records.commits.is_none() => records.commits = Some(msgpack_value(&mut *reader)?),
            "snapshots" if records.snapshots.is_none() => {
                records.snapshots = Some(msgpack_value(&mut *reader)?);
            }
            "objects" if !seen => {
                seen = true;
                for _ in 0..rmp::decode::read_array_len(reader).map_err(upload::malformed)? {
                    read_object(reader, objects)?;
                }
            }
            key @ ("commits" | "snapshots" | "objects") => return Err(twice("a bundle", key)),
            _ => upload::skip_value(reader, 0)?,
        }
    }
    Ok(records)
}

/// Reads an object: its content is bytes, or base64 where that is short.
fn read_object<R: Pieces>(reader: &mut R, objects: &mut Objects) -> Result<(), ApiError> {
    let mut id: Option<BlobId> = None;
    let mut early: Option<Bytes> = None;
    let mut taken = false;
    for _ in 0..map_length(reader)? {
        match upload::read_text(reader)?.as_str() {
            "object_id" if id.is_none() => id = Some(msgpack_value(&mut *reader)?),
            "content" | "content_b64" if !taken && early.is_none() => {
                early = read_content(reader, id, objects)?;
                taken = early.is_none();
            }
            key @ ("object_id" | "content" | "content_b64") => return Err(twice("an object", key)),
            _ => upload::skip_value(reader, 0)?,
        }
    }
    let id = id.ok_or_else(|| missing("object_id"))?;
    match early {
        Some(content) => objects.take_whole(id, content),
        None if !taken => Err(missing("content")),
        None => Ok(()),
    }
}

/// Takes a content where its id is known, else gives it back.
fn read_content<R: Pieces>(
    reader: &mut R,
    id: Option<BlobId>,
    objects: &mut Objects,
) -> Result<Option<Bytes>, ApiError> {
    let too_long = |size: u64, what: &str| {
        if size <= MAX_HELD {
            Ok(size)
        } else {
            Err(ApiError::invalid(format!("{what} of more than {MAX_HELD} bytes")))
        }
    };
    let marker = rmp::decode::read_marker(reader).map_err(|_| upload::truncated())?;
    let size = match marker {
        Marker::Bin8 => upload::read_length(reader, 1)?,
        Marker::Bin16 => upload::read_length(reader, 2)?,
        Marker::Bin32 => upload::read_length(reader, 4)?,
        Marker::FixStr(_) | Marker::Str8 | Marker::Str16 | Marker::Str32 => {
            let size = match marker {
                Marker::FixStr(length) => length.into(),
                Marker::Str8 => upload::read_length(reader, 1)?,
                Marker::Str16 => upload::read_length(reader, 2)?,
                _ => upload::read_length(reader, 4)?,
            };
            let text = upload::read_exactly(reader, too_long(size, "in msgpack no base64 is taken")?)?;
            let content = std::str::from_utf8(&text).ok().and_then(upload::decode_base64);
            let content =
                content.ok_or_else(|| ApiError::invalid("the 'content' of an object is no base64"))?;
            return match id {
                Some(id) => objects.take_whole(id, content).map(|()| None),
                None => Ok(Some(content)),
            };
        }
        _ => return Err(ApiError::invalid("the 'content' of an object must be bytes")),
    };
    match id {
        Some(id) => objects.take(id, size, |most| upload::piece(reader, most)).map(|()| None),
        None => {
            let size = too_long(size, "'object_id' must come before a 'content'")?;
            upload::read_exactly(reader, size).map(Some)
        }
    }
}

impl Objects {
    /// Takes one object in pieces, and proves its id.
    fn take(
        &mut self,
        id: BlobId,
        size: u64,
        next: impl FnMut(usize) -> Result<Bytes, ApiError>,
    ) -> Result<(), ApiError> {
        if size > MAX_INLINE - self.bytes {
            return self.sink.stage(id, size, next);
        }
        let content = self.sink.hold(id, size, next)?;
        self.bytes += size;
        self.held.push(InlineBlob { id, content });
        Ok(())
    }

    fn take_whole(&mut self, id: BlobId, mut content: Bytes) -> Result<(), ApiError> {
        self.take(id, content.len() as u64, |most| Ok(content.split_to(most.min(content.len()))))
    }
}

fn map_length<R: Pieces>(reader: &mut R) -> Result<u32, ApiError> {
    rmp::decode::read_map_len(reader).map_err(upload::malformed)
}

fn missing(field: &str) -> ApiError {
    ApiError::invalid(format!("field '{field}' is missing"))
}

fn twice(what: &str, field: &str) -> ApiError {
    ApiError::invalid(format!("{what} has two fields '{field}'"))
}
