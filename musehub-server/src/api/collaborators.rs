//! The JSON API of collaborators, for those who administer a repository.

use hyper::StatusCode;
use musehub_core::Handle;
use musehub_core::port::{Collaborator, Role};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RepositoryPath;

use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

/// What a collaborator may do; each includes those before it
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "describes a type of the core")]
enum RoleName {
    Read,
    Write,
    Admin,
}

#[derive(Serialize, ToSchema)]
struct CollaboratorAnswer {
    handle: String,
    #[schema(value_type = RoleName)]
    role: Role,
    /// Who let them.
    added_by: String,
    added_at: String,
}

impl From<&Collaborator> for CollaboratorAnswer {
    fn from(collaborator: &Collaborator) -> Self {
        Self {
            handle: collaborator.handle.to_string(),
            role: collaborator.role,
            added_by: collaborator.added_by.to_string(),
            added_at: collaborator.added_at.to_string(),
        }
    }
}

#[derive(Serialize, ToSchema)]
struct CollaboratorsAnswer {
    collaborators: Vec<CollaboratorAnswer>,
}

/// Lists the collaborators of a repository: at most a thousand, so there are no pages
#[utoipa::path(
    get,
    operation_id = "list_collaborators",
    path = "/api/v1/repos/{owner}/{slug}/collaborators",
    tag = "collaborators",
    params(RepositoryPath),
    responses((status = 200, description = "Done.", body = CollaboratorsAnswer))
)]
pub(crate) async fn list(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let collaborators = exchange.app.hub.collaborators(exchange.repository()?).await?;
    let collaborators = collaborators.iter().map(CollaboratorAnswer::from).collect();
    json(StatusCode::OK, &CollaboratorsAnswer { collaborators })
}

#[derive(Deserialize, ToSchema)]
struct CollaboratorRoleRequest {
    #[schema(value_type = RoleName)]
    role: Role,
}

/// Lets somebody in, or changes what they may do
#[utoipa::path(
    put,
    operation_id = "put_collaborator",
    path = "/api/v1/repos/{owner}/{slug}/collaborators/{handle}",
    tag = "collaborators",
    params(RepositoryPath, ("handle" = String, Path, description = "Who.")),
    request_body = CollaboratorRoleRequest,
    responses((status = 200, description = "Done.", body = CollaboratorAnswer))
)]
pub(crate) async fn put(exchange: &Exchange<'_>, body: &mut RequestBody) -> Result<Reply, ApiError> {
    let request: CollaboratorRoleRequest = exchange.decode(body).await?;
    let (repo, by) = (exchange.repository()?, exchange.caller()?);
    let handle = Handle::parse(exchange.params.get("handle"))?;
    let collaborator = exchange.app.hub.set_collaborator(repo, &handle, request.role, by).await?;
    json(StatusCode::OK, &CollaboratorAnswer::from(&collaborator))
}

/// Takes back what a collaborator may do
#[utoipa::path(
    delete,
    operation_id = "remove_collaborator",
    path = "/api/v1/repos/{owner}/{slug}/collaborators/{handle}",
    tag = "collaborators",
    params(RepositoryPath, ("handle" = String, Path, description = "Who.")),
    responses((status = 200, description = "Done.", body = RemovedCollaboratorAnswer))
)]
pub(crate) async fn remove(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let handle = Handle::parse(exchange.params.get("handle"))?;
    exchange.app.hub.remove_collaborator(exchange.repository()?, &handle).await?;
    json(StatusCode::OK, &RemovedCollaboratorAnswer { removed: handle.to_string() })
}

#[derive(Serialize, ToSchema)]
struct RemovedCollaboratorAnswer {
    removed: String,
}
