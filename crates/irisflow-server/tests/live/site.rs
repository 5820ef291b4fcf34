//! A server on a real listener, whose jobs are written to the store directly, and watchers over each transport.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, Stream, StreamExt as _};
use irisflow_jobs::{
    Checkpoint, Enqueued, Fence, Job, JobCommands as _, JobId, JobLeases as _, JobPolicy, NewJob,
    NewPhoto, NoTraces, PhotoId, PhotoStore as _, PictureOptions, Priority, Submission,
    SystemClock, UserId, WorkerId,
};
use irisflow_photos::{FileStore, MemoryBudget, UrlSigner};
use irisflow_server::{ConnectionLimits, Listeners, Secrets, ServerParts, ServerSettings};
use irisflow_sqlite::SqliteStore;
use metrics_exporter_prometheus::PrometheusBuilder;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};
use tokio_util::sync::CancellationToken;

use super::faulty_bus::FaultyBus;

/// Timeout of everything that a test waits for; more than it takes on a slow machine.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(60);
const PASSWORD: &str = "Clear-Iris-7";

pub(crate) struct Site {
    pub(crate) store: SqliteStore,
    pub(crate) bus: Arc<FaultyBus>,
    pub(crate) address: SocketAddr,
    pub(crate) client: Client,
    shutdown: CancellationToken,
    _folder: tempfile::TempDir,
    _turn: Turn,
}

/// Tests share the process. One that measures its memory runs alone.
static TURNS: RwLock<()> = RwLock::const_new(());

