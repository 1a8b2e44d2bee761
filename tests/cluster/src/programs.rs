//! Where the programs of a test cluster come from.
//!
//! etcd, kube-apiserver and kubectl are taken from `TEST_ASSET_ETCD`, `TEST_ASSET_KUBE_APISERVER` and `TEST_ASSET_KUBECTL`,
//! which name files, or else from the directory `KUBEBUILDER_ASSETS`. Everything else, and what those don't have, comes from
//! the Go program in `components/`: `WATCHGATE_COMPONENTS` names a built one, otherwise it is built here, once per state of
//! its sources, into `cluster-components` in the target directory. A lock keeps two test processes from building at once.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use parking_lot::Mutex;

/// The release which the components are built from, for their version answers.
const KUBERNETES: (&str, &str, &str) = ("v1.36.3", "1", "36");

/// Whether a cluster can be started here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Availability {
    /// The programs are there, or can be built.
    Ready,
    /// They are not, for this reason.
    Missing(String),
}

/// Finds out whether a cluster can be started, without building anything.
pub fn availability() -> Availability {
    if ["etcd", "kube-apiserver"].into_iter().all(Programs::available) {
        return Availability::Ready;
    }
    Availability::Missing(
        "no Go on the PATH to build the components with, and neither TEST_ASSET_ETCD and \
         TEST_ASSET_KUBE_APISERVER nor KUBEBUILDER_ASSETS nor WATCHGATE_COMPONENTS is set"
            .to_owned(),
    )
}

/// A program and, where it is a part of the components, the first argument which picks it.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    part: Option<String>,
}

impl Program {
    /// A command which runs the program, without arguments of its own yet.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.path);
        command.args(&self.part);
        command
    }
}

/// Looks programs up and builds the components when first needed.
#[derive(Debug)]
pub struct Programs;

impl Programs {
    /// Whether [`Self::find`] can succeed, without building anything. Ready binaries cover but a few of the programs.
    pub fn available(name: &str) -> bool {
        ready(name).is_some() || env::var_os("WATCHGATE_COMPONENTS").is_some() || go().is_ok()
    }

    /// The program `name`: `etcd`, `etcd-snapshot`, `kube-apiserver`, `kube-controller-manager`, `kube-scheduler`,
    /// `kubectl`, `kubelet-stand-in`, `informers`, `compare` or `churn`. It blocks while it builds, which takes minutes the first time.
    ///
    /// # Errors
    /// When there is no such program and the components can't be built.
    pub fn find(name: &str) -> Result<Program> {
        if let Some(path) = ready(name) {
            return Ok(Program { path, part: None });
        }
        let path =
            components().with_context(|| format!("{name} is a part of the test components"))?;
        Ok(Program { path, part: Some(name.to_owned()) })
    }
}

/// A ready binary which the environment names.
fn ready(name: &str) -> Option<PathBuf> {
    let variable = match name {
        "etcd" => "TEST_ASSET_ETCD",
        "kube-apiserver" => "TEST_ASSET_KUBE_APISERVER",
        "kubectl" => "TEST_ASSET_KUBECTL",
        _ => return None,
    };
    let named = env::var_os(variable).map(PathBuf::from);
    let assets = || env::var_os("KUBEBUILDER_ASSETS").map(|assets| Path::new(&assets).join(name));
    named.or_else(assets).filter(|path| path.is_file())
}

fn go() -> Result<String> {
    let output = Command::new("go").arg("version").stdin(Stdio::null()).output().context("go")?;
    ensure!(output.status.success(), "go version: {}", output.status);
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The path of the built components.
fn components() -> Result<PathBuf> {
    static BUILT: Mutex<Option<PathBuf>> = Mutex::new(None);
    if let Some(path) = env::var_os("WATCHGATE_COMPONENTS") {
        return Ok(PathBuf::from(path));
    }
    let mut built = BUILT.lock();
    if let Some(path) = &*built {
        return Ok(path.clone());
    }
    let path = build()?;
    *built = Some(path.clone());
    Ok(path)
}

fn build() -> Result<PathBuf> {
    let version = go().context("the test components are built with Go")?;
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("components");
    let flags = linker_flags();
    let mut hasher = DefaultHasher::new();
    (version, &flags).hash(&mut hasher);
    hash_sources(&source, &mut hasher)?;

    let cache = target_directory().join("cluster-components");
    fs::create_dir_all(&cache).with_context(|| cache.display().to_string())?;
    let binary = cache.join(format!("components-{:016x}", hasher.finish()));
    let lock = File::create(cache.join("lock"))?;
    lock.lock().context("lock of the components' build")?;
    if binary.is_file() {
        return Ok(binary);
    }
    eprintln!("building the components of the test cluster (minutes the first time, then seconds)");
    let started = Instant::now();
    let unfinished = binary.with_extension("building");
    let output = Command::new("go")
        .args(["build", "-trimpath", "-buildvcs=false", "-ldflags", &flags, "-o"])
        .arg(&unfinished)
        .arg(".")
        .current_dir(&source)
        .env("CGO_ENABLED", "0")
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        bail!("go build: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    fs::rename(&unfinished, &binary)?;
    eprintln!("built in {:.0} s: {}", started.elapsed().as_secs_f64(), binary.display());
    Ok(binary)
}

/// Sets the versions which the release builds of Kubernetes report, and drops debug information.
fn linker_flags() -> String {
    let (version, major, minor) = KUBERNETES;
    let mut flags = "-s -w".to_owned();
    for package in ["k8s.io/component-base/version", "k8s.io/client-go/pkg/version"] {
        for (variable, value) in [
            ("gitVersion", version),
            ("gitMajor", major),
            ("gitMinor", minor),
            ("gitTreeState", "clean"),
        ] {
            flags.push_str(&format!(" -X {package}.{variable}={value}"));
        }
    }
    flags
}

/// Hashes all Go files and the module's own files below `directory`, in a fixed order.
fn hash_sources(directory: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let mut entries: Vec<PathBuf> = fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            name.hash(hasher);
            hash_sources(&path, hasher)?;
        } else if name == "go.mod" || name == "go.sum" || is_source(&name) {
            name.hash(hasher);
            fs::read(&path).with_context(|| path.display().to_string())?.hash(hasher);
        }
    }
    Ok(())
}

fn is_source(name: &str) -> bool {
    name.ends_with(".go") && !name.ends_with("_test.go")
}

/// Cargo's target directory: the one which the running test lies in, recognised by the tag which Cargo puts there.
fn target_directory() -> PathBuf {
    let running = env::current_exe().unwrap_or_default();
    let tagged = running.ancestors().find(|path| path.join("CACHEDIR.TAG").is_file());
    tagged.map_or_else(|| env::temp_dir().join("watchgate-target"), Path::to_owned)
}
