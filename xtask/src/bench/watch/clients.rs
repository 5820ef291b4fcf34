//! Clients of the measured server: sockets that note when each event arrived.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use super::monotonic_ns;

/// The measured server.
pub(super) struct MeasuredServer {
    child: Child,
    commands: ChildStdin,
    answers: std::io::Lines<BufReader<ChildStdout>>,
    pub(super) address: SocketAddr,
    pub(super) tokens: Vec<String>,
    /// What it writes for its clients.
    folder: Option<tempfile::TempDir>,
}

impl MeasuredServer {
    /// With so many accounts.
    pub(super) fn start(users: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut program = Command::new(std::env::current_exe()?);
        program
            .args(["bench", "watch-serve", "--users", &users.to_string()])
            .arg("--folder")
            .arg(folder.path());
        let mut server = Self::spawn(program)?;
        server.tokens = lines_of(folder.path(), "tokens")?;
        server.folder = Some(folder);
        Ok(server)
    }

    /// A program that prints its address, then takes commands.
    pub(super) fn spawn(mut program: Command) -> anyhow::Result<Self> {
        let mut child = program
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let commands = child.stdin.take().context("its input")?;
        let mut answers = BufReader::new(child.stdout.take().context("its output")?).lines();
        let address = answers.next().context("its address")??.parse()?;
        Ok(Self {
            child,
            commands,
            answers,
            address,
            tokens: Vec::new(),
            folder: None,
        })
    }

    /// Gives a command and waits for its end, on a thread that may block.
    pub(super) fn command(&mut self, line: &str) -> anyhow::Result<()> {
        tokio::task::block_in_place(|| {
            writeln!(self.commands, "{line}")?;
            let answer = self.answers.next().context("an answer")??;
            if answer != "done" {
                bail!("{line}: {answer}");
            }
            Ok(())
        })
    }

    pub(super) fn jobs(&self) -> anyhow::Result<Vec<String>> {
        self.lines_of("jobs")
    }

    /// The time of each commit by user and position.
    pub(super) fn committed(&self) -> anyhow::Result<HashMap<(usize, i64), i64>> {
        let mut committed = HashMap::new();
        for line in self.lines_of("committed")? {
            let numbers: Vec<i64> = line.split(' ').map(str::parse).collect::<Result<_, _>>()?;
            let &[user, seq, at] = numbers.as_slice() else {
                bail!("{line}");
            };
            committed.insert((usize::try_from(user)?, seq), at);
        }
        Ok(committed)
    }

    fn lines_of(&self, name: &str) -> anyhow::Result<Vec<String>> {
        lines_of(self.folder.as_ref().context("its folder")?.path(), name)
    }

    /// CPU time since its start.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        let (_, fields) = stat.rsplit_once(')').context("the fields")?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(Duration::from_millis(ticks * 10))
    }

    /// Resident memory in bytes.
    pub(super) fn memory(&self) -> anyhow::Result<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.child.id()))?;
        let pages: u64 = statm.split(' ').nth(1).context("the pages")?.parse()?;
        Ok(pages * 4096)
    }
}

impl Drop for MeasuredServer {
    fn drop(&mut self) {
        // Fails when the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(folder: &Path, name: &str) -> anyhow::Result<Vec<String>> {
    let text = std::fs::read_to_string(folder.join(name))?;
    Ok(text.lines().map(str::to_owned).collect())
}

/// When each event arrived, by user and position.
pub(super) type Arrivals = Arc<Mutex<Vec<(usize, i64, i64)>>>;

pub(super) type Socket = WebSocketStream<TcpStream>;

/// Opens a socket from an address of its own per hundred, as clients behind several proxies.
pub(super) async fn open(address: SocketAddr, path: &str, number: usize) -> anyhow::Result<Socket> {
    let socket = TcpSocket::new_v4()?;
    let source = Ipv4Addr::new(127, 0, 0, u8::try_from(2 + number % 8)?);
    socket.bind(SocketAddr::from((source, 0)))?;
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(1024);
    let url = format!("ws://{address}{path}");
    let (socket, _) = client_async_with_config(url, stream, Some(config)).await?;
    Ok(socket)
}

/// Opens a socket of all jobs and receives its first frame; returns the cursor.
pub(super) async fn follow(
    address: SocketAddr,
    token: &str,
    number: usize,
    cursor: Option<&str>,
) -> anyhow::Result<(Socket, String)> {
    let mut socket = open(address, "/ws", number).await?;
    let hello = json!({ "type": "hello", "token": token, "cursor": cursor });
    socket.send(Message::text(hello.to_string())).await?;
    loop {
        let message = socket.next().await.context("a first frame")??;
        let Message::Text(text) = message else {
            continue;
        };
        let frame: Value = serde_json::from_str(&text)?;
        let cursor = frame["cursor"].as_str().with_context(|| text.to_string())?;
        return Ok((socket, cursor.to_owned()));
    }
}

/// Opens a socket for each token; `user_of` says whose token a socket has.
pub(super) async fn follow_all(
    address: SocketAddr,
    tokens: &[String],
    sockets: usize,
    user_of: impl Fn(usize) -> usize,
) -> anyhow::Result<Vec<(usize, Socket)>> {
    let opened = stream::iter(0..sockets).map(|number| {
        let user = user_of(number);
        let token = &tokens[user];
        async move {
            let (socket, _) = follow(address, token, number, None).await?;
            anyhow::Ok((user, socket))
        }
    });
    opened.buffer_unordered(64).try_collect().await
}

/// Receives on all sockets and notes the arrival of each event.
pub(super) fn note_arrivals(sockets: Vec<(usize, Socket)>) -> (Arrivals, Vec<JoinHandle<()>>) {
    let arrivals = Arrivals::default();
    let tasks = sockets.into_iter().map(|(user, mut socket)| {
        let arrivals = Arc::clone(&arrivals);
        tokio::spawn(async move {
            while let Some(Ok(message)) = socket.next().await {
                let at = monotonic_ns();
                let Message::Text(text) = message else {
                    continue;
                };
                if let Some(seq) = seq_of(&text) {
                    let mut arrivals = arrivals.lock().unwrap_or_else(PoisonError::into_inner);
                    arrivals.push((user, seq, at));
                }
            }
        })
    });
    let tasks = tasks.collect();
    (arrivals, tasks)
}

/// The position in an event frame.
fn seq_of(text: &str) -> Option<i64> {
    let (_, rest) = text.split_once(r#""seq":"#)?;
    rest.split(',').next()?.parse().ok()
}
