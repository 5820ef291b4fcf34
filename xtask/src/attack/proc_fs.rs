//! Memory, file descriptors and CPU time of a process, from `/proc`; see proc(5).

use anyhow::Context as _;

/// Peak of the resident memory, in MiB.
pub(super) fn peak_memory_mb(process_id: u32) -> anyhow::Result<f64> {
    status_mb(process_id, "VmHWM:")
}

pub(super) fn memory_mb(process_id: u32) -> anyhow::Result<f64> {
    status_mb(process_id, "VmRSS:")
}

fn status_mb(process_id: u32, field: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process_id}/status"))?;
    let line = status.lines().find(|line| line.starts_with(field));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let kilobytes: f64 = kilobytes.context("a size")?.parse()?;
    Ok(kilobytes / 1024.0)
}

pub(super) fn open_descriptors(process_id: u32) -> anyhow::Result<usize> {
    Ok(std::fs::read_dir(format!("/proc/{process_id}/fd"))?.count())
}

/// CPU time of the process, without the threads that process photos.
pub(super) fn serving_seconds(process_id: u32) -> anyhow::Result<f64> {
    const TICKS_A_SECOND: f64 = 100.0;
    let folder = format!("/proc/{process_id}");
    // The total includes threads that have ended.
    let mut ticks = ticks_in(&std::fs::read_to_string(format!("{folder}/stat"))?)?;
    for thread in std::fs::read_dir(format!("{folder}/task"))? {
        // A thread may end meanwhile.
        let stat = std::fs::read_to_string(thread?.path().join("stat")).unwrap_or_default();
        if stat.contains("(iris-slot)") {
            ticks -= ticks_in(&stat)?;
        }
    }
    Ok(ticks / TICKS_A_SECOND)
}

/// utime and stime are the 14th and 15th field of the line, the 12th and 13th after the name.
fn ticks_in(stat: &str) -> anyhow::Result<f64> {
    let (_, fields) = stat.rsplit_once(") ").context("a name")?;
    let mut fields = fields.split(' ').skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<f64>().ok());
    Ok(next().context("utime")? + next().context("stime")?)
}
