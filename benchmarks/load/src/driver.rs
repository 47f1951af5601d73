//! The loop: sockets, and the clock that every session speaks by. What is measured is `run`'s.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::socket::sockopt::ReceiveTimestampns;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn, recvmsg, setsockopt};
use nix::sys::time::TimeSpec;
use str0m::net::Transmit;

use crate::link::Session;
use crate::signalling::Signalling;

/// A call that connects is looked after at least this often.
const HURRY: Duration = Duration::from_millis(20);
const WAKE: u64 = u64::MAX;
const LARGEST_DATAGRAM: usize = 2048;

/// A session with its socket and its place in the run.
pub struct Call<S> {
    /// The protocol, and what is said.
    pub session: S,
    /// When its offer was posted.
    pub posted: Option<Instant>,
    /// When the answer came.
    pub answered: Option<Instant>,
    socket: UdpSocket,
    offer: String,
}

/// All calls of a run, on one thread.
pub struct Driver<S> {
    /// The calls, by number.
    pub calls: Vec<Call<S>>,
    /// How much later than its time each frame left us, since the list was last taken.
    pub late_ms: Vec<f64>,
    epoll: Epoll,
    events: Vec<EpollEvent>,
    wake: Arc<EventFd>,
    signalling: Signalling,
    connecting: Vec<usize>,
    epoch: Instant,
    period: Duration,
    /// Frames that the clock has handed out, over all sessions.
    ticks: u64,
    out: Vec<Transmit>,
    buffer: Vec<u8>,
}

impl<S: Session> Driver<S> {
    /// Opens a socket for each of `count` calls, each of which says a frame every `period`; `call`
    /// makes one, with its offer, of its number, address and the present.
    pub fn new(
        url: &str,
        count: usize,
        period: Duration,
        mut call: impl FnMut(usize, SocketAddr, Instant) -> Result<(S, String), String>,
    ) -> Result<Self, String> {
        let failed = |error: io::Error| format!("cannot open sockets: {error}");
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(system)?;
        let wake = Arc::new(EventFd::new().map_err(system)?);
        epoll
            .add(&*wake, EpollEvent::new(EpollFlags::EPOLLIN, WAKE))
            .map_err(system)?;
        let epoch = Instant::now();
        let mut calls = Vec::with_capacity(count);
        for index in 0..count {
            let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
            socket.set_nonblocking(true).map_err(failed)?;
            setsockopt(&socket, ReceiveTimestampns, &true).map_err(system)?;
            epoll
                .add(&socket, EpollEvent::new(EpollFlags::EPOLLIN, index as u64))
                .map_err(system)?;
            let local = socket.local_addr().map_err(failed)?;
            let (session, offer) = call(index, local, epoch)?;
            calls.push(Call {
                session,
                posted: None,
                answered: None,
                socket,
                offer,
            });
        }
        Ok(Self {
            calls,
            late_ms: Vec::new(),
            epoll,
            events: vec![EpollEvent::empty(); 256],
            signalling: Signalling::start(url, &wake),
            wake,
            connecting: Vec::new(),
            epoch,
            period,
            ticks: 0,
            out: Vec::new(),
            buffer: vec![0; LARGEST_DATAGRAM],
        })
    }

    /// Posts a call's offer.
    pub fn start(&mut self, call: usize) -> Result<(), String> {
        let offer = std::mem::take(&mut self.calls[call].offer);
        self.signalling.offer(call, offer)
    }

    /// Whether every call was heard or has failed.
    pub fn settled(&self) -> bool {
        self.calls
            .iter()
            .all(|call| call.session.is_heard() || call.session.link().failure.is_some())
    }

    /// Frames sent so far, over all calls.
    pub fn sent(&self) -> u64 {
        self.calls.iter().map(|call| call.session.sent()).sum()
    }

    /// Lets the calls go on until then.
    pub fn run_until(&mut self, end: Instant) -> Result<(), String> {
        while Instant::now() < end {
            self.turn()?;
        }
        Ok(())
    }

    /// Sends what is due, sleeps until something comes or the next frame is due, takes what came.
    pub fn turn(&mut self) -> Result<(), String> {
        self.say();
        let next = self.hurry().min(self.due(self.ticks));
        let wait = next.saturating_duration_since(Instant::now());
        // epoll counts in whole milliseconds; rounding down would make the loop spin.
        let timeout = EpollTimeout::from(wait.as_micros().div_ceil(1000).min(20) as u8);
        let ready = match self.epoll.wait(&mut self.events, timeout) {
            Ok(ready) => ready,
            Err(Errno::EINTR) => 0,
            Err(error) => return Err(system(error)),
        };
        // The kernel stamps packets with the wall clock; this pair translates.
        let clocks = (Instant::now(), SystemTime::now());
        for index in 0..ready {
            match self.events[index].data() {
                WAKE => self.take_answers()?,
                call => self.receive(call as usize, clocks)?,
            }
        }
        Ok(())
    }

