//! Accounts, their sessions, and the rotation of refresh tokens.

use std::time::Duration;

use super::{SLACK, StoreUnderTest};
use crate::{
    Account, MOST_SESSIONS, MOST_SPENT_TOKENS, NewAccount, NewSession, PasswordChange,
    RefreshOutcome, Session, SessionId, SessionWithAccount, UserId,
};

const LIFE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(super) const GRACE: Duration = Duration::from_secs(60 * 60);

const FIRST: [u8; 32] = [1; 32];
const SECOND: [u8; 32] = [2; 32];
const THIRD: [u8; 32] = [3; 32];

pub async fn an_account_is_found_by_its_address(store: StoreUnderTest) {
    let begun = store.now().await;
    let added = add(&store, "eye@example.org").await.expect("it is new");

    let found = by_email(&store, "eye@example.org").await;

    assert!(added.is_active && !added.is_verified);
    store.assert_between(begun, added.created_at).await;
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

    store.advance(LIFE - SLACK).await;
    let before = live(&store, session.id).await;
    store.advance(SLACK).await;

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
    store.tick().await;
    let newer = sign_in(&store, user_id, SECOND).await;
    let ended = sign_in(&store, user_id, THIRD).await;
    end(&store, user_id, ended.id).await;
    sign_in(&store, store.user().await, [4; 32]).await;

    assert_eq!(sessions(&store, user_id).await, [newer, older]);
}

pub async fn a_refresh_is_seen_in_the_list(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    store.advance(GRACE).await;
    let begun = store.now().await;

    refresh(&store, FIRST, SECOND).await;

    let listed = sessions(&store, session.user_id).await;
    store.assert_between(begun, listed[0].last_used_at).await;
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

    let changed = change_password(&store, &kept, "not a hash", "another hash").await;

    assert!(changed);
    let now = by_email(&store, "eye@example.org")
        .await
        .expect("it is kept");
    assert_eq!(now.password_hash, "another hash");
    assert_eq!(sessions(&store, account.id).await, [kept]);
}

pub async fn a_password_is_changed_from_the_one_that_was_verified_only(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    let kept = sign_in(&store, account.id, FIRST).await;
    let other = sign_in(&store, account.id, SECOND).await;

    let changed = change_password(&store, &kept, "an older hash", "another hash").await;

    assert!(!changed);
    assert_eq!(by_email(&store, "eye@example.org").await, Some(account));
    assert!(
        live(&store, other.id).await.is_some(),
        "nothing has happened"
    );
}

pub async fn a_sign_in_counts_only_with_the_present_password(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    let kept = sign_in(&store, account.id, FIRST).await;
    change_password(&store, &kept, "not a hash", "another hash").await;

    let with_the_old = new_session(&store, account.id, SECOND).await;
    let added = store.accounts.add_session(with_the_old).await;
    let mut gone = new_session(&store, UserId::generate(), THIRD).await;
    gone.password_hash = "another hash".to_owned();
    let to_nobody = store.accounts.add_session(gone).await;

    assert!(!added.expect("the store works"));
    assert!(!to_nobody.expect("the store works"));
    assert_eq!(sessions(&store, account.id).await, [kept]);
}

pub async fn a_disabled_account_gets_no_session(store: StoreUnderTest) {
    let user_id = store.user().await;
    let disabled = store.accounts.disable(user_id).await;
    disabled.expect("the store works");

    let added = store
        .accounts
        .add_session(new_session(&store, user_id, FIRST).await);

    assert!(!added.await.expect("the store works"));
}

pub async fn the_session_used_least_lately_ends_beyond_the_limit(store: StoreUnderTest) {
    let user_id = store.user().await;
    let used = sign_in(&store, user_id, numbered(0)).await;
    let unused = sign_in(&store, user_id, numbered(1)).await;
    for number in 2..MOST_SESSIONS {
        store.tick().await;
        sign_in(&store, user_id, numbered(number)).await;
    }
    store.tick().await;
    refresh(&store, numbered(0), numbered(1_000)).await;
    let before = sessions(&store, user_id).await.len();

    sign_in(&store, user_id, numbered(MOST_SESSIONS)).await;

    assert_eq!(before, MOST_SESSIONS as usize);
    assert_eq!(sessions(&store, user_id).await.len(), before);
    assert!(live(&store, used.id).await.is_some(), "it was used since");
    assert_eq!(live(&store, unused.id).await, None);
    let notifications = store.notifications.ended_sessions();
    assert_eq!(notifications, [(user_id, unused.id)]);
}

pub async fn of_the_spent_tokens_of_a_session_the_newest_betray_it(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, numbered(0)).await;
    for number in 0..=MOST_SPENT_TOKENS {
        refresh(&store, numbered(number), numbered(number + 1)).await;
        store.tick().await;
    }
    store.advance(GRACE + SLACK).await;

    let oldest = refresh(&store, numbered(0), THIRD).await;
    let still_live = live(&store, session.id).await.is_some();
    let next = refresh(&store, numbered(1), THIRD).await;

    assert_eq!(oldest, RefreshOutcome::Unknown, "it is forgotten");
    assert!(still_live);
    assert_eq!(next, RefreshOutcome::ReuseDetected(session.user_id));
}

