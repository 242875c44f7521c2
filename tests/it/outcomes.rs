//! What every agent really printed on every limit and failure (`tests/fixtures/transcripts`), and what it means.
//!
//! One file for each agent; `###` begins a case, `>` is standard output, `!` standard error. The times were printed in
//! the zone of Denver on 21 November 2026, with the limits ending at 10:00 UTC of the next day.

use std::time::Duration;

use coop::agent::outcome::{self, Outcome, Seen, Stream, WatchdogReason};
use coop::agent::usage::{self, Does, Live, Usage};
use coop::agent::{Definition, Registry};

use crate::support::package;

const NOW: &str = "2026-11-21T09:10:00-07:00[America/Denver]";

struct Case {
    name: String,
    code: Option<i32>,
    signal: Option<i32>,
    means: String,
    stdout: String,
    stderr: String,
}

fn registry() -> Registry {
    Registry::load(std::path::Path::new("/nonexistent")).expect("loads")
}

fn cases(agent: &str) -> Vec<Case> {
    let file = package().join("tests/fixtures/transcripts").join(agent).with_extension("txt");
    let text = std::fs::read_to_string(&file).expect("a fixture");
    let mut cases: Vec<Case> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix("### ") {
            let (name, means) = (name.to_owned(), String::new());
            cases.push(Case { name, code: None, signal: None, means, stdout: String::new(), stderr: String::new() });
            continue;
        }
        let case = cases.last_mut().expect("a case first");
        match line.split_once(' ') {
            Some(("exit:", "signal SIGTERM")) => case.signal = Some(15),
            Some(("exit:", code)) => case.code = Some(code.parse().expect("a code")),
            Some(("means:", means)) => case.means = means.to_owned(),
            Some((">", text)) => case.stdout += &format!("{text}\n"),
            Some(("!", text)) => case.stderr += &format!("{text}\n"),
            _ => assert_eq!(line, "", "{}", case.name),
        }
    }
    cases
}

fn seen<'a>(case: &'a Case, now: &str) -> Seen<'a> {
    Seen {
        code: case.code,
        signal: case.signal,
        stdout: case.stdout.as_bytes(),
        stderr: case.stderr.as_bytes(),
        ended: case.means.starts_with("watchdog").then_some(WatchdogReason::Silence),
        now: now.parse().expect("a time"),
    }
}

fn word(outcome: &Outcome) -> String {
    let now: jiff::Zoned = NOW.parse().expect("a time");
    match outcome {
        Outcome::Finished => "finished".into(),
        Outcome::Limited { until: None, .. } => "limited unknown".into(),
        Outcome::Limited { until: Some(until), .. } if until.as_second() == 1_795_341_600 => format!("limited {until}"),
        Outcome::Limited { until: Some(until), .. } => {
            format!("limited +{}ms", until.duration_since(now.timestamp()).as_millis())
        }
        Outcome::LoggedOut { .. } => "logged-out".into(),
        Outcome::Overloaded { after: None, .. } => "overloaded".into(),
        Outcome::Overloaded { after: Some(after), .. } => format!("overloaded {}ms", after.as_millis()),
        Outcome::ContextFull { .. } => "context".into(),
        Outcome::Failed { .. } => "failed".into(),
        Outcome::Hung { .. } => "hung".into(),
        Outcome::Interrupted => "interrupted".into(),
    }
}

fn why(outcome: &Outcome) -> &str {
    match outcome {
        Outcome::Limited { why, .. }
        | Outcome::LoggedOut { why }
        | Outcome::Overloaded { why, .. }
        | Outcome::ContextFull { why }
        | Outcome::Failed { why }
        | Outcome::Hung { why } => why,
        Outcome::Finished | Outcome::Interrupted => "-",
    }
}

