//! The media plane of one process: it binds the sockets, starts the threads at the first need and
//! answers offers.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

use rtrb::RingBuffer;
use str0m::config::DtlsCert;

use crate::engine::{self, EngineConfig, LocalAddresses};
use crate::gather::{self, Gathered, IceServerLogin, ReflexiveCache};
use crate::handover::{Hub, Mailbox, Refusal};
use crate::io::Wake;
use crate::io::receiver::Receiver;
use crate::io::router::Lane;
use crate::io::routes::{Route, Routes};
use crate::io::udp::UdpPort;
use crate::net;
use crate::offer;
use crate::peer::{Command, Link, Peer, PeerConfig};
use crate::playout::Playout;
use crate::shard::{NewPeer, Shard, ShardHandle, Shared};
use crate::stats::Stats;

/// Datagrams that may wait for one shard: 0.1 s of a thousand sessions.
const LANE_DATAGRAMS: usize = 4096;

/// How a process takes part in the network.
#[derive(Debug, Clone)]
pub struct PlaneConfig {
    /// UDP ports to try in turn; `0..=0` for any.
    pub udp_ports: RangeInclusive<u16>,
    /// Port for ICE-TCP; 0 for any.
    pub tcp_port: Option<u16>,
    /// Announced instead of the bound addresses, `ip` or `ip:port`.
    pub public_addresses: Vec<String>,
    /// Interface names or addresses to announce; empty for all.
    pub interfaces: Vec<String>,
    /// Shards; None for one per core.
    pub threads: Option<usize>,
    /// Answer connectivity checks only.
    pub ice_lite: bool,
}

/// Why the plane could not be set up.
#[derive(Debug)]
pub enum PlaneError {
    /// The system refused.
    Io(io::Error),
    /// A configured value makes no sense here.
    Config(String),
}

impl fmt::Display for PlaneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Config(message) => message.fmt(f),
        }
    }
}

impl From<io::Error> for PlaneError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// One offer to be answered.
pub struct AcceptRequest<'a> {
    /// The offer.
    pub sdp: &'a str,
    /// How the peer is set up.
    pub config: PeerConfig,
    /// STUN and TURN servers to ask.
    pub ice_servers: Vec<IceServerLogin>,
}

/// An answered offer.
pub struct Accepted {
    /// The peer's number.
    pub id: u64,
    /// The answer.
    pub answer: String,
    /// The client's DTLS fingerprint.
    pub fingerprint: String,
    /// The state shared with the peer.
    pub link: Arc<Link>,
    /// The shard it lives on.
    pub shard: Arc<ShardHandle>,
    /// One sentence for each ICE server that gave nothing.
    pub warnings: Vec<String>,
}

/// Sockets and threads.
pub struct Plane {
    config: PlaneConfig,
    shared: Arc<Shared>,
    shards: Vec<Arc<ShardHandle>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    certificate: DtlsCert,
    next_id: AtomicU64,
    closed: AtomicBool,
    process: u32,
    /// The bound TCP port.
    pub tcp_port: Option<u16>,
    reflexive: Arc<ReflexiveCache>,
}

