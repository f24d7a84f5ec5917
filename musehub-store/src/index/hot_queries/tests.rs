//! Plans over filled tables, on both engines.

use musehub_test_services::Engine;
use sea_orm::{
    ConnectionTrait, DatabaseConnection, DbBackend, QueryResult, Statement, TransactionTrait, Value,
};

use super::{HotQuery, all};
use crate::index::{connect, dialect, migrate, schema, sql};

/// Rows of each table. A repository has 200 of them in a row, as pushes leave them.
const ROWS: usize = 8_000;

pub(in crate::index) fn repo_id(n: usize) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Each table with the values of its row `i`.
fn filled() -> Vec<(&'static str, &'static str)> {
    vec![
        (
            "musehub_repos (repo_id, owner, slug, owner_key, slug_key, version, visibility, description, scheme, \
             default_branch, settings, created_at, deleted)",
            "{every}, 'owner' || i, 'repo' || i, 'owner' || i, 'repo' || i, 1, \
             CASE WHEN i % 4 = 0 THEN 'private' ELSE 'public' END, 'about', NULL, NULL, '{}', i, i % 50 = 0",
        ),
        (
            "musehub_branches (repo_id, name, head_commit_id, sequence, moved_at)",
            "{repo}, 'branch' || i, 'commit' || i, 1, i",
        ),
        ("musehub_branch_claims (repo_id, name, claimed_until)", "{repo}, 'branch' || i, i"),
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
        (
            "musehub_releases (repo_id, tag, channel, is_draft, commit_id, publisher, created_at, record)",
            "{repo}, 'tag' || i, 'stable', i % 9 = 0, 'commit' || i, 'owner', i, '{}'",
        ),
        (
            "musehub_wire_tags (repo_id, label, commit_id, tag_id, created_at, tagger)",
            "{repo}, 'label' || i, 'commit' || i, 'tag' || i, 'then', 'owner'",
        ),
        ("musehub_identities (handle, handle_key, created_at)", "'owner' || i, 'owner' || i, i"),
        ("musehub_tokens (token_hash, handle, created_at)", "'token' || i, 'owner' || i, i"),
        (
            "musehub_collaborators (repo_id, handle_key, role, added_by, added_at)",
            "{repo}, 'owner' || i, 'write', 'owner0', i",
        ),
        (
            "musehub_auth_keys (key_id, handle_key, public_key, created_at)",
            "'key' || i, 'owner' || i, 'bytes', i",
        ),
        ("musehub_spent_proofs (proof_hash, expires_at)", "'proof' || i, i"),
        ("musehub_secrets (name, secret)", "'secret' || i, 'bytes'"),
        (
            "musehub_background_jobs (job_id, repo_id, job_type, payload, status, attempt, run_at, created_at, updated_at, turn)",
            "'job' || i, {repo}, 'kind' || (i % 3), '{}', CASE WHEN i % 100 = 0 THEN 'pending' ELSE 'done' END, 1, i, i, i, \
             CASE WHEN i % 200 = 0 THEN i END",
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
        ("musehub_rate_limits (bucket, full_at)", "'bucket' || i, i"),
        (
            "musehub_fetch_mpack_cache (cache_id, repo_id, mpack_id, file, size, commit_count, snapshot_count, \
             object_count, created_at, expires_at)",
            "'cache' || i, {repo}, 'mpack' || i, 'file' || i, i, 1, 1, 1, i, i",
        ),
        ("musehub_intel_facts (kind, blob_id, facts)", "'kind1', 'blob' || i, '{}'"),
        (
            "musehub_proposals (repo_id, number, version, title, description, from_branch, to_branch, author, author_key, \
             state, draft, head_commit_id, base_commit_id, created_at, updated_at, entries)",
            "{repo}, i, 1, 'title', 'about', 'branch' || i, 'branch' || (i % 20), 'owner', 'owner' || (i % 10), \
             CASE WHEN i % 4 = 0 THEN 'open' ELSE 'merged' END, false, 'commit' || i, 'commit' || i, i, i, 1",
        ),
        (
            "musehub_proposal_entries (repo_id, number, entry_id, kind, body, created_at, deleted)",
            "{repo}, i, 1, 'comment', 'body', i, false",
        ),
        (
            "musehub_proposal_reviews (repo_id, number, reviewer_key, reviewer, verdict, commit_id, entry_id, created_at)",
            "{repo}, i, 'owner', 'owner', 'approved', 'commit' || i, 1, i",
        ),
        (
            "musehub_proposal_checks (repo_id, number, source_id, target_id, found)",
            "{repo}, i, 'commit' || i, 'commit' || i, '{}'",
        ),
    ]
}

/// The id of the repository of a number, as SQL.
fn numbered(engine: DbBackend, number: &str) -> String {
    match engine {
        DbBackend::Postgres => format!("'00000000-0000-4000-8000-' || lpad(({number})::text, 12, '0')"),
        _ => format!("'00000000-0000-4000-8000-' || substr('000000000000' || ({number}), -12)"),
    }
}

/// Fills tables with so many rows each.
pub(in crate::index) async fn fill(database: &DatabaseConnection, rows: usize, these: impl Fn(&str) -> bool) {
    let engine = database.get_database_backend();
    for (table, values) in filled() {
        if !table.split(' ').next().is_some_and(&these) {
            continue;
        }
        let values =
            values.replace("{repo}", &numbered(engine, "i / 200")).replace("{every}", &numbered(engine, "i"));
        let insert = format!(
            "INSERT INTO {table} WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {rows}) \
             SELECT {values} FROM n"
        );
        database.execute_unprepared(&insert).await.unwrap_or_else(|error| panic!("{insert}\n{error}"));
    }
}

/// A database whose every table is filled, and whose engine has counted what is there.
async fn filled_database(engine: Engine) -> DatabaseConnection {
    let database = connect::empty(engine).await;
    migrate(&database).await.unwrap();
    fill(&database, ROWS, |_| true).await;
    database.execute_unprepared("ANALYZE").await.unwrap();
    database
}

/// A plan that an engine may choose.
struct Plan {
    steps: Vec<String>,
    /// How many rows it looked at, where the engine says so.
    visited: Option<u64>,
}

/// The plans that the engine may choose. PostgreSQL makes one for the values of each of the first executions of a prepared
/// statement, and then perhaps one for any values; both are carried out, and what they write is taken back.
async fn plans(database: &DatabaseConnection, query: &HotQuery) -> Vec<Plan> {
    let engine = database.get_database_backend();
    if engine == DbBackend::Sqlite {
        let explain = format!("EXPLAIN QUERY PLAN {}", query.text);
        let steps = steps(database, &explain, query.values.clone(), "detail").await;
        return vec![Plan { steps, visited: None }];
    }
    const EXPLAIN: &str = "EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF)";
    let carried_out = |steps: Vec<String>| Plan { visited: Some(visited(&steps)), steps };
    let session = database.begin().await.unwrap();
    let explain = format!("{EXPLAIN} {}", query.text);
    let of_values = carried_out(steps(&session, &explain, query.values.clone(), "QUERY PLAN").await);
    session.rollback().await.unwrap();

    let session = database.begin().await.unwrap();
    let prepare = format!("PREPARE hot AS {}", dialect::text(engine, &query.text));
    session.execute_unprepared(&prepare).await.unwrap_or_else(|error| panic!("{prepare}: {error}"));
    session.execute_unprepared("SET LOCAL plan_cache_mode = force_generic_plan").await.unwrap();
    let binds: Vec<String> = (1..=query.values.len()).map(|n| format!("${n}")).collect();
    let execute = format!("{EXPLAIN} EXECUTE hot ({})", binds.join(", "));
    let execute = Statement::from_sql_and_values(engine, execute, query.values.clone()).to_string();
    let of_any = carried_out(steps(&session, &execute, Vec::new(), "QUERY PLAN").await);
    session.execute_unprepared("DEALLOCATE hot").await.unwrap();
    session.rollback().await.unwrap();
    vec![of_values, of_any]
}

/// The number after a word of a step.
fn number_after(step: &str, word: &str) -> Option<u64> {
    let rest = step.split_once(word)?.1;
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// The rows of tables that a plan looked at as it was carried out: those that it took, and those that it read and left.
fn visited(steps: &[String]) -> u64 {
    let (mut visited, mut loops) = (0, 1);
    for (at, step) in steps.iter().enumerate() {
        if let Some(done) = number_after(step, " loops=") {
            loops = done;
            let rows = number_after(step, "actual rows=").unwrap_or(0);
            visited += access(steps, at).map_or(0, |_| rows * loops);
        }
        let left = ["Rows Removed by Filter: ", "Rows Removed by Index Recheck: "];
        visited +=
            left.iter().filter_map(|word| number_after(step, word)).map(|rows| rows * loops).sum::<u64>();
    }
    visited
}

async fn steps(
    connection: &impl ConnectionTrait,
    explain: &str,
    values: Vec<Value>,
    column: &str,
) -> Vec<String> {
    let rows = sql::rows(connection, "explaining", explain, values).await.unwrap();
    let step = |row: &QueryResult| row.try_get::<String>("", column).unwrap();
    rows.iter().map(step).map(|step| step.trim_start_matches([' ', '-', '>']).to_owned()).collect()
}

/// How a step of a plan reaches the rows of a table; none where it reaches none by itself.
fn access(steps: &[String], at: usize) -> Option<Access> {
    let step = &steps[at];
    let is = |kinds: &[&str]| kinds.iter().any(|kind| step.starts_with(kind));
    if is(&["SEARCH "]) {
        Some(Access::Search)
    } else if is(&["SCAN ", "Seq Scan", "Parallel Seq Scan"]) {
        Some(Access::Scan)
    } else if is(&["Index Scan", "Index Only Scan", "Bitmap Index Scan", "Parallel Index"]) {
        // Without a condition it reads the index from end to end.
        let searched = steps.get(at + 1).is_some_and(|next| next.starts_with("Index Cond"));
        Some(if searched { Access::Search } else { Access::Scan })
    } else {
        None
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// By values of columns of an index.
    Search,
    /// From end to end.
    Scan,
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
    // SQLite says SCAN of what is no table, too: the ids asked, and rows of subqueries.
    let of_table = |step: &str| match step.strip_prefix("SCAN ") {
        Some(rest) => rest.split(' ').next().is_some_and(|name| names.contains(&name)),
        None => true,
    };
    let allowed = |step: &str| query.whole_index.is_some_and(|index| step.contains(index));
    let steps = plan.iter().enumerate().filter(|(at, _)| access(plan, *at) == Some(Access::Scan));
    steps.map(|(_, step)| step.as_str()).filter(|step| of_table(step) && !allowed(step)).collect()
}

/// What the plans read and how, once where they read the same.
fn shown(plans: &[Plan]) -> String {
    let read = |plan: &Plan| {
        let steps = plan.steps.iter().enumerate().filter(|(at, _)| access(&plan.steps, *at).is_some());
        let name = |step: &str| step.split(" (actual").next().unwrap_or_default().to_owned();
        steps.map(|(_, step)| name(step)).collect::<Vec<_>>().join("; ")
    };
    let mut shown: Vec<String> = plans.iter().map(read).collect();
    shown.dedup();
    shown.join("; of any values: ")
}

#[tokio::test]
async fn hot_queries_never_read_a_table_from_end_to_end() {
    let mut failed = Vec::new();
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let database = filled_database(engine).await;
        println!("| {engine:?}, {ROWS} rows in each table | reads |\n|---|---|");
        for query in all() {
            let plans = plans(&database, &query).await;
            let visited = plans.iter().filter_map(|plan| plan.visited).max();
            let rows = visited.map_or_else(String::new, |rows| format!(" ({rows} rows)"));
            println!("| {} | {}{rows} |", query.name, shown(&plans));
            for plan in &plans {
                let scans = !scans(&query, &plan.steps).is_empty();
                if scans || plan.visited.is_some_and(|rows| rows > query.most) {
                    let visited = plan.visited.unwrap_or_default();
                    failed.push(format!(
                        "{engine:?}: {} ({visited} rows)\n{}",
                        query.name,
                        plan.steps.join("\n")
                    ));
                }
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

#[test]
fn every_table_is_filled_before_plans_are_asked_for() {
    let declared = schema::declared::catalogue(DbBackend::Sqlite);
    let filled = filled();
    let filled: Vec<&str> = filled.iter().filter_map(|(table, _)| table.split(' ').next()).collect();
    for table in declared.tables.keys() {
        assert!(filled.contains(&table.as_str()), "{table} has no rows in the test of plans");
    }
}

#[tokio::test]
async fn a_scan_is_found() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let database = filled_database(engine).await;
        for text in [
            "SELECT c.author FROM musehub_commits AS c WHERE c.author = $1",
            "SELECT storage_uri FROM musehub_objects WHERE storage_uri > $1 ORDER BY object_id LIMIT 5",
        ] {
            let query = super::hot("all", text, ["x".into()]);
            for plan in plans(&database, &query).await {
                assert_eq!(scans(&query, &plan.steps).len(), 1, "{:?}", plan.steps);
            }
        }
    }
}

#[tokio::test]
async fn a_search_that_finds_nearly_everything_is_found() {
    let database = filled_database(Engine::Postgres).await;
    database.execute_unprepared("SET enable_seqscan = off").await.unwrap();
    let text = "SELECT job_id FROM musehub_background_jobs WHERE status = $1 \
        AND status IN ('done', 'failed', 'cancelled') AND error IS NOT NULL";
    let query = super::hot("jobs that ended", text, ["done".into()]);
    for plan in plans(&database, &query).await {
        assert!(plan.visited > Some(query.most), "{:?}", plan.steps);
    }
}

/// The SQL that stands in constants of a file, by name, without what is only a part of a statement.
fn constants(source: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut rest = source;
    while let Some((_, after)) = rest.split_once("const ") {
        rest = after;
        let Some((name, value)) = after.split_once(": &str =") else {
            break;
        };
        if !name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            continue;
        }
        let value = value.split_once(";\n").map_or(value, |(value, _)| value);
        found.push((name, value.split_whitespace().collect::<Vec<_>>().join(" ")));
    }
    found
}

/// Statements that may read as they like, and why.
const EXEMPT: [(&str, &str); 10] = [
    ("identity::ADD_TOKEN", "looks up one identity, as identity::IDENTITY does"),
    ("job_control::ENDED", "is listed for the statuses that it is made for"),
    ("job::LAST_TURN", "is listed as a statement of its own"),
    ("pages::ROWLESS_BLOBS", "once per repository and verification, which goes through all of them anyway"),
    ("pages::ROWLESS_COMMITS", "once per repository and verification, which goes through all of them anyway"),
    ("proposal::CREATE", "what it looks up is listed as a statement of its own"),
    ("rate_limits::FORGET", "once a minute, of a table that holds those who asked last"),
    ("unstored::COUNT_ALL", "once per backup and rebuild, of indexes of what has no object"),
    ("upgrade::LOCK", "reads no table"),
    ("upgrade::ORPHANS", "once per migration, to look at every foreign key"),
];

#[test]
fn every_statement_is_listed_or_there_is_a_reason() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/index");
    let list = std::fs::read_to_string(folder.join("hot_queries.rs")).unwrap();
    let (mut seen, mut unlisted) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let module = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_none_or(|extension| extension != "rs") || module == "hot_queries" {
            continue;
        }
        for (constant, text) in constants(&std::fs::read_to_string(&path).unwrap()) {
            let reads = ["SELECT ", "DELETE FROM ", "UPDATE musehub_", "columns!()"];
            // What is inserted with its values meets others by their keys only.
            let inserts = text.contains("INSERT INTO ") && !text.contains("SELECT ");
            if inserts || !reads.iter().any(|word| text.contains(word)) {
                continue;
            }
            let name = format!("{module}::{constant}");
            let word = |end: char| list.contains(&format!("{name}{end}"));
            if ![',', ')', '.', ';'].into_iter().any(word)
                && !EXEMPT.iter().any(|(exempt, _)| *exempt == name)
            {
                unlisted.push(name.clone());
            }
            seen.push(name);
        }
    }
    assert!(seen.len() > 70, "{} statements were found", seen.len());
    assert!(unlisted.is_empty(), "not among the hot queries: {unlisted:?}");
    for (exempt, _) in EXEMPT {
        assert!(seen.iter().any(|name| name == exempt), "{exempt} is no statement any more");
    }
}
