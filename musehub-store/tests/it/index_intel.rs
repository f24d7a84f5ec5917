//! Breakage and facts in the SQL index.

use musehub_core::port::{
    BackendError, BreakageFilter, BreakageIndex, BreakageIssue, BreakageMeta, FactCache, Help, Severity,
};

use crate::index_fixtures::{HOSTILE, at, blob_id, commit_id, index, repo};

fn issue(n: u64, file_path: &str, line: u32, severity: Severity) -> BreakageIssue {
    BreakageIssue {
        issue_id: blob_id(n),
        issue_type: "stale_import".to_owned(),
        file_path: file_path.to_owned(),
        line,
        column: 5,
        subject: "pkg.gone".to_owned(),
        description: format!("issue {n}"),
        severity,
        help: Help::default(),
    }
}

fn meta(issues: &[BreakageIssue]) -> BreakageMeta {
    let errors = issues.iter().filter(|issue| issue.severity == Severity::Error).count() as u64;
    BreakageMeta {
        commit: commit_id(1),
        total_issues: issues.len() as u64,
        warning_count: issues.len() as u64 - errors,
        error_count: errors,
        file_count: 7,
        scanned_at: at(1),
    }
}

fn all() -> BreakageFilter {
    BreakageFilter { limit: 100, ..BreakageFilter::default() }
}

#[tokio::test]
async fn a_scan_replaces_the_one_before_and_no_other_repository_s() {
    let index = index().await;
    assert_eq!(index.breakage_meta(&repo(1)).await.unwrap(), None);
    assert_eq!(index.breakage_issues(&repo(1), &all()).await.unwrap(), (vec![], 0));

    let old = [issue(1, "a.py", 1, Severity::Error), issue(2, "b.py", 2, Severity::Warning)];
    let other = [issue(3, "c.py", 3, Severity::Error)];
    index.replace_breakage(&repo(1), &meta(&old), &old).await.unwrap();
    index.replace_breakage(&repo(2), &meta(&other), &other).await.unwrap();
    assert_eq!(index.breakage_meta(&repo(1)).await.unwrap(), Some(meta(&old)));

    let new = [issue(2, "b.py", 2, Severity::Warning)];
    for _ in 0..2 {
        index.replace_breakage(&repo(1), &meta(&new), &new).await.unwrap();
        assert_eq!(index.breakage_issues(&repo(1), &all()).await.unwrap(), (new.to_vec(), 1));
        assert_eq!(index.breakage_meta(&repo(1)).await.unwrap(), Some(meta(&new)));
    }
    index.replace_breakage(&repo(1), &meta(&[]), &[]).await.unwrap();
    assert_eq!(index.breakage_issues(&repo(1), &all()).await.unwrap(), (vec![], 0));
    assert_eq!(index.breakage_issues(&repo(2), &all()).await.unwrap(), (other.to_vec(), 1));
}

#[tokio::test]
async fn issues_are_filtered_paged_and_in_order() {
    let index = index().await;
    let mut found = vec![
        issue(1, "b.py", 1, Severity::Warning),
        issue(2, "a.py", 10, Severity::Error),
        issue(3, "a.py", 9, Severity::Warning),
    ];
    found.push(BreakageIssue {
        issue_type: "missing_symbol".to_owned(),
        ..issue(4, "z.py", 1, Severity::Error)
    });
    index.replace_breakage(&repo(1), &meta(&found), &found).await.unwrap();

    let ids = async |filter: BreakageFilter| {
        let (issues, total) = index.breakage_issues(&repo(1), &filter).await.unwrap();
        let numbers: Vec<u64> =
            issues.iter().map(|issue| (1..=4).find(|n| blob_id(*n) == issue.issue_id).unwrap()).collect();
        (numbers, total)
    };
    let stale = || Some("stale_import".to_owned());
    assert_eq!(ids(all()).await, (vec![3, 2, 1, 4], 4));
    assert_eq!(ids(BreakageFilter { limit: 2, offset: 1, ..all() }).await, (vec![2, 1], 4));
    assert_eq!(
        ids(BreakageFilter { offset: 9, ..all() }).await,
        (vec![], 4),
        "the total stays beyond the end"
    );
    assert_eq!(ids(BreakageFilter { limit: 0, ..all() }).await, (vec![], 4));
    assert_eq!(ids(BreakageFilter { severity: Some(Severity::Error), ..all() }).await, (vec![2, 4], 2));
    assert_eq!(ids(BreakageFilter { issue_type: stale(), ..all() }).await, (vec![3, 2, 1], 3));
    let both = BreakageFilter { issue_type: stale(), severity: Some(Severity::Error), ..all() };
    assert_eq!(ids(both).await, (vec![2], 1));
    let injected = BreakageFilter { issue_type: Some("x' OR '1'='1".to_owned()), ..all() };
    assert_eq!(ids(injected).await, (vec![], 0));
}

#[tokio::test]
async fn one_finding_of_a_file_is_one_row_with_its_first_line() {
    let index = index().await;
    let lines = [5, 3, 8].map(|line| issue(1, "a.py", line, Severity::Error));
    index.replace_breakage(&repo(1), &meta(&lines[..1]), &lines).await.unwrap();
    let first = issue(1, "a.py", 3, Severity::Error);
    assert_eq!(index.breakage_issues(&repo(1), &all()).await.unwrap(), (vec![first], 1));
}

#[tokio::test]
async fn a_scan_of_an_unknown_repository_is_refused() {
    let refused = index().await.replace_breakage(&repo(9), &meta(&[]), &[]).await;
    assert!(matches!(refused, Err(BackendError::Missing { .. })), "{refused:?}");
}

#[tokio::test]
async fn hostile_texts_come_back_verbatim() {
    let index = index().await;
    for text in HOSTILE {
        let found = BreakageIssue {
            issue_type: (*text).to_owned(),
            description: (*text).to_owned(),
            subject: (*text).to_owned(),
            help: Help { did_you_mean: Some((*text).to_owned()), ..Help::default() },
            ..issue(1, text, u32::MAX, Severity::Error)
        };
        index.replace_breakage(&repo(1), &meta(&[]), std::slice::from_ref(&found)).await.unwrap();
        let wanted = || Some((*text).to_owned());
        let filter = BreakageFilter { issue_type: wanted(), file_path: wanted(), subject: wanted(), ..all() };
        assert_eq!(index.breakage_issues(&repo(1), &filter).await.unwrap(), (vec![found], 1));
        let facts = [(blob_id(1), (*text).to_owned())];
        index.put_facts(text, &facts).await.unwrap();
        assert_eq!(index.facts(text, &[blob_id(1)]).await.unwrap(), facts);
    }
}

#[tokio::test]
async fn facts_are_kept_by_kind_and_blob() {
    let index = index().await;
    let facts: Vec<_> = (0..1_234).map(|n| (blob_id(n), format!("{{\"n\":{n}}}"))).collect();
    index.put_facts("python-1", &facts).await.unwrap();
    index.put_facts("python-1", &facts[..10]).await.unwrap();
    index.put_facts("python-1", &[]).await.unwrap();
    let asked: Vec<_> = (1_000..41_000).map(blob_id).collect();
    let mut held = index.facts("python-1", &asked).await.unwrap();
    held.sort();
    let mut expected = facts[1_000..].to_vec();
    expected.sort();
    assert_eq!(held, expected);
    assert_eq!(index.facts("python-2", &asked).await.unwrap(), []);
}
