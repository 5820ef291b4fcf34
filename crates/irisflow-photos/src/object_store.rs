//! The port for objects: photos and results by key. An object is visible whole or not at all, and survives a
//! power cut once the call that stored it has returned. `conformance` holds what every store promises.

use std::fmt::Debug;
use std::io;
use std::ops::Range;
use std::pin::Pin;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use irisflow_jobs::{Timestamp, UserId};

use crate::io_errors::is_outage;
use crate::object_key::ObjectKey;
use crate::signed_url::Access;

/// The storage cannot do its work at the moment; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("photo storage: {operation}: {source}")]
pub struct StorageError {
    operation: &'static str,
    source: io::Error,
}

impl StorageError {
    pub fn new(operation: &'static str, source: io::Error) -> Self {
        Self { operation, source }
    }

    /// Whether the machine or the storage is in trouble (full, read-only, failing, gone, or without a
    /// free file descriptor), rather than this one object.
    pub fn is_outage(&self) -> bool {
        is_outage(&self.source)
    }
}

type Result<T> = std::result::Result<T, StorageError>;

/// The bytes of an object, in pieces.
pub type ObjectStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// A store of objects. "Not found" is `None`, but a storage that is gone as a whole is an error.
#[async_trait]
pub trait ObjectStore: Send + Sync + Debug {
    /// Stores a whole object.
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()>;

    /// Begins an object that arrives in pieces. Nothing is visible before [`ObjectUpload::finish`]; dropping
    /// the upload leaves nothing behind.
    async fn begin_put(&self, key: &ObjectKey) -> Result<Box<dyn ObjectUpload>>;

    /// The whole object.
    async fn get(&self, key: &ObjectKey) -> Result<Option<Bytes>>;

    /// Part of an object, streamed. The range lies within its size.
    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<ObjectStream>>;

    async fn size_of(&self, key: &ObjectKey) -> Result<Option<u64>>;

    /// Deletes an object. One that does not exist counts as deleted.
    async fn delete(&self, key: &ObjectKey) -> Result<()>;

    /// The keys that begin with `prefix`, one of the prefixes that [`ObjectKey`] makes or one of
    /// [`ObjectKey::AREAS`]. Names that are no keys are left out.
    async fn list(&self, prefix: &str) -> Result<Vec<ObjectKey>>;

    /// Removes what still names a user of whom no object is left, such as empty folders.
    async fn remove_traces_of(&self, user_id: UserId) -> Result<()>;

    /// Writes that many bytes as an object would be written, and deletes them again.
    async fn check_writable(&self, bytes: usize) -> Result<()>;

    /// Bytes that this program may still store; `None` when the capacity is unknown.
    async fn free_bytes(&self) -> Result<Option<u64>>;
}

/// An object that is being written.
#[async_trait]
pub trait ObjectUpload: Send + Sync + Debug {
    async fn write(&mut self, bytes: Bytes) -> Result<()>;

    /// Bytes written so far.
    fn size_bytes(&self) -> u64;

    /// Afterwards what was written survives a power cut, and is not visible yet. Nothing is written after it.
    async fn flush(&mut self) -> Result<()>;

    /// Makes the object visible, in place of an earlier one under the same key.
    async fn finish(self: Box<Self>) -> Result<()>;
}

/// A link that allows one kind of access to one object for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SignedLink {
    /// Path and query below the base of the API: this program serves the object itself.
    OfApi(String),
    /// A whole URL of a storage that serves its objects itself.
    Absolute(String),
}

/// The port for signed links, which only a server hands out. Signing is a computation: an implementation whose
/// credentials change fetches them in the background.
pub trait LinkSigner: Send + Sync + Debug {
    fn link(&self, key: &ObjectKey, access: &Access, expires: Timestamp) -> SignedLink;

    /// Scheme, host and port of [`SignedLink::Absolute`], to which the pages of this server may connect.
    fn origin(&self) -> Option<&str>;
}