#[expect(dead_code, reason = "held until the test has ended")]
enum Turn {
    Shared(RwLockReadGuard<'static, ()>),
    Alone(RwLockWriteGuard<'static, ()>),
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

impl Site {
    pub(crate) async fn start() -> Self {
        let turn = TURNS.read().await;
        Self::start_in(Turn::Shared(turn)).await
    }

    /// Once no other test has a site, and until this one is dropped.
    pub(crate) async fn start_alone() -> Self {
        let turn = TURNS.write().await;
        Self::start_in(Turn::Alone(turn)).await
    }

    async fn start_in(turn: Turn) -> Self {
        let folder = tempfile::tempdir().expect("a temp folder");
        let (bus, clock) = (Arc::new(FaultyBus::default()), Arc::new(SystemClock));
        let (database, policy) = (folder.path().join("db"), JobPolicy::default());
        let store = SqliteStore::open(&database, clock.clone(), policy, bus.clone()).await;
        let store = store.expect("a database");
        let files = FileStore::open(&folder.path().join("files")).expect("a storage");
        let stores = Arc::new(store.clone());
        let links = UrlSigner::new([3; 32]);
        let parts = ServerParts {
            accounts: stores.clone(),
            photos: stores.clone(),
            job_commands: stores.clone(),
            job_reader: stores.clone(),
            queue_reader: stores.clone(),
            timeline: stores.clone(),
            webhooks: stores.clone(),
            statistics: stores.clone(),
            privacy: stores.clone(),
            health: stores,
            token_buckets: None,
            files: Arc::new(files),
            links: Arc::new(links.clone()),
            file_links: Some(links),
            memory: MemoryBudget::new(64 << 20),
            bus: bus.clone(),
            clock,
            secrets: Secrets {
                access_tokens: [1; 32],
                refresh_tokens: [2; 32],
                webhooks: [2; 32],
            },
            metrics: PrometheusBuilder::new().build_recorder().handle(),
            tracer: Arc::new(NoTraces),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let shutdown = CancellationToken::new();
        let listeners = Listeners {
            api: listener,
            metrics: None,
        };
        let server =
            irisflow_server::prepare(listeners, parts, settings(address), shutdown.clone());
        tokio::spawn(server.await.expect("a server").serve());
        Self {
            store,
            bus,
            address,
            client: Client::new(),
            shutdown,
            _folder: folder,
            _turn: turn,
        }
    }

    pub(crate) async fn user(&self, name: &str) -> User<'_> {
        let account = json!({ "email": format!("{name}@example.com"), "password": PASSWORD });
        let registered = self.post("auth/register", &account).await;
        let tokens = self.post("auth/login/json", &account).await;
        let id = registered["id"].as_str().expect("an id");
        User {
            site: self,
            id: UserId::from(id.parse::<uuid::Uuid>().expect("a UUID")),
            token: tokens["access_token"].as_str().expect("a token").to_owned(),
        }
    }

    async fn post(&self, route: &str, body: &Value) -> Value {
        let url = format!("http://{}/api/v1/{route}", self.address);
        let answer = self.client.post(url).json(body).send().await;
        let answer = answer.expect("an answer");
        assert!(answer.status().is_success(), "{answer:?}");
        answer.json().await.expect("JSON")
    }

    /// Claims the next job and records checkpoints.
    pub(crate) async fn claim_and_reach(&self, checkpoints: &[Checkpoint]) -> Job {
        let claimed = self.store.claim_next(WorkerId::generate()).await;
        let job = claimed.expect("the store works").expect("a job is due");
        for checkpoint in checkpoints {
            self.reach(&job, *checkpoint).await;
        }
        job
    }

    pub(crate) async fn reach(&self, job: &Job, checkpoint: Checkpoint) {
        let fence = Fence {
            job_id: job.id,
            epoch: job.epoch,
        };
        let recorded = self
            .store
            .record_checkpoints(fence, &[], &[checkpoint])
            .await;
        recorded.expect("the store works");
    }
}

fn settings(listen: SocketAddr) -> ServerSettings {
    let mut limits = ConnectionLimits::default().with_connections(8_000);
    limits.connections_of_address = 8_000;
    limits.sockets_of_address = 6_000;
    limits.sockets_of_user = 6_000;
    let mut settings = ServerSettings {
        listen,
        connection_limits: limits,
        resync_interval: Duration::from_millis(200),
        ..ServerSettings::default()
    };
    settings.usage_limits.user_rate = 100_000;
    settings.usage_limits.user_burst = 100_000;
    settings.usage_limits.address_rate = 100_000;
    settings.usage_limits.address_burst = 100_000;
    settings
}

#[derive(Clone)]
pub(crate) struct User<'a> {
    pub(crate) site: &'a Site,
    pub(crate) id: UserId,
    pub(crate) token: String,
}

impl User<'_> {
    pub(crate) async fn submit(&self) -> JobId {
        let photo = NewPhoto {
            id: PhotoId::generate(),
            user_id: self.id,
            announced_type: "image/jpeg".to_owned(),
        };
        let photo = self.site.store.add_photo(photo, u64::MAX).await;
        let photo = photo.expect("the store works").expect("there is no limit");
        let job = NewJob {
            id: JobId::generate(),
            user_id: self.id,
            photo_id: photo.id,
            batch_id: None,
            priority: Priority::High,
            options: PictureOptions::default(),
        };
        let enqueued = self.site.store.enqueue(Submission::of(vec![job])).await;
        match enqueued.expect("the store works") {
            Enqueued::Now(jobs) => jobs[0].id,
            other => panic!("{other:?}"),
        }
    }

    /// Ends a waiting job at once.
    pub(crate) async fn cancel(&self, job_id: JobId) {
        let cancelled = self.site.store.cancel(self.id, job_id).await;
        cancelled.expect("the store works").expect("there is a job");
    }

    /// Starts a watcher at a cursor, of one job or of all.
    pub(crate) async fn watch(
        &self,
        transport: Transport,
        cursor: Option<&str>,
        job_id: Option<JobId>,
    ) -> Watcher<'_> {
        let mut watcher = Watcher {
            user: self,
            cursor: cursor.map(str::to_owned),
            job_id,
            connection: Connection::Poll(VecDeque::new()),
        };
        watcher.connection = match transport {
            Transport::WebSocket => Connection::Socket(Box::new(watcher.open_socket().await)),
            Transport::EventStream => watcher.open_stream().await,
            Transport::LongPoll => Connection::Poll(VecDeque::new()),
        };
        watcher
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    EventStream,
    LongPoll,
}

impl Transport {
    pub(crate) const ALL: [Self; 3] = [Self::WebSocket, Self::EventStream, Self::LongPoll];
}

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A client that checks the chain of cursors.
pub(crate) struct Watcher<'a> {
    user: &'a User<'a>,
    pub(crate) cursor: Option<String>,
    job_id: Option<JobId>,
    connection: Connection,
}

