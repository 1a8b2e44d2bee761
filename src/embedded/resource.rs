//! Requests for resources: finds what is meant, reads the options, runs the operation.
//!
//! Writes run on a blocking thread, because they wait for the disk.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, request::Parts};

use super::{
    accept,
    answer::{self, Answer},
    body::EmbeddedBody,
    definition::Definition,
    delete::{self, Deleted, Preconditions},
    form::{self, Form, ListMetadata},
    patch::Patch,
    read,
    refusal::Refusal,
    registry::Registry,
    review,
    scale::ScalePaths,
    server::{ApiServer, page_not_found},
    store::{Commit, Store},
    stored::{StoredObject, go_json, metadata_text, typed_json},
    transaction::Transaction,
    watch,
    write::{self, Part, Target, Written},
    write_request,
};
use crate::api::{
    object_key::ObjectKey,
    options::{GetRequest, ListOptions, ListRequest, WatchRequest},
    query::Query,
    request::{ResourceRequest, Verb},
    status::{Status, StatusDetails},
};

/// Answers a request for a resource.
pub(super) async fn answer(
    server: &ApiServer,
    parts: &Parts,
    query: &Query<'_>,
    request: &ResourceRequest,
    body: Bytes,
) -> Result<Answer, Refusal> {
    let gvr = &request.resource;
    let found =
        server.store.state().registry.find(&gvr.group, &gvr.version, &gvr.resource).cloned();
    let Some(definition) = found else {
        return unknown(server, parts, request, &body);
    };
    let Some(target) = target(&definition, request)? else { return Ok(page_not_found()) };
    let operation = Operation { server, headers: &parts.headers, query, target, body };
    match request.verb {
        // HEAD is served for no resource, as for kube-apiserver's built-in ones.
        Verb::Get if parts.method == Method::GET => operation.get(),
        Verb::List if parts.method == Method::GET => operation.list(request),
        Verb::Watch if parts.method == Method::GET => operation.watch(request),
        Verb::Create if request.name.is_empty() => operation.create().await,
        Verb::Update if !request.name.is_empty() => operation.update().await,
        Verb::Patch if !request.name.is_empty() => operation.patch().await,
        Verb::Delete if request.subresource.is_empty() => operation.delete().await,
        Verb::DeleteCollection => operation.delete_collection().await,
        _ => Err(Status::method_not_allowed().into()),
    }
}

/// Reviews are no stored resources; of the rest, built-in groups are answered with a Status.
fn unknown(
    server: &ApiServer,
    parts: &Parts,
    request: &ResourceRequest,
    body: &[u8],
) -> Result<Answer, Refusal> {
    let gvr = &request.resource;
    let reviews = super::built_in::REVIEWS;
    let review = reviews.iter().find(|(group, plural, ..)| {
        gvr.group == *group && gvr.version == "v1" && gvr.resource == *plural
    });
    if review.is_some() && request.name.is_empty() {
        if request.verb != Verb::Create {
            return Err(Status::method_not_allowed().into());
        }
        let object = write_request::object(&parts.headers, body)?;
        if let Some(answered) = review::answer(&gvr.resource, &server.credential, object) {
            let mut body = go_json(&answered);
            body.push(b'\n');
            return Ok(answer::json_text(StatusCode::CREATED, body));
        }
    }
    if Registry::built_in_group(&gvr.group) {
        return Err(Status::unknown_resource().into());
    }
    Ok(page_not_found())
}

/// What exactly a request is about; `None` when a custom resource has no such path.
fn target(
    definition: &Arc<Definition>,
    request: &ResourceRequest,
) -> Result<Option<Target>, Refusal> {
    let part = match request.subresource.as_str() {
        "" => Part::Main,
        "status" if definition.rules.status => Part::Status,
        "scale" if definition.scale.is_some() => Part::Scale,
        _ if definition.custom() => return Err(Refusal::not_found(definition, &request.name)),
        _ => return Err(Status::unknown_resource().into()),
    };
    let is_namespace = definition.group_resource() == "namespaces";
    let namespace = if is_namespace { "" } else { request.namespace.as_str() };
    let across = matches!(request.verb, Verb::List | Verb::Watch);
    let misplaced = if definition.namespaced() {
        namespace.is_empty() && !across
    } else {
        !namespace.is_empty()
    };
    if misplaced {
        if definition.custom() {
            return Ok(None);
        }
        let cluster_wide = definition.namespaced() && request.name.is_empty();
        let status =
            if cluster_wide { Status::method_not_allowed() } else { Status::unknown_resource() };
        return Err(status.into());
    }
    Ok(Some(Target {
        definition: Arc::clone(definition),
        namespace: namespace.to_owned(),
        name: request.name.to_string(),
        part,
    }))
}

