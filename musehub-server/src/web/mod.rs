//! Pages: what each shows is gathered here and written by [`crate::pages`].

mod branches;
pub(crate) mod breakage;
mod commit;
mod compare;
mod diff;
mod files;
mod proposals;
mod repository;
mod tags;
mod version;
mod views;

use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, HeaderValue};
use musehub_core::{BranchName, CommitId, Handle, Slug};

use self::version::missing;
use crate::app::Exchange;
use crate::http::{ApiError, Reply, html, plain};
use crate::pages::{self, CommitListPage, HomePage, Page, RepoListRow};

pub(crate) use branches::branches;
pub(crate) use breakage::{breakage, breakage_json, intel};
pub(crate) use compare::compare;
pub(crate) use files::{blob, raw, tree};
pub(crate) use proposals::{proposal, proposal_tab, proposals};
pub(crate) use repository::repository;
pub(crate) use tags::tags;

/// Rows of a page of repositories.
const REPOSITORIES: u32 = 30;
/// Rows of a page of commits.
const COMMITS: usize = 30;
/// Names in the menu of branches.
const BRANCHES: usize = 200;

/// `GET /static/{name}`
pub(crate) fn asset(name: &str) -> Result<Reply, ApiError> {
    let missing = || ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is no such file");
    let asset = pages::asset(name).ok_or_else(missing)?;
    let mut reply = plain(StatusCode::OK, asset.content_type, asset.bytes);
    reply.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static(asset.cache_control));
    Ok(reply)
}

fn render<P: Page>(exchange: &Exchange<'_>, page: &P) -> Result<Reply, ApiError> {
    let text = exchange.app.pages.render(page).map_err(ApiError::internal)?;
    Ok(html(StatusCode::OK, text))
}

/// `GET /`
pub(crate) async fn home(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let cursor = exchange.query("cursor");
    let after = cursor.as_deref().and_then(|cursor| cursor.split_once('/'));
    let after = after.and_then(|(owner, slug)| Handle::parse(owner).ok().zip(Slug::parse(slug).ok()));
    let after = after.as_ref().map(|(owner, slug)| (owner, slug));
    let records = exchange.app.repositories.public_repositories(after, REPOSITORIES).await?;
    let full = records.len() == REPOSITORIES as usize;
    let next_cursor = records.last().filter(|_| full).map(|last| format!("{}/{}", last.owner, last.slug));
    let mut repositories = Vec::with_capacity(records.len());
    for record in records {
        let refs = exchange.app.hub.refs(&record).await?;
        repositories.push(RepoListRow {
            owner: record.owner.to_string(),
            slug: record.slug.to_string(),
            description: Some(record.description).filter(|text| !text.is_empty()),
            pushed_at: refs.branches.iter().map(|branch| branch.moved_at).max().map(|at| at.to_string()),
        });
    }
    render(exchange, &HomePage { base_url: exchange.base_url(), repositories, next_cursor })
}

/// `GET /{owner}/{slug}/commits/{branch}`, and `GET /{owner}/{slug}/commits/{id}`: a branch may be called like a commit, and
/// is the branch then.
pub(crate) async fn commits(exchange: &Exchange<'_>) -> Result<Reply, ApiError> {
    let repo = exchange.repository()?;
    let refs = exchange.app.hub.refs(repo).await?;
    let missing = || missing("branch or commit");
    let asked = exchange.params.get("branch");
    let branch = refs.branches.iter().find(|row| row.name.as_str() == asked);
    if let (None, Ok(id)) = (branch, CommitId::parse(asked)) {
        return commit::commit(exchange, repo, id).await;
    }
    let name = BranchName::parse(asked).map_err(|_| missing())?;
    // Before the first push the default branch has a page all the same: every repository links to it.
    if branch.is_none() && (name != refs.default_branch || !refs.branches.is_empty()) {
        return Err(missing());
    }
    let cursor = exchange.query("cursor").and_then(|text| CommitId::parse(&text).ok());
    let page_size = std::num::NonZeroUsize::new(COMMITS + 1).expect("a page has rows");
    let mut rows = match branch {
        Some(branch) => exchange.app.hub.log(repo, branch.head, cursor, page_size).await?,
        None => Vec::new(),
    };
    let more = rows.len() > COMMITS;
    rows.truncate(COMMITS);
    let page = CommitListPage {
        repo: views::header(repo),
        branch: name.to_string(),
        branches: refs.branches.iter().take(BRANCHES).map(|row| row.name.to_string()).collect(),
        is_first: cursor.is_none(),
        next_cursor: rows.last().filter(|_| more).map(|row| row.id.to_string()),
        commits: rows.into_iter().map(views::commit).collect(),
    };
    render(exchange, &page)
}
