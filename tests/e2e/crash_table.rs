//! The tables of the crash matrix: which writes an operation makes, which faults strike them, and what each came to.

use std::collections::BTreeMap;
use std::path::Path;

use futures::{StreamExt, stream};

use crate::crash_place::Place;

/// The variable that names what fails.
pub(crate) const POINT: &str = "MUSEHUB_FAILPOINT";
/// The variable that names a file for the steps of a process.
pub(crate) const LOG: &str = "MUSEHUB_FAILPOINT_LOG";

/// What strikes, as the fail points call it, and what it is.
const FAULTS: [Fault; 5] = [
    ("abort", "abort before it"),
    ("torn", "half written, abort"),
    ("before", "error, no effect"),
    ("after", "error after its effect"),
    ("full", "disk full from here on"),
];
/// What strikes where objects and rows are not files of the machine: a write is whole, and abort comes before or after it.
const SHARED_FAULTS: [Fault; 5] =
    [FAULTS[0], ("torn", "abort after it"), FAULTS[2], FAULTS[3], ("full", "no write from here on")];
type Fault = (&'static str, &'static str);
/// How many cases run at a time: each waits for its servers most of the time.
const AT_ONCE: usize = 4;

/// One write of an operation: the nth of a step.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Step {
    name: String,
    nth: u64,
    is_first: bool,
}

/// One cell.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    step: Step,
    pub(crate) fault: &'static str,
}

impl Case {
    /// What the variable is set to.
    pub(crate) fn point(&self) -> String {
        format!("{}:{}:{}", self.fault, self.step.nth, self.step.name)
    }

    /// Whether the fault ends the process.
    pub(crate) fn kills(&self) -> bool {
        matches!(self.fault, "abort" | "torn")
    }
}

/// The steps in a list that a process wrote, in their order, without those of its start: of each the first time and the last.
pub(crate) fn steps(log: &Path, start: usize, wanted: impl Fn(&str) -> bool) -> Vec<Step> {
    let text = std::fs::read_to_string(log).unwrap();
    let mut count: BTreeMap<&str, u64> = BTreeMap::new();
    let mut order: Vec<Step> = Vec::new();
    for (line, name) in text.lines().enumerate().filter(|(_, name)| wanted(name)) {
        let nth = count.entry(name).or_default();
        *nth += 1;
        if line >= start {
            let is_first = !order.iter().any(|step| step.name == *name);
            order.push(Step { name: name.to_owned(), nth: *nth, is_first });
        }
    }
    order.retain(|step| step.is_first || step.nth == count[step.name.as_str()]);
    order
}

/// Runs every case of an operation and prints its table.
pub(crate) async fn fill<F, Fut>(operation: &str, place: &Place, steps: &[Step], required: &[&str], case: F)
where
    F: Fn(Case) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = String> + 'static,
{
    for name in required {
        assert!(steps.iter().any(|step| step.name == *name), "{operation} has no step {name}: {steps:?}");
    }
    let faults = if place.is_shared() { &SHARED_FAULTS } else { &FAULTS };
    let cases = steps.iter().flat_map(|step| {
        let step = step.clone();
        // Where each write is a request, what the first of a step has shown by other faults is not shown again.
        let all = step.is_first || !place.is_shared();
        faults
            .iter()
            .map(move |(fault, _)| (all || *fault == "abort").then(|| Case { step: step.clone(), fault }))
    });
    let cells: Vec<String> = stream::iter(cases)
        .map(|each| {
            let case = case.clone();
            async move {
                let Some(each) = each else {
                    return String::new();
                };
                let name = format!("{each:?}");
                let runtime = tokio::runtime::Handle::current();
                // It waits for processes, on a thread that may.
                let ran = tokio::task::spawn_blocking(move || runtime.block_on(case(each)));
                ran.await.unwrap_or_else(|error| panic!("{name}: {error}"))
            }
        })
        .buffered(AT_ONCE)
        .collect()
        .await;
    let over = if place.is_shared() { "S3 and PostgreSQL" } else { "a directory and SQLite" };
    let mut table = format!("\n| {operation}, over {over} |");
    table.extend(faults.iter().map(|(_, what)| format!(" {what} |")));
    table.push_str(&format!("\n|---|{}\n", "---|".repeat(faults.len())));
    for (step, row) in steps.iter().zip(cells.chunks(faults.len())) {
        table.push_str(&format!("| {} {} | {} |\n", step.name, step.nth, row.join(" | ")));
    }
    println!("{table}");
}
