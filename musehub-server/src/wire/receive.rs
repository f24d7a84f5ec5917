//! The end of a push whose objects were staged as they came.

use musehub_core::Handle;
use musehub_core::hub::{Push, PushOutcome};
use musehub_core::port::RepositoryRecord;

use super::upload::Sink;
use crate::app::Exchange;
use crate::http::ApiError;

/// Receives a push whose body is whole, and its sender proven. What was staged of it is taken or of no more use afterwards:
/// whoever tries again sends it again.
pub(super) async fn receive(
    exchange: &Exchange<'_>,
    repo: RepositoryRecord,
    pusher: Handle,
    push: Push,
    sink: Sink,
) -> Result<PushOutcome, ApiError> {
    let upload = sink.finish().await?;
    let hub = exchange.app.hub.clone();
    // On its own task: a client that hangs up must not stop a push between the log and the index.
    let received = tokio::spawn(async move {
        let received = hub.receive_push(&repo, &pusher, push).await;
        if let Some(upload) = upload {
            // What is not discarded now expires.
            let _ = hub.discard_upload(&repo, upload).await;
        }
        received
    });
    let outcome = received.await.map_err(ApiError::internal)??;
    exchange.app.work.notify_one();
    Ok(outcome)
}
