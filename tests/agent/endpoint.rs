//! Starts the scripted model and reads what it was asked.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::tools::{here, node, run};

/// A running endpoint; it ends when dropped.
pub struct Endpoint {
    child: Child,
    log: PathBuf,
    /// `http://address:port`.
    pub url: String,
}

impl Endpoint {
    /// Listens on the gateway of docker's bridge, which is what a box with open egress reaches of this machine.
    pub fn on_bridge(log: PathBuf) -> Endpoint {
        let format = "{{range .IPAM.Config}}{{.Gateway}}{{end}}";
        let gateway = run(Command::new("docker").args(["network", "inspect", "bridge", "--format", format]));
        // an unused bridge has no gateway in its description yet
        let gateway = if gateway.is_empty() { "172.17.0.1" } else { &gateway };
        Endpoint::on(gateway, gateway, log)
    }

    /// Listens for boxes on podman's bridge. Its address is there only while a container runs, so on every address.
    pub fn on_podman(log: PathBuf) -> Endpoint {
        let format = "{{range .Subnets}}{{.Gateway}}{{end}}";
        let gateway = run(Command::new("podman").args(["network", "inspect", "podman", "--format", format]));
        Endpoint::on("0.0.0.0", &gateway, log)
    }

    /// Listens on `bind`; boxes reach it as `address`.
    pub fn on(bind: &str, address: &str, log: PathBuf) -> Endpoint {
        fs::write(&log, "").expect("a log");
        let mut child = Command::new(node())
            .arg(here().join("endpoint/endpoint.mjs"))
            .args([bind, "0"])
            .arg(&log)
            .stdout(Stdio::piped())
            .spawn()
            .expect("node starts");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
        let port = line.trim().strip_prefix("listening ").unwrap_or_else(|| panic!("the endpoint said '{line}'"));
        Endpoint { url: format!("http://{address}:{port}"), child, log }
    }

    /// Every request so far, one JSON object per line.
    pub fn requests(&self) -> String {
        fs::read_to_string(&self.log).expect("the log")
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
