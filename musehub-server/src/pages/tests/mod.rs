//! Pages as they are rendered from samples: in every state, with hostile text, and with what each says.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod breakage;
mod cases;
mod changes;
mod proposals;
mod repository;
mod stylesheet;

use cases::all;
use serde_json::Value as Json;

use super::samples;
use super::*;

const HOSTILE: &str = "\"><img src=x onerror=alert(1)>'<script>alert(1)</script>/../ü?&#";

/// Fields that hold a word of a closed set, or of the hub's own making, which no client chooses.
const CLOSED: &[&str] = &[
    "visibility",
    "kind",
    "severity",
    "job",
    "group",
    "fate",
    "view",
    "state",
    "standing",
    "bump",
    "anchor",
    "tab",
    "shown",
    "side",
];

fn render(template: &str, view: &Json) -> Result<String, Error> {
    Pages::new().templates.get_template(template)?.render(Serde(view))
}

fn poison(view: &mut Json, key: &str) {
    match view {
        Json::String(text) if !CLOSED.contains(&key) => *text = HOSTILE.to_owned(),
        Json::Array(items) => items.iter_mut().for_each(|item| poison(item, key)),
        Json::Object(fields) => fields.iter_mut().for_each(|(key, value)| poison(value, key)),
        _ => {}
    }
}

/// Panics unless every element is closed in order and every tag is free of inline style and script.
fn check_markup(name: &str, html: &str) {
    const VOID: &[&str] = &["!doctype", "meta", "link", "img", "path", "rect", "stop", "col"];
    let mut open: Vec<&str> = Vec::new();
    for piece in html.split('<').skip(1) {
        let (tag, _) = piece.split_once('>').unwrap_or_else(|| panic!("{name}: open tag {piece}"));
        assert_eq!(tag.matches('"').count() % 2, 0, "{name}: quotes in <{tag}>");
        let word = tag.split([' ', '\n']).next().unwrap_or_default();
        assert!(!word.contains("script") && word != "style", "{name}: <{tag}>");
        let names: String = tag.split('"').step_by(2).collect();
        for banned in [" style=", " on", "'", "`"] {
            assert!(!names.contains(banned), "{name}: <{tag}>");
        }
        if let Some(closed) = word.strip_prefix('/') {
            assert_eq!(open.pop(), Some(closed), "{name}: </{closed}>");
        } else if !VOID.contains(&word.trim_end_matches('/')) {
            open.push(word);
        }
    }
    assert!(open.is_empty(), "{name}: left open {open:?}");
}

fn attributes<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let start = format!(" {attribute}=\"");
    html.split(&start).skip(1).filter_map(|rest| rest.split('"').next()).collect()
}

/// Panics unless `href` leads inside the hub and holds nothing a URL must not hold.
fn check_href(name: &str, href: &str) {
    let href = href.strip_prefix("https://example.org").unwrap_or(href);
    assert!(href.starts_with(['/', '?', '#']) && !href.starts_with("//"), "{name}: {href}");
    let url = href.replace("&amp;", "&");
    assert!(url.bytes().all(|b| b.is_ascii_alphanumeric() || b"/?&=%-._~#".contains(&b)), "{name}: {href}");
    for escape in url.split('%').skip(1) {
        let hex = escape.as_bytes().get(..2).unwrap_or_default();
        assert!(hex.len() == 2 && hex.iter().all(u8::is_ascii_hexdigit), "{name}: {href}");
    }
}

#[test]
fn every_template_belongs_to_a_page_or_is_used_by_one() {
    let shown: Vec<_> = all().into_iter().map(|(_, template, _)| template).collect();
    for (name, _) in TEMPLATES {
        let quoted = format!("\"{name}\"");
        let used = TEMPLATES.iter().any(|(_, source)| source.contains(&quoted));
        assert!(used || shown.contains(name), "{name}");
    }
}

#[test]
fn every_page_renders_in_every_state() {
    for (name, template, view) in all() {
        let html = render(template, &view).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        check_markup(name, &html);
        attributes(&html, "href").into_iter().for_each(|href| check_href(name, href));
        assert_eq!(html.matches("<h1").count(), 1, "{name}");
        assert!(!html.contains(">none") && !html.contains("&lt;macro"), "{name}");
    }
}

#[test]
fn hostile_text_in_any_field_stays_text() {
    for (name, template, mut view) in all() {
        poison(&mut view, "");
        let html = render(template, &view).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        check_markup(name, &html);
        attributes(&html, "href").into_iter().for_each(|href| check_href(name, href));
        assert!(!html.contains("<script") && !html.contains("<img src=x"), "{name}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{name}");
    }
}

#[test]
fn ids_in_a_page_are_unique() {
    for (name, template, view) in all() {
        let html = render(template, &view).unwrap();
        let mut ids = attributes(&html, "id");
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "{name}");
        for label in attributes(&html, "aria-labelledby") {
            assert!(ids.contains(&label), "{name}: {label}");
        }
    }
}

#[test]
fn a_missing_field_is_an_error() {
    let mut view = serde_json::to_value(samples::not_found()).unwrap();
    view.as_object_mut().unwrap().remove("sentence");
    assert!(render("error.html", &view).is_err());
}
