"""Benchmark baseline: the bookkeeping of jobs in a minimal app on Celery, Redis and SQLite, without image
processing.

It follows a common design: job rows in the database and Celery's own state are written side by side. Each of
the five steps updates the row, each of the nine checkpoints updates Celery's state, the end updates both. The
database has the same durability as Irisflow's: WAL with synchronous=FULL.

Run by `cargo xtask bench throughput`, which starts Redis and the worker and measures their time:
    celery -A celery_bookkeeping worker ...      the worker
    python celery_bookkeeping.py JOBS            submits, waits until all are done, prints the seconds
"""

import os
import sqlite3
import sys
import time
import uuid

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

_connection = None


def database():
    """One connection per process."""
    global _connection
    if _connection is None:
        _connection = sqlite3.connect(DATABASE, timeout=60)
        _connection.execute("PRAGMA journal_mode = WAL")
        _connection.execute("PRAGMA synchronous = FULL")
        _connection.execute(
            "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, status TEXT NOT NULL,"
            " step TEXT, progress INTEGER NOT NULL, result TEXT, updated_at REAL NOT NULL)"
        )
        _connection.commit()
    return _connection


def update_row(job_id, status, step, progress, result=None):
    connection = database()
    connection.execute(
        "UPDATE jobs SET status = ?, step = ?, progress = ?, result = ?, updated_at = ? WHERE id = ?",
        (status, step, progress, result, time.time(), job_id),
    )
    connection.commit()


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


def submit():
    job_id = str(uuid.uuid4())
    connection = database()
    connection.execute(
        "INSERT INTO jobs (id, status, progress, updated_at) VALUES (?, 'pending', 0, ?)",
        (job_id, time.time()),
    )
    connection.commit()
    process.delay(job_id)


def completed():
    query = "SELECT count(*) FROM jobs WHERE status = 'completed'"
    return database().execute(query).fetchone()[0]


def run(jobs):
    # The first job makes the worker processes connect; it is not measured.
    submit()
    while completed() < 1:
        time.sleep(0.01)
    begun = time.monotonic()
    for _ in range(jobs):
        submit()
    while completed() < jobs + 1:
        time.sleep(0.05)
    print(time.monotonic() - begun)


if __name__ == "__main__":
    run(int(sys.argv[1]))
