//! The pages of the demonstration in a browser. Pictures of them are left in `screenshots` of cargo's directory for tests.

use std::time::Instant;

use musehub_test_support::History;
use musehub_test_support::history::write;
use serde_json::json;

use crate::demo::Demo;
use crate::http::{client, get};
use crate::process::{PATIENCE, create_token, run};
use crate::proposed::{self, Proposed};
use crate::webdriver::{Browser, ENTER, TAB};

/// Pages by the names of their pictures.
const PAGES: [(&str, &str); 34] = [
    ("home", "/"),
    ("repository", "/demo/starship"),
    ("commits", "/demo/starship/commits/main"),
    ("commits-of-a-branch", "/demo/starship/commits/feature/shields"),
    ("intel", "/demo/starship/intel"),
    ("breakage", "/demo/starship/intel/breakage"),
    ("breakage-many", "/demo/fleet/intel/breakage"),
    ("breakage-filtered", "/demo/fleet/intel/breakage?severity=error&top=50"),
    ("breakage-by-name", "/demo/fleet/intel/breakage?group=name"),
    ("breakage-by-file", "/demo/fleet/intel/breakage?group=file&top=50"),
    ("breakage-clean", "/demo/calm/intel/breakage"),
    ("breakage-empty", "/demo/new/intel/breakage"),
    ("intel-many", "/demo/fleet/intel"),
    ("intel-clean", "/demo/calm/intel"),
    ("branches", "/demo/starship/branches"),
    ("compare", "/demo/starship/compare/main...feature/shields"),
    ("compare-side-by-side", "/demo/starship/compare/feature/shields...main?view=split"),
    ("branches-of-nothing", "/demo/new/branches"),
    ("compare-in-conflict", "/demo/starship/compare/main...feature/fuel"),
    ("tags", "/demo/starship/tags"),
    ("tags-of-nothing", "/demo/new/tags"),
    ("proposals", "/demo/starship/proposals"),
    ("proposals-of-every-state", "/demo/starship/proposals?state=all"),
    ("proposals-of-nothing", "/demo/new/proposals"),
    ("proposal", "/demo/starship/proposals/1"),
    ("proposal-commits", "/demo/starship/proposals/1/commits"),
    ("proposal-files", "/demo/starship/proposals/1/files"),
    ("proposal-side-by-side", "/demo/starship/proposals/1/files?view=split"),
    ("proposal-conflicts", "/demo/starship/proposals/2/conflicts"),
    ("proposal-merged", "/demo/starship/proposals/3"),
    ("folder", "/demo/starship/tree/feature/shields/starship"),
    ("file", "/demo/starship/blob/main/starship/bridge.py"),
    ("not-found", "/demo/nothing"),
    ("not-found-anywhere", "/leads/to/nothing/at/all"),
];
const WIDTHS: [u32; 3] = [1280, 700, 380];

/// A demonstration on data of its own, and beside it a repository with many findings, one without any and one without a push.
struct Site {
    demo: Demo,
    data: tempfile::TempDir,
}

impl Site {
    async fn start() -> Self {
        let data = tempfile::tempdir().unwrap();
        let site = Self { demo: Demo::start(data.path(), "127.0.0.1:0"), data };
        for name in ["demo/fleet", "demo/calm", "demo/new"] {
            let _ = run(site.data.path(), &["repo", "create", name]).expect(0);
        }
        // Their numbers are in the addresses of the pages.
        let Proposed { clean, conflicting, merged } =
            proposed::propose(&site.demo.server, site.data.path()).await;
        assert_eq!([clean, conflicting, merged], [1, 2, 3]);
        let token = create_token(site.data.path(), "demo");
        for (name, histories) in [("fleet", fleet()), ("calm", vec![calm()])] {
            let mut remote = client(&site.demo.server, "demo", name, Some(&token));
            for history in histories {
                let _ = remote.push(&history, "main", false).await.unwrap();
                site.wait_for_scan(name, history.head("main")).await;
            }
        }
        site
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.demo.server.address)
    }

    /// Waits until a commit is the one that was scanned.
    async fn wait_for_scan(&self, name: &str, head: &str) {
        let started = Instant::now();
        let path = format!("/api/v1/repos/demo/{name}/intel/breakage");
        loop {
            let answer = get(&self.demo.server, &path, None).await.expect(200).json();
            if answer["scan"]["ref"].as_str().is_some_and(|scanned| scanned.ends_with(head)) {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{name} is not scanned: {answer}");
            tokio::task::yield_now().await;
        }
    }
}

