//! Keys, and requests and commits signed with them as the clients of June 2026 do it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::SigningKey;
use musehub_core::Handle;
use musehub_core::signature::PublicKey;
use musehub_core::signature::request::Form;
use sha2::{Digest, Sha256};

/// Somebody with a key.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Who.
    pub handle: Handle,
    key: SigningKey,
}

/// What of a signed request a test may want to be wrong.
#[derive(Clone, Debug)]
pub struct Claim<'a> {
    /// The published form.
    pub form: Form,
    /// The method.
    pub method: &'a str,
    /// The host.
    pub host: &'a str,
    /// The path with its query.
    pub path: &'a str,
    /// Seconds since the epoch.
    pub seconds: i64,
    /// The body.
    pub body: &'a [u8],
}

impl Signer {
    /// Somebody whose key is made of a number.
    ///
    /// # Panics
    /// Where the handle is none.
    #[must_use]
    pub fn new(handle: &str, seed: u8) -> Self {
        Self { handle: Handle::parse(handle).unwrap(), key: SigningKey::from_bytes(&[seed; 32]) }
    }

    /// The public half.
    ///
    /// # Panics
    /// Never: it is one.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey::from_bytes(self.key.verifying_key().as_bytes()).unwrap()
    }

    /// A signature of bytes, in base64url.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> String {
        use ed25519_dalek::Signer as _;
        URL_SAFE_NO_PAD.encode(self.key.sign(message).to_bytes())
    }

    /// The header `Authorization` of a request.
    #[must_use]
    pub fn authorization(&self, claim: &Claim<'_>) -> String {
        let Claim { form, method, host, path, seconds, body } = claim;
        let digest = hex(&Sha256::digest(body));
        let (handle, v2) = (&self.handle, *form == Form::V2);
        let message = if v2 {
            format!("ed25519\n{method}\n{host}\n{path}\n{seconds}\nsha256:{digest}")
        } else {
            format!("{method}\n{path}\n{seconds}\n{digest}")
        };
        let alg = if v2 { " alg=\"ed25519\"" } else { "" };
        format!("MSign handle=\"{handle}\"{alg} ts={seconds} sig=\"{}\"", self.sign(message.as_bytes()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
