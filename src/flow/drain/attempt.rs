//! One run of an agent: a fresh box, one prompt, its output to files that are read while they grow.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::agent::Definition;
use crate::agent::outcome::{Outcome, Seen, Stream, WatchdogReason, ZONE, asleep};
use crate::agent::usage::Usage;
use crate::error::{Context as _, Error, Kind, Result};
use crate::sandbox::interrupts::{Asked as Interrupted, Interrupts};
use crate::sandbox::io::{Ended, How, Io, Log, Out, Tick, Wish};
use crate::sandbox::runtime::Usable;
use crate::sandbox::spec::Mount;

use super::super::fork::finish::Report;
use super::super::fork::work::{self, Opened};
use super::super::session::{Asked, Job, LOG_LIMIT, Program};
use super::super::{Coop, fork};
use super::view::View;
use super::watchdog::{Patience, Watchdog};

/// More structured output than this ends the box (bytes).
const MAX_OUTPUT: u64 = 256 << 20;
/// More complaints than this end the box (bytes).
const MAX_STDERR: u64 = 64 << 20;
/// How much of the end of standard error is looked at (bytes).
const STDERR_TAIL: u64 = 256 << 10;
/// The longest line that is put together while the output grows (bytes).
const MAX_LINE: usize = 4 << 20;

/// Puts the work tree to where the private git directory is: files of an earlier task that nobody committed go, ignored
/// ones (caches of a build) stay. Paths that are hidden from boxes cannot be touched, and need not be.
pub const CLEAN: &str = "git ls-files -mdz 2>/dev/null | git checkout-index -qf -z --stdin 2>/dev/null\n\
    git clean -ffdq 2>/dev/null";

/// What to run.
pub struct Order<'a> {
    /// The agent.
    pub definition: &'a Definition,
    /// Its account.
    pub profile: Option<String>,
    /// What it is told.
    pub prompt: String,
    /// Whether what an earlier run left in the work tree goes first.
    pub clean: bool,
    /// The work tree and its git directory cannot be written.
    pub read_only: bool,
    /// More mounts.
    pub mounts: Vec<Mount>,
    /// How long it may take.
    pub patience: Patience,
}

/// How it went.
pub struct Ran {
    /// What its end means for the account. It never means that the task is done.
    pub outcome: Outcome,
    /// What it used.
    pub usage: Usage,
    /// Seconds it took, box included.
    pub seconds: u64,
    /// What came back; the error is one of git's about what the box wrote.
    pub report: Result<Report>,
    /// Somebody asked the loop to stop now.
    pub stopped: bool,
}

/// Runs the agent in the fork, before a person who looks and can interrupt. Errors: what keeps every box from starting.
pub fn run(
    coop: &Coop,
    usable: &Usable,
    opened: &mut Opened,
    order: Order<'_>,
    (view, interrupts): (View, &Interrupts),
) -> Result<Ran> {
    let started = Instant::now();
    let own = fork::own_dir(coop, &opened.fork.name);
    let (out_path, err_path) = (own.join("agent.out"), own.join("agent.err"));
    let (out, err) = (create(&out_path)?, create(&err_path)?);
    let definition = order.definition;
    let mut watch = Watch {
        stream: Stream::new(definition),
        dog: Watchdog::new(order.patience),
        out: Tail::open(&out_path)?,
        err: Tail::open(&err_path)?,
        structured: definition.usage.is_some() || !definition.live.event.is_empty(),
        definition,
        ended: None,
        slept: None,
        view,
        interrupts,
        told: false,
    };
    let asked = Asked {
        name: definition.name.clone(),
        profile: order.profile,
        prompt: Some(order.prompt.into()),
        fork: Some(opened.fork.name.to_string()),
        ..Asked::default()
    };
    let mut env = vec![(ZONE.0.to_owned(), ZONE.1.into())];
    if order.read_only {
        env.push(("GIT_OPTIONAL_LOCKS".into(), "0".into()));
    }
    let job = Job {
        purpose: "agent",
        program: Program::Agent(asked),
        env,
        mounts: order.mounts,
        read_only: order.read_only,
        before: order.clean.then_some(CLEAN),
        ..Job::default()
    };
    let mut tick = |tick: Tick| watch.tick(tick);
    let ended = work::run_with(coop, usable, opened, &definition.name, job, |log| {
        Ok(Io {
            stdout: Out::File { file: out, limit: MAX_OUTPUT },
            stderr: Out::File { file: err, limit: MAX_STDERR },
            log: Some(Log { file: log, limit: LOG_LIMIT }),
            tick: Some(&mut tick),
            is_work: true,
            ..Io::default()
        })
    });
    watch.view.settle();
    let (ended, report) = match ended {
        Ok((ended, report)) => (Some(ended), Ok(report)),
        // what came back is no good; how the program ended does not matter then
        Err(err) if err.kind() == Kind::No => (None, Err(err)),
        Err(err) => return Err(err),
    };
    watch.rest();
    let stopped = ended.as_ref().is_some_and(|ended| ended.how == How::Interrupted);
    let outcome = watch.outcome(ended.as_ref(), &err_path)?;
    Ok(Ran { outcome, usage: watch.stream.usage(), seconds: started.elapsed().as_secs(), report, stopped })
}

