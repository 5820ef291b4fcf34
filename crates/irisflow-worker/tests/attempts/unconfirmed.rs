//! A storage that stores a preview and then answers with an error, as one does that breaks before its answer.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use irisflow_jobs::UserId;
use irisflow_photos::{ObjectKey, ObjectStore, ObjectStream, ObjectUpload, StorageError};

type Result<T> = std::result::Result<T, StorageError>;

#[derive(Debug)]
pub(crate) struct UnconfirmedPreviews(pub(crate) Arc<dyn ObjectStore>);

#[async_trait]
impl ObjectStore for UnconfirmedPreviews {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        self.0.put(key, bytes).await?;
        if key.to_string().contains("_preview_") {
            let broken = io::Error::other("broken before the answer");
            return Err(StorageError::new("storing an object", broken));
        }
        Ok(())
    }

    async fn begin_put(&self, key: &ObjectKey) -> Result<Box<dyn ObjectUpload>> {
        self.0.begin_put(key).await
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Bytes>> {
        self.0.get(key).await
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<ObjectStream>> {
        self.0.read(key, range).await
    }

    async fn size_of(&self, key: &ObjectKey) -> Result<Option<u64>> {
        self.0.size_of(key).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.0.delete(key).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectKey>> {
        self.0.list(prefix).await
    }

    async fn remove_traces_of(&self, user_id: UserId) -> Result<()> {
        self.0.remove_traces_of(user_id).await
    }

    async fn check_writable(&self, bytes: usize) -> Result<()> {
        self.0.check_writable(bytes).await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.0.free_bytes().await
    }
}
