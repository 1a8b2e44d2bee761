//! What the reflector makes of answers that are not what they should be.

use super::*;
use crate::api::{
    resource::{GroupVersionResource, Origin, Scope},
    selector::built_in::custom_field_schema,
};

const END: &str = concat!(
    r#"{"type":"BOOKMARK","object":{"kind":"Widget","apiVersion":"example.com/v1","metadata":"#,
    r#"{"resourceVersion":"7","creationTimestamp":null,"#,
    r#""annotations":{"k8s.io/initial-events-end":"true"}}}}"#,
    "\n"
);

fn reflector() -> (Reflector, ResourceCodec) {
    let resource = ResourceType {
        gvr: GroupVersionResource::new("example.com", "v1", "widgets"),
        kind: "Widget".into(),
        list_kind: "WidgetList".into(),
        scope: Scope::Namespaced,
        origin: Origin::Custom,
        fields: custom_field_schema(Scope::Namespaced, &[]),
    };
    let codec = ResourceCodec::new(&resource, Representation::Json);
    (Reflector::new(&resource, Representation::Json), codec)
}

/// Opens the streaming list that the reflector wants.
fn begin(reflector: &mut Reflector) {
    assert!(matches!(reflector.next(Instant::now(), 0.5), Step::Send(ask) if ask.stream));
    let (verdict, _) = reflector.answered(StatusCode::OK, None, Instant::now());
    assert_eq!(verdict, Verdict::Read);
}

fn receive(reflector: &mut Reflector, codec: &ResourceCodec, text: &'static str) -> Vec<Effect> {
    let mut effects = Vec::new();
    reflector.received(Bytes::from_static(text.as_bytes()), codec, Instant::now(), &mut effects);
    effects
}

#[test]
fn a_state_with_something_unreadable_in_it_cannot_be_kept() {
    let (mut reflector, codec) = reflector();
    begin(&mut reflector);
    let effects = receive(&mut reflector, &codec, "{\"type\":\"ADDED\",\"object\":{}}\n");
    assert!(matches!(&effects[..], [Effect::Withdraw { unfillable: true, .. }]), "{effects:?}");
    assert!(!reflector.wants_more());
    assert!(matches!(reflector.next(Instant::now(), 0.5), Step::Wait(_)));
    assert!(matches!(reflector.next(Instant::now(), 0.5), Step::Send(_)), "it tries again");
}

#[test]
fn an_unreadable_event_may_be_read_in_the_next_state() {
    let (mut reflector, codec) = reflector();
    begin(&mut reflector);
    let effects = receive(&mut reflector, &codec, END);
    assert!(matches!(&effects[..], [Effect::Template(_), Effect::Fill { .. }]), "{effects:?}");
    let effects = receive(&mut reflector, &codec, "no event\n");
    assert!(matches!(&effects[..], [Effect::Failure(_)]), "{effects:?}");
    assert!(matches!(reflector.next(Instant::now(), 0.5), Step::Wait(_)));
    let Step::Send(ask) = reflector.next(Instant::now(), 0.5) else { panic!("it waits again") };
    assert!(ask.target.contains("sendInitialEvents=true"), "{ask:?}");
}
