//! Checks custom objects against their structural schema, in kube-apiserver's words.
//!
//! Which keywords are evaluated stands in [`super::schema`].

use serde_json::Value;

use super::{
    definition::Fields,
    refusal::Cause,
    schema::{Schema, child, flag, join},
};

/// Everything that is wrong with an object; empty when it is valid.
pub(super) fn validate(schema: &Schema, fields: &Fields) -> Vec<Cause> {
    let mut causes = Vec::new();
    check_fields(schema.document(), fields, "", &mut causes);
    causes
}

fn check(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    if value.is_null() && flag(schema, "nullable") {
        return;
    }
    if !check_kind(schema, value, path, causes) {
        return;
    }
    check_enumeration(schema, value, path, causes);
    match value {
        Value::Number(number) => check_number(schema, number.as_f64(), value, path, causes),
        Value::String(text) => check_text(schema, text, path, causes),
        Value::Array(items) => {
            check_size(schema, items.len(), ("minItems", "maxItems"), "items", path, causes);
            if let Some(schema) = schema.get("items") {
                for (index, item) in items.iter().enumerate() {
                    check(schema, item, &format!("{path}[{index}]"), causes);
                }
            }
        }
        Value::Object(fields) => {
            let bounds = ("minProperties", "maxProperties");
            check_size(schema, fields.len(), bounds, "properties", path, causes);
            check_fields(schema, fields, path, causes);
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn check_fields(schema: &Value, fields: &Fields, path: &str, causes: &mut Vec<Cause>) {
    for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
        if let Some(name) = required.as_str().filter(|name| !fields.contains_key(*name)) {
            causes.push(Cause::required(join(path, name), ""));
        }
    }
    for (name, value) in fields {
        // The API machinery checks the top-level metadata by its own rules.
        let owned = path.is_empty() && name == "metadata";
        if let Some(schema) = child(schema, name).filter(|_| !owned) {
            check(schema, value, &join(path, name), causes);
        }
    }
}

fn check_kind(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) -> bool {
    let whole = |number: &serde_json::Number| {
        number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|n| n.fract() == 0.0)
    };
    let found = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if whole(number) => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    if flag(schema, "x-kubernetes-int-or-string") && matches!(found, "integer" | "string") {
        return true;
    }
    let Some(wanted) = schema.get("type").and_then(Value::as_str) else { return true };
    if wanted == found || (wanted == "number" && found == "integer") {
        return true;
    }
    causes.push(Cause {
        reason: "FieldValueTypeInvalid",
        message: format!(
            "Invalid value: {found:?}: {path} in body must be of type {wanted}: {found:?}"
        ),
        field: path.to_owned(),
    });
    false
}

fn check_enumeration(schema: &Value, value: &Value, path: &str, causes: &mut Vec<Cause>) {
    let Some(allowed) = schema.get("enum").and_then(Value::as_array) else { return };
    if !allowed.contains(value) {
        let list: Vec<String> = allowed.iter().map(Value::to_string).collect();
        causes.push(Cause {
            reason: "FieldValueNotSupported",
            message: format!("Unsupported value: {value}: supported values: {}", list.join(", ")),
            field: path.to_owned(),
        });
    }
}

fn check_number(
    schema: &Value,
    number: Option<f64>,
    value: &Value,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let Some(number) = number else { return };
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64).zip(schema.get(name));
    if let Some((minimum, spelled)) = bound("minimum") {
        let exclusive = flag(schema, "exclusiveMinimum");
        if number < minimum || (exclusive && number <= minimum) {
            let relation = if exclusive { "greater than" } else { "greater than or equal to" };
            let why = format!("{path} in body should be {relation} {spelled}");
            causes.push(Cause::invalid(path, &value.to_string(), &why));
        }
    }
    if let Some((maximum, spelled)) = bound("maximum") {
        let exclusive = flag(schema, "exclusiveMaximum");
        if number > maximum || (exclusive && number >= maximum) {
            let relation = if exclusive { "less than" } else { "less than or equal to" };
            let why = format!("{path} in body should be {relation} {spelled}");
            causes.push(Cause::invalid(path, &value.to_string(), &why));
        }
    }
}

fn check_text(schema: &Value, text: &str, path: &str, causes: &mut Vec<Cause>) {
    let length = text.chars().count() as u64;
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    if let Some(minimum) = bound("minLength").filter(|minimum| length < *minimum) {
        let why = format!("{path} in body should be at least {minimum} chars long");
        causes.push(Cause::invalid(path, &format!("{text:?}"), &why));
    }
    if let Some(maximum) = bound("maxLength").filter(|maximum| length > *maximum) {
        causes.push(Cause {
            reason: "FieldValueTooLong",
            message: format!("Too long: may not be more than {maximum} bytes"),
            field: path.to_owned(),
        });
    }
}

fn check_size(
    schema: &Value,
    size: usize,
    (minimum, maximum): (&str, &str),
    what: &str,
    path: &str,
    causes: &mut Vec<Cause>,
) {
    let size = size as u64;
    let bound = |name: &str| schema.get(name).and_then(Value::as_u64);
    if let Some(minimum) = bound(minimum).filter(|minimum| size < *minimum) {
        let why = format!("{path} in body should have at least {minimum} {what}");
        causes.push(Cause::invalid(path, &size.to_string(), &why));
    }
    if let Some(maximum) = bound(maximum).filter(|maximum| size > *maximum) {
        causes.push(Cause {
            reason: "FieldValueTooMany",
            message: format!("Too many: {size}: must have at most {maximum} items"),
            field: path.to_owned(),
        });
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::embedded::schema::fields_of;

    fn messages(schema: Value, object: Value) -> Vec<String> {
        let causes = validate(&Schema::new(schema), &fields_of(object));
        causes.into_iter().map(|cause| format!("{}: {}", cause.field, cause.message)).collect()
    }

    #[test]
    fn names_every_violation() {
        let schema = json!({"required": ["spec"], "properties": {"spec": {
            "type": "object", "required": ["size"],
            "properties": {
                "size": {"type": "integer", "minimum": 1},
                "mode": {"type": "string", "enum": ["a", "b"]},
                "port": {"x-kubernetes-int-or-string": true},
                "ratio": {"type": "number", "maximum": 1, "nullable": true},
            },
        }}});
        assert_eq!(messages(schema.clone(), json!({})), ["spec: Required value"]);
        assert_eq!(
            messages(schema.clone(), json!({"spec": {"size": "x", "mode": "c", "ratio": 1.5}})),
            [
                "spec.mode: Unsupported value: \"c\": supported values: \"a\", \"b\"",
                "spec.ratio: Invalid value: 1.5: spec.ratio in body should be less than or equal to 1",
                "spec.size: Invalid value: \"string\": spec.size in body must be of type integer: \"string\"",
            ]
        );
        let valid = json!({"spec": {"size": 1, "mode": "a", "port": "http", "ratio": null}});
        assert_eq!(messages(schema, valid), [""; 0]);
    }
}
