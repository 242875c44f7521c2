//! Serves the box's proxy port: tunnels (CONNECT) and plain HTTP in absolute form.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::ext::ReasonPhrase;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::address;
use super::body::{self, Answer};
use super::dial::{Failed, dial};
use super::policy::Policy;
use super::tally::{Count, Tally};
use super::target::{Host, Target};
use super::tunnel;

/// How long the head of a request may take.
pub(super) const HEAD: Duration = Duration::from_secs(30);
/// The header that names what was denied.
pub const DENIED: &str = "x-coop-denied";

/// The proxy port.
#[derive(Debug, Clone)]
pub struct Forward {
    /// What may be reached.
    pub policy: Policy,
    /// How a user allows a host; `{host}` stands for it.
    pub allow: String,
}

/// What all connections of a box share.
#[derive(Debug)]
struct Shared {
    policy: Policy,
    tally: Arc<Tally>,
    allow: String,
}

/// Room for a connection, held as long as it or the tunnel that it became.
type Permit = Arc<tokio::sync::OwnedSemaphorePermit>;

/// Takes connections until the listener fails. Each waits for room.
pub(super) async fn accept<F, Fut>(listener: TcpListener, room: Arc<Semaphore>, serve: F)
where
    F: Fn(TcpStream, Permit) -> Fut,
    Fut: Future<Output = ()> + Send + 'static,
{
    while let Ok(permit) = room.clone().acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let _ = stream.set_nodelay(true); // only slower without
                tokio::spawn(serve(stream, Arc::new(permit)));
            }
            // out of descriptors, or a client that went away
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Serves the proxy port at `listener` until it is dropped.
pub async fn proxy(listener: TcpListener, forward: Forward, tally: Arc<Tally>, room: Arc<Semaphore>) {
    let shared = Arc::new(Shared { policy: forward.policy, tally, allow: forward.allow });
    accept(listener, room, move |stream, permit| connection(shared.clone(), stream, permit)).await;
}

/// Serves one connection to the proxy port.
async fn connection(shared: Arc<Shared>, stream: TcpStream, permit: Permit) {
    let service = service_fn(move |request| {
        let (shared, permit) = (shared.clone(), permit.clone());
        async move { Ok::<_, Infallible>(answer(shared, request, permit).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .half_close(true)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let _ = served.await; // a client that breaks off is no event
}

async fn answer(shared: Arc<Shared>, request: Request<Incoming>, permit: Permit) -> Answer {
    let uri = request.uri().clone();
    // the target is what the request line says; Host is not looked at
    let authority = uri.authority().map(|a| a.as_str()).unwrap_or_default();
    if request.method() == Method::CONNECT {
        return match Target::parse(authority, None) {
            Some(target) => connect(shared, request, target, permit).await,
            None => refuse(StatusCode::BAD_REQUEST, "CONNECT wants host:port, with a full host name or an address"),
        };
    }
    match uri.scheme_str() {
        Some("http") => match Target::parse(authority, Some(80)) {
            Some(target) => forward(shared, request, target).await,
            None => refuse(StatusCode::BAD_REQUEST, "the address names no host that there can be"),
        },
        Some(_) => refuse(StatusCode::BAD_REQUEST, "only http:// is forwarded; everything else goes through CONNECT"),
        None => refuse(StatusCode::BAD_REQUEST, "this is the proxy of the box: it wants CONNECT or a whole address"),
    }
}

/// An answer of the proxy itself.
pub(super) fn refuse(status: StatusCode, why: &str) -> Answer {
    let mut answer = Response::new(body::text(format!("git coop: {why}\n")));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    answer
}

fn denied(shared: &Shared, target: &Target, why: &str) -> Answer {
    shared.tally.denied(&target.to_string(), why);
    // a port that is not the web's has to be allowed by its number
    let host = match target.port {
        80 | 443 => target.host.to_string(),
        _ => target.to_string(),
    };
    let mut said = format!("this box may not reach {target}: {why}");
    // an address that is not public cannot be allowed in passing
    if !matches!(target.host, Host::Address(address) if address::public(address).is_err()) {
        let hint = shared.allow.replace("{host}", &host);
        said.push_str(&format!("\ngit coop: outside of the box the user can allow it: {hint}"));
    }
    let mut answer = refuse(StatusCode::FORBIDDEN, &said);
    let headers = answer.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&target.to_string()) {
        headers.insert(DENIED, value);
    }
    headers.insert(CONNECTION, HeaderValue::from_static("close"));
    // some clients show nothing else of a refused tunnel
    if let Ok(reason) = ReasonPhrase::try_from(format!("git coop denies {target}").into_bytes()) {
        answer.extensions_mut().insert(reason);
    }
    answer
}

/// Why a target is not reached when nothing allows it.
const UNLISTED: &str = "it is not on the list of allowed hosts";

async fn reach(shared: &Shared, target: &Target) -> Result<(TcpStream, Arc<Count>, bool), Answer> {
    let Some(allowed) = shared.policy.decide(target).await else {
        return Err(denied(shared, target, UNLISTED));
    };
    match dial(target, allowed.at).await {
        Ok(stream) => Ok((stream, shared.tally.of(&target.to_string()), allowed.any_protocol)),
        Err(Failed::Denied(why)) => Err(denied(shared, target, &why)),
        Err(Failed::Unreachable(why)) => {
            shared.tally.failed(&target.to_string(), &why);
            Err(refuse(StatusCode::BAD_GATEWAY, &format!("{target} does not answer: {why}")))
        }
    }
}

async fn connect(shared: Arc<Shared>, request: Request<Incoming>, target: Target, permit: Permit) -> Answer {
    let (far, count, any_protocol) = match reach(&shared, &target).await {
        Ok(reached) => reached,
        Err(answer) => return answer,
    };
    tokio::spawn(async move {
        let _permit = permit;
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        let Ok(parts) = upgraded.downcast::<TokioIo<TcpStream>>() else { return };
        let check =
            tunnel::Check { host: target.host.clone(), only_tls: !any_protocol, strict: shared.policy.strict() };
        if let Err(why) = tunnel::run(parts.io.into_inner(), &parts.read_buf, far, &check, &count).await {
            shared.tally.denied(&target.to_string(), why);
        }
    });
    Response::new(body::text(String::new()))
}

async fn forward(shared: Arc<Shared>, mut request: Request<Incoming>, target: Target) -> Answer {
    let (far, count, _) = match reach(&shared, &target).await {
        Ok(reached) => reached,
        Err(answer) => return answer,
    };
    let failed = |what: &str| {
        shared.tally.failed(&target.to_string(), what);
        refuse(StatusCode::BAD_GATEWAY, &format!("{target} {what}"))
    };
    let handshake = hyper::client::conn::http1::handshake(TokioIo::new(far)).await;
    let Ok((mut sender, driver)) = handshake else { return failed("does not speak HTTP") };
    tokio::spawn(driver);
    let path = request.uri().path_and_query().map_or("/", |p| p.as_str()).parse();
    let host = match (&target.host, target.port) {
        (host, 80) => host.to_string(),
        _ => target.to_string(),
    };
    let (Ok(path), Ok(host)) = (path, HeaderValue::from_str(&host)) else { return failed("cannot be asked for that") };
    *request.uri_mut() = path;
    *request.version_mut() = hyper::Version::HTTP_11;
    body::strip(request.headers_mut());
    request.headers_mut().insert(HOST, host);
    body::pass(&mut sender, request, count).await.unwrap_or_else(|| failed("broke off"))
}
