//! Label and field selectors: those that select something, those that select nothing, and those that
//! are none.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::{Generator, Place};
use crate::case::Case;

/// What a careful client encodes in a value.
const CAREFUL: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'+')
    .add(b',')
    .add(b'/')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'\\')
    .add(b'!')
    .add(b'(')
    .add(b')');
/// What has to be encoded, lest the value end.
const SPARSE: &AsciiSet = &CONTROLS.add(b' ').add(b'#').add(b'%').add(b'&').add(b'+').add(b'"');

const LABELS: &[&str] = &[
    "app=web",
    "app==db",
    "app!=web",
    "tier in (front)",
    "tier in (front,back)",
    "tier notin (front)",
    "app",
    "!app",
    "!missing",
    "missing",
    "app=web,tier=back",
    "app=web,tier notin (front),size",
    "size>2",
    "size<3",
    "size>1,size<4",
    "example.com/part=of.a_whole",
    "example.com/part",
    "app=none",
    "app in ()",
    "app in (web,)",
    "app=",
    "app!=",
    "l9999",
    " app = web , tier ",
    "app=web,app=db",
    "x in (a),x notin (a)",
    "in=x",
    "notin",
    "app\tin\n(web)",
    "kubernetes.io/metadata.name=diff",
];

const BAD_LABELS: &[&str] = &[
    "=",
    "app=web,",
    "app=web,,tier=back",
    "app in web",
    "app in (web",
    "app in web)",
    "app=(web)",
    "app gt 3",
    "size>x",
    "!app=web",
    "app=web tier=back",
    "-app",
    "app=-web",
    "app=w\u{fc}b",
    "example.com/",
    "/app",
    "a/b/c=d",
    "Example.com/app=x",
    "app=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=b",
    "app in (web,w b)",
    "app===web",
    "app<>web",
    "!",
    "(",
    "app=web)",
    "<html>&",
    "app in (-,b,_)",
    "a=b!",
    "app notin",
    "size>99999999999999999999",
];

const FIELDS: &[&str] = &[
    "metadata.name=x",
    "metadata.name=x.1",
    "metadata.name==a-b",
    "metadata.name!=x",
    "metadata.name=missing",
    "metadata.name=",
    "metadata.namespace=diff",
    "metadata.namespace=diff-b",
    "metadata.namespace!=diff",
    "metadata.namespace=",
    "metadata.name=x,metadata.namespace=diff",
    "metadata.name=x,metadata.name=a",
    "metadata.name=a,metadata.namespace!=diff-b",
    ",",
    "",
    "=",
    "metadata.name=x,",
    r"metadata.name=a\,b",
    "metadata.name= x",
    "metadata.name=X",
    "metadata.name=a/b",
    "metadata.name=..",
];

const BAD_FIELDS: &[&str] = &[
    "spec.nonsense=x",
    "metadata.labels.app=web",
    "metadata.name",
    "metadata.name>x",
    " ",
    "=x",
    " metadata.name=x",
    r"metadata.name=a\b",
    r"metadata.name=a\",
    "metadata.name=a=b",
    "spec.nodeName=x,spec.bad=y",
    "a,b",
    "metadata.uid=1",
    "spec.host=x",
    "metadata.name in (x)",
    "!metadata.name",
    "spec.color=red",
    "status.phase=Active",
    "<x>=&",
];

impl Generator<'_> {
    pub(super) fn add_selectors(&mut self, case: &mut Case, place: Place) {
        if self.chance(0.28) {
            let selectors = if self.odd() { BAD_LABELS } else { LABELS };
            let selector = self.pick(selectors);
            self.push_selector(case, "labelSelector", selector);
        }
        if self.chance(0.24) {
            let selector = if self.odd() {
                self.pick(BAD_FIELDS)
            } else if !place.kind.fields.is_empty() && self.chance(0.6) {
                self.pick(place.kind.fields)
            } else {
                self.pick(FIELDS)
            };
            self.push_selector(case, "fieldSelector", selector);
        }
    }

    fn push_selector(&mut self, case: &mut Case, key: &str, selector: &str) {
        let set = if self.chance(0.6) { CAREFUL } else { SPARSE };
        let mut value = utf8_percent_encode(selector, set).to_string();
        if self.chance(0.3) {
            value = value.replace("%20", "+");
        }
        case.query.push(format!("{key}={value}"));
    }
}
