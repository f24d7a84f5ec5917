//! A hub over files and a database, in a program of your own: creates a repository in `./example-data` and lists what there is.
//!
//! `cargo run --example local_hub -- [DIR]`

use std::path::PathBuf;
use std::sync::Arc;

use musehub::core::hub::{Backends, NewRepository, Options};
use musehub::core::port::{RepositoryIndex, SystemClock, Visibility};
use musehub::core::{Handle, Hub, Slug};
use musehub::store::{Backend, PackedStore, RefLog, SqlIndex};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let data = PathBuf::from(std::env::args().nth(1).unwrap_or_else(|| "example-data".into()));
    std::fs::create_dir_all(&data)?;

    // The truth: packs of objects and the log of branch moves, in an object store.
    let backend = Backend::local(&data.join("store"))?;
    // The index, which can be made anew from them.
    let index = Arc::new(SqlIndex::open(&data.join("musehub.db")).await?);
    let objects = Arc::new(PackedStore::new(backend.clone(), index.clone()));
    let hub = Hub::new(
        Backends {
            objects: objects.clone(),
            staging: objects,
            refs: Arc::new(RefLog::new(backend)),
            repositories: index.clone(),
            history: index.clone(),
            unstored: index.clone(),
            claims: index.clone(),
            collaborators: index.clone(),
            keys: index.clone(),
            proposals: index.clone(),
            conversations: index.clone(),
            clock: Arc::new(SystemClock),
        },
        Options::default(),
    );

    // After a crash the index may be behind the log.
    let caught_up = hub.catch_up().await?;
    println!("{} repositories, {} moves indexed late", caught_up.repositories, caught_up.moves);

    let name = Slug::parse(&format!("example-{}", caught_up.repositories + 1))?;
    hub.create_repository(NewRepository {
        owner: Handle::parse("example")?,
        slug: name,
        visibility: Visibility::Public,
        description: "Made by an example".into(),
        scheme: None,
    })
    .await?;
    for repo in index.public_repositories(None, 100).await? {
        let refs = hub.refs(&repo).await?;
        println!("{}/{}: {} branches", repo.owner, repo.slug, refs.branches.len());
    }
    Ok(())
}
