//! The pages of the demonstration in a browser. Pictures of them are left in `screenshots` of cargo's directory for tests.

use serde_json::json;

use crate::demo::Demo;
use crate::webdriver::{Browser, ENTER, TAB};

/// Pages by the names of their pictures.
const PAGES: [(&str, &str); 8] = [
    ("home", "/"),
    ("repository", "/demo/starship"),
    ("commits", "/demo/starship/commits/main"),
    ("commits-of-a-branch", "/demo/starship/commits/feature/shields"),
    ("intel", "/demo/starship/intel"),
    ("breakage", "/demo/starship/intel/breakage"),
    ("not-found", "/demo/nothing"),
    ("not-found-anywhere", "/leads/to/nothing/at/all"),
];
const WIDTHS: [u32; 3] = [1280, 700, 380];

/// A demonstration on data of its own.
struct Site {
    demo: Demo,
    _data: tempfile::TempDir,
}

impl Site {
    fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        Self { demo: Demo::start(data.path(), "127.0.0.1:0"), _data: data }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.demo.server.address)
    }
}

#[tokio::test]
async fn pages_are_styled_fit_every_width_and_leave_the_console_empty() {
    let site = Site::start();
    let browser = Browser::start(true).await;
    for (name, path) in PAGES {
        browser.open(&site.url(path)).await;
        let mut console = browser.console().await;
        // A browser says that a page that is not there is not there.
        console.retain(|entry| !(name.starts_with("not-found") && entry.contains("status of 404")));
        assert!(console.is_empty(), "{path}: {console:?}");
        assert_styled(&browser, path).await;
        for width in WIDTHS {
            browser.resize(width).await;
            assert_fits(&browser, path, width).await;
            browser.screenshot(&format!("{name}-{width}")).await;
        }
        let console = browser.console().await;
        assert!(console.is_empty(), "{path}, resized: {console:?}");
    }
}

#[tokio::test]
async fn a_script_or_style_in_a_page_would_be_blocked_and_reported() {
    let site = Site::start();
    let browser = Browser::start(true).await;
    browser.open(&site.url("/demo/starship")).await;
    for (element, attempt) in [("script", "window.intruder = 1"), ("style", "body { display: none }")] {
        let insert = format!(
            "document.body.appendChild(Object.assign(document.createElement('{element}'), {{textContent: '{attempt}'}})) && 1"
        );
        let _ = browser.evaluate(&insert).await;
        let console = browser.console().await.join("\n");
        assert!(console.contains("Content Security Policy"), "{element}: {console:?}");
    }
    let intruders = "[window.intruder ?? 0, getComputedStyle(document.body).display === 'none']";
    assert_eq!(browser.evaluate(intruders).await, json!([0, false]));
}

#[tokio::test]
async fn pages_work_without_javascript() {
    let site = Site::start();
    let browser = Browser::start(false).await;
    browser.open("data:text/html,<title>off</title><script>document.title = 'on'</script>").await;
    assert_eq!(browser.evaluate("document.title").await, "off");
    for (name, path) in PAGES {
        browser.open(&site.url(path)).await;
        assert_styled(&browser, path).await;
        browser.resize(700).await;
        assert_fits(&browser, path, 700).await;
        assert_ne!(browser.evaluate("document.querySelector('main h1').innerText").await, "", "{path}");
        browser.screenshot(&format!("{name}-without-javascript")).await;
    }
}

#[tokio::test]
async fn the_first_stop_of_the_keyboard_leads_to_the_content() {
    let site = Site::start();
    let browser = Browser::start(true).await;
    for (name, path) in PAGES {
        browser.open(&site.url(path)).await;
        browser.press(TAB).await;
        let focused = browser.evaluate("document.activeElement.innerText").await;
        assert_eq!(focused, "Skip to content", "{path}");
        let visible = "(box => box.top >= 0 && box.left >= 0 && box.width > 10 && box.height > 10)\
                       (document.activeElement.getBoundingClientRect())";
        assert_eq!(browser.evaluate(visible).await, true, "{path}: the link in focus cannot be seen");
        browser.screenshot(&format!("{name}-focus")).await;
        browser.press(ENTER).await;
        assert_eq!(
            browser.evaluate("[location.hash, document.activeElement.id]").await,
            json!(["#main", "main"]),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_person_gets_from_the_home_page_to_the_stale_imports_by_links() {
    let site = Site::start();
    let browser = Browser::start(true).await;
    browser.open(&site.url("/")).await;
    for path in ["/demo/starship", "/demo/starship/intel", "/demo/starship/intel/breakage"] {
        let follow =
            format!("[...document.links].find(link => link.pathname === '{path}' && !link.search)?.href");
        let link = browser.evaluate(&follow).await;
        let link = link.as_str().unwrap_or_else(|| panic!("nothing leads to {path}"));
        browser.open(link).await;
    }
    let text = browser.evaluate("document.querySelector('main').innerText").await;
    let text = text.as_str().unwrap();
    assert!(text.contains("ignite") && text.contains("starship/bridge.py"), "{text}");
}

/// Checks that the stylesheet is there and makes the page dark.
async fn assert_styled(browser: &Browser, path: &str) {
    let rules = browser.evaluate("[...document.styleSheets].map(sheet => sheet.cssRules.length)").await;
    assert!(rules[0].as_u64().is_some_and(|rules| rules > 20), "{path}: {rules}");
    let colour = browser
        .evaluate(
            "[document.body, document.documentElement].map(element => getComputedStyle(element).backgroundColor)\
             .find(colour => colour !== 'rgba(0, 0, 0, 0)') ?? 'none'",
        )
        .await;
    let colour = colour.as_str().unwrap();
    let channels: Vec<u8> = colour
        .trim_start_matches("rgb(")
        .trim_end_matches(')')
        .split(", ")
        .filter_map(|channel| channel.parse().ok())
        .collect();
    assert!(
        channels.len() == 3 && channels.iter().all(|channel| *channel < 64),
        "{path}: {colour} is not dark"
    );
}

/// Checks that nothing sticks out of the page at this width.
async fn assert_fits(browser: &Browser, path: &str, width: u32) {
    let widths = browser.evaluate("[innerWidth, document.documentElement.scrollWidth]").await;
    assert_eq!(widths[0], width, "{path}");
    assert!(widths[1].as_u64() <= Some(width.into()), "{path} at {width}: {} wide", widths[1]);
}
