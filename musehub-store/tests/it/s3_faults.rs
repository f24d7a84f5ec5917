//! A network and a server that fail: what can be repeated is, what cannot be is said, and no wrong byte comes out.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use futures::TryStreamExt;
use musehub_core::port::{BackendError, Located, ObjectStore, RefStore};
use musehub_store::{PackedStore, RefLog};
use musehub_test_services::proxy::{Call, Fault, Proxy};
use musehub_test_services::s3::{Kind, Server, fresh_prefix};

use crate::index_fixtures::{branch, commit_id, entry, repo};
use crate::pack_fixtures::{blob, bytes_of, noise, places, put, stage, staged};
use crate::s3::bucket;

/// A store behind a proxy.
struct Behind {
    proxy: Proxy,
    server: Server,
    prefix: String,
}

impl Behind {
    async fn new(kind: Kind) -> Self {
        let server = Server::of(kind);
        let proxy = Proxy::start(server.address()).await;
        Self { proxy, server, prefix: fresh_prefix() }
    }

    fn backend(&self) -> musehub_store::Backend {
        bucket(&self.server.through(self.proxy.address), &self.prefix)
    }

    async fn store(&self) -> PackedStore {
        PackedStore::scan(self.backend()).await.unwrap()
    }

    /// The log without the proxy.
    fn log_itself(&self) -> RefLog {
        RefLog::new(bucket(&self.server, &self.prefix))
    }
}

/// The first requests of a kind meet faults, in this order.
fn first<F, const N: usize>(faults: [Fault; N], of: F) -> impl FnMut(&Call) -> Option<Fault> + Send
where
    F: Fn(&Call) -> bool + Send + 'static,
{
    let mut faults = faults.into_iter();
    move |call| of(call).then(|| faults.next()).flatten()
}

async fn streamed(store: &PackedStore, object: Located) -> Result<Bytes, BackendError> {
    let pieces: Vec<Bytes> = store.stream(object).await?.try_collect().await?;
    Ok(pieces.concat().into())
}

const PASSING: [Fault; 3] = [Fault::Unavailable, Fault::Dropped, Fault::Unavailable];

#[tokio::test]
async fn a_pack_is_written_and_read_through_a_server_that_fails_now_and_then() {
    let behind = Behind::new(Kind::S3sFs).await;
    let store = behind.store().await;
    let objects = [blob(&noise(1, 100_000)), blob(b"small")];
    behind.proxy.plan(first(PASSING, |call| call.method == "PUT"));
    let receipt = put(&store, &objects).await;
    assert_eq!(behind.proxy.faults(), PASSING.len());
    behind
        .proxy
        .plan(first([Fault::Cut(50_000), Fault::Unavailable, Fault::Cut(10), Fault::Dropped], |call| {
            call.method == "GET" && call.target.contains("packs/")
        }));
    let read = store.read(&places(&receipt)).await.unwrap();
    assert!(read.iter().eq(objects.iter().map(bytes_of)));
    assert_eq!(behind.proxy.faults(), 4);
    let ranges: Vec<_> = behind.proxy.calls().into_iter().filter_map(|(call, _)| call.range).collect();
    assert!(
        ranges.windows(2).any(|pair| pair[0] != pair[1]),
        "a broken answer is taken up where it broke: {ranges:?}"
    );
}

#[tokio::test]
async fn parts_that_fail_are_sent_again() {
    let behind = Behind::new(Kind::S3sFs).await;
    let store = behind.store().await;
    let payload = noise(2, 40 << 20);
    behind.proxy.plan(first(PASSING, |call| call.target.contains("partNumber=")));
    let upload = stage(&store, &payload, &[1 << 20]).await;
    assert_eq!(behind.proxy.faults(), PASSING.len());
    behind.proxy.plan(first([Fault::Dropped, Fault::Unavailable, Fault::AnswerSpoilt], |call| {
        call.target.contains("partNumber=") || call.method == "POST"
    }));
    let receipt = put(&store, &[staged(&upload)]).await;
    assert_eq!(behind.proxy.faults(), 3);
    assert!(streamed(&store, receipt.objects[0].located()).await.unwrap().ends_with(&payload));
}

/// The store has completed the upload and then knows of none by that name.
#[tokio::test]
async fn a_large_pack_whose_completion_was_answered_with_a_failure_is_there() {
    let behind = Behind::new(Kind::S3sFs).await;
    let store = behind.store().await;
    let upload = stage(&store, &noise(3, 33 << 20), &[1 << 20]).await;
    behind.proxy.plan(first([Fault::AnswerSpoilt], |call| {
        call.method == "POST" && call.target.contains("packs/") && call.target.contains("uploadId=")
    }));
    let receipt = put(&store, &[staged(&upload)]).await;
    assert_eq!(behind.proxy.faults(), 1);
    assert_eq!(behind.store().await.packs().await.unwrap(), [receipt.pack.unwrap()]);
}

