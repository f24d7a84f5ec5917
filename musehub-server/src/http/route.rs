//! The one table of routes, and who may use each.

use std::collections::HashMap;

use hyper::Method;
use musehub_core::hub::Need;
use percent_encoding::percent_decode_str;

use super::rate::Class;
use crate::metrics::Transfer;

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The list of public repositories.
    Home,
    /// Whether the server is up.
    Health,
    /// Whether it can do its work.
    Ready,
    /// A stylesheet or icon.
    Static,
    /// The description of the JSON API.
    OpenApi,
    /// Creates a repository.
    CreateRepository,
    /// Commits files to a branch.
    CommitFiles,
    /// Shows a repository.
    ShowRepository,
    /// Changes a repository.
    UpdateRepository,
    /// Lists branches.
    ListBranches,
    /// Makes a branch.
    CreateBranch,
    /// Renames a branch.
    RenameBranch,
    /// Deletes a branch.
    DeleteBranch,
    /// Lists tags.
    ListTags,
    /// Makes a tag.
    CreateTag,
    /// Renames a tag.
    RenameTag,
    /// Deletes a tag.
    DeleteTag,
    /// Lists proposals.
    ListProposals,
    /// Makes a proposal.
    CreateProposal,
    /// Shows a proposal.
    ShowProposal,
    /// Changes a proposal.
    EditProposal,
    /// Closes a proposal.
    CloseProposal,
    /// Opens a proposal again.
    ReopenProposal,
    /// Merges a proposal.
    MergeProposal,
    /// Lists the commits of a proposal.
    ProposalCommits,
    /// Lists the files that a proposal changes.
    ProposalFiles,
    /// Lists what was said of a proposal.
    Conversation,
    /// Says something about a proposal.
    Comment,
    /// Changes what one wrote.
    EditComment,
    /// Deletes what one wrote.
    DeleteComment,
    /// Reviews a proposal.
    Review,
    /// Takes away the verdict of a reviewer.
    DismissReview,
    /// A commit, and what is known of it.
    ShowCommit,
    /// Pushes, as the earliest clients do.
    SyncPush,
    /// Pulls, as the earliest clients do.
    SyncPull,
    /// A challenge for a key.
    Challenge,
    /// Takes a free name with a key.
    Register,
    /// The keys of who asks.
    Keys,
    /// Adds a key to who asks.
    AddKey,
    /// Retires a key.
    RetireKey,
    /// Registers the key of an agent.
    RegisterAgent,
    /// The collaborators of a repository.
    Collaborators,
    /// Lets somebody in.
    PutCollaborator,
    /// Takes it back.
    RemoveCollaborator,
    /// The heads of a repository.
    Refs,
    /// Which objects are to be uploaded.
    FilterObjects,
    /// Addresses to upload to.
    Presign,
    /// Uploads objects.
    PushObjects,
    /// Uploads one object to its address.
    UploadObject,
    /// Gets one object by its address.
    DownloadObject,
    /// Moves a branch.
    Push,
    /// Gets history.
    Fetch,
    /// An address to upload a pack to.
    PresignPack,
    /// Uploads a pack.
    UploadPack,
    /// Indexes an uploaded pack.
    UnpackPack,
    /// What became of that.
    PushJob,
    /// Gets history as a pack.
    FetchPack,
    /// Gets a pack by its name.
    DownloadPack,
    /// Gets a pack by its address.
    SignedDownload,
    /// Finds what both sides have.
    Negotiate,
    /// Publishes a release.
    PublishRelease,
    /// The releases of a repository.
    Releases,
    /// Takes a release back.
    RetractRelease,
    /// Names commits.
    AddTags,
    /// The names of commits; to whoever takes HTML, the page of them.
    Tags,
    /// The bytes of an object.
    Object,
    /// The heads of a repository, for clients of early March 2026.
    JsonRefs,
    /// Uploads objects, of the same.
    JsonPushObjects,
    /// Moves a branch, for the same.
    JsonPush,
    /// Gets history, for the same.
    JsonFetch,
    /// The page of a repository.
    Repository,
    /// The page of a branch's history, or of a commit.
    Commits,
    /// The page of what one version has and another has not.
    Compare,
    /// The page of branches.
    Branches,
    /// The page of proposals.
    Proposals,
    /// The page of a proposal and what is said of it.
    Proposal,
    /// The page of what a proposal brings, or of what stands in its way.
    ProposalTab,
    /// The page of what intelligence found.
    Intel,
    /// The page of stale imports.
    Breakage,
    /// The same for programs.
    BreakageJson,
    /// The jobs of a repository.
    Jobs,
    /// One of them.
    Job,
    /// The page of a folder.
    Tree,
    /// The page of a file.
    Blob,
    /// The bytes of a file.
    Raw,
}

