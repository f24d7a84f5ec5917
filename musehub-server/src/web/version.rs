//! What people call versions: branches, commit ids and tags.

use hyper::StatusCode;
use musehub_core::CommitId;
use musehub_core::hub::Refs;

use crate::app::Exchange;
use crate::http::ApiError;
use crate::pages::EndKind;

/// A version that somebody named.
#[derive(Clone, Debug)]
pub(super) struct Version {
    /// How it was named: the branch, the tag, or the whole commit id.
    pub(super) name: String,
    pub(super) kind: EndKind,
    pub(super) commit: CommitId,
}

/// The version of that name: a branch, else a commit, which need not be in the repository, else a tag that one commit has.
pub(super) async fn resolve(exchange: &Exchange<'_>, refs: &Refs, name: &str) -> Result<Version, ApiError> {
    let version = |kind, name: String, commit| Version { name, kind, commit };
    if let Some(row) = refs.branches.iter().find(|row| row.name.as_str() == name) {
        return Ok(version(EndKind::Branch, name.to_owned(), row.head));
    }
    if let Ok(commit) = CommitId::parse(name) {
        return Ok(version(EndKind::Commit, commit.to_string(), commit));
    }
    let tagged = exchange.app.releases.tagged(exchange.repository()?, name, 2).await?;
    match tagged[..] {
        [commit] => Ok(version(EndKind::Tag, name.to_owned(), commit)),
        [] => Err(missing("branch, commit or tag")),
        _ => {
            let detail = "several commits have that tag: name one by its id";
            Err(ApiError::new(StatusCode::NOT_FOUND, "not_found", detail))
        }
    }
}

pub(super) fn missing(what: &str) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
}
