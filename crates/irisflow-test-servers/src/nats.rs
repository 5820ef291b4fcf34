//! A NATS server on a private port of this machine.
//!
//! A shell waits for the end of the pipe that this process holds, then kills the server and deletes its folder: also
//! after a panic or a kill of this process.

use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use crate::skip::end_process;

/// A running server.
#[derive(Debug)]
pub struct NatsServer {
    program: PathBuf,
    folder: PathBuf,
    address: SocketAddr,
    /// The shell around it, while it runs. The server is killed when its input is closed.
    shell: Mutex<Option<Child>>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum NatsError {
    #[error(
        "nats-server is not installed: neither in PATH nor in target/nats-server, where `cargo xtask test` puts it"
    )]
    Missing,
    #[error("nats-server did not start: {0}")]
    Failed(String),
    #[error("the server could not be set up")]
    Io(#[from] io::Error),
}

/// Where `cargo xtask test` installs it.
const INSTALLED: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/../../target/nats-server/bin/nats-server"
);
const START_LIMIT: Duration = Duration::from_secs(30);

const SHELL: &str = r#"
trap "" INT HUP TERM
"$1" --config "$0/nats.conf" --log "$0/log" &
pid=$!
echo $pid >"$0/pid"
read -r what_to_do
kill -KILL $pid
wait $pid
[ "$what_to_do" = keep ] || rm -rf "$0"
"#;

impl NatsServer {
    /// The server of this process. Without NATS the process ends here, successfully, and says that its tests were
    /// skipped: for test binaries that test nothing else.
    ///
    /// # Panics
    /// When NATS is installed and does not start.
    pub fn shared_or_skip() -> &'static Self {
        static SHARED: OnceLock<NatsServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::start_or_skip(""))
    }

    /// Starts a server of its own, with these lines in its configuration; else as [`Self::shared_or_skip`].
    ///
    /// # Panics
    /// When NATS is installed and does not start.
    pub fn start_or_skip(configuration: &str) -> Self {
        match Self::start(configuration) {
            Ok(server) => server,
            Err(error @ NatsError::Missing) => end_process(&error),
            Err(error) => panic!("{error}"),
        }
    }

    /// Starts a server of its own, with these lines in its configuration.
    ///
    /// # Errors
    /// When NATS is not installed or does not start.
    pub fn start(configuration: &str) -> Result<Self, NatsError> {
        let program = find_program().ok_or(NatsError::Missing)?;
        let folder = tempfile::Builder::new()
            .prefix("irisflow-nats-")
            .tempdir()?;
        let folder = folder.keep();
        let address = free_address()?;
        let listen = format!("listen: \"{address}\"\n{configuration}\n");
        std::fs::write(folder.join("nats.conf"), listen)?;
        let server = Self {
            program,
            folder,
            address,
            shell: Mutex::default(),
        };
        server.start_again()?;
        Ok(server)
    }

    /// Starts the server after it was killed, under the same address.
    ///
    /// # Errors
    /// When it does not start in time.
    #[expect(
        clippy::disallowed_methods,
        reason = "the server offers nothing to wait on until it listens"
    )]
    pub fn start_again(&self) -> Result<(), NatsError> {
        let mut shell = self.shell();
        if shell.is_some() {
            return Ok(());
        }
        let child = Command::new("sh")
            .args(["-c", SHELL])
            .arg(&self.folder)
            .arg(&self.program)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        *shell = Some(child);
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if begun.elapsed() > START_LIMIT {
                let log = std::fs::read_to_string(self.folder.join("log"));
                return Err(NatsError::Failed(log.unwrap_or_default()));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Kills the server as a crash does.
    ///
    /// # Errors
    /// When the shell around it does not obey.
    pub fn kill(&self) -> io::Result<()> {
        let Some(mut shell) = self.shell().take() else {
            return Ok(());
        };
        if let Some(mut input) = shell.stdin.take() {
            input.write_all(b"keep\n")?;
        }
        shell.wait().map(drop)
    }

    /// Stops its process, so that it answers nothing, as a broken network does.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pause(&self) -> io::Result<()> {
        self.signal("-STOP")
    }

    /// Ends [`Self::pause`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn resume(&self) -> io::Result<()> {
        self.signal("-CONT")
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The id of its process.
    ///
    /// # Errors
    /// When it was never started.
    pub fn process_id(&self) -> io::Result<u32> {
        let pid = std::fs::read_to_string(self.folder.join("pid"))?;
        pid.trim().parse().map_err(io::Error::other)
    }

    fn signal(&self, signal: &str) -> io::Result<()> {
        let pid = self.process_id()?.to_string();
        let status = Command::new("kill").args([signal, &pid]).status()?;
        match status.success() {
            true => Ok(()),
            false => Err(io::Error::other("the server does not run")),
        }
    }

    fn shell(&self) -> MutexGuard<'_, Option<Child>> {
        self.shell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for NatsServer {
    fn drop(&mut self) {
        if let Some(mut shell) = self.shell().take() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn find_program() -> Option<PathBuf> {
    ["nats-server", "/usr/sbin/nats-server", INSTALLED]
        .into_iter()
        .find(|program| {
            let version = Command::new(program).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        })
        .map(|program| Path::new(program).to_owned())
}

/// An address that was free a moment ago.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
