//! Pushes and uploads in msgpack.

use musehub_server::decoders::{Body, Decoders};

use crate::bundle::{self, DECODERS, TIGHT, TIGHT_DECODERS, outcome, plain, plain_upload};

/// Decodes a body as a push and as an upload, whole and in pieces.
///
/// # Panics
/// Where the pieces change what it is, its sender is told of a failure of the hub, a limit is not kept, or it reads as something
/// else in another format.
pub fn msgpack_bundle(data: &[u8]) -> bool {
    let (whole, pieces) = (Body::new(data, data.len()), Body::new(data, crate::piece_size(data)));
    let push = DECODERS.mwp_push_msgpack(whole);
    assert_eq!(outcome(&push, plain), outcome(&DECODERS.mwp_push_msgpack(pieces), plain));
    if let Ok(push) = &push {
        assert!(is_one_value(data));
        bundle::push(push);
    }
    let upload = |decoders: &Decoders| {
        let upload = decoders.mwp_upload_msgpack(whole);
        assert_eq!(
            outcome(&upload, plain_upload),
            outcome(&decoders.mwp_upload_msgpack(pieces), plain_upload)
        );
        upload
    };
    let roomy = upload(&DECODERS);
    match (upload(&TIGHT_DECODERS), &roomy) {
        (Ok(tight), roomy) => assert_eq!(Ok(plain_upload(&tight)), outcome(roomy, plain_upload)),
        (Err(error), Ok(roomy)) => {
            assert_eq!(error.status.as_u16(), 413, "{error:?}");
            assert!(roomy.staged.iter().any(|blob| blob.content.len() as u64 > TIGHT.object));
        }
        (Err(_), Err(_)) => {}
    }
    if let Ok(roomy) = &roomy {
        assert!(is_one_value(data));
        bundle::upload(roomy, data.len());
    }
    push.is_ok() || roomy.is_ok()
}

/// Whether another reader of msgpack takes bytes for one value, too. It reads a key for any value, which is more than a map of
/// ours may have.
fn is_one_value(data: &[u8]) -> bool {
    let mut rest = data;
    rmpv::decode::read_value_ref(&mut rest).is_ok() && rest.is_empty()
}
