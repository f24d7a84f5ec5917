//! Static files, embedded and addressed by the hash of their content.

use std::sync::LazyLock;

/// Hex digits of the content hash in an asset's name.
const HASH_DIGITS: usize = 16;

/// What the build script made of `scss/main.scss`.
const STYLESHEET: &str = include_str!(concat!(env!("OUT_DIR"), "/musehub.css"));
const FAVICON: &str = include_str!("static/favicon.svg");

static STYLESHEET_NAME: LazyLock<String> = LazyLock::new(|| hashed("musehub", "css", STYLESHEET));
static FAVICON_NAME: LazyLock<String> = LazyLock::new(|| hashed("favicon", "svg", FAVICON));

/// One embedded file, ready to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asset {
    /// The body.
    pub bytes: &'static [u8],
    /// Value of the `Content-Type` header.
    pub content_type: &'static str,
    /// Value of the `Cache-Control` header: the name holds the hash, so it never changes.
    pub cache_control: &'static str,
}

/// The asset called `name`, which is the part after `/static/`. `None` for any other name.
pub fn asset(name: &str) -> Option<Asset> {
    let (content, content_type) = if name == STYLESHEET_NAME.as_str() {
        (STYLESHEET, "text/css; charset=utf-8")
    } else if name == FAVICON_NAME.as_str() {
        (FAVICON, "image/svg+xml")
    } else {
        return None;
    };
    Some(Asset {
        bytes: content.as_bytes(),
        content_type,
        cache_control: "public, max-age=31536000, immutable",
    })
}

pub(super) fn stylesheet_href() -> String {
    format!("/static/{}", *STYLESHEET_NAME)
}

pub(super) fn favicon_href() -> String {
    format!("/static/{}", *FAVICON_NAME)
}

fn hashed(stem: &str, extension: &str, content: &str) -> String {
    let digest = blake3::hash(content.as_bytes()).to_hex();
    format!("{stem}.{}.{extension}", &digest[..HASH_DIGITS])
}
