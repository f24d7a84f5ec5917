//! [`BreakageIndex`] and [`FactCache`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use musehub_core::id::BlobId;
use musehub_core::name::RepoId;
use musehub_core::port::{
    BREAKAGE_HISTORY, BackendError, BreakageFilter, BreakageGroup, BreakageGrouping, BreakageIndex,
    BreakageIssue, BreakageMeta, FactCache, Severity,
};
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::dialect::among;
use super::entity::intel::{breakage_issue, fact};
use super::retry;
use super::sql::{Row, damaged, id_array, integer};

pub(super) const CLEAR: &str = "DELETE FROM musehub_intel_breakage_issues WHERE repo_id = $1";

const PUT_META: &str = "\
    INSERT INTO musehub_intel_breakage_meta \
        (repo_id, total_issues, warning_count, error_count, file_count, ref, scanned_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) \
    ON CONFLICT (repo_id) DO UPDATE SET \
        total_issues = excluded.total_issues, warning_count = excluded.warning_count, \
        error_count = excluded.error_count, file_count = excluded.file_count, ref = excluded.ref, \
        scanned_at = excluded.scanned_at";

const PUT_SCAN: &str = "\
    INSERT INTO musehub_intel_breakage_scans \
        (repo_id, total_issues, warning_count, error_count, file_count, ref, scanned_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) \
    ON CONFLICT (repo_id, ref) DO UPDATE SET \
        total_issues = excluded.total_issues, warning_count = excluded.warning_count, \
        error_count = excluded.error_count, file_count = excluded.file_count, scanned_at = excluded.scanned_at";

pub(super) const FORGET_SCANS: &str = "\
    DELETE FROM musehub_intel_breakage_scans WHERE repo_id = $1 AND ref NOT IN ( \
        SELECT ref FROM musehub_intel_breakage_scans WHERE repo_id = $1 \
        ORDER BY scanned_at DESC, ref DESC LIMIT $2)";

pub(super) const HISTORY: &str = "\
    SELECT ref, total_issues, warning_count, error_count, file_count, scanned_at \
    FROM musehub_intel_breakage_scans WHERE repo_id = $1 \
    ORDER BY scanned_at DESC, ref DESC LIMIT $2";

pub(super) const META: &str = "\
    SELECT ref, total_issues, warning_count, error_count, file_count, scanned_at \
    FROM musehub_intel_breakage_meta WHERE repo_id = $1";

pub(super) const FACTS: &str =
    concat!("SELECT blob_id, facts FROM musehub_intel_facts WHERE kind = $1 AND ", among!("blob_id", "$2"));

/// Facts of one insert: they may be long, and a statement holds a copy of each.
const FACTS_AT_ONCE: usize = 100;

#[async_trait]
impl BreakageIndex for SqlIndex {
    async fn replace_breakage(
        &self,
        repo: &RepoId,
        meta: &BreakageMeta,
        issues: &[BreakageIssue],
    ) -> Result<(), BackendError> {
        retry::transaction(|| async {
            use breakage_issue::Column as C;
            let write = self.write("replacing breakage").await?;
            let sums: [Value; 7] = [
                repo.as_str().into(),
                integer(meta.total_issues)?.into(),
                integer(meta.warning_count)?.into(),
                integer(meta.error_count)?.into(),
                integer(meta.file_count)?.into(),
                meta.commit.to_string().into(),
                meta.scanned_at.as_millis().into(),
            ];
            write.execute(PUT_META, sums.clone()).await?;
            write.execute(PUT_SCAN, sums).await?;
            write.execute(FORGET_SCANS, [repo.as_str().into(), i64::from(BREAKAGE_HISTORY).into()]).await?;
            write.execute(CLEAR, [repo.as_str().into()]).await?;
            let commit = meta.commit.to_string();
            let rows = distinct(issues).into_values().map(|issue| {
                let help = serde_json::to_string(&issue.help)
                    .map_err(|error| BackendError::unavailable("writing the help of an issue", error))?;
                Ok([
                    issue.issue_id.to_string().into(),
                    repo.as_str().into(),
                    issue.issue_type.as_str().into(),
                    issue.file_path.as_str().into(),
                    i64::from(issue.line).into(),
                    issue.description.as_str().into(),
                    issue.severity.as_str().into(),
                    commit.as_str().into(),
                    i64::from(issue.column).into(),
                    issue.subject.as_str().into(),
                    help.into(),
                ])
            });
            let columns = [
                C::IssueId,
                C::RepoId,
                C::IssueType,
                C::FilePath,
                C::Line,
                C::Description,
                C::Severity,
                C::CommitId,
                C::ColumnNumber,
                C::Subject,
                C::Help,
            ];
            write.insert_new::<breakage_issue::Entity, 11>(columns, rows.collect::<Vec<_>>()).await?;
            write.commit().await
        })
        .await
    }

