//! `irisflow backup` and `irisflow restore` of a running service.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use reqwest::StatusCode;

use crate::app::{App, good_eye, json_of, text};

fn irisflow(verb: &str, data: &Path, backup: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_irisflow"))
        .arg(verb)
        .arg("--data-dir")
        .args([data, backup])
        .output()
        .expect("the program starts")
}

fn succeed(verb: &str, data: &Path, backup: &Path) {
    let output = irisflow(verb, data, backup);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{verb}: {complaint}");
}

fn complaint(output: &Output) -> String {
    assert!(!output.status.success());
    String::from_utf8_lossy(&output.stderr).into_owned()
}

async fn epochs(data: &Path) -> Vec<Vec<u8>> {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(data.join("irisflow.sqlite"));
    let database = sqlx::SqlitePool::connect_with(options)
        .await
        .expect("it opens");
    let epochs = sqlx::query_scalar("SELECT epoch FROM timelines ORDER BY user_id");
    epochs.fetch_all(&database).await.expect("epochs")
}

#[tokio::test]
async fn a_backup_that_was_made_with_jobs_in_flight_is_a_whole_service() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let backup = folder.path().join("backup");
    // Slow jobs, so that some are still running or waiting during the backup.
    let app = App::start_with(&[
        ("IRISFLOW_FAULTS", "enhancing:hang1500:9"),
        ("IRISFLOW_WORKERS", "1"),
    ])
    .await;
    let user = app.user("you").await;
    let photo_id = user.upload(good_eye()).await;
    let finished = user.submit(&photo_id).await;
    let result = user.until_ended(&finished).await;
    let picture = app.get(result["result_url"].as_str().expect("a link"));
    let picture = picture.await.bytes().await.expect("the picture");
    let mut in_flight = Vec::new();
    for _ in 0..3 {
        in_flight.push(user.submit(&photo_id).await);
    }
    user.until_status(&in_flight[0], &["processing"]).await;

    succeed("backup", app.data_dir(), &backup);

    let last = user.job(&in_flight[2]).await;
    assert_ne!(last["status"], "completed", "it was in flight");
    let email = user.email.clone();
    let before = epochs(app.data_dir()).await;
    drop(app);
    let restored = tempfile::tempdir().expect("a temp folder");
    succeed("restore", restored.path(), &backup);
    assert_ne!(
        epochs(restored.path()).await,
        before,
        "a new epoch shows clients that events are missing"
    );
    let app = App::start_on(restored).await;
    let user = app.sign_in(&email).await;
    let job = user.job(&finished).await;
    let again = app.get(job["result_url"].as_str().expect("a link")).await;
    assert_eq!(again.bytes().await.expect("the picture"), picture);
    for job_id in &in_flight {
        assert_eq!(user.until_ended(job_id).await["status"], "completed");
    }
}

#[tokio::test]
async fn a_restore_revives_no_session() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let backup = folder.path().join("backup");
    let app = App::start().await;
    let token = app.user("you").await.token;
    succeed("backup", app.data_dir(), &backup);
    drop(app);
    let restored = tempfile::tempdir().expect("a temp folder");
    succeed("restore", restored.path(), &backup);
    let app = App::start_on(restored).await;
    let request = app.request(reqwest::Method::GET, "/users/me");
    let answer = request.bearer_auth(token).send().await.expect("an answer");
    json_of(answer, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn a_damaged_backup_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let (backup, target) = (folder.path().join("backup"), folder.path().join("data"));
    let app = App::start().await;
    app.user("you").await.upload(good_eye()).await;
    succeed("backup", app.data_dir(), &backup);
    let photo = first_file(&backup.join("objects"));
    let mut bytes = std::fs::read(&photo).expect("a photo");
    bytes[1000] ^= 1;
    std::fs::write(&photo, bytes).expect("written");

    let refused = complaint(&irisflow("restore", &target, &backup));

    assert!(refused.contains("is damaged"), "{refused}");
    assert!(!target.join("irisflow.sqlite").exists());
    assert!(!target.join("files").exists());
}

#[tokio::test]
async fn a_backup_names_damaged_and_missing_objects_and_carries_on() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let backup = folder.path().join("backup");
    let app = App::start().await;
    let user = app.user("you").await;
    let mut names = Vec::new();
    for _ in 0..3 {
        let photo = json_of(user.post_photo(good_eye()).await, StatusCode::CREATED).await;
        names.push(text(&photo["s3_key"]));
    }
    let path = |name: &String| app.data_dir().join("files/objects").join(name);
    let mut bytes = std::fs::read(path(&names[0])).expect("an original");
    bytes[1000] ^= 1;
    std::fs::write(path(&names[0]), bytes).expect("damaged");
    std::fs::remove_file(path(&names[1])).expect("missing");

    let made = irisflow("backup", app.data_dir(), &backup);

    assert_eq!(
        made.status.code(),
        Some(4),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );
    let said = String::from_utf8_lossy(&made.stdout).into_owned();
    assert!(said.contains(&format!("{} is damaged", names[0])), "{said}");
    assert!(said.contains(&format!("{} is missing", names[1])), "{said}");
    assert!(!said.contains(&names[2]), "{said}");
    let email = user.email.clone();
    drop(app);
    let restored = tempfile::tempdir().expect("a temp folder");
    succeed("restore", restored.path(), &backup);
    let app = App::start_on(restored).await;
    let user = app.sign_in(&email).await;
    let photos = json_of(user.get("/photos").await, StatusCode::OK).await;
    let whole = photos["items"].as_array().expect("photos");
    let whole = whole
        .iter()
        .find(|photo| photo["s3_key"] == names[2].as_str());
    let url = text(&whole.expect("the whole one")["original_url"]);
    assert_eq!(app.get(&url).await.status(), StatusCode::OK);
}

#[cfg(unix)]
#[tokio::test]
async fn a_backup_is_for_its_owners_eyes_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a temp folder");
    let backup = folder.path().join("backup");
    let app = App::start().await;
    app.user("you").await.upload(good_eye()).await;

    succeed("backup", app.data_dir(), &backup);

    let photo = first_file(&backup.join("objects"));
    let paths = ["", "secrets.json", "manifest.json"].map(|name| backup.join(name));
    for path in paths.iter().chain([&photo]) {
        let mode = std::fs::metadata(path)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o077, 0, "{} has mode {mode:o}", path.display());
    }
}

#[tokio::test]
async fn a_folder_that_is_in_use_is_not_restored_over() {
    let folder = tempfile::tempdir().expect("a temp folder");
    let backup = folder.path().join("backup");
    let mut app = App::start().await;
    succeed("backup", app.data_dir(), &backup);
    let running = complaint(&irisflow("restore", app.data_dir(), &backup));
    assert!(running.contains("another irisflow is using"), "{running}");
    app.terminate().await;
    let stopped = complaint(&irisflow("restore", app.data_dir(), &backup));
    assert!(stopped.contains("holds a database already"), "{stopped}");
}

fn first_file(folder: &Path) -> PathBuf {
    let entry = std::fs::read_dir(folder).expect("a folder").next();
    let path = entry.expect("an entry").expect("read").path();
    if path.is_dir() {
        first_file(&path)
    } else {
        path
    }
}
