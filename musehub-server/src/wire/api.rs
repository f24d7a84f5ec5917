//! The JSON API for programs that are no Muse client.

use hyper::StatusCode;
use musehub_core::hub::{MAX_DESCRIPTION_BYTES, NewRepository};
use musehub_core::port::Visibility;
use musehub_core::{Handle, Slug};
use serde::{Deserialize, Serialize};

use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Deserialize)]
struct CreateRequest {
    owner: Option<String>,
    /// The name, as a client says it; `slug` is the same.
    #[serde(alias = "slug")]
    name: String,
    #[serde(default)]
    description: String,
    visibility: Option<Visibility>,
    #[serde(default)]
    private: bool,
    #[serde(default)]
    initialize: bool,
}

#[derive(Serialize)]
struct RepositoryAnswer<'a> {
    repo_id: &'a str,
    owner: &'a str,
    slug: &'a str,
    description: &'a str,
    visibility: &'a str,
    clone_url: String,
}

/// `POST /api/v1/repos`: creates a repository of the caller's.
pub(crate) async fn create_repository(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let caller = exchange.caller()?;
    let request: CreateRequest = exchange.decode(body).await?;
    if request.initialize {
        return Err(ApiError::invalid("this hub makes no first commit: leave 'initialize' out and push one"));
    }
    if request.description.len() > MAX_DESCRIPTION_BYTES || request.description.contains('\0') {
        return Err(ApiError::invalid(format!(
            "a description has at most {MAX_DESCRIPTION_BYTES} bytes and no NUL"
        )));
    }
    let owner = request.owner.as_deref().map_or(Ok(caller.clone()), Handle::parse)?;
    if !owner.as_str().eq_ignore_ascii_case(caller.as_str()) {
        let detail = format!("{caller} may not create a repository of {owner}");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    let private = request.private || request.visibility == Some(Visibility::Private);
    let new = NewRepository {
        owner: caller.clone(),
        slug: Slug::parse(&request.name)?,
        visibility: if private { Visibility::Private } else { Visibility::Public },
        description: request.description,
        scheme: None,
    };
    let repo = exchange.app.hub.create_repository(new).await?;
    let answer = RepositoryAnswer {
        repo_id: repo.repo_id.as_str(),
        owner: repo.owner.as_str(),
        slug: repo.slug.as_str(),
        description: &repo.description,
        visibility: repo.visibility.as_str(),
        clone_url: format!("{}/{}/{}", exchange.base_url(), repo.owner, repo.slug),
    };
    json(StatusCode::CREATED, &answer)
}
