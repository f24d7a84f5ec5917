//! What the server counts, as Prometheus reads it. The names are an interface: `docs/OPERATIONS.md` lists them.
//!
//! Each [`App`](crate::App) counts for itself, so that an embedder may run several and a test sees only its own. No label
//! ever holds what a client chose: routes, kinds and outcomes are words of the hub's, so their number is bounded.

use std::fmt;
use std::time::Duration;

use ::metrics::{Label, counter, gauge, histogram, with_local_recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

/// Requests answered, by `route`, `method` and `status`.
const REQUESTS: &str = "musehub_http_requests_total";
/// From the head of a request to the head of its answer, by `route`.
const REQUEST_SECONDS: &str = "musehub_http_request_duration_seconds";
/// Requests whose answer is not decided yet.
const IN_FLIGHT: &str = "musehub_http_requests_in_flight";
/// Bytes of the bodies of requests, by `route`.
const RECEIVED: &str = "musehub_http_received_bytes_total";
/// Bytes of the bodies of answers, by `route`.
const SENT: &str = "musehub_http_sent_bytes_total";
/// Pushes, by `generation` of the client and `outcome`: `done`, `refused`, `failed`.
const PUSHES: &str = "musehub_pushes_total";
/// Fetches, likewise.
const FETCHES: &str = "musehub_fetches_total";
/// Requests refused for their number, by `class`.
const LIMITED: &str = "musehub_rate_limited_total";
/// Attempts at jobs, by `kind` and `outcome`: `done`, `retried`, `failed`, `cancelled`, `given_back`, `lost`.
const JOBS: &str = "musehub_jobs_total";
/// How long an attempt took, by `kind`.
const JOB_SECONDS: &str = "musehub_job_duration_seconds";
/// How long one phase of a job took, by `kind` and `phase`.
const PHASE_SECONDS: &str = "musehub_job_phase_duration_seconds";
/// Connections open at the listener.
const CONNECTIONS: &str = "musehub_connections";
/// Always 1, with the `version`.
const BUILD: &str = "musehub_build_info";

/// Bounds of all durations, in seconds: from a page of the cache to the largest push.
const SECONDS: &[f64] =
    &[0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// What became of an attempt at a job.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum JobOutcome {
    /// It is done.
    Done,
    /// It failed and is tried again.
    Retried,
    /// It failed for good.
    Failed,
    /// Somebody cancelled it.
    Cancelled,
    /// The worker stopped and gave it back.
    GivenBack,
    /// Its lease ran out while it ran.
    Lost,
}

impl JobOutcome {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Retried => "retried",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::GivenBack => "given_back",
            Self::Lost => "lost",
        }
    }
}

/// What a request was for, where that is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Transfer {
    /// Moves a branch.
    Push,
    /// Gets history.
    Fetch,
}

