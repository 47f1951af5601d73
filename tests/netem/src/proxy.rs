//! The sockets: one that clients know, and one per client towards the server.
//! What happens to a packet in between is `path`'s.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::time::Instant;

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::conditions::{Change, Conditions};
use crate::path::{Counts, Path};

const CLIENTS: Token = Token(0);
const COMMANDS: Token = Token(1);
const FIRST_CLIENT: usize = 2;
const LARGEST_DATAGRAM: usize = 65_536;

/// A proxy that is listening.
pub struct Proxy {
    poll: Poll,
    events: Events,
    socket: UdpSocket,
    target: SocketAddr,
    seed: u64,
    up: Conditions,
    down: Conditions,
    clients: HashMap<SocketAddr, Client>,
    tokens: HashMap<Token, SocketAddr>,
    next_token: usize,
    buffer: Vec<u8>,
}

struct Client {
    token: Token,
    upstream: UdpSocket,
    up: Path,
    down: Path,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Command {
    set: Option<Change>,
    direction: Option<Direction>,
    #[serde(default)]
    rebind: bool,
    #[serde(default)]
    stats: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Direction {
    Up,
    Down,
}

impl Proxy {
    /// Listens, and forwards to `target` over a perfect wire until told otherwise.
    pub fn bind(listen: SocketAddr, target: SocketAddr, seed: u64) -> io::Result<Self> {
        let poll = Poll::new()?;
        let mut socket = UdpSocket::bind(listen)?;
        poll.registry()
            .register(&mut socket, CLIENTS, Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(256),
            socket,
            target,
            seed,
            up: Conditions::default(),
            down: Conditions::default(),
            clients: HashMap::new(),
            tokens: HashMap::new(),
            next_token: FIRST_CLIENT,
            buffer: vec![0; LARGEST_DATAGRAM],
        })
    }

    /// The port clients send to.
    pub fn port(&self) -> u16 {
        self.socket.local_addr().map_or(0, |address| address.port())
    }

    /// Something that ends a wait in [`Proxy::turn`] from another thread.
    pub fn waker(&self) -> io::Result<Waker> {
        Waker::new(self.poll.registry(), COMMANDS)
    }

    /// Waits for packets, a due time or the waker, and moves what can be moved.
    pub fn turn(&mut self) -> io::Result<()> {
        let now = Instant::now();
        let wait = self
            .clients
            .values()
            .flat_map(|client| [client.up.timeout(), client.down.timeout()])
            .flatten()
            .min()
            .map(|due| due.saturating_duration_since(now));
        match self.poll.poll(&mut self.events, wait) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let ready: Vec<Token> = self.events.iter().map(|event| event.token()).collect();
        for token in ready {
            match token {
                CLIENTS => self.read_clients()?,
                COMMANDS => {}
                upstream => self.read_upstream(upstream),
            }
        }
        self.flush(Instant::now());
        Ok(())
    }

    /// Carries out one command line and returns the answer to print.
    pub fn obey(&mut self, line: &str) -> Result<Value, String> {
        let command: Command =
            serde_json::from_str(line).map_err(|error| format!("{error} in {line:?}"))?;
        if let Some(change) = command.set {
            if command.direction != Some(Direction::Down) {
                self.up = self.up.changed(&change)?;
            }
            if command.direction != Some(Direction::Up) {
                self.down = self.down.changed(&change)?;
            }
            for client in self.clients.values_mut() {
                client.up.set_conditions(self.up);
                client.down.set_conditions(self.down);
            }
        }
        if command.rebind {
            self.rebind().map_err(|error| error.to_string())?;
        }
        Ok(if command.stats {
            self.stats()
        } else {
            json!({ "ok": true })
        })
    }

    fn rebind(&mut self) -> io::Result<()> {
        for client in self.clients.values_mut() {
            self.poll.registry().deregister(&mut client.upstream)?;
            client.upstream = upstream(self.target)?;
            self.poll.registry().register(
                &mut client.upstream,
                client.token,
                Interest::READABLE,
            )?;
        }
        Ok(())
    }

    fn stats(&self) -> Value {
        let sum = |counts: &mut dyn Iterator<Item = Counts>| {
            counts.fold(Counts::default(), |total, one| Counts {
                received: total.received + one.received,
                sent: total.sent + one.sent,
                reordered: total.reordered + one.reordered,
            })
        };
        json!({
            "clients": self.clients.len(),
            "up": sum(&mut self.clients.values().map(|client| client.up.counts())),
            "down": sum(&mut self.clients.values().map(|client| client.down.counts())),
        })
    }

    fn read_clients(&mut self) -> io::Result<()> {
        loop {
            let (length, source) = match self.socket.recv_from(&mut self.buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                // Linux reports an ICMP "unreachable" of an earlier send here.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error),
            };
            if !self.clients.contains_key(&source) {
                self.admit(source)?;
            }
            if let Some(client) = self.clients.get_mut(&source) {
                client.up.push(&self.buffer[..length], Instant::now());
            }
        }
    }

    fn admit(&mut self, source: SocketAddr) -> io::Result<()> {
        let token = Token(self.next_token);
        self.next_token += 1;
        let mut upstream = upstream(self.target)?;
        self.poll
            .registry()
            .register(&mut upstream, token, Interest::READABLE)?;
        let seed = self
            .seed
            .wrapping_mul(1000)
            .wrapping_add(token.0 as u64 * 2);
        self.tokens.insert(token, source);
        self.clients.insert(
            source,
            Client {
                token,
                upstream,
                up: Path::new(self.up, seed),
                down: Path::new(self.down, seed + 1),
            },
        );
        Ok(())
    }

    fn read_upstream(&mut self, token: Token) {
        let Some(client) = self
            .tokens
            .get(&token)
            .and_then(|source| self.clients.get_mut(source))
        else {
            return;
        };
        loop {
            match client.upstream.recv(&mut self.buffer) {
                Ok(length) => client.down.push(&self.buffer[..length], Instant::now()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(_) => return,
            }
        }
    }

    /// Sends what is due. A full socket buffer loses the packet, as a full router does.
    fn flush(&mut self, now: Instant) {
        for (source, client) in &mut self.clients {
            while let Some(packet) = client.up.poll(now) {
                let _full = client.upstream.send(&packet);
            }
            while let Some(packet) = client.down.poll(now) {
                let _full = self.socket.send_to(&packet, *source);
            }
        }
    }
}

fn upstream(target: SocketAddr) -> io::Result<UdpSocket> {
    let local: SocketAddr = if target.is_ipv4() {
        ([0, 0, 0, 0], 0).into()
    } else {
        ([0u16; 8], 0).into()
    };
    let socket = UdpSocket::bind(local)?;
    socket.connect(target)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket as Blocking;
    use std::time::Duration;

    use super::*;

    fn wire() -> (Proxy, Blocking, Blocking) {
        let server = Blocking::bind("127.0.0.1:0").unwrap();
        let client = Blocking::bind("127.0.0.1:0").unwrap();
        for socket in [&server, &client] {
            socket
                .set_read_timeout(Some(Duration::from_millis(200)))
                .unwrap();
        }
        let proxy =
            Proxy::bind(([127, 0, 0, 1], 0).into(), server.local_addr().unwrap(), 1).unwrap();
        client.connect(("127.0.0.1", proxy.port())).unwrap();
        (proxy, client, server)
    }

    #[test]
    fn a_packet_goes_there_and_back_and_is_counted() {
        let (mut proxy, client, server) = wire();
        let mut buffer = [0; 16];
        client.send(b"ping").unwrap();
        proxy.turn().unwrap();
        let (length, source) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"ping");
        server.send_to(b"pong", source).unwrap();
        proxy.turn().unwrap();
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], b"pong");
        let stats = proxy.obey(r#"{"stats": true}"#).unwrap();
        assert_eq!(
            (&stats["up"]["sent"], &stats["down"]["sent"]),
            (&json!(1), &json!(1))
        );
    }

