//! The relay against a TURN server in virtual time: hours of refreshing over a bad network in
//! milliseconds, silence, and damaged messages.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use turn_client_proto::stun::types::TransportType;
use turn_client_proto::types::AddressFamily;
use turn_server_proto::api::{Transmit, TurnServerApi, TurnServerPollRet};
use turn_server_proto::server::TurnServer;

use super::*;
use crate::net::{Datagram, classify};

const SERVER: &str = "192.0.2.1:3478";
const LOCAL: &str = "10.0.0.5:8000";
const RELAYED: &str = "192.0.2.1:50000";
const PEER: &str = "198.51.100.7:6000";
const DELAY: Duration = Duration::from_millis(15);

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn one_in(&mut self, n: u64) -> bool {
        n != 0 && self.roll().is_multiple_of(n)
    }
}

#[derive(PartialEq)]
enum Way {
    ToServer,
    ToClient,
}

/// A client, its TURN server, and the network between them.
struct World {
    now: Instant,
    clock: Clock,
    relay: Relay,
    server: TurnServer,
    dice: Dice,
    lose_one_in: u64,
    damage_one_in: u64,
    wires: Vec<(Instant, Way, Vec<u8>)>,
    at_peer: u64,
    at_client: u64,
    wakes: u64,
    events: Vec<RelayEvent>,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let config = RelayConfig {
            server: address(SERVER),
            transport: Transport::Udp,
            username: "u".to_owned(),
            credential: "p".to_owned(),
            local: address(LOCAL),
        };
        let mut server = TurnServer::new(TransportType::Udp, address(SERVER), "r".to_owned());
        server.add_user("u".to_owned(), "p".to_owned());
        server.set_nonce_expiry_duration(Duration::from_secs(600));
        Self {
            now,
            clock: Clock::new(now),
            relay: Relay::new(config, now).unwrap(),
            server,
            dice: Dice(seed),
            lose_one_in: 0,
            damage_one_in: 0,
            wires: Vec::new(),
            at_peer: 0,
            at_client: 0,
            wakes: 0,
            events: Vec::new(),
        }
    }

    fn post(&mut self, way: Way, mut bytes: Vec<u8>) {
        if self.dice.one_in(self.lose_one_in) {
            return;
        }
        if self.dice.one_in(self.damage_one_in) && !bytes.is_empty() {
            for _ in 0..=self.dice.roll() % 3 {
                let position = self.dice.roll() as usize % bytes.len();
                bytes[position] = self.dice.roll() as u8;
            }
            if self.dice.one_in(4) {
                bytes.truncate(self.dice.roll() as usize % (bytes.len() + 1));
            }
        }
        self.wires.push((self.now + DELAY, way, bytes));
    }

    fn server_receives(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let at = self.clock.to_wire(self.now);
        let transmit = Transmit::new(bytes, TransportType::Udp, from, to);
        if let Some(reply) = self.server.recv(transmit, at) {
            let reply = reply.build();
            self.server_sends(reply.to, reply.data);
        }
    }

    fn server_sends(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        if to == address(LOCAL) {
            self.post(Way::ToClient, bytes);
        } else if to == address(PEER) {
            self.at_peer += 1;
        }
    }

    fn client_sends(&mut self, data: &[u8]) -> SendOutcome {
        let mut out = Vec::new();
        let outcome = self.relay.send(address(PEER), data, self.now, &mut out);
        if outcome == SendOutcome::Wrapped {
            self.post(Way::ToServer, out);
        }
        self.settle();
        outcome
    }

    fn peer_sends(&mut self, data: &[u8]) {
        self.server_receives(address(PEER), address(RELAYED), data.to_vec());
    }

    /// Everything that is due now.
    fn settle(&mut self) {
        while let Some(bytes) = self.relay.poll_transmit(self.now) {
            self.post(Way::ToServer, bytes);
        }
        while let Some(event) = self.relay.poll_event() {
            match event {
                RelayEvent::Data { from, .. } => {
                    assert_eq!(from.ip(), address(PEER).ip());
                    self.at_client += 1;
                }
                other => self.events.push(other),
            }
        }
        let at = self.clock.to_wire(self.now);
        while let TurnServerPollRet::AllocateSocket {
            transport,
            listen_addr,
            client_addr,
            allocation_transport,
            family,
        } = self.server.poll(at)
        {
            assert_eq!(family, AddressFamily::IPV4);
            self.server.allocated_socket(
                transport,
                listen_addr,
                client_addr,
                allocation_transport,
                family,
                Ok(address(RELAYED)),
                at,
            );
        }
        while let Some(reply) = self.server.poll_transmit(at) {
            self.server_sends(reply.to, reply.data);
        }
    }

    fn run_until(&mut self, end: Instant) {
        self.settle();
        loop {
            let due = self
                .wires
                .iter()
                .map(|wire| wire.0)
                .chain(self.relay.timeout())
                .min();
            let Some(due) = due.filter(|&due| due <= end) else {
                break;
            };
            self.now = self.now.max(due);
            self.wakes += 1;
            let now = self.now;
            while let Some(next) = self.wires.iter().position(|wire| wire.0 <= now) {
                let (_, way, bytes) = self.wires.remove(next);
                match way {
                    Way::ToServer => self.server_receives(address(LOCAL), address(SERVER), bytes),
                    Way::ToClient => self.relay.handle_datagram(&bytes, now),
                }
            }
            self.settle();
        }
        self.now = end;
    }

    fn run_for(&mut self, duration: Duration) {
        self.run_until(self.now + duration);
    }
}

