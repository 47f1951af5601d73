//! A run of filmed calls: connect, settle, measure, hang up. What came back is left in files.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::clip;
use crate::driver::{Call, Driver};
use crate::filmed::{FPS, FilmedCall};
use crate::link::Session;
use crate::options::{Film, Options};
use crate::process;
use crate::report::{self, Spread};
use crate::run::connect;

/// Makes the calls, measures them, hangs up and writes what each of them was shown.
pub fn run(options: &Options, film: &Film) -> Result<Value, String> {
    let server = || options.server_pid.map(process::snapshot).transpose();
    let frames = Arc::new(clip::read(&film.clip)?);
    let period = Duration::from_secs(1) / FPS;
    let idle = server()?;
    let mut driver = Driver::new(&options.url, options.sessions, period, |_, local, now| {
        FilmedCall::new(local, frames.clone(), film.bitrate_bps, now)
    })?;
    connect(&mut driver, options)?;
    driver.run_until(Instant::now() + options.warm_up)?;

    driver.late_ms.clear();
    let (own_before, server_before) = (process::own_cpu(), server()?);
    let from = Instant::now();
    driver.run_until(from + options.measured)?;
    let to = Instant::now();
    let (own_after, server_after) = (process::own_cpu(), server()?);
    let late_ms = std::mem::take(&mut driver.late_ms);
    // What was sent last is still under way.
    driver.run_until(to + film.linger)?;
    driver.hang_up();

    let mut lines = Vec::with_capacity(options.sessions);
    for (index, call) in driver.calls.iter().enumerate() {
        let path = film.out.join(format!("{index}.ivf"));
        lines.push(line(call, from, to));
        let shown = call.session.shown.iter();
        let begun = began(call, from);
        clip::write(
            &path,
            shown.map(|shown| (micros(begun, shown.at), &*shown.data)),
        )?;
    }
    let seconds = (to - from).as_secs_f64();
    let own_cpu_s = own_after.saturating_sub(own_before).as_secs_f64();
    Ok(json!({
        "sessions": options.sessions,
        "seconds": seconds,
        "server": report::server(idle, server_before, server_after, seconds, None),
        "client": {"core_share": own_cpu_s / seconds, "late_ms": Spread::of(late_ms)},
        "per_session": lines,
    }))
}

/// What one call did; times are microseconds since its first frame was sent.
fn line(call: &Call<FilmedCall>, from: Instant, to: Instant) -> Value {
    let session = &call.session;
    let begun = began(call, from);
    let sent: Vec<_> = session
        .frames_sent
        .iter()
        .map(|(frame, at)| (frame, micros(begun, *at)))
        .collect();
    json!({
        "from_us": micros(begun, from),
        "to_us": micros(begun, to),
        "sent": sent,
        "shown": session.shown.len(),
        "keyframe_requests": session.keyframe_requests,
        "failure": session.link().failure,
    })
}

fn began(call: &Call<FilmedCall>, from: Instant) -> Instant {
    call.session.frames_sent.first().map_or(from, |(_, at)| *at)
}

fn micros(since: Instant, at: Instant) -> u64 {
    at.saturating_duration_since(since).as_micros() as u64
}