impl Route {
    /// What it moves, and by which generation of clients, where that is counted.
    #[must_use]
    pub const fn transfer(self) -> Option<(Transfer, &'static str)> {
        match self {
            Self::Push => Some((Transfer::Push, "mwp")),
            // The later clients call it as well: then the answer says so.
            Self::Fetch => Some((Transfer::Fetch, "mwp")),
            Self::JsonPush => Some((Transfer::Push, "json")),
            Self::JsonFetch => Some((Transfer::Fetch, "json")),
            Self::UnpackPack => Some((Transfer::Push, "mpack")),
            Self::FetchPack => Some((Transfer::Fetch, "mpack")),
            Self::SyncPush => Some((Transfer::Push, "sync")),
            Self::SyncPull => Some((Transfer::Fetch, "sync")),
            _ => None,
        }
    }
}

/// The generation of clients that an answer is for, where its route has several: an extension of the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Generation(pub(crate) &'static str);

/// Who may use a route. It is applied before the handler runs; there is no way around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// Everybody: what it shows is public, or the handler shows each what is theirs to see.
    Anyone,
    /// Whoever says who they are, in a way that goes as far as this.
    SignedIn(Need),
    /// Whoever may do this with the repository `{owner}/{slug}` of the path, or `{repo_id}`. To whoever may not see it, it is absent.
    Repository(Need),
    /// Whoever says who they are, by a token that goes as far as writing, and may see the repository `{owner}/{slug}` of the path.
    /// What else they need depends on what they change, which the use case knows.
    Participant,
    /// Whoever has an address that the hub signed: for clients that send no credentials to an address they were given. The handler
    /// verifies it, and answers 403 before it looks at anything else.
    SignedAddress,
}

impl std::fmt::Display for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Anyone => f.write_str("anyone"),
            Self::SignedIn(need) => write!(f, "signed in, {}", need.as_str()),
            Self::Repository(need) => f.write_str(need.as_str()),
            Self::Participant => f.write_str("participant"),
            Self::SignedAddress => f.write_str("signed address"),
        }
    }
}

/// Whom an answer is for, and so in what form errors come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Audience {
    /// Programs.
    Programs,
    /// People: errors are pages, too.
    People,
    /// Whoever asks for HTML is a person, all others are programs.
    Both,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The method; `GET` takes `HEAD` as well.
    pub method: &'static str,
    /// The pattern of the path.
    pub path: &'static str,
    /// What is asked for.
    pub route: Route,
    /// Who may ask.
    pub rule: Rule,
    /// Whom the answer is for.
    pub audience: Audience,
    /// Whether the handler reads the body as it arrives. It must do nothing that lasts before [`RequestBody::decode`] or
    /// [`RequestBody::collect`] has given it the whole: until then a signature is not proven. Every other body is read and proven
    /// before the handler runs.
    ///
    /// [`RequestBody::decode`]: super::RequestBody::decode
    /// [`RequestBody::collect`]: super::RequestBody::collect
    pub is_streamed: bool,
}

impl Entry {
    /// Whether the answer is a page, to whoever asks for HTML or does not.
    #[must_use]
    pub fn is_page(&self, prefers_html: bool) -> bool {
        match self.audience {
            Audience::Programs => false,
            Audience::People => true,
            Audience::Both => prefers_html,
        }
    }

    /// What a request counts as, and how much; none for what is not counted.
    #[must_use]
    pub fn charge(&self) -> Option<(Class, u32)> {
        match self.route {
            Route::Health | Route::Ready | Route::Static => None,
            // Whoever has the address was counted when they asked for it, and is no client that could wait.
            _ if self.rule == Rule::SignedAddress => None,
            Route::Fetch | Route::FetchPack | Route::JsonFetch | Route::SyncPull => Some((Class::Read, 5)),
            Route::FilterObjects | Route::Presign | Route::Negotiate => Some((Class::Read, 1)),
            Route::Push | Route::JsonPush | Route::UnpackPack | Route::SyncPush | Route::CommitFiles => {
                Some((Class::Write, 5))
            }
            _ if self.method == "GET" => Some((Class::Read, 1)),
            _ => Some((Class::Write, 1)),
        }
    }
}

