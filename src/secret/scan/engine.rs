//! One pass over a buffer: triggers from the literal sets, then the parsers that know what to look for there.

use std::ops::Range;
use std::sync::OnceLock;

use aho_corasick::packed;
use memchr::memmem;

use super::checksum::{Check, Verdict};
use super::context::Keyed;
use super::finding::Confidence;
use super::placeholder;
use super::prefix::Heads;
use super::rules::{Rule, RuleSet};
use super::structural;

/// Which detector found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Index into the rule table.
    Table(u16),
    /// One of [`super::rules::BUILT_IN`].
    BuiltIn(&'static str),
}

/// A secret in a buffer, as offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The detector.
    pub which: Which,
    /// Where the value is.
    pub span: Range<usize>,
    /// How many bytes of it are the provider's prefix.
    pub prefix: usize,
    /// How sure.
    pub confidence: Confidence,
}

/// What a literal calls for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Act {
    /// Literal number `.1` of rule `.0`.
    Rule(u16, u8),
    /// A word that a telling name may hold.
    Name,
    /// `Bearer`, `Basic`, `Token` in a header.
    Bearer,
    Basic,
    /// `BEGIN `.
    Armour,
    /// `kty`.
    Jwk,
    /// `curl`, `docker login`, …
    Command,
    /// `kind: Secret`.
    Kubernetes,
    /// `://`.
    Url,
}

/// The longest stretch that is searched before its triggers are handled: fits the second-level cache.
const BLOCK: usize = 64 * 1024;

/// The compiled scanner; see [`super::Scanner`].
#[derive(Debug)]
pub struct Engine {
    pub(super) rules: RuleSet,
    heads: Heads<Act>,
    joined: Option<packed::Searcher>,
    joined_acts: Vec<Act>,
    url: memmem::Finder<'static>,
    keyed: OnceLock<Keyed>,
}

/// Which tiers apply to a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything.
    Full,
    /// Provider formats and key armour only: binaries, lock files, source maps.
    Formats,
}

impl Engine {
    /// Compiles the literal sets.
    pub fn new(rules: RuleSet) -> Engine {
        let mut heads: Vec<(Vec<u8>, Vec<u8>, Act)> = Vec::new();
        let mut joined: Vec<Vec<u8>> = Vec::new();
        let mut joined_acts = Vec::new();
        for (index, rule) in rules.rules().iter().enumerate().filter(|(i, _)| rules.is_on(*i)) {
            for (nth, literal) in rule.prefixes.iter().enumerate() {
                let act = Act::Rule(index as u16, nth as u8);
                if rule.infix {
                    joined.push(literal.clone().into_bytes());
                    joined_acts.push(act);
                } else {
                    let follow = rule.body.first().map(|s| s.bytes().collect()).unwrap_or_default();
                    heads.push((literal.clone().into_bytes(), follow, act));
                }
            }
        }
        for word in NAMES {
            for form in forms(word) {
                heads.push((form, Vec::new(), Act::Name));
            }
        }
        for word in JOINED {
            for form in [word.to_ascii_lowercase(), word.to_ascii_uppercase()] {
                joined.push(form.into_bytes());
                joined_acts.push(Act::Name);
            }
        }
        for (word, act) in [
            ("bearer", Act::Bearer),
            ("basic", Act::Basic),
            ("kty", Act::Jwk),
            ("curl", Act::Command),
            ("sshpass", Act::Command),
            ("login", Act::Command),
        ] {
            heads.extend(forms(word).into_iter().map(|form| (form, Vec::new(), act)));
        }
        heads.push((b"BEGIN ".to_vec(), Vec::new(), Act::Armour));
        heads.push((b"kind: Secret".to_vec(), Vec::new(), Act::Kubernetes));
        let heads = Heads::new(heads.iter().map(|(l, f, a)| (l.as_slice(), f.clone(), *a)));
        let mut builder = packed::Config::new().match_kind(packed::MatchKind::LeftmostFirst).builder();
        builder.extend(&joined);
        Engine {
            rules,
            heads,
            joined: builder.build(),
            joined_acts,
            url: memmem::Finder::new("://"),
            keyed: OnceLock::new(),
        }
    }

