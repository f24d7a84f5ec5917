//! Findings read as stories: by the missing name, and by file.

use super::*;

#[tokio::test]
async fn one_removed_name_with_forty_importers_reads_as_one_story() {
    let files: Vec<(String, String)> =
        (0..40).map(|n| (format!("f{n:02}.py"), "from pkg.a import gone\n".to_owned())).collect();
    let mut files: Vec<(&str, &str)> =
        files.iter().map(|(path, content)| (path.as_str(), content.as_str())).collect();
    files.extend(PACKAGE);
    files.push(("f00.py", "from pkg.a import gone\nimport pkg.absent\n"));
    let scanned = Scanned::new(&files).await;
    let html = scanned.html("?group=name").await;
    assert!(html.contains("<strong>40</strong> issues in 40 files"), "{html}");
    assert!(html.contains("and 35 more") && html.contains("showing 2 of 2 missing names"), "{html}");
    let groups = scanned.json("?group=name").await["groups"].clone();
    assert_eq!(groups[0]["name"], "pkg.a.gone");
    assert_eq!((&groups[0]["total_issues"], &groups[0]["file_count"]), (&40.into(), &40.into()));
    assert_eq!(groups[0]["issues"].as_array().unwrap().len(), 5);
    assert_eq!(scanned.rows("?subject=pkg.a.gone&top=100").await.len(), 40);

    let files = scanned.json("?group=file&top=50").await;
    assert_eq!(files["matching"], 40);
    assert_eq!(
        (&files["groups"][0]["name"], &files["groups"][0]["total_issues"]),
        (&"f00.py".into(), &2.into())
    );
    assert_eq!(scanned.rows("?file=f00.py").await, ["f00.py", "f00.py"]);
}
