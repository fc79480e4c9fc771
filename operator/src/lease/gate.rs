//! The gate that every write of a leader goes through: shut, once its Lease could be somebody else's.
//!
//! It sits in the client, so that no write can go around it, and gives up those that are under way when it shuts.

use std::{
    future,
    sync::{Arc, Mutex, PoisonError},
    task,
};

use futures::future::BoxFuture;
use http::{Method, Request};
use kube::client::Body;
use tokio::time::{self, Instant};
use tower::{BoxError, Layer, Service};

/// The gate of one term of leadership.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Mutex<Instant>>);

/// Why a write was not done, or it is not known whether it was.
#[derive(Debug, thiserror::Error)]
#[error("this operator does not lead any more")]
pub struct Shut;

/// A client's way to the API server, through the gate.
#[derive(Debug, Clone)]
pub struct Gated<S> {
    inner: S,
    gate: Gate,
}

impl Gate {
    /// A gate that is open until that moment.
    #[must_use]
    pub fn new(until: Instant) -> Gate {
        Gate(Arc::new(Mutex::new(until)))
    }

    /// Keeps it open until that moment, unless it is shut already.
    pub fn extend(&self, until: Instant) {
        let mut open_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if Instant::now() < *open_until {
            *open_until = until.max(*open_until);
        }
    }

    /// Shuts it now.
    pub fn shut(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// Until when it is open, as things are.
    #[must_use]
    pub fn until(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_open(&self) -> bool {
        Instant::now() < self.until()
    }

    /// Returns when it is shut.
    pub async fn closed(&self) {
        while self.is_open() {
            time::sleep_until(self.until()).await;
        }
    }
}

impl<S> Layer<S> for Gate {
    type Service = Gated<S>;

    fn layer(&self, inner: S) -> Gated<S> {
        Gated { inner, gate: self.clone() }
    }
}

impl<S> Service<Request<Body>> for Gated<S>
where
    S: Service<Request<Body>, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send + 'static,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if matches!(*request.method(), Method::GET | Method::HEAD) {
            return Box::pin(self.inner.call(request));
        }
        if !self.gate.is_open() {
            return Box::pin(future::ready(Err(Shut.into())));
        }
        let (answer, gate) = (self.inner.call(request), self.gate.clone());
        Box::pin(async move {
            tokio::select! {
                biased;
                () = gate.closed() => Err(Shut.into()),
                answer = answer => answer,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt as _;
    use http::Response;

    use super::*;

    /// What answers after a while, and notes what was begun.
    #[derive(Clone)]
    struct Server(Duration, Arc<Mutex<Vec<Method>>>);

    impl Service<Request<Body>> for Server {
        type Response = Response<Body>;
        type Error = BoxError;
        type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

        fn poll_ready(&mut self, _: &mut task::Context<'_>) -> task::Poll<Result<(), BoxError>> {
            task::Poll::Ready(Ok(()))
        }

        fn call(&mut self, request: Request<Body>) -> Self::Future {
            let Server(takes, begun) = self.clone();
            async move {
                begun.lock().unwrap().push(request.method().clone());
                time::sleep(takes).await;
                Ok(Response::new(Body::empty()))
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_passes_while_the_gate_is_open_and_none_begins_or_goes_on_after() {
        let second = Duration::from_secs(1);
        for (name, method, begins, takes, passes, sent) in [
            ("a write", Method::PATCH, 0, 1, true, true),
            ("a write after", Method::PATCH, 8, 1, false, false),
            ("a creation after", Method::POST, 8, 1, false, false),
            ("a write at the last moment", Method::PUT, 7, 1, false, false),
            ("a write that takes too long", Method::PATCH, 6, 3, false, true),
            ("a look after", Method::GET, 8, 1, true, true),
        ] {
            let gate = Gate::new(Instant::now() + 7 * second);
            let begun = Arc::default();
            let mut service = gate.layer(Server(takes * second, Arc::clone(&begun)));
            time::sleep(begins * second).await;
            let request = Request::builder().method(method).body(Body::empty()).unwrap();
            let start = Instant::now();
            let answer = service.call(request).await;
            assert_eq!(answer.is_ok(), passes, "{name}");
            assert_eq!(!begun.lock().unwrap().is_empty(), sent, "{name}");
            assert!(start.elapsed() <= takes * second, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_gate_is_kept_open_by_renewals_and_opens_no_second_time() {
        let start = Instant::now();
        let gate = Gate::new(start + Duration::from_secs(7));
        time::sleep(Duration::from_secs(3)).await;
        gate.extend(start + Duration::from_secs(10));
        gate.extend(start + Duration::from_secs(8));
        assert_eq!(gate.until(), start + Duration::from_secs(10));
        gate.closed().await;
        assert_eq!(start.elapsed(), Duration::from_secs(10));
        gate.extend(start + Duration::from_secs(20));
        assert!(gate.closed().now_or_never().is_some());
        let gate = Gate::new(Instant::now() + Duration::from_secs(7));
        gate.shut();
        assert!(gate.closed().now_or_never().is_some());
    }
}