    /// The rules it was made of.
    pub fn rules(&self) -> &RuleSet {
        &self.rules
    }

    pub(super) fn keyed(&self) -> &Keyed {
        self.keyed.get_or_init(|| Keyed::new(&self.rules))
    }

    /// All hits in `text`, best ones only where they overlap, in order.
    pub fn scan(&self, text: &[u8], depth: Depth) -> Vec<Hit> {
        let mut hits = Vec::new();
        let mut triggers: Vec<(usize, Act)> = Vec::new();
        let mut runs = Vec::new();
        let mut names = super::names::Names::default();
        let mut at = 0;
        while at < text.len() {
            let to = text.len().min(at + BLOCK);
            triggers.clear();
            runs.clear();
            self.heads.find(text, at, to, &mut runs, &mut |pos, act| triggers.push((pos, act)));
            self.joined_in(text, at, to, &mut triggers);
            if depth == Depth::Full {
                triggers.extend(self.url.find_iter(&text[at..text.len().min(to + 2)]).map(|pos| (at + pos, Act::Url)));
            }
            triggers.sort_unstable_by_key(|t| t.0);
            for (pos, act) in &triggers {
                self.act(text, *pos, *act, depth, &mut names, &mut hits);
            }
            if depth == Depth::Full {
                runs.iter().for_each(|start| super::runs::look(self, text, *start, &mut hits));
            }
            at = to;
        }
        self.whole(text, depth, &mut hits);
        super::overlap::resolve(hits)
    }

    /// What is known by the shape of the whole file.
    fn whole(&self, text: &[u8], depth: Depth, hits: &mut Vec<Hit>) {
        let found = match depth {
            Depth::Full => {
                vec![("pgpass-password", super::files::pgpass(text)), ("htpasswd-hash", super::files::htpasswd(text))]
            }
            Depth::Formats => vec![("key-store", super::files::key_store(text).into_iter().collect())],
        };
        for (id, spans) in found.into_iter().filter(|(id, _)| self.rules.is_on_built_in(id)) {
            let hit = |span| Hit { which: Which::BuiltIn(id), span, prefix: 0, confidence: Confidence::High };
            hits.extend(spans.into_iter().map(hit));
        }
    }

    fn joined_in(&self, text: &[u8], from: usize, to: usize, triggers: &mut Vec<(usize, Act)>) {
        let Some(searcher) = &self.joined else { return };
        // a literal may straddle the end of the block
        let end = text.len().min(to + 16);
        for found in searcher.find_iter(&text[from..end]) {
            let pos = from + found.start();
            if pos < to {
                triggers.push((pos, self.joined_acts[found.pattern().as_usize()]));
            }
        }
    }

