//! The files that changed between two versions, line by line and in colour, as far as a page holds.
//!
//! What a page may cost is bounded in bytes read, in rows, in bytes whose words are compared, and in time for colours. What
//! is left out is said, and a file that is left out has a page of its own.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use musehub_core::diff::{
    ChangeKind, ChangedFile, Comparison, Hunk, MAX_DIFFED_BYTES, MAX_DIFFED_LINES, Selection, TextDiff,
    TreeDiff, UnifiedLine, changed_words,
};
use musehub_core::port::{BlobRow, RepositoryRecord};
use musehub_core::{BlobId, CommitId, RepoPath};

use super::files::{HIGHLIGHTED_BYTES, HIGHLIGHTERS, turns_text};
use crate::app::Exchange;
use crate::http::ApiError;
use crate::pages::{
    CodeLine, DiffFile, DiffHunk, DiffKind, DiffLine, DiffMode, DiffRow, DiffTotals, DiffView, FileFate,
    LineFate, highlight, plain_lines,
};

/// Changed files of a page.
const FILES: usize = 50;
/// Bytes of versions that a page compares.
const BYTES: u64 = 16 << 20;
/// Rows of a page.
const ROWS: usize = 4_000;
/// Rows of a file among others.
const FILE_ROWS: usize = 1_000;
/// Rows of a file that has the page to itself.
const ONLY_FILE_ROWS: usize = 20_000;
/// Rows above which a file is folded up at first.
const FOLDED_ROWS: usize = 400;
/// The longest part of a line that is shown, in bytes.
const LINE_BYTES: usize = 2_000;
/// Bytes of lines whose words a page compares.
const WORDS: usize = 400_000;
/// What the colours of a page may cost.
const BUDGET: Duration = Duration::from_secs(2);

/// What a reader wants to see of a difference.
#[derive(Clone, Debug)]
pub(super) struct Choice {
    view: DiffMode,
    parent: Option<u64>,
    file: Option<RepoPath>,
    page: u64,
}

impl Choice {
    /// The choice of the query; whatever is not valid is as if it were not there.
    pub(super) fn of(exchange: &Exchange<'_>) -> Self {
        let number = |name: &str| exchange.query(name).and_then(|text| text.parse::<u64>().ok());
        Self {
            view: match exchange.query("view").as_deref() {
                Some("split") => DiffMode::Split,
                _ => DiffMode::Unified,
            },
            parent: None,
            file: exchange.query("file").and_then(|path| RepoPath::parse(&path).ok()),
            page: number("page").filter(|page| (1..=1_000_000).contains(page)).unwrap_or(1),
        }
    }

    /// The same, for the changes from a parent that was asked for.
    pub(super) const fn with_parent(mut self, parent: Option<u64>) -> Self {
        self.parent = parent;
        self
    }

    fn selection(&self) -> Selection {
        match &self.file {
            Some(path) => Selection::Path(path.clone()),
            None => {
                let before = usize::try_from(self.page - 1).unwrap_or(usize::MAX);
                Selection::Page { offset: before.saturating_mul(FILES), limit: FILES }
            }
        }
    }
}

/// The changes from `old` to `new`; all files are new where there is no `old`.
pub(super) async fn view(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    old: Option<CommitId>,
    new: CommitId,
    choice: Choice,
) -> Result<DiffView, ApiError> {
    let TreeDiff { files, totals } =
        exchange.app.hub.changed_files(repo, old, new, choice.selection()).await?;
    let versions = versions(exchange, repo, &files).await?;
    let rows = if choice.file.is_some() { ONLY_FILE_ROWS } else { ROWS };
    let file_rows = if choice.file.is_some() { ONLY_FILE_ROWS } else { FILE_ROWS };
    let permit = HIGHLIGHTERS.try_acquire();
    let mut writer = Writer {
        mode: choice.view,
        coloured: permit.is_ok(),
        rows,
        file_rows,
        words: WORDS,
        until: Instant::now() + BUDGET,
    };
    let whole = totals.files();
    let shown = tokio::task::spawn_blocking(move || {
        files.into_iter().map(|file| writer.file(file, &versions)).collect::<Vec<_>>()
    });
    let shown = shown.await.map_err(ApiError::internal)?;
    drop(permit);
    Ok(DiffView {
        view: choice.view,
        parent: choice.parent,
        pages: if choice.file.is_some() { 1 } else { whole.div_ceil(FILES).max(1) as u64 },
        page: if choice.file.is_some() { 1 } else { choice.page },
        first: match choice.selection() {
            Selection::Page { offset, .. } => offset as u64 + 1,
            Selection::Path(_) => 1,
        },
        file: choice.file.map(|path| path.to_string()),
        totals: DiffTotals {
            files: whole as u64,
            added: totals.added as u64,
            deleted: totals.deleted as u64,
            modified: totals.modified as u64,
            renamed: totals.renamed as u64,
            directories_added: totals.directories_added as u64,
            directories_removed: totals.directories_removed as u64,
        },
        files: shown,
        old_id: old.map(|id| id.to_string()),
        new_id: new.to_string(),
        limit: MAX_DIFFED_BYTES,
        line_limit: MAX_DIFFED_LINES as u64,
    })
}

