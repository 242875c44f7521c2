//! Keys: what is replaced, what is refused, and that TLS is checked.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

fn provider() -> Provider {
    let key = |header: &str, stand_in: &str, real: &str| Key {
        header: header.into(),
        stand_in: stand_in.into(),
        real: Secret(real.into()),
    };
    Provider {
        port: 3129,
        upstream: Upstream::parse("https://api.example.com/v1/", false).expect("upstream"),
        keys: vec![key("x-api-key", "stand-in", "real"), key("authorization", "Bearer stand-in", "Bearer token")],
    }
}

fn sent(pairs: &[(&'static str, &str)]) -> Vec<(String, String)> {
    let mut headers = hyper::HeaderMap::new();
    for (name, value) in pairs {
        headers.append(*name, HeaderValue::from_str(value).expect("value"));
    }
    replace(&provider(), &mut headers).expect("replaced");
    headers.iter().map(|(n, v)| (n.to_string(), v.to_str().expect("text").to_owned())).collect()
}

#[test]
fn a_key_takes_the_place_of_its_stand_in_only() {
    assert_eq!(sent(&[("x-api-key", "stand-in")]), [("x-api-key".into(), "real".into())]);
    assert_eq!(sent(&[("authorization", "Bearer stand-in")]), [("authorization".into(), "Bearer token".into())]);
    let others = [("x-api-key", "mine"), ("authorization", "Bearer mine"), ("cookie", "a=b"), ("api-key", "mine")];
    assert_eq!(sent(&others), [], "an account of its own gets nowhere");
    assert_eq!(sent(&[("x-api-key", "mine"), ("x-api-key", "stand-in")]), [("x-api-key".into(), "real".into())]);
    assert_eq!(sent(&[("connection", "x-extra"), ("x-extra", "1"), ("accept", "a")]), [("accept".into(), "a".into())]);
    assert_eq!(format!("{:?}", provider().keys[0].real), "Secret");
}

#[test]
fn nothing_outside_of_the_endpoint() {
    let asked = |text: &str| path(&text.parse().expect("uri"), "/v1").map(|uri| uri.to_string());
    assert_eq!(asked("/v1/messages?beta=true").as_deref(), Some("/v1/messages?beta=true"));
    assert_eq!(asked("/v1/x?key=mine&alt=sse&%6bey=mine").as_deref(), Some("/v1/x?alt=sse"));
    for text in ["/v2/x", "/v10", "/", "/v1/../admin", "/v1/%2e%2e/admin", "/v1//admin", "/v1/..%2fadmin"] {
        assert_eq!(asked(text), None, "{text}");
    }
}

#[test]
fn endpoints() {
    let upstream = provider().upstream;
    assert_eq!(upstream.rule().to_string(), "api.example.com:443");
    assert_eq!(upstream.host(), "api.example.com");
    assert_eq!(Upstream::parse("http://localhost:11434", true).expect("own").target().to_string(), "127.0.0.1:11434");
    for text in
        ["", "example.com", "ftp://example.com", "https://", "https://u:p@example.com", "https://a.example/?x=1"]
    {
        assert_eq!(Upstream::parse(text, false).expect_err(text).kind().code(), 2);
    }
}

/// A provider on loopback that speaks TLS as `api.test`, and gives back the head of each request. With the bundle that
/// vouches for it.
async fn vouched(dir: &Path) -> (u16, std::path::PathBuf) {
    use tokio_rustls::rustls::ServerConfig;
    use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).expect("a certificate");
    let bundle = dir.join("ca.pem");
    std::fs::write(&bundle, made.cert.pem()).expect("writes");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a server");
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let port = listener.local_addr().expect("address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let mut head = Vec::new();
                while let Ok(byte) = stream.read_u8().await {
                    head.push(byte);
                    if head.ends_with(b"\r\n\r\n") {
                        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", head.len());
                        let _ = stream.write_all(&[answer.as_bytes(), &head].concat()).await;
                        head.clear();
                    }
                }
            });
        }
    });
    (port, bundle)
}

async fn asked(provider: &Provider, ca: Option<&Path>) -> (String, Arc<Tally>) {
    let tally = Arc::new(Tally::default());
    let served = Arc::new(Served::new(provider, ca, tally.clone()).expect("served"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("listens");
    let address = listener.local_addr().expect("address");
    let room = Arc::new(tokio::sync::Semaphore::new(10));
    tokio::spawn(super::super::serve::accept(listener, room, move |stream, permit| {
        connection(served.clone(), stream, permit)
    }));
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let ask = "GET /v1/messages?key=mine HTTP/1.1\r\nHost: 127.0.0.1\r\nx-api-key: stand-in\r\ncookie: a\r\n";
    stream.write_all(format!("{ask}\r\n{ask}Connection: close\r\n\r\n").as_bytes()).await.expect("writes");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("reads");
    (answer, tally)
}

#[tokio::test]
async fn the_key_goes_out_over_tls_that_was_checked() {
    let dir = tempfile::tempdir().expect("tempdir");
    let (port, bundle) = vouched(dir.path()).await;
    let url = format!("https://127.0.0.1:{port}/v1");
    let provider = Provider { upstream: Upstream::parse(&url, true).expect("upstream"), ..provider() };
    let (answer, tally) = asked(&provider, Some(&bundle)).await;
    assert_eq!(answer.matches("x-api-key: real\r\n").count(), 2, "{answer}");
    assert!(answer.contains(&format!("GET /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n")), "{answer}");
    assert!(!answer.contains("stand-in") && !answer.contains("cookie") && !answer.contains("mine"), "{answer}");
    assert_eq!(tally.lines()[0].reached, 2);

    let (answer, tally) = asked(&provider, None).await;
    assert!(answer.starts_with("HTTP/1.1 502") && answer.contains("TLS"), "nobody vouches for it: {answer}");
    assert_eq!((tally.lines()[0].reached, tally.lines()[0].failed), (0, 2));
    std::fs::write(&bundle, "no certificate\n").expect("writes");
    let err = Served::new(&provider, Some(&bundle), Arc::default()).err().expect("an empty bundle is no bundle");
    assert_eq!(err.kind().code(), 2, "{}", err.render());
}
