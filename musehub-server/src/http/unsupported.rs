//! Addresses of clients that this hub knows of and cannot serve: they are told what to do instead of that there is nothing.
//!
//! What gets a route of its own is struck from here; a test holds the two apart.

use hyper::header::{HeaderValue, UPGRADE};
use hyper::{Method, StatusCode};

use super::{ApiError, Reply};

const STREAMS: &str = "this hub does not speak the streaming transport of April 2026: use a Muse client of March 2026 (0.1.5), or one \
    from late May 2026 on";
const BUNDLES: &str = "this hub does not speak the bundle transport of May 2026: use a Muse client of March 2026 (0.1.5), or one from \
    late May 2026 on";
const REPAIR: &str = "this hub takes no single repaired objects: push the branch again, what is there already is not sent twice";

/// The ends of paths below `/{owner}/{slug}`, and what to do.
const TABLE: &[(&str, &str, &str)] = &[
    ("POST", "push/stream", STREAMS),
    ("POST", "push/confirm", STREAMS),
    ("POST", "push/object-pack", STREAMS),
    ("POST", "fetch/stream", STREAMS),
    ("POST", "fetch/objects", STREAMS),
    ("POST", "fetch/bundle", BUNDLES),
    ("POST", "fetch/plan", BUNDLES),
    ("POST", "repair-object", REPAIR),
    ("POST", "repair-snapshot", REPAIR),
    ("POST", "repair-commit", REPAIR),
];

/// What a client of a generation that is not served is told at such an address; none for any other.
pub(crate) fn unsupported(method: &Method, path: &str) -> Option<Reply> {
    let mut parts = path.strip_prefix('/')?.splitn(3, '/');
    let (_owner, _slug, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let (.., sentence) = TABLE.iter().find(|(verb, end, _)| method.as_str() == *verb && rest == *end)?;
    let mut reply = ApiError::new(StatusCode::UPGRADE_REQUIRED, "unsupported_generation", *sentence).reply();
    // What is spoken here; the status asks for it.
    reply.headers_mut().insert(UPGRADE, HeaderValue::from_static("muse-mwp"));
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::route;

    #[test]
    fn nothing_that_is_served_is_said_not_to_be() {
        for (method, end, _) in TABLE {
            let path = format!("/{{owner}}/{{slug}}/{end}");
            let served = route::TABLE.iter().any(|entry| entry.method == *method && entry.path == path);
            assert!(!served, "{path} has a route");
        }
    }

    #[test]
    fn only_whole_paths_of_a_repository_are_known() {
        for (path, known) in [
            ("/alice/tunes/push/stream", true),
            ("/alice/tunes/push/stream/", true),
            ("/alice/tunes/push/stream/1", false),
            ("/alice/push/stream", false),
            ("/push/stream", false),
            ("push/stream", false),
            ("/", false),
        ] {
            assert_eq!(unsupported(&Method::POST, path).is_some(), known, "{path}");
            assert!(unsupported(&Method::GET, path).is_none(), "{path}");
        }
    }
}
