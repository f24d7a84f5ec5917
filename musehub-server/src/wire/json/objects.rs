//! The objects of a body: each is staged as it is read, so that no more than one content's text is in memory.

use std::fmt;
use std::io::{BufReader, ErrorKind, Read};

use musehub_core::BlobId;
use serde::de::{
    DeserializeSeed, Deserializer, Error, IgnoredAny, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};

use super::base64::{self, Text};
use super::bounded::{Allowance, Bounded};
use crate::http::ApiError;
use crate::wire::codec::json_error;
use crate::wire::upload::{MAX_HELD, Sink};

/// How much of a body is read at a time.
const PIECE: usize = 64 << 10;

/// Where the objects of a body go.
pub(super) struct Objects {
    sink: Sink,
    allowance: Allowance,
    ids: Vec<BlobId>,
    /// Why decoding stopped, where that was not for the JSON.
    failure: Option<ApiError>,
}

impl Objects {
    /// The objects of a body of which `kept` bytes may be in memory beside one content; and the body to be read.
    pub(super) fn of_body<R: Read>(sink: Sink, body: R, kept: u64) -> (Self, BufReader<Bounded<R>>) {
        let text = base64::length(sink.object_limit);
        let allowance = Allowance::new(kept.saturating_add(text));
        let bounded = Bounded::new(body, allowance.clone(), text);
        (Self { sink, allowance, ids: Vec::new(), failure: None }, BufReader::with_capacity(PIECE, bounded))
    }

    /// What was staged, to be made findable once the body is whole; the ids in the order they came.
    pub(super) fn into_parts(self) -> (Sink, Vec<BlobId>) {
        (self.sink, self.ids)
    }

    /// Why decoding failed.
    pub(super) fn explain(&mut self, error: serde_json::Error) -> ApiError {
        let too_large = error.io_error_kind() == Some(ErrorKind::FileTooLarge);
        let other = || if too_large { ApiError::too_large(error.to_string()) } else { json_error(error) };
        self.failure.take().unwrap_or_else(other)
    }

    /// Keeps why decoding stops, and stops it.
    fn stop<E: Error>(&mut self, failure: ApiError) -> E {
        self.failure = Some(failure);
        E::custom("an object is refused")
    }

    fn stage(&mut self, id: BlobId, text: &str) -> Result<(), ApiError> {
        let no_base64 = || ApiError::invalid(format!("object {id}: its content is no base64"));
        let mut content = Text::new(text).ok_or_else(no_base64)?;
        self.sink.stage(id, content.size(), |most| content.next(most).ok_or_else(no_base64))?;
        self.ids.push(id);
        self.allowance.give_back(text.len() as u64);
        Ok(())
    }
}

/// Reads `{"objects": [{"object_id", "content_b64"}]}`.
pub(super) fn from_reader(reader: impl Read, objects: &mut Objects) -> Result<(), ApiError> {
    struct Upload<'a>(&'a mut Objects);

    impl<'de> Visitor<'de> for Upload<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map with a list 'objects'")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            let mut found = false;
            while let Some(key) = map.next_key::<String>()? {
                if key == "objects" {
                    found = true;
                    map.next_value_seed(&mut *self.0)?;
                } else {
                    map.next_value::<IgnoredAny>()?;
                }
            }
            if found { Ok(()) } else { Err(A::Error::missing_field("objects")) }
        }
    }

    let mut decoder = serde_json::Deserializer::from_reader(reader);
    let read = decoder.deserialize_map(Upload(objects)).and_then(|()| decoder.end());
    read.map_err(|error| objects.explain(error))
}

impl<'de> DeserializeSeed<'de> for &mut Objects {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for &mut Objects {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element_seed(OneObject(&mut *self))?.is_some() {}
        Ok(())
    }
}

/// One map of the list.
struct OneObject<'a>(&'a mut Objects);

impl<'de> DeserializeSeed<'de> for OneObject<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for OneObject<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object: a map with 'object_id' and 'content_b64'")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let objects = self.0;
        let mut id: Option<BlobId> = None;
        let mut held: Option<String> = None;
        let mut staged = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "object_id" if id.is_none() => id = Some(map.next_value()?),
                "content_b64" | "content" if !staged && held.is_none() => {
                    held = map.next_value_seed(Content { objects: &mut *objects, id })?;
                    staged = held.is_none();
                }
                "object_id" | "content_b64" | "content" => {
                    return Err(A::Error::custom(format_args!("an object has two fields '{key}'")));
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let id = id.ok_or_else(|| A::Error::missing_field("object_id"))?;
        match held {
            // Its content stood before its id.
            Some(text) => Content { objects, id: Some(id) }
                .deserialize(IntoDeserializer::<A::Error>::into_deserializer(text))
                .map(|_| ()),
            None if !staged => Err(A::Error::missing_field("content_b64")),
            None => Ok(()),
        }
    }
}

/// The text of a content: staged where its id is known, else given back.
struct Content<'a> {
    objects: &'a mut Objects,
    id: Option<BlobId>,
}

impl<'de> DeserializeSeed<'de> for Content<'_> {
    type Value = Option<String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<String>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Content<'_> {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("base64 text")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Option<String>, E> {
        match self.id {
            Some(id) => {
                self.objects.stage(id, text).map_err(|failure| self.objects.stop(failure))?;
                Ok(None)
            }
            None if text.len() as u64 <= MAX_HELD => Ok(Some(text.to_owned())),
            None => {
                let detail = format!("'object_id' must come before a content of more than {MAX_HELD} bytes");
                Err(self.objects.stop(ApiError::invalid(detail)))
            }
        }
    }
}
