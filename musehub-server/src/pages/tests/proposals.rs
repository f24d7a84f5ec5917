//! Pages of proposals.

use super::*;

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
