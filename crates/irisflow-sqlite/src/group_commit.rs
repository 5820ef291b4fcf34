//! Group commit: the one connection that writes, and the transactions that share a `COMMIT`.
//!
//! A mutex gives the connection to one write transaction at a time, in order of arrival. The first one that
//! commits opens a commit group and queues for the mutex once more; transactions that were queued before it
//! join the group, and then one `COMMIT` makes all of them durable, since flushing to the disk costs more
//! than most of them. A lone transaction is committed at once.
//!
//! In a group, each transaction but the first begins with a savepoint, so that it can be rolled back alone;
//! the next one releases the savepoint. No caller gets an answer before its commit is on the disk. A caller
//! that is dropped (its client disconnected) cancels no commit, and what it registered to run after its
//! commit runs.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use irisflow_jobs::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::commit_pause::{CommitPoint, pause};
use crate::store_error;

type Outcome = Result<(), StoreError>;

/// Runs after a commit, in the task that commits, before the callers get their answer. Must not block.
struct AfterCommit(Box<dyn FnOnce() + Send>);

impl fmt::Debug for AfterCommit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AfterCommit")
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Writer {
    file: Arc<Mutex<File>>,
}

#[derive(Debug)]
struct File {
    options: SqliteConnectOptions,
    /// `None` when it was closed, or failed and has not been opened again yet.
    connection: Option<SqliteConnection>,
    is_closed: bool,
    /// Written transactions that wait for their common commit.
    commit_group: Option<CommitGroup>,
    /// A transaction that was dropped without a commit and is still to be rolled back.
    abandoned: Option<Abandoned>,
    /// How many times SQLite has rolled back a whole transaction, on request or by itself.
    rollbacks: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CommitGroup {
    outcome: watch::Sender<Option<Outcome>>,
    /// The number of transactions after the first. Each has the savepoint of its number.
    joined: u32,
    /// The savepoint of an ended transaction. Every open savepoint slows later writes down.
    to_release: Option<u32>,
    after_commit: Vec<AfterCommit>,
    /// `File::rollbacks` at its begin: another value now means that SQLite rolled the group back.
    rollbacks: u64,
}

#[derive(Debug, Clone, Copy)]
struct Abandoned {
    has_begun: bool,
}

/// One write transaction; holds the connection. Dropping it without a commit rolls it back.
#[derive(Debug)]
pub(crate) struct WriteTransaction {
    writer: Writer,
    file: OwnedMutexGuard<File>,
    /// `File::rollbacks` when the transaction began.
    rollbacks: u64,
    /// The number of its savepoint; the first transaction of a group has none.
    savepoint: Option<u32>,
    has_begun: bool,
    is_committed: bool,
}

impl Writer {
    pub(crate) async fn open(options: SqliteConnectOptions) -> Result<Self, StoreError> {
        let mut file = File {
            options,
            connection: None,
            is_closed: false,
            commit_group: None,
            abandoned: None,
            rollbacks: Arc::default(),
        };
        file.connect().await?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
        })
    }

    /// Waits for the connection and begins a transaction.
    pub(crate) async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut file = Arc::clone(&self.file).lock_owned().await;
        file.roll_back_abandoned().await;
        if file.connection.is_none() {
            file.connect().await?;
        }
        let (begin, rollbacks, savepoint) = match &mut file.commit_group {
            Some(commit_group) => {
                let (begin, number) = commit_group.next_savepoint();
                (begin, commit_group.rollbacks, Some(number))
            }
            None => {
                let rollbacks = file.rollbacks.load(Ordering::SeqCst);
                ("BEGIN IMMEDIATE".to_owned(), rollbacks, None)
            }
        };
        let mut transaction = WriteTransaction {
            writer: self.clone(),
            file,
            rollbacks,
            savepoint,
            has_begun: false,
            is_committed: false,
        };
        run(transaction.connection()?, begin).await?;
        transaction.has_begun = true;
        Ok(transaction)
    }

    /// Copies the write-ahead log into the database and truncates it, as far as no reader still needs it.
    pub(crate) async fn empty_log(&self) -> Result<(), StoreError> {
        let file = Arc::clone(&self.file);
        let emptied = tokio::spawn(async move {
            let mut file = file.lock().await;
            file.commit_group_now().await;
            run(file.connection()?, "PRAGMA wal_checkpoint(TRUNCATE)").await
        });
        emptied.await.map_err(|_| rolled_back())?
    }

    /// Waits for the transactions before it and closes the file.
    pub(crate) async fn close(&self) {
        let mut file = self.file.lock().await;
        file.commit_group_now().await;
        file.is_closed = true;
        if let Some(connection) = file.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::warn!(%error, "the database was not closed well");
        }
    }
}

