//! Sends the spans of jobs to an OpenTelemetry collector, by OTLP over HTTP. A thread of its own sends them in batches;
//! what waits for it is bounded, and what does not fit is dropped and counted: neither a request nor a job waits for
//! the collector.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context as _;
use futures_util::FutureExt as _;
use irisflow_jobs::{
    AttemptSpan, JobId, JobPart, JobSpan, JobTracer, StepSpan, Timestamp, TraceParent,
};
use metrics::counter;
use opentelemetry::trace::{
    Link, SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::resource::EnvResourceDetector;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, SpanData, SpanEvents, SpanExporter, SpanLinks,
    SpanProcessor as _,
};

/// Spans that wait to be sent: a few megabytes.
const MOST_WAITING: usize = 4096;
/// Spans in one request.
const BATCH: usize = 512;
/// How long a span waits for others.
const BATCH_DELAY: Duration = Duration::from_secs(1);
/// How long a request may take.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// How long the end of the process waits for the last spans.
const LAST_WAIT: Duration = Duration::from_secs(2);

#[derive(Clone)]
pub(crate) struct OtlpSettings {
    pub(crate) endpoint: String,
    /// They hold credentials.
    pub(crate) headers: HashMap<String, String>,
    /// Of the jobs, from 0 to 1.
    pub(crate) share: f64,
    /// The name of this process in traces.
    pub(crate) service: &'static str,
}

impl std::fmt::Debug for OtlpSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.endpoint)
    }
}

/// Whether the collector accepts a request without spans.
pub(crate) async fn reaches_collector(settings: OtlpSettings) -> anyhow::Result<()> {
    let send = move || -> anyhow::Result<()> {
        let exporter = exporter(&settings)?;
        // Its client blocks, so that this is ready at once.
        let sent = exporter.export(Vec::new()).now_or_never();
        Ok(sent.context("no answer")??)
    };
    tokio::task::spawn_blocking(send).await?
}

fn exporter(settings: &OtlpSettings) -> anyhow::Result<opentelemetry_otlp::SpanExporter> {
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_protocol(Protocol::HttpBinary)
        .with_endpoint(&settings.endpoint)
        .with_headers(settings.headers.clone())
        .with_timeout(REQUEST_LIMIT);
    exporter.build().context("preparing to send traces")
}

#[derive(Debug)]
pub(crate) struct OtlpTracer {
    processor: BatchSpanProcessor,
    scope: InstrumentationScope,
    share: f64,
    waiting: Arc<AtomicUsize>,
}