/// Sizes of the versions of changed files, and the contents of those that are compared.
#[derive(Default)]
struct Versions {
    sizes: HashMap<BlobId, u64>,
    contents: HashMap<BlobId, Bytes>,
}

async fn versions(
    exchange: &Exchange<'_>,
    repo: &RepositoryRecord,
    files: &[ChangedFile],
) -> Result<Versions, ApiError> {
    let hub = &exchange.app.hub;
    let both = |file: &ChangedFile| [file.old, file.new].map(|version| version.map(|version| version.blob));
    let mut ids: Vec<BlobId> = files.iter().flat_map(both).flatten().collect();
    ids.sort_unstable();
    ids.dedup();
    let rows: HashMap<BlobId, BlobRow> =
        hub.blobs(repo, &ids).await?.into_iter().map(|row| (row.id, row)).collect();
    let mut wanted: HashMap<BlobId, BlobRow> = HashMap::new();
    let mut bytes = 0;
    for file in files {
        let [old, new] = both(file);
        let pair: Vec<BlobRow> =
            [old, new].into_iter().flatten().filter_map(|id| rows.get(&id).copied()).collect();
        let is_large = pair.iter().any(|row| row.size > MAX_DIFFED_BYTES);
        let cost: u64 = pair.iter().map(|row| row.size).sum();
        if old == new || is_large || bytes + cost > BYTES {
            continue;
        }
        bytes += cost;
        wanted.extend(pair.into_iter().map(|row| (row.id, row)));
    }
    let wanted: Vec<BlobRow> = wanted.into_values().collect();
    let contents = hub.contents(&wanted).await?;
    Ok(Versions {
        sizes: rows.into_iter().map(|(id, row)| (id, row.size)).collect(),
        contents: wanted.iter().map(|row| row.id).zip(contents).collect(),
    })
}

/// Writes files, one after the other, from what is left of a page.
struct Writer {
    mode: DiffMode,
    coloured: bool,
    rows: usize,
    file_rows: usize,
    words: usize,
    until: Instant,
}

impl Writer {
    fn file(&mut self, file: ChangedFile, versions: &Versions) -> DiffFile {
        let size = |version: Option<musehub_core::diff::FileVersion>| {
            version.and_then(|version| versions.sizes.get(&version.blob).copied())
        };
        let executable = |version: Option<musehub_core::diff::FileVersion>| {
            version.is_some_and(|version| version.executable)
        };
        let (was, is) = (executable(file.old), executable(file.new));
        let mut shown = DiffFile {
            anchor: anchor(&file.path),
            path: file.path.to_string(),
            from: file.from.as_ref().map(ToString::to_string),
            fate: match file.kind() {
                ChangeKind::Added => FileFate::Added,
                ChangeKind::Deleted => FileFate::Deleted,
                ChangeKind::Modified => FileFate::Modified,
                ChangeKind::Renamed => FileFate::Renamed,
            },
            executable: (file.new.is_some() && was != is).then_some(is),
            kind: DiffKind::Same,
            added: 0,
            deleted: 0,
            old_size: size(file.old),
            new_size: size(file.new),
            lossy: false,
            bidi: false,
            folded: false,
            hunks: Vec::new(),
        };
        let [old, new] = [file.old, file.new].map(|version| version.map(|version| version.blob));
        let empty = [shown.old_size, shown.new_size].into_iter().flatten().all(|size| size == 0);
        if old == new || empty {
            return shown;
        }
        if [shown.old_size, shown.new_size].into_iter().flatten().any(|size| size > MAX_DIFFED_BYTES) {
            shown.kind = DiffKind::Large;
            return shown;
        }
        let content = |blob: Option<BlobId>| match blob {
            Some(blob) => versions.contents.get(&blob).cloned(),
            None => Some(Bytes::new()),
        };
        let Some((old, new)) = content(old).zip(content(new)) else {
            shown.kind = DiffKind::Omitted;
            return shown;
        };
        match Comparison::of(&old, &new) {
            Comparison::Binary => shown.kind = DiffKind::Binary,
            Comparison::TooLarge => shown.kind = DiffKind::Large,
            Comparison::Text(diff) => self.text(&mut shown, &old, &new, &diff),
        }
        shown
    }

