//! The port [`ObjectStore`] on files below one folder.
//!
//! An object is written to a staging file, flushed, renamed to its place, and the folder is flushed. Staging
//! files lie apart from the objects: a start removes all of a crashed process by clearing one folder, and the
//! deletion of an account leaves none of its photos behind. Processes that share a store have a folder for staging
//! files each, and hold a lock in it.
//!
//! Not `LocalFileSystem` of the crate `object_store` (0.14.2), although it flushes files and folders too: it stages
//! beside the objects, where an interrupted upload stays, unlisted, after its account is deleted; it creates
//! missing folders up to the root, so that it writes to the mount point of a disk that is not mounted; its
//! multipart upload cannot be made durable before it becomes visible, as the quota needs; and it cannot report
//! free space.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use irisflow_jobs::{UserId, WorkerId};
use tokio::io::AsyncReadExt as _;
use tokio::task::JoinError;
use tokio_util::io::ReaderStream;

use crate::object_key::ObjectKey;
use crate::object_store::{ObjectStore, ObjectStream, ObjectUpload, StorageError};

type Result<T> = std::result::Result<T, StorageError>;

/// Smaller pieces of an upload are written together.
const WRITE_BUFFER_BYTES: usize = 64 * 1024;
/// Files that a job has open at one time, with some to spare.
const PROBE_DESCRIPTORS: usize = 8;

/// A folder of objects. Clones share it.
#[derive(Debug, Clone)]
pub struct FileStore {
    folders: Arc<Folders>,
}

impl FileStore {
    /// Opens or creates the store below `root`. Staging files of an earlier process are removed.
    ///
    /// # Errors
    /// When the folders cannot be made or written.
    pub fn open(root: &Path) -> Result<Self> {
        let folders = Folders::below(root);
        fs::create_dir_all(&folders.objects).map_err(failed("making the folder"))?;
        if folders.staging.exists() {
            fs::remove_dir_all(&folders.staging).map_err(failed("clearing unfinished uploads"))?;
        }
        fs::create_dir_all(&folders.staging).map_err(failed("making the folder"))?;
        Ok(Self {
            folders: Arc::new(folders),
        })
    }

    /// Opens or creates the store below `root`, which other processes may have open as well. Staging files of processes
    /// that have ended are removed.
    ///
    /// # Errors
    /// When the folders cannot be made or written.
    pub fn open_shared(root: &Path) -> Result<Self> {
        let all = Folders::below(root);
        fs::create_dir_all(&all.objects).map_err(failed("making the folder"))?;
        fs::create_dir_all(&all.staging).map_err(failed("making the folder"))?;
        // Until the folder of this process has its lock, another process would remove it.
        let _opening = lock_file(&all.staging.join(OPENING)).map_err(failed("locking a file"))?;
        remove_ended(&all.staging).map_err(failed("clearing unfinished uploads"))?;
        let staging = all.staging.join(WorkerId::generate().to_string());
        fs::create_dir(&staging).map_err(failed("making the folder"))?;
        let lock = lock_file(&staging.join(LOCK)).map_err(failed("locking a file"))?;
        Ok(Self {
            folders: Arc::new(Folders {
                staging,
                _staging_lock: Some(lock),
                ..all
            }),
        })
    }

    /// The store that another process has open, for reading: nothing is made and nothing cleared.
    pub fn of_other_process(root: &Path) -> Self {
        Self {
            folders: Arc::new(Folders::below(root)),
        }
    }

    /// Runs blocking file operations on a thread for them.
    async fn blocking<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Folders) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let folders = Arc::clone(&self.folders);
        let done = tokio::task::spawn_blocking(move || operation(&folders)).await;
        done.map_err(not_run)?
    }
}

#[async_trait]
impl ObjectStore for FileStore {
    async fn put(&self, key: &ObjectKey, bytes: Bytes) -> Result<()> {
        let key = *key;
        self.blocking(move |folders| {
            let mut staged = folders.stage(&key)?;
            staged.write(&bytes)?;
            staged.finish()
        })
        .await
    }

