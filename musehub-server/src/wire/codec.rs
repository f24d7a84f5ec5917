//! Bodies in and out: msgpack or JSON, as the client says.

use std::fmt;
use std::io::Read;
use std::marker::PhantomData;

use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserializer, Serialize};

use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json, msgpack};

/// Collections in a body may be nested this deep.
const MAX_DEPTH: usize = 128;

/// How a body is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Format {
    Msgpack,
    Json,
}

impl Exchange<'_> {
    /// How the request's body is written: msgpack or JSON as it says, JSON where it says nothing.
    ///
    /// # Errors
    /// 415 where it says something else.
    pub(super) fn request_format(&self) -> Result<Format, ApiError> {
        let said = self.header(&CONTENT_TYPE);
        let essence = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "application/x-msgpack" | "application/msgpack" | "application/vnd.msgpack" => {
                Ok(Format::Msgpack)
            }
            "" | "application/json" => Ok(Format::Json),
            _ => {
                let shown: String = essence.chars().take(100).collect();
                Err(ApiError::unsupported_media(format!(
                    "this address takes no '{shown}': send msgpack with Content-Type: application/x-msgpack, or JSON with \
                     Content-Type: application/json"
                )))
            }
        }
    }

    /// Decodes a body that is small enough to be in memory.
    pub(crate) async fn decode<T: DeserializeOwned>(&self, body: &mut RequestBody) -> Result<T, ApiError> {
        let format = self.request_format()?;
        let bytes = body.collect(self.app.limits.request).await?;
        match format {
            Format::Msgpack => from_msgpack(&bytes[..]),
            Format::Json => from_json_bytes(&bytes),
        }
    }

    /// Decodes a body as it arrives, on a thread that may block.
    pub(crate) async fn decode_stream<T: DeserializeOwned + Send + 'static>(
        &self,
        body: &mut RequestBody,
        limit: u64,
    ) -> Result<T, ApiError> {
        let format = self.request_format()?;
        body.decode(limit, move |reader| match format {
            Format::Msgpack => from_msgpack(reader),
            Format::Json => from_json(std::io::BufReader::new(reader)),
        })
        .await
    }

    /// Answers 200 in the format that the client takes.
    pub(super) fn ok<T: Serialize + ?Sized>(&self, value: &T) -> Result<Reply, ApiError> {
        if self.accepts_msgpack() { msgpack(value) } else { json(StatusCode::OK, value) }
    }
}

/// Decodes msgpack as it is read.
pub(super) fn from_msgpack<T: DeserializeOwned, R: Read>(mut reader: R) -> Result<T, ApiError> {
    let mut decoder = rmp_serde::Deserializer::new(&mut reader);
    decoder.set_max_depth(MAX_DEPTH);
    let value = message(&mut decoder).map_err(msgpack_error)?;
    drop(decoder);
    require_end(reader)?;
    Ok(value)
}

/// Decodes the next value of a message in msgpack, and reads nothing beyond it.
pub(super) fn msgpack_value<T: DeserializeOwned, R: Read>(reader: R) -> Result<T, ApiError> {
    let mut decoder = rmp_serde::Deserializer::new(reader);
    decoder.set_max_depth(MAX_DEPTH);
    T::deserialize(&mut decoder).map_err(msgpack_error)
}

/// Decodes JSON as it is read.
pub(super) fn from_json<T: DeserializeOwned, R: Read>(reader: R) -> Result<T, ApiError> {
    json_message(serde_json::Deserializer::from_reader(reader))
}

/// Decodes JSON that is in memory.
pub(crate) fn from_json_bytes<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    json_message(serde_json::Deserializer::from_slice(bytes))
}

fn json_message<'de, T: DeserializeOwned>(
    mut decoder: serde_json::Deserializer<impl serde_json::de::Read<'de>>,
) -> Result<T, ApiError> {
    let value = message(&mut decoder).map_err(json_error)?;
    decoder.end().map_err(json_error)?;
    Ok(value)
}

/// Every message is a map. A derived struct would take a list of its fields as well.
fn message<'de, T: DeserializeOwned, D: Deserializer<'de>>(decoder: D) -> Result<T, D::Error> {
    struct MessageVisitor<T>(PhantomData<T>);

    impl<'de, T: DeserializeOwned> Visitor<'de> for MessageVisitor<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map))
        }
    }

    decoder.deserialize_map(MessageVisitor(PhantomData))
}

/// Refuses what follows a message.
pub(super) fn require_end(mut reader: impl Read) -> Result<(), ApiError> {
    match reader.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(ApiError::undecodable("there is more after the end of the message")),
        Err(_) => Err(ApiError::undecodable("the request body ended early")),
    }
}

/// Bytes that are no msgpack are 400; msgpack that says something else than it should is 422.
fn msgpack_error(error: rmp_serde::decode::Error) -> ApiError {
    use rmp_serde::decode::Error;
    match error {
        Error::Syntax(detail) | Error::Uncategorized(detail) => ApiError::invalid(detail),
        Error::TypeMismatch(rmp::Marker::Reserved) => ApiError::undecodable("the request body is no msgpack"),
        Error::TypeMismatch(_) | Error::OutOfRange | Error::LengthMismatch(_) => {
            ApiError::invalid(error.to_string())
        }
        Error::DepthLimitExceeded => ApiError::invalid("the message is nested too deeply"),
        Error::InvalidMarkerRead(_) | Error::InvalidDataRead(_) | Error::Utf8Error(_) => {
            ApiError::undecodable(format!("the request body is no msgpack: {error}"))
        }
    }
}

pub(super) fn json_error(error: serde_json::Error) -> ApiError {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => ApiError::invalid(error.to_string()),
        Category::Syntax | Category::Eof | Category::Io => {
            ApiError::undecodable(format!("the request body is no JSON: {error}"))
        }
    }
}
