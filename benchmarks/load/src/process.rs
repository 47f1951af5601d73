//! What the operating system knows of a process: CPU time, memory, threads. Linux's /proc.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use serde::Serialize;

/// /proc counts CPU time in hundredths of a second on every Linux platform.
const TICKS_PER_S: f64 = 100.0;

/// A process at one moment.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Snapshot {
    /// User and system time of all its threads so far.
    pub cpu_s: f64,
    /// Resident memory.
    pub rss_mb: f64,
    /// Threads it has.
    pub threads: u64,
}

/// Looks at a process.
pub fn snapshot(pid: u32) -> Result<Snapshot, String> {
    let read = |file: &str| {
        std::fs::read_to_string(format!("/proc/{pid}/{file}"))
            .map_err(|error| format!("cannot look at process {pid}: {error}"))
    };
    let stat = read("stat")?;
    let status = read("status")?;
    // The program's name, in brackets, may hold spaces; the fields after it are numbered from 3.
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let fields: Vec<f64> = after_name
        .split_whitespace()
        .skip(1)
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    let line = |name: &str| {
        status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .and_then(|rest| rest.split_whitespace().next())
            .and_then(|value| value.parse::<f64>().ok())
            .ok_or_else(|| format!("/proc/{pid}/status has no {name}"))
    };
    match fields[..] {
        [_, _, _, _, _, _, _, _, _, _, user, system, ..] => Ok(Snapshot {
            cpu_s: (user + system) / TICKS_PER_S,
            rss_mb: line("VmRSS:")? / 1024.0,
            threads: line("Threads:")? as u64,
        }),
        _ => Err(format!("/proc/{pid}/stat is not understood: {stat:?}")),
    }
}

/// CPU time of this process so far.
pub fn own_cpu() -> Duration {
    getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
        let spent = usage.user_time() + usage.system_time();
        Duration::new(
            spent.tv_sec().unsigned_abs(),
            spent.tv_usec().unsigned_abs() as u32 * 1000,
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let spin = std::time::Instant::now();
        while spin.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        let own = snapshot(std::process::id()).unwrap();
        assert!(own.rss_mb > 0.5 && own.threads >= 1, "{own:?}");
        assert!(
            (own.cpu_s - own_cpu().as_secs_f64()).abs() < 0.05,
            "{own:?} {:?}",
            own_cpu()
        );
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(snapshot(u32::MAX).is_err());
    }
}
