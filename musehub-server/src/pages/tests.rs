#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use serde_json::Value as Json;

use super::samples;
use super::*;

const HOSTILE: &str = "\"><img src=x onerror=alert(1)>'<script>alert(1)</script>/../ü?&#";

/// Fields that hold a word of a closed set, or of the hub's own making, which no client chooses.
const CLOSED: &[&str] = &[
    "visibility",
    "kind",
    "severity",
    "job",
    "group",
    "fate",
    "view",
    "state",
    "standing",
    "bump",
    "anchor",
    "tab",
    "shown",
    "side",
];

/// Every page in every state, by a name for messages.
fn all() -> Vec<(&'static str, &'static str, Json)> {
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
        signature: SignatureView { state: SignatureState::Unsigned, key: String::new() },
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
        page.signature.state = SignatureState::Unchecked;
        change(&mut page.diff);
        page
    };
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

fn render(template: &str, view: &Json) -> Result<String, Error> {
    Pages::new().templates.get_template(template)?.render(Serde(view))
}

fn poison(view: &mut Json, key: &str) {
    match view {
        Json::String(text) if !CLOSED.contains(&key) => *text = HOSTILE.to_owned(),
        Json::Array(items) => items.iter_mut().for_each(|item| poison(item, key)),
        Json::Object(fields) => fields.iter_mut().for_each(|(key, value)| poison(value, key)),
        _ => {}
    }
}

/// Panics unless every element is closed in order and every tag is free of inline style and script.
fn check_markup(name: &str, html: &str) {
    const VOID: &[&str] = &["!doctype", "meta", "link", "img", "path", "rect", "stop", "col"];
    let mut open: Vec<&str> = Vec::new();
    for piece in html.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("{name}: open tag {piece}"));
        assert_eq!(tag.matches('"').count() % 2, 0, "{name}: quotes in <{tag}>");
        let word = tag.split([' ', '\n']).next().unwrap_or_default();
        assert!(!word.contains("script") && word != "style", "{name}: <{tag}>");
        let names: String = tag.split('"').step_by(2).collect();
        for banned in [" style=", " on", "'", "`"] {
            assert!(!names.contains(banned), "{name}: <{tag}>");
        }
        if let Some(closed) = word.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{name}: </{closed}>");
        } else if !VOID.contains(&word.trim_end_matches('/')) {
            open.push(word);
        }
    }
    assert!(open.is_empty(), "{name}: left open {open:?}");
}

fn attributes<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Panics unless `href` leads inside the hub and holds nothing a URL must not hold.
fn check_href(name: &str, href: &str) {
    let href = href.strip_prefix("https://example.org").unwrap_or(href);
    assert!(href.starts_with(['/', '?', '#']) && !href.starts_with("//"), "{name}: {href}");
    let url = href.replace("&amp;", "&");
    assert!(url.bytes().all(|b| b.is_ascii_alphanumeric() || b"/?&=%-._~#".contains(&b)), "{name}: {href}");
    for escape in url.split('%').skip(1) {
        let hex = escape.as_bytes().get(..2).unwrap_or_default();
        assert!(hex.len() == 2 && hex.iter().all(u8::is_ascii_hexdigit), "{name}: {href}");
    }
}

#[test]
fn every_template_belongs_to_a_page_or_is_used_by_one() {
    let shown: Vec<_> = all().into_iter().map(|(_, template, _)| template).collect();
    for (name, _) in TEMPLATES {
        let quoted = format!("\"{name}\"");
        let used = TEMPLATES.iter().any(|(_, source)| source.contains(&quoted));
        assert!(used || shown.contains(name), "{name}");
    }
}

#[test]
fn every_page_renders_in_every_state() {
    for (name, template, view) in all() {
        let html = render(template, &view).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        check_markup(name, &html);
        attributes(&html, "href").into_iter().for_each(|href| check_href(name, href));
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        assert!(!html.contains(">none") && !html.contains("&lt;macro"), "{name}");
    }
}

#[test]
fn hostile_text_in_any_field_stays_text() {
    for (name, template, mut view) in all() {
        poison(&mut view, "");
        let html = render(template, &view).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        check_markup(name, &html);
        attributes(&html, "href").into_iter().for_each(|href| check_href(name, href));
        assert!(!html.contains("<script") && !html.contains("<img src=x"), "{name}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{name}");
    }
}

