//! A UDP proxy between clients and one server, whose network a test can make bad while it runs.
//!
//! `fastrtc-netem --target 127.0.0.1:7000 [--listen 127.0.0.1:0] [--seed 1]` prints
//! `{"port": 40123}` and then obeys JSON lines on standard input, answering each with one line:
//!
//! - `{"set": {"loss": 0.1}}` changes both directions; `{"set": {...}, "direction": "up"}` (client to
//!   server) or `"down"` one of them. Fields: see [`conditions::Change`].
//! - `{"rebind": true}` gives every client a new source port towards the server, as a NAT that forgot does.
//! - `{"stats": true}` answers with the packets counted in each direction.
//!
//! It ends when its standard input does, so it never outlives the test that started it.
//! It must not look into packets.

mod conditions;
mod path;
mod proxy;

use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

use mio::Waker;

use crate::proxy::Proxy;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("fastrtc-netem: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let options = Options::parse(std::env::args().skip(1))?;
    let mut proxy = Proxy::bind(options.listen, options.target, options.seed)
        .map_err(|error| format!("cannot listen on {}: {error}", options.listen))?;
    say(&serde_json::json!({ "port": proxy.port() }));
    let (sender, lines) = mpsc::channel();
    let waker = Arc::new(proxy.waker().map_err(|error| error.to_string())?);
    std::thread::spawn(move || read_lines(&sender, &waker));
    loop {
        proxy
            .turn()
            .map_err(|error| format!("the network failed: {error}"))?;
        loop {
            match lines.try_recv() {
                Ok(line) => say(&match proxy.obey(&line) {
                    Ok(answer) => answer,
                    Err(error) => serde_json::json!({ "error": error }),
                }),
                Err(mpsc::TryRecvError::Empty) => break,
                Err(mpsc::TryRecvError::Disconnected) => return Ok(()),
            }
        }
    }
}

fn read_lines(sender: &mpsc::Sender<String>, waker: &Waker) {
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if sender.send(line).is_err() || waker.wake().is_err() {
            return;
        }
    }
    // Standard input has ended; whoever waits in `turn` sees the closed channel next.
    std::process::exit(0);
}

fn say(value: &serde_json::Value) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{value}").and_then(|()| out.flush()).is_err() {
        std::process::exit(0);
    }
}

struct Options {
    listen: SocketAddr,
    target: SocketAddr,
    seed: u64,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut listen = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut target = None;
        let mut seed = 1;
        while let Some(name) = arguments.next() {
            let value = arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))?;
            let wrong = |what: &str| format!("{name} takes {what}, not {value:?}");
            match name.as_str() {
                "--listen" => listen = value.parse().map_err(|_| wrong("ip:port"))?,
                "--target" => target = Some(value.parse().map_err(|_| wrong("ip:port"))?),
                "--seed" => seed = value.parse().map_err(|_| wrong("a number"))?,
                _ => {
                    return Err(format!(
                        "{name} is not an option; there are --target, --listen and --seed"
                    ));
                }
            }
        }
        Ok(Self {
            listen,
            target: target.ok_or("--target ip:port is required")?,
            seed,
        })
    }
}
