# The front door. Every recipe is one command that can also be typed; none needs `just`.

# What there is.
default:
    @just --list --unsorted

# The gateway in front of its embedded store; flags go behind: `just run --kubeconfig FILE`.
run *flags:
    cargo run --release -- {{ flags }}

# Formats all Rust code.
fmt:
    cargo fmt --all

# clippy, without mercy.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# All tests; builds kube-apiserver and etcd with Go the first time.
test:
    cargo test --workspace --locked

# The tests of the gateway's own code, without a cluster.
test-unit *filter:
    cargo test --locked --lib --bins --test architecture -- {{ filter }}

# A fuzz target with coverage for some seconds; needs nightly Rust and cargo-fuzz.
fuzz target seconds="60":
    cargo +nightly fuzz run {{ target }} -- -max_total_time={{ seconds }}

# The documentation of the code, private items included.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked

# Licences, banned crates and sources of all dependencies; needs cargo-deny.
deny:
    cargo deny --locked check bans licenses sources

# Benchmarks; `just bench ordered_map` runs one.
bench name="*":
    cargo bench --locked --bench '{{ name }}'

# Every row of docs/PERFORMANCE.md, beside kube-apiserver, HAProxy and a bare server; `just side-by-side --row get` does one.
side-by-side *flags:
    cargo build --release --locked --bin watchgate
    cargo run --release --locked -p watchgate-side-by-side -- {{ flags }}

# Everything that must hold before a change is merged.
ci:
    .ci/run