#[test]
fn ids_in_a_page_are_unique() {
    for (name, template, view) in all() {
        let html = render(template, &view).unwrap();
        let mut ids = attributes(&html, "id");
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name}");
        for label in attributes(&html, "aria-labelledby") {
            assert!(ids.contains(&label), "{name}: {label}");
        }
    }
}

#[test]
fn a_missing_field_is_an_error() {
    let mut view = serde_json::to_value(samples::not_found()).unwrap();
    view.as_object_mut().unwrap().remove("sentence");
    assert!(render("error.html", &view).is_err());
}

#[test]
fn breakage_states_are_distinct() {
    let page = |name: &str| {
        let (_, template, view) = all().into_iter().find(|(found, ..)| *found == name).unwrap();
        render(template, &view).unwrap()
    };
    let states = [
        ("breakage, unscanned", "No scan yet"),
        ("breakage, waiting", "Scan waiting its turn"),
        ("breakage, running", "Scan under way"),
        ("breakage, failed", "The scan did not finish"),
        ("breakage, clean", "No structural breakage detected"),
        ("breakage", "role=\"columnheader\""),
    ];
    for (name, own) in states {
        let html = page(name);
        for (_, mark) in states {
            assert_eq!(html.contains(mark), mark == own, "{name}: {mark}");
        }
    }
    assert!(page("breakage, rescanned").contains("a newer scan is running"));
    assert!(page("breakage, filtered to nothing").contains("Nothing matches"));
    assert!(page("breakage, past the end").contains("Past the end"));
}

#[test]
fn breakage_numbers_come_from_the_meta_row() {
    let mut view = samples::breakage();
    view.scan = samples::scan(12_345, 0);
    let html = Pages::new().render(&view).unwrap();
    assert!(html.contains("<dt>Total issues</dt><dd class=\"bk-stat-val\">12,345</dd>"));
    assert!(html.contains("<dt>Errors</dt><dd class=\"bk-stat-val\">0</dd>"));
    assert!(!html.contains("bk-stat-card--error"));
    assert!(html.contains("1,767 files scanned"));
    assert!(html.contains("showing 20 of 195 issues"));
    assert!(html.contains("page 2 of 10"));
}

#[test]
fn filter_links_keep_the_rest_of_the_selection() {
    let mut view = samples::breakage();
    view.filter.severity = Some(Severity::Warning);
    view.filter.top = 50;
    view.valid_types.push("odd & new".into());
    let html = Pages::new().render(&view).unwrap();
    let hrefs = attributes(&html, "href");
    for expected in [
        "?top=50&amp;issue_type=stale_import&amp;severity=warning",
        "?top=50&amp;issue_type=odd%20%26%20new&amp;severity=warning",
        "?top=50&amp;severity=error",
        "?top=100&amp;severity=warning",
        "?top=50&amp;severity=warning&amp;page=3",
        "?top=50",
    ] {
        assert!(hrefs.contains(&expected), "{expected} in {hrefs:?}");
    }
}

#[test]
fn a_group_reads_as_one_story() {
    let view = BreakagePage {
        issues: vec![],
        groups: samples::groups(),
        filter: BreakageFilter { group: Some(Grouping::Name), page: 1, ..samples::breakage().filter },
        ..samples::breakage()
    };
    let html = Pages::new().render(&view).unwrap();
    assert!(html.contains("<strong>40</strong> issues in 38 files"), "{html}");
    assert!(html.contains("and 35 more"));
    let hrefs = attributes(&html, "href");
    let whole = "?top=20&amp;subject=weaver.schema.inference.resolve_schema";
    assert!(hrefs.contains(&whole), "{hrefs:?}");
}

