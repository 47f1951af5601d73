//! The phases of a run: connect, settle, measure, hang up; and what is reported of them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::audio::Track;
use crate::driver::Driver;
use crate::link::Session;
use crate::options::Options;
use crate::process;
use crate::report::{self, Spread};
use crate::session::SpokenCall;

const FRAME: Duration = Duration::from_millis(20);
/// Sessions start this many packets apart in the speech, so that they do not speak in chorus.
const STAGGER_PACKETS: usize = 37;

/// Makes the calls, measures them and hangs up.
pub fn run(options: &Options) -> Result<Value, String> {
    let server = || options.server_pid.map(process::snapshot).transpose();
    let speech = Arc::new(Track::speech(&options.speech)?);
    let marked = Arc::new(Track::marked()?);
    let idle = server()?;
    let mut driver = Driver::new(
        &options.url,
        options.sessions,
        FRAME,
        |index, local, now| {
            let probe = index < options.probes;
            let (track, start) = if probe {
                (&marked, 0)
            } else {
                (&speech, index * STAGGER_PACKETS)
            };
            SpokenCall::new(local, track.clone(), start, probe, now)
        },
    )?;
    connect(&mut driver, options)?;
    driver.run_until(Instant::now() + options.warm_up)?;

    driver.late_ms.clear();
    let sent_before = driver.sent();
    let (own_before, server_before) = (process::own_cpu(), server()?);
    let from = Instant::now();
    driver.run_until(from + options.measured)?;
    let to = Instant::now();
    let (own_after, server_after) = (process::own_cpu(), server()?);
    let sent = driver.sent() - sent_before;
    let late_ms = std::mem::take(&mut driver.late_ms);

    let lines: Vec<_> = driver
        .calls
        .iter()
        .map(|call| report::line(call, from, to, options.on_time))
        .collect();
    driver.hang_up();
    let sum = report::sum(&lines);
    let seconds = (to - from).as_secs_f64();
    let own_cpu_s = own_after.saturating_sub(own_before).as_secs_f64();
    let server = report::server(
        idle,
        server_before,
        server_after,
        seconds,
        Some(sum.received),
    );
    Ok(json!({
        "sessions": options.sessions,
        "seconds": seconds,
        "sent": sent,
        "sum": sum,
        "server": server,
        "client": {
            "core_share": own_cpu_s / seconds,
            "cpu_us_per_frame": own_cpu_s * 1e6 / sent.max(1) as f64,
            "late_ms": Spread::of(late_ms),
        },
        "per_session": lines,
    }))
}

/// Starts the calls at the rate asked for and waits until each was heard, or has failed.
pub fn connect<S: Session>(driver: &mut Driver<S>, options: &Options) -> Result<(), String> {
    let started = Instant::now();
    let starting = Duration::from_secs_f64(options.sessions as f64 / options.starts_per_s);
    let give_up = started + starting + options.connect_timeout;
    let mut next = 0;
    while Instant::now() < give_up && (next < options.sessions || !driver.settled()) {
        let due = (started.elapsed().as_secs_f64() * options.starts_per_s) as usize + 1;
        while next < options.sessions.min(due) {
            driver.start(next)?;
            next += 1;
        }
        driver.turn()?;
    }
    Ok(())
}
