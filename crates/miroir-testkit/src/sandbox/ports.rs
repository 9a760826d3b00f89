//! Loopback ports for the processes of a sandbox.
//!
//! Asking the system for port 0 would hand out *ephemeral* ports, and while a node is down any outgoing connection of
//! the machine may take its port, so that the node could not come back. Ports are therefore taken from below the
//! ephemeral range, from a random start so that test processes running side by side rarely collide.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

use anyhow::{Context, Result};

/// Below Linux's (32768..) and IANA's (49152..) ephemeral ranges.
const PORTS: Range<u16> = 18_000..31_000;

static NEXT: Mutex<Option<u16>> = Mutex::new(None);

/// A loopback port that nobody listens on and that this process has not given out yet (until the range wraps around).
pub fn free_port() -> Result<u16> {
    let mut next = NEXT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let start = next.unwrap_or_else(|| rand::random_range(PORTS));
    let candidates = (start..PORTS.end).chain(PORTS.start..start);
    let port = candidates
        .into_iter()
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .context("no free loopback port")?;
    *next = Some(if port + 1 < PORTS.end { port + 1 } else { PORTS.start });
    Ok(port)
}

#[cfg(test)]
mod tests {
    use super::{PORTS, free_port};

    #[test]
    fn two_ports_are_never_the_same_and_lie_below_the_ephemeral_range() {
        let ports: Vec<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        let distinct: std::collections::BTreeSet<_> = ports.iter().collect();
        assert_eq!(distinct.len(), ports.len());
        assert!(ports.iter().all(|port| PORTS.contains(port)));
    }
}