pub async fn sessions_are_pruned_some_time_after_their_end(store: StoreUnderTest) {
    let user_id = store.user().await;
    let ended = sign_in(&store, user_id, FIRST).await;
    end(&store, user_id, ended.id).await;
    store.advance(LIFE - SLACK).await;
    let live_one = sign_in(&store, user_id, SECOND).await;
    let expiring = sign_in(&store, store.user().await, THIRD).await;
    let prune = async |before| {
        let pruned = store.retention.prune_sessions(before, 10).await;
        pruned.expect("the store works")
    };

    let just_ended = prune(store.now().await - LIFE).await;
    let later = prune(store.now().await).await;
    store.advance(LIFE + SLACK).await;
    let limited = store.retention.prune_sessions(store.now().await, 1).await;
    let rest = prune(store.now().await).await;

    assert_eq!((just_ended, later), (0, 1), "the ended one");
    assert_eq!((limited.expect("the store works"), rest), (1, 1));
    assert_eq!(live(&store, live_one.id).await, None);
    assert_eq!(live(&store, expiring.id).await, None);
    let token = refresh(&store, SECOND, FIRST).await;
    assert_eq!(token, RefreshOutcome::Unknown, "its tokens went with it");
}

pub async fn spent_tokens_are_pruned_and_unspent_ones_stay(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    refresh(&store, FIRST, SECOND).await;
    let prune = async || {
        let pruned = store
            .retention
            .prune_refresh_tokens(store.now().await - SLACK, 10)
            .await;
        pruned.expect("the store works")
    };
    let young = prune().await;
    store.advance(GRACE + SLACK).await;

    let old = prune().await;

    assert_eq!((young, old), (0, 1));
    let reused = refresh(&store, FIRST, THIRD).await;
    assert_eq!(reused, RefreshOutcome::Unknown);
    let successor = refresh(&store, SECOND, THIRD).await;
    assert_eq!(rotated(successor).session.id, session.id);
}

pub async fn a_reset_password_ends_every_session(store: StoreUnderTest) {
    let account = add(&store, "eye@example.org").await.expect("it is new");
    let session = sign_in(&store, account.id, FIRST).await;

    let reset = store
        .accounts
        .reset_password(account.id, "another hash".to_owned());
    reset.await.expect("the store works");

    assert_eq!(sessions(&store, account.id).await, []);
    let notifications = store.notifications.ended_sessions();
    assert_eq!(notifications, [(account.id, session.id)]);
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
    store.advance(LIFE - SLACK).await;

    refresh(&store, FIRST, SECOND).await;

    store.advance(LIFE - SLACK).await;
    assert!(live(&store, session.id).await.is_some(), "it lives on");
}

pub async fn a_refresh_tells_how_long_the_session_lives(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    store.advance(GRACE).await;
    let begun = store.now().await;

    let refreshed = rotated(refresh(&store, FIRST, SECOND).await);

    store
        .assert_between(begun, refreshed.session.expires_at - LIFE)
        .await;
    assert_eq!(live(&store, session.id).await, Some(refreshed));
}

pub async fn a_successor_can_be_spent_in_turn(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    refresh(&store, FIRST, SECOND).await;
    store.advance(GRACE + SLACK).await;

    let outcome = refresh(&store, SECOND, THIRD).await;

    assert_eq!(rotated(outcome).session.id, session.id);
}

pub async fn a_lost_answer_is_given_again_within_the_grace(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    refresh(&store, FIRST, SECOND).await;
    store.advance(GRACE - SLACK).await;

    let again = refresh(&store, FIRST, SECOND).await;

    assert_eq!(rotated(again).session.id, session.id);
    let successor = refresh(&store, SECOND, THIRD).await;
    assert_eq!(rotated(successor).session.id, session.id, "it is not spent");
}

pub async fn a_token_spent_long_ago_ends_its_session(store: StoreUnderTest) {
    let session = sign_in(&store, store.user().await, FIRST).await;
    refresh(&store, FIRST, SECOND).await;
    store.advance(GRACE + SLACK).await;

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
    store.advance(GRACE + SLACK).await;

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
    store.advance(LIFE).await;

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
    let new = new_session(store, user_id, token).await;
    let added = store.accounts.add_session(new.clone()).await;
    assert!(added.expect("the store works"), "it is recorded");
    new.session
}

/// With the password of every new account here.
async fn new_session(store: &StoreUnderTest, user_id: UserId, token: [u8; 32]) -> NewSession {
    let now = store.now().await;
    let session = Session {
        id: SessionId::generate(),
        user_id,
        created_at: now,
        expires_at: now + LIFE,
        last_used_at: now,
        device: Some("a phone".to_owned()),
    };
    NewSession {
        session,
        refresh_hash: token,
        password_hash: "not a hash".to_owned(),
    }
}

/// One of many tokens.
fn numbered(number: u32) -> [u8; 32] {
    let mut token = [0xAA; 32];
    token[..4].copy_from_slice(&number.to_be_bytes());
    token
}

async fn change_password(store: &StoreUnderTest, kept: &Session, from: &str, to: &str) -> bool {
    let change = PasswordChange {
        old_hash: from.to_owned(),
        new_hash: to.to_owned(),
    };
    let accounts = &store.accounts;
    let changed = accounts
        .change_password(kept.user_id, change, kept.id)
        .await;
    changed.expect("the store works")
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
    let until = store.now().await + LIFE;
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
