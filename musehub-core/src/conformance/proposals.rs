//! The contracts of [`ProposalStore`] and [`ProposalConversations`].

use futures::future::join_all;

use super::fixtures::{at, branch, commit_id, create_repositories, handle, repo};
use super::run_cases;
use crate::merge::{Conflict, ConflictKind, Conflicts, Mergeability};
use crate::path::RepoPath;
use crate::port::{
    BackendError, NewProposal, NewProposalEntry, Proposal, ProposalCheck, ProposalConversations,
    ProposalCounts, ProposalEntry, ProposalEntryKind, ProposalFilter, ProposalMerge, ProposalNumber,
    ProposalState, ProposalStore, RepositoryIndex, Review, Verdict,
};

/// Runs every case, each against a backend fresh from `fresh`. It needs the port whose repositories the proposals are of.
///
/// # Panics
/// Where the backend breaks one of the contracts.
pub async fn run<F, Fut, B>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = B>,
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    run_cases!(
        "proposals",
        fresh,
        [
            proposals_are_numbered_by_repository,
            of_many_at_a_time_each_gets_a_number,
            what_was_given_comes_back,
            one_is_open_for_each_pair_of_branches,
            a_change_needs_the_version_before,
            of_many_changes_at_a_time_one_is_made,
            a_change_keeps_what_never_changes,
            lists_are_filtered_and_paged_newest_first,
            proposals_are_counted_by_state,
            the_last_check_is_remembered,
            a_conversation_is_numbered_and_paged,
            of_many_entries_at_a_time_each_gets_a_number,
            an_entry_is_changed_and_deleted_for_good,
            the_last_verdict_of_each_reviewer_stands,
            nothing_is_said_of_what_is_not_there,
        ]
    );
}

const HOSTILE: [&str; 5] = [
    "'; DROP TABLE musehub_proposals; --",
    "<script>alert(\"1\")</script> & {{ x }} $1 ?1",
    "zero\0byte \u{fdd0} \u{1f980}",
    "line\nbreak\ttab \\",
    "",
];

fn number(n: u64) -> ProposalNumber {
    ProposalNumber::new(n)
}

fn new(source: &str, target: &str) -> NewProposal {
    NewProposal {
        title: format!("Merge {source}"),
        description: String::new(),
        source: branch(source),
        target: branch(target),
        author: handle("alice"),
        draft: false,
        head: commit_id(source),
        base: commit_id(target),
        at: at(1),
    }
}

async fn create<B: ProposalStore>(store: &B, n: u64, new: &NewProposal) -> Proposal {
    store.create_proposal(&repo(n), new).await.expect("create_proposal")
}

async fn get<B: ProposalStore>(store: &B, n: u64) -> Proposal {
    store.proposal(&repo(1), number(n)).await.expect("proposal").expect("it is there")
}

fn entry(kind: ProposalEntryKind, author: &str, body: &str) -> NewProposalEntry {
    NewProposalEntry {
        kind,
        author: Some(handle(author)),
        body: body.to_owned(),
        commit: kind.verdict().map(|_| commit_id("reviewed")),
        subject: None,
        at: at(5),
    }
}

async fn proposals_are_numbered_by_repository<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 2).await;
    assert_eq!(create(store, 1, &new("a", "main")).await.number, number(1));
    assert_eq!(create(store, 1, &new("b", "main")).await.number, number(2));
    assert_eq!(create(store, 2, &new("a", "main")).await.number, number(1));
    for absent in [0, 3, u64::MAX] {
        assert_eq!(store.proposal(&repo(1), number(absent)).await.expect("proposal"), None);
    }
    assert_eq!(store.proposal(&repo(3), number(1)).await.expect("proposal"), None);
}

async fn of_many_at_a_time_each_gets_a_number<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let all: Vec<NewProposal> = (0..30).map(|n| new(&format!("b{n}"), "main")).collect();
    let made = join_all(all.iter().map(|new| create(store, 1, new))).await;
    let mut numbers: Vec<u64> = made.iter().map(|proposal| proposal.number.get()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=30).collect::<Vec<_>>(), "without a gap");
}

