//! The media plane of fastrtc: everything that happens per packet.
//!
//! What the crate promises: media threads never take the GIL, never wait for a handler, and send
//! queued audio every 20 ms whatever Python does. A bug met on one session's packets ends that
//! session only. All queues are bounded, except that of outgoing audio, whose bound is kept by
//! the control plane.
//!
//! ```text
//! io::receiver --datagrams--> shard -> peer (str0m, audio) --events--> handover -> py
//! py --commands, playout--> shard -> peer -> io sockets
//! ```

#![forbid(unsafe_op_in_unsafe_fn)]

pub mod audio;
pub mod broadcast;
pub mod engine;
pub mod gather;
pub mod handover;
pub mod io;
pub mod net;
pub mod offer;
pub mod path;
pub mod peer;
pub mod plane;
pub mod playout;
pub mod shard;
pub mod stats;
pub mod video;

#[cfg(feature = "python")]
mod py;
