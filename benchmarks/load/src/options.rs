//! What the command line asks for.

use std::path::PathBuf;
use std::time::Duration;

/// The whole run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where offers are posted.
    pub url: String,
    /// Calls to make.
    pub sessions: usize,
    /// How long to measure once all are connected.
    pub measured: Duration,
    /// How long to let things settle before that.
    pub warm_up: Duration,
    /// Calls started per second.
    pub starts_per_s: f64,
    /// How long to wait for the last call to be heard.
    pub connect_timeout: Duration,
    /// 16-bit mono WAV files to talk with.
    pub speech: Vec<PathBuf>,
    /// Process to measure.
    pub server_pid: Option<u32>,
    /// How many calls carry marks and are decoded, for the round trip.
    pub probes: usize,
    /// A frame later than this after its time is not on time.
    pub on_time: Duration,
    /// Calls are filmed instead of spoken.
    pub film: Option<Film>,
}

/// What filmed calls show, and where to leave what they are shown.
#[derive(Debug, Clone)]
pub struct Film {
    /// An IVF file with VP8 in it.
    pub clip: PathBuf,
    /// An existing folder for an IVF file of each call.
    pub out: PathBuf,
    /// What the server may send in each call.
    pub bitrate_bps: u64,
    /// How long to wait at the end for what is under way.
    pub linger: Duration,
}

const NAMES: &str = "--url, --sessions, --seconds, --warm-up, --starts-per-s, --connect-timeout, \
    --speech, --server-pid, --probes and --on-time-ms; for filmed calls --clip, --out and \
    --bitrate-bps instead of --speech";

impl Options {
    /// Reads `--name value` pairs.
    pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Self {
            url: String::new(),
            sessions: 1,
            measured: Duration::from_secs(10),
            warm_up: Duration::from_secs(3),
            starts_per_s: 20.0,
            connect_timeout: Duration::from_secs(30),
            speech: Vec::new(),
            server_pid: None,
            probes: 4,
            on_time: Duration::from_millis(30),
            film: None,
        };
        let (mut clip, mut out, mut bitrate_bps) = (None, None, 1_000_000);
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            match name.as_str() {
                "--url" => options.url = value,
                "--sessions" => options.sessions = number(&name, &value)? as usize,
                "--seconds" => options.measured = seconds(&name, &value)?,
                "--warm-up" => options.warm_up = seconds(&name, &value)?,
                "--starts-per-s" => options.starts_per_s = number(&name, &value)?,
                "--connect-timeout" => options.connect_timeout = seconds(&name, &value)?,
                "--speech" => options.speech.push(value.into()),
                "--server-pid" => options.server_pid = Some(number(&name, &value)? as u32),
                "--probes" => options.probes = number(&name, &value)? as usize,
                "--clip" => clip = Some(PathBuf::from(value)),
                "--out" => out = Some(PathBuf::from(value)),
                "--bitrate-bps" => bitrate_bps = number(&name, &value)? as u64,
                "--on-time-ms" => options.on_time = seconds(&name, &value)? / 1000,
                _ => return Err(format!("{name} is not an option; there are {NAMES}")),
            }
        }
        options.film = clip.zip(out).map(|(clip, out)| Film {
            clip,
            out,
            bitrate_bps,
            linger: Duration::from_secs(1),
        });
        if options.url.is_empty() || (options.speech.is_empty() && options.film.is_none()) {
            return Err("--url and a --speech file, or --clip and --out, are required".into());
        }
        if options.sessions == 0 || options.starts_per_s <= 0.0 {
            return Err("--sessions and --starts-per-s must be above zero".into());
        }
        Ok(options)
    }
}

fn number(name: &str, value: &str) -> Result<f64, String> {
    match value.parse::<f64>() {
        Ok(number) if number >= 0.0 && number.is_finite() => Ok(number),
        _ => Err(format!("{name} takes a number, not {value:?}")),
    }
}

fn seconds(name: &str, value: &str) -> Result<Duration, String> {
    number(name, value).map(Duration::from_secs_f64)
}
