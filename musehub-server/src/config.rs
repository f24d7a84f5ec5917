//! What can be chosen of a server; everything has a default.

use std::time::Duration;

use crate::app::Limits;
use crate::auth::AccessOptions;
use crate::http::origin::TrustedProxies;
use crate::http::rate::Rates;
use crate::jobs::{LEASE, Registry};

/// What the listener takes.
#[derive(Clone, Copy, Debug)]
pub struct ConnectionLimits {
    /// Connections at one time; more wait.
    pub all: usize,
    /// Of one address, or of one network of 64 bits under IPv6; more are closed. Trusted proxies have no such limit.
    pub per_address: usize,
    /// How long a client may take for a handshake, for the head of its first request, and for that of each following one.
    pub head_time: Duration,
}

impl Default for ConnectionLimits {
    fn default() -> Self {
        Self { all: 4096, per_address: 256, head_time: Duration::from_secs(30) }
    }
}

/// What can be chosen.
#[derive(Clone, Debug)]
pub struct Config {
    /// What a request may cost.
    pub limits: Limits,
    /// What the listener takes.
    pub connections: ConnectionLimits,
    /// The proxies in front.
    pub proxies: TrustedProxies,
    /// How often somebody may ask; none for as often as they like.
    pub rates: Option<Rates>,
    /// Who may come in, and as whom.
    pub access: AccessOptions,
    /// The kinds of jobs.
    pub handlers: Registry,
    /// How long a job is its worker's without a sign of life.
    pub lease: Duration,
    /// Whether clients may be given addresses of the object store itself, where it can sign them.
    pub store_addresses: bool,
}

impl Default for Config {
    fn default() -> Self {
        Limits::default().into()
    }
}

impl From<Limits> for Config {
    fn from(limits: Limits) -> Self {
        Self {
            limits,
            connections: ConnectionLimits::default(),
            proxies: TrustedProxies::default(),
            rates: None,
            access: AccessOptions::default(),
            handlers: Registry::standard(),
            lease: LEASE,
            store_addresses: true,
        }
    }
}