    #[test]
    fn one_direction_can_go_dark() {
        let (mut proxy, client, server) = wire();
        let mut buffer = [0; 16];
        proxy
            .obey(r#"{"set": {"outage": true}, "direction": "down"}"#)
            .unwrap();
        client.send(b"ping").unwrap();
        proxy.turn().unwrap();
        let (_, source) = server.recv_from(&mut buffer).unwrap();
        server.send_to(b"pong", source).unwrap();
        proxy.turn().unwrap();
        assert!(client.recv(&mut buffer).is_err());
    }

    #[test]
    fn a_rebound_client_comes_from_another_port() {
        let (mut proxy, client, server) = wire();
        let mut buffer = [0; 16];
        client.send(b"one").unwrap();
        proxy.turn().unwrap();
        let before = server.recv_from(&mut buffer).unwrap().1;
        proxy.obey(r#"{"rebind": true}"#).unwrap();
        client.send(b"two").unwrap();
        proxy.turn().unwrap();
        assert_ne!(server.recv_from(&mut buffer).unwrap().1, before);
    }

    #[test]
    fn a_wrong_command_is_named() {
        let (mut proxy, ..) = wire();
        assert!(proxy.obey(r#"{"losss": 1}"#).unwrap_err().contains("losss"));
        assert!(proxy.obey("not json").is_err());
    }
}
