//! Runs computations on all cores without holding up whoever awaits them.

use futures::channel::oneshot;

/// Runs `work` on the shared thread pool and gives its result.
///
/// # Panics
/// Where `work` panics.
pub(crate) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, result) = oneshot::channel();
    rayon::spawn(move || {
        // Nobody waits any more where the caller was dropped.
        let _ = done.send(work());
    });
    result.await.expect("the sender is dropped only when the work panicked")
}
