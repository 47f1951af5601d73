//! What other threads ask of the receiver: sockets to read, and answers to queries of STUN servers.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use mio::Waker;

use crate::io::relay_socket::RelaySocket;
use crate::io::routes::Route;
use crate::net::{self, StunClass};

/// What the receiver finds when it is woken.
pub(super) enum Request {
    WatchRelay {
        route: Route,
        index: usize,
        socket: Arc<RelaySocket>,
    },
    UnwatchPeer(u64),
    Stop,
}

/// A response to a query of ours: its bytes and its sender.
pub type QueryAnswer = (Vec<u8>, SocketAddr);

/// What other threads may ask of the receiver.
pub struct Control {
    requests: Mutex<Vec<Request>>,
    waker: Waker,
    queries: Mutex<HashMap<[u8; 12], mpsc::Sender<QueryAnswer>>>,
    open_queries: AtomicUsize,
    /// Datagrams for nobody known.
    pub unrouted: AtomicU64,
    /// Datagrams dropped because a shard was behind.
    pub overrun: AtomicU64,
}

impl Control {
    /// `waker` leads to the receiver's poll.
    pub(super) fn new(waker: Waker) -> Self {
        Self {
            requests: Mutex::default(),
            waker,
            queries: Mutex::default(),
            open_queries: AtomicUsize::new(0),
            unrouted: AtomicU64::new(0),
            overrun: AtomicU64::new(0),
        }
    }

    fn request(&self, request: Request) {
        self.requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(request);
        // Fails only when the poll is gone, and then nobody is left to be woken.
        let _gone = self.waker.wake();
    }

    /// Reads `socket` for a peer from now on.
    pub fn watch_relay(&self, route: Route, index: usize, socket: Arc<RelaySocket>) {
        self.request(Request::WatchRelay {
            route,
            index,
            socket,
        });
    }

    /// Forgets the sockets of a peer.
    pub fn unwatch_peer(&self, peer: u64) {
        self.request(Request::UnwatchPeer(peer));
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.request(Request::Stop);
    }

    /// Delivers the response with this STUN transaction to `answers`.
    pub fn expect(&self, transaction: [u8; 12], answers: mpsc::Sender<QueryAnswer>) {
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        queries.insert(transaction, answers);
        self.open_queries.store(queries.len(), Ordering::Release);
    }

    /// No longer.
    pub fn forget(&self, transaction: [u8; 12]) {
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        queries.remove(&transaction);
        self.open_queries.store(queries.len(), Ordering::Release);
    }

    /// What was asked since the last call.
    pub(super) fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether `datagram` answers a query; then it is delivered.
    pub(super) fn answers_query(&self, datagram: &[u8], source: SocketAddr) -> bool {
        if self.open_queries.load(Ordering::Acquire) == 0 {
            return false;
        }
        let net::Datagram::Stun {
            class: StunClass::Success | StunClass::Error,
            transaction_id,
            ..
        } = net::classify(datagram)
        else {
            return false;
        };
        let queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        // A receiver that hung up has given the query up.
        queries
            .get(&transaction_id)
            .is_some_and(|answers| answers.send((datagram.to_vec(), source)).is_ok())
    }
}
