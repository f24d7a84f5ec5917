//! Proposals: made, found, changed, talked about, reviewed, and where they stand by the graph.

use futures::executor::block_on;
use musehub_core::hub::proposals::{
    Distance, EditProposal, MAX_BODY_BYTES, ProposalError, ProposalMergeability, Proposals, Propose,
    ReviewKind, Said,
};
use musehub_core::merge::Mergeability;
use musehub_core::port::{
    Proposal, ProposalCheck, ProposalCounts, ProposalEntryKind, ProposalFilter, ProposalNumber,
    ProposalState, ProposalStore, Verdict,
};
use musehub_core::scheme::IdScheme;
use musehub_core::{CommitId, Handle};

use crate::hub_fixtures::{branch, handle};
use crate::hub_merge::Parted;
use crate::hub_writes::{commit_files, put};

pub(crate) const ONE: ProposalNumber = ProposalNumber::new(1);

pub(crate) fn propose(source: &str, target: &str) -> Propose {
    Propose {
        title: format!("Merge {source}"),
        description: "What it is about".to_owned(),
        source: branch(source),
        target: branch(target),
        draft: false,
    }
}

pub(crate) fn said(kind: ReviewKind, body: &str) -> Said {
    Said { kind, body: body.to_owned(), commit: None }
}

impl Parted {
    pub(crate) fn proposals(&self) -> Proposals<'_> {
        self.world.hub.proposals()
    }

    /// `bob` proposes to merge `dev` into `main`.
    pub(crate) async fn proposed(self) -> Self {
        self.proposals().create(&self.repo, &handle("bob"), propose("dev", "main")).await.unwrap();
        self
    }

    pub(crate) async fn first(&self) -> Proposal {
        self.proposals().get(&self.repo, ONE).await.unwrap()
    }

    pub(crate) async fn commit(&self, on: &str, head: CommitId, text: &str) -> CommitId {
        let changes = vec![put(&format!("{on}.txt"), text)];
        commit_files(&self.world, &self.repo, on, Some(head), changes).await.unwrap().head
    }

    pub(crate) async fn say(&self, who: &str, kind: ReviewKind, body: &str) {
        let given = self.proposals().review(&self.repo, &handle(who), ONE, said(kind, body)).await;
        given.unwrap();
    }

    async fn kinds(&self) -> Vec<ProposalEntryKind> {
        let said = self.proposals().conversation(&self.repo, ONE, 0, 100).await.unwrap();
        said.iter().map(|entry| entry.kind).collect()
    }

    async fn edit(&self, who: &str, edit: EditProposal) -> Result<Proposal, ProposalError> {
        self.proposals().edit(&self.repo, &handle(who), ONE, edit).await
    }
}

async fn parted() -> Parted {
    Parted::new(IdScheme::FlatV1, "one\n2\n3\n", &["a", "b"]).await
}

fn number(n: u64) -> ProposalNumber {
    ProposalNumber::new(n)
}

#[test]
fn a_proposal_knows_its_branches_their_heads_and_its_author() {
    block_on(async {
        let parted = parted().await.proposed().await;
        let proposal = parted.first().await;
        assert_eq!((proposal.number, proposal.version, proposal.state), (ONE, 1, ProposalState::Open));
        assert_eq!((proposal.head, proposal.base), (parted.dev, parted.main));
        assert_eq!((proposal.author.as_str(), proposal.title.as_str()), ("bob", "Merge dev"));
        let view = parted.proposals().view(&parted.repo, ONE).await.unwrap();
        assert_eq!(view.mergeability, ProposalMergeability::Known(Mergeability::Clean));
        assert_eq!((view.source_head, view.target_head), (Some(parted.dev), Some(parted.main)));
        let found = parted.proposals().get(&parted.repo, number(2)).await;
        assert!(matches!(found, Err(ProposalError::NotFound { .. })), "{found:?}");
    });
}

