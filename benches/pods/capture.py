#!/usr/bin/env python3
"""Captures one event of a pod, as kube-apiserver sends it in a watch after kubelet reported: pod.json and pod.pb.

Usage: capture.py SERVER ADMIN_TOKEN, for instance with `cargo run -p watchgate-cluster --example up`, on an empty cluster.
What benches/pods/mod.rs puts its own values in place of is written with a fixed length.
"""
import json
import pathlib
import ssl
import sys
import urllib.request

HERE = pathlib.Path(__file__).parent
SERVER, TOKEN = sys.argv[1:]
PODS = "/api/v1/namespaces/team-00/pods"
NAME, UNKNOWN = "service-000-7d4f8b9c5d-000000", "%064d" % 0
IMAGE = "registry.example.com/service-000/server@sha256:" + UNKNOWN
# The server counts versions from 1; they are made nine digits long.
VERSION = b"100000000"
UID = b"00000000-0000-4000-8000-000000000000"


def call(method, path, body=None, agent="kubectl", accept="application/json", kind="application/json"):
    headers = {"Authorization": "Bearer " + TOKEN, "User-Agent": agent, "Accept": accept, "Content-Type": kind}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(SERVER + path, data, headers, method=method)
    return urllib.request.urlopen(request, context=ssl._create_unverified_context()).read()


def pod():
    access = {"name": "kube-api-access-x7k2p", "projected": {"defaultMode": 420, "sources": [
        {"serviceAccountToken": {"expirationSeconds": 3607, "path": "token"}},
        {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}},
    ]}}
    container = {
        "name": "server", "image": IMAGE, "args": ["--config=/etc/app/config.yaml", "--shard=17"],
        "env": [{"name": "SETTING_%02d" % n, "value": "https://backend-%d.svc.cluster.local:8443" % n} for n in range(2)]
        + [{"name": "POD_IP", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "status.podIP"}}}],
        "ports": [{"name": "http", "containerPort": 8080, "protocol": "TCP"}],
        "resources": {"requests": {"cpu": "250m", "memory": "512Mi"}, "limits": {"memory": "512Mi"}},
        "volumeMounts": [
            {"name": "config", "mountPath": "/etc/app", "readOnly": True},
            {"name": access["name"], "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True},
        ],
    }
    tolerate = lambda key: {"key": "node.kubernetes.io/" + key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
    return {"metadata": {
        "name": NAME, "generateName": "service-000-7d4f8b9c5d-",
        "labels": {"app": "service-000", "pod-template-hash": "7d4f8b9c5d", "tier": "tier-0"},
        "annotations": {"checksum/config": UNKNOWN, "prometheus.io/scrape": "true"},
        "ownerReferences": [{
            "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "service-000-7d4f8b9c5d", "controller": True,
            "uid": "a3f1c7d2-5b64-4f0e-9a1d-0c2b7e8f6d35", "blockOwnerDeletion": True}],
    }, "spec": {
        "nodeName": "node-0000", "serviceAccountName": "default", "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "config-k2v9xq", "defaultMode": 420}}, access],
        "tolerations": [tolerate("not-ready"), tolerate("unreachable")],
    }}


def status():
    kinds = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"]
    return {"status": {
        "phase": "Running", "hostIP": "172.16.7.31", "hostIPs": [{"ip": "172.16.7.31"}],
        "podIP": "10.244.31.7", "podIPs": [{"ip": "10.244.31.7"}], "startTime": "2026-11-20T08:15:28Z",
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": "2026-11-20T08:15:31Z"} for kind in kinds],
        "containerStatuses": [{
            "name": "server", "image": IMAGE, "imageID": IMAGE, "containerID": "containerd://" + UNKNOWN,
            "ready": True, "started": True, "restartCount": 0, "lastState": {},
            "state": {"running": {"startedAt": "2026-11-20T08:15:30Z"}}}],
    }}


def varint(number):
    rest = number >> 7
    return bytes([number & 127 | 128]) + varint(rest) if rest else bytes([number])


def fields(message):
    """The fields of a message, each with all of its bytes; the content of those with a length."""
    def number(at):
        value = shift = 0
        while True:
            byte, at = message[at], at + 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value, at
    at = 0
    while at < len(message):
        begin = at
        tag, at = number(at)
        length, at = number(at)
        content = message[at:at + length] if tag & 7 == 2 else None
        at += length if tag & 7 == 2 else 0
        yield tag >> 3, message[begin:at], content


def replaced(message, path, change):
    """The message with another content of the field that the path of numbers leads to."""
    result = b""
    for number, whole, content in fields(message):
        if number == path[0]:
            content = replaced(content, path[1:], change) if path[1:] else change(content)
            whole = varint(number << 3 | 2) + varint(len(content)) + content
        result += whole
    return result


def with_version(frame):
    in_pod = lambda raw: b"k8s\0" + replaced(raw[4:], [2, 1, 6], lambda _: VERSION)
    event = replaced(frame[4:], [1], lambda _: b"MODIFIED")
    event = replaced(event, [2, 1], in_pod)
    return len(event).to_bytes(4, "big") + event


call("POST", "/api/v1/namespaces", {"metadata": {"name": "team-00"}})
call("POST", PODS, pod(), "kube-controller-manager/v1.36.3 (linux/amd64)")
patched = call("PATCH", f"{PODS}/{NAME}/status", status(), "kubelet/v1.36.3 (linux/amd64)", kind="application/strategic-merge-patch+json")
metadata = json.loads(patched)["metadata"]
version, uid = metadata["resourceVersion"].encode(), metadata["uid"].encode()
watch = PODS + "?watch=1&resourceVersion=0&timeoutSeconds=2"
line = call("GET", watch).replace(b'{"type":"ADDED"', b'{"type":"MODIFIED"', 1)
line = line.replace(b'"resourceVersion":"%s"' % version, b'"resourceVersion":"%s"' % VERSION)
(HERE / "pod.json").write_bytes(line.replace(uid, UID))
frame = call("GET", watch, accept="application/vnd.kubernetes.protobuf;stream=watch")
(HERE / "pod.pb").write_bytes(with_version(frame).replace(uid, UID))
