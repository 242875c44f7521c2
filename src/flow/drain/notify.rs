//! `coop.notify`: a command of the user's configuration, run on the host when a loop ends, parks or blocks a task.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::super::Coop;

/// It may take this long.
const MAX_TIME: Duration = Duration::from_secs(30);

/// Runs it with `COOP_EVENT`, `COOP_NAME` and `COOP_TEXT`. That it fails is said and changes nothing.
pub fn notify(coop: &Coop, event: &str, name: &str, text: &str) {
    let Some(command) = coop.settings.get("COOP_NOTIFY") else { return };
    let spawned = Command::new("sh")
        .args(["-c", command])
        .env_clear()
        .envs(coop.env.iter())
        .env("COOP_EVENT", event)
        .env("COOP_NAME", name)
        .env("COOP_TEXT", crate::ui::text::printable(text))
        .current_dir("/") // never a directory that a box writes
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let Ok(mut child) = spawned else {
        eprintln!("warning: coop.notify could not be started");
        return;
    };
    let end = Instant::now() + MAX_TIME;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return,
            Ok(None) if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                eprintln!("warning: coop.notify took longer than 30 seconds");
                return;
            }
            _ => {
                eprintln!("warning: coop.notify failed");
                return;
            }
        }
    }
}
