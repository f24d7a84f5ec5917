//! Merges of proposals: what they leave, what refuses them, races, and crashes at every step.

use futures::executor::block_on;
use futures::future::join;
use musehub_core::hub::proposals::{
    MergeProposal, ProposalError, ProposalMergeability, ProposalMerged, ReviewKind,
};
use musehub_core::hub::{CaughtUp, HistoryStrategy, MergeRefused, PushError, RepositoryChange};
use musehub_core::merge::{FileStrategy, Mergeability};
use musehub_core::port::{
    BackendError, JobQueue, Proposal, ProposalEntryKind, ProposalNumber, ProposalState, RepositoryRecord,
};
use musehub_core::scheme::IdScheme;
use musehub_core::settings::{BranchPattern, BranchProtection, Protection, RepositorySettings};
use musehub_core::{CommitId, Hub};
use serde_json::json;

use crate::hub_faults::{pausing, schedules};
use crate::hub_fixtures::{JOB, World, branch, handle, hub};
use crate::hub_merge::Parted;
use crate::hub_ports::{Disturbed, Fault};
use crate::hub_proposals::{ONE, propose};
use crate::hub_writes::{canonical_commit, commit_files, put};

const HISTORIES: [HistoryStrategy; 3] =
    [HistoryStrategy::Merge, HistoryStrategy::Squash, HistoryStrategy::Rebase];

async fn merge(
    hub: &Hub,
    repo: &RepositoryRecord,
    number: ProposalNumber,
    how: MergeProposal,
) -> Result<ProposalMerged, ProposalError> {
    hub.merge_proposal(repo, &handle("alice"), number, how).await
}

fn history(history: HistoryStrategy) -> MergeProposal {
    MergeProposal { history, ..MergeProposal::default() }
}

async fn parted(scheme: IdScheme) -> Parted {
    Parted::new(scheme, "one\n2\n3\n", &["a", "b"]).await.proposed().await
}

async fn require(world: &World, repo: &RepositoryRecord, approvals: u32) -> RepositoryRecord {
    let settings = RepositorySettings { required_approvals: approvals, ..RepositorySettings::default() };
    let change = RepositoryChange { settings: Some(settings), ..RepositoryChange::default() };
    world.hub.update_repository(repo, &change).await.unwrap()
}

#[test]
fn each_history_leaves_what_it_says_with_author_merger_and_message() {
    block_on(async {
        for scheme in [IdScheme::FlatV1, IdScheme::TypedV2] {
            for strategy in HISTORIES {
                let parted = parted(scheme).await;
                let Parted { world, repo, .. } = &parted;
                let merged = merge(&world.hub, repo, ONE, history(strategy)).await.unwrap();
                let (commit, files) = canonical_commit(world, repo, merged.outcome.head).await;
                assert_eq!(files, "both=one\n2\nthree dev.txt=b");
                assert_eq!(world.heads(repo).await["main"], merged.outcome.head);
                let metadata = &commit.record()["metadata"];
                assert_eq!((&metadata["merged_by"], &metadata["proposal"]), (&json!("alice"), &json!("1")));
                let parents = match strategy {
                    HistoryStrategy::Merge => vec![parted.main, parted.dev],
                    HistoryStrategy::Squash => vec![parted.main],
                    _ => vec![merged.outcome.commits[0]],
                };
                assert_eq!(commit.parents(), parents);
                if strategy != HistoryStrategy::Rebase {
                    assert_eq!(commit.text("author"), "bob");
                    assert_eq!(commit.text("message"), "Merge proposal #1: Merge dev\n\nWhat it is about");
                }
                let job = world.index.latest(&repo.repo_id, JOB).await.unwrap().unwrap();
                assert!(job.work.payload.contains(&merged.outcome.head.to_string()), "jobs of a push run");

                let proposal = parted.first().await;
                assert_eq!(proposal, merged.proposal);
                assert_eq!(proposal.state, ProposalState::Merged);
                let how = proposal.merge.unwrap();
                assert_eq!(
                    (how.commit, how.source, how.target),
                    (merged.outcome.head, parted.dev, parted.main)
                );
                assert_eq!(how.by, Some(handle("alice")));
                let said = parted.proposals().conversation(repo, ONE, 0, 9).await.unwrap();
                assert_eq!(said.len(), 1, "merged once");
                assert_eq!(said[0].kind, ProposalEntryKind::Merged);
                let commits = parted.proposals().commits(repo, ONE, None, 9).await.unwrap();
                assert_eq!(commits.total, 2, "what it brought is still to be seen");
                let again = merge(&world.hub, repo, ONE, history(strategy)).await;
                assert!(matches!(again, Err(ProposalError::NotOpen { .. })), "{again:?}");
                assert!(parted.proposals().close(repo, &handle("bob"), ONE).await.is_err());
                assert!(parted.proposals().reopen(repo, &handle("bob"), ONE).await.is_err());
            }
        }
    });
}

