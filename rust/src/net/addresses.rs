//! Our own addresses: those of local interfaces, and those the operator says we have outside.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use thiserror::Error;

use super::excerpt;
use super::ice_server::parse_port;

/// Why configured addresses can not be used.
#[derive(Debug, Error)]
pub enum AddressError {
    /// An entry is neither the name nor an address of a local interface.
    #[error(
        "{wanted:?} is neither a network interface nor one of its addresses; there are: {existing}"
    )]
    UnknownInterface {
        /// The entry.
        wanted: String,
        /// `name (address, address), name (address)`.
        existing: String,
    },
    /// No interface has an address.
    #[error("this machine has no network interface with an IP address")]
    None,
    /// The system would not tell.
    #[error("the system's list of network interfaces can not be read: {0}")]
    System(#[from] std::io::Error),
    /// A public address that is not an IP address.
    #[error("{0:?} is not a public address: write IP, IP:PORT or [IPV6]:PORT")]
    Public(String),
    /// A public address that nobody could send to.
    #[error("{0} can not be a public address: it is unspecified, multicast or broadcast")]
    Unreachable(IpAddr),
}

/// One address of one interface.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Interface {
    name: String,
    index: Option<u32>,
    ip: IpAddr,
    up: bool,
}

/// Addresses to offer as host candidates, each with `port`.
///
/// With an empty `interfaces`: every address of the interfaces that are up, except loopback and
/// link-local ones; only if that leaves nothing, the loopback addresses. (`str0m` refuses IPv4
/// link-local candidates, and IPv6 ones need a zone that a candidate can not carry.)
/// Else exactly what is asked for: an entry is an interface's name (`eth0`: its addresses,
/// link-local ones only if it has no others) or one of the machine's addresses (`127.0.0.1`).
///
/// # Errors
/// [`AddressError`]; an unknown entry's message lists what exists.
pub fn local_addresses(interfaces: &[String], port: u16) -> Result<Vec<SocketAddr>, AddressError> {
    let existing: Vec<Interface> = if_addrs::get_if_addrs()?
        .into_iter()
        .map(|found| Interface {
            ip: found.ip(),
            up: found.is_oper_up() || found.is_loopback(),
            index: found.index,
            name: found.name,
        })
        .collect();
    select(&existing, interfaces, port)
}

fn select(
    existing: &[Interface],
    wanted: &[String],
    port: u16,
) -> Result<Vec<SocketAddr>, AddressError> {
    let mut chosen: Vec<&Interface> = Vec::new();
    if wanted.is_empty() {
        chosen.extend(existing.iter().filter(|i| i.up && is_routable(i.ip)));
        if chosen.is_empty() {
            chosen.extend(existing.iter().filter(|i| i.ip.is_loopback()));
        }
    }
    for entry in wanted {
        let before = chosen.len();
        let named = || existing.iter().filter(|i| i.name == *entry);
        chosen.extend(named().filter(|i| !is_link_local(i.ip)));
        if chosen.len() == before {
            chosen.extend(named());
        }
        if chosen.len() == before
            && let Ok(ip) = entry.parse::<IpAddr>()
        {
            chosen.extend(existing.iter().find(|i| i.ip == ip));
        }
        if chosen.len() == before {
            return Err(AddressError::UnknownInterface {
                wanted: excerpt(entry, 64),
                existing: describe(existing),
            });
        }
    }
    let mut addresses: Vec<SocketAddr> = Vec::with_capacity(chosen.len());
    for interface in chosen {
        let address = socket_address(interface, port);
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    if addresses.is_empty() {
        Err(AddressError::None)
    } else {
        Ok(addresses)
    }
}

fn socket_address(interface: &Interface, port: u16) -> SocketAddr {
    match interface.ip {
        IpAddr::V6(ip) if is_link_local(interface.ip) => {
            SocketAddrV6::new(ip, port, 0, interface.index.unwrap_or(0)).into()
        }
        ip => SocketAddr::new(ip, port),
    }
}

fn is_routable(ip: IpAddr) -> bool {
    !ip.is_loopback() && !is_link_local(ip) && !ip.is_unspecified()
}

fn is_link_local(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    }
}

fn describe(existing: &[Interface]) -> String {
    let mut groups: Vec<(&str, Vec<String>)> = Vec::new();
    for interface in existing {
        let ip = interface.ip.to_string();
        match groups.iter_mut().find(|(name, _)| *name == interface.name) {
            Some((_, addresses)) => addresses.push(ip),
            None => groups.push((&interface.name, vec![ip])),
        }
    }
    let groups: Vec<String> = groups
        .iter()
        .map(|(name, ips)| format!("{name} ({})", ips.join(", ")))
        .collect();
    if groups.is_empty() {
        "none".to_owned()
    } else {
        groups.join(", ")
    }
}

/// Addresses under which the operator says we are reached from outside: `IP` (then with
/// `default_port`), `IP:PORT` or `[IPV6]:PORT`.
///
/// # Errors
/// [`AddressError::Public`] for anything else (host names too: an answer can not carry them),
/// [`AddressError::Unreachable`] for addresses that can not be a destination.
pub fn public_addresses(
    entries: &[String],
    default_port: u16,
) -> Result<Vec<SocketAddr>, AddressError> {
    entries
        .iter()
        .map(|entry| public_address(entry.trim(), default_port))
        .collect()
}

