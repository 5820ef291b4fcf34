//! Accounts, their sessions, and the rotation of refresh tokens.

use std::time::Duration;

use super::StoreUnderTest;
use crate::{Account, NewAccount, RefreshOutcome, Session, SessionId, SessionWithAccount, UserId};

const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const GRACE: Duration = Duration::from_secs(30);
const MOMENT: Duration = Duration::from_millis(1);

const FIRST: [u8; 32] = [1; 32];
const SECOND: [u8; 32] = [2; 32];
const THIRD: [u8; 32] = [3; 32];

pub async fn an_account_is_found_by_its_address(store: StoreUnderTest) {
    let added = add(&store, "eye@example.org").await.expect("it is new");

    let found = by_email(&store, "eye@example.org").await;

    assert!(added.is_active && !added.is_verified);
    assert_eq!(added.created_at, store.now());
    assert_eq!(found, Some(added));
    assert_eq!(by_email(&store, "nobody@example.org").await, None);
}

pub async fn an_address_belongs_to_one_account(store: StoreUnderTest) {
    let first = add(&store, "eye@example.org").await;

    let second = add(&store, "eye@example.org").await;

    assert_eq!(second, None);
    assert_eq!(by_email(&store, "eye@example.org").await, first);
}

pub async fn a_session_is_found_with_its_account(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    let session = sign_in(&store, account.id, FIRST).await;

    let found = live(&store, session.id).await;

    assert_eq!(found, Some(SessionWithAccount { session, account }));
    assert_eq!(live(&store, SessionId::generate()).await, None);
}

pub async fn a_session_ends_when_its_time_is_up(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;

    store.advance(LIFE - MOMENT);
    let before = live(&store, session.id).await;
    store.advance(MOMENT);

    assert!(before.is_some(), "it lives until then");
    assert_eq!(live(&store, session.id).await, None);
}

pub async fn an_ended_session_is_gone(store: StoreUnderTest) {
    let user_id = store.user().await;
    let session = sign_in(&store, user_id, FIRST).await;
    let other = sign_in(&store, user_id, SECOND).await;

    assert!(end(&store, user_id, session.id).await);

    assert_eq!(live(&store, session.id).await, None);
    assert!(live(&store, other.id).await.is_some(), "other devices stay");
}

pub async fn ending_a_session_twice_is_said(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    end(&store, session.user_id, session.id).await;

    assert!(!end(&store, session.user_id, session.id).await);
}

pub async fn nobody_ends_a_foreign_session(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    let stranger = store.user().await;

    assert!(!end(&store, stranger, session.id).await);

    assert!(live(&store, session.id).await.is_some(), "it lives on");
}

pub async fn live_sessions_are_listed_newest_first(store: StoreUnderTest) {
    let user_id = store.user().await;
    let older = sign_in(&store, user_id, FIRST).await;
    store.advance(MOMENT);
    let newer = sign_in(&store, user_id, SECOND).await;
    let ended = sign_in(&store, user_id, THIRD).await;
    end(&store, user_id, ended.id).await;
    sign_in(&store, store.user().await, [4; 32]).await;

    assert_eq!(sessions(&store, user_id).await, [newer, older]);
}

pub async fn a_refresh_is_seen_in_the_list(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    store.advance(GRACE);

    refresh(&store, FIRST, SECOND).await;

    let listed = sessions(&store, session.user_id).await;
    assert_eq!(listed[0].last_used_at, store.now());
}

pub async fn ending_the_others_keeps_the_one(store: StoreUnderTest) {
    let user_id = store.user().await;
    let kept = sign_in(&store, user_id, FIRST).await;
    sign_in(&store, user_id, SECOND).await;
    let foreign = sign_in(&store, store.user().await, THIRD).await;

    let ended = store.accounts.end_other_sessions(user_id, kept.id).await;

    assert_eq!(ended.expect("the store works"), 1);
    assert_eq!(sessions(&store, user_id).await, [kept]);
    assert!(live(&store, foreign.id).await.is_some());
}

