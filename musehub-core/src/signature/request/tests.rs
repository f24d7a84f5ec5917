//! Headers and messages of signed requests.

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;

use super::*;
use crate::hash;
use crate::id::HashAlgorithm;

fn signing_key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n; 32])
}

fn public(key: &SigningKey) -> PublicKey {
    PublicKey::from_bytes(key.verifying_key().as_bytes()).unwrap()
}

fn sign(key: &SigningKey, message: &str) -> Signature {
    Signature::from_bytes(key.sign(message.as_bytes()).to_bytes())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    hash::digest(HashAlgorithm::Sha256, &[bytes])
}

const REQUEST: Request<'static> =
    Request { method: "POST", host: "hub.example:8443", path: "/alice/demo/push?x=1" };

fn header(form: Form, signature: Signature) -> SignedHeader {
    SignedHeader { handle: Handle::parse("alice").unwrap(), seconds: 1_780_000_000, signature, form }
}

/// The messages as the published pages have them, written out.
fn published(form: Form, body: &str) -> String {
    match form {
        Form::V1 => format!("POST\n/alice/demo/push?x=1\n1780000000\n{body}"),
        Form::V2 => format!("ed25519\nPOST\nhub.example:8443\n/alice/demo/push?x=1\n1780000000\n{body}"),
    }
}

#[test]
fn both_forms_verify_with_each_way_to_write_the_hash() {
    let key = signing_key(7);
    let digits = hex::encode(sha256(b"body"));
    for form in [Form::V1, Form::V2] {
        for body in [digits.clone(), format!("sha256:{digits}")] {
            let signed = header(form, sign(&key, &published(form, &body)));
            assert!(signed.is_signed_by(&[public(&key)], &REQUEST, &sha256(b"body")), "{form:?} {body}");
        }
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        for body in [String::new(), empty.to_owned(), format!("sha256:{empty}")] {
            let signed = header(form, sign(&key, &published(form, &body)));
            assert!(signed.is_signed_by(&[public(&key)], &REQUEST, &sha256(b"")), "{form:?} {body:?}");
            assert!(!signed.is_signed_by(&[public(&key)], &REQUEST, &sha256(b"x")), "{form:?} {body:?}");
        }
    }
}

#[test]
fn whatever_is_signed_cannot_be_changed() {
    let key = signing_key(7);
    let body = sha256(b"body");
    for form in [Form::V1, Form::V2] {
        let signed = header(form, sign(&key, &published(form, &hex::encode(body))));
        let keys = [public(&key)];
        assert!(signed.is_signed_by(&keys, &REQUEST, &body));
        assert!(!signed.is_signed_by(&keys, &REQUEST, &sha256(b"other")), "body");
        assert!(!signed.is_signed_by(&keys, &Request { method: "PUT", ..REQUEST }, &body), "method");
        assert!(
            !signed.is_signed_by(&keys, &Request { path: "/alice/demo/push", ..REQUEST }, &body),
            "query"
        );
        assert!(
            !signed.is_signed_by(&keys, &Request { path: "/alice/other/push?x=1", ..REQUEST }, &body),
            "path"
        );
        let elsewhere = Request { host: "evil.example", ..REQUEST };
        assert_eq!(signed.is_signed_by(&keys, &elsewhere, &body), form == Form::V1, "host");
        let later = SignedHeader { seconds: signed.seconds + 1, ..signed.clone() };
        assert!(!later.is_signed_by(&keys, &REQUEST, &body), "time");
        let other = if form == Form::V1 { Form::V2 } else { Form::V1 };
        assert!(!SignedHeader { form: other, ..signed.clone() }.is_signed_by(&keys, &REQUEST, &body), "form");
        assert!(!signed.is_signed_by(&[public(&signing_key(8))], &REQUEST, &body), "key");
        assert!(!signed.is_signed_by(&[], &REQUEST, &body), "no key");
        assert!(signed.is_signed_by(&[public(&signing_key(8)), keys[0]], &REQUEST, &body), "one of several");
    }
}

/// A key of small order verifies, in lax libraries, one signature for many messages.
#[test]
fn keys_of_small_order_are_none() {
    let mut one = [0; 32];
    one[0] = 1;
    let mut minus_one = [0xff; 32];
    minus_one[0] = 0xec;
    minus_one[31] = 0x7f;
    // Points of order 8, from RFC 8032's curve.
    let order_8 = hex::decode("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05").unwrap();
    let order_8: [u8; 32] = order_8.try_into().unwrap();
    for bytes in [[0; 32], one, minus_one, order_8] {
        assert_eq!(PublicKey::from_bytes(&bytes), Err(KeyError::Weak), "{}", hex::encode(bytes));
    }
}

