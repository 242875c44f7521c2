//! The bytes of a tunnel, once its target is allowed and connected.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::without::without;

use super::hello::{self, Hello};
use super::pump::pump;
use super::tally::Count;
use super::target::Host;

/// How long the box may take to begin.
const BEGIN: Duration = Duration::from_secs(60);
/// How long the other side may be silent after the box has ended its own.
const SILENCE: Duration = Duration::from_secs(300);

/// What the beginning of a tunnel has to be.
#[derive(Debug, Clone)]
pub struct Check {
    /// The host that was asked for.
    pub host: Host,
    /// Nothing but TLS.
    pub only_tls: bool,
    /// Nothing hidden in it.
    pub strict: bool,
}

/// Moves bytes until both sides have ended. `early` is what the box sent behind its request. Errors: the reason why the
/// beginning was refused; no byte of it went out then.
pub async fn run(
    near: TcpStream,
    early: &[u8],
    far: TcpStream,
    check: &Check,
    count: &Arc<Count>,
) -> Result<(), &'static str> {
    let (mut near_in, near_out) = near.into_split();
    let (far_in, mut far_out) = far.into_split();
    let mut down = tokio::spawn({
        let count = count.clone();
        async move { pump(far_in, near_out, |n| count.add_down(n)).await }
    });
    let begun = begin(&mut near_in, early, check).await;
    let result = match begun {
        Ok(first) => {
            count.add_reached();
            count.add_up(first.len());
            if far_out.write_all(&first).await.is_ok() {
                let _ = pump(near_in, far_out, |n| count.add_up(n)).await;
                finish(&mut down, count).await;
            }
            Ok(())
        }
        Err(why) => Err(why),
    };
    down.abort();
    result
}

/// The box has ended its side. The other one may have much to say still, but is not waited for when it says nothing.
async fn finish(down: &mut JoinHandle<io::Result<()>>, count: &Count) {
    let mut before = count.down();
    while timeout(SILENCE, &mut *down).await.is_err() {
        let now = count.down();
        if now == before {
            return;
        }
        before = now;
    }
}

/// Reads the beginning as far as it has to be seen before it may go out.
async fn begin(near: &mut OwnedReadHalf, early: &[u8], check: &Check) -> Result<Vec<u8>, &'static str> {
    let mut first = early.to_vec();
    loop {
        match hello::read(&first) {
            Hello::Client { .. } if without("proxy-tls") => return Ok(first),
            Hello::Client { name, hidden } => {
                return hello::fits(name.as_deref(), hidden, &check.host, check.strict).map(|()| first);
            }
            Hello::Other if check.only_tls => return Err("it is not TLS"),
            Hello::Other => return Ok(first),
            Hello::Broken(why) => return Err(why),
            Hello::More => {}
        }
        if first.len() > 2 * hello::LIMIT {
            return Err("a ClientHello that is too long");
        }
        match timeout(BEGIN, near.read_buf(&mut first)).await {
            Ok(Ok(count)) if count > 0 => {}
            // a protocol where the server speaks first may wait for long, and its client may say nothing at all
            Err(_) if first.is_empty() && !check.only_tls => {}
            _ if first.is_empty() => return Ok(first),
            _ => return Err("it ended in the middle of its first message"),
        }
    }
}
