//! A receiver of webhooks on loopback that answers as a test scripts it, down to the bytes.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What the receiver does with one request.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Status(u16),
    /// A status with a header.
    WithHeader(u16, String),
    /// Echoes the request.
    Echo,
    /// Reads it and stays silent.
    Hang,
    /// One byte of the headers now and then.
    Trickle,
    /// A body without end.
    Endless,
    /// Closes in the middle of the headers.
    CloseHalfway,
    /// Answers with garbage before it reads anything.
    Garbage,
}

/// A request as it arrived.
#[derive(Debug, Clone)]
pub(crate) struct Received {
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Received {
    pub(crate) fn id(&self) -> String {
        let id = self.headers.get("webhook-id").expect("webhook-id");
        id.to_str().expect("text").to_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("a JSON body")
    }

    /// As the library of Standard Webhooks checks it.
    pub(crate) fn is_signed_with(&self, secret: &str) -> bool {
        let webhook = standardwebhooks::Webhook::new(secret).expect("a secret");
        webhook.verify(self.body.as_bytes(), &self.headers).is_ok()
    }
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    received: Vec<Received>,
    /// Bytes of endless bodies that were taken.
    sent_bytes: usize,
}

pub(crate) struct Receiver {
    pub(crate) port: u16,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Receiver {
    /// Gives these answers in turn, and the last one for ever.
    pub(crate) async fn start(answers: &[Answer]) -> Self {
        Self::start_on(0, answers).await
    }

    pub(crate) async fn start_on(port: u16, answers: &[Answer]) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await;
        let listener = listener.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let (state, answers) = (Arc::<Mutex<State>>::default(), answers.to_vec());
        let serving = tokio::spawn(serve(listener, Arc::clone(&state), answers));
        Self {
            port,
            state,
            serving,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.state.lock().expect("no panic").received.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.state.lock().expect("no panic").connections
    }

    pub(crate) fn sent_bytes(&self) -> usize {
        self.state.lock().expect("no panic").sent_bytes
    }

    /// Waits for this many requests.
    pub(crate) async fn until_received(&self, count: usize) -> Vec<Received> {
        let waiting = async {
            while self.received().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), waiting).await;
        assert!(
            waited.is_ok(),
            "{count} requests, not {:?}",
            self.received()
        );
        self.received()
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>, answers: Vec<Answer>) {
    // Dropped with this task, so that a stopped receiver also leaves its connections.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            return;
        };
        state.lock().expect("no panic").connections += 1;
        let (state, answers) = (Arc::clone(&state), answers.clone());
        connections.spawn(async move {
            // The other end hangs up when it has had enough.
            let _ = answer_all(stream, &state, &answers).await;
        });
    }
}

async fn answer_all(
    mut stream: TcpStream,
    state: &Mutex<State>,
    answers: &[Answer],
) -> std::io::Result<()> {
    if let [Answer::Garbage, ..] = answers {
        stream.write_all(b"\x00garbage, not TLS\r\n").await?;
        return stream.shutdown().await;
    }
    loop {
        let received = read_request(&mut stream).await?;
        let answer = {
            let mut state = state.lock().expect("no panic");
            state.received.push(received.clone());
            let index = (state.received.len() - 1).min(answers.len() - 1);
            answers[index].clone()
        };
        if !give(&mut stream, state, &answer, &received).await? {
            return Ok(());
        }
    }
}

pub(crate) async fn read_request(
    stream: &mut (impl AsyncRead + Unpin),
) -> std::io::Result<Received> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut headers = HeaderMap::new();
    for line in head.lines().skip(1) {
        if let Some((name, value)) = line.split_once(": ") {
            let name: HeaderName = name.parse().expect("a header");
            headers.insert(name, HeaderValue::from_str(value).expect("a value"));
        }
    }
    let length = headers.get("content-length").expect("a length");
    let length: usize = length.to_str().expect("text").parse().expect("a number");
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    let body = String::from_utf8(body).expect("text");
    Ok(Received { headers, body })
}

/// Whether the connection goes on.
async fn give(
    stream: &mut (impl AsyncWrite + Unpin),
    state: &Mutex<State>,
    answer: &Answer,
    received: &Received,
) -> std::io::Result<bool> {
    let plain = |status: u16, header: &str, body: &str| {
        let length = body.len();
        format!("HTTP/1.1 {status} X\r\n{header}content-length: {length}\r\n\r\n{body}")
    };
    match answer {
        Answer::Status(status) => {
            let text = plain(*status, "", "answer of the receiver");
            stream.write_all(text.as_bytes()).await?;
            Ok(true)
        }
        Answer::WithHeader(status, header) => {
            let text = plain(*status, &format!("{header}\r\n"), "");
            stream.write_all(text.as_bytes()).await?;
            Ok(true)
        }
        Answer::Echo => {
            let text = plain(200, "", &received.body);
            stream.write_all(text.as_bytes()).await?;
            Ok(true)
        }
        Answer::Hang => std::future::pending().await,
        Answer::Trickle => loop {
            stream.write_all(b"H").await?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        },
        Answer::Endless => {
            let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            loop {
                stream.write_all(chunk.as_bytes()).await?;
                state.lock().expect("no panic").sent_bytes += chunk.len();
            }
        }
        Answer::CloseHalfway => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-le").await?;
            Ok(false)
        }
        Answer::Garbage => Ok(false),
    }
}
