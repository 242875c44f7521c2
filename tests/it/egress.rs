//! The proxy by itself, on loopback: many connections, slow and half-closed ones, streams, and credentials over TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use coop::sandbox::egress::tally::Tally;
use coop::sandbox::egress::{Forward, Policy, Rule, serve};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// A proxy that lets `site.test` through to a port of this machine.
struct Proxy {
    address: SocketAddr,
    tally: Arc<Tally>,
    task: tokio::task::JoinHandle<()>,
}

async fn proxy(site: SocketAddr, room: usize) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("address");
    let rules = Rule::list(&format!("site.test:{}=127.0.0.1", site.port())).expect("a list");
    let forward = Forward { policy: Policy::new(false, rules, None), allow: "allow {host}".into() };
    let tally = Arc::new(Tally::default());
    let task = tokio::spawn(serve::proxy(listener, forward, tally.clone(), Arc::new(Semaphore::new(room))));
    Proxy { address, tally, task }
}

impl Proxy {
    async fn tunnel(&self, site: SocketAddr) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connects");
        let ask = format!("CONNECT site.test:{} HTTP/1.1\r\n\r\n", site.port());
        stream.write_all(ask.as_bytes()).await.expect("writes");
        let head = head(&mut stream).await;
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        stream
    }
}

async fn head(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        text.push(timeout(SOON, stream.read_u8()).await.expect("in time").expect("a byte"));
    }
    String::from_utf8(text).expect("text")
}

/// A server that does `work` with every connection.
async fn site<F, Fut>(work: F) -> SocketAddr
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(work(stream));
        }
    });
    address
}

async fn echo(mut stream: TcpStream) {
    let (mut from, mut to) = stream.split();
    let _ = tokio::io::copy(&mut from, &mut to).await;
}

#[tokio::test]
async fn thousands_of_connections_at_once() {
    const MANY: usize = 2_000;
    let site = site(echo).await;
    let proxy = proxy(site, MANY).await;
    let mut open = Vec::new();
    for _ in 0..MANY {
        open.push(proxy.tunnel(site).await);
    }
    for (n, stream) in open.iter_mut().enumerate() {
        stream.write_all(format!("{n:06}").as_bytes()).await.expect("writes");
    }
    for (n, stream) in open.iter_mut().enumerate() {
        let mut back = [0u8; 6];
        timeout(SOON, stream.read_exact(&mut back)).await.expect("in time").expect("echoed");
        assert_eq!(back, *format!("{n:06}").as_bytes());
    }
    // one more waits until there is room, and is served then
    let mut late = TcpStream::connect(proxy.address).await.expect("queued");
    late.write_all(format!("CONNECT site.test:{} HTTP/1.1\r\n\r\n", site.port()).as_bytes()).await.expect("writes");
    assert!(timeout(Duration::from_millis(300), late.read_u8()).await.is_err());
    drop(open);
    assert!(head(&mut late).await.starts_with("HTTP/1.1 200"));
    assert_eq!(proxy.tally.lines()[0].reached, MANY as u64);
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_up_and_fills_no_memory() {
    use std::sync::atomic::{AtomicUsize, Ordering};
    static SENT: AtomicUsize = AtomicUsize::new(0);
    let flood = site(|mut stream: TcpStream| async move {
        let chunk = vec![7u8; 64 << 10];
        while stream.write_all(&chunk).await.is_ok() {
            SENT.fetch_add(chunk.len(), Ordering::SeqCst);
        }
    })
    .await;
    let proxy = proxy(flood, 100).await;
    let mut stream = proxy.tunnel(flood).await;
    stream.write_all(b"go").await.expect("writes");
    let (mut before, mut now) = (1, 0);
    while before != now {
        before = now;
        tokio::time::sleep(Duration::from_millis(300)).await;
        now = SENT.load(Ordering::SeqCst);
    }
    assert!(now < 32 << 20, "{now} bytes were taken for a reader that does not read");
    let mut other = proxy.tunnel(flood).await;
    let mut some = vec![0u8; 1 << 20];
    other.write_all(b"go").await.expect("writes");
    timeout(SOON, other.read_exact(&mut some)).await.expect("in time").expect("another one is served");
    proxy.task.abort();
}

#[tokio::test]
async fn a_side_that_has_ended_still_hears_the_other() {
    let site = site(|mut stream: TcpStream| async move {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all).await; // the end has to arrive
        let _ = stream.write_all(format!("{} bytes", all.len()).as_bytes()).await;
    })
    .await;
    let proxy = proxy(site, 10).await;
    let mut stream = proxy.tunnel(site).await;
    stream.write_all(&vec![1u8; 300_000]).await.expect("writes");
    stream.shutdown().await.expect("half-closed");
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("in time").expect("reads");
    assert_eq!(answer, "300000 bytes");
    let line = proxy.tally.lines().remove(0);
    assert_eq!((line.up, line.down), (300_000, 12));
}

#[tokio::test]
async fn an_answer_streams() {
    let site = site(|mut stream: TcpStream| async move {
        head(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n").await;
        // and the rest never comes
        std::future::pending::<()>().await;
    })
    .await;
    let proxy = proxy(site, 10).await;
    let mut stream = TcpStream::connect(proxy.address).await.expect("connects");
    let ask = format!("GET http://site.test:{}/ HTTP/1.1\r\nHost: x\r\n\r\n", site.port());
    stream.write_all(ask.as_bytes()).await.expect("writes");
    assert!(head(&mut stream).await.contains("chunked"));
    let mut chunk = [0u8; 10];
    timeout(SOON, stream.read_exact(&mut chunk)).await.expect("before the answer has ended").expect("reads");
    assert_eq!(&chunk, b"5\r\nfirst\r\n");
}

#[tokio::test]
async fn a_refused_beginning_sends_nothing_out() {
    let site = site(echo).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("address");
    // a name at the web's port may carry TLS only; the address is a closed one, so nothing is reached either way
    let rules = Rule::list("web.test=127.0.0.1").expect("a list");
    let forward = Forward { policy: Policy::new(false, rules, None), allow: "allow {host}".into() };
    let tally = Arc::new(Tally::default());
    tokio::spawn(serve::proxy(listener, forward, tally.clone(), Arc::new(Semaphore::new(10))));
    for (request, status, header) in [
        ("CONNECT other.test:443 HTTP/1.1\r\n\r\n".to_owned(), "403 git coop denies other.test:443", true),
        (format!("CONNECT web.test:{} HTTP/1.1\r\n\r\n", site.port()), "403", true),
        ("CONNECT web.test HTTP/1.1\r\n\r\n".to_owned(), "400", false),
        ("CONNECT user@web.test:443 HTTP/1.1\r\n\r\n".to_owned(), "400", false),
        ("CONNECT 127.1:443 HTTP/1.1\r\n\r\n".to_owned(), "400", false),
        ("CONNECT localhost:443 HTTP/1.1\r\n\r\n".to_owned(), "400", false),
        ("GET / HTTP/1.1\r\nHost: web.test\r\n\r\n".to_owned(), "400", false),
        ("GET https://web.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n".to_owned(), "400", false),
        ("GET http://other.test/ HTTP/1.1\r\nHost: web.test\r\n\r\n".to_owned(), "403", true),
    ] {
        let mut stream = TcpStream::connect(address).await.expect("connects");
        stream.write_all(request.as_bytes()).await.expect("writes");
        let head = head(&mut stream).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status}")), "{request}: {head}");
        assert_eq!(head.contains("x-coop-denied: "), header, "{request}: {head}");
    }
}
