//! Request headers: the forms of an answer, and what else comes along.

use super::Generator;
use crate::case::{Case, Shape};

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";

/// Forms that need no list or object of their own.
const ODD: &[&str] = &[
    "*/*",
    "application/*",
    "application/yaml",
    "application/json;q=0.5,application/yaml",
    "*/*;q=1,application/yaml;q=0.5",
    "application/yaml;q=0.5,*/*;q=1",
    "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2",
    "application/json;q=0",
    "application/json;q=x",
    "text/html",
    "application/cbor",
    "APPLICATION/JSON",
    "application/json;charset=utf-8",
    "application/json;stream=watch",
    "application/json;stream=other",
    "application/json;pretty=1",
    "application/json;pretty=0",
    "application/json, application/vnd.kubernetes.protobuf",
    "application/vnd.kubernetes.protobuf;stream=watch",
    "application/vnd.kubernetes.protobuf,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=Table;v=v1;g=meta.k8s.io",
    "application/json;as=Table;v=v1beta1;g=meta.k8s.io",
    "application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io,application/json",
    "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1beta1",
    "application/json;as=PartialObjectMetadata",
    "application/json;as=Nothing;g=meta.k8s.io;v=v1,application/json",
    "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v2",
    "",
    ",",
    ";",
    "/",
    "application/json,",
    "application",
    "application/json;",
    "application/json; as = Table",
    "\u{fc}",
    "application/yaml;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
    "application/json;profile=x;sv=1;export=1",
];

impl Generator<'_> {
    pub(super) fn add_headers(&mut self, case: &mut Case) {
        self.add_accept(case);
        if self.chance(0.9) {
            let agent = self.weighted(&[
                ("differential/1.0", 60),
                ("kubectl/v1.36.3 (linux/amd64) kubernetes/abc", 20),
                ("Go-http-client/2.0", 5),
                ("curl/8.5.0", 4),
                ("Wget/1.21", 1),
                ("Mozilla/5.0 (X11; Linux x86_64)", 1),
                ("Mozilla/4.0", 1),
                ("", 1),
            ]);
            case.headers.push(("User-Agent", agent.to_owned()));
        }
        if self.chance(0.4) {
            let encoding = self.weighted(&[
                ("gzip", 70),
                ("gzip, deflate, br", 10),
                ("identity", 5),
                ("deflate", 3),
                ("gzip;q=1", 3),
                ("GZIP", 2),
                ("*", 3),
                ("gzip;q=0", 1),
                ("", 1),
                (" gzip ,x", 1),
            ]);
            case.headers.push(("Accept-Encoding", encoding.to_owned()));
        }
        if self.chance(0.04) || self.odd() {
            let (name, value) = self.pick(&[
                ("Accept-Encoding", "gzip"),
                ("Accept", JSON),
                ("Audit-ID", "an-id-of-the-client"),
                ("Cache-Control", "no-cache"),
                ("If-None-Match", "*"),
                ("If-Modified-Since", "Sat, 21 Nov 2026 00:00:00 GMT"),
                ("Range", "bytes=0-9"),
                ("Origin", "https://example.com"),
                ("Content-Type", "application/yaml"),
                ("Content-Length", "0"),
                ("X-Forwarded-For", "192.0.2.1"),
                ("X-Remote-User", "somebody"),
                ("Impersonate-User", "somebody"),
                ("Impersonate-Group", "system:masters"),
                ("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
                ("Cookie", "a=b"),
                ("Accept-Language", "de"),
                ("Accept-Charset", "utf-16"),
                ("TE", "trailers"),
                ("Expect", "nothing"),
            ]);
            // An expectation that the server cannot meet ends some servers' patience with the connection.
            if name != "Expect" {
                case.headers.push((name, value.to_owned()));
            }
        }
    }

    fn add_accept(&mut self, case: &mut Case) {
        let list = if case.shape == Shape::Object || case.may_watch() { "" } else { "List" };
        let metadata = format!("as=PartialObjectMetadata{list};g=meta.k8s.io;v=v1");
        let wrong = if list.is_empty() { "List" } else { "" };
        let accept = match self.weighted(&[
            (0, 32),
            (1, 18),
            (2, 7),
            (3, 7),
            (4, 5),
            (5, 4),
            (6, 3),
            (7, 1),
            (8, 12),
        ]) {
            0 => JSON.to_owned(),
            1 => PROTOBUF.to_owned(),
            2 => format!("{JSON};{metadata}"),
            3 => format!("{PROTOBUF};{metadata}"),
            4 => format!("{PROTOBUF},{JSON}"),
            5 => format!("{PROTOBUF};{metadata},{JSON};{metadata},{JSON}"),
            6 => format!(
                "{JSON};as=Table;v=v1;g=meta.k8s.io,{JSON};as=Table;v=v1beta1;g=meta.k8s.io,{JSON}"
            ),
            7 => format!("{JSON};as=PartialObjectMetadata{wrong};g=meta.k8s.io;v=v1"),
            _ if self.odd() || self.chance(0.5) => self.pick(ODD).to_owned(),
            // None at all.
            _ => return,
        };
        case.headers.push(("Accept", accept));
    }
}