/// A fleet over a few pushes: a name that forty files import goes, a module goes, a few names are misspelled.
fn fleet() -> Vec<History> {
    let mut history = History::new();
    let ship = |n: u32| format!("fleet/ships/ship_{n:02}.py");
    history.commit("main", "Build the yard", |tree| {
        write(tree, "fleet/__init__.py", "");
        write(tree, "fleet/ships/__init__.py", "");
        write(tree, "fleet/signals.py", SIGNALS.replace("VERB", "hoist"));
        write(tree, "fleet/charts.py", "def read_chart(path):\n    return path\n");
    });
    let mut pushes = vec![history.clone()];
    for (message, ships) in [("Launch the first ships", 0..8), ("Launch the rest", 8..44)] {
        history.commit("main", message, |tree| {
            for n in ships {
                let name = if n % 11 == 3 { "hoist_flags" } else { "hoist_flag" };
                let text = format!(
                    "\"\"\"Ship {n} of the fleet.\"\"\"\n\nfrom fleet.signals import {name}\n\n\n\
                     def greet():\n    return {name}(\"ship {n}\")\n"
                );
                write(tree, &ship(n), text);
            }
        });
        pushes.push(history.clone());
    }
    history.commit("main", "Signals are raised now, not hoisted", |tree| {
        write(tree, "fleet/signals.py", SIGNALS.replace("VERB", "raise"));
    });
    pushes.push(history.clone());
    history.commit("main", "Charts go to a package of their own", |tree| {
        tree.remove("fleet/charts.py");
        for n in 0..6 {
            let text =
                format!("import fleet.charts\n\n\ndef course():\n    return fleet.charts.read_chart({n})\n");
            write(tree, &format!("fleet/routes/route_{n}.py"), text);
        }
        for n in 30..36 {
            write(tree, &ship(n), "from fleet.signals import lamp\n");
        }
    });
    pushes.push(history);
    pushes
}

const SIGNALS: &str = "def VERB_flag(name):\n    return name\n\n\ndef lamp():\n    return 1\n";

fn calm() -> History {
    let mut history = History::new();
    history.commit("main", "All is well", |tree| {
        write(tree, "calm/__init__.py", "from .sea import wave\n");
        write(tree, "calm/sea.py", "def wave():\n    return 0\n");
    });
    history
}

#[tokio::test]
async fn pages_are_styled_fit_every_width_and_leave_the_console_empty() {
    let site = Site::start().await;
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
    let site = Site::start().await;
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
    let site = Site::start().await;
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
    let site = Site::start().await;
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
    let site = Site::start().await;
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

    // A row leads to the line of the import, which is marked and in sight.
    let row =
        "[...document.querySelectorAll('.bk-table a')].find(link => link.innerText.includes('ignite')).href";
    let link = browser.evaluate(row).await;
    let link = link.as_str().unwrap();
    assert!(link.contains("/demo/starship/blob/") && link.contains("#L"), "{link}");
    browser.open(link).await;
    let line = "(line => [line.innerText.includes('import') && line.innerText.includes('ignite'),\
                line.getBoundingClientRect().top > 0 && line.getBoundingClientRect().bottom < innerHeight,\
                getComputedStyle(line).backgroundColor !== 'rgba(0, 0, 0, 0)'])(document.querySelector(':target'))";
    assert_eq!(browser.evaluate(line).await, json!([true, true, true]));
    for width in [1280, 700] {
        browser.resize(width).await;
        assert_fits(&browser, link, width).await;
        browser.screenshot(&format!("file-at-a-line-{width}")).await;
    }
}

