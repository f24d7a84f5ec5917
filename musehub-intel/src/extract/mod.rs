//! Pass 1: reads one file and writes down its facts. Never fails, whatever the bytes are.

mod decode;
mod dynamic;
mod exports;
mod getattr;
mod guard;
mod imports;
mod limits;
mod lines;
mod scope;
mod symbols;
mod targets;
mod walk;

use rayon::prelude::*;
use ruff_python_ast::PySourceType;
use ruff_python_parser::parse_unchecked_source;
use ruff_text_size::Ranged;

use crate::facts::{FileFacts, Reading};

pub use limits::MAX_FILE_BYTES;

/// Nesting up to which the caller's stack is used; deeper files get a thread with a stack of known size.
const SHALLOW: usize = 128;
/// Room for [`limits::MAX_DEPTH`] levels in a debug build; only touched pages cost memory.
const DEEP_STACK: usize = 128 << 20;

/// The facts of one file. `path` decides between `.py` and `.pyi` and is otherwise ignored.
#[must_use]
pub fn extract(path: &str, source: &[u8]) -> FileFacts {
    let kind = if path.ends_with(".pyi") { PySourceType::Stub } else { PySourceType::Python };
    let Some(decoded) = decode::decode(source) else {
        return unreadable();
    };
    let fit = limits::fit(&decoded.text);
    let text = &decoded.text[..fit.end];
    let whole = decoded.clean && fit.end == decoded.text.len();
    if fit.depth <= SHALLOW {
        return parse(text, kind, whole);
    }
    std::thread::scope(|threads| {
        std::thread::Builder::new()
            .stack_size(DEEP_STACK)
            .spawn_scoped(threads, || parse(text, kind, whole))
            .ok()
            .and_then(|thread| thread.join().ok())
            .unwrap_or_else(unreadable)
    })
}

/// The facts of many files, in the order given, on all cores.
#[must_use]
pub fn extract_many<'a, I>(files: I) -> Vec<FileFacts>
where
    I: IntoParallelIterator<Item = (&'a str, &'a [u8])>,
    I::Iter: IndexedParallelIterator,
{
    // One at a time: file sizes differ by orders of magnitude.
    files.into_par_iter().with_max_len(1).map(|(path, source)| extract(path, source)).collect()
}

fn parse(text: &str, kind: PySourceType, whole: bool) -> FileFacts {
    let parsed = parse_unchecked_source(text, kind);
    let mut errors: Vec<_> = parsed.errors().iter().map(Ranged::range).collect();
    errors.sort_unstable_by_key(Ranged::start);
    let mut facts = walk::facts_of(text, parsed.syntax(), &errors);
    if !whole || !errors.is_empty() {
        facts.reading = Reading::Partly;
    }
    // A definition may be in the part that could not be read.
    facts.open.names |= facts.reading != Reading::Whole;
    facts
}

fn unreadable() -> FileFacts {
    let mut facts = FileFacts { reading: Reading::Not, ..FileFacts::default() };
    facts.open.names = true;
    facts
}

#[cfg(test)]
mod tests;
