//! Views of what the detector found.

use super::*;

pub(in crate::pages) fn issues(count: usize) -> Vec<IssueRow> {
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

pub(in crate::pages) fn groups() -> Vec<GroupRow> {
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

pub(in crate::pages) fn trend() -> Option<Trend> {
    Trend::of(&[3, 3, 12, 40, 38, 110, 240, 210, 195])
}

pub(in crate::pages) fn scan(warnings: u64, errors: u64) -> BreakageScan {
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

pub(in crate::pages) fn intel() -> IntelDashboardPage {
    IntelDashboardPage { repo: header(), breakage: scan(193, 2), trend: trend(), preview: issues(5) }
}

pub(in crate::pages) fn breakage() -> BreakagePage {
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
