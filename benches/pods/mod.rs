//! The pods of the benches: what kube-apiserver sends of a Deployment's pod in a watch, once its kubelet has reported.
//!
//! `pod.json` (6.5 KB) and `pod.pb` (4.6 KB) are one such event each, captured by `capture.py`: every field, default and
//! `managedFields` entry is the server's own, in its own order. The pods made of them differ in name, namespace, uid, labels,
//! node, digests and version, each written over what stands there with the same length, so that all are well-formed frames.
//! The same number and version give the same bytes.

use bytes::Bytes;
use watchgate::{
    api::{
        resource::{GroupVersionResource, Origin, ResourceType, Scope},
        selector::built_in::field_schema_for,
        version::ResourceVersion,
    },
    codec::{
        ResourceCodec,
        frame_decoder::FrameDecoder,
        object::{Object, Representation},
        watch_event::{ReceivedEvent, WatchEvent},
    },
};

const JSON: &[u8] = include_bytes!("pod.json");
const PROTOBUF: &[u8] = include_bytes!("pod.pb");

/// Added to all versions: they have nine digits.
const VERSIONS: u64 = 100_000_000;

/// What stands where a value of the pod belongs; the first that fits is meant.
const HOLES: [(&[u8], Hole); 7] = [
    (b"7d4f8b9c5d-000000", Hole::Name),
    (b"00000000-0000-4000-8000-000000000000", Hole::Uid),
    (b"0000000000000000000000000000000000000000000000000000000000000000", Hole::Digest),
    (b"service-000", Hole::App),
    (b"team-00", Hole::Namespace),
    (b"node-0000", Hole::Node),
    (b"100000000", Hole::Version),
];

/// A value that differs between pods, or between the versions of one.
#[derive(Clone, Copy, Debug)]
enum Hole {
    Name,
    Uid,
    Digest,
    App,
    Namespace,
    Node,
    Version,
}

/// Makes pods in one representation, and reads them as a shard does.
pub(crate) struct Pods {
    pub(crate) codec: ResourceCodec,
    decoder: FrameDecoder,
    template: &'static [u8],
    holes: Vec<(usize, Hole)>,
}

// === impl Pods ===

impl Pods {
    pub(crate) fn new(representation: Representation) -> Self {
        let gvr = GroupVersionResource::new("", "v1", "pods");
        let pods = ResourceType {
            fields: field_schema_for(&gvr),
            gvr,
            kind: "Pod".into(),
            list_kind: "PodList".into(),
            scope: Scope::Namespaced,
            origin: Origin::BuiltIn,
        };
        let template = match representation {
            Representation::Json => JSON,
            Representation::Protobuf => PROTOBUF,
            other => panic!("there are no pods in {}", other.name()),
        };
        Self {
            codec: ResourceCodec::new(&pods, representation),
            decoder: FrameDecoder::new(representation, 1 << 20),
            template,
            holes: holes(template),
        }
    }

    /// The frame of the event that brings a pod to a version.
    pub(crate) fn frame(&self, pod: u64, version: u64) -> Vec<u8> {
        let mut frame = self.template.to_vec();
        for (number, (place, hole)) in self.holes.iter().enumerate() {
            let value = hole.value(pod, version, number as u64);
            frame[*place..*place + value.len()].copy_from_slice(value.as_bytes());
        }
        frame
    }

    /// The events of a part of a watch's body, which must be whole.
    pub(crate) fn read(&mut self, body: Bytes) -> Vec<ReceivedEvent> {
        let mut events = Vec::new();
        self.decoder.push(body);
        while let Some(frame) = self.decoder.next_wire_frame().expect("whole frames") {
            events.push(self.codec.decode_frame(frame).expect("a pod's event"));
        }
        events
    }

    /// A pod at a version, as a shard holds it.
    pub(crate) fn object(&mut self, pod: u64, version: u64) -> Object {
        let frame = self.frame(pod, version);
        match self.read(frame.into()).pop().expect("one event").event {
            WatchEvent::Modified(object) => object,
            other => panic!("{other:?}"),
        }
    }
}

/// The version of this number, as the frames have it.
pub(crate) fn version(number: u64) -> ResourceVersion {
    ResourceVersion::new(VERSIONS + number).expect("greater than zero")
}

/// Where the values belong.
fn holes(template: &[u8]) -> Vec<(usize, Hole)> {
    let mut found = Vec::new();
    let mut place = 0;
    while place < template.len() {
        let rest = &template[place..];
        let hole = HOLES.iter().find(|(text, _)| rest.starts_with(text));
        if let Some((_, hole)) = hole {
            found.push((place, *hole));
        }
        place += hole.map_or(1, |(text, _)| text.len());
    }
    let versions = found.iter().filter(|(_, hole)| matches!(hole, Hole::Version)).count();
    assert_eq!(versions, 1, "an object has one version");
    found
}

// === impl Hole ===

impl Hole {
    /// What the pod has there; `place` tells two holes of the same pod apart.
    fn value(self, pod: u64, version: u64, place: u64) -> String {
        let scattered = |salt: u64| (pod + salt + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        match self {
            Self::Name => format!("7d4f8b9c5d-{pod:06}"),
            Self::Uid => {
                let (low, high) = (scattered(1), scattered(2));
                let (parts, rest) = (low >> 32, low & 0xffff);
                format!("{parts:08x}-{rest:04x}-4000-8000-{:012x}", high >> 16)
            }
            Self::Digest => {
                (0..4).map(|part| format!("{:016x}", scattered(place * 4 + part))).collect()
            }
            Self::App => format!("service-{:03}", pod % 200),
            Self::Namespace => format!("team-{:02}", pod % 17),
            Self::Node => format!("node-{:04}", pod % 1_000),
            Self::Version => (VERSIONS + version).to_string(),
        }
    }
}
