//! `git coop fork logs`.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::time::Duration;

use crate::error::{Context as _, Error, Kind, Result};
use crate::flow::drain::detach;
use crate::flow::fork::{lock_path, log_path};
use crate::flow::lock::Lock;
use crate::ui::text::printable_lines;

use super::super::{Command, Context, out};

/// Show what the last run printed
///
/// Control characters are escaped: the log is what the box wrote.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Name of the fork
    name: String,
    /// Go on until the run ends
    #[arg(long, short)]
    follow: bool,
    /// What the last agent of a detached loop printed, instead of what the loop did
    #[arg(long)]
    agent: bool,
    /// The bytes as they are
    #[arg(long)]
    raw: bool,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        let (coop, fork) = super::load(context, &self.name)?;
        // a detached loop says more than what its last agent printed
        let of_loop = detach::log_path(&coop, &fork.name)?;
        let path = if of_loop.exists() && !self.agent { of_loop } else { log_path(&coop, &fork.name) };
        let mut file = File::open(&path).map_err(|err| match err.kind() {
            std::io::ErrorKind::NotFound => Error::no(format!("fork '{}' has no log yet", fork.name))
                .hint(format!("git coop fork {} AGENT", fork.name)),
            _ => Error::new(Kind::Bug, "cannot read the log").because(err),
        })?;
        let mut rest = Vec::new();
        loop {
            let alive = self.follow && Lock::is_held(&lock_path(&coop, &fork.name));
            let mut buffer = [0u8; 64 << 10];
            loop {
                let n = file.read(&mut buffer).or_bug("cannot read the log")?;
                if n == 0 {
                    break;
                }
                self.show(&buffer[..n], &mut rest)?;
            }
            if !alive {
                return self.flush(&rest).map(|()| 0);
            }
            std::thread::sleep(Duration::from_millis(200));
            // a run that started meanwhile begins its log anew
            let position = file.stream_position().or_bug("cannot read the log")?;
            if std::fs::metadata(&path).is_ok_and(|m| m.len() < position) {
                file = File::open(&path).or_bug("cannot read the log")?;
                file.seek(SeekFrom::Start(0)).or_bug("cannot read the log")?;
            }
        }
    }
}

impl Args {
    /// Whole lines only are escaped, so that a character split between two reads stays one.
    fn show(&self, bytes: &[u8], rest: &mut Vec<u8>) -> Result<()> {
        if self.raw {
            return out::write(|stdout| stdout.write_all(bytes));
        }
        rest.extend_from_slice(bytes);
        let whole = rest.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        if whole == 0 && rest.len() < 1 << 20 {
            return Ok(());
        }
        let whole = if whole == 0 { rest.len() } else { whole };
        let text = shown(&rest[..whole]);
        rest.drain(..whole);
        out::write(|stdout| stdout.write_all(text.as_bytes()))
    }
    fn flush(&self, rest: &[u8]) -> Result<()> {
        out::write(|stdout| stdout.write_all(shown(rest).as_bytes()))
    }
}

fn shown(bytes: &[u8]) -> String {
    printable_lines(&String::from_utf8_lossy(bytes).replace("\r\n", "\n"))
}