    fn act(
        &self,
        text: &[u8],
        pos: usize,
        act: Act,
        depth: Depth,
        names: &mut super::names::Names,
        hits: &mut Vec<Hit>,
    ) {
        let mut built_in = |id: &'static str, span: Option<structural::Span>| {
            if let Some((span, confidence)) = span.filter(|_| self.rules.is_on_built_in(id)) {
                hits.push(Hit { which: Which::BuiltIn(id), span, prefix: 0, confidence });
            }
        };
        match act {
            Act::Rule(rule, literal) => hits.extend(self.token(text, pos, rule, usize::from(literal))),
            Act::Armour => {
                if starts_with(text, pos, b"BEGIN ") {
                    built_in("private-key", structural::private_key(text, pos));
                }
            }
            _ if depth == Depth::Formats => {}
            Act::Name => {
                names.handle(self, text, pos, hits);
            }
            Act::Url => built_in("url-credentials", structural::url(text, pos)),
            Act::Bearer => {
                if lower_starts_with(text, pos, b"bearer") {
                    built_in("authorization-header", structural::header(text, pos + 6, false));
                }
            }
            Act::Basic => {
                if lower_starts_with(text, pos, b"basic") {
                    built_in("authorization-header", structural::header(text, pos + 5, true));
                }
            }
            Act::Kubernetes => {
                if starts_with(text, pos, b"kind: Secret\n") {
                    for span in super::files::kubernetes(text, pos) {
                        built_in("kubernetes-secret", Some((span, Confidence::High)));
                    }
                }
            }
            Act::Jwk => built_in("jwk-private-key", structural::jwk(text, pos)),
            Act::Command => {
                let word = [&b"curl"[..], b"sshpass", b"login"].into_iter().find(|w| lower_starts_with(text, pos, w));
                if let Some(word) = word {
                    built_in("command-line-password", structural::command_line(text, pos + word.len()));
                }
            }
        }
    }

    /// The token whose literal may start at `pos`.
    fn token(&self, text: &[u8], pos: usize, index: u16, literal: usize) -> Option<Hit> {
        let rule = &self.rules.rules()[usize::from(index)];
        let prefix = rule.prefixes[literal].as_bytes();
        if !starts_with(text, pos, prefix) {
            return None;
        }
        let body = pos + prefix.len();
        let end = rule.body.match_at(text, body)?;
        if !rule.body.ends_before(text.get(end).copied()) {
            return None;
        }
        let start = match &rule.before {
            Some(before) => before.match_back(text, pos)?,
            None => pos,
        };
        let secret = if rule.before.is_some() { start..end } else { body..end };
        if placeholder::distinct(&text[secret.clone()]) < rule.floor || is_filler(&text[secret]) {
            return None;
        }
        let shown = if rule.before.is_some() { 0 } else { prefix.len() };
        let token = &text[start..end];
        let example = rule.check == Check::AwsId && token.ends_with(b"EXAMPLE");
        let confidence = if example { Confidence::Low } else { checked(rule, token, shown) };
        Some(Hit { which: Which::Table(index), span: start..end, prefix: shown, confidence })
    }
}

/// The rule's confidence after its offline test.
pub(super) fn checked(rule: &Rule, token: &[u8], prefix: usize) -> Confidence {
    match if rule.check == Check::None { Verdict::Unknown } else { rule.check.run(token, prefix) } {
        Verdict::Valid => Confidence::Certain,
        Verdict::Invalid => rule.sure.lowered(),
        Verdict::Unknown => rule.sure,
    }
}

/// `xxxxxxxx` and the like after a real prefix.
fn is_filler(body: &[u8]) -> bool {
    let same = |b: u8| body.iter().filter(|x| x.eq_ignore_ascii_case(&b)).count() * 10 >= body.len() * 6;
    !body.is_empty() && (same(b'x') || same(b'*') || same(b'.') || same(b'0') || same(b'a'))
}

fn starts_with(text: &[u8], pos: usize, literal: &[u8]) -> bool {
    text.get(pos..pos + literal.len()) == Some(literal)
}

fn lower_starts_with(text: &[u8], pos: usize, literal: &[u8]) -> bool {
    text.get(pos..pos + literal.len()).is_some_and(|t| t.eq_ignore_ascii_case(literal))
}

/// Starts of words that may tell of a secret; the name is judged whole afterwards.
const NAMES: &[&str] = &[
    "key", "pwd", "pass", "psw", "auth", "cred", "priv", "salt", "sign", "seed", "dsn", "pat", "secret", "token",
    "access", "license", "webhook", "api", "bearer", "login", "unseal", "session",
];

/// Words that are searched inside longer words as well.
const JOINED: &[&str] = &["secret", "token", "passw", "apikey"];

fn forms(word: &str) -> [Vec<u8>; 3] {
    let mut title = word.as_bytes().to_vec();
    title[0] = title[0].to_ascii_uppercase();
    [word.as_bytes().to_vec(), word.to_ascii_uppercase().into_bytes(), title]
}
