//! TLS with certificate files, for HTTPS and WebSockets, and their reload.

use std::path::Path;
use std::sync::Arc;

use futures_util::StreamExt as _;
use reqwest::{Client, StatusCode};
use serde_json::json;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::tungstenite::Message;

use crate::app::{App, PASSWORD, json_of, text};

/// A self-signed certificate for this machine.
struct OwnCertificate(rcgen::CertifiedKey<rcgen::KeyPair>);

impl OwnCertificate {
    fn made() -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        Self(rcgen::generate_simple_self_signed(names).expect("a certificate"))
    }

    fn write(&self, cert: &Path, key: &Path) {
        std::fs::write(cert, self.0.cert.pem()).expect("written");
        std::fs::write(key, self.0.signing_key.serialize_pem()).expect("written");
    }

    /// A client that trusts this certificate and no other.
    fn client(&self) -> Client {
        let der = self.0.cert.der();
        let root = reqwest::Certificate::from_der(der).expect("a certificate");
        let client = Client::builder().tls_certs_only([root]);
        client.build().expect("a client")
    }

    fn connector(&self) -> TlsConnector {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.cert.der().clone()).expect("a root");
        let config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }
}

/// A server with certificate files in a temporary folder.
struct SecureApp {
    app: App,
    folder: tempfile::TempDir,
}

impl SecureApp {
    async fn start(certificate: &OwnCertificate) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        let (cert, key) = (
            folder.path().join("cert.pem"),
            folder.path().join("key.pem"),
        );
        certificate.write(&cert, &key);
        let app = App::start_with(&[
            ("IRISFLOW_TLS_CERT", &cert.to_string_lossy()),
            ("IRISFLOW_TLS_KEY", &key.to_string_lossy()),
        ])
        .await;
        Self { app, folder }
    }

    fn replace_certificate(&self, certificate: &OwnCertificate) {
        let folder = self.folder.path();
        certificate.write(&folder.join("cert.pem"), &folder.join("key.pem"));
    }
}

#[tokio::test]
async fn the_api_is_served_over_https_and_links_say_so() {
    let certificate = OwnCertificate::made();
    let secure = SecureApp::start(&certificate).await;
    let (url, client) = (&secure.app.url, certificate.client());
    assert!(url.starts_with("https://"), "{url}");
    let account = json!({ "email": "you@example.com", "password": PASSWORD });
    let post = async |path: &str| {
        let request = client.post(format!("{url}/api/v1{path}"));
        request.json(&account).send().await.expect("an answer")
    };
    json_of(post("/auth/register").await, StatusCode::CREATED).await;
    let tokens = json_of(post("/auth/login/json").await, StatusCode::OK).await;
    let request = client
        .post(format!("{url}/api/v1/photos/upload"))
        .bearer_auth(text(&tokens["access_token"]));
    let answer = request.send().await.expect("an answer");
    let announced = json_of(answer, StatusCode::CREATED).await;
    assert!(text(&announced["upload_url"]).starts_with(url));
}

#[tokio::test]
async fn sockets_are_served_over_tls() {
    let certificate = OwnCertificate::made();
    let secure = SecureApp::start(&certificate).await;
    let address = secure.app.url.strip_prefix("https://").expect("https");
    let stream = TcpStream::connect(address).await.expect("connected");
    let name = ServerName::try_from("localhost").expect("a name");
    let stream = certificate.connector().connect(name, stream).await;
    let url = format!("wss://{address}/ws/jobs/none");
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream.expect("TLS"))
        .await
        .expect("upgraded");
    let frame = socket.next().await.expect("a frame").expect("read");
    let Message::Text(frame) = frame else {
        panic!("a text frame, and not {frame:?}");
    };
    assert!(frame.contains("not_authenticated"), "{frame}");
}

#[tokio::test]
async fn a_new_certificate_is_loaded_on_sighup() {
    let (old, new) = (OwnCertificate::made(), OwnCertificate::made());
    let secure = SecureApp::start(&old).await;
    let url = format!("{}/health", secure.app.url);
    assert!(old.client().get(&url).send().await.is_ok());
    assert!(new.client().get(&url).send().await.is_err());

    secure.replace_certificate(&new);
    secure.app.signal("HUP");

    secure
        .app
        .until("the new certificate is served", async || {
            new.client().get(&url).send().await.is_ok()
        })
        .await;
    assert!(old.client().get(&url).send().await.is_err());
}

#[tokio::test]
async fn invalid_certificate_files_leave_the_old_one_in_use() {
    let certificate = OwnCertificate::made();
    let secure = SecureApp::start(&certificate).await;
    let url = format!("{}/health", secure.app.url);
    assert!(certificate.client().get(&url).send().await.is_ok());
    std::fs::write(secure.folder.path().join("cert.pem"), "nonsense").expect("written");
    secure.app.signal("HUP");
    secure
        .app
        .until("it is said in the log", async || {
            secure.app.log().contains("keeping the old")
        })
        .await;
    assert!(certificate.client().get(&url).send().await.is_ok());
}

#[tokio::test]
async fn browsers_get_an_hsts_header() {
    let certificate = OwnCertificate::made();
    let secure = SecureApp::start(&certificate).await;
    let header = async |host: &str| {
        let request = certificate
            .client()
            .get(format!("{}/health", secure.app.url));
        let answer = request.header("Host", host).send().await;
        let answer = answer.expect("an answer");
        answer
            .headers()
            .get("strict-transport-security")
            .map(|value| value.to_str().expect("a text").to_owned())
    };
    assert_eq!(
        header("iris.example.com").await.as_deref(),
        Some("max-age=31536000")
    );
    assert_eq!(
        header("localhost").await,
        None,
        "no HSTS for localhost, where other servers may run"
    );
    let plain = App::start().await;
    let answer = plain.get(&format!("{}/health", plain.url)).await;
    assert!(answer.headers().get("strict-transport-security").is_none());
}
