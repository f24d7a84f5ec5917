//! The contracts of [`BreakageIndex`] and [`FactCache`].

use std::collections::BTreeMap;

use futures::future::join_all;

use super::fixtures::{at, blob_id, commit_id, create_repositories, repo};
use super::run_cases;
use crate::id::BlobId;
use crate::name::RepoId;
use crate::port::{
    BREAKAGE_HISTORY, BreakageFilter, BreakageGroup, BreakageGrouping, BreakageIndex, BreakageIssue,
    BreakageMeta, Definition, FactCache, Help, RemovedBy, RepositoryIndex, Severity,
};

/// Runs every case, each against a backend fresh from `fresh`.
///
/// # Panics
/// Where the backend breaks the contract of [`BreakageIndex`] or [`FactCache`].
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: RepositoryIndex + BreakageIndex + FactCache,
{
    run_cases!(
        "intel",
        fresh,
        [
            before_the_first_scan_there_is_nothing,
            a_scan_comes_back,
            a_scan_replaces_the_last_one_whole,
            repositories_have_scans_of_their_own,
            filters_narrow_issues_and_their_total,
            pages_of_issues_are_the_whole,
            issues_are_grouped_by_file_and_by_subject,
            groups_are_filtered_and_come_page_by_page,
            past_scans_are_remembered_and_not_for_ever,
            thousands_of_issues,
            scans_at_the_same_time_do_not_mix,
            facts_come_back,
            facts_of_other_kinds_are_apart,
            facts_written_again_are_the_same,
            thousands_of_facts,
        ]
    );
}

const EVERYTHING: BreakageFilter = BreakageFilter {
    issue_type: None,
    severity: None,
    file_path: None,
    subject: None,
    limit: u32::MAX >> 1,
    offset: 0,
};

fn issue(repo: &RepoId, file: &str, line: u32, issue_type: &str, severity: Severity) -> BreakageIssue {
    let description = format!("`from {file} import x` on line {line} finds no 'x' \u{1f980}");
    BreakageIssue {
        issue_id: blob_id(&format!("{repo}:main:{file}:{issue_type}:{description}")),
        issue_type: issue_type.to_owned(),
        file_path: file.to_owned(),
        line,
        column: line + 4,
        subject: format!("pkg.{issue_type}"),
        description,
        severity,
        help: help(line),
    }
}

/// Help of every form.
fn help(line: u32) -> Help {
    let definition = || Definition { file_path: "Ünï/\"there\".py".to_owned(), line };
    let removed_by = || RemovedBy {
        commit: commit_id("removal"),
        author: "Ada <ada@example>".to_owned(),
        committed_at: "2026-03-01T00:00:00.120+02:00".to_owned(),
    };
    Help {
        did_you_mean: (line % 2 == 1).then(|| "x_\u{1f980}'".to_owned()),
        moved_to: (line % 3 == 1).then(definition),
        removed_by: (line % 5 == 1).then(removed_by),
    }
}

fn meta(scan: &str, issues: &[BreakageIssue]) -> BreakageMeta {
    let count = |severity| issues.iter().filter(|issue| issue.severity == severity).count() as u64;
    BreakageMeta {
        commit: commit_id(scan),
        total_issues: issues.len() as u64,
        warning_count: count(Severity::Warning),
        error_count: count(Severity::Error),
        file_count: 5_000_000_000,
        scanned_at: at(scan.len() as i64),
    }
}

/// Issues in the order of the page: by file, then line.
fn some_issues(repo: &RepoId) -> Vec<BreakageIssue> {
    use Severity::{Error, Warning};
    [
        ("README.py", 3, "stale_import", Warning),
        ("a-b.py", 1, "stale_import", Error),
        ("a.py", 2, "stale_import", Error),
        ("a.py", 10, "cycle", Warning),
        ("a.py", 11, "stale_import", Warning),
        ("a/b.py", 1, "cycle", Error),
        ("Ünï/x y.py", 4_000_000, "stale_import", Error),
    ]
    .map(|(file, line, issue_type, severity)| issue(repo, file, line, issue_type, severity))
    .to_vec()
}

