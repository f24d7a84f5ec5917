//! The client of an S3-compatible store, and what is asked of a store before it is relied on.

use std::sync::Arc;
use std::time::Duration;

use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{
    BackoffConfig, ClientConfigKey, ClientOptions, Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions,
    RetryConfig,
};

use crate::backend::{Creation, Signing};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(5);
/// How long nothing may come after something was asked. A part, or a pack that is written in one request, is sent within
/// this; the whole of an answer may take longer.
const SILENCE: Duration = Duration::from_secs(60);
/// How long one request is tried again.
const RETRYING: Duration = Duration::from_secs(120);
/// How often one request is tried again.
const RETRIES: usize = 8;
/// How long the first wait before another try is; each is about twice the one before.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// How long a wait before another try may be.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long the check of a store may take, retries included.
const CHECK: Duration = Duration::from_secs(30);

/// Why an object store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error(
        "{endpoint} is not on this machine, and plain http shows what is stored to everyone on the way; set \
         AWS_ALLOW_HTTP=true to allow it all the same"
    )]
    PlainHttp { endpoint: String },
    #[error("the settings of its client do not fit (see the variables that begin with AWS_)")]
    Settings(#[source] Error),
    #[error("there is no such bucket")]
    NoBucket,
    #[error("it refuses these credentials, or they do not permit {doing}")]
    Refused { doing: &'static str, source: Error },
    #[error("it cannot be reached, or fails at {doing}")]
    Failing { doing: &'static str, source: Error },
    #[error(
        "it did not answer within {} seconds; without AWS_ACCESS_KEY_ID the role of this machine is asked for, which \
         only machines of a cloud have",
        CHECK.as_secs()
    )]
    Silent,
    #[error("what was just written reads differently")]
    Inconsistent,
}

/// A client of a bucket, and who signs addresses of its objects.
pub(crate) fn open(
    bucket: &str,
    prefix: &str,
    settings: impl IntoIterator<Item = (String, String)>,
) -> Result<(Arc<dyn ObjectStore>, Signing), StoreError> {
    // A second call fails, and then there is a provider already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = AmazonS3Builder::new().with_client_options(
        ClientOptions::new()
            .with_connect_timeout(CONNECT)
            .with_read_timeout(SILENCE)
            // A large object may take its time as long as something comes.
            .with_timeout_disabled(),
    );
    for (name, value) in settings {
        let name = name.to_ascii_lowercase();
        if let Some(key) = name.starts_with("aws_").then(|| name.parse::<AmazonS3ConfigKey>().ok()).flatten()
        {
            builder = builder.with_config(key, value);
        }
    }
    let builder = builder.with_bucket_name(bucket).with_retry(RetryConfig {
        backoff: BackoffConfig { init_backoff: FIRST_WAIT, max_backoff: LONGEST_WAIT, base: 2.0 },
        max_retries: RETRIES,
        retry_timeout: RETRYING,
    });
    let store = Arc::new(allow_plain_http(builder)?.build().map_err(StoreError::Settings)?);
    let signing = Signing { signer: store.clone(), prefix: Path::from(prefix) };
    if prefix.is_empty() {
        return Ok((store, signing));
    }
    Ok((Arc::new(PrefixStore::new(store, prefix)), signing))
}

/// Plain `http` to this machine needs no leave; to others it needs `AWS_ALLOW_HTTP`.
fn allow_plain_http(builder: AmazonS3Builder) -> Result<AmazonS3Builder, StoreError> {
    let allowed = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
    let endpoint = builder
        .get_config_value(&AmazonS3ConfigKey::S3Endpoint)
        .or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Endpoint));
    let Some(endpoint) = endpoint.filter(|endpoint| endpoint.to_ascii_lowercase().starts_with("http://"))
    else {
        return Ok(builder);
    };
    if allowed.is_some_and(|allowed| matches!(allowed.to_ascii_lowercase().as_str(), "true" | "1")) {
        return Ok(builder);
    }
    if is_local(&endpoint) {
        Ok(builder.with_allow_http(true))
    } else {
        Err(StoreError::PlainHttp { endpoint: without_credentials(&endpoint) })
    }
}

/// An address as it may be shown.
fn without_credentials(endpoint: &str) -> String {
    let shown = reqwest::Url::parse(endpoint).ok().and_then(|mut url| {
        url.set_username("").and_then(|()| url.set_password(None)).ok()?;
        Some(url.origin().ascii_serialization())
    });
    shown.unwrap_or_else(|| "the endpoint".to_owned())
}

