//! The main job before one's eyes, each step with the command that anybody could type.

#![expect(clippy::print_stdout, reason = "the tour is what it prints")]

use std::time::Duration;

use anyhow::{Context, Result, bail};
use api::{sync::Phase, v1};
use http::Method;
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{layout::Layout, supervisor::VirtualPi};
use crate::client::ApiClient;

/// How long a step may take before the tour says that it failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// Shows deploying, invoking, scaling, and what happens when a Pi is unplugged.
pub(super) async fn walk(
    client: &ApiClient,
    layout: &Layout,
    nodes: &[VirtualPi],
    portal: &str,
) -> Result<()> {
    let tour = Tour { client, portal };

    tour.step("Deploy a function", r#"curl -u "$USER:$PASSWORD" "$PORTAL/system/functions" -d '{"service":"sh","image":"bramble/sh:latest","envProcess":"cat | rev | tr a-z A-Z"}'"#);
    let deployment =
        json!({"service": "sh", "image": "bramble/sh:latest", "envProcess": "cat | rev | tr a-z A-Z"});
    let known = client
        .send(Method::GET, "/system/function/sh", "")
        .await?
        .status
        .is_success();
    let method = if known { Method::PUT } else { Method::POST };
    client
        .send_json(method, "/system/functions", &deployment)
        .await
        .context("failed to deploy")?;
    tour.wait_for_ready(1).await?;
    tour.show_placements().await?;

    tour.step("Invoke it", r#"curl "$PORTAL/function/sh" -d 'elbmarb olleh'"#);
    tour.invoke().await?;

    tour.step("Scale it", r#"curl -u "$USER:$PASSWORD" "$PORTAL/system/scale-function/sh" -d '{"serviceName":"sh","replicas":6}'"#);
    let scale = json!({"serviceName": "sh", "replicas": 6});
    client
        .send_json(Method::POST, "/system/scale-function/sh", &scale)
        .await
        .context("failed to scale")?;
    tour.wait_for_ready(6).await?;
    tour.show_placements().await?;

    let Some(victim) = tour.pick_victim(nodes).await? else {
        println!("\nWith a single node there is nothing to unplug: try --nodes 4.");
        return Ok(());
    };
    tour.step("Unplug a Pi", &format!("bramble demo unplug {}", victim.name));
    let folder = layout.node(&victim.name);
    folder.set_unplugged(true).context("failed to pull the plug")?;
    println!("Invocations go on while the bramble notices:");
    let began = Instant::now();
    tour.invoke().await?;
    tour.wait_until_gone_from(&victim.name).await?;
    tour.wait_for_ready(6).await?;
    println!(
        "All replicas run elsewhere after {:.1} s.",
        began.elapsed().as_secs_f64()
    );
    tour.show_placements().await?;

    tour.step(
        "Invoke it again",
        r#"curl "$PORTAL/function/sh" -d 'elbmarb olleh'"#,
    );
    tour.invoke().await?;

    tour.step("Plug it in again", &format!("bramble demo plug {}", victim.name));
    folder.set_unplugged(false).context("failed to put the plug in")?;
    tour.wait_until_up(&victim.name).await?;
    println!("\nThat was the main job. Now deploy your own: {portal}");
    Ok(())
}

struct Tour<'a> {
    client: &'a ApiClient,
    portal: &'a str,
}

impl Tour<'_> {
    fn step(&self, title: &str, command: &str) {
        println!("\n── {title}\n$ {}", command.replace("$PORTAL", self.portal));
    }

    async fn function(&self) -> Result<v1::Function> {
        Ok(self.client.get("/api/v1/functions/openfaas-fn/sh").await?)
    }

    /// Asks `look` again and again until it is content.
    async fn wait(&self, for_what: &str, mut content: impl FnMut(&v1::Function) -> bool) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            // The leader may just be starting again: ask once more.
            let function = self.function().await;
            if function.as_ref().is_ok_and(&mut content) {
                return Ok(());
            }
            if Instant::now() > deadline {
                let sentences = function.map_or_else(|error| format!("{error:#}"), |f| f.sentences.join(" "));
                bail!("waited in vain for {for_what}: {sentences}");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn wait_for_ready(&self, wanted: usize) -> Result<()> {
        self.wait(&format!("{wanted} ready replicas"), |function| {
            function
                .placements
                .iter()
                .filter(|p| p.phase == Phase::Ready)
                .count()
                == wanted
                && function.placements.len() == wanted
        })
        .await
    }

    async fn wait_until_gone_from(&self, node: &str) -> Result<()> {
        self.wait(&format!("replicas to leave {node}"), |function| {
            function.placements.iter().all(|p| p.node != node)
        })
        .await
    }

    async fn wait_until_up(&self, node: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let nodes = self
                .client
                .get::<Vec<v1::Node>>("/api/v1/nodes")
                .await
                .unwrap_or_default();
            if nodes
                .iter()
                .any(|n| n.name == node && n.phase == v1::NodePhase::Up)
            {
                println!("{node} is back.");
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("waited in vain for {node} to come back");
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn invoke(&self) -> Result<()> {
        let began = Instant::now();
        let answer = self
            .client
            .send(Method::POST, "/function/sh", "elbmarb olleh")
            .await?;
        if !answer.status.is_success() {
            bail!(
                "the function answered {}: {}",
                answer.status,
                answer.text().trim()
            );
        }
        let node = answer.node.as_deref().unwrap_or("a node");
        println!(
            "{}   (from {node}, {:.0} ms)",
            answer.text().trim(),
            began.elapsed().as_secs_f64() * 1000.0
        );
        Ok(())
    }

    async fn show_placements(&self) -> Result<()> {
        let function = self.function().await?;
        for sentence in &function.sentences {
            println!("{sentence}");
        }
        for placement in &function.placements {
            println!(
                "  {:<18} {:<5} {}",
                placement.node,
                placement.replica.to_string(),
                placement.phase
            );
        }
        Ok(())
    }

    /// A node to unplug: one that runs a replica, and not the master's, as there may be no other controller.
    async fn pick_victim<'n>(&self, nodes: &'n [VirtualPi]) -> Result<Option<&'n VirtualPi>> {
        let function = self.function().await?;
        let known: Vec<v1::Node> = self.client.get("/api/v1/nodes").await?;
        let leads = |name: &str| known.iter().any(|node| node.leader && node.name == name);
        Ok(nodes
            .iter()
            .find(|node| !leads(&node.name) && function.placements.iter().any(|p| p.node == node.name)))
    }
}