#[tokio::test]
async fn a_commit_is_reached_by_links_and_its_lines_by_theirs() {
    let site = Site::start().await;
    let browser = Browser::start(false).await;
    browser.open(&site.url("/demo/starship/commits/main")).await;
    let subject = "[...document.querySelectorAll('.commit-subject')].find(link => link.innerText.includes('ignite')).href";
    let commit = browser.evaluate(subject).await;
    let commit = commit.as_str().unwrap().to_owned();
    for view in ["unified", "split"] {
        let url = format!("{commit}?view={view}");
        browser.open(&url).await;
        let shown = browser
            .evaluate("[...document.querySelectorAll('.diff-file .diff-path')].map(path => path.innerText)")
            .await;
        assert_eq!(shown, json!(["starship/engine.py", "starship/hull.py"]));
        let words = browser
            .evaluate("[...document.querySelectorAll('.diff-word')].map(word => word.innerText)")
            .await;
        assert_eq!(words, json!(["ignite", "start"]), "{view}");
        for width in WIDTHS {
            browser.resize(width).await;
            assert_fits(&browser, &url, width).await;
            browser.screenshot(&format!("commit-{view}-{width}")).await;
        }
    }
    // A line has an address, and what it names is in sight and marked.
    let link = browser.evaluate("document.querySelector('.diff-no--added a').href").await;
    browser.open(link.as_str().unwrap()).await;
    let line = "(line => [line.getBoundingClientRect().top >= 0, line.getBoundingClientRect().bottom < innerHeight,\
                getComputedStyle(line).boxShadow !== 'none'])(document.querySelector(':target'))";
    assert_eq!(browser.evaluate(line).await, json!([true, true, true]));
    browser.screenshot("commit-at-a-line").await;
    // The fold of a file is a stop of the keyboard and folds without scripts.
    let folded = "document.querySelector('.diff-fold').open === false";
    let mut stops = 0;
    browser.open(&commit).await;
    while browser.evaluate("document.activeElement.matches('.diff-head')").await != true {
        browser.press(TAB).await;
        stops += 1;
        assert!(stops < 40, "no file is reached by the keyboard");
    }
    browser.press(ENTER).await;
    assert_eq!(browser.evaluate(folded).await, true);
    // From what removed a name to the commit that did.
    browser.open(&site.url("/demo/starship/intel/breakage")).await;
    let removal = browser.evaluate("document.querySelector('.bk-help-commit').href").await;
    assert_eq!(removal.as_str(), Some(&*commit));
}