async fn what_was_given_comes_back<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    for (n, text) in HOSTILE.into_iter().enumerate() {
        let given = NewProposal {
            title: text.to_owned(),
            description: text.repeat(50),
            draft: n % 2 == 0,
            author: handle("Some.Bot-1_x"),
            ..new(&format!("Ünï/x %2F'; --{n}"), "main")
        };
        let made = create(store, 1, &given).await;
        let found = get(store, made.number.get()).await;
        assert_eq!(found, made, "what is found is what creating gave");
        let expected = Proposal {
            number: made.number,
            version: 1,
            title: given.title,
            description: given.description,
            source: given.source,
            target: given.target,
            author: given.author,
            state: ProposalState::Open,
            draft: given.draft,
            head: given.head,
            base: given.base,
            merge: None,
            created_at: at(1),
            updated_at: at(1),
            closed_at: None,
            entries: 0,
        };
        assert_eq!(found, expected);
    }
}

async fn one_is_open_for_each_pair_of_branches<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 2).await;
    let first = create(store, 1, &new("a", "main")).await;
    let again = store.create_proposal(&repo(1), &new("a", "main")).await;
    assert!(matches!(again, Err(BackendError::Conflict { .. })), "{again:?}");
    create(store, 1, &new("main", "a")).await;
    create(store, 1, &new("a", "other")).await;
    create(store, 2, &new("a", "main")).await;

    let closed = Proposal { version: 2, state: ProposalState::Closed, closed_at: Some(at(2)), ..first };
    assert!(store.replace_proposal(&repo(1), &closed, &[]).await.expect("replace_proposal"));
    let second = create(store, 1, &new("a", "main")).await;
    assert_eq!(second.number, number(4), "what was refused took no number");
    let reopened = Proposal { version: 3, state: ProposalState::Open, ..closed };
    let refused = store.replace_proposal(&repo(1), &reopened, &[]).await;
    assert!(matches!(refused, Err(BackendError::Conflict { .. })), "{refused:?}");
    assert_eq!(get(store, 1).await.state, ProposalState::Closed);
}

async fn a_change_needs_the_version_before<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let made = create(store, 1, &new("a", "main")).await;
    let merge = ProposalMerge {
        commit: commit_id("merge"),
        source: commit_id("a"),
        target: commit_id("main"),
        by: Some(handle("bob")),
        at: at(7),
    };
    let changed = Proposal {
        version: 2,
        title: HOSTILE[0].to_owned(),
        description: HOSTILE[2].to_owned(),
        source: branch("b"),
        target: branch("c"),
        state: ProposalState::Merged,
        draft: true,
        head: commit_id("later"),
        base: commit_id("base"),
        merge: Some(merge.clone()),
        updated_at: at(8),
        closed_at: Some(at(9)),
        ..made.clone()
    };
    for version in [0, 1, 3] {
        let wrong = Proposal { version, ..changed.clone() };
        assert!(!store.replace_proposal(&repo(1), &wrong, &[]).await.expect("replace_proposal"));
    }
    assert_eq!(get(store, 1).await, made);
    assert!(store.replace_proposal(&repo(1), &changed, &[]).await.expect("replace_proposal"));
    assert_eq!(get(store, 1).await, changed);
    let by_push = Proposal { version: 3, merge: Some(ProposalMerge { by: None, ..merge }), ..changed };
    assert!(store.replace_proposal(&repo(1), &by_push, &[]).await.expect("replace_proposal"));
    assert_eq!(get(store, 1).await, by_push);
}

async fn of_many_changes_at_a_time_one_is_made<B>(store: &B)
where
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    create_repositories(store, 1).await;
    let made = create(store, 1, &new("a", "main")).await;
    let changes: Vec<Proposal> =
        (0..20).map(|n| Proposal { version: 2, title: format!("title {n}"), ..made.clone() }).collect();
    let retitled = entry(ProposalEntryKind::Retitled, "alice", "");
    let (id, retitled) = (&repo(1), &retitled);
    let replace = |change| async move {
        store.replace_proposal(id, change, std::slice::from_ref(retitled)).await.expect("replace_proposal")
    };
    let won = join_all(changes.iter().map(replace)).await;
    assert_eq!(won.iter().filter(|won| **won).count(), 1, "one is made");
    let winner = won.iter().position(|won| *won).expect("one is made");
    assert_eq!(get(store, 1).await.title, format!("title {winner}"));
    assert_eq!(entries(store, 0, 50).await.len(), 1, "the others left no entry");
}

