//! Invocations by clients: find the function, choose a replica, hand on the request, hand back the answer.

use std::{
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::{Duration, SystemTime},
};

use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use tokio::{
    sync::watch,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    Body, Gateway, answers,
    choose::choose,
    counters::Call,
    gateway::Inner,
    headers, path,
    request::{Missed, Outgoing},
    sandbox,
    table::{Entry, Place},
    tunnel,
};

/// How long a call that every replica refused waits for the leader to notice and to place others: nodes are missed
/// after 4.5 s, and a replica starts in a few.
const REFUSED_LIMIT: Duration = Duration::from_secs(10);

/// Replicas that are tried before a call waits for news: one, and one other.
const ATTEMPTS: u32 = 2;

/// Pause before a replica that refused is tried again though nothing was heard: it may have been started afresh where
/// it was, before anybody missed it.
const REFUSED_PAUSE: Duration = Duration::from_millis(500);

/// How long the news of a new function may take to every node: each has a sync request hanging, so it takes the way of an
/// answer, and some patience for a busy Pi.
const ROUTES_TRAVEL: Duration = Duration::from_millis(400);

impl Gateway {
    /// Carries one request of a client to a replica and its answer back: `/function/{name}[.{namespace}][/path]`.
    ///
    /// Never fails: what goes wrong is an answer. The body of the answer is the invocation itself: dropped early, it
    /// cancels.
    pub async fn invoke(&self, mut request: Request<Incoming>, client: SocketAddr) -> Response<Body> {
        let gateway = &self.0;
        let upgrade = tunnel::wanted(&mut request);
        let (mut parts, body) = request.into_parts();
        let service_worker = sandbox::wants_service_worker(&parts.headers);
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let call_id = fastrand::u128(..);
        let signature = headers::prepare(
            &mut parts.headers,
            client,
            parts.uri.authority(),
            now.as_nanos(),
            call_id,
            &gateway.user_agent,
        );
        let uri = std::mem::take(&mut parts.uri);
        let mut answer = if service_worker {
            answers::no_service_worker()
        } else {
            gateway.dispatch(&uri, Outgoing::new(parts, body, upgrade)).await
        };
        let is_tunnel = answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        if !is_tunnel {
            signature.give_type(answer.headers_mut());
        }
        sandbox::confine(answer.headers_mut());
        signature.sign(answer.headers_mut(), &gateway.served_by);
        answer
    }
}

