//! Standard streams, exit status, limits of time and output, terminals.

use std::time::{Duration, Instant};

use coop::sandbox::{How, Io, Out, Stdin, launch};

use crate::common::{Fixture, capture, each};

#[test]
fn status_and_streams_pass_through() {
    each(|usable| {
        let fixture = Fixture::new();
        let spec = fixture.spec(usable, "cat; echo err >&2; exit 42");
        let io = Io { stdin: Stdin::Bytes(b"piped\n".repeat(20_000)), ..capture() };
        let ended = launch(usable, &spec, io).expect("runs");
        assert_eq!((ended.status, ended.how), (42, How::Exited), "{}", usable.runtime.name());
        assert_eq!(ended.stdout, b"piped\n".repeat(20_000));
        assert_eq!(ended.stderr, b"err\n");
        let ended = launch(usable, &fixture.spec(usable, "kill -TERM $$"), capture()).expect("runs");
        assert_eq!(ended.status, 143, "{}", usable.runtime.name());
    });
}

#[test]
fn time_and_output_are_bounded() {
    each(|usable| {
        let fixture = Fixture::new();
        let start = Instant::now();
        let spec = fixture.spec(usable, "trap '' TERM; sleep 60 & wait; sleep 60");
        let io = Io { timeout: Some(Duration::from_secs(1)), ..capture() };
        let ended = launch(usable, &spec, io).expect("ends");
        assert_eq!(ended.how, How::TimedOut, "{}", usable.runtime.name());
        assert!(start.elapsed() < Duration::from_secs(12), "{}: {:?}", usable.runtime.name(), start.elapsed());
        let io = Io { stdout: Out::Capture { limit: 1000 }, ..capture() };
        let ended = launch(usable, &fixture.spec(usable, "yes"), io).expect("ends");
        assert_eq!(ended.how, How::OutputLimit, "{}", usable.runtime.name());
        assert!(ended.stdout.len() <= 1000);
    });
}
