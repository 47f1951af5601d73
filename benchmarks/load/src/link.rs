//! One call's engine, without sockets: offer and answer, datagrams and times in, datagrams and
//! events out. What is said in a call is `session`'s and `picture`'s.

use std::net::SocketAddr;
use std::time::Instant;

use str0m::change::{SdpAnswer, SdpPendingOffer};
use str0m::media::{Direction, MediaKind, Mid};
use str0m::net::{Protocol, Receive, Transmit};
use str0m::{Candidate, Event, Input, Output, Rtc, RtcConfig};

/// A call of any kind, as the driver sees it.
pub trait Session {
    /// Its engine.
    fn link(&self) -> &Link;

    /// Its engine.
    fn link_mut(&mut self) -> &mut Link;

    /// Says what is due at this tick of the driver's clock; only while connected.
    fn say(&mut self, now: Instant);

    /// Takes what the engine tells; `at` is when the kernel had what caused it.
    fn handle(&mut self, event: Event, at: Instant);

    /// Whether something came back.
    fn is_heard(&self) -> bool;

    /// Frames sent so far.
    fn sent(&self) -> u64;

    /// Takes a datagram that the kernel received at `at`.
    fn receive(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        at: Instant,
        out: &mut Vec<Transmit>,
    ) {
        self.link_mut().receive(datagram, source, at, out);
        self.handle_all(at);
    }

    /// Says what is due, if the call is up, and lets the engine do what is due.
    fn tick(&mut self, now: Instant, out: &mut Vec<Transmit>) {
        if self.link().failure.is_some() {
            return;
        }
        if self.link().connected {
            self.say(now);
        }
        self.link_mut().tick(now, out);
        self.handle_all(now);
    }

    /// Passes on the events of the last step.
    fn handle_all(&mut self, at: Instant) {
        for event in std::mem::take(&mut self.link_mut().events) {
            self.handle(event, at);
        }
    }
}

/// The engine of a call.
pub struct Link {
    /// What speaks the protocols.
    pub rtc: Rtc,
    /// The track of this call.
    pub mid: Mid,
    /// Whether the call is up.
    pub connected: bool,
    /// When the engine wants to be called.
    pub timeout: Instant,
    /// Why the call ended before its time.
    pub failure: Option<String>,
    local: SocketAddr,
    pending: Option<SdpPendingOffer>,
    events: Vec<Event>,
}

impl Link {
    /// A call with one track both ways and a data channel, and its offer.
    pub fn new(
        config: RtcConfig,
        kind: MediaKind,
        local: SocketAddr,
        now: Instant,
    ) -> Result<(Self, String), String> {
        let mut rtc = config.build(now);
        let candidate = Candidate::host(local, "udp").map_err(|error| error.to_string())?;
        rtc.add_local_candidate(candidate);
        let mut changes = rtc.sdp_api();
        let mid = changes.add_media(kind, Direction::SendRecv, None, None, None);
        changes.add_channel("text".into());
        let (offer, pending) = changes.apply().ok_or("there was nothing to offer")?;
        let link = Self {
            rtc,
            mid,
            connected: false,
            timeout: now,
            failure: None,
            local,
            pending: Some(pending),
            events: Vec::new(),
        };
        Ok((link, offer.to_sdp_string()))
    }

    /// Takes the server's answer.
    pub fn answer(&mut self, sdp: &str, now: Instant) -> Result<(), String> {
        let answer = SdpAnswer::from_sdp_string(sdp).map_err(|error| error.to_string())?;
        let pending = self.pending.take().ok_or("a second answer came")?;
        self.rtc
            .sdp_api()
            .accept_answer(pending, answer)
            .map_err(|error| error.to_string())?;
        // The answer gives the engine something to do at once.
        self.timeout = now;
        Ok(())
    }

    /// Whether the call is neither up nor over.
    pub fn is_connecting(&self) -> bool {
        !self.connected && self.failure.is_none()
    }

    /// Hangs up.
    pub fn close(&mut self, out: &mut Vec<Transmit>) {
        if self.rtc.close().is_ok() {
            self.drain(out);
        }
    }

    /// The call is over before its time.
    pub fn fail(&mut self, reason: &str) {
        self.connected = false;
        self.failure.get_or_insert_with(|| reason.to_owned());
    }

    fn receive(
        &mut self,
        datagram: &[u8],
        source: SocketAddr,
        at: Instant,
        out: &mut Vec<Transmit>,
    ) {
        let contents = match datagram.try_into() {
            Ok(contents) => contents,
            Err(error) => return self.fail(&format!("a strange datagram came: {error}")),
        };
        let receive = Receive {
            proto: Protocol::Udp,
            source,
            destination: self.local,
            contents,
        };
        match self.rtc.handle_input(Input::Receive(at, receive)) {
            Ok(()) => self.drain(out),
            Err(error) => self.fail(&error.to_string()),
        }
    }

    fn tick(&mut self, now: Instant, out: &mut Vec<Transmit>) {
        if self.connected || now >= self.timeout {
            match self.rtc.handle_input(Input::Timeout(now)) {
                Ok(()) => self.drain(out),
                Err(error) => self.fail(&error.to_string()),
            }
        }
    }

    fn drain(&mut self, out: &mut Vec<Transmit>) {
        loop {
            match self.rtc.poll_output() {
                Ok(Output::Timeout(at)) => {
                    self.timeout = at;
                    return;
                }
                Ok(Output::Transmit(transmit)) => out.push(transmit),
                Ok(Output::Event(Event::Connected)) => self.connected = true,
                Ok(Output::Event(Event::Closed)) => self.fail("the server hung up"),
                Ok(Output::Event(event)) => self.events.push(event),
                Err(error) => return self.fail(&error.to_string()),
            }
        }
    }
}
