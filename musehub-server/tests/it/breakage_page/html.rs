//! T20 to T24: what the pages show.

use super::*;

#[tokio::test]
async fn t20_badges_say_type_and_severity() {
    let html = Scanned::new(&broken()).await.html("").await;
    let badge = "<span class=\"bk-type-badge bk-type-badge--";
    assert_eq!(html.matches(&format!("{badge}stale-import\">stale_import")).count(), 3);
    let error = format!("{badge}error\"><span class=\"sr-only\">error: </span>missing_module");
    assert_eq!(html.matches(&error).count(), 1);
}

#[tokio::test]
async fn t21_the_description_leads_to_the_line_and_help_follows() {
    let scanned = Scanned::new(&broken()).await;
    let html = scanned.html("").await;
    let head = scanned.head().to_string().replace(':', "%3A");
    let line = format!("<a href=\"/alice/demo/blob/{head}/b.py#L2\">imports &#39;gone&#39; from");
    assert!(html.contains(&line), "{line}\n{html}");
    assert!(html.contains("did you mean <code class=\"bk-help-meant\">here</code>?"));
    let file = scanned.app.get(&format!("/alice/demo/blob/{head}/b.py")).send().await.expect(200).text();
    assert!(file.contains("id=\"L2\"") && file.contains("1 issue in this file"), "{file}");
}

#[tokio::test]
async fn t22_a_clean_head_has_a_panel_of_its_own() {
    let mut scanned = Scanned::new(&PACKAGE).await;
    let html = scanned.html("").await;
    assert!(html.contains("bk-clean-panel") && html.contains("No structural breakage detected"));
    assert!(!html.contains("No scan yet") && !html.contains("columnheader"));
    scanned.push(&[("b.py", "from pkg.a import gone\n")]).await;
    let html = scanned.html("").await;
    assert!(!html.contains("bk-clean-panel") && html.contains("columnheader"));
}

#[tokio::test]
async fn t23_there_are_four_chips_and_errors_have_the_border_of_danger() {
    let html = Scanned::new(&broken()).await.html("").await;
    for chip in [
        "bk-stat-card--total\"><dt>Total issues</dt><dd class=\"bk-stat-val\">4<",
        "bk-stat-card--warn\"><dt>Warnings</dt><dd class=\"bk-stat-val\">3<",
        "bk-stat-card--error\"><dt>Errors</dt><dd class=\"bk-stat-val\">1<",
        "bk-stat-card\"><dt>Files</dt><dd class=\"bk-stat-val\">7<",
    ] {
        assert!(html.contains(chip), "{chip}");
    }
    let clean = Scanned::new(&PACKAGE).await.html("").await;
    assert!(clean.contains("bk-stat-card\"><dt>Errors</dt><dd class=\"bk-stat-val\">0<"), "{clean}");
}

#[tokio::test]
async fn t24_the_dashboard_shows_the_card_and_leads_to_the_page() {
    let scanned = Scanned::new(&broken()).await;
    let dashboard = || scanned.app.get("/alice/demo/intel").send();
    let html = dashboard().await.expect(200).text();
    assert!(html.contains(&format!("href=\"{PAGE}\"")) && html.contains("3 warnings, 1 error"), "{html}");
    assert_eq!(html.matches("<li class=\"bk-preview-row\">").count(), 4);
    let home = scanned.app.get("/alice/demo").send().await.expect(200).text();
    assert!(home.contains("href=\"/alice/demo/intel\"") && home.contains(&format!("href=\"{PAGE}\"")));

    let clean = Scanned::new(&PACKAGE).await;
    let html = clean.app.get("/alice/demo/intel").send().await.expect(200).text();
    assert!(html.contains("No structural breakage detected"), "{html}");
}
