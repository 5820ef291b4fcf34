//! Objects as files below one folder. A put is whole or not at all: it is written beside the objects,
//! flushed to the disk, then renamed. Blocking calls; async callers use `spawn_blocking`.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use irisflow_jobs::UserId;

use crate::object_key::ObjectKey;
use crate::outage::is_outage;

/// Smaller pieces are written together.
const PIECE_BYTES: usize = 64 * 1024;

/// The storage cannot do its work at the moment; trying again may help.
#[derive(Debug, thiserror::Error)]
#[error("photo storage: {doing}: {source}")]
pub struct StorageError {
    doing: &'static str,
    source: io::Error,
}

impl StorageError {
    /// Whether the machine or the storage is in trouble (full, read-only, failing, gone, or without a
    /// free file descriptor), rather than this one object.
    pub fn is_outage(&self) -> bool {
        is_outage(&self.source)
    }

    /// The folder of the storage is not there, as when its disk is not mounted.
    fn gone() -> Self {
        Self {
            doing: "looking for its folder",
            source: io::Error::new(io::ErrorKind::NotConnected, "it is not there"),
        }
    }
}

fn failed(doing: &'static str) -> impl FnOnce(io::Error) -> StorageError {
    move |source| StorageError { doing, source }
}

/// For writing: only a storage that is gone has no place for a file.
fn not_written(doing: &'static str) -> impl FnOnce(io::Error) -> StorageError {
    move |source| match source.kind() {
        io::ErrorKind::NotFound => StorageError::gone(),
        _ => StorageError { doing, source },
    }
}

/// A folder of objects. Clones share it.
#[derive(Debug, Clone)]
pub struct FileStore {
    objects: Arc<Path>,
    staging: Arc<Path>,
    next_staged: Arc<AtomicU64>,
}

/// An object that is open for reading.
#[derive(Debug)]
pub struct StoredFile {
    pub file: File,
    pub size_bytes: u64,
}

impl FileStore {
    /// Opens or creates the store below `root`. What an earlier process left half-written is removed.
    ///
    /// # Errors
    /// When the folders cannot be made or written.
    pub fn open(root: &Path) -> Result<Self, StorageError> {
        let (objects, staging) = (root.join("objects"), root.join("staging"));
        fs::create_dir_all(&objects).map_err(failed("making the folder"))?;
        if staging.exists() {
            fs::remove_dir_all(&staging).map_err(failed("clearing unfinished uploads"))?;
        }
        fs::create_dir_all(&staging).map_err(failed("making the folder"))?;
        Ok(Self {
            objects: objects.into(),
            staging: staging.into(),
            next_staged: Arc::new(AtomicU64::new(0)),
        })
    }

    /// The store of another process, for reading: nothing is made and nothing cleared.
    pub fn beside(root: &Path) -> Self {
        Self {
            objects: root.join("objects").into(),
            staging: root.join("staging").into(),
            next_staged: Arc::new(AtomicU64::new(0)),
        }
    }

    /// Writes a whole object. It is on the disk when this returns.
    pub fn put(&self, key: &ObjectKey, bytes: &[u8]) -> Result<(), StorageError> {
        let mut incoming = self.begin_put(*key)?;
        incoming.write(bytes)?;
        incoming.finish()
    }

    /// Begins an object that arrives in pieces. Nothing is visible before [`Incoming::finish`];
    /// dropping it leaves nothing behind.
    pub fn begin_put(&self, key: ObjectKey) -> Result<Incoming, StorageError> {
        let number = self.next_staged.fetch_add(1, Ordering::Relaxed);
        let staged = self.staging.join(format!("{number}.part"));
        let file = File::create(&staged).map_err(not_written("beginning a file"))?;
        Ok(Incoming {
            file: Some(BufWriter::with_capacity(PIECE_BYTES, file)),
            staged,
            target: self.path_of(&key),
            size_bytes: 0,
        })
    }

