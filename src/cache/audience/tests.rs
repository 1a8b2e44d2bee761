//! The table against the plain question: which of all audiences does the event concern?

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cache::{
    event::Change,
    fixture::{Pod, audience},
};

const CORE: CoreId = CoreId(0);

#[test]
fn watchers_of_one_audience_are_counted_by_core() {
    let mut table = AudienceTable::default();
    let key = || audience("ns", "app=web", "");
    let id = table.join(key(), CORE);
    assert_eq!(table.join(key(), CoreId(3)), id);
    assert_eq!(table.join(key(), CORE), id);
    assert_eq!((table.len(), table.watchers()), ((1, 0), 3));
    assert_eq!(table.key(id), Some(&key()));
    table.leave(id, CORE);
    assert_eq!(table.cores(id).collect::<Vec<_>>(), [CORE, CoreId(3)]);
    table.leave(id, CORE);
    assert_eq!(table.cores(id).collect::<Vec<_>>(), [CoreId(3)]);
    table.leave(id, CORE);
    assert_eq!(table.watchers(), 1, "nobody is left there to leave");
    table.leave(id, CoreId(3));
    assert_eq!((table.len(), table.watchers()), ((0, 0), 0));
    assert_eq!((table.key(id), table.cores(id).count()), (None, 0));
    table.leave(id, CORE);
    assert_ne!(table.join(key(), CORE), id, "numbers are not used again");
}

#[test]
fn only_audiences_without_an_equality_are_unindexed() {
    for (namespace, labels, fields, unindexed) in [
        ("", "", "", true),
        ("", "a!=b", "", true),
        ("", "a in (b,c)", "", true),
        ("", "a", "spec.nodeName!=n", true),
        ("ns", "", "", false),
        ("", "a=b", "", false),
        ("", "a in (b)", "", false),
        ("", "", "spec.nodeName=n", false),
        ("", "", "spec.nodeName=", false),
        ("", "", "metadata.name=x", false),
        ("", "", "metadata.namespace=x", false),
    ] {
        let mut table = AudienceTable::default();
        let id = table.join(audience(namespace, labels, fields), CORE);
        assert_eq!(table.len(), (1, usize::from(unindexed)), "{namespace} {labels} {fields}");
        table.leave(id, CORE);
        assert!(table.index.is_empty() && table.unindexed.is_empty() && table.ids.is_empty());
    }
}

fn pod() -> impl Strategy<Value = Pod> {
    let label = (prop_oneof!["a", "b"], prop_oneof!["", "1", "2"]);
    let labels = prop::collection::btree_map(label.0, label.1, 0..3);
    (0..2_u8, 0..3_u8, labels, 0..3_u8).prop_map(|(namespace, name, labels, node)| Pod {
        labels: labels.into_iter().collect(),
        node: ["", "n1", "n2"][usize::from(node)].into(),
        ..Pod::new(&format!("ns{namespace}"), &format!("x{name}"), 5)
    })
}

pub(super) fn any_audience() -> impl Strategy<Value = AudienceKey> {
    let labels = prop_oneof![
        4 => Just(""),
        1 => prop_oneof![
            Just("a=1"), Just("a=1,b=2"), Just("a"), Just("!a"), Just("a in (1,2)"), Just("a="),
            Just("b in (2)"), Just("a!=1"), Just("a=1,a=2"), Just("a notin (1),b=1"), Just("b>1"),
        ],
    ];
    let fields = prop_oneof![
        4 => Just(""),
        1 => prop_oneof![
            Just("metadata.name=x1"), Just("metadata.name!=x1"), Just("spec.nodeName=n1"),
            Just("spec.nodeName="), Just("spec.nodeName!=n1"), Just("metadata.namespace=ns1"),
            Just("metadata.namespace!=ns1"), Just("spec.nodeName=n2,metadata.name=x0"),
            Just("status.phase="), Just("metadata.name=x0,metadata.name=x1"),
            Just("metadata.namespace="), Just("spec.hostNetwork=false,status.podIP="),
        ],
    ];
    let namespace = prop_oneof![2 => Just(""), 1 => Just("ns0"), 1 => Just("ns1")];
    (namespace, labels, fields, any::<bool>()).prop_map(|(namespace, labels, fields, metadata)| {
        let form = if metadata { Form::Metadata } else { Form::Full };
        AudienceKey { form, ..audience(namespace, labels, fields) }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn the_index_finds_whom_asking_all_finds(
        moves in prop::collection::vec((any_audience(), any::<bool>(), 0..3_u16), 1..60),
        changes in prop::collection::vec((pod(), pod(), 0..3_u8), 1..20),
    ) {
        let mut table = AudienceTable::default();
        let mut joined = BTreeMap::new();
        for (key, stays, core) in moves {
            let id = table.join(key.clone(), CoreId(core));
            if stays {
                joined.insert(id, key);
            } else {
                table.leave(id, CoreId(core));
            }
        }
        for (object, mut previous, kind) in changes {
            previous.namespace.clone_from(&object.namespace);
            previous.name.clone_from(&object.name);
            let (object, previous) = (object.object(), previous.object());
            let event = Event::new(match kind {
                0 => Change::Set { object, previous: None },
                1 => Change::Set { object, previous: Some(previous) },
                _ => Change::Deleted { object, previous },
            });
            let mut found = table.concerned(&event);
            found.sort_by_key(|concern| concern.audience);
            let expected: Vec<_> = joined
                .iter()
                .filter_map(|(audience, key)| {
                    let kind = event.seen_through(key)?;
                    Some(Concern { audience: *audience, kind })
                })
                .collect();
            prop_assert_eq!(found, expected);
        }
    }
}
