//! The rows that `irisflow move` takes from one store to another: their tables and columns, which both schemas have
//! under these names. The stores check in their tests that no column is left out.

use uuid::Uuid;

use crate::UserId;

/// A table whose rows move.
#[derive(Debug, PartialEq, Eq)]
pub struct MovedTable {
    pub name: &'static str,
    pub columns: &'static [(&'static str, ColumnKind)],
    /// The columns by which rows are ordered; all ids and hashes are compared bytewise.
    pub key: &'static str,
    pub owner: RowOwner,
}

/// What a column contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    Id,
    /// Numbers, and times in milliseconds.
    Integer,
    Flag,
    Text,
    Bytes,
}

/// How a row names the account to which it belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOwner {
    /// By this column.
    User(&'static str),
    /// By the column `session_id`.
    Session,
    /// By the column `webhook_id`.
    Webhook,
    /// Not at all: it belongs to no account, or outlives it.
    None,
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    Null,
    Id(Uuid),
    Integer(i64),
    Flag(bool),
    Text(String),
    Bytes(Vec<u8>),
}

/// The values of one row, in the order of [`MovedTable::columns`].
pub type MovedRow = Vec<Cell>;

/// The rows that move in one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MovedPart {
    /// All rows of the accounts with these ids.
    Accounts { after: UserId, up_to: UserId },
    /// The rows that belong to no account.
    Shared,
}

impl MovedPart {
    /// Divides the accounts with these ids, which are sorted, into parts of `size` accounts. The parts cover all ids that
    /// an account could have.
    pub fn of_accounts(ids: &[UserId], size: usize) -> Vec<Self> {
        let mut bounds: Vec<UserId> = ids
            .chunks(size.max(1))
            .map(|ids| ids[ids.len() - 1])
            .collect();
        bounds.pop();
        bounds.push(UserId::from(Uuid::max()));
        let mut after = UserId::from(Uuid::nil());
        bounds
            .into_iter()
            .map(|up_to| {
                let part = Self::Accounts { after, up_to };
                after = up_to;
                part
            })
            .collect()
    }

    /// The tables of which it has rows; a table comes after those to which it refers.
    pub fn tables(self) -> impl Iterator<Item = &'static MovedTable> {
        let is_shared = self == Self::Shared;
        let tables = MOVED_TABLES.iter();
        tables.filter(move |table| (table.owner == RowOwner::None) == is_shared)
    }
}

use ColumnKind::{Bytes, Flag, Id, Integer, Text};

