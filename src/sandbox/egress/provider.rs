//! A model's provider as the box sees it: plain HTTP on its own loopback. The proxy speaks TLS to the provider and puts
//! the credential on the requests, so that the box never holds it.
//!
//! Guarantees: a credential goes only to the one host it belongs to, only in place of the stand-in that the agent sent,
//! and with no other credential beside it (an agent that was talked into using somebody else's account gets nowhere);
//! nothing is asked for outside of the path that the endpoint has; redirects are not followed.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::header::{AUTHORIZATION, COOKIE, HOST, HeaderName, HeaderValue, UPGRADE};
use hyper::service::service_fn;
use hyper::{Method, Request, StatusCode, Uri};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, OwnedSemaphorePermit};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use crate::error::{Context as _, Error, Kind, Result};
use crate::without::without;

use super::body::{self, Answer, Passing};
use super::dial::{Failed, dial};
use super::rule::Rule;
use super::serve::{HEAD, refuse};
use super::tally::Tally;
use super::target::{Host, Target};

/// Headers with which an agent could name an account of its own.
const CREDENTIALS: [&str; 6] =
    ["x-api-key", "x-goog-api-key", "api-key", "proxy-authorization", "x-goog-user-project", "openai-organization"];
/// And the same in the query of an address.
const QUERY: [&str; 3] = ["key", "api_key", "access_token"];

/// Text that is not shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    tls: bool,
    target: Target,
    /// The user named the host, so it may be a private one.
    own: bool,
    /// Without a final slash.
    path: String,
}

impl Upstream {
    /// Reads `http[s]://host[:port][/path]`. `own` says that the user wrote it. Errors: exit 2.
    pub fn parse(url: &str, own: bool) -> Result<Upstream> {
        let wrong = || {
            Error::usage(format!("'{}' is no address of an endpoint", crate::ui::text::printable(url)))
                .hint("http:// or https://, a host, a port if need be, and a path")
        };
        let uri: Uri = url.trim().parse().ok().ok_or_else(wrong)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong()),
        };
        let authority = uri.authority().map(|a| a.as_str()).ok_or_else(wrong)?;
        let local = authority == "localhost" || authority.starts_with("localhost:");
        let authority = if local { authority.replacen("localhost", "127.0.0.1", 1) } else { authority.to_owned() };
        let target = Target::parse(&authority, Some(if tls { 443 } else { 80 })).ok_or_else(wrong)?;
        if uri.query().is_some() {
            return Err(wrong());
        }
        Ok(Upstream { tls, target, own, path: uri.path().trim_end_matches('/').to_owned() })
    }
    /// The host and port.
    pub fn target(&self) -> &Target {
        &self.target
    }
    /// The rule that lets a box reach it by itself: an address that the user wrote is meant.
    pub fn rule(&self) -> Rule {
        Rule::of(&self.target)
    }
    /// The name in the `Host` header.
    fn host(&self) -> String {
        let usual = if self.tls { 443 } else { 80 };
        if self.target.port == usual { self.target.host.to_string() } else { self.target.to_string() }
    }
}

/// One credential and its stand-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// The header that carries it, in lower case.
    pub header: String,
    /// The value of that header as the agent in the box sends it.
    pub stand_in: String,
    /// The value that goes out.
    pub real: Secret,
}

/// A provider with its credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The port on the box's loopback.
    pub port: u16,
    /// Where requests go.
    pub upstream: Upstream,
    /// What is put on them.
    pub keys: Vec<Key>,
}

/// A provider that is being served.
pub(super) struct Served {
    provider: Provider,
    tls: Option<TlsConnector>,
    tally: Arc<Tally>,
}

