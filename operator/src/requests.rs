//! Counts what is asked of the API server, by method and by how it answered.

use std::task;

use futures::future::BoxFuture;
use http::{Request, Response};
use kube::client::Body;
use prometheus::IntCounterVec;
use tower::{Layer, Service};

/// Counts the requests of every client that it lies around.
#[derive(Debug, Clone)]
pub struct Counter(IntCounterVec);

/// A client's way to the API server, which is counted.
#[derive(Debug, Clone)]
pub struct Counted<S> {
    inner: S,
    requests: IntCounterVec,
}

impl Counter {
    /// Counts there, by the labels `method` and `code`.
    #[must_use]
    pub fn new(requests: IntCounterVec) -> Counter {
        Counter(requests)
    }
}

impl<S> Layer<S> for Counter {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, requests: self.0.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Counted<S>
where
    S: Service<Request<Body>, Response = Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> task::Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (method, requests) = (request.method().clone(), self.requests.clone());
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = answer.as_ref().map_or("none".into(), |answer| answer.status().as_str().to_owned());
            requests.with_label_values(&[method.as_str(), &code]).inc();
            answer
        })
    }
}

#[cfg(test)]
mod tests {
    use http::{Method, StatusCode};
    use prometheus::Opts;
    use tower::service_fn;

    use super::*;

    #[tokio::test]
    async fn a_request_is_counted_by_its_method_and_its_answer() {
        let requests = IntCounterVec::new(Opts::new("requests", "Requests."), &["method", "code"]).unwrap();
        let mut service = Counter::new(requests.clone()).layer(service_fn(|request: Request<Body>| async move {
            match request.uri().path() {
                "/gone" => Err("the connection broke"),
                "/taken" => Ok(Response::builder().status(StatusCode::CONFLICT).body(()).unwrap()),
                _ => Ok(Response::new(())),
            }
        }));
        for (method, path) in
            [(Method::GET, "/"), (Method::GET, "/"), (Method::POST, "/taken"), (Method::PATCH, "/gone")]
        {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let _ = service.call(request).await;
        }
        let counted = |method, code| requests.with_label_values(&[method, code]).get();
        assert_eq!((counted("GET", "200"), counted("POST", "409"), counted("PATCH", "none")), (2, 1, 1));
    }
}