/// All of them; a table comes after those to which it refers.
pub const MOVED_TABLES: [MovedTable; 16] = [
    MovedTable {
        name: "users",
        columns: &[
            ("id", Id),
            ("email", Text),
            ("password_hash", Text),
            ("is_active", Flag),
            ("is_verified", Flag),
            ("is_admin", Flag),
            ("created_at", Integer),
        ],
        key: "id",
        owner: RowOwner::User("id"),
    },
    MovedTable {
        name: "timelines",
        columns: &[
            ("user_id", Id),
            ("epoch", Id),
            ("last_seq", Integer),
            ("floor_seq", Integer),
            ("queued", Integer),
            ("running", Integer),
            ("next_run_at", Integer),
            ("claim_mark", Integer),
            ("webhook_kinds", Integer),
        ],
        key: "user_id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "sessions",
        columns: &[
            ("id", Id),
            ("user_id", Id),
            ("created_at", Integer),
            ("expires_at", Integer),
            ("last_used_at", Integer),
            ("ended_at", Integer),
            ("device", Text),
        ],
        key: "id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "refresh_tokens",
        columns: &[("hash", Bytes), ("session_id", Id), ("spent_at", Integer)],
        key: "hash",
        owner: RowOwner::Session,
    },
    MovedTable {
        name: "socket_tickets",
        columns: &[
            ("hash", Bytes),
            ("session_id", Id),
            ("expires_at", Integer),
            ("access_expires_at", Integer),
        ],
        key: "hash",
        owner: RowOwner::Session,
    },
    MovedTable {
        name: "consents",
        columns: &[
            ("id", Id),
            ("user_id", Id),
            ("consent_type", Text),
            ("jurisdiction", Text),
            ("text_version", Text),
            ("granted_at", Integer),
            ("withdrawn_at", Integer),
        ],
        key: "id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "photos",
        columns: &[
            ("id", Id),
            ("user_id", Id),
            ("announced_type", Text),
            ("status", Text),
            ("format", Text),
            ("width_px", Integer),
            ("height_px", Integer),
            ("size_bytes", Integer),
            ("sha256", Text),
            ("intakes", Integer),
            ("intake", Integer),
            ("thumbnail_bytes", Integer),
            ("decode_bytes", Integer),
            ("incoming_bytes", Integer),
            ("created_at", Integer),
            ("updated_at", Integer),
        ],
        key: "id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "submissions",
        columns: &[
            ("id", Integer),
            ("user_id", Id),
            ("key", Text),
            ("fingerprint", Bytes),
            ("memo", Text),
            ("expires_at", Integer),
        ],
        key: "id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "batches",
        columns: &[
            ("id", Id),
            ("user_id", Id),
            ("size", Integer),
            ("created_at", Integer),
        ],
        key: "id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "jobs",
        columns: &[
            ("id", Id),
            ("position", Integer),
            ("user_id", Id),
            ("photo_id", Id),
            ("batch_id", Id),
            ("submission_id", Integer),
            ("priority", Text),
            ("options", Text),
            ("state", Text),
            ("step", Text),
            ("progress", Integer),
            ("attempt_count", Integer),
            ("retries", Integer),
            ("crashes", Integer),
            ("epoch", Integer),
            ("run_at", Integer),
            ("cancel_requested", Flag),
            ("worker", Id),
            ("lease_until", Integer),
            ("result", Text),
            ("stored_bytes", Integer),
            ("failure", Text),
            ("previews", Text),
            ("last_seq", Integer),
            ("created_at", Integer),
            ("updated_at", Integer),
            ("ended_at", Integer),
        ],
        key: "id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "events",
        columns: &[
            ("user_id", Id),
            ("seq", Integer),
            ("job_id", Id),
            ("photo_id", Id),
            ("batch_id", Id),
            ("previous_of_job", Integer),
            ("kind", Text),
            ("body", Text),
            ("at", Integer),
        ],
        key: "user_id, seq",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "webhooks",
        columns: &[
            ("id", Id),
            ("user_id", Id),
            ("url", Text),
            ("description", Text),
            ("kinds", Integer),
            ("secret", Bytes),
            ("previous_secret", Bytes),
            ("previous_secret_until", Integer),
            ("disabled_reason", Text),
            ("first_failure_at", Integer),
            ("pending", Integer),
            ("next_due_at", Integer),
            ("created_at", Integer),
            ("updated_at", Integer),
        ],
        key: "id",
        owner: RowOwner::User("user_id"),
    },
    MovedTable {
        name: "webhook_deliveries",
        columns: &[
            ("id", Id),
            ("webhook_id", Id),
            ("kind", Text),
            ("seq", Integer),
            ("job_id", Id),
            ("photo_id", Id),
            ("batch_id", Id),
            ("body", Text),
            ("at", Integer),
            ("state", Text),
            ("dead_reason", Text),
            ("due_at", Integer),
            ("claims", Integer),
            ("is_claimed", Flag),
            ("attempt_count", Integer),
            ("attempts", Text),
            ("queued_at", Integer),
            ("created_at", Integer),
        ],
        key: "id",
        owner: RowOwner::Webhook,
    },
    MovedTable {
        name: "step_times",
        columns: &[
            ("id", Integer),
            ("pixels", Integer),
            ("loading_ms", Integer),
            ("segmenting_ms", Integer),
            ("removing_reflections_ms", Integer),
            ("enhancing_ms", Integer),
            ("saving_ms", Integer),
        ],
        key: "id",
        owner: RowOwner::None,
    },
    MovedTable {
        name: "sweeps",
        columns: &[
            ("id", Integer),
            ("target", Text),
            ("user_id", Id),
            ("subject_id", Id),
            ("due_at", Integer),
            ("failures", Integer),
        ],
        key: "id",
        owner: RowOwner::None,
    },
    MovedTable {
        name: "deletion_receipts",
        columns: &[
            ("id", Id),
            ("at", Integer),
            ("destroyed", Text),
            ("objects", Integer),
        ],
        key: "id",
        owner: RowOwner::None,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u128) -> UserId {
        UserId::from(Uuid::from_u128(number))
    }

    #[test]
    fn parts_divide_the_accounts_and_cover_all_ids() {
        let parts = MovedPart::of_accounts(&[id(3), id(5), id(7)], 2);
        let (first, last) = (id(0), UserId::from(Uuid::max()));
        let part = |after, up_to| MovedPart::Accounts { after, up_to };
        assert_eq!(parts, [part(first, id(5)), part(id(5), last)]);
        assert_eq!(MovedPart::of_accounts(&[], 2), [part(first, last)]);
    }

    #[test]
    fn every_table_moves_in_one_kind_of_part() {
        let of_accounts = MovedPart::of_accounts(&[], 1)[0].tables().count();
        let shared = MovedPart::Shared.tables().count();
        assert_eq!(of_accounts + shared, MOVED_TABLES.len());
    }
}
