//! What every bus promises. A case sends from one end and receives at another, which are two processes'
//! ends of a networked bus. It waits for what must arrive; that something does not arrive is shown by a later
//! message that arrives first.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::{
    Bus, Delivery, Event, EventBody, EventKind, Fence, JobId, Notification, SessionId,
    Subscription, Timestamp, UserId,
};

/// What must arrive arrives by then, also on a busy machine.
const DEADLINE: Duration = Duration::from_secs(30);
/// More than a receiver may be behind.
const FLOOD: i64 = 10_000;

/// Two ends of one bus; one and the same where the bus does not leave the process.
pub struct BusUnderTest {
    pub sender: Arc<dyn Bus>,
    pub receiver: Arc<dyn Bus>,
    /// What the bus needs for as long as it is used.
    pub keep: Box<dyn Any + Send>,
}

impl fmt::Debug for BusUnderTest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BusUnderTest")
    }
}

/// The tests of a bus: `async fn open() -> BusUnderTest` gives a fresh one.
#[macro_export]
macro_rules! every_bus_must_pass {
    ($open:ident) => {
        $crate::bus_tests! { $open:
            a_subscriber_gets_what_is_published_about_its_user_alone,
            what_was_published_before_the_subscription_is_not_delivered,
            what_is_published_right_after_subscribing_is_delivered_in_order,
            a_subscriber_of_one_job_gets_no_events_of_others,
            every_subscriber_of_a_user_learns_of_an_ended_session,
            a_subscriber_that_falls_behind_is_told_that_it_missed_something,
            a_call_that_is_dropped_loses_no_message,
            rereading_reaches_the_subscribers_of_this_process,
            a_user_is_listed_until_its_last_subscriber_leaves,
            work_that_is_announced_before_the_wait_wakes,
            announced_work_wakes_all_who_wait,
            available_deliveries_wake_deliverers_and_no_workers,
            workers_get_cancelled_attempts,
            an_outage_is_over_for_those_who_wait,
            a_bus_that_works_is_connected,
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! bus_tests {
    ($open:ident: $($case:ident,)+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::conformance::bus::$case($open().await).await;
            }
        )+
    };
}

pub async fn a_subscriber_gets_what_is_published_about_its_user_alone(bus: BusUnderTest) {
    let (user, other) = (UserId::generate(), UserId::generate());
    let mut subscription = bus.receiver.subscribe_to_user(user).await;
    bus.sender.notify(other, event(other, JobId::generate(), 1));
    bus.sender.notify(user, event(user, JobId::generate(), 2));
    assert_eq!(next_seq(&mut *subscription).await, 2);
}

pub async fn what_was_published_before_the_subscription_is_not_delivered(bus: BusUnderTest) {
    let (user, job) = (UserId::generate(), JobId::generate());
    let mut first = bus.receiver.subscribe_to_user(user).await;
    bus.sender.notify(user, event(user, job, 1));
    assert_eq!(next_seq(&mut *first).await, 1);
    let mut second = bus.receiver.subscribe_to_user(user).await;
    bus.sender.notify(user, event(user, job, 2));
    assert_eq!(next_seq(&mut *second).await, 2);
}

pub async fn what_is_published_right_after_subscribing_is_delivered_in_order(bus: BusUnderTest) {
    for _ in 0..100 {
        let (user, job) = (UserId::generate(), JobId::generate());
        let mut subscription = bus.receiver.subscribe_to_job(user, job).await;
        for seq in 1..=3 {
            bus.sender.notify(user, event(user, job, seq));
        }
        for seq in 1..=3 {
            assert_eq!(next_seq(&mut *subscription).await, seq);
        }
    }
}

pub async fn a_subscriber_of_one_job_gets_no_events_of_others(bus: BusUnderTest) {
    let (user, job, other) = (UserId::generate(), JobId::generate(), JobId::generate());
    let mut one = bus.receiver.subscribe_to_job(user, job).await;
    let mut all = bus.receiver.subscribe_to_user(user).await;
    bus.sender.notify(user, event(user, other, 1));
    bus.sender.notify(user, event(user, job, 2));
    assert_eq!(next_seq(&mut *one).await, 2);
    for seq in 1..=2 {
        assert_eq!(next_seq(&mut *all).await, seq);
    }
}

pub async fn every_subscriber_of_a_user_learns_of_an_ended_session(bus: BusUnderTest) {
    let (user, session) = (UserId::generate(), SessionId::generate());
    let mut one = bus.receiver.subscribe_to_job(user, JobId::generate()).await;
    let mut all = bus.receiver.subscribe_to_user(user).await;
    bus.sender.notify(user, Notification::SessionEnded(session));
    for subscription in [&mut one, &mut all] {
        let ended = message(&mut **subscription).await;
        assert!(
            matches!(ended, Notification::SessionEnded(ended) if ended == session),
            "{ended:?}"
        );
    }
}

pub async fn a_subscriber_that_falls_behind_is_told_that_it_missed_something(bus: BusUnderTest) {
    let (user, job) = (UserId::generate(), JobId::generate());
    let mut slow = bus.receiver.subscribe_to_job(user, job).await;
    let mut last = 0;
    for seq in 1..=FLOOD {
        bus.sender.notify(user, event(user, job, seq));
    }
    // Either all of them, or a sign that some are missing, and then newer ones.
    loop {
        match delivery(&mut *slow).await {
            Delivery::Missed | Delivery::Message(Notification::TimelineAdvanced) => break,
            Delivery::Message(Notification::Event(event)) => {
                assert_eq!(event.seq, last + 1, "lost without a sign");
                last = event.seq;
                if last == FLOOD {
                    return;
                }
            }
            Delivery::Message(other) => panic!("{other:?}"),
        }
    }
    bus.sender.notify(user, event(user, job, FLOOD + 1));
    while last <= FLOOD {
        if let Delivery::Message(Notification::Event(event)) = delivery(&mut *slow).await {
            assert!(event.seq > last, "the order is kept");
            last = event.seq;
        }
    }
}

pub async fn a_call_that_is_dropped_loses_no_message(bus: BusUnderTest) {
    let (user, job) = (UserId::generate(), JobId::generate());
    let mut subscription = bus.receiver.subscribe_to_job(user, job).await;
    for _ in 0..10 {
        let dropped = tokio::time::timeout(Duration::from_millis(1), subscription.next()).await;
        assert!(dropped.is_err(), "nothing was published");
    }
    bus.sender.notify(user, event(user, job, 1));
    assert_eq!(next_seq(&mut *subscription).await, 1);
}

pub async fn rereading_reaches_the_subscribers_of_this_process(bus: BusUnderTest) {
    let (user, job, other) = (UserId::generate(), JobId::generate(), JobId::generate());
    let mut one = bus.receiver.subscribe_to_job(user, job).await;
    let mut all = bus.receiver.subscribe_to_user(user).await;
    bus.receiver.reread_job(user, other);
    is_to_reread(&mut *all).await;
    bus.receiver.reread_job(user, job);
    bus.receiver.reread_user(user);
    for _ in 0..2 {
        is_to_reread(&mut *one).await;
        is_to_reread(&mut *all).await;
    }
    // Of the other job nothing came to `one`.
    bus.sender.notify(user, event(user, job, 1));
    assert_eq!(next_seq(&mut *one).await, 1);
}

pub async fn a_user_is_listed_until_its_last_subscriber_leaves(bus: BusUnderTest) {
    let user = UserId::generate();
    let all = bus.receiver.subscribe_to_user(user).await;
    let one = bus.receiver.subscribe_to_job(user, JobId::generate()).await;
    drop(all);
    assert_eq!(bus.receiver.subscribed_users(), [user]);
    drop(one);
    assert_eq!(bus.receiver.subscribed_users(), []);
}

pub async fn work_that_is_announced_before_the_wait_wakes(bus: BusUnderTest) {
    let woken = bus.receiver.work_wake_up();
    bus.sender.work_available();
    in_time(woken).await;
}

pub async fn announced_work_wakes_all_who_wait(bus: BusUnderTest) {
    let waiting = [bus.receiver.work_wake_up(), bus.receiver.work_wake_up()];
    bus.sender.work_available();
    for woken in waiting {
        in_time(woken).await;
    }
}

pub async fn available_deliveries_wake_deliverers_and_no_workers(bus: BusUnderTest) {
    let (deliverer, mut worker) = (bus.receiver.delivery_wake_up(), bus.receiver.work_wake_up());
    bus.sender.delivery_available();
    in_time(deliverer).await;
    let woken = tokio::time::timeout(Duration::ZERO, &mut worker).await;
    assert!(woken.is_err(), "there is no work");
    bus.sender.work_available();
    in_time(worker).await;
}

pub async fn workers_get_cancelled_attempts(bus: BusUnderTest) {
    let mut workers = [
        bus.receiver.cancelled_attempts().await,
        bus.receiver.cancelled_attempts().await,
    ];
    let fence = Fence {
        job_id: JobId::generate(),
        epoch: 3,
    };
    bus.sender.cancel_attempt(fence);
    for worker in &mut workers {
        assert_eq!(delivery(&mut **worker).await, Delivery::Message(fence));
    }
}

pub async fn an_outage_is_over_for_those_who_wait(bus: BusUnderTest) {
    in_time(bus.receiver.outage_over()).await;
    bus.receiver.set_outage(true);
    assert!(bus.receiver.has_outage());
    let ((), ()) = tokio::join!(in_time(bus.receiver.outage_over()), async {
        tokio::task::yield_now().await;
        bus.receiver.set_outage(false);
    });
    assert!(!bus.receiver.has_outage());
}

pub async fn a_bus_that_works_is_connected(bus: BusUnderTest) {
    assert!(bus.sender.is_connected());
    assert!(bus.receiver.is_connected());
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(DEADLINE, future).await;
    done.expect("it comes in time")
}

async fn delivery<T>(subscription: &mut dyn Subscription<T>) -> Delivery<T> {
    in_time(subscription.next()).await.expect("the bus is open")
}

async fn message(subscription: &mut dyn Subscription<Notification>) -> Notification {
    match delivery(subscription).await {
        Delivery::Message(message) => message,
        Delivery::Missed => panic!("nothing was missed"),
    }
}

async fn next_seq(subscription: &mut dyn Subscription<Notification>) -> i64 {
    match message(subscription).await {
        Notification::Event(event) => event.seq,
        other => panic!("{other:?}"),
    }
}

async fn is_to_reread(subscription: &mut dyn Subscription<Notification>) {
    let reread = message(subscription).await;
    assert!(
        matches!(reread, Notification::TimelineAdvanced),
        "{reread:?}"
    );
}

fn event(user_id: UserId, job_id: JobId, seq: i64) -> Notification {
    Notification::Event(Arc::new(Event {
        user_id,
        seq,
        job_id,
        photo_id: None,
        batch_id: None,
        previous_of_job: None,
        kind: EventKind::Queued,
        body: EventBody {
            status: "pending".to_owned(),
            step: None,
            progress: 0,
            attempt_count: 0,
            failure: None,
            result: None,
            previews: Vec::new(),
        },
        at: Timestamp::EPOCH,
    }))
}
