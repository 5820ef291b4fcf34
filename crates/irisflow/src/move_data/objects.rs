//! Copies the objects of a folder to another storage, and compares what is stored with what was read.

use std::collections::{HashMap, HashSet};

use anyhow::{Context as _, bail};
use futures_util::{StreamExt as _, stream};
use irisflow_photos::{ObjectKey, ObjectStore};

use super::progress::Progress;
use crate::checksum::{FileChecksum, Hasher};
use crate::compose::Snapshot;
use crate::recorded_objects::{ObjectProblem, RecordedObject, open_object, recorded_objects};

/// Objects that are copied at the same time.
const AT_ONCE: usize = 8;

#[derive(Default)]
pub(super) struct MovedObjects {
    pub(super) count: u64,
    pub(super) bytes: u64,
    pub(super) problems: Vec<(ObjectKey, ObjectProblem)>,
    /// In the target and not in the source.
    pub(super) foreign: Vec<ObjectKey>,
}

impl MovedObjects {
    pub(super) fn differ(&self) -> bool {
        !self.problems.is_empty() || !self.foreign.is_empty()
    }

    fn add(&mut self, key: ObjectKey, read: Read, recorded: Option<&RecordedObject>) {
        let problem = match read {
            Ok(checksum) => {
                self.count += 1;
                self.bytes += checksum.bytes;
                recorded.and_then(|recorded| recorded.compare(&checksum))
            }
            Err(problem) => Some(problem),
        };
        self.problems.extend(problem.map(|problem| (key, problem)));
    }
}

/// The result of reading a whole object of the source.
type Read = Result<FileChecksum, ObjectProblem>;

pub(super) async fn move_objects(
    snapshot: &Snapshot,
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
) -> anyhow::Result<MovedObjects> {
    let recorded = recorded_objects(snapshot).await;
    let recorded = recorded.context("reading which objects there are")?;
    let recorded = recorded
        .into_iter()
        .map(|recorded| (recorded.key, recorded));
    let mut recorded: HashMap<ObjectKey, RecordedObject> = recorded.collect();
    let keys = all_keys(from).await.context("listing the folder")?;
    let mut present = all_keys(to).await.context("listing the bucket")?;
    let mut progress = Progress::begin(&format!("copying {} objects", keys.len()));
    let mut moved = MovedObjects::default();
    let mut moves = stream::iter(&keys)
        .map(async |key| {
            (
                *key,
                move_object(from, to, key, present.contains(key)).await,
            )
        })
        .buffer_unordered(AT_ONCE);
    while let Some((key, read)) = moves.next().await {
        let read = read.with_context(|| format!("copying {key}"))?;
        moved.add(key, read, recorded.remove(&key).as_ref());
        progress.update(|| {
            let megabytes = moved.bytes / (1024 * 1024);
            format!("objects: {} of {}, {megabytes} MB", moved.count, keys.len())
        });
    }
    drop(moves);
    let missing = recorded.into_keys();
    moved
        .problems
        .extend(missing.map(|key| (key, ObjectProblem::Missing)));
    present.retain(|key| !keys.contains(key));
    moved.foreign = present.into_iter().collect();
    Ok(moved)
}

async fn all_keys(objects: &dyn ObjectStore) -> anyhow::Result<HashSet<ObjectKey>> {
    let mut keys = HashSet::new();
    for area in ObjectKey::AREAS {
        keys.extend(objects.list(area).await?);
    }
    Ok(keys)
}

/// An error is one of the target.
async fn move_object(
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
    key: &ObjectKey,
    is_present: bool,
) -> anyhow::Result<Read> {
    if is_present {
        let (expected, stored) = (read(from, key).await, read_back(to, key).await?);
        if expected.as_ref().ok() == stored.as_ref() {
            return Ok(expected);
        }
    }
    let copied = copy(from, to, key).await?;
    if let Ok(sent) = &copied
        && read_back(to, key).await?.as_ref() != Some(sent)
    {
        bail!("it is not stored as it was sent");
    }
    Ok(copied)
}

async fn copy(
    from: &dyn ObjectStore,
    to: &dyn ObjectStore,
    key: &ObjectKey,
) -> anyhow::Result<Read> {
    let mut pieces = match open_object(from, key).await {
        Ok(Some(pieces)) => pieces,
        Ok(None) => return Ok(Err(ObjectProblem::Missing)),
        Err(_) => return Ok(Err(ObjectProblem::Unreadable)),
    };
    let mut upload = to.begin_put(key).await?;
    let mut hasher = Hasher::default();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else {
            return Ok(Err(ObjectProblem::Unreadable));
        };
        hasher.add(&piece);
        upload.write(piece).await?;
    }
    upload.finish().await?;
    Ok(Ok(hasher.checksum()))
}

async fn read(from: &dyn ObjectStore, key: &ObjectKey) -> Read {
    match read_back(from, key).await {
        Ok(Some(checksum)) => Ok(checksum),
        Ok(None) => Err(ObjectProblem::Missing),
        Err(_) => Err(ObjectProblem::Unreadable),
    }
}

/// `None` when it does not exist.
async fn read_back(
    objects: &dyn ObjectStore,
    key: &ObjectKey,
) -> anyhow::Result<Option<FileChecksum>> {
    let Some(mut pieces) = open_object(objects, key).await? else {
        return Ok(None);
    };
    let mut hasher = Hasher::default();
    while let Some(piece) = pieces.next().await {
        hasher.add(&piece?);
    }
    Ok(Some(hasher.checksum()))
}
