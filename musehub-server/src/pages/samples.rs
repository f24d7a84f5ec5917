//! Views with believable data, for the tests of the templates.

use super::*;

pub(super) fn id(n: u64) -> String {
    format!("sha256:{}", blake3::hash(&n.to_le_bytes()).to_hex())
}

pub(super) fn header() -> RepoHeader {
    RepoHeader {
        owner: "ada".into(),
        slug: "weaver".into(),
        description: Some("A loom for declarative data pipelines, with a small query planner".into()),
        visibility: Visibility::Public,
        default_branch: "main".into(),
    }
}

pub(super) fn commits() -> Vec<CommitRow> {
    const ROWS: [(&str, &str, Option<&str>, &str, bool); 9] = [
        (
            "planner: push filters below joins\n\nMeasured on the nightly set.",
            "Ada Lovelace",
            None,
            "2026-03-20T17:42:10.120931+00:00",
            false,
        ),
        (
            "Merge branch 'feature/streaming-windows' into main",
            "Ada Lovelace",
            None,
            "2026-03-20T16:05:44+00:00",
            true,
        ),
        (
            "windows: emit late rows to the side output instead of dropping them, and count them per key so that an operator can tell a slow source from a broken clock",
            "grace",
            Some("arranger-bot"),
            "2026-03-20T15:31:02.004210+00:00",
            false,
        ),
        ("io: retry range reads once", "Barbara Liskov", None, "2026-03-20T09:12:00+00:00", false),
        (
            "Rename resolve_schema to infer_schema",
            "grace",
            Some("refactor-agent-7"),
            "2026-03-19T21:55:10+00:00",
            false,
        ),
        ("docs: how the planner orders joins", "Ada Lovelace", None, "2026-03-19T18:20:31+00:00", false),
        (
            "tests: fuzz the tokenizer with unpaired surrogates",
            "Frances E. Allen",
            None,
            "2026-03-19T11:07:59+00:00",
            false,
        ),
        ("Drop weaver.compat", "Barbara Liskov", None, "2026-03-18T14:44:00+02:00", false),
        ("catalog: keep statistics per partition", "Ada Lovelace", None, "2026-03-17T08:01:12+00:00", false),
    ];
    let row =
        |(n, (message, author, agent, at, is_merge)): (u64, &(&str, &str, Option<&str>, &str, bool))| {
            CommitRow {
                id: id(n),
                message: (*message).into(),
                author: (*author).into(),
                agent_id: agent.map(Into::into),
                committed_at: (*at).into(),
                is_merge: *is_merge,
            }
        };
    (0..).zip(ROWS.iter()).map(row).collect()
}

pub(super) fn issues(count: usize) -> Vec<IssueRow> {
    const ROWS: [(&str, u64, &str, Severity, &str); 8] = [
        (
            "weaver/planner/rules/predicate_pushdown.py",
            14,
            "stale_import",
            Severity::Warning,
            "imports 'resolve_schema' from weaver.schema.inference, but that module defines no such name",
        ),
        (
            "weaver/compat/__init__.py",
            3,
            "missing_module",
            Severity::Error,
            "imports weaver.compat.legacy_sources, but no such module is in the snapshot",
        ),
        (
            "tests/integration/streaming/windows/test_session_windows_with_late_arrivals_and_watermarks.py",
            1207,
            "stale_import",
            Severity::Warning,
            "imports 'blob_id' but no symbol with that name exists in HEAD",
        ),
        (
            "weaver/services/weaver_wire.py",
            41,
            "stale_import",
            Severity::Warning,
            "imports 'split_id' from weaver.crypto.ids, but that module defines no such name",
        ),
        (
            "weaver/services/weaver_wire.py",
            42,
            "stale_import",
            Severity::Warning,
            "imports 'short_id' from weaver.crypto.ids, but that module defines no such name",
        ),
        (
            "setup.py",
            9,
            "missing_symbol",
            Severity::Warning,
            "uses weaver.version.read, but weaver.version defines no such name",
        ),
        (
            "weaver/io/object_storage/multipart/upload_session.py",
            88,
            "stale_import",
            Severity::Warning,
            "imports 'RangeReader' from weaver.io.ranges, but that module defines no such name",
        ),
        (
            "weaver/planner/cost.py",
            5,
            "stale_import",
            Severity::Warning,
            "imports 'PartitionStatistics' from weaver.catalog, but that module defines no such name",
        ),
    ];
    let row = |(path, line, kind, severity, text): &(&str, u64, &str, Severity, &str)| IssueRow {
        file_path: (*path).into(),
        line: *line,
        column: 5,
        issue_type: (*kind).into(),
        severity: *severity,
        description: (*text).into(),
        help: help(*line),
    };
    ROWS.iter().cycle().take(count).map(row).collect()
}

