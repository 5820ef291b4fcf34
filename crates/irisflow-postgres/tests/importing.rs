//! Filling a database with the rows of another store.
#![cfg(unix)]
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::stream;
use irisflow_jobs::{
    Cell, ColumnKind, Fence, JobPolicy, MOVED_TABLES, MovedPart, MovedRow, MovedTable,
    Notification, Notifier, UserId,
};
use irisflow_postgres::{Import, ImportError, PostgresSettings, PostgresStore, migrate};
use irisflow_test_servers::{Database, PostgresServer};
use sqlx::Connection as _;
use uuid::Uuid;

/// Processes that have reported, the row that readiness writes, rate limits, and what sqlx keeps.
const NOT_MOVED: [&str; 4] = [
    "workers",
    "health_checks",
    "token_buckets",
    "_sqlx_migrations",
];

#[derive(Debug)]
struct DiscardNotifications;

impl Notifier for DiscardNotifications {
    fn notify(&self, _: UserId, _: Notification) {}
    fn work_available(&self) {}
    fn delivery_available(&self) {}
    fn cancel_attempt(&self, _: Fence) {}
}

async fn database() -> (Database, PostgresSettings) {
    let server = tokio::task::block_in_place(PostgresServer::shared_or_skip);
    let database = server.create_database("template1").await;
    let settings = PostgresSettings::of_url(database.url());
    (database, settings)
}

fn name_of_type(kind: ColumnKind) -> &'static str {
    match kind {
        ColumnKind::Id => "uuid",
        ColumnKind::Integer => "bigint",
        ColumnKind::Flag => "boolean",
        ColumnKind::Text => "text",
        ColumnKind::Bytes => "bytea",
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_column_is_imported() {
    let (database, settings) = database().await;
    migrate(&settings).await.expect("migrated");
    let mut connection = sqlx::PgConnection::connect(&database.url()).await;
    let connection = connection.as_mut().expect("it connects");

    let columns: Vec<(String, String, String)> = sqlx::query_as(
        "SELECT table_name::text, column_name::text, data_type::text
         FROM information_schema.columns WHERE table_schema = current_schema()",
    )
    .fetch_all(connection)
    .await
    .expect("the schema");

    let columns = columns.into_iter();
    let columns: BTreeSet<_> = columns
        .filter(|(table, _, _)| !NOT_MOVED.contains(&table.as_str()))
        .collect();
    let of_table = |table: &'static MovedTable| {
        let columns = table.columns.iter();
        columns.map(|(column, kind)| {
            let column_type = name_of_type(*kind).to_owned();
            (table.name.to_owned(), (*column).to_owned(), column_type)
        })
    };
    let moved: BTreeSet<_> = MOVED_TABLES.iter().flat_map(of_table).collect();
    assert_eq!(columns, moved);
}

/// An account with its timeline and a session.
fn rows_of(table: &MovedTable, user: Uuid, device: &str) -> Option<MovedRow> {
    let cell = |(column, kind): &(&str, ColumnKind)| match (*column, *kind) {
        ("device", _) => Cell::Text(device.to_owned()),
        ("next_run_at" | "ended_at", _) => Cell::Null,
        (_, ColumnKind::Id) => Cell::Id(user),
        ("claim_mark", _) => Cell::Integer(7),
        (_, ColumnKind::Integer) => Cell::Integer(-1),
        (_, ColumnKind::Flag) => Cell::Flag(true),
        (_, ColumnKind::Text) => Cell::Text(user.to_string()),
        (_, ColumnKind::Bytes) => Cell::Bytes(vec![0, 0x5c, 255]),
    };
    let is_filled = ["users", "timelines", "sessions", "refresh_tokens"].contains(&table.name);
    is_filled.then(|| table.columns.iter().map(cell).collect())
}

async fn fill(import: &mut Import, user: Uuid, device: &str) {
    let part = MovedPart::of_accounts(&[], 1)[0];
    let mut part_import = import.begin_part(part).await.expect("begun");
    part_import.clear().await.expect("cleared");
    for table in part.tables() {
        let rows = stream::iter(rows_of(table, user, device).map(Ok));
        let sent = part_import.insert(table, rows).await.expect("inserted");
        let stored = part_import.digest(table).await.expect("read");
        assert_eq!(stored, sent, "{}", table.name);
    }
    part_import.commit().await.expect("committed");
}

fn counts() -> Vec<(&'static MovedTable, u64)> {
    let count = |table: &'static MovedTable| {
        let rows = rows_of(table, Uuid::nil(), "");
        (table, u64::from(rows.is_some()))
    };
    MOVED_TABLES.iter().map(count).collect()
}

async fn connect(settings: &PostgresSettings) -> Result<PostgresStore, irisflow_jobs::StoreError> {
    PostgresStore::connect(
        settings,
        JobPolicy::default(),
        Arc::new(DiscardNotifications),
    )
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_character_is_stored_as_it_was_sent() {
    let (_database, settings) = database().await;
    let mut import = Import::begin(&settings).await.expect("begun");
    let all = (1..0x300).filter_map(char::from_u32);
    let device: String = all.chain("\u{2028}\u{fffd}🙂\\N\\.".chars()).collect();
    fill(&mut import, Uuid::from_u128(7), &device).await;
    import.finish(&counts()).await.expect("all is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_that_is_imported_again_replaces_the_first_and_the_database_opens_at_the_end() {
    let (_database, settings) = database().await;
    let mut import = Import::begin(&settings).await.expect("begun");
    fill(&mut import, Uuid::from_u128(7), "first").await;
    drop(import);
    let error = connect(&settings).await.expect_err("it is unfinished");
    assert!(error.to_string().contains("irisflow move"), "{error}");

    let mut import = Import::begin(&settings).await.expect("begun again");
    fill(&mut import, Uuid::from_u128(8), "second").await;
    import.finish(&counts()).await.expect("one account alone");

    connect(&settings).await.expect("it opens").close().await;
    let again = Import::begin(&settings).await.expect_err("it is not empty");
    assert!(matches!(again, ImportError::HoldsRows("users")), "{again}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_import_with_another_number_of_rows_does_not_end() {
    let (_database, settings) = database().await;
    let mut import = Import::begin(&settings).await.expect("begun");
    fill(&mut import, Uuid::from_u128(7), "one").await;
    let expected: Vec<_> = counts().into_iter().map(|(table, _)| (table, 2)).collect();
    let error = import
        .finish(&expected)
        .await
        .expect_err("a row is missing");
    assert!(
        matches!(
            error,
            ImportError::Miscounted {
                table: "users",
                found: 1,
                ..
            }
        ),
        "{error}"
    );
    connect(&settings).await.expect_err("it is unfinished");
}