impl OtlpTracer {
    pub(crate) fn start(settings: &OtlpSettings) -> anyhow::Result<Self> {
        let waiting = Arc::new(AtomicUsize::new(0));
        let counted = CountedExporter {
            exporter: exporter(settings)?,
            waiting: Arc::clone(&waiting),
            is_failing: AtomicBool::new(false),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(MOST_WAITING)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(BATCH_DELAY)
            .build();
        let mut processor = BatchSpanProcessor::new(counted, config);
        processor.set_resource(&resource(settings.service));
        Ok(Self {
            processor,
            scope: InstrumentationScope::builder("irisflow")
                .with_version(env!("CARGO_PKG_VERSION"))
                .build(),
            share: settings.share,
            waiting,
        })
    }

    /// Sends what waits, unless that takes too long.
    pub(crate) async fn close(self: Arc<Self>) {
        let close = move || self.processor.shutdown_with_timeout(LAST_WAIT);
        if !matches!(tokio::task::spawn_blocking(close).await, Ok(Ok(()))) {
            tracing::warn!("the last spans of traces were not sent in time");
        }
    }

    fn send(&self, span: SpanData) {
        if self.waiting.fetch_add(1, Ordering::Relaxed) < MOST_WAITING {
            self.processor.on_end(span);
        } else {
            self.waiting.fetch_sub(1, Ordering::Relaxed);
            count("dropped", 1);
        }
    }

    fn span(&self, job_id: JobId, name: &'static str, times: (Timestamp, Timestamp)) -> SpanData {
        let root = root_id(job_id);
        SpanData {
            span_context: SpanContext::new(
                trace_id(job_id),
                SpanId::from(rand::random::<u64>().max(1)),
                TraceFlags::SAMPLED,
                false,
                TraceState::NONE,
            ),
            parent_span_id: root,
            parent_span_is_remote: true,
            span_kind: SpanKind::Internal,
            name: name.into(),
            start_time: system_time(times.0),
            end_time: system_time(times.1),
            attributes: vec![KeyValue::new("irisflow.job.id", job_id.to_string())],
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: self.scope.clone(),
        }
    }

    fn send_attempt(&self, job_id: JobId, mut span: SpanData, attempt: &AttemptSpan) {
        span.span_kind = SpanKind::Consumer;
        span.attributes.extend(messaging(job_id, "process"));
        span.attributes.extend([
            KeyValue::new("messaging.client.id", attempt.worker.to_string()),
            KeyValue::new("irisflow.attempt.number", i64::from(attempt.number)),
            KeyValue::new("irisflow.attempt.epoch", attempt.epoch),
            KeyValue::new("irisflow.attempt.outcome", attempt.outcome),
        ]);
        set_error(&mut span, attempt.error.as_deref());
        let parent = span.span_context.span_id();
        self.send(span);
        for step in &attempt.steps {
            let StepSpan { begun, ended, .. } = *step;
            let mut span = self.span(job_id, step.step.name(), (begun, ended));
            span.parent_span_id = parent;
            span.parent_span_is_remote = false;
            let error = attempt.error.as_deref();
            set_error(&mut span, error.filter(|_| step.is_unfinished));
            self.send(span);
        }
    }
}

impl JobTracer for OtlpTracer {
    fn record(&self, span: JobSpan) {
        let job_id = span.job_id;
        if !is_traced(job_id, self.share) {
            return;
        }
        let name = match &span.part {
            JobPart::Submit { .. } => "submit",
            JobPart::Wait { .. } => "wait",
            JobPart::Attempt(_) => "attempt",
            JobPart::Deliver { .. } => "deliver",
        };
        let mut data = self.span(job_id, name, (span.begun, span.ended));
        match span.part {
            JobPart::Submit { caller } => {
                make_root(&mut data, job_id, caller);
                data.attributes.extend(messaging(job_id, "send"));
            }
            JobPart::Wait { worker } => {
                data.attributes.extend(messaging(job_id, "receive"));
                let worker = worker.to_string();
                data.attributes
                    .push(KeyValue::new("messaging.client.id", worker));
            }
            JobPart::Attempt(attempt) => return self.send_attempt(job_id, data, &attempt),
            JobPart::Deliver {
                kind,
                seq,
                transport,
            } => data.attributes.extend([
                KeyValue::new("irisflow.event.kind", kind.name()),
                KeyValue::new("irisflow.event.seq", seq),
                KeyValue::new("irisflow.transport", transport.name()),
            ]),
        }
        self.send(data);
    }
}

fn trace_id(job_id: JobId) -> TraceId {
    TraceId::from(job_id.as_uuid().as_u128())
}

/// The second half of the job's id, whose first bit is always set.
fn root_id(job_id: JobId) -> SpanId {
    SpanId::from(job_id.as_uuid().as_u64_pair().1)
}

/// By the last 32 bits of the id: all processes decide alike. The bits before are a counter of ids of the same
/// millisecond.
fn is_traced(job_id: JobId, share: f64) -> bool {
    let random = job_id.as_uuid().as_u64_pair().1 & u64::from(u32::MAX);
    share >= 1.0 || (random as f64) < share * 2f64.powi(32)
}

fn make_root(span: &mut SpanData, job_id: JobId, caller: Option<TraceParent>) {
    span.span_kind = SpanKind::Producer;
    span.parent_span_id = SpanId::INVALID;
    span.parent_span_is_remote = false;
    span.span_context = SpanContext::new(
        trace_id(job_id),
        root_id(job_id),
        TraceFlags::SAMPLED,
        false,
        TraceState::NONE,
    );
    let context = |caller: TraceParent| {
        SpanContext::new(
            TraceId::from(caller.trace_id),
            SpanId::from(caller.span_id),
            TraceFlags::new(caller.flags),
            true,
            TraceState::NONE,
        )
    };
    span.links.links = caller
        .map(|caller| Link::with_context(context(caller)))
        .into_iter()
        .collect();
}

/// By the semantic conventions for messages: a job is one.
fn messaging(job_id: JobId, operation: &'static str) -> [KeyValue; 4] {
    [
        KeyValue::new("messaging.system", "irisflow"),
        KeyValue::new("messaging.destination.name", "jobs"),
        KeyValue::new("messaging.operation.type", operation),
        KeyValue::new("messaging.message.id", job_id.to_string()),
    ]
}

fn set_error(span: &mut SpanData, code: Option<&str>) {
    if let Some(code) = code {
        span.status = Status::error(code.to_owned());
        span.attributes
            .push(KeyValue::new("error.type", code.to_owned()));
    }
}

fn system_time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + at.since(Timestamp::EPOCH)
}

