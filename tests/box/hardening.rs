//! What a process in a box can not do.

use crate::common::{Fixture, each};

#[test]
fn no_capabilities_and_no_way_to_get_them() {
    each(|usable| {
        let status =
            Fixture::new().sh(usable, "grep -E '^(Cap(Eff|Prm|Bnd|Inh|Amb)|NoNewPrivs|Seccomp):' /proc/self/status");
        for line in status.lines().filter(|l| l.starts_with("Cap")) {
            assert!(line.ends_with("\t0000000000000000"), "{}: {line}", usable.runtime.name());
        }
        assert!(status.contains("NoNewPrivs:\t1"), "{}: {status}", usable.runtime.name());
        assert!(status.contains("Seccomp:\t2"), "{}: {status}", usable.runtime.name());
    });
}

#[test]
fn shadowed_secrets_cannot_be_read_written_or_removed() {
    each(|usable| {
        let fixture = Fixture::new();
        let out = fixture.sh(
            usable,
            "cat .env; ls -A secrets; ! echo x > .env && ! rm -f .env && ! mv .env e2 && ! touch secrets/new && \
             ! rm -rf secrets && ! ln .env e3 && ! cat secrets/key && chmod 777 .env; cat README; grep -r planted . || echo clean",
        );
        assert_eq!(out, "hello\nclean\n", "{}", usable.runtime.name());
        assert_eq!(std::fs::read_to_string(fixture.root.join(".env")).expect("kept"), "TOKEN=planted-secret\n");
    });
}
