//! A load client: many WebRTC calls to one server, from one thread.
//!
//! `fastrtc-load --url http://127.0.0.1:8000/webrtc/offer --sessions 100 --seconds 10 --speech a.wav`
//! connects the sessions one after another, talks on all of them, and prints one JSON object with
//! what came back and when. `--server-pid` adds the server's CPU time and memory.
//!
//! `--clip scene.ivf --out folder` instead of `--speech` makes video calls: the frames of a VP8 clip
//! are shown in a loop, and what came back is left in the folder, to be looked at afterwards.
//!
//! `fastrtc-load floor a.wav` makes no calls: it prints what an echoed frame costs any server at least.
//!
//! It must stay much cheaper than any server: audio is encoded before the first call, and only a few
//! sessions are decoded, for the round trip; video is neither encoded nor decoded.

mod audio;
mod clip;
mod driver;
mod film;
mod filmed;
mod floor;
mod link;
mod options;
mod process;
mod report;
mod run;
mod session;
mod signalling;

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let outcome = if arguments.next_if_eq("floor").is_some() {
        let speech: Vec<_> = arguments.map(Into::into).collect();
        floor::measure(&speech).map(|floor| floor.to_string())
    } else {
        options::Options::parse(arguments)
            .and_then(|options| match &options.film {
                Some(film) => film::run(&options, film),
                None => run::run(&options),
            })
            .map(|report| report.to_string())
    };
    match outcome {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("fastrtc-load: {error}");
            ExitCode::FAILURE
        }
    }
}