#[test]
fn author_and_message_are_those_given() {
    block_on(async {
        let parted = parted(IdScheme::TypedV2).await;
        let how = MergeProposal {
            author: Some("Ann <ann@example.org>".to_owned()),
            message: Some("By hand".to_owned()),
            ..MergeProposal::default()
        };
        let merged = merge(&parted.world.hub, &parted.repo, ONE, how).await.unwrap();
        let (commit, _) = canonical_commit(&parted.world, &parted.repo, merged.outcome.head).await;
        assert_eq!((commit.text("author"), commit.text("message")), ("Ann <ann@example.org>", "By hand"));
    });
}

#[test]
fn a_target_that_can_just_be_moved_is_moved() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "", &["a"]).await.proposed().await;
        let Parted { world, repo, .. } = &parted;
        let merged = merge(&world.hub, repo, ONE, history(HistoryStrategy::FastForward)).await.unwrap();
        assert_eq!((merged.outcome.head, merged.outcome.commits.len()), (parted.dev, 0));
        let how = parted.first().await.merge.unwrap();
        assert_eq!((how.commit, how.by), (parted.dev, Some(handle("alice"))), "it was no push");
    });
}

#[test]
fn drafts_closed_ones_and_unexpected_heads_are_refused() {
    block_on(async {
        let parted = parted(IdScheme::FlatV1).await;
        let Parted { world, repo, .. } = &parted;
        let (proposals, bob) = (parted.proposals(), handle("bob"));
        let stale = MergeProposal { expected_source: Some(parted.base), ..MergeProposal::default() };
        let refused = merge(&world.hub, repo, ONE, stale).await;
        assert!(matches!(refused, Err(ProposalError::SourceMoved { .. })), "{refused:?}");
        let stale = MergeProposal { expected_target: Some(parted.base), ..MergeProposal::default() };
        let refused = merge(&world.hub, repo, ONE, stale).await;
        let Err(ProposalError::Merge(MergeRefused::Push(PushError::BranchMoved { expected, head, .. }))) =
            refused
        else {
            panic!("{refused:?}")
        };
        assert_eq!((expected, head), (Some(parted.base), Some(parted.main)));

        let draft =
            |draft| musehub_core::hub::proposals::EditProposal { draft: Some(draft), ..Default::default() };
        proposals.edit(repo, &bob, ONE, draft(true)).await.unwrap();
        let refused = merge(&world.hub, repo, ONE, MergeProposal::default()).await;
        assert!(matches!(refused, Err(ProposalError::Draft { .. })), "{refused:?}");
        proposals.edit(repo, &bob, ONE, draft(false)).await.unwrap();
        proposals.close(repo, &bob, ONE).await.unwrap();
        let refused = merge(&world.hub, repo, ONE, MergeProposal::default()).await;
        assert!(matches!(refused, Err(ProposalError::NotOpen { .. })), "{refused:?}");
        assert_eq!(world.heads(repo).await["main"], parted.main);
        proposals.reopen(repo, &bob, ONE).await.unwrap();
        let exact = MergeProposal {
            expected_source: Some(parted.dev),
            expected_target: Some(parted.main),
            ..MergeProposal::default()
        };
        merge(&world.hub, repo, ONE, exact).await.unwrap();
    });
}