    async fn begin_put(&self, key: &ObjectKey) -> Result<Box<dyn ObjectUpload>> {
        let key = *key;
        let staged = self.blocking(move |folders| folders.stage(&key)).await?;
        Ok(Box::new(FileUpload {
            size_bytes: 0,
            staged: Some(staged),
        }))
    }

    async fn get(&self, key: &ObjectKey) -> Result<Option<Bytes>> {
        let key = *key;
        self.blocking(move |folders| folders.read_whole(&key)).await
    }

    async fn read(&self, key: &ObjectKey, range: Range<u64>) -> Result<Option<ObjectStream>> {
        let key = *key;
        let length = range.end.saturating_sub(range.start);
        let opened = self.blocking(move |folders| {
            let Some(mut file) = folders.open(&key)? else {
                return Ok(None);
            };
            let sought = file.seek(SeekFrom::Start(range.start));
            sought.map_err(failed("seeking in a file"))?;
            Ok(Some(file))
        });
        Ok(opened.await?.map(|file| {
            let part = tokio::fs::File::from_std(file).take(length);
            let pieces = ReaderStream::new(part);
            pieces
                .map(|piece| piece.map_err(failed("reading a file")))
                .boxed()
        }))
    }

    async fn size_of(&self, key: &ObjectKey) -> Result<Option<u64>> {
        let key = *key;
        self.blocking(move |folders| folders.size_of(&key)).await
    }

    async fn delete(&self, key: &ObjectKey) -> Result<()> {
        let key = *key;
        self.blocking(move |folders| folders.delete(&key)).await
    }

    async fn list(&self, prefix: &str) -> Result<Vec<ObjectKey>> {
        let prefix = prefix.to_owned();
        self.blocking(move |folders| folders.list(&prefix)).await
    }

    async fn remove_traces_of(&self, user_id: UserId) -> Result<()> {
        self.blocking(move |folders| folders.remove_empty_folders_of(user_id))
            .await
    }

    async fn check_writable(&self, bytes: usize) -> Result<()> {
        self.blocking(move |folders| folders.check_writable(bytes))
            .await
    }

    async fn free_bytes(&self) -> Result<Option<u64>> {
        self.blocking(Folders::free_bytes).await
    }
}

/// Where objects and staging files lie. Its methods block.
#[derive(Debug)]
struct Folders {
    objects: Arc<Path>,
    staging: PathBuf,
    next_staged: AtomicU64,
    /// Of a store that processes share.
    _staging_lock: Option<File>,
}

impl Folders {
    fn below(root: &Path) -> Self {
        Self {
            objects: root.join("objects").into(),
            staging: root.join("staging"),
            next_staged: AtomicU64::new(0),
            _staging_lock: None,
        }
    }

    fn stage(&self, key: &ObjectKey) -> Result<StagedFile> {
        let path = self.staging_path("part");
        let file = File::create(&path).map_err(not_written("beginning a file"))?;
        Ok(StagedFile {
            file: Some(BufWriter::with_capacity(WRITE_BUFFER_BYTES, file)),
            path,
            objects: Arc::clone(&self.objects),
            target: self.path_of(key),
        })
    }

    fn staging_path(&self, extension: &str) -> PathBuf {
        let number = self.next_staged.fetch_add(1, Ordering::Relaxed);
        self.staging.join(format!("{number}.{extension}"))
    }

