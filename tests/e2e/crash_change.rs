//! What the crash matrix strikes at a server: a change of one branch, in each of the ways there are.

use bytes::Bytes;
use hyper::Request;
use musehub_test_support::history::{noise, parents, write};
use musehub_test_support::{ClientError, History, MuseClient};
use serde_json::json;

use crate::crash_place::Place;
use crate::http::{client, send};
use crate::process::Server;
use crate::push::assert_same;

/// The variable that has large objects written in parts of so many bytes.
const PARTS: &str = "MUSEHUB_FAILPOINT_PARTS";

/// A change of one branch.
#[derive(Clone)]
pub(crate) struct Change {
    slug: &'static str,
    branch: &'static str,
    /// What the repository has before it.
    before: History,
    act: Act,
    variables: Vec<(&'static str, String)>,
}

#[derive(Clone)]
enum Act {
    /// A push that leaves this.
    Push { after: History, force: bool },
    /// The branch is deleted.
    Delete,
    /// A file is committed by the hub.
    Commit,
}

/// A history to push to an empty repository.
fn fresh() -> History {
    let mut history = History::new();
    let _ = history.commit_file("main", "one", "one.txt");
    let _ = history.commit_file("main", "two", "two.txt");
    history
}

const COMMITTED: &str = "committed.txt";

impl Change {
    /// A first push.
    pub(crate) fn first() -> Self {
        Self::of_empty(fresh())
    }

    /// A first push whose pack is written in parts.
    pub(crate) fn large(place: &Place) -> Self {
        // A store takes no parts under 5 MiB but the last.
        let part: usize = if place.is_shared() { 5 << 20 } else { 64 << 10 };
        let mut history = fresh();
        let _ = history.commit("main", "large", |tree| write(tree, "large.bin", noise(7, part + part / 4)));
        Self { variables: vec![(PARTS, part.to_string())], ..Self::of_empty(history) }
    }

    fn of_empty(after: History) -> Self {
        let act = Act::Push { after, force: false };
        Self { slug: "new", branch: "main", before: History::new(), act, variables: Vec::new() }
    }

    /// A push that has a branch forget its last commits, and borrows blobs that are there.
    pub(crate) fn forced(before: &History) -> Self {
        let mut after = before.clone();
        let record = after.record(before.head("main")).clone();
        after.branch("main", &parents(&record)[0]);
        let blobs = before.tree(before.head("main"));
        let _ = after.commit("main", "otherwise", |tree| {
            tree.extend(blobs.into_iter().map(|(path, blob)| (format!("borrowed/{path}"), blob)));
            write(tree, "otherwise.txt", "otherwise");
        });
        Self { act: Act::Push { after, force: true }, ..Self::of_tunes(before) }
    }

    /// A branch is deleted, which is not the default.
    pub(crate) fn deletion(before: &History) -> Self {
        Self { branch: "side/line", act: Act::Delete, ..Self::of_tunes(before) }
    }

    /// The hub commits a file.
    pub(crate) fn commit(before: &History) -> Self {
        Self::of_tunes(before)
    }

    fn of_tunes(before: &History) -> Self {
        Self {
            slug: "tunes",
            branch: "main",
            before: before.clone(),
            act: Act::Commit,
            variables: Vec::new(),
        }
    }

    /// What a push brings.
    pub(crate) fn pushed(&self) -> &History {
        match &self.act {
            Act::Push { after, .. } => after,
            Act::Delete | Act::Commit => &self.before,
        }
    }

    /// The name of the repository, which alice owns.
    pub(crate) fn slug(&self) -> &'static str {
        self.slug
    }

    /// A server with a variable, and what the change asks for.
    pub(crate) fn serve(&self, place: &Place, name: &str, value: &str) -> Server {
        let mut variables: Vec<(&str, &str)> =
            self.variables.iter().map(|(name, value)| (*name, value.as_str())).collect();
        variables.push((name, value));
        place.serve_with(&variables)
    }

    /// A client of the repository.
    pub(crate) fn client(&self, server: &Server, token: Option<&str>) -> MuseClient {
        client(server, "alice", self.slug, token)
    }

    /// Makes it.
    pub(crate) async fn make(&self, server: &Server, token: &str) -> Result<(), ClientError> {
        match &self.act {
            Act::Push { after, force } => {
                self.client(server, Some(token)).push(after, self.branch, *force).await.map(drop)
            }
            Act::Delete => {
                let head = self.before.head(self.branch);
                let path = format!("branches/{}?expected_head=sha256:{head}", self.branch);
                self.ask(server, token, Request::delete(self.api(&path)), Bytes::new()).await
            }
            Act::Commit => {
                let changes = json!([{"op": "put", "path": COMMITTED, "content": "by the hub"}]);
                let head = format!("sha256:{}", self.before.head(self.branch));
                let body = json!({"branch": self.branch, "expected_head": head, "message": "there", "changes": changes});
                let request = Request::post(self.api("commits")).header("content-type", "application/json");
                self.ask(server, token, request, body.to_string().into()).await
            }
        }
    }

    fn api(&self, path: &str) -> String {
        format!("/api/v1/repos/alice/{}/{path}", self.slug)
    }

    async fn ask(
        &self,
        server: &Server,
        token: &str,
        request: hyper::http::request::Builder,
        body: Bytes,
    ) -> Result<(), ClientError> {
        let request = request.header("authorization", format!("Bearer {token}")).body(body).unwrap();
        let failed = |status, body| ClientError { status, body, call: "change" };
        let answer = send(server.address, request).await.map_err(|error| failed(0, error))?;
        if answer.status < 300 { Ok(()) } else { Err(failed(answer.status, answer.text())) }
    }

    /// What the repository has, if the change is there: all of it. Otherwise all is as before, and nothing of it can be had.
    pub(crate) async fn seen(&self, server: &Server, token: &str, context: &str) -> Option<History> {
        let remote = self.client(server, Some(token));
        let heads = remote.refs().await.unwrap().branch_heads;
        if heads == self.before.branches {
            self.expect_nothing_of_it(&remote, context).await;
            if !heads.is_empty() {
                assert_same(&remote.clone_repository().await.unwrap(), &self.before);
            }
            return None;
        }
        let clone = remote.clone_repository().await.unwrap();
        let mut others = (clone.branches.clone(), self.before.branches.clone());
        let _ = (others.0.remove(self.branch), others.1.remove(self.branch));
        assert_eq!(others.0, others.1, "{context}: another branch");
        match &self.act {
            Act::Push { after, .. } => assert_same(&clone, after),
            Act::Delete => assert!(!clone.branches.contains_key(self.branch), "{context}"),
            Act::Commit => {
                let head = clone.head(self.branch);
                assert_eq!(parents(clone.record(head)), [self.before.head(self.branch)], "{context}");
                let mut tree = self.before.tree(self.before.head(self.branch));
                write(&mut tree, COMMITTED, "by the hub");
                assert_eq!(clone.tree(head), tree, "{context}");
            }
        }
        Some(clone)
    }

    async fn expect_nothing_of_it(&self, remote: &MuseClient, context: &str) {
        let Act::Push { after, .. } = &self.act else { return };
        let brought = remote.fetch_bundle(&[after.head(self.branch).to_owned()], &[]).await;
        assert!(!brought.is_ok_and(|bundle| !bundle.commits.is_empty()), "{context}: its commit can be had");
    }
}
