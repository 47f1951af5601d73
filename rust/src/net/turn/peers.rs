//! Which peers a relay may talk to, and by which means: permissions per IP address, channels per
//! address and port. The protocol crate refreshes them; what is kept here is when to ask.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use turn_client_proto::api::{BindChannelError, CreatePermissionError, TurnClientApi};
use turn_client_proto::client::TurnClient;
use turn_client_proto::stun::types::TransportType;

use crate::net::clock::Clock;
use crate::net::{Datagram, classify};

/// Most peers (IP addresses for permissions, addresses with port for channels) of one relay.
pub const MAX_PEERS: usize = 256;
/// How long a refused permission or channel is not asked for again.
const REFUSED_HOLD: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Grant {
    Requested,
    Granted,
    RefusedUntil(Instant),
}

/// What has been asked for, and the answers.
#[derive(Debug, Default)]
pub(super) struct Peers {
    permissions: HashMap<IpAddr, Grant>,
    channels: HashMap<SocketAddr, Grant>,
}

impl Peers {
    /// Makes sure a permission is on its way; whether waiting for it makes sense.
    pub(super) fn want_permission(
        &mut self,
        ip: IpAddr,
        client: &mut TurnClient,
        clock: Clock,
        now: Instant,
    ) -> bool {
        match self.permissions.get(&ip) {
            Some(Grant::Requested) => return true,
            Some(Grant::RefusedUntil(until)) if now < *until => return false,
            None if self.permissions.len() >= MAX_PEERS => return false,
            _ => {}
        }
        match client.create_permission(TransportType::Udp, ip, clock.to_wire(now)) {
            Ok(()) | Err(CreatePermissionError::AlreadyExists) => {
                self.permissions.insert(ip, Grant::Requested);
                true
            }
            Err(_) => false,
        }
    }

    /// Asks for a channel to a peer with which more than connectivity checks are exchanged;
    /// whether it asked.
    pub(super) fn want_channel(
        &mut self,
        peer: SocketAddr,
        data: &[u8],
        client: &mut TurnClient,
        clock: Clock,
        now: Instant,
    ) -> bool {
        let is_media = || matches!(classify(data), Datagram::Dtls | Datagram::Rtp);
        match self.channels.get(&peer) {
            Some(Grant::Requested | Grant::Granted) => return false,
            Some(Grant::RefusedUntil(until)) if now < *until => return false,
            None if self.channels.len() >= MAX_PEERS || !is_media() => return false,
            _ => {}
        }
        let grant = match client.bind_channel(TransportType::Udp, peer, clock.to_wire(now)) {
            Ok(()) => Grant::Requested,
            Err(BindChannelError::AlreadyExists) => Grant::Granted,
            Err(BindChannelError::ExpiredChannelExists(until)) => {
                Grant::RefusedUntil(clock.to_std(until))
            }
            Err(_) => Grant::RefusedUntil(now + REFUSED_HOLD),
        };
        self.channels.insert(peer, grant);
        grant == Grant::Requested
    }

    /// The server has answered a wish for a permission, or let one end.
    pub(super) fn permission_settled(&mut self, ip: IpAddr, granted: bool, now: Instant) {
        self.permissions.insert(ip, settled(granted, now));
    }

    /// The server has answered a wish for a channel, or let one end.
    pub(super) fn channel_settled(&mut self, peer: SocketAddr, granted: bool, now: Instant) {
        self.channels.insert(peer, settled(granted, now));
    }
}

fn settled(granted: bool, now: Instant) -> Grant {
    if granted {
        Grant::Granted
    } else {
        Grant::RefusedUntil(now + REFUSED_HOLD)
    }
}