async fn a_change_keeps_what_never_changes<B>(store: &B)
where
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    create_repositories(store, 1).await;
    let made = create(store, 1, &new("a", "main")).await;
    let changed =
        Proposal { version: 2, author: handle("mallory"), created_at: at(99), entries: 77, ..made.clone() };
    let closed = entry(ProposalEntryKind::Closed, "alice", "");
    assert!(store.replace_proposal(&repo(1), &changed, &[closed]).await.expect("replace_proposal"));
    let found = get(store, 1).await;
    assert_eq!((found.author, found.created_at, found.entries), (made.author, made.created_at, 1));
    assert_eq!(entries(store, 0, 50).await[0].kind, ProposalEntryKind::Closed);
}

async fn lists_are_filtered_and_paged_newest_first<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 2).await;
    create(store, 2, &new("elsewhere", "main")).await;
    for n in 1..=9_u64 {
        let target = if n % 2 == 0 { "main" } else { "next" };
        let author = handle(if n % 3 == 0 { "Bob" } else { "alice" });
        let made =
            create(store, 1, &NewProposal { author, ..new(&format!("b{}", n % 4), &format!("{target}{n}")) })
                .await;
        let state = ProposalState::ALL[usize::try_from(n % 3).expect("a small number")];
        let changed = Proposal { version: 2, state, target: branch(target), ..made };
        assert!(store.replace_proposal(&repo(1), &changed, &[]).await.expect("replace_proposal"));
    }
    let id = &repo(1);
    let list = |filter: ProposalFilter, before: Option<u64>, limit| async move {
        let found = store.proposals(id, &filter, before.map(number), limit).await.expect("proposals");
        found.iter().map(|proposal| proposal.number.get()).collect::<Vec<_>>()
    };
    let all = ProposalFilter::default;
    assert_eq!(list(all(), None, 50).await, [9, 8, 7, 6, 5, 4, 3, 2, 1]);
    assert_eq!(list(all(), Some(4), 2).await, [3, 2]);
    assert_eq!(list(all(), Some(1), 2).await, [0; 0]);
    assert_eq!(list(all(), Some(u64::MAX), 1).await, [9]);
    let of_bob = || ProposalFilter { author: Some(handle("bOB")), ..all() };
    assert_eq!(list(of_bob(), None, 50).await, [9, 6, 3], "authors compare without case");
    assert_eq!(list(of_bob(), Some(9), 1).await, [6]);
    let closed = ProposalFilter { state: Some(ProposalState::Closed), ..all() };
    assert_eq!(list(closed, None, 50).await, [7, 4, 1]);
    let source = || ProposalFilter { source: Some(branch("b1")), ..all() };
    assert_eq!(list(source(), None, 50).await, [9, 5, 1]);
    let target = ProposalFilter { target: Some(branch("next")), ..source() };
    assert_eq!(list(target, None, 50).await, [9, 5, 1]);
    let none = ProposalFilter { target: Some(branch("main")), ..source() };
    assert_eq!(list(none, None, 50).await, [0; 0]);
    let every = ProposalFilter {
        state: Some(ProposalState::Merged),
        author: Some(handle("alice")),
        source: Some(branch("b1")),
        target: Some(branch("next")),
    };
    assert_eq!(list(every, Some(9), 50).await, [5]);
}

async fn proposals_are_counted_by_state<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    let counts = || async { store.proposal_counts(&repo(1)).await.expect("proposal_counts") };
    assert_eq!(counts().await, ProposalCounts::default());
    for (source, state) in
        [("a", ProposalState::Closed), ("b", ProposalState::Merged), ("c", ProposalState::Merged)]
    {
        let made = create(store, 1, &new(source, "main")).await;
        let changed = Proposal { version: 2, state, ..made };
        store.replace_proposal(&repo(1), &changed, &[]).await.expect("replace_proposal");
    }
    create(store, 1, &new("d", "main")).await;
    assert_eq!(counts().await, ProposalCounts { open: 1, closed: 1, merged: 2 });
}