    fn text(&mut self, shown: &mut DiffFile, old: &[u8], new: &[u8], diff: &TextDiff) {
        shown.added = diff.added as u64;
        shown.deleted = diff.deleted as u64;
        let rows: usize = diff.hunks.iter().map(|hunk| hunk.old.len() + hunk.new.len()).sum();
        if rows > self.file_rows.min(self.rows) {
            shown.kind = if rows > self.file_rows { DiffKind::Long } else { DiffKind::Omitted };
            return;
        }
        self.rows -= rows;
        shown.kind = DiffKind::Text;
        shown.folded = rows > FOLDED_ROWS && self.file_rows < ONLY_FILE_ROWS;
        shown.lossy = std::str::from_utf8(old).is_err() || std::str::from_utf8(new).is_err();
        let from = shown.from.as_deref().unwrap_or(&shown.path);
        let returns = ends_differ(old, new);
        let mut sides = Sides {
            old: Side::new(old, diff.old_end(), diff.old_unended, returns),
            new: Side::new(new, diff.new_end(), diff.new_unended, returns),
        };
        shown.bidi = sides.old.text.contains(turns_text) || sides.new.text.contains(turns_text);
        if diff.deleted > 0 {
            sides.old.lines = self.colour(from, &sides.old.text);
        }
        sides.new.lines = self.colour(&shown.path, &sides.new.text);
        if diff.deleted == 0 {
            sides.old.lines = plain_lines(&sides.old.text);
        }
        shown.hunks = diff.hunks.iter().map(|hunk| self.hunk(hunk, &sides)).collect();
    }

    /// The lines of a text, plain where colour would cost too much.
    fn colour(&self, path: &str, text: &str) -> Vec<CodeLine> {
        let left = self.until.saturating_duration_since(Instant::now());
        if !self.coloured || left.is_zero() || text.len() > HIGHLIGHTED_BYTES {
            return plain_lines(text);
        }
        highlight(path, text, left).lines
    }

    fn hunk(&mut self, hunk: &Hunk, sides: &Sides) -> DiffHunk {
        let words = self.words(hunk, sides);
        let kept = |old: usize, new: usize| DiffLine {
            old: Some(number(old)),
            ..sides.new.line(new, LineFate::Kept, &HashMap::new())
        };
        let deleted = |old: usize| sides.old.line(old, LineFate::Deleted, &words.old);
        let added = |new: usize| sides.new.line(new, LineFate::Added, &words.new);
        let rows = match self.mode {
            DiffMode::Unified => {
                let row = |line| match line {
                    UnifiedLine::Context { old, new } => kept(old, new),
                    UnifiedLine::Deleted { old, .. } => deleted(old),
                    UnifiedLine::Added { new, .. } => added(new),
                };
                hunk.unified().map(|line| DiffRow::One(row(line))).collect()
            }
            DiffMode::Split => {
                let row = |row: musehub_core::diff::SplitRow| match (row.old, row.new) {
                    (Some(old), Some(new)) if row.alike => {
                        DiffRow::Two(Some(kept(old, new)), Some(kept(old, new)))
                    }
                    (old, new) => DiffRow::Two(old.map(deleted), new.map(added)),
                };
                hunk.split().map(row).collect()
            }
        };
        let start = |lines: &std::ops::Range<usize>| {
            if lines.is_empty() { number(lines.start).saturating_sub(1) } else { number(lines.start) }
        };
        DiffHunk {
            old_start: start(&hunk.old),
            old_lines: hunk.old.len() as u32,
            new_start: start(&hunk.new),
            new_lines: hunk.new.len() as u32,
            rows,
        }
    }

