//! Single-use tickets that open a watcher of a session.

use std::time::Duration;

use super::accounts::sign_in;
use super::{SLACK, StoreUnderTest};
use crate::{NewSocketTicket, Session, SessionId, SpentTicket};

const LIFE: Duration = Duration::from_secs(30 * 60);
const TICKET: [u8; 32] = [7; 32];

pub async fn a_ticket_is_spent_once(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    let ticket = issue(&store, &session).await;

    let first = spend(&store).await.expect("it is new");
    let second = spend(&store).await;

    assert_eq!(first.session.session.id, session.id);
    assert_eq!(first.session.account.id, session.user_id);
    assert_eq!(first.access_expires_at, ticket.access_expires_at);
    assert_eq!(second, None);
}

pub async fn of_many_that_spend_a_ticket_at_once_one_succeeds(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    issue(&store, &session).await;
    let nodes = [store.open_node().await, store.open_node().await];

    let spent = tokio::join!(
        nodes[0].spend_socket_ticket(TICKET),
        nodes[1].spend_socket_ticket(TICKET),
        nodes[0].spend_socket_ticket(TICKET),
    );

    let spent = [spent.0, spent.1, spent.2].map(|spent| spent.expect("the store works"));
    assert_eq!(spent.iter().flatten().count(), 1);
}

pub async fn a_ticket_expires(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    issue(&store, &session).await;

    store.advance(LIFE + SLACK).await;

    assert_eq!(spend(&store).await, None);
}

pub async fn a_ticket_ends_with_its_session(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, [1; 32]).await;
    issue(&store, &session).await;

    let ended = store.accounts.end_session(session.user_id, session.id);

    assert!(ended.await.expect("the store works"));
    assert_eq!(spend(&store).await, None);
}

pub async fn the_live_ones_of_many_sessions_are_read_at_once(store: StoreUnderTest) {
    let user_id = store.user().await;
    let live = sign_in(&store, user_id, [1; 32]).await.id;
    let ended = sign_in(&store, user_id, [2; 32]).await.id;
    let done = store.accounts.end_session(user_id, ended).await;
    assert!(done.expect("the store works"));
    let mut asked: Vec<SessionId> = (0..1200).map(|_| SessionId::generate()).collect();
    asked.insert(3, ended);
    asked.push(live);

    let read = store.accounts.live_session_ids(&asked).await;

    assert_eq!(read.expect("the store works"), [live]);
}

async fn issue(store: &StoreUnderTest, session: &Session) -> NewSocketTicket {
    let now = store.now().await;
    let ticket = NewSocketTicket {
        hash: TICKET,
        session_id: session.id,
        expires_at: now + LIFE,
        access_expires_at: now + LIFE * 2,
    };
    let added = store.accounts.add_socket_ticket(ticket.clone()).await;
    added.expect("the store works");
    ticket
}

async fn spend(store: &StoreUnderTest) -> Option<SpentTicket> {
    let spent = store.accounts.spend_socket_ticket(TICKET).await;
    spent.expect("the store works")
}
