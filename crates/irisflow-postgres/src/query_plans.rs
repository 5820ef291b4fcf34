//! The query plans of the queue, pinned on a database with 100,000 finished jobs of 1,000 users: each query reads an
//! index and never all users, the history or the backlog. A changed plan fails here and not under load.

use irisflow_test_servers::{Database, PostgresServer};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions as _};

use super::*;
use crate::job_commands::WAITING_JOBS;
use crate::job_leases::{FIRST_DUE_OF_USER, FIRST_EXPIRED, NEXT_DUE, NEXT_FREE_USER};
use crate::queue_counters::USERS_WITH_WRONG_COUNTERS;
use crate::queue_reader::{OWN_PLACE, QUEUED_USERS, WAITING_JOBS_OF_USER};
use crate::statistics::QUEUE;
use crate::timeline::LAST_SEQS_SINCE;

/// 100 finished jobs of each of 1,000 users; 20 users have 50 waiting jobs each, and 10 have one that runs.
const HISTORY: &str = "
    INSERT INTO users (id, email, password_hash, created_at)
        SELECT gen_random_uuid(), n || '@example.org', '', now_ms() FROM generate_series(1, 1000) AS n;
    INSERT INTO photos (id, user_id, announced_type, status, created_at, updated_at)
        SELECT id, id, 'image/jpeg', 'uploaded', now_ms(), now_ms() FROM users;
    INSERT INTO jobs (id, user_id, photo_id, priority, state, progress, attempt_count, retries, crashes, epoch,
                      run_at, cancel_requested, last_seq, created_at, updated_at, ended_at)
        SELECT gen_random_uuid(), id, id, 'high', 'completed', 100, 0, 0, 0, 1, n, FALSE, n, n, n, n
        FROM users, generate_series(1, 100) AS n;
    INSERT INTO jobs (id, user_id, photo_id, priority, state, progress, attempt_count, retries, crashes, epoch,
                      run_at, cancel_requested, last_seq, created_at, updated_at)
        SELECT gen_random_uuid(), id, id, 'default', 'pending', 0, 0, 0, 0, 0, n, FALSE, 100 + n, n, n
        FROM (SELECT id FROM users ORDER BY email LIMIT 20) AS busy, generate_series(1, 50) AS n;
    INSERT INTO jobs (id, user_id, photo_id, priority, state, progress, attempt_count, retries, crashes, epoch,
                      run_at, cancel_requested, lease_until, last_seq, created_at, updated_at)
        SELECT gen_random_uuid(), id, id, 'default', 'processing', 0, 0, 0, 0, 1, 1, FALSE, 1, 200, 1, 1
        FROM (SELECT id FROM users ORDER BY email LIMIT 10) AS busy;
    INSERT INTO events (user_id, seq, job_id, kind, body, at)
        SELECT user_id, row_number() OVER (PARTITION BY user_id), id, 'completed', '{}', updated_at FROM jobs;
    INSERT INTO timelines (user_id, epoch, last_seq, queued, running, next_run_at)
        SELECT user_id, user_id, count(*), count(*) FILTER (WHERE state = 'pending'),
            count(*) FILTER (WHERE state = 'processing'), min(run_at) FILTER (WHERE state = 'pending')
        FROM jobs GROUP BY user_id;
    ANALYZE";

struct Loaded {
    connection: PgConnection,
    _database: Database,
}

/// `None`, with a message, when PostgreSQL is not installed.
async fn loaded() -> Option<Loaded> {
    let server = PostgresServer::shared("the query plans")?;
    let database = server.create_database("template1").await;
    let settings = PostgresSettings::of_url(database.url());
    migrate(&settings).await.expect("the schema is made");
    let options: PgConnectOptions = database.url().parse().expect("a URL");
    let mut connection = options.connect().await.expect("it connects");
    sqlx::raw_sql(HISTORY)
        .execute(&mut connection)
        .await
        .expect("the history is loaded");
    Some(Loaded {
        connection,
        _database: database,
    })
}

impl Loaded {
    /// The plan of a query with these values, as text.
    async fn plan_of(&mut self, query: &str, values: &[&str]) -> String {
        let mut query = query.to_owned();
        for (number, value) in values.iter().enumerate() {
            query = query.replace(&format!("${}", number + 1), value);
        }
        let explained = format!("EXPLAIN (COSTS OFF) {query}");
        let steps: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explained))
            .fetch_all(&mut self.connection)
            .await
            .expect("a plan");
        steps.join("\n")
    }
}

const A_USER: &str = "(SELECT id FROM users ORDER BY email LIMIT 1)";
const A_JOB: &str = "(SELECT id FROM jobs WHERE state = 'pending' LIMIT 1)";

fn assert_reads(plan: &str, indexes: &[&str], never_whole: &[&str]) {
    for index in indexes {
        assert!(plan.contains(index), "{index} is not used:\n{plan}");
    }
    for table in never_whole {
        let whole = format!("Seq Scan on {table}");
        assert!(!plan.contains(&whole), "{table} is read whole:\n{plan}");
    }
}

#[tokio::test]
async fn the_queue_is_read_from_its_indexes() {
    let Some(mut loaded) = loaded().await else {
        return;
    };

    let plan = loaded.plan_of(NEXT_FREE_USER, &[]).await;
    assert_reads(&plan, &["timelines_claim_order"], &["timelines"]);
    assert!(
        !plan.contains("Sort"),
        "it stops at the first user:\n{plan}"
    );
    let user_id: String = format!("'{}'", loaded.first_user().await);
    let plan = loaded
        .plan_of(FIRST_DUE_OF_USER, &[&user_id, "1000000"])
        .await;
    assert_reads(&plan, &["jobs_waiting"], &["jobs"]);
    assert!(!plan.contains("Sort"), "in the order of the index:\n{plan}");
    let plan = loaded.plan_of(NEXT_DUE, &[]).await;
    assert_reads(&plan, &["timelines_next"], &["timelines"]);
    let plan = loaded.plan_of(FIRST_EXPIRED, &[]).await;
    assert_reads(&plan, &["jobs_leased"], &["jobs"]);

    for totals in [QUEUE, WAITING_JOBS] {
        let plan = loaded.plan_of(totals, &[]).await;
        assert_reads(&plan, &["timelines_busy"], &["timelines"]);
    }
    let plan = loaded.plan_of(QUEUED_USERS, &[]).await;
    assert_reads(&plan, &["timelines_"], &["timelines"]);
    let plan = loaded.plan_of(WAITING_JOBS_OF_USER, &[&user_id]).await;
    assert_reads(&plan, &["jobs_"], &["jobs"]);
    let plan = loaded.plan_of(OWN_PLACE, &[A_JOB, A_USER, "60000"]).await;
    assert_reads(&plan, &["jobs_"], &["jobs mine", "jobs other"]);
    let plan = loaded.plan_of(USERS_WITH_WRONG_COUNTERS, &[]).await;
    assert_reads(&plan, &["jobs_leased"], &["jobs"]);
    let plan = loaded.plan_of(LAST_SEQS_SINCE, &["now_ms() - 10000"]).await;
    assert_reads(&plan, &["events_by_age"], &["events"]);
}

impl Loaded {
    async fn first_user(&mut self) -> uuid::Uuid {
        sqlx::query_scalar("SELECT id FROM users ORDER BY email LIMIT 1")
            .fetch_one(&mut self.connection)
            .await
            .expect("a user")
    }
}