async fn the_last_check_is_remembered<B: ProposalStore + RepositoryIndex>(store: &B) {
    create_repositories(store, 1).await;
    create(store, 1, &new("a", "main")).await;
    let path = |text| RepoPath::parse(text).expect("a path");
    let blob = |n: &str| Some(super::fixtures::blob_id(n));
    let conflict =
        |kind| Conflict { path: path("lib/x 'y'.py"), kind, base: blob("b"), ours: None, theirs: blob("t") };
    let kinds = vec![
        conflict(ConflictKind::BothModified),
        conflict(ConflictKind::ModifyDelete),
        conflict(ConflictKind::AddAdd),
        conflict(ConflictKind::RenameRename { ours: path("a"), theirs: path("b") }),
        conflict(ConflictKind::FileDirectory { below: path("a/b") }),
        conflict(ConflictKind::Binary),
    ];
    let get = || async { store.proposal_check(&repo(1), number(1)).await.expect("proposal_check") };
    assert_eq!(get().await, None);
    for found in [
        Mergeability::UpToDate,
        Mergeability::Behind,
        Mergeability::FastForward,
        Mergeability::Clean,
        Mergeability::Conflicts(Conflicts { listed: kinds, total: 1_234 }),
        Mergeability::Unrelated,
    ] {
        let check = ProposalCheck { source: commit_id("a"), target: commit_id(found.as_str()), found };
        store.put_proposal_check(&repo(1), number(1), &check).await.expect("put_proposal_check");
        assert_eq!(get().await, Some(check));
    }
    assert_eq!(store.proposal_check(&repo(1), number(2)).await.expect("proposal_check"), None);
}

async fn say<B: ProposalConversations>(store: &B, entry: &NewProposalEntry) -> ProposalEntry {
    store.add_proposal_entry(&repo(1), number(1), entry).await.expect("add_proposal_entry")
}

async fn entries<B: ProposalConversations>(store: &B, after: u64, limit: u32) -> Vec<ProposalEntry> {
    store.proposal_entries(&repo(1), number(1), after, limit).await.expect("proposal_entries")
}

async fn a_conversation_is_numbered_and_paged<B>(store: &B)
where
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    create_repositories(store, 1).await;
    for source in ["a", "b"] {
        create(store, 1, &new(source, "main")).await;
    }
    let mut said = Vec::new();
    for (n, text) in HOSTILE.into_iter().enumerate() {
        let new = NewProposalEntry {
            commit: (n % 2 == 0).then(|| commit_id("c")),
            subject: (n % 2 == 0).then(|| text.to_owned()),
            author: (n != 3).then(|| handle("bob")),
            ..entry(ProposalEntryKind::Comment, "bob", text)
        };
        let added = say(store, &new).await;
        let NewProposalEntry { kind, author, body, commit, subject, at } = new;
        let id = n as u64 + 1;
        let expected =
            ProposalEntry { id, kind, author, body, commit, subject, at, edited_at: None, deleted: false };
        assert_eq!(added, expected);
        said.push(added);
    }
    let comment = entry(ProposalEntryKind::Comment, "bob", "x");
    let other = store.add_proposal_entry(&repo(1), number(2), &comment).await;
    assert_eq!(other.expect("add_proposal_entry").id, 1, "each proposal counts its own");
    assert_eq!(entries(store, 0, 50).await, said);
    assert_eq!(entries(store, 1, 2).await, said[1..3]);
    assert_eq!(entries(store, 5, 2).await, []);
    let one = store.proposal_entry(&repo(1), number(1), 3).await.expect("proposal_entry");
    assert_eq!(one.as_ref(), Some(&said[2]));
    let found = get(store, 1).await;
    assert_eq!((found.entries, found.version, found.updated_at), (5, 1, at(5)));
}

async fn of_many_entries_at_a_time_each_gets_a_number<B>(store: &B)
where
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    create_repositories(store, 1).await;
    create(store, 1, &new("a", "main")).await;
    let all: Vec<NewProposalEntry> =
        (0..30).map(|n| entry(ProposalEntryKind::Comment, "bob", &n.to_string())).collect();
    let mut ids: Vec<u64> =
        join_all(all.iter().map(|entry| say(store, entry))).await.iter().map(|entry| entry.id).collect();
    ids.sort_unstable();
    assert_eq!(ids, (1..=30).collect::<Vec<_>>(), "without a gap");
    assert_eq!(entries(store, 0, 50).await.len(), 30);
}

