//! Asks STUN and TURN servers for addresses before an answer is given, within a stated time.
//! Runs on the thread of the caller and on short-lived helpers, never on a media thread.

use std::collections::HashMap;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::io::MAX_DATAGRAM_BYTES;
use crate::io::relay_socket::RelaySocket;
use crate::io::tcp::TcpConnection;
use crate::net::{
    BindingQuery, IceServer, QueryState, Relay, RelayConfig, RelayEvent, Service, Transport,
};
use crate::shard::{RelayPath, Shared};

/// The answer does not wait longer than this for any server.
pub const GATHER_WITHIN: Duration = Duration::from_millis(500);
/// How long a late allocation may take to be given back.
const RELEASE_WITHIN: Duration = Duration::from_secs(1);
/// A socket's time-out cannot be zero.
const SHORTEST_WAIT: Duration = Duration::from_millis(1);
/// How long a server-reflexive address is believed without asking again.
const REFLEXIVE_VALID: Duration = Duration::from_secs(30);

/// Server-reflexive addresses by server, with the time they were learned.
pub type ReflexiveCache = Mutex<HashMap<SocketAddr, (SocketAddr, Instant)>>;

/// A server and who we are to it.
#[derive(Debug, Clone)]
pub struct IceServerLogin {
    /// `stun:` or `turn:` URL.
    pub url: String,
    /// User name, for TURN.
    pub username: String,
    /// Password, for TURN.
    pub credential: String,
}

/// What the servers gave.
#[derive(Default)]
pub struct Gathered {
    /// Our addresses as STUN servers see them.
    pub reflexive: Vec<SocketAddr>,
    /// TURN allocations.
    pub relays: Vec<RelayPath>,
    /// One sentence for each server that gave nothing.
    pub failures: Vec<String>,
}

enum Answer {
    Reflexive(SocketAddr),
    Relay(Box<RelayPath>),
    Failure(String),
}

/// Asks all `servers` at once; what has not answered in time is a failure.
pub fn gather(
    shared: &Arc<Shared>,
    cache: &Arc<ReflexiveCache>,
    servers: &[IceServerLogin],
    port: u16,
) -> Gathered {
    let deadline = Instant::now() + GATHER_WITHIN;
    let (sender, answers) = mpsc::channel();
    let mut gathered = Gathered::default();
    let mut waiting: Vec<&str> = Vec::new();
    for login in servers {
        let (shared, cache, login_, sender) = (
            Arc::clone(shared),
            Arc::clone(cache),
            login.clone(),
            sender.clone(),
        );
        let asked = std::thread::Builder::new()
            .name("fastrtc-gather".into())
            .spawn(move || {
                let answer =
                    ask(&shared, &cache, &login_, port, deadline).unwrap_or_else(Answer::Failure);
                // Nobody waits any more: a late allocation is given back.
                if let Err(mpsc::SendError((_, Answer::Relay(mut path)))) =
                    sender.send((login_.url, answer))
                {
                    path.relay.close(Instant::now());
                    let _lost_like_any_datagram = path.flush(Instant::now());
                }
            });
        match asked {
            Ok(_detached) => waiting.push(&login.url),
            Err(error) => gathered.failures.push(format!("{}: {error}", login.url)),
        }
    }
    drop(sender);
    while !waiting.is_empty() {
        let Ok((url, answer)) =
            answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        else {
            break;
        };
        if let Some(index) = waiting.iter().position(|w| *w == url) {
            waiting.swap_remove(index);
        }
        match answer {
            Answer::Reflexive(address) => gathered.reflexive.push(address),
            Answer::Relay(path) => gathered.relays.push(*path),
            Answer::Failure(reason) => gathered.failures.push(format!("{url}: {reason}")),
        }
    }
    let late = waiting
        .iter()
        .map(|url| format!("{url}: no answer within {} ms", GATHER_WITHIN.as_millis()));
    gathered.failures.extend(late);
    gathered
}

fn ask(
    shared: &Shared,
    cache: &ReflexiveCache,
    login: &IceServerLogin,
    port: u16,
    deadline: Instant,
) -> Result<Answer, String> {
    let server = IceServer::parse(&login.url).map_err(|error| error.to_string())?;
    let address = (server.host.as_str(), server.port)
        .to_socket_addrs()
        .map_err(|error| error.to_string())?
        .find(|address| shared.ports.iter().any(|port| port.serves(*address)))
        .ok_or("the name has no address of an IP version that this machine has")?;
    match server.service {
        Service::Stun => reflexive(shared, cache, address, port, deadline).map(Answer::Reflexive),
        Service::Turn(transport) => {
            relay(address, transport, login, deadline).map(|path| Answer::Relay(Box::new(path)))
        }
    }
}

