//! The receiver thread: reads every socket, finds the peer of each datagram and hands it to the
//! peer's shard. It decrypts nothing, allocates nothing per packet and never takes the GIL.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use str0m::net::Protocol;

use crate::io::control::{Control, Request};
use crate::io::load::Load;
use crate::io::relay_socket::RelaySocket;
use crate::io::router::{Lane, Router};
use crate::io::routes::{Route, Routes};
use crate::io::tcp::TcpConnection;
use crate::io::udp::{Batch, UdpPort};
use crate::io::{MAX_DATAGRAM_BYTES, Via};
use crate::net::{self, Decoder, Rfc4571};

const WAKE: Token = Token(0);
const LISTENER: Token = Token(1);
const FIRST_SOCKET: usize = 2;
/// Batches read from one socket before the others get their turn.
const BATCHES_PER_TURN: usize = 4;
/// TCP connections that have not yet shown which peer they belong to.
const MAX_STRANGERS: usize = 256;
/// How long they may take to show it.
const STRANGER_WITHIN: Duration = Duration::from_secs(5);

enum Watched {
    Udp(usize),
    Stranger {
        connection: Arc<TcpConnection>,
        decoder: Decoder<Rfc4571>,
        since: Instant,
    },
    Client {
        connection: Arc<TcpConnection>,
        decoder: Decoder<Rfc4571>,
        route: Route,
    },
    Relay {
        route: Route,
        index: usize,
        socket: Arc<RelaySocket>,
    },
}

impl Watched {
    fn fd(&self, ports: &[UdpPort]) -> RawFd {
        match self {
            Self::Udp(index) => ports[*index].socket().as_raw_fd(),
            Self::Stranger { connection, .. } | Self::Client { connection, .. } => {
                connection.stream().as_raw_fd()
            }
            Self::Relay { socket, .. } => socket.fd(),
        }
    }
}

/// The thread's state.
pub struct Receiver {
    poll: Poll,
    ports: Arc<Vec<UdpPort>>,
    listener: Option<TcpListener>,
    routes: Arc<Routes>,
    control: Arc<Control>,
    router: Router,
    watched: HashMap<Token, Watched>,
    next_token: usize,
    batch: Batch,
}

impl Receiver {
    /// Prepares the thread; `lanes` lead to the shards in their order.
    ///
    /// # Errors
    /// The system is out of descriptors.
    pub fn new(
        ports: Arc<Vec<UdpPort>>,
        listener: Option<TcpListener>,
        routes: Arc<Routes>,
        lanes: Vec<Lane>,
    ) -> io::Result<(Self, Arc<Control>)> {
        let poll = Poll::new()?;
        let control = Arc::new(Control::new(Waker::new(poll.registry(), WAKE)?));
        if let Some(listener) = &listener {
            listener.set_nonblocking(true)?;
            poll.registry().register(
                &mut SourceFd(&listener.as_raw_fd()),
                LISTENER,
                Interest::READABLE,
            )?;
        }
        let router = Router::new(lanes, Arc::clone(&control));
        let mut receiver = Self {
            poll,
            ports: Arc::clone(&ports),
            listener,
            routes,
            control: Arc::clone(&control),
            router,
            watched: HashMap::new(),
            next_token: FIRST_SOCKET,
            batch: Batch::default(),
        };
        for index in 0..ports.len() {
            receiver.watch(Watched::Udp(index))?;
        }
        Ok((receiver, control))
    }

    fn watch(&mut self, watched: Watched) -> io::Result<()> {
        let token = Token(self.next_token);
        self.next_token += 1;
        let interest = match watched {
            Watched::Udp(_) => Interest::READABLE,
            _ => Interest::READABLE | Interest::WRITABLE,
        };
        self.poll
            .registry()
            .register(&mut SourceFd(&watched.fd(&self.ports)), token, interest)?;
        self.watched.insert(token, watched);
        Ok(())
    }

    fn unwatch(&mut self, token: Token) {
        let Some(watched) = self.watched.remove(&token) else {
            return;
        };
        // A closed descriptor has left the poll by itself.
        let _left = self
            .poll
            .registry()
            .deregister(&mut SourceFd(&watched.fd(&self.ports)));
        if let Watched::Stranger { connection, .. } | Watched::Client { connection, .. } = watched {
            connection.close();
            self.routes.remove_connection(connection.remote);
        }
    }

