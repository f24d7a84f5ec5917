//! How a server is reached: TLS, the proxies in front, limits of connections, and where its operators look.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use crate::config::ConnectionLimits;
use crate::http::origin::{Network, ProxyHeaders, TrustedProxies};
use crate::http::rate::Rates;
use crate::http::tls::{Tls, TlsError};

#[derive(Args, Debug, Clone)]
pub(super) struct NetworkOptions {
    /// Speak TLS with this certificate: a file in PEM, the server's own certificate first, then those that lead to a known one.
    /// Read again when it changes, and on SIGHUP.
    #[arg(long, value_name = "FILE", requires = "tls_key", env = "MUSEHUB_TLS_CERT")]
    tls_cert: Option<PathBuf>,
    /// The certificate's private key: a file in PEM.
    #[arg(long, value_name = "FILE", requires = "tls_cert", env = "MUSEHUB_TLS_KEY")]
    tls_key: Option<PathBuf>,
    /// Believe what this proxy says of its clients: an address or a network such as 10.0.0.0/8. May be given several times, or
    /// several with commas.
    #[arg(long, value_name = "CIDR", value_delimiter = ',', env = "MUSEHUB_TRUSTED_PROXY")]
    trusted_proxy: Vec<Network>,
    /// The headers that trusted proxies write: x-forwarded (X-Forwarded-For, -Proto and -Host) or forwarded (Forwarded).
    #[arg(long, value_name = "KIND", default_value_t, env = "MUSEHUB_PROXY_HEADERS")]
    proxy_headers: ProxyHeaders,
    /// Connections at one time; more wait.
    #[arg(long, value_name = "N", default_value_t = ConnectionLimits::default().all as u64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_connections: u64,
    /// Connections of one address at one time; more are closed. Trusted proxies have no such limit.
    #[arg(long, value_name = "N", default_value_t = ConnectionLimits::default().per_address as u64, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    max_connections_per_address: u64,
    /// Seconds that a client may take to send the head of a request.
    #[arg(long, value_name = "SECONDS", default_value_t = ConnectionLimits::default().head_time.as_secs(), value_parser = clap::value_parser!(u64).range(1..=3600))]
    head_timeout: u64,
    /// How often somebody may ask, by who they are or their address: requests per second, a slash, and how many at once, of each
    /// class. Or off.
    #[arg(long, value_name = "LIMITS", default_value_t, env = "MUSEHUB_RATE_LIMIT")]
    rate_limit: RateLimit,
    #[command(flatten)]
    pub(super) operations: OperationsOptions,
}

#[derive(Args, Debug, Clone)]
pub(super) struct OperationsOptions {
    /// Serve /metrics, /healthz and /readyz at this address, to anybody who reaches it: one of this machine or of a network of
    /// your own.
    #[arg(long, value_name = "ADDR", env = "MUSEHUB_METRICS_LISTEN")]
    pub(super) metrics_listen: Option<SocketAddr>,
}

/// Limits, or none.
#[derive(Clone, Copy, Debug)]
struct RateLimit(Option<Rates>);

impl Default for RateLimit {
    fn default() -> Self {
        Self(Some(Rates::default()))
    }
}

impl FromStr for RateLimit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "off" { Ok(Self(None)) } else { text.parse().map(|rates| Self(Some(rates))) }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(rates) => rates.fmt(f),
            None => f.write_str("off"),
        }
    }
}

impl NetworkOptions {
    pub(super) const fn rates(&self) -> Option<Rates> {
        self.rate_limit.0
    }

    /// The certificate, read.
    pub(super) fn tls(&self) -> Result<Option<Arc<Tls>>, TlsError> {
        let files = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        files.map(|(certificate, key)| Tls::load(certificate, key).map(Arc::new)).transpose()
    }

    pub(super) fn proxies(&self) -> TrustedProxies {
        TrustedProxies::new(self.trusted_proxy.clone(), self.proxy_headers)
    }

    pub(super) fn connections(&self) -> ConnectionLimits {
        let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        ConnectionLimits {
            all: count(self.max_connections),
            per_address: count(self.max_connections_per_address),
            head_time: Duration::from_secs(self.head_timeout),
        }
    }
}
