//! An upload of objects: read object by object, hashed and staged as it arrives, so that memory does not grow with it.

use std::io::{self, Read};

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Bytes, BytesMut};
use musehub_core::BlobId;
use musehub_core::hub::Hub;
use musehub_core::port::{RepositoryRecord, StageWriter};
use musehub_core::scheme::{BlobHasher, IdScheme};
use rmp::Marker;
use serde::Deserialize;
use tokio::runtime::Handle;

use super::codec::require_end;
use super::records::SCHEME;
use crate::app::Exchange;
use crate::http::{ApiError, Pieces};

/// How much of an object is passed on at a time.
const PIECE: usize = 64 << 10;
/// The longest key, id or path of an upload.
const MAX_TEXT: u32 = 8192;
/// Content that comes before its id is held back up to this size.
pub(super) const MAX_HELD: u64 = 8 << 20;
/// Values that are not ours to understand may be nested this deep.
const MAX_DEPTH: usize = 64;

/// What an upload brought.
#[derive(Debug, Default)]
pub(super) struct Uploaded {
    pub(super) ids: Vec<BlobId>,
}

/// Where the objects of an upload go, from a thread that may block.
pub(super) struct Sink {
    pub(super) scheme: IdScheme,
    pub(super) writer: Writer,
    pub(super) runtime: Handle,
    pub(super) object_limit: u64,
}

/// An upload, which begins with the first object that is staged: most pushes bring none.
pub(super) enum Writer {
    Begun(Box<dyn StageWriter>),
    Waiting { hub: Box<Hub>, repo: Box<RepositoryRecord> },
}

impl Sink {
    /// Somewhere to stage what a request brings to a repository.
    pub(super) fn new(exchange: &Exchange<'_>, repo: &RepositoryRecord) -> Self {
        Self {
            scheme: repo.scheme.unwrap_or(SCHEME),
            writer: Writer::Waiting { hub: Box::new(exchange.app.hub.clone()), repo: Box::new(repo.clone()) },
            runtime: Handle::current(),
            object_limit: exchange.app.limits.object,
        }
    }

    /// Stages one object from pieces, and proves its id. Where too much waits in the repository already, the first is a 413.
    pub(super) fn stage(
        &mut self,
        id: BlobId,
        size: u64,
        next: impl FnMut(usize) -> Result<Bytes, ApiError>,
    ) -> Result<(), ApiError> {
        self.require_size(id, size)?;
        let (scheme, runtime) = (self.scheme, &self.runtime);
        if let Writer::Waiting { hub, repo } = &self.writer {
            self.writer = Writer::Begun(runtime.block_on(hub.begin_upload(repo))?);
        }
        let Writer::Begun(writer) = &mut self.writer else {
            unreachable!("it has just begun");
        };
        runtime.block_on(writer.begin_blob(id, size))?;
        prove(scheme, id, size, next, |piece| Ok(runtime.block_on(writer.write(piece))?))
    }

    /// Takes one object from pieces into memory, and proves its id.
    pub(super) fn hold(
        &self,
        id: BlobId,
        size: u64,
        next: impl FnMut(usize) -> Result<Bytes, ApiError>,
    ) -> Result<Bytes, ApiError> {
        self.require_size(id, size)?;
        let mut content = BytesMut::new();
        prove(self.scheme, id, size, next, |piece| {
            content.extend_from_slice(&piece);
            Ok(())
        })?;
        Ok(content.freeze())
    }

    fn require_size(&self, id: BlobId, size: u64) -> Result<(), ApiError> {
        if size > self.object_limit {
            let detail = format!("object {id} has {size} bytes; at most {} are taken", self.object_limit);
            return Err(ApiError::too_large(detail));
        }
        Ok(())
    }

    /// Makes what was staged findable, and gives the name of the upload that it became, if it is any. Not for a decoder: the body
    /// counts once it is whole.
    pub(super) async fn finish(self) -> Result<Option<String>, ApiError> {
        match self.writer {
            Writer::Begun(writer) => Ok(writer.finish().await?),
            Writer::Waiting { .. } => Ok(None),
        }
    }
}