/// The counters of one server.
pub struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), SECONDS)
            .expect("there are bounds");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let metrics = Self { recorder, handle };
        metrics.count(|| {
            describe();
            gauge!(BUILD, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        metrics
    }
}

fn describe() {
    use ::metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
    describe_counter!(REQUESTS, "Requests answered.");
    describe_histogram!(
        REQUEST_SECONDS,
        Unit::Seconds,
        "From the head of a request to the head of its answer."
    );
    describe_gauge!(IN_FLIGHT, "Requests whose answer is not decided yet.");
    describe_counter!(RECEIVED, "Bytes of the bodies of requests.");
    describe_counter!(SENT, "Bytes of the bodies of answers.");
    describe_counter!(PUSHES, "Pushes.");
    describe_counter!(FETCHES, "Fetches.");
    describe_counter!(LIMITED, "Requests refused for their number.");
    describe_counter!(JOBS, "Attempts at jobs.");
    describe_histogram!(JOB_SECONDS, Unit::Seconds, "How long an attempt at a job took.");
    describe_histogram!(PHASE_SECONDS, Unit::Seconds, "How long one phase of a job took.");
    describe_gauge!(CONNECTIONS, "Connections open at the listener.");
    describe_gauge!(BUILD, "The version that runs.");
}

impl Metrics {
    fn count<T>(&self, count: impl FnOnce() -> T) -> T {
        with_local_recorder(&self.recorder, count)
    }

    /// Everything counted so far, in the text format of Prometheus.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render()
    }

    /// Sums up what was measured since the last time. To be called every few seconds: until then each measurement is kept.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }

    /// A request has come; it is in flight until what this gives is dropped.
    #[must_use]
    pub fn request(&self) -> InFlight<'_> {
        self.count(|| gauge!(IN_FLIGHT).increment(1.0));
        InFlight(self)
    }

    /// A request was answered. `route` is the pattern of its path.
    pub fn answered(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        let labels = [
            Label::from_static_parts("route", route),
            Label::from_static_parts("method", method),
            Label::new("status", status.to_string()),
        ];
        self.count(|| {
            counter!(REQUESTS, labels.iter()).increment(1);
            histogram!(REQUEST_SECONDS, "route" => route).record(took.as_secs_f64());
        });
    }

    /// The body of a request was read, up to here.
    pub fn received(&self, route: &'static str, bytes: u64) {
        self.count(|| counter!(RECEIVED, "route" => route).increment(bytes));
    }

    /// A counter for the bytes of an answer, which are counted as they are sent.
    pub fn sent(&self, route: &'static str) -> ::metrics::Counter {
        self.count(|| counter!(SENT, "route" => route))
    }

    /// A push or fetch was answered.
    pub fn transferred(&self, transfer: Transfer, generation: &'static str, status: u16) {
        let outcome = match status {
            200..=299 => "done",
            500..=599 => "failed",
            _ => "refused",
        };
        let name = match transfer {
            Transfer::Push => PUSHES,
            Transfer::Fetch => FETCHES,
        };
        self.count(|| counter!(name, "generation" => generation, "outcome" => outcome).increment(1));
    }

    /// A request was refused for the number of those before it.
    pub fn limited(&self, class: &'static str) {
        self.count(|| counter!(LIMITED, "class" => class).increment(1));
    }

    /// An attempt at a job ended. `kind` is one that the registry knows.
    pub fn job(&self, kind: &'static str, outcome: JobOutcome, took: Duration) {
        self.count(|| {
            counter!(JOBS, "kind" => kind, "outcome" => outcome.as_str()).increment(1);
            histogram!(JOB_SECONDS, "kind" => kind).record(took.as_secs_f64());
        });
    }

    /// The phases of a job that was done, each with its milliseconds: what a handler calls that measures them.
    pub fn job_phases(&self, kind: &'static str, phases: impl IntoIterator<Item = (&'static str, f64)>) {
        self.count(|| {
            for (phase, millis) in phases {
                histogram!(PHASE_SECONDS, "kind" => kind, "phase" => phase).record(millis / 1000.0);
            }
        });
    }

    /// A connection was made; it is open until what this gives is dropped.
    pub(crate) fn connections(&self) -> ::metrics::Gauge {
        self.count(|| gauge!(CONNECTIONS))
    }
}

/// A request in flight.
#[derive(Debug)]
pub struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.count(|| gauge!(IN_FLIGHT).decrement(1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_shown_with_its_labels() {
        let metrics = Metrics::default();
        let request = metrics.request();
        assert!(metrics.render().contains("musehub_http_requests_in_flight 1"));
        drop(request);
        metrics.answered("/{owner}/{slug}", "GET", 404, Duration::from_millis(3));
        metrics.answered("/{owner}/{slug}", "GET", 404, Duration::from_millis(4));
        metrics.job("scan", JobOutcome::Retried, Duration::from_secs(2));
        metrics.job_phases("mpack.index", [("fetch_mpack_ms", 1500.0), ("unpack_ms", 0.25)]);
        metrics.transferred(Transfer::Push, "mwp", 409);
        metrics.sent("/").increment(7);
        metrics.fold();
        let text = metrics.render();
        for line in [
            "musehub_http_requests_in_flight 0",
            "musehub_http_requests_total{route=\"/{owner}/{slug}\",method=\"GET\",status=\"404\"} 2",
            "musehub_http_request_duration_seconds_bucket{route=\"/{owner}/{slug}\",le=\"0.0025\"} 0",
            "musehub_http_request_duration_seconds_bucket{route=\"/{owner}/{slug}\",le=\"0.005\"} 2",
            "musehub_jobs_total{kind=\"scan\",outcome=\"retried\"} 1",
            "musehub_job_phase_duration_seconds_sum{kind=\"mpack.index\",phase=\"fetch_mpack_ms\"} 1.5",
            "musehub_pushes_total{generation=\"mwp\",outcome=\"refused\"} 1",
            "musehub_http_sent_bytes_total{route=\"/\"} 7",
            "# TYPE musehub_job_duration_seconds histogram",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn servers_count_apart() {
        let (one, other) = (Metrics::default(), Metrics::default());
        one.limited("read");
        assert!(one.render().contains("musehub_rate_limited_total{class=\"read\"} 1"));
        assert!(!other.render().contains("musehub_rate_limited_total"));
    }
}