#[test]
fn a_finding_leads_to_its_line_and_says_what_to_do() {
    let html = Pages::new().render(&samples::breakage()).unwrap();
    let commit = samples::id(0).replace(':', "%3A");
    let hrefs = attributes(&html, "href");
    let line = format!("/ada/weaver/blob/{commit}/weaver/planner/rules/predicate_pushdown.py#L14");
    assert_eq!(hrefs.iter().filter(|href| **href == line).count(), 6, "file and description of each");
    assert!(hrefs.contains(&&*format!("/ada/weaver/blob/{commit}/weaver/schema/infer.py#L31")));
    let removal = format!("/ada/weaver/commits/{}", samples::id(4).replace(':', "%3A"));
    assert!(hrefs.contains(&&*removal));
    assert!(html.contains("did you mean <code class=\"bk-help-meant\">infer_schema</code>?"));
}

#[test]
fn a_curve_has_a_point_for_each_scan_within_its_box() {
    assert!(Trend::of(&[]).is_none() && Trend::of(&[7]).is_none());
    let trend = Trend::of(&[5, 0, 10]).unwrap();
    assert_eq!(trend.points, [Point { x: 0, y: 20 }, Point { x: 10, y: 37 }, Point { x: 20, y: 3 }]);
    assert_eq!((trend.first, trend.before, trend.now, trend.low, trend.high), (5, 0, 10, 0, 10));
    for totals in [&[0, 0][..], &[u64::MAX, 0, u64::MAX], &[4, 4, 4]] {
        let trend = Trend::of(totals).unwrap();
        assert!(trend.points.iter().all(|point| point.y <= 40 && point.x <= trend.width), "{trend:?}");
    }
    let html = Pages::new().render(&samples::breakage()).unwrap();
    assert!(html.contains(
        "aria-label=\"Issues over the last 9 scans: 3 at first, 195 now, 3 at least, 240 at most\""
    ));
    assert!(html.contains("15 fewer than before"));
}

#[test]
fn commit_rows_show_agent_merge_and_day() {
    let html = Pages::new().render(&samples::commit_list()).unwrap();
    assert!(html.contains("Made by the agent arranger-bot"));
    assert_eq!(html.matches("badge--merge").count(), 1);
    assert_eq!(html.matches("class=\"history-day\"").count(), 4);
    let hrefs = attributes(&html, "href");
    assert!(hrefs.contains(&"/ada/weaver/commits/main?cursor=1a%2Bb%2Fc%26d"));
    assert!(hrefs.contains(&"/ada/weaver/commits/odd%20%231%20%26%20co%3F"));
}

#[test]
fn a_signature_that_nobody_checked_is_never_called_verified() {
    let page = |state| {
        let mut view = samples::commit_page();
        view.signature.state = state;
        Pages::new().render(&view).unwrap()
    };
    assert!(page(SignatureState::Unverifiable).contains("signed, unverifiable"));
    assert!(page(SignatureState::Unchecked).contains("signed, not verified"));
    for state in [SignatureState::Unsigned, SignatureState::Unverifiable, SignatureState::Unchecked] {
        let html = page(state).replace("not verified", "");
        assert!(!html.contains("erified"), "{state:?}");
    }
}

#[test]
fn what_a_client_reports_is_labelled_as_that() {
    let html = Pages::new().render(&samples::commit_page()).unwrap();
    let (before, after) = html.split_once("Reported by the client").unwrap();
    assert!(after.contains("bump--major") && after.contains("The hub has not checked this."));
    assert!(!before.contains("bump--"));
}

#[test]
fn links_of_a_difference_keep_the_rest_of_the_choice() {
    let mut view = samples::commit_page();
    view.diff.parent = Some(2);
    view.diff.view = DiffMode::Split;
    let html = Pages::new().render(&view).unwrap();
    let hrefs = attributes(&html, "href");
    for expected in [
        "?parent=2&amp;page=2",
        "?parent=2&amp;view=split&amp;page=2",
        "?parent=2&amp;view=split&amp;page=3",
        "?parent=2&amp;view=split",
        "?parent=2&amp;view=split&amp;file=weights.bin",
    ] {
        assert!(hrefs.contains(&expected), "{expected} in {hrefs:?}");
    }
}

