//! An OpenTelemetry collector on loopback: takes spans by OTLP over HTTP and keeps them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A span, and the process that sent it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) service: String,
    pub(super) span: Span,
}

impl Seen {
    /// An attribute as text; empty without it.
    pub(super) fn attribute(&self, name: &str) -> String {
        attribute(&self.span.attributes, name)
    }

    pub(super) fn times(&self) -> (u64, u64) {
        (self.span.start_time_unix_nano, self.span.end_time_unix_nano)
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|attribute| attribute.key == name);
    let value = found.and_then(|attribute| attribute.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(other) => panic!("{name} is {other:?}"),
        None => String::new(),
    }
}

#[derive(Debug, Default)]
struct State {
    connections: usize,
    heads: Vec<String>,
    bodies: Vec<Vec<u8>>,
}

pub(super) struct Collector {
    port: u16,
    state: Arc<Mutex<State>>,
    serving: JoinHandle<()>,
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Collector {
    pub(super) async fn start() -> Self {
        Self::start_with(true).await
    }

    /// Accepts connections and reads requests.
    pub(super) async fn that_never_answers() -> Self {
        Self::start_with(false).await
    }

    async fn start_with(answers: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let port = listener.local_addr().expect("an address").port();
        let state = Arc::<Mutex<State>>::default();
        let serving = tokio::spawn(serve(listener, Arc::clone(&state), answers));
        Self {
            port,
            state,
            serving,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn connections(&self) -> usize {
        self.state.lock().expect("no panic").connections
    }

    /// The request lines and headers.
    pub(super) fn heads(&self) -> Vec<String> {
        self.state.lock().expect("no panic").heads.clone()
    }

    /// Whether a text is in any request.
    pub(super) fn has_received(&self, text: &str) -> bool {
        let state = self.state.lock().expect("no panic");
        let mut bodies = state.bodies.iter();
        bodies.any(|body| body.windows(text.len()).any(|part| part == text.as_bytes()))
    }

    /// All spans so far, by the time of their begin.
    pub(super) fn spans(&self) -> Vec<Seen> {
        let bodies = self.state.lock().expect("no panic").bodies.clone();
        let requests = bodies
            .iter()
            .map(|body| ExportTraceServiceRequest::decode(&body[..]).expect("a request of OTLP"));
        let mut seen = Vec::new();
        for of_resource in requests.flat_map(|request| request.resource_spans) {
            let resource = of_resource.resource.expect("a resource");
            let service = attribute(&resource.attributes, "service.name");
            for span in of_resource.scope_spans.into_iter().flat_map(|s| s.spans) {
                let service = service.clone();
                seen.push(Seen { service, span });
            }
        }
        seen.sort_by_key(Seen::times);
        seen
    }

    /// Waits until this holds of the spans.
    pub(super) async fn until(&self, what: &str, holds: impl Fn(&[Seen]) -> bool) -> Vec<Seen> {
        let begun = std::time::Instant::now();
        loop {
            let spans = self.spans();
            if holds(&spans) {
                return spans;
            }
            let waited = begun.elapsed();
            assert!(waited < Duration::from_secs(60), "no {what} in {spans:#?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn serve(listener: TcpListener, state: Arc<Mutex<State>>, answers: bool) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        state.lock().expect("no panic").connections += 1;
        connections.spawn(serve_one(stream, Arc::clone(&state), answers));
    }
}

async fn serve_one(mut stream: TcpStream, state: Arc<Mutex<State>>, answers: bool) {
    let mut read = Vec::new();
    while stream
        .read_buf(&mut read)
        .await
        .is_ok_and(|bytes| bytes > 0)
    {
        let Some((head, length)) = head_of(&read) else {
            continue;
        };
        if read.len() < head.len() + length {
            continue;
        }
        let body = read[head.len()..head.len() + length].to_vec();
        read.drain(..head.len() + length);
        {
            let mut state = state.lock().expect("no panic");
            state.heads.push(head);
            state.bodies.push(body);
        }
        if answers {
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";
            let _ = stream.write_all(answer).await;
        }
    }
}

/// The head of a request, once it is complete, and the length of its body.
fn head_of(read: &[u8]) -> Option<(String, usize)> {
    let end = read.windows(4).position(|part| part == b"\r\n\r\n")? + 4;
    let head = String::from_utf8(read[..end].to_vec()).expect("text");
    let length = head.lines().find_map(|line| {
        line.to_lowercase()
            .strip_prefix("content-length:")?
            .trim()
            .parse()
            .ok()
    });
    Some((head, length.unwrap_or(0)))
}
