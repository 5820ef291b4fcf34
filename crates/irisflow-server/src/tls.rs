//! TLS certificates from PEM files. They are reloaded without a restart, on SIGHUP and when the files have changed;
//! the previous certificate stays in use when the new files are not valid.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;

/// Paths of the certificate chain and its private key, as PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// How often the modification times of the files are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(30);

impl TlsFiles {
    pub(crate) async fn load(&self) -> io::Result<RustlsConfig> {
        let loaded = RustlsConfig::from_pem_file(&self.cert, &self.key).await;
        loaded.map_err(|error| {
            let (cert, key) = (self.cert.display(), self.key.display());
            io::Error::other(format!(
                "the certificate {cert} with the key {key}: {error}"
            ))
        })
    }

    /// Reloads the files on SIGHUP and when they have changed, until `draining` is cancelled. The handler of SIGHUP
    /// is installed by the call itself, not by the first poll.
    pub(crate) fn reload_on_change(
        self,
        config: RustlsConfig,
        draining: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        let sighups = SighupSignals::listen();
        self.run_reload(config, draining, sighups)
    }

    async fn run_reload(
        self,
        config: RustlsConfig,
        draining: CancellationToken,
        mut sighups: SighupSignals,
    ) {
        let mut loaded_version = self.modified_at().await;
        loop {
            let was_signalled = tokio::select! {
                () = draining.cancelled() => return,
                () = sighups.next() => true,
                () = tokio::time::sleep(CHECK_INTERVAL) => false,
            };
            let version = self.modified_at().await;
            if !was_signalled && version == loaded_version {
                continue;
            }
            loaded_version = version;
            match self.load().await {
                Ok(loaded) => {
                    config.reload_from_config(loaded.get_inner());
                    tracing::info!("reloaded the certificate files");
                }
                Err(error) => {
                    tracing::error!(%error, "the new certificate files cannot be used; keeping the old");
                }
            }
        }
    }

    async fn modified_at(&self) -> [Option<SystemTime>; 2] {
        let modified = async |path: &PathBuf| tokio::fs::metadata(path).await.ok()?.modified().ok();
        [modified(&self.cert).await, modified(&self.key).await]
    }
}

/// SIGHUP signals of this process; never one on platforms without them.
struct SighupSignals {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl SighupSignals {
    fn listen() -> Self {
        Self {
            #[cfg(unix)]
            signals: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        if let Some(signals) = &mut self.signals
            && signals.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}