#[test]
fn a_file_that_changed_has_its_lines_its_sum_and_links() {
    let html = Pages::new().render(&samples::commit_page()).unwrap();
    assert!(
        html.contains("<span class=\"diff-plus\">+1</span> <span class=\"diff-minus\">-1</span>"),
        "{html}"
    );
    assert!(html.contains("diff-word"), "{html}");
    for said in [
        "moved without changes",
        "only the executable bit changed",
        "binary",
        "too large to show",
        "many changed lines, shown on a page of their own",
        "not shown here, as this page is full",
        "no newline at the end",
        "Files 51 to 57 of 114",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
    let hrefs = attributes(&html, "href");
    let id = samples::id(1).replace(':', "%3A");
    for expected in
        [format!("/ada/weaver/blob/{id}/weaver/planner/cost.py"), format!("/ada/weaver/raw/{id}/weights.bin")]
    {
        assert!(hrefs.contains(&&*expected), "{expected}");
    }
}

#[test]
fn a_conversation_tells_who_did_what_and_links_addresses_only() {
    let mut view = samples::proposal(ProposalTab::Conversation);
    view.description = "<b>bold</b> [x](javascript:alert(1)) https://example.org/x\u{202e}".into();
    let html = Pages::new().render(&view).unwrap();
    assert!(html.contains("&lt;b&gt;bold&lt;/b&gt; [x](javascript:alert(1)) <a href=\"https://example.org/x\" rel=\"nofollow noopener noreferrer ugc\">"), "{html}");
    for said in [
        "commented",
        "approved",
        "asked for changes to",
        "dismissed the review of",
        "changed the title",
        "changed the target",
        "made this a draft",
        "said that this is ready",
        "closed this",
        "opened this again",
        "A push brought these commits to main",
        "What was said here was deleted.",
        "edited",
        "1 of 2 required",
        "of an earlier version",
        "of somebody who may not push",
        "conflicts with main in 31 paths",
    ] {
        assert!(html.contains(said), "{said}: {html}");
    }
}

#[test]
fn repository_home_says_how_to_clone_and_push() {
    let html = Pages::new().render(&samples::repo()).unwrap();
    assert!(html.contains("muse clone http://127.0.0.1:1337/ada/weaver"));
    assert!(html.contains("muse remote add origin http://127.0.0.1:1337/ada/weaver"));
    assert!(html.contains("<dt>commits</dt><dd>1,284</dd>"));
    let empty = RepoHomePage { content: None, ..samples::repo() };
    let html = Pages::new().render(&empty).unwrap();
    assert!(html.contains("An empty repository") && html.contains("muse push"));
}

#[test]
fn a_large_page_stays_within_the_fuel() {
    let mut view = samples::repo();
    if let Some(content) = &mut view.content {
        content.entries = content.entries.iter().cloned().cycle().take(2_000).collect();
        content.branches = content.branches.iter().cloned().cycle().take(500).collect();
    }
    assert!(Pages::new().render(&view).is_ok());
}

#[test]
fn pages_link_assets_that_exist_under_their_hash() {
    let html = Pages::new().render(&samples::home()).unwrap();
    let links = attributes(&html, "href").into_iter().chain(attributes(&html, "src"));
    let names: Vec<_> = links.filter_map(|link| link.strip_prefix("/static/")).collect();
    assert!(names.len() >= 2);
    for name in names {
        let asset = asset(name).unwrap_or_else(|| panic!("{name}"));
        let hash = name.split('.').nth(1).unwrap();
        assert!(blake3::hash(asset.bytes).to_hex().starts_with(hash), "{name}");
        assert!(asset.cache_control.contains("immutable"));
    }
    for other in ["", "musehub.css", "favicon.svg", "../mod.rs"] {
        assert_eq!(asset(other), None, "{other}");
    }
}

#[test]
fn stylesheet_asks_for_nothing_from_elsewhere() {
    let css = stylesheet();
    assert!(!css.contains("url(") && !css.contains("@import"));
    assert_eq!(css.matches('{').count(), css.matches('}').count());
}

fn stylesheet() -> &'static str {
    let css = asset(assets::stylesheet_href().trim_start_matches("/static/")).unwrap();
    std::str::from_utf8(css.bytes).unwrap()
}

/// Red, green and blue of a token.
fn token(name: &str) -> [f64; 3] {
    let (_, rest) = stylesheet().split_once(&format!("--{name}: #")).unwrap_or_else(|| panic!("no {name}"));
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&rest[at..at + 2], 16).unwrap()))
}

