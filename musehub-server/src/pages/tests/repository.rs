//! The page of a repository.

use super::*;

#[test]
fn repository_home_says_how_to_clone_and_push() {
    let html = Pages::new().render(&samples::repo()).unwrap();
    assert!(html.contains("muse clone http://127.0.0.1:1337/ada/weaver"));
    assert!(html.contains("muse remote add origin http://127.0.0.1:1337/ada/weaver"));
    assert!(html.contains("<dt>commits</dt><dd>1,284</dd>"));
    let empty = RepoHomePage { content: None, ..samples::repo() };
    let html = Pages::new().render(&empty).unwrap();
    assert!(html.contains("An empty repository") && html.contains("muse push"));
}

#[test]
fn a_large_page_stays_within_the_fuel() {
    let mut view = samples::repo();
    if let Some(content) = &mut view.content {
        content.entries = content.entries.iter().cloned().cycle().take(2_000).collect();
        content.branches = content.branches.iter().cloned().cycle().take(500).collect();
    }
    assert!(Pages::new().render(&view).is_ok());
}
