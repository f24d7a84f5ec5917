//! Bodies of requests: read within a limit and a time, or piece by piece by a decoder that blocks.

use std::io::{self, Read};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::{Buf, Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Body as HttpBody;
use musehub_core::HashAlgorithm;
use musehub_core::hash::Hasher;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::ApiError;

/// How long a client may be silent in the middle of a body.
const IDLE: Duration = Duration::from_secs(60);
/// The least bytes of a body in a second, after the first `IDLE`: below it somebody holds the connection on purpose.
const SLOWEST: u64 = 256;
/// What is still read of a request that was answered already, so that its sender gets to read the answer.
const DRAIN_BYTES: u64 = 1 << 30;
/// For how long.
const DRAIN_TIME: Duration = Duration::from_secs(120);
/// Pieces on their way to a decoder.
const PIECES: usize = 8;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    /// Longer than this route takes.
    #[error("the request body is larger than {limit} bytes")]
    TooLarge {
        /// What the route takes.
        limit: u64,
    },
    /// The client was silent for too long.
    #[error("the request body stopped arriving")]
    Idle,
    /// The client sent less than a few bytes in a second, for long.
    #[error("the request body arrived too slowly")]
    Slow,
    /// Its sender is not who they say.
    #[error("{}", .0.detail)]
    Unproven(Box<ApiError>),
    /// The connection failed.
    #[error("the request body could not be read")]
    Failed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn is_too_slow(read: u64, waited: Duration) -> bool {
    waited > IDLE && read < (waited - IDLE).as_secs().saturating_mul(SLOWEST)
}

/// What is still to be proven of a request once its whole body is known: that who it says sent it.
#[async_trait]
pub trait BodyProof: Send + Sync {
    /// Judges by the SHA-256 of the whole body. Called once.
    async fn prove(&self, body: [u8; 32]) -> Result<(), ApiError>;
}

/// A body whose proof is outstanding.
enum Seal {
    /// There is none, or it was given.
    Open,
    /// What came so far, and who judges it.
    Closed(Box<Hasher>, Box<dyn BodyProof>),
    /// It was judged, and does not fit.
    Broken,
}

/// The body of a request.
///
/// Where the sender has still to be proven by it (`seal`), none of the ways to read it comes to an end before
/// that: [`collect`](Self::collect) and [`decode`](Self::decode) give nothing else than the error, and a decoder does not see
/// the end of the body. So whatever is done after either is done for a sender who is who they say.
pub struct RequestBody {
    inner: UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>,
    read: u64,
    /// How long the client was waited for.
    waited: Duration,
    ended: bool,
    seal: Seal,
}

impl std::fmt::Debug for RequestBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestBody")
            .field("read", &self.read)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl RequestBody {
    /// Wraps the body of a request, from the network or from a test.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self {
            inner: body.map_err(Into::into).boxed_unsync(),
            read: 0,
            waited: Duration::ZERO,
            ended: false,
            seal: Seal::Open,
        }
    }

    /// Lets nothing be read to its end before the proof is given.
    pub(crate) fn seal(&mut self, proof: Box<dyn BodyProof>) {
        self.seal = Seal::Closed(Box::new(Hasher::new(HashAlgorithm::Sha256)), proof);
    }

    /// Reads the whole body, so that the proof is given before anything is done; then it can be read as if it just came.
    ///
    /// # Errors
    /// As [`collect`](Self::collect).
    pub(crate) async fn prove(&mut self, limit: u64) -> Result<(), BodyError> {
        if self.is_proven() {
            return Ok(());
        }
        let whole = self.collect(limit).await?;
        *self = Self::new(Full::new(whole));
        Ok(())
    }

    /// Sees to it that the proof was given, by reading on where it was not, up to what [`drain`](Self::drain) reads.
    ///
    /// # Errors
    /// 401 where it is not given.
    pub(crate) async fn settle(&mut self) -> Result<(), ApiError> {
        if self.is_proven() {
            return Ok(());
        }
        let limit = self.read.saturating_add(DRAIN_BYTES);
        loop {
            match self.next(limit).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(BodyError::Unproven(refusal)) => return Err(*refusal),
                Err(_) => return Err(ApiError::unauthorized("the signature does not fit the request")),
            }
        }
    }

    /// Whether nothing is outstanding.
    pub(crate) const fn is_proven(&self) -> bool {
        matches!(self.seal, Seal::Open)
    }

    /// What does not come whole can be proven by nothing.
    fn break_seal(&mut self) {
        if !self.is_proven() {
            self.seal = Seal::Broken;
        }
    }

    /// At the end of the body.
    async fn unseal(&mut self) -> Result<(), BodyError> {
        match std::mem::replace(&mut self.seal, Seal::Broken) {
            Seal::Open => {}
            Seal::Closed(hasher, proof) => {
                let proven = proof.prove(hasher.finish()).await;
                proven.map_err(|refusal| BodyError::Unproven(Box::new(refusal)))?;
            }
            Seal::Broken => {
                let again = ApiError::unauthorized("the signature does not fit the request");
                return Err(BodyError::Unproven(Box::new(again)));
            }
        }
        self.seal = Seal::Open;
        Ok(())
    }

    /// How many bytes were read.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.read
    }

    /// The next piece; none at the end.
    ///
    /// # Errors
    /// [`BodyError`] where there is more than `limit`, or it could not be read.
    pub async fn next(&mut self, limit: u64) -> Result<Option<Bytes>, BodyError> {
        while !self.ended {
            let asked = Instant::now();
            let frame = timeout(IDLE, self.inner.frame()).await.map_err(|_| BodyError::Idle)?;
            // Only what the client lets the server wait for: not how long the server takes for a piece.
            self.waited += asked.elapsed();
            if is_too_slow(self.read, self.waited) {
                self.ended = true;
                self.break_seal();
                return Err(BodyError::Slow);
            }
            match frame {
                None => self.ended = true,
                Some(Err(error)) => {
                    self.ended = true;
                    self.break_seal();
                    return Err(BodyError::Failed(error));
                }
                Some(Ok(frame)) => {
                    let Ok(piece) = frame.into_data() else { continue };
                    if let Seal::Closed(hasher, _) = &mut self.seal {
                        hasher.update(&piece);
                    }
                    self.read += piece.len() as u64;
                    if self.read > limit {
                        return Err(BodyError::TooLarge { limit });
                    }
                    return Ok(Some(piece));
                }
            }
        }
        self.unseal().await?;
        Ok(None)
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`BodyError`]; a body that says it is too large is refused before it is read.
    pub async fn collect(&mut self, limit: u64) -> Result<Bytes, BodyError> {
        let announced = self.inner.size_hint().lower();
        if announced > limit {
            return Err(BodyError::TooLarge { limit });
        }
        let mut whole = BytesMut::with_capacity(usize::try_from(announced).unwrap_or(0));
        while let Some(piece) = self.next(limit).await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Runs a decoder that blocks on another thread, and feeds it the body as it arrives. Memory holds a few pieces.
    ///
    /// # Errors
    /// What the decoder gives, or [`BodyError`] where the body could not be read.
    pub async fn decode<T, E>(
        &mut self,
        limit: u64,
        decode: impl FnOnce(&mut BodyReader) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<BodyError> + Send + 'static,
    {
        let (sender, pieces) = mpsc::channel(PIECES);
        let decoder = tokio::task::spawn_blocking(move || {
            let mut reader = BodyReader { pieces, piece: Bytes::new(), failed: false };
            decode(&mut reader)
        });
        let mut failure = None;
        loop {
            let piece = match self.next(limit).await {
                Ok(Some(piece)) => Ok(piece),
                Ok(None) => break,
                Err(error) => Err(error),
            };
            let failed = piece.is_err();
            let sent = match piece {
                Ok(piece) => sender.send(Some(piece)).await,
                Err(error) => {
                    failure = Some(error);
                    sender.send(None).await
                }
            };
            // A decoder that is gone has its answer already.
            if failed || sent.is_err() {
                break;
            }
        }
        drop(sender);
        let decoded = decoder.await.expect("a decoder does not panic");
        if let Some(error) = failure {
            return Err(error.into());
        }
        // A decoder may stop before the end; what it gives counts after it.
        if decoded.is_ok() && !self.is_proven() {
            while self.next(limit).await?.is_some() {}
        }
        decoded
    }

    /// Reads on after an answer was decided, so that a client that writes before it reads gets to see the answer.
    pub async fn drain(&mut self) {
        let limit = self.read.saturating_add(DRAIN_BYTES);
        let drained = timeout(DRAIN_TIME, async { while let Ok(Some(_)) = self.next(limit).await {} });
        // Whoever sends more than that has to live with a broken connection.
        let _ = drained.await;
    }
}

/// The body as a reader that blocks.
#[derive(Debug)]
pub struct BodyReader {
    pieces: mpsc::Receiver<Option<Bytes>>,
    piece: Bytes,
    failed: bool,
}

/// A reader that blocks and can hand out what it holds without a copy.
pub trait Pieces: Read {
    /// The next bytes, at most `most` and not empty; none at the end.
    ///
    /// # Errors
    /// Where they cannot be read.
    fn next_piece(&mut self, most: usize) -> io::Result<Option<Bytes>>;
}

impl Pieces for BodyReader {
    fn next_piece(&mut self, most: usize) -> io::Result<Option<Bytes>> {
        while self.piece.is_empty() {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.piece = piece,
                Some(None) => {
                    self.failed = true;
                }
                None if self.failed => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => return Ok(None),
            }
        }
        Ok(Some(self.piece.split_to(most.min(self.piece.len()))))
    }
}

impl Read for BodyReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let Some(mut piece) = self.next_piece(buffer.len())? else {
            return Ok(0);
        };
        let length = piece.len();
        piece.copy_to_slice(&mut buffer[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_sends_a_byte_now_and_then_is_too_slow_and_a_poor_line_is_not() {
        let second = Duration::from_secs(1);
        for (read, waited, slow) in [
            (0, second, false),
            (2, 60 * second, false),
            (2, 62 * second, true),
            (256 * 60, 120 * second, false),
            (255 * 60, 120 * second, true),
            // 56 kbit/s, for a day.
            (7_000 * 86_400, 86_400 * second, false),
            (86_400, 86_400 * second, true),
        ] {
            assert_eq!(is_too_slow(read, waited), slow, "{read} bytes in {waited:?}");
        }
    }
}