#[test]
fn what_cannot_be_merged_is_not_proposed() {
    block_on(async {
        let parted = parted().await;
        let bob = handle("bob");
        let create = async |propose| parted.proposals().create(&parted.repo, &bob, propose).await.map(|_| ());
        let refused = create(propose("dev", "dev")).await;
        assert!(matches!(refused, Err(ProposalError::SameBranch)));
        for (source, target) in [("absent", "main"), ("dev", "absent")] {
            let refused = create(propose(source, target)).await;
            let Err(ProposalError::NoSuchBranch { branch }) = refused else { panic!("{refused:?}") };
            assert_eq!(branch.as_str(), "absent");
        }
        parted.world.hub.create_branch(&parted.repo, &bob, &branch("old"), parted.base).await.unwrap();
        let refused = create(propose("old", "main")).await;
        assert!(matches!(refused, Err(ProposalError::NothingProposed { .. })), "{refused:?}");
        create(propose("dev", "main")).await.unwrap();
        let refused = create(propose("dev", "main")).await;
        assert!(matches!(refused, Err(ProposalError::Exists { .. })), "{refused:?}");
        create(propose("dev", "old")).await.unwrap();
        create(propose("main", "dev")).await.unwrap();
    });
}

#[test]
fn texts_are_bounded_and_kept_as_they_are() {
    block_on(async {
        let parted = parted().await;
        let bob = handle("bob");
        let long = "x".repeat(256);
        for title in ["", "  ", "two\nlines", "nul\0", "\u{1b}[31m", &long] {
            let propose = Propose { title: title.to_owned(), ..propose("dev", "main") };
            let refused = parted.proposals().create(&parted.repo, &bob, propose).await;
            assert!(matches!(refused, Err(ProposalError::Text { .. })), "{title:?}");
        }
        let description = "x".repeat(MAX_BODY_BYTES + 1);
        let too_long = Propose { description: description.clone(), ..propose("dev", "main") };
        let refused = parted.proposals().create(&parted.repo, &bob, too_long).await;
        assert!(matches!(refused, Err(ProposalError::Text { .. })));

        let hostile = "<script>alert('1')</script>'; DROP TABLE musehub_proposals; --";
        let kept =
            Propose { title: hostile.to_owned(), description: hostile.repeat(9), ..propose("dev", "main") };
        parted.proposals().create(&parted.repo, &bob, kept).await.unwrap();
        let found = parted.first().await;
        assert_eq!((found.title.as_str(), found.description), (hostile, hostile.repeat(9)));
        for body in ["", " \n ", "nul\0", &description] {
            let refused = parted.proposals().comment(&parted.repo, &bob, ONE, body.to_owned()).await;
            assert!(matches!(refused, Err(ProposalError::Text { .. })), "{:?}", &body[..body.len().min(9)]);
        }
        let comment = parted.proposals().comment(&parted.repo, &bob, ONE, hostile.to_owned()).await;
        assert_eq!(comment.unwrap().body, hostile);
    });
}

