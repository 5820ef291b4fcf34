//! Management of one's own account: sessions, password, deletion.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, User, good_eye, json_of, text};

async fn sessions(user: &User<'_>) -> Vec<Value> {
    let list = json_of(user.get("/users/me/sessions").await, StatusCode::OK).await;
    list["items"].as_array().expect("a list").clone()
}

/// A job that does not end, so that a socket on it stays open.
const BUSY: (&str, &str) = ("IRISFLOW_FAULTS", "segmenting:hang600000:1");
/// Sockets learn that a session has ended from the notification alone, never from the periodic check.
const NO_SESSION_CHECK: (&str, &str) = ("IRISFLOW_SESSION_CHECK_MS", "600000");

#[tokio::test]
async fn sessions_are_listed_and_the_current_one_is_marked() {
    let app = App::start().await;
    let user = app.user("you").await;
    app.sign_in(&user.email).await;

    let listed = sessions(&user).await;

    let current: Vec<bool> = listed
        .iter()
        .map(|session| session["is_current"] == true)
        .collect();
    assert_eq!(current, [false, true], "newest first: {listed:?}");
}

#[tokio::test]
async fn one_session_can_be_ended_and_its_sockets_close_at_once() {
    let app = App::start_with(&[BUSY, NO_SESSION_CHECK]).await;
    let user = app.user("you").await;
    let other = app.sign_in(&user.email).await;
    let job_id = user.upload_and_submit(good_eye()).await;
    let mut socket = other.watch(&job_id).await;
    socket.frame().await;
    let listed = sessions(&user).await;
    let id = text(&listed[0]["id"]);

    let ended = user.delete(&format!("/users/me/sessions/{id}")).await;
    let watched = socket.until_the_end().await;

    assert_eq!(ended, StatusCode::NO_CONTENT);
    assert_eq!(watched.close_code, 1008);
    json_of(other.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
    json_of(user.get("/users/me").await, StatusCode::OK).await;
}

#[tokio::test]
async fn all_other_sessions_can_be_ended_at_once() {
    let app = App::start().await;
    let user = app.user("you").await;
    let other = app.sign_in(&user.email).await;
    let stranger = app.user("stranger").await;

    let answer = user.send(Method::DELETE, "/users/me/sessions", None).await;

    assert_eq!(json_of(answer, StatusCode::OK).await["ended"], 1);
    json_of(other.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
    json_of(stranger.get("/users/me").await, StatusCode::OK).await;
    assert_eq!(sessions(&user).await.len(), 1);
}

#[tokio::test]
async fn a_session_of_another_account_cannot_be_ended() {
    let app = App::start().await;
    let (user, stranger) = (app.user("you").await, app.user("stranger").await);
    let id = text(&sessions(&user).await[0]["id"]);

    let answer = stranger.delete(&format!("/users/me/sessions/{id}")).await;

    assert_eq!(answer, StatusCode::NOT_FOUND);
    json_of(user.get("/users/me").await, StatusCode::OK).await;
}

#[tokio::test]
async fn a_changed_password_signs_the_other_devices_out() {
    let app = App::start().await;
    let user = app.user("you").await;
    let other = app.sign_in(&user.email).await;
    let body = json!({ "current_password": PASSWORD, "new_password": "Clearer-Iris-8" });

    let answer = user
        .send(Method::PUT, "/users/me/password", Some(&body))
        .await;

    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    json_of(user.get("/users/me").await, StatusCode::OK).await;
    json_of(other.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
    let old = json!({ "email": user.email, "password": PASSWORD });
    let login = app.request(Method::POST, "/auth/login/json").json(&old);
    let login = login.send().await.expect("an answer");
    assert_eq!(login.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn changing_a_password_needs_the_old_one() {
    let app = App::start().await;
    let user = app.user("you").await;
    let change = async |current: &str, new: &str| {
        let body = json!({ "current_password": current, "new_password": new });
        user.send(Method::PUT, "/users/me/password", Some(&body))
            .await
    };
    let wrong = json_of(
        change("Wrong-Iris-7", "Clearer-Iris-8").await,
        StatusCode::FORBIDDEN,
    );
    assert_eq!(wrong.await["code"], "wrong_password");
    let weak = json_of(
        change(PASSWORD, "weak").await,
        StatusCode::UNPROCESSABLE_ENTITY,
    )
    .await;
    assert_eq!(weak["detail"][0]["loc"], json!(["body", "new_password"]));
    app.sign_in(&user.email).await;
}

#[tokio::test]
async fn of_six_concurrent_password_changes_one_succeeds() {
    let app = App::start().await;
    let user = app.user("you").await;
    let changes = (0..6).map(|number| {
        let new = format!("Clearer-Iris-{number}");
        let body = json!({ "current_password": PASSWORD, "new_password": new });
        let user = &user;
        async move {
            let path = "/users/me/password";
            let answer = user.send(Method::PUT, path, Some(&body)).await;
            (answer.status(), new)
        }
    });

    let answers = futures_util::future::join_all(changes).await;

    let made: Vec<&String> = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::NO_CONTENT)
        .map(|(_, new)| new)
        .collect();
    assert_eq!(made.len(), 1, "{answers:?}");
    let refused = [StatusCode::CONFLICT, StatusCode::FORBIDDEN];
    let others = answers
        .iter()
        .filter(|(status, _)| refused.contains(status));
    assert_eq!(others.count(), 5, "{answers:?}");
    let login = json!({ "email": user.email, "password": made[0] });
    let login = app.request(Method::POST, "/auth/login/json").json(&login);
    json_of(login.send().await.expect("an answer"), StatusCode::OK).await;
}

#[tokio::test]
async fn ended_sessions_are_deleted_after_their_time() {
    let app = App::start_with(&[("IRISFLOW_KEEP_ENDED_SESSIONS_MS", "300")]).await;
    let user = app.user("you").await;
    let other = app.sign_in(&user.email).await;
    let ended = text(&sessions(&user).await[0]["id"]);
    let before = app.columns_with_id(&ended).await;

    json_of(
        other.send(Method::POST, "/auth/logout", None).await,
        StatusCode::OK,
    )
    .await;

    assert!(!before.is_empty(), "it is stored");
    app.until("the session is gone", async || {
        app.columns_with_id(&ended).await.is_empty()
    })
    .await;
    json_of(user.get("/users/me").await, StatusCode::OK).await;
}

async fn delete_me(user: &User<'_>, confirm: bool) -> reqwest::Response {
    let body = json!({ "confirm": confirm });
    user.send(Method::DELETE, "/users/me", Some(&body)).await
}

#[tokio::test]
async fn an_account_is_not_deleted_without_confirmation() {
    let app = App::start().await;
    let user = app.user("you").await;
    let refused = json_of(delete_me(&user, false).await, StatusCode::BAD_REQUEST).await;
    assert_eq!(refused["code"], "confirmation_missing");
    json_of(user.get("/users/me").await, StatusCode::OK).await;
}

#[tokio::test]
async fn a_deleted_account_gives_a_receipt_and_closes_its_sockets() {
    let app = App::start_with(&[BUSY, NO_SESSION_CHECK]).await;
    let user = app.user("you").await;
    let finished_photo = user.upload(good_eye()).await;
    let job_id = user.submit(&finished_photo).await;
    let mut socket = user.watch(&job_id).await;
    socket.frame().await;

    let receipt = json_of(delete_me(&user, true).await, StatusCode::OK).await;
    let watched = socket.until_the_end().await;

    assert_eq!(watched.close_code, 1008);
    let destroyed = &receipt["destroyed"];
    assert_eq!(
        (&destroyed["photos"], &destroyed["jobs"]),
        (&json!(1), &json!(1))
    );
    assert!(
        destroyed["objects"]
            .as_u64()
            .is_some_and(|count| count >= 1),
        "{receipt}"
    );
    assert!(text(&receipt["deleted_at"]).ends_with('Z'));
    json_of(user.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
}

#[tokio::test]
async fn nothing_of_a_deleted_account_is_found_afterwards() {
    let mut app = App::start_with(&[
        ("IRISFLOW_LEASE_MS", "500"),
        ("IRISFLOW_UPLOAD_URL_MS", "2000"),
        ("IRISFLOW_UPLOAD_LIMIT_MS", "3000"),
        ("IRISFLOW_FAULTS", "after_result:hang2000:1"),
    ])
    .await;
    let neighbour = app.user("neighbour").await;
    let kept = neighbour.upload(good_eye()).await;
    let user = app.user("forget-me").await;
    let user_id = text(&json_of(user.get("/users/me").await, StatusCode::OK).await["id"]);
    let photo_id = user.upload(good_eye()).await;
    let announced = user.post("/photos/upload", &json!({})).await;
    let announced = json_of(announced, StatusCode::CREATED).await;
    let consent = json!({ "consent_type": "biometric_capture", "text_version": "1" });
    json_of(
        user.post("/privacy/consent", &consent).await,
        StatusCode::CREATED,
    )
    .await;
    let running = user.submit(&photo_id).await;
    let waiting = user.submit(&photo_id).await;
    app.until("a first object is written", async || {
        !app.objects("processed").is_empty()
    })
    .await;

    json_of(delete_me(&user, true).await, StatusCode::OK).await;

    let put = app
        .client()
        .put(text(&announced["upload_url"]))
        .header("Content-Type", "image/jpeg")
        .body(good_eye());
    let put = put.send().await.expect("an answer").status();
    assert!(
        put.is_client_error(),
        "the upload URL no longer works: {put}"
    );
    for id in [&user_id, &photo_id, &running, &waiting] {
        app.until_id_is_gone(id).await;
    }
    let email = user.email.clone();
    let neighbours = neighbour.get(&format!("/photos/{kept}")).await;
    assert_eq!(neighbours.status(), StatusCode::OK);
    app.terminate().await;
    let everything = app.stored_bytes();
    let bytes = uuid::Uuid::parse_str(&user_id).expect("an id");
    for trace in [user_id.as_bytes(), email.as_bytes(), bytes.as_bytes()] {
        let found = everything.windows(trace.len()).any(|part| part == trace);
        assert!(!found, "{} is still there", String::from_utf8_lossy(trace));
    }
}
