//! One media thread: it drives its peers, fires their timers and sends what they have to send.
//! It never waits for the GIL, for another shard, or for anything but its own next deadline.

mod way;

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_queue::SegQueue;
use rtrb::Consumer;

use crate::audio::Effort;
use crate::handover::{Event, Hub, State};
use crate::io::load::Load;
use crate::io::routes::Route;
use crate::io::{Datagram, Via, Wake};
use crate::peer::{Command, Peer};
use way::{Way, drive_relays, take_relayed};

pub use way::{RelayPath, Shared};

/// Datagrams taken before timers get their turn.
const DATAGRAMS_PER_TURN: usize = 128;
/// Timers fire on this grid, so that one waking serves the ticks of many peers.
const GRID: Duration = Duration::from_millis(1);
/// A shard without anything to do looks up this often, at the latest.
const IDLE: Duration = Duration::from_secs(3600);

/// A peer on its way to its shard.
pub struct NewPeer {
    /// Its number.
    pub id: u64,
    /// The peer.
    pub peer: Peer,
    /// Its TURN allocations.
    pub relays: Vec<RelayPath>,
    /// Its UDP host candidates, one at most per IP family is needed.
    pub hosts: Vec<SocketAddr>,
    /// Its ICE-TCP candidates.
    pub tcp_hosts: Vec<SocketAddr>,
}

enum Message {
    Add(Box<NewPeer>),
    Command(u64, Command),
    Stop,
}

/// The shard as other threads see it.
pub struct ShardHandle {
    messages: SegQueue<Message>,
    wake: Arc<Wake>,
    /// How many peers live there.
    pub peers: AtomicUsize,
}

impl ShardHandle {
    /// A handle whose thread is not running yet; `wake` will lead to it.
    pub fn new(wake: Arc<Wake>) -> Self {
        Self {
            messages: SegQueue::new(),
            wake,
            peers: AtomicUsize::new(0),
        }
    }

    /// Hands a peer over.
    pub fn add(&self, peer: Box<NewPeer>) {
        self.peers.fetch_add(1, Ordering::AcqRel);
        self.send(Message::Add(peer));
    }

    /// Asks something of a peer; a peer that has ended hears nothing.
    pub fn command(&self, peer: u64, command: Command) {
        self.send(Message::Command(peer, command));
    }

    /// Closes all peers and ends the thread.
    pub fn stop(&self) {
        self.send(Message::Stop);
    }

    fn send(&self, message: Message) {
        self.messages.push(message);
        self.wake.wake();
    }
}

struct Entry {
    peer: Peer,
    outlet: Way,
    /// The deadline that stands in the heap.
    scheduled: Instant,
}

/// The thread's state.
pub struct Shard {
    index: usize,
    handle: Arc<ShardHandle>,
    shared: Arc<Shared>,
    datagrams: Consumer<Datagram>,
    peers: HashMap<u64, Entry>,
    timers: BinaryHeap<Reverse<(Instant, u64)>>,
    stopping: bool,
    /// Where the grid of timers begins.
    epoch: Instant,
    load: Load,
    /// What encoding may cost under this load.
    effort: Effort,
    /// Calls of peers since the load was counted.
    acted: u32,
    /// Hubs that have new events.
    hubs: Vec<Arc<Hub>>,
}

impl Shard {
    /// A shard that reads `datagrams`; [`Shard::run`] makes the calling thread its own.
    pub fn new(
        index: usize,
        handle: Arc<ShardHandle>,
        shared: Arc<Shared>,
        datagrams: Consumer<Datagram>,
    ) -> Self {
        Self {
            index,
            handle,
            shared,
            datagrams,
            peers: HashMap::new(),
            timers: BinaryHeap::new(),
            stopping: false,
            epoch: Instant::now(),
            load: Load::new(Instant::now()),
            effort: Effort::Normal,
            acted: 0,
            hubs: Vec::new(),
        }
    }

    /// Runs until stopped and all peers are gone.
    pub fn run(mut self) {
        self.handle.wake.is_me();
        loop {
            self.take_messages();
            let more = self.take_datagrams();
            let next = self.fire_timers();
            self.raise_hubs();
            if self.stopping && self.peers.is_empty() {
                return;
            }
            if more || !self.handle.messages.is_empty() {
                continue;
            }
            let now = Instant::now();
            self.load.count(std::mem::take(&mut self.acted), now);
            self.follow_load();
            if let Some(pause) = self.load.pause() {
                // Not a park: nobody can cut it short, and nobody pays for waking us.
                std::thread::sleep(pause);
                self.load.slept(pause);
                continue;
            }
            let wait = next.map_or(IDLE, |at| {
                on_grid(self.epoch, at).saturating_duration_since(now)
            });
            if !wait.is_zero() {
                std::thread::park_timeout(wait);
                self.load.slept(now.elapsed().min(wait));
            }
        }
    }

    /// A pressed shard encodes with less effort: better a little coarser than late.
    fn follow_load(&mut self) {
        let effort = if self.load.is_pressed() {
            Effort::Least
        } else {
            Effort::Normal
        };
        if effort != self.effort {
            self.effort = effort;
            for entry in self.peers.values_mut() {
                entry.peer.set_effort(effort);
            }
        }
    }

