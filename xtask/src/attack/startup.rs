//! Starts that must fail, and commands that must not modify a folder.

use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use super::AttackContext;
use super::measurement::Measurement;
use super::target_server::{ServerConfig, StartAttempt, TargetServer};
use super::test_account::Account;

const TIME: Duration = Duration::from_secs(5);

/// A server that cannot serve must exit with an error before it prints an address.
pub(super) async fn failing_starts(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let mut measurements = Vec::new();
    let missing = [
        "--tls-cert",
        "/nonexistent/cert.pem",
        "--tls-key",
        "/nonexistent/key.pem",
    ];
    let start = ServerConfig::new(context, &missing)?
        .try_to_start(TIME)
        .await?;
    check_failed_start("a missing certificate", &start, &mut measurements);

    let config = ServerConfig::new(context, &[])?;
    let cert = config.extra_path("cert.pem");
    std::fs::write(
        &cert,
        "-----BEGIN CERTIFICATE-----\nnot one\n-----END CERTIFICATE-----\n",
    )?;
    let cert = cert.to_string_lossy();
    let start = ServerConfig::new(context, &["--tls-cert", &cert, "--tls-key", &cert])?
        .try_to_start(TIME)
        .await?;
    check_failed_start("an invalid certificate", &start, &mut measurements);

    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let start = ServerConfig::new(context, &["--listen", &address])?
        .try_to_start(TIME)
        .await?;
    check_failed_start("a port in use", &start, &mut measurements);

    let config = ServerConfig::new(context, &[])?;
    std::fs::write(config.data(), "a file, not a folder")?;
    let start = config.try_to_start(TIME).await?;
    check_failed_start("a data folder that is a file", &start, &mut measurements);
    Ok(measurements)
}

fn check_failed_start(what: &str, start: &StartAttempt, measurements: &mut Vec<Measurement>) {
    let ends = start.exit_code.is_some_and(|code| code != 0);
    measurements.push(Measurement::is_true(
        format!("{what}: exits with an error"),
        ends,
    ));
    measurements.push(Measurement::is_true(
        format!("{what}: prints no address"),
        !start.announced,
    ));
}

/// `irisflow user list` is read-only and creates nothing.
pub(super) async fn user_list_is_read_only(
    context: &AttackContext,
) -> anyhow::Result<Vec<Measurement>> {
    let config = ServerConfig::new(context, &[])?;
    let missing = config.extra_path("missing");
    let list = async |folder: &std::path::Path| {
        let arguments = ["user", "--data-dir", &folder.to_string_lossy(), "list"];
        config.command(&arguments).await
    };
    let (code, _) = list(&missing).await?;
    let made = missing.exists();
    let existing = config.extra_path("existing");
    std::fs::create_dir(&existing)?;
    std::fs::set_permissions(&existing, std::fs::Permissions::from_mode(0o755))?;
    let (other_code, _) = list(&existing).await?;
    let mode = std::fs::metadata(&existing)?.permissions().mode() & 0o777;
    let entries = std::fs::read_dir(&existing)?.count();
    Ok(vec![
        Measurement::is_true("a missing folder: exits with an error", code != 0),
        Measurement::is_true("a missing folder: is not created", !made),
        Measurement::is_true("an empty folder: exits with an error", other_code != 0),
        Measurement::equals("an empty folder: its mode", format!("{mode:o}"), "755"),
        Measurement::zero("an empty folder: files created in it", entries),
    ])
}

/// The lock file is deleted; then a second server is started on the same folder.
pub(super) async fn lock_file_removed(context: &AttackContext) -> anyhow::Result<Vec<Measurement>> {
    let mut first = TargetServer::start(context, &["--workers", "1"]).await?;
    let account = Account::register(&first.url, "owner").await?;
    for name in ["lock", "irisflow.lock"] {
        // Whichever name the lock file has.
        let _ = std::fs::remove_file(first.data().join(name));
    }
    let second = first.config().try_to_start(Duration::from_secs(8)).await?;
    let both = second.exit_code.is_none() && first.is_alive();
    let served = account.get("/users/me").await.is_ok();
    Ok(vec![
        Measurement::is_true("never two servers on one folder", !both),
        Measurement::is_true("the second prints no address", !second.announced),
        Measurement::is_true("the first still serves", served),
    ])
}
