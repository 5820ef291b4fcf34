//! A PostgreSQL server, and fresh databases on it.
//!
//! A shell waits for the end of the pipe that this process holds, then stops the server and deletes its folder: also
//! after a panic or a kill of this process. PostgreSQL refuses to run as root; then it runs as the user `nobody`.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _};

/// A running server. Its superuser is `postgres`, without a password.
#[derive(Debug)]
pub struct PostgresServer {
    programs: Option<PathBuf>,
    folder: PathBuf,
    /// Settings, as options of the program.
    settings: &'static str,
    /// The server is stopped when this is closed.
    _watchdog: ChildStdin,
    databases: AtomicU32,
    /// Databases that are no longer used, and are dropped when the next one is created.
    unused: Mutex<Vec<String>>,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("PostgreSQL is not installed: neither in PATH nor in /usr/lib/postgresql/VERSION/bin")]
    Missing,
    #[error("{program} failed: {output}")]
    Failed {
        program: &'static str,
        output: String,
    },
    #[error("the server could not be set up")]
    Io(#[from] io::Error),
}

const VERSIONS: [u32; 4] = [18, 17, 16, 15];
/// Of the user `nobody`.
const NOBODY: u32 = 65534;
const START_LIMIT: Duration = Duration::from_secs(60);

/// What is lost when the machine stops is worth nothing in a test.
const QUICK: &str = "-c fsync=off -c full_page_writes=off -c shared_buffers=64MB";
const DURABLE: &str = "-c shared_buffers=1GB -c max_wal_size=4GB";

const WATCHDOG: &str = r#"
trap "" INT HUP TERM
read -r _
pid=$(head -n 1 "$0/data/postmaster.pid") && kill -INT "$pid" && while kill -0 "$pid"; do sleep 0.1; done
rm -rf "$0"
"#;

