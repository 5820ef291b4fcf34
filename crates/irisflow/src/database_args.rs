//! Arguments that choose the database. Without them it is SQLite in the data folder.

use std::convert::Infallible;
use std::str::FromStr;

use clap::Args;

use crate::compose::DatabaseChoice;

#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct DatabaseArgs {
    /// PostgreSQL database for jobs, events and accounts, which several processes may use, as in
    /// postgres://irisflow@db.example.com/irisflow?sslmode=verify-full. Other users of the machine can see a password
    /// on the command line: set the variable, or PGPASSWORD. Without it, SQLite in the data folder.
    #[arg(
        long,
        env = "IRISFLOW_DATABASE_URL",
        hide_env_values = true,
        value_name = "URL"
    )]
    database_url: Option<DatabaseUrl>,
    /// Connections of this process to PostgreSQL. Those of all processes must stay below its max_connections.
    #[arg(
        long,
        env = "IRISFLOW_DATABASE_CONNECTIONS",
        default_value_t = 12,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    database_connections: u32,
}

/// For processes that may start with a new version.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub(crate) struct SchemaArgs {
    /// Whether the start brings the schema of PostgreSQL up to date: on or off. When it is off, `irisflow migrate` does.
    #[arg(
        long,
        env = "IRISFLOW_MIGRATE",
        default_value = "on",
        value_parser = clap::builder::BoolishValueParser::new(),
        action = clap::ArgAction::Set,
        value_name = "ON|OFF"
    )]
    pub(crate) migrate: bool,
}

/// May contain a password: `Debug` does not print it. Every text is one, since an error of the command line would quote
/// it; connecting finds out whether it is valid.
#[derive(Clone)]
pub(crate) struct DatabaseUrl(String);

impl FromStr for DatabaseUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.trim().to_owned()))
    }
}

impl std::fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DatabaseUrl")
    }
}

impl DatabaseArgs {
    pub(crate) fn choice(&self) -> DatabaseChoice {
        let url = self.database_url.as_ref().map(|url| url.0.clone());
        // An empty variable is how a compose file leaves a setting out.
        match url.filter(|url| !url.is_empty()) {
            None => DatabaseChoice::Sqlite,
            Some(url) => DatabaseChoice::postgres(url, self.database_connections),
        }
    }
}