#[test]
fn its_author_and_the_owner_change_a_proposal_and_nobody_else() {
    block_on(async {
        let parted = parted().await.proposed().await;
        let retitle = |title: &str| EditProposal { title: Some(title.to_owned()), ..EditProposal::default() };
        let refused = parted.edit("mallory", retitle("mine")).await;
        assert!(matches!(refused, Err(ProposalError::Forbidden { .. })), "{refused:?}");
        assert_eq!(parted.edit("bob", retitle("by its author")).await.unwrap().version, 2);
        assert_eq!(parted.edit("ALICE", retitle("by the owner")).await.unwrap().version, 3);
        let same = parted.edit("bob", retitle("by the owner")).await.unwrap();
        assert_eq!(same.version, 3, "what changes nothing is no change");
        let draft = EditProposal { draft: Some(true), ..EditProposal::default() };
        assert!(parted.edit("bob", draft).await.unwrap().draft);
        let all = EditProposal {
            expected_version: Some(4),
            title: Some("new".to_owned()),
            description: Some("other".to_owned()),
            draft: Some(false),
            target: None,
        };
        let changed = parted.edit("bob", all.clone()).await.unwrap();
        assert_eq!((changed.title.as_str(), changed.description.as_str()), ("new", "other"));
        let stale = parted.edit("bob", all).await;
        assert!(matches!(stale, Err(ProposalError::Changed { .. })), "{stale:?}");
        use ProposalEntryKind::{MarkedDraft, MarkedReady, Retitled};
        assert_eq!(parted.kinds().await, [Retitled, Retitled, MarkedDraft, Retitled, MarkedReady]);
        assert_eq!(parted.first().await, changed);
        let log = parted.proposals().conversation(&parted.repo, ONE, 0, 1).await.unwrap();
        assert_eq!(log[0].subject.as_deref(), Some("Merge dev"));
    });
}

#[test]
fn a_proposal_gets_another_target_that_lacks_its_commits() {
    block_on(async {
        let parted = parted().await.proposed().await;
        parted
            .world
            .hub
            .create_branch(&parted.repo, &handle("bob"), &branch("next"), parted.base)
            .await
            .unwrap();
        let to = |name| EditProposal { target: Some(branch(name)), ..EditProposal::default() };
        for bad in ["dev", "absent"] {
            parted.edit("bob", to(bad)).await.unwrap_err();
        }
        let moved = parted.edit("bob", to("next")).await.unwrap();
        assert_eq!((moved.target, moved.base), (branch("next"), parted.base));
        let view = parted.proposals().view(&parted.repo, ONE).await.unwrap();
        assert_eq!(view.mergeability, ProposalMergeability::Known(Mergeability::FastForward));
        let propose = propose("dev", "main");
        parted.proposals().create(&parted.repo, &handle("bob"), propose).await.unwrap();
        let twin = parted.edit("bob", to("main")).await;
        assert!(matches!(twin, Err(ProposalError::Exists { .. })), "{twin:?}");
    });
}

#[test]
fn a_closed_proposal_is_opened_again_while_there_is_something_to_merge() {
    block_on(async {
        let parted = parted().await.proposed().await;
        let (proposals, repo, bob) = (parted.proposals(), &parted.repo, handle("bob"));
        assert!(proposals.close(repo, &handle("mallory"), ONE).await.is_err());
        let again = proposals.reopen(repo, &bob, ONE).await;
        assert!(matches!(again, Err(ProposalError::NotOpen { .. })), "{again:?}");
        let closed = proposals.close(repo, &bob, ONE).await.unwrap();
        assert_eq!((closed.state, closed.closed_at.is_some()), (ProposalState::Closed, true));
        assert!(proposals.close(repo, &bob, ONE).await.is_err());
        let view = proposals.view(repo, ONE).await.unwrap();
        assert_eq!(view.mergeability, ProposalMergeability::NotOpen);
        let review = proposals.review(repo, &handle("alice"), ONE, said(ReviewKind::Approve, "")).await;
        assert!(matches!(review, Err(ProposalError::NotOpen { .. })), "{review:?}");
        proposals.comment(repo, &handle("mallory"), ONE, "why?".to_owned()).await.unwrap();

        let reopened = proposals.reopen(repo, &handle("alice"), ONE).await.unwrap();
        assert_eq!((reopened.state, reopened.closed_at), (ProposalState::Open, None));
        proposals.close(repo, &bob, ONE).await.unwrap();
        proposals.create(repo, &bob, propose("dev", "main")).await.unwrap();
        let twin = proposals.reopen(repo, &bob, ONE).await;
        assert!(matches!(twin, Err(ProposalError::Exists { .. })), "{twin:?}");
        proposals.close(repo, &bob, number(2)).await.unwrap();
        parted.world.hub.delete_branch(repo, &bob, &branch("dev"), parted.dev).await.unwrap();
        let gone = proposals.reopen(repo, &bob, ONE).await;
        assert!(matches!(gone, Err(ProposalError::NoSuchBranch { .. })), "{gone:?}");
        use ProposalEntryKind::{Closed, Comment, Reopened};
        assert_eq!(parted.kinds().await, [Closed, Comment, Reopened, Closed]);
    });
}