/// Help of every form: none, a guess, a move, a removal.
fn help(line: u64) -> HelpView {
    HelpView {
        did_you_mean: (line % 2 == 1).then(|| "infer_schema".into()),
        moved_to: line
            .is_multiple_of(7)
            .then(|| PlaceView { file_path: "weaver/schema/infer.py".into(), line: 31 }),
        removed_by: (line % 3 == 2).then(|| RemovalView {
            commit_id: id(4),
            author: "grace".into(),
            committed_at: "2026-03-19T21:55:10+00:00".into(),
        }),
    }
}

pub(super) fn groups() -> Vec<GroupRow> {
    let group = |name: &str, total, errors, files, names, shown| GroupRow {
        name: name.into(),
        total,
        errors,
        files,
        names,
        first: issues(shown),
    };
    vec![
        group("weaver.schema.inference.resolve_schema", 40, 0, 38, 1, 5),
        group("weaver.compat.legacy_sources", 1, 1, 1, 1, 1),
        group("", 2, 0, 1, 1, 2),
    ]
}

pub(super) fn trend() -> Option<Trend> {
    Trend::of(&[3, 3, 12, 40, 38, 110, 240, 210, 195])
}

fn version(branch: Option<&str>) -> VersionView {
    let commit = commits().remove(0);
    let rev = branch.map_or_else(|| commit.id.clone(), Into::into);
    VersionView { rev, branch: branch.map(Into::into), commit }
}

fn crumbs() -> Vec<Crumb> {
    let crumb = |name: &str, path: &str| Crumb { name: name.into(), path: path.into() };
    vec![
        crumb("weaver", "weaver"),
        crumb("planner", "weaver/planner"),
        crumb("cost.py", "weaver/planner/cost.py"),
    ]
}

pub(super) fn tree() -> TreePage {
    let Some(content) = repo().content else {
        panic!("the sample repository has files");
    };
    TreePage {
        repo: header(),
        at: version(Some("feature/streaming-windows")),
        folder: "weaver/planner".into(),
        path: crumbs().into_iter().take(2).collect(),
        entries: content.entries,
        entries_omitted: 0,
    }
}

pub(super) fn blob() -> BlobPage {
    let text = "from weaver.catalog import PartitionStatistics\n\n\ndef cost(plan, *, limit=10):\n    \"\"\"Rows read.\"\"\"\n    return sum(step.rows for step in plan)  # <all>\n";
    let Highlighted { lines, language } = highlight("cost.py", text, std::time::Duration::from_secs(60));
    BlobPage {
        repo: header(),
        at: version(None),
        file: "weaver/planner/cost.py".into(),
        path: crumbs(),
        size: text.len() as u64,
        content: BlobContent {
            kind: BlobKind::Text,
            lines,
            language,
            lossy: false,
            bidi: false,
            limit: 1 << 20,
            line_limit: 20_000,
        },
        issues: issues(2),
        issues_total: 2,
        counts: scan(193, 2).counts,
    }
}

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

pub(super) fn diff(view: DiffMode) -> DiffView {
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

pub(super) fn commit_page() -> CommitPage {
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
        signature: SignatureView { state: SignatureState::Unverifiable, key: "630dcd2966c43366".into() },
        reported: Reported {
            bump: Some("major".into()),
            breaking: vec!["weaver.schema.resolve_schema".into()],
            breaking_omitted: 7,
        },
        diff: diff(DiffMode::Unified),
    }
}

pub(super) fn compare() -> ComparePage {
    let end = |name: &str| EndView { name: name.into(), is_branch: true, commit_id: id(5) };
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

pub(super) fn branch_list() -> BranchListPage {
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

pub(super) fn proposal_row() -> ProposalRow {
    ProposalRow {
        number: 41,
        title: "Emit late rows to the side output instead of dropping them, and count them per key".into(),
        author: "grace".into(),
        source: "feature/streaming-windows".into(),
        target: "main".into(),
        fate: ProposalFate::Open,
        draft: false,
        created_at: "2026-03-20T15:40:00.000Z".into(),
        closed_at: None,
        entries: 13,
    }
}

pub(super) fn proposal_list() -> ProposalListPage {
    let row =
        |number, fate, draft| ProposalRow { number, fate, draft, entries: number % 3, ..proposal_row() };
    ProposalListPage {
        repo: header(),
        shown: None,
        counts: ProposalTotals { open: 2, merged: 1_204, closed: 37 },
        proposals: vec![
            row(41, ProposalFate::Open, false),
            row(40, ProposalFate::Open, true),
            row(39, ProposalFate::Merged, false),
            row(37, ProposalFate::Closed, true),
        ],
        is_first: false,
        next_cursor: Some(37),
    }
}

/// A conversation with an entry of every kind, and one that was deleted.
pub(super) fn proposal(tab: ProposalTab) -> ProposalPage {
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
        }],
    }
}

