//! `MSign`: a signature of one request in its header `Authorization`.
//!
//! Two forms were published. The second names its algorithm and signs the host:
//!
//! | | header | message |
//! |---|---|---|
//! | [`Form::V1`] | `MSign handle="…" ts=… sig="…"` | method, path with query, time, hash of the body |
//! | [`Form::V2`] | `MSign handle="…" alg="ed25519" ts=… sig="…"` | algorithm, method, host, path with query, time, hash of the body |
//!
//! The parts are joined by line feeds. How the hash of the body is written differs between sources, so each way is tried; all say
//! the same of the body.

use super::{ALGORITHM, KeyError, PublicKey, Signature};
use crate::name::{Handle, NameError};

/// The name of the scheme.
pub const SCHEME: &str = "MSign";

/// How far the time of a signature may be from the time of its arrival, in milliseconds, in both directions.
pub const WINDOW_MILLIS: i64 = 30_000;

/// The longest header that is read, in bytes.
const MAX_HEADER: usize = 1024;

/// Which of the published forms a signature has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// April 2026: says nothing of the host, so whoever receives it could use it at another hub within its time.
    V1,
    /// June 2026 on.
    V2,
}

/// Why a header is no signature.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HeaderError {
    /// Not of the form.
    #[error("an MSign header reads: MSign handle=\"…\" alg=\"ed25519\" ts=… sig=\"…\"")]
    Malformed,
    /// An algorithm that this hub does not verify.
    #[error("alg: only \"ed25519\" is known")]
    Algorithm,
    /// No handle.
    #[error("handle: {0}")]
    Handle(#[from] NameError),
    /// No signature.
    #[error("sig: {0}")]
    Signature(#[from] KeyError),
}

/// A header `Authorization: MSign …`, read and not yet verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SignedHeader {
    /// Who is said to have signed.
    pub handle: Handle,
    /// When, in seconds since 1970-01-01T00:00:00Z.
    pub seconds: i64,
    /// The signature.
    pub signature: Signature,
    /// Its form.
    pub form: Form,
}

impl SignedHeader {
    /// Reads what follows the name of the scheme: `name=value` pairs in any order, values quoted or not, set apart by spaces
    /// or commas. Each name comes once; unknown ones are refused, as a signature cannot cover them.
    ///
    /// # Errors
    /// [`HeaderError`].
    pub fn parse(text: &str) -> Result<Self, HeaderError> {
        if text.len() > MAX_HEADER {
            return Err(HeaderError::Malformed);
        }
        let [mut handle, mut algorithm, mut seconds, mut signature] = [None; 4];
        let mut rest = text.trim();
        while !rest.is_empty() {
            let (name, value, after) = pair(rest).ok_or(HeaderError::Malformed)?;
            let slot = match name {
                "handle" => &mut handle,
                "alg" => &mut algorithm,
                "ts" => &mut seconds,
                "sig" => &mut signature,
                _ => return Err(HeaderError::Malformed),
            };
            if slot.replace(value).is_some() {
                return Err(HeaderError::Malformed);
            }
            rest = after.trim_start_matches([' ', ',']);
        }
        let seconds = seconds.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        Ok(Self {
            handle: Handle::parse(handle.ok_or(HeaderError::Malformed)?)?,
            form: match algorithm {
                None => Form::V1,
                Some(ALGORITHM) => Form::V2,
                Some(_) => return Err(HeaderError::Algorithm),
            },
            seconds: seconds.and_then(|digits| digits.parse().ok()).ok_or(HeaderError::Malformed)?,
            signature: signature.ok_or(HeaderError::Malformed)?.parse()?,
        })
    }

    /// Whether the time is within the window around `now`, in milliseconds.
    #[must_use]
    pub const fn is_timely(&self, now: i64) -> bool {
        self.seconds.saturating_mul(1000).abs_diff(now) <= WINDOW_MILLIS.unsigned_abs()
    }

    /// Whether one of the keys signed this request.
    #[must_use]
    pub fn is_signed_by(&self, keys: &[PublicKey], request: &Request<'_>, body: &[u8; 32]) -> bool {
        let messages = self.messages(request, body);
        keys.iter()
            .any(|key| messages.iter().any(|message| key.verifies(message.as_bytes(), &self.signature)))
    }

    /// Every message that a client may have signed for this request; all mean the same.
    fn messages(&self, request: &Request<'_>, body: &[u8; 32]) -> Vec<String> {
        let digits = hex::encode(body);
        let prefixed = format!("sha256:{digits}");
        let mut hashes = match self.form {
            Form::V1 => vec![digits, prefixed],
            Form::V2 => vec![prefixed, digits],
        };
        if *body == EMPTY {
            hashes.push(String::new());
        }
        let Request { method, host, path } = request;
        let ts = self.seconds;
        let message = |hash: String| match self.form {
            Form::V1 => format!("{method}\n{path}\n{ts}\n{hash}"),
            Form::V2 => format!("{ALGORITHM}\n{method}\n{host}\n{path}\n{ts}\n{hash}"),
        };
        hashes.into_iter().map(message).collect()
    }
}

/// Takes one `name=value` off the front.
fn pair(text: &str) -> Option<(&str, &str, &str)> {
    let (name, rest) = text.split_once('=')?;
    if let Some(quoted) = rest.strip_prefix('"') {
        let (value, after) = quoted.split_once('"')?;
        // Nothing that a signature is made of needs an escape.
        let apart = after.is_empty() || after.starts_with([' ', ',']);
        return (apart && !value.contains('\\')).then_some((name, value, after));
    }
    let end = rest.find([' ', ',']).unwrap_or(rest.len());
    let (value, after) = rest.split_at(end);
    (!value.is_empty() && !value.contains('"')).then_some((name, value, after))
}

/// The SHA-256 of no bytes.
const EMPTY: [u8; 32] = [
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27,
    0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
];

/// What is signed of a request, its body apart.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The method, in upper case.
    pub method: &'a str,
    /// The host as [`canonical_host`] gives it.
    pub host: &'a str,
    /// The path with its query, as it was sent.
    pub path: &'a str,
}

/// The host as it is signed: in lower case, with its port unless that is 80 or 443.
#[must_use]
pub fn canonical_host(host: &str) -> String {
    let host = host.trim().to_ascii_lowercase();
    for standard in [":80", ":443"] {
        if let Some(name) = host.strip_suffix(standard)
            && (!name.contains(':') || name.ends_with(']'))
        {
            return name.to_owned();
        }
    }
    host
}

#[cfg(test)]
mod tests;