#[test]
fn conflicts_refuse_the_merge_with_the_three_versions_unless_the_source_wins() {
    block_on(async {
        for strategy in HISTORIES {
            let parted = Parted::new(IdScheme::FlatV1, "1\n2\nTHREE\n", &["a"]).await.proposed().await;
            let Parted { world, repo, .. } = &parted;
            let before = world.hub.commit_count(repo).await.unwrap();
            let refused = merge(&world.hub, repo, ONE, history(strategy)).await;
            let Err(ProposalError::Merge(MergeRefused::Conflicts(found))) = refused else {
                panic!("{refused:?}")
            };
            let conflict = &found.listed[0];
            assert_eq!((found.total, conflict.path.as_str()), (1, "both"));
            assert!(conflict.base.is_some() && conflict.ours.is_some() && conflict.theirs.is_some());
            assert_eq!(world.hub.commit_count(repo).await.unwrap(), before);
            assert_eq!(parted.first().await.state, ProposalState::Open);
            let how = MergeProposal { files: FileStrategy::Overlay, ..history(strategy) };
            let merged = merge(&world.hub, repo, ONE, how).await.unwrap();
            assert_eq!(merged.outcome.overridden.total, 1);
            let (_, files) = canonical_commit(world, repo, merged.outcome.head).await;
            assert_eq!(files, "both=1\n2\nthree dev.txt=a");
        }
    });
}

