//! A push: `{"bundle": {"commits", "snapshots", "objects"}, "branch", "force"}`. Its records are kept, its objects staged.

use std::fmt;
use std::io::Read;

use musehub_core::object::{Record, SnapshotRecord};
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::objects::Objects;
use crate::http::ApiError;

/// What a push says beside its objects.
#[derive(Debug)]
pub(super) struct PushRequest {
    pub(super) commits: Vec<Record>,
    pub(super) snapshots: Vec<SnapshotRecord>,
    pub(super) branch: Option<String>,
    pub(super) force: bool,
}

/// Reads a push.
pub(super) fn from_reader(reader: impl Read, objects: &mut Objects) -> Result<PushRequest, ApiError> {
    let mut decoder = serde_json::Deserializer::from_reader(reader);
    let read = decoder
        .deserialize_map(Request { objects: &mut *objects })
        .and_then(|request| decoder.end().map(|()| request));
    read.map_err(|error| objects.explain(error))
}

struct Request<'a> {
    objects: &'a mut Objects,
}

impl<'de> Visitor<'de> for Request<'_> {
    type Value = PushRequest;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a push: a map with 'bundle', 'branch' and 'force'")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<PushRequest, A::Error> {
        let mut records: Option<Records> = None;
        let mut branch: Option<String> = None;
        let mut force = false;
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "bundle" if records.is_none() => {
                    records = Some(map.next_value_seed(Bundle { objects: &mut *self.objects })?);
                }
                "bundle" => return Err(A::Error::duplicate_field("bundle")),
                "branch" => branch = map.next_value()?,
                "force" => force = map.next_value()?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        let Records { commits, snapshots } = records.ok_or_else(|| A::Error::missing_field("bundle"))?;
        Ok(PushRequest { commits, snapshots, branch, force })
    }
}

/// The records of a bundle.
#[derive(Default)]
struct Records {
    commits: Vec<Record>,
    snapshots: Vec<SnapshotRecord>,
}

struct Bundle<'a> {
    objects: &'a mut Objects,
}

impl<'de> DeserializeSeed<'de> for Bundle<'_> {
    type Value = Records;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Records, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Bundle<'_> {
    type Value = Records;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a bundle: a map with 'commits', 'snapshots' and 'objects'")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Records, A::Error> {
        let mut records = Records::default();
        while let Some(key) = map.next_key::<String>()? {
            match key.as_str() {
                "commits" => records.commits.append(&mut map.next_value()?),
                "snapshots" => records.snapshots.append(&mut map.next_value()?),
                "objects" => map.next_value_seed(&mut *self.objects)?,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(records)
    }
}
