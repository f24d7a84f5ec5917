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
