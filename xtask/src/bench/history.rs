//! `cargo xtask bench history`: latency of a claim beside a history of finished jobs, on SQLite and on PostgreSQL,
//! compared with an empty history. The history is copied from finished jobs by SQL.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use irisflow_jobs::{PhotoId, Priority, UserId};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::claims::{Times, timed_claim};
use super::store::{Cluster, OpenStore, Sqlite};

#[derive(Debug, clap::Args)]
pub(crate) struct HistoryArgs {
    /// Sizes of the history, growing.
    #[arg(long, value_delimiter = ',', default_values_t = [10_000, 100_000, 1_000_000])]
    finished: Vec<usize>,
    /// Number of users who own it.
    #[arg(long, default_value_t = 1_000)]
    users: usize,
    /// Number of claims to measure for each size.
    #[arg(long, default_value_t = 1_000)]
    claims: usize,
    /// Without SQLite.
    #[arg(long)]
    only_postgres: bool,
    /// Parent folder of the SQLite database; the system's temp folder by default.
    #[arg(long)]
    folder: Option<PathBuf>,
}

/// Rows that one statement inserts.
const CHUNK: usize = 100_000;

pub(super) async fn run(arguments: HistoryArgs) -> anyhow::Result<()> {
    println!("| database | finished jobs | median ms | 99th of 100 ms | loaded in s |");
    println!("|---|---|---|---|---|");
    if !arguments.only_postgres {
        let database = Sqlite::new(arguments.folder.as_deref())?;
        let store = database.open().await?;
        let path = database.folder.path().join("irisflow.sqlite");
        let options = SqliteConnectOptions::new()
            .filename(path)
            .pragma("cache_size", "-500000");
        let connection = Connection::Sqlite(options.connect().await?);
        measure("SQLite", &arguments, &store, connection).await?;
    }
    let cluster = Cluster::start().await?;
    let store = cluster.node().await?;
    let options: PgConnectOptions = cluster.postgres.url("postgres").parse()?;
    let connection = Connection::Postgres(options.connect().await?);
    measure("PostgreSQL", &arguments, &store, connection).await
}

async fn measure(
    database: &str,
    arguments: &HistoryArgs,
    store: &OpenStore,
    mut connection: Connection,
) -> anyhow::Result<()> {
    let mut users = Vec::new();
    for _ in 0..arguments.users {
        users.push(store.user_with_photo().await?);
    }
    // What is copied.
    store.enqueue(&users, 1, Priority::Default).await?;
    for _ in &users {
        timed_claim(store, None).await?;
    }
    let mut finished = users.len();
    connection.mark_originals().await?;
    let user = *users.first().context("at least one user")?;
    print(database, finished, claims(arguments, store, user).await?, 0);
    for size in &arguments.finished {
        let begun = Instant::now();
        while finished < *size {
            let rows = CHUNK.min(size - finished).next_multiple_of(users.len());
            connection.copy_originals(rows / users.len()).await?;
            finished += rows;
        }
        connection.settle().await?;
        let loaded = begun.elapsed().as_secs();
        let times = claims(arguments, store, user).await?;
        print(database, finished, times, loaded);
    }
    Ok(())
}

fn print(database: &str, finished: usize, times: Times, loaded: u64) {
    let Times { median_ms, p99_ms } = times;
    println!("| {database} | {finished} | {median_ms:.3} | {p99_ms:.3} | {loaded} |");
}

/// Claims from a queue that holds one job.
async fn claims(
    arguments: &HistoryArgs,
    store: &OpenStore,
    user: (UserId, PhotoId),
) -> anyhow::Result<Times> {
    let mut times = Vec::new();
    for _ in 0..arguments.claims {
        store.enqueue(&[user], 1, Priority::High).await?;
        times.push(timed_claim(store, Some(user.0)).await?);
    }
    Ok(Times::of(times))
}

enum Connection {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Connection {
    async fn execute(&mut self, statement: String) -> anyhow::Result<()> {
        let statement = sqlx::raw_sql(AssertSqlSafe(statement));
        match self {
            Self::Sqlite(connection) => statement.execute(connection).await.map(drop)?,
            Self::Postgres(connection) => statement.execute(connection).await.map(drop)?,
        }
        Ok(())
    }

    /// Remembers the present jobs as those that are copied.
    async fn mark_originals(&mut self) -> anyhow::Result<()> {
        self.execute("CREATE TEMPORARY TABLE originals AS SELECT * FROM jobs".to_owned())
            .await
    }

    /// Inserts so many copies of each original, with new ids.
    async fn copy_originals(&mut self, copies: usize) -> anyhow::Result<()> {
        let (columns, new_id, series) = match self {
            Self::Sqlite(connection) => {
                let columns = "SELECT group_concat(name) FROM pragma_table_info('jobs')
                     WHERE name NOT IN ('id', 'position')";
                let columns: String = sqlx::query_scalar(columns).fetch_one(connection).await?;
                let series = format!(
                    "(WITH RECURSIVE series (n) AS
                        (SELECT 1 UNION ALL SELECT n + 1 FROM series WHERE n < {copies})
                      SELECT n FROM series)"
                );
                (columns, "randomblob(16)", series)
            }
            Self::Postgres(connection) => {
                let columns = "SELECT string_agg(column_name, ',') FROM information_schema.columns
                     WHERE table_name = 'jobs' AND column_name NOT IN ('id', 'position')";
                let columns: String = sqlx::query_scalar(columns).fetch_one(connection).await?;
                let series = format!("generate_series(1, {copies})");
                (columns, "gen_random_uuid()", series)
            }
        };
        self.execute(format!(
            "INSERT INTO jobs (id, {columns}) SELECT {new_id}, {columns} FROM {series} AS copies, originals"
        ))
        .await
    }

    /// What the database does by itself some time after so many changes.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let statement = match self {
            Self::Sqlite(_) => "PRAGMA wal_checkpoint(TRUNCATE)",
            Self::Postgres(_) => "VACUUM ANALYZE jobs",
        };
        self.execute(statement.to_owned()).await
    }
}
