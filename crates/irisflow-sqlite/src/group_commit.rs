//! The one connection that writes, and whose turn it is.
//!
//! Transactions take turns, in the order in which they came. The first that wants its commit queues for one
//! more turn, at which everything written until then is committed: a lone one at once, those that waited
//! meanwhile together with it, since flushing to the disk costs more than most of them: a group commit. Each
//! but the first begins with a savepoint, so that one that fails takes only itself back; the next one releases
//! it. No caller gets an answer before its commit is on the disk. A caller that hangs up cancels no commit of others,
//! and what is to follow its own commit follows all the same.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use irisflow_jobs::StoreError;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, SqliteConnection};
use tokio::runtime::Handle;
use tokio::sync::{Mutex, OwnedMutexGuard, watch};

use crate::commit_pause::{CommitPoint, pause};
use crate::unavailable;

type Outcome = Result<(), StoreError>;

/// What follows a commit: run by the task that commits, before the callers are answered. Must not block.
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
    /// None when it was closed, or broke and could not be opened again yet.
    connection: Option<SqliteConnection>,
    is_closed: bool,
    /// What was written and waits for its commit.
    commit_group: Option<CommitGroup>,
    /// Of a turn that ended without a commit: what was written in it is still to be taken back.
    abandoned: Option<Abandoned>,
    /// How often SQLite has rolled a whole transaction back, be it by itself.
    rollbacks: Arc<AtomicU64>,
}

#[derive(Debug)]
struct CommitGroup {
    outcome: watch::Sender<Option<Outcome>>,
    /// Turns that have joined it; each savepoint has the number of its own.
    joined: u32,
    /// The savepoint of a turn that is over. Open savepoints cost every later write.
    to_release: Option<u32>,
    after_commit: Vec<AfterCommit>,
    /// `File::rollbacks` when it began.
    rollbacks: u64,
}

#[derive(Debug, Clone, Copy)]
struct Abandoned {
    has_begun: bool,
}

/// The right to write, until it is committed or dropped: then everything written in it is taken back.
#[derive(Debug)]
pub(crate) struct WriteTransaction {
    writer: Writer,
    file: OwnedMutexGuard<File>,
    /// `File::rollbacks` when the transaction began.
    rollbacks: u64,
    /// The number of its savepoint; the first turn of a transaction has none.
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

    /// Waits for its turn and begins a transaction.
    pub(crate) async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut file = Arc::clone(&self.file).lock_owned().await;
        file.tidy().await;
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
        let mut turn = WriteTransaction {
            writer: self.clone(),
            file,
            rollbacks,
            savepoint,
            has_begun: false,
            is_committed: false,
        };
        run(turn.connection()?, begin).await?;
        turn.has_begun = true;
        Ok(turn)
    }

    /// Moves SQLite's log of changes into the file and overwrites it, as far as no reader is in the way.
    pub(crate) async fn empty_log(&self) -> Result<(), StoreError> {
        let file = Arc::clone(&self.file);
        let emptied = tokio::spawn(async move {
            let mut file = file.lock().await;
            file.commit_group_now().await;
            run(file.connection()?, "PRAGMA wal_checkpoint(TRUNCATE)").await
        });
        emptied.await.map_err(|_| lost())?
    }

    /// Waits for the turns before it and closes the file.
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
    /// What begins the next turn, and its number. Should the caller hang up before it is known what became of
    /// this, at most one savepoint stays open until the commit.
    fn next_savepoint(&mut self) -> (String, u32) {
        self.joined += 1;
        let begin = format!("SAVEPOINT turn_{}", self.joined);
        match self.to_release.take() {
            Some(over) => (format!("RELEASE turn_{over}; {begin}"), self.joined),
            None => (begin, self.joined),
        }
    }
}

impl WriteTransaction {
    pub(crate) fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.file.connection()
    }

    /// Returns when everything written in this turn is on the disk and `after_commit` has run. That runs
    /// also when the caller does not wait for it, and never when the commit fails.
    pub(crate) async fn commit(mut self, after_commit: impl FnOnce() + Send + 'static) -> Outcome {
        if self.is_lost() {
            return Err(lost());
        }
        let mut outcome = match &self.file.commit_group {
            Some(commit_group) => commit_group.outcome.subscribe(),
            None => self.gather(),
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
            Ok(None) | Err(_) => Err(lost()),
        }
    }

    /// Leaves what was written for the commit, for which it queues.
    fn gather(&mut self) -> watch::Receiver<Option<Outcome>> {
        let (told, outcome) = watch::channel(None);
        self.file.commit_group = Some(CommitGroup {
            outcome: told,
            joined: 0,
            to_release: None,
            after_commit: Vec::new(),
            rollbacks: self.rollbacks,
        });
        let file = Arc::clone(&self.writer.file);
        tokio::spawn(async move { file.lock().await.commit_group_now().await });
        outcome
    }

    /// On a full or broken disk SQLite rolls back by itself, and with this turn all that was commit_group.
    fn is_lost(&self) -> bool {
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
        // Who waits for a turn tidies up first; this is for when nobody does.
        if let Ok(runtime) = Handle::try_current() {
            let file = Arc::clone(&self.writer.file);
            runtime.spawn(async move { file.lock().await.tidy().await });
        }
    }
}