async fn scan<B: BreakageIndex>(index: &B, repo: &RepoId, name: &str, issues: &[BreakageIssue]) {
    index.replace_breakage(repo, &meta(name, issues), issues).await.expect("replace_breakage");
}

async fn issues<B: BreakageIndex>(
    index: &B,
    repo: &RepoId,
    filter: &BreakageFilter,
) -> (Vec<BreakageIssue>, u64) {
    index.breakage_issues(repo, filter).await.expect("breakage_issues")
}

async fn assert_scan<B: BreakageIndex>(index: &B, repo: &RepoId, name: &str, expected: &[BreakageIssue]) {
    let found = index.breakage_meta(repo).await.expect("breakage_meta");
    assert_eq!(found, Some(meta(name, expected)), "the sums of the last scan");
    let (found, total) = issues(index, repo, &EVERYTHING).await;
    assert_eq!(found, expected, "the issues of the last scan, by file and line");
    assert_eq!(total, expected.len() as u64, "how many issues there are");
}

async fn before_the_first_scan_there_is_nothing<B>(index: &B)
where
    B: RepositoryIndex + BreakageIndex,
{
    create_repositories(index, 1).await;
    for repo in [repo(1), repo(2)] {
        assert_eq!(
            index.breakage_meta(&repo).await.expect("breakage_meta"),
            None,
            "no sums before the first scan"
        );
        assert_eq!(
            issues(index, &repo, &EVERYTHING).await,
            (Vec::new(), 0),
            "no issues before the first scan"
        );
    }
}

async fn a_scan_comes_back<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 1).await;
    let expected = some_issues(&repo(1));
    let mut shuffled = expected.clone();
    shuffled.reverse();
    shuffled.swap(1, 4);
    scan(index, &repo(1), "first", &shuffled).await;
    assert_scan(index, &repo(1), "first", &expected).await;
}

async fn a_scan_replaces_the_last_one_whole<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, all) = (repo(1), some_issues(&repo(1)));
    for (name, scanned) in [("all", &all[..]), ("fewer", &all[2..4]), ("none", &[]), ("again", &all[1..])] {
        scan(index, &repo, name, scanned).await;
        assert_scan(index, &repo, name, scanned).await;
        scan(index, &repo, name, scanned).await;
        assert_scan(index, &repo, name, scanned).await;
    }
}

async fn repositories_have_scans_of_their_own<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 2).await;
    let [first, second] = [repo(1), repo(2)].map(|repo| some_issues(&repo));
    scan(index, &repo(1), "first", &first).await;
    assert_eq!(index.breakage_meta(&repo(2)).await.expect("breakage_meta"), None, "only one was scanned");
    scan(index, &repo(2), "second", &second[..2]).await;
    assert_scan(index, &repo(1), "first", &first).await;
    scan(index, &repo(1), "none", &[]).await;
    assert_scan(index, &repo(2), "second", &second[..2]).await;
}

async fn filters_narrow_issues_and_their_total<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 1).await;
    let all = some_issues(&repo(1));
    scan(index, &repo(1), "first", &all).await;
    for issue_type in
        [None, Some("stale_import"), Some("cycle"), Some("STALE_IMPORT"), Some("stale%"), Some("")]
    {
        for severity in [None, Some(Severity::Error), Some(Severity::Warning)] {
            let matches = |issue: &&BreakageIssue| {
                issue_type.is_none_or(|wanted| issue.issue_type == wanted)
                    && severity.is_none_or(|wanted| issue.severity == wanted)
            };
            let expected: Vec<BreakageIssue> = all.iter().filter(matches).cloned().collect();
            for (limit, offset) in [(100, 0), (2, 0), (2, 1), (1, 3), (5, 100), (0, 0), (0, 2)] {
                let issue_type = issue_type.map(str::to_owned);
                let filter =
                    BreakageFilter { issue_type, severity, limit, offset, ..BreakageFilter::default() };
                let page = expected.iter().skip(offset as usize).take(limit as usize).cloned().collect();
                let expected = (page, expected.len() as u64);
                assert_eq!(
                    issues(index, &repo(1), &filter).await,
                    expected,
                    "issues of {filter:?}, and their total"
                );
            }
        }
    }
}