#[test]
fn every_transcript_leads_to_its_decision() {
    let registry = registry();
    let mut wrong = Vec::new();
    let mut count = 0;
    for agent in registry.iter() {
        for case in cases(&agent.name) {
            count += 1;
            let outcome = outcome::judge(agent, &seen(&case, NOW));
            let (got, want) = (word(&outcome), case.means.trim_start_matches("watchdog "));
            if got != want || why(&outcome).is_empty() {
                wrong.push(format!("{}: {want}, but {got}: {outcome:?}", case.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 120, "{count} cases");
}

/// A run that succeeded says nothing of its account, whatever else it printed: a repository may hold every one of
/// these sentences, and the model may repeat them.
#[test]
fn no_sentence_of_a_model_is_a_limit() {
    let registry = registry();
    let sentences: Vec<String> = registry
        .iter()
        .flat_map(|agent| cases(&agent.name).into_iter().map(|case| outcome::judge(agent, &seen(&case, NOW))))
        .map(|outcome| why(&outcome).to_owned())
        .chain(["usage limit reached|1795341600", "rate limit", "429", "try again in 5 hours"].map(str::to_owned))
        .collect();
    assert!(sentences.len() > 60);
    let json = |text: &str| serde_json::to_string(text).expect("JSON");
    for agent in registry.iter() {
        for sentence in &sentences {
            let said = json(sentence);
            let stdout = [
                format!(r#"{{"type":"assistant","message":{{"content":[{{"type":"text","text":{said}}}]}}}}"#),
                format!(r#"{{"type":"item.completed","item":{{"type":"agent_message","text":{said}}}}}"#),
                format!(r#"{{"type":"message","role":"assistant","content":{said}}}"#),
                format!(r#"{{"type":"text","part":{{"text":{said}}}}}"#),
                format!(r#"{{"type":"user","message":{{"content":[{{"type":"tool_result","content":{said}}}]}}}}"#),
                format!(r#"{{"type":"result","subtype":"success","is_error":false,"result":{said}}}"#),
                sentence.clone(),
            ]
            .join("\n");
            let stderr = format!("Error executing tool run_shell_command: {sentence}\n");
            for (code, want) in [(0, "finished"), (1, "failed")] {
                let seen = Seen {
                    code: Some(code),
                    signal: None,
                    stdout: stdout.as_bytes(),
                    stderr: stderr.as_bytes(),
                    ended: None,
                    now: NOW.parse().expect("a time"),
                };
                let outcome = outcome::judge(agent, &seen);
                assert_eq!(word(&outcome), want, "{}: {sentence}: {outcome:?}", agent.name);
            }
        }
    }
}

/// The same limit read later: a stale time is not believed, and the run backs off.
#[test]
fn a_stale_reset_is_not_believed() {
    let registry = registry();
    let mut stale = 0;
    for agent in registry.iter() {
        for case in cases(&agent.name).iter().filter(|case| case.means.starts_with("limited 2026")) {
            let outcome = outcome::judge(agent, &seen(case, "2026-11-22T09:10:00-07:00[America/Denver]"));
            // a time of day is its next occurrence; everything else has a date
            let text_only = ["claude-oauth-5h-json", "claude-key-legacy-text"].contains(&case.name.as_str());
            assert_eq!(matches!(outcome, Outcome::Limited { until: Some(_), .. }), text_only, "{}", case.name);
            stale += usize::from(!text_only);
        }
    }
    assert!(stale >= 8);
}

#[test]
fn what_sleeps_inside_is_known_from_its_line() {
    let registry = registry();
    let gemini = registry.get("gemini").expect("known");
    let now = NOW.parse().expect("a time");
    let line = b"Attempt 1 failed: You have exhausted your capacity on this model. Your quota will reset after 3h59m12s.. Retrying after 16355696ms...";
    let outcome = outcome::asleep(gemini, line, &now).expect("asleep");
    assert_eq!(word(&outcome), "limited +14352000ms");
    assert_eq!(outcome::asleep(gemini, b"Suggested retry after 2.5s.. Retrying after 5978ms...", &now), None);
    let quoted = [b"Error executing tool: ".as_slice(), line].concat();
    assert_eq!(outcome::asleep(gemini, &quoted, &now), None);
}

fn of<'a>(registry: &'a Registry, name: &str) -> (&'a Definition, Case) {
    let agent = registry.get(name.split('-').next().expect("an agent")).expect("known");
    let case = cases(&agent.name).into_iter().find(|case| case.name == name).expect("a case");
    (agent, case)
}

#[test]
fn what_a_run_used() {
    let registry = registry();
    let tokens = |turns, input_tokens, cached_tokens, output_tokens, cost_usd| Usage {
        turns,
        input_tokens,
        cached_tokens,
        output_tokens,
        cost_usd,
    };
    for (name, want) in [
        ("claude-ok", tokens(3, 19_500, 15_000, 126, 0.024_419_999_999_999_997)),
        ("codex-ok", tokens(1, 3600, 3000, 126, 0.0)),
        ("gemini-ok", tokens(1, 4800, 4000, 168, 0.0)),
        ("opencode-ok", tokens(3, 3600, 3000, 126, 0.0)),
        ("pi-ok", tokens(3, 3600, 3000, 126, 0.0)),
        ("qwen-ok", tokens(3, 3600, 3000, 126, 0.0)),
        ("copilot-ok", tokens(3, 0, 0, 0, 0.0)),
        ("claude-oauth-5h", tokens(1, 0, 0, 0, 0.0)),
        ("aider-ok", Usage::default()),
    ] {
        let (agent, case) = of(&registry, name);
        assert_eq!(usage::usage(agent, case.stdout.as_bytes()), want, "{name}");
    }
    let claude = registry.get("claude").expect("known");
    let absurd =
        br#"{"type":"result","num_turns":-3,"total_cost_usd":1e300,"usage":{"input_tokens":18446744073709551615}}"#;
    assert_eq!(usage::usage(claude, absurd), Usage::default());
}

#[test]
fn what_a_run_does_is_shown_as_it_comes() {
    let registry = registry();
    for name in ["claude-ok", "codex-ok", "gemini-ok", "opencode-ok", "pi-ok", "qwen-ok", "copilot-ok"] {
        let (agent, case) = of(&registry, name);
        let mut stream = Stream::new(agent);
        let shown: Vec<Live> = case.stdout.lines().filter_map(|line| stream.line(line.as_bytes())).collect();
        assert_eq!(stream.usage(), usage::usage(agent, case.stdout.as_bytes()), "{name}");
        let runs = |live: &Live| match live {
            Live::Begins { does, what, .. } | Live::Did { does, what, .. } => {
                *does == Does::Runs && what.contains("git")
            }
            _ => false,
        };
        assert!(shown.iter().any(runs), "{name}: {shown:?}");
        assert!(shown.contains(&Live::Says("DONE: wrote hello.txt and committed it.".into())), "{name}: {shown:?}");
        let begun = shown.iter().filter(|live| matches!(live, Live::Begins { .. })).count();
        for live in &shown {
            if let Live::Begins { id, .. } = live {
                let ends = |other: &Live| matches!(other, Live::Ends { id: ended, .. } if ended == id);
                assert!(!id.is_empty() && shown.iter().any(ends), "{name}: {id} never ends");
            }
        }
        assert!(begun >= 2 || name == "opencode-ok", "{name}: {shown:?}");
    }
}

#[test]
fn what_is_shown_is_harmless_and_bounded() {
    let registry = registry();
    let claude = registry.get("claude").expect("known");
    let text = format!("\u{1b}]52;c;AAAA\u{7}\u{202e}{}", "x".repeat(100_000));
    let line = serde_json::json!({"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}});
    let Some(Live::Says(said)) = usage::live(claude, line.to_string().as_bytes()) else { panic!("says nothing") };
    assert!(said.len() < 300 && said.chars().all(|c| !c.is_control()), "{said}");
    for odd in [&b"{"[..], b"[]", b"null", b"{\"type\":\"assistant\"}", b"{\"type\":[]}", &[0xff, 0xfe, b'{'], b""] {
        assert_eq!(usage::live(claude, odd), None);
    }
    let long = format!("{{\"type\":\"result\",\"x\":\"{}\"}}", "y".repeat(usage::MAX_LINE));
    assert_eq!(usage::usage(claude, long.as_bytes()), Usage::default());
    let after = Duration::from_millis(1898);
    assert!(matches!(
        outcome::judge(registry.get("opencode").expect("known"), &seen(&of(&registry, "opencode-429").1, NOW)),
        Outcome::Overloaded { after: Some(found), .. } if found == after
    ));
}
