//! Paths in other spellings, of things that do not exist, and of other endpoints.

use rand::RngExt as _;

use super::{Generator, Place};
use crate::case::{Case, Shape};

/// Endpoints that are no resources, and resources that are none.
const ELSEWHERE: &[&str] = &[
    "/api",
    "/apis",
    "/api/",
    "/api/v1",
    "/apis/apps",
    "/apis/apps/v1",
    "/apis/example.com",
    "/apis/example.com/v1",
    "/version",
    "/healthz",
    "/livez",
    "/readyz/ping",
    "/nowhere",
    "/api/v2/pods",
    "/apis/apps/v9/deployments",
    "/apis/nobody.example.com/v1/things",
    "/apis/example.com/v1/gadgets",
    "/apis/example.com/v2/widgets",
    "/apis/example.com/v1/namespaces/diff/globes",
    "/apis/example.com/v1/widgets/x",
    "/apis/example.com/v1/globes/x/status",
    "/apis/example.com/v1/namespaces/diff/widgets/x/scale",
    "/api/v1/nonsense",
    "/api/v1/Pods",
    "/API/v1/pods",
    "/api/v1/namespaces/diff/nodes",
    "/api/v1/namespaces/diff/pods/x/status",
    "/api/v1/namespaces/diff/pods/x/log",
    "/api/v1/namespaces/diff/pods/x/nothing",
    "/apis/apps/v1/namespaces/diff/deployments/x/scale",
    "/apis/apps/v1/namespaces/diff/deployments/x/status",
    "/api/v1/namespaces/diff/status",
    "/api/v1/namespaces/diff/finalize",
    "/api/v1/watch",
    "/api/v1/proxy",
    "/api/v1/proxy/nodes/x",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    "/api/v1/bindings",
    "/apis/autoscaling/v2beta2/horizontalpodautoscalers",
    "/apis/events.k8s.io/v1/namespaces/diff/events",
    "/api/v1/pods/x",
    "/api/v1/namespaces//configmaps/x",
];

impl Generator<'_> {
    pub(super) fn elsewhere(&mut self) -> Case {
        let path = self.pick(ELSEWHERE);
        let shape = if path.ends_with("/events") { Shape::Collection } else { Shape::Odd };
        let mut case = Case::new(shape, path);
        if self.chance(0.5) {
            let option = self.pick(&[
                "resourceVersion=0",
                "limit=1",
                "watch=1&timeoutSeconds=1",
                "pretty=1",
            ]);
            case.query.extend(option.split('&').map(str::to_owned));
        }
        case
    }

    /// Moves a watch to the deprecated path, of a collection or of one object.
    pub(super) fn move_to_watch_path(&mut self, case: &mut Case, place: Place) {
        let Some(rest) = case.path.strip_prefix(place.kind.group) else { return };
        let mut path = format!("{}/watch{rest}", place.kind.group);
        if self.chance(0.3) {
            let name = self.name(place);
            path = format!("{path}/{name}");
        }
        case.plain = Some((case.shape, std::mem::replace(&mut case.path, path)));
        case.shape = Shape::WatchPath;
        match self.weighted(&[(0, 60), (1, 30), (2, 10)]) {
            0 => case.query.retain(|pair| !pair.starts_with("watch=")),
            1 => {}
            _ => case.query.push("watch=0".to_owned()),
        }
    }

    /// Writes the path in another way, which may or may not mean the same.
    pub(super) fn respell(&mut self, case: &mut Case) {
        let path = case.path.clone();
        let slashes: Vec<usize> = path.match_indices('/').map(|(at, _)| at).collect();
        let slash = self.pick(&slashes);
        let letter = self.random.random_range(1..path.len());
        let respelt = match self.random.random_range(0..18) {
            0 | 1 => format!("{path}/"),
            2 => format!("{path}//"),
            3 | 4 => format!("{}/{}", &path[..slash], &path[slash..]),
            5 => format!("{}%2F{}", &path[..slash], &path[slash + 1..]),
            6 => format!("{}/.{}", &path[..slash], &path[slash..]),
            7 => format!("{}/x/..{}", &path[..slash], &path[slash..]),
            8 => format!("{path}/status"),
            9 => format!("{path}/x"),
            10 => format!("{path}%20"),
            11 => format!("{path}%00"),
            12 => path.to_uppercase(),
            13 => format!("{path};x=1"),
            16 => format!("https://example.com{path}"),
            17 => format!("{path}`\u{fc}{{"),
            14 if !path[letter..].starts_with(['%', '/']) && path.is_char_boundary(letter + 1) => {
                let byte = path.as_bytes()[letter];
                format!("{}%{byte:02x}{}", &path[..letter], &path[letter + 1..])
            }
            _ => path.replacen("namespaces", "Namespaces", 1),
        };
        case.plain.get_or_insert((case.shape, path));
        case.path = respelt;
        case.shape = Shape::Odd;
    }
}
