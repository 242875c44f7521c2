//! The report as SARIF 2.1.0 (OASIS standard), with fingerprints that do not depend on line numbers.

use serde_json::{Value, json};

use crate::flow::scan::{Located, Report};
use crate::secret::scan::{Confidence, RuleSet};

pub fn document(report: &Report) -> Value {
    let mut used: Vec<&str> = report.findings.iter().map(|l| l.finding.rule.as_str()).collect();
    used.sort_unstable();
    used.dedup();
    let all = RuleSet::built_in();
    let about = all.describe();
    let rules: Vec<Value> = used
        .iter()
        .map(|id| json!({"id": id, "shortDescription": {"text": about.get(id).copied().unwrap_or(id)}}))
        .collect();
    let results: Vec<Value> = report.findings.iter().map(|l| result(l, &used)).collect();
    let notes: Vec<Value> = report
        .unreadable
        .iter()
        .map(|(path, why)| json!({"level": "error", "message": {"text": format!("{path}: {why}")}}))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {"name": "git-coop scan", "version": env!("CARGO_PKG_VERSION"), "rules": rules}},
            "columnKind": "unicodeCodePoints",
            "invocations": [{"executionSuccessful": !report.is_incomplete(), "toolExecutionNotifications": notes}],
            "results": results,
        }],
    })
}

fn result(located: &Located, used: &[&str]) -> Value {
    let f = &located.finding;
    let level = if f.confidence >= Confidence::High { "error" } else { "warning" };
    let mut out = json!({
        "ruleId": f.rule,
        "ruleIndex": used.binary_search(&f.rule.as_str()).unwrap_or_default(),
        "level": level,
        "message": {"text": format!("{}: {}", f.about, f.redacted)},
        "locations": [{"physicalLocation": {
            "artifactLocation": {"uri": uri(&f.path)},
            "region": {"startLine": f.line, "startColumn": f.column_in_points, "endLine": f.end_line},
        }}],
        "partialFingerprints": {"coopValue/v1": f.fingerprint.to_string()},
    });
    if let Some(commit) = &located.commit {
        out["properties"] = json!({"commit": commit});
    }
    out
}

/// A relative URI reference: everything but unreserved characters and `/` is percent-encoded (RFC 3986).
fn uri(path: &[u8]) -> String {
    let mut out = String::with_capacity(path.len());
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn any_byte_is_a_valid_uri() {
        assert_eq!(super::uri(b"a b/\xff:c"), "a%20b/%FF%3Ac");
    }
}
