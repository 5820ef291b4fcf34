//! `irisflow user`: account management for operators. Works on the database of the server, also while that
//! runs. A running server rejects requests of a disabled account at once, and closes its WebSockets
//! within half a minute.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use console::Term;
use irisflow_jobs::{Account, AccountStore, NewAccount, UserId};
use irisflow_server::accounts::{hash_new_password, parse_email};

use crate::compose::{Accounts, DatabaseChoice};
use crate::config_file::ConfigArgs;
use crate::data_folder::DataFolder;
use crate::database_args::DatabaseArgs;
use crate::in_runtime;

#[derive(Debug, Args)]
pub(crate) struct UserArgs {
    #[command(flatten)]
    _config: ConfigArgs,
    /// Folder of the database.
    #[arg(
        long,
        env = "IRISFLOW_DATA_DIR",
        default_value = "irisflow-data",
        global = true
    )]
    data_dir: PathBuf,
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an account. The password is asked for, or read from standard input.
    Add {
        email: String,
        /// May read /metrics.
        #[arg(long)]
        admin: bool,
    },
    /// Give an account a new password and sign it out everywhere.
    Reset { email: String },
    /// Keep an account from signing in and end its sessions.
    Disable { email: String },
    /// Let a disabled account sign in again.
    Enable { email: String },
    /// Make an account an admin, who may read /metrics.
    Admin {
        email: String,
        /// Make it an ordinary account again.
        #[arg(long)]
        revoke: bool,
    },
    /// List all accounts: address, whether it is active or an admin, since when.
    List,
}

pub(crate) fn run(arguments: UserArgs) -> anyhow::Result<ExitCode> {
    in_runtime(async {
        let opened = match arguments.database.choice() {
            DatabaseChoice::Sqlite => Accounts::of_folder(&folder(&arguments)?).await?,
            DatabaseChoice::Postgres(settings) => Accounts::of_postgres(&settings).await?,
        };
        let output = run_action(&*opened.accounts, arguments.action).await;
        opened.close().await;
        io::stdout()
            .write_all(output?.as_bytes())
            .context("writing the answer")?;
        Ok(ExitCode::SUCCESS)
    })
}

fn folder(arguments: &UserArgs) -> anyhow::Result<DataFolder> {
    let existing = DataFolder::existing(&arguments.data_dir);
    match &arguments.action {
        // The first account may be created before the first start of the server.
        Action::Add { .. } => existing.or_else(|_| DataFolder::at(&arguments.data_dir)),
        Action::Reset { .. }
        | Action::Disable { .. }
        | Action::Enable { .. }
        | Action::Admin { .. }
        | Action::List => existing,
    }
}

/// Executes the action; returns the text for stdout.
async fn run_action(store: &dyn AccountStore, action: Action) -> anyhow::Result<String> {
    Ok(match action {
        Action::Add { email, admin } => add(store, &email, admin).await?,
        Action::Reset { email } => {
            let account = find(store, &email).await?;
            let password_hash = new_password(&account.email)?;
            store.reset_password(account.id, password_hash).await?;
            format!(
                "{} has a new password and is signed out everywhere\n",
                account.email
            )
        }
        Action::Disable { email } => {
            let account = find(store, &email).await?;
            store.disable(account.id).await?;
            format!("{} is disabled\n", account.email)
        }
        Action::Enable { email } => {
            let account = find(store, &email).await?;
            store.enable(account.id).await?;
            format!("{} is enabled\n", account.email)
        }
        Action::Admin { email, revoke } => {
            let account = find(store, &email).await?;
            store.set_admin(account.id, !revoke).await?;
            let role = if revoke {
                "no longer an admin"
            } else {
                "an admin"
            };
            format!("{} is {role}\n", account.email)
        }
        Action::List => store.accounts().await?.iter().map(line).collect(),
    })
}

async fn add(store: &dyn AccountStore, email: &str, admin: bool) -> anyhow::Result<String> {
    let email = parse_email(email).with_context(|| format!("{email:?} is no email address"))?;
    if store.account_by_email(&email).await?.is_some() {
        bail!("{email} has an account already");
    }
    let new = NewAccount {
        id: UserId::generate(),
        password_hash: new_password(&email)?,
        email,
    };
    let Some(account) = store.add_account(new).await? else {
        bail!("this address was taken in the meantime");
    };
    if admin {
        store.set_admin(account.id, true).await?;
    }
    Ok(format!("{} has an account\n", account.email))
}

async fn find(store: &dyn AccountStore, email: &str) -> anyhow::Result<Account> {
    let email = email.trim().to_lowercase();
    store
        .account_by_email(&email)
        .await?
        .with_context(|| format!("{email} has no account here"))
}

/// Reads a new password from a terminal, or from the first line of stdin. Never from the command line, which other
/// users of the machine can see.
fn new_password(email: &str) -> anyhow::Result<String> {
    let password = if io::stdin().is_terminal() {
        let term = Term::stderr();
        let ask = |prompt: &str| -> io::Result<String> {
            term.write_str(prompt)?;
            term.read_secure_line()
        };
        let password = ask(&format!("New password of {email}: "))?;
        if ask("The same again: ")? != password {
            bail!("the two passwords differ");
        }
        password
    } else {
        let mut line = String::new();
        io::stdin()
            .read_line(&mut line)
            .context("reading the password")?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    Ok(hash_new_password(&password)?)
}

fn line(account: &Account) -> String {
    let state = if account.is_active {
        "active"
    } else {
        "disabled"
    };
    let role = if account.is_admin { "admin" } else { "user" };
    let since = account.created_at.to_rfc3339();
    format!("{}\t{state}\t{role}\t{since}\n", account.email)
}