#[test]
fn lists_and_counts_are_of_what_was_asked_for() {
    block_on(async {
        let parted = parted().await;
        let (proposals, repo) = (parted.proposals(), &parted.repo);
        for n in 0..5 {
            let name = format!("b{n}");
            let bob = handle("bob");
            parted.world.hub.create_branch(repo, &bob, &branch(&name), parted.base).await.unwrap();
            let author = handle(if n % 2 == 0 { "bob" } else { "carol" });
            proposals.create(repo, &author, propose("dev", &name)).await.unwrap();
        }
        proposals.close(repo, &handle("alice"), number(3)).await.unwrap();
        let of = async |filter: ProposalFilter, before: Option<u64>, limit| {
            let page = proposals.list(repo, &filter, before.map(number), limit).await.unwrap();
            page.iter().map(|proposal| proposal.number.get()).collect::<Vec<_>>()
        };
        let all = ProposalFilter::default();
        assert_eq!(of(all.clone(), None, 3).await, [5, 4, 3]);
        assert_eq!(of(all.clone(), Some(3), 3).await, [2, 1]);
        let open = ProposalFilter { state: Some(ProposalState::Open), ..all.clone() };
        assert_eq!(of(open, None, 9).await, [5, 4, 2, 1]);
        let of_bob = ProposalFilter { author: Some(handle("bob")), ..all };
        assert_eq!(of(of_bob, None, 9).await, [5, 3, 1]);
        let counts = ProposalCounts { open: 4, closed: 1, merged: 0 };
        assert_eq!(proposals.counts(repo).await.unwrap(), counts);
    });
}

#[test]
fn one_changes_what_one_wrote_and_the_owner_deletes_what_anybody_wrote() {
    block_on(async {
        let parted = parted().await.proposed().await;
        let (proposals, repo) = (parted.proposals(), &parted.repo);
        let [alice, bob, mallory] = ["alice", "bob", "mallory"].map(handle);
        let mut ids = Vec::new();
        for who in [&bob, &mallory] {
            ids.push(proposals.comment(repo, who, ONE, "first".to_owned()).await.unwrap().id);
        }
        let edited = proposals.edit_entry(repo, &bob, ONE, ids[0], "second").await.unwrap();
        assert_eq!((edited.body.as_str(), edited.edited_at.is_some()), ("second", true));
        for who in [&alice, &mallory] {
            let refused = proposals.edit_entry(repo, who, ONE, ids[0], "mine").await;
            assert!(matches!(refused, Err(ProposalError::Forbidden { .. })), "{who}");
        }
        assert!(proposals.delete_entry(repo, &mallory, ONE, ids[0]).await.is_err());
        assert!(proposals.delete_entry(repo, &bob, ONE, ids[1]).await.is_err());
        assert!(proposals.delete_entry(repo, &alice, ONE, ids[1]).await.unwrap().deleted);
        let deleted = proposals.delete_entry(repo, &bob, ONE, ids[0]).await.unwrap();
        assert_eq!((deleted.deleted, deleted.body.as_str()), (true, ""));
        let again = proposals.edit_entry(repo, &bob, ONE, ids[0], "third").await;
        assert!(matches!(again, Err(ProposalError::NoSuchEntry)), "{again:?}");
        proposals.close(repo, &bob, ONE).await.unwrap();
        let event = proposals.delete_entry(repo, &bob, ONE, 3).await;
        assert!(matches!(event, Err(ProposalError::NoSuchEntry)), "what happened stays: {event:?}");
    });
}

