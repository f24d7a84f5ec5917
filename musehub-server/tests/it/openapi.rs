//! The description of the JSON API. That every answer is as it says is checked wherever a test gets one.

use std::collections::BTreeSet;

use musehub_server::http::route::TABLE;
use musehub_test_support::TestApp;
use serde_json::Value;

async fn description() -> Value {
    let app = TestApp::new().await;
    app.get("/api/v1/openapi.json").send().await.expect(200).json()
}

/// Method and path of every operation.
fn operations(description: &Value) -> BTreeSet<(String, String)> {
    let paths = description["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let methods = item.as_object().unwrap().keys();
        methods.map(|method| (method.to_uppercase(), path.clone())).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn every_route_of_the_api_is_described_and_nothing_else() {
    let routes: BTreeSet<(String, String)> = TABLE
        .iter()
        .filter(|entry| entry.path.starts_with("/api/"))
        .map(|entry| (entry.method.to_owned(), entry.path.replace("{*", "{")))
        .collect();
    assert!(routes.len() >= 3);
    assert_eq!(operations(&description().await), routes);
}

#[tokio::test]
async fn every_operation_says_what_a_caller_must_know() {
    let description = description().await;
    assert_eq!(description["openapi"], "3.1.0");
    assert_eq!(description["info"]["version"], env!("CARGO_PKG_VERSION"));
    let schemas = description["components"]["schemas"].as_object().unwrap();
    let mut ids = BTreeSet::new();
    for (method, path) in operations(&description) {
        let operation = &description["paths"][&path][method.to_lowercase()];
        let name = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|text| !text.is_empty()), "{name}: a summary");
        assert!(ids.insert(operation["operationId"].to_string()), "{name}: an id of its own");
        assert!(operation["responses"]["default"].is_object(), "{name}: how it fails");
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let named: BTreeSet<&str> = parameters
            .iter()
            .filter(|parameter| parameter["in"] == "path")
            .map(|parameter| parameter["name"].as_str().unwrap())
            .collect();
        let in_path = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        assert_eq!(named, in_path.collect(), "{name}: the parts of its path");
    }
    let text = description.to_string();
    for reference in text.split("\"#/components/schemas/").skip(1) {
        let name = reference.split('"').next().unwrap();
        assert!(schemas.contains_key(name), "{name} is referred to");
    }
}
