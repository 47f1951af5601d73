//! Posts offers from a few threads of its own, so that a slow answer delays no packet.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::eventfd::EventFd;
use serde_json::{Value, json};

const THREADS: usize = 8;
const TIMEOUT: Duration = Duration::from_secs(60);

/// What became of an offer.
pub struct Answer {
    /// Which session's.
    pub session: usize,
    /// When it was posted.
    pub posted: Instant,
    /// When the answer was here.
    pub answered: Instant,
    /// The server's SDP, or why there is none.
    pub sdp: Result<String, String>,
}

/// The threads, and what they have brought back.
pub struct Signalling {
    offers: Sender<(usize, String)>,
    answers: Receiver<Answer>,
}

impl Signalling {
    /// Starts the threads; `wake` is written to for each answer.
    pub fn start(url: &str, wake: &Arc<EventFd>) -> Self {
        let (offers, queue) = channel::<(usize, String)>();
        let (done, answers) = channel();
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..THREADS {
            let (url, queue, done, wake) =
                (url.to_owned(), queue.clone(), done.clone(), wake.clone());
            std::thread::spawn(move || {
                let agent: ureq::Agent = ureq::Agent::config_builder()
                    .timeout_global(Some(TIMEOUT))
                    .http_status_as_error(false)
                    .build()
                    .into();
                loop {
                    let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    let Ok((session, sdp)) = next else { return };
                    let posted = Instant::now();
                    let sdp = post(&agent, &url, session, &sdp);
                    let answer = Answer {
                        session,
                        posted,
                        answered: Instant::now(),
                        sdp,
                    };
                    if done.send(answer).is_err() || wake.write(1).is_err() {
                        return;
                    }
                }
            });
        }
        Self { offers, answers }
    }

    /// Queues an offer.
    pub fn offer(&self, session: usize, sdp: String) -> Result<(), String> {
        self.offers
            .send((session, sdp))
            .map_err(|_| "the signalling threads have ended".to_owned())
    }

    /// An answer, if one has come.
    pub fn poll(&self) -> Option<Answer> {
        self.answers.try_recv().ok()
    }
}

fn post(agent: &ureq::Agent, url: &str, session: usize, sdp: &str) -> Result<String, String> {
    let body = json!({ "sdp": sdp, "type": "offer", "webrtc_id": format!("load-{}-{session}", std::process::id()) });
    let mut response = agent
        .post(url)
        .send_json(&body)
        .map_err(|error| format!("cannot post to {url}: {error}"))?;
    let status = response.status();
    let answer: Value = response
        .body_mut()
        .read_json()
        .map_err(|error| format!("HTTP {status} and no JSON: {error}"))?;
    match answer["sdp"].as_str() {
        Some(sdp) => Ok(sdp.to_owned()),
        None => Err(format!("HTTP {status}: {answer}")),
    }
}