impl File {
    async fn connect(&mut self) -> Result<(), StoreError> {
        if self.is_closed {
            return Err(StoreError::Unavailable("the database is closed".to_owned()));
        }
        let mut connection = self.options.connect().await.map_err(unavailable)?;
        let rollbacks = Arc::clone(&self.rollbacks);
        let mut handle = connection.lock_handle().await.map_err(unavailable)?;
        handle.set_rollback_hook(move || {
            rollbacks.fetch_add(1, Ordering::SeqCst);
        });
        drop(handle);
        self.connection = Some(connection);
        Ok(())
    }

    fn connection(&mut self) -> Result<&mut SqliteConnection, StoreError> {
        self.connection.as_mut().ok_or_else(lost)
    }

    async fn commit_group_now(&mut self) {
        self.tidy().await;
        let (Some(commit_group), Some(connection)) =
            (self.commit_group.take(), &mut self.connection)
        else {
            return;
        };
        pause(CommitPoint::During).await;
        let outcome = run(connection, "COMMIT").await;
        pause(CommitPoint::After).await;
        if outcome.is_ok() {
            for AfterCommit(follow) in commit_group.after_commit {
                follow();
            }
        } else {
            // Closing it takes back what it still holds.
            self.connection = None;
        }
        commit_group.outcome.send_replace(Some(outcome));
    }

    /// Takes back what an abandoned turn has written, and gives up what SQLite has taken back by itself.
    async fn tidy(&mut self) {
        if let Some(commit_group) = &self.commit_group
            && commit_group.rollbacks != self.rollbacks.load(Ordering::SeqCst)
        {
            return self.give_up();
        }
        let (Some(abandoned), Some(connection)) = (self.abandoned, &mut self.connection) else {
            return;
        };
        let take_back = match &self.commit_group {
            Some(commit_group) => format!("ROLLBACK TO turn_{}", commit_group.joined),
            None => "ROLLBACK".to_owned(),
        };
        match run(connection, take_back).await {
            Ok(()) => {
                self.abandoned = None;
                if let Some(commit_group) = &mut self.commit_group {
                    commit_group.to_release = Some(commit_group.joined);
                }
            }
            // Its caller hung up before there was a savepoint.
            Err(_) if !abandoned.has_begun && self.commit_group.is_some() => self.abandoned = None,
            Err(_) => self.give_up(),
        }
    }

    /// Begins anew with another connection; those who wait for their commit are told that there is none.
    fn give_up(&mut self) {
        self.connection = None;
        self.abandoned = None;
        if let Some(commit_group) = self.commit_group.take() {
            commit_group.outcome.send_replace(Some(Err(lost())));
        }
    }
}

