//! GET of one object.

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::exchange::{Expected, Tally, read};
use crate::form::Form;
use crate::kinds::{Kind, NAMESPACES};
use crate::setup::Both;

/// Objects that are there and one that is not, at every kind of version, in every form.
pub(crate) async fn compare(both: Arc<Both>, kind: &Kind) -> Result<()> {
    let mut tally = Tally::default();
    let name = if kind.namespaced { "one" } else { "one-0" };
    let collection = kind.within(NAMESPACES[0]);
    let object = format!("{collection}/{name}");
    for form in Form::ALL {
        let kept = kept(kind, form);
        let accept = form.accept(false);
        let list = format!("{}?resourceVersion=0", kind.everywhere());
        let list = both.gateway.get(&list).header("accept", "application/json").send().await?;
        let version = list.json()?["metadata"]["resourceVersion"].as_str().map(str::to_owned);
        let version = version.context("a list without version")?;
        let cases = [
            (object.clone(), Expected::Forward("quorum")),
            (format!("{object}?resourceVersion=0"), kept),
            (format!("{object}?resourceVersion={version}"), kept),
            // Options of lists mean nothing here.
            (format!("{object}?resourceVersion=0&limit=x&watch=true&labelSelector=!"), kept),
            (format!("{object}?resourceVersion=x"), Expected::Forward("options")),
            (format!("{object}?resourceVersion=0&pretty=1"), kept),
            (format!("{collection}/absent?resourceVersion=0&pretty=1"), kept),
            (format!("{object}?resourceVersion=0&timeout=10s"), kept),
            (format!("{object}?resourceVersion=0&timeout=x"), Expected::Forward("options")),
            (format!("{collection}/absent?resourceVersion=0"), kept),
            (format!("{collection}/absent?resourceVersion={version}"), kept),
            (format!("{collection}/&absent\"{{}}?resourceVersion=0"), kept),
        ];
        for (target, expected) in cases {
            read(&both, &target, &accept, expected, &mut tally).await?;
        }
    }
    // No tables: they show ages.
    for accept in ["application/yaml", "text/html", "application/json;as=Table;g=none;v=v1"] {
        let target = format!("{object}?resourceVersion=0");
        read(&both, &target, accept, Expected::Forward("accept"), &mut tally).await?;
    }
    // A failure's form is chosen apart from the object's.
    let metadata = Form::JsonMetadata.accept(false);
    for (accept, expected) in [
        (format!("{metadata},application/json"), Expected::Hit),
        (format!("{metadata},application/yaml"), Expected::Forward("accept")),
        (format!("{metadata},application/vnd.kubernetes.protobuf"), Expected::Hit),
    ] {
        let target = format!("{collection}/absent?resourceVersion=0");
        read(&both, &target, &accept, expected, &mut tally).await?;
    }
    // Waiting takes three seconds on either side.
    if kind.resource == "pods" || kind.custom {
        let future = format!("{object}?resourceVersion=99999999");
        let proof = Expected::Forward("not-proven");
        read(&both, &future, "application/json", proof, &mut tally).await?;
        // Over before it is known that the version is still to come.
        let impatient = format!("{future}&timeout=20ms");
        let late = Expected::Forward("timeout");
        read(&both, &impatient, "application/json", late, &mut tally).await?;
    }
    eprintln!("{}: {} of {} GETs from memory", kind.resource, tally.hits, tally.all);
    Ok(())
}

/// Whether memory holds a type in a form (`gateway::decide::source`).
pub(crate) fn kept(kind: &Kind, form: Form) -> Expected {
    match form {
        Form::Protobuf if kind.custom => Expected::Forward("accept"),
        _ => Expected::Hit,
    }
}
