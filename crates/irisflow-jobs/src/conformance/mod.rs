//! The suites that every store must pass, one file a topic. Each case is a function over a fresh
//! [`StoreUnderTest`] that makes one claim; [`every_store_must_pass!`](crate::every_store_must_pass)
//! turns them into the tests of a store's crate. What only one database promises is tested there.
//!
//! # For the author of the next store
//!
//! Implement [`TestDatabase`] for a fresh, empty database: it opens the store (several times, once for each
//! node) and moves its time. A store that reads an injected clock moves that. A store that uses the time of
//! its database (`now()` in SQL) cannot; its `advance` moves all stored times back by the duration instead,
//! which looks the same to every comparison that it makes. Therefore the cases
//!
//! - take the time from [`StoreUnderTest::now`], and check an instant with
//!   [`StoreUnderTest::assert_between`] against the times before and after the call that wrote it;
//! - call [`StoreUnderTest::tick`] where only an order of times matters;
//! - approach a deadline to within [`SLACK`], which is more than a case takes;
//! - compare what was read before an `advance` with what is read after it by ids and states, never by times.
//!
//! `irisflow-sqlite` runs the suites both ways, in `tests/conformance.rs` and
//! `tests/conformance_real_clock.rs`, so that a case that holds for one of them only is found at once.
#![expect(
    clippy::expect_used,
    reason = "these are tests, though they live where every store crate can reach them"
)]

pub mod accounts;
pub mod attempts;
pub mod batching;
pub mod bus;
pub mod cancelling;
pub mod claiming;
pub mod concurrency;
pub mod deleting;
pub mod enqueueing;
pub mod estimates;
pub mod fencing;
pub mod listing;
pub mod notifications;
pub mod photos;
pub mod privacy;
mod recording_notifier;
pub mod socket_tickets;
pub mod statistics;
mod store_under_test;
pub mod submitting;
pub mod sweeping;
pub mod timeline;
pub mod webhooks;

pub use recording_notifier::RecordingNotifier;
pub use store_under_test::{SLACK, Setup, StoreUnderTest, TestDatabase};

