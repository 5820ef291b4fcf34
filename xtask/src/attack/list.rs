//! The table of contents of the attacks.

use futures_util::future::LocalBoxFuture;

use super::finding::Finding;
use super::intake::Large;
use super::outage::Trouble;
use super::{
    Scene, accounts, edge, fairness, intake, outage, phone_app, poison, queue, quota, readiness,
    sockets, starting, stopping, storage,
};

pub(super) struct Attack {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: for<'a> fn(&'a Scene) -> LocalBoxFuture<'a, anyhow::Result<Vec<Finding>>>,
}

impl Attack {
    pub(super) fn is_chosen(&self, only: &[String]) -> bool {
        only.is_empty() || only.iter().any(|part| self.name.contains(part.as_str()))
    }
}

macro_rules! attack {
    ($name:literal, $about:literal, |$scene:ident| $run:expr) => {
        Attack {
            name: $name,
            about: $about,
            run: |$scene| Box::pin($run),
        }
    };
}

pub(super) const ATTACKS: &[Attack] = &[
    attack!(
        "fairness_1_worker",
        "1 worker, 1 flooder, then a newcomer",
        |scene| fairness::one_job_for_the_newcomer(scene, 1, 1)
    ),
    attack!(
        "fairness_1_worker_2_flooders",
        "1 worker, 2 flooders, then a newcomer",
        |scene| fairness::one_job_for_the_newcomer(scene, 1, 2)
    ),
    attack!(
        "fairness_2_workers",
        "2 workers, 2 flooders, then a newcomer",
        |scene| fairness::one_job_for_the_newcomer(scene, 2, 2)
    ),
    attack!(
        "fairness_3_workers_5_flooders",
        "3 workers, 5 flooders, then a newcomer",
        |scene| fairness::one_job_for_the_newcomer(scene, 3, 5)
    ),
    attack!(
        "outage_files_full",
        "no room for photos and results, 40 jobs queued",
        |scene| outage::with_a_queue(scene, Trouble::FilesFull)
    ),
    attack!(
        "outage_all_full",
        "no room for the database either, 40 jobs queued",
        |scene| outage::with_a_queue(scene, Trouble::AllFull)
    ),
    attack!(
        "outage_files_read_only",
        "photos and results read-only, 40 jobs queued",
        |scene| outage::with_a_queue(scene, Trouble::FilesReadOnly)
    ),
    attack!(
        "outage_idle_connections",
        "1,000 idle connections of 50 addresses, ulimit -n 1024",
        |scene| outage::idle_connections(scene, 1000, 50)
    ),
    attack!(
        "outage_idle_from_one",
        "1,000 idle connections of one address, ulimit -n 1024",
        |scene| outage::idle_connections(scene, 1000, 1)
    ),
    attack!(
        "outage_idle_3000",
        "3,000 idle connections of 300 addresses, ulimit -n 1024",
        |scene| outage::idle_connections(scene, 3000, 300)
    ),
    attack!(
        "readiness_full_disk",
        "readiness beside submits, on a full disk",
        |scene| readiness::on_a_full_disk(scene)
    ),
    attack!(
        "readiness_damaged_database",
        "noise over the database of a running server",
        |scene| readiness::with_a_damaged_database(scene)
    ),
    attack!(
        "readiness_damaged_at_start",
        "noise over the database of a stopped server",
        |scene| readiness::damaged_before_the_start(scene)
    ),
    attack!(
        "stop_at_random_moments",
        "40 times SIGTERM around the claim of a job",
        |scene| stopping::at_random_moments(scene)
    ),
    attack!(
        "socket_half_open_reconnect",
        "reconnects while the old socket is open",
        |scene| sockets::half_open_reconnect(scene)
    ),
    attack!(
        "socket_1000_watchers",
        "1,000 watchers of a queue of 5,000 jobs",
        |scene| sockets::watchers_of_waiting_jobs(scene)
    ),
    attack!(
        "socket_silent_peer",
        "a peer that answers no ping",
        |scene| sockets::silent_peer(scene)
    ),
    attack!(
        "socket_large_frames",
        "100 sockets with frames of 16 MB that never end",
        |scene| sockets::large_frames(scene)
    ),
    attack!(
        "socket_without_end",
        "one account opens 2,000 sockets",
        |scene| sockets::sockets_without_end(scene)
    ),
    attack!(
        "hang_up_after_submit",
        "hangs up right after the request",
        |scene| sockets::hang_up_after_submit(scene)
    ),
    attack!(
        "hang_up_during_confirm",
        "hangs up during 40 confirms",
        |scene| storage::hang_up_during_confirm(scene)
    ),
    attack!(
        "list_long_queue",
        "lists 100 of 4,900 waiting jobs",
        |scene| queue::list_of_a_long_queue(scene)
    ),
    attack!(
        "intake_100_confirms_png",
        "100 confirms at once of one PNG of 46 MB",
        |scene| intake::one_confirmed_by_many(scene, Large::Png)
    ),
    attack!(
        "intake_100_confirms_jpeg",
        "100 confirms at once of one JPEG of 46 MB",
        |scene| intake::one_confirmed_by_many(scene, Large::Jpeg)
    ),
    attack!(
        "intake_12_large_png",
        "12 PNGs of 46 MB confirmed at once",
        |scene| intake::many_confirmed_at_once(scene, Large::Png)
    ),
    attack!(
        "intake_12_large_jpeg",
        "12 JPEGs of 46 MB confirmed at once",
        |scene| intake::many_confirmed_at_once(scene, Large::Jpeg)
    ),
    attack!(
        "intake_100_looks_png",
        "100 looks at once at a PNG of 46 MB",
        |scene| intake::many_looks(scene, Large::Png)
    ),
    attack!(
        "intake_100_looks_jpeg",
        "100 looks at once at a JPEG of 46 MB",
        |scene| intake::many_looks(scene, Large::Jpeg)
    ),
    attack!(
        "intake_whole_uploads_png",
        "32 whole uploads of 46 MB at once, PNG",
        |scene| intake::many_whole_uploads(scene, Large::Png)
    ),
    attack!(
        "intake_whole_uploads_jpeg",
        "32 whole uploads of 46 MB at once, JPEG",
        |scene| intake::many_whole_uploads(scene, Large::Jpeg)
    ),
    attack!(
        "intake_large_jobs",
        "jobs on a PNG of 46 MB, and 20 looks",
        |scene| intake::large_jobs(scene, Large::Png)
    ),
    attack!(
        "intake_phone_photo",
        "a 12-megapixel photo over each way in",
        |scene| intake::phone_photo_over_each_way(scene)
    ),
    attack!(
        "storage_swap",
        "another photo is PUT between two confirms",
        |scene| storage::swap_between_confirms(scene)
    ),
    attack!(
        "storage_damaged_backup",
        "a backup with a damaged original",
        |scene| storage::backup_of_a_damaged_object(scene)
    ),
    attack!(
        "storage_result_removed",
        "a result file is removed",
        |scene| storage::result_removed(scene)
    ),
    attack!(
        "storage_put_outlives_account",
        "a PUT goes on after its account was deleted",
        |scene| storage::put_outlives_the_account(scene)
    ),
    attack!(
        "storage_key_after_expiry",
        "an Idempotency-Key again after the photo expired",
        |scene| storage::key_after_expiry(scene)
    ),
    attack!(
        "quota_unconfirmed",
        "60 uploads that are never confirmed",
        |scene| quota::unconfirmed_bytes(scene)
    ),
    attack!(
        "quota_chunked",
        "10 PUTs of 8 MB without a length",
        |scene| quota::chunked_without_length(scene)
    ),
    attack!("quota_announced", "5,000 photos announced", |scene| {
        quota::announced_rows(scene)
    }),
    attack!("quota_results", "15 results under a small quota", |scene| {
        quota::results(scene)
    }),
    attack!(
        "accounts_lockout",
        "a stranger guesses on; the owner wants in",
        |scene| accounts::lockout(scene, 1)
    ),
    attack!(
        "accounts_lockout_40",
        "40 strangers guess on; the owner wants in",
        |scene| accounts::lockout(scene, 40)
    ),
    attack!(
        "accounts_4000_registrations",
        "4,000 registrations of 40 addresses at once",
        |scene| accounts::registration_flood(scene, 40)
    ),
    attack!(
        "accounts_4000_from_one",
        "4,000 registrations of one address at once",
        |scene| accounts::registration_flood(scene, 1)
    ),
    attack!(
        "accounts_2500_logins",
        "2,500 logins with long names",
        |scene| accounts::login_memory(scene)
    ),
    attack!(
        "accounts_password_changes",
        "6 password changes at once",
        |scene| accounts::password_changes(scene)
    ),
    attack!(
        "accounts_one_name",
        "12 registrations of one name at once",
        |scene| accounts::one_name_at_once(scene)
    ),
    attack!(
        "accounts_refresh",
        "20 refreshes of one token at once",
        |scene| accounts::refresh_at_once(scene)
    ),
    attack!(
        "edge_preflights",
        "preflights of an allowed and a foreign origin",
        |scene| edge::preflights(scene)
    ),
    attack!(
        "edge_endless_connections",
        "idle and half requests over HTTP/1 and HTTP/2",
        |scene| edge::endless_connections(scene)
    ),
    attack!(
        "edge_unread_downloads",
        "50 downloads that nobody reads",
        |scene| edge::unread_downloads(scene)
    ),
    attack!(
        "edge_large_headers",
        "2,000 connections with headers that never end",
        |scene| edge::large_headers(scene)
    ),
    attack!(
        "edge_slow_uploads",
        "400 uploads byte by byte, of one account and 20 addresses",
        |scene| edge::slow_uploads(scene)
    ),
    attack!(
        "edge_metrics",
        "/metrics with a foreign Host and behind proxies",
        |scene| edge::foreign_metrics(scene)
    ),
    attack!(
        "edge_hosts",
        "links for emulators, home networks and strangers",
        |scene| edge::hosts_in_links(scene)
    ),
    attack!(
        "edge_headers",
        "what browsers and caches are told",
        |scene| edge::safe_headers(scene)
    ),
    attack!(
        "start_what_cannot_serve",
        "missing certificate, taken port and the like",
        |scene| starting::what_cannot_serve(scene)
    ),
    attack!(
        "start_user_list",
        "irisflow user list on folders without a database",
        |scene| starting::user_list_touches_nothing(scene)
    ),
    attack!(
        "start_lock_removed",
        "a second server after the lock file was removed",
        |scene| starting::lock_file_removed(scene)
    ),
    attack!(
        "app_consent",
        "the consent gate of the phone app",
        |scene| phone_app::consent_gate(scene)
    ),
    attack!(
        "app_ends",
        "cancelled, deleted and unknown jobs on a socket",
        |scene| phone_app::ends_it_understands(scene)
    ),
    attack!(
        "app_token_runs_out",
        "a token ends while its socket is open",
        |scene| phone_app::token_runs_out(scene)
    ),
    attack!("app_thumbnails", "a grid of five phone photos", |scene| {
        phone_app::thumbnails(scene)
    }),
    attack!(
        "app_sign_in",
        "logout without a body, login by form",
        |scene| phone_app::old_app_login(scene)
    ),
    attack!("poison_uploads", "photos that are none", |scene| {
        poison::uploads(scene)
    }),
];
