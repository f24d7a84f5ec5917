//! Who is believed, and what nobody is.

use hyper::Request;

use super::*;

fn parts(peer: &str, tls: bool, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().uri("/a/b").header("host", "inner.example:1337");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let (mut parts, ()) = request.body(()).unwrap().into_parts();
    parts.extensions.insert(Connection { peer: peer.parse().unwrap(), tls });
    parts
}

fn proxies(networks: &[&str], headers: ProxyHeaders) -> TrustedProxies {
    TrustedProxies::new(networks.iter().map(|network| network.parse().unwrap()).collect(), headers)
}

#[track_caller]
fn expect(proxies: &TrustedProxies, parts: &Parts, client: &str, url: &str) {
    let origin = proxies.origin(parts);
    assert_eq!((origin.client, &*origin.base_url()), (Some(client.parse().unwrap()), url));
}

#[test]
fn a_stranger_is_who_it_is_whatever_it_says() {
    let claims = [
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "for=2.2.2.2;proto=https;host=evil.example"),
    ];
    for headers in [ProxyHeaders::XForwarded, ProxyHeaders::Forwarded] {
        for trusted in [&[][..], &["10.0.0.0/8"][..]] {
            let proxies = proxies(trusted, headers);
            expect(&proxies, &parts("192.0.2.7", false, &claims), "192.0.2.7", "http://inner.example:1337");
            expect(&proxies, &parts("192.0.2.7", true, &claims), "192.0.2.7", "https://inner.example:1337");
        }
    }
}

#[test]
fn a_trusted_proxy_is_believed() {
    let proxies = proxies(&["10.0.0.0/8", "fd00::/8"], ProxyHeaders::XForwarded);
    let says = [
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "hub.example"),
    ];
    for peer in ["10.1.2.3", "::ffff:10.1.2.3", "fd00::1"] {
        expect(&proxies, &parts(peer, false, &says), "203.0.113.9", "https://hub.example");
    }
    expect(&proxies, &parts("10.1.2.3", false, &[]), "10.1.2.3", "http://inner.example:1337");
    let plain = [("x-forwarded-proto", "http")];
    expect(&proxies, &parts("10.1.2.3", true, &plain), "10.1.2.3", "http://inner.example:1337");
}

#[test]
fn the_client_is_the_last_that_is_no_trusted_proxy() {
    let proxies = proxies(&["10.0.0.0/8"], ProxyHeaders::XForwarded);
    for (chain, client) in [
        // What stands before it was written by the client itself.
        ("1.1.1.1, 203.0.113.9", "203.0.113.9"),
        ("10.9.9.9, 203.0.113.9, 10.0.0.2", "203.0.113.9"),
        ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("203.0.113.9:4711", "203.0.113.9"),
        ("[2001:db8::1]:4711", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("1.1.1.1, unknown", "10.1.2.3"),
        ("1.1.1.1, unknown, 10.0.0.2", "10.0.0.2"),
        ("", "10.1.2.3"),
        (",,,", "10.1.2.3"),
    ] {
        let parts = parts("10.1.2.3", false, &[("x-forwarded-for", chain)]);
        expect(&proxies, &parts, client, "http://inner.example:1337");
    }
    let lines = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")];
    expect(&proxies, &parts("10.1.2.3", false, &lines), "203.0.113.9", "http://inner.example:1337");
}

#[test]
fn of_forwarded_the_element_that_names_the_client_counts() {
    let proxies = proxies(&["10.0.0.0/8", "fd00::/8"], ProxyHeaders::Forwarded);
    for (header, client, url) in [
        ("for=203.0.113.9;proto=https;host=hub.example", "203.0.113.9", "https://hub.example"),
        (
            "For=\"[2001:db8::1]:80\";Proto=HTTPS;Host=\"hub.example:8443\"",
            "2001:db8::1",
            "https://hub.example:8443",
        ),
        (
            "for=1.1.1.1;host=evil.example;proto=https, for=203.0.113.9;host=hub.example;proto=https, \
             for=10.0.0.2;host=inner;proto=http",
            "203.0.113.9",
            "https://hub.example",
        ),
        (
            "for=\"a,b;c\";host=evil.example, for=203.0.113.9;proto=http",
            "203.0.113.9",
            "http://inner.example:1337",
        ),
        ("for=_hidden;host=hub.example", "10.1.2.3", "http://inner.example:1337"),
        ("proto=https", "10.1.2.3", "http://inner.example:1337"),
        ("\"", "10.1.2.3", "http://inner.example:1337"),
    ] {
        expect(&proxies, &parts("10.1.2.3", false, &[("forwarded", header)]), client, url);
    }
}

#[test]
fn headers_that_the_proxies_do_not_write_are_not_heard() {
    let both =
        [("forwarded", "for=1.1.1.1;host=evil.example;proto=https"), ("x-forwarded-for", "203.0.113.9")];
    let xff = proxies(&["10.0.0.1"], ProxyHeaders::XForwarded);
    expect(&xff, &parts("10.0.0.1", false, &both), "203.0.113.9", "http://inner.example:1337");
    let rfc = proxies(&["10.0.0.1"], ProxyHeaders::Forwarded);
    let (forged, real) =
        (("x-forwarded-host", "evil.example"), ("forwarded", "for=203.0.113.9;host=hub.example"));
    expect(&rfc, &parts("10.0.0.1", true, &[forged, real]), "203.0.113.9", "https://hub.example");
}

#[test]
fn hosts_that_could_not_be_are_passed_over() {
    let proxies = proxies(&["10.0.0.1"], ProxyHeaders::XForwarded);
    for host in ["a/b", "a b", "<script>", "user@host", "a\"", &"x".repeat(256)] {
        let parts = parts("10.0.0.1", false, &[("x-forwarded-host", host)]);
        expect(&proxies, &parts, "10.0.0.1", "http://inner.example:1337");
    }
    let (mut parts, ()) = Request::builder().uri("/").body(()).unwrap().into_parts();
    assert_eq!(proxies.origin(&parts).base_url(), "http://localhost");
    assert_eq!(proxies.origin(&parts).client, None);
    parts.uri = "http://hub.example:81/".parse().unwrap();
    assert_eq!(proxies.origin(&parts).base_url(), "http://hub.example:81");
}

#[test]
fn an_address_counts_with_all_that_its_owner_has() {
    for (address, network) in [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2::", "2001:db8:1:2::"),
        ("::1", "::"),
    ] {
        let expected: IpAddr = network.parse().unwrap();
        assert_eq!(network_of(address.parse().unwrap()), expected, "{address}");
    }
}

#[test]
fn networks_are_read_as_they_are_written() {
    for good in ["10.0.0.0/8", "192.0.2.1", "fd00::/8", "::1"] {
        assert!(good.parse::<Network>().is_ok(), "{good}");
    }
    for bad in ["", "10.0.0.0/33", "host", "10.0.0", "10.0.0.1:80"] {
        assert!(bad.parse::<Network>().is_err(), "{bad}");
    }
}