fn is_local(endpoint: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(endpoint) else {
        return false;
    };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost" || host.ends_with(".localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Creates a key twice, and lists, reads and deletes it.
pub(crate) async fn check(store: &dyn ObjectStore) -> Result<Creation, StoreError> {
    tokio::time::timeout(CHECK, check_in_turn(store)).await.unwrap_or(Err(StoreError::Silent))
}

async fn check_in_turn(store: &dyn ObjectStore) -> Result<Creation, StoreError> {
    let name = uuid::Uuid::new_v4().to_string();
    let path = Path::from(format!("check/{name}"));
    let create = async |content: String| {
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        store.put_opts(&path, content.into(), options).await
    };
    let creation = match create(name.clone()).await {
        Ok(_) => match create("again".to_owned()).await {
            Ok(_) => Creation::Overwriting,
            Err(Error::AlreadyExists { .. }) => Creation::Exclusive,
            Err(error) => return Err(explain("writing", error)),
        },
        Err(error) if refuses_conditions(&error) => {
            let written = store.put(&path, name.clone().into()).await;
            written.map_err(|error| explain("writing", error))?;
            Creation::Overwriting
        }
        Err(error) => return Err(explain("writing", error)),
    };
    let listed: Vec<_> = store
        .list(Some(&Path::from("check")))
        .try_filter(|entry| std::future::ready(entry.location == path))
        .try_collect()
        .await
        .map_err(|error| explain("listing", error))?;
    let read = store.get(&path).await.map_err(|error| explain("reading", error))?;
    let read = read.bytes().await.map_err(|error| explain("reading", error))?;
    store.delete(&path).await.map_err(|error| explain("deleting", error))?;
    let expected = if creation == Creation::Exclusive { read == name } else { true };
    if listed.len() == 1 && expected { Ok(creation) } else { Err(StoreError::Inconsistent) }
}

/// Whether a store answers that it knows no conditional writes: some do instead of ignoring the condition.
fn refuses_conditions(error: &Error) -> bool {
    matches!(error, Error::NotImplemented { .. } | Error::NotSupported { .. })
        || error_chain(error).contains("NotImplemented")
}

fn explain(doing: &'static str, error: Error) -> StoreError {
    match error {
        Error::NotFound { .. } => StoreError::NoBucket,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
            StoreError::Refused { doing, source: error }
        }
        other => StoreError::Failing { doing, source: other },
    }
}

fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(settings: &[(&str, &str)]) -> Result<(Arc<dyn ObjectStore>, Signing), StoreError> {
        let keys = [("AWS_ACCESS_KEY_ID", "ak"), ("AWS_SECRET_ACCESS_KEY", "sk")];
        let settings =
            settings.iter().chain(&keys).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        open("bucket", "prefix", settings)
    }

    #[test]
    fn plain_http_is_for_this_machine_unless_it_is_allowed() {
        for local in
            ["http://127.0.0.1:9000", "http://localhost:9000", "http://[::1]:9000", "HTTP://127.0.0.2"]
        {
            assert!(opened(&[("AWS_ENDPOINT_URL", local)]).is_ok(), "{local}");
        }
        for far in [
            "http://store.example:9000",
            "http://127.0.0.1.example",
            "http://10.0.0.1",
            "http://localhost@far.example",
        ] {
            for name in ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
                let refused = opened(&[(name, far)]);
                assert!(matches!(refused, Err(StoreError::PlainHttp { .. })), "{name} {far}");
                assert!(opened(&[(name, far), ("AWS_ALLOW_HTTP", "true")]).is_ok(), "{far}");
            }
        }
        assert!(opened(&[("AWS_ENDPOINT_URL", "https://store.example")]).is_ok());
    }

    #[test]
    fn a_refused_endpoint_is_named_without_what_it_holds() {
        let refused = opened(&[("AWS_ENDPOINT_URL", "http://alice:secret@store.example:9000/?token=hidden")]);
        let refused = refused.map(drop).unwrap_err();
        let said = format!("{refused} {refused:?}");
        assert!(said.contains("http://store.example:9000"), "{said}");
        assert!(!["alice", "secret", "hidden"].iter().any(|held| said.contains(held)), "{said}");
    }

    #[test]
    fn half_a_credential_is_named() {
        let settings = [("AWS_ACCESS_KEY_ID".to_owned(), "ak".to_owned())];
        assert!(matches!(open("bucket", "", settings), Err(StoreError::Settings(_))));
    }
}