/// Also where issues share file and line, so that file and line alone do not order them.
async fn pages_of_issues_are_the_whole<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 1).await;
    let types: Vec<String> = (0..30).map(|n| format!("type-{}", n * 7 % 30)).collect();
    let written: Vec<BreakageIssue> =
        types.iter().map(|issue_type| issue(&repo(1), "a.py", 1, issue_type, Severity::Error)).collect();
    scan(index, &repo(1), "ties", &written).await;
    let (whole, total) = issues(index, &repo(1), &EVERYTHING).await;
    assert_eq!((whole.len(), total), (30, 30), "all issues");
    let mut pages = Vec::new();
    for offset in (0..30).step_by(4) {
        let filter = BreakageFilter { limit: 4, offset, ..EVERYTHING };
        pages.extend(issues(index, &repo(1), &filter).await.0);
    }
    assert_eq!(pages, whole, "pages are the whole: issues of one line have an order too");
}

/// What groups must be, found the slow way.
fn expected_groups(all: &[BreakageIssue], by: BreakageGrouping, each: usize) -> Vec<BreakageGroup> {
    let name = |issue: &BreakageIssue| match by {
        BreakageGrouping::File => issue.file_path.clone(),
        BreakageGrouping::Subject => issue.subject.clone(),
    };
    let mut names: Vec<String> = all.iter().map(name).collect();
    names.sort();
    names.dedup();
    let mut groups: Vec<BreakageGroup> = names
        .into_iter()
        .map(|group| {
            let members: Vec<&BreakageIssue> = all.iter().filter(|issue| name(issue) == group).collect();
            let distinct = |text: fn(&BreakageIssue) -> &str| {
                members.iter().map(|issue| text(issue)).collect::<std::collections::BTreeSet<_>>().len()
                    as u64
            };
            BreakageGroup {
                issues: members.len() as u64,
                errors: members.iter().filter(|issue| issue.severity == Severity::Error).count() as u64,
                files: distinct(|issue| &issue.file_path),
                subjects: distinct(|issue| &issue.subject),
                first: members.into_iter().take(each).cloned().collect(),
                name: group,
            }
        })
        .collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.issues));
    groups
}

async fn groups<B: BreakageIndex>(
    index: &B,
    by: BreakageGrouping,
    filter: &BreakageFilter,
    each: u32,
) -> (Vec<BreakageGroup>, u64) {
    index.breakage_groups(&repo(1), by, filter, each).await.expect("breakage_groups")
}

async fn issues_are_grouped_by_file_and_by_subject<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 2).await;
    for by in [BreakageGrouping::File, BreakageGrouping::Subject] {
        assert_eq!(groups(index, by, &EVERYTHING, 3).await, (Vec::new(), 0), "no scan, no group");
    }
    let all = some_issues(&repo(1));
    scan(index, &repo(1), "first", &all).await;
    scan(index, &repo(2), "other", &some_issues(&repo(2))).await;
    for by in [BreakageGrouping::File, BreakageGrouping::Subject] {
        for each in [0, 1, 2, 100] {
            let expected = expected_groups(&all, by, each as usize);
            let total = expected.len() as u64;
            assert_eq!(groups(index, by, &EVERYTHING, each).await, (expected, total), "groups by {by:?}");
        }
    }
}

