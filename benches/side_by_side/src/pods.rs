//! The pods that a cluster is filled with: what a Deployment's pods look like after kubelet has reported them.
//!
//! Guarantees: the same seed and number give the same pod. In [`Profile::Uniform`] every pod is some 5.2 KB of JSON as
//! kube-apiserver stores it, `managedFields` included. In [`Profile::Mix`] sizes and content vary as in a cluster of many
//! teams: one to four containers, random digests, hashes and annotations, which compress worse. What is needed of the
//! server (uid, times, managedFields) is left to it.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::random::Random;

/// Pods of one value of the label `app`.
pub(crate) const PER_APP: usize = 50;
/// Pods of one namespace.
pub(crate) const PER_NAMESPACE: usize = 100;
/// Pods of one node.
pub(crate) const PER_NODE: usize = 10;
/// Values of the label `tier`: one of them selects a seventh of all pods.
pub(crate) const TIERS: usize = 7;

/// What the pods are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Profile {
    /// All alike, some 5.2 KB each.
    Uniform,
    /// Of many shapes and sizes, with much that looks random.
    Mix,
}

/// So many pods, made from a seed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pods {
    pub(crate) profile: Profile,
    pub(crate) count: usize,
    pub(crate) seed: u64,
}

/// One pod, in the two writes that make it.
#[derive(Debug)]
pub(crate) struct Pod {
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// The body of its creation.
    pub(crate) creation: Value,
    /// The merge patch of its status.
    pub(crate) status: Value,
}

// === impl Pods ===

impl Pods {
    pub(crate) fn namespaces(&self) -> usize {
        self.count.div_ceil(PER_NAMESPACE)
    }

    pub(crate) fn nodes(&self) -> usize {
        self.count.div_ceil(PER_NODE)
    }

    pub(crate) fn node_name(node: usize) -> String {
        format!(
            "ip-10-{}-{}-{}.eu-central-1.compute.internal",
            node >> 16,
            (node >> 8) & 255,
            node & 255
        )
    }

    pub(crate) fn namespace_name(namespace: usize) -> String {
        format!("team-{namespace:04}")
    }

    pub(crate) fn app_name(app: usize) -> String {
        format!("app-{app:04}")
    }

    /// Spreads the pods of one node, app or namespace over the others: no two of the three go together.
    pub(crate) fn node_of(&self, pod: usize) -> usize {
        pod % self.nodes()
    }

    fn app_of(&self, pod: usize) -> usize {
        pod / PER_APP
    }

    fn namespace_of(&self, pod: usize) -> usize {
        // A stride that is no factor of any round number of pods.
        pod.wrapping_mul(7919) % self.count.max(1) / PER_NAMESPACE
    }

    fn random(&self, pod: usize) -> Random {
        Random::new(self.seed ^ (pod as u64).wrapping_mul(0xA076_1D64_78BD_642F))
    }

    /// The name and namespace of a pod, which are all that a write needs to know.
    pub(crate) fn key(&self, pod: usize) -> (String, String) {
        let app = Self::app_name(self.app_of(pod));
        let mut random = self.random(pod);
        let name = format!("{app}-{}-{}", random.word(10), random.word(5));
        (Self::namespace_name(self.namespace_of(pod)), name)
    }

