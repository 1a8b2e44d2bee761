//! Objects as clusters have them, made from a seed and a number alone.
//!
//! Guarantees: the same arguments give the same bytes. Sizes are those of the JSON that is sent,
//! reached by data (ConfigMaps, Secrets) or an annotation of settings whose names recur and whose
//! values differ: a list of pods of 5 KiB is compressed to a thirteenth (gzip, level 1), where lists of
//! real pods are compressed to a tenth up to a twentieth. Pods have no status, as that would be a
//! second write; the server adds what it adds (uid, times, managedFields).

use bytes::Bytes;
use compact_str::CompactString;
use serde_json::{Map, Value, json};
use watchgate::api::object_key::ObjectKey;

use crate::resource::{Kind, Resource};

/// Annotation that fills objects up to their size.
const FILL_ANNOTATION: &str = "watchgate-loadtest/fill";
/// The same of data.
const FILL_KEY: &str = "fill";
/// What the filler's settings begin and go on with, behind a word.
const SETTINGS: [(&str, &str); 6] = [
    (
        "- name: APPLICATION_LOG_LEVEL_OF_",
        " value: information; format: json; output: stdout; sampled: false ",
    ),
    (
        "- name: UPSTREAM_ADDRESS_OF_",
        " value: https://service.namespace.svc.cluster.local:8443/api/v1; tls: required ",
    ),
    (
        "- name: REQUEST_TIMEOUT_OF_",
        " value: 30s; retries: 3; backoff: exponential; maximum: 10s; jitter: true ",
    ),
    (
        "- volume: configuration-of-",
        " mountPath: /etc/application/configuration; readOnly: true; mode: 420 ",
    ),
    (
        "- probe: readiness-of-",
        " httpGet: /healthz/ready; port: http; periodSeconds: 10; failureThreshold: 3 ",
    ),
    (
        "- toleration: node.kubernetes.io/",
        " operator: Exists; effect: NoExecute; tolerationSeconds: 300 ",
    ),
];
const WORDS: [&str; 24] = [
    "revision",
    "rollout",
    "controller",
    "checksum",
    "config",
    "sidecar",
    "region",
    "zone",
    "owner",
    "team",
    "payments",
    "frontend",
    "backend",
    "cache",
    "queue",
    "ingress",
    "metrics",
    "scrape",
    "enabled",
    "disabled",
    "policy",
    "profile",
    "generation",
    "observed",
];

/// What one object is to be.
#[derive(Clone, Debug)]
pub struct Manifest<'a> {
    /// Its kind.
    pub kind: Kind,
    /// Its name and namespace.
    pub key: &'a ObjectKey,
    /// Its labels.
    pub labels: &'a [(CompactString, CompactString)],
    /// Its annotations.
    pub annotations: &'a [(&'a str, &'a str)],
    /// `spec.nodeName` of a pod, and the holder of a lease.
    pub node: &'a str,
    /// What chance comes from.
    pub seed: u64,
    /// Which of its like it is.
    pub number: u64,
    /// About how large it is in JSON.
    pub size: usize,
}

/// Pseudo-random numbers (SplitMix64): good enough for variety, and the same everywhere.
struct Chance(u64);

// === impl Manifest ===

