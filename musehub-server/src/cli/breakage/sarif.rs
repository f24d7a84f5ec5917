//! Findings as a SARIF 2.1.0 log (OASIS, sections 3.13 to 3.30), which code hosts and editors read.

use musehub_core::port::Help;
use musehub_intel::{Finding, IssueType, Severity};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{Findings, print};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";
/// What a path keeps in a URI reference (RFC 3986): unreserved characters and slashes.
const PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The whole log.
pub(super) fn log(findings: &Findings) -> Value {
    let results: Vec<Value> = findings.iter().map(|(finding, help)| result(finding, help)).collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "musehub-server breakage",
                "version": env!("CARGO_PKG_VERSION"),
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": IssueType::ALL.map(rule),
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(kind: IssueType) -> Value {
    let (name, text) = match kind {
        IssueType::MissingModule => {
            ("MissingModule", "A module is gone, and importing the file fails for it.")
        }
        IssueType::MissingSymbol => ("MissingSymbol", "An attribute of an imported module is gone."),
        _ => (
            "StaleImport",
            "An import asks for a name that is gone, or for a module that is gone where it may run.",
        ),
    };
    json!({
        "id": kind.as_str(),
        "name": name,
        "shortDescription": { "text": text },
        "defaultConfiguration": { "level": level(kind.severity()) },
    })
}

fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

fn result(finding: &Finding, help: &Help) -> Value {
    let rule = IssueType::ALL.iter().position(|kind| *kind == finding.issue_type);
    let text = std::iter::once(finding.description.clone()).chain(print::sentences(help)).collect::<Vec<_>>();
    let mut result = json!({
        "ruleId": finding.issue_type.as_str(),
        "level": level(finding.severity),
        "message": { "text": text.join("\n") },
        "locations": [location(&finding.file_path, json!({ "startLine": finding.line, "startColumn": finding.column }))],
        // Stays the same when lines move.
        "partialFingerprints": { "subject/v1": format!("{}:{}", finding.issue_type.as_str(), finding.subject) },
    });
    if let Some(rule) = rule {
        result["ruleIndex"] = rule.into();
    }
    if let Some(place) = &help.moved_to {
        let mut place = location(&place.file_path, json!({ "startLine": place.line }));
        place["message"] = json!({ "text": "where it is now" });
        result["relatedLocations"] = json!([place]);
    }
    result
}

fn location(path: &str, region: Value) -> Value {
    let uri = utf8_percent_encode(path, PATH).to_string();
    json!({ "physicalLocation": {
        "artifactLocation": { "uri": uri, "uriBaseId": "%SRCROOT%" },
        "region": region,
    }})
}
