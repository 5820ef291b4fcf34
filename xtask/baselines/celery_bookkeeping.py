"""Benchmark baseline: the bookkeeping of jobs in a minimal app on Celery, Redis and PostgreSQL, without image
processing.

It follows a common design: job rows in the database and Celery's own state are written side by side. Each of
the five steps updates the row, each of the nine checkpoints updates Celery's state, the end updates both. The
database is the server of Irisflow's own run, with the same durability.

Run by `cargo xtask bench queue`, which starts all servers and the worker and measures their time:
    celery -A celery_bookkeeping worker ...          the worker
    python celery_bookkeeping.py JOBS THREADS        submits, waits until all are done, prints the seconds
"""

import os
import sys
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import psycopg
from celery import Celery

REDIS = os.environ["BASELINE_REDIS"]
DATABASE = os.environ["BASELINE_DATABASE"]

app = Celery("celery_bookkeeping", broker=REDIS, backend=REDIS)
app.conf.update(
    worker_prefetch_multiplier=1,
    task_acks_late=True,
    task_track_started=True,
    broker_connection_retry_on_startup=True,
)

CHECKPOINTS = [
    ("loading", 5),
    ("loading", 10),
    ("segmenting", 20),
    ("segmenting", 40),
    ("removing_reflections", 50),
    ("removing_reflections", 60),
    ("enhancing", 70),
    ("enhancing", 90),
    ("saving", 95),
]

TABLE = """CREATE TABLE IF NOT EXISTS celery_jobs (
    id UUID PRIMARY KEY, status TEXT NOT NULL, step TEXT, progress INTEGER NOT NULL, result TEXT,
    updated_at DOUBLE PRECISION NOT NULL)"""

_local = threading.local()


def database():
    """One connection per process and thread."""
    if not hasattr(_local, "connection"):
        _local.connection = psycopg.connect(DATABASE, autocommit=True)
    return _local.connection


def update_row(job_id, status, step, progress, result=None):
    database().execute(
        "UPDATE celery_jobs SET status = %s, step = %s, progress = %s, result = %s, updated_at = %s WHERE id = %s",
        (status, step, progress, result, time.time(), job_id),
    )


@app.task(bind=True, max_retries=1)
def process(self, job_id):
    written = None
    for step, progress in CHECKPOINTS:
        if step != written:
            update_row(job_id, "processing", step, progress)
            written = step
        meta = {"job_id": job_id, "step": step, "progress": progress}
        self.update_state(state="PROGRESS", meta=meta)
    update_row(job_id, "completed", "completed", 100, "a key")
    return {"job_id": job_id, "progress": 100}


def submit(_=None):
    job_id = str(uuid.uuid4())
    database().execute(
        "INSERT INTO celery_jobs (id, status, progress, updated_at) VALUES (%s, 'pending', 0, %s)",
        (job_id, time.time()),
    )
    process.delay(job_id)


def unfinished():
    query = "SELECT count(*) FROM celery_jobs WHERE status <> 'completed'"
    return database().execute(query).fetchone()[0]


def run(jobs, threads):
    database().execute(TABLE)
    # The first job makes the worker processes connect; it is not measured.
    submit()
    while unfinished():
        time.sleep(0.01)
    begun = time.monotonic()
    with ThreadPoolExecutor(threads) as clients:
        for _ in clients.map(submit, range(jobs)):
            pass
    while unfinished():
        time.sleep(0.01)
    print(time.monotonic() - begun)


if __name__ == "__main__":
    run(int(sys.argv[1]), int(sys.argv[2]))