fn public_address(entry: &str, default_port: u16) -> Result<SocketAddr, AddressError> {
    let refused = || AddressError::Public(excerpt(entry, 64));
    let (ip, port) = if let Ok(ip) = entry.parse::<IpAddr>() {
        (ip, default_port)
    } else if let Some(bracketed) = entry.strip_prefix('[') {
        let (ip, after) = bracketed.split_once(']').ok_or_else(refused)?;
        let port = match after.strip_prefix(':') {
            Some(port) => parse_port(port).ok_or_else(refused)?,
            None if after.is_empty() => default_port,
            None => return Err(refused()),
        };
        (IpAddr::V6(ip.parse().map_err(|_| refused())?), port)
    } else {
        let (ip, port) = entry.split_once(':').ok_or_else(refused)?;
        (
            IpAddr::V4(ip.parse().map_err(|_| refused())?),
            parse_port(port).ok_or_else(refused)?,
        )
    };
    let ip = ip.to_canonical();
    if !super::candidates::is_destination(ip) {
        return Err(AddressError::Unreachable(ip));
    }
    Ok(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn machine(entries: &[(&str, &str, bool)]) -> Vec<Interface> {
        let interface = |&(name, ip, up): &(&str, &str, bool)| Interface {
            name: name.to_owned(),
            index: Some(2),
            ip: ip.parse().unwrap(),
            up,
        };
        entries.iter().map(interface).collect()
    }

    fn server() -> Vec<Interface> {
        machine(&[
            ("lo", "127.0.0.1", true),
            ("lo", "::1", true),
            ("eth0", "192.0.2.5", true),
            ("eth0", "2001:db8::5", true),
            ("eth0", "fe80::5", true),
            ("docker0", "172.17.0.1", false),
            ("cable0", "169.254.3.4", true),
        ])
    }

    fn chosen(existing: &[Interface], wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<String> = wanted.iter().map(|&entry| entry.to_owned()).collect();
        let addresses = select(existing, &wanted, 8000).unwrap();
        addresses.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn by_default_routable_addresses_of_interfaces_that_are_up() {
        assert_eq!(
            chosen(&server(), &[]),
            ["192.0.2.5:8000", "[2001:db8::5]:8000"]
        );
    }

    #[test]
    fn loopback_only_when_nothing_else_exists() {
        let offline = machine(&[("lo", "127.0.0.1", true), ("cable0", "169.254.3.4", true)]);
        assert_eq!(chosen(&offline, &[]), ["127.0.0.1:8000"]);
        assert!(matches!(select(&[], &[], 8000), Err(AddressError::None)));
    }

    #[test]
    fn what_is_asked_for_is_given() {
        let server = server();
        assert_eq!(chosen(&server, &["127.0.0.1"]), ["127.0.0.1:8000"]);
        assert_eq!(chosen(&server, &["lo"]), ["127.0.0.1:8000", "[::1]:8000"]);
        assert_eq!(chosen(&server, &["docker0"]), ["172.17.0.1:8000"]);
        assert_eq!(chosen(&server, &["cable0"]), ["169.254.3.4:8000"]);
        assert_eq!(chosen(&server, &["fe80::5"]), ["[fe80::5%2]:8000"]);
        let twice = chosen(&server, &["eth0", "192.0.2.5"]);
        assert_eq!(twice, ["192.0.2.5:8000", "[2001:db8::5]:8000"]);
    }

    #[test]
    fn an_unknown_entry_lists_what_exists() {
        let wanted = ["eth0".to_owned(), "wlan7".to_owned()];
        let error = select(&server(), &wanted, 8000).unwrap_err().to_string();
        assert!(error.contains("\"wlan7\""), "{error}");
        assert!(
            error.contains("eth0 (192.0.2.5, 2001:db8::5, fe80::5), docker0"),
            "{error}"
        );
    }

    #[test]
    fn this_machine_has_a_loopback_address() {
        let found = local_addresses(&["127.0.0.1".to_owned()], 9).unwrap();
        assert_eq!(found, ["127.0.0.1:9".parse().unwrap()]);
        assert!(!local_addresses(&[], 9).unwrap().is_empty());
    }

    #[test]
    fn public_addresses_take_three_forms() {
        let entries = [
            "203.0.113.7",
            " 203.0.113.7:9000",
            "2001:db8::7",
            "[2001:db8::7]:9000",
        ];
        let entries = entries.map(str::to_owned);
        let found = public_addresses(&entries, 8000).unwrap();
        let found: Vec<String> = found.iter().map(ToString::to_string).collect();
        assert_eq!(
            found,
            [
                "203.0.113.7:8000",
                "203.0.113.7:9000",
                "[2001:db8::7]:8000",
                "[2001:db8::7]:9000"
            ]
        );
    }

    #[test]
    fn public_addresses_refuse_what_nobody_reaches() {
        for entry in [
            "example.org",
            "203.0.113.7:0",
            "203.0.113.7:",
            "[::1",
            "[::1]x",
            "",
            "%",
        ] {
            let error = public_address(entry, 1).unwrap_err();
            assert!(matches!(error, AddressError::Public(_)), "{entry}: {error}");
        }
        for entry in ["0.0.0.0", "[::]:80", "239.1.2.3:5", "255.255.255.255"] {
            let error = public_address(entry, 1).unwrap_err();
            assert!(
                matches!(error, AddressError::Unreachable(_)),
                "{entry}: {error}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(entry in r"[\[\]0-9a-f:.% \PC]{0,40}") {
            if let Ok(address) = public_address(&entry, 7) {
                prop_assert!(address.port() != 0);
                prop_assert_eq!(public_address(&address.to_string(), 1).unwrap(), address);
            }
        }
    }
}