#[test]
fn the_gate_opens_with_the_approvals_that_are_required() {
    block_on(async {
        let parted = parted(IdScheme::FlatV1).await;
        let Parted { world, repo, .. } = &parted;
        let strict = require(world, repo, 1).await;
        let attempt = async || merge(&world.hub, &strict, ONE, MergeProposal::default()).await;
        let gate = |refused: Result<ProposalMerged, ProposalError>| match refused {
            Err(ProposalError::ApprovalGate { approved, required, changes_requested }) => {
                (approved, required, changes_requested.len())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(gate(attempt().await), (0, 1, 0));
        parted.say("mallory", ReviewKind::Approve, "").await;
        assert_eq!(gate(attempt().await), (0, 1, 0), "who may not push does not open it");
        parted.say("mallory", ReviewKind::RequestChanges, "no").await;
        parted.say("alice", ReviewKind::RequestChanges, "no").await;
        assert_eq!(gate(attempt().await), (0, 1, 1));
        parted.say("alice", ReviewKind::Approve, "").await;
        let dev = parted.commit("dev", parted.dev, "behind her back").await;
        assert_eq!(gate(attempt().await), (0, 1, 0), "an approval is of what was seen");
        assert_eq!(world.heads(repo).await["main"], parted.main);
        parted.say("alice", ReviewKind::Approve, "").await;
        let merged = attempt().await.unwrap();
        assert_eq!(merged.proposal.merge.unwrap().source, dev);
    });
}

#[test]
fn without_a_required_approval_a_request_for_changes_is_advice() {
    block_on(async {
        let parted = parted(IdScheme::FlatV1).await;
        parted.say("alice", ReviewKind::RequestChanges, "no").await;
        merge(&parted.world.hub, &parted.repo, ONE, MergeProposal::default()).await.unwrap();
    });
}

#[test]
fn the_source_goes_if_asked_unless_something_needs_it() {
    block_on(async {
        let protect = || RepositorySettings {
            protected_branches: vec![BranchProtection {
                pattern: BranchPattern::parse("de*").unwrap(),
                protection: Protection::default(),
            }],
            ..RepositorySettings::default()
        };
        for case in ["asked", "not asked", "protected", "target of another"] {
            let parted = parted(IdScheme::FlatV1).await;
            let Parted { world, repo, .. } = &parted;
            let mut repo = repo.clone();
            match case {
                "protected" => {
                    let change =
                        RepositoryChange { settings: Some(protect()), ..RepositoryChange::default() };
                    repo = world.hub.update_repository(&repo, &change).await.unwrap();
                }
                "target of another" => {
                    let propose = propose("main", "dev");
                    parted.proposals().create(&repo, &handle("bob"), propose).await.unwrap();
                }
                _ => {}
            }
            let how = MergeProposal { delete_source: case != "not asked", ..MergeProposal::default() };
            let merged = merge(&world.hub, &repo, ONE, how).await.unwrap();
            assert_eq!(merged.outcome.source_deleted, case == "asked", "{case}");
            assert_eq!(world.heads(&repo).await.contains_key("dev"), case != "asked", "{case}");
        }
    });
}

#[test]
fn a_push_that_brings_its_commits_merges_it() {
    block_on(async {
        let parted = parted(IdScheme::FlatV1).await;
        let Parted { world, repo, .. } = &parted;
        // As a push of a merge that somebody made by hand.
        let request = musehub_core::hub::MergeRequest {
            target: branch("main"),
            expected_head: parted.main,
            source: parted.dev,
            history: HistoryStrategy::Merge,
            files: FileStrategy::Recursive,
            author: "Ann".to_owned(),
            message: "By hand".to_owned(),
            delete_source: Some(branch("dev")),
        };
        let pushed = world.hub.merge(repo, &handle("alice"), request).await.unwrap();
        let listed = parted.proposals().list(repo, &Default::default(), None, 9).await.unwrap();
        assert_eq!(listed[0].state, ProposalState::Merged, "nobody had to look at it");
        let how = listed[0].merge.clone().unwrap();
        assert_eq!((how.commit, how.source, how.target), (pushed.head, parted.dev, parted.main));
        assert_eq!(how.by, None);
        let said = parted.proposals().conversation(repo, ONE, 0, 9).await.unwrap();
        assert_eq!((said.len(), said[0].kind), (1, ProposalEntryKind::Merged));
        assert_eq!(parted.proposals().commits(repo, ONE, None, 9).await.unwrap().total, 2);
    });
}

#[test]
fn a_push_that_brings_only_some_of_its_commits_does_not_merge_it() {
    block_on(async {
        let parted = Parted::new(IdScheme::FlatV1, "", &["a"]).await.proposed().await;
        let Parted { world, repo, dev, .. } = &parted;
        let later = parted.commit("dev", *dev, "later").await;
        world.hub.delete_branch(repo, &handle("alice"), &branch("main"), parted.main).await.unwrap_err();
        let request = musehub_core::hub::MergeRequest {
            target: branch("main"),
            expected_head: parted.main,
            source: *dev,
            history: HistoryStrategy::FastForward,
            files: FileStrategy::Recursive,
            author: "Ann".to_owned(),
            message: String::new(),
            delete_source: None,
        };
        world.hub.merge(repo, &handle("alice"), request).await.unwrap();
        let view = parted.proposals().view(repo, ONE).await.unwrap();
        assert_eq!((view.proposal.state, view.proposal.head), (ProposalState::Open, later));
        assert_eq!(view.mergeability, ProposalMergeability::Known(Mergeability::FastForward));
    });
}

/// `dev` and `more` are proposed for `main`.
async fn two_proposals() -> Parted {
    let parted = parted(IdScheme::FlatV1).await;
    let Parted { world, repo, base, .. } = &parted;
    world.hub.create_branch(repo, &handle("bob"), &branch("more"), *base).await.unwrap();
    commit_files(world, repo, "more", Some(*base), vec![put("more", "m")]).await.unwrap();
    parted.proposals().create(repo, &handle("bob"), propose("more", "main")).await.unwrap();
    parted
}

#[test]
fn of_two_proposals_merged_at_the_same_moment_one_wins_and_the_other_is_told_to_look_again() {
    block_on(async {
        for (n, pauses) in schedules().enumerate() {
            let strategy = HISTORIES[n % HISTORIES.len()];
            let parted = two_proposals().await;
            let Parted { world, repo, main, .. } = &parted;
            let [first, second] = pausing(world, &world.restarted(), pauses);
            let two = ProposalNumber::new(2);
            let (one, other) = join(
                merge(&first, repo, ONE, history(strategy)),
                merge(&second, repo, two, history(strategy)),
            )
            .await;
            let answers = [(ONE, one), (two, other)];
            let won: Vec<&ProposalMerged> =
                answers.iter().filter_map(|(_, answer)| answer.as_ref().ok()).collect();
            let heads = world.heads(repo).await;
            if won.len() == 2 {
                // The second began after the first had ended.
                assert!(won.iter().any(|merged| merged.outcome.head == heads["main"]));
            } else {
                assert_eq!(won.len(), 1, "{pauses:x?} {answers:?}");
                assert_eq!(heads["main"], won[0].outcome.head);
                let (number, lost) = answers.iter().find(|(_, answer)| answer.is_err()).unwrap();
                let Err(ProposalError::Merge(MergeRefused::Push(PushError::BranchMoved {
                    expected, ..
                }))) = lost
                else {
                    panic!("{pauses:x?} {lost:?}")
                };
                assert_eq!(*expected, Some(*main));
                let open = parted.proposals().get(repo, *number).await.unwrap();
                assert_eq!(
                    (open.state, open.merge),
                    (ProposalState::Open, None),
                    "what was begun is given up"
                );
                merge(&world.hub, repo, *number, history(strategy)).await.unwrap();
            }
            let (_, files) = canonical_commit(world, repo, world.heads(repo).await["main"]).await;
            assert_eq!(files, "both=one\n2\nthree dev.txt=b more=m", "both are in it");
        }
    });
}

#[test]
fn of_two_merges_of_one_proposal_at_the_same_moment_one_is_made() {
    block_on(async {
        for pauses in schedules() {
            let parted = parted(IdScheme::FlatV1).await;
            let Parted { world, repo, main, .. } = &parted;
            let [first, second] = pausing(world, &world.restarted(), pauses);
            let squash = || history(HistoryStrategy::Squash);
            let (one, other) =
                join(merge(&first, repo, ONE, squash()), merge(&second, repo, ONE, squash())).await;
            let merged = one.or(other).unwrap_or_else(|error| panic!("{pauses:x?} {error}"));
            let line = parted.first_parents(world.heads(repo).await["main"]).await;
            assert_eq!(line, [merged.outcome.head, *main, parted.base], "{pauses:x?}");
            let said = parted.proposals().conversation(repo, ONE, 0, 9).await.unwrap();
            assert_eq!(said.len(), 1, "{pauses:x?} {said:?}");
        }
    });
}

/// One merge with one fault; false once the merge makes fewer calls than that.
async fn survive(strategy: HistoryStrategy, fault: Fault, at: u64) -> bool {
    let context = format!("{strategy:?}, call {at} {fault:?}");
    let parted = parted(IdScheme::TypedV2).await;
    let Parted { world, repo, main, .. } = &parted;
    let failing = Disturbed::failing(world.backends(), fault, at);
    let how = || MergeProposal { delete_source: true, ..history(strategy) };
    let answer = merge(&hub(failing.backends()), repo, ONE, how()).await;
    if !failing.struck() {
        assert!(answer.is_ok(), "{context}");
        return false;
    }
    let survivor = world.restarted();
    survivor.hub.catch_up().await.and_then(CaughtUp::whole).unwrap();
    let head = survivor.heads(repo).await["main"];
    let has_moved = head != *main;
    let seen: Proposal = survivor.hub.proposals().get(repo, ONE).await.unwrap();
    let state = if has_moved { ProposalState::Merged } else { ProposalState::Open };
    assert_eq!(seen.state, state, "{context}: the graph decides");
    if let Err(error) = &answer {
        let failed = matches!(
            error,
            ProposalError::Backend(BackendError::Unavailable { .. })
                | ProposalError::Merge(MergeRefused::Push(PushError::Backend(
                    BackendError::Unavailable { .. }
                )))
                | ProposalError::Merge(MergeRefused::Read(_))
                | ProposalError::Merge(MergeRefused::Commit(_))
                | ProposalError::Read(_)
        );
        assert!(failed, "{context}: {error}");
    } else {
        assert!(has_moved, "{context}: an acknowledged merge is there");
    }
    let made: CommitId = if has_moved {
        let how = seen.merge.unwrap();
        assert_eq!((how.commit, how.by), (head, Some(handle("alice"))), "{context}");
        head
    } else {
        let merged = merge(&survivor.hub, repo, ONE, how()).await;
        merged.unwrap_or_else(|error| panic!("{context}: again: {error}")).outcome.head
    };
    let (_, files) = canonical_commit(&survivor, repo, made).await;
    assert_eq!(files, "both=one\n2\nthree dev.txt=b", "{context}");
    let said = survivor.hub.proposals().conversation(repo, ONE, 0, 9).await.unwrap();
    assert_eq!(said.len(), 1, "{context}: {said:?}");
    true
}

#[test]
fn a_merge_that_fails_anywhere_is_seen_as_made_or_not_and_can_be_made_again() {
    block_on(async {
        for strategy in [HistoryStrategy::Merge, HistoryStrategy::Squash] {
            for fault in [Fault::Refused, Fault::AnswerLost, Fault::DiesBefore, Fault::DiesAfter] {
                let mut at = 0;
                while survive(strategy, fault, at).await {
                    at += 1;
                }
                assert!(at > 20, "{at} calls");
            }
        }
    });
}
