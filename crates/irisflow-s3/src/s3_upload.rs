//! An object that is written piece by piece: as one request when it is small, else as a multipart upload of equal
//! parts, one at a time, so that memory holds one part.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use irisflow_photos::{ObjectKey, ObjectUpload, StorageError};
use object_store::aws::AmazonS3;
use object_store::multipart::{MultipartStore as _, PartId};
use object_store::path::Path;
use object_store::{Error, MultipartId, ObjectStore as _, PutMultipartOptions, PutPayload};
use tokio::runtime::Handle;

use crate::errors::failed;
use crate::s3_store::{attributes_of, path_of, put_options, size_of};

/// S3 wants 5 MiB at least in all parts but the last.
pub(crate) const PART_BYTES: usize = 8 << 20;

type Result<T> = std::result::Result<T, StorageError>;

pub(crate) struct S3Upload {
    client: Arc<AmazonS3>,
    key: ObjectKey,
    path: Path,
    size_bytes: u64,
    waiting: Vec<Bytes>,
    waiting_bytes: usize,
    /// Begun with the first full part.
    multipart: Option<Multipart>,
    is_flushed: bool,
}

struct Multipart {
    id: MultipartId,
    parts: Vec<PartId>,
}

impl std::fmt::Debug for S3Upload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3Upload({})", self.path)
    }
}

impl S3Upload {
    pub(crate) fn new(client: Arc<AmazonS3>, key: &ObjectKey) -> Self {
        Self {
            client,
            key: *key,
            path: path_of(key),
            size_bytes: 0,
            waiting: Vec::new(),
            waiting_bytes: 0,
            multipart: None,
            is_flushed: false,
        }
    }

    fn hold(&mut self, bytes: Bytes) {
        self.waiting_bytes += bytes.len();
        self.waiting.push(bytes);
    }

    fn take_waiting(&mut self) -> PutPayload {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.waiting).into_iter().collect()
    }

    /// Sends what waits as the next part.
    async fn send_part(&mut self) -> Result<()> {
        let payload = self.take_waiting();
        let multipart = match &mut self.multipart {
            Some(multipart) => multipart,
            none => none.insert(begin(&self.client, &self.path, &self.key).await?),
        };
        let index = multipart.parts.len();
        let part = self
            .client
            .put_part(&self.path, &multipart.id, index, payload)
            .await;
        multipart
            .parts
            .push(part.map_err(failed("storing a part"))?);
        Ok(())
    }

    async fn complete(&self, multipart: &Multipart) -> Result<()> {
        let parts = multipart.parts.clone();
        let completed = self
            .client
            .complete_multipart(&self.path, &multipart.id, parts);
        match completed.await {
            Ok(_) => Ok(()),
            // The upload is not known any more: an earlier attempt at the completion has succeeded without an answer.
            Err(Error::NotFound { .. } | Error::PermissionDenied { .. })
                if self.is_stored().await =>
            {
                Ok(())
            }
            Err(error) => Err(failed("completing an upload")(error)),
        }
    }

    async fn is_stored(&self) -> bool {
        let size_bytes = size_of(&self.client, &self.path).await;
        matches!(size_bytes, Ok(Some(size_bytes)) if size_bytes == self.size_bytes)
    }
}

async fn begin(client: &AmazonS3, path: &Path, key: &ObjectKey) -> Result<Multipart> {
    let options = PutMultipartOptions {
        attributes: attributes_of(key),
        ..PutMultipartOptions::default()
    };
    let id = client.create_multipart_opts(path, options).await;
    Ok(Multipart {
        id: id.map_err(failed("beginning an upload"))?,
        parts: Vec::new(),
    })
}

#[async_trait]
impl ObjectUpload for S3Upload {
    async fn write(&mut self, mut bytes: Bytes) -> Result<()> {
        if self.is_flushed {
            let error = std::io::Error::other("the upload was flushed");
            return Err(StorageError::new("writing an object", error));
        }
        self.size_bytes += bytes.len() as u64;
        while self.waiting_bytes + bytes.len() > PART_BYTES {
            let rest = bytes.split_off(PART_BYTES - self.waiting_bytes);
            self.hold(bytes);
            self.send_part().await?;
            bytes = rest;
        }
        if !bytes.is_empty() {
            self.hold(bytes);
        }
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    async fn flush(&mut self) -> Result<()> {
        if !self.is_flushed {
            self.send_part().await?;
            self.is_flushed = true;
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        if self.multipart.is_none() {
            let payload = self.take_waiting();
            let put = self
                .client
                .put_opts(&self.path, payload, put_options(&self.key));
            return put.await.map(drop).map_err(failed("storing an object"));
        }
        if self.waiting_bytes > 0 {
            self.send_part().await?;
        }
        if let Some(multipart) = &self.multipart {
            self.complete(multipart).await?;
        }
        self.multipart = None;
        Ok(())
    }
}

impl Drop for S3Upload {
    fn drop(&mut self) {
        let (Some(multipart), Ok(runtime)) = (self.multipart.take(), Handle::try_current()) else {
            return;
        };
        let (client, path) = (Arc::clone(&self.client), self.path.clone());
        runtime.spawn(async move {
            // What this does not reach is removed by a lifecycle rule.
            if let Err(error) = client.abort_multipart(&path, &multipart.id).await {
                tracing::warn!(%path, %error, "could not remove the parts of an unfinished upload");
            }
        });
    }
}
