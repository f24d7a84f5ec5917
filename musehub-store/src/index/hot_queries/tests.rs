//! Plans over filled tables, on both engines.

use sea_orm::{ConnectionTrait, DbBackend};

use super::{HotQuery, all};
use crate::index::{SqlIndex, schema, sql};

/// Rows of each table. A repository has 200 of them in a row, as pushes leave them.
const ROWS: usize = 8_000;

pub(super) fn repo_id(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Each table with the values of its row `i`.
fn filled() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "musehub_repos (repo_id, owner, slug, owner_key, slug_key, version, visibility, description, scheme, \
             default_branch, created_at, deleted)",
            "{every}, 'owner' || i, 'repo' || i, 'owner' || i, 'repo' || i, 1, \
             CASE WHEN i % 4 = 0 THEN 'private' ELSE 'public' END, 'about', NULL, NULL, i, i % 50 = 0",
        ),
        (
            "musehub_branches (repo_id, name, head_commit_id, sequence, moved_at)",
            "{repo}, 'branch' || i, 'commit' || i, 1, i",
        ),
        (
            "musehub_commits (repo_id, commit_id, snapshot_id, author, message, committed_at, agent_id, branch, size, \
             storage_uri)",
            "{repo}, 'commit' || i, 'snapshot' || i, 'author', 'message', 'then', '', 'main', i, 'pack:1#1+1'",
        ),
        (
            "musehub_commit_graph (repo_id, commit_id, position, parent_id, generation)",
            "{repo}, 'commit' || i, 0, CASE WHEN i % 200 = 0 THEN NULL ELSE 'commit' || (i - 1) END, i % 200 + 1",
        ),
        (
            "musehub_snapshots (repo_id, snapshot_id, entry_count, size, storage_uri)",
            "{repo}, 'snapshot' || i, 1, i, 'pack:1#1+1'",
        ),
        ("musehub_objects (object_id, size, storage_uri)", "'blob' || i, i, 'pack:1#1+1'"),
        ("musehub_object_refs (repo_id, object_id)", "{repo}, 'blob' || i"),
        ("musehub_identities (handle, handle_key, created_at)", "'owner' || i, 'owner' || i, i"),
        ("musehub_tokens (token_hash, handle, created_at)", "'token' || i, 'owner' || i, i"),
        (
            "musehub_background_jobs (job_id, repo_id, job_type, payload, status, attempt, run_at, created_at, updated_at)",
            "'job' || i, {repo}, 'kind' || (i % 3), '{}', CASE WHEN i % 100 = 0 THEN 'pending' ELSE 'done' END, 1, i, i, i",
        ),
        (
            "musehub_intel_breakage_issues (issue_id, repo_id, issue_type, file_path, line, description, severity, ref, \
             subject)",
            "'issue' || i, {repo}, 'type' || (i % 3), 'file' || i || '.py', i, 'description', \
             CASE WHEN i % 2 = 0 THEN 'error' ELSE 'warning' END, 'commit' || i, 'subject' || (i % 50)",
        ),
        (
            "musehub_intel_breakage_meta (repo_id, total_issues, warning_count, error_count, file_count, ref, scanned_at)",
            "{every}, 1, 1, 0, 1, 'commit' || i, i",
        ),
        (
            "musehub_intel_breakage_scans (repo_id, total_issues, warning_count, error_count, file_count, ref, scanned_at)",
            "{repo}, 1, 1, 0, 1, 'commit' || i, i",
        ),
        ("musehub_intel_facts (kind, blob_id, facts)", "'kind1', 'blob' || i, '{}'"),
    ]
}

/// The id of the repository of a number, as SQL.
fn numbered(engine: DbBackend, number: &str) -> String {
    match engine {
        DbBackend::Postgres => format!("'00000000-0000-4000-8000-' || lpad(({number})::text, 12, '0')"),
        _ => format!("'00000000-0000-4000-8000-' || substr('000000000000' || ({number}), -12)"),
    }
}

