//! Lists in pages, and filters of the job list.

use crate::id::BatchId;

/// Which part of a list, counted from page 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    pub page: u32,
    pub page_size: u32,
}

impl PageRequest {
    /// How many rows come before this page.
    pub fn offset(self) -> i64 {
        i64::from(self.page.saturating_sub(1)) * i64::from(self.page_size)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// Of all pages.
    pub total: u64,
}

/// Which jobs to list. `None` is all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct JobFilter {
    pub status: Option<StatusFilter>,
    pub batch_id: Option<BatchId>,
}

/// A status as clients see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusFilter {
    Pending,
    Processing,
    Completed,
    Failed,
    Cancelled,
}
