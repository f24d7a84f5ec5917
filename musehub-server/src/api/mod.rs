//! The JSON API, for programs that are no Muse client. `docs/API.md` describes it to people, [`openapi`] to programs.

pub(crate) mod branches;
pub(crate) mod collaborators;
pub(crate) mod commits;
pub(crate) mod keys;
pub mod openapi;
pub(crate) mod paging;
pub(crate) mod proposals;
pub(crate) mod repositories;
pub(crate) mod settings;
mod staged;
pub(crate) mod sync;
pub(crate) mod tags;

use utoipa::IntoParams;

/// The repository that a path names.
#[derive(IntoParams)]
#[into_params(parameter_in = Path)]
#[expect(dead_code, reason = "only described: the router reads the path")]
pub(crate) struct RepositoryPath {
    /// Whose it is.
    owner: String,
    /// Its name.
    slug: String,
}