/// Fills every table and lets the engine count what is there.
async fn fill(index: &SqlIndex) {
    let engine = index.writer.get_database_backend();
    for (table, values) in filled() {
        let values =
            values.replace("{repo}", &numbered(engine, "i / 200")).replace("{every}", &numbered(engine, "i"));
        let insert = format!(
            "INSERT INTO {table} WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {ROWS}) \
             SELECT {values} FROM n"
        );
        index.writer.execute_unprepared(&insert).await.unwrap_or_else(|error| panic!("{insert}\n{error}"));
    }
    index.writer.execute_unprepared("ANALYZE").await.unwrap();
}

/// The steps of the plan.
async fn plan(index: &SqlIndex, query: &HotQuery) -> Vec<String> {
    let (explain, column) = match index.writer.get_database_backend() {
        DbBackend::Postgres => ("EXPLAIN", "QUERY PLAN"),
        _ => ("EXPLAIN QUERY PLAN", "detail"),
    };
    let text = format!("{explain} {}", query.text);
    let rows = sql::rows(&index.writer, "explaining", &text, query.values.clone()).await.unwrap();
    rows.iter().map(|row| row.try_get("", column).unwrap()).collect()
}

/// The names that a query has for tables: their own, and those after `AS`.
fn names(text: &str) -> Vec<&str> {
    let words: Vec<&str> = text.split([' ', ',', '(', ')']).filter(|word| !word.is_empty()).collect();
    let tables = words.iter().enumerate().filter(|(_, word)| word.starts_with("musehub_"));
    let alias = |at: usize| (words.get(at + 1) == Some(&"AS")).then(|| words.get(at + 2)).flatten();
    tables.flat_map(|(at, table)| [Some(table), alias(at)]).flatten().copied().collect()
}

/// The steps that read a table, or an index of it, from end to end.
fn scans<'a>(query: &HotQuery, plan: &'a [String]) -> Vec<&'a str> {
    let names = names(&query.text);
    let scans = |step: &&str| {
        let sqlite = step.strip_prefix("SCAN ").and_then(|rest| rest.split(' ').next());
        sqlite.is_some_and(|name| names.contains(&name)) || step.contains("Seq Scan on musehub_")
    };
    let allowed = |step: &&str| query.whole_index.is_some_and(|index| step.contains(index));
    plan.iter().map(String::as_str).filter(scans).filter(|step| !allowed(step)).collect()
}

#[tokio::test]
async fn hot_queries_never_read_a_table_from_end_to_end() {
    for index in [SqlIndex::in_memory().await.unwrap()] {
        let engine = index.writer.get_database_backend();
        fill(&index).await;
        println!("{engine:?}, {ROWS} rows in each table:");
        let mut failed = Vec::new();
        for query in all() {
            let plan = plan(&index, &query).await;
            let access: Vec<&str> = plan
                .iter()
                .map(|step| step.trim_start_matches([' ', '-', '>']))
                .filter(|step| {
                    ["SEARCH", "SCAN", "Index", "Bitmap Index", "Seq"].iter().any(|how| step.starts_with(how))
                })
                .filter(|step| !step.starts_with("Index Cond"))
                .map(|step| step.split("  (cost").next().unwrap_or(step))
                .collect();
            println!("| {} | {} |", query.name, access.join("; "));
            if !scans(&query, &plan).is_empty() {
                failed.push(format!("{engine:?}: {}\n{}", query.name, plan.join("\n")));
            }
        }
        assert!(failed.is_empty(), "{}", failed.join("\n\n"));
    }
}

#[tokio::test]
async fn every_table_is_filled_before_plans_are_asked_for() {
    let declared = schema::declared::catalogue(DbBackend::Sqlite);
    let filled = filled();
    let filled: Vec<&str> = filled.iter().filter_map(|(table, _)| table.split(' ').next()).collect();
    let used: Vec<String> = all()
        .iter()
        .flat_map(|query| names(&query.text).into_iter().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    for table in declared.tables.keys().filter(|table| used.contains(table)) {
        assert!(filled.contains(&table.as_str()), "{table} has a hot query but no rows in its test");
    }
}

#[tokio::test]
async fn a_scan_is_found() {
    for index in [SqlIndex::in_memory().await.unwrap()] {
        fill(&index).await;
        let query =
            super::hot("all", "SELECT c.author FROM musehub_commits AS c WHERE c.author = $1", ["x".into()]);
        let plan = plan(&index, &query).await;
        assert_eq!(scans(&query, &plan).len(), 1, "{plan:?}");
    }
}