async fn groups_are_filtered_and_come_page_by_page<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 1).await;
    let all = some_issues(&repo(1));
    scan(index, &repo(1), "first", &all).await;
    let filters = [
        BreakageFilter { severity: Some(Severity::Error), ..EVERYTHING },
        BreakageFilter { issue_type: Some("cycle".to_owned()), ..EVERYTHING },
        BreakageFilter { file_path: Some("a.py".to_owned()), ..EVERYTHING },
        BreakageFilter { subject: Some("pkg.cycle".to_owned()), ..EVERYTHING },
        BreakageFilter { subject: Some("pkg.%".to_owned()), ..EVERYTHING },
    ];
    for filter in &filters {
        let (matching, _) = issues(index, &repo(1), filter).await;
        for by in [BreakageGrouping::File, BreakageGrouping::Subject] {
            let expected = expected_groups(&matching, by, 2);
            for (limit, offset) in [(100, 0), (1, 0), (2, 1), (3, 50), (0, 0)] {
                let filter = BreakageFilter { limit, offset, ..filter.clone() };
                let page = expected.iter().skip(offset as usize).take(limit as usize).cloned().collect();
                let found = groups(index, by, &filter, 2).await;
                assert_eq!(found, (page, expected.len() as u64), "groups by {by:?} of {filter:?}");
            }
        }
    }
    let (of_file, total) = issues(index, &repo(1), &filters[2]).await;
    assert_eq!((of_file.as_slice(), total), (&all[2..5], 3), "the issues of one file");
}

async fn past_scans_are_remembered_and_not_for_ever<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 2).await;
    let history = async |repo: u64, limit: u32| {
        index.breakage_history(&super::fixtures::repo(repo), limit).await.expect("breakage_history")
    };
    assert_eq!(history(1, 10).await, [], "no scan is remembered before the first");
    let surplus = 3;
    let past = |n: u32| BreakageMeta {
        commit: commit_id(&format!("scan {n}")),
        scanned_at: at(i64::from(n)),
        ..meta("one", &[])
    };
    for n in 0..BREAKAGE_HISTORY + surplus {
        index.replace_breakage(&repo(1), &past(n), &[]).await.expect("replace_breakage");
    }
    let expected: Vec<BreakageMeta> = (surplus..BREAKAGE_HISTORY + surplus).map(past).collect();
    assert_eq!(history(1, u32::MAX >> 1).await, expected, "the last scans, oldest first");
    assert_eq!(history(1, 4).await, expected[expected.len() - 4..], "the last of them");
    assert_eq!(history(1, 0).await, []);
    assert_eq!(history(2, 10).await, [], "repositories have histories of their own");

    let again = BreakageMeta { scanned_at: at(1_000_000), ..past(surplus) };
    index.replace_breakage(&repo(1), &again, &[]).await.expect("replace_breakage");
    let mut expected = expected[1..].to_vec();
    expected.push(again);
    assert_eq!(
        history(1, u32::MAX >> 1).await,
        expected,
        "a commit that is scanned again is one scan, the later"
    );
}

async fn thousands_of_issues<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 1).await;
    let file = |n: u32| format!("package/module_{:04}.py", n / 10);
    let all: Vec<BreakageIssue> =
        (0..6_000).map(|n| issue(&repo(1), &file(n), n % 10 + 1, "stale_import", Severity::Error)).collect();
    scan(index, &repo(1), "large", &all).await;
    assert_scan(index, &repo(1), "large", &all).await;
    let filter = BreakageFilter { limit: 50, offset: 5_975, ..EVERYTHING };
    assert_eq!(issues(index, &repo(1), &filter).await, (all[5_975..].to_vec(), 6_000), "the last page");
    scan(index, &repo(1), "none", &[]).await;
    assert_scan(index, &repo(1), "none", &[]).await;
}

async fn scans_at_the_same_time_do_not_mix<B: RepositoryIndex + BreakageIndex>(index: &B) {
    create_repositories(index, 1).await;
    let (repo, all) = (repo(1), some_issues(&repo(1)));
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    join_all((1..=7).zip(names).map(|(count, name)| scan(index, &repo, name, &all[..count]))).await;
    let found = index.breakage_meta(&repo).await.expect("breakage_meta").expect("one scan was the last");
    let count = usize::try_from(found.total_issues).expect("small");
    assert_scan(index, &repo, names[count - 1], &all[..count]).await;
}

