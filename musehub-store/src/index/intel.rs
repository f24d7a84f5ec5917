//! [`BreakageIndex`] and [`FactCache`].

use std::collections::BTreeMap;

use async_trait::async_trait;
use musehub_core::id::BlobId;
use musehub_core::name::RepoId;
use musehub_core::port::{
    BackendError, BreakageFilter, BreakageIndex, BreakageIssue, BreakageMeta, FactCache, Severity,
};
use sea_orm::{QueryResult, Value};

use super::SqlIndex;
use super::entity::intel::{breakage_issue, fact};
use super::sql::{Row, among, damaged, id_array, integer, number};

const CLEAR: &str = "DELETE FROM musehub_intel_breakage_issues WHERE repo_id = $1";

const PUT_META: &str = "\
    INSERT INTO musehub_intel_breakage_meta \
        (repo_id, total_issues, warning_count, error_count, file_count, ref, scanned_at) \
    VALUES ($1, $2, $3, $4, $5, $6, $7) \
    ON CONFLICT (repo_id) DO UPDATE SET \
        total_issues = excluded.total_issues, warning_count = excluded.warning_count, \
        error_count = excluded.error_count, file_count = excluded.file_count, ref = excluded.ref, \
        scanned_at = excluded.scanned_at";

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
        use breakage_issue::Column as C;
        let write = self.write("replacing breakage").await?;
        let sums = [
            repo.as_str().into(),
            integer(meta.total_issues)?.into(),
            integer(meta.warning_count)?.into(),
            integer(meta.error_count)?.into(),
            integer(meta.file_count)?.into(),
            meta.commit.to_string().into(),
            meta.scanned_at.as_millis().into(),
        ];
        write.execute(PUT_META, sums).await?;
        write.execute(CLEAR, [repo.as_str().into()]).await?;
        let commit = meta.commit.to_string();
        let rows = distinct(issues).into_values().map(|issue| {
            Ok([
                issue.issue_id.to_string().into(),
                repo.as_str().into(),
                issue.issue_type.as_str().into(),
                issue.file_path.as_str().into(),
                i64::from(issue.line).into(),
                issue.description.as_str().into(),
                issue.severity.as_str().into(),
                commit.as_str().into(),
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
        ];
        write.insert_new::<breakage_issue::Entity, 8>(columns, rows.collect::<Vec<_>>()).await?;
        write.commit().await
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
        let issues = rows.iter().filter_map(|row| issue(row).transpose()).collect::<Result<_, _>>()?;
        Ok((issues, total))
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
        use fact::Column as C;
        let write = self.write("keeping facts").await?;
        for some in facts.chunks(FACTS_AT_ONCE) {
            let rows: Vec<Result<[Value; 3], BackendError>> = some
                .iter()
                .map(|(blob, facts)| Ok([kind.into(), blob.to_string().into(), facts.as_str().into()]))
                .collect();
            write.insert_new::<fact::Entity, 3>([C::Kind, C::BlobId, C::Facts], rows).await?;
        }
        write.commit().await
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

/// A page of issues, each row with the number of all that match; one row without an issue where the page is empty. In
/// one statement, so that the two are of the same scan.
pub(super) fn issues_query(repo: &RepoId, filter: &BreakageFilter) -> (String, Vec<Value>) {
    let mut values: Vec<Value> =
        vec![repo.as_str().into(), i64::from(filter.limit).into(), i64::from(filter.offset).into()];
    let mut matching = String::from("repo_id = $1");
    let severity = filter.severity.map(Severity::as_str);
    for (column, wanted) in [("issue_type", filter.issue_type.as_deref()), ("severity", severity)] {
        if let Some(wanted) = wanted {
            values.push(wanted.into());
            matching.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    let query = format!(
        "SELECT matching.total, page.issue_id, page.issue_type, page.file_path, page.line, page.description, \
            page.severity \
        FROM (SELECT COUNT(*) AS total FROM {ISSUES} WHERE {matching}) AS matching \
        LEFT JOIN ( \
            SELECT issue_id, issue_type, file_path, line, description, severity FROM {ISSUES} WHERE {matching} \
            ORDER BY file_path, line, issue_id LIMIT $2 OFFSET $3 \
        ) AS page ON TRUE \
        ORDER BY page.file_path, page.line, page.issue_id"
    );
    (query, values)
}

fn issue(row: &QueryResult) -> Result<Option<BreakageIssue>, BackendError> {
    let row = Row::of(ISSUES, row);
    let Some(issue_id) = row.parse_nullable(1, "issue_id")? else {
        return Ok(None);
    };
    Ok(Some(BreakageIssue {
        issue_id,
        issue_type: row.get(2, "issue_type")?,
        file_path: row.get(3, "file_path")?,
        line: number(ISSUES, "line", row.get(4, "line")?)?,
        description: row.get(5, "description")?,
        severity: severity(&row.get::<String>(6, "severity")?)?,
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