const fn row(method: &'static str, path: &'static str, route: Route, rule: Rule) -> Entry {
    Entry { method, path, route, rule, audience: Audience::Programs, is_streamed: false }
}

const fn get(path: &'static str, route: Route, rule: Rule) -> Entry {
    row("GET", path, route, rule)
}

const fn post(path: &'static str, route: Route, rule: Rule) -> Entry {
    row("POST", path, route, rule)
}

impl Entry {
    /// See [`is_streamed`](Self::is_streamed).
    const fn streamed(self) -> Self {
        Self { is_streamed: true, ..self }
    }
}

const fn page(path: &'static str, route: Route, rule: Rule) -> Entry {
    Entry { audience: Audience::People, ..get(path, route, rule) }
}

use Need::{Admin, Read, Write};
use Rule::{Anyone, Participant, Repository, SignedAddress, SignedIn};

/// Every route. A new one is a row here, and an arm of `Exchange::dispatch`.
pub const TABLE: &[Entry] = &[
    page("/", Route::Home, Anyone),
    get("/health", Route::Health, Anyone),
    get("/healthz", Route::Health, Anyone),
    get("/readyz", Route::Ready, Anyone),
    get("/static/{name}", Route::Static, Anyone),
    get("/api/v1/openapi.json", Route::OpenApi, Anyone),
    post("/api/v1/repos", Route::CreateRepository, SignedIn(Admin)),
    post("/api/v1/repos/{owner}/{slug}/commits", Route::CommitFiles, Repository(Write)),
    get("/api/v1/repos/{owner}/{slug}", Route::ShowRepository, Repository(Read)),
    row("PATCH", "/api/v1/repos/{owner}/{slug}", Route::UpdateRepository, Repository(Admin)),
    get("/api/v1/repos/{owner}/{slug}/branches", Route::ListBranches, Repository(Read)),
    post("/api/v1/repos/{owner}/{slug}/branches", Route::CreateBranch, Repository(Write)),
    row("PATCH", "/api/v1/repos/{owner}/{slug}/branches/{*branch}", Route::RenameBranch, Repository(Write)),
    row("DELETE", "/api/v1/repos/{owner}/{slug}/branches/{*branch}", Route::DeleteBranch, Repository(Write)),
    get("/api/v1/repos/{owner}/{slug}/tags", Route::ListTags, Repository(Read)),
    post("/api/v1/repos/{owner}/{slug}/tags", Route::CreateTag, Repository(Write)),
    row("PATCH", "/api/v1/repos/{owner}/{slug}/tags/{*tag}", Route::RenameTag, Repository(Write)),
    row("DELETE", "/api/v1/repos/{owner}/{slug}/tags/{*tag}", Route::DeleteTag, Repository(Write)),
    get("/api/v1/repos/{owner}/{slug}/proposals", Route::ListProposals, Repository(Read)),
    post("/api/v1/repos/{owner}/{slug}/proposals", Route::CreateProposal, Repository(Write)),
    get("/api/v1/repos/{owner}/{slug}/proposals/{number}", Route::ShowProposal, Repository(Read)),
    row("PATCH", "/api/v1/repos/{owner}/{slug}/proposals/{number}", Route::EditProposal, Participant),
    post("/api/v1/repos/{owner}/{slug}/proposals/{number}/close", Route::CloseProposal, Participant),
    post("/api/v1/repos/{owner}/{slug}/proposals/{number}/reopen", Route::ReopenProposal, Participant),
    post("/api/v1/repos/{owner}/{slug}/proposals/{number}/merge", Route::MergeProposal, Repository(Write)),
    get("/api/v1/repos/{owner}/{slug}/proposals/{number}/commits", Route::ProposalCommits, Repository(Read)),
    get("/api/v1/repos/{owner}/{slug}/proposals/{number}/files", Route::ProposalFiles, Repository(Read)),
    get(
        "/api/v1/repos/{owner}/{slug}/proposals/{number}/conversation",
        Route::Conversation,
        Repository(Read),
    ),
    post("/api/v1/repos/{owner}/{slug}/proposals/{number}/comments", Route::Comment, Participant),
    row(
        "PATCH",
        "/api/v1/repos/{owner}/{slug}/proposals/{number}/comments/{entry}",
        Route::EditComment,
        Participant,
    ),
    row(
        "DELETE",
        "/api/v1/repos/{owner}/{slug}/proposals/{number}/comments/{entry}",
        Route::DeleteComment,
        Participant,
    ),
    post("/api/v1/repos/{owner}/{slug}/proposals/{number}/reviews", Route::Review, Participant),
    post(
        "/api/v1/repos/{owner}/{slug}/proposals/{number}/reviews/{reviewer}/dismissal",
        Route::DismissReview,
        Participant,
    ),
    get("/api/v1/repos/{owner}/{slug}/commits/{id}", Route::ShowCommit, Repository(Read)),
    post("/api/v1/repos/{repo_id}/push", Route::SyncPush, Repository(Write)).streamed(),
    post("/api/v1/repos/{repo_id}/pull", Route::SyncPull, Repository(Read)),
    post("/api/auth/challenge", Route::Challenge, Anyone),
    post("/api/auth/register", Route::Register, Anyone),
    get("/api/auth/keys", Route::Keys, SignedIn(Read)),
    post("/api/auth/keys", Route::AddKey, SignedIn(Admin)),
    row("DELETE", "/api/auth/keys/{key_id}", Route::RetireKey, SignedIn(Admin)),
    post("/api/identities/agent", Route::RegisterAgent, SignedIn(Admin)),
    get("/api/v1/repos/{owner}/{slug}/collaborators", Route::Collaborators, Repository(Admin)),
    row(
        "PUT",
        "/api/v1/repos/{owner}/{slug}/collaborators/{handle}",
        Route::PutCollaborator,
        Repository(Admin),
    ),
    row(
        "DELETE",
        "/api/v1/repos/{owner}/{slug}/collaborators/{handle}",
        Route::RemoveCollaborator,
        Repository(Admin),
    ),
    get("/{owner}/{slug}/refs", Route::Refs, Repository(Read)),
    post("/{owner}/{slug}/filter-objects", Route::FilterObjects, Repository(Write)),
    // What it takes stands in the body, which only those who may see the repository get to have read.
    post("/{owner}/{slug}/presign", Route::Presign, Repository(Read)),
    post("/{owner}/{slug}/push/objects", Route::PushObjects, Repository(Write)).streamed(),
    row("PUT", "/{owner}/{slug}/push/objects/{id}", Route::UploadObject, SignedAddress),
    get("/{owner}/{slug}/fetch/objects/{id}", Route::DownloadObject, SignedAddress),
    post("/{owner}/{slug}/push", Route::Push, Repository(Write)).streamed(),
    post("/{owner}/{slug}/fetch", Route::Fetch, Repository(Read)),
    post("/{owner}/{slug}/push/mpack-presign", Route::PresignPack, Repository(Write)),
    row("PUT", "/{owner}/{slug}/push/mpack/{key}", Route::UploadPack, SignedAddress),
    post("/{owner}/{slug}/push/unpack-mpack", Route::UnpackPack, Repository(Write)),
    get("/{owner}/{slug}/push/jobs/{id}", Route::PushJob, Repository(Write)),
    post("/{owner}/{slug}/fetch/mpack", Route::FetchPack, Repository(Read)),
    post("/{owner}/{slug}/fetch/presign", Route::FetchPack, Repository(Read)),
    get("/{owner}/{slug}/fetch/mpack", Route::DownloadPack, Repository(Read)),
    get("/{owner}/{slug}/fetch/mpack/{key}", Route::SignedDownload, SignedAddress),
    post("/{owner}/{slug}/negotiate", Route::Negotiate, Repository(Read)),
    post("/{owner}/{slug}/releases", Route::PublishRelease, Repository(Write)),
    get("/{owner}/{slug}/releases", Route::Releases, Repository(Read)),
    row("DELETE", "/{owner}/{slug}/releases/{tag}", Route::RetractRelease, Repository(Write)),
    post("/{owner}/{slug}/tags", Route::AddTags, Repository(Write)),
    Entry { audience: Audience::Both, ..get("/{owner}/{slug}/tags", Route::Tags, Repository(Read)) },
    // Whoever may read one repository that holds it.
    get("/o/{object_id}", Route::Object, Anyone),
    get("/wire/repos/{repo_id}/refs", Route::JsonRefs, Repository(Read)),
    post("/wire/repos/{repo_id}/push/objects", Route::JsonPushObjects, Repository(Write)),
    post("/wire/repos/{repo_id}/push", Route::JsonPush, Repository(Write)),
    post("/wire/repos/{repo_id}/fetch", Route::JsonFetch, Repository(Read)),
    page("/{owner}/{slug}", Route::Repository, Repository(Read)),
    page("/{owner}/{slug}/commits/{*branch}", Route::Commits, Repository(Read)),
    page("/{owner}/{slug}/compare/{*range}", Route::Compare, Repository(Read)),
    page("/{owner}/{slug}/branches", Route::Branches, Repository(Read)),
    page("/{owner}/{slug}/proposals", Route::Proposals, Repository(Read)),
    page("/{owner}/{slug}/proposals/{number}", Route::Proposal, Repository(Read)),
    page("/{owner}/{slug}/proposals/{number}/{tab}", Route::ProposalTab, Repository(Read)),
    page("/{owner}/{slug}/intel", Route::Intel, Repository(Read)),
    page("/{owner}/{slug}/intel/breakage", Route::Breakage, Repository(Read)),
    get("/api/v1/repos/{owner}/{slug}/intel/breakage", Route::BreakageJson, Repository(Read)),
    get("/api/v1/repos/{owner}/{slug}/jobs", Route::Jobs, Repository(Admin)),
    get("/api/v1/repos/{owner}/{slug}/jobs/{id}", Route::Job, Repository(Admin)),
    page("/{owner}/{slug}/tree/{*place}", Route::Tree, Repository(Read)),
    page("/{owner}/{slug}/blob/{*place}", Route::Blob, Repository(Read)),
    page("/{owner}/{slug}/raw/{*place}", Route::Raw, Repository(Read)),
];