#[tokio::test]
async fn an_answer_that_is_short_and_says_it_is_whole_gives_no_wrong_bytes() {
    let behind = Behind::new(Kind::S3sFs).await;
    let store = behind.store().await;
    let objects = [blob(&noise(4, 9 << 20)), blob(&noise(5, 2_000)), blob(b"")];
    let receipt = put(&store, &objects).await;
    let read_all = async |at: usize| {
        let of_packs = |call: &Call| call.method == "GET" && call.target.contains("packs/");
        behind.proxy.plan(move |call| of_packs(call).then_some(Fault::Short(at)));
        let mut wrong = 0;
        for (object, packed) in objects.iter().zip(&receipt.objects) {
            for read in [
                store.read(&[packed.located()]).await.map(|mut read| read.remove(0)),
                streamed(&store, packed.located()).await,
            ] {
                match read {
                    Ok(read) => assert_eq!(read, *bytes_of(object)),
                    Err(BackendError::Damaged { .. } | BackendError::Unavailable { .. }) => wrong += 1,
                    Err(error) => panic!("{error:?}"),
                }
            }
        }
        wrong
    };
    assert_eq!(read_all(usize::MAX).await, 0);
    for at in [0, 1, 40, 99, 1_500, 3 << 20] {
        assert!(read_all(at).await > 0, "{at} bytes of an answer cannot be enough");
    }
}

#[tokio::test]
async fn a_server_that_stays_away_is_an_error_and_leaves_nothing_visible() {
    let behind = Behind::new(Kind::S3sFs).await;
    let store = behind.store().await;
    behind
        .proxy
        .plan(|call| (call.method == "PUT" && call.target.contains(".idx")).then_some(Fault::Unavailable));
    let written =
        tokio::time::timeout(std::time::Duration::from_secs(300), store.put(vec![blob(b"lost")])).await;
    assert!(matches!(written, Ok(Err(BackendError::Unavailable { .. }))), "{written:?}");
    behind.proxy.plan(|_| None);
    assert_eq!(behind.store().await.packs().await.unwrap(), []);
    put(&store, &[blob(b"lost")]).await;
    assert_eq!(behind.store().await.packs().await.unwrap().len(), 1);
}

/// The store made the entry and its answer did not arrive; a repetition would meet the entry and take it for another's.
#[tokio::test]
async fn who_made_an_entry_learns_it_however_the_answer_was_lost() {
    for fault in [Fault::AnswerLost, Fault::AnswerSpoilt, Fault::Dropped, Fault::Unavailable, Fault::Racing] {
        let behind = Behind::new(Kind::Moto).await;
        let log = RefLog::new(behind.backend());
        behind.proxy.plan(first([fault, fault], |call| call.method == "PUT"));
        let made = entry(1, 1, Some(commit_id(1)));
        let appended = log.append(&made).await;
        assert!(appended.is_ok(), "{fault:?}: {appended:?}");
        assert!(behind.proxy.faults() > 0);
        behind.proxy.plan(|_| None);
        let held = behind.log_itself().history(&repo(1), &branch("main"), 0).await.unwrap();
        assert_eq!(held, std::slice::from_ref(&made));
        let again = log.append(&made).await;
        assert!(
            matches!(again, Err(BackendError::Conflict { .. })),
            "{fault:?}: the next is another's: {again:?}"
        );
    }
}

#[tokio::test]
async fn an_entry_of_another_is_a_conflict_however_the_answer_was_lost() {
    for fault in [Fault::AnswerLost, Fault::AnswerSpoilt, Fault::Dropped, Fault::Unavailable, Fault::Racing] {
        let behind = Behind::new(Kind::Moto).await;
        let theirs = entry(1, 1, Some(commit_id(7)));
        behind.log_itself().append(&theirs).await.unwrap();
        behind.proxy.plan(first([fault], |call| call.method == "PUT"));
        let appended = RefLog::new(behind.backend()).append(&entry(1, 1, Some(commit_id(8)))).await;
        assert!(matches!(appended, Err(BackendError::Conflict { .. })), "{fault:?}: {appended:?}");
        assert_eq!(behind.log_itself().heads(&repo(1)).await.unwrap(), [theirs]);
    }
}

#[tokio::test]
async fn of_racers_whose_answers_are_lost_one_wins() {
    let behind = Behind::new(Kind::Moto).await;
    let count = Arc::new(AtomicUsize::new(0));
    behind.proxy.plan(move |call| {
        let faults = [None, Some(Fault::AnswerSpoilt), Some(Fault::Racing), Some(Fault::AnswerLost)];
        let put = call.method == "PUT";
        put.then(|| faults[count.fetch_add(1, Ordering::Relaxed) % faults.len()]).flatten()
    });
    for sequence in 1..=5 {
        let racers: Vec<_> = (0..6)
            .map(|n| {
                let log = RefLog::new(behind.backend());
                let entry = entry(1, sequence, Some(commit_id(sequence * 10 + n)));
                tokio::spawn(async move { log.append(&entry).await.map(|()| entry) })
            })
            .collect();
        let mut winners = Vec::new();
        for racer in racers {
            match racer.await.unwrap() {
                Ok(entry) => winners.push(entry),
                Err(BackendError::Conflict { .. }) => {}
                Err(error) => panic!("{error:?}"),
            }
        }
        assert_eq!(winners, behind.log_itself().heads(&repo(1)).await.unwrap(), "move {sequence}");
    }
}
