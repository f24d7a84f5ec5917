//! The queries that run on every push, fetch or page: the very statements of the code, with values that some rows have.
//! A test asks both engines for their plans.

use musehub_core::name::{BranchName, Handle, RepoId};
use musehub_core::port::{
    BreakageFilter, BreakageGrouping, JobCursor, JobFilter, JobId, JobStatus, ProposalFilter, ProposalNumber,
    ProposalState, Severity, Timestamp,
};
use sea_orm::Value;

use super::sql::{id_array, text_array};
use super::{
    access, branch_claims, fetch_packs, history, identity, intel, job, job_control, maintenance, places,
    proposal, proposal_conversation, rate_limits, release, repository, unstored,
};

mod tests;

/// A query that must never read a table from end to end.
struct HotQuery {
    name: String,
    text: String,
    values: Vec<Value>,
    /// An index that it may read from end to end, as it holds nothing else than what the query is about.
    whole_index: Option<&'static str>,
}

fn hot(name: &str, text: &str, values: impl Into<Vec<Value>>) -> HotQuery {
    HotQuery { name: name.to_owned(), text: text.to_owned(), values: values.into(), whole_index: None }
}

/// The number of the repository that the values are about.
const REPO: usize = 7;

fn all() -> Vec<HotQuery> {
    let id = tests::repo_id(REPO);
    let repo = || Value::from(id.as_str());
    let ids = |prefix: &str| id_array((1_400..1_450).map(|n| format!("{prefix}{n}")));
    let mut queries = vec![
        hot("repository by name", repository::BY_NAME, ["owner7".into(), "repo7".into()]),
        hot("repository by id", repository::BY_ID, [repo()]),
        hot("public repositories, first page", repository::PUBLIC, page_after("", "")),
        hot("public repositories, a later page", repository::PUBLIC, page_after("owner5", "repo5")),
        hot("branch by name", history::BRANCH, [repo(), "branch1410".into()]),
        hot("claimed names of branches", branch_claims::CLAIMS, [repo()]),
        hot("heads of a repository", history::BRANCHES, [repo()]),
        hot("commit page, and membership of commits by ids", history::COMMITS, [repo(), ids("commit")]),
        hot("number of commits", history::COMMIT_COUNT, [repo()]),
        hot("graph walk of a push", history::NODES, [repo(), ids("commit"), 1_000_i64.into()]),
        hot("graph walk of a fetch", history::NODES, [repo(), ids("commit"), 100_000_i64.into()]),
        hot("membership of snapshots by ids", history::SNAPSHOTS, [repo(), ids("snapshot")]),
        hot("membership of blobs by ids", history::BLOBS, [repo(), ids("blob")]),
        hot("place of blobs by ids", places::BLOBS, [ids("blob")]),
        hot("place of snapshots by ids", places::SNAPSHOTS, [ids("snapshot")]),
        hot("place of commits by ids", places::COMMITS, [ids("commit")]),
        hot("records of commits without objects", unstored::COMMIT_RECORDS, [repo(), ids("commit")]),
        hot("records of snapshots without objects", unstored::SNAPSHOT_RECORDS, [repo(), ids("snapshot")]),
        hot("number of commits without objects", unstored::COUNT_COMMITS, [repo()]),
        hot("number of snapshots without objects", unstored::COUNT_SNAPSHOTS, [repo()]),
        hot("commits without objects", unstored::COMMITS, [repo()]),
        hot("snapshots without objects", unstored::SNAPSHOTS, [repo(), "".into(), 200_i64.into()]),
        hot("token", identity::TOKEN, ["token1400".into()]),
        hot("identity", identity::IDENTITY, ["owner1400".into()]),
        hot("role of a collaborator", access::ROLE, [repo(), "owner1400".into()]),
        hot("keys of an identity", access::KEYS, ["owner1400".into()]),
        hot("keys by fingerprint", access::KEYS_BY_ID, [ids("key")]),
        hot("end of used proofs", access::FORGET, [40_i64.into()]),
        hot("built pack of a fetch", fetch_packs::BY_KEY, ["cache1400".into()]),
        hot("built pack by id", fetch_packs::BY_ID, [repo(), "mpack1400".into()]),
        hot("built packs of a repository", fetch_packs::OF_REPOSITORY, [repo(), 32_i64.into()]),
        hot("expired packs", fetch_packs::EXPIRED, [100_i64.into(), 50_i64.into()]),
        hot("end of built packs", fetch_packs::END, [repo(), 100_i64.into(), ids("cache")]),
        hot("recorded files", fetch_packs::RECORDED, [ids("file")]),
        HotQuery {
            whole_index: Some("ix_background_jobs_claim"),
            ..hot("job claim", job::CLAIM, claim_values())
        },
        hot("lease of a job", job::HEARTBEAT, ["job1400".into(), "worker".into(), 2_000_000_i64.into()]),
        hot("newest job of a kind", job::LATEST, [repo(), "kind1".into()]),
        hot("last turn of a kind", &last_turn(), [repo(), "kind1".into()]),
        hot(
            "taking tokens",
            rate_limits::TAKE,
            ["bucket1400".into(), 2_000_i64.into(), 1_i64.into(), 2_001_i64.into(), 3_000_i64.into()],
        ),
        hot("job by id", job_control::BY_ID, ["job1400".into()]),
        hot("who holds a blob", repository::HOLDERS, ["blob1400".into(), "".into(), 50_i64.into()]),
        hot("repositories by ids", repository::BY_IDS, [id_array((0..50).map(tests::repo_id))]),
        hot("releases, newest first", release::LIST, releases_after(&id)),
        hot("tags by label", release::LIST_TAGS, [repo(), "label1410".into(), "".into(), 100_i64.into()]),
        hot("facts by blob ids", intel::FACTS, ["kind1".into(), ids("blob")]),
        hot("sums of breakage", intel::META, [repo()]),
        hot("past scans", intel::HISTORY, [repo(), 20_i64.into()]),
    ];
    queries.extend(breakage(&id));
    queries.extend(upkeep(&id));
    queries.extend(jobs(&id));
    queries.extend(proposals(&id));
    queries
}