/// The parts of a path that a route names, decoded.
#[derive(Clone, Debug, Default)]
pub struct Params(Vec<(String, String)>);

impl Params {
    /// The part called `name`; empty where the route has none.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }
}

/// Why no route fits.
#[derive(Debug)]
pub enum NoRoute {
    /// No such path.
    NotFound,
    /// The path is there for other methods, which this names as the header does.
    Method(String),
}

/// What an address takes, by method.
type Methods = HashMap<&'static str, &'static Entry>;

/// Finds routes.
#[derive(Debug)]
pub struct Router {
    by_name: matchit::Router<Methods>,
    /// Routes of a repository that is named by its id. Their addresses can also be those of one named `push`, so these are
    /// asked first, and only for what they take.
    by_id: matchit::Router<Methods>,
}

impl Default for Router {
    fn default() -> Self {
        let (by_id, by_name) = TABLE.iter().partition(|entry| entry.path.contains("/{repo_id}"));
        Self { by_name: router(by_name), by_id: router(by_id) }
    }
}

fn router(entries: Vec<&'static Entry>) -> matchit::Router<Methods> {
    let mut by_path: HashMap<&str, Methods> = HashMap::new();
    for entry in entries {
        by_path.entry(entry.path).or_default().insert(entry.method, entry);
    }
    let mut router = matchit::Router::new();
    for (path, methods) in by_path {
        router.insert(path, methods).expect("the table has no two paths that collide");
    }
    router
}

impl Router {
    /// The route of a request. `HEAD` is `GET` whose body is not sent.
    ///
    /// # Errors
    /// [`NoRoute`] where none fits.
    pub fn find(&self, method: &Method, path: &str) -> Result<(&'static Entry, Params), NoRoute> {
        // One slash at the end is forgiven: clients must never be redirected.
        let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let by_id = self.by_id.at(path).ok().filter(|found| found.value.contains_key(method));
        let found = by_id.map_or_else(|| self.by_name.at(path), Ok).map_err(|_| NoRoute::NotFound)?;
        let Some(entry) = found.value.get(method) else {
            let mut allowed: Vec<&str> = found.value.keys().copied().collect();
            allowed.sort_unstable();
            return Err(NoRoute::Method(allowed.join(", ")));
        };
        let decode = |(key, value): (&str, &str)| {
            let value = percent_decode_str(value).decode_utf8().map_err(|_| NoRoute::NotFound)?;
            Ok((key.to_owned(), value.into_owned()))
        };
        Ok((*entry, Params(found.params.iter().map(decode).collect::<Result<_, _>>()?)))
    }
}
