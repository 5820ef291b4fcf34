//! Copies the rows of a database, some accounts in each transaction, and compares what is stored with what was read.

use anyhow::{Context as _, bail};
use irisflow_jobs::{MOVED_TABLES, MovedPart, MovedTable};

use super::progress::Progress;
use crate::compose::{Export, Import, PartImport, digest_of_rows};

/// How many rows each table has.
pub(super) type RowCounts = Vec<(&'static MovedTable, u64)>;

pub(super) async fn move_rows(
    from: &mut Export,
    mut to: Import,
    accounts_at_once: usize,
) -> anyhow::Result<RowCounts> {
    let accounts = from.account_ids().await.context("reading the accounts")?;
    let mut parts = MovedPart::of_accounts(&accounts, accounts_at_once);
    parts.push(MovedPart::Shared);
    let mut totals: RowCounts = MOVED_TABLES.iter().map(|table| (table, 0)).collect();
    let mut progress = Progress::begin(&format!("copying the rows of {} accounts", accounts.len()));
    for (index, part) in parts.into_iter().enumerate() {
        let moved = move_part(from, &mut to, part).await?;
        for (total, (_, rows)) in totals.iter_mut().flat_map(|total| {
            let of_table = moved.iter().find(|(table, _)| *table == total.0);
            of_table.map(|of_table| (&mut total.1, of_table))
        }) {
            *total += rows;
        }
        let done = accounts.len().min((index + 1) * accounts_at_once);
        progress.update(|| {
            let rows: u64 = totals.iter().map(|(_, rows)| rows).sum();
            format!("accounts: {done} of {}, {rows} rows", accounts.len())
        });
    }
    to.finish(&totals).await.context("ending the move")?;
    Ok(totals)
}

/// Makes the rows of this part equal in one transaction, unless they are already.
async fn move_part(
    from: &mut Export,
    to: &mut Import,
    part: MovedPart,
) -> anyhow::Result<RowCounts> {
    let mut to = to
        .begin_part(part)
        .await
        .context("beginning a transaction")?;
    if let Some(counts) = counts_if_equal(from, &mut to, part).await? {
        return Ok(counts);
    }
    to.clear().await.context("deleting an earlier copy")?;
    let mut counts = RowCounts::new();
    for table in part.tables() {
        let copying = || format!("copying the table {}", table.name);
        let sent = to.insert(table, from.rows(table, part)).await;
        let sent = sent.with_context(copying)?;
        let stored = to.digest(table).await.with_context(copying)?;
        if stored != sent {
            bail!(
                "the table {} differs after its copy: {} rows are stored and {} were sent, or their contents differ",
                table.name,
                stored.rows,
                sent.rows
            );
        }
        counts.push((table, stored.rows));
    }
    to.commit().await.context("committing the copy")?;
    Ok(counts)
}

/// `None` when a table differs.
async fn counts_if_equal(
    from: &mut Export,
    to: &mut PartImport<'_>,
    part: MovedPart,
) -> anyhow::Result<Option<RowCounts>> {
    let mut counts = RowCounts::new();
    for table in part.tables() {
        let comparing = || format!("comparing the table {}", table.name);
        let expected = digest_of_rows(from.rows(table, part)).await;
        let stored = to.digest(table).await.with_context(comparing)?;
        if stored != expected.with_context(comparing)? {
            return Ok(None);
        }
        counts.push((table, stored.rows));
    }
    Ok(Some(counts))
}
