//! The measured process: the server with accounts in its store, and a producer of events that it runs on command.
//! Commands are lines on standard input; each is answered by a line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use async_trait::async_trait;
use irisflow_bus::LocalBus;
use irisflow_jobs::{
    AccountStore as _, Bus, Enqueued, Fence, JobCommands as _, JobId, JobPolicy, JobReader as _,
    NewAccount, NewJob, NewPhoto, NewSession, NoTraces, Notification, Notifier, PhotoId,
    PhotoStore as _, PictureOptions, Priority, Session, SessionId, Submission, Subscription,
    SystemClock, UserId, WorkWakeUp,
};
use irisflow_photos::{FileStore, MemoryBudget, UrlSigner};
use irisflow_server::{ConnectionLimits, Listeners, Secrets, ServerParts, ServerSettings};
use irisflow_sqlite::SqliteStore;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use metrics_exporter_prometheus::PrometheusBuilder;
use serde_json::json;
use tokio::net::TcpSocket;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::monotonic_ns;

const SECRET: [u8; 32] = [1; 32];
/// Tasks of the producer, so that commits are grouped as those of many requests are.
const PRODUCERS: u32 = 16;

#[derive(Debug, clap::Args)]
pub(crate) struct ServeArgs {
    /// Folder of the database, and of what the commands write.
    #[arg(long)]
    folder: PathBuf,
    /// Accounts to make.
    #[arg(long)]
    users: usize,
}

pub(super) async fn run(arguments: ServeArgs) -> anyhow::Result<()> {
    let bus = Arc::new(TimedBus::default());
    let (clock, database) = (Arc::new(SystemClock), arguments.folder.join("db"));
    let store =
        SqliteStore::open(&database, clock.clone(), JobPolicy::default(), bus.clone()).await?;
    let users = make_users(&store, arguments.users).await?;
    let tokens: Vec<String> = users.iter().map(|user| user.token.clone()).collect();
    std::fs::write(arguments.folder.join("tokens"), tokens.join("\n"))?;

    let files = FileStore::open(&arguments.folder.join("files"))?;
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
        files: Arc::new(files),
        links: Arc::new(links.clone()),
        file_links: Some(links),
        memory: MemoryBudget::new(64 << 20),
        token_buckets: None,
        bus: bus.clone(),
        clock,
        secrets: Secrets {
            access_tokens: SECRET,
            refresh_tokens: [2; 32],
            webhooks: [2; 32],
        },
        metrics: PrometheusBuilder::new().build_recorder().handle(),
        tracer: Arc::new(NoTraces),
    };
    let listener = listen()?;
    let address = listener.local_addr()?;
    let listeners = Listeners {
        api: listener,
        metrics: None,
    };
    let shutdown = CancellationToken::new();
    let server = irisflow_server::prepare(listeners, parts, settings(address), shutdown).await?;
    tokio::spawn(server.serve());
    print_line(&address.to_string());
    let producer = Producer {
        store,
        users: users.into(),
        bus,
        folder: arguments.folder,
    };
    producer.obey().await
}

fn listen() -> anyhow::Result<tokio::net::TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0)))?;
    Ok(socket.listen(4096)?)
}

fn settings(listen: SocketAddr) -> ServerSettings {
    let mut limits = ConnectionLimits::default().with_connections(16_000);
    limits.connections_of_address = 16_000;
    limits.sockets = 15_000;
    limits.sockets_of_address = 15_000;
    limits.sockets_of_user = 15_000;
    let mut settings = ServerSettings {
        listen,
        connection_limits: limits,
        ..ServerSettings::default()
    };
    settings.usage_limits.user_rate = 1_000_000;
    settings.usage_limits.user_burst = 1_000_000;
    settings.usage_limits.address_rate = 1_000_000;
    settings.usage_limits.address_burst = 1_000_000;
    settings
}

#[expect(clippy::print_stdout, reason = "the answer to the parent process")]
fn print_line(line: &str) {
    println!("{line}");
}

/// The bus of the server; notes when it was notified of each event.
#[derive(Debug, Default)]
struct TimedBus {
    bus: LocalBus,
    committed: Mutex<Vec<(UserId, i64, i64)>>,
}

impl Notifier for TimedBus {
    fn notify(&self, user_id: UserId, notification: Notification) {
        if let Notification::Event(event) = &notification {
            let mut committed = self
                .committed
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            committed.push((user_id, event.seq, monotonic_ns()));
        }
        self.bus.notify(user_id, notification);
    }

    fn work_available(&self) {
        self.bus.work_available();
    }