impl PostgresServer {
    /// The server of this process. Without PostgreSQL the process ends here, successfully, and says that its tests were
    /// skipped: for test binaries that test nothing else.
    ///
    /// # Panics
    /// When PostgreSQL is installed and does not start.
    pub fn shared_or_skip() -> &'static Self {
        Self::shared("all tests of this binary").unwrap_or_else(|| std::process::exit(0))
    }

    /// The server of this process. `None` without PostgreSQL: `tests` are said to be skipped.
    ///
    /// # Panics
    /// When PostgreSQL is installed and does not start.
    pub fn shared(tests: &str) -> Option<&'static Self> {
        static SHARED: OnceLock<Option<PostgresServer>> = OnceLock::new();
        let server = SHARED.get_or_init(|| match Self::start() {
            Ok(server) => Some(server),
            Err(error @ StartError::Missing) => {
                // Not captured by the test harness.
                let _ = writeln!(io::stderr(), "\nSKIPPED: {tests}. {error}.");
                None
            }
            Err(error) => panic!("{error}"),
        });
        server.as_ref()
    }

    /// Whether a server could be started here.
    pub fn is_installed() -> bool {
        find_programs().is_some()
    }

    /// Starts a server of its own, without durability.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start() -> Result<Self, StartError> {
        Self::start_with(QUICK, &std::env::temp_dir())
    }

    /// Starts a server of its own that is as durable as in production, for measurements.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start_durable() -> Result<Self, StartError> {
        Self::start_with(DURABLE, &std::env::temp_dir())
    }

    /// Starts a server of its own, without durability, below `parent`: on another disk, say.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start.
    pub fn start_below(parent: &Path) -> Result<Self, StartError> {
        Self::start_with(QUICK, parent)
    }

    fn start_with(settings: &'static str, parent: &Path) -> Result<Self, StartError> {
        let programs = find_programs().ok_or(StartError::Missing)?;
        let folder = tempfile::Builder::new()
            .prefix("irisflow-pg-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir_in(parent)?
            .keep();
        if is_root() {
            chown(&folder, Some(NOBODY), Some(NOBODY))?;
        }
        let server = Self {
            _watchdog: start_watchdog(&folder)?,
            programs,
            folder,
            settings,
            databases: AtomicU32::new(0),
            unused: Mutex::default(),
        };
        let data = server.data();
        let mut initdb = server.command("initdb");
        initdb.args([
            "--username=postgres",
            "--auth=trust",
            "--no-sync",
            "--locale=C",
        ]);
        initdb.args(["--encoding=UTF8", "--pgdata"]).arg(data);
        run("initdb", &mut initdb)?;
        server.start_again()?;
        Ok(server)
    }

    /// Starts the server after it was killed.
    ///
    /// # Errors
    /// When it does not start within a minute.
    #[expect(
        clippy::disallowed_methods,
        reason = "pg_ctl offers nothing to wait on for the end of a killed server"
    )]
    pub fn start_again(&self) -> Result<(), StartError> {
        let begun = Instant::now();
        loop {
            let options = format!(
                "-c listen_addresses='' -c unix_socket_directories='{}' -c max_connections=200 {}",
                self.folder.display(),
                self.settings
            );
            let mut pg_ctl = self.command("pg_ctl");
            pg_ctl.args(["start", "--silent", "--wait", "--options", &options]);
            pg_ctl.arg("--log").arg(self.folder.join("log"));
            pg_ctl.arg("--pgdata").arg(self.data());
            match run("pg_ctl", &mut pg_ctl) {
                // Processes of a killed server may still be ending.
                Err(StartError::Failed { .. }) if begun.elapsed() < START_LIMIT => {
                    std::thread::sleep(Duration::from_millis(200));
                }
                outcome => return outcome,
            }
        }
    }

    /// Kills the server as a crash does (`kill -9` of its first process).
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&self) -> Result<(), StartError> {
        let pid = self.process_id()?.to_string();
        run("kill", Command::new("kill").args(["-KILL", &pid]))
    }

    /// Whether its first process runs; it may be recovering from a crash.
    pub fn is_running(&self) -> bool {
        let mut pg_ctl = self.command("pg_ctl");
        pg_ctl
            .args(["status", "--silent", "--pgdata"])
            .arg(self.data());
        run("pg_ctl", &mut pg_ctl).is_ok()
    }

    /// The id of the server's first process, the parent of all others.
    ///
    /// # Errors
    /// When it does not run.
    pub fn process_id(&self) -> io::Result<u32> {
        let file = std::fs::read_to_string(self.data().join("postmaster.pid"))?;
        let line = file.lines().next().unwrap_or_default();
        line.trim().parse().map_err(io::Error::other)
    }

    /// The URL of a database.
    pub fn url(&self, database: &str) -> String {
        format!(
            "postgres://postgres@localhost/{database}?host={}",
            self.folder.display()
        )
    }

    /// Creates a database as a copy of another one, to which there must be no connection: `template1` is empty.
    ///
    /// # Panics
    /// When it cannot be created.
    pub async fn create_database(&'static self, template: &str) -> Database {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::SeqCst));
        let unused = self
            .unused
            .lock()
            .map(|mut unused| std::mem::take(&mut *unused));
        for database in unused.unwrap_or_default() {
            self.execute(&format!("DROP DATABASE {database} WITH (FORCE)"))
                .await;
        }
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {template}"))
            .await;
        Database { server: self, name }
    }

    /// # Panics
    /// When the statement fails.
    #[expect(clippy::expect_used, reason = "it is a test that fails")]
    async fn execute(&self, statement: &str) {
        let options: PgConnectOptions = self.url("postgres").parse().expect("a URL");
        let mut connection = options.connect().await.expect("the server runs");
        let executed = sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut connection);
        executed.await.expect("it is executed");
        connection.close().await.expect("it closes");
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn command(&self, program: &str) -> Command {
        let path = match &self.programs {
            Some(folder) => folder.join(program),
            None => PathBuf::from(program),
        };
        let mut command = if is_root() {
            let mut setpriv = Command::new("setpriv");
            setpriv.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}")]);
            setpriv.arg("--clear-groups").arg(path);
            setpriv
        } else {
            Command::new(path)
        };
        command.current_dir("/");
        command
    }
}

/// A database of its own; dropped some time after the value.
#[derive(Debug)]
pub struct Database {
    server: &'static PostgresServer,
    name: String,
}

impl Database {
    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if let Ok(mut unused) = self.server.unused.lock() {
            unused.push(std::mem::take(&mut self.name));
        }
    }
}

/// The folder of the programs; `Some(None)` when they are in PATH.
fn find_programs() -> Option<Option<PathBuf>> {
    let in_path = ["initdb", "pg_ctl", "postgres"].iter().all(|program| {
        let version = Command::new(program).arg("--version").output();
        version.is_ok_and(|output| output.status.success())
    });
    if in_path {
        return Some(None);
    }
    let folders =
        VERSIONS.map(|version| PathBuf::from(format!("/usr/lib/postgresql/{version}/bin")));
    let mut folders = folders.into_iter();
    folders
        .find(|folder| folder.join("initdb").exists())
        .map(Some)
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn start_watchdog(folder: &Path) -> io::Result<ChildStdin> {
    let mut shell = Command::new("sh")
        .args(["-c", WATCHDOG])
        .arg(folder)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    shell
        .stdin
        .take()
        .ok_or_else(|| io::Error::other("the shell has no input"))
}

fn run(program: &'static str, command: &mut Command) -> Result<(), StartError> {
    let Output {
        status,
        stdout,
        stderr,
    } = command.stdin(Stdio::null()).output()?;
    if status.success() {
        return Ok(());
    }
    let output = [stdout, stderr].concat();
    Err(StartError::Failed {
        program,
        output: String::from_utf8_lossy(&output).into_owned(),
    })
}
