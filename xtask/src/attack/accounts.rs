//! Sign-in and registration under siege.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use reqwest::{Method, StatusCode};
use serde_json::json;

use super::Scene;
use super::account::{Account, client_from};
use super::crowds::{Answers, all_at_once, millis, status_of};
use super::finding::Finding;
use super::process;
use super::victim::Victim;
use super::wire::stranger;

const HOME: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CAFE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);

/// Strangers guess the owner's password without end; the owner wants in, from home and from elsewhere.
pub(super) async fn lockout(scene: &Scene, strangers: u16) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let owner = Account::register_from(&victim.url, "owner", HOME).await?;
    let guess = json!({ "email": owner.email, "password": "Wrong-Guess-1" });
    let login = format!("{}/api/v1/auth/login/json", victim.url);
    let siege = async {
        for round in 0_u64.. {
            for number in 0..strangers {
                let Ok(client) = client_from(stranger(number)) else {
                    continue;
                };
                // What is allowed at once is used up first.
                for _ in 0..if round == 0 { 12 } else { 2 } {
                    // Whatever it is answered.
                    let _ = client.post(&login).json(&guess).send().await;
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    };
    let life = async {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let mut tries = Vec::new();
        for from in [HOME, CAFE] {
            let client = client_from(from)?;
            let begun = Instant::now();
            let mut refused = 0;
            let let_in = loop {
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
            tries.push((let_in, refused, begun.elapsed()));
        }
        anyhow::Ok(tries)
    };
    let tries = tokio::select! {
        tries = life => tries?,
        () = siege => Vec::new(),
    };
    let mut findings = Vec::new();
    for ((let_in, refused, wait), place) in tries.into_iter().zip(["home", "an address never seen"])
    {
        let seconds = if let_in {
            wait.as_secs_f64()
        } else {
            f64::INFINITY
        };
        findings.push(Finding::at_most(
            format!("the owner gets in from {place} after s"),
            seconds,
            3.0,
        ));
        findings.push(Finding::note(format!("refusals at {place}"), refused));
    }
    Ok(findings)
}

/// Registrations by the thousand; somebody else wants to sign in meanwhile.
pub(super) async fn registration_flood(
    scene: &Scene,
    addresses: u16,
) -> anyhow::Result<Vec<Finding>> {
    const TRIES: usize = 4000;
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let mut owner = Account::register_from(&victim.url, "owner", HOME).await?;
    let mut clients = Vec::new();
    for number in 0..addresses {
        clients.push(client_from(stranger(number))?);
    }
    let register = format!("{}/api/v1/auth/register", victim.url);
    let requests = (0..TRIES).map(|number| {
        let body =
            json!({ "email": format!("stranger{number}@example.com"), "password": "Clear-Iris-7" });
        clients[number % clients.len()].post(&register).json(&body)
    });
    let flood = all_at_once(requests, TRIES, Duration::from_secs(25));
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
        Finding::at_most(
            "the longest of 4 logins meanwhile, ms",
            millis(longest),
            3000.0,
        ),
        Finding::none("logins that failed", failed),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
        Finding::note("answers to 4,000 registrations", answers),
    ])
}

/// Logins with names as long as a request may be: what is remembered of them?
pub(super) async fn login_memory(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    const TRIES: usize = 2500;
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let before = process::memory_mb(victim.process_id())?;
    let mut clients = Vec::new();
    for number in 0..200 {
        clients.push(client_from(stranger(number))?);
    }
    let login = format!("{}/api/v1/auth/login/json", victim.url);
    let requests = (0..TRIES).map(|number| {
        let email = format!("{number:0>60000}@example.com");
        let body = json!({ "email": email, "password": "Wrong-Guess-1" });
        clients[number % clients.len()].post(&login).json(&body)
    });
    let answers = all_at_once(requests, 100, Duration::from_secs(30)).await;
    let kept = process::memory_mb(victim.process_id())? - before;
    Ok(vec![
        Finding::at_most("MB kept afterwards", kept.round(), 150.0),
        Finding::at_most("peak memory, MB", victim.peak_memory_mb()?, 600.0),
        Finding::note("answers to 2,500 logins", answers),
    ])
}

/// Six changes at once, all with the old password.
pub(super) async fn password_changes(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let owner = Account::register(&victim.url, "owner").await?;
    let changes = (0..6).map(|number| {
        owner
            .request(Method::PUT, "/users/me/password")
            .json(&json!({
                "current_password": "Clear-Iris-7",
                "new_password": format!("Fresh-Iris-{number}"),
            }))
    });
    let answers = all_at_once(changes, 6, Duration::from_secs(20)).await;
    let successes = answers.count(|status| (200..300).contains(&status));
    Ok(vec![
        Finding::is("of 6 changes, successful", successes, 1),
        Finding::none("5xx", answers.bad() + answers.with(503)),
        Finding::note("answers", answers),
    ])
}

/// One name registered by many at once: the same rule for all of them.
pub(super) async fn one_name_at_once(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let mut requests = Vec::new();
    for number in 0..12 {
        let client = client_from(stranger(number))?;
        let request = client.post(format!("{}/api/v1/auth/register", victim.url));
        requests.push(
            request.json(&json!({ "email": "same@example.com", "password": "Clear-Iris-7" })),
        );
    }
    let answers: Answers = all_at_once(requests.into_iter(), 12, Duration::from_secs(20)).await;
    Ok(vec![
        Finding::is("made", answers.with(201), 1),
        Finding::none("5xx", answers.bad() + answers.with(503)),
        Finding::note("answers", answers),
    ])
}

/// A refresh token is used by many at once: one family, nobody logged out.
pub(super) async fn refresh_at_once(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let victim = Victim::start(scene, &["--workers", "1"]).await?;
    let owner = Account::register(&victim.url, "owner").await?;
    let answer = owner
        .call(Method::POST, "/auth/login/json")
        .json(&owner.credentials());
    let tokens = super::account::expect(answer.send().await?, StatusCode::OK).await?;
    let refresh = tokens["refresh_token"]
        .as_str()
        .context("a refresh token")?;
    let requests = (0..20).map(|_| {
        owner
            .call(Method::POST, "/auth/refresh")
            .json(&json!({ "refresh_token": refresh }))
    });
    let answers = all_at_once(requests, 20, Duration::from_secs(20)).await;
    Ok(vec![
        Finding::is(
            "of 20 refreshes at once, answered 200",
            answers.with(200),
            20,
        ),
        Finding::note("answers", answers),
    ])
}
