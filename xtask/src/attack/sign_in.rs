//! Sign-in and registration under attack: password guessing, floods, concurrent use of one account.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::AttackContext;
use super::load::{StatusCounts, millis, send_concurrently, status_of};
use super::measurement::Measurement;
use super::proc_fs;
use super::raw_connection::client_address;
use super::target_server::TargetServer;
use super::test_account::{Account, client_from};

const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CAFE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Endless password guesses from this number of addresses, while the owner signs in from a known and from a
/// new address.
pub(super) async fn lockout(
    context: &AttackContext,
    addresses: u16,
) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let owner = Account::register_from(&server.url, "owner", HOME).await?;
    let guess = json!({ "email": owner.email, "password": "Wrong-Guess-1" });
    let login = format!("{}/api/v1/auth/login/json", server.url);
    let guessing = async {
        for round in 0_u64.. {
            for number in 0..addresses {
                let Ok(client) = client_from(client_address(number)) else {
                    continue;
                };
                // The first round uses up the burst of the rate limit.
                for _ in 0..if round == 0 { 12 } else { 2 } {
                    // Any response will do.
                    let _ = client.post(&login).json(&guess).send().await;
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let owner_sign_ins = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let mut tries = Vec::new();
        for from in [HOME, CAFE] {
            let client = client_from(from)?;
            let begun = Instant::now();
            let mut refused = 0;
            let signed_in = loop {
                let answer = client.post(&login).json(&owner.credentials()).send().await;
                if status_of(&answer) == 200 {
                    break true;
                }
                refused += 1;
                if begun.elapsed() > Duration::from_secs(8) {
                    break false;
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            };
            tries.push((signed_in, refused, begun.elapsed()));
        }
        anyhow::Ok(tries)
    };
    let tries = tokio::select! {
        tries = owner_sign_ins => tries?,
        () = guessing => Vec::new(),
    };
    let mut measurements = Vec::new();
    for ((signed_in, refused, wait), place) in tries.into_iter().zip(["home", "a new address"]) {
        let seconds = if signed_in {
            wait.as_secs_f64()
        } else {
            f64::INFINITY
        };
        measurements.push(Measurement::at_most(
            format!("s until the owner signs in from {place}"),
            seconds,
            3.0,
        ));
        measurements.push(Measurement::info(format!("rejections at {place}"), refused));
    }
    Ok(measurements)
}

/// Thousands of registrations, while another user signs in.
pub(super) async fn registration_flood(
    context: &AttackContext,
    addresses: u16,
) -> anyhow::Result<Vec<Measurement>> {
    const TRIES: usize = 4000;
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let mut owner = Account::register_from(&server.url, "owner", HOME).await?;
    let mut clients = Vec::new();
    for number in 0..addresses {
        clients.push(client_from(client_address(number))?);
    }
    let register = format!("{}/api/v1/auth/register", server.url);
    let requests = (0..TRIES).map(|number| {
        let body =
            json!({ "email": format!("stranger{number}@example.com"), "password": "Clear-Iris-7" });
        clients[number % clients.len()].post(&register).json(&body)
    });
    let flood = send_concurrently(requests, TRIES, Duration::from_secs(25));
    let sign_in = async {
        let mut longest = Duration::ZERO;
        let mut failed = 0;
        for _ in 0..4 {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let begun = Instant::now();
            failed += usize::from(owner.sign_in().await.is_err());
            longest = longest.max(begun.elapsed());
        }
        (longest, failed)
    };
    let (answers, (longest, failed)) = tokio::join!(flood, sign_in);
    Ok(vec![
        Measurement::at_most("longest of 4 logins meanwhile, ms", millis(longest), 3000.0),
        Measurement::zero("logins that failed", failed),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
        Measurement::info("answers to 4,000 registrations", answers),
    ])
}

/// Logins with names of the maximum length: the memory that the rate limiter keeps for them.
pub(super) async fn login_memory(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    const TRIES: usize = 2500;
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let before = proc_fs::memory_mb(server.process_id())?;
    let mut clients = Vec::new();
    for number in 0..200 {
        clients.push(client_from(client_address(number))?);
    }
    let login = format!("{}/api/v1/auth/login/json", server.url);
    let requests = (0..TRIES).map(|number| {
        let email = format!("{number:0>60000}@example.com");
        let body = json!({ "email": email, "password": "Wrong-Guess-1" });
        clients[number % clients.len()].post(&login).json(&body)
    });
    let answers = send_concurrently(requests, 100, Duration::from_secs(30)).await;
    let kept = proc_fs::memory_mb(server.process_id())? - before;
    Ok(vec![
        Measurement::at_most("MB still used afterwards", kept.round(), 150.0),
        Measurement::at_most("peak memory, MB", server.peak_memory_mb()?, 600.0),
        Measurement::info("answers to 2,500 logins", answers),
    ])
}

/// Six concurrent password changes, all with the old password: exactly one may succeed.
pub(super) async fn password_changes(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let owner = Account::register(&server.url, "owner").await?;
    let changes = (0..6).map(|number| {
        owner
            .request(Method::PUT, "/users/me/password")
            .json(&json!({
                "current_password": "Clear-Iris-7",
                "new_password": format!("Fresh-Iris-{number}"),
            }))
    });
    let answers = send_concurrently(changes, 6, Duration::from_secs(20)).await;
    let successes = answers.count(|status| (200..300).contains(&status));
    Ok(vec![
        Measurement::equals("of 6 changes, successful", successes, 1),
        Measurement::zero("5xx", answers.errors() + answers.with(503)),
        Measurement::info("answers", answers),
    ])
}

/// One address registered by many concurrent requests: exactly one may succeed.
pub(super) async fn one_name_at_once(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let mut requests = Vec::new();
    for number in 0..12 {
        let client = client_from(client_address(number))?;
        let request = client.post(format!("{}/api/v1/auth/register", server.url));
        requests.push(
            request.json(&json!({ "email": "same@example.com", "password": "Clear-Iris-7" })),
        );
    }
    let answers: StatusCounts =
        send_concurrently(requests.into_iter(), 12, Duration::from_secs(20)).await;
    Ok(vec![
        Measurement::equals("created", answers.with(201), 1),
        Measurement::zero("5xx", answers.errors() + answers.with(503)),
        Measurement::info("answers", answers),
    ])
}

/// One refresh token used by many concurrent requests must not end the session.
pub(super) async fn refresh_at_once(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let server = TargetServer::start(context, &["--workers", "1"]).await?;
    let owner = Account::register(&server.url, "owner").await?;
    let answer = owner
        .call(Method::POST, "/auth/login/json")
        .json(&owner.credentials());
    let tokens = super::test_account::expect(answer.send().await?, StatusCode::OK).await?;
    let refresh = tokens["refresh_token"]
        .as_str()
        .context("a refresh token")?;
    let requests = (0..20).map(|_| {
        owner
            .call(Method::POST, "/auth/refresh")
            .json(&json!({ "refresh_token": refresh }))
    });
    let answers = send_concurrently(requests, 20, Duration::from_secs(20)).await;
    Ok(vec![
        Measurement::equals(
            "of 20 refreshes at once, answered 200",
            answers.with(200),
            20,
        ),
        Measurement::info("answers", answers),
    ])
}