async fn facts<B: FactCache>(cache: &B, kind: &str, blobs: &[BlobId]) -> BTreeMap<BlobId, String> {
    let found = cache.facts(kind, blobs).await.expect("facts");
    let count = found.len();
    let found: BTreeMap<BlobId, String> = found.into_iter().collect();
    assert_eq!(found.len(), count, "facts of a blob come once");
    found
}

fn some_facts(texts: &[(&str, &str)]) -> Vec<(BlobId, String)> {
    texts.iter().map(|(seed, text)| (blob_id(seed), (*text).to_owned())).collect()
}

async fn facts_come_back<B: FactCache>(cache: &B) {
    assert!(facts(cache, "python@1", &[blob_id("a")]).await.is_empty(), "nothing is known at first");
    cache.put_facts("python@1", &[]).await.expect("putting nothing succeeds");
    let written = some_facts(&[
        ("a", "{}"),
        ("b", r#"{"imports":["Ünï \ud83e","\"x\""]}"#),
        ("c", "[]"),
        ("d", "{ \"kept\" : 1.0 }"),
    ]);
    cache.put_facts("python@1", &written).await.expect("put_facts");
    let asked = ["c", "unknown", "a", "b", "a"].map(blob_id);
    let expected: BTreeMap<BlobId, String> = written[..3].iter().cloned().collect();
    assert_eq!(
        facts(cache, "python@1", &asked).await,
        expected,
        "facts of known blobs among those asked, verbatim"
    );
    assert!(facts(cache, "python@1", &[]).await.is_empty(), "nothing asked, nothing answered");
    let kept = facts(cache, "python@1", &[blob_id("d")]).await;
    assert_eq!(kept.get(&blob_id("d")), Some(&written[3].1), "the text is not printed anew");
}

async fn facts_of_other_kinds_are_apart<B: FactCache>(cache: &B) {
    cache.put_facts("python@1", &some_facts(&[("a", "1")])).await.expect("put_facts");
    for other in ["python@2", "Python@1", "python", "python@1 ", "python@%", ""] {
        assert!(facts(cache, other, &[blob_id("a")]).await.is_empty(), "'{other}' knows nothing yet");
    }
    cache.put_facts("python@2", &some_facts(&[("a", "2")])).await.expect("put_facts");
    for (kind, text) in [("python@1", "1"), ("python@2", "2")] {
        let expected = some_facts(&[("a", text)]).into_iter().collect();
        assert_eq!(facts(cache, kind, &[blob_id("a")]).await, expected, "each kind has facts of its own");
    }
}

async fn facts_written_again_are_the_same<B: FactCache>(cache: &B) {
    let written = some_facts(&[("a", "1"), ("b", "2")]);
    let overlapping = some_facts(&[("b", "2"), ("c", "3")]);
    let writes = [&written, &written, &overlapping, &written, &overlapping];
    for result in join_all(writes.iter().map(|facts| cache.put_facts("kind", facts))).await {
        result.expect("writing facts again is harmless, at the same time too");
    }
    let expected = some_facts(&[("a", "1"), ("b", "2"), ("c", "3")]).into_iter().collect();
    assert_eq!(facts(cache, "kind", &["a", "b", "c"].map(blob_id)).await, expected, "all facts");
}

async fn thousands_of_facts<B: FactCache>(cache: &B) {
    let written: Vec<(BlobId, String)> =
        (0..12_000).map(|n| (blob_id(&n.to_string()), format!("[{n}]"))).collect();
    cache.put_facts("kind", &written).await.expect("put_facts takes thousands");
    let asked: Vec<BlobId> = (0..40_000).map(|n| blob_id(&n.to_string())).collect();
    let found = facts(cache, "kind", &asked).await;
    assert!(found == written.into_iter().collect(), "every fact among thousands of blobs asked");
}
