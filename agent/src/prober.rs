//! Asks one running replica again and again, and tells the reconciler what matters.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use api::{ReplicaId, spec::Probe};
use tokio::{sync::mpsc, time::sleep};

use crate::{
    engine::Engine,
    probe::{ask, judge, pause_before_ready},
    reconciler::Told,
    replicas::Question,
};

/// Asks until it is aborted. Every failure is told, and every first success after one: a replica that is well costs
/// one small request per period and nothing else.
pub(crate) async fn run<E: Engine>(
    engine: Arc<E>,
    tell: mpsc::Sender<Told>,
    replica: ReplicaId,
    address: SocketAddr,
    run: String,
    ready: Probe,
    alive: Probe,
) {
    let one = |question: Question, probe: Probe| {
        let (engine, tell, run) = (engine.clone(), tell.clone(), run.clone());
        async move {
            sleep(Duration::from_millis(probe.initial_delay_ms)).await;
            let (mut was_well, mut was_ever_well) = (false, false);
            let mut asked = 0;
            loop {
                let answer = judge(ask(address, &probe).await, &probe, engine.has_lock_file(replica)).await;
                let is_well = answer.is_ok();
                if !(was_well && is_well) {
                    let told = Told::Answered {
                        replica,
                        run: run.clone(),
                        question,
                        answer,
                    };
                    if tell.send(told).await.is_err() {
                        return;
                    }
                }
                asked += 1;
                was_well = is_well;
                was_ever_well |= is_well;
                let waits_for_first = !was_ever_well && question != Question::Alive;
                sleep(if waits_for_first {
                    pause_before_ready(asked, &probe)
                } else {
                    Duration::from_millis(probe.period_ms)
                })
                .await;
            }
        }
    };
    if ready == alive {
        one(Question::Both, ready).await;
    } else {
        tokio::join!(one(Question::Ready, ready), one(Question::Alive, alive));
    }
}
