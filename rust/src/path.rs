//! Where the client is, when its address changes in the middle of a call.
//!
//! A NAT that forgets a mapping gives the client a new address without its knowledge. Its next
//! connectivity check (browsers send one every 2.5 s) comes from there, and ICE learns a
//! peer-reflexive candidate; but the old pair was nominated too and has the higher priority, so ICE
//! would go on sending to nobody until that pair fails, 12 to 14 s later. This file notices that the
//! client is heard from the new address only, and says which candidates to give up. Time and
//! addresses are arguments.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use str0m::Candidate;
use str0m::net::Protocol;

/// Clients send media on the one path that they have chosen, so media from another address shows
/// that they chose that one, once this long nothing came from the old one.
const MEDIA_PROVES_AFTER: Duration = Duration::from_millis(500);
/// Checks are sent on paths that were not chosen too. On the chosen one they come every 2.5 s.
const CHECK_PROVES_AFTER: Duration = Duration::from_secs(4);
/// Candidates remembered of one client: more than any browser has.
pub const MAX_CANDIDATES: usize = 64;

/// The client's end of a path.
pub type Remote = (Protocol, SocketAddr);

/// The path in use, and the candidates that were given up.
#[derive(Default)]
pub struct Path {
    /// Where media is sent, and when something was heard from there.
    current: Option<(Remote, Instant)>,
    /// What the client announced, as ICE knows it: from the offer with the related address, trickled
    /// ones without.
    announced: Vec<Candidate>,
    /// Where checks came from that were authenticated, unless it was given up since.
    proven: VecDeque<Remote>,
    given_up: Vec<Remote>,
}

impl Path {
    /// No path yet, of a client that announced `candidates`.
    pub fn new(candidates: &[Candidate]) -> Self {
        Self {
            announced: candidates.to_vec(),
            ..Self::default()
        }
    }

    /// The client announced another candidate.
    pub fn announce(&mut self, candidate: Candidate) {
        if self.announced.len() < MAX_CANDIDATES {
            self.announced.push(candidate);
        }
    }

    /// Media is sent to `remote`. ICE goes on with an address that was given up until another pair
    /// is nominated: that is no path.
    pub fn sent_to(&mut self, remote: Remote, now: Instant) {
        if self.current.is_none_or(|(current, _)| current != remote)
            && !self.given_up.contains(&remote)
        {
            self.current = Some((remote, now));
        }
    }

    /// Media came from `remote`, which shows nothing unless an authenticated check came from there
    /// before; or else an authenticated check. Returns the address that the client has left, if
    /// this shows it.
    pub fn heard_from(&mut self, remote: Remote, is_media: bool, now: Instant) -> Option<Remote> {
        let is_proven = self.proven.contains(&remote);
        if !is_media && !is_proven {
            if self.proven.len() >= MAX_CANDIDATES {
                self.proven.pop_front();
            }
            self.proven.push_back(remote);
        }
        let (current, heard) = self.current.as_mut()?;
        if *current == remote {
            *heard = now;
            return None;
        }
        if is_media && !is_proven {
            return None;
        }
        let proves_after = if is_media {
            MEDIA_PROVES_AFTER
        } else {
            CHECK_PROVES_AFTER
        };
        (now.saturating_duration_since(*heard) >= proves_after).then_some(*current)
    }

    /// The candidates that ICE may know `remote` by, now to be given up.
    pub fn give_up(&mut self, remote: Remote) -> Vec<Candidate> {
        let candidates: Vec<Candidate> = self
            .announced
            .iter()
            .filter(|candidate| (candidate.proto(), candidate.addr()) == remote)
            .cloned()
            .chain(learned(remote))
            .chain(returned(remote))
            .collect();
        self.current = None;
        self.proven.retain(|proven| *proven != remote);
        if self.given_up.len() < MAX_CANDIDATES && !self.given_up.contains(&remote) {
            self.given_up.push(remote);
        }
        candidates
    }

    /// A check came from `remote`: if that was given up, the candidate that ICE should know again,
    /// for it ignores checks from candidates that were taken from it.
    pub fn return_to(&mut self, remote: Remote) -> Option<Candidate> {
        let at = self.given_up.iter().position(|left| *left == remote)?;
        self.given_up.swap_remove(at);
        returned(remote)
    }
}

/// The candidate that ICE makes for an address which nobody announced.
fn learned(remote: Remote) -> Option<Candidate> {
    peer_reflexive(remote, "")
}