    async fn breakage_meta(&self, repo: &RepoId) -> Result<Option<BreakageMeta>, BackendError> {
        let rows = self.rows("reading the sums of breakage", META, [repo.as_str().into()]).await?;
        rows.first().map(meta).transpose()
    }

    async fn breakage_issues(
        &self,
        repo: &RepoId,
        filter: &BreakageFilter,
    ) -> Result<(Vec<BreakageIssue>, u64), BackendError> {
        let (query, values) = issues_query(repo, filter);
        let rows = self.rows("reading breakage", &query, values).await?;
        let total = rows.first().map_or(Ok(0), |row| Row::of(ISSUES, row).number(0, "COUNT(*)"))?;
        let issues = rows.iter().filter_map(|row| issue(row, 1).transpose()).collect::<Result<_, _>>()?;
        Ok((issues, total))
    }

    async fn breakage_groups(
        &self,
        repo: &RepoId,
        by: BreakageGrouping,
        filter: &BreakageFilter,
        each: u32,
    ) -> Result<(Vec<BreakageGroup>, u64), BackendError> {
        let (query, values) = groups_query(repo, by, filter, each);
        let rows = self.rows("reading groups of breakage", &query, values).await?;
        let total = rows.first().map_or(Ok(0), |row| Row::of(ISSUES, row).number(0, "COUNT(*)"))?;
        Ok((groups(&rows)?, total))
    }

    async fn breakage_history(&self, repo: &RepoId, limit: u32) -> Result<Vec<BreakageMeta>, BackendError> {
        let values = [repo.as_str().into(), i64::from(limit).into()];
        let rows = self.rows("reading past scans", HISTORY, values).await?;
        rows.iter().rev().map(meta).collect()
    }
}

#[async_trait]
impl FactCache for SqlIndex {
    async fn facts(&self, kind: &str, blobs: &[BlobId]) -> Result<Vec<(BlobId, String)>, BackendError> {
        let rows = self.rows("reading facts", FACTS, [kind.into(), id_array(blobs)]).await?;
        let fact = |row| {
            let row = Row::of("musehub_intel_facts", row);
            Ok((row.parse(0, "blob_id")?, row.get(1, "facts")?))
        };
        rows.iter().map(fact).collect()
    }

    async fn put_facts(&self, kind: &str, facts: &[(BlobId, String)]) -> Result<(), BackendError> {
        retry::transaction(|| async {
            use fact::Column as C;
            let write = self.write("keeping facts").await?;
            let mut facts: Vec<&(BlobId, String)> = facts.iter().collect();
            facts.sort_by_key(|(blob, _)| *blob);
            for some in facts.chunks(FACTS_AT_ONCE) {
                let fact = |(blob, facts): &&(BlobId, String)| {
                    Ok([kind.into(), blob.to_string().into(), facts.as_str().into()])
                };
                let rows: Vec<Result<[Value; 3], BackendError>> = some.iter().map(fact).collect();
                write.insert_new::<fact::Entity, 3>([C::Kind, C::BlobId, C::Facts], rows).await?;
            }
            write.commit().await
        })
        .await
    }
}

/// One issue per id: a finding that a file has several times is one row, with its first line.
fn distinct(issues: &[BreakageIssue]) -> BTreeMap<BlobId, &BreakageIssue> {
    let mut distinct = BTreeMap::new();
    for issue in issues {
        let first = distinct.entry(issue.issue_id).or_insert(issue);
        if issue.line < first.line {
            *first = issue;
        }
    }
    distinct
}

const ISSUES: &str = "musehub_intel_breakage_issues";

/// The columns that [`issue`] reads, in its order.
const ISSUE: [&str; 9] = [
    "issue_id",
    "issue_type",
    "file_path",
    "line",
    "description",
    "severity",
    "column_number",
    "subject",
    "help",
];

fn issue_columns(table: &str) -> String {
    ISSUE.map(|column| format!("{table}.{column}")).join(", ")
}

