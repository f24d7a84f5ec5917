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
    access, branch_claims, fetch_packs, history, identity, intel, job, job_control, maintenance, pages,
    places, proposal, proposal_conversation, rate_limits, release, repository, unstored,
};

pub(super) mod tests;

/// A query that must never read a table from end to end.
struct HotQuery {
    name: String,
    text: String,
    values: Vec<Value>,
    /// An index that it may read from end to end, as it holds nothing else than what the query is about.
    whole_index: Option<&'static str>,
    /// How many rows it may look at, of tables where each repository has 200.
    most: u64,
}

/// What a query about one repository needs, which may look at its rows more than once; a tenth of a table at most.
const MOST: u64 = 800;

fn hot(name: &str, text: &str, values: impl Into<Vec<Value>>) -> HotQuery {
    HotQuery {
        name: name.to_owned(),
        text: text.to_owned(),
        values: values.into(),
        whole_index: None,
        most: MOST,
    }
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
        hot("number of branches without moves", unstored::COUNT_BRANCHES, [repo()]),
        hot("commits without objects", unstored::COMMITS, [repo()]),
        hot("snapshots without objects", unstored::SNAPSHOTS, [repo(), "".into(), 200_i64.into()]),
        hot("token", identity::TOKEN, ["token1400".into()]),
        hot("identity", identity::IDENTITY, ["owner1400".into()]),
        hot("role of a collaborator", access::ROLE, [repo(), "owner1400".into()]),
        hot("keys of an identity", access::KEYS, ["owner1400".into()]),
        hot("keys by fingerprint", access::KEYS_BY_ID, [ids("key")]),
        hot("used proofs whose time is over", access::ENDED, [4_000_i64.into(), 100_i64.into()]),
        hot("end of used proofs", access::FORGET, [4_000_i64.into(), ids("proof")]),
        hot("collaborators", access::LIST, [repo()]),
        hot("end of a collaborator", access::REMOVE, [repo(), "owner1400".into()]),
        hot("end of a key", access::RETIRE, [1_i64.into(), "key1400".into(), "owner1400".into()]),
        hot("secret", access::SECRET, ["secret1400".into()]),
        hot("tokens of an identity", identity::TOKENS_OF, ["owner1400".into()]),
        hot("whose token it is", identity::SAME_OWNER, ["token1400".into(), "owner1400".into()]),
        hot("end of a token", identity::REVOKE, [1_i64.into(), "owner1400".into(), "token1400".into()]),
        hot("built pack of a fetch", fetch_packs::BY_KEY, ["cache1400".into()]),
        hot("built pack by id", fetch_packs::BY_ID, [repo(), "mpack1400".into()]),
        hot("built packs of a repository", fetch_packs::OF_REPOSITORY, [repo(), 32_i64.into()]),
        hot("expired packs", fetch_packs::EXPIRED, [100_i64.into(), 50_i64.into()]),
        hot("end of built packs", fetch_packs::END, [repo(), 100_i64.into(), ids("cache")]),
        hot("recorded files", fetch_packs::RECORDED, [ids("file")]),
        hot("end of expired packs", fetch_packs::FORGET, [ids("cache"), 4_000_i64.into()]),
        // The search ends at the first that may be claimed.
        HotQuery {
            whole_index: Some("ix_background_jobs_claim"),
            most: 10,
            ..hot("job claim", job::CLAIM, claim_values())
        },
        hot("turns of a repository", job::GIVE_TURNS, [repo()]),
        hot("lease of a job", job::HEARTBEAT, ["job1400".into(), "worker".into(), 2_000_000_i64.into()]),
        hot("newest job of a kind", job::LATEST, [repo(), "kind1".into()]),
        hot("last turn of a kind", &last_turn(), [repo(), "kind1".into()]),
        hot(
            "taking tokens",
            rate_limits::TAKE,
            ["bucket1400".into(), 2_000_i64.into(), 1_i64.into(), 2_001_i64.into(), 3_000_i64.into()],
        ),
        hot("tokens that are left", rate_limits::FULL_AT, ["bucket1400".into()]),
        hot("job by id", job_control::BY_ID, ["job1400".into()]),
        hot("cancelling a job", job_control::CANCEL, ["job1400".into(), 1_i64.into()]),
        hot("end of jobs", job_control::FORGET, [4_000_i64.into(), "done".into(), ids("job")]),
        hot("who holds a blob", repository::HOLDERS, ["blob1400".into(), "".into(), 50_i64.into()]),
        hot("repositories by ids", repository::BY_IDS, [id_array((0..50).map(tests::repo_id))]),
        hot("releases, newest first", release::LIST, releases_after(&id)),
        hot("tags by label", release::LIST_TAGS, [repo(), "label1410".into(), "".into(), 100_i64.into()]),
        hot("facts by blob ids", intel::FACTS, ["kind1".into(), ids("blob")]),
        hot("sums of breakage", intel::META, [repo()]),
        hot("past scans", intel::HISTORY, [repo(), 20_i64.into()]),
        hot("end of past scans", intel::FORGET_SCANS, [repo(), 20_i64.into()]),
        hot("end of what a scan found", intel::CLEAR, [repo()]),
    ];
    queries.extend(moves(&id));
    queries.extend(pages(&id));
    queries.extend(releases(&id));
    queries.extend(breakage(&id));
    queries.extend(upkeep(&id));
    queries.extend(jobs(&id));
    queries.extend(proposals(&id));
    queries
}