/// Passes an object on piece by piece, and proves its id.
fn prove(
    scheme: IdScheme,
    id: BlobId,
    size: u64,
    mut next: impl FnMut(usize) -> Result<Bytes, ApiError>,
    mut pass_on: impl FnMut(Bytes) -> Result<(), ApiError>,
) -> Result<(), ApiError> {
    let invalid = |error: &dyn std::error::Error| ApiError::invalid(error.to_string());
    let mut hasher = BlobHasher::new(scheme, id.object_id().algorithm(), size);
    let mut remaining = size;
    while remaining > 0 {
        let piece = next(usize::try_from(remaining).unwrap_or(PIECE).min(PIECE))?;
        hasher.update(&piece).map_err(|error| invalid(&error))?;
        remaining -= piece.len() as u64;
        pass_on(piece)?;
    }
    let computed = hasher.finish().map_err(|error| invalid(&error))?;
    if computed != id {
        return Err(ApiError::invalid(format!("object {id}: its content has the id {computed}")));
    }
    Ok(())
}

/// Reads `{"objects": [{"object_id", "content"}]}` from msgpack. Nothing of it counts before [`Sink::finish`].
pub(super) fn from_msgpack<R: Pieces>(reader: &mut R, mut sink: Sink) -> Result<(Uploaded, Sink), ApiError> {
    let mut uploaded = Uploaded::default();
    let mut found = false;
    for _ in 0..rmp::decode::read_map_len(reader).map_err(malformed)? {
        if read_text(reader)? == "objects" {
            found = true;
            for _ in 0..rmp::decode::read_array_len(reader).map_err(malformed)? {
                uploaded.ids.push(read_object(reader, &mut sink)?);
            }
        } else {
            skip_value(reader, 0)?;
        }
    }
    require_end(&mut *reader)?;
    if !found {
        return Err(ApiError::invalid("field 'objects' is missing"));
    }
    Ok((uploaded, sink))
}

fn read_object<R: Pieces>(reader: &mut R, sink: &mut Sink) -> Result<BlobId, ApiError> {
    let mut id: Option<BlobId> = None;
    let mut held: Option<Bytes> = None;
    let mut staged = false;
    for _ in 0..rmp::decode::read_map_len(reader).map_err(malformed)? {
        match read_text(reader)?.as_str() {
            "object_id" => {
                let text = read_text(reader)?;
                id = Some(
                    BlobId::parse(&text).map_err(|error| ApiError::invalid(format!("object_id: {error}")))?,
                );
            }
            "content" => {
                if staged || held.is_some() {
                    return Err(ApiError::invalid("an object has two fields 'content'"));
                }
                let size = u64::from(
                    rmp::decode::read_bin_len(reader)
                        .map_err(|_| ApiError::invalid("field 'content' must be binary"))?,
                );
                if let Some(id) = id {
                    sink.stage(id, size, |most| piece(reader, most))?;
                    staged = true;
                } else if size <= MAX_HELD {
                    held = Some(read_exactly(reader, size)?);
                } else {
                    let detail =
                        format!("'object_id' must come before a 'content' of more than {MAX_HELD} bytes");
                    return Err(ApiError::invalid(detail));
                }
            }
            _ => skip_value(reader, 0)?,
        }
    }
    let id = id.ok_or_else(|| ApiError::invalid("an object has no 'object_id'"))?;
    match held {
        Some(content) => stage_whole(sink, id, content)?,
        None if !staged => return Err(ApiError::invalid(format!("object {id} has no 'content'"))),
        None => {}
    }
    Ok(id)
}

fn stage_whole(sink: &mut Sink, id: BlobId, mut content: Bytes) -> Result<(), ApiError> {
    sink.stage(id, content.len() as u64, |most| Ok(content.split_to(most.min(content.len()))))
}

pub(super) fn piece<R: Pieces>(reader: &mut R, most: usize) -> Result<Bytes, ApiError> {
    reader.next_piece(most).ok().flatten().ok_or_else(truncated)
}

pub(super) fn read_exactly<R: Pieces>(reader: &mut R, size: u64) -> Result<Bytes, ApiError> {
    let mut content = BytesMut::new();
    while (content.len() as u64) < size {
        let missing = usize::try_from(size).unwrap_or(usize::MAX) - content.len();
        content.extend_from_slice(&piece(reader, missing)?);
    }
    Ok(content.freeze())
}

pub(super) fn read_text<R: Read>(reader: &mut R) -> Result<String, ApiError> {
    let length = rmp::decode::read_str_len(reader).map_err(malformed)?;
    if length > MAX_TEXT {
        return Err(ApiError::invalid(format!("a text of an upload has more than {MAX_TEXT} bytes")));
    }
    let mut bytes = vec![0; length as usize];
    reader.read_exact(&mut bytes).map_err(|_| truncated())?;
    String::from_utf8(bytes).map_err(|_| ApiError::undecodable("a text of the request body is no UTF-8"))
}

