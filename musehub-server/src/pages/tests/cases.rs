//! Every page in every state.

use super::*;

/// Every page in every state, by a name for messages.
pub(super) fn all() -> Vec<(&'static str, &'static str, Json)> {
    fn case<P: Page>(name: &'static str, page: P) -> (&'static str, &'static str, Json) {
        (name, P::TEMPLATE, serde_json::to_value(page).unwrap())
    }
    let unscanned = |job| BreakageScan { counts: None, job };
    let rescan = |job| BreakageScan { job: Some(job), ..samples::scan(3, 1) };
    let breakage = |scan, rows: usize| BreakagePage {
        scan,
        issues: samples::issues(rows),
        matching: rows as u64,
        pages: 1,
        filter: BreakageFilter { page: 1, ..samples::breakage().filter },
        ..samples::breakage()
    };
    let intel = |scan| IntelDashboardPage { breakage: scan, preview: vec![], ..samples::intel() };
    let repo = |scan| RepoHomePage { breakage: scan, ..samples::repo() };
    let mut bare = samples::repo();
    bare.repo.description = None;
    bare.repo.visibility = Visibility::Private;
    if let Some(content) = &mut bare.content {
        content.entries.clear();
        content.branches_omitted = 12;
        content.head.message = " \n".into();
        content.head.author = String::new();
        content.head.committed_at = "yesterday".into();
    }
    let mut cut = samples::repo();
    if let Some(content) = &mut cut.content {
        content.entries_omitted = 4321;
    }
    let grouped = |group| BreakagePage {
        issues: vec![],
        groups: samples::groups(),
        matching: 3,
        pages: 1,
        filter: BreakageFilter { group: Some(group), page: 1, ..samples::breakage().filter },
        ..samples::breakage()
    };
    let chosen = BreakagePage {
        filter: BreakageFilter {
            file: Some("weaver/cost.py".into()),
            subject: Some("weaver.gone".into()),
            ..samples::breakage().filter
        },
        trend: None,
        ..samples::breakage()
    };
    let blob = |kind| BlobPage {
        content: BlobContent { kind, lines: vec![], language: None, ..samples::blob().content },
        issues: vec![],
        ..samples::blob()
    };
    let mut odd = samples::blob();
    odd.content.lossy = true;
    odd.content.bidi = true;
    let root = TreePage { folder: String::new(), path: vec![], entries_omitted: 7, ..samples::tree() };
    let bare_tree = TreePage { entries: vec![], path: vec![], folder: String::new(), ..samples::tree() };
    let plain_commit = CommitPage {
        parents: vec![],
        body: String::new(),
        branch: String::new(),
        provenance: Provenance::default(),
        reported: Reported::default(),
        signature: SignatureView {
            state: SignatureState::Unsigned,
            signer: None,
            retired_at: None,
            key: String::new(),
        },
        diff: DiffView {
            files: vec![],
            totals: DiffTotals::default(),
            pages: 1,
            page: 1,
            old_id: None,
            ..samples::diff(DiffMode::Unified)
        },
        ..samples::commit_page()
    };
    let of_diff = |change: fn(&mut DiffView)| {
        let mut page = samples::commit_page();
        page.signature.state = SignatureState::Invalid;
        change(&mut page.diff);
        page
    };
    let mut unverified = samples::commit_page();
    unverified.commit.id_verified = false;
    unverified.snapshot_verified = false;
    let compared = |standing, bases: &[u64]| ComparePage {
        standing,
        merge_bases: bases.iter().map(|n| samples::id(*n)).collect(),
        commits: vec![],
        conflicts: vec![],
        ..samples::compare()
    };
    let merged = |by: Option<&str>| {
        let merge = MergeView {
            commit_id: samples::id(3),
            by: by.map(Into::into),
            at: "2026-03-21T08:00:00.000Z".into(),
        };
        let mut page = ProposalPage {
            standing: None,
            merge: Some(merge),
            ..samples::proposal(ProposalTab::Conversation)
        };
        page.proposal.fate = ProposalFate::Merged;
        page
    };
    vec![
        case("commit", samples::commit_page()),
        case("commit, plain", plain_commit),
        case("commit, unverified", unverified),
        case("commit, side by side", of_diff(|diff| *diff = samples::diff(DiffMode::Split))),
        case("commit, past the end", of_diff(|diff| diff.files.clear())),
        case(
            "commit, one file",
            of_diff(|diff| {
                diff.files.truncate(1);
                diff.file = Some(diff.files[0].path.clone());
            }),
        ),
        case(
            "commit, a file that did not change",
            of_diff(|diff| {
                diff.files.clear();
                diff.file = Some("a".into());
            }),
        ),
        case("compare", samples::compare()),
        case(
            "compare, a tag and a commit",
            ComparePage {
                base: EndView { kind: EndKind::Tag, ..samples::compare().base },
                head: EndView { kind: EndKind::Commit, name: samples::id(5), ..samples::compare().head },
                ..samples::compare()
            },
        ),
        case("compare, same", compared(Standing::Same, &[1])),
        case("compare, merged", compared(Standing::Merged, &[1])),
        case("compare, fast-forward", compared(Standing::FastForward, &[1])),
        case("compare, clean", compared(Standing::Clean, &[1, 2])),
        case("compare, unrelated", compared(Standing::Unrelated, &[])),
        case("compare, unknown", compared(Standing::Unknown, &[1])),
        case("proposals", samples::proposal_list()),
        case(
            "proposals, none like that",
            ProposalListPage {
                proposals: vec![],
                shown: Some(ProposalFate::Closed),
                next_cursor: None,
                ..samples::proposal_list()
            },
        ),
        case(
            "proposals, none",
            ProposalListPage {
                proposals: vec![],
                shown: Some(ProposalFate::Open),
                counts: ProposalTotals::default(),
                is_first: true,
                next_cursor: None,
                ..samples::proposal_list()
            },
        ),
        case("proposal", samples::proposal(ProposalTab::Conversation)),
        case(
            "proposal, later",
            ProposalPage {
                is_first: false,
                next_entry: None,
                ..samples::proposal(ProposalTab::Conversation)
            },
        ),
        case("proposal, merged", merged(Some("ada"))),
        case("proposal, merged by a push", merged(None)),
        case(
            "proposal, closed",
            ProposalPage {
                standing: None,
                approvals: ApprovalsView::default(),
                entries: vec![],
                ..samples::proposal(ProposalTab::Conversation)
            },
        ),
        case(
            "proposal, branch gone",
            ProposalPage {
                standing: None,
                gone: Some("topic".into()),
                ..samples::proposal(ProposalTab::Conversation)
            },
        ),
        case("proposal, commits", samples::proposal(ProposalTab::Commits)),
        case(
            "proposal, no commits",
            ProposalPage { commits: vec![], next_commit: None, ..samples::proposal(ProposalTab::Commits) },
        ),
        case("proposal, files", samples::proposal(ProposalTab::Files)),
        case("proposal, conflicts", samples::proposal(ProposalTab::Conflicts)),
        case(
            "proposal, no conflicts",
            ProposalPage {
                conflicts: vec![],
                standing: Some(Standing::Clean),
                conflicts_total: 0,
                ..samples::proposal(ProposalTab::Conflicts)
            },
        ),
        case("branches", samples::branch_list()),
        case(
            "branches, none",
            BranchListPage { branches: vec![], pages: 1, page: 1, total: 0, ..samples::branch_list() },
        ),
        case("tags", samples::tag_list()),
        case(
            "tags, none",
            TagListPage { tags: vec![], is_first: true, next_cursor: None, ..samples::tag_list() },
        ),
        case("tags, past the end", TagListPage { tags: vec![], next_cursor: None, ..samples::tag_list() }),
        case("breakage, by name", grouped(Grouping::Name)),
        case("breakage, by file", grouped(Grouping::File)),
        case("breakage, of one file and name", chosen),
        case("breakage, past the end", BreakagePage { issues: vec![], ..samples::breakage() }),
        case("tree", samples::tree()),
        case("tree, root", root),
        case("tree, empty", bare_tree),
        case("blob", samples::blob()),
        case("blob, odd", odd),
        case("blob, empty", blob(BlobKind::Empty)),
        case("blob, binary", blob(BlobKind::Binary)),
        case("blob, large", blob(BlobKind::Large)),
        case("home", samples::home()),
        case("home, empty", HomePage { repositories: vec![], next_cursor: None, ..samples::home() }),
        case("repo", samples::repo()),
        case("repo, bare", bare),
        case("repo, cut", cut),
        case("repo, clean", repo(samples::scan(0, 0))),
        case("repo, rescanned", repo(rescan(JobState::Running))),
        case("repo, unscanned", repo(unscanned(None))),
        case("repo, waiting", repo(unscanned(Some(JobState::Pending)))),
        case("repo, failed", repo(unscanned(Some(JobState::Failed)))),
        case("repo, empty", RepoHomePage { content: None, ..samples::repo() }),
        case("commits", samples::commit_list()),
        case(
            "commits, none",
            CommitListPage {
                commits: vec![],
                branches: vec![],
                is_first: true,
                next_cursor: None,
                ..samples::commit_list()
            },
        ),
        case("intel", samples::intel()),
        case("intel, clean", intel(samples::scan(0, 0))),
        case("intel, unscanned", intel(unscanned(None))),
        case("intel, running", intel(unscanned(Some(JobState::Running)))),
        case("breakage", samples::breakage()),
        case("breakage, filtered to nothing", breakage(samples::scan(3, 0), 0)),
        case("breakage, clean", breakage(samples::scan(0, 0), 0)),
        case("breakage, unscanned", breakage(unscanned(None), 0)),
        case("breakage, waiting", breakage(unscanned(Some(JobState::Pending)), 0)),
        case("breakage, running", breakage(unscanned(Some(JobState::Running)), 0)),
        case("breakage, failed", breakage(unscanned(Some(JobState::Failed)), 0)),
        case("breakage, rescanned", breakage(rescan(JobState::Running), 4)),
        case("breakage, rescan failed", breakage(rescan(JobState::Failed), 4)),
        case("error", samples::not_found()),
    ]
}