impl Manifest<'_> {
    /// The object in JSON.
    pub fn json(&self) -> Bytes {
        let mut chance = Chance::of(self.seed, self.number);
        let mut object = self.body(&mut chance);
        let mut metadata = Map::new();
        metadata.insert("name".into(), self.key.name().into());
        if !self.key.namespace().is_empty() {
            metadata.insert("namespace".into(), self.key.namespace().into());
        }
        let text = |(key, value): &(CompactString, CompactString)| {
            (key.to_string(), Value::from(value.as_str()))
        };
        let labels: Map<String, Value> = self.labels.iter().map(text).collect();
        metadata.insert("labels".into(), labels.into());
        let own = self.annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).into()));
        let annotations: Map<String, Value> = own.collect();
        metadata.insert("annotations".into(), annotations.into());
        let resource = Resource::of(self.kind);
        object["apiVersion"] = resource.api_version().into();
        object["metadata"] = metadata.into();
        let size = object.to_string().len();
        let key = match self.kind {
            Kind::ConfigMap | Kind::Secret => FILL_KEY,
            _ => FILL_ANNOTATION,
        };
        // The key, quotes, colon and comma.
        let comma = usize::from(key == FILL_KEY || !self.annotations.is_empty());
        let rest = self.size.saturating_sub(size + key.len() + 5 + comma);
        if rest > 0 {
            let filler = chance.settings(rest).into();
            match self.kind {
                Kind::ConfigMap => object["data"][FILL_KEY] = filler,
                Kind::Secret => object["stringData"][FILL_KEY] = filler,
                _ => object["metadata"]["annotations"][FILL_ANNOTATION] = filler,
            }
        }
        Bytes::from(object.to_string())
    }

    fn body(&self, chance: &mut Chance) -> Value {
        match self.kind {
            Kind::ConfigMap => {
                json!({"kind": "ConfigMap", "data": {"config.yaml": chance.text(64)}})
            }
            Kind::EndpointSlice => endpoint_slice(chance, self.key),
            Kind::Lease => json!({
                "kind": "Lease",
                "spec": {
                    "holderIdentity": if self.node.is_empty() { self.key.name() } else { self.node },
                    "leaseDurationSeconds": 40,
                },
            }),
            Kind::Node => node(chance, self.number),
            Kind::Pod => pod(chance, self.node),
            Kind::Sample => json!({
                "kind": "Sample",
                "spec": {
                    "replicas": chance.below(10),
                    "class": WORDS[chance.below(24) as usize],
                    "parameters": {"mode": chance.text(12), "target": chance.text(20)},
                },
            }),
            // Base64 has no such words, so a field that is sent as it is.
            Kind::Secret => json!({"kind": "Secret", "stringData": {"token": chance.text(48)}}),
        }
    }
}

fn pod(chance: &mut Chance, node: &str) -> Value {
    let image = WORDS[chance.below(24) as usize];
    let tag = format!("registry.example/{image}:v1.{}.{}", chance.below(40), chance.below(20));
    let port = 8000 + chance.below(1000);
    let container = |name: &str, image: &str, cpu: u64, memory: u64| {
        json!({
            "name": name,
            "image": image,
            "args": [format!("--listen=:{port}"), "--log-format=json", "--v=2"],
            "ports": [{"name": "http", "containerPort": port}],
            "env": [
                {"name": "POD_NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "GOMAXPROCS", "value": "2"},
            ],
            "resources": {
                "requests": {"cpu": format!("{cpu}m"), "memory": format!("{memory}Mi")},
                "limits": {"memory": format!("{}Mi", memory * 2)},
            },
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 10},
            "volumeMounts": [{"name": "config", "mountPath": "/etc/config"}],
        })
    };
    let main = container("main", &tag, 100 + 50 * chance.below(10), 128 << chance.below(4));
    let sidecar = container("sidecar", "registry.example/proxy:v2.11.4", 10, 64);
    let mut spec = json!({
        "containers": [main, sidecar],
        "volumes": [{"name": "config", "configMap": {"name": "config"}}],
        "tolerations": [{"key": "dedicated", "operator": "Exists", "effect": "NoSchedule"}],
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 0,
    });
    if !node.is_empty() {
        spec["nodeName"] = node.into();
    }
    json!({"kind": "Pod", "spec": spec})
}

fn node(chance: &mut Chance, number: u64) -> Value {
    let cores = 4 << chance.below(4);
    let amounts =
        json!({"cpu": format!("{cores}"), "memory": format!("{}Gi", cores * 4), "pods": "110"});
    json!({
        "kind": "Node",
        "spec": {
            "podCIDR": format!("10.{}.{}.0/24", number / 256 % 256, number % 256),
            "providerID": format!("example://zone-{}/{number:016x}", chance.below(3)),
        },
        "status": {
            "capacity": amounts,
            "allocatable": amounts,
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
            "addresses": [{"type": "Hostname", "address": format!("node-{number}")}],
        },
    })
}

