//! `demo`: a server with something to look at.

use std::process::ExitCode;
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full};
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use hyper::{Method, Request, StatusCode};
use musehub_core::Handle;
use musehub_core::port::Scope;
use serde_json::{Value, json};

use super::sample::{self, Sample};
use super::work::WorkOptions;
use super::{DataDirectory, Outcome, ServeOptions, serve, token};
use crate::app::App;
use crate::http::RequestBody;
use crate::jobs;

const OWNER: &str = "demo";
const SLUG: &str = "starship";

#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    data: DataDirectory,
    #[command(flatten)]
    options: ServeOptions,
}

pub(super) async fn run(arguments: Arguments) -> Outcome {
    let stop_signals = serve::StopSignals::listen()?;
    let work = WorkOptions::default();
    let started = serve::start(&arguments.data, &arguments.options, &work).await?;
    let pushed = push_sample(&started.app).await?;
    // The page is to be there when somebody opens the address that is printed next.
    while jobs::run_next(&started.app, "demo").await? {}
    print_guide(&started.url(), pushed, &arguments.data);
    serve::until_stopped(started, Some(work.worker("demo")), stop_signals).await?;
    Ok(ExitCode::SUCCESS)
}

fn print_guide(url: &str, pushed: bool, data: &DataDirectory) {
    let sample = if pushed { "A sample project was pushed" } else { "The sample project was there already" };
    println!("MuseHub is serving on {url} from {}. {sample}.", data.data.display());
    println!();
    println!("  the repository     {url}/{OWNER}/{SLUG}");
    println!("  its stale imports  {url}/{OWNER}/{SLUG}/intel/breakage");
    println!();
    println!("Clone it:  muse clone {url}/{OWNER}/{SLUG}");
    println!("Stop with Ctrl-C.");
}

/// Pushes the sample as a client would, through the router; false where it is there already.
async fn push_sample(app: &Arc<App>) -> Result<bool, Box<dyn std::error::Error + Send + Sync>> {
    let sample = sample::build();
    let client = Client { app, token: None };
    let (status, refs) = client.send(Method::GET, &format!("/{OWNER}/{SLUG}/refs"), None).await?;
    if status == StatusCode::OK
        && sample.branches.iter().all(|(name, tip)| refs["branch_heads"][name] == **tip)
    {
        return Ok(false);
    }
    let token = token::create(app, &Handle::parse(OWNER)?, Scope::Admin, None).await?;
    let client = Client { app, token: Some(token) };
    if status == StatusCode::NOT_FOUND {
        let repository = json!({"name": SLUG, "description": "A small Python project with a stale import"});
        client.ask("/api/v1/repos", &repository).await?;
    }
    for (branch, tip) in &sample.branches {
        client.push(&sample, branch, tip).await?;
    }
    Ok(true)
}

/// A client of this process.
struct Client<'a> {
    app: &'a Arc<App>,
    token: Option<String>,
}

impl Client<'_> {
    /// Filters, uploads and pushes, in the order in which a client of March 2026 does.
    async fn push(
        &self,
        sample: &Sample,
        branch: &str,
        tip: &str,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let base = format!("/{OWNER}/{SLUG}");
        let bundle = sample.bundle(tip);
        let ids = sample.object_ids(&bundle);
        let missing = self.ask(&format!("{base}/filter-objects"), &json!({"object_ids": ids})).await?;
        let missing: Vec<String> = serde_json::from_value(missing["missing"].clone())?;
        if !missing.is_empty() {
            let objects = sample.upload(&missing)?;
            self.send_ok(&format!("{base}/push/objects"), objects).await?;
        }
        self.ask(&format!("{base}/push"), &json!({"bundle": bundle, "branch": branch, "force": false}))
            .await?;
        Ok(())
    }

    async fn ask(&self, path: &str, body: &Value) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        self.send_ok(path, rmp_serde::to_vec_named(body)?).await
    }

    async fn send_ok(
        &self,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync>> {
        let (status, answer) = self.send(Method::POST, path, Some(body)).await?;
        if status.is_success() { Ok(answer) } else { Err(format!("POST {path}: {status}: {answer}").into()) }
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<(StatusCode, Value), Box<dyn std::error::Error + Send + Sync>> {
        let mut request = Request::builder().method(method).uri(path).header(ACCEPT, "application/json");
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/x-msgpack");
        }
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        let reply = self.app.handle(request.body(RequestBody::new(body))?).await;
        let status = reply.status();
        let bytes = reply.into_body().collect().await?.to_bytes();
        Ok((status, serde_json::from_slice(&bytes)?))
    }
}