fn rtp(index: u64) -> Vec<u8> {
    let mut packet = vec![0x80, 111];
    packet.extend_from_slice(&index.to_be_bytes());
    packet
}

#[test]
fn an_allocation_takes_two_round_trips_and_closing_one() {
    let mut world = World::new(1);
    let start = world.now;
    world.run_for(DELAY * 4 + Duration::from_millis(50));
    let [RelayEvent::Allocated { relayed, mapped }] = world.events[..] else {
        panic!("{:?}", world.events);
    };
    assert_eq!((relayed, mapped), (address(RELAYED), Some(address(LOCAL))));
    assert!(world.now.duration_since(start) < Duration::from_millis(500));
    world.relay.close(world.now);
    world.run_for(DELAY * 2 + Duration::from_millis(50));
    assert_eq!(world.events.last(), Some(&RelayEvent::Closed));
    assert_eq!(world.relay.timeout(), None);
}

#[test]
fn the_request_to_close_does_not_wait_for_its_turn() {
    let mut world = World::new(1);
    while world.relay.relayed().is_none() {
        world.run_for(Duration::from_millis(1));
    }
    for host in 1..=3 {
        let peer = IpAddr::from([198, 51, 100, host]);
        world.relay.permit(peer, world.now);
    }
    world.relay.close(world.now);
    let mut last = Vec::new();
    while let Some(bytes) = world.relay.poll_transmit(world.now) {
        last = bytes;
    }
    let Datagram::Stun { method: 4, .. } = classify(&last) else {
        panic!("no Refresh request: {last:?}");
    };
}

#[test]
fn closing_before_anything_was_sent_is_immediate() {
    let mut world = World::new(1);
    world.relay.close(world.now);
    assert_eq!(world.relay.poll_transmit(world.now), None);
    assert_eq!(world.relay.poll_event(), Some(RelayEvent::Closed));
}

#[test]
fn a_call_of_three_hours_over_a_lossy_network_keeps_its_relay() {
    let mut world = World::new(7);
    world.lose_one_in = 10;
    world.run_for(Duration::from_secs(5));
    assert!(world.relay.relayed().is_some());
    let seconds = 3 * 3600;
    let wakes = world.wakes;
    for index in 0..seconds {
        world.client_sends(&rtp(index));
        world.peer_sends(&rtp(index));
        world.run_for(Duration::from_secs(1));
    }
    assert!(world.relay.relayed().is_some(), "{:?}", world.events);
    assert!(
        world.at_peer > seconds * 85 / 100,
        "{} of {seconds}",
        world.at_peer
    );
    assert!(
        world.at_client > seconds * 85 / 100,
        "{} of {seconds}",
        world.at_client
    );
    // Two per exchanged pair of packets, and the refreshes.
    assert!(
        world.wakes - wakes < seconds * 3,
        "{} wake-ups",
        world.wakes - wakes
    );
    world.relay.close(world.now);
    world.run_for(Duration::from_secs(30));
    assert_eq!(world.events.last(), Some(&RelayEvent::Closed));
}

#[test]
fn an_idle_relay_sleeps() {
    let mut world = World::new(3);
    world.run_for(Duration::from_secs(2));
    world.client_sends(&rtp(0));
    world.run_for(Duration::from_secs(2));
    let wakes = world.wakes;
    world.run_for(Duration::from_secs(3600));
    assert!(world.relay.relayed().is_some());
    assert!(
        world.wakes - wakes < 200,
        "{} wake-ups in an hour",
        world.wakes - wakes
    );
}

#[test]
fn a_silent_server_times_out() {
    let mut world = World::new(1);
    world.lose_one_in = 1;
    let start = world.now;
    world.run_for(Duration::from_secs(12));
    assert_eq!(world.events, []);
    world.run_for(Duration::from_secs(1));
    let failure = RelayFailure::TimedOut(address(SERVER));
    assert_eq!(world.events, [RelayEvent::Failed(failure)]);
    assert!(world.relay.is_ended() && world.now.duration_since(start) < Duration::from_secs(14));
}

