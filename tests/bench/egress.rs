//! What the proxy of a box costs over a direct connection on loopback: `cargo bench --bench egress`.
//!
//! The proxy runs as it does beside a box, on one thread. Rounds are interleaved, so that noise of the machine hits both.
//! Targets: at most 1 ms more for a request at the median; at least half of the throughput.

#![allow(missing_docs)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use coop::sandbox::egress::tally::Tally;
use coop::sandbox::egress::{Forward, Policy, Rule, serve};
use tokio::sync::Semaphore;

const REQUESTS: usize = 1_000;
const ROUNDS: usize = 9;
const BYTES: usize = 512 << 20;
const CHUNK: usize = 256 << 10;

fn main() {
    let site = site();
    let proxy = proxy(site);
    let name = format!("site.test:{}", site.port());
    let direct = || TcpStream::connect(site).expect("connects");
    let tunnel = || {
        let mut stream = TcpStream::connect(proxy).expect("connects");
        stream.set_nodelay(true).expect("nodelay");
        stream.write_all(format!("CONNECT {name} HTTP/1.1\r\n\r\n").as_bytes()).expect("writes");
        head(&mut stream);
        stream
    };
    latency("a request on a new connection", &|| ask(&mut direct(), "/"), &|| {
        let mut stream = TcpStream::connect(proxy).expect("connects");
        ask(&mut stream, &format!("http://{name}/"));
    });
    latency("a request through a new tunnel", &|| ask(&mut direct(), "/"), &|| ask(&mut tunnel(), "/"));
    let (mut one, mut other) = (direct(), tunnel());
    let (one, other) = (std::cell::RefCell::new(&mut one), std::cell::RefCell::new(&mut other));
    latency("a request in an open tunnel", &|| ask(&mut one.borrow_mut(), "/"), &|| ask(&mut other.borrow_mut(), "/"));

    let mut ratios = Vec::new();
    let (mut plain, mut proxied) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        plain.push(throughput(&mut direct()));
        proxied.push(throughput(&mut tunnel()));
        ratios.push(proxied[proxied.len() - 1] / plain[plain.len() - 1]);
    }
    let (d, p, r) = (spread(&mut plain), spread(&mut proxied), spread(&mut ratios));
    println!("download of {} MiB, {ROUNDS} rounds, MiB/s: median (middle half)", BYTES >> 20);
    println!("  direct {:.0} ({:.0}-{:.0}), tunnel {:.0} ({:.0}-{:.0})", d.1, d.0, d.2, p.1, p.0, p.2);
    println!("  ratio {:.2} ({:.2}-{:.2}), target at least 0.50", r.1, r.0, r.2);
}

fn latency(what: &str, direct: &dyn Fn(), proxied: &dyn Fn()) {
    let (mut a, mut b) = (Vec::new(), Vec::new());
    for n in 0..REQUESTS + 20 {
        let (first, second) = (timed(direct), timed(proxied));
        if n >= 20 {
            a.push(first); // the first ones fill caches
            b.push(second);
        }
    }
    let (d, p) = (spread(&mut a), spread(&mut b));
    println!("{what}, {REQUESTS} times, microseconds: median (middle half)");
    println!("  direct {:.0} ({:.0}-{:.0}), proxy {:.0} ({:.0}-{:.0})", d.1, d.0, d.2, p.1, p.0, p.2);
    println!("  added {:.0}, target at most 1000", p.1 - d.1);
}

fn timed(work: &dyn Fn()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e6
}

/// Lower quartile, median, upper quartile.
fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    let at = |part: usize| values[(values.len() - 1) * part / 4];
    (at(1), at(2), at(3))
}

fn ask(stream: &mut TcpStream, target: &str) {
    // at once: a request in parts waits for the other side's acknowledgements
    stream.write_all(format!("GET {target} HTTP/1.1\r\nHost: site.test\r\n\r\n").as_bytes()).expect("writes");
    head(stream);
    stream.read_exact(&mut [0u8; 2]).expect("the body");
}

/// Reads the head of an answer, byte by byte at its end.
fn head(stream: &mut TcpStream) {
    let (mut seen, mut byte) = (0, [0u8]);
    while seen < 4 {
        stream.read_exact(&mut byte).expect("reads");
        seen = if byte[0] == b"\r\n\r\n"[seen] { seen + 1 } else { usize::from(byte[0] == b'\r') };
    }
}

fn throughput(stream: &mut TcpStream) -> f64 {
    let mut buffer = vec![0u8; CHUNK];
    let start = Instant::now();
    stream.write_all(b"BULK\r\n\r\n").expect("writes");
    let mut left = BYTES;
    while left > 0 {
        left -= stream.read(&mut buffer).expect("reads").min(left);
    }
    (BYTES >> 20) as f64 / start.elapsed().as_secs_f64()
}

/// Answers requests with two bytes, and BULK with many.
fn site() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let address = listener.local_addr().expect("address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve_site(stream));
        }
    });
    address
}

fn serve_site(mut stream: TcpStream) {
    stream.set_nodelay(true).expect("nodelay");
    let (mut buffer, mut filled) = ([0u8; 4096], 0);
    while let Ok(count) = stream.read(&mut buffer[filled..]) {
        filled += count;
        if count == 0 {
            return;
        }
        if !buffer[..filled].ends_with(b"\r\n\r\n") {
            continue;
        }
        let bulk = buffer.starts_with(b"BULK");
        filled = 0;
        if bulk {
            let chunk = vec![7u8; CHUNK];
            for _ in 0..BYTES / CHUNK {
                if stream.write_all(&chunk).is_err() {
                    return;
                }
            }
        } else if stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").is_err() {
            return;
        }
    }
}

/// The proxy, on a thread of its own.
fn proxy(site: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    listener.set_nonblocking(true).expect("nonblocking");
    let address = listener.local_addr().expect("address");
    let rules = Rule::list(&format!("site.test:{}=127.0.0.1", site.port())).expect("a list");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let forward = Forward { policy: Policy::new(false, rules, None), allow: String::new() };
            serve::proxy(listener, forward, Arc::new(Tally::default()), Arc::new(Semaphore::new(1_000))).await;
        });
    });
    std::thread::sleep(Duration::from_millis(50));
    address
}
