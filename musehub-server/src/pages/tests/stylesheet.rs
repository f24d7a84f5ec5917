//! The stylesheet and other assets: what is linked is there, and what is written can be read.

use super::*;

#[test]
fn pages_link_assets_that_exist_under_their_hash() {
    let html = Pages::new().render(&samples::home()).unwrap();
    let links = attributes(&html, "href").into_iter().chain(attributes(&html, "src"));
    let names: Vec<_> = links.filter_map(|link| link.strip_prefix("/static/")).collect();
    assert!(names.len() >= 2);
    for name in names {
        let asset = asset(name).unwrap_or_else(|| panic!("{name}"));
        let hash = name.split('.').nth(1).unwrap();
        assert!(blake3::hash(asset.bytes).to_hex().starts_with(hash), "{name}");
        assert!(asset.cache_control.contains("immutable"));
    }
    for other in ["", "musehub.css", "favicon.svg", "../mod.rs"] {
        assert_eq!(asset(other), None, "{other}");
    }
}

#[test]
fn stylesheet_asks_for_nothing_from_elsewhere() {
    let css = stylesheet();
    assert!(!css.contains("url(") && !css.contains("@import"));
    assert_eq!(css.matches('{').count(), css.matches('}').count());
}

fn stylesheet() -> &'static str {
    let css = asset(assets::stylesheet_href().trim_start_matches("/static/")).unwrap();
    std::str::from_utf8(css.bytes).unwrap()
}

/// Red, green and blue of a token.
fn token(name: &str) -> [f64; 3] {
    let (_, rest) = stylesheet().split_once(&format!("--{name}: #")).unwrap_or_else(|| panic!("no {name}"));
    [0, 2, 4].map(|at| f64::from(u8::from_str_radix(&rest[at..at + 2], 16).unwrap()))
}

/// The contrast of two colours as WCAG 2.1 defines it.
fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let luminance = |colour: [f64; 3]| {
        let [red, green, blue] = colour.map(|channel| {
            let channel = channel / 255.0;
            if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
        });
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    };
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

/// A colour thinned down to a share of itself over another.
fn tinted(colour: [f64; 3], share: f64, over: [f64; 3]) -> [f64; 3] {
    [0, 1, 2].map(|at| colour[at] * share + over[at] * (1.0 - share))
}

#[test]
fn text_contrasts_with_every_ground_it_stands_on() {
    let texts = [
        "text",
        "text-secondary",
        "text-muted",
        "color-teal",
        "color-blue",
        "color-violet",
        "color-orange",
        "color-danger",
        "color-success",
        "code-comment",
        "code-string",
        "code-number",
        "code-keyword",
        "code-function",
        "code-type",
        "code-variable",
    ];
    let grounds = ["bg", "bg-raised", "bg-surface"];
    for text in texts {
        for ground in grounds {
            let ratio = contrast(token(text), token(ground));
            assert!(ratio >= 4.5, "{text} on {ground}: {ratio:.2}");
        }
    }
    // Badges and panels tint their ground with the colour of their text; the glow behind the head of a page and the line
    // that an address names are tints too.
    for ground in grounds {
        for (text, tint, share) in [
            ("color-orange", "color-orange", 0.10),
            ("color-danger", "color-danger", 0.10),
            ("color-success", "color-success", 0.07),
            ("text-secondary", "color-success", 0.07),
            ("text", "color-teal", 0.14),
            ("text-secondary", "color-violet", 0.15),
            ("code-comment", "color-teal", 0.13),
            ("text-muted", "color-blue", 0.07),
            ("text-secondary", "color-success", 0.14),
            ("text-secondary", "color-danger", 0.14),
        ] {
            let ratio = contrast(token(text), tinted(token(tint), share, token(ground)));
            assert!(ratio >= 4.5, "{text} on {ground} tinted with {tint}: {ratio:.2}");
        }
    }
}

#[test]
fn code_contrasts_with_the_ground_of_changed_lines_and_words() {
    let raised = token("bg-raised");
    for text in [
        "text",
        "code-comment",
        "code-string",
        "code-number",
        "code-keyword",
        "code-function",
        "code-type",
        "code-variable",
    ] {
        for (tint, line, word) in [("color-success", 0.08, 0.22), ("color-danger", 0.08, 0.24)] {
            let line = tinted(token(tint), line, raised);
            let word = tinted(token(tint), word, line);
            let faint = ["code-comment", "code-keyword"].contains(&text);
            for (text, ground) in [(text, line), (if faint { "text" } else { text }, word)] {
                let ratio = contrast(token(text), ground);
                assert!(ratio >= 4.5, "{text} on {tint}: {ratio:.2}");
            }
        }
    }
    assert!(stylesheet().contains(".diff-word.hl-comment,.diff-word.hl-keyword{color:var(--text)}"));
}

#[test]
fn the_ring_of_focus_contrasts_and_motion_can_be_turned_off() {
    for ground in ["bg", "bg-raised", "bg-surface"] {
        assert!(contrast(token("color-teal"), token(ground)) >= 3.0, "{ground}");
    }
    let css = stylesheet();
    assert!(css.contains(":focus-visible{outline:2px solid var(--color-teal)"));
    let (_, reduced) = css.split_once("prefers-reduced-motion: reduce").unwrap();
    assert!(
        reduced.starts_with("){*,*::before,*::after{animation:none !important;transition:none !important}")
    );
    assert!(css.contains("max-width: 700px"));
}

#[test]
fn contrast_is_computed_as_wcag_says() {
    assert!((contrast([0.0; 3], [255.0; 3]) - 21.0).abs() < 1e-9);
    assert!((contrast([119.0; 3], [255.0; 3]) - 4.48).abs() < 0.01);
}

#[test]
fn classes_are_styled() {
    let css = stylesheet();
    let styled: std::collections::BTreeSet<&str> = css
        .split('.')
        .skip(1)
        .map(|rest| rest.split(|c: char| !c.is_ascii_alphanumeric() && c != '-' && c != '_').next().unwrap())
        .collect();
    for (name, template, view) in all() {
        let html = render(template, &view).unwrap();
        for class in attributes(&html, "class").into_iter().flat_map(str::split_whitespace) {
            assert!(styled.contains(class), "{name}: {class}");
        }
    }
}