/// The condition of a filter, with what it binds after `values`.
fn condition(filter: &BreakageFilter, values: &mut Vec<Value>) -> String {
    let mut condition = String::from("repo_id = $1");
    let wanted = [
        ("issue_type", filter.issue_type.as_deref()),
        ("severity", filter.severity.map(Severity::as_str)),
        ("file_path", filter.file_path.as_deref()),
        ("subject", filter.subject.as_deref()),
    ];
    for (column, wanted) in wanted {
        if let Some(wanted) = wanted {
            values.push(wanted.into());
            condition.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    condition
}

/// A page of issues, each row with the number of all that match; one row without an issue where the page is empty. In
/// one statement, so that the two are of the same scan.
pub(super) fn issues_query(repo: &RepoId, filter: &BreakageFilter) -> (String, Vec<Value>) {
    let mut values: Vec<Value> =
        vec![repo.as_str().into(), i64::from(filter.limit).into(), i64::from(filter.offset).into()];
    let matching = condition(filter, &mut values);
    let query = format!(
        "SELECT matching.total, {columns} \
        FROM (SELECT COUNT(*) AS total FROM {ISSUES} WHERE {matching}) AS matching \
        LEFT JOIN ( \
            SELECT {own} FROM {ISSUES} WHERE {matching} \
            ORDER BY file_path, line, issue_id LIMIT $2 OFFSET $3 \
        ) AS page ON TRUE \
        ORDER BY page.file_path, page.line, page.issue_id",
        columns = issue_columns("page"),
        own = ISSUE.join(", "),
    );
    (query, values)
}

/// A page of groups, each row with the number of all groups, its group and one of the group's first issues. In one
/// statement for the same reason.
pub(super) fn groups_query(
    repo: &RepoId,
    by: BreakageGrouping,
    filter: &BreakageFilter,
    each: u32,
) -> (String, Vec<Value>) {
    let mut values: Vec<Value> = vec![
        repo.as_str().into(),
        i64::from(filter.limit).into(),
        i64::from(filter.offset).into(),
        i64::from(each).into(),
    ];
    let matching = condition(filter, &mut values);
    let key = match by {
        BreakageGrouping::File => "file_path",
        BreakageGrouping::Subject => "subject",
    };
    let query = format!(
        "WITH families AS ( \
            SELECT {key} AS name, COUNT(*) AS issues, COUNT(CASE WHEN severity = 'error' THEN 1 END) AS errors, \
                COUNT(DISTINCT file_path) AS files, COUNT(DISTINCT subject) AS subjects \
            FROM {ISSUES} WHERE {matching} GROUP BY {key} \
        ), page AS ( \
            SELECT name, issues, errors, files, subjects FROM families ORDER BY issues DESC, name LIMIT $2 OFFSET $3 \
        ), numbered AS ( \
            SELECT {own}, ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY file_path, line, issue_id) AS place \
            FROM {ISSUES} WHERE {matching} AND {key} IN (SELECT name FROM page) \
        ), members AS ( \
            SELECT {own}, place FROM numbered WHERE place <= $4 \
        ) \
        SELECT counted.total, page.name, page.issues, page.errors, page.files, page.subjects, {columns} \
        FROM (SELECT COUNT(*) AS total FROM families) AS counted \
        LEFT JOIN page ON TRUE \
        LEFT JOIN members ON members.{key} = page.name \
        ORDER BY page.issues DESC, page.name, members.place",
        columns = issue_columns("members"),
        own = ISSUE.join(", "),
    );
    (query, values)
}

fn groups(rows: &[QueryResult]) -> Result<Vec<BreakageGroup>, BackendError> {
    let mut groups: Vec<BreakageGroup> = Vec::new();
    for row in rows {
        let first = issue(row, 6)?;
        let row = Row::of(ISSUES, row);
        let Some(name) = row.get::<Option<String>>(1, "the group")? else {
            continue;
        };
        if groups.last().is_none_or(|group| group.name != name) {
            groups.push(BreakageGroup {
                name,
                issues: row.number(2, "COUNT(*)")?,
                errors: row.number(3, "COUNT(errors)")?,
                files: row.number(4, "COUNT(file_path)")?,
                subjects: row.number(5, "COUNT(subject)")?,
                first: Vec::new(),
            });
        }
        if let Some(group) = groups.last_mut() {
            group.first.extend(first);
        }
    }
    Ok(groups)
}

/// The issue whose columns begin at `at`; none in a row of NULLs.
fn issue(row: &QueryResult, at: usize) -> Result<Option<BreakageIssue>, BackendError> {
    let row = Row::of(ISSUES, row);
    let Some(issue_id) = row.parse_nullable(at, "issue_id")? else {
        return Ok(None);
    };
    let help: String = row.get(at + 8, "help")?;
    Ok(Some(BreakageIssue {
        issue_id,
        issue_type: row.get(at + 1, "issue_type")?,
        file_path: row.get(at + 2, "file_path")?,
        line: row.number(at + 3, "line")?,
        description: row.get(at + 4, "description")?,
        severity: severity(&row.get::<String>(at + 5, "severity")?)?,
        column: row.number(at + 6, "column_number")?,
        subject: row.get(at + 7, "subject")?,
        help: serde_json::from_str(&help).map_err(|error| damaged(ISSUES, "help", error))?,
    }))
}

fn severity(word: &str) -> Result<Severity, BackendError> {
    [Severity::Error, Severity::Warning]
        .into_iter()
        .find(|severity| severity.as_str() == word)
        .ok_or_else(|| damaged(ISSUES, "severity", "no severity has that name"))
}

fn meta(row: &QueryResult) -> Result<BreakageMeta, BackendError> {
    let row = Row::of("musehub_intel_breakage_meta", row);
    Ok(BreakageMeta {
        commit: row.parse(0, "ref")?,
        total_issues: row.number(1, "total_issues")?,
        warning_count: row.number(2, "warning_count")?,
        error_count: row.number(3, "error_count")?,
        file_count: row.number(4, "file_count")?,
        scanned_at: row.moment(5, "scanned_at")?,
    })
}
