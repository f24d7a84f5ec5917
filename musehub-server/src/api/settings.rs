//! What a repository is apart from its history: shown and changed.

use hyper::StatusCode;
use musehub_core::BranchName;
use musehub_core::hub::RepositoryChange;
use musehub_core::port::{RepositoryRecord, Visibility};
use musehub_core::scheme::IdScheme;
use musehub_core::settings::{BranchPattern, BranchProtection, Protection, RepositorySettings};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::RepositoryPath;
use super::repositories::{SchemeName, VisibilityName};
use crate::app::Exchange;
use crate::http::{ApiError, Reply, RequestBody, json};

#[derive(Serialize, ToSchema)]
pub(crate) struct RepositoryDetailAnswer {
    repo_id: String,
    owner: String,
    slug: String,
    description: String,
    #[schema(value_type = VisibilityName)]
    visibility: &'static str,
    /// Null until the first push fixes it.
    #[schema(value_type = Option<SchemeName>)]
    scheme: Option<&'static str>,
    /// Null until the first push.
    default_branch: Option<String>,
    created_at: String,
    settings: SettingsAnswer,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct SettingsAnswer {
    protected_branches: Vec<ProtectedBranchAnswer>,
    required_approvals: u32,
    require_signed_commits: bool,
    accept_opaque_ids: bool,
}

#[derive(Serialize, ToSchema)]
pub(crate) struct ProtectedBranchAnswer {
    pattern: String,
    refuse_force: bool,
    refuse_deletion: bool,
    refuse_direct_push: bool,
}

/// What to change; what is left out stays
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateRepositoryRequest {
    /// At most 4,096 bytes.
    description: Option<String>,
    #[schema(value_type = Option<VisibilityName>)]
    visibility: Option<Visibility>,
    /// A branch that is there.
    default_branch: Option<String>,
    settings: Option<UpdateSettingsRequest>,
}

/// Settings to change; what is left out stays
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UpdateSettingsRequest {
    /// All of them: at most 100. They replace those that were there.
    protected_branches: Option<Vec<ProtectedBranchRequest>>,
    /// How many people have to approve a proposal before it can be merged: at most 100.
    required_approvals: Option<u32>,
    /// Whether commits that are pushed need a valid signature.
    require_signed_commits: Option<bool>,
    /// Whether commits and snapshots are taken whose ids no known formula gives.
    accept_opaque_ids: Option<bool>,
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProtectedBranchRequest {
    /// The name of a branch, in which each `*` stands for any characters; at most 255 bytes and 8 stars.
    #[schema(value_type = String)]
    pattern: BranchPattern,
    /// It may not lose commits: true where this is left out.
    refuse_force: Option<bool>,
    /// It may not be deleted or renamed: true where this is left out.
    refuse_deletion: Option<bool>,
    /// It moves by the merge of a proposal only: false where this is left out.
    refuse_direct_push: Option<bool>,
}

impl From<ProtectedBranchRequest> for BranchProtection {
    fn from(request: ProtectedBranchRequest) -> Self {
        let usual = Protection::default();
        let protection = Protection {
            refuse_force: request.refuse_force.unwrap_or(usual.refuse_force),
            refuse_deletion: request.refuse_deletion.unwrap_or(usual.refuse_deletion),
            refuse_direct_push: request.refuse_direct_push.unwrap_or(usual.refuse_direct_push),
        };
        Self { pattern: request.pattern, protection }
    }
}

impl UpdateSettingsRequest {
    /// The settings that were there, changed.
    fn over(self, present: &RepositorySettings) -> RepositorySettings {
        let mut settings = present.clone();
        if let Some(protected) = self.protected_branches {
            settings.protected_branches = protected.into_iter().map(BranchProtection::from).collect();
        }
        settings.required_approvals = self.required_approvals.unwrap_or(settings.required_approvals);
        settings.require_signed_commits =
            self.require_signed_commits.unwrap_or(settings.require_signed_commits);
        settings.accept_opaque_ids = self.accept_opaque_ids.unwrap_or(settings.accept_opaque_ids);
        settings
    }
}

impl From<&RepositoryRecord> for RepositoryDetailAnswer {
    fn from(repo: &RepositoryRecord) -> Self {
        let protected = repo.settings.protected_branches.iter().map(|branch| ProtectedBranchAnswer {
            pattern: branch.pattern.to_string(),
            refuse_force: branch.protection.refuse_force,
            refuse_deletion: branch.protection.refuse_deletion,
            refuse_direct_push: branch.protection.refuse_direct_push,
        });
        Self {
            repo_id: repo.repo_id.to_string(),
            owner: repo.owner.to_string(),
            slug: repo.slug.to_string(),
            description: repo.description.clone(),
            visibility: repo.visibility.as_str(),
            scheme: repo.scheme.map(IdScheme::as_str),
            default_branch: repo.default_branch.as_ref().map(ToString::to_string),
            created_at: repo.created_at.to_string(),
            settings: SettingsAnswer {
                protected_branches: protected.collect(),
                required_approvals: repo.settings.required_approvals,
                require_signed_commits: repo.settings.require_signed_commits,
                accept_opaque_ids: repo.settings.accept_opaque_ids,
            },
        }
    }
}

/// Shows a repository with its settings
#[utoipa::path(
    get,
    path = "/api/v1/repos/{owner}/{slug}",
    tag = "repositories",
    params(RepositoryPath),
    responses((status = 200, description = "The repository.", body = RepositoryDetailAnswer)),
)]
pub(crate) async fn show_repository(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    json(StatusCode::OK, &RepositoryDetailAnswer::from(exchange.repository()?))
}

/// Changes a repository and its settings
#[utoipa::path(
    patch,
    path = "/api/v1/repos/{owner}/{slug}",
    tag = "repositories",
    params(RepositoryPath),
    request_body = UpdateRepositoryRequest,
    responses((status = 200, description = "Changed.", body = RepositoryDetailAnswer)),
)]
pub(crate) async fn update_repository(
    exchange: &Exchange<'_>,
    body: &mut RequestBody,
) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let request: UpdateRepositoryRequest = exchange.decode(body).await?;
    let change = RepositoryChange {
        visibility: request.visibility,
        description: request.description,
        default_branch: request.default_branch.map(|name| BranchName::parse(&name)).transpose()?,
        settings: request.settings.map(|settings| settings.over(&repo.settings)),
        deleted: None,
    };
    let repo = exchange.app.hub.update_repository(repo, &change).await?;
    json(StatusCode::OK, &RepositoryDetailAnswer::from(&repo))
}