impl Plane {
    /// Binds the sockets and starts the threads.
    ///
    /// # Errors
    /// A port is taken, or the configuration names what does not exist here.
    pub fn start(config: PlaneConfig) -> Result<Self, PlaneError> {
        let ports = Arc::new(UdpPort::bind_all(config.udp_ports.clone())?);
        let listener = config
            .tcp_port
            .map(|port| {
                TcpListener::bind(SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 0], port))).or_else(
                    |_no_ipv6_here| TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))),
                )
            })
            .transpose()?;
        let tcp_port = listener
            .as_ref()
            .map(TcpListener::local_addr)
            .transpose()?
            .map(|a| a.port());
        // Fail now, not at the first offer.
        announced(&config, ports[0].port)?;

        let provider = str0m::crypto::from_feature_flags();
        let certificate = provider
            .dtls_provider
            .generate_certificate()
            .ok_or_else(|| PlaneError::Config("no DTLS certificate could be generated".into()))?;
        let count = config.threads.unwrap_or_else(|| {
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
        });
        let routes = Arc::new(Routes::default());
        let wakes: Vec<_> = (0..count.max(1))
            .map(|_| Arc::new(Wake::default()))
            .collect();
        let (lanes, consumers): (Vec<_>, Vec<_>) = wakes
            .iter()
            .map(|wake| {
                let (datagrams, consumer) = RingBuffer::new(LANE_DATAGRAMS);
                (
                    Lane {
                        datagrams,
                        wake: Arc::clone(wake),
                    },
                    consumer,
                )
            })
            .unzip();
        let (receiver, control) =
            Receiver::new(Arc::clone(&ports), listener, Arc::clone(&routes), lanes)?;
        let shared = Arc::new(Shared {
            ports,
            routes,
            control,
            send_errors: AtomicU64::new(0),
        });
        let shards: Vec<_> = wakes
            .into_iter()
            .map(|wake| Arc::new(ShardHandle::new(wake)))
            .collect();
        let mut threads = vec![
            std::thread::Builder::new()
                .name("fastrtc-receiver".into())
                .spawn(move || {
                    if let Err(error) = receiver.run() {
                        eprintln!("fastrtc: the receiver thread ended: {error}");
                    }
                })?,
        ];
        for (index, (handle, consumer)) in shards.iter().zip(consumers).enumerate() {
            let shard = Shard::new(index, Arc::clone(handle), Arc::clone(&shared), consumer);
            let name = format!("fastrtc-shard-{index}");
            threads.push(
                std::thread::Builder::new()
                    .name(name)
                    .spawn(move || shard.run())?,
            );
        }
        Ok(Self {
            config,
            shared,
            shards,
            threads: Mutex::new(threads),
            certificate,
            next_id: AtomicU64::new(1),
            closed: AtomicBool::new(false),
            process: std::process::id(),
            tcp_port,
            reflexive: Arc::default(),
        })
    }

    /// The bound UDP port.
    pub fn udp_port(&self) -> u16 {
        self.shared.ports[0].port
    }

    /// Counters of the whole process: datagrams for nobody, dropped ones, refused sends, peers.
    pub fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        stats.set("unrouted_datagrams", count(&self.shared.control.unrouted));
        stats.set("overrun_datagrams", count(&self.shared.control.overrun));
        stats.set("send_errors", count(&self.shared.send_errors));
        stats.set("routes", self.shared.routes.len() as f64);
        let peers: usize = self
            .shards
            .iter()
            .map(|s| s.peers.load(Ordering::Acquire))
            .sum();
        stats.set("peers", peers as f64);
        stats
    }

    /// Whether offers can be answered: not after [`Plane::close`], not in a forked child.
    pub fn is_usable(&self) -> bool {
        !self.closed.load(Ordering::Acquire) && self.process == std::process::id()
    }

    /// Answers an offer. Blocks, at most 500 ms, while STUN and TURN servers are asked.
    ///
    /// # Errors
    /// The offer is no SDP, or asks for what does not fit.
    pub fn accept(&self, hub: Arc<Hub>, request: AcceptRequest) -> Result<Accepted, Refusal> {
        let offer = offer::inspect(request.sdp, request.config.allowed)?;
        let now = Instant::now();
        let port = self.udp_port();
        let hosts =
            announced(&self.config, port).map_err(|error| offer::invalid(error.to_string()))?;
        let tcp_hosts = self
            .tcp_port
            .map(|tcp_port| tcp_addresses(&hosts, port, tcp_port))
            .unwrap_or_default();
        let gathered = if request.ice_servers.is_empty() {
            Gathered::default()
        } else {
            gather::gather(&self.shared, &self.reflexive, &request.ice_servers, port)
        };
        let addresses = LocalAddresses {
            udp: hosts.clone(),
            tcp: tcp_hosts.clone(),
            reflexive: gathered.reflexive.clone(),
            relayed: gathered.relays.iter().map(|path| path.relayed).collect(),
        };
        let engine = EngineConfig {
            channels: request.config.channels,
            ice_lite: self.config.ice_lite,
            video: request.config.allowed.video,
        };
        let certificate = self.certificate.clone();
        let (mut rtc, answer) = engine::answer(request.sdp, engine, certificate, &addresses, now)?;

        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let link = Arc::new(Link {
            mailbox: Arc::new(Mailbox::new(id, hub)),
            playout: Playout::default(),
            channel_open: AtomicBool::new(false),
            channel_offered: AtomicBool::new(request.sdp.contains("m=application")),
            stats: Mutex::default(),
        });
        let ufrag = rtc.direct_api().local_ice_credentials().ufrag;
        let peer = Peer::new(rtc, request.config, &offer, Arc::clone(&link), now)
            .map_err(|error| offer::unsupported(error.to_string()))?;
        let (index, shard) = self.least_loaded();
        let route = Route {
            shard: index,
            peer: id,
        };
        self.shared.routes.add_ufrag(&ufrag, route);
        for (n, path) in gathered.relays.iter().enumerate() {
            self.shared
                .control
                .watch_relay(route, n, Arc::clone(&path.socket));
        }
        shard.add(Box::new(NewPeer {
            id,
            peer,
            relays: gathered.relays,
            hosts,
            tcp_hosts,
        }));
        Ok(Accepted {
            id,
            answer,
            fingerprint: offer.fingerprint,
            link,
            shard: Arc::clone(shard),
            warnings: gathered.failures,
        })
    }

    fn least_loaded(&self) -> (usize, &Arc<ShardHandle>) {
        let mut best = 0;
        for (index, shard) in self.shards.iter().enumerate() {
            if shard.peers.load(Ordering::Acquire) < self.shards[best].peers.load(Ordering::Acquire)
            {
                best = index;
            }
        }
        (best, &self.shards[best])
    }

    /// Closes all peers and joins the threads. In a forked child the threads are the parent's and
    /// are left alone.
    pub fn close(&self) {
        if self.closed.swap(true, Ordering::AcqRel) || self.process != std::process::id() {
            return;
        }
        for shard in &self.shards {
            shard.stop();
        }
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        for shard in threads.drain(1..) {
            // A shard that panicked has already said so.
            let _panicked = shard.join();
        }
        self.shared.control.stop();
        for receiver in threads.drain(..) {
            let _panicked = receiver.join();
        }
    }
}

impl Drop for Plane {
    fn drop(&mut self) {
        self.close();
    }
}

impl Accepted {
    /// Asks something of the peer.
    pub fn command(&self, command: Command) {
        self.shard.command(self.id, command);
    }
}

/// The host addresses that clients are told.
fn announced(config: &PlaneConfig, port: u16) -> Result<Vec<SocketAddr>, PlaneError> {
    let addresses = if config.public_addresses.is_empty() {
        net::local_addresses(&config.interfaces, port)
    } else {
        net::public_addresses(&config.public_addresses, port)
    };
    addresses.map_err(|error| PlaneError::Config(error.to_string()))
}

/// Where ICE-TCP is reached: a public address with its own port is mapped for TCP likewise.
fn tcp_addresses(hosts: &[SocketAddr], udp_port: u16, tcp_port: u16) -> Vec<SocketAddr> {
    let port = |host: &SocketAddr| {
        if host.port() == udp_port {
            tcp_port
        } else {
            host.port()
        }
    };
    hosts
        .iter()
        .map(|host| SocketAddr::new(host.ip(), port(host)))
        .collect()
}
