//! Addresses that the hub signs: whoever has one may do one thing, until it ends, without credentials. For clients that send
//! none to an address they were given.

use std::time::Duration;

use hyper::StatusCode;
use musehub_core::port::Timestamp;
use ring::hmac;

use super::ApiError;

/// What one address permits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Permit<'a> {
    /// The method, in capitals.
    pub(crate) method: &'a str,
    /// The path, as it is sent.
    pub(crate) path: &'a str,
    /// How many bytes may be sent to it.
    pub(crate) bytes: u64,
}

/// Signs addresses.
#[derive(Debug)]
pub(crate) struct AddressKey(hmac::Key);

impl AddressKey {
    pub(crate) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// What is added to the path of an address that ends after `life`.
    pub(crate) fn sign(&self, permit: Permit<'_>, now: Timestamp, life: Duration) -> String {
        let life = i64::try_from(life.as_millis()).unwrap_or(i64::MAX);
        let expires = now.plus_millis(life).as_millis() / 1000;
        let signature = hex::encode(hmac::sign(&self.0, &message(permit, expires)));
        format!("?bytes={}&expires={expires}&signature={signature}", permit.bytes)
    }

    /// How many bytes may be sent to an address of this method and path, by what its query says.
    ///
    /// # Errors
    /// 403 where it was not signed here, has ended, or is another one.
    pub(crate) fn verify(
        &self,
        method: &str,
        path: &str,
        query: impl Fn(&str) -> Option<String>,
        now: Timestamp,
    ) -> Result<u64, ApiError> {
        let refuse = |why: &str| ApiError::new(StatusCode::FORBIDDEN, "forbidden", why);
        let unsigned =
            || refuse("this address is not one that the hub signed; ask for one and use it as it is");
        let number = |name: &str| query(name).filter(|text| is_plain_number(text));
        let bytes: u64 = number("bytes").and_then(|text| text.parse().ok()).ok_or_else(unsigned)?;
        let expires: i64 = number("expires").and_then(|text| text.parse().ok()).ok_or_else(unsigned)?;
        let signature = query("signature").and_then(|text| hex::decode(text).ok()).ok_or_else(unsigned)?;
        let signed = message(Permit { method, path, bytes }, expires);
        hmac::verify(&self.0, &signed, &signature).map_err(|_| unsigned())?;
        if now.as_millis() / 1000 >= expires {
            return Err(refuse("this address has ended; ask for a new one"));
        }
        Ok(bytes)
    }
}

/// Whether a number is written in the one way in which addresses have it.
fn is_plain_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'))
}

/// What is signed. A path holds no line ends, so no two permits read alike.
fn message(permit: Permit<'_>, expires: i64) -> Vec<u8> {
    let Permit { method, path, bytes } = permit;
    format!("musehub address 1\n{method}\n{path}\n{bytes}\n{expires}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
    const PUT: Permit<'_> = Permit { method: "PUT", path: "/alice/song/push/mpack/ab", bytes: 1000 };

    fn verify(key: &AddressKey, permit: Permit<'_>, query: &str, now: Timestamp) -> Result<u64, ApiError> {
        let query = query.trim_start_matches('?').to_owned();
        let value = move |name: &str| {
            let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
            pairs.filter(|(key, _)| *key == name).map(|(_, value)| value.to_owned()).next()
        };
        key.verify(permit.method, permit.path, value, now)
    }

    #[test]
    fn an_address_permits_one_thing_until_it_ends() {
        let key = AddressKey::new(&[1; 32]);
        let signed = key.sign(PUT, NOW, Duration::from_secs(60));
        assert_eq!(verify(&key, PUT, &signed, NOW).unwrap(), 1000);
        assert_eq!(verify(&key, PUT, &signed, NOW.plus_millis(59_000)).unwrap(), 1000);
        let others = [
            Permit { method: "GET", ..PUT },
            Permit { path: "/alice/song/push/mpack/ac", ..PUT },
            Permit { path: "/alice/other/push/mpack/ab", ..PUT },
        ];
        for other in others {
            assert_eq!(verify(&key, other, &signed, NOW).unwrap_err().status, 403);
        }
        for late in [60_000, 61_000, i64::MAX / 2] {
            let ended = verify(&key, PUT, &signed, NOW.plus_millis(late)).unwrap_err();
            assert!(ended.detail.contains("ended"), "{}", ended.detail);
        }
        assert!(verify(&AddressKey::new(&[2; 32]), PUT, &signed, NOW).is_err(), "another hub's");
    }

    #[test]
    fn what_was_signed_cannot_be_changed() {
        let key = AddressKey::new(&[1; 32]);
        let signed = key.sign(PUT, NOW, Duration::from_secs(60));
        let (_, signature) = signed.split_once("signature=").unwrap();
        for forged in [
            String::new(),
            signed.replace("bytes=1000", "bytes=9999"),
            signed.replace("bytes=1000", "bytes=01000"),
            signed.replace("bytes=1000", "bytes=%201000"),
            signed.replace("expires=1", "expires=2"),
            signed.replace(signature, ""),
            signed.replace(signature, &signature[2..]),
            signed.replace(signature, &"0".repeat(64)),
            signed.replace(signature, "no hexadecimal"),
        ] {
            assert_eq!(verify(&key, PUT, &forged, NOW).unwrap_err().status, 403, "{forged}");
        }
    }
}
