//! Processes of the tests: what they print can be waited for, and none outlives its value.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use musehub_test_services::{Engine, postgres};

/// How long anything may take before a test gives up: far longer than it does on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A process with its output.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
    output: Arc<Output>,
}

#[derive(Debug, Default)]
struct Output {
    state: Mutex<Printed>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Printed {
    lines: Vec<String>,
    /// Of standard output and standard error, how many have ended.
    ended: usize,
}

impl Process {
    /// Starts a program in a process group of its own.
    pub(crate) fn start(command: &mut Command) -> std::io::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let output = Arc::new(Output::default());
        output.clone().collect(child.stdout.take().unwrap());
        output.clone().collect(child.stderr.take().unwrap());
        Ok(Self { child, output })
    }

    /// Waits for a line of its output that `find` makes something of.
    #[track_caller]
    pub(crate) fn wait_for<T>(&self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let found = self.output.wait(|printed| printed.lines.iter().find_map(|line| find(line)));
        found.unwrap_or_else(|| panic!("no {what} in what was printed:\n{}", self.printed()))
    }

    /// Everything printed so far.
    pub(crate) fn printed(&self) -> String {
        self.output.state.lock().unwrap().lines.join("\n")
    }

    /// The most memory that it has held so far, in MiB.
    #[track_caller]
    pub(crate) fn peak_memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
        peak.and_then(|kib| kib.trim().parse::<u64>().ok()).expect("Linux says it in KiB") >> 10
    }

    /// Sends a signal by its name.
    pub(crate) fn signal(&self, name: &str) {
        assert!(kill(name, &self.child.id().to_string()), "the process is there until it is waited for");
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let ended = self.output.wait(|printed| (printed.ended == 2).then_some(()));
        assert!(ended.is_some(), "still running:\n{}", self.printed());
        (self.child.wait().unwrap(), self.printed())
    }

    /// Waits for its end; false where it does not come.
    pub(crate) fn ended(&self) -> bool {
        self.output.wait(|printed| (printed.ended == 2).then_some(())).is_some()
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // What it has started goes with it. Both fail where it is gone already.
        if self.child.try_wait().is_ok_and(|status| status.is_none()) {
            let _ = kill("KILL", &format!("-{}", self.child.id()));
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Output {
    fn collect(self: Arc<Self>, pipe: impl Read + Send + 'static) {
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                self.state.lock().unwrap().lines.push(text);
                self.changed.notify_all();
            }
            self.state.lock().unwrap().ended += 1;
            self.changed.notify_all();
        });
    }

    /// Waits until `find` finds something; none where it does not in time, or never will.
    fn wait<T>(&self, find: impl Fn(&Printed) -> Option<T>) -> Option<T> {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.state.lock().unwrap();
        loop {
            let found = find(&state);
            let left = deadline.saturating_duration_since(Instant::now());
            if found.is_some() || state.ended == 2 || left.is_zero() {
                return found;
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// Sends a signal through the shell: the standard library has no call for it.
fn kill(signal: &str, target: &str) -> bool {
    let script = "kill -s \"$1\" -- \"$2\" 2>/dev/null";
    let status = Command::new("sh").args(["-c", script, "sh", signal, target]).status();
    status.is_ok_and(|status| status.success())
}

/// A command of the server's, with nothing of the environment that would change it.
pub(crate) fn musehub(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_musehub-server"));
    command.args(arguments);
    for name in [
        "RUST_LOG",
        "MUSEHUB_DATA",
        "MUSEHUB_LISTEN",
        "MUSEHUB_STORE",
        "MUSEHUB_ONLY_PROCESS",
        "MUSEHUB_NO_STORE_ADDRESSES",
        "MUSEHUB_DATABASE",
        "MUSEHUB_TLS_CERT",
        "MUSEHUB_TLS_KEY",
        "MUSEHUB_TRUSTED_PROXY",
        "MUSEHUB_PROXY_HEADERS",
        "MUSEHUB_METRICS_LISTEN",
        "MUSEHUB_RATE_LIMIT",
    ] {
        command.env_remove(name);
    }
    command
}

/// What a command that ended printed.
#[derive(Debug)]
pub(crate) struct Ran {
    /// Its exit status.
    pub(crate) status: i32,
    /// Its standard output.
    pub(crate) out: String,
    /// Its standard error.
    pub(crate) err: String,
}

impl Ran {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.stdin(Stdio::null()).output().unwrap();
        Self {
            status: output.status.code().expect("no signal ended it"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// This, if it ended with `status`.
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// A command of the server's on a data directory. Its database is in it, or where `MUSEHUB_TEST_DATABASE` says PostgreSQL,
/// one of that server's.
pub(crate) fn over(data: &Path, arguments: &[&str]) -> Command {
    let mut command = musehub(arguments);
    command.arg("--data").arg(data);
    if Engine::chosen() == Engine::Postgres {
        command.env("MUSEHUB_DATABASE", postgres::database_of(data));
    }
    command
}

/// Takes a data directory its database, which nobody may be using.
pub(crate) fn lose_database(data: &Path) {
    match Engine::chosen() {
        Engine::Postgres => postgres::lose_database_of(data),
        Engine::Sqlite => {
            for file in ["musehub.db", "musehub.db-wal", "musehub.db-shm"] {
                let _ = std::fs::remove_file(data.join(file));
            }
        }
    }
}

/// Runs a command of the server's on a data directory to its end.
pub(crate) fn run(data: &Path, arguments: &[&str]) -> Ran {
    Ran::of(&mut over(data, arguments))
}

/// Makes a token with the command line.
#[track_caller]
pub(crate) fn create_token(data: &Path, handle: &str) -> String {
    let ran = run(data, &["token", "create", handle]).expect(0);
    ran.out.lines().last().unwrap().to_owned()
}

/// A server process.
#[derive(Debug)]
pub(crate) struct Server {
    /// The process.
    pub(crate) process: Process,
    /// Where it listens.
    pub(crate) address: SocketAddr,
}

impl Server {
    /// `serve` on a data directory and any free port; returns when it listens.
    #[track_caller]
    pub(crate) fn start(data: &Path) -> Self {
        Self::serve(&mut over(data, &["serve"]))
    }

    /// A `serve` on any free port; returns when it listens.
    #[track_caller]
    pub(crate) fn serve(command: &mut Command) -> Self {
        let process = Process::start(command.args(["--listen", "127.0.0.1:0"])).unwrap();
        let address = process.wait_for("address", |line| {
            let (_, rest) = line.split_once(" serving address=")?;
            rest.split_whitespace().next()?.parse().ok()
        });
        Self { process, address }
    }
}
