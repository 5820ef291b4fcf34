//! Token buckets that all nodes of a service share. A bucket is full until a token is taken from it.

use std::time::Duration;

use async_trait::async_trait;

use super::Result;

/// Names a bucket: a hash, which says nothing about a person.
pub type BucketKey = [u8; 16];

/// How many tokens a bucket holds at most, and the interval after which one is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketSize {
    pub burst: u32,
    pub refill: Duration,
}

/// Tokens that were taken from a bucket already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenTokens {
    pub key: BucketKey,
    pub size: BucketSize,
    pub tokens: u32,
}

#[async_trait]
pub trait TokenBuckets: Send + Sync + std::fmt::Debug {
    /// Takes a token if the bucket lacks fewer than `allowed` tokens. Otherwise returns the time to wait until then.
    async fn take_token(
        &self,
        key: BucketKey,
        size: BucketSize,
        allowed: u32,
    ) -> Result<Option<Duration>>;

    /// Puts a token back.
    async fn return_token(&self, key: BucketKey, size: BucketSize) -> Result<()>;

    /// Records tokens that were taken, also from empty buckets, which owe them then. No key is there twice. Returns for
    /// each when its bucket will be full.
    async fn record_taken(&self, taken: &[TakenTokens]) -> Result<Vec<Duration>>;

    /// Fills the bucket.
    async fn fill_bucket(&self, key: BucketKey) -> Result<()>;
}