/// This process; `OTEL_RESOURCE_ATTRIBUTES` may add to it.
fn resource(service: &'static str) -> Resource {
    let instance = format!("{:032x}", rand::random::<u128>());
    Resource::builder_empty()
        .with_service_name(service)
        .with_attributes([
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            KeyValue::new("service.instance.id", instance),
        ])
        .with_detector(Box::new(EnvResourceDetector::new()))
        .build()
}

fn count(outcome: &'static str, spans: usize) {
    counter!("irisflow_trace_spans_total", "outcome" => outcome).increment(spans as u64);
}

/// Counts what is sent, and logs when sending begins to fail and when it works again.
#[derive(Debug)]
struct CountedExporter {
    exporter: opentelemetry_otlp::SpanExporter,
    waiting: Arc<AtomicUsize>,
    is_failing: AtomicBool,
}

impl SpanExporter for CountedExporter {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        let sent = self.exporter.export(batch).await;
        self.waiting.fetch_sub(spans, Ordering::Relaxed);
        count(if sent.is_ok() { "sent" } else { "failed" }, spans);
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        match &sent {
            Err(error) if !was_failing => {
                tracing::warn!(%error, "traces do not reach the collector; jobs go on");
            }
            Ok(()) if was_failing => tracing::info!("traces reach the collector again"),
            _ => {}
        }
        sent
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use irisflow_jobs::{EventKind, Transport};
    use metrics_exporter_prometheus::PrometheusBuilder;

    use super::*;

    #[test]
    fn spans_that_a_silent_collector_does_not_take_are_dropped_and_counted() {
        // The system accepts its connections, and no program reads them.
        let collector = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = collector.local_addr().expect("its address");
        let tracer = OtlpTracer::start(&OtlpSettings {
            endpoint: format!("http://{address}/v1/traces"),
            headers: HashMap::new(),
            share: 1.0,
            service: "irisflow",
        })
        .expect("a tracer");
        let recorder = PrometheusBuilder::new().build_recorder();
        let event = irisflow_jobs::TracedEvent {
            job_id: JobId::generate(),
            kind: EventKind::Progress,
            seq: 1,
            at: Timestamp::EPOCH,
        };
        metrics::with_local_recorder(&recorder, || {
            for _ in 0..MOST_WAITING + 100 {
                tracer.record(event.delivered(Timestamp::EPOCH, Transport::WebSocket));
            }
        });
        let counted = recorder.handle().render();
        assert!(
            counted.contains("irisflow_trace_spans_total{outcome=\"dropped\"} 100"),
            "{counted}"
        );
        assert_eq!(tracer.waiting.load(Ordering::Relaxed), MOST_WAITING);
    }

    #[test]
    fn the_share_of_jobs_that_are_traced_is_as_set() {
        let ids: Vec<JobId> = (0..20_000).map(|_| JobId::generate()).collect();
        for share in [0.0, 0.1, 0.5, 1.0] {
            let traced = ids.iter().filter(|id| is_traced(**id, share)).count();
            let expected = share * ids.len() as f64;
            assert!(
                (traced as f64 - expected).abs() <= 500.0 * f64::from(share % 1.0 != 0.0),
                "{traced} of {expected}"
            );
        }
    }
}