/// The contrast of two colours as WCAG 2.1 defines it.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [red, green, blue] = colour.map(|channel| {
            let channel = channel / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// A colour thinned down to a share of itself over another.
fn tinted(colour: [f64; 3], share: f64, over: [f64; 3]) -> [f64; 3] {
    [0, 1, 2].map(|at| colour[at] * share + over[at] * (1.0 - share))
}

#[test]
fn text_contrasts_with_every_ground_it_stands_on() {
    let texts = [
        "text",
        "text-secondary",
        "text-muted",
        "color-teal",
        "color-blue",
        "color-violet",
        "color-orange",
        "color-danger",
        "color-success",
        "code-comment",
        "code-string",
        "code-number",
        "code-keyword",
        "code-function",
        "code-type",
        "code-variable",
    ];
    let grounds = ["bg", "bg-raised", "bg-surface"];
    for text in texts {
        for ground in grounds {
            let ratio = contrast(token(text), token(ground));
            assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
        }
    }
    // Badges and panels tint their ground with the colour of their text; the glow behind the head of a page and the line
    // that an address names are tints too.
    for ground in grounds {
        for (text, tint, share) in [
            ("color-orange", "color-orange", 0.10),
            ("color-danger", "color-danger", 0.10),
            ("color-success", "color-success", 0.07),
            ("text-secondary", "color-success", 0.07),
            ("text", "color-teal", 0.14),
            ("text-secondary", "color-violet", 0.15),
            ("code-comment", "color-teal", 0.13),
            ("text-muted", "color-blue", 0.07),
            ("text-secondary", "color-success", 0.14),
            ("text-secondary", "color-danger", 0.14),
        ] {
            let ratio = contrast(token(text), tinted(token(tint), share, token(ground)));
            assert!(ratio >= 4.5, "{text} on {ground} tinted with {tint}: {ratio:.2}");
        }
    }
}

#[test]
fn code_contrasts_with_the_ground_of_changed_lines_and_words() {
    let raised = token("bg-raised");
    for text in [
        "text",
        "code-comment",
        "code-string",
        "code-number",
        "code-keyword",
        "code-function",
        "code-type",
        "code-variable",
    ] {
        for (tint, line, word) in [("color-success", 0.08, 0.22), ("color-danger", 0.08, 0.24)] {
            let line = tinted(token(tint), line, raised);
            let word = tinted(token(tint), word, line);
            let faint = ["code-comment", "code-keyword"].contains(&text);
            for (text, ground) in [(text, line), (if faint { "text" } else { text }, word)] {
                let ratio = contrast(token(text), ground);
                assert!(ratio >= 4.5, "{text} on {tint}: {ratio:.2}");
            }
        }
    }
    assert!(stylesheet().contains(".diff-word.hl-comment,.diff-word.hl-keyword{color:var(--text)}"));
}

#[test]
fn the_ring_of_focus_contrasts_and_motion_can_be_turned_off() {
    for ground in ["bg", "bg-raised", "bg-surface"] {
        assert!(contrast(token("color-teal"), token(ground)) >= 3.0, "{ground}");
    }
    let css = stylesheet();
    assert!(css.contains(":focus-visible{outline:2px solid var(--color-teal)"));
    let (_, reduced) = css.split_once("prefers-reduced-motion: reduce").unwrap();
    assert!(
        reduced.starts_with("){*,*::before,*::after{animation:none !important;transition:none !important}")
    );
    assert!(css.contains("max-width: 700px"));
}

#[test]
fn contrast_is_computed_as_wcag_says() {
    assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 1e-9);
    assert!((contrast([119.0; 3], [255.0; 3]) - 4.48).abs() < 0.01);
}

#[test]
fn classes_are_styled() {
    let css = stylesheet();
    let styled: std::collections::BTreeSet<&str> = css
        .split('.')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next().unwrap())
        .collect();
    for (name, template, view) in all() {
        let html = render(template, &view).unwrap();
        for class in attributes(&html, "class").into_iter().flat_map(str::split_whitespace) {
            assert!(styled.contains(class), "{name}: {class}");
        }
    }
}