fn endpoint_slice(chance: &mut Chance, key: &ObjectKey) -> Value {
    let endpoints: Vec<Value> = (0..10)
        .map(|number| {
            let (high, low) = (chance.below(256), chance.below(250) + 1);
            json!({
                "addresses": [format!("10.{}.{high}.{low}", number % 256)],
                "conditions": {"ready": true, "serving": true, "terminating": false},
                "targetRef": {
                    "kind": "Pod",
                    "namespace": key.namespace(),
                    "name": format!("{}-{number}", key.name()),
                },
            })
        })
        .collect();
    json!({
        "kind": "EndpointSlice",
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    })
}

// === impl Chance ===

impl Chance {
    fn of(seed: u64, number: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd1b5_4a32_d192_ed03))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// Settings, exactly so many bytes: every one has a name of its own, a few a checksum, too.
    fn settings(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 200);
        for (name, value) in SETTINGS.iter().cycle() {
            if text.len() >= bytes {
                break;
            }
            text.push_str(name);
            text.push_str(WORDS[self.below(24) as usize]);
            text.push_str(value);
            if self.below(16) == 0 {
                text.push_str(&format!("checksum: {:016x} ", self.next()));
            }
        }
        text.truncate(bytes);
        text
    }

    /// Words and numbers, exactly so many bytes.
    fn text(&mut self, bytes: usize) -> String {
        let mut text = String::with_capacity(bytes + 24);
        while text.len() < bytes {
            text.push_str(WORDS[self.below(24) as usize]);
            text.push('=');
            text.push_str(&format!("{:x} ", self.next() >> 40));
        }
        text.truncate(bytes);
        text
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn manifest(kind: Kind, seed: u64, size: usize) -> Bytes {
        let key = ObjectKey::new(if kind == Kind::Node { "" } else { "ns" }, "name-1");
        let labels = [("a".into(), "b".into())];
        let annotations = [("x/y", "z")];
        let (labels, annotations) = (&labels[..], &annotations[..]);
        Manifest { kind, key: &key, labels, annotations, node: "node-7", seed, number: 1, size }
            .json()
    }

    #[test]
    fn objects_are_whole_and_have_their_size() {
        for (kind, size) in [
            (Kind::Pod, 5000),
            (Kind::Node, 3000),
            (Kind::Sample, 900),
            (Kind::Pod, 250_000),
            (Kind::ConfigMap, 1_000_000),
            (Kind::Secret, 1_000_000),
        ] {
            let bytes = manifest(kind, 1, size);
            assert_eq!(bytes.len(), size, "{kind:?}");
            let object: Value = serde_json::from_slice(&bytes).unwrap();
            assert_eq!(object["metadata"]["labels"]["a"], "b");
            assert_eq!(object["metadata"]["annotations"]["x/y"], "z");
            // The API server's limit for all annotations together.
            assert!(object["metadata"]["annotations"].to_string().len() < 256 << 10);
        }
        let pod: Value = serde_json::from_slice(&manifest(Kind::Pod, 1, 0)).unwrap();
        assert_eq!(pod["spec"]["nodeName"], "node-7");
    }

    #[test]
    fn a_list_compresses_as_well_as_one_of_real_pods() {
        let (labels, annotations) = ([("a".into(), "b".into())], [("x/y", "z")]);
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
        let mut plain = 0;
        for number in 0..200 {
            let key = ObjectKey::new("ns", &format!("name-{number}"));
            let (labels, annotations) = (&labels[..], &annotations[..]);
            let node = &format!("node-{number}");
            let size = 5 << 10;
            let kind = Kind::Pod;
            let pod =
                Manifest { kind, key: &key, labels, annotations, node, seed: 1, number, size };
            encoder.write_all(&pod.json()).unwrap();
            plain += size;
        }
        let factor = plain as f64 / encoder.finish().unwrap().len() as f64;
        assert!((12.0..18.0).contains(&factor), "{factor}");
    }

    #[test]
    fn the_seed_alone_decides() {
        assert_eq!(manifest(Kind::Pod, 1, 5000), manifest(Kind::Pod, 1, 5000));
        assert_ne!(manifest(Kind::Pod, 1, 5000), manifest(Kind::Pod, 2, 5000));
    }
}
