//! Which system calls a box may not make.
//!
//! bubblewrap brings no filter: [`for_bwrap`] makes one. Podman's own leaves user namespaces, keyrings and virtual
//! machine sockets open: [`from_default`] makes a stricter profile out of it. Docker's default denies those since version 25;
//! an older one is given the same profile.

use std::path::Path;

use serde_json::{Value, json};

use crate::error::{Context as _, Error, Kind, Result};

/// Calls that always fail. Keyrings are the user's, io_uring goes around filters, the rest is attack surface that no
/// build or agent needs.
#[cfg(target_os = "linux")]
const DENIED: &[i64] = &[
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_setns,
    libc::SYS_open_by_handle_at,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_vhangup,
    libc::SYS_lookup_dcookie,
];

/// Address families that reach the hypervisor, the wire or old kernel code, instead of what a network namespace holds.
#[cfg(target_os = "linux")]
const FAMILIES: [i32; 9] = [
    libc::AF_VSOCK,
    libc::AF_PACKET,
    libc::AF_ALG,
    libc::AF_BLUETOOTH,
    libc::AF_CAN,
    libc::AF_TIPC,
    libc::AF_RDS,
    libc::AF_KEY,
    libc::AF_X25,
];

/// Flags of clone(2) and unshare(2) that make namespaces: NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
const NAMESPACES: [u64; 7] =
    [0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000];

/// All of [`NAMESPACES`] together.
const ANY_NAMESPACE: u64 = 0x7e02_0000;

/// The filters of a bubblewrap box as raw programs of the kernel. The first answers EPERM; the second hides `clone3`,
/// whose flags a filter cannot see, so that the C library falls back to `clone`.
#[cfg(target_os = "linux")]
pub fn for_bwrap() -> Result<[Vec<u8>; 2]> {
    use seccompiler::{
        SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition as Condition, SeccompRule as Rule,
    };
    let fail = |err: seccompiler::BackendError| Error::bug("cannot make the system call filter").because(err);
    let when = |index: u8, op: Op, value: u64| Condition::new(index, Len::Dword, op, value).map_err(fail);
    let rule = |conditions: Vec<Condition>| Rule::new(conditions).map_err(fail);

    let mut rules: Vec<(i64, Vec<Rule>)> = DENIED.iter().map(|call| (*call, Vec::new())).collect();
    let mut namespaces = Vec::new();
    for flag in NAMESPACES {
        namespaces.push(rule(vec![when(0, Op::MaskedEq(flag), flag)?])?);
    }
    rules.push((libc::SYS_clone, namespaces.clone()));
    rules.push((libc::SYS_unshare, namespaces));
    let mut sockets = Vec::new();
    for family in FAMILIES {
        sockets.push(rule(vec![when(0, Op::Eq, family as u64)?])?);
    }
    for family in [libc::AF_INET, libc::AF_INET6] {
        let raw = when(1, Op::MaskedEq(0xf), libc::SOCK_RAW as u64)?;
        sockets.push(rule(vec![when(0, Op::Eq, family as u64)?, raw])?);
    }
    rules.push((libc::SYS_socket, sockets.clone()));
    rules.push((libc::SYS_socketpair, sockets));
    // typing into the terminal, which is the user's where somebody hands it down
    let mut terminal = Vec::new();
    for request in [0x5412 /* TIOCSTI */, 0x541c /* TIOCLINUX */] {
        terminal.push(rule(vec![when(1, Op::Eq, request)?])?);
    }
    rules.push((libc::SYS_ioctl, terminal));
    let denied = compile(rules, libc::EPERM)?;
    let hidden = compile(vec![(libc::SYS_clone3, Vec::new())], libc::ENOSYS)?;
    Ok([denied, hidden])
}