fn page_after(owner: &str, slug: &str) -> [Value; 4] {
    [false.into(), owner.into(), slug.into(), 50_i64.into()]
}

/// The place of a new job, as a statement of its own.
fn last_turn() -> String {
    let inner = job::LAST_TURN.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    inner.expect("it stands in parentheses").replace("$2", "$1").replace("$3", "$2")
}

/// Lists of jobs: of a repository, and of what became of them; whole, and going on after one.
fn jobs(repo: &str) -> Vec<HotQuery> {
    let after = Some(JobCursor {
        enqueued_at: Timestamp::from_millis(1_450),
        id: JobId::from_stored("job1450".into()),
    });
    let repo_id = Some(RepoId::parse(repo).unwrap());
    let ended = job_control::ended(JobStatus::Done);
    let mut queries = vec![hot("jobs to forget", &ended, [1_450_i64.into(), 200_i64.into()])];
    for (name, filter, status) in [
        ("jobs of a repository", JobFilter { repo_id, ..JobFilter::default() }, None),
        ("jobs that failed", JobFilter::default(), Some(JobStatus::Failed)),
    ] {
        for (page, after) in [("first page", None), ("a later page", after.clone())] {
            let (text, values) = job_control::list(&JobFilter { after, limit: 20, ..filter.clone() }, status);
            queries.push(hot(&format!("{name}, {page}"), &text, values));
        }
    }
    queries
}

fn releases_after(repo: &str) -> [Value; 7] {
    [repo.into(), "".into(), false.into(), true.into(), 1_410_i64.into(), "tag1".into(), 100_i64.into()]
}

fn claim_values() -> [Value; 4] {
    ["worker".into(), 2_000_000_i64.into(), 1_000_000_i64.into(), text_array(&["kind1", "kind2"])]
}

/// What upkeep does for each of many objects and repositories.
fn upkeep(repo: &str) -> Vec<HotQuery> {
    let moved = |id: &str| [id.into(), "pack:1#1+1".into(), "pack:2#1+1".into()];
    vec![
        hot("relocation of a blob", maintenance::RELOCATE_BLOB, moved("blob1400")),
        hot("relocation of a snapshot", maintenance::RELOCATE_SNAPSHOT, moved("snapshot1400")),
        hot("relocation of a commit", maintenance::RELOCATE_COMMIT, moved("commit1400")),
        hot("end of a blob", maintenance::FORGET_BLOB, ["blob1400".into(), "pack:1#1+1".into()]),
        hot("end of a repository", maintenance::FORGET_REPOSITORY, [repo.into()]),
    ]
}

/// The breakage page with every combination of its filters, and its groups.
fn breakage(repo: &str) -> Vec<HotQuery> {
    let repo = RepoId::parse(repo).unwrap();
    let mut queries = Vec::new();
    for filters in 0..16 {
        let chosen = |bit: u32, value: &str| (filters & (1 << bit) != 0).then(|| value.to_owned());
        let filter = BreakageFilter {
            issue_type: chosen(0, "type1"),
            severity: chosen(1, "error").map(|_| Severity::Error),
            file_path: chosen(2, "file1410.py"),
            subject: chosen(3, "subject10"),
            limit: 20,
            offset: 0,
        };
        let names = ["issue type", "severity", "file", "subject"];
        let names: Vec<&str> = names
            .into_iter()
            .enumerate()
            .filter(|(bit, _)| filters & (1 << bit) != 0)
            .map(|(_, name)| name)
            .collect();
        let (text, values) = intel::issues_query(&repo, &filter);
        queries.push(hot(&format!("breakage page, filtered by [{}]", names.join(", ")), &text, values));
        if filters == 0 {
            for by in [BreakageGrouping::File, BreakageGrouping::Subject] {
                let (text, values) = intel::groups_query(&repo, by, &filter, 5);
                queries.push(hot(&format!("breakage grouped by {by:?}"), &text, values));
            }
        }
    }
    queries
}

/// The pages of proposals, and what a push asks of them. The list with every combination of its filters.
fn proposals(id: &str) -> Vec<HotQuery> {
    let of_one = || [Value::from(id), Value::from(1_410_i64)];
    let mut queries = vec![
        hot("one proposal", proposal::PROPOSAL, of_one()),
        hot("number of proposals by state", proposal::COUNTS, [id.into()]),
        hot("what is known of a merge", proposal::CHECK, of_one()),
        hot(
            "conversation of a proposal",
            proposal_conversation::ENTRIES,
            [id.into(), 1_410_i64.into(), 0_i64.into(), 50_i64.into()],
        ),
        hot("reviews of a proposal", proposal_conversation::REVIEWS, of_one()),
    ];
    let repo = RepoId::parse(id).unwrap();
    let branch = |name| BranchName::parse(name).unwrap();
    for chosen in 0..32 {
        let is = |bit: u32| chosen & (1 << bit) != 0;
        let filter = ProposalFilter {
            state: is(0).then_some(ProposalState::Open),
            author: is(1).then(|| Handle::parse("owner3").unwrap()),
            source: is(2).then(|| branch("branch1410")),
            target: is(3).then(|| branch("branch10")),
        };
        let before = is(4).then_some(ProposalNumber::new(1_500));
        let (text, values) = proposal::list_query(&repo, &filter, before, 50);
        queries.push(hot(&format!("proposals by {filter:?} before {before:?}"), &text, values));
    }
    queries
}
