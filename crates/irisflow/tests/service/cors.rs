//! CORS: preflight requests, and responses to pages of other origins.

use reqwest::{Method, Response, StatusCode};
use serde_json::json;

use crate::app::{App, good_eye, json_of, text};

const PAGE: &str = "https://app.example.com";

async fn app() -> App {
    let origins = format!("http://localhost:3000,{PAGE}");
    App::start_with(&[("IRISFLOW_ALLOWED_ORIGINS", &origins)]).await
}

async fn preflight(app: &App, url: &str, method: &str, origin: &str) -> Response {
    let request = app
        .client()
        .request(Method::OPTIONS, url)
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header(
            "Access-Control-Request-Headers",
            "authorization,content-type,idempotency-key",
        );
    request.send().await.expect("an answer")
}

fn header<'a>(answer: &'a Response, name: &str) -> Option<&'a str> {
    answer.headers().get(name)?.to_str().ok()
}

fn allows(answer: &Response, method: &str) -> bool {
    let lists = |name: &str, entry: &str| {
        let list = header(answer, name).unwrap_or_default();
        list.split(',')
            .any(|listed| listed.trim().eq_ignore_ascii_case(entry))
    };
    answer.status().is_success()
        && header(answer, "access-control-allow-origin") == Some(PAGE)
        && lists("access-control-allow-methods", method)
        && ["authorization", "content-type", "idempotency-key"]
            .iter()
            .all(|name| lists("access-control-allow-headers", name))
}

/// All operations of the OpenAPI description: path and method.
async fn described(app: &App) -> Vec<(String, String)> {
    let description = app.get(&format!("{}/api/v1/openapi.json", app.url)).await;
    let description = json_of(description, StatusCode::OK).await;
    let paths = description["paths"].as_object().expect("paths");
    let mut found = Vec::new();
    for (path, item) in paths {
        for method in item.as_object().expect("operations").keys() {
            if ["get", "put", "post", "delete"].contains(&method.as_str()) {
                let path = path
                    .replace("{key}", "iris/a/b.jpg")
                    .replace(['{', '}'], "");
                found.push((path, method.to_uppercase()));
            }
        }
    }
    assert!(found.len() > 25, "{found:?}");
    found
}

#[tokio::test]
async fn a_page_of_an_allowed_origin_may_call_every_route() {
    let app = app().await;
    for (path, method) in described(&app).await {
        let answer = preflight(&app, &format!("{}{path}", app.url), &method, PAGE).await;
        assert!(allows(&answer, &method), "{method} {path}: {answer:?}");
        assert_eq!(header(&answer, "access-control-allow-credentials"), None);
    }
}

#[tokio::test]
async fn origins_are_compared_to_the_letter() {
    let app = app().await;
    let url = format!("{}/api/v1/users/me", app.url);
    for origin in [
        "https://evil.example",
        "http://app.example.com",
        "https://app.example.com:8443",
        "https://app.example.com.evil.example",
        "https://evilapp.example.com",
        "null",
    ] {
        let answer = preflight(&app, &url, "GET", origin).await;
        let allowed = header(&answer, "access-control-allow-origin");
        assert_eq!(allowed, None, "{origin}");
        let request = app.client().get(&url).header("Origin", origin);
        let answer = request.send().await.expect("an answer");
        let allowed = header(&answer, "access-control-allow-origin");
        assert_eq!(allowed, None, "{origin}");
    }
}

#[tokio::test]
async fn a_page_can_read_errors_too() {
    let app = app().await;
    for (method, path, status) in [
        (Method::GET, "/api/v1/users/me", 401),
        (Method::GET, "/api/v1/no/such/route", 404),
        (Method::PATCH, "/api/v1/users/me", 405),
        (Method::POST, "/api/v1/auth/login/json", 422),
        (Method::GET, "/api/v1/files/nonsense", 403),
    ] {
        let request = app.client().request(method, format!("{}{path}", app.url));
        let request = request
            .header("Origin", PAGE)
            .header("Content-Type", "application/json");
        let answer = request.body("{}").send().await.expect("an answer");
        assert_eq!(answer.status(), status, "{path}");
        assert_eq!(
            header(&answer, "access-control-allow-origin"),
            Some(PAGE),
            "{path}"
        );
        let vary = answer.headers().get_all("vary").iter();
        let vary: Vec<_> = vary.filter_map(|value| value.to_str().ok()).collect();
        assert!(vary.join(",").contains("origin"), "{path}: {vary:?}");
        let exposed = header(&answer, "access-control-expose-headers");
        assert!(exposed.is_some_and(|list| list.contains("x-request-id")));
    }
}

#[tokio::test]
async fn a_page_may_send_and_fetch_photos_by_signed_links() {
    let app = app().await;
    let user = app.user("you").await;
    let announced = user
        .post("/photos/upload", &json!({ "content_type": "image/jpeg" }))
        .await;
    let announced = json_of(announced, StatusCode::CREATED).await;
    let (url, photo_id) = (text(&announced["upload_url"]), text(&announced["photo_id"]));
    assert!(allows(&preflight(&app, &url, "PUT", PAGE).await, "PUT"));
    let put = app.client().put(&url).header("Origin", PAGE);
    let put = put.header("Content-Type", "image/jpeg").body(good_eye());
    let put = put.send().await.expect("an answer");
    assert_eq!(put.status(), StatusCode::OK);
    assert_eq!(header(&put, "access-control-allow-origin"), Some(PAGE));

    let confirmed = user
        .post(&format!("/photos/{photo_id}/confirm"), &json!({}))
        .await;
    let photo = json_of(confirmed, StatusCode::OK).await;
    let original = app.client().get(text(&photo["original_url"]));
    let original = original.header("Origin", PAGE).send().await;
    let original = original.expect("an answer");
    assert_eq!(original.status(), StatusCode::OK);
    assert_eq!(header(&original, "access-control-allow-origin"), Some(PAGE));
}

#[tokio::test]
async fn without_allowed_origins_no_page_of_another_may_call() {
    let app = App::start().await;
    let url = format!("{}/api/v1/users/me", app.url);
    let answer = preflight(&app, &url, "GET", PAGE).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(header(&answer, "access-control-allow-origin"), None);
}