#[test]
fn a_verdict_counts_for_the_head_it_was_given_to_and_from_those_who_may_push() {
    block_on(async {
        let parted = parted().await.proposed().await;
        let (proposals, repo) = (parted.proposals(), &parted.repo);
        let own = proposals.review(repo, &handle("Bob"), ONE, said(ReviewKind::Approve, "")).await;
        assert!(matches!(own, Err(ProposalError::Forbidden { .. })), "{own:?}");
        parted.say("bob", ReviewKind::Comment, "ready").await;
        parted.say("mallory", ReviewKind::Approve, "").await;
        parted.say("alice", ReviewKind::Approve, "").await;
        let approvals = async || proposals.view(repo, ONE).await.unwrap().approvals;
        let now = approvals().await;
        assert_eq!((now.approved, now.reviews.len()), (1, 2), "a stranger's counts for nothing");
        assert!(now.reviews.iter().all(|review| review.is_current));

        let dev = parted.commit("dev", parted.dev, "later").await;
        let now = approvals().await;
        assert_eq!(now.approved, 0, "nobody has seen what came since");
        assert!(now.reviews.iter().all(|review| !review.is_current));
        let old = Said { commit: Some(parted.dev), ..said(ReviewKind::Approve, "") };
        let refused = proposals.review(repo, &handle("alice"), ONE, old.clone()).await;
        assert!(
            matches!(refused, Err(ProposalError::SourceMoved { head, .. }) if head == dev),
            "{refused:?}"
        );
        let new = Said { commit: Some(dev), ..old };
        proposals.review(repo, &handle("alice"), ONE, new).await.unwrap();
        assert_eq!(approvals().await.approved, 1);

        parted.say("alice", ReviewKind::RequestChanges, "no").await;
        parted.say("alice", ReviewKind::Comment, "a word more").await;
        let now = approvals().await;
        assert_eq!((now.approved, now.changes_requested()), (0, vec![handle("alice")]));
        let [alices] = &now.reviews.iter().filter(|it| it.may_push).collect::<Vec<_>>()[..] else {
            panic!("{now:?}")
        };
        assert_eq!(alices.review.verdict, Verdict::ChangesRequested, "a comment leaves the verdict");
        parted.commit("dev", dev, "even later").await;
        assert_eq!(approvals().await.changes_requested(), [handle("alice")], "it stands until answered");
    });
}

#[test]
fn a_verdict_is_dismissed_by_who_gave_it_or_the_owner_and_never_by_the_author() {
    block_on(async {
        let parted = parted().await.proposed().await;
        let (proposals, repo) = (parted.proposals(), &parted.repo);
        for who in ["alice", "carol", "dan"] {
            parted.say(who, ReviewKind::RequestChanges, "no").await;
        }
        let dismiss = async |who: &str, whose: &str| {
            let reviewer: Handle = handle(whose);
            proposals.dismiss_review(repo, &handle(who), ONE, &reviewer, "done".to_owned()).await
        };
        for (who, whose) in [("bob", "alice"), ("mallory", "alice"), ("carol", "dan")] {
            let refused = dismiss(who, whose).await;
            assert!(matches!(refused, Err(ProposalError::Forbidden { .. })), "{who} {whose}");
        }
        assert!(matches!(dismiss("alice", "nobody").await, Err(ProposalError::NoSuchEntry)));
        let entry = dismiss("carol", "Carol").await.unwrap();
        assert_eq!((entry.kind, entry.body.as_str()), (ProposalEntryKind::ReviewDismissed, "done"));
        dismiss("alice", "dan").await.unwrap();
        let standing = proposals.view(repo, ONE).await.unwrap().approvals.reviews;
        assert_eq!(standing.len(), 1);
        assert_eq!(standing[0].review.reviewer, handle("alice"));
    });
}

