//! S3-compatible stores: one server of a kind for all tests of a process, and a prefix of its bucket for each case.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};

/// The bucket that every server has.
pub const BUCKET: &str = "hub";

/// Which program serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Closest to S3; but of racing creations of one key, two may succeed.
    S3sFs,
    /// Decides races as S3 does; but checks no signature, and is slow.
    Moto,
}

/// A server.
#[derive(Clone, Debug)]
pub struct Server {
    /// What a client must know, as the environment says it: `AWS_ENDPOINT_URL`, `AWS_ACCESS_KEY_ID` and the others.
    pub settings: BTreeMap<String, String>,
    /// Where buckets are directories and objects files in them; none where the server keeps them in memory.
    directory: Option<PathBuf>,
}

impl Server {
    /// The server of a kind, started for the first who asks.
    pub fn of(kind: Kind) -> Self {
        static S3S_FS: OnceLock<Server> = OnceLock::new();
        static MOTO: OnceLock<Server> = OnceLock::new();
        let (server, arguments): (_, &[&str]) = match kind {
            Kind::S3sFs => (&S3S_FS, &[]),
            Kind::Moto => (&MOTO, &["--moto"]),
        };
        server.get_or_init(|| start(arguments)).clone()
    }

    /// A bucket of the caller's own, and the directory that it is. Of several in one bucket, s3s-fs goes through all objects
    /// whenever it lists some.
    pub fn new_bucket(&self) -> (String, PathBuf) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let directory = self.directory.as_ref().expect("buckets of s3s-fs are directories");
        let bucket = format!("case-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = directory.join(&bucket);
        std::fs::create_dir(&path).unwrap();
        (bucket, path)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.settings["AWS_ENDPOINT_URL"].trim_start_matches("http://").parse().unwrap()
    }

    /// The same server, reached by another address.
    #[must_use]
    pub fn through(&self, address: SocketAddr) -> Self {
        self.with("AWS_ENDPOINT_URL", &format!("http://{address}"))
    }

    /// The same server with one setting changed.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut other = self.clone();
        other.settings.insert(name.to_owned(), value.to_owned());
        other
    }
}

/// A prefix of the bucket that nothing lies under.
pub fn fresh_prefix() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!("case-{}/{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}

/// Starts a server that stops when this process has ended, in whatever way: the script then reads the end of its input.
fn start(arguments: &[&str]) -> Server {
    static SERVERS: Mutex<Vec<Child>> = Mutex::new(Vec::new());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../scripts/with-s3");
    let mut command = Command::new(script);
    command.args(arguments).args([
        "sh",
        "-c",
        "env | grep -E '^(AWS|MUSEHUB_TEST_S3)_' && echo && exec cat >/dev/null",
    ]);
    // Out of reach of what a terminal or a test runner sends to the tests.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let mut server = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let printed = BufReader::new(server.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut settings: BTreeMap<String, String> = printed
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())))
        .collect();
    SERVERS.lock().unwrap().push(server);
    assert!(settings.contains_key("AWS_ENDPOINT_URL"), "the script has said why there is no server");
    let directory = settings.remove("MUSEHUB_TEST_S3_DIRECTORY").map(PathBuf::from);
    Server { settings, directory }
}