fn create(path: &Path) -> Result<File> {
    File::create(path).or_bug(format!("cannot write '{}'", path.display()))
}

struct Watch<'a> {
    definition: &'a Definition,
    stream: Stream<'a>,
    dog: Watchdog,
    out: Tail,
    err: Tail,
    /// The agent prints events, and only they count.
    structured: bool,
    ended: Option<WatchdogReason>,
    slept: Option<Outcome>,
    view: View,
    interrupts: &'a Interrupts,
    /// The person knows what one interrupt means.
    told: bool,
}

impl Watch<'_> {
    fn tick(&mut self, tick: Tick) -> Wish {
        self.read(tick.elapsed);
        if !self.told && self.interrupts.asked() == Interrupted::Finish {
            self.told = true;
            self.view.say("the loop ends after this task; interrupt it again to end it now");
        }
        self.view.progress(&self.definition.name, tick.elapsed, &self.stream.usage());
        if !self.structured && tick.silent < Duration::from_secs(1) {
            self.dog.event(tick.elapsed, None);
        }
        if self.ended.is_none() {
            self.ended = self.dog.bites(tick.elapsed);
        }
        if self.ended.is_some() { Wish::Stop } else { Wish::Continue }
    }

    fn read(&mut self, at: Duration) {
        while let Some(line) = self.out.line() {
            let event = line.trim_ascii_start().starts_with(b"{");
            let live = self.stream.line(&line);
            if event || live.is_some() {
                self.dog.event(at, live.as_ref());
            }
            if let Some(live) = &live {
                self.view.live(live);
            }
        }
        while let Some(line) = self.err.line() {
            let now = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
            if let Some(outcome) = asleep(self.definition, &line, &now) {
                self.ended = Some(WatchdogReason::Asleep);
                self.slept = Some(outcome);
            }
        }
    }

    /// What was printed after the last tick.
    fn rest(&mut self) {
        self.read(Duration::ZERO);
        if let Some(line) = self.out.last() {
            self.stream.line(&line);
        }
    }

    fn outcome(&mut self, ended: Option<&Ended>, stderr: &Path) -> Result<Outcome> {
        if let Some(outcome) = self.slept.take() {
            return Ok(outcome);
        }
        let Some(ended) = ended else { return Ok(Outcome::Finished) };
        if ended.how == How::OutputLimit {
            return Ok(Outcome::Failed { why: "it printed too much".into() });
        }
        let mut file = File::open(stderr).or_bug("cannot read what the agent printed")?;
        let length = file.metadata().map_or(0, |m| m.len());
        file.seek(SeekFrom::Start(length.saturating_sub(STDERR_TAIL))).or_bug("cannot read what the agent printed")?;
        let mut tail = Vec::new();
        file.take(STDERR_TAIL).read_to_end(&mut tail).or_bug("cannot read what the agent printed")?;
        let outcome = self.stream.judge(&Seen {
            code: Some(ended.status),
            signal: None,
            stdout: b"",
            stderr: &tail,
            ended: self.ended,
            now: Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC),
        });
        // nobody asked it to end: a program that says so has failed
        Ok(match outcome {
            Outcome::Interrupted if ended.how != How::Interrupted => Outcome::Failed { why: "it was ended".into() },
            other => other,
        })
    }
}

/// Whole lines of a file that grows.
struct Tail {
    file: File,
    rest: Vec<u8>,
    /// A line that was too long is being skipped.
    skipping: bool,
}

impl Tail {
    fn open(path: &Path) -> Result<Tail> {
        let file = File::open(path).map_err(|err| Error::bug("cannot read what the agent prints").because(err))?;
        Ok(Tail { file, rest: Vec::new(), skipping: false })
    }
    fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = memchr::memchr(b'\n', &self.rest) {
                let line: Vec<u8> = self.rest.drain(..=at).collect();
                if !std::mem::take(&mut self.skipping) {
                    return Some(line);
                }
                continue;
            }
            if self.rest.len() > MAX_LINE {
                self.rest.clear();
                self.skipping = true;
            }
            let mut buffer = [0u8; 64 << 10];
            match self.file.read(&mut buffer) {
                Ok(count) if count > 0 => self.rest.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
    }
    fn last(&mut self) -> Option<Vec<u8>> {
        let rest = std::mem::take(&mut self.rest);
        (!rest.is_empty() && !self.skipping).then_some(rest)
    }
}
