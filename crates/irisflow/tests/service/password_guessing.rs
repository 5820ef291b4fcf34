//! Rate limits of failed sign-ins and registrations from many addresses. The tests act as a trusted proxy and set
//! `X-Forwarded-For`.

use futures_util::future::Either;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::app::{App, PASSWORD, json_of, text};

const BEHIND_A_PROXY: (&str, &str) = ("IRISFLOW_TRUSTED_PROXIES", "1");
const WRONG: &str = "Wrong-Iris-7";

async fn login_from(app: &App, address: &str, email: &str, password: &str) -> Response {
    login_with(app, address, email, password, None).await
}

async fn login_with(
    app: &App,
    address: &str,
    email: &str,
    password: &str,
    cookie: Option<&str>,
) -> Response {
    let body = json!({ "email": email, "password": password });
    let mut request = app.request(Method::POST, "/auth/login/json").json(&body);
    request = request.header("X-Forwarded-For", address);
    if let Some(cookie) = cookie {
        request = request.header("Cookie", cookie);
    }
    request.send().await.expect("an answer")
}

async fn register_from(app: &App, address: &str, email: &str) -> Response {
    let body = json!({ "email": email, "password": PASSWORD });
    let request = app.request(Method::POST, "/auth/register").json(&body);
    let request = request.header("X-Forwarded-For", address);
    request.send().await.expect("an answer")
}

/// Fails to sign in until the rate limit rejects it.
async fn exhaust_attempts(app: &App, address: &str, email: &str) {
    loop {
        let answer = login_from(app, address, email, WRONG).await;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
            return;
        }
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
}

/// The device cookie as a `Cookie` header.
fn device_cookie(answer: &Response) -> String {
    let cookie = answer.headers()["set-cookie"].to_str().expect("text");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"),
        "{cookie}"
    );
    cookie.split(';').next().expect("a pair").to_owned()
}

#[tokio::test]
async fn failed_sign_ins_from_other_networks_never_lock_the_owner_out() {
    let app = App::start_with(&[BEHIND_A_PROXY, ("IRISFLOW_SIGN_IN_TRIES_OF_ACCOUNT", "15")]).await;
    let email = app.user("you").await.email.clone();
    for number in 1..6 {
        exhaust_attempts(&app, &format!("203.0.113.{number}"), &email).await;
    }

    // Addresses in the same /64 prefix are one network; another network has no failures.
    exhaust_attempts(&app, "2001:db8:1:2::1", &email).await;
    let neighbour = login_from(&app, "2001:db8:1:2:ffff::9", &email, PASSWORD).await;
    let at_home = login_from(&app, "2001:db8:1:3::1", &email, PASSWORD).await;

    assert_eq!(neighbour.status(), StatusCode::TOO_MANY_REQUESTS);
    json_of(at_home, StatusCode::OK).await;
}

#[tokio::test]
async fn a_known_device_can_sign_in_while_others_in_its_network_fail() {
    let app = App::start_with(&[BEHIND_A_PROXY]).await;
    let (email, here) = (app.user("you").await.email.clone(), "203.0.113.1");
    let cookie = device_cookie(&login_from(&app, here, &email, PASSWORD).await);
    exhaust_attempts(&app, here, &email).await;

    let stranger = login_from(&app, here, &email, PASSWORD).await;
    let known = login_with(&app, here, &email, PASSWORD, Some(&cookie)).await;
    let forged = format!("{}AAAA", &cookie[..cookie.len() - 4]);
    let forged = login_with(&app, here, &email, PASSWORD, Some(&forged)).await;
    let other_account = login_with(&app, here, "other@example.com", WRONG, Some(&cookie)).await;

    assert_eq!(stranger.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(forged.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        other_account.status(),
        StatusCode::UNAUTHORIZED,
        "the cookie grants no access to another account"
    );
    json_of(known, StatusCode::OK).await;
    let mut last = StatusCode::OK;
    for _ in 0..11 {
        let answer = login_with(&app, here, &email, WRONG, Some(&cookie)).await;
        last = answer.status();
    }
    assert_eq!(
        last,
        StatusCode::TOO_MANY_REQUESTS,
        "a known device is rate limited, too"
    );
}

#[tokio::test]
async fn a_network_that_tries_many_accounts_is_rate_limited() {
    let app = App::start_with(&[BEHIND_A_PROXY, ("IRISFLOW_SIGN_IN_TRIES_OF_NETWORK", "5")]).await;
    let try_number = async |number: u32| {
        let email = format!("{number}@example.com");
        login_from(&app, "203.0.113.1", &email, WRONG).await
    };
    for number in 0..5 {
        assert_eq!(try_number(number).await.status(), StatusCode::UNAUTHORIZED);
    }
    let refused = json_of(try_number(5).await, StatusCode::TOO_MANY_REQUESTS).await;
    let sentence = text(&refused["detail"]);
    assert!(
        sentence.contains("the limit is 5, then one every 10 s"),
        "{sentence}"
    );
}

#[tokio::test]
async fn an_email_address_that_is_too_long_is_rejected_without_counting() {
    let app = App::start().await;
    let long = format!("{}@example.com", "x".repeat(10_000));
    for _ in 0..20 {
        let answer = login_from(&app, "203.0.113.1", &long, WRONG).await;
        let refused = json_of(answer, StatusCode::UNPROCESSABLE_ENTITY).await;
        assert_eq!(refused["detail"][0]["loc"], json!(["body", "email"]));
    }
}

#[tokio::test]
async fn new_accounts_are_limited_by_network_and_in_total() {
    let app = App::start_with(&[
        BEHIND_A_PROXY,
        ("IRISFLOW_REGISTRATIONS_OF_NETWORK", "2"),
        ("IRISFLOW_REGISTRATIONS", "3"),
        ("IRISFLOW_REGISTRATION_REFILL_MS", "600000"),
    ])
    .await;
    let register = async |network: u8, name: &str| -> (StatusCode, Value) {
        let email = format!("{name}@example.com");
        let answer = register_from(&app, &format!("203.0.113.{network}"), &email).await;
        let status = answer.status();
        if status == StatusCode::TOO_MANY_REQUESTS {
            assert!(answer.headers().contains_key("retry-after"));
        }
        (status, json_of(answer, status).await)
    };
    assert_eq!(register(1, "a").await.0, StatusCode::CREATED);
    // An address that is taken counts, too, since the response shows that the account exists.
    assert_eq!(register(1, "a").await.0, StatusCode::CONFLICT);
    let (status, refused) = register(1, "b").await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused["code"], "too_many_registrations");
    assert!(
        text(&refused["detail"]).contains("2 new accounts for one address"),
        "{refused}"
    );
    assert_eq!(register(2, "b").await.0, StatusCode::CREATED);
    let (_, refused) = register(3, "c").await;
    assert!(
        text(&refused["detail"]).contains("3 new accounts for this server"),
        "{refused}"
    );
}

