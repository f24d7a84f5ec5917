//! The description of the JSON API in OpenAPI 3.1, made from the handlers and from the types that they read and write.
//!
//! Whoever adds a row `/api/…` to the table of routes annotates its handler with `#[utoipa::path]`, derives `ToSchema` for what
//! it reads and answers, and names it in `Description`. Names of schemas are those of the types, so no two types of the API may
//! have one name. A test holds the table against the description, and every answer of the tests against its schema.

use std::sync::LazyLock;

use bytes::Bytes;
use hyper::StatusCode;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::AdditionalProperties;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{Content, OpenApi as Document, Ref, RefOr, ResponseBuilder, Schema};
use utoipa::{Modify, OpenApi};

use crate::http::error::ErrorAnswer;
use crate::http::{Reply, plain};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "MuseHub",
        description = "The JSON API of a MuseHub server. What Muse clients speak is described in docs/WIRE.md.",
        contact(),
    ),
    paths(
        openapi_json,
        super::branches::create_branch,
        super::branches::delete_branch,
        super::branches::list_branches,
        super::branches::rename_branch,
        super::collaborators::list,
        super::collaborators::put,
        super::collaborators::remove,
        super::commits::commit_files,
        super::commits::show,
        super::keys::add,
        super::keys::challenge,
        super::keys::list,
        super::keys::register,
        super::keys::register_agent,
        super::keys::retire,
        super::proposals::close_proposal,
        super::proposals::contents::list_proposal_commits,
        super::proposals::contents::list_proposal_files,
        super::proposals::conversation::comment_on_proposal,
        super::proposals::conversation::delete_comment,
        super::proposals::conversation::dismiss_review,
        super::proposals::conversation::edit_comment,
        super::proposals::conversation::list_conversation,
        super::proposals::conversation::review_proposal,
        super::proposals::create_proposal,
        super::proposals::edit_proposal,
        super::proposals::list_proposals,
        super::proposals::merging::merge_proposal,
        super::proposals::reopen_proposal,
        super::proposals::show_proposal,
        super::repositories::create_repository,
        super::settings::show_repository,
        super::settings::update_repository,
        super::sync::pull,
        super::sync::push,
        super::tags::create_tag,
        super::tags::delete_tag,
        super::tags::list_tags,
        super::tags::rename_tag,
        crate::web::breakage::breakage_json,
        crate::wire::jobs::list,
        crate::wire::jobs::show,
    ),
    components(schemas(ErrorAnswer)),
    modifiers(&Everywhere),
)]
struct Description;

/// The name of the security scheme.
const TOKEN: &str = "token";

/// What holds for every operation: how it fails, and how a caller says who it is.
struct Everywhere;

impl Modify for Everywhere {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        if let Some(RefOr::T(Schema::Object(error))) = components.schemas.get_mut("ErrorAnswer") {
            error.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(true)));
        }
        components.add_security_scheme(TOKEN, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
        // With a token or without one: what is public needs none.
        let no_scopes: [&str; 0] = [];
        document.security =
            Some(vec![SecurityRequirement::new(TOKEN, no_scopes), SecurityRequirement::default()]);
        for item in document.paths.paths.values_mut() {
            let operations =
                [&mut item.get, &mut item.post, &mut item.put, &mut item.patch, &mut item.delete];
            for operation in operations.into_iter().flatten() {
                add_failures(operation);
            }
        }
    }
}

fn add_failures(operation: &mut Operation) {
    let schema = RefOr::Ref(Ref::from_schema_name("ErrorAnswer"));
    let response = ResponseBuilder::new()
        .description("Why the request is refused.")
        .content("application/json", Content::new(Some(schema)))
        .build();
    operation.responses.responses.entry("default".to_owned()).or_insert(RefOr::T(response));
}

/// The description.
#[must_use]
pub fn document() -> Document {
    Description::openapi()
}

/// The description as JSON, made once.
static JSON: LazyLock<Bytes> = LazyLock::new(|| {
    let text = document().to_pretty_json().expect("a description of texts and maps can be written");
    Bytes::from(text)
});

/// The description as JSON.
#[must_use]
pub fn json() -> Bytes {
    JSON.clone()
}

/// The description of this API
#[utoipa::path(get, path = "/api/v1/openapi.json", tag = "description", responses(
    (status = 200, description = "OpenAPI 3.1.", body = Object),
))]
pub(crate) fn openapi_json() -> Reply {
    plain(StatusCode::OK, "application/json", json())
}