    /// The pod of this number.
    pub(crate) fn pod(&self, pod: usize) -> Pod {
        let (namespace, name) = self.key(pod);
        let mut random = self.random(pod ^ 0x5555_5555);
        let app = Self::app_name(self.app_of(pod));
        let containers = match self.profile {
            Profile::Uniform => 1,
            Profile::Mix => 1 + random.below(4),
        };
        let containers: Vec<_> =
            (0..containers).map(|number| self.container(&mut random, &app, number)).collect();
        let statuses = containers.iter().map(|it| container_status(&mut random, it)).collect();
        let creation = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {
                    "app": app,
                    "tier": format!("tier-{}", pod % TIERS),
                    "pod-template-hash": random.word(10),
                },
                "annotations": self.annotations(&mut random),
                "ownerReferences": [{
                    "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name.rsplit_once('-').map(|it| it.0),
                    "uid": random.uid(), "controller": true, "blockOwnerDeletion": true,
                }],
            },
            "spec": self.spec(pod, containers, &mut random),
        });
        let status = status(&mut random, statuses);
        Pod { namespace, name, creation, status }
    }

    fn annotations(&self, random: &mut Random) -> Value {
        let mut annotations = json!({
            "prometheus.io/scrape": "true",
            "checksum/config": random.hex(64),
        });
        if self.profile == Profile::Mix {
            for number in 0..random.below(8) {
                let key = format!("team.example.com/note-{number}");
                let length = 16 + random.below(200);
                annotations[key] = Value::String(random.base64(length));
            }
            annotations["cni.example.com/mac"] = Value::String(random.hex(12));
        }
        annotations
    }

    fn container(&self, random: &mut Random, app: &str, number: usize) -> Value {
        let variables = match self.profile {
            Profile::Uniform => 2,
            Profile::Mix => random.below(30),
        };
        let mut environment: Vec<Value> = (0..variables)
            .map(|variable| match self.profile {
                Profile::Uniform => json!({
                    "name": format!("SETTING_{variable:02}"),
                    "value": format!("https://{app}-backend-{variable}.svc.cluster.local:8443"),
                }),
                Profile::Mix => {
                    let length = 4 + random.below(60);
                    json!({"name": format!("{}_{variable}", random.word(8).to_uppercase()), "value": random.base64(length)})
                }
            })
            .collect();
        environment.push(json!({
            "name": "POD_IP",
            "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}},
        }));
        let cpu = format!("{}m", 50 * (1 + random.below(20)));
        let memory = format!("{}Mi", 64 * (1 + random.below(16)));
        let mut container = json!({
            "name": if number == 0 { app.to_owned() } else { format!("sidecar-{number}") },
            "image": format!("registry.example.com/{app}/server@sha256:{}", random.hex(64)),
            "args": ["--config=/etc/app/config.yaml", format!("--shard={}", random.below(64))],
            "env": environment,
            "ports": [{"name": "http", "containerPort": 8080 + number, "protocol": "TCP"}],
            "resources": {
                "requests": {"cpu": cpu, "memory": memory}, "limits": {"memory": memory},
            },
            "volumeMounts": [{"name": "config", "mountPath": "/etc/app", "readOnly": true}],
        });
        if self.profile == Profile::Mix {
            let probe = |path: &str, period: usize| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "failureThreshold": 3});
            container["livenessProbe"] = probe("/healthz", 5 + random.below(30));
            container["readinessProbe"] = probe("/readyz", 1 + random.below(15));
            container["securityContext"] = json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true, "capabilities": {"drop": ["ALL"]},
            });
        }
        container
    }

    fn spec(&self, pod: usize, containers: Vec<Value>, random: &mut Random) -> Value {
        let name = format!("config-{}", random.word(6));
        let mut volumes =
            vec![json!({"name": "config", "configMap": {"name": name, "defaultMode": 420}})];
        let mut spec = json!({
            "nodeName": Self::node_name(self.node_of(pod)),
            "serviceAccountName": "default",
            "restartPolicy": "Always",
            "terminationGracePeriodSeconds": 30,
            "containers": containers,
        });
        if self.profile == Profile::Mix {
            volumes.push(json!({"name": "kube-api-access", "projected": {"defaultMode": 420, "sources": [
                {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
                {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
            ]}}));
            for number in 0..random.below(4) {
                let claim = format!("data-{}", random.word(12));
                volumes.push(json!({"name": format!("data-{number}"), "persistentVolumeClaim": {"claimName": claim}}));
            }
            spec["securityContext"] =
                json!({"runAsNonRoot": true, "runAsUser": 1000 + random.below(60_000)});
            spec["tolerations"] =
                json!([{"key": random.word(9), "operator": "Exists", "effect": "NoSchedule"}]);
        }
        spec["volumes"] = Value::Array(volumes);
        spec
    }
}

fn container_status(random: &mut Random, container: &Value) -> Value {
    json!({
        "name": container["name"],
        "image": container["image"],
        "imageID": container["image"],
        "containerID": format!("containerd://{}", random.hex(64)),
        "ready": true, "started": true, "restartCount": random.below(3),
        "state": {"running": {"startedAt": "2026-11-20T08:15:30Z"}},
        "lastState": {},
    })
}

fn status(random: &mut Random, containers: Vec<Value>) -> Value {
    let condition = |kind: &str| json!({"type": kind, "status": "True", "lastProbeTime": null, "lastTransitionTime": "2026-11-20T08:15:31Z"});
    let address = format!("10.{}.{}.{}", random.below(256), random.below(256), random.below(256));
    let host = format!("172.16.{}.{}", random.below(256), random.below(256));
    let kinds = ["Initialized", "Ready", "PodScheduled"];
    json!({"status": {
        "phase": "Running",
        "conditions": kinds.map(condition),
        "hostIP": host, "hostIPs": [{"ip": host}],
        "podIP": address, "podIPs": [{"ip": address}],
        "startTime": "2026-11-20T08:15:28Z",
        "qosClass": "Burstable",
        "containerStatuses": containers,
    }})
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn pods(profile: Profile, count: usize) -> Pods {
        Pods { profile, count, seed: 1 }
    }

    #[test]
    fn the_same_seed_gives_the_same_pods() {
        for profile in [Profile::Uniform, Profile::Mix] {
            let pods = pods(profile, 1000);
            assert_eq!(pods.pod(7).creation, pods.pod(7).creation);
            assert_ne!(pods.pod(7).creation, pods.pod(8).creation);
            let other = Pods { seed: 2, ..pods };
            assert_ne!(pods.pod(7).creation, other.pod(7).creation);
        }
    }

    #[test]
    fn every_namespace_app_and_node_has_its_number_of_pods() {
        for count in [1000, 10_000] {
            let pods = pods(Profile::Uniform, count);
            let mut counts: HashMap<String, usize> = HashMap::new();
            let mut names = std::collections::HashSet::new();
            for number in 0..count {
                let pod = pods.pod(number);
                let node = pod.creation["spec"]["nodeName"].as_str().unwrap().to_owned();
                let app = pod.creation["metadata"]["labels"]["app"].as_str().unwrap().to_owned();
                assert_eq!(pods.key(number), (pod.namespace.clone(), pod.name.clone()));
                names.insert((pod.namespace.clone(), pod.name));
                for key in [pod.namespace, node, app] {
                    *counts.entry(key).or_default() += 1;
                }
            }
            assert_eq!(names.len(), count, "two pods have one name");
            for (key, number) in counts {
                let expected = match &key[..3] {
                    "tea" => PER_NAMESPACE,
                    "app" => PER_APP,
                    _ => PER_NODE,
                };
                assert_eq!(number, expected, "{key}");
            }
        }
    }
}