    fn delivery_available(&self) {
        self.bus.delivery_available();
    }

    fn cancel_attempt(&self, fence: Fence) {
        self.bus.cancel_attempt(fence);
    }
}

#[async_trait]
impl Bus for TimedBus {
    async fn subscribe_to_user(&self, user_id: UserId) -> Box<dyn Subscription<Notification>> {
        self.bus.subscribe_to_user(user_id).await
    }

    async fn subscribe_to_job(
        &self,
        user_id: UserId,
        job_id: JobId,
    ) -> Box<dyn Subscription<Notification>> {
        self.bus.subscribe_to_job(user_id, job_id).await
    }

    async fn cancelled_attempts(&self) -> Box<dyn Subscription<Fence>> {
        self.bus.cancelled_attempts().await
    }

    fn reread_user(&self, user_id: UserId) {
        self.bus.reread_user(user_id);
    }

    fn reread_job(&self, user_id: UserId, job_id: JobId) {
        self.bus.reread_job(user_id, job_id);
    }

    fn subscribed_users(&self) -> Vec<UserId> {
        self.bus.subscribed_users()
    }

    fn work_wake_up(&self) -> WorkWakeUp<'_> {
        self.bus.work_wake_up()
    }

    fn delivery_wake_up(&self) -> WorkWakeUp<'_> {
        self.bus.delivery_wake_up()
    }

    fn set_outage(&self, is_on: bool) {
        self.bus.set_outage(is_on);
    }

    fn has_outage(&self) -> bool {
        self.bus.has_outage()
    }

    async fn outage_over(&self) {
        self.bus.outage_over().await;
    }

    fn is_connected(&self) -> bool {
        self.bus.is_connected()
    }
}

#[derive(Debug, Clone)]
struct BenchUser {
    id: UserId,
    photo_id: PhotoId,
    token: String,
}

async fn make_users(store: &SqliteStore, count: usize) -> anyhow::Result<Vec<BenchUser>> {
    use futures_util::{StreamExt as _, TryStreamExt as _, stream};
    stream::iter(0..count)
        .map(|_| make_user(store))
        .buffered(64)
        .try_collect()
        .await
}

async fn make_user(store: &SqliteStore) -> anyhow::Result<BenchUser> {
    let id = UserId::generate();
    let account = NewAccount {
        id,
        email: format!("{id}@example.com"),
        password_hash: "none".to_owned(),
    };
    let account = store.add_account(account).await?.context("a new account")?;
    let session = Session {
        id: SessionId::generate(),
        user_id: id,
        created_at: account.created_at,
        expires_at: account.created_at + Duration::from_secs(24 * 3600),
        last_used_at: account.created_at,
        device: None,
    };
    let new = NewSession {
        session: session.clone(),
        refresh_hash: rand::random(),
        password_hash: "none".to_owned(),
    };
    if !store.add_session(new).await? {
        bail!("the session was not recorded");
    }
    let photo = NewPhoto {
        id: PhotoId::generate(),
        user_id: id,
        announced_type: "image/jpeg".to_owned(),
    };
    let photo_id = photo.id;
    store.add_photo(photo, u64::MAX).await?;
    let claims = json!({
        "sub": id, "user_id": id, "sid": session.id, "type": "access",
        "exp": session.expires_at.as_millis() / 1000,
    });
    let key = EncodingKey::from_secret(&SECRET);
    let token = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &key)?;
    Ok(BenchUser {
        id,
        photo_id,
        token,
    })
}

#[derive(Clone)]
struct Producer {
    store: SqliteStore,
    users: Arc<[BenchUser]>,
    bus: Arc<TimedBus>,
    folder: PathBuf,
}