async fn run(connection: &mut SqliteConnection, sql: impl Into<String>) -> Result<(), StoreError> {
    // The names of savepoints differ: kept statements of them would displace those that are used again.
    let ran = sqlx::query(AssertSqlSafe(sql.into()))
        .persistent(false)
        .execute(connection)
        .await;
    match ran.map_err(unavailable) {
        Ok(_) => Ok(()),
        // Not a caller's statement: SQLite has ended the transaction by itself.
        Err(StoreError::Refused(why)) => Err(StoreError::Unavailable(why)),
        Err(error) => Err(error),
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable("the disk took a transaction back".to_owned())
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
            let mut turn = writer.begin().await.expect("a turn");
            let connection = turn.connection().expect("a connection");
            let made = run(
                connection,
                "CREATE TABLE numbers (n INTEGER NOT NULL UNIQUE)",
            )
            .await;
            made.expect("a table");
            turn.commit(|| ()).await.expect("a commit");
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

        /// Writes a number and keeps the turn.
        async fn write(&self, number: i64) -> WriteTransaction {
            let mut turn = self.writer.begin().await.expect("a turn");
            insert(&mut turn, number).await.expect("a number");
            turn
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

    async fn insert(turn: &mut WriteTransaction, number: i64) -> Outcome {
        sqlx::query("INSERT INTO numbers VALUES (?)")
            .bind(number)
            .execute(turn.connection()?)
            .await
            .map_err(unavailable)?;
        Ok(())
    }

    /// Begins in the background; returns when it stands in the queue.
    async fn queued<T: Send + 'static>(
        work: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        let task = tokio::spawn(work);
        tokio::task::yield_now().await;
        task
    }

    #[tokio::test]
    async fn turns_that_wait_for_each_other_are_committed_together() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let mut others = Vec::new();
        for number in 1..=9 {
            let writer = numbers.writer.clone();
            let other = async move {
                let mut turn = writer.begin().await?;
                insert(&mut turn, number).await?;
                turn.commit(|| ()).await
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
    async fn a_lone_turn_is_committed_at_once() {
        let numbers = Numbers::open().await;
        for number in 0..3 {
            let turn = numbers.write(number).await;
            turn.commit(|| ()).await.expect("a commit");
            assert_eq!(numbers.committed().await.len() as i64, number + 1);
        }
    }

    #[tokio::test]
    async fn a_turn_that_is_dropped_takes_only_itself_back() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let dropped = queued(async move {
            let mut turn = writer.begin().await.expect("a turn");
            insert(&mut turn, 1).await.expect("a number");
        });
        let dropped = dropped.await;
        let writer = numbers.writer.clone();
        let third = queued(async move {
            let mut turn = writer.begin().await.expect("a turn");
            insert(&mut turn, 2).await.expect("a number");
            turn.commit(|| ()).await
        });
        let third = third.await;

        first.commit(|| ()).await.expect("a commit");
        dropped.await.expect("a task");
        third.await.expect("a task").expect("a commit");

        assert_eq!(numbers.committed().await, [0, 2]);
    }

    #[tokio::test]
    async fn a_lone_turn_that_is_dropped_leaves_the_file_to_other_programs() {
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
    async fn what_the_disk_takes_back_is_told_to_all_and_the_next_are_written() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let second = queued(async move {
            let mut turn = writer.begin().await.expect("a turn");
            // As SQLite does by itself when the disk is full.
            run(turn.connection().expect("a connection"), "ROLLBACK")
                .await
                .expect("a rollback");
            turn.commit(|| ()).await
        });
        let second = second.await;

        let told = first.commit(|| ()).await;

        assert!(told.is_err(), "the first turn was told of a commit");
        assert!(second.await.expect("a task").is_err());
        let next = numbers.write(2).await;
        next.commit(|| ()).await.expect("the next is written");
        assert_eq!(numbers.committed().await, [2]);
    }

    #[tokio::test]
    async fn a_caller_that_hangs_up_cancels_no_commit_of_others() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let second = queued(async move {
            let mut turn = writer.begin().await.expect("a turn");
            insert(&mut turn, 1).await.expect("a number");
            turn.commit(|| ()).await
        });
        let second = second.await;

        // Polled once, so that it has queued for its commit, then dropped.
        let mut hung_up = Box::pin(first.commit(|| ()));
        assert!(polled_once(&mut hung_up).await.is_none());
        drop(hung_up);

        second.await.expect("a task").expect("a commit");
        assert_eq!(numbers.committed().await, [0, 1]);
    }

    #[tokio::test]
    async fn what_follows_a_commit_follows_when_the_caller_has_hung_up() {
        let numbers = Numbers::open().await;
        let followed = Arc::<AtomicU64>::default();
        let turn = numbers.write(0).await;
        let counted = Arc::clone(&followed);

        // Polled once, so that it has queued for its commit, then dropped.
        let mut hung_up = Box::pin(turn.commit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        }));
        assert!(polled_once(&mut hung_up).await.is_none());
        drop(hung_up);

        let next = numbers.write(1).await;
        next.commit(|| ()).await.expect("a commit");
        assert_eq!(numbers.committed().await, [0, 1]);
        assert_eq!(followed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn nothing_follows_a_commit_that_failed() {
        let numbers = Numbers::open().await;
        let followed = Arc::<AtomicU64>::default();
        let first = numbers.write(0).await;
        let writer = numbers.writer.clone();
        let second = queued(async move {
            let mut turn = writer.begin().await.expect("a turn");
            // As SQLite does by itself when the disk is full.
            run(turn.connection().expect("a connection"), "ROLLBACK")
                .await
                .expect("a rollback");
        });
        let second = second.await;
        let counted = Arc::clone(&followed);

        let told = first.commit(move || {
            counted.fetch_add(1, Ordering::SeqCst);
        });

        assert!(told.await.is_err());
        second.await.expect("a task");
        assert_eq!(followed.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn savepoints_of_turns_that_are_over_are_released() {
        let numbers = Numbers::open().await;
        let first = numbers.write(0).await;
        let mut others = Vec::new();
        for number in 1..=3 {
            let writer = numbers.writer.clone();
            let dropped = number == 2;
            let other = async move {
                let mut turn = writer.begin().await?;
                insert(&mut turn, number).await?;
                if dropped {
                    return Ok(());
                }
                turn.commit(|| ()).await
            };
            others.push(queued(other).await);
        }
        let writer = numbers.writer.clone();
        let last = async move {
            let mut turn = writer.begin().await.expect("a turn");
            let mut open = Vec::new();
            for number in 1..=3 {
                let release = format!("RELEASE turn_{number}");
                let connection = turn.connection().expect("a connection");
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