#[test]
fn a_server_that_vanishes_ends_the_relay_when_the_allocation_expires() {
    let mut world = World::new(1);
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.client_sends(&rtp(0)), SendOutcome::Queued);
    world.run_for(Duration::from_secs(1));
    world.lose_one_in = 1;
    world.run_for(Duration::from_secs(3600));
    let failure = RelayFailure::Expired(address(SERVER));
    assert_eq!(world.events.last(), Some(&RelayEvent::Failed(failure)));
    assert_eq!(world.client_sends(&rtp(1)), SendOutcome::Dropped);
}

#[test]
fn what_waits_for_a_permission_does_not_wait_for_ever() {
    let mut world = World::new(1);
    world.run_for(Duration::from_secs(1));
    world.lose_one_in = 1;
    assert_eq!(world.client_sends(&rtp(0)), SendOutcome::Queued);
    world.run_for(MAX_WAIT);
    assert_eq!(world.relay.stats().dropped, 1);
}

#[test]
fn odd_requests_are_dropped_and_counted() {
    let mut world = World::new(1);
    assert_eq!(
        world.client_sends(&rtp(0)),
        SendOutcome::Dropped,
        "no allocation yet"
    );
    world.run_for(Duration::from_secs(1));
    assert_eq!(world.client_sends(&[]), SendOutcome::Dropped);
    assert_eq!(
        world.client_sends(&vec![0; MAX_DATAGRAM_LEN + 1]),
        SendOutcome::Dropped
    );
    let mut out = vec![1, 2, 3];
    for peer in ["[2001:db8::1]:5", "198.51.100.7:0"] {
        let outcome = world.relay.send(address(peer), &[1], world.now, &mut out);
        assert_eq!((outcome, out.len()), (SendOutcome::Dropped, 0), "{peer}");
    }
    assert_eq!(world.relay.stats().dropped, 5);
    let mut queued = 0;
    for host in 0..400_u32 {
        let peer = SocketAddr::from((std::net::Ipv4Addr::from(0x0b00_0001 + host), 9));
        let outcome = world.relay.send(peer, &[1], world.now, &mut out);
        queued += usize::from(outcome == SendOutcome::Queued);
    }
    assert_eq!(queued, MAX_PEERS);
}

#[test]
fn damaged_messages_never_panic() {
    for seed in 0..300 {
        let mut world = World::new(seed);
        world.damage_one_in = 1 + seed % 5;
        for index in 0..40 {
            world.client_sends(&rtp(index));
            world.peer_sends(&rtp(index));
            world.run_for(Duration::from_millis(100 + index * 40));
        }
    }
}

#[test]
fn noise_never_panics_and_a_broken_stream_ends_the_relay() {
    let mut dice = Dice(99);
    for seed in 0..300_u64 {
        let now = Instant::now();
        let config = RelayConfig {
            server: address(SERVER),
            transport: Transport::Tcp,
            username: "u".to_owned(),
            credential: "p".to_owned(),
            local: address(LOCAL),
        };
        let mut relay = Relay::new(config, now).unwrap();
        assert!(relay.poll_transmit(now).is_some());
        for _ in 0..20 {
            let len = dice.roll() as usize % 200 + 1;
            let mut noise: Vec<u8> = (0..len).map(|_| dice.roll() as u8).collect();
            if seed % 2 == 0 {
                noise[0] = 0x40;
            }
            relay.handle_stream(&noise, now);
            while relay.poll_transmit(now).is_some() {}
            while relay.poll_event().is_some() {}
        }
        relay.handle_stream(&[], now);
        assert!(relay.is_ended());
    }
}

#[test]
fn user_names_that_do_not_fit_are_refused() {
    for (len, fits) in [(0, false), (1, true), (508, true), (509, false)] {
        let config = RelayConfig {
            server: address(SERVER),
            transport: Transport::Udp,
            username: "u".repeat(len),
            credential: "p".repeat(5000),
            local: address(LOCAL),
        };
        let mut world = World::new(1);
        match Relay::new(config, world.now) {
            Ok(relay) => world.relay = relay,
            Err(failure) => {
                assert_eq!((failure, fits), (RelayFailure::Username(len), false));
                continue;
            }
        }
        assert!(fits);
        world.run_for(Duration::from_secs(1));
        let refused = match &world.events[..] {
            [RelayEvent::Failed(RelayFailure::Refused { code, .. })] => *code,
            other => panic!("{other:?}"),
        };
        assert_eq!(refused, 401);
    }
}

#[test]
fn debug_output_hides_the_credential() {
    let mut world = World::new(1);
    world.run_for(Duration::from_secs(1));
    let shown = format!("{:?}", world.relay);
    assert!(shown.contains(SERVER) && !shown.contains('"'), "{shown}");
}