#[tokio::test]
async fn a_flood_of_registrations_leaves_a_sign_in_quick() {
    let app = App::start_with(&[BEHIND_A_PROXY, ("IRISFLOW_ADDRESS_BURST", "100000")]).await;
    let email = app.user("you").await.email.clone();
    let full = tokio::sync::Notify::new();
    let flood = (0..200).map(|number| {
        let (app, full) = (&app, &full);
        async move {
            // From many networks, so that only the queue of password hashes limits them.
            let address = format!("10.{}.{}.1", number / 250, number % 250);
            let email = format!("{number}@example.com");
            let status = register_from(app, &address, &email).await.status();
            if status == StatusCode::SERVICE_UNAVAILABLE {
                full.notify_one();
            }
            status
        }
    });
    let flood = futures_util::future::join_all(flood);
    // Once no more new passwords are taken, dozens of them wait.
    let sign_in = std::pin::pin!(async {
        full.notified().await;
        let answer = login_from(&app, "203.0.113.1", &email, PASSWORD).await;
        answer.status()
    });

    let (status, flood) = match futures_util::future::select(sign_in, flood).await {
        Either::Left((status, rest)) => (status, rest.await),
        Either::Right(_) => panic!("the sign-in waited for all new accounts"),
    };

    assert_eq!(status, StatusCode::OK);
    let count = |wanted: StatusCode| flood.iter().filter(|status| **status == wanted).count();
    let (made, busy) = (
        count(StatusCode::CREATED),
        count(StatusCode::SERVICE_UNAVAILABLE),
    );
    assert!(made > 0, "some get their account");
    assert_eq!(made + busy, 200, "the others get `busy`: {flood:?}");
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn attempts_at_several_nodes_count_together() {
    let Some(shared) = crate::cluster::database().await else {
        return;
    };
    let mut settings = shared.settings();
    settings.extend([
        BEHIND_A_PROXY,
        ("IRISFLOW_NO_WORK", "true"),
        ("IRISFLOW_SIGN_IN_TRIES", "4"),
        ("IRISFLOW_REGISTRATIONS_OF_NETWORK", "3"),
    ]);
    let nodes = [
        App::start_with(&settings).await,
        App::start_with(&settings).await,
    ];
    let email = nodes[0].user("you").await.email.clone();

    for attempt in 0..4 {
        let answer = login_from(&nodes[attempt % 2], "203.0.113.1", &email, WRONG).await;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{attempt}");
    }
    for node in &nodes {
        let answer = login_from(node, "203.0.113.1", &email, PASSWORD).await;
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        let wait = answer.headers()["retry-after"].to_str().expect("text");
        let wait_s: u64 = wait.parse().expect("seconds");
        assert!((1..=30).contains(&wait_s), "{wait_s}");
    }
    let elsewhere = login_from(&nodes[1], "203.0.113.2", &email, PASSWORD).await;
    json_of(elsewhere, StatusCode::OK).await;

    for number in 0..3 {
        let new = format!("new{number}@example.com");
        let answer = register_from(&nodes[number % 2], "198.51.100.1", &new).await;
        json_of(answer, StatusCode::CREATED).await;
    }
    for node in &nodes {
        let answer = register_from(node, "198.51.100.1", "more@example.com").await;
        json_of(answer, StatusCode::TOO_MANY_REQUESTS).await;
    }
}