impl Inner {
    async fn dispatch(&self, uri: &Uri, mut outgoing: Outgoing) -> Response<Body> {
        let path = uri.path_and_query().map_or("", |path| path.as_str());
        let Some(called) = path::public(path) else {
            return answers::no_such_path();
        };
        let known = self.table.load().find(called.function).cloned();
        let Some(entry) = (match known {
            Some(entry) => Some(entry),
            None => Box::pin(self.arrives(called.function)).await,
        }) else {
            return answers::unknown_function(called.function);
        };
        if !is_allowed(outgoing.method()) {
            return answers::method_not_allowed();
        }
        let mut call = Call::begin(entry.counts.clone());
        let answer = self.carry(&mut call, entry, called.rest, &outgoing).await;
        call.answered(answer.status());
        if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
            let upgrade = outgoing.upgrade.take();
            return tunnel::dig(upgrade, answer, call)
                .unwrap_or_else(|| answers::unreachable(called.function));
        }
        answer.map(|body| body.ends_call(call))
    }

    /// Waits a moment for a function that is not known: somebody may have been told just now, on another node, that it
    /// is deployed, and its route is on its way.
    async fn arrives(&self, name: &str) -> Option<Arc<Entry>> {
        let mut news = News::listen(&self.changed, ROUTES_TRAVEL);
        loop {
            let found = self.table.load().find(name).cloned();
            if found.is_some() || !news.came().await {
                return found;
            }
        }
    }

    /// Tries replicas until one has the call; waits for one where there is none.
    async fn carry(
        &self,
        call: &mut Call,
        mut entry: Arc<Entry>,
        rest: &str,
        outgoing: &Outgoing,
    ) -> Response<Body> {
        let mut refused_by = None;
        let mut refusals = 0;
        let mut news: Option<News> = None;
        loop {
            let found = choose(&entry.targets, refused_by, self.now_ms(), |below| {
                fastrand::usize(..below)
            });
            let Some(target) = found.filter(|_| refusals < ATTEMPTS) else {
                match &mut news {
                    // Whoever listens looks once more before it waits, so that nothing is missed in between.
                    None => {
                        let limit = if refusals > 0 {
                            REFUSED_LIMIT
                        } else {
                            self.config.wait_limit
                        };
                        news = Some(News::listen(&self.changed, limit));
                    }
                    Some(news) => {
                        if call.wait() {
                            self.wake.notify_one();
                        }
                        if refusals == 0 && !news.came().await {
                            return answers::no_replica(&entry.function.to_string(), self.config.wait_limit);
                        }
                        if refusals > 0 && !news.came_or_passes(REFUSED_PAUSE).await {
                            return answers::unreachable(entry.function.name());
                        }
                        refused_by = None;
                        refusals = refusals.min(ATTEMPTS - 1);
                    }
                }
                let name = entry.function.to_string();
                entry = match self.table.load().find(&name) {
                    Some(entry) => entry.clone(),
                    None => return answers::unknown_function(&name),
                };
                continue;
            };
            call.wait_no_more();
            call.go_to(&target.load);
            let answer = pin!(async {
                match &target.place {
                    Place::Here(local) => {
                        self.deliver(local, &target.load, path::to_replica(rest), outgoing)
                            .await
                    }
                    Place::There(peer) => self.hand_on(*peer, target, &entry, rest, outgoing).await,
                }
            });
            match self.in_time(outgoing, answer).await {
                None => return answers::timed_out(),
                Some(Ok(answer)) => return answer,
                Some(Err(Missed::Broken)) if refusals > 0 || !outgoing.is_repeatable() => {
                    return answers::unreachable(entry.function.name());
                }
                Some(Err(Missed::Refused | Missed::Broken)) => {
                    target.load.avoid(self.now_ms());
                    refused_by = Some(target.replica);
                    refusals += 1;
                }
            }
        }
    }

    /// Waits for an answer as long as is allowed since the last piece of the request went its way.
    async fn in_time<F: Future>(&self, outgoing: &Outgoing, mut answer: Pin<&mut F>) -> Option<F::Output> {
        loop {
            match timeout(self.config.invoke_limit, answer.as_mut()).await {
                Ok(answer) => return Some(answer),
                Err(_) if outgoing.source.moved() => {}
                Err(_) => return None,
            }
        }
    }
}

/// Tells a call that waits when the table of routes changed.
struct News {
    changes: watch::Receiver<()>,
    until: Instant,
}

impl News {
    fn listen(changes: &watch::Sender<()>, limit: Duration) -> Self {
        Self {
            changes: changes.subscribe(),
            until: Instant::now() + limit,
        }
    }

    /// Waits for the next change; `false` once the time is up.
    async fn came(&mut self) -> bool {
        matches!(timeout_at(self.until, self.changes.changed()).await, Ok(Ok(())))
    }

    /// Waits for the next change, or for `pause`; `false` once the time is up.
    async fn came_or_passes(&mut self, pause: Duration) -> bool {
        let first = self.until.min(Instant::now() + pause);
        match timeout_at(first, self.changes.changed()).await {
            Ok(change) => change.is_ok(),
            Err(_) => Instant::now() < self.until,
        }
    }
}

/// The methods that functions take.
fn is_allowed(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::POST
            | Method::PUT
            | Method::PATCH
            | Method::DELETE
            | Method::OPTIONS
            | Method::HEAD
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_result<T>(_: impl FnOnce() -> T) -> usize {
        size_of::<T>()
    }

    #[test]
    #[expect(unreachable_code, reason = "only the types are looked at")]
    fn what_an_invocation_keeps_while_it_waits_stays_small() {
        fn gateway() -> &'static Gateway {
            unreachable!("only its type is looked at")
        }
        // Such a value is moved several times per call, and each call under way has one. Rare paths belong in a box.
        assert!(size_of_result(|| gateway().invoke(unreachable!(), unreachable!())) < 4_500);
        assert!(size_of_result(|| gateway().invoke_hop(unreachable!(), unreachable!())) < 3_500);
    }
}
