//! TLS of the listener: a certificate and its key from two files, read again when they change.
//!
//! A connection keeps the certificate that it began with. Files that do not fit leave the certificate in use as it is.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A file does not hold what it is to hold.
    #[error("{} holds no {what} in PEM", path.display())]
    NoPem {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        what: &'static str,
    },
    /// The two do not belong together, or are of a kind that is not supported.
    #[error("the certificate and the key cannot be used")]
    Unusable(#[source] rustls::Error),
}

/// The bytes of both files.
type Files = (Vec<u8>, Vec<u8>);

struct Current {
    acceptor: TlsAcceptor,
    /// What was looked at last, whether it could be used or not: so that a bad certificate is reported once.
    seen: Files,
}

/// A certificate that may be replaced while it is used.
pub struct Tls {
    certificate: PathBuf,
    key: PathBuf,
    current: Mutex<Current>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

impl Tls {
    /// Reads a chain of certificates, the server's own first, and its private key (PKCS#8, PKCS#1 or SEC1), both in PEM.
    ///
    /// # Errors
    /// [`TlsError`] where they cannot be read or do not belong together.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let seen = read(certificate, key)?;
        let acceptor = acceptor(certificate, key, &seen)?;
        let current = Mutex::new(Current { acceptor, seen });
        Ok(Self { certificate: certificate.to_owned(), key: key.to_owned(), current })
    }

    /// What makes the next connection.
    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.current().acceptor.clone()
    }

    fn current(&self) -> std::sync::MutexGuard<'_, Current> {
        // Only whole values are ever put there.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the files again; whether the certificate is another one now.
    ///
    /// # Errors
    /// [`TlsError`] where they cannot be used, once for what stands in them; the certificate in use stays.
    pub fn reload(&self) -> Result<bool, TlsError> {
        let files = read(&self.certificate, &self.key)?;
        if self.current().seen == files {
            return Ok(false);
        }
        let made = acceptor(&self.certificate, &self.key, &files);
        let mut current = self.current();
        current.seen = files;
        current.acceptor = made?;
        Ok(true)
    }

    /// Reads the files again every few seconds, and whenever `hangup` says so; never ends.
    pub async fn follow(&self, mut hangup: Hangup) {
        let mut unreadable = false;
        loop {
            let asked = tokio::select! {
                () = tokio::time::sleep(LOOK) => false,
                () = hangup.heard() => true,
            };
            match self.reload() {
                Ok(true) => tracing::info!("the certificate was read again and is in use"),
                Ok(false) if asked => tracing::info!("the certificate has not changed"),
                Ok(false) => {}
                // A file that is being replaced may be absent for a moment, or for long: said once.
                Err(error @ TlsError::Unreadable { .. }) if unreadable && !asked => {
                    tracing::debug!(%error, "the certificate was not read again");
                    continue;
                }
                Err(error) => {
                    unreadable = matches!(error, TlsError::Unreadable { .. });
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    tracing::error!(%error, cause, "the new certificate cannot be used: the old one stays in use");
                    continue;
                }
            }
            unreadable = false;
        }
    }
}

fn read(certificate: &Path, key: &Path) -> Result<Files, TlsError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.to_owned(), source })
    };
    Ok((read(certificate)?, read(key)?))
}

fn acceptor(certificate: &Path, key: &Path, files: &Files) -> Result<TlsAcceptor, TlsError> {
    let lacking = |path: &Path, what| TlsError::NoPem { path: path.to_owned(), what };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(&files.0)
        .collect::<Result<_, _>>()
        .map_err(|_| lacking(certificate, "certificate"))?;
    if chain.is_empty() {
        return Err(lacking(certificate, "certificate"));
    }
    let private = PrivateKeyDer::from_pem_slice(&files.1).map_err(|_| lacking(key, "private key"))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .and_then(|builder| builder.with_no_client_auth().with_single_cert(chain, private))
        .map_err(TlsError::Unusable)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}

/// The signal SIGHUP, heard from the moment this is made.
#[derive(Debug)]
pub struct Hangup {
    #[cfg(unix)]
    signal: tokio::signal::unix::Signal,
}

impl Hangup {
    /// Listens for it.
    ///
    /// # Errors
    /// Where the system refuses.
    pub fn listen() -> std::io::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            signal: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup())?,
        })
    }

    async fn heard(&mut self) {
        #[cfg(unix)]
        if self.signal.recv().await.is_some() {
            return;
        }
        std::future::pending().await
    }
}
