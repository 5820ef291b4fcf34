//! Starts that cannot succeed, and commands that must not touch what is not theirs.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::Scene;
use super::account::Account;
use super::finding::Finding;
use super::victim::{Recipe, Start, Victim};

const TIME: Duration = Duration::from_secs(5);

/// What cannot serve ends with a reason, before it announces an address.
pub(super) async fn what_cannot_serve(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let missing = [
        "--tls-cert",
        "/nonexistent/cert.pem",
        "--tls-key",
        "/nonexistent/key.pem",
    ];
    let start = Recipe::new(scene, &missing)?.try_to_start(TIME).await?;
    judge("a certificate that is not there", &start, &mut findings);

    let recipe = Recipe::new(scene, &[])?;
    let cert = recipe.aside("cert.pem");
    std::fs::write(
        &cert,
        "-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n",
    )?;
    let cert = cert.to_string_lossy();
    let start = Recipe::new(scene, &["--tls-cert", &cert, "--tls-key", &cert])?
        .try_to_start(TIME)
        .await?;
    judge("a certificate that is none", &start, &mut findings);

    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let start = Recipe::new(scene, &["--listen", &address])?
        .try_to_start(TIME)
        .await?;
    judge("a port that is taken", &start, &mut findings);

    let recipe = Recipe::new(scene, &[])?;
    std::fs::write(recipe.data(), "a file, not a folder")?;
    let start = recipe.try_to_start(TIME).await?;
    judge("a data folder that is a file", &start, &mut findings);
    Ok(findings)
}

fn judge(what: &str, start: &Start, findings: &mut Vec<Finding>) {
    let ends = start.exit_code.is_some_and(|code| code != 0);
    findings.push(Finding::that(format!("{what}: ends with a code"), ends));
    findings.push(Finding::that(
        format!("{what}: announces nothing"),
        !start.announced,
    ));
}

/// `irisflow user list` reads, and makes nothing.
pub(super) async fn user_list_touches_nothing(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let recipe = Recipe::new(scene, &[])?;
    let missing = recipe.aside("missing");
    let list = async |folder: &std::path::Path| {
        let arguments = ["user", "--data-dir", &folder.to_string_lossy(), "list"];
        recipe.command(&arguments).await
    };
    let (code, _) = list(&missing).await?;
    let made = missing.exists();
    let existing = recipe.aside("existing");
    std::fs::create_dir(&existing)?;
    std::fs::set_permissions(&existing, std::fs::Permissions::from_mode(0o755))?;
    let (other_code, _) = list(&existing).await?;
    let mode = std::fs::metadata(&existing)?.permissions().mode() & 0o777;
    let entries = std::fs::read_dir(&existing)?.count();
    Ok(vec![
        Finding::that("a missing folder: ends with a code", code != 0),
        Finding::that("a missing folder: is not made", !made),
        Finding::that("an empty folder: ends with a code", other_code != 0),
        Finding::is("an empty folder: its mode", format!("{mode:o}"), "755"),
        Finding::none("an empty folder: files made in it", entries),
    ])
}

/// Somebody tidies up the lock file; then a second server is started on the same folder.
pub(super) async fn lock_file_removed(scene: &Scene) -> anyhow::Result<Vec<Finding>> {
    let mut first = Victim::start(scene, &["--workers", "1"]).await?;
    let account = Account::register(&first.url, "owner").await?;
    for name in ["lock", "irisflow.lock"] {
        // Whichever it is called.
        let _ = std::fs::remove_file(first.data().join(name));
    }
    let second = first.recipe().try_to_start(Duration::from_secs(8)).await?;
    let both = second.exit_code.is_none() && first.is_alive();
    let served = account.get("/users/me").await.is_ok();
    Ok(vec![
        Finding::that("never two servers on one folder", !both),
        Finding::that("the second announces nothing", !second.announced),
        Finding::that("the first serves", served),
    ])
}
