//! Addresses that are one though they are written in two ways, and those of Miroir itself.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use reqwest::Url;

use super::Checker;
use crate::config::checked::{MetricsConfig, NodeAddress, ServerConfig};
use crate::config::error::Reason;
use crate::config::raw::Raw;

/// Where Miroir listens: each with the section that says so.
pub(super) struct Own(Vec<(&'static str, IpAddr, u16)>);

impl Own {
    pub(super) fn of(server: &ServerConfig, metrics: &MetricsConfig) -> Self {
        let mut own = vec![("server", server.bind, server.port)];
        if metrics.enabled {
            own.push(("metrics", metrics.bind, metrics.port));
        }
        Self(own)
    }

    /// The section of the listener that answers at a node's address, as far as this can be seen without asking anybody.
    pub(super) fn section_of(&self, address: &NodeAddress) -> Option<&'static str> {
        let url = Url::parse(address.as_str()).ok()?;
        let port = url.port_or_known_default()?;
        let host = host_of(&url);
        let is_reached = |bind: IpAddr| match host {
            Some(ip) if is_this_machine(ip) => is_this_machine(bind),
            Some(ip) => ip == bind,
            None => false,
        };
        let found = self.0.iter().find(|(_, bind, own)| *own == port && port != 0 && is_reached(*bind));
        found.map(|(section, ..)| *section)
    }
}

impl Checker {
    /// Two listeners can't have one port, unless at different addresses. 0 is any free one.
    pub(super) fn listeners(&mut self, raw: &Raw, server: &ServerConfig, metrics: &MetricsConfig) {
        let meet =
            server.bind == metrics.bind || server.bind.is_unspecified() || metrics.bind.is_unspecified();
        if !metrics.enabled || server.port != metrics.port || server.port == 0 || !meet {
            return;
        }
        match (&raw.metrics.port, &raw.server.port) {
            (None, Some(port)) => self.refuse("server.port", port, Reason::PortTaken("metrics.port")),
            (port, _) => {
                let reason = Reason::PortTaken("server.port");
                self.refuse_as("metrics.port", port.as_ref(), &metrics.port, reason);
            }
        }
    }
}

/// The address with one name for this machine, to find those that are written in two ways.
pub(super) fn same_for_all(address: &NodeAddress) -> NodeAddress {
    let plain = || {
        let mut url = Url::parse(address.as_str()).ok()?;
        if host_of(&url).is_some_and(is_this_machine) {
            url.set_host(Some("localhost")).ok()?;
        }
        NodeAddress::parse(url.as_str()).ok()
    };
    plain().unwrap_or_else(|| address.clone())
}

fn host_of(url: &Url) -> Option<IpAddr> {
    let host = url.host_str()?;
    if host == "localhost" {
        return Some(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    host.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// Whether connections to it, and listeners on it, are this machine's usual ones. Other addresses of the loopback network may
/// have listeners of their own.
fn is_this_machine(ip: IpAddr) -> bool {
    ip.is_unspecified() || ip == IpAddr::V4(Ipv4Addr::LOCALHOST) || ip == IpAddr::V6(Ipv6Addr::LOCALHOST)
}
