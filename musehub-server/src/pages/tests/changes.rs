//! Pages of commits and of what changed.

use super::*;

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
fn a_signature_is_called_what_it_is_and_none_is_called_verified_that_the_hub_cannot_check() {
    let page = |state| {
        let mut view = samples::commit_page();
        view.signature.state = state;
        Pages::new().render(&view).unwrap()
    };
    for (state, said) in [
        (SignatureState::Valid, "valid</span>, by grace"),
        (SignatureState::RetiredKey, "a key of grace that is in force no more since"),
        (SignatureState::UnknownKey, "unknown key"),
        (SignatureState::Invalid, "invalid</span>"),
        (SignatureState::Unverifiable, "signed, unverifiable"),
        (SignatureState::Unsigned, "not signed"),
    ] {
        let html = page(state);
        assert!(html.contains(said), "{state:?}: {html}");
        assert!(!html.contains("erified"), "{state:?}");
    }
}

#[test]
fn ids_that_are_taken_on_the_word_of_a_client_are_marked() {
    let row = "badge--unverified";
    let list = Pages::new().render(&samples::commit_list()).unwrap();
    assert_eq!(list.matches(row).count(), 1, "one of these commits has such an id");
    let mut view = samples::commit_page();
    assert_eq!(Pages::new().render(&view).unwrap().matches(row).count(), 0);
    view.commit.id_verified = false;
    assert_eq!(Pages::new().render(&view).unwrap().matches(row).count(), 2, "in the head and at the id");
    (view.commit.id_verified, view.snapshot_verified) = (true, false);
    assert_eq!(Pages::new().render(&view).unwrap().matches(row).count(), 1);
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
