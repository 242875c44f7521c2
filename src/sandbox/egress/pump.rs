//! Moves bytes from one socket to another: the first ones by a buffer, many of them by a pipe in the kernel, without
//! copying them (splice(2)).

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// How many bytes are copied at a time. Most tunnels carry little, and there may be thousands.
const CHUNK: usize = 16 << 10;
/// After so many bytes a tunnel gets a pipe.
const MANY: usize = 256 << 10;
/// How many bytes the pipe holds.
#[cfg(target_os = "linux")]
const PIPE: usize = 512 << 10;

/// Until the end, which is passed on. An error leaves both halves to be dropped, which ends them. `moved` is told of the
/// bytes that have gone out.
pub async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut moved: impl FnMut(usize)) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        to.write_all(&buffer[..count]).await?;
        moved(count);
        total += count;
        #[cfg(target_os = "linux")]
        if total >= MANY {
            if let Ok(pipe) = linux::Pipe::new(PIPE) {
                drop(buffer);
                pipe.pump(from.as_ref(), to.as_ref(), &mut moved).await?;
                return to.shutdown().await;
            }
            total = 0; // no descriptor to spare: by the buffer, for now
        }
        if !cfg!(target_os = "linux") && total >= MANY && buffer.len() == CHUNK {
            buffer = vec![0; 8 * CHUNK];
        }
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io;
    use std::os::fd::OwnedFd;

    use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
    use tokio::io::Interest;
    use tokio::net::TcpStream;

    /// An empty pipe.
    pub struct Pipe {
        out: OwnedFd,
        into: OwnedFd,
        size: usize,
    }

    impl Pipe {
        pub fn new(size: usize) -> io::Result<Pipe> {
            let (out, into) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
            // a user may have no more room for pipes: then it stays as it is made
            let size = fcntl_setpipe_size(&into, size).unwrap_or(16 << 10);
            Ok(Pipe { out, into, size })
        }

        /// Until `from` has ended.
        pub async fn pump(&self, from: &TcpStream, to: &TcpStream, moved: &mut impl FnMut(usize)) -> io::Result<()> {
            let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
            loop {
                // the pipe is empty here, so only `from` can have to be waited for
                let count = from
                    .async_io(Interest::READABLE, || Ok(splice(from, None, &self.into, None, self.size, flags)?))
                    .await?;
                if count == 0 {
                    return Ok(());
                }
                let mut left = count;
                while left > 0 {
                    left -=
                        to.async_io(Interest::WRITABLE, || Ok(splice(&self.out, None, to, None, left, flags)?)).await?;
                }
                moved(count);
            }
        }
    }
}