enum Connection {
    Socket(Box<Socket>),
    Stream {
        bytes: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
        received: String,
    },
    Poll(VecDeque<Value>),
}

impl Watcher<'_> {
    async fn open_socket(&self) -> Socket {
        let url = format!("ws://{}/ws", self.user.site.address);
        let (mut socket, _) = tokio_tungstenite::connect_async(url)
            .await
            .expect("a socket");
        let hello = json!({
            "type": "hello",
            "token": self.user.token,
            "cursor": self.cursor,
            "filter": self.job_id.map(|id| json!({ "job_ids": [id] })),
        });
        let sent = socket.send(Message::text(hello.to_string())).await;
        sent.expect("the hello is sent");
        socket
    }

    fn request(&self, accept: &str) -> reqwest::RequestBuilder {
        let site = self.user.site;
        let cursor = self
            .cursor
            .as_ref()
            .map(|cursor| format!("cursor={cursor}"));
        let job_id = self.job_id.map(|job_id| format!("job_id={job_id}"));
        let query: Vec<String> = cursor.into_iter().chain(job_id).collect();
        let url = format!("http://{}/api/v1/events?{}", site.address, query.join("&"));
        let request = site.client.get(url).header("Accept", accept);
        request.bearer_auth(&self.user.token)
    }

    async fn open_stream(&self) -> Connection {
        let answer = self.request("text/event-stream").send().await;
        let answer = answer.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Connection::Stream {
            bytes: Box::pin(answer.bytes_stream()),
            received: String::new(),
        }
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Value {
        let next = timeout(TIMEOUT, self.any_frame()).await;
        let frame = next.expect("a frame comes in time");
        if frame["type"] == "event" {
            assert_eq!(
                frame["prev"].as_str(),
                self.cursor.as_deref(),
                "nothing is missing"
            );
        }
        if let Some(cursor) = frame["cursor"].as_str() {
            self.cursor = Some(cursor.to_owned());
        }
        frame
    }

    /// The next event.
    pub(crate) async fn event(&mut self) -> Value {
        loop {
            let mut frame = self.frame().await;
            if frame["type"] == "event" {
                return frame["event"].take();
            }
        }
    }

    async fn any_frame(&mut self) -> Value {
        loop {
            match &mut self.connection {
                Connection::Socket(socket) => match socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        return serde_json::from_str(&text).expect("JSON");
                    }
                    Some(Ok(_)) => {}
                    other => panic!("the socket ended: {other:?}"),
                },
                Connection::Stream { bytes, received } => {
                    if let Some(frame) = next_message(received) {
                        return frame;
                    }
                    let more = bytes.next().await.expect("the stream goes on");
                    received.push_str(&String::from_utf8_lossy(&more.expect("it is read")));
                }
                Connection::Poll(frames) => {
                    if let Some(frame) = frames.pop_front() {
                        return frame;
                    }
                    let answer = self.request("application/json").send().await;
                    let answer = answer.expect("an answer");
                    assert_eq!(answer.status(), 200);
                    let mut body: Value = answer.json().await.expect("JSON");
                    let is_empty = body["frames"].as_array().is_some_and(Vec::is_empty);
                    if is_empty && let Some(cursor) = body["cursor"].as_str() {
                        self.cursor = Some(cursor.to_owned());
                    }
                    let Value::Array(frames) = body["frames"].take() else {
                        panic!("{body}");
                    };
                    self.connection = Connection::Poll(frames.into());
                }
            }
        }
    }
}

/// Takes the first whole message with data from what was received of a stream.
fn next_message(received: &mut String) -> Option<Value> {
    loop {
        let end = received.find("\n\n")?;
        let message: String = received.drain(..end + 2).collect();
        let field = |name: &str| {
            let lines = message.lines();
            let mut values = lines.filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            values.next().map(str::to_owned)
        };
        let Some(data) = field("data") else { continue };
        let frame: Value = serde_json::from_str(&data).expect("JSON");
        assert_eq!(field("event").as_deref(), frame["type"].as_str());
        assert_eq!(field("id").as_deref(), frame["cursor"].as_str());
        return Some(frame);
    }
}
