//! Holds what a server answers under `/api/` against the description that it gives of itself.
//!
//! Every call of [`InProcess`](crate::InProcess) passes here, so whichever test gets an answer that is not as described fails.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex};

use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};
use jsonschema::Validator;
use musehub_server::api::openapi;
use musehub_server::http::route::Router;
use serde_json::{Value, json};

use crate::transport::Answer;

/// The description, with every object closed: a field that is not described is a mistake, too.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let mut document = serde_json::from_slice(&openapi::json()).unwrap();
    close(&mut document);
    document
});

/// How the server finds a route.
static ROUTER: LazyLock<Router> = LazyLock::new(Router::default);

/// Validators that were built already, by the pointer of their schema.
static VALIDATORS: LazyLock<Mutex<HashMap<String, &'static Validator>>> = LazyLock::new(Mutex::default);

/// What a request is, as far as the description speaks of it.
#[derive(Debug)]
pub(crate) struct Asked {
    method: Method,
    path: String,
    json: Option<Value>,
}

impl Asked {
    /// A request under `/api/`; none for any other.
    pub(crate) fn of(request: &Request<bytes::Bytes>) -> Option<Self> {
        let path = request.uri().path();
        path.starts_with("/api/").then(|| Self {
            method: if request.method() == Method::HEAD { Method::GET } else { request.method().clone() },
            path: path.to_owned(),
            json: is_json(request.headers()).then(|| serde_json::from_slice(request.body()).ok()).flatten(),
        })
    }

    /// Checks an answer, and where it is a success the request too.
    ///
    /// # Panics
    /// Where one of them is not as described.
    pub(crate) fn check(&self, answer: &Answer) {
        let Some((template, operation)) = self.operation() else {
            let refused = matches!(answer.status, 404 | 405);
            assert!(refused, "{} {} is not described and answers {}", self.method, self.path, answer.status);
            return;
        };
        let name = format!("{} {template} {}", self.method, answer.status);
        let at = format!("/paths/{}/{}", escape(&template), self.key());
        let responses = &operation["responses"];
        let status = answer.status.to_string();
        let described = responses.get(&status).is_some();
        assert!(described || answer.status >= 400, "{name}: this status is not described");
        let status = if described { &status } else { "default" };
        let content = &responses[status]["content"];
        if content.get("application/json").is_some() && is_json(&answer.headers) {
            let at = format!("{at}/responses/{status}/content/application~1json/schema");
            require(&name, &at, &answer.json());
        } else {
            let named = content.as_object().is_some_and(|content| !content.is_empty());
            assert!(!is_json(&answer.headers), "{name}: its JSON is not described");
            assert!(named || answer.body.is_empty(), "{name}: its body is not described");
        }
        if let Some(body) = self.json.as_ref().filter(|_| answer.status < 300)
            && operation.pointer("/requestBody/content/application~1json").is_some()
        {
            let at = format!("{at}/requestBody/content/application~1json/schema");
            require(&format!("{name}, its request"), &at, body);
        }
    }

    /// The operation that answers the request: that of the route which the server finds for it.
    fn operation(&self) -> Option<(String, &'static Value)> {
        let (entry, _) = ROUTER.find(&self.method, &self.path).ok()?;
        let template = entry.path.replace("{*", "{");
        let operation = DOCUMENT["paths"].get(&template)?.get(self.key())?;
        Some((template, operation))
    }

    /// What the description calls the method.
    fn key(&self) -> String {
        self.method.as_str().to_lowercase()
    }
}

fn is_json(headers: &hyper::HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"))
}

fn require(name: &str, at: &str, value: &Value) {
    let validator = {
        let mut built = VALIDATORS.lock().unwrap();
        *built.entry(at.to_owned()).or_insert_with(|| {
            let schema = json!({
                "$ref": format!("#/schema"),
                "schema": DOCUMENT.pointer(at).unwrap_or_else(|| panic!("{name}: no schema at {at}")),
                "components": DOCUMENT["components"],
            });
            Box::leak(Box::new(jsonschema::validator_for(&schema).unwrap()))
        })
    };
    let wrong: Vec<String> =
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(wrong.is_empty(), "{name} is not as described: {wrong:#?}\n{value:#}");
}

/// A key as a JSON pointer spells it.
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// Closes every object schema that does not say that it is open. What several schemas describe together stays open.
fn close(schema: &mut Value) {
    match schema {
        Value::Array(list) => list.iter_mut().for_each(close),
        Value::Object(map) => {
            if map.contains_key("properties") && !map.contains_key("additionalProperties") {
                map.insert("additionalProperties".to_owned(), false.into());
            }
            for (_, value) in map.iter_mut().filter(|(key, _)| *key != "allOf") {
                close(value);
            }
        }
        _ => {}
    }
}
