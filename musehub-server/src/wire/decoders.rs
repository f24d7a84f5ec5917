//! The decoders of request bodies by themselves, with no request, repository or store around them: for tests that feed them
//! anything. What a handler decodes is decoded here by the same functions.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use musehub_core::BlobId;
use musehub_core::hub::{InlineBlob, Push};
use musehub_core::port::{BackendError, StageWriter};
use tokio::runtime::{Builder, Runtime};

use super::records::SCHEME;
use super::upload::{Sink, Uploaded, Writer};
use super::{json, mwp, upload};
use crate::http::{ApiError, Pieces};

/// A body that arrives in pieces of one size.
#[derive(Clone, Copy, Debug)]
pub struct Body<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl<'a> Body<'a> {
    /// A body of these bytes, no more than `piece` of them at a time.
    #[must_use]
    pub fn new(bytes: &'a [u8], piece: usize) -> Self {
        Self { bytes, piece: piece.max(1) }
    }

    fn take(&mut self, most: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(most.min(self.piece).min(self.bytes.len()));
        self.bytes = rest;
        taken
    }
}

impl Read for Body<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let taken = self.take(buffer.len());
        buffer[..taken.len()].copy_from_slice(taken);
        Ok(taken.len())
    }
}

impl Pieces for Body<'_> {
    fn next_piece(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        let taken = self.take(most);
        Ok((!taken.is_empty()).then(|| Bytes::copy_from_slice(taken)))
    }
}

/// What bodies may have, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// One object.
    pub object: u64,
    /// What of a JSON push or upload stays in memory beside one content.
    pub kept: u64,
}

/// What an upload brought: ids in the order they came, and what was staged of it.
#[derive(Clone, Debug)]
pub struct Upload {
    /// The ids that it names.
    pub ids: Vec<BlobId>,
    /// The objects as they were staged, each proven to have its id.
    pub staged: Vec<InlineBlob>,
}

/// Decodes bodies.
#[derive(Debug)]
pub struct Decoders {
    runtime: Runtime,
    bounds: Bounds,
}

impl Decoders {
    /// Decoders with these bounds.
    ///
    /// # Errors
    /// Where there is no runtime to be had for what they stage.
    pub fn new(bounds: Bounds) -> io::Result<Self> {
        Ok(Self { runtime: Builder::new_current_thread().build()?, bounds })
    }

    /// `POST push` of generation `mwp`, as msgpack; what was staged of it stands among the push's blobs.
    ///
    /// # Errors
    /// What the client is told.
    pub fn mwp_push_msgpack(&self, body: Body<'_>) -> Result<Push, ApiError> {
        let mut body = body;
        self.whole_push(|sink| mwp::bundle::from_msgpack(&mut body, sink))
    }

    /// `POST push` of generation `mwp`, as JSON; what was staged of it stands among the push's blobs.
    ///
    /// # Errors
    /// What the client is told.
    pub fn mwp_push_json(&self, body: Body<'_>) -> Result<Push, ApiError> {
        self.whole_push(|sink| json::read_named_push(body, sink, self.bounds.kept))
    }

    /// `POST push/objects` of generation `mwp`, as msgpack.
    ///
    /// # Errors
    /// What the client is told.
    pub fn mwp_upload_msgpack(&self, mut body: Body<'_>) -> Result<Upload, ApiError> {
        self.staging(|sink| {
            let (Uploaded { ids }, sink) = upload::from_msgpack(&mut body, sink)?;
            Ok((ids, sink))
        })
        .map(|(ids, staged)| Upload { ids, staged })
    }

    /// `POST push/objects` of generation `mwp`, as JSON.
    ///
    /// # Errors
    /// What the client is told.
    pub fn mwp_upload_json(&self, body: &[u8]) -> Result<Upload, ApiError> {
        self.staging(|sink| {
            let (Uploaded { ids }, sink) = upload::from_json(body, sink)?;
            Ok((ids, sink))
        })
        .map(|(ids, staged)| Upload { ids, staged })
    }

    /// `POST push` of generation `json`; what was staged of it stands among the push's blobs.
    ///
    /// # Errors
    /// What the client is told.
    pub fn json_push(&self, body: Body<'_>) -> Result<Push, ApiError> {
        self.whole_push(|sink| json::read_push(body, sink, self.bounds.kept))
    }

    /// `POST push/objects` of generation `json`.
    ///
    /// # Errors
    /// What the client is told.
    pub fn json_upload(&self, body: Body<'_>) -> Result<Upload, ApiError> {
        self.staging(|sink| {
            let (sink, ids) = json::read_objects(body, sink, self.bounds.kept)?;
            Ok((ids, sink))
        })
        .map(|(ids, staged)| Upload { ids, staged })
    }

    /// A push with what was staged of it among its blobs.
    fn whole_push(
        &self,
        decode: impl FnOnce(Sink) -> Result<(Sink, Push), ApiError>,
    ) -> Result<Push, ApiError> {
        let (mut push, staged) = self.staging(|sink| decode(sink).map(|(sink, push)| (push, sink)))?;
        push.blobs.extend(staged);
        Ok(push)
    }

    /// Runs a decoder with somewhere to stage, and gives what it staged.
    fn staging<T>(
        &self,
        decode: impl FnOnce(Sink) -> Result<(T, Sink), ApiError>,
    ) -> Result<(T, Vec<InlineBlob>), ApiError> {
        let staged = Staged::default();
        let sink = Sink {
            scheme: SCHEME,
            writer: Writer::Begun(Box::new(staged.clone())),
            runtime: self.runtime.handle().clone(),
            object_limit: self.bounds.object,
        };
        let (decoded, _) = decode(sink)?;
        Ok((decoded, staged.whole()))
    }
}

/// Keeps what is staged, and holds the decoder to the order and the sizes that it announces.
#[derive(Clone, Debug, Default)]
struct Staged(Arc<Mutex<Vec<(BlobId, u64, BytesMut)>>>);

impl Staged {
    fn whole(&self) -> Vec<InlineBlob> {
        let mut blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let whole = |(id, size, content): (BlobId, u64, BytesMut)| {
            assert_eq!(content.len() as u64, size, "a staged object has the size that was announced");
            InlineBlob { id, content: content.freeze() }
        };
        std::mem::take(&mut *blobs).into_iter().map(whole).collect()
    }
}

#[async_trait]
impl StageWriter for Staged {
    async fn begin_blob(&mut self, id: BlobId, size: u64) -> Result<(), BackendError> {
        let mut blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ended = blobs.last().is_none_or(|(_, size, content)| content.len() as u64 == *size);
        assert!(ended, "an object begins where the one before it has ended");
        blobs.push((id, size, BytesMut::new()));
        Ok(())
    }

    async fn write(&mut self, piece: Bytes) -> Result<(), BackendError> {
        assert!(!piece.is_empty(), "no piece is empty");
        let mut blobs = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, size, content) = blobs.last_mut().expect("a piece belongs to an object that was begun");
        content.extend_from_slice(&piece);
        assert!(content.len() as u64 <= *size, "no more is staged than was announced");
        Ok(())
    }

    async fn finish(self: Box<Self>) -> Result<Option<String>, BackendError> {
        Ok(None)
    }
}
