//! Code intelligence of MuseHub: bytes in, findings out.
//!
//! Pass 1, [`extract`], reads one Python file and writes down its [`FileFacts`]. They depend on the bytes alone, so
//! they are learned once per blob and kept. Pass 2, [`detect`], checks the imports of a whole [`Snapshot`] against what
//! its files define, resolving them as CPython would.
//!
//! A finding must be right: as soon as there is one plausible way for an import to succeed, nothing is reported.
//! The crate does no I/O and never fails, whatever the bytes are; hostile input costs bounded time and memory.
//!
//! ```
//! use musehub_intel::{Policy, SnapshotBuilder, detect, extract};
//!
//! let mut snapshot = SnapshotBuilder::new();
//! for (path, source) in [
//!     ("shop/__init__.py", ""),
//!     ("shop/prices.py", "def net_price(): ...\n"),
//!     ("shop/cart.py", "from shop.prices import net_prise\n"),
//! ] {
//!     snapshot.python(path, extract(path, source.as_bytes()));
//! }
//! let report = detect(&snapshot.build(), Policy::Resolved);
//! let finding = &report.findings[0];
//! assert_eq!((finding.file_path.as_str(), finding.line), ("shop/cart.py", 1));
//! assert_eq!(
//!     finding.description,
//!     "imports 'net_prise' from 'shop.prices', but shop/prices.py defines no such name"
//! );
//! assert_eq!(finding.help.as_ref().map(ToString::to_string).as_deref(), Some("did you mean 'net_price'?"));
//! ```

#![warn(missing_docs)]

mod detect;
mod extract;
pub mod facts;
pub mod history;
mod snapshot;

pub use detect::{Finding, Help, IssueType, Place, Policy, Report, Scan, Severity, detect};
pub use extract::{MAX_FILE_BYTES, extract, extract_many};
pub use facts::{FACTS_VERSION, FileFacts};
pub use snapshot::{Snapshot, SnapshotBuilder, is_hint, is_python};
