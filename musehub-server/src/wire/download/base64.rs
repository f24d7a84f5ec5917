//! Contents in base64, also of blobs that are never whole in memory.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};

use super::{Failure, Pieces};

/// Adds the text of a content.
pub(super) fn write(out: &mut Vec<u8>, content: &[u8]) {
    let start = out.len();
    out.resize(start + content.len().div_ceil(3) * 4, 0);
    let written =
        STANDARD.encode_slice(content, &mut out[start..]).expect("four digits for each three bytes");
    out.truncate(start + written);
}

/// The text of a content that comes in pieces. What is left of a piece waits for the next: only the last is padded.
pub(super) fn encoded(content: Pieces) -> Pieces {
    let state = (content, Vec::new(), false);
    let text = stream::try_unfold(state, |(mut content, mut left, ended)| async move {
        if ended {
            return Ok::<_, Failure>(None);
        }
        let mut out = Vec::new();
        let ended = match content.try_next().await? {
            Some(piece) => {
                left.extend_from_slice(&piece);
                let whole = left.len() - left.len() % 3;
                write(&mut out, &left[..whole]);
                left.drain(..whole);
                false
            }
            None => {
                write(&mut out, &left);
                true
            }
        };
        Ok(Some((Bytes::from(out), (content, left, ended))))
    });
    text.boxed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_content_in_pieces_has_the_text_of_the_whole() {
        for length in 0..40_usize {
            let content: Vec<u8> = (0..length).map(|at| at as u8 ^ 0xa5).collect();
            let mut whole = b"before ".to_vec();
            write(&mut whole, &content);
            assert_eq!(whole, format!("before {}", STANDARD.encode(&content)).into_bytes());
            for size in 1..8 {
                let pieces: Vec<Result<Bytes, Failure>> =
                    content.chunks(size).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
                let text: Vec<Bytes> =
                    futures::executor::block_on(encoded(stream::iter(pieces).boxed()).try_collect()).unwrap();
                assert_eq!(text.concat(), STANDARD.encode(&content).into_bytes(), "{length} by {size}");
            }
        }
    }
}