/// The paths of a request that is about the scale of an object.
fn scale_paths(target: &Target) -> Option<&ScalePaths> {
    target.definition.scale.as_ref().filter(|_| target.part == Part::Scale)
}

struct Operation<'r, 'q> {
    server: &'r ApiServer,
    headers: &'r HeaderMap,
    query: &'r Query<'q>,
    target: Target,
    body: Bytes,
}

impl Operation<'_, '_> {
    fn form(&self, list: bool) -> Result<Form, Refusal> {
        let accept = self.headers.get(http::header::ACCEPT);
        let accept = accept.and_then(|accept| accept.to_str().ok());
        accept::resource_form(accept, list)
            .ok_or_else(|| Status::not_acceptable(&["application/json"]).into())
    }

    fn get(&self) -> Result<Answer, Refusal> {
        let form = self.form(false)?;
        let request =
            GetRequest::parse(self.query).map_err(|error| Refusal::options(&error, false))?;
        let key = ObjectKey::new(&self.target.namespace, &self.target.name);
        let state = self.server.store.state();
        let object = read::get(&state, &self.target.definition, &key, request)?;
        Ok(self.object(form, StatusCode::OK, object))
    }

    fn list_options(&self, request: &ResourceRequest) -> Result<ListOptions, Refusal> {
        let options = match &request.list_options {
            Some(options) => options.clone(),
            None => ListOptions::decode(self.query),
        };
        options.map_err(|error| Refusal::options(&error, true))
    }

    fn list_request(&self, options: &ListOptions) -> Result<ListRequest, Refusal> {
        ListRequest::resolve(options, &self.target.definition.resource.fields)
            .map_err(|error| Refusal::options(&error, true))
    }

    fn list(&self, request: &ResourceRequest) -> Result<Answer, Refusal> {
        let form = self.form(true)?;
        let request = self.list_request(&self.list_options(request)?)?;
        let Target { definition, namespace, .. } = &self.target;
        let state = self.server.store.state();
        let body = read::list(&state, definition, form, namespace, &request)?;
        Ok(answer::json_text(StatusCode::OK, body))
    }

    fn watch(&self, request: &ResourceRequest) -> Result<Answer, Refusal> {
        let form = self.form(false)?;
        let options = self.list_options(request)?;
        let Target { definition, namespace, .. } = &self.target;
        let resolved = WatchRequest::resolve(&options, &definition.resource.fields)
            .map_err(|error| Refusal::options(&error, false))?;
        let audience = watch::Audience {
            definition: Arc::clone(definition),
            form,
            namespace: namespace.clone(),
            // A name from a field selector is part of the selection already.
            name: if request.verb_from_path { self.target.name.clone() } else { String::new() },
            selection: resolved.selection.clone(),
        };
        let frames = watch::start(&self.server.store, audience, &resolved);
        Ok(answer::stream(EmbeddedBody::stream(frames)))
    }

    async fn create(self) -> Result<Answer, Refusal> {
        let form = self.form(false)?;
        let commit = write_request::commit(self.query, None)?;
        let validation = write_request::field_validation(self.query)?;
        let fields = write_request::object(self.headers, &self.body)?;
        let target = self.target.clone();
        let written = run(&self.server.store, commit, move |transaction| {
            write::create(transaction, &target, validation, fields)
        });
        Ok(self.written(form, &written.await?))
    }

