//! The binary under test, built with the profile and into the directory of these tests.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// The path of `musehub-server`. The first call asks cargo to build it, which has nothing to do where it is built.
pub(crate) fn server_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(build)
}

fn build() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["build", "--package", "musehub-server", "--bin", "musehub-server", "--locked"])
        .args(["--message-format", "json-render-diagnostics", "--profile", &profile()])
        .arg("--target-dir")
        .arg(target)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    // What cargo tells a test of its own package would make build scripts that look at it run again.
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_NAME", "CARGO_TARGET_TMPDIR"]
            .iter()
            .any(|prefix| text.starts_with(prefix))
        {
            cargo.env_remove(name);
        }
    }
    let output = cargo.output().expect("cargo runs: it runs these tests");
    assert!(output.status.success(), "musehub-server could not be built");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| message["target"]["name"] == "musehub-server")
        .find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)))
        .expect("cargo names the executable that it built")
}

/// The profile of this test, which lies in `<target>/<profile>/deps`.
fn profile() -> String {
    let test = std::env::current_exe().unwrap();
    match test.ancestors().nth(2).and_then(Path::file_name).and_then(|name| name.to_str()) {
        Some("debug") => "dev".to_owned(),
        Some(profile) => profile.to_owned(),
        None => panic!("{} is not where cargo puts tests", test.display()),
    }
}
