use serde_json::json;

use super::*;
use crate::embedded::schema::fields_of;

fn merged(kind: &str, target: Value, patch: Value) -> Value {
    let mut target = fields_of(target);
    apply(kind, &mut target, fields_of(patch)).unwrap();
    Value::Object(target)
}

#[test]
fn merges_containers_by_name_and_their_environment() {
    let target = json!({"spec": {"containers": [
        {"name": "a", "image": "a:1", "env": [{"name": "X", "value": "1"}]},
        {"name": "b", "image": "b:1"},
    ]}});
    let patch = json!({"spec": {"containers": [
        {"name": "a", "image": "a:2", "env": [{"name": "Y", "value": "2"}]},
        {"name": "b", "$patch": "delete"},
        {"name": "c", "image": "c:1"},
    ]}});
    assert_eq!(
        merged("Pod", target, patch),
        json!({"spec": {"containers": [
            {"name": "a", "image": "a:2",
             "env": [{"name": "X", "value": "1"}, {"name": "Y", "value": "2"}]},
            {"name": "c", "image": "c:1"},
        ]}})
    );
}

#[test]
fn null_removes_and_unknown_lists_are_replaced() {
    let target = json!({"metadata": {"labels": {"a": "1", "b": "2"}},
                        "spec": {"tolerations": [{"key": "x"}]}});
    let patch = json!({"metadata": {"labels": {"a": null, "c": "3"}},
                       "spec": {"tolerations": [{"key": "y"}]}});
    assert_eq!(
        merged("Pod", target, patch),
        json!({"metadata": {"labels": {"b": "2", "c": "3"}},
               "spec": {"tolerations": [{"key": "y"}]}})
    );
}

#[test]
fn obeys_replace_and_delete_of_objects_and_lists() {
    let target = json!({"spec": {"strategy": {"type": "RollingUpdate", "rollingUpdate": {}},
                                 "volumes": [{"name": "a"}, {"name": "b"}]}});
    let patch = json!({"spec": {"strategy": {"$retainKeys": ["type"], "type": "Recreate"},
                                "volumes": [{"$patch": "replace"}, {"name": "c"}]}});
    assert_eq!(
        merged("Deployment", target.clone(), patch),
        json!({"spec": {"strategy": {"type": "Recreate"}, "volumes": [{"name": "c"}]}})
    );
    let patch = json!({"spec": {"strategy": {"$patch": "replace", "type": "X"},
                                "volumes": {"$patch": "delete"}}});
    assert_eq!(merged("Deployment", target, patch), json!({"spec": {"strategy": {"type": "X"}}}));
}

#[test]
fn deletes_from_plain_lists_and_merges_them() {
    let target = json!({"metadata": {"finalizers": ["a/x", "b/x"]}});
    let patch = json!({"metadata": {
        "$deleteFromPrimitiveList/finalizers": ["a/x"],
        "$setElementOrder/finalizers": ["c/x", "b/x"],
        "finalizers": ["c/x"],
    }});
    assert_eq!(merged("Pod", target, patch), json!({"metadata": {"finalizers": ["c/x", "b/x"]}}));
}

#[test]
fn orders_items_as_told_and_keeps_foreign_ones_in_place() {
    let target =
        json!({"spec": {"containers": [{"name": "server"}, {"name": "a"}, {"name": "b"}]}});
    let patch = json!({"spec": {
        "$setElementOrder/containers": [{"name": "b"}, {"name": "a"}],
        "containers": [{"name": "a", "image": "x"}],
    }});
    assert_eq!(
        merged("Pod", target, patch),
        json!({"spec": {"containers":
            [{"name": "server"}, {"name": "b"}, {"name": "a", "image": "x"}]}})
    );
}

#[test]
fn refuses_what_it_does_not_understand() {
    let mut target = fields_of(json!({}));
    let patch = fields_of(json!({"spec": {"$patch": "merged"}}));
    assert_eq!(
        apply("Pod", &mut target, patch),
        Err(StrategicMergeError::UnknownDirective("\"merged\"".into()))
    );
    let patch = fields_of(json!({"spec": {"containers": [{"image": "x"}]}}));
    assert!(matches!(
        apply("Pod", &mut target, patch),
        Err(StrategicMergeError::MissingKey { key: "name", .. })
    ));
}
