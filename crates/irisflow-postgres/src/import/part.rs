//! The transaction of an import that makes one part of the database equal to the source.

use futures_util::{Stream, StreamExt as _};
use irisflow_jobs::{MovedPart, MovedRow, MovedTable, RowOwner, StoreError};
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Postgres, Transaction};

use super::copy_text::{Hasher, RowDigest, write_line};
use crate::store_error;

/// Lines are sent together up to this length.
const BUFFER_BYTES: usize = 256 * 1024;

/// Dropped without [`PartImport::commit`], it changes nothing.
#[derive(Debug)]
pub struct PartImport<'i> {
    transaction: Transaction<'i, Postgres>,
    part: MovedPart,
}

impl<'i> PartImport<'i> {
    /// The counters of webhooks are copied: until the commit, no trigger counts deliveries.
    pub(super) async fn begin(
        connection: &'i mut PgConnection,
        part: MovedPart,
    ) -> Result<Self, StoreError> {
        let transaction = connection.begin().await.map_err(store_error)?;
        let mut begun = Self { transaction, part };
        begun
            .execute("ALTER TABLE webhook_deliveries DISABLE TRIGGER USER")
            .await?;
        Ok(begun)
    }

    /// Deletes the rows of this part.
    pub async fn clear(&mut self) -> Result<(), StoreError> {
        let part = self.part;
        match part {
            // The rows that belong to an account are deleted with it.
            MovedPart::Accounts { .. } => {
                let condition = condition(RowOwner::User("id"), part);
                self.execute(&format!("DELETE FROM users WHERE {condition}"))
                    .await
            }
            MovedPart::Shared => {
                for table in part.tables() {
                    self.execute(&format!("DELETE FROM {}", table.name)).await?;
                }
                Ok(())
            }
        }
    }

    /// Inserts rows of this part, which are not there yet. Returns what was sent.
    pub async fn insert(
        &mut self,
        table: &MovedTable,
        mut rows: impl Stream<Item = Result<MovedRow, StoreError>> + Unpin,
    ) -> Result<RowDigest, StoreError> {
        let statement = format!("COPY {} ({}) FROM STDIN", table.name, columns(table));
        let copy = self.transaction.copy_in_raw(&statement).await;
        let mut copy = copy.map_err(store_error)?;
        let (mut hasher, mut buffer) = (Hasher::default(), Vec::new());
        while let Some(row) = rows.next().await {
            let begin = buffer.len();
            write_line(&row?, &mut buffer);
            hasher.add(&buffer[begin..]);
            if buffer.len() >= BUFFER_BYTES {
                copy.send(buffer.as_slice()).await.map_err(store_error)?;
                buffer.clear();
            }
        }
        copy.send(buffer.as_slice()).await.map_err(store_error)?;
        copy.finish().await.map_err(store_error)?;
        Ok(hasher.digest())
    }

    /// The rows of this part that a table has now.
    pub async fn digest(&mut self, table: &MovedTable) -> Result<RowDigest, StoreError> {
        let (columns, name, key) = (columns(table), table.name, table.key);
        let condition = condition(table.owner, self.part);
        let statement = format!(
            "COPY (SELECT {columns} FROM {name} WHERE {condition} ORDER BY {key}) TO STDOUT"
        );
        let lines = self.transaction.copy_out_raw(&statement).await;
        let mut lines = lines.map_err(store_error)?;
        let mut hasher = Hasher::default();
        while let Some(line) = lines.next().await {
            hasher.add(&line.map_err(store_error)?);
        }
        Ok(hasher.digest())
    }

    pub async fn commit(mut self) -> Result<(), StoreError> {
        self.execute("ALTER TABLE webhook_deliveries ENABLE TRIGGER USER")
            .await?;
        self.transaction.commit().await.map_err(store_error)
    }

    async fn execute(&mut self, statement: &str) -> Result<(), StoreError> {
        sqlx::query(AssertSqlSafe(statement))
            .execute(&mut *self.transaction)
            .await
            .map(drop)
            .map_err(store_error)
    }
}

fn columns(table: &MovedTable) -> String {
    let columns: Vec<&str> = table.columns.iter().map(|(column, _)| *column).collect();
    columns.join(", ")
}

/// COPY takes no parameters, so the ids are written into the statement.
fn condition(owner: RowOwner, part: MovedPart) -> String {
    let MovedPart::Accounts { after, up_to } = part else {
        return "TRUE".to_owned();
    };
    let in_part = |column: &str| format!("{column} > '{after}' AND {column} <= '{up_to}'");
    match owner {
        RowOwner::None => "TRUE".to_owned(),
        RowOwner::User(column) => in_part(column),
        RowOwner::Session => {
            let sessions = in_part("user_id");
            format!("session_id IN (SELECT id FROM sessions WHERE {sessions})")
        }
        RowOwner::Webhook => {
            let webhooks = in_part("user_id");
            format!("webhook_id IN (SELECT id FROM webhooks WHERE {webhooks})")
        }
    }
}
