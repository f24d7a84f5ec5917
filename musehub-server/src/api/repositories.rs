//! Creating repositories.

use hyper::StatusCode;
use musehub_core::hub::{InitialCommit, MAX_DESCRIPTION_BYTES, NewRepository};
use musehub_core::port::{RepositoryRecord, Visibility};
use musehub_core::scheme::IdScheme;
use musehub_core::{BranchName, CommitId, Handle, Licence, Slug};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

/// The longest text of `README.md` in a request, in bytes.
const MAX_README: usize = 1 << 20;
/// The scheme of a first commit where the request names none: that of the Muse clients that use this API.
pub(super) const CLIENT_SCHEME: IdScheme = IdScheme::FlatV1;

#[derive(Deserialize, ToSchema)]
struct CreateRepositoryRequest {
    /// Whose it will be: the caller, who is also the default.
    owner: Option<String>,
    /// Its name.
    name: Option<String>,
    /// Its name; as good as `name`.
    slug: Option<String>,
    /// At most 4,096 bytes.
    #[serde(default)]
    description: String,
    /// Who may read it; everybody where this is left out.
    #[schema(value_type = Option<VisibilityName>)]
    visibility: Option<Visibility>,
    /// The same as `"visibility": "private"`.
    #[serde(default)]
    private: bool,
    /// How ids are computed; left to the first push, or of a first commit that is made here `flat-v1`, where this is left out.
    #[schema(value_type = Option<SchemeName>)]
    scheme: Option<IdScheme>,
    /// Whether to make a first commit. A client that will push a history of its own wants none.
    #[serde(default)]
    initialize: bool,
    /// Of the first commit: the branch, `main` where this is left out.
    default_branch: Option<String>,
    /// Of the first commit: the text of `README.md`; name and description where this is left out. At most 1 MiB.
    readme: Option<String>,
    /// Of the first commit: the SPDX identifier of the licence to add as `LICENSE`, with the year and the owner's name.
    #[serde(alias = "licence")]
    license: Option<String>,
}

/// Who may read a repository
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a type of the core")]
pub(crate) enum VisibilityName {
    Public,
    Private,
}

/// How ids are computed
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes a type of the core")]
pub(crate) enum SchemeName {
    #[schema(rename = "flat-v1")]
    FlatV1,
    #[schema(rename = "typed-v1")]
    TypedV1,
    #[schema(rename = "typed-v2")]
    TypedV2,
}

#[derive(Serialize, ToSchema)]
struct RepositoryAnswer<'a> {
    repo_id: &'a str,
    owner: &'a str,
    slug: &'a str,
    description: &'a str,
    #[schema(value_type = VisibilityName)]
    visibility: &'a str,
    /// Null until the first push fixes it.
    #[schema(value_type = Option<SchemeName>)]
    scheme: Option<&'a str>,
    /// `main` until the first push.
    default_branch: &'a str,
    /// The first commit; null where none was asked for.
    head: Option<String>,
    clone_url: String,
}

/// Creates a repository of the caller's
#[utoipa::path(
    post,
    path = "/api/v1/repos",
    tag = "repositories",
    request_body = CreateRepositoryRequest,
    responses((status = 201, description = "Created.", body = RepositoryAnswer)),
)]
pub(crate) async fn create_repository(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let caller = exchange.caller()?;
    let request: CreateRepositoryRequest = exchange.decode(body).await?;
    let owner = request.owner.as_deref().map_or(Ok(caller.clone()), Handle::parse)?;
    if !owner.as_str().eq_ignore_ascii_case(caller.as_str()) {
        let detail = format!("{caller} may not create a repository of {owner}");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", detail));
    }
    // All that can be wrong with the request is found before anything is made.
    require_text("description", &request.description, MAX_DESCRIPTION_BYTES)?;
    let name = request.name.as_ref().or(request.slug.as_ref());
    let slug = Slug::parse(name.ok_or_else(|| ApiError::invalid("field 'name' is missing"))?)?;
    let initial = initial_commit(exchange, &request, caller, &slug)?;
    let private = request.private || request.visibility == Some(Visibility::Private);
    let new = NewRepository {
        owner: caller.clone(),
        slug,
        visibility: if private { Visibility::Private } else { Visibility::Public },
        description: request.description,
        scheme: request.scheme,
    };
    let (repo, head) = match initial {
        None => (exchange.app.hub.create_repository(new).await?, None),
        Some(initial) => {
            let new = NewRepository { scheme: Some(new.scheme.unwrap_or(CLIENT_SCHEME)), ..new };
            // On its own task: a client that hangs up must not leave a repository without its first commit.
            let hub = exchange.app.hub.clone();
            let made = tokio::spawn(async move { hub.create_initialised(new, initial).await });
            let (repo, head) = made.await.map_err(ApiError::internal)??;
            exchange.app.work.notify_one();
            (repo, Some(head))
        }
    };
    json(StatusCode::CREATED, &answer(exchange, &repo, head))
}

fn answer<'a>(
    exchange: &Exchange<'_>,
    repo: &'a RepositoryRecord,
    head: Option<CommitId>,
) -> RepositoryAnswer<'a> {
    RepositoryAnswer {
        repo_id: repo.repo_id.as_str(),
        owner: repo.owner.as_str(),
        slug: repo.slug.as_str(),
        description: &repo.description,
        visibility: repo.visibility.as_str(),
        scheme: repo.scheme.map(IdScheme::as_str),
        default_branch: repo.default_branch.as_ref().map_or("main", BranchName::as_str),
        head: head.map(|id| id.to_string()),
        clone_url: format!("{}/{}/{}", exchange.base_url(), repo.owner, repo.slug),
    }
}

/// The first commit that a request asks for.
fn initial_commit(
    exchange: &Exchange<'_>,
    request: &CreateRepositoryRequest,
    owner: &Handle,
    slug: &Slug,
) -> Result<Option<InitialCommit>, ApiError> {
    let details = [
        ("default_branch", request.default_branch.is_some()),
        ("readme", request.readme.is_some()),
        ("license", request.license.is_some()),
    ];
    if !request.initialize {
        return match details.into_iter().find(|(_, present)| *present) {
            None => Ok(None),
            Some((field, _)) => Err(ApiError::invalid(format!(
                "'{field}' is of a first commit: set 'initialize' to have one"
            ))),
        };
    }
    let licence = request.license.as_deref().map(str::parse::<Licence>).transpose();
    let licence = licence.map_err(|error| ApiError::invalid(format!("license: {error}")))?;
    let readme = match &request.readme {
        Some(text) => text.clone(),
        None if request.description.is_empty() => format!("# {slug}\n"),
        None => format!("# {slug}\n\n{}\n", request.description),
    };
    require_text("readme", &readme, MAX_README)?;
    Ok(Some(InitialCommit {
        branch: BranchName::parse(request.default_branch.as_deref().unwrap_or("main"))?,
        author: owner.clone(),
        readme,
        licence: licence.map(|licence| licence.text(exchange.app.clock.now(), owner.as_str())),
    }))
}

fn require_text(field: &str, text: &str, limit: usize) -> Result<(), ApiError> {
    if text.len() <= limit && !text.contains('\0') {
        return Ok(());
    }
    Err(ApiError::invalid(format!("'{field}' has at most {limit} bytes and no NUL")))
}
