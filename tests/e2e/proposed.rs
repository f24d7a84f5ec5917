//! Proposals, reviews and tags on the sample project, made over the API by two people.

use std::path::Path;

use bytes::Bytes;
use hyper::Request;
use musehub_test_support::Answer;
use serde_json::{Value, json};

use crate::http::{client, send};
use crate::process::{Server, create_token};

const REPO: &str = "/api/v1/repos/demo/starship";

/// Someone who calls the API.
struct Person<'a> {
    server: &'a Server,
    token: String,
}

impl Person<'_> {
    async fn post(&self, path: &str, body: &Value) -> Answer {
        let request = Request::post(format!("{REPO}{path}"))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap();
        send(self.server.address, request).await.unwrap()
    }

    /// Makes a branch at a commit, with one commit that puts these files.
    async fn branch(&self, name: &str, from: &str, message: &str, files: &[(&str, &str)]) -> String {
        let branch = json!({"name": name, "commit_id": from});
        let _ = self.post("/branches", &branch).await.expect(201);
        let puts = files.iter().map(|(path, text)| json!({"op": "put", "path": path, "content": text}));
        let commit = json!({"branch": name, "expected_head": from, "message": message, "author": "Grace <grace@example.org>",
            "changes": puts.collect::<Vec<_>>()});
        let made = self.post("/commits", &commit).await.expect(201).json();
        made["commit_id"].as_str().unwrap().to_owned()
    }

    async fn propose(&self, title: &str, source: &str, more: Value) -> u64 {
        let mut body = json!({"title": title, "source_branch": source, "target_branch": "main"});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/proposals", &body).await.expect(201).json()["number"].as_u64().unwrap()
    }
}

/// The proposals that were made.
pub(crate) struct Proposed {
    /// It merges, and was talked about.
    pub(crate) clean: u64,
    /// It conflicts.
    pub(crate) conflicting: u64,
    /// It was merged; of a branch that is gone.
    pub(crate) merged: u64,
}

const SENSORS: &str = r#""""What the ship sees."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Contact:
    """Something out there."""

    bearing: float
    distance: float


def nearest(contacts: list[Contact]) -> Contact | None:
    return min(contacts, key=lambda contact: contact.distance, default=None)
"#;

const NAVIGATION: &str = r#""""Where the ship goes."""

import math

from starship.sensors import Contact, nearest


def course(x: float, y: float) -> float:
    """The bearing of a place, in radians, which is never negative."""
    return math.atan2(y, x) % math.tau


def distance(x: float, y: float) -> float:
    return math.hypot(x, y)


def is_clear(contacts: list[Contact], margin: float = 1_000.0) -> bool:
    closest = nearest(contacts)
    return closest is None or closest.distance > margin
"#;

const ENGINE: &str = r#""""What moves the ship, and what it burns."""

from dataclasses import dataclass


@dataclass
class Engine:
    thrust: float = 0.0
    fuel: float = 100.0


def ignite(thrust: float, fuel: float = 100.0) -> Engine:
    return Engine(thrust, fuel)
"#;

const SAID: &str = "It uses `starship.sensors` for the distance of what is near:\n\n    nearest(contacts)\n\nSee \
    https://example.org/a-long-address/that-goes-on-and-on/without/any/space/to-break-it-at/until-it-is-wider-than-a-narrow-page";

/// Makes them in the sample project of a demonstration, whose data are there.
pub(crate) async fn propose(server: &Server, data: &Path) -> Proposed {
    let [demo, grace] = ["demo", "grace"].map(|who| Person { server, token: create_token(data, who) });
    let history = client(server, "demo", "starship", None).clone_repository().await.unwrap();
    let main = format!("sha256:{}", history.head("main"));
    let before = musehub_test_support::text(history.record(history.head("main")), "parent_commit_id");
    let before = format!("sha256:{before}");

    let files = [("starship/sensors.py", SENSORS), ("starship/navigation.py", NAVIGATION)];
    let _ = demo.branch("feature/sensors", &main, "See what is near\n\nAnd steer clear of it.", &files).await;
    let clean = demo.propose("See what is near", "feature/sensors", json!({ "description": SAID })).await;
    let _ = grace.post(&format!("/proposals/{clean}/comments"), &json!({ "body": SAID })).await.expect(201);
    for (verdict, body) in [("request_changes", "What is a margin of?"), ("approve", "Metres, I see.")] {
        let review = json!({"verdict": verdict, "body": body});
        let _ = grace.post(&format!("/proposals/{clean}/reviews"), &review).await.expect(201);
    }

    let _ = demo.branch("feature/fuel", &before, "Burn fuel", &[("starship/engine.py", ENGINE)]).await;
    let conflicting = demo.propose("Burn fuel", "feature/fuel", json!({})).await;

    let notes = "# Notes\n\nThe hull moves to a package of its own.\n";
    let _ = demo.branch("docs/notes", &main, "Keep notes", &[("NOTES.md", notes)]).await;
    let merged = demo.propose("Keep notes", "docs/notes", json!({})).await;
    let how = json!({"history": "merge", "delete_source": true});
    let _ = demo.post(&format!("/proposals/{merged}/merge"), &how).await.expect(200);
    let draft = demo.propose("Raise shields", "feature/shields", json!({"draft": true})).await;
    let _ = demo.post(&format!("/proposals/{draft}/close"), &json!({})).await.expect(200);

    for (name, commit) in [("v0.1.0", &before), ("v0.2.0", &main), ("emotion:joyful & <wide awake>", &main)] {
        let _ = demo.post("/tags", &json!({"name": name, "commit_id": commit})).await.expect(201);
    }
    Proposed { clean, conflicting, merged }
}
