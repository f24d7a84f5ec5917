use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn text<T: Serialize + ?Sized>(value: &T) -> String {
    String::from_utf8(to_vec(value).unwrap()).unwrap()
}

fn written(value: &Value) -> String {
    let mut out = Vec::new();
    write_value(&mut out, value).unwrap();
    String::from_utf8(out).unwrap()
}

/// Arrays or objects around a null.
fn nested(depth: usize, object: bool) -> Value {
    (0..depth).fold(Value::Null, |inner, _| {
        if object { Value::Object(Map::from_iter([("k".into(), inner)])) } else { Value::Array(vec![inner]) }
    })
}

#[test]
fn floats_print_as_in_python() {
    for (float, repr) in [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (-2.5, "-2.5"),
        (100.0, "100.0"),
        (123.456, "123.456"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e-4, "0.0001"),
        (0.00012, "0.00012"),
        (1e-5, "1e-05"),
        (1e-7, "1e-07"),
        (1.25e-10, "1.25e-10"),
        (9_999_999_999_999_998.0, "9999999999999998.0"),
        (1e15, "1000000000000000.0"),
        (1e16, "1e+16"),
        (1.2e17, "1.2e+17"),
        (1e22, "1e+22"),
        (1e100, "1e+100"),
        (5e-324, "5e-324"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (f64::MAX, "1.7976931348623157e+308"),
    ] {
        assert_eq!(text(&float), repr);
        assert_eq!(written(&json!(float)), repr);
    }
    assert_eq!(text(&0.1_f32), "0.10000000149011612");
}

#[test]
fn texts_are_escaped_as_in_python() {
    assert_eq!(text("plain /<>&'"), r#""plain /<>&'""#);
    assert_eq!(text("\u{8}\t\n\u{c}\r\"\\"), r#""\b\t\n\f\r\"\\""#);
    assert_eq!(text("\0\u{b}\u{1f}~\u{7f}\u{80}"), r#""\u0000\u000b\u001f~\u007f\u0080""#);
    assert_eq!(text("aé中\u{2028}ﬁ😀z"), r#""a\u00e9\u4e2d\u2028\ufb01\ud83d\ude00z""#);
    assert_eq!(text(&'"'), r#""\"""#);
}

#[test]
fn keys_come_in_code_point_order_whatever_the_source() {
    let keys = ["😀", "ﬁ", "a", "", "Z", "a/b", "a-b"];
    let sorted = r#"{"":0,"Z":0,"a":0,"a-b":0,"a/b":0,"\ufb01":0,"\ud83d\ude00":0}"#;
    assert_eq!(text(&keys.map(|key| (key, 0)).into_iter().collect::<HashMap<_, _>>()), sorted);
    let value: Value = keys.map(|key| (key.to_owned(), json!(0))).into_iter().collect();
    assert_eq!(text(&value), sorted);
    assert_eq!(written(&value), sorted);

    #[derive(Serialize)]
    struct Fields {
        z: Option<u8>,
        #[serde(flatten)]
        rest: HashMap<&'static str, Value>,
        a: (i8, bool),
    }
    let fields = Fields { z: None, rest: [("m", json!({"y": 1, "x": []}))].into(), a: (-1, true) };
    assert_eq!(text(&fields), r#"{"a":[-1,true],"m":{"x":[],"y":1},"z":null}"#);
}

#[test]
fn serde_json_sorts_maps_and_reads_numbers_natively() {
    // Fails if a crate of the build turns on serde_json's `preserve_order` or `arbitrary_precision`.
    let value: Value = serde_json::from_str(r#"{"b":18446744073709551616,"a":1.50}"#).unwrap();
    assert_eq!(serde_json::to_string(&value).unwrap(), r#"{"a":1.5,"b":1.8446744073709552e+19}"#);
}

#[test]
fn enums_print_as_serde_json_prints_them() {
    #[derive(Serialize)]
    enum Kind {
        Unit,
        Newtype(u8),
        Tuple(u8, &'static str),
        Struct { z: u8, a: u8 },
    }
    let kinds = [Kind::Unit, Kind::Newtype(1), Kind::Tuple(2, "é"), Kind::Struct { z: 3, a: 4 }];
    assert_eq!(text(&kinds), r#"["Unit",{"Newtype":1},{"Tuple":[2,"\u00e9"]},{"Struct":{"a":4,"z":3}}]"#);
}

#[test]
fn what_has_no_canonical_text_is_refused() {
    for float in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert!(matches!(to_vec(&json_free([float])), Err(JsonError::NotFinite)));
    }
    assert!(matches!(to_vec(&f32::NAN), Err(JsonError::NotFinite)));
    assert!(matches!(to_vec(&HashMap::from([(1, 2)])), Err(JsonError::KeyNotText)));
    assert!(matches!(to_vec(&HashMap::from([(true, 2)])), Err(JsonError::KeyNotText)));
    assert!(matches!(to_vec(&u128::MAX), Err(JsonError::Unsupported(_))));

    #[derive(Serialize)]
    struct Twice {
        a: u8,
        #[serde(flatten)]
        rest: HashMap<&'static str, u8>,
    }
    let twice = Twice { a: 1, rest: [("a", 2)].into() };
    assert!(matches!(to_vec(&twice), Err(JsonError::DuplicateKey(key)) if key == "a"));
}

/// `json!` would turn a NaN into a null.
fn json_free<T>(value: T) -> HashMap<&'static str, T> {
    HashMap::from([("v", value)])
}

#[test]
fn nesting_is_bounded_where_the_reader_bounds_it() {
    for object in [false, true] {
        let deepest = nested(MAX_DEPTH, object);
        let printed = to_vec(&deepest).unwrap();
        assert_eq!(written(&deepest).as_bytes(), printed);
        assert!(is_canonical(&printed));

        let mut out = b"kept".to_vec();
        for too_deep in [nested(MAX_DEPTH + 1, object), nested(5_000, object)] {
            assert!(matches!(to_vec(&too_deep), Err(JsonError::TooDeep)));
            assert!(matches!(write_value(&mut out, &too_deep), Err(JsonError::TooDeep)));
        }
        assert_eq!(out, b"kept");
    }
    let hostile = [b'['; 1_000_000];
    assert!(matches!(parse_canonical(&hostile), Err(JsonError::Malformed(_))));
}

#[test]
fn only_the_canonical_text_is_read() {
    for good in ["{}", "[]", "0", "-1", "18446744073709551615", "1e-07", r#"{"a":"\u00e9"}"#] {
        assert!(is_canonical(good.as_bytes()), "{good}");
    }
    for other in [
        r#"{"a":1,"a":1}"#,
        r#"{"b":1,"a":1}"#,
        r#"{"a": 1}"#,
        "[]\n",
        r#""é""#,
        "\"\u{7f}\"",
        r#""\u00E9""#,
        r#""\/""#,
        r#""\u0041""#,
        r#""\u000a""#,
        "1.50",
        "1e2",
        "1e-7",
        "1E-07",
        "-0",
        "18446744073709551616",
        "-9223372036854775809",
    ] {
        assert!(matches!(parse_canonical(other.as_bytes()), Err(JsonError::NotCanonical)), "{other}");
    }
    for bad in ["", "[1,]", "NaN", "1e999", r#""\ud800""#, "[] x", "'a'", "\"\n\"", "\u{feff}1"] {
        assert!(matches!(parse_canonical(bad.as_bytes()), Err(JsonError::Malformed(_))), "{bad}");
    }
    assert!(!is_canonical(b"\"\xff\""));
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |f| f.is_finite()).prop_map(Value::from),
        (-1000_i32..1000, -20..20).prop_map(|(m, e)| Value::from(f64::from(m) * 10_f64.powi(e))),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 48, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_printed_reads_back_equal_and_prints_the_same(value in values()) {
        let printed = to_vec(&value).unwrap();
        prop_assert!(printed.iter().all(|byte| matches!(byte, 0x20..=0x7e)));
        prop_assert_eq!(written(&value).into_bytes(), printed.clone());
        let read = parse_canonical(&printed).unwrap();
        prop_assert_eq!(&read, &value);
        prop_assert_eq!(to_vec(&read).unwrap(), printed);
    }

    #[test]
    fn the_order_of_insertion_is_not_seen(map in any::<HashMap<String, u8>>()) {
        let value: Value = map.iter().map(|(key, n)| (key.clone(), json!(n))).collect();
        prop_assert_eq!(to_vec(&map).unwrap(), to_vec(&value).unwrap());
    }

    #[test]
    fn other_bytes_never_panic(bytes: Vec<u8>) {
        let _ = is_canonical(&bytes);
    }
}
