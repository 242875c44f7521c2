//! The report as JSON.

use serde::Serialize;
use std::collections::BTreeMap;

use crate::flow::scan::Report;

#[derive(Serialize)]
pub struct Document<'a> {
    version: u32,
    complete: bool,
    findings: Vec<Row<'a>>,
    scanned: u64,
    bytes: u64,
    accepted: u64,
    skipped: &'a BTreeMap<&'static str, u64>,
    unreadable: Vec<Unreadable<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    rule: &'a str,
    about: &'a str,
    path: String,
    line: u32,
    column: u32,
    end_line: u32,
    confidence: &'a str,
    redacted: &'a str,
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
}

#[derive(Serialize)]
struct Unreadable<'a> {
    path: String,
    reason: &'a str,
}

pub fn document(report: &Report) -> Document<'_> {
    let row = |located: &'_ crate::flow::scan::Located| located.finding.path.to_string();
    Document {
        version: 1,
        complete: !report.is_incomplete(),
        findings: report
            .findings
            .iter()
            .map(|l| Row {
                rule: &l.finding.rule,
                about: &l.finding.about,
                path: row(l),
                line: l.finding.line,
                column: l.finding.column,
                end_line: l.finding.end_line,
                confidence: l.finding.confidence.word(),
                redacted: &l.finding.redacted,
                fingerprint: l.finding.fingerprint.to_string(),
                commit: l.commit.as_deref(),
            })
            .collect(),
        scanned: report.scanned,
        bytes: report.bytes,
        accepted: report.accepted,
        skipped: &report.skipped,
        unreadable: report
            .unreadable
            .iter()
            .map(|(path, why)| Unreadable { path: path.to_string(), reason: why })
            .collect(),
    }
}
