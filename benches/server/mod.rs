//! The server that a benchmark measures, in a process of its own.

pub(crate) mod history;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

/// The server is the benchmark's own binary, so that it is built with the same options and can be measured apart: turns into
/// it where it is started as one.
pub(crate) fn run_if_asked(arguments: &[String]) {
    const COMMANDS: [&str; 7] = ["serve", "token", "repo", "export", "repack", "rebuild-index", "verify"];
    if arguments.first().is_some_and(|first| COMMANDS.contains(&first.as_str())) {
        std::process::exit(i32::from(musehub_server::cli::main() != std::process::ExitCode::SUCCESS));
    }
}

/// The server in a process of its own.
pub(crate) struct Server {
    process: Child,
    data: tempfile::TempDir,
    /// Where the objects are, where that is not the directory.
    store: Option<String>,
    address: String,
    token: String,
}

impl Server {
    pub(crate) fn start(options: &[&str]) -> Outcome<Self> {
        Self::start_over(None, options)
    }

    /// A server whose objects are in a store.
    pub(crate) fn start_over(store: Option<&str>, options: &[&str]) -> Outcome<Self> {
        let data = tempfile::tempdir()?;
        let log = data.path().join("log");
        let mut process = Command::new(std::env::current_exe()?)
            .args(["serve", "--listen", "127.0.0.1:0", "--rate-limit", "off", "--data"])
            .arg(data.path())
            .args(store.into_iter().flat_map(|store| ["--store", store]))
            .args(options)
            .stderr(std::fs::File::create(&log)?)
            .stdout(Stdio::null())
            .env("RUST_LOG", "musehub_server::cli=info")
            .spawn()?;
        // The first line of the log names the port.
        let started = Instant::now();
        let address = loop {
            let text = std::fs::read_to_string(&log)?;
            if let Some(rest) = text.split("address=").nth(1) {
                break rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
            if started.elapsed() > Duration::from_secs(30) || process.try_wait()?.is_some() {
                return Err(format!("the server did not start: {text}").into());
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        let store = store.map(str::to_owned);
        let mut server = Self { process, data, store, address, token: String::new() };
        let printed = server.command(&["token", "create", "bench"])?;
        server.token = printed.lines().last().unwrap_or_default().to_owned();
        Ok(server)
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Outcome<String> {
        let output = Command::new(std::env::current_exe()?)
            .args(arguments)
            .arg("--data")
            .arg(self.data.path())
            .args(self.store.iter().flat_map(|store| ["--store", store]))
            .output()?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The directory of data.
    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    /// Ends the process; the data stay, for commands.
    pub(crate) fn stop(&mut self) -> Outcome<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// Uploads of objects, over four connections at a time as the client of March 2026 makes them.
    pub(crate) fn upload(&self, slug: &str, uploads: &[Vec<u8>]) -> Outcome<()> {
        std::thread::scope(|threads| {
            let workers: Vec<_> = (0..4)
                .map(|worker| {
                    threads.spawn(move || {
                        let mut connection = Connection::open(self).map_err(|error| error.to_string())?;
                        for upload in uploads.iter().skip(worker).step_by(4) {
                            let stored = connection.post(slug, "push/objects", upload);
                            stored.map_err(|error| error.to_string())?;
                        }
                        Ok::<_, String>(())
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().map_err(|_| "a thread failed".to_owned())?)
        })?;
        Ok(())
    }

    /// A figure of the process's memory, in MiB.
    pub(crate) fn memory(&self, name: &str) -> Outcome<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find(|line| line.starts_with(name)).ok_or("no such figure")?;
        let kib: f64 = line.split_whitespace().nth(1).ok_or("no number")?.parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One connection that is kept.
pub(crate) struct Connection<'a> {
    server: &'a Server,
    stream: BufReader<TcpStream>,
}

impl<'a> Connection<'a> {
    pub(crate) fn open(server: &'a Server) -> Outcome<Self> {
        let stream = TcpStream::connect(&server.address)?;
        stream.set_nodelay(true)?;
        Ok(Self { server, stream: BufReader::new(stream) })
    }

    pub(crate) fn get(&mut self, slug: &str, what: &str) -> Outcome<Vec<u8>> {
        self.send("GET", slug, what, &[])
    }

    pub(crate) fn post(&mut self, slug: &str, what: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        self.send("POST", slug, what, body)
    }

    pub(crate) fn send(&mut self, method: &str, slug: &str, what: &str, body: &[u8]) -> Outcome<Vec<u8>> {
        self.request(method, &format!("/bench/{slug}/{what}"), "application/x-msgpack", body)
    }

    /// A request of any media type, which is also the one that is taken first.
    pub(crate) fn request(
        &mut self,
        method: &str,
        what: &str,
        media_type: &str,
        body: &[u8],
    ) -> Outcome<Vec<u8>> {
        // Addresses that the server signed take no credentials.
        let token = if what.contains("signature=") {
            String::new()
        } else {
            format!("Authorization: Bearer {}\r\n", self.server.token)
        };
        let head = format!(
            "{method} {what} HTTP/1.1\r\nHost: {}\r\n{token}Accept: {media_type}, application/json\r\n\
             Content-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
            self.server.address,
            body.len()
        );
        let stream = self.stream.get_mut();
        stream.write_all(head.as_bytes())?;
        stream.write_all(body)?;
        let mut status = String::new();
        self.stream.read_line(&mut status)?;
        let mut length = 0;
        loop {
            let mut line = String::new();
            self.stream.read_line(&mut line)?;
            if line == "\r\n" || line.is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse()?;
            }
        }
        let mut answer = vec![0; length];
        self.stream.read_exact(&mut answer)?;
        if !status.contains(" 200 ") {
            return Err(format!("{what}: {status}{}", String::from_utf8_lossy(&answer)).into());
        }
        Ok(answer)
    }
}
