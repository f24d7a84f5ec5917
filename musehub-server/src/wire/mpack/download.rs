//! Built packs, through this server: whole, or a range of one.

use std::ops::Range;

use futures::TryStreamExt;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, RANGE};
use hyper::{Response, StatusCode};
use musehub_core::mpack::MpackId;
use musehub_core::port::{FetchPack, RepositoryRecord};

use super::{MEDIA_TYPE, verified};
use crate::app::Exchange;
use crate::http::{ApiError, Reply};

/// `GET fetch/mpack/{key}`, to an address of this server's.
pub(crate) async fn by_address(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let (repo, id, _) = verified(exchange, "GET").await?;
    send(exchange, &found(exchange, &repo, id).await?).await
}

/// `GET fetch/mpack?mpack_key=…`, by who may read the repository.
pub(crate) async fn by_key(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let key = exchange.query("mpack_key").or_else(|| exchange.query("mpack_id"));
    let key = key.ok_or_else(|| ApiError::invalid("mpack_key names the pack"))?;
    let repo = exchange.repository()?;
    send(exchange, &found(exchange, repo, MpackId::parse(&key)?).await?).await
}

async fn found(exchange: &Exchange<'_>, repo: &RepositoryRecord, id: MpackId) -> Result<FetchPack, ApiError> {
    let pack = exchange.app.mpacks.built_pack(repo, id).await?;
    pack.ok_or_else(|| {
        let detail = "this pack is not there any more; fetch again";
        ApiError::new(StatusCode::NOT_FOUND, "not_found", detail)
    })
}

/// Sends a pack, or the range of it that is asked for.
pub(super) async fn send(exchange: &Exchange<'_>, pack: &FetchPack) -> Result<Reply, ApiError> {
    let wanted = match range(exchange.header(&RANGE), pack.size) {
        Wanted::Whole => None,
        Wanted::Part(range) => Some(range),
        Wanted::Nothing => return Ok(unsatisfiable(pack.size)),
    };
    let range = wanted.clone().unwrap_or(0..pack.size);
    let pieces = exchange.app.mpacks.store().read(&pack.file, range.clone()).await?;
    let pieces = pieces.inspect_err(|error| tracing::error!(%error, "a pack failed while it was sent"));
    let pieces = pieces.map_ok(Frame::data).map_err(Into::into);
    let mut reply: Reply = Response::new(StreamBody::new(pieces).boxed_unsync());
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(range.end - range.start));
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(ETAG, text(&format!("\"{}\"", pack.id))?);
    if wanted.is_some() {
        let shown = format!("bytes {}-{}/{}", range.start, range.end - 1, pack.size);
        headers.insert(CONTENT_RANGE, text(&shown)?);
        *reply.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    Ok(reply)
}

fn text(value: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(value).map_err(ApiError::internal)
}

fn unsatisfiable(size: u64) -> Reply {
    let detail = format!("the pack has {size} bytes");
    let error = ApiError::new(StatusCode::RANGE_NOT_SATISFIABLE, "range", detail);
    let mut reply = error.reply();
    if let Ok(value) = HeaderValue::from_str(&format!("bytes */{size}")) {
        reply.headers_mut().insert(CONTENT_RANGE, value);
    }
    reply
}

/// What a header asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Wanted {
    Whole,
    Part(Range<u64>),
    Nothing,
}

/// Reads `bytes=first-last`, `bytes=first-` and `bytes=-count`. Whatever else a header says, the whole is sent, as RFC 9110 has
/// it.
fn range(header: &str, size: u64) -> Wanted {
    let Some((first, last)) = header.strip_prefix("bytes=").and_then(|range| range.split_once('-')) else {
        return Wanted::Whole;
    };
    let number = |text: &str| text.parse::<u64>().ok().filter(|_| !text.starts_with('+'));
    match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => part(first, last.saturating_add(1).min(size)),
        (Some(first), None) if last.is_empty() => part(first, size),
        (None, Some(count)) if first.is_empty() => part(size.saturating_sub(count), size),
        _ => Wanted::Whole,
    }
}

fn part(start: u64, end: u64) -> Wanted {
    if start < end { Wanted::Part(start..end) } else { Wanted::Nothing }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_http_has_them() {
        for (header, expected) in [
            ("", Wanted::Whole),
            ("bytes=0-9", Wanted::Part(0..10)),
            ("bytes=5-", Wanted::Part(5..100)),
            ("bytes=-7", Wanted::Part(93..100)),
            ("bytes=-1000", Wanted::Part(0..100)),
            ("bytes=90-1000", Wanted::Part(90..100)),
            ("bytes=99-99", Wanted::Part(99..100)),
            ("bytes=100-", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=9-5", Wanted::Whole),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=a-b", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=0-18446744073709551615", Wanted::Part(0..100)),
        ] {
            assert_eq!(range(header, 100), expected, "{header}");
        }
        assert_eq!(range("bytes=0-", 0), Wanted::Nothing);
    }
}
