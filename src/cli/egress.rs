//! `git coop egress`.

use serde::Serialize;

use crate::error::{Error, Result};
use crate::exit;
use crate::flow::egress::log;
use crate::sandbox::egress::rule::SETS;
use crate::state::egress::Run;
use crate::ui::text::{count, printable};

use super::{Command, Context, out};

/// What boxes may reach of the network, and what they reached
///
/// COOP_EGRESS (coop.egress) says it. `open`: the runtime's own network. `none`: nothing. `allowlist` and `public` give
/// the box no network at all; a proxy in the process that started it is all it reaches, by HTTP_PROXY and HTTPS_PROXY.
/// `allowlist` lets through the launched agent's own model and what coop.allowHost lists; `public` every public host.
/// With both, names are resolved outside of the box, and addresses that are private, link-local (cloud metadata) or
/// this machine's own are refused.
///
/// coop.allowHost takes `example.com` (ports 443 and 80), `example.com:8443`, `*.example.com` (a whole label or more in
/// front, not the name itself), an address, a set of `git coop egress sets`, or `mirror.corp:8080=10.0.0.5`: a name at
/// an address that you choose, which may be private. It may be given many times: git config --add coop.allowHost HOST.
/// A host that is added is reached at once by boxes that run; `git coop fork allow NAME HOST` does that for one fork.
///
/// A tunnel (CONNECT) has to carry TLS that names the host it was asked for, in the open: hidden names (ECH) are refused
/// with an allow-list. Only a port that you list by its number, other than 80 and 443, may speak something else.
///
/// API keys and tokens of claude, codex and gemini in ~/.config/coop/agents/env stay outside of every box that reaches
/// anything: the box gets a stand-in and an endpoint on its own loopback, and the proxy puts the key on requests to
/// the provider, and to nobody else. COOP_KEY_IN_BOX=true, `git coop --key-in-box AGENT` or `git coop fork --key-in-box`
/// put it into the box. An endpoint of your own there is reached from outside of the box, also one on this machine's
/// loopback. Other agents' keys, and logins (claude auth login, ChatGPT, Google), are in the box.
///
/// Where this machine itself needs a proxy (HTTPS_PROXY), boxes with `allowlist` or `public` reach nothing: their proxy
/// connects by itself, to addresses that it has looked at.
///
/// What this does not stop. `allowlist`: whatever an allowed host takes can leave by it (an issue, a gist, a package, a
/// prompt), and a host that shares its servers with others may serve those inside of TLS, which is not opened. `public`:
/// anything to any public host, so only this machine and its network are safe. `open`: services of this machine that
/// listen on all addresses, the local network, cloud metadata. All: an agent can spend a key that it cannot read.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// What boxes reached and what they were denied, by run: counts and bytes
    Log(Log),
    /// The named sets of hosts
    Sets,
}

/// The newest runs first.
#[derive(Debug, clap::Args)]
struct Log {
    /// Only runs of this fork
    fork: Option<String>,
    /// How many runs
    #[arg(long, short = 'n', default_value_t = 20, value_name = "COUNT")]
    max_count: usize,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Place {
    place: String,
    reached: u64,
    denied: u64,
    failed: u64,
    up: u64,
    down: u64,
    reason: String,
}

#[derive(Serialize)]
struct Row {
    ended: i64,
    workspace: String,
    purpose: String,
    places: Vec<Place>,
}

impl Command for Args {
    fn run(self, context: &Context) -> Result<u8> {
        match self.verb {
            Verb::Log(log) => log.run(context),
            Verb::Sets => {
                for (name, hosts) in SETS {
                    println!("{name}: {}", hosts.join(" "));
                }
                Ok(exit::OK)
            }
        }
    }
}

impl Log {
    fn run(self, context: &Context) -> Result<u8> {
        let coop = context.coop()?;
        let rows: Vec<Row> = log::runs(&coop, self.fork.as_deref(), self.max_count)?.into_iter().map(Row::of).collect();
        if self.json {
            return out::json(&rows).map(|()| exit::OK);
        }
        let now = crate::time::now(&coop.env);
        if rows.is_empty() {
            let of = self.fork.map(|fork| format!(" of '{fork}'")).unwrap_or_default();
            return Err(Error::no(format!("no run{of} reached or was denied anything by the proxy"))
                .hint("git coop config coop.egress says what boxes reach"));
        }
        let text: String = rows.iter().map(|row| row.shown(now)).collect::<Vec<_>>().join("\n");
        out::write(|stdout| stdout.write_all(text.as_bytes()))?;
        Ok(exit::OK)
    }
}

impl Row {
    fn of(run: Run) -> Row {
        let places = run.places.iter().filter_map(|line| log::parse(line)).map(|l| Place {
            place: l.place,
            reached: l.reached,
            denied: l.denied,
            failed: l.failed,
            up: l.up,
            down: l.down,
            reason: l.reason,
        });
        Row { ended: run.ended, workspace: run.workspace, purpose: run.purpose, places: places.collect() }
    }
    fn shown(&self, now: i64) -> String {
        let age = match crate::time::age(now - self.ended) {
            age if age == "now" => age,
            age => format!("{age} ago"),
        };
        let mut text = format!("{age}: {} ({})\n", printable(&self.workspace), printable(&self.purpose));
        for p in &self.places {
            let mut said = Vec::new();
            if p.reached > 0 {
                said.push(format!("{}, {} up, {} down", count(p.reached as usize, "request"), p.up, p.down));
            }
            if p.denied > 0 {
                said.push(format!("denied {}: {}", count(p.denied as usize, "time"), printable(&p.reason)));
            }
            if p.failed > 0 {
                said.push(format!("failed {}: {}", count(p.failed as usize, "time"), printable(&p.reason)));
            }
            text.push_str(&format!("  {:<40} {}\n", printable(&p.place), said.join("; ")));
        }
        text
    }
}
