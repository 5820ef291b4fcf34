//! The port `ObjectStore` on a bucket.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use irisflow_jobs::UserId;
use irisflow_photos::{ObjectKey, ObjectStore, ObjectStream, ObjectUpload, StorageError};
use object_store::aws::AmazonS3;
use object_store::list::{PaginatedListOptions, PaginatedListStore as _};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, Error, GetOptions, GetRange, ObjectStore as _, PutOptions,
};
use uuid::Uuid;

use crate::errors::{bucket_is_missing, failed};
use crate::s3_settings::{S3Settings, S3SettingsError};
use crate::s3_upload::{PART_BYTES, S3Upload};

type Result<T> = std::result::Result<T, StorageError>;

/// Browsers and proxies of one person may keep what they have, since objects never change.
const CACHE_CONTROL: &str = "private, max-age=3600, immutable";
/// What a crash between writing and deleting a probe leaves is removed by a lifecycle rule for this folder.
const PROBES: &str = "probes";

/// A bucket. Clones share its connections.
#[derive(Clone)]
pub struct S3Store {
    client: Arc<AmazonS3>,
    /// One of this process, so that storages with a limit of writes per key are not asked for more.
    probe: Path,
}

impl std::fmt::Debug for S3Store {
    /// The client would show its credentials.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "S3Store({})", self.client)
    }
}

impl S3Store {
    /// Sets up the client; the storage may be away.
    ///
    /// # Errors
    /// When the settings contradict themselves.
    pub fn new(settings: &S3Settings) -> std::result::Result<Self, S3SettingsError> {
        Ok(Self {
            client: Arc::new(settings.client()?),
            probe: Path::from(format!("{PROBES}/{}", Uuid::now_v7())),
        })
    }

    /// The answer about an object that does not exist, unless the bucket does not either: S3 answers both with 404.
    async fn absent<T>(&self, answer: T) -> Result<T> {
        let options = PaginatedListOptions {
            max_keys: Some(1),
            ..PaginatedListOptions::default()
        };
        match self.client.list_paginated(Some(PROBES), options).await {
            Ok(_) => Ok(answer),
            Err(error) => Err(bucket_is_missing(error)),
        }
    }

    async fn delete_path(&self, path: Path) -> Result<()> {
        let deleted = self.client.delete_stream(stream::iter([Ok(path)]).boxed());
        match deleted.try_collect::<Vec<_>>().await {
            Ok(_) => Ok(()),
            Err(Error::NotFound { .. }) => self.absent(()).await,
            Err(error) => Err(failed("deleting an object")(error)),
        }
    }
}

#[async_trait]
impl ObjectStore for S3Store {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        if bytes.len() > PART_BYTES {
            let mut upload = Box::new(S3Upload::new(Arc::clone(&self.client), key));
            upload.write(bytes).await?;
            return upload.finish().await;
        }
        let path = path_of(key);
        let put = self.client.put_opts(&path, bytes.into(), put_options(key));
        put.await.map(drop).map_err(failed("storing an object"))
    }

    async fn begin_put(&self, key: &ObjectKey) -> Result<Box<dyn ObjectUpload>> {
        Ok(Box::new(S3Upload::new(Arc::clone(&self.client), key)))
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Bytes>> {
        match self
            .client
            .get_opts(&path_of(key), GetOptions::default())
            .await
        {
            Ok(found) => found
                .bytes()
                .await
                .map(Some)
                .map_err(failed("reading an object")),
            Err(Error::NotFound { .. }) => self.absent(None).await,
            Err(error) => Err(failed("reading an object")(error)),
        }
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<ObjectStream>> {
        if range.is_empty() {
            // S3 refuses a range of no bytes.
            let size_bytes = self.size_of(key).await?;
            return Ok(size_bytes.map(|_| stream::empty().boxed() as ObjectStream));
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            ..GetOptions::default()
        };
        match self.client.get_opts(&path_of(key), options).await {
            Ok(found) => {
                let pieces = found.into_stream().map_err(failed("reading an object"));
                Ok(Some(pieces.boxed()))
            }
            Err(Error::NotFound { .. }) => self.absent(None).await,
            Err(error) => Err(failed("reading an object")(error)),
        }
    }

    async fn size_of(&self, key: &ObjectKey) -> Result<Option<u64>> {
        let size_bytes = size_of(&self.client, &path_of(key)).await;
        match size_bytes.map_err(failed("reading an object's size"))? {
            None => self.absent(None).await,
            found => Ok(found),
        }
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        self.delete_path(path_of(key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectKey>> {
        let mut keys = Vec::new();
        let mut page_token = None;
        loop {
            let options = PaginatedListOptions {
                page_token,
                ..PaginatedListOptions::default()
            };
            let page = self.client.list_paginated(Some(prefix), options).await;
            let page = page.map_err(failed("listing the bucket"))?;
            let objects = page.result.objects.iter();
            keys.extend(objects.filter_map(|object| ObjectKey::parse(object.location.as_ref())));
            page_token = page.page_token;
            if page_token.is_none() {
                return Ok(keys);
            }
        }
    }

    /// There are no folders that would stay behind.
    async fn remove_traces_of(&self, _: UserId) -> Result<()> {
        Ok(())
    }

    async fn check_writable(&self, bytes: usize) -> Result<()> {
        let zeros = Bytes::from(vec![0; bytes]);
        let put = self
            .client
            .put_opts(&self.probe, zeros.into(), PutOptions::default());
        put.await.map_err(failed("storing a probe"))?;
        self.delete_path(self.probe.clone()).await
    }

    /// S3 grows.
    async fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

pub(crate) fn path_of(key: &ObjectKey) -> Path {
    Path::from(key.to_string())
}

/// What S3 sends along with the object.
pub(crate) fn attributes_of(key: &ObjectKey) -> Attributes {
    let mut attributes = Attributes::new();
    if let Some(content_type) = key.content_type() {
        attributes.insert(Attribute::ContentType, content_type.into());
        attributes.insert(Attribute::CacheControl, CACHE_CONTROL.into());
    }
    attributes
}

pub(crate) fn put_options(key: &ObjectKey) -> PutOptions {
    PutOptions {
        attributes: attributes_of(key),
        ..PutOptions::default()
    }
}

pub(crate) async fn size_of(
    client: &AmazonS3,
    path: &Path,
) -> std::result::Result<Option<u64>, Error> {
    let options = GetOptions {
        head: true,
        ..GetOptions::default()
    };
    match client.get_opts(path, options).await {
        Ok(found) => Ok(Some(found.meta.size)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
