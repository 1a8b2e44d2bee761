//! Requests from the whole space of what can be asked, out of a seed.
//!
//! Most are such as clients send; some have one thing wrong with them, some many. The generator knows
//! nothing of what the gateway serves from memory.

mod headers;
mod options;
mod paths;
mod selectors;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};

use crate::case::{Asker, Case, Shape};
use crate::kinds::{KINDS, Kind, LARGE, Made, NAMESPACES};
use crate::world::World;

/// Makes requests about one state of the cluster.
pub(crate) struct Generator<'a> {
    random: SmallRng,
    world: &'a World,
    /// How likely each choice is an odd one, in this request.
    oddness: f64,
}

/// A type, and the place in it that a request is about.
#[derive(Clone, Copy, Debug)]
struct Place {
    kind: &'static Kind,
    index: usize,
    namespace: Option<&'static str>,
}

impl<'a> Generator<'a> {
    /// The generator of the requests from `number` on.
    pub(crate) fn new(world: &'a World, seed: u64, number: u64) -> Self {
        let random = SmallRng::seed_from_u64(seed.wrapping_mul(1_000_003).wrapping_add(number));
        Self { random, world, oddness: 0.0 }
    }

    /// The next request.
    pub(crate) fn case(&mut self) -> Case {
        self.oddness = self.weighted(&[(0.0, 6), (0.05, 3), (0.3, 1)]);
        let mut case = match self.weighted(&[(0, 15), (1, 58), (2, 20), (3, 2)]) {
            0 => self.object(),
            1 => self.list(),
            2 => self.watch(),
            _ => self.elsewhere(),
        };
        if self.chance(0.03) || self.odd() {
            self.respell(&mut case);
        }
        self.add_headers(&mut case);
        case.method =
            self.weighted(&[("GET", 985), ("HEAD", 11), ("OPTIONS", 2), ("ODD", 1), ("get", 1)]);
        case.asker = self.weighted(&[
            (Asker::Reader, 190),
            (Asker::Local, 8),
            (Asker::Nobody, 1),
            (Asker::Wrong, 1),
        ]);
        case.http2 = self.chance(0.15) && case.fits_http2();
        case
    }

    /// A watch of what the writer is about to change. It ends by itself after that.
    pub(crate) fn live_watch(&mut self) -> Case {
        let index =
            self.weighted_index(|kind| if kind.made == Made::Elsewhere { 1 } else { kind.weight });
        let kind = &KINDS[index];
        // Others renew leases elsewhere, at any time.
        let everywhere = u32::from(kind.resource != "leases");
        let namespace = self.weighted(&[(Some(NAMESPACES[0]), 3), (None, everywhere)]);
        let place = Place { kind, index, namespace: namespace.filter(|_| kind.namespaced) };
        let mut case = Case::new(Shape::Collection, &place.collection());
        self.add_watch_options(&mut case, place);
        // Neither one that ends before the writes, nor one that waits for a version of the future.
        let far = |pair: &str| pair.contains("99999999") || pair.contains("18446744073709551615");
        case.query.retain(|pair| !pair.starts_with("timeoutSeconds") && !far(pair));
        case.query.push("timeoutSeconds=8".to_owned());
        self.add_headers(&mut case);
        // Tables tell ages, and what was written can't be asked again.
        case.headers.retain(|(_, value)| !value.contains("as=Table"));
        case.http2 = self.chance(0.3) && case.fits_http2();
        case
    }

    fn object(&mut self) -> Case {
        let place = self.place();
        let name = self.name(place);
        let path = format!("{}/{name}", place.collection());
        let mut case = Case::new(Shape::Object, &path);
        self.add_get_options(&mut case, place);
        case
    }

    fn list(&mut self) -> Case {
        let place = self.place();
        let mut case = Case::new(Shape::Collection, &place.collection());
        self.add_list_options(&mut case, place);
        case
    }

    fn watch(&mut self) -> Case {
        let place = self.place();
        let mut case = Case::new(Shape::Collection, &place.collection());
        self.add_watch_options(&mut case, place);
        if self.chance(0.12) {
            self.move_to_watch_path(&mut case, place);
        }
        case
    }

    fn place(&mut self) -> Place {
        let index = self.weighted_index(|kind| kind.weight);
        let kind = &KINDS[index];
        let namespaces: &[(Option<&'static str>, u32)] = &[
            (Some(NAMESPACES[0]), 60),
            (Some(NAMESPACES[1]), 10),
            (Some(NAMESPACES[2]), 5),
            (Some(NAMESPACES[3]), 5),
            (Some("nowhere"), 2),
            (None, 25),
        ];
        let namespace = self.weighted(namespaces).filter(|_| kind.namespaced);
        Place { kind, index, namespace }
    }

    fn name(&mut self, place: Place) -> &'static str {
        if self.chance(0.04) || self.odd() {
            let odd = [
                "missing",
                "..",
                ".",
                "%2e%2e",
                "a%2Fb",
                "x%20y",
                "X",
                "a%25",
                "%C3%BC",
                "a,b",
                "%00",
                "a%252Fb",
                "~",
                "a=b",
                "*",
                "a;b",
                "a+b",
                "-",
                "system:node",
                "(x)",
                "!",
            ];
            return self.pick(&odd);
        }
        match (place.kind.resource, place.kind.made) {
            ("componentstatuses", _) => self.pick(&["etcd-0", "scheduler"]),
            ("namespaces", _) => self.pick(&["diff", "diff-b", "default", LARGE]),
            ("customresourcedefinitions", _) => {
                self.pick(&["widgets.example.com", "globes.example.com"])
            }
            ("clusterroles", _) if self.chance(0.4) => {
                self.pick(&["system:node", "cluster-admin", "admin", "system:discovery"])
            }
            ("bulks" | "podtemplates", _) if self.chance(0.2) => {
                self.pick(&["long", "labelled", "annotated"])
            }
            ("configmaps", _) if self.chance(0.1) => "invalid-text",
            _ => {
                let names: Vec<_> = place.kind.names().collect();
                self.pick(&names)
            }
        }
    }

    fn chance(&mut self, probability: f64) -> bool {
        self.random.random_bool(probability)
    }

    /// Whether the next choice is an odd one.
    fn odd(&mut self) -> bool {
        self.random.random_bool(self.oddness)
    }

    fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        *items.choose(&mut self.random).expect("something to choose from")
    }

    fn weighted<T: Copy>(&mut self, items: &[(T, u32)]) -> T {
        let all: u32 = items.iter().map(|(_, weight)| weight).sum();
        let mut at = self.random.random_range(0..all);
        for (item, weight) in items {
            if at < *weight {
                return *item;
            }
            at -= weight;
        }
        items[items.len() - 1].0
    }

    fn weighted_index(&mut self, weight: impl Fn(&Kind) -> u32) -> usize {
        let weights: Vec<(usize, u32)> =
            KINDS.iter().enumerate().map(|(index, kind)| (index, weight(kind))).collect();
        self.weighted(&weights)
    }
}

impl Place {
    fn collection(&self) -> String {
        self.kind.collection(self.namespace)
    }
}