/// Our address as `server` sees it, asked from the shared port.
fn reflexive(
    shared: &Shared,
    cache: &ReflexiveCache,
    server: SocketAddr,
    port: u16,
    deadline: Instant,
) -> Result<SocketAddr, String> {
    let known = cache
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .get(&server)
        .copied();
    if let Some((mapped, since)) = known
        && since.elapsed() < REFLEXIVE_VALID
    {
        return Ok(mapped);
    }
    let socket = shared
        .ports
        .iter()
        .find(|p| p.serves(server))
        .ok_or("no socket of its IP version")?;
    let local = SocketAddr::new([0, 0, 0, 0].into(), port);
    let mut query = BindingQuery::new(server, local, Instant::now());
    let (sender, answers) = mpsc::channel();
    let mut transaction = None;
    let outcome = loop {
        let now = Instant::now();
        while let Some(request) = query.poll_transmit(now) {
            if transaction.is_none() {
                // RFC 8489: the transaction id is the last 12 bytes of the header.
                let id: [u8; 12] = request[8..20]
                    .try_into()
                    .map_err(|_| "a request without header")?;
                shared.control.expect(id, sender.clone());
                transaction = Some(id);
            }
            if let Err(error) = socket.send(None, server, &request) {
                forget(&mut transaction, shared);
                return Err(error.to_string());
            }
        }
        if now >= deadline {
            break Err("no answer in time".to_owned());
        }
        let until = query.timeout().unwrap_or(deadline).min(deadline);
        if let Ok((bytes, from)) = answers.recv_timeout(until.saturating_duration_since(now)) {
            query.handle_response(&bytes, from, Instant::now());
        }
        match query.state() {
            QueryState::Waiting => {}
            QueryState::Mapped(mapped) => break Ok(*mapped),
            QueryState::TimedOut => break Err("no answer in time".to_owned()),
            QueryState::Refused(reason) => break Err(reason.clone()),
        }
    };
    forget(&mut transaction, shared);
    if let Ok(mapped) = outcome {
        cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(server, (mapped, Instant::now()));
    }
    outcome
}

fn forget(transaction: &mut Option<[u8; 12]>, shared: &Shared) {
    if let Some(id) = transaction.take() {
        shared.control.forget(id);
    }
}

/// An allocation on `server`, over a socket of its own.
fn relay(
    server: SocketAddr,
    transport: Transport,
    login: &IceServerLogin,
    deadline: Instant,
) -> Result<RelayPath, String> {
    let left = deadline
        .saturating_duration_since(Instant::now())
        .max(SHORTEST_WAIT);
    let (socket, local) = connect(server, transport, left).map_err(|error| error.to_string())?;
    let config = RelayConfig {
        server,
        transport,
        username: login.username.clone(),
        credential: login.credential.clone(),
        local,
    };
    let mut relay = Relay::new(config, Instant::now()).map_err(|error| error.to_string())?;
    match drive(&mut relay, &socket, deadline)? {
        Some(RelayEvent::Allocated { relayed, .. }) => {
            socket
                .set_nonblocking()
                .map_err(|error| error.to_string())?;
            Ok(RelayPath {
                relay,
                socket: Arc::new(socket),
                relayed,
            })
        }
        Some(RelayEvent::Failed(failure)) => Err(failure.to_string()),
        _ => {
            // The request may still succeed: what it allocates is given back.
            relay.close(Instant::now());
            drive(&mut relay, &socket, Instant::now() + RELEASE_WITHIN)?;
            Err("no allocation in time".into())
        }
    }
}

/// Exchanges messages with the server until something has happened or the time is up.
fn drive(
    relay: &mut Relay,
    socket: &RelaySocket,
    deadline: Instant,
) -> Result<Option<RelayEvent>, String> {
    let mut buffer = [0; MAX_DATAGRAM_BYTES];
    loop {
        let now = Instant::now();
        while let Some(message) = relay.poll_transmit(now) {
            socket.send(&message).map_err(|error| error.to_string())?;
        }
        if let Some(event) = relay.poll_event() {
            return Ok(Some(event));
        }
        if now >= deadline {
            return Ok(None);
        }
        let until = relay.timeout().unwrap_or(deadline).min(deadline);
        let wait = until.saturating_duration_since(now).max(SHORTEST_WAIT);
        match receive(socket, &mut buffer, wait) {
            Ok(len) => match socket {
                RelaySocket::Udp(_) => relay.handle_datagram(&buffer[..len], Instant::now()),
                RelaySocket::Tcp(_) => relay.handle_stream(&buffer[..len], Instant::now()),
            },
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn connect(
    server: SocketAddr,
    transport: Transport,
    within: Duration,
) -> io::Result<(RelaySocket, SocketAddr)> {
    match transport {
        Transport::Udp => {
            let any: SocketAddr = if server.is_ipv4() {
                ([0, 0, 0, 0], 0).into()
            } else {
                ([0; 16], 0).into()
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(server)?;
            let local = socket.local_addr()?;
            Ok((RelaySocket::Udp(socket), local))
        }
        Transport::Tcp => {
            let connection = TcpConnection::new(TcpStream::connect_timeout(&server, within)?)?;
            connection.stream().set_nonblocking(false)?;
            let local = connection.local;
            Ok((RelaySocket::Tcp(connection), local))
        }
    }
}

fn receive(socket: &RelaySocket, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
    match socket {
        RelaySocket::Udp(socket) => {
            socket.set_read_timeout(Some(wait))?;
            socket.recv(buffer)
        }
        RelaySocket::Tcp(connection) => {
            connection.stream().set_read_timeout(Some(wait))?;
            connection.stream().read(buffer)
        }
    }
}