/// What a push writes by a key.
fn moves(repo: &str) -> Vec<HotQuery> {
    let of_branch = |more: [Value; 3]| [[repo.into(), "branch1410".into()].as_slice(), &more].concat();
    let claim = [repo.into(), "branch1410".into(), 1_410_i64.into()];
    let held = || [Value::from("job1400"), "worker".into(), 1_i64.into()];
    let done = ["job1400".into(), "worker".into(), "what it did".into(), 1_i64.into()];
    let failed = ["job1400".into(), "worker".into(), "pending".into(), "an error".into(), 1_i64.into()];
    vec![
        hot(
            "move of a branch",
            history::MOVE_BRANCH,
            of_branch(["commit1".into(), 2_i64.into(), 2_i64.into()]),
        ),
        hot("claiming names, one at a time", branch_claims::LOCK, [repo.into()]),
        hot("end of a claim", branch_claims::RELEASE, claim),
        hot("end of a job's work", job::COMPLETE, done),
        hot("failure of a job", job::FAIL, failed),
        hot("job that is given back", job::UNFINISHED, held()),
        hot("job that was cancelled", job::CANCELLED, held()),
    ]
}

/// What verifying and backing up read, page by page, in tables of millions.
fn pages(repo: &str) -> Vec<HotQuery> {
    let after = |last: &str| [repo.into(), last.into(), 50_i64.into()];
    vec![
        hot("page of repositories", pages::REPOSITORY_PAGE, [repo.into(), 50_i64.into()]),
        hot("blobs and whether anybody holds them", pages::UNHELD_BLOBS, ["blob1410".into(), 50_i64.into()]),
        hot("page of branches", pages::BRANCH_PAGE, after("branch1410")),
        hot("page of commits", pages::COMMIT_PAGE, after("commit1410")),
        hot("page of snapshots", pages::SNAPSHOT_PAGE, after("snapshot1410")),
        hot("page of blobs", pages::BLOB_PAGE, after("blob1410")),
    ]
}

