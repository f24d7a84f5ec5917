//! The database under the SQL index: several handles, reopening, and what is no database.

use std::sync::Arc;

use musehub_core::port::{
    HistoryIndex, IdentityStore, MoveRows, NewToken, RepositoryIndex, Scope, TokenHash,
};

use crate::index_fixtures::{
    Database, SqlIndex, at, bare, blob_id, blob_row, commit_id, create_repositories, entry, handle, record,
    repo,
};

#[tokio::test]
async fn reopening_keeps_everything() {
    let directory = tempfile::tempdir().unwrap();
    // Not a path that a URL would hold.
    let path = directory.path().join("mode=memory?a b#c%20é.db");
    let token = NewToken {
        hash: TokenHash::of("secret"),
        handle: handle("alice"),
        scope: Scope::Admin,
        created_at: at(0),
        expires_at: None,
    };
    for round in 0..3 {
        let index = SqlIndex::open(&path).await.unwrap();
        if round == 0 {
            create_repositories(&index).await;
            index.record_move(bare(entry(1, 1, Some(commit_id(1))))).await.unwrap();
            index.add_token(&token).await.unwrap();
        }
        assert_eq!(index.repository_by_id(&repo(2)).await.unwrap(), Some(record(2, "owner", "repository-2")));
        assert_eq!(index.branches(&repo(1)).await.unwrap().len(), 1);
        assert_eq!(index.token(token.hash).await.unwrap().map(|row| row.handle), Some(handle("alice")));
        index.close().await.unwrap();
    }
    assert!(path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn many_may_open_a_new_database_at_once() {
    for _ in 0..5 {
        let database = Arc::new(Database::new().await);
        let opening: Vec<_> = (0..8)
            .map(|n| {
                let database = database.clone();
                tokio::spawn(async move {
                    let index = database.open().await;
                    index.put_repository(&record(n, "owner", &format!("repository-{n}"))).await.unwrap();
                })
            })
            .collect();
        for opened in opening {
            opened.await.unwrap();
        }
        let index = database.open().await;
        assert_eq!(index.public_repositories(None, 100).await.unwrap().len(), 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_handles_write_and_read_one_database() {
    let database = Database::new().await;
    let handles = [database.open().await, database.open().await];
    create_repositories(&handles[0]).await;
    let writers: Vec<_> = (0_u64..40)
        .map(|n| {
            let index = handles[usize::try_from(n % 2).unwrap()].clone();
            tokio::spawn(async move {
                let blobs = (n * 1_000..n * 1_000 + 1_000).map(blob_row).collect();
                index
                    .record_move(MoveRows { blobs, ..bare(entry(1, n + 1, Some(commit_id(n)))) })
                    .await
                    .unwrap();
                // What one has written, it reads.
                assert_eq!(index.blobs(&repo(1), &[blob_id(n * 1_000)]).await.unwrap().len(), 1);
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    for index in handles {
        let ids: Vec<_> = (0..40_000).map(blob_id).collect();
        assert_eq!(index.blobs(&repo(1), &ids).await.unwrap().len(), 40_000);
        assert_eq!(index.branches(&repo(1)).await.unwrap()[0].sequence, 40);
    }
}

#[tokio::test]
async fn a_dropped_write_is_whole_or_nothing_and_blocks_nobody() {
    let database = Database::new().await;
    let index = database.open().await;
    create_repositories(&index).await;
    let asked: Vec<_> = (0..5_000).map(blob_id).collect();
    let mut abandoned = 0;
    // As clients that hang up, at every stage of a write.
    for polls in (0..14).map(|n| 1 << n) {
        {
            let blobs = (0..5_000).map(blob_row).collect();
            let mut write = Box::pin(index.record_move(MoveRows { blobs, ..bare(entry(1, 1, None)) }));
            for _ in 0..polls {
                if futures::poll!(&mut write).is_ready() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        }
        // Waits for the writer, so sees what the abandoned write left.
        index.put_repository(&record(polls + 10, "owner", &format!("after-{polls}"))).await.unwrap();
        let held = index.blobs(&repo(1), &asked).await.unwrap().len();
        assert!(held == 0 || held == asked.len(), "{held}");
        abandoned += u32::from(held == 0);
    }
    assert!(abandoned > 0);
}

#[tokio::test]
async fn what_is_no_database_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("musehub.db");
    std::fs::write(&path, "this is a text, and a rather long one for a header of a database").unwrap();
    assert!(SqlIndex::open(&path).await.is_err());
    assert!(SqlIndex::open(directory.path()).await.is_err());
    assert!(SqlIndex::open(&directory.path().join("nowhere/musehub.db")).await.is_err());
}
