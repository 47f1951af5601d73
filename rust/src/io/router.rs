//! From the receiver to the shards: one ring of datagrams each.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use rtrb::Producer;

use crate::io::control::Control;
use crate::io::routes::Route;
use crate::io::{Datagram, Via, Wake};

/// A shard as the receiver sees it.
pub struct Lane {
    /// Datagrams towards the shard.
    pub datagrams: Producer<Datagram>,
    /// Wakes the shard's thread.
    pub wake: Arc<Wake>,
}

/// Hands datagrams to the shards of their peers.
pub(super) struct Router {
    lanes: Vec<Lane>,
    touched: Vec<bool>,
    control: Arc<Control>,
    /// Datagrams since this was last taken.
    pub delivered: u32,
}

impl Router {
    /// `lanes` lead to the shards in their order.
    pub fn new(lanes: Vec<Lane>, control: Arc<Control>) -> Self {
        Self {
            touched: vec![false; lanes.len()],
            lanes,
            control,
            delivered: 0,
        }
    }

    /// Hands over one datagram; the shard is woken by [`Router::wake_touched`].
    pub fn deliver(
        &mut self,
        route: Route,
        via: Via,
        source: SocketAddr,
        destination: SocketAddr,
        at: Instant,
        bytes: &[u8],
    ) {
        let Some(lane) = self.lanes.get_mut(route.shard) else {
            return;
        };
        let Some(datagram) = Datagram::new(route.peer, via, source, destination, at, bytes) else {
            self.control.unrouted.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if lane.datagrams.push(datagram).is_err() {
            self.control.overrun.fetch_add(1, Ordering::Relaxed);
        }
        self.touched[route.shard] = true;
        self.delivered += 1;
    }

    /// Wakes the shards that were given something.
    pub fn wake_touched(&mut self) {
        for (lane, touched) in self.lanes.iter().zip(&mut self.touched) {
            if std::mem::take(touched) {
                lane.wake.wake();
            }
        }
    }
}