pub async fn a_changed_password_ends_the_other_sessions(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    let kept = sign_in(&store, account.id, FIRST).await;
    sign_in(&store, account.id, SECOND).await;

    let changed = store
        .accounts
        .change_password(account.id, "another hash".to_owned(), kept.id);
    changed.await.expect("the store works");

    let now = by_email(&store, "eye@example.org")
        .await
        .expect("it is kept");
    assert_eq!(now.password_hash, "another hash");
    assert_eq!(sessions(&store, account.id).await, [kept]);
}

pub async fn a_reset_password_ends_every_session(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    let session = sign_in(&store, account.id, FIRST).await;

    let reset = store
        .accounts
        .reset_password(account.id, "another hash".to_owned());
    reset.await.expect("the store works");

    assert_eq!(sessions(&store, account.id).await, []);
    let announced = store.announced.ended_sessions();
    assert_eq!(announced, [(account.id, session.id)]);
}

pub async fn a_disabled_account_loses_its_sessions_until_it_is_enabled(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    sign_in(&store, account.id, FIRST).await;

    store
        .accounts
        .disable(account.id)
        .await
        .expect("the store works");
    let disabled = by_email(&store, "eye@example.org").await;
    let left = sessions(&store, account.id).await;
    store
        .accounts
        .enable(account.id)
        .await
        .expect("the store works");

    assert!(!disabled.expect("it is kept").is_active);
    assert_eq!(left, []);
    assert_eq!(by_email(&store, "eye@example.org").await, Some(account));
}

pub async fn an_account_becomes_and_ceases_to_be_an_admin(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    let is_admin = async || {
        let account = by_email(&store, "eye@example.org").await;
        account.expect("it is kept").is_admin
    };
    let at_first = is_admin().await;
    let set = store.accounts.set_admin(account.id, true).await;
    set.expect("the store works");
    let then = is_admin().await;
    let set = store.accounts.set_admin(account.id, false).await;
    set.expect("the store works");

    assert_eq!([at_first, then, is_admin().await], [false, true, false]);
}

pub async fn accounts_are_listed_by_address(store: StoreUnderTest) {
    let second = add(&store, "b@example.org").await.expect("it is new");
    let first = add(&store, "a@example.org").await.expect("it is new");

    let listed = store.accounts.accounts().await.expect("the store works");

    assert_eq!(listed, [first, second]);
}

pub async fn a_refresh_prolongs_its_session(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    store.advance(LIFE - MOMENT);

    refresh(&store, FIRST, SECOND).await;

    store.advance(LIFE - MOMENT);
    assert!(live(&store, session.id).await.is_some(), "it lives on");
}

pub async fn a_refresh_tells_how_long_the_session_lives(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    store.advance(GRACE);

    let told = rotated(refresh(&store, FIRST, SECOND).await);

    assert_eq!(told.session.expires_at, store.now() + LIFE);
    assert_eq!(live(&store, session.id).await, Some(told));
}

pub async fn a_successor_can_be_spent_in_turn(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    refresh(&store, FIRST, SECOND).await;
    store.advance(GRACE + MOMENT);

    let outcome = refresh(&store, SECOND, THIRD).await;

    assert_eq!(rotated(outcome).session.id, session.id);
}

pub async fn a_lost_answer_is_given_again_within_the_grace(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    refresh(&store, FIRST, SECOND).await;
    store.advance(GRACE);

    let again = refresh(&store, FIRST, SECOND).await;

    assert_eq!(rotated(again).session.id, session.id);
    let successor = refresh(&store, SECOND, THIRD).await;
    assert_eq!(rotated(successor).session.id, session.id, "it is not spent");
}