    /// Says goodbye on all calls.
    pub fn hang_up(&mut self) {
        for call in &mut self.calls {
            call.session.link_mut().close(&mut self.out);
            send(&call.socket, &mut self.out);
        }
    }

    /// When the clock hands out a frame: the calls' phases are spread evenly.
    fn due(&self, tick: u64) -> Instant {
        let count = self.calls.len() as u64;
        let phase = self.period.mul_f64((tick % count) as f64 / count as f64);
        self.epoch + self.period * (tick / count) as u32 + phase
    }

    fn say(&mut self) {
        let now = Instant::now();
        loop {
            let due = self.due(self.ticks);
            if due > now {
                return;
            }
            let index = (self.ticks % self.calls.len() as u64) as usize;
            let call = &mut self.calls[index];
            self.late_ms.push((now - due).as_secs_f64() * 1000.0);
            self.ticks += 1;
            call.session.tick(now, &mut self.out);
            send(&call.socket, &mut self.out);
        }
    }

    /// Serves the calls that are connecting, whose next step must not wait for the clock;
    /// when the first of them wants to be served again.
    fn hurry(&mut self) -> Instant {
        let now = Instant::now();
        let (calls, out) = (&mut self.calls, &mut self.out);
        self.connecting
            .retain(|index| calls[*index].session.link().is_connecting());
        let mut next = now + HURRY;
        for index in &self.connecting {
            let call = &mut calls[*index];
            if call.session.link().timeout <= now {
                call.session.tick(now, out);
                send(&call.socket, out);
            }
            next = next.min(call.session.link().timeout);
        }
        next
    }

    fn take_answers(&mut self) -> Result<(), String> {
        self.wake.read().map_err(system)?;
        while let Some(answer) = self.signalling.poll() {
            let call = &mut self.calls[answer.session];
            call.posted = Some(answer.posted);
            call.answered = Some(answer.answered);
            match answer
                .sdp
                .and_then(|sdp| call.session.link_mut().answer(&sdp, Instant::now()))
            {
                Ok(()) => self.connecting.push(answer.session),
                Err(error) => call.session.link_mut().failure = Some(error),
            }
        }
        Ok(())
    }

    fn receive(&mut self, index: usize, clocks: (Instant, SystemTime)) -> Result<(), String> {
        let call = &mut self.calls[index];
        let mut control = nix::cmsg_space!(TimeSpec);
        let (length, source, at) = {
            let mut parts = [io::IoSliceMut::new(&mut self.buffer)];
            let message = recvmsg::<SockaddrIn>(
                call.socket.as_raw_fd(),
                &mut parts,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            );
            let message = match message {
                Ok(message) => message,
                // The latter reports that the server's port was closed when we sent.
                Err(Errno::EAGAIN | Errno::ECONNREFUSED) => return Ok(()),
                Err(error) => return Err(system(error)),
            };
            let stamp = message
                .cmsgs()
                .map_err(system)?
                .find_map(|control| match control {
                    ControlMessageOwned::ScmTimestampns(stamp) => Some(Duration::from(stamp)),
                    _ => None,
                });
            let age = stamp
                .and_then(|stamp| clocks.1.duration_since(UNIX_EPOCH + stamp).ok())
                .unwrap_or_default();
            let Some(source) = message.address else {
                return Ok(());
            };
            let source = SocketAddr::from(SocketAddrV4::new(source.ip(), source.port()));
            (
                message.bytes,
                source,
                clocks.0.checked_sub(age).unwrap_or(clocks.0),
            )
        };
        call.session
            .receive(&self.buffer[..length], source, at, &mut self.out);
        send(&call.socket, &mut self.out);
        Ok(())
    }
}

/// Sends, and forgets what the kernel would not take: that is a lost packet.
fn send(socket: &UdpSocket, out: &mut Vec<Transmit>) {
    for transmit in out.drain(..) {
        let _lost = socket.send_to(&transmit.contents, transmit.destination);
    }
}

fn system(error: Errno) -> String {
    format!("the operating system refused: {error}")
}