impl CommitGroup {
    /// The statement that begins the next transaction, and its number. If the caller is dropped before the
    /// statement has run, at most one savepoint stays open until the commit.
    fn next_savepoint(&mut self) -> (String, u32) {
        self.joined += 1;
        let begin = format!("SAVEPOINT transaction_{}", self.joined);
        match self.to_release.take() {
            Some(ended) => (format!("RELEASE transaction_{ended}; {begin}"), self.joined),
            None => (begin, self.joined),
        }
    }
}

impl WriteTransaction {
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.file.connection()
    }

    /// Returns when the transaction is on the disk and `after_commit` has run. `after_commit` also runs when
    /// the caller is dropped meanwhile, and never when the commit fails.
    pub(crate) async fn commit(mut self, after_commit: impl FnOnce() + Send + 'static) -> Outcome {
        if self.was_rolled_back() {
            return Err(rolled_back());
        }
        let mut outcome = match &self.file.commit_group {
            Some(commit_group) => commit_group.outcome.subscribe(),
            None => self.open_commit_group(),
        };
        if let Some(commit_group) = &mut self.file.commit_group {
            commit_group.to_release = self.savepoint;
            commit_group
                .after_commit
                .push(AfterCommit(Box::new(after_commit)));
        }
        self.is_committed = true;
        drop(self);
        match outcome.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(outcome)) => outcome.clone(),
            Ok(None) | Err(_) => Err(rolled_back()),
        }
    }

    /// Opens a commit group with this transaction, and queues its commit behind the waiting transactions.
    fn open_commit_group(&mut self) -> watch::Receiver<Option<Outcome>> {
        let (sender, outcome) = watch::channel(None);
        self.file.commit_group = Some(CommitGroup {
            outcome: sender,
            joined: 0,
            to_release: None,
            after_commit: Vec::new(),
            rollbacks: self.rollbacks,
        });
        let file = Arc::clone(&self.writer.file);
        tokio::spawn(async move { file.lock().await.commit_group_now().await });
        outcome
    }

    /// On a full or failing disk SQLite rolls back by itself: this transaction and its whole commit group.
    fn was_rolled_back(&self) -> bool {
        self.file.rollbacks.load(Ordering::SeqCst) != self.rollbacks
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        if self.is_committed {
            return;
        }
        self.file.abandoned = Some(Abandoned {
            has_begun: self.has_begun,
        });
        // The next transaction rolls it back first. If there is none, this task does.
        if let Ok(runtime) = Handle::try_current() {
            let file = Arc::clone(&self.writer.file);
            runtime.spawn(async move { file.lock().await.roll_back_abandoned().await });
        }
    }
}

impl File {
    async fn connect(&mut self) -> Result<(), StoreError> {
        if self.is_closed {
            return Err(StoreError::unavailable("the database is closed"));
        }
        let mut connection = self.options.connect().await.map_err(store_error)?;
        let rollbacks = Arc::clone(&self.rollbacks);
        let mut handle = connection.lock_handle().await.map_err(store_error)?;
        handle.set_rollback_hook(move || {
            rollbacks.fetch_add(1, Ordering::SeqCst);
        });
        drop(handle);
        self.connection = Some(connection);
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.connection.as_mut().ok_or_else(rolled_back)
    }

    async fn commit_group_now(&mut self) {
        self.roll_back_abandoned().await;
        let (Some(commit_group), Some(connection)) =
            (self.commit_group.take(), &mut self.connection)
        else {
            return;
        };
        pause(CommitPoint::During).await;
        let outcome = run(connection, "COMMIT").await;
        pause(CommitPoint::After).await;
        if outcome.is_ok() {
            for AfterCommit(action) in commit_group.after_commit {
                action();
            }
        } else {
            // Closing the connection rolls back what is still open.
            self.connection = None;
        }
        commit_group.outcome.send_replace(Some(outcome));
    }

    /// Rolls an abandoned transaction back. When SQLite has rolled back the commit group by itself, reports
    /// that to its callers.
    async fn roll_back_abandoned(&mut self) {
        if let Some(commit_group) = &self.commit_group
            && commit_group.rollbacks != self.rollbacks.load(Ordering::SeqCst)
        {
            return self.discard_connection();
        }
        let (Some(abandoned), Some(connection)) = (self.abandoned, &mut self.connection) else {
            return;
        };
        let rollback = match &self.commit_group {
            Some(commit_group) => format!("ROLLBACK TO transaction_{}", commit_group.joined),
            None => "ROLLBACK".to_owned(),
        };
        match run(connection, rollback).await {
            Ok(()) => {
                self.abandoned = None;
                if let Some(commit_group) = &mut self.commit_group {
                    commit_group.to_release = Some(commit_group.joined);
                }
            }
            // Its caller was dropped before the savepoint was made.
            Err(_) if !abandoned.has_begun && self.commit_group.is_some() => self.abandoned = None,
            Err(_) => self.discard_connection(),
        }
    }

