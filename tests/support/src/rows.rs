//! A history as rows of another hub's database: lines of JSON, which `load-rows` reads.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::history::{History, parents};

/// A whole history, with all its branches, as the rows of `owner`/`slug`.
#[must_use]
pub fn file(history: &History, owner: &str, slug: &str) -> String {
    let repository = json!({
        "owner": owner, "slug": slug, "visibility": "public", "description": "came as rows", "scheme": "flat-v1",
        "default_branch": "main", "created_at": 1_770_000_000_000_i64,
    });
    let mut lines =
        vec![json!({"format": "musehub-rows", "version": 1}), json!({ "repository": repository })];
    for (id, content) in &history.objects {
        lines.push(json!({"blob": {"id": id, "base64": STANDARD.encode(content)}}));
    }
    lines.extend(history.snapshots.values().map(|record| json!({ "snapshot": to_json(record) })));
    let mut done: BTreeSet<&str> = BTreeSet::new();
    while done.len() < history.commits.len() {
        for (id, record) in &history.commits {
            if !done.contains(&**id) && parents(record).iter().all(|parent| done.contains(&**parent)) {
                lines.push(json!({ "commit": to_json(record) }));
                done.insert(id);
            }
        }
    }
    for (name, head) in &history.branches {
        let moved_at = 1_775_000_000_000_i64;
        lines.push(json!({"branch": {"name": name, "head": head, "moved_at": moved_at}}));
    }
    lines.push(json!({"end": {"lines": lines.len() + 1}}));
    lines.iter().map(|line| format!("{line}\n")).collect()
}

fn to_json(value: &rmpv::Value) -> Value {
    match value {
        rmpv::Value::Nil => Value::Null,
        rmpv::Value::Boolean(truth) => (*truth).into(),
        rmpv::Value::Integer(number) => number.as_i64().map_or_else(|| number.as_u64().into(), Value::from),
        rmpv::Value::F32(number) => f64::from(*number).into(),
        rmpv::Value::F64(number) => (*number).into(),
        rmpv::Value::String(text) => text.as_str().into(),
        rmpv::Value::Array(items) => items.iter().map(to_json).collect(),
        rmpv::Value::Map(pairs) => {
            let pair = |(key, value): &(rmpv::Value, rmpv::Value)| {
                (key.as_str().unwrap_or_default().to_owned(), to_json(value))
            };
            Value::Object(pairs.iter().map(pair).collect())
        }
        rmpv::Value::Binary(_) | rmpv::Value::Ext(..) => panic!("no record has {value}"),
    }
}
