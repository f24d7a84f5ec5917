//! `demo`: what somebody sees who tries the hub for the first time.

use std::path::Path;

use crate::http::{client, get};
use crate::process::{Process, Server, over};

/// A demonstration with the addresses that it printed.
pub(crate) struct Demo {
    pub(crate) server: Server,
    pub(crate) repository: String,
    pub(crate) breakage: String,
}

impl Demo {
    #[track_caller]
    pub(crate) fn start(data: &Path, listen: &str) -> Self {
        let process = Process::start(&mut over(data, &["demo", "--listen", listen])).unwrap();
        let printed = |what: &str| {
            process.wait_for(what, |line| {
                let (_, address) = line.split_once(what)?;
                Some(address.trim().to_owned())
            })
        };
        let (repository, breakage) = (printed("  the repository "), printed("  its stale imports "));
        let (address, _) = repository.strip_prefix("http://").unwrap().split_once('/').unwrap();
        let address = address.parse().unwrap();
        Self { server: Server { process, address }, repository, breakage }
    }

    fn path<'a>(&self, address: &'a str) -> &'a str {
        address.strip_prefix(&format!("http://{}", self.server.address)).unwrap()
    }
}

#[tokio::test]
async fn demo_prints_two_addresses_that_show_a_project_and_its_stale_imports() {
    let data = tempfile::tempdir().unwrap();
    let demo = Demo::start(data.path(), "127.0.0.1:0");
    assert_eq!(demo.path(&demo.repository), "/demo/starship");
    assert_eq!(demo.path(&demo.breakage), "/demo/starship/intel/breakage");

    let repository = get(&demo.server, demo.path(&demo.repository), None).await.expect(200).text();
    for part in ["starship", "feature/shields", "pyproject.toml", "muse clone"] {
        assert!(repository.contains(part), "{part} is not on the page of the repository");
    }
    let breakage = get(&demo.server, demo.path(&demo.breakage), None).await.expect(200).text();
    for part in
        ["ignite", "hull", "starship/bridge.py", "tests/test_engine.py", "stale_import", "missing_module"]
    {
        assert!(breakage.contains(part), "{part} is not on the page of stale imports");
    }
    let clone = client(&demo.server, "demo", "starship", None).clone_repository().await.unwrap();
    let branches: Vec<&String> = clone.branches.keys().collect();
    assert_eq!(branches, ["feature/shields", "main"]);
    assert!(clone.tree(clone.head("feature/shields")).contains_key("starship/shields.py"));
    assert!(!clone.tree(clone.head("main")).contains_key("starship/hull.py"));
}

#[tokio::test]
async fn demo_starts_again_on_the_same_data_and_prints_the_same() {
    let data = tempfile::tempdir().unwrap();
    let first = Demo::start(data.path(), "127.0.0.1:0");
    let heads = client(&first.server, "demo", "starship", None).refs().await.unwrap();
    let page = get(&first.server, first.path(&first.breakage), None).await.expect(200).text();
    let listen = first.server.address.to_string();
    first.server.process.signal("TERM");
    let (status, printed) = first.server.process.wait();
    assert!(status.success(), "{status}: {printed}");

    let second = Demo::start(data.path(), &listen);
    assert_eq!((&second.repository, &second.breakage), (&first.repository, &first.breakage));
    assert_eq!(client(&second.server, "demo", "starship", None).refs().await.unwrap(), heads);
    let again = get(&second.server, second.path(&second.breakage), None).await.expect(200).text();
    let rows = |page: &str| page.matches("stale_import").count();
    assert_eq!(rows(&again), rows(&page));
}

#[test]
fn demo_starts_again_where_it_was_killed() {
    let data = tempfile::tempdir().unwrap();
    let mut first = Demo::start(data.path(), "127.0.0.1:0");
    first.server.process.kill();
    let second = Demo::start(data.path(), &first.server.address.to_string());
    assert_eq!(second.repository, first.repository);
}

#[test]
fn demo_ends_with_status_0_when_it_is_told_to_terminate_or_interrupted() {
    for signal in ["TERM", "INT"] {
        let data = tempfile::tempdir().unwrap();
        let demo = Demo::start(data.path(), "127.0.0.1:0");
        demo.server.process.signal(signal);
        let (status, printed) = demo.server.process.wait();
        assert_eq!(status.code(), Some(0), "SIG{signal}: {status}: {printed}");
    }
}