    fn open(&self, key: &ObjectKey) -> Result<Option<File>> {
        match File::open(self.path_of(key)) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => self.absent(None),
            Err(error) => Err(failed("opening a file")(error)),
        }
    }

    fn read_whole(&self, key: &ObjectKey) -> Result<Option<Bytes>> {
        let Some(mut file) = self.open(key)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        // Allocates the file's size at once.
        file.read_to_end(&mut bytes)
            .map_err(failed("reading a file"))?;
        Ok(Some(bytes.into()))
    }

    fn size_of(&self, key: &ObjectKey) -> Result<Option<u64>> {
        let Some(file) = self.open(key)? else {
            return Ok(None);
        };
        let metadata = file.metadata().map_err(failed("reading a file's size"))?;
        Ok(Some(metadata.len()))
    }

    fn delete(&self, key: &ObjectKey) -> Result<()> {
        match fs::remove_file(self.path_of(key)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::NotFound => self.absent(()),
            Err(error) => Err(failed("deleting a file")(error)),
        }
    }

    /// A folder that is not empty stays, and is no error.
    fn remove_empty_folders_of(&self, user_id: UserId) -> Result<()> {
        for prefix in ObjectKey::prefixes_of_user(user_id) {
            match fs::remove_dir(self.objects.join(prefix)) {
                Err(error)
                    if !matches!(
                        error.kind(),
                        ErrorKind::NotFound | ErrorKind::DirectoryNotEmpty
                    ) =>
                {
                    return Err(failed("deleting a folder")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn list(&self, prefix: &str) -> Result<Vec<ObjectKey>> {
        let Some((folder, _)) = prefix.rsplit_once('/') else {
            return Ok(Vec::new());
        };
        let mut keys = Vec::new();
        for name in self.names_in(folder)? {
            if ObjectKey::AREAS.contains(&prefix) {
                let names = self.names_in(&name)?;
                keys.extend(names.iter().filter_map(|name| ObjectKey::parse(name)));
            } else if name.starts_with(prefix) {
                keys.extend(ObjectKey::parse(&name));
            }
        }
        Ok(keys)
    }

    /// Nothing in what is no folder.
    fn names_in(&self, folder: &str) -> Result<Vec<String>> {
        let entries = match fs::read_dir(self.objects.join(folder)) {
            Ok(entries) => entries,
            Err(error)
                if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) =>
            {
                return self.absent(Vec::new());
            }
            Err(error) => return Err(failed("listing a folder")(error)),
        };
        let name = |entry: io::Result<fs::DirEntry>| {
            let entry = entry.map_err(failed("listing a folder"))?;
            Ok(format!("{folder}/{}", entry.file_name().to_string_lossy()))
        };
        entries.map(name).collect()
    }

    /// With a few file descriptors to spare.
    fn check_writable(&self, bytes: usize) -> Result<()> {
        let probe = self.staging_path("probe");
        let written = write_probe(&probe, bytes);
        let removed = fs::remove_file(&probe);
        written?;
        removed.map_err(failed("deleting a file"))
    }

    #[cfg(unix)]
    fn free_bytes(&self) -> Result<Option<u64>> {
        let disk = rustix::fs::statvfs(&*self.objects)
            .map_err(|error| failed("reading the free space")(error.into()))?;
        Ok(Some(disk.f_bavail.saturating_mul(disk.f_frsize)))
    }

    #[cfg(not(unix))]
    fn free_bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    /// The answer about an object that does not exist, unless the whole storage is gone.
    fn absent<T>(&self, answer: T) -> Result<T> {
        match self.objects.is_dir() {
            true => Ok(answer),
            false => Err(storage_is_gone()),
        }
    }

    fn path_of(&self, key: &ObjectKey) -> PathBuf {
        self.objects.join(key.to_string())
    }
}

/// In the staging folder of a process, which holds it.
const LOCK: &str = "lock";
/// In the folder of all staging folders, held while one is made.
const OPENING: &str = "opening";

/// Waits for the lock.
fn lock_file(path: &Path) -> io::Result<File> {
    let file = File::create(path)?;
    file.lock()?;
    Ok(file)
}

/// Removes the staging folders whose process has ended.
fn remove_ended(staging: &Path) -> io::Result<()> {
    for entry in fs::read_dir(staging)? {
        let folder = entry?.path();
        if !folder.is_dir() {
            continue;
        }
        let is_in_use = match File::open(folder.join(LOCK)) {
            Ok(lock) => lock.try_lock().is_err(),
            Err(error) if error.kind() == ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        if !is_in_use {
            fs::remove_dir_all(&folder)?;
        }
    }
    Ok(())
}

fn write_probe(path: &Path, bytes: usize) -> Result<()> {
    let mut file = File::create(path).map_err(not_written("writing a file"))?;
    let _more: Vec<File> = (1..PROBE_DESCRIPTORS)
        .map(|_| File::open(path))
        .collect::<io::Result<_>>()
        .map_err(failed("opening a file"))?;
    let zeros = [0; 64 * 1024];
    let mut left = bytes;
    while left > 0 {
        let piece = &zeros[..left.min(zeros.len())];
        file.write_all(piece).map_err(failed("writing a file"))?;
        left -= piece.len();
    }
    file.sync_all().map_err(failed("flushing a file"))
}

/// A staging file, which is removed unless it is finished. Its methods block.
#[derive(Debug)]
struct StagedFile {
    file: Option<BufWriter<File>>,
    path: PathBuf,
    objects: Arc<Path>,
    target: PathBuf,
}

impl StagedFile {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes).map_err(failed("writing a file"))?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<()> {
        if let Some(file) = &mut self.file {
            file.flush()
                .and_then(|()| file.get_ref().sync_all())
                .map_err(failed("flushing a file"))?;
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        self.flush()?;
        self.file = None;
        if let Some(folder) = self.target.parent() {
            make_folder(folder, &self.objects)?;
            fs::rename(&self.path, &self.target).map_err(not_written("renaming a file"))?;
            flush_folder(folder)?;
        }
        Ok(())
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // After `finish` this name no longer exists.
        let _ = fs::remove_file(&self.path);
    }
}

/// Makes a folder and those above it up to `root`, which must exist: made on the mount point of a disk that is
/// away, objects would vanish when it is back. The names of new folders survive a power cut.
fn make_folder(folder: &Path, root: &Path) -> Result<()> {
    match fs::create_dir(folder) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let parent = folder.parent().filter(|parent| *parent != root);
            make_folder(parent.ok_or_else(storage_is_gone)?, root)?;
            match fs::create_dir(folder) {
                Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                    return Err(not_written("making a folder")(error));
                }
                _ => {}
            }
        }
        Err(error) => return Err(failed("making a folder")(error)),
        Ok(()) => {}
    }
    folder.parent().map_or(Ok(()), flush_folder)
}

fn flush_folder(folder: &Path) -> Result<()> {
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .map_err(failed("flushing a folder"))
}

#[derive(Debug)]
struct FileUpload {
    /// `None` after an error, or while a thread writes to it.
    staged: Option<StagedFile>,
    size_bytes: u64,
}

impl FileUpload {
    async fn blocking(
        &mut self,
        operation: impl FnOnce(&mut StagedFile) -> Result<()> + Send + 'static,
    ) -> Result<()> {
        let mut staged = self.staged.take().ok_or_else(upload_failed_before)?;
        let done = tokio::task::spawn_blocking(move || {
            operation(&mut staged)?;
            Ok(staged)
        });
        self.staged = Some(done.await.map_err(not_run)??);
        Ok(())
    }
}

#[async_trait]
impl ObjectUpload for FileUpload {
    async fn write(&mut self, bytes: Bytes) -> Result<()> {
        let length = bytes.len() as u64;
        self.blocking(move |staged| staged.write(&bytes)).await?;
        self.size_bytes += length;
        Ok(())
    }

    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    async fn flush(&mut self) -> Result<()> {
        self.blocking(StagedFile::flush).await
    }

    async fn finish(mut self: Box<Self>) -> Result<()> {
        let staged = self.staged.take().ok_or_else(upload_failed_before)?;
        let done = tokio::task::spawn_blocking(|| staged.finish()).await;
        done.map_err(not_run)?
    }
}

fn failed(operation: &'static str) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError::new(operation, source)
}

/// For writing: the folder of the file is missing only when the whole storage is gone.
fn not_written(operation: &'static str) -> impl FnOnce(io::Error) -> StorageError {
    move |source| match source.kind() {
        ErrorKind::NotFound => storage_is_gone(),
        _ => StorageError::new(operation, source),
    }
}

/// The folder of the storage does not exist, as when its disk is not mounted.
fn storage_is_gone() -> StorageError {
    StorageError::new(
        "opening its folder",
        io::Error::new(ErrorKind::NotConnected, "it is not there"),
    )
}

fn upload_failed_before() -> StorageError {
    StorageError::new("writing a file", io::Error::other("the upload has failed"))
}

/// The thread has panicked, or the runtime is shutting down.
fn not_run(error: JoinError) -> StorageError {
    let kind = match error.is_cancelled() {
        true => ErrorKind::NotConnected,
        false => ErrorKind::Other,
    };
    StorageError::new("running a file operation", io::Error::new(kind, error))
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::PhotoId;

    use super::*;

    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().expect("a temp folder");
        let store = FileStore::open(folder.path()).expect("the store opens");
        (folder, store)
    }

    fn some_key() -> ObjectKey {
        ObjectKey::Incoming {
            user_id: UserId::generate(),
            photo_id: PhotoId::generate(),
        }
    }

    fn staging_files(folder: &tempfile::TempDir) -> usize {
        let entries = fs::read_dir(folder.path().join("staging"));
        entries.expect("staging").count()
    }

    #[tokio::test]
    async fn an_upload_that_breaks_off_leaves_no_staging_file() {
        let (folder, store) = store();
        let mut upload = store.begin_put(&some_key()).await.expect("begins");
        upload
            .write(Bytes::from_static(b"half"))
            .await
            .expect("written");
        assert_eq!(staging_files(&folder), 1);
        drop(upload);
        assert_eq!(staging_files(&folder), 0);
    }

    #[tokio::test]
    async fn a_start_removes_the_staging_files_of_a_crashed_process() {
        let (folder, store) = store();
        let mut upload = store.begin_put(&some_key()).await.expect("begins");
        upload
            .write(Bytes::from_static(b"half"))
            .await
            .expect("written");
        std::mem::forget(upload);
        FileStore::open(folder.path()).expect("opens again");
        assert_eq!(staging_files(&folder), 0);
    }

    #[tokio::test]
    async fn a_start_beside_other_processes_removes_only_the_staging_files_of_ended_ones() {
        let folder = tempfile::tempdir().expect("a temp folder");
        let open = || FileStore::open_shared(folder.path()).expect("the store opens");
        let (ended, running) = (open(), open());
        let crashed = ended.begin_put(&some_key()).await.expect("begins");
        std::mem::forget(crashed);
        let key = some_key();
        let mut upload = running.begin_put(&key).await.expect("begins");
        let pixels = Bytes::from_static(b"pixels");
        upload.write(pixels.clone()).await.expect("written");
        drop(ended);

        let started = open();

        let staging = fs::read_dir(folder.path().join("staging")).expect("staging");
        let folders =
            staging.filter(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_dir()));
        assert_eq!(folders.count(), 2, "of the two that run");
        upload.finish().await.expect("finished");
        let read = started.get(&key).await.expect("read");
        assert_eq!(read, Some(pixels));
    }

    #[tokio::test]
    async fn a_storage_that_is_gone_is_an_outage_and_not_an_empty_one() {
        let (folder, store) = store();
        let key = some_key();
        let bytes = Bytes::from_static(b"pixels");
        store.put(&key, bytes.clone()).await.expect("put");
        let begun = store.begin_put(&some_key()).await.expect("begins");
        fs::rename(folder.path().join("objects"), folder.path().join("away")).expect("renamed");
        let finished = begun.finish().await;
        fs::rename(folder.path().join("staging"), folder.path().join("away2")).expect("renamed");

        let prefixes = ObjectKey::prefixes_of_user(UserId::generate());
        let results = [
            finished,
            store.get(&key).await.map(drop),
            store.read(&key, 0..1).await.map(drop),
            store.size_of(&key).await.map(drop),
            store.delete(&key).await,
            store.list(&prefixes[0]).await.map(drop),
            store.put(&key, bytes).await,
            store.check_writable(1).await,
        ];

        for result in results {
            let error = result.expect_err("it is gone");
            assert!(error.is_outage(), "{error}");
        }
        assert!(!folder.path().join("objects").exists(), "not made anew");
    }

    #[tokio::test]
    async fn a_check_leaves_nothing_behind() {
        let (folder, store) = store();
        store.check_writable(100_000).await.expect("writable");
        assert_eq!(staging_files(&folder), 0);
    }
}
