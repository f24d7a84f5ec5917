//! The serde side of canonical JSON: prints values as they serialize, and sorts what comes unsorted.

use std::borrow::Cow;
use std::ops::Range;

use serde::Serialize;
use serde::ser::{
    Error as _, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};
use serde_json::Value;

use super::{JsonError, deeper, write_bool, write_float, write_integer, write_string};

/// Prints what serde hands over.
pub(super) struct Printer<'a> {
    pub(super) out: &'a mut Vec<u8>,
    pub(super) depth: usize,
}

impl<'a> Printer<'a> {
    fn list(self, close: &'static [u8]) -> Result<List<'a>, JsonError> {
        let depth = deeper(self.depth)?;
        self.out.push(b'[');
        Ok(List { out: self.out, depth, first: true, close })
    }

    fn object(self, close: &'static [u8]) -> Result<Object<'a>, JsonError> {
        let depth = deeper(self.depth)?;
        self.out.push(b'{');
        let start = self.out.len();
        Ok(Object { out: self.out, depth, start, entries: Vec::new(), key: None, close })
    }

    /// Opens `{"variant":`, which the caller closes.
    fn variant(self, variant: &str) -> Result<Self, JsonError> {
        let depth = deeper(self.depth)?;
        self.out.push(b'{');
        write_string(self.out, variant);
        self.out.push(b':');
        Ok(Self { out: self.out, depth })
    }
}

macro_rules! integers {
    ($($method:ident: $type:ty),*) => {
        $(fn $method(self, value: $type) -> Result<(), JsonError> {
            write_integer(self.out, value);
            Ok(())
        })*
    };
}

impl<'a> Serializer for Printer<'a> {
    type Ok = ();
    type Error = JsonError;
    type SerializeSeq = List<'a>;
    type SerializeTuple = List<'a>;
    type SerializeTupleStruct = List<'a>;
    type SerializeTupleVariant = List<'a>;
    type SerializeMap = Object<'a>;
    type SerializeStruct = Object<'a>;
    type SerializeStructVariant = Object<'a>;

    integers!(
        serialize_i8: i8, serialize_i16: i16, serialize_i32: i32, serialize_i64: i64,
        serialize_u8: u8, serialize_u16: u16, serialize_u32: u32, serialize_u64: u64
    );

    fn serialize_bool(self, value: bool) -> Result<(), JsonError> {
        write_bool(self.out, value);
        Ok(())
    }

    fn serialize_f32(self, value: f32) -> Result<(), JsonError> {
        write_float(self.out, f64::from(value))
    }

    fn serialize_f64(self, value: f64) -> Result<(), JsonError> {
        write_float(self.out, value)
    }

    fn serialize_char(self, value: char) -> Result<(), JsonError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), JsonError> {
        write_string(self.out, value);
        Ok(())
    }

    fn serialize_bytes(self, _: &[u8]) -> Result<(), JsonError> {
        Err(JsonError::custom("bytes"))
    }

    fn serialize_none(self) -> Result<(), JsonError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), JsonError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), JsonError> {
        self.out.extend_from_slice(b"null");
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), JsonError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), JsonError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), JsonError> {
        let inner = self.variant(variant)?;
        value.serialize(Printer { out: &mut *inner.out, depth: inner.depth })?;
        inner.out.push(b'}');
        Ok(())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<List<'a>, JsonError> {
        self.list(b"]")
    }

    fn serialize_tuple(self, _: usize) -> Result<List<'a>, JsonError> {
        self.list(b"]")
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<List<'a>, JsonError> {
        self.list(b"]")
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<List<'a>, JsonError> {
        self.variant(variant)?.list(b"]}")
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Object<'a>, JsonError> {
        self.object(b"}")
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Object<'a>, JsonError> {
        self.object(b"}")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Object<'a>, JsonError> {
        self.variant(variant)?.object(b"}}")
    }
}

/// An array in progress.
pub(super) struct List<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
    first: bool,
    close: &'static [u8],
}

impl List<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        if !std::mem::take(&mut self.first) {
            self.out.push(b',');
        }
        value.serialize(Printer { out: self.out, depth: self.depth })
    }
}

macro_rules! list {
    ($($trait:ident $method:ident),*) => {
        $(impl $trait for List<'_> {
            type Ok = ();
            type Error = JsonError;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
                self.item(value)
            }

            fn end(self) -> Result<(), JsonError> {
                self.out.extend_from_slice(self.close);
                Ok(())
            }
        })*
    };
}

list!(
    SerializeSeq serialize_element, SerializeTuple serialize_element,
    SerializeTupleStruct serialize_field, SerializeTupleVariant serialize_field
);

/// An object in progress: its entries are written as they come, and put in order at the end where they were not.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    depth: usize,
    /// Where the first entry begins.
    start: usize,
    entries: Vec<Entry>,
    key: Option<String>,
    close: &'static [u8],
}

/// A key and where its entry was written, counted from the start of the object.
struct Entry {
    key: Cow<'static, str>,
    written: Range<usize>,
}

impl Object<'_> {
    fn entry<T: Serialize + ?Sized>(&mut self, key: Cow<'static, str>, value: &T) -> Result<(), JsonError> {
        if !self.entries.is_empty() {
            self.out.push(b',');
        }
        let begin = self.out.len() - self.start;
        write_string(self.out, &key);
        self.out.push(b':');
        value.serialize(Printer { out: self.out, depth: self.depth })?;
        self.entries.push(Entry { key, written: begin..self.out.len() - self.start });
        Ok(())
    }

    fn finish(mut self) -> Result<(), JsonError> {
        if !self.entries.is_sorted_by(|a, b| a.key < b.key) {
            self.sort()?;
        }
        self.out.extend_from_slice(self.close);
        Ok(())
    }

    fn sort(&mut self) -> Result<(), JsonError> {
        self.entries.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        if let Some(pair) = self.entries.windows(2).find(|pair| pair[0].key == pair[1].key) {
            return Err(JsonError::DuplicateKey(pair[0].key.to_string()));
        }
        let unsorted = self.out.split_off(self.start);
        for (n, entry) in self.entries.iter().enumerate() {
            if n > 0 {
                self.out.push(b',');
            }
            self.out.extend_from_slice(&unsorted[entry.written.clone()]);
        }
        Ok(())
    }
}

impl SerializeMap for Object<'_> {
    type Ok = ();
    type Error = JsonError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), JsonError> {
        match serde_json::to_value(key).map_err(JsonError::custom)? {
            Value::String(key) => self.key = Some(key),
            _ => return Err(JsonError::KeyNotText),
        }
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), JsonError> {
        let key = self.key.take().ok_or_else(|| JsonError::custom("a value without a key"))?;
        self.entry(key.into(), value)
    }

    fn end(self) -> Result<(), JsonError> {
        self.finish()
    }
}

macro_rules! object {
    ($($trait:ident),*) => {
        $(impl $trait for Object<'_> {
            type Ok = ();
            type Error = JsonError;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                key: &'static str,
                value: &T,
            ) -> Result<(), JsonError> {
                self.entry(key.into(), value)
            }

            fn end(self) -> Result<(), JsonError> {
                self.finish()
            }
        })*
    };
}

object!(SerializeStruct, SerializeStructVariant);
