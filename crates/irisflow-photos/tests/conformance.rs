//! Files pass what every object store must pass.
#![expect(
    clippy::expect_used,
    reason = "the functions beside the tests are tests as well"
)]

use std::sync::Arc;

use irisflow_photos::{FileStore, ObjectStore};

async fn open() -> (tempfile::TempDir, Arc<dyn ObjectStore>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = FileStore::open(folder.path()).expect("the store opens");
    (folder, Arc::new(store))
}

irisflow_photos::every_object_store_must_pass!(open);
