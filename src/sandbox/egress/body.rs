//! Bodies that pass through as they come, counted.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::SendRequest;

use super::tally::Count;

/// What the box gets.
pub type Answer = hyper::Response<BoxBody<Bytes, hyper::Error>>;

/// A body of fixed text.
pub fn text(text: String) -> BoxBody<Bytes, hyper::Error> {
    Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed()
}

/// Which way a body goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// From the box.
    Up,
    /// To the box.
    Down,
}

/// A body on its way.
#[derive(Debug)]
pub struct Passing {
    inner: Incoming,
    count: Arc<Count>,
    way: Way,
}

impl Passing {
    /// Counts `inner` in `count`.
    pub fn new(inner: Incoming, count: Arc<Count>, way: Way) -> Self {
        Passing { inner, count, way }
    }
}

/// Passes `request` on and gives the answer of the far side, both counted; `None` where it broke off.
pub async fn pass(
    sender: &mut SendRequest<Passing>,
    request: hyper::Request<Incoming>,
    count: Arc<Count>,
) -> Option<Answer> {
    count.add_reached();
    let request = request.map(|inner| Passing::new(inner, count.clone(), Way::Up));
    let mut response = sender.send_request(request).await.ok()?;
    strip(response.headers_mut());
    Some(response.map(|inner| Passing::new(inner, count, Way::Down).boxed()))
}

impl Body for Passing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            match self.way {
                Way::Up => self.count.add_up(data.len()),
                Way::Down => self.count.add_down(data.len()),
            }
        }
        polled
    }
    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }
    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// Headers that belong to one connection and not to the message (RFC 9110, 7.6.1), and those that would speak to a proxy.
const OF_THE_CONNECTION: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-connection",
    "proxy-authorization",
    "proxy-authenticate",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// Removes the headers of the connection, and those that `Connection` names. The length of the body stays with hyper.
pub fn strip(headers: &mut hyper::HeaderMap) {
    let named: Vec<String> = headers
        .get_all("connection")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(|name| name.trim().to_ascii_lowercase())
        .filter(|name| name != "content-length" && name != "transfer-encoding" && name != "host")
        .collect();
    for name in OF_THE_CONNECTION.iter().map(|n| (*n).to_owned()).chain(named) {
        while headers.remove(name.as_str()).is_some() {}
    }
}
