//! The list of attacks: name, description and function of each.

use futures_util::future::LocalBoxFuture;

use super::large_photos::Large;
use super::measurement::Measurement;
use super::outage::Outage;
use super::{
    AttackContext, connections, fairness, headers, large_photos, long_queue, malformed_photos,
    outage, phone_app, quota, readiness, shutdown, sign_in, startup, storage, websockets,
};

pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run:
        for<'a> fn(&'a AttackContext) -> LocalBoxFuture<'a, anyhow::Result<Vec<Measurement>>>,
}

impl Attack {
    pub(super) fn is_chosen(&self, only: &[String]) -> bool {
        only.is_empty() || only.iter().any(|part| self.name.contains(part.as_str()))
    }
}

macro_rules! attack {
    ($name:literal, $about:literal, |$context:ident| $run:expr) => {
        Attack {
            name: $name,
            about: $about,
            run: |$context| Box::pin($run),
        }
    };
}

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "fairness_1_worker",
        "1 worker, 1 flooder, then a newcomer",
        |context| fairness::one_job_for_the_newcomer(context, 1, 1)
    ),
    attack!(
        "fairness_1_worker_2_flooders",
        "1 worker, 2 flooders, then a newcomer",
        |context| fairness::one_job_for_the_newcomer(context, 1, 2)
    ),
    attack!(
        "fairness_2_workers",
        "2 workers, 2 flooders, then a newcomer",
        |context| fairness::one_job_for_the_newcomer(context, 2, 2)
    ),
    attack!(
        "fairness_3_workers_5_flooders",
        "3 workers, 5 flooders, then a newcomer",
        |context| fairness::one_job_for_the_newcomer(context, 3, 5)
    ),
    attack!(
        "outage_files_full",
        "no room for photos and results, 40 jobs queued",
        |context| outage::with_a_queue(context, Outage::FilesFull)
    ),
    attack!(
        "outage_all_full",
        "no room for the database either, 40 jobs queued",
        |context| outage::with_a_queue(context, Outage::AllFull)
    ),
    attack!(
        "outage_files_read_only",
        "photos and results read-only, 40 jobs queued",
        |context| outage::with_a_queue(context, Outage::FilesReadOnly)
    ),
    attack!(
        "outage_idle_connections",
        "1,000 idle connections of 50 addresses, ulimit -n 1024",
        |context| outage::idle_connections(context, 1000, 50)
    ),
    attack!(
        "outage_idle_from_one",
        "1,000 idle connections of one address, ulimit -n 1024",
        |context| outage::idle_connections(context, 1000, 1)
    ),
    attack!(
        "outage_idle_3000",
        "3,000 idle connections of 300 addresses, ulimit -n 1024",
        |context| outage::idle_connections(context, 3000, 300)
    ),
    attack!(
        "readiness_full_disk",
        "readiness beside submits, on a full disk",
        |context| readiness::on_a_full_disk(context)
    ),
    attack!(
        "readiness_damaged_database",
        "noise over the database of a running server",
        |context| readiness::with_a_damaged_database(context)
    ),
    attack!(
        "readiness_damaged_at_start",
        "noise over the database of a stopped server",
        |context| readiness::damaged_before_the_start(context)
    ),
    attack!(
        "stop_at_random_moments",
        "40 times SIGTERM around the claim of a job",
        |context| shutdown::at_random_moments(context)
    ),
    attack!(
        "socket_half_open_reconnect",
        "reconnects while the old socket is open",
        |context| websockets::half_open_reconnect(context)
    ),
    attack!(
        "socket_1000_watchers",
        "1,000 watchers of a queue of 5,000 jobs",
        |context| websockets::watchers_of_waiting_jobs(context)
    ),
    attack!(
        "socket_silent_peer",
        "a peer that answers no ping",
        |context| websockets::silent_peer(context)
    ),
    attack!(
        "socket_large_frames",
        "100 sockets with frames of 16 MB that never end",
        |context| websockets::large_frames(context)
    ),
    attack!(
        "socket_without_end",
        "one account opens 2,000 sockets",
        |context| websockets::sockets_without_end(context)
    ),
    attack!(
        "hang_up_after_submit",
        "hangs up right after the request",
        |context| websockets::hang_up_after_submit(context)
    ),
    attack!(
        "hang_up_during_confirm",
        "hangs up during 40 confirms",
        |context| storage::hang_up_during_confirm(context)
    ),
    attack!(
        "list_long_queue",
        "lists 100 of 4,900 waiting jobs",
        |context| long_queue::list_of_a_long_queue(context)
    ),
    attack!(
        "intake_100_confirms_png",
        "100 confirms at once of one PNG of 46 MB",
        |context| large_photos::one_confirmed_by_many(context, Large::Png)
    ),
    attack!(
        "intake_100_confirms_jpeg",
        "100 confirms at once of one JPEG of 46 MB",
        |context| large_photos::one_confirmed_by_many(context, Large::Jpeg)
    ),
    attack!(
        "intake_12_large_png",
        "12 PNGs of 46 MB confirmed at once",
        |context| large_photos::many_confirmed_at_once(context, Large::Png)
    ),
    attack!(
        "intake_12_large_jpeg",
        "12 JPEGs of 46 MB confirmed at once",
        |context| large_photos::many_confirmed_at_once(context, Large::Jpeg)
    ),
    attack!(
        "intake_100_looks_png",
        "100 concurrent checks of a PNG of 46 MB",
        |context| large_photos::many_checks(context, Large::Png)
    ),
    attack!(
        "intake_100_looks_jpeg",
        "100 concurrent checks of a JPEG of 46 MB",
        |context| large_photos::many_checks(context, Large::Jpeg)
    ),
    attack!(
        "intake_whole_uploads_png",
        "32 whole uploads of 46 MB at once, PNG",
        |context| large_photos::many_whole_uploads(context, Large::Png)
    ),
    attack!(
        "intake_whole_uploads_jpeg",
        "32 whole uploads of 46 MB at once, JPEG",
        |context| large_photos::many_whole_uploads(context, Large::Jpeg)
    ),
    attack!(
        "intake_large_jobs",
        "jobs on a PNG of 46 MB, and 20 checks",
        |context| large_photos::large_jobs(context, Large::Png)
    ),
    attack!(
        "intake_phone_photo",
        "a 12-megapixel photo over each way in",
        |context| large_photos::phone_photo_over_each_way(context)
    ),
    attack!(
        "storage_swap",
        "another photo is PUT between two confirms",
        |context| storage::swap_between_confirms(context)
    ),
    attack!(
        "storage_damaged_backup",
        "a backup with a damaged original",
        |context| storage::backup_of_a_damaged_object(context)
    ),
    attack!(
        "storage_result_removed",
        "a result file is removed",
        |context| storage::result_removed(context)
    ),
    attack!(
        "storage_put_outlives_account",
        "a PUT goes on after its account was deleted",
        |context| storage::put_outlives_the_account(context)
    ),
    attack!(
        "storage_key_after_expiry",
        "an Idempotency-Key again after the photo expired",
        |context| storage::key_after_expiry(context)
    ),
    attack!(
        "quota_unconfirmed",
        "60 uploads that are never confirmed",
        |context| quota::unconfirmed_bytes(context)
    ),
    attack!(
        "quota_chunked",
        "10 PUTs of 8 MB without a length",
        |context| quota::chunked_without_length(context)
    ),
    attack!("quota_announced", "5,000 photos announced", |context| {
        quota::rows_without_upload(context)
    }),
    attack!(
        "quota_results",
        "15 results under a small quota",
        |context| quota::results(context)
    ),
    attack!(
        "accounts_lockout",
        "password guesses from 1 address while the owner signs in",
        |context| sign_in::lockout(context, 1)
    ),
    attack!(
        "accounts_lockout_40",
        "password guesses from 40 addresses while the owner signs in",
        |context| sign_in::lockout(context, 40)
    ),
    attack!(
        "accounts_4000_registrations",
        "4,000 registrations of 40 addresses at once",
        |context| sign_in::registration_flood(context, 40)
    ),
    attack!(
        "accounts_4000_from_one",
        "4,000 registrations of one address at once",
        |context| sign_in::registration_flood(context, 1)
    ),
    attack!(
        "accounts_2500_logins",
        "2,500 logins with long names",
        |context| sign_in::login_memory(context)
    ),
    attack!(
        "accounts_password_changes",
        "6 password changes at once",
        |context| sign_in::password_changes(context)
    ),
    attack!(
        "accounts_one_name",
        "12 registrations of one name at once",
        |context| sign_in::one_name_at_once(context)
    ),
    attack!(
        "accounts_refresh",
        "20 refreshes of one token at once",
        |context| sign_in::refresh_at_once(context)
    ),
    attack!(
        "edge_preflights",
        "preflights of an allowed and a foreign origin",
        |context| headers::preflights(context)
    ),
    attack!(
        "edge_endless_connections",
        "idle and half requests over HTTP/1 and HTTP/2",
        |context| connections::endless_connections(context)
    ),
    attack!(
        "edge_unread_downloads",
        "50 downloads whose client stops reading",
        |context| connections::unread_downloads(context)
    ),
    attack!(
        "edge_large_headers",
        "2,000 connections with headers that never end",
        |context| connections::large_headers(context)
    ),
    attack!(
        "edge_slow_uploads",
        "400 uploads byte by byte, of one account and 20 addresses",
        |context| connections::slow_uploads(context)
    ),
    attack!(
        "edge_metrics",
        "/metrics with a foreign Host and behind proxies",
        |context| headers::foreign_metrics(context)
    ),
    attack!(
        "edge_hosts",
        "links for emulators, home networks and foreign hosts",
        |context| headers::hosts_in_links(context)
    ),
    attack!("edge_headers", "security and caching headers", |context| {
        headers::safe_headers(context)
    }),
    attack!(
        "start_what_cannot_serve",
        "missing certificate, taken port and the like",
        |context| startup::failing_starts(context)
    ),
    attack!(
        "start_user_list",
        "irisflow user list on folders without a database",
        |context| startup::user_list_is_read_only(context)
    ),
    attack!(
        "start_lock_removed",
        "a second server after the lock file was removed",
        |context| startup::lock_file_removed(context)
    ),
    attack!(
        "app_consent",
        "the consent gate of the phone app",
        |context| phone_app::consent_gate(context)
    ),
    attack!(
        "app_ends",
        "cancelled, deleted and unknown jobs on a socket",
        |context| phone_app::final_frames(context)
    ),
    attack!(
        "app_token_runs_out",
        "a token ends while its socket is open",
        |context| phone_app::token_expires(context)
    ),
    attack!("app_thumbnails", "a grid of five phone photos", |context| {
        phone_app::thumbnails(context)
    }),
    attack!(
        "app_sign_in",
        "logout without a body, login by form",
        |context| phone_app::form_login(context)
    ),
    attack!(
        "poison_uploads",
        "malformed photos and other files",
        |context| malformed_photos::uploads(context)
    ),
];
