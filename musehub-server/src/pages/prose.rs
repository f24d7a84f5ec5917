//! What people write about a proposal, as HTML: text as it stands, with addresses of the web as links.
//!
//! There is no markup to be written, so there is none to be taken out again: everything is escaped, and the only element
//! made here is a link to an `http` or `https` address.

use minijinja::{Error, Value};

use super::filters::escape;

/// The longest address that becomes a link, in bytes.
const MAX_ADDRESS_BYTES: usize = 2_000;

/// Text with links. Like that of code this filter answers markup: it escapes every text itself.
pub(super) fn prose(text: &str) -> Result<Value, Error> {
    let mut html = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, address, after)) = next_address(rest) {
        escape(&mut html, before)?;
        html.push_str("<a href=\"");
        escape(&mut html, address)?;
        html.push_str("\" rel=\"nofollow noopener noreferrer ugc\">");
        escape(&mut html, address)?;
        html.push_str("</a>");
        rest = after;
    }
    escape(&mut html, rest)?;
    Ok(Value::from_safe_string(html))
}

/// The first address in a text, and what stands before and after it.
fn next_address(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    while let Some(found) = text[from..].find("http") {
        let start = from + found;
        from = start + "http".len();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        if text[..start].chars().next_back().is_some_and(is_word) {
            continue;
        }
        let rest = &text[start..];
        let Some(host) = rest.strip_prefix("https://").or_else(|| rest.strip_prefix("http://")) else {
            continue;
        };
        if !host.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            continue;
        }
        let end = rest.find(|c| !in_address(c)).unwrap_or(rest.len());
        if end <= MAX_ADDRESS_BYTES {
            let address = without_closing(&rest[..end]);
            return Some((&text[..start], address, &text[start + address.len()..]));
        }
        from = start + end;
    }
    None
}

/// The characters of an address (RFC 3986 §2), apart from quotes and brackets that a sentence may put around it.
const fn in_address(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || matches!(
            c,
            '-' | '.'
                | '_'
                | '~'
                | ':'
                | '/'
                | '?'
                | '#'
                | '@'
                | '!'
                | '$'
                | '&'
                | '('
                | ')'
                | '*'
                | '+'
                | ','
                | ';'
                | '='
                | '%'
        )
}

/// An address without what ends the sentence that it stands in.
fn without_closing(address: &str) -> &str {
    let mut address = address;
    loop {
        let shorter = address.trim_end_matches(['.', ',', ';', ':', '!', '?']);
        // A bracket that was not opened in the address closes something around it.
        let shorter = match shorter.strip_suffix(')') {
            Some(inner) if inner.matches('(').count() <= inner.matches(')').count() => inner,
            _ => shorter,
        };
        if shorter.len() == address.len() {
            return address;
        }
        address = shorter;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

    use super::*;

    /// The addresses that became links.
    fn links(text: &str) -> Vec<String> {
        let html = prose(text).unwrap().to_string();
        html.split("<a href=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn addresses_become_links_without_the_sentence_around_them() {
        for (text, address) in [
            ("see https://example.org/a?b=1&c=2.", "https://example.org/a?b=1&amp;c=2"),
            ("(http://example.org/x_(y))", "http://example.org/x_(y)"),
            ("<https://example.org>", "https://example.org"),
            ("\"https://example.org/\", he said", "https://example.org/"),
            ("HTTP: http http:// https://example.org!?", "https://example.org"),
        ] {
            assert_eq!(links(text), [address], "{text}");
        }
        assert_eq!(links("http://a http://b").len(), 2);
    }

    #[test]
    fn nothing_else_does() {
        let long = format!("http://{}", "a".repeat(MAX_ADDRESS_BYTES));
        for text in [
            "javascript:alert(1)",
            "data:text/html,x",
            "xhttp://a",
            "http://",
            "https://\u{202e}x",
            "ftp://a",
            "//a",
            &long,
        ] {
            assert_eq!(links(text), Vec::<String>::new(), "{text}");
        }
    }

    #[test]
    fn markup_stays_text_and_nothing_is_lost() {
        let text = "<script>alert(1)</script> [x](javascript:alert(1)) http://a/\"onmouseover=alert(1) \u{0}é\n&amp; <img src=x>";
        let html = prose(text).unwrap().to_string();
        for tag in html.split('<').skip(1) {
            assert!(tag.starts_with("a href=\"http://a/\" rel=") || tag.starts_with("/a>"), "<{tag}");
        }
        let shown = html
            .replace("<a href=\"http://a/\" rel=\"nofollow noopener noreferrer ugc\">", "")
            .replace("</a>", "");
        let mut expected = String::new();
        escape(&mut expected, text).unwrap();
        assert_eq!(shown, expected);
    }

    #[test]
    fn long_texts_take_time_in_proportion() {
        let text = "http".repeat(250_000) + &"https://a) ".repeat(10_000);
        assert_eq!(links(&text).len(), 10_000 - 1);
    }
}
