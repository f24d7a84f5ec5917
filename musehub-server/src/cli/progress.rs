//! Progress of long commands on standard error, in one line that is written over.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use clap::Args;
use musehub_core::hub::recovery::{Event, Problem};

/// How often the line is written.
const EVERY: Duration = Duration::from_millis(100);

#[derive(Args, Debug, Clone, Copy)]
pub(super) struct ProgressOption {
    /// Show progress on standard error although that is no terminal.
    #[arg(long)]
    progress: bool,
}

/// The line of progress.
#[derive(Debug)]
pub(super) struct ProgressLine {
    shown: bool,
    terminal: bool,
    last: Option<(&'static str, Instant)>,
    /// What was not shown because the line had been written a moment ago.
    unshown: Option<(&'static str, u64, Option<u64>)>,
}

impl ProgressLine {
    pub(super) fn new(option: ProgressOption) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self { shown: option.progress || terminal, terminal, last: None, unshown: None }
    }

    /// Shows how far a stage is, not more often than somebody can read.
    pub(super) fn show(&mut self, event: &Event) {
        let Event::Progress { stage, done, total } = event else {
            return;
        };
        if !self.shown {
            return;
        }
        let recent = self.last.is_some_and(|(last, at)| last == *stage && at.elapsed() < EVERY);
        if recent && Some(*done) != *total {
            self.unshown = Some((stage, *done, *total));
        } else {
            self.write(stage, *done, *total);
        }
    }

    fn write(&mut self, stage: &'static str, done: u64, total: Option<u64>) {
        self.last = Some((stage, Instant::now()));
        self.unshown = None;
        let of = total.map(|total| format!(" of {total}")).unwrap_or_default();
        let (start, end) = if self.terminal { ("\r\x1b[K", "") } else { ("", "\n") };
        // Who has closed standard error wants no progress.
        let _ = write!(std::io::stderr(), "{start}{stage}: {done}{of}{end}");
    }

    /// Makes room for what is printed next; in a file, the last line says how far it came.
    pub(super) fn clear(&mut self) {
        if self.terminal {
            if self.last.take().is_some() {
                let _ = write!(std::io::stderr(), "\r\x1b[K");
            }
        } else if let Some((stage, done, total)) = self.unshown.take() {
            self.write(stage, done, total);
        }
    }
}

/// What a recovery tells while it runs: progress in its line, and problems as they are found.
#[derive(Debug)]
pub(super) struct Listener {
    line: ProgressLine,
    /// The problems, where they are printed at the end; otherwise each is printed at once.
    collected: Option<Vec<Problem>>,
}

impl Listener {
    /// `collect`: problems are kept for the end.
    pub(super) fn new(option: ProgressOption, collect: bool) -> Self {
        Self { line: ProgressLine::new(option), collected: collect.then(Vec::new) }
    }

    pub(super) fn hear(&mut self, event: Event) {
        match (event, &mut self.collected) {
            (Event::Problem(problem), Some(collected)) => collected.push(problem),
            (Event::Problem(problem), None) => {
                self.line.clear();
                println!("{problem}");
            }
            (progress @ Event::Progress { .. }, _) => self.line.show(&progress),
        }
    }

    /// Ends the line; the problems that were kept.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.line.clear();
        self.collected.unwrap_or_default()
    }
}
