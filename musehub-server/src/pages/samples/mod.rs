//! Views with believable data, for the tests of the templates.

mod breakage;
mod changes;
mod proposals;
mod repository;

use super::*;
pub(super) use {breakage::*, changes::*, proposals::*, repository::*};

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
                id_verified: n != 4,
            }
        };
    (0..).zip(ROWS.iter()).map(row).collect()
}

pub(super) fn not_found() -> ErrorPage {
    ErrorPage {
        status: 404,
        title: "Nothing at this address".into(),
        sentence: "The page does not exist, or it belongs to a repository you cannot read.".into(),
    }
}
