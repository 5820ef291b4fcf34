//! HTTPS by certificate files. New files are taken up without a restart: at SIGHUP, and when they are
//! seen to have changed. Files that cannot be used leave the old ones in place.

use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum_server::tls_rustls::RustlsConfig;
use tokio_util::sync::CancellationToken;

/// Where the certificate chain and its key lie, as PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

const LOOK_INTERVAL: Duration = Duration::from_secs(30);

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

    /// Runs until `draining`. Listens for SIGHUP from the moment of the call.
    pub(crate) fn keep_fresh(
        self,
        config: RustlsConfig,
        draining: CancellationToken,
    ) -> impl Future<Output = ()> + Send {
        let hang_ups = HangUps::listen();
        self.take_up_new_files(config, draining, hang_ups)
    }

    async fn take_up_new_files(
        self,
        config: RustlsConfig,
        draining: CancellationToken,
        mut hang_ups: HangUps,
    ) {
        let mut seen = self.changed_at().await;
        loop {
            let asked = tokio::select! {
                () = draining.cancelled() => return,
                () = hang_ups.next() => true,
                () = tokio::time::sleep(LOOK_INTERVAL) => false,
            };
            let now = self.changed_at().await;
            if !asked && now == seen {
                continue;
            }
            seen = now;
            match self.load().await {
                Ok(loaded) => {
                    config.reload_from_config(loaded.get_inner());
                    tracing::info!("took up new certificate files");
                }
                Err(error) => {
                    tracing::error!(%error, "the new certificate files cannot be used; keeping the old");
                }
            }
        }
    }

    async fn changed_at(&self) -> [Option<SystemTime>; 2] {
        let changed = async |path: &PathBuf| tokio::fs::metadata(path).await.ok()?.modified().ok();
        [changed(&self.cert).await, changed(&self.key).await]
    }
}

/// SIGHUPs, where there are any.
struct HangUps {
    #[cfg(unix)]
    signals: Option<tokio::signal::unix::Signal>,
}

impl HangUps {
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