#[cfg(target_os = "linux")]
fn compile(rules: Vec<(i64, Vec<seccompiler::SeccompRule>)>, errno: i32) -> Result<Vec<u8>> {
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};
    let arch = std::env::consts::ARCH
        .try_into()
        .map_err(|_| Error::no_runtime(format!("no system call filter for {}", std::env::consts::ARCH)))?;
    let mut all = std::collections::BTreeMap::new();
    for (call, rules) in rules {
        if cfg!(target_arch = "x86_64") {
            all.insert(call | 0x4000_0000, rules.clone()); // the same call by its x32 number
        }
        all.insert(call, rules);
    }
    let filter = SeccompFilter::new(all, SeccompAction::Allow, SeccompAction::Errno(errno as u32), arch)
        .or_bug("cannot make the system call filter")?;
    let program: BpfProgram = filter.try_into().or_bug("cannot make the system call filter")?;
    let mut bytes = Vec::with_capacity(program.len() * 8);
    for op in program {
        bytes.extend(op.code.to_ne_bytes());
        bytes.extend([op.jt, op.jf]);
        bytes.extend(op.k.to_ne_bytes());
    }
    Ok(bytes)
}

/// Names that a podman profile must not allow.
const PODMAN_DENIED: &[&str] = &[
    "keyctl",
    "add_key",
    "request_key",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "bpf",
    "perf_event_open",
    "userfaultfd",
    "kexec_load",
    "kexec_file_load",
    "init_module",
    "finit_module",
    "delete_module",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "setns",
    "open_by_handle_at",
];

/// The runtime's own default profile at `path` with user namespaces, keyrings and `AF_VSOCK` denied.
///
/// Errors: exit 5 when the file cannot be read or is not a profile that denies by default.
pub fn from_default(path: &Path) -> Result<Vec<u8>> {
    let what = || format!("cannot use the seccomp profile '{}'", path.display());
    let text = std::fs::read(path).context(Kind::NoRuntime, what())?;
    let profile: Value = serde_json::from_slice(&text).context(Kind::NoRuntime, what())?;
    let stricter = stricter(profile).ok_or_else(|| {
        Error::no_runtime(what()).hint("sudo apt install --reinstall podman golang-github-containers-common")
    })?;
    serde_json::to_vec_pretty(&stricter).or_bug("cannot write a seccomp profile")
}

fn stricter(mut profile: Value) -> Option<Value> {
    if profile.get("defaultAction")?.as_str()? == "SCMP_ACT_ALLOW" {
        return None; // a list of denials: what it leaves out is allowed
    }
    let own = ["clone", "clone3", "unshare", "socket", "socketpair"];
    let calls = profile.get_mut("syscalls")?.as_array_mut()?;
    for entry in calls.iter_mut() {
        let names = entry.get_mut("names")?.as_array_mut()?;
        names.retain(|name| name.as_str().is_some_and(|n| !own.contains(&n) && !PODMAN_DENIED.contains(&n)));
    }
    calls.retain(|entry| entry["names"].as_array().is_some_and(|names| !names.is_empty()));
    let no_namespace = json!([{"index": 0, "value": ANY_NAMESPACE, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]);
    let not_vsock = json!([{"index": 0, "value": 40, "valueTwo": 0, "op": "SCMP_CMP_NE"}]);
    calls.push(json!({"names": PODMAN_DENIED, "action": "SCMP_ACT_ERRNO", "errnoRet": 1}));
    calls.push(json!({"names": ["clone", "unshare"], "action": "SCMP_ACT_ALLOW", "args": no_namespace}));
    calls.push(json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})); // falls back to clone
    calls.push(json!({"names": ["socket", "socketpair"], "action": "SCMP_ACT_ALLOW", "args": not_vsock}));
    Some(profile)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_podman_allowed_is_gone_from_every_list() {
        let default = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [
            {"names": ["read", "clone", "keyctl", "unshare"], "action": "SCMP_ACT_ALLOW"},
            {"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": null},
        ]});
        let made = stricter(default).expect("a profile");
        let allowed: Vec<&Value> =
            made["syscalls"].as_array().expect("list").iter().filter(|e| e["action"] == "SCMP_ACT_ALLOW").collect();
        assert_eq!(allowed.len(), 3);
        assert_eq!(allowed[0]["names"], json!(["read"]));
        assert!(allowed[1..].iter().all(|e| !e["args"].is_null()));
        assert!(stricter(json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": []})).is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_filter_fits_the_kernel() {
        for program in for_bwrap().expect("filters") {
            assert!(program.len() % 8 == 0 && program.len() / 8 < 4096, "{}", program.len() / 8);
        }
    }
}
