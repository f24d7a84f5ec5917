//! Chromium without a window, driven through ChromeDriver by the W3C's WebDriver protocol: JSON over HTTP.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use hyper::Request;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::send;
use crate::process::Process;

const INSTALL: &str = "run ./scripts/test, which installs what the tests need";
/// The keys of WebDriver that have no character.
pub(crate) const TAB: &str = "\u{e004}";
pub(crate) const ENTER: &str = "\u{e007}";

/// A browser with one window.
#[derive(Debug)]
pub(crate) struct Browser {
    address: SocketAddr,
    session: String,
    // In this order: the directory goes when the processes that write into it are gone.
    _driver: Process,
    _profile: TempDir,
}

impl Browser {
    /// Starts a browser that runs scripts of pages, or does not.
    pub(crate) async fn start(scripts: bool) -> Self {
        let chromium = find(&["chromium", "chromium-browser", "google-chrome"]);
        let driver = find(&["chromedriver"]);
        let driver = Process::start(Command::new(driver).arg("--port=0"));
        let driver = driver.unwrap_or_else(|error| panic!("ChromeDriver does not start: {error}; {INSTALL}"));
        let port: u16 = driver.wait_for("port of ChromeDriver", |line| {
            let (_, port) = line.split_once("started successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let profile = tempfile::tempdir().unwrap();
        let mut browser = Self {
            address: ([127, 0, 0, 1], port).into(),
            session: String::new(),
            _driver: driver,
            _profile: profile,
        };
        let capabilities = capabilities(&chromium, browser._profile.path(), scripts);
        let session = browser.command("POST", "/session", &capabilities).await;
        browser.session = session["sessionId"].as_str().unwrap().to_owned();
        browser
    }

    /// Opens an address and waits until it is loaded.
    pub(crate) async fn open(&self, url: &str) {
        let _ = self.post("url", &json!({"url": url})).await;
    }

    /// What a script returns.
    pub(crate) async fn evaluate(&self, script: &str) -> Value {
        self.post("execute/sync", &json!({"script": format!("return {script}"), "args": []})).await
    }

    /// Calls the DevTools protocol.
    pub(crate) async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("goog/cdp/execute", &json!({"cmd": command, "params": parameters})).await
    }

    /// Makes the viewport this wide.
    pub(crate) async fn resize(&self, width: u32) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        let _ = self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
    }

    /// Presses and releases a key.
    pub(crate) async fn press(&self, key: &str) {
        let actions = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        let actions = json!({"actions": [{"type": "key", "id": "keyboard", "actions": actions}]});
        let _ = self.post("actions", &actions).await;
    }

    /// What was written to the console since this was asked last, and what the browser complains about there.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.post("se/log", &json!({"type": "browser"})).await;
        let entries = entries.as_array().unwrap().iter();
        entries.map(|entry| format!("{} {}", entry["level"], entry["message"])).collect()
    }

    /// Keeps a picture of the whole page for people to look at.
    pub(crate) async fn screenshot(&self, name: &str) {
        let picture = self.devtools("Page.captureScreenshot", json!({"captureBeyondViewport": true})).await;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("screenshots");
        std::fs::create_dir_all(&folder).unwrap();
        let bytes = base64::Engine::decode(
            &base64::engine::general_purpose::STANDARD,
            picture["data"].as_str().unwrap(),
        );
        std::fs::write(folder.join(format!("{name}.png")), bytes.unwrap()).unwrap();
    }

    async fn post(&self, command: &str, body: &Value) -> Value {
        self.command("POST", &format!("/session/{}/{command}", self.session), body).await
    }

    async fn command(&self, method: &str, path: &str, body: &Value) -> Value {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let answer = send(self.address, request).await.unwrap();
        assert_eq!(answer.status, 200, "{path} {body}: {}", answer.text());
        answer.json()["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Lets the browser end by itself; what is left is killed with the driver.
        let quit = format!(
            "DELETE /session/{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
            self.session
        );
        if let Ok(mut driver) = TcpStream::connect(self.address) {
            let _ = driver.set_read_timeout(Some(Duration::from_secs(10)));
            let _ = driver.write_all(quit.as_bytes());
            let _ = driver.read(&mut [0; 512]);
        }
    }
}

fn capabilities(chromium: &Path, profile: &Path, scripts: bool) -> Value {
    let profile = format!("--user-data-dir={}", profile.display());
    let arguments = [
        "--headless",
        "--hide-scrollbars",
        // A container runs tests as root, where Chromium's sandbox cannot start. Only pages of ours are opened.
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        &profile,
    ];
    let mut options = json!({"binary": chromium, "args": arguments});
    if !scripts {
        options["prefs"] = json!({"profile.managed_default_content_settings.javascript": 2});
    }
    let capabilities = json!({"goog:chromeOptions": options, "goog:loggingPrefs": {"browser": "ALL"}});
    json!({"capabilities": {"alwaysMatch": capabilities}})
}

/// The path of the first of some programs that is installed.
fn find(names: &[&str]) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places =
        names.iter().flat_map(|name| std::env::split_paths(&path).map(move |folder| folder.join(name)));
    let mut there = places.filter(|place| place.is_file());
    there.next().unwrap_or_else(|| panic!("{} is not installed: {INSTALL}", names[0]))
}