/// One `#[tokio::test]` per case, for a store crate that names the function that creates a database:
/// `async fn create(setup: Setup) -> impl TestDatabase`.
#[macro_export]
macro_rules! every_store_must_pass {
    ($create:ident) => {
        $crate::store_tests! { $create, enqueueing:
            a_new_job_is_pending_and_due_at_once,
            jobs_come_back_in_the_order_given,
            the_options_of_the_picture_stay_with_the_job,
            each_queued_job_logs_that_it_is_queued,
            one_unknown_photo_queues_none_of_the_jobs,
            a_job_of_a_foreign_photo_is_not_queued,
            a_job_of_a_photo_deleted_meanwhile_is_not_queued,
            one_job_of_an_unknown_user_queues_none_of_the_jobs,
        }
        $crate::store_tests! { $create, submitting:
            the_same_key_and_request_give_the_first_answer,
            the_first_answer_does_not_change_with_its_jobs,
            a_key_tells_its_first_answer_without_submitting,
            the_same_key_for_something_else_is_refused,
            a_key_is_its_users_own,
            a_key_of_a_refused_submission_is_free,
            a_key_expires,
            a_key_goes_with_the_last_of_its_jobs,
            one_key_asked_for_by_many_at_once_makes_one_job,
            a_users_limit_holds_for_many_at_once,
            a_full_queue_takes_nobodys_jobs,
            a_full_queue_still_gives_the_first_answer,
        }
        $crate::store_tests! { $create, batching:
            a_batch_holds_its_jobs_in_the_order_given,
            the_progress_of_a_batch_never_goes_back,
            cancelling_a_batch_cancels_what_has_not_ended,
            a_foreign_or_unknown_batch_is_none,
            a_batch_goes_with_the_last_of_its_jobs,
            jobs_are_listed_by_batch,
        }
        $crate::store_tests! { $create, estimates:
            the_first_in_line_has_nobody_ahead,
            jobs_of_the_same_user_that_go_first_are_counted,
            users_take_turns_in_the_count_as_in_the_queue,
            users_go_round_in_the_count_as_in_the_queue,
            the_jobs_of_one_user_are_listed_as_they_are_claimed,
            a_flood_of_one_user_does_not_count_for_another,
            a_job_that_does_not_wait_has_no_place,
            workers_count_while_they_are_heard_of,
            a_finished_job_tells_what_its_steps_took,
        }
        $crate::store_tests! { $create, claiming:
            an_empty_queue_gives_nothing,
            a_claim_leases_the_job_to_its_worker,
            a_claimed_job_is_not_claimed_again,
            the_epoch_grows_with_each_claim,
            jobs_of_one_user_are_claimed_in_order,
            the_user_with_the_fewest_running_jobs_goes_first,
            among_users_never_served_the_longest_wait_goes_first,
            among_equal_users_the_one_served_longest_ago_goes_first,
            a_step_of_the_clock_changes_nothing_about_whose_turn_it_is,
            an_ended_job_gives_its_user_a_turn_back,
            a_deleted_running_job_gives_its_user_a_turn_back,
            high_goes_before_default,
            the_priority_of_one_user_does_not_push_another_back,
            a_flood_delays_another_user_by_one_job_per_worker_at_most,
            a_default_job_that_waited_a_minute_counts_as_high,
            a_default_job_that_waited_less_than_a_minute_does_not,
            a_job_is_not_claimed_before_its_time,
            the_next_due_moment_is_that_of_the_first_waiting_job,
            nothing_is_due_when_all_jobs_are_running_or_done,
        }
        $crate::store_tests! { $create, attempts:
            checkpoints_are_logged_in_order,
            a_checkpoint_that_was_reached_before_is_not_logged_again,
            a_preview_is_recorded_with_the_checkpoint_after_it,
            progress_survives_a_lost_worker,
            finishing_records_the_result_with_the_last_event,
            a_transient_error_waits_for_its_stored_retry,
            a_retry_says_why_and_counts_the_attempt,
            a_job_fails_at_the_limit_of_its_retries,
            a_quality_issue_fails_at_once,
            a_hand_back_counts_nothing_and_says_nothing,
            a_stopped_job_is_cancelled,
            a_live_lease_is_not_reaped,
            a_renewed_lease_is_not_reaped,
            an_expired_lease_returns_the_job_to_the_queue,
            reaping_takes_one_job_at_a_time,
            a_job_that_loses_every_worker_fails_at_the_crash_limit,
        }
        $crate::store_tests! { $create, cancelling:
            a_waiting_job_is_cancelled_at_once,
            a_job_between_two_attempts_is_cancelled_at_once,
            a_running_job_keeps_its_worker_until_that_stops,
            the_worker_of_a_job_to_cancel_learns_it_by_every_write,
            a_job_to_cancel_ends_with_its_worker_however_that_ends,
            the_worker_of_a_job_to_cancel_is_notified,
            a_job_that_has_ended_stays_as_it_is,
            cancelling_twice_is_as_cancelling_once,
            a_foreign_or_unknown_job_is_not_cancelled,
        }
        $crate::store_tests! { $create, deleting:
            a_deleted_job_is_gone_and_its_photo_stays,
            a_deleted_waiting_job_is_not_claimed,
            the_worker_of_a_deleted_job_is_fenced_off_and_told,
            a_deleted_job_is_swept_now_and_when_its_worker_must_be_gone,
            a_deleted_job_leaves_no_trace_after_its_last_sweep,
            deleting_a_foreign_or_unknown_job_changes_nothing,
        }
        $crate::store_tests! { $create, fencing:
            nothing_is_written_after_the_lease_was_reaped,
            nothing_is_written_after_a_hand_back,
            nothing_is_written_by_an_earlier_epoch,
            nothing_is_written_after_the_end,
            nothing_is_written_after_the_photo_was_deleted,
            nothing_is_written_to_an_unknown_job,
            a_report_without_checkpoints_is_refused_as_well,
        }
        $crate::store_tests! { $create, timeline:
            positions_have_no_holes,
            each_event_names_the_one_before_it_of_its_job,
            users_have_timelines_of_their_own,
            events_after_a_position_leave_the_earlier_ones_out,
            events_of_foreign_jobs_are_not_shown,
            the_end_of_a_deleted_job_is_all_that_is_told_of_it,
            the_jobs_with_events_after_a_position_are_named_once,
            the_last_position_of_many_users_is_read_at_once,
            the_last_positions_since_a_moment_are_those_of_users_with_newer_events,
            a_snapshot_parts_the_recent_events_from_the_newest_older_one,
            a_snapshot_without_older_events_has_none,
            a_snapshot_of_an_ended_job_is_its_last_event,
            a_snapshot_of_a_foreign_or_unknown_job_is_none,
            a_snapshot_of_a_user_has_the_unfinished_jobs_and_the_newest_finished_ones,
            a_snapshot_of_a_user_has_the_position_of_the_newest_event,
            a_snapshot_of_an_unknown_user_is_none,
            events_after_a_cursor_come_in_pages,
            a_filter_leaves_out_events_but_not_their_positions,
            a_filter_selects_the_jobs_of_a_snapshot,
            events_name_their_photo_and_batch,
            a_cursor_of_another_history_or_ahead_has_a_gap,
            a_cursor_before_a_pruned_event_has_a_gap,
            pruning_keeps_the_newest_event_of_each_job,
            pruning_takes_so_many_events_at_once,
            the_end_of_the_last_trace_of_a_deleted_job_is_a_gap,
        }
        $crate::store_tests! { $create, socket_tickets:
            a_ticket_is_spent_once,
            of_many_that_spend_a_ticket_at_once_one_succeeds,
            a_ticket_expires,
            a_ticket_ends_with_its_session,
            the_live_ones_of_many_sessions_are_read_at_once,
        }
        $crate::store_tests! { $create, listing:
            a_job_is_read_as_it_was_written,
            a_foreign_or_unknown_job_is_none,
            jobs_are_listed_newest_first,
            pages_part_the_list_without_overlap,
            a_page_past_the_end_is_empty_and_knows_the_total,
            a_filter_shows_the_jobs_of_one_status,
            a_job_between_two_attempts_is_listed_as_processing,
            foreign_jobs_are_not_listed,
        }
        $crate::store_tests! { $create, photos:
            a_new_photo_awaits_its_upload,
            confirming_records_what_was_stored,
            a_second_confirm_changes_nothing,
            a_failed_upload_may_still_succeed,
            a_photo_beyond_the_quota_is_not_taken_in,
            an_uploaded_photo_does_not_fail_afterwards,
            a_foreign_photo_is_neither_shown_nor_changed,
            of_many_photos_those_of_the_user_are_read_at_once,
            photos_are_listed_newest_first_and_in_pages,
            a_deleted_photo_is_gone_with_its_jobs,
            deleting_logs_the_end_of_each_job,
            deleting_a_foreign_or_unknown_photo_changes_nothing,
            confirming_a_deleted_photo_is_none,
            photos_that_were_never_taken_in_are_listed_on_request_only,
            a_user_has_so_many_unconfirmed_photos_and_no_more,
            an_upload_that_is_never_confirmed_goes_with_its_sweep,
            an_upload_counts_until_it_is_confirmed_or_turned_down,
            an_upload_beyond_the_quota_is_not_counted,
            an_upload_to_a_photo_that_is_gone_or_taken_in_is_not_counted,
            each_intake_has_its_own_number_and_a_sweep,
            only_the_newest_intake_is_recorded,
            an_intake_that_is_given_up_is_not_recorded,
            the_recorded_intake_is_kept,
            an_only_intake_that_is_recorded_leaves_no_sweep_of_its_own,
        }
        $crate::store_tests! { $create, sweeping:
            sweeps_come_in_the_order_of_their_time,
            a_limit_gives_the_first_sweeps,
            a_finished_sweep_does_not_come_again,
            a_claimed_sweep_is_given_to_no_other_node_until_its_claim_has_expired,
            a_claimed_sweep_that_is_completed_does_not_come_again,
            nodes_that_claim_at_once_get_each_sweep_once,
            sweeps_that_fail_hold_no_other_up,
            a_sweep_that_failed_comes_again_after_a_longer_wait_each_time,
            an_expected_upload_is_swept_when_its_url_has_run_out,
            a_failed_attempt_is_swept_now_and_when_its_worker_must_be_gone,
            a_lost_worker_is_swept_after,
            a_finished_job_leaves_nothing_to_sweep,
            a_deleted_photo_is_swept_now_and_when_uploads_must_have_ended,
            the_jobs_of_a_deleted_photo_are_swept_now_and_later,
            a_running_job_keeps_its_epoch,
            a_completed_job_keeps_the_recorded_epoch,
            a_failed_or_deleted_job_keeps_nothing,
        }
        $crate::store_tests! { $create, accounts:
            an_account_is_found_by_its_address,
            an_address_belongs_to_one_account,
            a_session_is_found_with_its_account,
            a_session_ends_when_its_time_is_up,
            an_ended_session_is_gone,
            ending_a_session_twice_is_said,
            nobody_ends_a_foreign_session,
            live_sessions_are_listed_newest_first,
            a_refresh_is_seen_in_the_list,
            ending_the_others_keeps_the_one,
            a_changed_password_ends_the_other_sessions,
            a_password_is_changed_from_the_one_that_was_verified_only,
            a_sign_in_counts_only_with_the_present_password,
            a_disabled_account_gets_no_session,
            the_session_used_least_lately_ends_beyond_the_limit,
            of_the_spent_tokens_of_a_session_the_newest_betray_it,
            sessions_are_pruned_some_time_after_their_end,
            spent_tokens_are_pruned_and_unspent_ones_stay,
            a_reset_password_ends_every_session,
            a_disabled_account_loses_its_sessions_until_it_is_enabled,
            an_account_becomes_and_ceases_to_be_an_admin,
            accounts_are_listed_by_address,
            a_refresh_prolongs_its_session,
            a_refresh_tells_how_long_the_session_lives,
            a_successor_can_be_spent_in_turn,
            a_lost_answer_is_given_again_within_the_grace,
            a_token_spent_long_ago_ends_its_session,
            reuse_ends_no_other_session_of_the_account,
            an_unknown_token_is_unknown,
            a_token_of_an_ended_session_is_unknown,
        }
        $crate::store_tests! { $create, statistics:
            an_empty_queue_counts_nothing,
            waiting_and_running_jobs_of_all_users_are_counted,
            the_oldest_due_job_says_since_when,
            a_job_that_waits_for_its_retry_is_not_due,
            the_bytes_of_photos_that_were_taken_in_are_a_users,
            the_bytes_of_results_are_a_users,
            unfinished_jobs_are_a_users_until_they_end,
        }
        $crate::store_tests! { $create, privacy:
            consents_are_listed_newest_first_and_to_their_user_only,
            a_withdrawn_consent_is_kept_and_counts_no_longer,
            a_consent_is_withdrawn_once_and_can_be_given_anew,
            consents_beyond_the_limit_are_not_recorded,
            a_foreign_consent_cannot_be_withdrawn,
            what_names_an_account_that_is_gone_is_a_contradiction_and_no_outage,
            a_deleted_account_takes_everything_with_it,
            the_receipt_counts_what_was_destroyed,
            the_worker_of_a_deleted_account_is_fenced_off,
            the_sessions_of_a_deleted_account_are_announced,
            a_deleted_account_is_swept_now_and_when_leases_and_uploads_have_ended,
            deleting_an_account_leaves_the_others_alone,
            an_old_original_expires_and_its_result_stays,
            an_original_does_not_expire_while_a_job_needs_it,
            a_young_original_stays,
            an_old_photo_without_jobs_is_deleted_altogether,
            old_jobs_are_deleted_with_their_results,
            unfinished_and_young_jobs_stay,
            the_last_job_of_an_expired_original_takes_the_photo_along,
            nodes_that_expire_jobs_at_once_delete_each_once,
            expiring_stops_at_its_limit,
        }
        $crate::store_tests! { $create, webhooks:
            an_event_is_recorded_for_each_webhook_that_wants_it,
            a_user_without_webhooks_records_and_announces_no_delivery,
            a_refused_write_records_no_delivery,
            a_changed_filter_and_a_disabled_webhook_count_for_later_events,
            disabling_ends_pending_deliveries_as_dead_letters,
            webhooks_are_listed_to_their_user_only_and_limited,
            a_rotated_secret_leaves_the_previous_one_valid_for_the_overlap,
            a_claimed_delivery_is_given_to_no_other_node_until_its_claim_has_expired,
            deliveries_are_claimed_from_the_webhooks_in_turn_and_a_few_of_each,
            deliveries_of_a_disabled_account_wait,
            a_failed_attempt_is_logged_and_repeated_after_its_wait,
            the_log_keeps_the_newest_attempts,
            a_delivered_message_is_not_claimed_again,
            a_delivery_that_is_given_up_is_a_dead_letter_until_it_is_redelivered,
            redelivering_needs_an_enabled_webhook_and_content,
            an_endpoint_that_is_gone_disables_its_webhook,
            a_webhook_that_fails_for_long_is_disabled_and_a_success_in_between_prevents_it,
            a_deleted_jobs_deliveries_go_and_only_its_deletion_is_told,
            a_test_message_is_queued_and_announced,
            old_deliveries_are_pruned_and_pending_ones_stay,
            webhooks_and_deliveries_go_with_their_account,
        }
        $crate::store_tests! { $create, notifications:
            every_event_is_announced_as_it_is_stored,
            what_is_announced_can_be_read,
            a_refused_write_announces_nothing,
            work_is_announced_when_a_job_waits,
            what_was_written_for_a_caller_that_hung_up_is_announced,
            an_ended_session_is_announced,
            a_session_that_did_not_end_is_not_announced,
            a_betrayed_session_is_announced,
        }
        $crate::store_tests! { $create, concurrency:
            many_workers_claim_each_job_once,
            the_order_of_positions_is_the_order_of_commits,
            of_two_writers_with_one_fence_only_one_ends_the_job,
            of_many_reapers_one_takes_the_job,
            one_address_registered_at_once_makes_one_account,
            one_token_refreshed_at_once_keeps_its_session,
            of_many_password_changes_at_once_one_is_made,
        }
    };
}