#[test]
fn a_signature_has_one_encoding() {
    // RFC 8032, section 7.1, test 2.
    let key: PublicKey = PublicKey::from_bytes(
        &hex::decode("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
            .unwrap()
            .try_into()
            .unwrap(),
    )
    .unwrap();
    let bytes: [u8; 64] = hex::decode(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
         085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    )
    .unwrap()
    .try_into()
    .unwrap();
    assert!(key.verifies(&[0x72], &Signature::from_bytes(bytes)));
    // The same scalar plus the order of the group would do in a library that is not strict.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010").unwrap();
    let mut other = bytes;
    let mut carry = 0_u16;
    for (byte, add) in other[32..].iter_mut().zip(order) {
        carry += u16::from(*byte) + u16::from(add);
        *byte = carry.to_le_bytes()[0];
        carry >>= 8;
    }
    assert!(!key.verifies(&[0x72], &Signature::from_bytes(other)));
}

#[test]
fn a_header_is_read_as_both_pages_write_it() {
    let sig = sign(&signing_key(1), "x");
    let v1 = SignedHeader::parse(&format!("handle=\"alice\" ts=1780000000 sig=\"{sig}\"")).unwrap();
    assert_eq!(v1, header(Form::V1, sig));
    for text in [
        format!("handle=\"alice\" alg=\"ed25519\" ts=1780000000 sig=\"{sig}\""),
        format!("sig=\"{sig}\", ts=\"1780000000\",alg=ed25519 , handle=alice "),
    ] {
        assert_eq!(SignedHeader::parse(&text).unwrap(), header(Form::V2, sig), "{text}");
    }
}

#[test]
fn a_header_that_says_too_little_too_much_or_twice_is_refused() {
    let sig = sign(&signing_key(1), "x");
    let good = format!("handle=\"alice\" alg=\"ed25519\" ts=1 sig=\"{sig}\"");
    assert!(SignedHeader::parse(&good).is_ok());
    for bad in [
        String::new(),
        "handle=\"alice\"".to_owned(),
        format!("handle=\"alice\" ts=1 sig=\"{sig}"),
        format!("handle=\"alice\" ts=1 sig=\"{}\"", &sig.to_string()[1..]),
        format!("handle=\"alice\" ts=1 sig=\"{sig}\" sig=\"{sig}\""),
        format!("handle=\"alice\" handle=\"bob\" ts=1 sig=\"{sig}\""),
        format!("handle=\"alice\" ts=1 sig=\"{sig}\" keyid=\"1\""),
        format!("handle=\"al\\\"ice\" ts=1 sig=\"{sig}\""),
        format!("handle=\"../alice\" ts=1 sig=\"{sig}\""),
        format!("handle=\"alice\" ts=-1 sig=\"{sig}\""),
        format!("handle=\"alice\" ts=1.5 sig=\"{sig}\""),
        format!("handle=\"alice\" ts=99999999999999999999 sig=\"{sig}\""),
        format!("handle=\"alice\"ts=1 sig=\"{sig}\""),
        format!("{good}{}", " ".repeat(2000)),
    ] {
        assert!(SignedHeader::parse(&bad).is_err(), "{bad}");
    }
    for alg in ["none", "ED25519", "ml-dsa-65", "hmac-sha256", ""] {
        let text = format!("handle=\"alice\" alg=\"{alg}\" ts=1 sig=\"{sig}\"");
        assert_eq!(SignedHeader::parse(&text), Err(HeaderError::Algorithm), "{alg}");
    }
}

#[test]
fn a_time_counts_for_thirty_seconds_around_it() {
    let signed = header(Form::V2, sign(&signing_key(1), "x"));
    let at = signed.seconds * 1000;
    for (now, timely) in [
        (at, true),
        (at + 30_000, true),
        (at - 30_000, true),
        (at + 30_001, false),
        (at - 30_001, false),
        (0, false),
        (i64::MAX, false),
        (i64::MIN, false),
    ] {
        assert_eq!(signed.is_timely(now), timely, "{now}");
    }
    let far = SignedHeader { seconds: i64::MAX, ..signed };
    assert!(!far.is_timely(at));
}

#[test]
fn hosts_are_signed_in_one_form() {
    for (host, signed) in [
        ("Hub.Example", "hub.example"),
        ("hub.example:443", "hub.example"),
        ("hub.example:80", "hub.example"),
        ("hub.example:8443", "hub.example:8443"),
        ("hub.example:4430", "hub.example:4430"),
        ("[::1]:80", "[::1]"),
        ("[::1]:1337", "[::1]:1337"),
        ("[::80]", "[::80]"),
        ("::80", "::80"),
        ("", ""),
    ] {
        assert_eq!(canonical_host(host), signed, "{host}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,300}") {
        let _ = SignedHeader::parse(&text);
    }

    #[test]
    fn what_is_read_is_what_was_written(
        handle in "[a-z][a-z0-9-]{0,20}[a-z]", seconds in 0..i64::MAX, bytes in prop::array::uniform32(any::<u8>()), v2 in any::<bool>(),
    ) {
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&bytes);
        let signature = Signature::from_bytes(signature);
        let alg = if v2 { " alg=\"ed25519\"" } else { "" };
        let read = SignedHeader::parse(&format!("handle=\"{handle}\"{alg} ts={seconds} sig=\"{signature}\"")).unwrap();
        prop_assert_eq!(read.handle.as_str(), handle);
        prop_assert_eq!((read.seconds, read.signature), (seconds, signature));
        prop_assert_eq!(read.form, if v2 { Form::V2 } else { Form::V1 });
    }

    /// No two requests have one message, whatever stands in their parts: a line feed in a path would end it early.
    #[test]
    fn parts_without_line_feeds_cannot_run_into_each_other(
        a in "[A-Z]{1,5}", b in "/[ -~]{0,20}", c in "[A-Z]{1,5}", d in "/[ -~]{0,20}",
    ) {
        let signed = header(Form::V2, Signature::from_bytes([0; 64]));
        let first = signed.messages(&Request { method: &a, path: &b, ..REQUEST }, &EMPTY);
        let second = signed.messages(&Request { method: &c, path: &d, ..REQUEST }, &EMPTY);
        prop_assert_eq!((a, b) == (c, d), first.iter().any(|message| second.contains(message)));
    }
}
