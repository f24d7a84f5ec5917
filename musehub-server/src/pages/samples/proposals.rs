//! Views of proposals.

use super::*;

pub(in crate::pages) fn proposal_row() -> ProposalRow {
    ProposalRow {
        number: 41,
        title: "Emit late rows to the side output instead of dropping them, and count them per key".into(),
        author: "grace".into(),
        source: "feature/streaming-windows".into(),
        source_gone: false,
        target: "main".into(),
        target_gone: false,
        fate: ProposalFate::Open,
        draft: false,
        created_at: "2026-03-20T15:40:00.000Z".into(),
        closed_at: None,
        entries: 13,
    }
}

pub(in crate::pages) fn proposal_list() -> ProposalListPage {
    let row =
        |number, fate, draft| ProposalRow { number, fate, draft, entries: number % 3, ..proposal_row() };
    ProposalListPage {
        repo: header(),
        shown: None,
        counts: ProposalTotals { open: 2, merged: 1_204, closed: 37 },
        proposals: vec![
            row(41, ProposalFate::Open, false),
            row(40, ProposalFate::Open, true),
            ProposalRow { source_gone: true, ..row(39, ProposalFate::Merged, false) },
            row(37, ProposalFate::Closed, true),
        ],
        is_first: false,
        next_cursor: Some(37),
    }
}

/// A conversation with an entry of every kind, and one that was deleted.
pub(in crate::pages) fn proposal(tab: ProposalTab) -> ProposalPage {
    const KINDS: [EntryFate; 12] = [
        EntryFate::Comment,
        EntryFate::Approved,
        EntryFate::ChangesRequested,
        EntryFate::Reviewed,
        EntryFate::ReviewDismissed,
        EntryFate::Retitled,
        EntryFate::Retargeted,
        EntryFate::MarkedDraft,
        EntryFate::MarkedReady,
        EntryFate::Closed,
        EntryFate::Reopened,
        EntryFate::Merged,
    ];
    let entry = |(number, kind): (u64, EntryFate)| EntryView {
        number,
        kind,
        author: (number != 11).then(|| "ada".into()),
        body: if number < 4 {
            "Fine by me, see https://example.org/a?b=1&c.\n\n    indented()".into()
        } else {
            String::new()
        },
        commit_id: Some(id(number)),
        subject: Some("barbara".into()),
        at: "2026-03-20T17:00:00.000Z".into(),
        edited_at: (number == 2).then(|| "2026-03-20T17:01:00.000Z".into()),
        deleted: false,
    };
    let mut entries: Vec<EntryView> = (0..).zip(KINDS).map(entry).collect();
    entries.push(EntryView { deleted: true, body: String::new(), ..entries[0].clone() });
    let review = |reviewer: &str, approves, counts, is_current| ReviewView {
        reviewer: reviewer.into(),
        approves,
        counts,
        is_current,
    };
    let version = |side, blob: bool, rev: bool| ConflictVersion {
        side,
        blob_id: blob.then(|| id(90)),
        rev: rev.then(|| id(91)),
    };
    ProposalPage {
        repo: header(),
        proposal: proposal_row(),
        tab,
        standing: Some(Standing::Conflicts),
        apart: Some(ApartView { ahead: 4, behind: 12, exact: true }),
        gone: None,
        merge: None,
        approvals: ApprovalsView {
            approved: 1,
            required: 2,
            reviews: vec![
                review("ada", true, true, true),
                review("barbara", true, false, false),
                review("stranger", false, false, true),
            ],
        },
        commits_total: 12,
        conflicts_total: 31,
        description: "Late rows were lost.\nNow they are not.".into(),
        entries,
        next_entry: Some(100),
        is_first: true,
        commits: commits(),
        next_commit: Some(id(8)),
        diff: Some(diff(DiffMode::Unified)),
        conflicts: vec![ConflictView {
            path: "weaver/planner/cost.py".into(),
            sentence: "Both sides changed the same lines.".into(),
            versions: vec![
                version("before", true, true),
                version("target", true, false),
                version("source", false, false),
            ],
            changes: ["target", "source"]
                .map(|side| ConflictChange { side, from: id(90), to: id(91) })
                .into(),
        }],
    }
}
