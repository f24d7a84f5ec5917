//! The bytes of an exported repository, version 1; `docs/STORAGE.md` specifies them.

use futures::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::PortableError;
use crate::hash::Hasher;
use crate::id::{HashAlgorithm, ObjectId, ObjectKey, ObjectKind};

const MAGIC: [u8; 8] = *b"MHEX\x01\0\0\0";
/// The version byte stands here.
const VERSION_AT: usize = 4;
/// What an object's frame has before its canonical bytes: kind, algorithm, digest.
const KEY: u64 = 34;
/// The largest record of a repository or move, in bytes.
const MAX_TEXT: u64 = 1 << 20;
/// Bytes that are read or written at a time.
pub(super) const PIECE: usize = 64 << 10;

/// What a frame holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Frame {
    /// The repository's record.
    Record(u64),
    /// An object, with the length of its canonical bytes.
    Object(ObjectKey, u64),
    /// A move of a branch: whatever came since the move before it was written for it.
    Move(u64),
    /// Nothing more comes.
    End,
}

/// Writes frames.
pub(super) struct FrameWriter<'a> {
    out: &'a mut (dyn AsyncWrite + Send + Unpin),
    hash: Hasher,
}

impl<'a> FrameWriter<'a> {
    pub(super) async fn begin(out: &'a mut (dyn AsyncWrite + Send + Unpin)) -> Result<Self, PortableError> {
        let mut writer = Self { out, hash: Hasher::new(HashAlgorithm::Blake3) };
        writer.write(&MAGIC).await?;
        Ok(writer)
    }

    pub(super) async fn record(&mut self, json: &[u8]) -> Result<(), PortableError> {
        self.head(1, json.len() as u64).await?;
        self.write(json).await
    }

    /// The head of an object's frame; `length` canonical bytes follow with [`write`](Self::write).
    pub(super) async fn object(&mut self, key: ObjectKey, length: u64) -> Result<(), PortableError> {
        self.head(2, KEY + length).await?;
        let kind = match key.kind {
            ObjectKind::Blob => 1,
            ObjectKind::Snapshot => 2,
            ObjectKind::Commit => 3,
        };
        let algorithm = match key.id.algorithm() {
            HashAlgorithm::Sha256 => 1,
            HashAlgorithm::Blake3 => 2,
        };
        self.write(&[kind, algorithm]).await?;
        self.write(key.id.digest()).await
    }

    pub(super) async fn branch_move(&mut self, json: &[u8]) -> Result<(), PortableError> {
        self.head(3, json.len() as u64).await?;
        self.write(json).await
    }

    pub(super) async fn end(mut self) -> Result<(), PortableError> {
        self.head(4, 32).await?;
        let checksum = self.hash.finish();
        self.out.write_all(&checksum).await?;
        self.out.flush().await?;
        Ok(())
    }

    async fn head(&mut self, kind: u8, length: u64) -> Result<(), PortableError> {
        self.write(&[kind]).await?;
        self.write(&length.to_le_bytes()).await
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), PortableError> {
        self.hash.update(bytes);
        Ok(self.out.write_all(bytes).await?)
    }
}

/// Reads frames. Nothing of them is believed: lengths are bounded by whoever reads what follows.
pub(super) struct FrameReader<'a> {
    input: &'a mut (dyn AsyncRead + Send + Unpin),
    hash: Hasher,
}

impl<'a> FrameReader<'a> {
    pub(super) async fn begin(input: &'a mut (dyn AsyncRead + Send + Unpin)) -> Result<Self, PortableError> {
        let mut reader = Self { input, hash: Hasher::new(HashAlgorithm::Blake3) };
        let mut magic = [0; MAGIC.len()];
        reader.fill(&mut magic).await?;
        if magic[..VERSION_AT] != MAGIC[..VERSION_AT] {
            return Err(malformed("it does not begin as an exported repository"));
        }
        if magic != MAGIC {
            let version = magic[VERSION_AT];
            return Err(malformed(&format!(
                "it has version {version}, this hub reads {}",
                MAGIC[VERSION_AT]
            )));
        }
        Ok(reader)
    }

    pub(super) async fn next(&mut self) -> Result<Frame, PortableError> {
        let mut head = [0; 9];
        self.fill(&mut head).await?;
        let [kind, length @ ..] = head;
        let length = u64::from_le_bytes(length);
        match kind {
            1 if length <= MAX_TEXT => Ok(Frame::Record(length)),
            2 => {
                let mut key = [0; KEY as usize];
                self.fill(&mut key).await?;
                let length = length.checked_sub(KEY).ok_or_else(|| malformed("a frame is too short"))?;
                Ok(Frame::Object(parse_key(&key)?, length))
            }
            3 if length <= MAX_TEXT => Ok(Frame::Move(length)),
            4 if length == 32 => {
                let expected = std::mem::replace(&mut self.hash, Hasher::new(HashAlgorithm::Blake3)).finish();
                let mut checksum = [0; 32];
                self.fill(&mut checksum).await?;
                if checksum != expected {
                    return Err(malformed("its checksum does not fit what comes before it"));
                }
                Ok(Frame::End)
            }
            _ => Err(malformed("it has a frame that this hub does not know")),
        }
    }

    /// The next `length` bytes, which the caller knows to be few enough.
    pub(super) async fn bytes(&mut self, length: u64) -> Result<Vec<u8>, PortableError> {
        let mut bytes = Vec::new();
        // Grown as they come: a length that is a lie costs no memory.
        while (bytes.len() as u64) < length {
            let start = bytes.len();
            let more = (length - start as u64).min(PIECE as u64) as usize;
            bytes.resize(start + more, 0);
            self.fill(&mut bytes[start..]).await?;
        }
        Ok(bytes)
    }

    async fn fill(&mut self, buffer: &mut [u8]) -> Result<(), PortableError> {
        match self.input.read_exact(buffer).await {
            Ok(()) => {
                self.hash.update(buffer);
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
                Err(malformed("it ends before its end"))
            }
            Err(error) => Err(error.into()),
        }
    }
}

fn parse_key(bytes: &[u8; KEY as usize]) -> Result<ObjectKey, PortableError> {
    let kind = match bytes[0] {
        1 => ObjectKind::Blob,
        2 => ObjectKind::Snapshot,
        3 => ObjectKind::Commit,
        _ => return Err(malformed("it has an object of a kind that this hub does not know")),
    };
    let algorithm = match bytes[1] {
        1 => HashAlgorithm::Sha256,
        2 => HashAlgorithm::Blake3,
        _ => return Err(malformed("it has an id of an algorithm that this hub does not know")),
    };
    let mut digest = [0; 32];
    digest.copy_from_slice(&bytes[2..]);
    Ok(ObjectKey { kind, id: ObjectId::new(algorithm, digest) })
}

pub(super) fn malformed(reason: &str) -> PortableError {
    PortableError::Malformed { reason: reason.to_owned() }
}
