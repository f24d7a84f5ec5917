//! Pushes and uploads in JSON, of either generation that sends them.

use musehub_server::decoders::Body;

use crate::bundle::{self, DECODERS, TIGHT, TIGHT_DECODERS, outcome, plain, plain_upload};

/// Decodes a body as a push and as an upload, by the decoders of both generations, whole and in pieces.
///
/// # Panics
/// Where the pieces change what it is, the generations differ about it, its sender is told of a failure of the hub, a limit is not
/// kept, or it reads as something else in another format.
pub fn json_bundle(data: &[u8]) -> bool {
    let (pushed, uploaded) = (pushes(data), uploads(data));
    pushed || uploaded
}

fn pushes(data: &[u8]) -> bool {
    let (whole, pieces) = (Body::new(data, data.len()), Body::new(data, crate::piece_size(data)));
    let mwp = DECODERS.mwp_push_json(whole);
    assert_eq!(outcome(&mwp, plain), outcome(&DECODERS.mwp_push_json(pieces), plain));
    let json = DECODERS.json_push(whole);
    assert_eq!(outcome(&json, plain), outcome(&DECODERS.json_push(pieces), plain));
    if let (Ok(mwp), Ok(json)) = (&mwp, &json) {
        assert_eq!(plain(mwp), plain(json), "the generations differ");
    }
    let tight = TIGHT_DECODERS.json_push(whole);
    assert_eq!(outcome(&tight, plain), outcome(&TIGHT_DECODERS.json_push(pieces), plain));
    if let Ok(tight) = &tight {
        assert_eq!(outcome(&json, plain), Ok(plain(tight)), "a limit changes what is read");
        assert!(tight.blobs.iter().all(|blob| blob.content.len() as u64 <= TIGHT.object));
    }
    // Where there are two, they are the same.
    if let Some(push) = mwp.iter().chain(&json).next() {
        bundle::push(push);
    }
    mwp.is_ok() || json.is_ok()
}

fn uploads(data: &[u8]) -> bool {
    let (whole, pieces) = (Body::new(data, data.len()), Body::new(data, crate::piece_size(data)));
    let mwp = DECODERS.mwp_upload_json(data);
    let json = DECODERS.json_upload(whole);
    assert_eq!(outcome(&json, plain_upload), outcome(&DECODERS.json_upload(pieces), plain_upload));
    if let (Ok(mwp), Ok(json)) = (&mwp, &json) {
        assert_eq!(plain_upload(mwp), plain_upload(json), "the generations differ");
    }
    let tight = TIGHT_DECODERS.json_upload(whole);
    assert_eq!(outcome(&tight, plain_upload), outcome(&TIGHT_DECODERS.json_upload(pieces), plain_upload));
    if let Ok(tight) = &tight {
        assert_eq!(outcome(&json, plain_upload), Ok(plain_upload(tight)), "a limit changes what is read");
        assert!(tight.staged.iter().all(|blob| blob.content.len() as u64 <= TIGHT.object));
    }
    if let Some(upload) = mwp.iter().chain(&json).next() {
        bundle::upload(upload, data.len());
    }
    mwp.is_ok() || json.is_ok()
}