    /// Drops the connection; the next transaction opens another. Callers of the commit group get an error.
    fn discard_connection(&mut self) {
        self.connection = None;
        self.abandoned = None;
        if let Some(commit_group) = self.commit_group.take() {
            commit_group.outcome.send_replace(Some(Err(rolled_back())));
        }
    }
}

async fn run(connection: &mut SqliteConnection, sql: impl Into<String>) -> Result<(), StoreError> {
    // Every savepoint has another name: caching these statements would evict those that are used again.
    let ran = sqlx::query(AssertSqlSafe(sql.into()))
        .persistent(false)
        .execute(connection)
        .await;
    match ran.map_err(store_error) {
        Ok(_) => Ok(()),
        // SQLite has ended the transaction by itself: not the fault of this statement.
        Err(StoreError::Refused(cause)) => Err(StoreError::Unavailable(cause)),
        Err(error) => Err(error),
    }
}

fn rolled_back() -> StoreError {
    StoreError::unavailable("the transaction was rolled back by SQLite")
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use sqlx::sqlite::SqliteJournalMode;

    use super::*;

    struct Numbers {
        writer: Writer,
        options: SqliteConnectOptions,
        commits: Arc<AtomicU64>,
        _folder: tempfile::TempDir,
    }

    impl Numbers {
        async fn open() -> Self {
            let folder = tempfile::tempdir().expect("a temp folder");
            let options = SqliteConnectOptions::new()
                .filename(folder.path().join("db"))
                .create_if_missing(true)
                .journal_mode(SqliteJournalMode::Wal);
            let writer = Writer::open(options.clone()).await.expect("a writer");
            let mut transaction = writer.begin().await.expect("a transaction");
            let connection = transaction.connection().expect("a connection");
            let made = run(
                connection,
                "CREATE TABLE numbers (n INTEGER NOT NULL UNIQUE)",
            )
            .await;
            made.expect("a table");
            transaction.commit(|| ()).await.expect("a commit");
            let commits = Arc::<AtomicU64>::default();
            let counted = Arc::clone(&commits);
            let mut file = writer.file.lock().await;
            let connection = file.connection.as_mut().expect("a connection");
            let mut handle = connection.lock_handle().await.expect("its handle");
            handle.set_commit_hook(move || {
                counted.fetch_add(1, Ordering::SeqCst);
                true
            });
            drop(handle);
            drop(file);
            Self {
                writer,
                options,
                commits,
                _folder: folder,
            }
        }

        /// Writes a number in a transaction that stays open.
        async fn write(&self, number: i64) -> WriteTransaction {
            let mut transaction = self.writer.begin().await.expect("a transaction");
            insert(&mut transaction, number).await.expect("a number");
            transaction
        }

        /// What another connection can read.
        async fn committed(&self) -> Vec<i64> {
            let mut connection = self.options.connect().await.expect("a reader");
            sqlx::query_scalar("SELECT n FROM numbers ORDER BY n")
                .fetch_all(&mut connection)
                .await
                .expect("the numbers")
        }
    }

    async fn insert(transaction: &mut WriteTransaction, number: i64) -> Outcome {
        sqlx::query("INSERT INTO numbers VALUES (?)")
            .bind(number)
            .execute(transaction.connection()?)
            .await
            .map_err(store_error)?;
        Ok(())
    }

    /// Begins in the background; returns when it is queued for the connection.
    async fn queued<T: Send + 'static>(
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let task = tokio::spawn(work);
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn waiting_transactions_are_committed_together() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let mut others = Vec::new();
        for number in 1..=9 {
            let writer = numbers.writer.clone();
            let other = async move {
                let mut transaction = writer.begin().await?;
                insert(&mut transaction, number).await?;
                transaction.commit(|| ()).await
            };
            others.push(queued(other).await);
        }

        first.commit(|| ()).await.expect("a commit");
        for other in others {
            other.await.expect("a task").expect("a commit");
        }

        assert_eq!(numbers.committed().await, (0..=9).collect::<Vec<i64>>());
        assert_eq!(numbers.commits.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_lone_transaction_is_committed_at_once() {
        let numbers = Numbers::open().await;
        for number in 0..3 {
            let transaction = numbers.write(number).await;
            transaction.commit(|| ()).await.expect("a commit");
            assert_eq!(numbers.committed().await.len() as i64, number + 1);
        }
    }

    #[tokio::test]
    async fn a_dropped_transaction_is_rolled_back_alone() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let dropped = queued(async move {
            let mut transaction = writer.begin().await.expect("a transaction");
            insert(&mut transaction, 1).await.expect("a number");
        });
        let dropped = dropped.await;
        let writer = numbers.writer.clone();
        let third = queued(async move {
            let mut transaction = writer.begin().await.expect("a transaction");
            insert(&mut transaction, 2).await.expect("a number");
            transaction.commit(|| ()).await
        });
        let third = third.await;

        first.commit(|| ()).await.expect("a commit");
        dropped.await.expect("a task");
        third.await.expect("a task").expect("a commit");

        assert_eq!(numbers.committed().await, [0, 2]);
    }

    #[tokio::test]
    async fn a_dropped_lone_transaction_releases_the_file_to_other_programs() {
        let numbers = Numbers::open().await;
        drop(numbers.write(0).await);

        let options = numbers.options.clone().busy_timeout(Duration::from_secs(5));
        let mut other = options.connect().await.expect("another program");
        run(&mut other, "INSERT INTO numbers VALUES (7)")
            .await
            .expect("nothing holds the file");

        assert_eq!(numbers.committed().await, [7]);
    }

    #[tokio::test]
    async fn a_rollback_by_sqlite_fails_the_whole_group_and_the_next_transaction_succeeds() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let second = queued(async move {
            let mut transaction = writer.begin().await.expect("a transaction");
            // As SQLite does by itself when the disk is full.
            run(transaction.connection().expect("a connection"), "ROLLBACK")
                .await
                .expect("a rollback");
            transaction.commit(|| ()).await
        });
        let second = second.await;

        let outcome = first.commit(|| ()).await;

        assert!(
            outcome.is_err(),
            "the first transaction is rolled back, too"
        );
        assert!(second.await.expect("a task").is_err());
        let next = numbers.write(2).await;
        next.commit(|| ()).await.expect("the next is written");
        assert_eq!(numbers.committed().await, [2]);
    }

    #[tokio::test]
    async fn a_dropped_caller_cancels_no_commit_of_others() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let second = queued(async move {
            let mut transaction = writer.begin().await.expect("a transaction");
            insert(&mut transaction, 1).await.expect("a number");
            transaction.commit(|| ()).await
        });
        let second = second.await;

        // Polled once, so that it has queued for its commit, then dropped.
        let mut dropped = Box::pin(first.commit(|| ()));
        assert!(polled_once(&mut dropped).await.is_none());
        drop(dropped);

        second.await.expect("a task").expect("a commit");
        assert_eq!(numbers.committed().await, [0, 1]);
    }

    #[tokio::test]
    async fn after_commit_runs_for_a_dropped_caller() {
        let numbers = Numbers::open().await;
        let runs = Arc::<AtomicU64>::default();
        let transaction = numbers.write(0).await;
        let counted = Arc::clone(&runs);

        // Polled once, so that it has queued for its commit, then dropped.
        let mut dropped = Box::pin(transaction.commit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        assert!(polled_once(&mut dropped).await.is_none());
        drop(dropped);

        let next = numbers.write(1).await;
        next.commit(|| ()).await.expect("a commit");
        assert_eq!(numbers.committed().await, [0, 1]);
        assert_eq!(runs.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn after_commit_does_not_run_when_the_commit_fails() {
        let numbers = Numbers::open().await;
        let runs = Arc::<AtomicU64>::default();
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let second = queued(async move {
            let mut transaction = writer.begin().await.expect("a transaction");
            // As SQLite does by itself when the disk is full.
            run(transaction.connection().expect("a connection"), "ROLLBACK")
                .await
                .expect("a rollback");
        });
        let second = second.await;
        let counted = Arc::clone(&runs);

        let outcome = first.commit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });

        assert!(outcome.await.is_err());
        second.await.expect("a task");
        assert_eq!(runs.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn savepoints_of_ended_transactions_are_released() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let mut others = Vec::new();
        for number in 1..=3 {
            let writer = numbers.writer.clone();
            let dropped = number == 2;
            let other = async move {
                let mut transaction = writer.begin().await?;
                insert(&mut transaction, number).await?;
                if dropped {
                    return Ok(());
                }
                transaction.commit(|| ()).await
            };
            others.push(queued(other).await);
        }
        let writer = numbers.writer.clone();
        let last = async move {
            let mut transaction = writer.begin().await.expect("a transaction");
            let mut open = Vec::new();
            for number in 1..=3 {
                let release = format!("RELEASE transaction_{number}");
                let connection = transaction.connection().expect("a connection");
                if run(connection, release).await.is_ok() {
                    open.push(number);
                }
            }
            open
        };
        let last = queued(last).await;

        first.commit(|| ()).await.expect("a commit");

        for other in others {
            other.await.expect("a task").expect("a commit or a drop");
        }
        assert_eq!(last.await.expect("a task"), Vec::<u32>::new());
        assert_eq!(numbers.committed().await, [0, 1, 3]);
    }

    /// Polls once.
    async fn polled_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
        std::future::poll_fn(|context| {
            std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(context) {
                std::task::Poll::Ready(output) => Some(output),
                std::task::Poll::Pending => None,
            })
        })
        .await
    }
}