/// Passes over a value, however large; nothing of it is kept.
pub(super) fn skip_value<R: Read>(reader: &mut R, depth: usize) -> Result<(), ApiError> {
    if depth > MAX_DEPTH {
        return Err(ApiError::invalid("the message is nested too deeply"));
    }
    let marker = rmp::decode::read_marker(reader).map_err(|_| truncated())?;
    let (bytes, values): (u64, u64) = match marker {
        Marker::FixPos(_) | Marker::FixNeg(_) | Marker::Null | Marker::True | Marker::False => (0, 0),
        Marker::U8 | Marker::I8 => (1, 0),
        Marker::U16 | Marker::I16 => (2, 0),
        Marker::U32 | Marker::I32 | Marker::F32 => (4, 0),
        Marker::U64 | Marker::I64 | Marker::F64 => (8, 0),
        Marker::FixStr(length) => (length.into(), 0),
        Marker::Str8 | Marker::Bin8 => (read_length(reader, 1)?, 0),
        Marker::Str16 | Marker::Bin16 => (read_length(reader, 2)?, 0),
        Marker::Str32 | Marker::Bin32 => (read_length(reader, 4)?, 0),
        Marker::FixArray(length) => (0, length.into()),
        Marker::Array16 => (0, read_length(reader, 2)?),
        Marker::Array32 => (0, read_length(reader, 4)?),
        Marker::FixMap(length) => (0, 2 * u64::from(length)),
        Marker::Map16 => (0, 2 * read_length(reader, 2)?),
        Marker::Map32 => (0, 2 * read_length(reader, 4)?),
        Marker::FixExt1 => (2, 0),
        Marker::FixExt2 => (3, 0),
        Marker::FixExt4 => (5, 0),
        Marker::FixExt8 => (9, 0),
        Marker::FixExt16 => (17, 0),
        Marker::Ext8 => (read_length(reader, 1)? + 1, 0),
        Marker::Ext16 => (read_length(reader, 2)? + 1, 0),
        Marker::Ext32 => (read_length(reader, 4)? + 1, 0),
        Marker::Reserved => return Err(ApiError::undecodable("the request body is no msgpack")),
    };
    let skipped = io::copy(&mut reader.by_ref().take(bytes), &mut io::sink()).map_err(|_| truncated())?;
    if skipped != bytes {
        return Err(truncated());
    }
    for _ in 0..values {
        skip_value(reader, depth + 1)?;
    }
    Ok(())
}

pub(super) fn read_length<R: Read>(reader: &mut R, bytes: usize) -> Result<u64, ApiError> {
    let mut length = [0; 8];
    reader.read_exact(&mut length[8 - bytes..]).map_err(|_| truncated())?;
    Ok(u64::from_be_bytes(length))
}

pub(super) fn malformed(error: rmp::decode::ValueReadError) -> ApiError {
    match error {
        rmp::decode::ValueReadError::TypeMismatch(Marker::Reserved) => truncated(),
        rmp::decode::ValueReadError::TypeMismatch(_) => {
            ApiError::invalid("the request body is not of maps and lists where it should be")
        }
        _ => truncated(),
    }
}

pub(super) fn truncated() -> ApiError {
    ApiError::undecodable("the request body is no msgpack, or ended early")
}

/// An upload as JSON: content in base64.
#[derive(Deserialize)]
struct JsonUpload {
    objects: Vec<JsonObject>,
}

#[derive(Deserialize)]
struct JsonObject {
    object_id: String,
    #[serde(alias = "content_b64")]
    content: String,
}

/// Reads an upload from JSON. It is in memory at once, so it may be no larger than an ordinary request.
pub(super) fn from_json(bytes: &[u8], mut sink: Sink) -> Result<(Uploaded, Sink), ApiError> {
    let upload: JsonUpload = super::codec::from_json_bytes(bytes)?;
    let mut uploaded = Uploaded::default();
    for object in upload.objects {
        let id = BlobId::parse(&object.object_id)?;
        let content = decode_base64(&object.content)
            .ok_or_else(|| ApiError::invalid(format!("object {id}: 'content' is no base64")))?;
        stage_whole(&mut sink, id, content)?;
        uploaded.ids.push(id);
    }
    Ok((uploaded, sink))
}

/// Base64 with or without padding.
pub(crate) fn decode_base64(text: &str) -> Option<Bytes> {
    STANDARD_NO_PAD.decode(text.trim_end_matches('=')).ok().map(Bytes::from)
}
