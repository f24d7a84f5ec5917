//! Facts of blobs: from memory, from the cache in the index, or from their bytes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use musehub_core::BlobId;
use musehub_core::object::Manifest;
use musehub_core::port::{BlobRow, RepositoryRecord};
use musehub_intel::facts::{FACTS_VERSION, FileFacts};

use super::ScanError;
use crate::app::App;

/// How many bytes of files are read and parsed together.
const BATCH: u64 = 16 << 20;

/// Under which names facts are kept: what is extracted depends on the version and on `.py` or `.pyi`.
const KINDS: [&str; 2] = ["python.py.3", "python.pyi.3"];
// A bump of the version gives new names, so that facts of an older build are not mixed in.
const _: () = assert!(FACTS_VERSION == 3, "name the facts after their version");

/// A blob, read as source or as a stub.
pub(super) type Key = (&'static str, BlobId);

/// The key of a Python file's facts; `None` for other files.
pub(super) fn key(path: &str, blob: BlobId) -> Option<Key> {
    let [source, stub] = KINDS;
    musehub_intel::is_python(path).then_some((if path.ends_with(".pyi") { stub } else { source }, blob))
}

/// Facts, and the length of their text, which says what they cost in memory.
#[derive(Debug, Clone)]
struct Fact {
    facts: Arc<FileFacts>,
    size: usize,
}

/// The facts of the files of one snapshot.
#[derive(Debug, Default)]
pub(super) struct Known(HashMap<Key, Fact>);

impl Known {
    /// The facts of a Python file.
    pub(super) fn get(&self, path: &str, blob: BlobId) -> Option<Arc<FileFacts>> {
        self.0.get(&key(path, blob)?).map(|fact| fact.facts.clone())
    }

    /// The length of all of them as text.
    pub(super) fn size(&self) -> usize {
        self.0.values().map(|fact| fact.size).sum()
    }

    /// Adds the facts of these blobs; how many had to be parsed.
    pub(super) async fn add(
        &mut self,
        app: &Arc<App>,
        repo: &RepositoryRecord,
        mut wanted: HashSet<Key>,
    ) -> Result<usize, ScanError> {
        wanted.retain(|key| !self.0.contains_key(key));
        if wanted.is_empty() {
            return Ok(0);
        }
        for kind in KINDS {
            let ids: Vec<BlobId> =
                wanted.iter().filter(|(of, _)| *of == kind).map(|(_, blob)| *blob).collect();
            let texts = if ids.is_empty() { Vec::new() } else { app.facts.facts(kind, &ids).await? };
            self.0.extend(tokio::task::spawn_blocking(move || read(kind, texts)).await?);
        }
        wanted.retain(|key| !self.0.contains_key(key));
        let parsed = wanted.len();
        let ids: Vec<BlobId> = wanted.iter().map(|(_, blob)| *blob).collect();
        let rows = if ids.is_empty() { Vec::new() } else { app.hub.blobs(repo, &ids).await? };
        let rows: HashMap<BlobId, BlobRow> = rows.into_iter().map(|row| (row.id, row)).collect();
        let readable = wanted.into_iter().filter_map(|(kind, blob)| Some((kind, *rows.get(&blob)?)));
        // What is larger than the extractor reads is not fetched at all: its path alone is known.
        let readable = readable.filter(|(_, row)| row.size <= musehub_intel::MAX_FILE_BYTES as u64);
        for batch in batches(readable.collect()) {
            self.0.extend(parse(app, batch).await?);
        }
        Ok(parsed)
    }
}

/// The facts of every Python file of a manifest, and how many files had to be parsed.
pub(super) async fn facts(
    app: &Arc<App>,
    repo: &RepositoryRecord,
    manifest: &Manifest,
    previous: Option<&Known>,
) -> Result<(Known, usize), ScanError> {
    let wanted: HashSet<Key> = manifest.iter().filter_map(|(path, blob)| key(path.as_str(), *blob)).collect();
    let held = |key: &Key| Some((*key, previous?.0.get(key)?.clone()));
    let mut known = Known(wanted.iter().filter_map(held).collect());
    let parsed = known.add(app, repo, wanted).await?;
    Ok((known, parsed))
}

/// Facts that cannot be read are left out, and so made anew.
fn read(kind: &'static str, texts: Vec<(BlobId, String)>) -> Vec<(Key, Fact)> {
    let read = |(blob, text): (BlobId, String)| {
        let facts = serde_json::from_str(&text).ok()?;
        Some(((kind, blob), Fact { facts: Arc::new(facts), size: text.len() }))
    };
    texts.into_iter().filter_map(read).collect()
}

/// Extracts facts of blobs and keeps them in the index.
async fn parse(app: &Arc<App>, batch: Vec<(&'static str, BlobRow)>) -> Result<Vec<(Key, Fact)>, ScanError> {
    let rows: Vec<BlobRow> = batch.iter().map(|(_, row)| *row).collect();
    let contents = app.hub.contents(&rows).await?;
    let kinds: Vec<&'static str> = batch.iter().map(|(kind, _)| *kind).collect();
    let extracted = tokio::task::spawn_blocking(move || {
        let name = |kind: &str| if kind == KINDS[1] { "x.pyi" } else { "x.py" };
        let files: Vec<(&str, &[u8])> =
            kinds.iter().zip(&contents).map(|(kind, bytes)| (name(kind), &bytes[..])).collect();
        let facts = musehub_intel::extract_many(files);
        facts.into_iter().map(|facts| (serde_json::to_string(&facts), facts)).collect::<Vec<_>>()
    });
    let mut by_kind: HashMap<&'static str, Vec<(BlobId, String)>> = HashMap::new();
    let mut learned = Vec::with_capacity(batch.len());
    for ((kind, row), (text, facts)) in batch.into_iter().zip(extracted.await?) {
        let text = text.unwrap_or_default();
        learned.push(((kind, row.id), Fact { facts: Arc::new(facts), size: text.len() }));
        if !text.is_empty() {
            by_kind.entry(kind).or_default().push((row.id, text));
        }
    }
    for (kind, facts) in by_kind {
        app.facts.put_facts(kind, &facts).await?;
    }
    Ok(learned)
}

/// Blobs in groups that fit into memory.
fn batches(mut rows: Vec<(&'static str, BlobRow)>) -> Vec<Vec<(&'static str, BlobRow)>> {
    rows.sort_unstable_by_key(|(_, row)| row.place);
    let mut batches: Vec<Vec<(&'static str, BlobRow)>> = Vec::new();
    let mut bytes = 0;
    for entry in rows {
        bytes += entry.1.size;
        match batches.last_mut() {
            Some(batch) if bytes <= BATCH => batch.push(entry),
            _ => {
                bytes = entry.1.size;
                batches.push(vec![entry]);
            }
        }
    }
    batches
}
