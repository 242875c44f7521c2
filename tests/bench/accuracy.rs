//! Precision and recall on a labelled corpus: `COOP_CORPUS=dev.jsonl cargo bench --bench accuracy`.
//!
//! The corpus has one JSON object per line: `source`, `rule`, `text` (base64), `is_secret`. Only the half that was held
//! back while the rules were written is scored (SHA-256 of the trimmed text is odd); `COOP_HALF=tune` scores the other one.
//! A hit anywhere in the sample counts. A text counts once per source, and not at all where it is labelled both ways (a negative
//! for one rule is often a positive of another).

use std::collections::{BTreeMap, BTreeSet};

use bstr::ByteSlice as _;
use coop::secret::scan::{Confidence, Engine, RuleSet, Which, text};
use sha2::{Digest as _, Sha256};

#[derive(serde::Deserialize)]
struct Row {
    source: String,
    rule: String,
    text: String,
    is_secret: bool,
}

#[derive(Default, Clone, Copy)]
struct Score {
    tp: u32,
    fn_: u32,
    fp: u32,
    tn: u32,
}

impl Score {
    fn add(&mut self, secret: bool, hit: bool) {
        *match (secret, hit) {
            (true, true) => &mut self.tp,
            (true, false) => &mut self.fn_,
            (false, true) => &mut self.fp,
            (false, false) => &mut self.tn,
        } += 1;
    }
    fn line(&self) -> String {
        let (tp, fp, fn_) = (f64::from(self.tp), f64::from(self.fp), f64::from(self.fn_));
        let share = |part: f64, all: f64| if all == 0.0 { 0.0 } else { 100.0 * part / all };
        let (p, r) = (share(tp, tp + fp), share(tp, tp + fn_));
        let f1 = if p + r == 0.0 { 0.0 } else { 2.0 * p * r / (p + r) };
        format!("TP {:5} FN {:5} FP {:4} TN {:4}  P {p:5.1} R {r:5.1} F1 {f1:5.1}", self.tp, self.fn_, self.fp, self.tn)
    }
}

/// Prefixes of well-known providers: the slice in which formats, not context, decide.
const SLICE: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "ghr_",
    "ghu_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxp-",
    "xoxa-",
    "hooks.slack.com",
    "sk_live_",
    "rk_live_",
    "sk_test_",
    "AIza",
    "ya29.",
    "GOCSPX-",
    "SG.",
    "npm_",
    "pypi-AgE",
    "rubygems_",
    "dckr_pat_",
    "hf_",
    "sk-ant-",
    "sk-proj-",
    "T3BlbkFJ",
    "gsk_",
    "pplx-",
    "dop_v1_",
    "shpat_",
    "shpss_",
    "shpca_",
    "sq0csp-",
    "sq0atp-",
    "EAAC",
    "lin_api_",
    "ntn_",
    "PMAK-",
    "NRAK-",
    "glsa_",
    "sntrys_",
    "hvs.",
    "dp.pt.",
    "pul-",
    "tfp_",
    "figd_",
    "AGE-SECRET-KEY-1",
    "xkeysib-",
    "key-",
    "dapi",
    "LTAI",
    "CLOJARS_",
    "AKCp",
    "ATATT3",
];

fn main() {
    #[allow(clippy::disallowed_methods)] // a program of its own, not the library
    let var = |name: &str| std::env::var(name).ok();
    let Some(path) = var("COOP_CORPUS") else {
        println!("accuracy: skipped, COOP_CORPUS names no corpus");
        return;
    };
    let (tune, list) = (var("COOP_HALF").is_some_and(|h| h == "tune"), var("COOP_LIST"));
    let corpus = std::fs::read_to_string(&path).expect("the corpus is readable");
    let engine = Engine::new(RuleSet::built_in());
    let rows: Vec<(Row, Vec<u8>)> = corpus
        .lines()
        .map(|line| {
            let row: Row = serde_json::from_str(line).expect("a row of the corpus");
            let bytes = data_encoding::BASE64.decode(row.text.as_bytes()).expect("base64");
            (row, bytes)
        })
        .collect();
    let mut labels: BTreeMap<&[u8], [bool; 2]> = BTreeMap::new();
    for (row, bytes) in &rows {
        labels.entry(bytes.trim()).or_default()[usize::from(row.is_secret)] = true;
    }
    let mut scores: BTreeMap<&str, Score> = BTreeMap::new();
    let mut seen: BTreeSet<&[u8]> = BTreeSet::new();
    let mut seen_of: BTreeSet<(&str, &[u8])> = BTreeSet::new();
    for (row, bytes) in &rows {
        if labels[bytes.trim()] == [true, true] || !seen_of.insert((&row.source, bytes.trim())) {
            continue;
        }
        let first = seen.insert(bytes.trim());
        let odd = Sha256::digest(bytes.trim())[0] % 2 == 1;
        if odd == tune {
            continue;
        }
        let hits = engine.scan(bytes, text::kind("sample".into(), bytes).depth());
        let hit = hits.iter().find(|h| h.confidence > Confidence::Low);
        if tune
            && list.as_deref().is_some_and(|l| {
                (l == "fn" && row.is_secret && hit.is_none()) || (l == "fp" && !row.is_secret && hit.is_some())
            })
        {
            let by = hit.map(|h| match h.which {
                Which::Table(i) => engine.rules().rules()[usize::from(i)].id.clone(),
                Which::BuiltIn(id) => id.to_owned(),
            });
            let value = hit.map(|h| bytes[h.span.clone()].as_bstr().to_string());
            println!("{} {} {by:?} {value:?} {:?}", row.source, row.rule, bytes[..bytes.len().min(300)].as_bstr());
        }
        scores.entry(&row.source).or_default().add(row.is_secret, hit.is_some());
        if first {
            scores.entry("ALL").or_default().add(row.is_secret, hit.is_some());
        }
        if first && SLICE.iter().any(|p| bytes.find(p).is_some()) {
            scores.entry("(prefix slice)").or_default().add(row.is_secret, hit.is_some());
        }
    }
    for (source, score) in &scores {
        println!("{source:16} {}", score.line());
    }
}
