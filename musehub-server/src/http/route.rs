//! The one table of routes.

use std::collections::HashMap;

use hyper::Method;
use percent_encoding::percent_decode_str;

/// What a request asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Route {
    /// The list of public repositories.
    Home,
    /// Whether the server is up.
    Health,
    /// A stylesheet or icon.
    Static,
    /// Creates a repository.
    CreateRepository,
    /// The heads of a repository.
    Refs,
    /// Which objects are to be uploaded.
    FilterObjects,
    /// Addresses to upload to.
    Presign,
    /// Uploads objects.
    PushObjects,
    /// Moves a branch.
    Push,
    /// Gets history.
    Fetch,
    /// Finds what both sides have.
    Negotiate,
    /// The page of a repository.
    Repository,
    /// The page of a branch's history.
    Commits,
    /// The page of what intelligence found.
    Intel,
    /// The page of stale imports.
    Breakage,
    /// The same for programs.
    BreakageJson,
    /// The page of a folder.
    Tree,
    /// The page of a file.
    Blob,
    /// The bytes of a file.
    Raw,
}

const TABLE: &[(&str, &str, Route)] = &[
    ("GET", "/", Route::Home),
    ("GET", "/health", Route::Health),
    ("GET", "/healthz", Route::Health),
    ("GET", "/static/{name}", Route::Static),
    ("POST", "/api/v1/repos", Route::CreateRepository),
    ("GET", "/{owner}/{slug}/refs", Route::Refs),
    ("POST", "/{owner}/{slug}/filter-objects", Route::FilterObjects),
    ("POST", "/{owner}/{slug}/presign", Route::Presign),
    ("POST", "/{owner}/{slug}/push/objects", Route::PushObjects),
    ("POST", "/{owner}/{slug}/push", Route::Push),
    ("POST", "/{owner}/{slug}/fetch", Route::Fetch),
    ("POST", "/{owner}/{slug}/negotiate", Route::Negotiate),
    ("GET", "/{owner}/{slug}", Route::Repository),
    ("GET", "/{owner}/{slug}/commits/{*branch}", Route::Commits),
    ("GET", "/{owner}/{slug}/intel", Route::Intel),
    ("GET", "/{owner}/{slug}/intel/breakage", Route::Breakage),
    ("GET", "/api/v1/repos/{owner}/{slug}/intel/breakage", Route::BreakageJson),
    ("GET", "/{owner}/{slug}/tree/{*place}", Route::Tree),
    ("GET", "/{owner}/{slug}/blob/{*place}", Route::Blob),
    ("GET", "/{owner}/{slug}/raw/{*place}", Route::Raw),
];

impl Route {
    /// Whether the answer is for people, so that its errors are pages too.
    #[must_use]
    pub const fn is_page(self) -> bool {
        matches!(
            self,
            Self::Home
                | Self::Repository
                | Self::Commits
                | Self::Intel
                | Self::Breakage
                | Self::Tree
                | Self::Blob
                | Self::Raw
        )
    }
}

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

/// Finds routes.
#[derive(Debug)]
pub struct Router(matchit::Router<HashMap<&'static str, Route>>);

impl Default for Router {
    fn default() -> Self {
        let mut by_path: HashMap<&str, HashMap<&'static str, Route>> = HashMap::new();
        for (method, path, route) in TABLE {
            by_path.entry(path).or_default().insert(method, *route);
        }
        let mut router = matchit::Router::new();
        for (path, methods) in by_path {
            router.insert(path, methods).expect("the table has no two paths that collide");
        }
        Self(router)
    }
}

impl Router {
    /// The route of a request. `HEAD` is `GET` whose body is not sent.
    ///
    /// # Errors
    /// [`NoRoute`] where none fits.
    pub fn find(&self, method: &Method, path: &str) -> Result<(Route, Params), NoRoute> {
        // One slash at the end is forgiven: clients must never be redirected.
        let path = if path.len() > 1 { path.strip_suffix('/').unwrap_or(path) } else { path };
        let found = self.0.at(path).map_err(|_| NoRoute::NotFound)?;
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let Some(route) = found.value.get(method) else {
            let mut allowed: Vec<&str> = found.value.keys().copied().collect();
            allowed.sort_unstable();
            return Err(NoRoute::Method(allowed.join(", ")));
        };
        let decode = |(key, value): (&str, &str)| {
            let value = percent_decode_str(value).decode_utf8().map_err(|_| NoRoute::NotFound)?;
            Ok((key.to_owned(), value.into_owned()))
        };
        Ok((*route, Params(found.params.iter().map(decode).collect::<Result<_, _>>()?)))
    }
}