/// The tests of one topic; see [`every_store_must_pass!`](crate::every_store_must_pass).
#[doc(hidden)]
#[macro_export]
macro_rules! store_tests {
    ($create:ident, $topic:ident: $($case:ident,)+) => {
        mod $topic {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    use $crate::conformance::{StoreUnderTest, $topic};
                    let store = StoreUnderTest::fresh(super::$create).await;
                    $topic::$case(store).await;
                }
            )+
        }
    };
}

#[cfg(test)]
mod tests {
    const CASES: &[&str] = &[
        include_str!("accounts.rs"),
        include_str!("attempts.rs"),
        include_str!("batching.rs"),
        include_str!("cancelling.rs"),
        include_str!("statistics.rs"),
        include_str!("claiming.rs"),
        include_str!("concurrency.rs"),
        include_str!("deleting.rs"),
        include_str!("enqueueing.rs"),
        include_str!("fencing.rs"),
        include_str!("notifications.rs"),
        include_str!("listing.rs"),
        include_str!("estimates.rs"),
        include_str!("photos.rs"),
        include_str!("privacy.rs"),
        include_str!("submitting.rs"),
        include_str!("sweeping.rs"),
        include_str!("timeline.rs"),
        include_str!("webhooks.rs"),
    ];

    #[test]
    fn every_case_that_is_written_is_run() {
        let list = include_str!("mod.rs");
        let written = CASES
            .iter()
            .flat_map(|file| file.lines())
            .filter_map(|line| line.strip_prefix("pub async fn "))
            .filter_map(|rest| rest.split_once('('));
        let forgotten: Vec<&str> = written
            .map(|(name, _)| name)
            .filter(|name| !list.contains(&format!("            {name},\n")))
            .collect();
        assert_eq!(forgotten, Vec::<&str>::new());
    }
}
