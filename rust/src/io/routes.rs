//! Who gets a datagram: from its source address, or for a connectivity check from the ICE user
//! fragment that it names. Written by shards when they learn something, read by the receiver.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::io::tcp::TcpConnection;

/// Addresses kept for one peer: more candidates than any browser has.
const MAX_ADDRESSES_PER_PEER: usize = 64;

/// A peer and the shard it lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    /// Index of the shard.
    pub shard: usize,
    /// Number of the peer.
    pub peer: u64,
}

#[derive(Debug, Clone, Copy)]
struct AddressRoute {
    route: Route,
    /// Whether the peer proved, by an authenticated check, that it receives there.
    proven: bool,
}

#[derive(Default)]
struct Tables {
    by_ufrag: HashMap<String, Route>,
    by_address: HashMap<SocketAddr, AddressRoute>,
    /// What to forget when a peer ends.
    ufrags_of: HashMap<u64, Vec<String>>,
    addresses_of: HashMap<u64, Vec<SocketAddr>>,
    connections: HashMap<SocketAddr, Arc<TcpConnection>>,
}

/// The routing tables of one process.
#[derive(Default)]
pub struct Routes(RwLock<Tables>);

/// A look at the tables that stays valid for a batch.
pub struct RoutesView<'a>(RwLockReadGuard<'a, Tables>);

impl RoutesView<'_> {
    /// The peer that answers to this user fragment.
    pub fn by_ufrag(&self, ufrag: &str) -> Option<Route> {
        self.0.by_ufrag.get(ufrag).copied()
    }

    /// The peer known at this address.
    pub fn by_address(&self, address: SocketAddr) -> Option<Route> {
        self.0.by_address.get(&address).map(|entry| entry.route)
    }
}

impl Routes {
    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tables for reading.
    pub fn view(&self) -> RoutesView<'_> {
        RoutesView(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// A peer answers to `ufrag`.
    pub fn add_ufrag(&self, ufrag: &str, route: Route) {
        let mut tables = self.write();
        tables.by_ufrag.insert(ufrag.into(), route);
        tables
            .ufrags_of
            .entry(route.peer)
            .or_default()
            .push(ufrag.into());
    }

    /// A peer is, or for an unproven address may be, at `address`. A claim never takes an address
    /// from a peer that is there already; a proof does. Of a peer that has too many addresses the
    /// oldest one without a proof, or else the oldest, makes room for a proof.
    pub fn add_address(&self, address: SocketAddr, route: Route, proven: bool) {
        let known = self
            .0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .by_address
            .get(&address)
            .copied();
        if known.is_some_and(|k| {
            (k.route == route && (k.proven || !proven)) || (k.route != route && !proven)
        }) {
            return;
        }
        let mut guard = self.write();
        let tables = &mut *guard;
        let addresses = tables.addresses_of.entry(route.peer).or_default();
        if !addresses.contains(&address) {
            if addresses.len() >= MAX_ADDRESSES_PER_PEER {
                if !proven {
                    return;
                }
                let entry = |address: &SocketAddr| tables.by_address.get(address);
                let is_claim = |address: &SocketAddr| {
                    entry(address).is_none_or(|entry| entry.route != route || !entry.proven)
                };
                let evicted = addresses.remove(addresses.iter().position(is_claim).unwrap_or(0));
                if entry(&evicted).is_some_and(|entry| entry.route == route) {
                    tables.by_address.remove(&evicted);
                }
            }
            addresses.push(address);
        }
        tables
            .by_address
            .insert(address, AddressRoute { route, proven });
    }

    /// Forgets a peer.
    pub fn remove(&self, peer: u64) {
        let mut tables = self.write();
        for ufrag in tables.ufrags_of.remove(&peer).unwrap_or_default() {
            tables.by_ufrag.remove(&ufrag);
        }
        for address in tables.addresses_of.remove(&peer).unwrap_or_default() {
            if tables
                .by_address
                .get(&address)
                .is_some_and(|entry| entry.route.peer == peer)
            {
                tables.by_address.remove(&address);
            }
        }
    }

    /// A TCP connection is open.
    pub fn add_connection(&self, connection: Arc<TcpConnection>) {
        self.write()
            .connections
            .insert(connection.remote, connection);
    }

    /// A TCP connection is gone.
    pub fn remove_connection(&self, remote: SocketAddr) {
        self.write().connections.remove(&remote);
    }

    /// The TCP connection from `remote`.
    pub fn connection(&self, remote: SocketAddr) -> Option<Arc<TcpConnection>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .connections
            .get(&remote)
            .cloned()
    }

    /// How many user fragments and addresses are known, for leak tests.
    pub fn len(&self) -> usize {
        let tables = self.0.read().unwrap_or_else(PoisonError::into_inner);
        tables.by_ufrag.len() + tables.by_address.len()
    }

    /// Whether nobody is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Route = Route { shard: 0, peer: 1 };
    const B: Route = Route { shard: 1, peer: 2 };

    #[test]
    fn a_claim_takes_nothing_and_a_proof_does() {
        let routes = Routes::default();
        let address = "192.0.2.7:4000".parse().unwrap();
        routes.add_address(address, A, false);
        routes.add_address(address, B, false);
        assert_eq!(routes.view().by_address(address), Some(A));
        routes.add_address(address, B, true);
        assert_eq!(routes.view().by_address(address), Some(B));
        routes.add_address(address, A, false);
        routes.remove(1);
        assert_eq!(routes.view().by_address(address), Some(B));
        routes.remove(2);
        assert!(routes.is_empty());
    }

    #[test]
    fn one_peer_fills_only_its_share() {
        let routes = Routes::default();
        for port in 1..2_000 {
            routes.add_address(SocketAddr::from(([192, 0, 2, 1], port)), A, false);
        }
        assert_eq!(routes.len(), MAX_ADDRESSES_PER_PEER);
        routes.add_ufrag("abcd", A);
        routes.remove(1);
        assert!(routes.is_empty());
    }

    #[test]
    fn a_proof_makes_room_for_itself_first_among_the_claims() {
        let routes = Routes::default();
        let address = |port| SocketAddr::from(([192, 0, 2, 1], port));
        routes.add_address(address(1), A, true);
        for port in 2..100 {
            routes.add_address(address(port), A, false);
        }
        for (proven, evicted) in [(1_000, 2), (1_001, 3)] {
            routes.add_address(address(proven), A, true);
            assert_eq!(routes.view().by_address(address(proven)), Some(A));
            assert_eq!(routes.view().by_address(address(evicted)), None);
        }
        assert_eq!(routes.view().by_address(address(1)), Some(A));
        for port in 2_000..2_062 {
            routes.add_address(address(port), A, true);
        }
        assert_eq!(routes.view().by_address(address(1)), None);
        assert_eq!(routes.view().by_address(address(2_061)), Some(A));
        assert_eq!(routes.len(), MAX_ADDRESSES_PER_PEER);
        routes.remove(1);
        assert!(routes.is_empty());
    }
}
