//! Verification of packs: what the names in moves lead to, and packs as files.

use std::collections::HashSet;
use std::sync::Arc;

use super::verify::Verification;
use super::{Problem, ProblemKind};
use crate::port::{BackendError, PackFaultKind, PackId, PackedObject};

impl Verification<'_> {
    /// Every file of a pack is what it was. To be asked once what moves name was followed: a fold adds, and never takes away at
    /// once.
    pub(super) async fn packs(&mut self, whole: bool, only_used: bool) -> Result<(), BackendError> {
        let mut unread = std::mem::take(&mut self.unread);
        let mut names = self.recovery.packs.pack_names().await?;
        if only_used {
            names.retain(|pack| self.is_named(*pack) || self.used.contains(pack));
        }
        let total = names.len() as u64;
        let mut told: HashSet<String> = HashSet::new();
        for pack in names {
            let faults = self.pack(pack, whole).await?;
            // What is wrong with a pack's own files is told by these; else it is wrong with those that it leads to.
            if let Some(reason) = unread.remove(&pack).filter(|reason| faults == 0 && !told.contains(reason))
            {
                let kind = ProblemKind::Pack(PackFaultKind::LyingForward);
                self.problem(Problem::new(kind, reason.clone()).pack(pack));
                told.insert(reason);
            }
            self.progress("packs", self.summary.packs + self.summary.folded_packs, Some(total));
        }
        for (pack, reason) in unread {
            self.problem(Problem::new(ProblemKind::Pack(PackFaultKind::MissingPack), reason).pack(pack));
        }
        Ok(())
    }

    fn is_named(&self, pack: PackId) -> bool {
        self.moved.contains(&pack) || self.borrowed.contains(&pack)
    }

    /// What a pack that a move names holds, wherever it lies now, in the order of keys; none where that cannot be said. It is
    /// there.
    pub(super) async fn named_pack(
        &mut self,
        pack: PackId,
    ) -> Result<Option<Arc<[PackedObject]>>, BackendError> {
        let objects = match self.pack_objects(pack).await? {
            Ok(objects) => objects,
            Err(reason) => {
                self.brought.incomplete = true;
                self.unread.insert(pack, reason);
                return Ok(None);
            }
        };
        if self.followed.insert(pack) {
            self.used.extend(objects.iter().map(|object| object.place.pack));
            for object in objects.iter().filter(|object| object.place.pack != pack) {
                self.arrived(pack, object).await?;
            }
            self.progress("packs that moves name", self.followed.len() as u64, None);
        }
        Ok(Some(objects))
    }

    /// A pack that was folded leads to an object: it is there, by the index of the pack that it is said to lie in.
    async fn arrived(&mut self, from: PackId, object: &PackedObject) -> Result<(), BackendError> {
        let reason = match self.pack_objects(object.place.pack).await? {
            Ok(listed) if lists(&listed, object) => return Ok(()),
            Ok(_) => format!("it leads to {}, where the pack's index does not have it", object.place),
            Err(reason) => format!("it leads to {}: {reason}", object.place),
        };
        let problem = Problem::new(ProblemKind::Pack(PackFaultKind::LyingForward), reason);
        self.problem(problem.object(object.key).pack(from));
        Ok(())
    }

    /// Looks at the files of a pack; how much is wrong with them.
    async fn pack(&mut self, pack: PackId, whole: bool) -> Result<usize, BackendError> {
        let report = self.recovery.packs.audit(pack, whole).await?;
        self.summary.pack_bytes += report.bytes;
        let unused = !self.is_named(pack) && !self.used.contains(&pack);
        if report.folded {
            self.summary.folded_packs += 1;
        } else {
            self.summary.packs += 1;
            self.summary.unused_packs += u64::from(unused);
        }
        let faults = report.faults.len();
        if unused {
            // Half a pack, or one without an index: what a write that was cut off leaves for the collection.
            return Ok(faults);
        }
        for fault in report.faults {
            let problem = Problem::new(ProblemKind::Pack(fault.kind), fault.reason).pack(pack);
            self.problem(match fault.object {
                Some(key) => problem.object(key),
                None => problem,
            });
        }
        Ok(faults)
    }
}

/// Whether objects, in the order of key and place, have this one.
fn lists(objects: &[PackedObject], object: &PackedObject) -> bool {
    let found = objects.binary_search_by_key(&(object.key, object.place), |other| (other.key, other.place));
    found.is_ok_and(|at| objects[at].size == object.size)
}
