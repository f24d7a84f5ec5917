//! Findings as lines for people, as JSON and as workflow commands.

use musehub_core::port::Help;
use musehub_intel::{Finding, Severity};
use serde::Serialize;

use super::Findings;

#[derive(Serialize)]
struct JsonFinding<'a> {
    issue_type: &'a str,
    severity: &'a str,
    file_path: &'a str,
    line: u32,
    column: u32,
    description: &'a str,
    module: &'a str,
    name: Option<&'a str>,
    subject: &'a str,
    help: &'a Help,
}

pub(super) fn json(findings: &Findings) -> serde_json::Result<()> {
    let finding = |(finding, help): (&'_ Finding, &'_ Help)| {
        serde_json::to_value(JsonFinding {
            issue_type: finding.issue_type.as_str(),
            severity: finding.severity.as_str(),
            file_path: &finding.file_path,
            line: finding.line,
            column: finding.column,
            description: &finding.description,
            module: &finding.module,
            name: finding.name.as_deref(),
            subject: &finding.subject,
            help,
        })
    };
    let findings = findings.iter().map(finding).collect::<serde_json::Result<Vec<_>>>()?;
    println!("{}", serde_json::to_string_pretty(&findings)?);
    Ok(())
}

pub(super) fn text(findings: &Findings) {
    for (finding, help) in findings.iter() {
        let Finding { file_path, line, column, description, .. } = finding;
        let (severity, kind) = (finding.severity.as_str(), finding.issue_type.as_str());
        println!("{}", harmless(&format!("{file_path}:{line}:{column}: {severity}: {description} [{kind}]")));
        for sentence in sentences(help) {
            println!("    help: {}", harmless(&sentence));
        }
    }
    let report = &findings.report;
    let unread = report.files_partly_read + report.files_not_read;
    let partly =
        if unread > 0 { format!(", {unread} of them read in part or not at all") } else { String::new() };
    eprintln!("{} findings in {} files{partly}", report.findings.len(), report.files_scanned);
}

/// What to do about a finding, a sentence each.
pub(super) fn sentences(help: &Help) -> Vec<String> {
    let moved =
        help.moved_to.as_ref().map(|place| format!("it is now in {}, line {}", place.file_path, place.line));
    let meant = help.did_you_mean.as_ref().map(|name| format!("did you mean '{name}'?"));
    let removed = help.removed_by.as_ref().map(|removed| {
        format!("removed by {} ({}, {})", removed.commit, removed.author, removed.committed_at)
    });
    [moved, meant, removed].into_iter().flatten().collect()
}

/// Names of files and authors are anybody's: a terminal must not obey them.
fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

pub(super) fn github(findings: &Findings) {
    for (finding, help) in findings.iter() {
        println!("{}", workflow_command(finding, help));
    }
}

fn workflow_command(finding: &Finding, help: &Help) -> String {
    let command = match finding.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let message =
        std::iter::once(finding.description.clone()).chain(sentences(help)).collect::<Vec<_>>().join("\n");
    format!(
        "::{command} file={},line={},col={},title={}::{}",
        property(&finding.file_path),
        finding.line,
        finding.column,
        property(finding.issue_type.as_str()),
        data(&message)
    )
}

/// The message of a workflow command goes on to the end of the line.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property of one ends at a comma or a colon too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workflow_commands_cannot_be_broken_out_of() {
        assert_eq!(property("a,line=1::b%\r\n.py"), "a%2Cline=1%3A%3Ab%25%0D%0A.py");
        assert_eq!(data("50%: a, b\n::error::x"), "50%25: a, b%0A::error::x");
        assert!(!data("one\ntwo\rthree").contains(['\n', '\r']));
    }

    #[test]
    fn terminals_are_sent_no_control_characters() {
        assert_eq!(harmless("a\u{1b}[31mb\u{7}\u{9b}c"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c");
    }
}
