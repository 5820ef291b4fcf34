//! An S3 server in this process, on files in a temporary folder (`s3s-fs`), which checks signatures and can be made to
//! fail.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::nats::free_address;

/// A running server with one bucket.
#[derive(Debug)]
pub struct S3Server {
    folder: TempDir,
    address: SocketAddr,
    /// `None` while it is stopped.
    runtime: Mutex<Option<Runtime>>,
    faults: Arc<Mutex<Faults>>,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum S3Fault {
    /// It is answered with 503 and has no effect.
    Refuse,
    /// It has no effect and is never answered.
    Hang,
    /// It has its effect and is answered with 500.
    FailAfterEffect,
    /// It has its effect and is never answered.
    HangAfterEffect,
}

#[derive(Debug, Default)]
struct Faults {
    next: Option<(S3Fault, u32)>,
    /// Requests that were begun.
    requests: u64,
}

impl S3Server {
    pub const BUCKET: &'static str = "photos";
    pub const REGION: &'static str = "us-east-1";
    pub const ACCESS_KEY: &'static str = "TESTACCESSKEY";
    pub const SECRET_KEY: &'static str = "test/secret+key";

    /// # Errors
    /// When the server cannot be set up.
    pub fn start() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("irisflow-s3-").tempdir()?;
        std::fs::create_dir(folder.path().join(Self::BUCKET))?;
        let server = Self {
            folder,
            address: free_address()?,
            runtime: Mutex::default(),
            faults: Arc::default(),
        };
        server.start_again()?;
        Ok(server)
    }

    /// Starts the server after [`Self::stop`], under the same address.
    ///
    /// # Errors
    /// When it cannot be set up.
    pub fn start_again(&self) -> io::Result<()> {
        let service = self.service()?;
        let faults = Arc::clone(&self.faults);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("s3-server")
            .enable_all()
            .build()?;
        let listener = std::net::TcpListener::bind(self.address)?;
        listener.set_nonblocking(true)?;
        let router = Router::new().fallback(move |request: Request| {
            answer(service.clone(), Arc::clone(&faults), request)
        });
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        *self.runtime() = Some(runtime);
        Ok(())
    }

    /// Closes its connections and accepts no others.
    pub fn stop(&self) {
        if let Some(runtime) = self.runtime().take() {
            runtime.shutdown_background();
        }
    }

    /// Lets that many of the next requests fail, in place of what was planned before.
    pub fn plan_fault(&self, fault: S3Fault, requests: u32) {
        self.faults().next = Some((fault, requests));
    }

    /// Lets no further request fail.
    pub fn heal(&self) {
        self.faults().next = None;
    }

    /// Requests that were begun.
    pub fn requests(&self) -> u64 {
        self.faults().requests
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Objects lie here as files under their keys; names that begin with a dot are the server's own.
    pub fn bucket_folder(&self) -> std::path::PathBuf {
        self.folder.path().join(Self::BUCKET)
    }

    /// The keys of all objects, sorted.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn keys(&self) -> io::Result<Vec<String>> {
        let mut keys = Vec::new();
        collect_keys(&self.bucket_folder(), "", &mut keys)?;
        keys.sort();
        Ok(keys)
    }

    fn service(&self) -> io::Result<S3Service> {
        let files = FileSystem::new(self.folder.path());
        let files = files.map_err(|error| io::Error::other(format!("{error:?}")))?;
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY, Self::SECRET_KEY));
        Ok(service.build())
    }

    fn runtime(&self) -> MutexGuard<'_, Option<Runtime>> {
        self.runtime.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn faults(&self) -> MutexGuard<'_, Faults> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn answer(service: S3Service, faults: Arc<Mutex<Faults>>, request: Request) -> Response {
    let fault = faults
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .of_next_request();
    match fault {
        None => {}
        Some(S3Fault::Refuse) => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
        Some(S3Fault::Hang) => return never().await,
        Some(S3Fault::FailAfterEffect | S3Fault::HangAfterEffect) => {}
    }
    let answer = service.call(request.map(s3s::Body::http_body_unsync)).await;
    match fault {
        Some(S3Fault::FailAfterEffect) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        Some(S3Fault::HangAfterEffect) => never().await,
        _ => match answer {
            Ok(answer) => answer.map(Body::new),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
    }
}

/// Longer than anything waits.
async fn never() -> Response {
    tokio::time::sleep(Duration::from_secs(3600)).await;
    StatusCode::GATEWAY_TIMEOUT.into_response()
}

impl Faults {
    fn of_next_request(&mut self) -> Option<S3Fault> {
        self.requests += 1;
        let (fault, left) = self.next.take()?;
        if left > 1 {
            self.next = Some((fault, left - 1));
        }
        Some(fault)
    }
}

fn collect_keys(folder: &Path, prefix: &str, keys: &mut Vec<String>) -> io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name.starts_with('.') {
            continue;
        }
        match entry.file_type()?.is_dir() {
            true => collect_keys(&entry.path(), &format!("{prefix}{name}/"), keys)?,
            false => keys.push(format!("{prefix}{name}")),
        }
    }
    Ok(())
}
