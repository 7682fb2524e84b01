// Deploys any image, or an entry of the store with settings of one's own.

import "../shell.js";
import { $, notify } from "../dom.js";
import "../live.js";
import { deploymentOf, send, store } from "../api.js";
import { pageOf } from "../format.js";
import { specForm } from "../spec-form.js";

const DEFAULT_NAMESPACE = "openfaas-fn";
const wanted = new URLSearchParams(location.search);

const form = specForm($("spec"), {
  button: "Deploy",
  async send(deployment) {
    await send("POST", "/system/functions", deployment);
    location.assign(pageOf({ namespace: deployment.namespace ?? DEFAULT_NAMESPACE, name: deployment.service }));
  },
});

if (wanted.has("image")) form.show({ image: wanted.get("image") });
if (wanted.has("store")) {
  try {
    const entry = (await store()).find((one) => one.name === wanted.get("store"));
    if (entry) {
      const deployment = deploymentOf(entry);
      form.show({ ...deployment, name: deployment.service });
    }
  } catch (error) {
    notify(error.message, "bad");
  }
}
$("spec").elements.service.focus();