impl Served {
    /// Reads the certificates where TLS is spoken. `ca` is a bundle that is trusted besides the system's. Errors: exit 2
    /// for the bundle, exit 5 where there is nothing to trust.
    pub fn new(provider: &Provider, ca: Option<&Path>, tally: Arc<Tally>) -> Result<Served> {
        let tls = if provider.upstream.tls { Some(connector(ca)?) } else { None };
        Ok(Served { provider: provider.clone(), tls, tally })
    }
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if let Some(path) = ca {
        let what = || format!("cannot read the certificates in '{}'", path.display());
        let certificates = CertificateDer::pem_file_iter(path).context(Kind::Usage, what())?;
        let before = roots.len();
        for certificate in certificates {
            roots.add(certificate.context(Kind::Usage, what())?).context(Kind::Usage, what())?;
        }
        if roots.len() == before {
            return Err(Error::usage(what()).hint("git coop config coop.egressCA"));
        }
    }
    if roots.is_empty() {
        return Err(Error::no_runtime("this machine has no certificates to trust, so the provider cannot be checked")
            .hint("sudo apt install ca-certificates, or name a bundle: git config --global coop.egressCA FILE"));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .or_bug("cannot set up TLS")?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

type Sender = SendRequest<Passing>;

/// Serves one connection to a provider's port.
pub(super) async fn connection(served: Arc<Served>, stream: TcpStream, permit: Arc<OwnedSemaphorePermit>) {
    // requests of one connection come one after the other, and so use one connection to the provider
    let kept: Arc<Mutex<Option<Sender>>> = Arc::default();
    let service = service_fn(move |request| {
        let (served, kept) = (served.clone(), kept.clone());
        async move { Ok::<_, Infallible>(answer(&served, &kept, request).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await; // a client that breaks off is no event
    drop(permit);
}

async fn answer(served: &Served, kept: &Mutex<Option<Sender>>, request: Request<Incoming>) -> Answer {
    let upstream = &served.provider.upstream;
    let place = upstream.target.to_string();
    let no = |status, why: &str| {
        served.tally.denied(&place, why);
        refuse(status, why)
    };
    if request.headers().contains_key(UPGRADE) {
        return refuse(StatusCode::UPGRADE_REQUIRED, "only plain requests are passed on");
    }
    if matches!(*request.method(), Method::CONNECT | Method::TRACE) || request.uri().authority().is_some() {
        return no(StatusCode::METHOD_NOT_ALLOWED, "this port leads to one provider only");
    }
    let Some(path) = path(request.uri(), &upstream.path) else {
        return no(StatusCode::FORBIDDEN, "a path outside of the endpoint");
    };
    let count = served.tally.of(&place);
    let Some(request) = rewrite(&served.provider, request, &path) else {
        return refuse(StatusCode::BAD_REQUEST, "a request that cannot be passed on");
    };
    let mut kept = kept.lock().await;
    let ready = match kept.as_mut() {
        Some(sender) => sender.ready().await.is_ok(),
        None => false,
    };
    if !ready {
        match dial_up(served).await {
            Ok(sender) => *kept = Some(sender),
            Err(Failed::Denied(why)) => return no(StatusCode::FORBIDDEN, &why),
            Err(Failed::Unreachable(why)) => {
                served.tally.failed(&place, &why);
                return refuse(StatusCode::BAD_GATEWAY, &format!("{place} does not answer: {why}"));
            }
        }
    }
    let Some(sender) = kept.as_mut() else { return refuse(StatusCode::BAD_GATEWAY, "no connection") };
    match body::pass(sender, request, count).await {
        Some(answer) => answer,
        None => {
            *kept = None;
            served.tally.failed(&place, "it broke off");
            refuse(StatusCode::BAD_GATEWAY, &format!("{place} broke off"))
        }
    }
}

async fn dial_up(served: &Served) -> std::result::Result<Sender, Failed> {
    let upstream = &served.provider.upstream;
    // an endpoint of the user's own may be anywhere, at the address that the user's own resolver gives
    let at = match (&upstream.target.host, upstream.own) {
        (Host::Address(address), true) => Some(*address),
        (Host::Name(name), true) => {
            let found = tokio::net::lookup_host((name.as_str(), upstream.target.port)).await;
            found.ok().and_then(|mut all| all.next()).map(|address| address.ip())
        }
        _ => None,
    };
    let stream = dial(&upstream.target, at).await?;
    match &served.tls {
        None => handshake(TokioIo::new(stream)).await,
        Some(tls) => {
            let name = match &upstream.target.host {
                Host::Name(name) => ServerName::try_from(name.clone()).ok(),
                Host::Address(address) => Some(ServerName::from(*address)),
            };
            let Some(name) = name else { return Err(Failed::Unreachable("no name for TLS".into())) };
            let stream = tls.connect(name, stream).await.map_err(|err| Failed::Unreachable(format!("TLS: {err}")))?;
            handshake(TokioIo::new(stream)).await
        }
    }
}

async fn handshake<T>(io: T) -> std::result::Result<Sender, Failed>
where
    T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (sender, driver) =
        hyper::client::conn::http1::handshake(io).await.map_err(|err| Failed::Unreachable(err.to_string()))?;
    tokio::spawn(driver);
    Ok(sender)
}

/// The path and query to ask for: below `base`, without anything that a server could read as a step up, and without
/// credentials in the query.
fn path(uri: &Uri, base: &str) -> Option<Uri> {
    let path = uri.path();
    let below = path.strip_prefix(base)?;
    let lower = below.to_ascii_lowercase();
    let odd = ["..", "//", "\\", "%2e", "%2f", "%5c", "%00"].iter().any(|part| lower.contains(part));
    if odd || !(below.is_empty() || below.starts_with('/')) {
        return None;
    }
    let query: Vec<&str> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .filter(|pair| {
            let name = pair.split('=').next().unwrap_or_default().to_ascii_lowercase();
            !pair.is_empty() && !QUERY.contains(&name.as_str()) && !name.contains('%')
        })
        .collect();
    let shown = if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) };
    shown.parse().ok()
}

/// Takes every credential of the box off the request, and puts the real one where its stand-in was.
fn rewrite(provider: &Provider, mut request: Request<Incoming>, path: &Uri) -> Option<Request<Incoming>> {
    *request.uri_mut() = path.clone();
    *request.version_mut() = hyper::Version::HTTP_11;
    replace(provider, request.headers_mut())?;
    let host = HeaderValue::from_str(&provider.upstream.host()).ok()?;
    request.headers_mut().insert(HOST, host);
    Some(request)
}

fn replace(provider: &Provider, headers: &mut hyper::HeaderMap) -> Option<()> {
    let mut real = Vec::new();
    for key in &provider.keys {
        let sent = headers.get_all(key.header.as_str()).iter().any(|value| value.as_bytes() == key.stand_in.as_bytes());
        if sent {
            let mut value = HeaderValue::from_str(&key.real.0).ok()?;
            value.set_sensitive(true);
            real.push((key.header.parse::<HeaderName>().ok()?, value));
        }
    }
    body::strip(headers);
    if without("own-account") {
        headers.extend(real);
        return Some(());
    }
    let ours = provider.keys.iter().map(|key| key.header.as_str());
    for name in CREDENTIALS.into_iter().chain([AUTHORIZATION.as_str(), COOKIE.as_str()]).chain(ours) {
        while headers.remove(name).is_some() {}
    }
    for (name, value) in real {
        headers.insert(name, value);
    }
    Some(())
}

#[cfg(test)]
mod tests;
