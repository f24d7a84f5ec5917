//! Views of commits, of what changed and of branches.

use super::*;

/// Two versions of a file, as unified or split rows.
fn hunks(view: DiffMode) -> Vec<DiffHunk> {
    let line = |fate, old: Option<u32>, new: Option<u32>, text: &str| DiffLine {
        fate,
        old,
        new,
        code: highlight("cost.py", text, std::time::Duration::from_secs(60)).lines.remove(0),
        words: vec![],
        cut: 0,
        returns: false,
        unended: false,
    };
    let kept = line(LineFate::Kept, Some(4), Some(4), "def cost(plan, *, limit=10):");
    let mut gone =
        line(LineFate::Deleted, Some(5), None, "    return sum(step.rows for step in plan)  # <all>");
    gone.words = vec![(15, 24)];
    let mut come = line(LineFate::Added, None, Some(5), "    return sum(step.bytes for step in plan)");
    (come.words, come.unended, come.returns, come.cut) = (vec![(15, 25)], true, true, 12_000);
    let rows = match view {
        DiffMode::Unified => vec![DiffRow::One(kept), DiffRow::One(gone), DiffRow::One(come)],
        DiffMode::Split => vec![
            DiffRow::Two(Some(kept.clone()), Some(kept)),
            DiffRow::Two(Some(gone), Some(come.clone())),
            DiffRow::Two(None, Some(come)),
        ],
    };
    // The third row of side by side stands for another line.
    let mut hunk = DiffHunk { old_start: 4, old_lines: 2, new_start: 4, new_lines: 2, rows };
    if let Some(DiffRow::Two(None, Some(line))) = hunk.rows.last_mut() {
        line.new = Some(6);
    }
    vec![hunk]
}

pub(in crate::pages) fn diff(view: DiffMode) -> DiffView {
    let file = |path: &str, fate, kind| DiffFile {
        anchor: format!("d-{}", path.len()),
        path: path.into(),
        from: None,
        fate,
        executable: None,
        kind,
        added: 0,
        deleted: 0,
        old_size: (fate != FileFate::Added).then_some(5_120),
        new_size: (fate != FileFate::Deleted).then_some(73_400_320),
        lossy: false,
        bidi: false,
        folded: false,
        hunks: vec![],
    };
    let text = DiffFile {
        added: 1,
        deleted: 1,
        hunks: hunks(view),
        lossy: true,
        bidi: true,
        ..file("weaver/planner/cost.py", FileFate::Modified, DiffKind::Text)
    };
    let moved = DiffFile {
        from: Some("weaver/schema/inference.py".into()),
        executable: Some(true),
        ..file("weaver/schema/infer.py", FileFate::Renamed, DiffKind::Same)
    };
    let long = DiffFile {
        added: 12_431,
        folded: true,
        ..file(
            "tests/integration/streaming/windows/test_session_windows_with_late_arrivals_and_watermarks.py",
            FileFate::Added,
            DiffKind::Long,
        )
    };
    let mut files = vec![
        text,
        DiffFile { anchor: "d-moved".into(), ..moved },
        long,
        file("weights.bin", FileFate::Modified, DiffKind::Binary),
        file("data/huge.csv", FileFate::Added, DiffKind::Large),
        file("weaver/compat/legacy_sources.py", FileFate::Deleted, DiffKind::Omitted),
        file("run", FileFate::Modified, DiffKind::Same),
    ];
    files[6].executable = Some(false);
    DiffView {
        view,
        parent: None,
        file: None,
        page: 2,
        pages: 3,
        totals: DiffTotals {
            files: 114,
            added: 60,
            deleted: 12,
            modified: 40,
            renamed: 2,
            directories_added: 1,
            directories_removed: 2,
        },
        first: 51,
        files,
        old_id: Some(id(2)),
        new_id: id(1),
        limit: 1 << 20,
        line_limit: 20_000,
    }
}

pub(in crate::pages) fn commit_page() -> CommitPage {
    CommitPage {
        repo: header(),
        commit: commits().remove(2),
        body: "Measured on the nightly set.\n\n  * late rows: 0.3 %\n  * clocks: fine".into(),
        parents: vec![
            ParentView { id: id(3), number: 1, selected: true },
            ParentView { id: id(4), number: 2, selected: false },
        ],
        branch: "feature/streaming-windows".into(),
        snapshot_id: id(77),
        provenance: Provenance {
            agent_id: "arranger-bot".into(),
            model_id: "a-model-of-some-size".into(),
            toolchain_id: "weaver-toolchain-3".into(),
            prompt_hash: id(78),
            reviewed_by: vec!["grace".into(), "ada".into()],
            test_runs: 1_204,
            metadata: vec![Note { name: "merged_by".into(), text: "ada".into() }],
            metadata_omitted: 3,
        },
        snapshot_verified: true,
        signature: SignatureView {
            state: SignatureState::RetiredKey,
            signer: Some("grace".into()),
            retired_at: Some("2026-04-01T09:00:00.000Z".into()),
            key: "630dcd2966c43366".into(),
        },
        reported: Reported {
            bump: Some("major".into()),
            breaking: vec!["weaver.schema.resolve_schema".into()],
            breaking_omitted: 7,
        },
        diff: diff(DiffMode::Unified),
    }
}

pub(in crate::pages) fn compare() -> ComparePage {
    let end = |name: &str| EndView { name: name.into(), kind: EndKind::Branch, commit_id: id(5) };
    ComparePage {
        repo: header(),
        base: end("main"),
        head: end("grace/really-long-topic-branch-name-about-partition-statistics"),
        merge_bases: vec![id(6)],
        standing: Standing::Conflicts,
        conflicts: vec!["weaver/planner/cost.py".into()],
        conflicts_total: 31,
        commits: commits(),
        ahead: 5_000,
        behind: 12,
        exact: false,
        diff: diff(DiffMode::Split),
    }
}

pub(in crate::pages) fn tag_list() -> TagListPage {
    let tag = |label: &str, n: usize, created_at: &str| TagEntry {
        label: label.into(),
        tagger: "grace".into(),
        created_at: created_at.into(),
        commit: commits()[n].clone(),
    };
    TagListPage {
        repo: header(),
        tags: vec![
            tag("a really long name of a tag about <partition> statistics & what else there is", 2, ""),
            tag("emotion:joyful", 0, "2026-03-20T17:42:12.641216+00:00"),
            tag("v1.0.0", 4, "no time at all"),
        ],
        is_first: false,
        next_cursor: Some(format!("{} v1.0.0", id(4))),
    }
}

pub(in crate::pages) fn branch_list() -> BranchListPage {
    let branch = |name: &str, n: usize, apart| BranchEntry {
        name: name.into(),
        is_default: name == "main",
        is_protected: n < 3,
        head: commits()[n].clone(),
        moved_at: "2026-03-20T17:42:12.000Z".into(),
        apart,
    };
    let apart = |ahead, behind, exact| Some(ApartView { ahead, behind, exact });
    BranchListPage {
        repo: header(),
        branches: vec![
            branch("main", 0, None),
            branch("feature/streaming-windows", 2, apart(3, 14, true)),
            branch(
                "grace/really-long-topic-branch-name-about-partition-statistics",
                4,
                apart(1_000, 1, false),
            ),
        ],
        total: 63,
        page: 2,
        pages: 3,
    }
}
