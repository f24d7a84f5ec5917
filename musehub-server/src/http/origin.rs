//! Where a request comes from and what it was sent to, also through proxies: whose word is believed, and how much of it.
//!
//! Anybody can write a header. So those that name another client are heard only from peers that the operator trusts, and of
//! a chain of addresses only the part that trusted proxies wrote: the client is the last one that is no trusted proxy.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use hyper::header::{HOST, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use ipnet::IpNet;

const FORWARDED: HeaderName = HeaderName::from_static("forwarded");
const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// How many proxies of a chain are looked at.
const MAX_HOPS: usize = 32;

/// What the listener knows of a connection; it travels with each request as an extension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Connection {
    /// The other end.
    pub peer: IpAddr,
    /// Whether it speaks TLS.
    pub tls: bool,
}

/// Which headers the trusted proxies write. Only one kind is heard: a proxy that writes one lets the other pass as the
/// client sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ProxyHeaders {
    /// `X-Forwarded-For`, `X-Forwarded-Proto`, `X-Forwarded-Host`.
    #[default]
    XForwarded,
    /// `Forwarded`, of RFC 7239.
    Forwarded,
}

impl FromStr for ProxyHeaders {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "x-forwarded" => Ok(Self::XForwarded),
            "forwarded" => Ok(Self::Forwarded),
            _ => Err("it is 'x-forwarded' or 'forwarded'".to_owned()),
        }
    }
}

impl fmt::Display for ProxyHeaders {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::XForwarded => "x-forwarded",
            Self::Forwarded => "forwarded",
        })
    }
}

/// A proxy, or a network of them: `10.0.0.0/8`, `192.0.2.1`, `fd00::/8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network(IpNet);

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>().map(IpNet::from);
        address
            .or_else(|_| text.parse())
            .map(Self)
            .map_err(|_| format!("'{text}' is no address and no network"))
    }
}

/// The proxies whose word about their clients is believed.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    networks: Vec<Network>,
    headers: ProxyHeaders,
}

/// Where a request comes from, and what it was sent to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    /// The client's address; none where the request came over no network.
    pub client: Option<IpAddr>,
    /// Whether the client speaks TLS, with this server or with a trusted proxy.
    pub https: bool,
    /// The host that the client addressed, with its port where it named one; `localhost` where it named none that could be.
    pub host: String,
}

impl Origin {
    /// Where clients reach this server.
    #[must_use]
    pub fn base_url(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.host)
    }
}

/// What proxies said.
#[derive(Default)]
struct Told {
    client: Option<IpAddr>,
    proto: Option<String>,
    host: Option<String>,
}

impl TrustedProxies {
    /// These, which write headers of this kind.
    #[must_use]
    pub fn new(networks: Vec<Network>, headers: ProxyHeaders) -> Self {
        Self { networks, headers }
    }