pub async fn a_token_spent_long_ago_ends_its_session(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    refresh(&store, FIRST, SECOND).await;
    store.advance(GRACE + MOMENT);

    let reused = refresh(&store, FIRST, SECOND).await;

    assert_eq!(reused, RefreshOutcome::ReuseDetected(session.user_id));
    assert_eq!(live(&store, session.id).await, None);
    let successor = refresh(&store, SECOND, THIRD).await;
    assert_eq!(
        successor,
        RefreshOutcome::Unknown,
        "it died with its family"
    );
}

pub async fn reuse_ends_no_other_session_of_the_account(store: StoreUnderTest) {
    let user_id = store.user().await;
    sign_in(&store, user_id, FIRST).await;
    let other = sign_in(&store, user_id, THIRD).await;
    refresh(&store, FIRST, SECOND).await;
    store.advance(GRACE + MOMENT);

    refresh(&store, FIRST, SECOND).await;

    assert!(live(&store, other.id).await.is_some(), "it lives on");
}

pub async fn an_unknown_token_is_unknown(store: StoreUnderTest) {
    sign_in(&store, store.user().await, FIRST).await;
    let outcome = refresh(&store, SECOND, THIRD).await;
    assert_eq!(outcome, RefreshOutcome::Unknown);
}

pub async fn a_token_of_an_ended_session_is_unknown(store: StoreUnderTest) {
    let ended = sign_in(&store, store.user().await, FIRST).await;
    end(&store, ended.user_id, ended.id).await;
    sign_in(&store, ended.user_id, SECOND).await;
    store.advance(LIFE);

    for spent_or_expired in [FIRST, SECOND] {
        let outcome = refresh(&store, spent_or_expired, THIRD).await;
        assert_eq!(outcome, RefreshOutcome::Unknown);
    }
}

async fn add(store: &StoreUnderTest, email: &str) -> Option<Account> {
    let new = NewAccount {
        id: UserId::generate(),
        email: email.to_owned(),
        password_hash: "not a hash".to_owned(),
    };
    let added = store.accounts.add_account(new).await;
    added.expect("the store works")
}

async fn by_email(store: &StoreUnderTest, email: &str) -> Option<Account> {
    let found = store.accounts.account_by_email(email).await;
    found.expect("the store works")
}

pub(super) async fn sign_in(store: &StoreUnderTest, user_id: UserId, token: [u8; 32]) -> Session {
    let session = Session {
        id: SessionId::generate(),
        user_id,
        created_at: store.now(),
        expires_at: store.now() + LIFE,
        last_used_at: store.now(),
        device: Some("a phone".to_owned()),
    };
    let added = store.accounts.add_session(session.clone(), token).await;
    added.expect("the store works");
    session
}

async fn live(store: &StoreUnderTest, session_id: SessionId) -> Option<SessionWithAccount> {
    let found = store.accounts.session(session_id).await;
    found.expect("the store works")
}

pub(super) async fn end(store: &StoreUnderTest, user_id: UserId, session_id: SessionId) -> bool {
    let ended = store.accounts.end_session(user_id, session_id).await;
    ended.expect("the store works")
}

async fn sessions(store: &StoreUnderTest, user_id: UserId) -> Vec<Session> {
    let listed = store.accounts.sessions(user_id).await;
    listed.expect("the store works")
}

pub(super) async fn refresh(
    store: &StoreUnderTest,
    token: [u8; 32],
    successor: [u8; 32],
) -> RefreshOutcome {
    let until = store.now() + LIFE;
    let rotation = store
        .accounts
        .rotate_refresh(token, successor, GRACE, until);
    rotation.await.expect("the store works")
}

pub(super) fn rotated(outcome: RefreshOutcome) -> SessionWithAccount {
    match outcome {
        RefreshOutcome::Rotated(session) => Some(session),
        RefreshOutcome::ReuseDetected(_) | RefreshOutcome::Unknown => None,
    }
    .expect("the token is spent for its successor")
}