async fn an_entry_is_changed_and_deleted_for_good<B>(store: &B)
where
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    create_repositories(store, 1).await;
    create(store, 1, &new("a", "main")).await;
    let said = say(store, &entry(ProposalEntryKind::Comment, "bob", "first")).await;
    let change = |id, body, millis| async move {
        let changed = store.change_proposal_entry(&repo(1), number(1), id, body, at(millis)).await;
        changed.expect("change_proposal_entry")
    };
    assert!(change(1, Some("second"), 6).await);
    let expected = ProposalEntry { body: "second".to_owned(), edited_at: Some(at(6)), ..said };
    assert_eq!(entries(store, 0, 50).await, std::slice::from_ref(&expected));
    assert_eq!(get(store, 1).await.updated_at, at(6));
    assert!(!change(2, Some("x"), 7).await, "there is no such entry");
    assert!(change(1, None, 8).await);
    let expected = ProposalEntry { body: String::new(), edited_at: Some(at(8)), deleted: true, ..expected };
    for body in [Some("again"), None] {
        assert!(!change(1, body, 9).await, "what is deleted stays so");
    }
    assert_eq!(entries(store, 0, 50).await, [expected]);
    assert_eq!(say(store, &entry(ProposalEntryKind::Comment, "bob", "next")).await.id, 2);
}

async fn the_last_verdict_of_each_reviewer_stands<B>(store: &B)
where
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    use ProposalEntryKind::{Approved, ChangesRequested, Comment, ReviewDismissed, Reviewed};
    create_repositories(store, 1).await;
    create(store, 1, &new("a", "main")).await;
    let reviews = || async { store.proposal_reviews(&repo(1), number(1)).await.expect("proposal_reviews") };
    assert_eq!(reviews().await, []);
    for (kind, who) in [(Approved, "bob"), (Approved, "carol"), (Reviewed, "dan"), (Comment, "bob")] {
        say(store, &entry(kind, who, "")).await;
    }
    let review = |reviewer: &str, verdict, entry| Review {
        reviewer: handle(reviewer),
        verdict,
        commit: commit_id("reviewed"),
        entry,
        at: at(5),
    };
    let carols = review("carol", Verdict::Approved, 2);
    assert_eq!(reviews().await, [review("bob", Verdict::Approved, 1), carols.clone()]);
    let later = NewProposalEntry { commit: Some(commit_id("later")), ..entry(ChangesRequested, "BOB", "no") };
    say(store, &later).await;
    let bobs = Review { commit: commit_id("later"), ..review("BOB", Verdict::ChangesRequested, 5) };
    assert_eq!(reviews().await, [carols.clone(), bobs]);
    let dismissed =
        NewProposalEntry { subject: Some("bob".to_owned()), ..entry(ReviewDismissed, "alice", "left") };
    say(store, &dismissed).await;
    assert_eq!(reviews().await, [carols]);
}

async fn nothing_is_said_of_what_is_not_there<B>(store: &B)
where
    B: ProposalStore + ProposalConversations + RepositoryIndex,
{
    fn is_missing<T>(result: &Result<T, BackendError>) -> bool {
        matches!(result, Err(BackendError::Missing { .. }))
    }
    assert!(is_missing(&store.create_proposal(&repo(1), &new("a", "main")).await), "no such repository");
    create_repositories(store, 1).await;
    let made = create(store, 1, &new("a", "main")).await;
    let comment = entry(ProposalEntryKind::Comment, "bob", "x");
    assert!(is_missing(&store.add_proposal_entry(&repo(1), number(2), &comment).await));
    assert!(is_missing(&store.change_proposal_entry(&repo(1), number(2), 1, None, at(1)).await));
    let absent = Proposal { number: number(2), version: 2, ..made };
    assert!(is_missing(&store.replace_proposal(&repo(1), &absent, &[]).await));
    let check = ProposalCheck { source: commit_id("a"), target: commit_id("b"), found: Mergeability::Clean };
    assert!(is_missing(&store.put_proposal_check(&repo(1), number(2), &check).await));
    assert_eq!(store.proposal_entries(&repo(1), number(2), 0, 9).await.expect("proposal_entries"), []);
    assert_eq!(store.proposal_reviews(&repo(1), number(2)).await.expect("proposal_reviews"), []);
    assert_eq!(store.proposal_entry(&repo(1), number(1), 1).await.expect("proposal_entry"), None);
}