/// What releases and tags are changed by.
fn releases(repo: &str) -> Vec<HotQuery> {
    let tag = || [Value::from(repo), "label1410".into(), "commit1410".into()];
    vec![
        hot("end of a release", release::REMOVE, [repo.into(), "tag1410".into()]),
        hot("whether there is a tag", release::HAS_TAG, tag()),
        hot("another name for a tag", release::COPY_TAG, [tag().as_slice(), &["label".into()]].concat()),
        hot("end of a tag", release::REMOVE_TAG, tag()),
    ]
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
    let mut queries = vec![hot("jobs to forget", &ended, [600_i64.into(), 200_i64.into()])];
    for of_repository in [true, false] {
        for status in JobStatus::ALL.map(Some).into_iter().chain([None]) {
            // A list of all repositories is of one status.
            if status.is_none() && !of_repository {
                continue;
            }
            for kind in [None, Some("kind1".to_owned())] {
                for after in [None, after.clone()] {
                    let name = format!(
                        "jobs{}{}{}, {} page",
                        if of_repository { " of a repository" } else { "" },
                        status.map_or_else(String::new, |status| format!(", {}", status.as_str())),
                        if kind.is_some() { ", of a kind" } else { "" },
                        if after.is_some() { "a later" } else { "first" },
                    );
                    let repo_id = repo_id.clone().filter(|_| of_repository);
                    let filter =
                        JobFilter { repo_id, kind: kind.clone(), after, limit: 20, ..JobFilter::default() };
                    let (text, values) = job_control::list(&filter, status);
                    // Two indexes hold what is open and nothing else.
                    let open = status.is_some_and(|status| !status.is_over()) && !of_repository;
                    let whole_index = open.then_some("ix_background_jobs_");
                    queries.push(HotQuery { whole_index, ..hot(&name, &text, values) });
                }
            }
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
    let some = maintenance::FORGET_SOME.map(|text| hot(text, text, [Value::from(repo), 50_i64.into()]));
    let mut queries = Vec::from(some);
    queries.extend([
        hot("relocation of a blob", maintenance::RELOCATE_BLOB, moved("blob1400")),
        hot("relocation of a snapshot", maintenance::RELOCATE_SNAPSHOT, moved("snapshot1400")),
        hot("relocation of a commit", maintenance::RELOCATE_COMMIT, moved("commit1400")),
        hot("end of a blob", maintenance::FORGET_BLOB, ["blob1400".into(), "pack:1#1+1".into()]),
        hot("end of a repository", maintenance::FORGET_REPOSITORY, [repo.into()]),
    ]);
    queries
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
        let names = names.join(", ");
        queries.push(hot(&format!("breakage page, filtered by [{names}]"), &text, values));
        for by in [BreakageGrouping::File, BreakageGrouping::Subject] {
            let (text, values) = intel::groups_query(&repo, by, &filter, 5);
            queries.push(hot(&format!("breakage grouped by {by:?}, filtered by [{names}]"), &text, values));
        }
    }
    queries
}

/// The number that a new proposal gets, as a statement of its own.
fn next_number() -> String {
    let (_, after) = proposal::CREATE.split_once("SELECT $1, ").expect("it selects what it inserts");
    let (number, _) = after.split_once(", 1, $2").expect("the number is the second column");
    let (_, from) = proposal::CREATE.split_once("FROM ").expect("it selects from the proposals");
    format!("SELECT {number} FROM {}", from.trim_end_matches(" RETURNING number"))
}

fn replacement(repo: &str) -> Vec<Value> {
    let mut values = vec![repo.into(), 1_410_i64.into(), 2_i64.into()];
    values.extend(["title", "about", "branch1", "branch2", "open"].map(Value::from));
    values.extend([false.into(), "commit1".into(), "commit1".into()]);
    values.extend(["commit1", "commit1", "commit1", "owner"].map(Value::from));
    values.extend([1_i64, 1, 1].map(Value::from));
    values
}

/// The pages of proposals, and what a push asks of them. The list with every combination of its filters.
fn proposals(id: &str) -> Vec<HotQuery> {
    let of_one = || [Value::from(id), Value::from(1_410_i64)];
    let three = |third: Value| [Value::from(id), Value::from(1_410_i64), third];
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
        hot("what was said", proposal_conversation::ENTRY, three(1_i64.into())),
        hot("next entry of a conversation", proposal_conversation::NEXT, three(1_i64.into())),
        hot("change of a proposal's time", proposal_conversation::TOUCH, three(1_i64.into())),
        hot("end of a review", proposal_conversation::DISMISS, three("owner".into())),
        hot(
            "change of what was said",
            proposal_conversation::CHANGE,
            [three(1_i64.into()).as_slice(), &["body".into(), 1_i64.into(), false.into(), false.into()]]
                .concat(),
        ),
        hot("making proposals, one at a time", proposal::LOCK, [id.into()]),
        hot("change of a proposal", proposal::REPLACE, replacement(id)),
        hot("number of the next proposal", &next_number(), [id.into()]),
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
