//! The bus on a real NATS server passes what every bus must pass, and survives the server.
#![cfg(unix)]
#![expect(
    clippy::expect_used,
    reason = "`expect` messages explain test failures"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use irisflow_bus::{NatsBus, NatsSettings, NatsTls};
use irisflow_jobs::conformance::bus::BusUnderTest;
use irisflow_jobs::{
    Bus, Delivery, Fence, JobId, Notification, Notifier as _, SessionId, Subscription, UserId,
};
use irisflow_test_servers::NatsServer;
use tokio::time::{sleep, timeout};

const DEADLINE: Duration = Duration::from_secs(30);

fn settings(server: &NatsServer) -> NatsSettings {
    server.url().parse().expect("an address")
}

/// Tests share a server; each has subjects of its own.
fn own_subjects() -> NatsSettings {
    static TESTS: AtomicU32 = AtomicU32::new(0);
    let number = TESTS.fetch_add(1, Ordering::Relaxed);
    let mut settings = settings(NatsServer::shared_or_skip());
    settings.subject_prefix = format!("test{number}");
    settings
}

async fn two_processes() -> BusUnderTest {
    let settings = own_subjects();
    BusUnderTest {
        sender: Arc::new(NatsBus::connect(settings.clone()).await),
        receiver: Arc::new(NatsBus::connect(settings).await),
        keep: Box::new(()),
    }
}

async fn one_process() -> BusUnderTest {
    let bus = Arc::new(NatsBus::connect(own_subjects()).await);
    BusUnderTest {
        sender: bus.clone(),
        receiver: bus,
        keep: Box::new(()),
    }
}

mod between_two_processes {
    use super::two_processes;

    irisflow_jobs::every_bus_must_pass!(two_processes);
}

mod within_one_process {
    use super::one_process;

    irisflow_jobs::every_bus_must_pass!(one_process);
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    timeout(DEADLINE, what).await.expect("it comes in time")
}

async fn connection_is(bus: &NatsBus, expected: bool) {
    in_time(async {
        while bus.is_connected() != expected {
            sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

/// Waits for a sign that something may have been missed.
async fn is_to_reread(subscription: &mut dyn Subscription<Notification>) {
    in_time(async {
        loop {
            match subscription.next().await.expect("the bus is open") {
                Delivery::Missed | Delivery::Message(Notification::TimelineAdvanced) => return,
                Delivery::Message(_) => {}
            }
        }
    })
    .await;
}

#[derive(Debug)]
struct Watched {
    bus: NatsBus,
    user: UserId,
    subscription: Box<dyn Subscription<Notification>>,
    cancelled: Box<dyn Subscription<Fence>>,
}

async fn watch(server: &NatsServer) -> Watched {
    let bus = NatsBus::connect(settings(server)).await;
    let user = UserId::generate();
    Watched {
        user,
        subscription: bus.subscribe_to_user(user).await,
        cancelled: bus.cancelled_attempts().await,
        bus,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_nats_is_away_a_process_reaches_itself_and_rereads_when_it_is_back() {
    let server = NatsServer::start_or_skip("");
    let mut watched = watch(&server).await;
    let sender = NatsBus::connect(settings(&server)).await;
    let ended = || Notification::SessionEnded(SessionId::generate());

    server.kill().expect("killed");
    connection_is(&watched.bus, false).await;
    connection_is(&sender, false).await;
    sender.notify(watched.user, ended());
    watched.bus.notify(watched.user, ended());
    let own = in_time(watched.subscription.next()).await;
    assert!(
        matches!(own, Some(Delivery::Message(Notification::SessionEnded(_)))),
        "{own:?}"
    );

    let work = watched.bus.work_wake_up();
    server.start_again().expect("started");
    connection_is(&watched.bus, true).await;
    is_to_reread(&mut *watched.subscription).await;
    assert_eq!(
        in_time(watched.cancelled.next()).await,
        Some(Delivery::Missed)
    );
    in_time(work).await;

    connection_is(&sender, true).await;
    sender.notify(watched.user, ended());
    in_time(async {
        loop {
            let next = watched.subscription.next().await;
            if let Some(Delivery::Message(Notification::SessionEnded(_))) = next {
                return;
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_answer_counts_as_away() {
    let server = NatsServer::start_or_skip("");
    let mut watched = watch(&server).await;
    server.pause().expect("paused");
    connection_is(&watched.bus, false).await;
    server.resume().expect("resumed");
    connection_is(&watched.bus, true).await;
    is_to_reread(&mut *watched.subscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_starts_without_nats_and_connects_later() {
    let server = NatsServer::start_or_skip("");
    server.kill().expect("killed");
    let mut watched = watch(&server).await;
    assert!(!watched.bus.is_connected());
    server.start_again().expect("started");
    connection_is(&watched.bus, true).await;
    is_to_reread(&mut *watched.subscription).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sending_without_nats_neither_blocks_nor_grows() {
    let server = NatsServer::start_or_skip("");
    let receiver = watch(&server).await;
    let sender = NatsBus::connect(settings(&server)).await;
    server.kill().expect("killed");
    connection_is(&sender, false).await;
    for _ in 0..100_000 {
        sender.notify(receiver.user, Notification::TimelineAdvanced);
    }
    server.start_again().expect("started");
    connection_is(&sender, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_is_taken_from_the_address() {
    let server = NatsServer::start_or_skip("authorization { user: iris, password: \"s+cret/1\" }");
    let with = |credentials: &str| -> NatsSettings {
        let url = server
            .url()
            .replace("nats://", &format!("nats://{credentials}@"));
        url.parse().expect("an address")
    };
    let wrong = NatsBus::connect(with("iris:wrong")).await;
    assert!(!wrong.is_connected());
    let right = NatsBus::connect(with("iris:s+cret%2F1")).await;
    assert!(right.is_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_taken_from_the_address() {
    let server = NatsServer::start_or_skip("authorization { token: \"t0ken\" }");
    let url = server.url().replace("nats://", "nats://t0ken@");
    let bus = NatsBus::connect(url.parse().expect("an address")).await;
    assert!(bus.is_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_show_certificates_over_tls() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let pair = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(file("cert.pem"), pair.cert.pem()).expect("written");
    std::fs::write(file("key.pem"), pair.signing_key.serialize_pem()).expect("written");
    let (certificate, key) = (file("cert.pem"), file("key.pem"));
    let configuration = format!(
        "tls {{ cert_file: {certificate:?}, key_file: {key:?}, ca_file: {certificate:?}, verify: true }}"
    );
    let server = NatsServer::start_or_skip(&configuration);
    let url = format!("tls://localhost:{}", server.address().port());
    let mut settings: NatsSettings = url.parse().expect("an address");
    assert!(!NatsBus::connect(settings.clone()).await.is_connected());
    settings.tls = NatsTls {
        authorities: Some(certificate.clone()),
        client: Some((certificate, key)),
    };
    assert!(NatsBus::connect(settings).await.is_connected());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_with_different_prefixes_do_not_hear_each_other() {
    let [ours, theirs] = [own_subjects(), own_subjects()];
    let receiver = NatsBus::connect(ours.clone()).await;
    let fence = |epoch| Fence {
        job_id: JobId::generate(),
        epoch,
    };
    let mut cancelled = receiver.cancelled_attempts().await;
    NatsBus::connect(theirs).await.cancel_attempt(fence(1));
    let sender = NatsBus::connect(ours).await;
    let ours = fence(2);
    sender.cancel_attempt(ours);
    assert_eq!(
        in_time(cancelled.next()).await,
        Some(Delivery::Message(ours))
    );
}
