//! A job as programs read it: over the API and from the command line.

use musehub_core::port::{Job, JobOrder};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// A job in JSON. Times are RFC 3339, in UTC.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub job_id: String,
    /// What it does, e.g. `intel.code.breakage`.
    pub kind: String,
    /// `pending`, `running`, `done`, `failed` or `cancelled`.
    pub status: &'static str,
    /// `high`, `normal` or `low`.
    pub priority: &'static str,
    /// Whether it waits for earlier ones of its kind and repository.
    pub in_turn: bool,
    /// How often it was tried.
    pub attempts: u32,
    /// Whether it is to be cancelled.
    pub cancel_requested: bool,
    /// With what it is done.
    pub payload: Value,
    /// What it did, once it is done.
    pub summary: Option<Value>,
    /// The error of the last attempt that failed.
    pub error: Option<String>,
    /// When it was enqueued last.
    pub enqueued_at: String,
    /// From when it may be claimed.
    pub due_at: String,
    /// When it was enqueued, claimed or ended last.
    pub updated_at: String,
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            job_id: job.id.to_string(),
            kind: job.work.kind,
            status: job.status.as_str(),
            priority: job.work.priority.as_str(),
            in_turn: job.work.order == JobOrder::InTurn,
            attempts: job.attempts,
            cancel_requested: job.cancel_requested,
            payload: value(job.work.payload),
            summary: job.summary.map(value),
            error: job.error,
            enqueued_at: job.enqueued_at.to_string(),
            due_at: job.due_at.to_string(),
            updated_at: job.updated_at.to_string(),
        }
    }
}

/// JSON as it was kept, or the text of what is none.
fn value(text: String) -> Value {
    serde_json::from_str(&text).unwrap_or(Value::String(text))
}