#[test]
fn its_commits_are_those_that_the_target_lacks_page_by_page() {
    block_on(async {
        let parted = Parted::new(IdScheme::TypedV2, "one\n2\n3\n", &["a", "b", "c"]).await.proposed().await;
        let (proposals, repo) = (parted.proposals(), &parted.repo);
        let line = parted.first_parents(parted.dev).await;
        let first = proposals.commits(repo, ONE, None, 2).await.unwrap();
        let ids: Vec<CommitId> = first.commits.iter().map(|row| row.id).collect();
        assert_eq!((&ids[..], first.total, first.more), (&line[..2], 3, true));
        let rest = proposals.commits(repo, ONE, ids.last().copied(), 2).await.unwrap();
        let ids: Vec<CommitId> = rest.commits.iter().map(|row| row.id).collect();
        assert_eq!((&ids[..], rest.more), (&line[2..3], false));
        let after_all = proposals.commits(repo, ONE, Some(parted.base), 2).await.unwrap();
        assert!(after_all.commits.is_empty() && !after_all.more);
        let range = proposals.range(repo, ONE).await.unwrap();
        assert_eq!((range.base, range.source, range.target), (Some(parted.base), parted.dev, parted.main));
    });
}

#[test]
fn whether_it_merges_is_known_before_and_found_once_for_each_pair_of_heads() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "1\n2\nTHREE\n", &["a"]).await.proposed().await;
        let Parted { world, repo, .. } = &parted;
        let look = async || parted.proposals().view(repo, ONE).await.unwrap().mergeability;
        let ProposalMergeability::Known(Mergeability::Conflicts(found)) = look().await else {
            panic!("it conflicts")
        };
        assert_eq!((found.total, found.listed[0].path.as_str()), (1, "both"));
        let distance = parted.proposals().view(repo, ONE).await.unwrap().distance;
        assert_eq!(distance, Some(Distance { ahead: 1, behind: 1, exact: true }));
        let conflict = &found.listed[0];
        assert!(conflict.base.is_some() && conflict.ours.is_some() && conflict.theirs.is_some());

        // What is remembered is what is said.
        let planted = ProposalCheck { source: parted.dev, target: parted.main, found: Mergeability::Clean };
        world.index.put_proposal_check(&repo.repo_id, ONE, &planted).await.unwrap();
        assert_eq!(look().await, ProposalMergeability::Known(Mergeability::Clean));
        let dev = parted.commit("dev", parted.dev, "more").await;
        assert!(matches!(look().await, ProposalMergeability::Known(Mergeability::Conflicts(_))));
        let kept = world.index.proposal_check(&repo.repo_id, ONE).await.unwrap().unwrap();
        assert_eq!((kept.source, kept.target), (dev, parted.main));
        assert_eq!(parted.first().await.head, dev);

        world.hub.delete_branch(repo, &handle("bob"), &branch("dev"), dev).await.unwrap();
        assert_eq!(look().await, ProposalMergeability::BranchGone { branch: branch("dev") });
        let commits = parted.proposals().commits(repo, ONE, None, 9).await.unwrap();
        assert_eq!(commits.total, 2, "its commits stay to be seen");
    });
}

#[test]
fn a_source_that_is_set_back_brings_nothing_and_is_not_merged() {
    block_on(async {
        let parted = parted().await.proposed().await;
        let Parted { world, repo, .. } = &parted;
        let bob = handle("bob");
        world.hub.delete_branch(repo, &bob, &branch("dev"), parted.dev).await.unwrap();
        world.hub.create_branch(repo, &bob, &branch("dev"), parted.main).await.unwrap();
        let view = parted.proposals().view(repo, ONE).await.unwrap();
        assert_eq!(view.proposal.state, ProposalState::Open);
        assert_eq!(view.mergeability, ProposalMergeability::Known(Mergeability::UpToDate));
        assert_eq!(view.proposal.head, parted.dev);
    });
}