#[tokio::test]
async fn a_proposal_is_read_by_links_without_javascript() {
    let site = Site::start().await;
    let browser = Browser::start(false).await;
    browser.open(&site.url("/demo/starship")).await;
    let follow = async |path: &str, query: &str| {
        let find = format!(
            "[...document.links].find(link => link.pathname === '{path}' && link.search === '{query}')?.href"
        );
        let link = browser.evaluate(&find).await;
        browser.open(link.as_str().unwrap_or_else(|| panic!("nothing leads to {path}{query}"))).await;
        let text = browser.evaluate("document.querySelector('main').innerText").await;
        text.as_str().unwrap().to_owned()
    };
    let list = follow("/demo/starship/proposals", "").await;
    assert!(list.contains("See what is near") && !list.contains("Keep notes"), "{list}");
    let conversation = follow("/demo/starship/proposals/1", "").await;
    for said in ["grace", "What is a margin of?", "approved", "merges into main without conflict"] {
        assert!(conversation.contains(said), "{said}: {conversation}");
    }
    let commits = follow("/demo/starship/proposals/1/commits", "").await;
    assert!(commits.contains("See what is near") && commits.contains("Grace"), "{commits}");
    let _ = follow("/demo/starship/proposals/1/files", "").await;
    let shown = "[...document.querySelectorAll('.diff-file .diff-path')].map(path => path.innerText)";
    let files = json!(["starship/navigation.py", "starship/sensors.py"]);
    assert_eq!(browser.evaluate(shown).await, files);
    // Code is coloured: a word of the language is not in the colour of the text around it.
    let coloured = "[...document.querySelectorAll('.diff-file td span')]\
        .some(word => getComputedStyle(word).color !== getComputedStyle(word.closest('td')).color)";
    assert_eq!(browser.evaluate(coloured).await, true);
    let _ = follow("/demo/starship/proposals/1/files", "?view=split").await;
    assert_eq!(browser.evaluate(shown).await, files);
    let columns =
        "Math.max(...[...document.querySelectorAll('.diff--split tr')].map(row => row.cells.length))";
    assert_eq!(browser.evaluate(columns).await, 4);
    assert_eq!(browser.evaluate(coloured).await, true);

    browser.open(&site.url("/demo/starship/proposals/2")).await;
    let conflicts = follow("/demo/starship/proposals/2/conflicts", "").await;
    assert!(conflicts.contains("starship/engine.py"), "{conflicts}");
    let versions = "[...document.querySelectorAll('.conflict-versions a')].length";
    assert_eq!(browser.evaluate(versions).await, 3, "each version can be read");
    let ours = "[...document.links].find(link => link.innerText.startsWith('What main changed')).href";
    let ours = browser.evaluate(ours).await;
    browser.open(ours.as_str().unwrap()).await;
    assert_eq!(browser.evaluate(shown).await, json!(["starship/engine.py"]));
    browser.open(&site.url("/demo/starship/proposals/3")).await;
    let merged = browser.evaluate("document.querySelector('main').innerText").await;
    assert!(merged.as_str().unwrap().contains("Merged by demo"), "{merged}");
    let dead = "[...document.links].some(link => link.pathname.endsWith('/commits/docs/notes'))";
    assert_eq!(browser.evaluate(dead).await, false, "nothing leads to a branch that is gone");
    let merge = browser.evaluate("document.querySelector('.standing--merged a').href").await;
    browser.open(merge.as_str().unwrap()).await;
    let parents = "[...document.querySelectorAll('.facts dt')].filter(name => name.innerText.startsWith('parent')).length";
    assert_eq!(browser.evaluate(parents).await, 2);
    let tags = follow("/demo/starship/tags", "").await;
    assert!(tags.contains("v0.1.0") && tags.contains("Plot courses"), "{tags}");
}

#[tokio::test]
async fn a_filter_is_reached_by_keyboard_and_seen() {
    let site = Site::start().await;
    let browser = Browser::start(true).await;
    browser.open(&site.url("/demo/fleet/intel/breakage")).await;
    let pill = "document.activeElement.innerText === 'stale_import'";
    let mut stops = 0;
    while browser.evaluate(pill).await != true {
        browser.press(TAB).await;
        stops += 1;
        assert!(stops < 30, "no filter is reached by the keyboard");
    }
    let ring =
        "(style => [style.outlineStyle, style.outlineWidth])(getComputedStyle(document.activeElement))";
    assert_eq!(browser.evaluate(ring).await, json!(["solid", "2px"]));
    browser.screenshot("breakage-pill-focus").await;
    let link = browser.evaluate("document.activeElement.href").await;
    assert!(link.as_str().is_some_and(|link| link.contains("issue_type=stale_import")), "{link}");
    browser.open(link.as_str().unwrap()).await;
    let selected = "document.querySelector('.bk-pill[aria-current]').innerText";
    assert_eq!(browser.evaluate(selected).await, "stale_import");
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
