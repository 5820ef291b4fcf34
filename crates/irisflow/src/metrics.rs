//! Sets up the Prometheus metrics: recorder, histogram buckets, help texts.

use anyhow::Context as _;
use metrics::{describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};

/// Histogram buckets in seconds, from a claim of under a millisecond to an upload of a minute.
const BUCKETS_SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0,
];

/// Installs the global recorder; call once per process.
pub(crate) fn start() -> anyhow::Result<PrometheusHandle> {
    let handle = PrometheusBuilder::new()
        .set_buckets(&BUCKETS_SECONDS)
        .context("the buckets of the histograms")?
        .install_recorder()
        .context("starting the metrics")?;
    describe();
    Ok(handle)
}

fn describe() {
    describe_gauge!("irisflow_queue_jobs", "Unfinished jobs by state");
    describe_gauge!(
        "irisflow_queue_oldest_seconds",
        "How long the oldest due job has waited"
    );
    describe_gauge!(
        "irisflow_bus_connected",
        "1 while notifications of other processes arrive; while 0 the database is read at intervals"
    );
    describe_counter!("irisflow_claims_total", "Jobs claimed by this process");
    describe_histogram!("irisflow_claim_seconds", "How long claiming a job took");
    describe_histogram!(
        "irisflow_queue_wait_seconds",
        "How long claimed jobs had been due"
    );
    describe_histogram!(
        "irisflow_step_seconds",
        "How long a step of an attempt took"
    );
    describe_counter!(
        "irisflow_attempt_failures_total",
        "Failed attempts by type and code"
    );
    describe_counter!(
        "irisflow_jobs_ended_total",
        "Attempts by the status they left the job in"
    );
    describe_counter!(
        "irisflow_workers_lost_total",
        "Jobs taken from lost workers"
    );
    describe_counter!(
        "irisflow_trace_spans_total",
        "Spans of traces by outcome: sent, failed, dropped"
    );
    describe_gauge!("irisflow_sockets_open", "Open WebSockets");
    describe_gauge!("irisflow_connections_open", "Open TCP connections");
    describe_counter!(
        "irisflow_connections_refused_total",
        "Connections refused since there were too many"
    );
    describe_counter!(
        "irisflow_http_answers_total",
        "HTTP answers by method, route and class"
    );
    describe_histogram!(
        "irisflow_http_seconds",
        "How long until an HTTP answer began"
    );
    describe_counter!(
        "irisflow_http_received_bytes_total",
        "Bytes of request bodies"
    );
    describe_counter!("irisflow_http_sent_bytes_total", "Bytes of answer bodies");
}
