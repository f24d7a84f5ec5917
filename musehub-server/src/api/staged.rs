//! Contents of a request on their way to the staging area: hashed once, on all cores, and never all in memory.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use bytes::Bytes;
use musehub_core::hub::FileContent;
use musehub_core::port::StageWriter;
use musehub_core::scheme::{BlobHasher, FormulaError, IdScheme};
use musehub_core::{BlobId, HashAlgorithm};
use rayon::prelude::*;
use tokio::runtime::Handle;

use crate::http::ApiError;

/// A content up to this size waits in memory for its id; a larger one in a temporary file, as its id comes before its bytes
/// wherever it is written.
const IN_MEMORY: usize = 1 << 20;
/// How many bytes, and how many contents, are hashed together.
const BATCH_BYTES: usize = 8 << 20;
const BATCH_COUNT: usize = 2048;
/// Where all contents together are no larger, they go with the commit instead of being staged.
const WITH_THE_COMMIT: usize = 1 << 20;
/// How much of a temporary file is read at a time.
const PIECE: usize = 256 << 10;

/// How ids of contents are computed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Formula {
    pub(super) scheme: IdScheme,
    pub(super) algorithm: HashAlgorithm,
}

impl Formula {
    fn id(self, content: &[u8]) -> Result<BlobId, FormulaError> {
        let mut hasher = self.hasher(content.len() as u64);
        hasher.update(content)?;
        hasher.finish()
    }

    fn hasher(self, size: u64) -> BlobHasher {
        BlobHasher::new(self.scheme, self.algorithm, size)
    }
}

/// Takes contents by name, from a thread that may block.
pub(super) struct Contents {
    formula: Formula,
    writer: Box<dyn StageWriter>,
    runtime: Handle,
    /// The most bytes of one content.
    limit: u64,
    batch: Vec<(String, Bytes)>,
    batch_bytes: usize,
    ids: HashMap<String, BlobId>,
    written: HashSet<BlobId>,
}

/// Where contents are by now.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) contents: HashMap<String, FileContent>,
    /// The upload to be discarded after the commit; none where nothing was staged.
    pub(super) upload: Option<String>,
}

impl Contents {
    pub(super) fn new(formula: Formula, writer: Box<dyn StageWriter>, runtime: Handle, limit: u64) -> Self {
        Self {
            formula,
            writer,
            runtime,
            limit,
            batch: Vec::new(),
            batch_bytes: 0,
            ids: HashMap::new(),
            written: HashSet::new(),
        }
    }

    /// Takes a content that is at hand.
    pub(super) fn add(&mut self, name: String, content: Bytes) -> Result<(), ApiError> {
        self.require_size(&name, content.len() as u64)?;
        self.batch_bytes += content.len();
        self.batch.push((name, content));
        if self.batch_bytes > BATCH_BYTES || self.batch.len() > BATCH_COUNT {
            self.write_batch()
        } else {
            Ok(())
        }
    }

    /// Takes a content that comes in pieces.
    pub(super) fn read(
        &mut self,
        name: String,
        mut next: impl FnMut() -> Result<Option<Bytes>, ApiError>,
    ) -> Result<(), ApiError> {
        let mut start = Vec::new();
        while let Some(piece) = next()? {
            start.extend_from_slice(&piece);
            if start.len() > IN_MEMORY {
                return self.read_large(name, &start, next);
            }
        }
        self.add(name, start.into())
    }

    fn read_large(
        &mut self,
        name: String,
        start: &[u8],
        mut next: impl FnMut() -> Result<Option<Bytes>, ApiError>,
    ) -> Result<(), ApiError> {
        let mut file = tempfile::tempfile().map_err(no_room)?;
        let mut size = start.len() as u64;
        file.write_all(start).map_err(no_room)?;
        while let Some(piece) = next()? {
            size += piece.len() as u64;
            self.require_size(&name, size)?;
            file.write_all(&piece).map_err(no_room)?;
        }
        let mut hasher = self.formula.hasher(size);
        each_piece(&mut file, |piece| hasher.update(&piece).map_err(|error| invalid(&name, &error)))?;
        let id = hasher.finish().map_err(|error| invalid(&name, &error))?;
        if self.written.insert(id) {
            self.runtime.block_on(self.writer.begin_blob(id, size))?;
            each_piece(&mut file, |piece| Ok(self.runtime.block_on(self.writer.write(piece))?))?;
        }
        self.ids.insert(name, id);
        Ok(())
    }

    /// Stages what waits in memory.
    fn write_batch(&mut self) -> Result<(), ApiError> {
        let (batch, formula) = (std::mem::take(&mut self.batch), self.formula);
        self.batch_bytes = 0;
        let identify = |(name, content): (String, Bytes)| match formula.id(&content) {
            Ok(id) => Ok((name, id, content)),
            Err(error) => Err(invalid(&name, &error)),
        };
        let identified: Vec<_> = batch.into_par_iter().map(identify).collect::<Result<_, _>>()?;
        for (name, id, content) in identified {
            if self.written.insert(id) {
                self.runtime.block_on(self.writer.begin_blob(id, content.len() as u64))?;
                self.runtime.block_on(self.writer.write(content))?;
            }
            self.ids.insert(name, id);
        }
        Ok(())
    }

    /// Ends the upload.
    pub(super) fn finish(mut self) -> Result<Taken, ApiError> {
        if self.ids.is_empty() && self.batch_bytes <= WITH_THE_COMMIT {
            let with_the_commit = |(name, content)| (name, FileContent::Bytes(content));
            return Ok(Taken {
                contents: self.batch.into_iter().map(with_the_commit).collect(),
                upload: None,
            });
        }
        self.write_batch()?;
        let upload = self.runtime.block_on(self.writer.finish())?;
        let contents = self.ids.into_iter().map(|(name, id)| (name, FileContent::Blob(id))).collect();
        Ok(Taken { contents, upload })
    }

    fn require_size(&self, name: &str, size: u64) -> Result<(), ApiError> {
        if size <= self.limit {
            return Ok(());
        }
        Err(ApiError::too_large(format!(
            "{name} has more than the {} bytes that a file may have",
            self.limit
        )))
    }
}

/// A temporary file from its start, in pieces.
fn each_piece(file: &mut File, mut take: impl FnMut(Bytes) -> Result<(), ApiError>) -> Result<(), ApiError> {
    file.rewind().map_err(no_room)?;
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        Read::by_ref(file).take(PIECE as u64).read_to_end(&mut piece).map_err(no_room)?;
        if piece.is_empty() {
            return Ok(());
        }
        take(piece.into())?;
    }
}

fn invalid(name: &str, error: &FormulaError) -> ApiError {
    ApiError::invalid(format!("{name}: {error}"))
}

fn no_room(error: io::Error) -> ApiError {
    let mut failed = ApiError::new(
        hyper::StatusCode::SERVICE_UNAVAILABLE,
        "unavailable",
        "a temporary file cannot be used; try again",
    );
    failed.cause = Some(error.into());
    failed
}
