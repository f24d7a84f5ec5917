//! Clients of generations that are not served are told what to do, and bodies of unknown formats what to send.

use musehub_test_support::TestApp;

#[tokio::test]
async fn addresses_of_generations_that_are_not_served_say_so() {
    let app = TestApp::new().await;
    app.private_repository("alice", "demo").await;
    for end in
        ["push/stream", "push/confirm", "push/object-pack", "fetch/objects", "fetch/bundle", "repair-commit"]
    {
        // The same whether the repository is there or not.
        for slug in ["demo", "absent"] {
            let answer = app.post(&format!("/alice/{slug}/{end}")).send().await.expect(426);
            assert_eq!(answer.json()["code"], "unsupported_generation", "{end}");
            assert!(answer.detail().starts_with("this hub "), "{}", answer.detail());
            assert_eq!(answer.header("upgrade"), "muse-mwp", "{end}");
        }
        let answer = app.get(&format!("/alice/demo/{end}")).send().await;
        assert_eq!((answer.status, answer.json()["code"].clone()), (404, "no_route".into()), "{end}");
    }
    let answer = app.post("/alice/demo/push/something").send().await;
    assert_eq!(answer.status, 404, "what nobody knows is not there");
}

#[tokio::test]
async fn a_body_of_an_unknown_format_is_refused_with_what_to_send() {
    let app = TestApp::new().await;
    app.repository("alice", "demo").await;
    let token = app.token("alice").await;
    let formats = [
        "application/x-muse-pack",
        "application/octet-stream",
        "text/plain",
        "application/x-www-form-urlencoded",
    ];
    for end in ["filter-objects", "presign", "push/objects", "push", "fetch", "negotiate"] {
        for format in formats {
            let call = app.post(&format!("/alice/demo/{end}")).bearer(&token).bytes(format, "{}");
            let answer = call.send().await.expect(415);
            assert_eq!(answer.json()["code"], "unsupported_media_type", "{end}");
            let detail = answer.detail();
            assert!(detail.contains(format) && detail.contains("application/x-msgpack"), "{detail}");
        }
        for format in [
            "application/json",
            "application/JSON; charset=utf-8",
            "application/x-msgpack",
            "application/msgpack",
        ] {
            let call = app.post(&format!("/alice/demo/{end}")).bearer(&token).bytes(format, "\u{1}");
            assert_ne!(call.send().await.status, 415, "{end} takes {format}");
        }
    }
}
