//! Registration, sign-in, logout and rotation of refresh tokens.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, json_of, text};

async fn register(app: &App, email: &str, password: &str) -> reqwest::Response {
    let body = json!({ "email": email, "password": password });
    app.request(Method::POST, "/auth/register")
        .json(&body)
        .send()
        .await
        .expect("an answer")
}

async fn login(app: &App, email: &str, password: &str) -> reqwest::Response {
    let body = json!({ "email": email, "password": password });
    app.request(Method::POST, "/auth/login/json")
        .json(&body)
        .send()
        .await
        .expect("an answer")
}

async fn refresh(app: &App, token: &str) -> reqwest::Response {
    let body = json!({ "refresh_token": token });
    app.request(Method::POST, "/auth/refresh")
        .json(&body)
        .send()
        .await
        .expect("an answer")
}

#[tokio::test]
async fn an_account_is_made_once_and_without_regard_to_case() {
    let app = App::start().await;
    let made = json_of(
        register(&app, "You@Example.com", PASSWORD).await,
        StatusCode::CREATED,
    )
    .await;
    assert_eq!(made["email"], "you@example.com");
    assert_eq!(made["is_active"], true);
    let again = json_of(
        register(&app, "you@example.COM", PASSWORD).await,
        StatusCode::CONFLICT,
    )
    .await;
    assert_eq!(again["detail"], "Email already registered");
}

#[tokio::test]
async fn a_weak_password_is_rejected_with_a_list_that_names_the_field() {
    let app = App::start().await;
    for weak in ["short1A", "nouppercase1", "NOLOWERCASE1", "NoDigitsHere"] {
        let answer = register(&app, "you@example.com", weak).await;
        let body = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(
            body["detail"][0]["loc"],
            json!(["body", "password"]),
            "{body}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_no_json_is_refused_with_a_list() {
    let app = App::start().await;
    let request = app.request(Method::POST, "/auth/register");
    let request = request.header("Content-Type", "application/json").body("{");
    let answer = request.send().await.expect("an answer");
    let body = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
    assert!(body["detail"].is_array(), "{body}");
}

#[tokio::test]
async fn registration_can_be_closed() {
    let app = App::start_with(&[("IRISFLOW_REGISTRATION", "closed")]).await;
    let answer = register(&app, "you@example.com", PASSWORD).await;
    let body = json_of(answer, StatusCode::FORBIDDEN).await;
    assert_eq!(body["code"], "registration_closed");
}

#[tokio::test]
async fn both_ways_of_signing_in_give_both_tokens() {
    let app = App::start().await;
    let user = app.user("you").await;
    let form = format!(
        "username={}&password={PASSWORD}",
        user.email.replace('@', "%40")
    );
    let request = app.request(Method::POST, "/auth/login");
    let request = request
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form);
    let tokens = json_of(request.send().await.expect("an answer"), StatusCode::OK).await;
    assert_eq!(tokens["token_type"], "bearer");
    assert!(tokens["access_token"].is_string() && tokens["refresh_token"].is_string());
    let me = json_of(user.get("/users/me").await, StatusCode::OK).await;
    assert_eq!(me["email"], "you@example.com");
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_account_get_the_same_answer() {
    let app = App::start().await;
    let user = app.user("you").await;
    let wrong = json_of(
        login(&app, &user.email, "Wrong-Iris-7").await,
        StatusCode::UNAUTHORIZED,
    )
    .await;
    let unknown = json_of(
        login(&app, "no@example.com", "Wrong-Iris-7").await,
        StatusCode::UNAUTHORIZED,
    )
    .await;
    assert_eq!(wrong, unknown);
}

#[tokio::test]
async fn failed_sign_ins_are_rate_limited_with_retry_after() {
    let app = App::start().await;
    let mut last = StatusCode::UNAUTHORIZED;
    for _ in 0..12 {
        let answer = login(&app, "you@example.com", "Wrong-Iris-7").await;
        last = answer.status();
        if last == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
            break;
        }
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test]
async fn a_refresh_token_is_rotated_and_its_lost_answer_can_be_asked_again() {
    let app = App::start().await;
    let user = app.user("you").await;
    let first = json_of(refresh(&app, &user.refresh_token).await, StatusCode::OK).await;
    let again = json_of(refresh(&app, &user.refresh_token).await, StatusCode::OK).await;
    assert_ne!(text(&first["refresh_token"]), user.refresh_token);
    assert_eq!(first["refresh_token"], again["refresh_token"]);
    json_of(
        refresh(&app, &text(&first["refresh_token"])).await,
        StatusCode::OK,
    )
    .await;
}

#[tokio::test]
async fn logging_out_without_a_body_ends_the_session_and_its_tokens() {
    let app = App::start().await;
    let user = app.user("you").await;
    let other = app.sign_in(&user.email).await;
    let answer = user.send(Method::POST, "/auth/logout", None).await;
    json_of(answer, StatusCode::OK).await;
    json_of(user.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
    json_of(
        refresh(&app, &user.refresh_token).await,
        StatusCode::UNAUTHORIZED,
    )
    .await;
    json_of(other.get("/users/me").await, StatusCode::OK).await;
}

#[tokio::test]
async fn requests_without_a_valid_token_are_rejected() {
    let app = App::start().await;
    let bare = app
        .request(Method::GET, "/users/me")
        .send()
        .await
        .expect("an answer");
    assert_eq!(bare.headers()["www-authenticate"], "Bearer");
    let body: Value = json_of(bare, StatusCode::UNAUTHORIZED).await;
    assert_eq!(body["detail"], "Not authenticated");
    let forged = app
        .request(Method::GET, "/users/me")
        .bearer_auth("a.b.c")
        .send()
        .await;
    let body: Value = json_of(forged.expect("an answer"), StatusCode::UNAUTHORIZED).await;
    assert_eq!(body["detail"], "Could not validate credentials");
}

#[tokio::test]
async fn an_expired_token_has_another_error_than_a_forged_one() {
    let app = App::start_with(&[("IRISFLOW_ACCESS_TOKEN_MS", "0")]).await;
    let user = app.user("you").await;
    let body = json_of(user.get("/users/me").await, StatusCode::UNAUTHORIZED).await;
    assert_eq!(body["detail"], "Token expired");
}