    async fn update(self) -> Result<Answer, Refusal> {
        let form = self.form(false)?;
        let commit = write_request::commit(self.query, None)?;
        let validation = write_request::field_validation(self.query)?;
        let fields = write_request::object(self.headers, &self.body)?;
        let target = self.target.clone();
        let written =
            run(&self.server.store, commit, move |transaction| match scale_paths(&target) {
                None => write::replace(transaction, &target, validation, fields),
                Some(paths) => write::update(transaction, &target, validation, |before| {
                    paths.apply(before, &fields)
                }),
            });
        Ok(self.written(form, &written.await?))
    }

    async fn patch(self) -> Result<Answer, Refusal> {
        let form = self.form(false)?;
        let commit = write_request::commit(self.query, None)?;
        let validation = write_request::field_validation(self.query)?;
        let media_type = write_request::media_type(self.headers)?;
        let patch = Patch::parse(&self.target.definition, media_type, &self.body)?;
        let target = self.target.clone();
        let written = run(&self.server.store, commit, move |transaction| {
            write::update(transaction, &target, validation, |before| {
                let apply = |fields| patch.apply(&target.definition, &target.name, fields);
                match scale_paths(&target) {
                    None => apply(before),
                    Some(paths) => paths.apply(before, &apply(&paths.scale_of(before))?),
                }
            })
        });
        Ok(self.written(form, &written.await?))
    }

    fn written(&self, form: Form, written: &Written) -> Answer {
        let code = if written.created { StatusCode::CREATED } else { StatusCode::OK };
        let mut answer = self.object(form, code, &written.object);
        answer::warn(&mut answer, &written.warnings);
        answer
    }

    fn object(&self, form: Form, code: StatusCode, object: &StoredObject) -> Answer {
        let definition = &self.target.definition;
        let mut body = Vec::new();
        match scale_paths(&self.target) {
            None => form::append_single(form, definition, object, &mut body),
            Some(paths) => body = typed_json(&paths.scale_of(&object.fields)),
        }
        body.push(b'\n');
        answer::json_text(code, body)
    }

    async fn delete(self) -> Result<Answer, Refusal> {
        let form = self.form(false)?;
        let options = write_request::delete_options(self.headers, self.query, &self.body)?;
        let commit = write_request::commit(self.query, Some(&options))?;
        let preconditions = Preconditions::of(&options);
        let target = self.target.clone();
        let deleted = run(&self.server.store, commit, move |transaction| {
            delete::delete(transaction, &target, &preconditions)
        })
        .await?;
        let definition = &self.target.definition;
        Ok(match deleted {
            Deleted::Gone(object) if !definition.rules.returns_deleted => {
                let status = Status::success(StatusDetails {
                    name: self.target.name.clone(),
                    group: definition.group().into(),
                    kind: definition.plural().into(),
                    uid: metadata_text(&object.fields, "uid").into(),
                    ..StatusDetails::default()
                });
                answer::json_text(StatusCode::OK, status.to_json())
            }
            Deleted::Gone(object) | Deleted::Pending(object) => {
                self.object(form, StatusCode::OK, &object)
            }
        })
    }

    async fn delete_collection(self) -> Result<Answer, Refusal> {
        let form = self.form(true)?;
        let options = ListOptions::decode(self.query);
        let options = options.map_err(|error| Refusal::options(&error, true))?;
        let request = self.list_request(&options)?;
        let delete = write_request::delete_options(self.headers, self.query, &self.body)?;
        let commit = write_request::commit(self.query, Some(&delete))?;
        let preconditions = Preconditions::of(&delete);
        let target = self.target.clone();
        let objects = run(&self.server.store, commit, move |transaction| {
            delete::collection(transaction, &target, &request.selection, &preconditions)
        })
        .await?;
        let metadata =
            ListMetadata { revision: self.server.current_revision(), ..ListMetadata::default() };
        let objects = objects.iter().map(Arc::as_ref);
        let body = form::list(form, &self.target.definition, &metadata, objects);
        Ok(answer::json_text(StatusCode::OK, body))
    }
}

async fn run<T: Send + 'static>(
    store: &Arc<Store>,
    commit: Commit,
    work: impl FnOnce(&mut Transaction<'_>) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let store = Arc::clone(store);
    tokio::task::spawn_blocking(move || store.write(commit, work)).await.unwrap_or_else(|error| {
        Err(Status::internal_error(format!("the write did not finish: {error}")).into())
    })
}