impl Producer {
    async fn obey(self) -> anyhow::Result<()> {
        loop {
            let mut line = String::new();
            let read = tokio::task::block_in_place(|| std::io::stdin().read_line(&mut line));
            if read? == 0 {
                return Ok(());
            }
            let line = line.trim_end();
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["produce", users, rate, seconds] => {
                    let (users, rate) = (users.parse()?, rate.parse()?);
                    self.produce(users, rate, Duration::from_secs(seconds.parse()?))
                        .await?;
                }
                ["jobs", users, "waiting"] => self.jobs(users.parse()?, false).await?,
                ["jobs", users, "ended"] => self.jobs(users.parse()?, true).await?,
                ["flood", user, rate, seconds] => {
                    let (user, rate) = (user.parse()?, rate.parse()?);
                    self.flood(user, rate, Duration::from_secs(seconds.parse()?));
                }
                ["burn", threads, seconds] => burn(threads.parse()?, seconds.parse()?),
                ["poll", watchers, seconds] => {
                    let lasting = Duration::from_secs(seconds.parse()?);
                    self.poll(watchers.parse()?, lasting).await?;
                }
                _ => bail!("unknown command {line}"),
            }
            print_line("done");
        }
    }

    /// Makes `rate` events a second of the first `users` accounts in turn, and writes the time of each commit.
    async fn produce(&self, users: usize, rate: u32, lasting: Duration) -> anyhow::Result<()> {
        self.take_times();
        let interval = Duration::from_secs(1) * PRODUCERS * 2 / rate;
        let begun = Instant::now();
        let tasks = (0..PRODUCERS).map(|task| {
            let this = self.clone();
            tokio::spawn(async move {
                let mut at = begun + interval * task / PRODUCERS;
                let mut number = task as usize;
                while at < begun + lasting {
                    sleep_until(at).await;
                    // A job that is cancelled at once: two events.
                    let user = &this.users[number % users];
                    let job_id = this.submit(user).await?;
                    this.store.cancel(user.id, job_id).await?;
                    at += interval;
                    number += PRODUCERS as usize;
                }
                anyhow::Ok(())
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await??;
        }
        let positions: std::collections::HashMap<UserId, usize> = self
            .users
            .iter()
            .take(users)
            .enumerate()
            .map(|(index, user)| (user.id, index))
            .collect();
        let lines = self
            .take_times()
            .into_iter()
            .filter_map(|(user_id, seq, at)| {
                Some(format!("{} {seq} {at}\n", positions.get(&user_id)?))
            });
        std::fs::write(self.folder.join("committed"), lines.collect::<String>())?;
        Ok(())
    }

    /// Makes `rate` events a second of one account in the background. Their times are not written.
    fn flood(&self, user: usize, rate: u32, lasting: Duration) {
        let this = self.clone();
        tokio::spawn(async move {
            let end = Instant::now() + lasting;
            while Instant::now() < end {
                let user = &this.users[user];
                if let Ok(job_id) = this.submit(user).await {
                    // The job stays in the queue if this fails, which changes no measurement.
                    let _ = this.store.cancel(user.id, job_id).await;
                }
                tokio::time::sleep(Duration::from_secs(2) / rate).await;
            }
        });
    }

    fn take_times(&self) -> Vec<(UserId, i64, i64)> {
        let mut committed = self
            .bus
            .committed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *committed)
    }

    async fn submit(&self, user: &BenchUser) -> anyhow::Result<JobId> {
        let job = NewJob {
            id: JobId::generate(),
            user_id: user.id,
            photo_id: user.photo_id,
            batch_id: None,
            priority: Priority::High,
            options: PictureOptions::default(),
        };
        match self.store.enqueue(Submission::of(vec![job])).await? {
            Enqueued::Now(jobs) => Ok(jobs[0].id),
            other => bail!("{other:?}"),
        }
    }

    /// Makes one job of each of the first `users` accounts, and writes their ids.
    async fn jobs(&self, users: usize, ended: bool) -> anyhow::Result<()> {
        let mut ids = Vec::new();
        for user in &self.users[..users] {
            let job_id = self.submit(user).await?;
            if ended {
                self.store.cancel(user.id, job_id).await?;
            }
            ids.push(job_id.to_string());
        }
        std::fs::write(self.folder.join("jobs"), ids.join("\n"))?;
        Ok(())
    }

    /// The baseline: a task per watcher reads its job twice a second.
    async fn poll(&self, watchers: usize, lasting: Duration) -> anyhow::Result<()> {
        let end = Instant::now() + lasting;
        let mut tasks = Vec::new();
        for user in &self.users[..watchers] {
            let (store, user_id, job_id) = (self.store.clone(), user.id, self.submit(user).await?);
            tasks.push(tokio::spawn(async move {
                while Instant::now() < end {
                    store.job(user_id, job_id).await?;
                    tokio::time::sleep(Duration::from_millis(500)).await;
                }
                anyhow::Ok(())
            }));
        }
        for task in tasks {
            task.await??;
        }
        Ok(())
    }
}

/// Keeps cores busy as workers do.
fn burn(threads: usize, seconds: u64) {
    for _ in 0..threads {
        std::thread::spawn(move || {
            irisflow_worker::lower_thread_priority();
            let begun = std::time::Instant::now();
            let mut value = 1_u64;
            while begun.elapsed() < Duration::from_secs(seconds) {
                for _ in 0..100_000 {
                    value = std::hint::black_box(value.wrapping_mul(6_364_136_223_846_793_005));
                }
            }
        });
    }
}