    /// Whether an address is one of them.
    #[must_use]
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.networks.iter().any(|network| network.0.contains(&address))
    }

    /// Where a request comes from.
    #[must_use]
    pub fn origin(&self, parts: &Parts) -> Origin {
        let connection = parts.extensions.get::<Connection>().copied();
        let peer = connection.map(|connection| connection.peer.to_canonical());
        let told = match peer {
            Some(peer) if self.trusts(peer) => self.told(&parts.headers, peer),
            _ => Told::default(),
        };
        let addressed = parts.uri.authority().map(|authority| authority.as_str().to_owned());
        let addressed = addressed.or_else(|| texts(&parts.headers, &HOST).next().map(str::to_owned));
        let host = told.host.filter(|host| is_host(host)).or(addressed.filter(|host| is_host(host)));
        let https = match told.proto {
            Some(proto) => proto.eq_ignore_ascii_case("https"),
            None => connection.is_some_and(|connection| connection.tls),
        };
        Origin { client: told.client.or(peer), https, host: host.unwrap_or_else(|| "localhost".to_owned()) }
    }

    fn told(&self, headers: &HeaderMap, peer: IpAddr) -> Told {
        match self.headers {
            ProxyHeaders::XForwarded => {
                let chain = list(headers, &FORWARDED_FOR);
                let hops: Vec<Option<IpAddr>> = chain.iter().map(|hop| address(hop)).collect();
                Told {
                    client: Some(self.client(&hops, peer).0),
                    // What the nearest proxy said comes last.
                    proto: list(headers, &FORWARDED_PROTO).pop(),
                    host: list(headers, &FORWARDED_HOST).pop(),
                }
            }
            ProxyHeaders::Forwarded => {
                let mut hops = forwarded(headers);
                let addresses: Vec<Option<IpAddr>> =
                    hops.iter().map(|hop| hop.client.as_deref().and_then(address)).collect();
                let (client, written_by) = self.client(&addresses, peer);
                let hop = written_by.map(|at| hops.swap_remove(at));
                let (proto, host) = hop.map_or((None, None), |hop| (hop.proto, hop.host));
                Told { client: Some(client), proto, host }
            }
        }
    }

    /// The client of a chain of hops, the first hop first, and which element named it. Every element was written by the
    /// machine of the next one, the last by `peer`.
    fn client(&self, hops: &[Option<IpAddr>], peer: IpAddr) -> (IpAddr, Option<usize>) {
        let mut client = (peer, None);
        for (at, hop) in hops.iter().enumerate().rev().take(MAX_HOPS) {
            // What a trusted proxy does not know ends what can be known.
            let Some(hop) = hop else { break };
            client = (*hop, Some(at));
            if !self.trusts(*hop) {
                break;
            }
        }
        client
    }
}

/// What counts as one address where something is counted by address: under IPv6 a network of 64 bits, as whoever has one has
/// all of it.
#[must_use]
pub fn network_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) >> 64 << 64).into()),
        v4 => v4,
    }
}

/// The values of a header that are text.
fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> + use<'a> {
    headers.get_all(name).iter().filter_map(|value| value.to_str().ok())
}

/// The elements of a header that is a list, over all its lines.
fn list(headers: &HeaderMap, name: &HeaderName) -> Vec<String> {
    texts(headers, name).flat_map(|line| line.split(',')).map(|item| item.trim().to_owned()).collect()
}

/// One element of `Forwarded`.
#[derive(Default)]
struct Hop {
    client: Option<String>,
    proto: Option<String>,
    host: Option<String>,
}

fn forwarded(headers: &HeaderMap) -> Vec<Hop> {
    let lines = texts(headers, &FORWARDED);
    let elements = lines.flat_map(|line| unquoted_split(line, ','));
    let hop = |element: String| {
        let mut hop = Hop::default();
        for pair in unquoted_split(&element, ';') {
            let Some((name, value)) = pair.split_once('=') else { continue };
            let place = match name.trim().to_ascii_lowercase().as_str() {
                "for" => &mut hop.client,
                "proto" => &mut hop.proto,
                "host" => &mut hop.host,
                _ => continue,
            };
            *place = Some(unquote(value.trim()));
        }
        hop
    };
    elements.map(hop).collect()
}

/// The pieces between separators that stand outside of quotes.
fn unquoted_split(text: &str, separator: char) -> Vec<String> {
    let mut pieces = vec![String::new()];
    let (mut quoted, mut escaped) = (false, false);
    for c in text.chars() {
        if c == separator && !quoted {
            pieces.push(String::new());
            continue;
        }
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = c == '\\' && quoted && !escaped;
        pieces.last_mut().expect("there is a first piece").push(c);
    }
    pieces
}

fn unquote(text: &str) -> String {
    let Some(inner) = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return text.to_owned();
    };
    let mut plain = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

/// An address as proxies write it: bare, in brackets, with a port or without.
fn address(text: &str) -> Option<IpAddr> {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let parsed: Option<IpAddr> = text.parse().ok().or_else(bracketed);
    let parsed = parsed.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()));
    parsed.map(|address| address.to_canonical())
}

/// Whether a text can be a host, with or without a port: what is written into addresses that others follow.
fn is_host(text: &str) -> bool {
    let sane = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b':' | b'-' | b'[' | b']' | b'_');
    !text.is_empty() && text.len() <= 255 && text.bytes().all(sane)
}

#[cfg(test)]
mod tests;
