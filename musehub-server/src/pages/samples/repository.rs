//! Views of a repository and of its files.

use super::*;

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

pub(in crate::pages) fn tree() -> TreePage {
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

pub(in crate::pages) fn blob() -> BlobPage {
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

pub(in crate::pages) fn repo() -> RepoHomePage {
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

pub(in crate::pages) fn commit_list() -> CommitListPage {
    CommitListPage {
        repo: header(),
        branch: "main".into(),
        branches: vec!["main".into(), "feature/streaming-windows".into(), "odd #1 & co?".into()],
        commits: commits(),
        is_first: false,
        next_cursor: Some("1a+b/c&d".into()),
    }
}

pub(in crate::pages) fn home() -> HomePage {
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