/// The candidate of an address that was given up and returned. ICE finds the one to give up by its
/// parts, and stops at the first that has them, given up or not: the related address keeps this one
/// apart from all that were given up before the first return, and by the foundation it takes the
/// place of its predecessor at each later one.
fn returned(remote: Remote) -> Option<Candidate> {
    let nowhere = match remote.1 {
        SocketAddr::V4(_) => "0.0.0.0",
        SocketAddr::V6(_) => "::",
    };
    peer_reflexive(remote, &format!(" raddr {nowhere} rport 9"))
}

/// A peer-reflexive candidate with the highest preference (RFC 8445, section 5.1.2).
fn peer_reflexive((proto, address): Remote, related: &str) -> Option<Candidate> {
    const PRIORITY: u32 = (110 << 24) + (65_535 << 8) + 255;
    let (ip, port) = (address.ip(), address.port());
    // str0m's foundation for addresses that it learned. A candidate of its kind and address
    // replaces one that has it.
    let line = format!("candidate:tmp_prflx 1 {proto} {PRIORITY} {ip} {port} typ prflx{related}");
    Candidate::from_sdp_string(&line).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn remote(port: u16) -> Remote {
        let address = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), port);
        (Protocol::Udp, address)
    }

    const OLD: Remote = remote(4000);
    const NEW: Remote = remote(5000);

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    #[test]
    fn a_path_that_is_heard_is_kept_whatever_comes_from_elsewhere() {
        let start = Instant::now();
        let mut path = Path::default();
        path.sent_to(OLD, start);
        path.heard_from(NEW, false, start);
        for ms in (0..20_000).step_by(400) {
            path.sent_to(OLD, at(start, ms));
            assert_eq!(path.heard_from(OLD, false, at(start, ms)), None);
            assert_eq!(path.heard_from(NEW, true, at(start, ms + 399)), None);
        }
    }

    #[test]
    fn media_from_a_new_address_shows_soon_that_the_client_left() {
        let start = Instant::now();
        let mut path = Path::default();
        path.sent_to(OLD, start);
        path.heard_from(NEW, false, start);
        assert_eq!(path.heard_from(NEW, true, at(start, 499)), None);
        assert_eq!(path.heard_from(NEW, true, at(start, 500)), Some(OLD));
    }

    #[test]
    fn media_from_where_no_check_was_authenticated_shows_nothing() {
        let start = Instant::now();
        let mut path = Path::default();
        path.sent_to(OLD, start);
        assert_eq!(path.heard_from(NEW, true, at(start, 20_000)), None);
        // What was given up has to be proven again.
        path.heard_from(NEW, false, start);
        path.give_up(NEW);
        path.sent_to(OLD, at(start, 20_000));
        assert_eq!(path.heard_from(NEW, true, at(start, 40_000)), None);
        path.heard_from(NEW, false, at(start, 20_000));
        assert_eq!(path.heard_from(NEW, true, at(start, 40_000)), Some(OLD));
    }

    #[test]
    fn a_check_from_a_new_address_shows_it_once_the_old_one_missed_its_checks() {
        let start = Instant::now();
        let mut path = Path::default();
        path.sent_to(OLD, start);
        assert_eq!(path.heard_from(NEW, false, at(start, 3_900)), None);
        assert_eq!(path.heard_from(NEW, false, at(start, 4_000)), Some(OLD));
    }

    #[test]
    fn what_is_still_sent_to_an_address_that_was_given_up_makes_it_no_path_again() {
        let start = Instant::now();
        let mut path = Path::default();
        path.sent_to(OLD, start);
        path.heard_from(NEW, false, start);
        assert_eq!(path.heard_from(NEW, true, at(start, 600)), Some(OLD));
        path.give_up(OLD);
        path.sent_to(OLD, at(start, 610));
        assert_eq!(path.heard_from(NEW, true, at(start, 1_200)), None);
        path.sent_to(NEW, at(start, 1_210));
        path.heard_from(OLD, false, at(start, 1_210));
        assert_eq!(path.heard_from(OLD, true, at(start, 1_800)), Some(NEW));
    }

    #[test]
    fn an_address_is_remembered_as_given_up_once() {
        let mut path = Path::default();
        path.give_up(OLD);
        path.give_up(OLD);
        assert!(path.return_to(OLD).is_some());
        assert_eq!(path.return_to(OLD), None);
    }

    #[test]
    fn an_address_that_was_given_up_may_return_once() {
        let host = Candidate::host(OLD.1, "udp").unwrap();
        let mut path = Path::new(std::slice::from_ref(&host));
        assert!(path.give_up(OLD).contains(&host));
        assert_eq!(path.return_to(NEW), None);
        let returned = path.return_to(OLD).unwrap();
        assert_eq!(path.return_to(OLD), None);
        assert!(
            path.give_up(OLD).contains(&returned),
            "and be given up again"
        );
        assert!(!path.give_up(NEW).contains(&host));
    }
}