    /// Runs until told to stop.
    ///
    /// # Errors
    /// The system's poll failed.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(256);
        // Sockets left unfinished, because polls report edges, not levels.
        let mut unfinished: Vec<Token> = Vec::new();
        let mut load = Load::new(Instant::now());
        loop {
            let timeout = if unfinished.is_empty() {
                self.stranger_timeout()
            } else {
                Some(Duration::ZERO)
            };
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            let mut ready = std::mem::take(&mut unfinished);
            for event in &events {
                match event.token() {
                    WAKE => {
                        if self.take_requests() {
                            return Ok(());
                        }
                    }
                    LISTENER => self.accept(),
                    token => {
                        if event.is_writable() {
                            self.flush(token);
                        }
                        if !ready.contains(&token) {
                            ready.push(token);
                        }
                    }
                }
            }
            for token in ready {
                if self.read(token) {
                    unfinished.push(token);
                }
            }
            self.router.wake_touched();
            load.count(std::mem::take(&mut self.router.delivered), Instant::now());
            if let Some(pause) = load.pause() {
                std::thread::sleep(pause);
            }
            self.drop_late_strangers();
        }
    }

    /// Returns whether to stop.
    fn take_requests(&mut self) -> bool {
        for request in self.control.take_requests() {
            match request {
                Request::Stop => return true,
                Request::WatchRelay {
                    route,
                    index,
                    socket,
                } => {
                    // Without a descriptor left the relay stays mute and ICE takes another path.
                    let _out_of_descriptors = self.watch(Watched::Relay {
                        route,
                        index,
                        socket,
                    });
                }
                Request::UnwatchPeer(peer) => {
                    let tokens: Vec<Token> = self
                        .watched
                        .iter()
                        .filter(|(_, watched)| matches!(watched,
                            Watched::Relay { route, .. } | Watched::Client { route, .. } if route.peer == peer))
                        .map(|(token, _)| *token)
                        .collect();
                    for token in tokens {
                        self.unwatch(token);
                    }
                }
            }
        }
        false
    }

    fn accept(&mut self) {
        while let Some(Ok((stream, _))) = self.listener.as_ref().map(TcpListener::accept) {
            let strangers = self
                .watched
                .values()
                .filter(|w| matches!(w, Watched::Stranger { .. }))
                .count();
            if strangers >= MAX_STRANGERS {
                continue;
            }
            let Ok(connection) = TcpConnection::new(stream) else {
                continue;
            };
            let connection = Arc::new(connection);
            self.routes.add_connection(Arc::clone(&connection));
            let decoder = Decoder::new(Rfc4571 {
                max_len: MAX_DATAGRAM_BYTES,
            });
            // Without a descriptor left the connection closes, and ICE takes another path.
            let _out_of_descriptors = self.watch(Watched::Stranger {
                connection,
                decoder,
                since: Instant::now(),
            });
        }
    }

    fn flush(&mut self, token: Token) {
        let flushed = match self.watched.get(&token) {
            Some(Watched::Stranger { connection, .. } | Watched::Client { connection, .. }) => {
                connection.flush()
            }
            Some(Watched::Relay { socket, .. }) => match &**socket {
                RelaySocket::Tcp(connection) => connection.flush(),
                RelaySocket::Udp(_) => Ok(()),
            },
            _ => Ok(()),
        };
        if flushed.is_err() {
            self.unwatch(token);
        }
    }

    /// Reads a socket; true when more may wait.
    fn read(&mut self, token: Token) -> bool {
        let outcome = match self.watched.get(&token) {
            Some(Watched::Udp(index)) => return self.read_port(*index),
            Some(Watched::Relay { socket, .. }) if matches!(**socket, RelaySocket::Udp(_)) => {
                self.read_relay(token)
            }
            Some(_) => self.read_stream(token),
            None => return false,
        };
        match outcome {
            Ok(more) => more,
            Err(_gone) => {
                self.unwatch(token);
                false
            }
        }
    }

    fn read_port(&mut self, index: usize) -> bool {
        let port = &self.ports[index];
        for _ in 0..BATCHES_PER_TURN {
            let at = Instant::now();
            let (router, control, view) = (&mut self.router, &self.control, self.routes.view());
            let outcome = self.batch.read(port, |source, local, bytes| {
                if control.answers_query(bytes, source) {
                    return;
                }
                let route = match net::classify(bytes) {
                    net::Datagram::Check { local_ufrag } => view.by_ufrag(local_ufrag),
                    net::Datagram::Other => None,
                    _ => view.by_address(source),
                };
                let Some(route) = route else {
                    control.unrouted.fetch_add(1, Ordering::Relaxed);
                    return;
                };
                let destination =
                    SocketAddr::new(local.unwrap_or(IpAddr::from([0, 0, 0, 0])), port.port);
                router.deliver(
                    route,
                    Via::Direct(Protocol::Udp),
                    source,
                    destination,
                    at,
                    bytes,
                );
            });
            match outcome {
                Ok(count) if count < quinn_udp::BATCH_SIZE => {}
                Ok(_) => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                // Errors of single destinations (ICMP) are reported here; the socket lives on.
                Err(_) => {}
            }
        }
        true
    }

    fn read_relay(&mut self, token: Token) -> io::Result<bool> {
        let Some(Watched::Relay {
            route,
            index,
            socket,
            ..
        }) = self.watched.get(&token)
        else {
            return Ok(false);
        };
        let RelaySocket::Udp(socket) = &**socket else {
            return Ok(false);
        };
        let (source, destination) = (socket.peer_addr()?, socket.local_addr()?);
        let mut buffer = [0; MAX_DATAGRAM_BYTES];
        for _ in 0..64 {
            match socket.recv(&mut buffer) {
                Ok(len) => self.router.deliver(
                    *route,
                    Via::Relay(*index),
                    source,
                    destination,
                    Instant::now(),
                    &buffer[..len],
                ),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                // A refused port is the server's trouble; its next answer may come all the same.
                Err(_) => {}
            }
        }
        Ok(true)
    }

    fn read_stream(&mut self, token: Token) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        let at = Instant::now();
        let Some(watched) = self.watched.get_mut(&token) else {
            return Ok(false);
        };
        let connection = match watched {
            Watched::Stranger { connection, .. } | Watched::Client { connection, .. } => {
                Arc::clone(connection)
            }
            Watched::Relay {
                socket,
                route,
                index,
            } => {
                let RelaySocket::Tcp(connection) = &**socket else {
                    return Ok(false);
                };
                // The allocation puts the stream together again; no bytes tell it of the end.
                let piece = &mut buffer[..MAX_DATAGRAM_BYTES];
                let outcome = read_some(connection, piece);
                let Some(len) = outcome.as_ref().map_or(Some(0), |len| *len) else {
                    return Ok(false);
                };
                self.router.deliver(
                    *route,
                    Via::Relay(*index),
                    connection.remote,
                    connection.local,
                    at,
                    &piece[..len],
                );
                return outcome.map(|_| true);
            }
            Watched::Udp(_) => return Ok(false),
        };
        let Some(len) = read_some(&connection, &mut buffer)? else {
            return Ok(false);
        };
        let Some((mut decoder, mut route)) = self.take_stream(token) else {
            return Ok(false);
        };
        decoder.push(&buffer[..len]);
        while let Some(packet) = decoder.next_message() {
            let packet = packet.map_err(io::Error::other)?;
            if let net::Datagram::Check { local_ufrag } = net::classify(packet) {
                route = self.routes.view().by_ufrag(local_ufrag);
            }
            // A connection that does not begin with a check for one of our peers is not ICE's.
            let known = route.ok_or(io::ErrorKind::InvalidData)?;
            self.router.deliver(
                known,
                Via::Direct(Protocol::Tcp),
                connection.remote,
                connection.local,
                at,
                packet,
            );
        }
        let watched = match route {
            Some(route) => Watched::Client {
                connection,
                decoder,
                route,
            },
            None => Watched::Stranger {
                connection,
                decoder,
                since: at,
            },
        };
        self.watched.insert(token, watched);
        Ok(true)
    }

    /// Takes a client's decoder out for the time of one read, leaving the entry in place.
    fn take_stream(&mut self, token: Token) -> Option<(Decoder<Rfc4571>, Option<Route>)> {
        let empty = || {
            Decoder::new(Rfc4571 {
                max_len: MAX_DATAGRAM_BYTES,
            })
        };
        match self.watched.get_mut(&token)? {
            Watched::Stranger { decoder, .. } => Some((std::mem::replace(decoder, empty()), None)),
            Watched::Client { decoder, route, .. } => {
                Some((std::mem::replace(decoder, empty()), Some(*route)))
            }
            _ => None,
        }
    }

    fn stranger_timeout(&self) -> Option<Duration> {
        self.watched
            .values()
            .any(|w| matches!(w, Watched::Stranger { .. }))
            .then_some(Duration::from_secs(1))
    }

    fn drop_late_strangers(&mut self) {
        let now = Instant::now();
        let late: Vec<Token> = self
            .watched
            .iter()
            .filter(|(_, w)| matches!(w, Watched::Stranger { since, .. } if now - *since > STRANGER_WITHIN))
            .map(|(token, _)| *token)
            .collect();
        for token in late {
            self.unwatch(token);
        }
    }
}

/// What a stream has, None when nothing waits; its end is an error.
fn read_some(connection: &TcpConnection, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    match connection.read(buffer) {
        Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
        Ok(len) => Ok(Some(len)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}
