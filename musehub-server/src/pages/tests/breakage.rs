//! Pages of what the detector found.

use super::*;

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
