//! What a collection says that it did.

use std::collections::BTreeMap;

use musehub_core::port::PackId;
use serde::Serialize;

/// Why something goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// No log entry leads to it.
    Orphaned,
    /// Its records lie in other packs.
    Folded,
    /// An upload that no push claimed.
    Staged,
    /// What an interrupted write left.
    Interrupted,
    /// It belongs to a repository that was deleted longer ago than the retention time.
    Deleted,
    /// A marker of something that is gone.
    Marker,
}

/// What is done with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is to be removed by a later run.
    Condemned,
    /// It was condemned, and stays: the log names it now.
    Reprieved,
    /// It is gone.
    Removed,
}

/// One thing that was collected.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Collected {
    /// A pack's name, an upload, a path or a repository.
    pub what: String,
    /// Why.
    pub reason: Reason,
    /// What was done.
    pub action: Action,
    /// Bytes of its files.
    pub bytes: u64,
}

/// How much was collected for one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Sum {
    /// Things.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Something that stays, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Spared {
    /// A pack, one of its files, or a repository.
    pub what: String,
    /// What stands in the way.
    pub reason: String,
}

impl Spared {
    pub(super) fn new(what: impl ToString, reason: impl ToString) -> Self {
        Self { what: what.to_string(), reason: reason.to_string() }
    }
}

/// What a collection did, or would do.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Collection {
    /// Whether nothing was done.
    pub dry_run: bool,
    /// Everything collected.
    pub collected: Vec<Collected>,
    /// Packs that the log leads to and that are not there, nor lead on.
    pub missing: Vec<PackId>,
    /// What stays since it cannot be read, or could not be removed.
    pub spared: Vec<Spared>,
    /// Rows of the index that were told where their object lies now.
    pub rows: u64,
}

impl Collection {
    /// How much there was for each reason and action.
    #[must_use]
    pub fn sums(&self) -> BTreeMap<(Reason, Action), Sum> {
        let mut sums: BTreeMap<(Reason, Action), Sum> = BTreeMap::new();
        for collected in &self.collected {
            let sum = sums.entry((collected.reason, collected.action)).or_default();
            sum.count += 1;
            sum.bytes += collected.bytes;
        }
        sums
    }

    pub(super) fn add(&mut self, what: impl ToString, reason: Reason, action: Action, bytes: u64) {
        self.collected.push(Collected { what: what.to_string(), reason, action, bytes });
    }
}
