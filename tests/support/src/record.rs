//! Values of msgpack as Python's `msgpack` packs them: `str` as text, `bytes` as binary, `None` as nil.

use rmpv::Value;

/// A map with its keys in the order given.
#[must_use]
pub fn map<const N: usize>(pairs: [(&str, Value); N]) -> Value {
    Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

/// A list of texts.
pub fn texts<T: AsRef<str>>(items: impl IntoIterator<Item = T>) -> Value {
    Value::Array(items.into_iter().map(|item| item.as_ref().into()).collect())
}

/// The bytes of a value.
///
/// # Panics
/// Never: a vector takes every byte.
#[must_use]
pub fn pack(value: &Value) -> Vec<u8> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, value).unwrap();
    bytes
}

/// Reads one value as the client does: all of it, and nothing after it.
///
/// # Errors
/// What Python would raise about.
pub fn unpack(mut bytes: &[u8]) -> Result<Value, String> {
    let value = rmpv::decode::read_value(&mut bytes).map_err(|error| format!("no msgpack: {error}"))?;
    if !bytes.is_empty() {
        return Err("unpack(b) received extra data".into());
    }
    require_utf8(&value)?;
    Ok(value)
}

fn require_utf8(value: &Value) -> Result<(), String> {
    match value {
        Value::String(text) if text.is_err() => Err("a text is no UTF-8".into()),
        Value::Array(items) => items.iter().try_for_each(require_utf8),
        Value::Map(pairs) => pairs.iter().try_for_each(|(key, value)| {
            if !matches!(key, Value::String(_) | Value::Binary(_)) {
                return Err("a key of a map is no text".into());
            }
            require_utf8(key).and_then(|()| require_utf8(value))
        }),
        _ => Ok(()),
    }
}

/// A field of a map; nil where it is absent.
#[must_use]
pub fn get<'a>(value: &'a Value, key: &str) -> &'a Value {
    let pairs = value.as_map().map_or(&[][..], Vec::as_slice);
    let found = pairs.iter().find(|(name, _)| name.as_str() == Some(key));
    found.map_or(&Value::Nil, |(_, value)| value)
}

/// A field of a map as text; empty where it is none.
#[must_use]
pub fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    get(value, key).as_str().unwrap_or_default()
}

/// A field of a map as a list; empty where it is none.
#[must_use]
pub fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    get(value, key).as_array().map_or(&[], Vec::as_slice)
}

/// A field of a map as a list of texts.
#[must_use]
pub fn text_list(value: &Value, key: &str) -> Vec<String> {
    let items = list(value, key).iter();
    items.filter_map(|item| item.as_str().map(str::to_owned)).collect()
}

/// Changes a field of a map, or adds it.
///
/// # Panics
/// Where the value is no map.
pub fn set(value: &mut Value, key: &str, new: impl Into<Value>) {
    let Value::Map(pairs) = value else {
        panic!("no map: {value}");
    };
    match pairs.iter_mut().find(|(name, _)| name.as_str() == Some(key)) {
        Some((_, value)) => *value = new.into(),
        None => pairs.push((key.into(), new.into())),
    }
}

/// Takes a field out of a map.
pub fn unset(value: &mut Value, key: &str) {
    if let Value::Map(pairs) = value {
        pairs.retain(|(name, _)| name.as_str() != Some(key));
    }
}

/// The value with the keys of every map in order: a map says the same in any order.
#[must_use]
pub fn in_order(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(in_order).collect()),
        Value::Map(pairs) => {
            let mut pairs: Vec<(Value, Value)> =
                pairs.iter().map(|(key, value)| (key.clone(), in_order(value))).collect();
            pairs.sort_by(|(a, _), (b, _)| a.as_str().cmp(&b.as_str()));
            Value::Map(pairs)
        }
        other => other.clone(),
    }
}

/// The same value as JSON. Bytes, which JSON cannot say, become null.
#[must_use]
pub fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Nil | Value::Binary(_) | Value::Ext(..) => serde_json::Value::Null,
        Value::Boolean(value) => (*value).into(),
        Value::Integer(number) => match number.as_u64() {
            Some(number) => number.into(),
            None => number.as_i64().unwrap_or_default().into(),
        },
        Value::F32(number) => f64::from(*number).into(),
        Value::F64(number) => (*number).into(),
        Value::String(text) => text.as_str().unwrap_or_default().into(),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Map(pairs) => pairs
            .iter()
            .map(|(key, value)| (key.as_str().unwrap_or_default().to_owned(), to_json(value)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}

/// The same value as msgpack.
#[must_use]
pub fn from_json(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => (*value).into(),
        serde_json::Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => number.into(),
            (_, Some(number)) => number.into(),
            _ => number.as_f64().unwrap_or_default().into(),
        },
        serde_json::Value::String(text) => text.as_str().into(),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        serde_json::Value::Object(map) => {
            Value::Map(map.iter().map(|(key, value)| (key.as_str().into(), from_json(value))).collect())
        }
    }
}
