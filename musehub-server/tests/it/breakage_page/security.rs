//! T32 to T34: hostile texts and parameters.

use super::*;

#[tokio::test]
async fn t32_markup_in_any_text_of_an_issue_stays_text() {
    let scanned = Scanned::new(&PACKAGE).await;
    let repo = scanned.app.record("alice", "demo").await;
    let template = Scanned::new(&broken()).await.issues().await.swap_remove(0);
    let issue = BreakageIssue {
        // No more than its column holds.
        issue_type: MARKUP.chars().take(64).collect(),
        file_path: format!("{MARKUP}/x.py"),
        description: MARKUP.to_owned(),
        subject: MARKUP.to_owned(),
        help: Help {
            did_you_mean: Some(MARKUP.to_owned()),
            moved_to: Some(musehub_core::port::Definition { file_path: MARKUP.to_owned(), line: 3 }),
            removed_by: Some(RemovedBy {
                commit: scanned.head(),
                author: MARKUP.to_owned(),
                committed_at: MARKUP.to_owned(),
            }),
        },
        ..template
    };
    let sums = BreakageMeta { total_issues: 1, warning_count: 1, ..scanned.meta().await };
    scanned.app.app.breakage.replace_breakage(&repo.repo_id, &sums, &[issue]).await.unwrap();
    let encode = percent_encoding::utf8_percent_encode(MARKUP, percent_encoding::NON_ALPHANUMERIC);
    let subject = format!("{PAGE}?subject={encode}");
    let pages = ["", "?group=name", "?group=file"].map(|query| format!("{PAGE}{query}"));
    for path in pages.into_iter().chain([subject, "/alice/demo/intel".to_owned()]) {
        let html = scanned.app.get(&path).send().await.expect(200).text();
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{path}: {html}");
        assert!(
            !html.contains("<script") && !html.contains("<img src=x") && !html.contains("62615533"),
            "{path}"
        );
    }
}

#[tokio::test]
async fn t33_sql_in_a_filter_is_no_sql() {
    let scanned = Scanned::new(&broken()).await;
    let all = scanned.rows("").await;
    let attempts = [
        "' OR '1'='1",
        "stale_import'; DROP TABLE musehub_intel_breakage_issues; --",
        "stale_import' UNION SELECT token_hash FROM musehub_tokens --",
        "\" OR 1=1 --",
        "$1",
        "%",
        "\0",
    ];
    for attempt in attempts {
        let value = percent_encoding::utf8_percent_encode(attempt, percent_encoding::NON_ALPHANUMERIC);
        for key in ["issue_type", "severity", "top", "page", "group"] {
            assert_eq!(scanned.rows(&format!("?{key}={value}")).await, all, "{key}: {attempt}");
        }
        for key in ["file", "subject"] {
            // A file or a name may be called anything, so either nothing matches or the value counts for none.
            let rows = scanned.rows(&format!("?{key}={value}")).await;
            assert!(rows.is_empty() || rows == all, "{key}: {attempt}: {rows:?}");
            scanned.json(&format!("?{key}={value}&group=name")).await;
        }
    }
    assert_eq!(scanned.rows("").await, all);
}

#[tokio::test]
async fn t34_invalid_numbers_give_the_defaults() {
    let scanned = Scanned::new(&broken()).await;
    let default = scanned.html("").await;
    for query in [
        "?top=7",
        "?top=-1",
        "?top=",
        "?top=1e2",
        "?top=99999999999999999999999",
        "?top=%00",
        "?top=NaN",
        "?page=0",
        "?page=-1",
        "?page=x",
        "?page=18446744073709551616",
        "?group=x",
        "?severity=ERROR",
        "?issue_type=Stale_Import",
        "?&&=&top",
        "?file=../x",
        "?file=",
        "?subject=",
    ] {
        assert_eq!(scanned.html(query).await, default, "{query}");
    }
}
