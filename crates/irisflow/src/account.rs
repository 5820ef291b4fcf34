//! Arguments of `submit` and `watch` that name the server and the account, and signing in with them.

use std::io::{self, IsTerminal as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use console::Term;
use irisflow_client::{Client, ClientError, RetryPolicy, TokenStore as _};

use crate::session_file::SessionFile;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Server and account")]
pub(crate) struct AccountArgs {
    /// The server.
    #[arg(
        long,
        env = "IRISFLOW_SERVER",
        default_value = "http://127.0.0.1:8080",
        value_name = "URL"
    )]
    pub(crate) server: String,
    /// The account; asked for on a terminal when it is not known. The password comes from
    /// IRISFLOW_PASSWORD or is asked for, once: then a session is kept.
    #[arg(long, env = "IRISFLOW_EMAIL")]
    email: Option<String>,
    /// Make the account first.
    #[arg(long)]
    register: bool,
    /// Environment variable only: other users can see a command line.
    #[arg(long, env = "IRISFLOW_PASSWORD", hide = true, hide_env_values = true)]
    password: Option<String>,
    /// Folder in which the session is kept.
    #[arg(long, env = "IRISFLOW_CONFIG_DIR", value_name = "DIR")]
    config_dir: Option<PathBuf>,
    #[arg(long, env = "XDG_CONFIG_HOME", hide = true)]
    xdg_config_home: Option<PathBuf>,
    /// Give up when the server is away for this long.
    #[arg(long, env = "IRISFLOW_PATIENCE_MS", default_value_t = 300_000)]
    patience_ms: u64,
}

impl AccountArgs {
    /// A signed-in client: resumes the session of the session file, or else signs in with a password.
    pub(crate) async fn sign_in(&self) -> anyhow::Result<Client> {
        let session = Arc::new(SessionFile::of(&self.server, &self.config_folder()?));
        let retry_policy = RetryPolicy {
            give_up_after: Duration::from_millis(self.patience_ms),
            ..RetryPolicy::default()
        };
        let client = Client::with(&self.server, session.clone(), retry_policy)?;
        if !self.register && self.may_use(&session) {
            match client.resume().await {
                Err(ClientError::SignedOut) => {}
                resumed => return Ok(resumed.map(|()| client)?),
            }
        }
        let (email, password) = self.credentials()?;
        session.set_email(&email);
        if self.register {
            client.register(&email, &password).await?;
        }
        client.sign_in(&email, &password).await?;
        Ok(client)
    }

    /// Whether the session file holds a session of the requested account.
    fn may_use(&self, session: &SessionFile) -> bool {
        let requested = self.email.as_ref().map(|email| email.trim().to_lowercase());
        session.load().is_some() && (requested.is_none() || requested == session.email())
    }

    fn credentials(&self) -> anyhow::Result<(String, String)> {
        let interactive = io::stdin().is_terminal() && io::stderr().is_terminal();
        if !interactive && (self.email.is_none() || self.password.is_none()) {
            bail!(
                "not signed in at {}; set IRISFLOW_EMAIL and IRISFLOW_PASSWORD, or run this on a terminal",
                self.server
            );
        }
        let term = Term::stderr();
        let email = match &self.email {
            Some(email) => email.clone(),
            None => {
                term.write_str("Email: ")?;
                term.read_line()?
            }
        };
        let password = match &self.password {
            Some(password) => password.clone(),
            None => {
                term.write_str(&format!("Password of {email}: "))?;
                term.read_secure_line()?
            }
        };
        Ok((email.trim().to_lowercase(), password))
    }

    fn config_folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(folder) = &self.config_dir {
            return Ok(folder.clone());
        }
        // An empty or relative XDG path is to be ignored (XDG Base Directory Specification).
        let base = match &self.xdg_config_home {
            Some(folder) if folder.is_absolute() => folder.clone(),
            _ => std::env::home_dir()
                .context("there is no home folder; name a folder with --config-dir")?
                .join(".config"),
        };
        Ok(base.join("irisflow"))
    }
}
