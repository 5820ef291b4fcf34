//! A server that is killed in the middle: errors say so, and the same store works again after its restart.
#![cfg(unix)]

mod own_server;

use std::time::Duration;

use irisflow_jobs::conformance::Setup;
use irisflow_jobs::{AccountStore as _, NewAccount, StoreError, StoreHealth as _, UserId};
use irisflow_postgres::{PostgresSettings, PostgresStore};
use own_server::own_server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_is_an_outage_until_it_runs_again() {
    let Some(server) = own_server() else { return };
    let settings = PostgresSettings {
        acquire_timeout: Duration::from_secs(2),
        ..PostgresSettings::of_url(server.url("postgres"))
    };
    irisflow_postgres::migrate(&settings)
        .await
        .expect("the schema is made");
    let setup = Setup::fresh();
    let store = PostgresStore::connect(&settings, setup.policy, setup.notifier)
        .await
        .expect("it connects");
    // Several connections, all of which the kill breaks.
    let writers = (0..6).map(|_| add_account(&store));
    for written in futures_of(writers).await {
        written.expect("the server runs");
    }

    server.kill().expect("it runs");
    let mut written = 6;
    // A connection's process ends a moment after the first process of the server.
    let error = loop {
        match add_account(&store).await {
            Ok(()) => written += 1,
            Err(error) => break error,
        }
        assert!(written < 10_000, "the server still runs");
    };
    assert!(error.is_outage() && error.is_transient(), "{error}");
    let error = store.check_writable().await.expect_err("no server");
    assert!(error.is_outage(), "{error}");

    tokio::task::block_in_place(|| server.start_again()).expect("it starts");
    for _ in 0..8 {
        add_account(&store).await.expect("the server runs again");
    }
    let accounts = store.accounts().await.expect("read").len();
    // The outcome of the commit that the kill interrupted is not known.
    assert!(
        (written + 8..=written + 9).contains(&accounts),
        "{accounts}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_the_server_closed_are_replaced_without_an_error() {
    let Some(server) = own_server() else { return };
    let settings = PostgresSettings::of_url(server.url("postgres"));
    irisflow_postgres::migrate(&settings)
        .await
        .expect("the schema is made");
    let setup = Setup::fresh();
    let store = PostgresStore::connect(&settings, setup.policy, setup.notifier)
        .await
        .expect("it connects");
    let writers = (0..6).map(|_| add_account(&store));
    for written in futures_of(writers).await {
        written.expect("the server runs");
    }

    server.kill().expect("it runs");
    tokio::task::block_in_place(|| server.start_again()).expect("it starts");

    let writers = (0..6).map(|_| add_account(&store));
    for written in futures_of(writers).await {
        written.expect("no caller sees the restart");
    }
}

async fn add_account(store: &PostgresStore) -> Result<(), StoreError> {
    let id = UserId::generate();
    let new = NewAccount {
        id,
        email: format!("{id}@example.org"),
        password_hash: "not a hash".to_owned(),
    };
    store.add_account(new).await.map(drop)
}

/// Runs all at once.
async fn futures_of<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    let mut outputs: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(move |context| {
        for (future, output) in futures.iter_mut().zip(&mut outputs) {
            if output.is_none()
                && let std::task::Poll::Ready(ready) = future.as_mut().poll(context)
            {
                *output = Some(ready);
            }
        }
        if outputs.iter().all(Option::is_some) {
            std::task::Poll::Ready(std::mem::take(&mut outputs).into_iter().flatten().collect())
        } else {
            std::task::Poll::Pending
        }
    })
    .await
}