    /// The whole object; `None` when there is none.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Vec<u8>>, StorageError> {
        match fs::read(self.path_of(key)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.absent(None),
            Err(error) => Err(failed("reading a file")(error)),
        }
    }

    /// The object, open for reading; `None` when there is none.
    pub fn open_object(&self, key: &ObjectKey) -> Result<Option<StoredFile>, StorageError> {
        let file = match File::open(self.path_of(key)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return self.absent(None),
            Err(error) => return Err(failed("opening a file")(error)),
        };
        let size_bytes = file
            .metadata()
            .map_err(failed("reading a file's size"))?
            .len();
        Ok(Some(StoredFile { file, size_bytes }))
    }

    /// How large the object is; `None` when there is none.
    pub fn size_of(&self, key: &ObjectKey) -> Result<Option<u64>, StorageError> {
        Ok(self.open_object(key)?.map(|object| object.size_bytes))
    }

    /// Deletes an object. One that is not there counts as deleted.
    pub fn delete(&self, key: &ObjectKey) -> Result<(), StorageError> {
        match fs::remove_file(self.path_of(key)) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.absent(()),
            Err(error) => Err(failed("deleting a file")(error)),
        }
    }

    /// Removes a user's empty folders: their names are the last that tells of a deleted account.
    ///
    /// # Errors
    /// When the storage fails. A folder that is not empty stays, and is no error.
    pub fn remove_empty_folders_of(&self, user_id: UserId) -> Result<(), StorageError> {
        use io::ErrorKind::{DirectoryNotEmpty, NotFound};
        for prefix in ObjectKey::prefixes_of_user(user_id) {
            match fs::remove_dir(self.objects.join(prefix)) {
                Err(error) if !matches!(error.kind(), NotFound | DirectoryNotEmpty) => {
                    return Err(failed("deleting a folder")(error));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The keys that begin with `prefix`, which must name a folder of a user, as the prefixes of
    /// [`ObjectKey`] do. Files that are no keys of ours are left out.
    pub fn list(&self, prefix: &str) -> Result<Vec<ObjectKey>, StorageError> {
        let Some((folder, _)) = prefix.rsplit_once('/') else {
            return Ok(Vec::new());
        };
        let entries = match fs::read_dir(self.objects.join(folder)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return self.absent(Vec::new());
            }
            Err(error) => return Err(failed("listing a folder")(error)),
        };
        let mut keys = Vec::new();
        for entry in entries {
            let entry = entry.map_err(failed("listing a folder"))?;
            let name = format!("{folder}/{}", entry.file_name().to_string_lossy());
            if name.starts_with(prefix) {
                keys.extend(ObjectKey::parse(&name));
            }
        }
        Ok(keys)
    }

    /// Whether so many bytes can be written and flushed, with a few file descriptors to spare.
    pub fn check_writable(&self, bytes: usize) -> Result<(), StorageError> {
        let number = self.next_staged.fetch_add(1, Ordering::Relaxed);
        let probe = self.staging.join(format!("{number}.probe"));
        let written = write_probe(&probe, bytes);
        let removed = fs::remove_file(&probe);
        written?;
        removed.map_err(failed("deleting a file"))
    }

    /// How many bytes are free for this program on the disk of the objects.
    #[cfg(unix)]
    pub fn free_bytes(&self) -> Result<u64, StorageError> {
        let disk = rustix::fs::statvfs(&*self.objects)
            .map_err(|error| failed("reading the free space")(error.into()))?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    /// Not known here.
    #[cfg(not(unix))]
    pub fn free_bytes(&self) -> Result<u64, StorageError> {
        Ok(u64::MAX)
    }

    /// What is said of an object that is not there, unless it is the whole storage that is gone.
    fn absent<T>(&self, answer: T) -> Result<T, StorageError> {
        match self.objects.is_dir() {
            true => Ok(answer),
            false => Err(StorageError::gone()),
        }
    }

    fn path_of(&self, key: &ObjectKey) -> PathBuf {
        self.objects.join(key.to_string())
    }
}

/// What a job needs at most at one time, with some to spare.
const PROBE_DESCRIPTORS: usize = 8;

fn write_probe(path: &Path, bytes: usize) -> Result<(), StorageError> {
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

/// An object that is being written.
#[derive(Debug)]
pub struct Incoming {
    file: Option<BufWriter<File>>,
    staged: PathBuf,
    target: PathBuf,
    size_bytes: u64,
}

impl Incoming {
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        if let Some(file) = &mut self.file {
            file.write_all(bytes).map_err(failed("writing a file"))?;
            self.size_bytes += bytes.len() as u64;
        }
        Ok(())
    }

    pub fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// What was written so far survives a power cut, and is not visible yet.
    pub fn flush(&mut self) -> Result<(), StorageError> {
        if let Some(file) = &mut self.file {
            file.flush()
                .and_then(|()| file.get_ref().sync_all())
                .map_err(failed("flushing a file"))?;
        }
        Ok(())
    }

    /// Makes the object visible; it survives a power cut from here on.
    pub fn finish(mut self) -> Result<(), StorageError> {
        self.flush()?;
        self.file = None;
        if let Some(folder) = self.target.parent() {
            fs::create_dir_all(folder).map_err(failed("making a folder"))?;
            fs::rename(&self.staged, &self.target).map_err(not_written("renaming a file"))?;
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(failed("flushing a folder"))?;
        }
        Ok(())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        // After `finish` the name is gone; before it, this is what must not stay.
        let _ = fs::remove_file(&self.staged);
    }
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::{JobId, PhotoId, UserId};

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

    #[test]
    fn what_was_put_is_read_back_until_it_is_deleted() {
        let (_folder, store) = store();
        let key = some_key();
        store.put(&key, b"pixels").expect("put");
        assert_eq!(
            store.get(&key).expect("get").as_deref(),
            Some(&b"pixels"[..])
        );
        store.delete(&key).expect("delete");
        assert_eq!(store.get(&key).expect("get"), None);
        store.delete(&key).expect("deleting twice does no harm");
    }

    #[test]
    fn an_upload_that_breaks_off_leaves_nothing() {
        let (folder, store) = store();
        let key = some_key();
        let mut incoming = store.begin_put(key).expect("begins");
        incoming.write(b"half").expect("write");
        drop(incoming);
        assert_eq!(store.get(&key).expect("get"), None);
        let left = fs::read_dir(folder.path().join("staging"))
            .expect("staging")
            .count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_restart_clears_what_a_crash_left_half_written() {
        let (folder, store) = store();
        let mut incoming = store.begin_put(some_key()).expect("begins");
        incoming.write(b"half").expect("write");
        std::mem::forget(incoming);
        FileStore::open(folder.path()).expect("opens again");
        let left = fs::read_dir(folder.path().join("staging"))
            .expect("staging")
            .count();
        assert_eq!(left, 0);
    }

    #[test]
    fn a_storage_that_is_gone_is_an_outage_and_not_an_empty_one() {
        let (folder, store) = store();
        let key = some_key();
        store.put(&key, b"pixels").expect("put");
        fs::rename(folder.path().join("objects"), folder.path().join("away")).expect("renamed");
        fs::rename(folder.path().join("staging"), folder.path().join("away2")).expect("renamed");

        let results = [
            store.get(&key).map(drop),
            store.size_of(&key).map(drop),
            store.delete(&key),
            store
                .list(&ObjectKey::prefixes_of_user(UserId::generate())[0])
                .map(drop),
            store.put(&key, b"pixels"),
            store.check_writable(1),
        ];

        for result in results {
            let error = result.expect_err("it is gone");
            assert!(error.is_outage(), "{error}");
        }
    }

    #[test]
    fn a_check_leaves_nothing_behind() {
        let (folder, store) = store();
        store.check_writable(100_000).expect("writable");
        let left = fs::read_dir(folder.path().join("staging")).expect("staging");
        assert_eq!(left.count(), 0);
        assert!(store.free_bytes().expect("known") > 0);
    }

    #[test]
    fn listing_a_job_finds_all_its_epochs_and_nothing_else() {
        let (_folder, store) = store();
        let (user_id, job_id) = (UserId::generate(), JobId::generate());
        let mine = [
            ObjectKey::Result {
                user_id,
                job_id,
                epoch: 1,
            },
            ObjectKey::Mask {
                user_id,
                job_id,
                epoch: 2,
            },
        ];
        let other = ObjectKey::Result {
            user_id,
            job_id: JobId::generate(),
            epoch: 1,
        };
        for key in mine.iter().chain([&other]) {
            store.put(key, b"x").expect("put");
        }
        let mut found = store
            .list(&ObjectKey::prefix_of_job(user_id, job_id))
            .expect("list");
        found.sort_by_key(ToString::to_string);
        assert_eq!(found, mine);
    }
}