    /// The words that changed in lines that came in the place of others.
    fn words(&mut self, hunk: &Hunk, sides: &Sides) -> Words {
        let mut words = Words::default();
        for change in &hunk.changes {
            for (old, new) in change.old.clone().zip(change.new.clone()) {
                let (before, after) = (sides.old.code(old), sides.new.code(new));
                let cost = before.len() + after.len();
                if cost > self.words {
                    return words;
                }
                self.words -= cost;
                if let Some([gone, come]) = changed_words(before, after) {
                    words.old.insert(old, ranges(gone));
                    words.new.insert(new, ranges(come));
                }
            }
        }
        words
    }
}

/// Parts of lines, by line.
type Marks = HashMap<usize, Vec<(u32, u32)>>;

#[derive(Default)]
struct Words {
    old: Marks,
    new: Marks,
}

fn ranges(ranges: Vec<std::ops::Range<usize>>) -> Vec<(u32, u32)> {
    // Lines whose words are compared are far below 2³² bytes.
    ranges.into_iter().map(|range| (range.start as u32, range.end as u32)).collect()
}

struct Sides {
    old: Side,
    new: Side,
}

/// One version of a file, as far as hunks show it.
struct Side {
    text: String,
    lines: Vec<CodeLine>,
    /// Which lines end with a carriage return and a newline, where that is worth a mark.
    returns: Vec<bool>,
    unended: Option<usize>,
}

impl Side {
    fn new(bytes: &[u8], end: usize, unended: Option<usize>, returns: bool) -> Self {
        let shown = bytes.split_inclusive(|byte| *byte == b'\n').take(end);
        let returns = match returns {
            true => shown.clone().map(|line| line.ends_with(b"\r\n")).collect(),
            false => Vec::new(),
        };
        let length = shown.map(<[u8]>::len).sum();
        let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
        Self { text, lines: Vec::new(), returns, unended }
    }

    fn code(&self, line: usize) -> &str {
        self.lines.get(line).map_or("", |line| line.text.as_str())
    }

    fn line(&self, at: usize, fate: LineFate, words: &Marks) -> DiffLine {
        let mut code = self.lines.get(at).cloned().unwrap_or_default();
        let mut cut = 0;
        if code.text.len() > LINE_BYTES {
            let end = (0..=LINE_BYTES).rev().find(|end| code.text.is_char_boundary(*end)).unwrap_or(0);
            cut = (code.text.len() - end) as u64;
            code.text.truncate(end);
        }
        DiffLine {
            fate,
            old: (fate != LineFate::Added).then(|| number(at)),
            new: (fate != LineFate::Deleted).then(|| number(at)),
            code,
            words: words.get(&at).cloned().unwrap_or_default(),
            cut,
            returns: self.returns.get(at).copied().unwrap_or(false),
            unended: self.unended == Some(at),
        }
    }
}

/// Whether some lines of two versions end with a carriage return and others do not.
fn ends_differ(old: &[u8], new: &[u8]) -> bool {
    let mut ends = [old, new]
        .into_iter()
        .flat_map(|text| text.split_inclusive(|byte| *byte == b'\n'))
        .filter(|line| line.ends_with(b"\n"))
        .map(|line| line.ends_with(b"\r\n"));
    ends.next().is_some_and(|first| ends.any(|other| other != first))
}

/// The number of a line that is counted from 0. There are far fewer than 2³².
const fn number(line: usize) -> u32 {
    line as u32 + 1
}

/// What links on the page call a file: short, and the same on every page.
fn anchor(path: &RepoPath) -> String {
    format!("d-{}", &blake3::hash(path.as_str().as_bytes()).to_hex()[..12])
}
