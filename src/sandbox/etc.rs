//! The files of `/etc` that are made up for a bubblewrap box: they say as little about the host as possible.

use std::path::PathBuf;

use crate::error::{Context as _, Result};

use super::argv::bwrap::DNS;
use super::image::hash;
use super::spec::BoxSpec;
use super::support::Support;

/// Writes them where they are missing. Pairs of path on the host and path in the box.
pub fn files(support: &Support, spec: &BoxSpec, network: bool) -> Result<Vec<(PathBuf, PathBuf)>> {
    let (uid, gid) = (spec.user.uid, spec.user.gid);
    let home = spec.home.to_str().filter(|h| !h.contains([':', '\n'])).unwrap_or("/tmp");
    let user = if uid == 0 { "root" } else { "agent" };
    let mut passwd = format!("{user}:x:{uid}:{gid}:Agent:{home}:/bin/sh\n");
    let mut group = format!("{user}:x:{gid}:\n");
    if uid != 0 {
        passwd.push_str("root:x:0:0:root:/:/bin/sh\n");
    }
    if gid != 0 {
        group.push_str("root:x:0:\n");
    }
    passwd.push_str("nobody:x:65534:65534:nobody:/:/bin/false\n");
    group.push_str("nogroup:x:65534:\n");
    let mut files = vec![
        ("passwd", passwd),
        ("group", group),
        ("hosts", "127.0.0.1 localhost box\n::1 localhost box\n".to_owned()),
    ];
    if network {
        files.push(("resolv.conf", format!("nameserver {DNS}\n")));
    }
    // keyed by what differs between boxes, so that a running box keeps its own
    let dir = format!("etc-{uid}-{gid}-{}", &hash(&[home.as_bytes()])[..16]);
    files
        .into_iter()
        .map(|(name, text)| {
            let path =
                support.write(&dir, name, text.as_bytes(), 0o444).or_bug(format!("cannot write '{name}' of a box"))?;
            Ok((path, PathBuf::from("/etc").join(name)))
        })
        .collect()
}