pub(super) fn scan(warnings: u64, errors: u64) -> BreakageScan {
    BreakageScan {
        counts: Some(BreakageCounts {
            total: warnings + errors,
            warnings,
            errors,
            files: 1767,
            commit_id: id(0),
            scanned_at: Some("2026-03-20T17:42:12Z".into()),
        }),
        job: None,
    }
}

pub(super) fn home() -> HomePage {
    let row = |owner: &str, slug: &str, description: Option<&str>, at: Option<&str>| RepoListRow {
        owner: owner.into(),
        slug: slug.into(),
        description: description.map(Into::into),
        pushed_at: at.map(Into::into),
    };
    HomePage {
        base_url: "http://127.0.0.1:1337".into(),
        repositories: vec![
            row(
                "ada",
                "weaver",
                Some("A loom for declarative data pipelines, with a small query planner"),
                Some("2026-03-20T17:42:10+00:00"),
            ),
            row("grace", "nanosecond", None, Some("2026-03-19T09:12:00+00:00")),
            row(
                "barbara",
                "substitution-principle-for-the-rest-of-us",
                Some(
                    "Notes and worked examples: what a subtype owes its supertype, in eleven languages, with a test suite for each of them",
                ),
                Some("2026-02-27T22:01:00+00:00"),
            ),
            row("demo", "sample", Some("Pushed by musehub-server demo"), None),
        ],
        next_cursor: Some("b3/= 7".into()),
    }
}

pub(super) fn repo() -> RepoHomePage {
    let commits = commits();
    let entry = |name: &str, size: Option<u64>, files: Option<u64>| TreeEntry {
        name: name.into(),
        kind: if files.is_some() { EntryKind::Directory } else { EntryKind::File },
        size,
        files,
    };
    let branch = |name: &str, n: usize| BranchRow {
        name: name.into(),
        is_default: name == "main",
        head: commits[n].clone(),
    };
    RepoHomePage {
        repo: header(),
        base_url: "http://127.0.0.1:1337".into(),
        counts: RepoCounts { commits: 1284, branches: 3, files: 1767 },
        content: Some(RepoContent {
            branch: "main".into(),
            head: commits[0].clone(),
            entries: vec![
                entry("benchmarks", None, Some(12)),
                entry("docs", None, Some(64)),
                entry("tests", None, Some(403)),
                entry("weaver", None, Some(1281)),
                entry(".museignore", Some(210), None),
                entry("LICENSE", Some(11_357), None),
                entry("README.md", Some(5_120), None),
                entry("pyproject.toml", None, None),
                entry("weights.bin", Some(73_400_320), None),
            ],
            entries_omitted: 0,
            branches: vec![
                branch("main", 0),
                branch("feature/streaming-windows", 2),
                branch("grace/really-long-topic-branch-name-about-partition-statistics", 4),
            ],
            branches_omitted: 0,
            commits: commits.into_iter().take(6).collect(),
        }),
        breakage: scan(193, 2),
    }
}

pub(super) fn commit_list() -> CommitListPage {
    CommitListPage {
        repo: header(),
        branch: "main".into(),
        branches: vec!["main".into(), "feature/streaming-windows".into(), "odd #1 & co?".into()],
        commits: commits(),
        is_first: false,
        next_cursor: Some("1a+b/c&d".into()),
    }
}

pub(super) fn intel() -> IntelDashboardPage {
    IntelDashboardPage { repo: header(), breakage: scan(193, 2), trend: trend(), preview: issues(5) }
}

pub(super) fn breakage() -> BreakagePage {
    BreakagePage {
        repo: header(),
        scan: scan(193, 2),
        trend: trend(),
        filter: BreakageFilter {
            issue_type: None,
            severity: None,
            file: None,
            subject: None,
            group: None,
            top: 20,
            page: 2,
        },
        valid_types: vec!["missing_module".into(), "missing_symbol".into(), "stale_import".into()],
        valid_tops: vec![20, 50, 100],
        matching: 195,
        issues: issues(20),
        groups: vec![],
        pages: 10,
    }
}

pub(super) fn not_found() -> ErrorPage {
    ErrorPage {
        status: 404,
        title: "Nothing at this address".into(),
        sentence: "The page does not exist, or it belongs to a repository you cannot read.".into(),
    }
}