    fn take_messages(&mut self) {
        while let Some(message) = self.handle.messages.pop() {
            match message {
                Message::Add(new) => self.add(*new),
                Message::Command(id, command) => {
                    self.with_peer(id, |peer, now, way| peer.handle_command(now, command, way));
                }
                Message::Stop => {
                    self.stopping = true;
                    for id in self.peers.keys().copied().collect::<Vec<_>>() {
                        self.with_peer(id, |peer, now, way| {
                            peer.handle_command(now, Command::Close, way)
                        });
                    }
                }
            }
        }
    }

    fn add(&mut self, mut new: NewPeer) {
        new.peer.set_effort(self.effort);
        let now = Instant::now();
        let route = Route {
            shard: self.index,
            peer: new.id,
        };
        let shared = Arc::clone(&self.shared);
        let way = Way::new(route, shared, new.relays, new.hosts, new.tcp_hosts, now);
        self.peers.insert(
            new.id,
            Entry {
                peer: new.peer,
                outlet: way,
                scheduled: now,
            },
        );
        self.timers.push(Reverse((now, new.id)));
        if self.stopping {
            self.with_peer(new.id, |peer, now, way| {
                peer.handle_command(now, Command::Close, way)
            });
        }
    }

    /// Returns whether more wait.
    fn take_datagrams(&mut self) -> bool {
        for _ in 0..DATAGRAMS_PER_TURN {
            let Ok(datagram) = self.datagrams.pop() else {
                return false;
            };
            let at = datagram.at;
            self.with_peer(datagram.peer, |peer, _, way| match datagram.via {
                Via::Direct(proto) => {
                    let destination = way.candidate_for(proto, datagram.destination);
                    peer.handle_datagram(
                        at,
                        proto,
                        datagram.source,
                        destination,
                        datagram.bytes(),
                        way,
                    );
                }
                Via::Relay(index) => take_relayed(peer, way, index, at, datagram.bytes()),
            });
        }
        true
    }

    /// Fires what is due; returns the next deadline.
    fn fire_timers(&mut self) -> Option<Instant> {
        loop {
            let &Reverse((at, id)) = self.timers.peek()?;
            let now = Instant::now();
            if at > now {
                return Some(at);
            }
            self.timers.pop();
            let Some(entry) = self.peers.get(&id) else {
                continue;
            };
            if entry.scheduled != at {
                continue;
            }
            self.with_peer(id, |peer, now, way| {
                if way.relay_deadline().is_some_and(|deadline| deadline <= now) {
                    drive_relays(peer, way, now);
                }
                if peer.deadline() <= now {
                    peer.handle_timeout(now, way);
                }
            });
            // The entry left the heap: whatever the deadline, it must stand there again.
            if let Some(entry) = self.peers.get_mut(&id)
                && entry.scheduled == at
            {
                let deadline = deadline_of(entry);
                entry.scheduled = deadline;
                self.timers.push(Reverse((deadline, id)));
            }
        }
    }

    /// Calls `act` on a peer, guards against its panics, and brings its timer up to date.
    fn with_peer(&mut self, id: u64, act: impl FnOnce(&mut Peer, Instant, &mut Way)) {
        let Some(entry) = self.peers.get_mut(&id) else {
            return;
        };
        self.acted += 1;
        let now = Instant::now();
        entry.outlet.now = now;
        let (peer, way) = (&mut entry.peer, &mut entry.outlet);
        // A bug in the engine ends one session, not the process; the peer is dropped below.
        let outcome = catch_unwind(AssertUnwindSafe(|| act(peer, now, way)));
        if outcome.is_err() {
            let reason = State::Closed("an internal error ended the connection".into());
            entry.peer.link().mailbox.push(Event::State(reason));
        }
        let mailbox = &entry.peer.link().mailbox;
        if mailbox.is_listed() && !self.hubs.iter().any(|hub| Arc::ptr_eq(hub, mailbox.hub())) {
            self.hubs.push(Arc::clone(mailbox.hub()));
        }
        if outcome.is_err() || entry.peer.is_closed() {
            self.remove(id);
            return;
        }
        let deadline = deadline_of(entry);
        if deadline < entry.scheduled {
            entry.scheduled = deadline;
            self.timers.push(Reverse((deadline, id)));
        }
    }

    /// Tells the event loops that something waits, once for all that this turn brought.
    fn raise_hubs(&mut self) {
        for hub in self.hubs.drain(..) {
            hub.raise();
        }
    }

    fn remove(&mut self, id: u64) {
        let Some(mut entry) = self.peers.remove(&id) else {
            return;
        };
        let now = Instant::now();
        for path in &mut entry.outlet.relays {
            path.relay.close(now);
            if path.flush(now).is_err() {
                self.shared.send_errors.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.shared.control.unwatch_peer(id);
        self.shared.routes.remove(id);
        self.handle.peers.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The first point of the grid that is not before `at`.
fn on_grid(epoch: Instant, at: Instant) -> Instant {
    let since = at.saturating_duration_since(epoch).as_nanos();
    let points = since
        .div_ceil(GRID.as_nanos())
        .min(u128::from(u32::MAX) * 1_000);
    epoch + Duration::from_nanos((points * GRID.as_nanos()) as u64)
}

fn deadline_of(entry: &Entry) -> Instant {
    let deadline = entry.peer.deadline();
    entry
        .outlet
        .relay_deadline()
        .map_or(deadline, |relay| relay.min(deadline))
}
